//! What decoders print, put into what scanners send.

use super::{Code, Format};

/// A code from what a decoder printed as `text`, with FNC1 in one of the ways decoders have. None if no symbol of this
/// format can hold that: no data at all, or a DataBar that is not an article number.
pub(super) fn code(format: Format, aim: String, text: &str, corners: Vec<(f32, f32)>) -> Option<Code> {
    let gs1 = is_gs1(&aim);
    let text = match format {
        Format::Code128 => text.strip_prefix("]C1").unwrap_or(text).to_owned(),
        Format::DataBar | Format::DataBarLimited if text.len() == 14 => format!("01{text}"),
        Format::DataBarExpanded => element_string(text).unwrap_or_else(|| text.to_owned()),
        _ => text.to_owned(),
    };
    let text = if gs1 { text.strip_prefix('\u{1d}').unwrap_or(&text).to_owned() } else { text };
    let is_possible = match format {
        Format::DataBar | Format::DataBarLimited => is_gtin_14(text.strip_prefix("01").unwrap_or_default()),
        _ => !text.is_empty(),
    };
    is_possible.then(|| Code { format, aim, bytes: text.as_bytes().to_vec(), text, corners, enhanced: false })
}

/// 14 digits with the check digit of GS1 General Specifications 7.9.
fn is_gtin_14(text: &str) -> bool {
    let digits = text.bytes().rev().enumerate();
    let sum: u32 = digits.map(|(i, b)| u32::from(b.wrapping_sub(b'0')) * if i % 2 == 0 { 1 } else { 3 }).sum();
    text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit()) && sum.is_multiple_of(10)
}

/// The identifier that a scanner would report for plain data of this format.
pub(super) fn usual_aim(format: Format) -> &'static str {
    match format {
        Format::Ean13 | Format::UpcA | Format::UpcE => "]E0",
        Format::Ean8 => "]E4",
        Format::Code128 => "]C0",
        Format::Code39 => "]A0",
        Format::Code93 => "]G0",
        Format::Codabar => "]F0",
        Format::Itf => "]I0",
        Format::DataBar | Format::DataBarLimited | Format::DataBarExpanded => "]e0",
        Format::Qr | Format::MicroQr => "]Q1",
        Format::DataMatrix => "]d1",
        Format::Aztec => "]z0",
        Format::Pdf417 => "]L0",
        Format::MaxiCode => "]U0",
    }
}

/// GS1 General Specifications 5.1.3, and ISO/IEC 15424 for the identifiers with ECI.
pub(super) fn is_gs1(aim: &str) -> bool {
    matches!(aim, "]C1" | "]d2" | "]d5" | "]Q3" | "]Q4" | "]e0" | "]J1" | "]z1" | "]z4")
}

/// `(01)…(10)…` as an element string: GS after each field whose length is not predefined.
fn element_string(printed: &str) -> Option<String> {
    let mut rest = printed.strip_prefix('(')?;
    let mut out = String::new();
    loop {
        let (ai, after) = rest.split_once(')')?;
        if !is_ai(ai) {
            return None;
        }
        let next = after
            .match_indices('(')
            .map(|(at, _)| at)
            .find(|at| after[at + 1..].split_once(')').is_some_and(|(ai, _)| is_ai(ai)));
        let value = &after[..next.unwrap_or(after.len())];
        out.push_str(ai);
        out.push_str(value);
        match next {
            None => return Some(out),
            Some(at) => rest = &after[at + 1..],
        }
        if !is_predefined(ai) {
            out.push('\u{1d}');
        }
    }
}

fn is_ai(text: &str) -> bool {
    (2..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Figure 7.8.5-2 of the GS1 General Specifications.
fn is_predefined(ai: &str) -> bool {
    matches!(
        &ai.as_bytes()[..2],
        b"00" | b"01" | b"02" | b"03" | b"04" | [b'1', b'1'..=b'9'] | b"20" | [b'3', b'1'..=b'6'] | b"41"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_fnc1_where_scanners_do() {
        for (format, aim, printed, bytes) in [
            (Format::Code128, "]C1", "]C1010950600013435210AB\u{1d}21C", "010950600013435210AB\u{1d}21C"),
            (Format::Code128, "]C0", "ABC", "ABC"),
            (Format::DataMatrix, "]d2", "\u{1d}10AB", "10AB"),
            (Format::DataMatrix, "]d1", "\u{1d}10AB", "\u{1d}10AB"),
            (Format::DataBar, "]e0", "24012345678905", "0124012345678905"),
            (Format::DataBarExpanded, "]e0", "(01)90012345678908(3103)001750", "01900123456789083103001750"),
            (Format::DataBarExpanded, "]e0", "(10)A(1)B(21)C(37)5", "10A(1)B\u{1d}21C\u{1d}375"),
            (Format::DataBarExpanded, "]e0", "(0", "(0"),
        ] {
            let code = code(format, aim.into(), printed, Vec::new()).expect(printed);
            assert_eq!((code.text.as_str(), code.bytes.as_slice()), (bytes, bytes.as_bytes()), "{printed}");
        }
    }

    #[test]
    fn what_no_symbol_can_hold_is_no_code() {
        // A phantom that rxing 0.9.3 reads in a picture of an EAN-13, and the article with another check digit.
        for text in ["175489077127848", "24012345678906", ""] {
            assert_eq!(code(Format::DataBar, "]e0".into(), text, Vec::new()), None, "{text}");
        }
        assert_eq!(code(Format::Code128, "]C0".into(), "", Vec::new()), None);
        assert_eq!(code(Format::Code128, "]C1".into(), "]C1", Vec::new()), None, "FNC1 alone");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[()0-9A\u{1d}é]{0,30}") {
            for format in Format::ALL {
                code(*format, "]e0".into(), &text, Vec::new());
            }
        }
    }
}
