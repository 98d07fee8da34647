//! Identifies the service at a network address that does not answer as expected: [`tresen::probe`].

use tresen::hal::Kind;
use tresen::hal::address::LinkKind;
use tresen::probe::{Answer, Asked, Limits, Probed};
use tresen::{Address, Class, Error};

use crate::devices;

/// Adds to `error` what seems to answer at `address`, if that is more specific than the error.
pub(super) async fn diagnosed(address: &Address, error: Error) -> Error {
    let talked = matches!(error.kind(), Kind::Protocol | Kind::Timeout | Kind::Closed | Kind::Busy | Kind::Unsupported);
    let LinkKind::Tcp { host, port: Some(port) } = address.link() else { return error };
    if !talked {
        return error;
    }
    // The protocol that has just failed asks last; over TLS it has not been tried in plain.
    let failed = (!is_tls(address)).then(|| address.protocol());
    let hint = match ask(host, *port, failed, is_of(address, Class::Printer)).await {
        Some(probed) => hint(&probed, address, &error),
        None => None,
    };
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Who answers at a port. `printer`: nothing is asked that a printer would print.
pub(super) async fn ask(host: &str, port: u16, failed: Option<&str>, printer: bool) -> Option<Probed> {
    let mut asked = Asked::default();
    (asked.failed, asked.printer) = (failed, printer);
    devices::drivers().probe_port(host, port, Limits::short(), asked).await.ok()
}

/// What answers, as a sentence: `an ESC/POS printer answers`.
pub(super) fn sentence(probed: &Probed) -> String {
    match &probed.answer {
        Answer::Device { protocol, .. } => format!("{} answers{}", device(protocol), over(probed)),
        Answer::Tls => "it expects TLS".into(),
        Answer::Web { line } | Answer::Text { line } => format!("it says `{line}`"),
        Answer::Bytes { bytes } => format!("it says {bytes}"),
        Answer::HangUp => "it hangs up".into(),
        Answer::Silence => "nothing answers".into(),
        _ => "nobody answers".into(),
    }
}

/// A device that speaks this protocol, with its article.
pub(super) fn device(protocol: &str) -> String {
    let named = match protocol {
        "escpos" => return "an ESC/POS printer".into(),
        "zvt" => "a ZVT",
        "opi" => "an OPI",
        "nexo" => "a nexo",
        "paytec" => "a PayTec",
        other => return format!("a device that speaks {other}"),
    };
    format!("{named} payment terminal")
}

/// The names of the terminals' profiles with this protocol and port.
pub(super) fn profiles(protocol: &str, port: u16) -> Vec<&'static str> {
    let fitting = tresen::payment::profiles::all().iter().filter(|profile| profile.fits(protocol, port));
    fitting.map(|profile| profile.name.as_str()).collect()
}

fn over(probed: &Probed) -> &'static str {
    if probed.certificate.is_some() { " over TLS" } else { "" }
}

fn hint(probed: &Probed, address: &Address, error: &Error) -> Option<String> {
    let printer = is_of(address, Class::Printer);
    let without = if is_tls(address) && probed.certificate.is_none() { " without TLS" } else { "" };
    Some(match &probed.answer {
        Answer::Device { protocol, .. } if protocol == address.protocol() => {
            match (&probed.certificate, is_tls(address)) {
                (None, true) => format!("{} answers without TLS: remove `tls=true`", device(protocol)),
                (Some(_), false) => expects_tls(probed),
                _ => return None,
            }
        }
        Answer::Device { protocol, address: right, .. } => {
            let named = device(protocol);
            format!("{named} answers{}{without} at this address; is it the right one? then use {right}", over(probed))
        }
        Answer::Tls if is_tls(address) => return None,
        Answer::Tls => expects_tls(probed),
        Answer::Web { line } => format!("a web server answers{without} on this port: `{line}`; check the port"),
        Answer::Text { line } if line.starts_with("SSH-") => {
            format!("something else answers{without} on this port: a login by SSH, `{line}`; check the port")
        }
        Answer::Text { line } => format!("something else answers{without} on this port: `{line}`; check the port"),
        Answer::Bytes { bytes } => {
            format!("something unknown answers{without} on this port: {bytes}; check the port")
        }
        // The printer drivers report these two cases with better hints.
        Answer::Silence | Answer::HangUp if printer && error.next_step().is_some() => return None,
        Answer::Silence => "the port accepts the connection but nothing answers: another till may be connected \
                            (devices serve one at a time), or the port is wrong"
            .into(),
        Answer::HangUp => "the device closes the connection: another till may be connected (devices serve one at a \
                           time), or it expects TLS (`tls=true`)"
            .into(),
        _ => return None,
    })
}

fn expects_tls(probed: &Probed) -> String {
    let hint = "the device expects TLS: add `tls=true`";
    match &probed.certificate {
        Some(shown) => format!(
            "{hint} and, if that is the SHA-256 that the device itself shows or prints, `fingerprint={}`",
            shown.fingerprint
        ),
        None => hint.to_owned(),
    }
}

/// Whether the device at `address` is one of `class`.
fn is_of(address: &Address, class: Class) -> bool {
    devices::drivers().class_of(address).is_ok_and(|found| found == class)
}

fn is_tls(address: &Address) -> bool {
    address.option("tls") == Some("true")
}

/// `15 03 01`
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
