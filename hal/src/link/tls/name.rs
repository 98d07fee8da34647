//! The common name of a certificate's subject (RFC 5280, sections 4.1 and 4.1.2.4): DER, read by hand, since nothing
//! else of a certificate is needed here.

/// The last common name of the subject; `None` if there is none, or this is no certificate.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    // The version is optional; serial number, signature, issuer and validity come before the subject.
    let (tag, _, after) = element(rest)?;
    if tag == VERSION {
        rest = after;
    }
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (_, mut subject, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let mut found = None;
    while let Some((_, mut set, after)) = element(subject) {
        while let Some((_, pair, next)) = element(set) {
            let (_, kind, value) = element(pair)?;
            if kind == COMMON_NAME {
                let (tag, text, _) = element(value)?;
                let is_text = matches!(tag, UTF8 | PRINTABLE | IA5);
                found = is_text.then(|| String::from_utf8(text.to_vec()).ok()).flatten();
            }
            set = next;
        }
        subject = after;
    }
    found
}

/// Tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_is_found_and_no_prefix_of_a_certificate_panics() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CountryName, "NL");
        params.distinguished_name.push(rcgen::DnType::CommonName, "legacy-terminal-certificate.test.terminal.example");
        let der = params.self_signed(&key).expect("signed").der().to_vec();
        assert_eq!(common_name(&der).as_deref(), Some("legacy-terminal-certificate.test.terminal.example"));
        for end in 0..der.len() {
            assert_eq!(common_name(&der[..end]), None, "{end}");
        }
        for at in 0..der.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = der.clone();
                damaged[at] = byte;
                common_name(&damaged);
            }
        }
    }
}
