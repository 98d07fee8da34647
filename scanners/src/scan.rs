//! The one event of every source of codes: what was read, as what, by which device, when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::Result;

use crate::gs1::{self, ElementString};
use crate::instore::{InStore, Templates};
use crate::{AimId, Gtin, Symbology};

/// One code that was read.
///
/// ```
/// use tresen_scanners::{Code, Scan, instore::Templates};
///
/// let scan = Scan::reported("]E0".parse()?, b"4006381333931", "2026-01-02T08:00:00Z".parse().unwrap());
/// assert_eq!(scan.code(&Templates::default())?, Code::Article("4006381333931".parse()?));
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scan {
    /// The data as it came, without AIM identifier and framing.
    pub bytes: Vec<u8>,
    /// The data as text: UTF-8 if it is, else Latin-1.
    pub text: String,
    /// What kind of code it was.
    pub symbology: Symbology,
    /// The AIM identifier; none if neither it nor the symbology is known.
    pub aim: Option<Aim>,
    /// The name of the device.
    pub device: String,
    /// When its last byte came, or when its frame was taken.
    pub at: Timestamp,
}

/// An AIM identifier and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aim {
    /// The identifier.
    pub id: AimId,
    /// Who says so.
    pub source: AimSource,
}

/// Who determined an AIM identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AimSource {
    /// The scanner or decoder sent it.
    Reported,
    /// We derived it from the symbology; its modifier may be too plain.
    Synthesised,
}

impl Scan {
    /// A scan of which only the data is known.
    pub fn plain(bytes: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        Self::new(bytes.into(), Symbology::Unknown, None, at)
    }

    /// A scan whose AIM identifier the scanner or decoder reported.
    pub fn reported(aim: AimId, bytes: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        let bytes = bytes.into();
        let symbology = aim.symbology(&bytes);
        Self::new(bytes, symbology, Some(Aim { id: aim, source: AimSource::Reported }), at)
    }

    /// A scan whose symbology is known, but not its AIM identifier.
    pub fn synthesised(symbology: Symbology, bytes: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        let aim = symbology.aim().map(|id| Aim { id, source: AimSource::Synthesised });
        Self::new(bytes.into(), symbology, aim, at)
    }

    fn new(bytes: Vec<u8>, symbology: Symbology, aim: Option<Aim>, at: Timestamp) -> Self {
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
        };
        Self { bytes, text, symbology, aim, device: String::new(), at }
    }

    /// The same scan with the name of its device.
    #[must_use]
    pub fn from_device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// Whether the data is a GS1 element string.
    pub fn is_gs1(&self) -> bool {
        match self.aim {
            Some(aim) => aim.id.is_gs1(),
            None => self.bytes.first() == Some(&gs1::GS),
        }
    }

    /// What the code means to a shop whose own labels have these layouts.
    ///
    /// Where the symbology is unknown, digits that an article number can have count as one.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Input`]: it claims to be an article number, a label or a GS1 element string,
    /// and is not right. It was misread or misprinted: scan again.
    pub fn code(&self, templates: &Templates) -> Result<Code> {
        if self.is_gs1() {
            return ElementString::parse(&self.bytes).map(Code::Gs1);
        }
        let text = self.text.as_str();
        let gtin = match (self.symbology, text.len()) {
            (Symbology::UpcE, 6 | 8) => Gtin::from_upc_e(text)?,
            // With an add-on of two or five digits, as periodicals have.
            (Symbology::Ean13 | Symbology::UpcA, 15 | 18) if text.is_ascii() => Gtin::parse(&text[..13])?,
            (symbology, _) if symbology.is_ean_upc() => Gtin::parse(text)?,
            (Symbology::Itf, 14) | (Symbology::Unknown, _) => match Gtin::parse(text) {
                Ok(gtin) => gtin,
                Err(_) => return Ok(Code::Other),
            },
            _ => return Ok(Code::Other),
        };
        match templates.read(gtin)? {
            Some(label) => Ok(Code::InStore(label)),
            None if gtin.is_restricted() => Ok(Code::Restricted(gtin)),
            None => Ok(Code::Article(gtin)),
        }
    }
}

/// What a scanned code means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// An article's number.
    Article(Gtin),
    /// A label of the shop or its scale, read by one of its templates.
    InStore(InStore),
    /// A number of restricted circulation for which there is no template.
    Restricted(Gtin),
    /// A GS1 element string: article, batch, expiry, weight and more.
    Gs1(ElementString),
    /// Anything else: a voucher, a customer card, a link.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instore::Quantity;
    use tresen_hal::Kind;

    fn at() -> Timestamp {
        "2026-01-02T08:00:00Z".parse().expect("a timestamp")
    }

    fn code(aim: &str, data: &str) -> Result<Code> {
        let templates = vec!["28PPPPXWWWWWC".parse().expect("a template")].into();
        let scan = match aim {
            "" => Scan::plain(data, at()),
            aim => Scan::reported(aim.parse().expect(aim), data, at()),
        };
        scan.code(&templates)
    }

    #[test]
    fn tells_articles_labels_and_others_apart() {
        let article = |digits: &str| Code::Article(digits.parse().expect(digits));
        for (aim, data, expected) in [
            ("]E0", "4006381333931", article("4006381333931")),
            ("", "4006381333931", article("4006381333931")),
            ("]E0", "036000291452", article("0036000291452")),
            ("]E0", "06543217", article("065100004327")),
            ("]E4", "96385074", article("96385074")),
            ("]E3", "977147396801202", article("9771473968012")),
            ("]I1", "10614141543219", article("10614141543219")),
            ("]E0", "2012345678903", Code::Restricted("2012345678903".parse().expect("good"))),
            ("]C0", "4006381333931", Code::Other),
            ("]Q1", "https://example.com", Code::Other),
            ("", "4006381333932", Code::Other),
            ("", "CUSTOMER", Code::Other),
        ] {
            assert_eq!(code(aim, data).expect(data), expected, "{aim}{data}");
        }
        let Code::InStore(label) = code("]E0", "2810275005024").expect("good") else { panic!("a label") };
        assert_eq!((label.item.as_str(), label.quantity), ("1027", Quantity::Weight { grams: 502 }));
        for (aim, data) in [("]C1", "0109506000134352"), ("]d2", "0109506000134352"), ("", "\x1d0109506000134352")] {
            let Code::Gs1(elements) = code(aim, data).expect(data) else { panic!("{aim}{data}") };
            assert_eq!(elements.value("01"), Some("09506000134352"));
        }
    }

    #[test]
    fn what_claims_to_be_an_article_and_is_none_is_an_error() {
        for (aim, data) in
            [("]E0", "4006381333932"), ("]E4", "96385075"), ("]E0", "é"), ("]E0", ""), ("]C1", "0109506000134353")]
        {
            assert_eq!(code(aim, data).expect_err(data).kind(), Kind::Input, "{aim}{data}");
        }
    }

    #[test]
    fn text_is_utf8_or_latin1() {
        assert_eq!(Scan::plain("Müsli", at()).text, "Müsli");
        assert_eq!(Scan::plain(b"M\xfcsli", at()).text, "Müsli");
    }

    #[test]
    fn survives_json() {
        let scan = Scan::synthesised(Symbology::Ean13, b"4006381333931", at()).from_device("till-1");
        let json = serde_json::to_string(&scan).expect("prints");
        assert!(json.contains(r#""symbology":"ean-13","aim":{"id":"]E0","source":"synthesised"}"#), "{json}");
        assert_eq!(serde_json::from_str::<Scan>(&json).expect("reads"), scan);
    }
}
