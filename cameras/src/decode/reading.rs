//! What decoders print, put into what scanners send.

use tresen_hal::barcode::{AimId, check_digit, gs1};

use super::{Code, Format};

/// A code from what a decoder printed as `text`, with FNC1 in one of the ways decoders have. None if no symbol of this
/// format can hold that: no data at all, or a DataBar that is not an article number.
pub(super) fn code(format: Format, aim: String, text: &str, corners: Vec<(f32, f32)>) -> Option<Code> {
    let is_gs1 = is_gs1(&aim);
    let text = match format {
        Format::Code128 => text.strip_prefix("]C1").unwrap_or(text).to_owned(),
        Format::DataBar | Format::DataBarLimited if text.len() == 14 => format!("01{text}"),
        Format::DataBarExpanded => element_string(text).unwrap_or_else(|| text.to_owned()),
        _ => text.to_owned(),
    };
    let text = if is_gs1 { text.strip_prefix('\u{1d}').unwrap_or(&text).to_owned() } else { text };
    let is_possible = match format {
        Format::DataBar | Format::DataBarLimited => is_gtin_14(text.strip_prefix("01").unwrap_or_default()),
        _ => !text.is_empty(),
    };
    is_possible.then(|| Code { format, aim, bytes: text.as_bytes().to_vec(), text, corners, enhanced: false })
}

/// 14 digits with the right check digit.
fn is_gtin_14(text: &str) -> bool {
    let digits = text.as_bytes();
    digits.len() == 14 && digits.iter().all(u8::is_ascii_digit) && check_digit(&digits[..13]) == digits[13] - b'0'
}

/// The identifier that a scanner would report for plain data of this format.
pub(super) fn usual_aim(format: Format) -> String {
    format.symbology().aim().map(|aim| aim.to_string()).unwrap_or_default()
}

/// Whether data with this AIM identifier is a GS1 element string.
pub(super) fn is_gs1(aim: &str) -> bool {
    aim.parse().is_ok_and(AimId::is_gs1)
}

/// `(01)…(10)…` as an element string: GS after each field whose length is not predefined.
fn element_string(printed: &str) -> Option<String> {
    let fields = gs1::split_bracketed(printed)?;
    let mut out = String::new();
    for (i, (ai, value)) in fields.iter().enumerate() {
        out.push_str(ai);
        out.push_str(value);
        if gs1::predefined_length(ai.as_bytes()).is_none() && i + 1 < fields.len() {
            out.push(char::from(gs1::GS));
        }
    }
    Some(out)
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
