//! 06 E0 display text, 06 E1 its old form (PA00P015, chapters of these names): `duration [F1 to F8]`,
//! each an LLVAR line.

use super::super::text::Charset;
use super::super::{bmp, tlv};

/// What is to be shown, its lines joined by spaces; `None` if `code` is another command or no text
/// can be read.
pub fn text(code: u16, data: &[u8], charset: Charset) -> Option<String> {
    if !matches!(code, 0x06e0 | 0x06e1) {
        return None;
    }
    let fields = bmp::fields(data.get(1..)?);
    let mut lines = Vec::new();
    for field in fields {
        match field.id {
            0xf1..=0xf8 => lines.push(charset.decode(field.data)),
            0x06 => {
                let container = tlv::find(field.data, 0x24).unwrap_or_default();
                lines.extend(tlv::tags(container).filter(|t| t.tag == 0x07).map(|t| charset.decode(t.value)));
            }
            _ => {}
        }
    }
    let text = lines.iter().map(|l| l.trim()).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_a_display_text() {
        let data = [&[0x0a, 0xf1, 0xf0, 0xf5][..], b"Bitte", &[0xf2, 0xf0, 0xf6], b"warten"].concat();
        assert_eq!(text(0x06e0, &data, Charset::Cp437).as_deref(), Some("Bitte warten"));
        assert_eq!(text(0x06e1, &data, Charset::Cp437).as_deref(), Some("Bitte warten"));
        assert_eq!(text(0x06e2, &data, Charset::Cp437), None);
        for end in 0..data.len() {
            text(0x06e0, &data[..end], Charset::Cp437);
        }
    }
}
