//! A picture of what a job prints, as a printer of the same width would print it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tresen_hal::{Error, Kind, Result};

use crate::content::Content;
use crate::escpos::sim;
use crate::printer::Capabilities;
use crate::profile::Profile;

/// What a job prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Preview {
    /// All sheets below each other as a PNG, up to 8 m of paper; base64 in JSON.
    #[serde(with = "base64_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub png: Vec<u8>,
    /// The printable width in dots. The picture has a margin besides.
    pub width: u32,
    /// The height in dots, without the margin.
    pub height: u32,
    /// The text, one line for each printed line; codes and images are named in brackets.
    pub text: String,
    /// The number of drawer pulses.
    pub drawer: usize,
}

/// Renders `content` for a printer with these capabilities; without them, for 80 mm paper.
///
/// # Errors
/// [`Kind::Unsupported`]: raw bytes in a language other than ESC/POS.
pub fn preview(content: &Content, printer: Option<&Capabilities>) -> Result<Preview> {
    let mut profile = Profile::generic_80();
    if let Some(printer) = printer {
        (profile.width, profile.columns) = (printer.width, printer.columns);
        (profile.qr, profile.barcodes) = (printer.qr, printer.barcodes);
    }
    let rendered = match content {
        Content::Receipt(receipt) => sim::preview(receipt, &profile),
        Content::Raw(raw) if raw.language == "escpos" => sim::render(&raw.bytes, &profile),
        Content::Raw(raw) => {
            let what = format!("there is no picture of bytes in the language `{}`", raw.language);
            return Err(Error::new(Kind::Unsupported, what));
        }
    };
    let roll = rendered.roll();
    let (width, height) = (profile.width.0, roll.dots().height());
    Ok(Preview { png: roll.to_png(), width, height, text: roll.text().to_owned(), drawer: rendered.kicks.len() })
}

mod base64_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Receipt;
    use crate::printer::DrawerPin;

    #[test]
    fn a_receipt_and_raw_bytes_are_shown_at_the_printers_width() {
        let receipt = Content::Receipt(Receipt::new().text("Tee").drawer(DrawerPin::Two).cut());
        let wide = preview(&receipt, None).expect("rendered");
        let narrow = preview(&receipt, Some(&Profile::generic_58().capabilities())).expect("rendered");
        assert_eq!((wide.width, narrow.width), (576, 384), "80 and 58 mm at 203 dpi");
        assert_eq!((wide.text.trim(), wide.drawer), ("Tee", 1));
        // PNG (W3C, 5.2 and 11.2.2): the signature, then the width in IHDR.
        assert_eq!(wide.png[..8], *b"\x89PNG\r\n\x1a\n");
        let across = u32::from_be_bytes(wide.png[16..20].try_into().expect("four bytes"));
        assert!(across >= 576, "{across}");
        let raw = preview(&Content::escpos(*b"\x1b@Table 4\n"), None).expect("rendered");
        assert_eq!(raw.text.trim(), "Table 4");
        let json = serde_json::to_value(&raw).expect("JSON");
        assert!(json["png"].as_str().is_some_and(|png| png.starts_with("iVBORw0KGgo")), "base64 of a PNG");
        assert_eq!(serde_json::from_value::<Preview>(json).expect("reads back"), raw);
    }

    #[test]
    fn bytes_of_another_language_have_no_picture() {
        let content = Content::Raw(crate::Raw { language: "zpl".into(), bytes: b"^XA^XZ".to_vec().into() });
        let error = preview(&content, None).expect_err("not ESC/POS");
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("`zpl`"), "{error}");
    }
}
