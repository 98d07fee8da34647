//! The event that every scanner and camera yields: what was read, its symbology, the device and the time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Scan {
    /// The data as it came, without AIM identifier and framing.
    pub bytes: Vec<u8>,
    /// The data as text: UTF-8 if valid, else Latin-1.
    pub text: String,
    /// Its symbology.
    pub symbology: Symbology,
    /// The AIM identifier; `None` if neither it nor the symbology is known.
    pub aim: Option<Aim>,
    /// The name of the device.
    pub device: String,
    /// When its last byte arrived, or when its frame was taken.
    pub at: Timestamp,
}

/// An AIM identifier and its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Aim {
    /// The identifier.
    pub id: AimId,
    /// Where it comes from.
    pub source: AimSource,
}

/// Where an AIM identifier comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AimSource {
    /// The scanner or decoder sent it.
    Reported,
    /// Derived from the symbology, with the modifier for plain data.
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

    /// Interprets the code, for a shop whose own labels have these layouts.
    ///
    /// If the symbology is unknown, digits that form a valid article number count as one. The two- or five-digit
    /// add-on of periodicals and books is not part of it, but remains in [`Scan::text`].
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Input`]: an invalid article number, label or GS1 element string, because it was misread or
    /// misprinted; or, without an AIM identifier, digits that could be either of two articles.
    pub fn code(&self, templates: &Templates) -> Result<Code> {
        if let Some(elements) = self.elements()? {
            return Ok(Code::Gs1(elements));
        }
        let Some(gtin) = self.gtin()? else { return Ok(Code::Other) };
        match templates.read(gtin)? {
            Some(label) => Ok(Code::InStore(label)),
            None if gtin.is_restricted() => Ok(Code::Restricted(gtin)),
            None => Ok(Code::Article(gtin)),
        }
    }
}

/// GS1 element strings.
impl Scan {
    /// The element string, if it is one. For an EAN or UPC with a composite component: the article as (01), then the
    /// component.
    fn elements(&self) -> Result<Option<ElementString>> {
        let (linear, component) = match component(&self.bytes) {
            Some((linear, component)) => (linear, Some(component)),
            None => (&self.bytes[..], None),
        };
        let is_ean_upc = self.symbology.is_ean_upc();
        if !(self.is_gs1() || (is_ean_upc && component.is_some())) {
            return Ok(None);
        }
        let text = std::str::from_utf8(linear).unwrap_or_default();
        let alone = || Gtin::parse(text).ok().map(|gtin| format!("01{}", gtin.to_14()));
        let mut whole = match self.symbology {
            Symbology::UpcE => format!("01{}", Gtin::from_upc_e(text)?.to_14()).into_bytes(),
            _ if is_ean_upc => format!("01{}", Gtin::parse(text)?.to_14()).into_bytes(),
            // Some scanners send the article of a DataBar without its (01).
            Symbology::DataBar if text.len() == 14 && !is_known(linear) => {
                alone().map_or_else(|| linear.to_owned(), String::into_bytes)
            }
            _ => linear.to_owned(),
        };
        if let Some(component) = component {
            whole.push(gs1::GS);
            whole.extend(component);
        }
        ElementString::parse(&whole).map(Some)
    }
}

/// Article numbers.
impl Scan {
    /// The article number, if the symbology says that it is one, or if it looks like one.
    fn gtin(&self) -> Result<Option<Gtin>> {
        let text = self.text.as_str();
        let combined = self.aim.is_some_and(|aim| aim.id.to_string() == "]E3");
        let (main, marked) = match without_add_on(text) {
            Some(main) => (main, true),
            None => (text, false),
        };
        let unmarked = |lengths: &[usize]| lengths.contains(&main.len()) && !marked && main.is_ascii();
        let gtin = match self.symbology {
            // ]E3: the add-on is in the same packet (ISO/IEC 15424). Eight digits before it may also be an EAN-8.
            symbology if symbology.is_ean_upc() && combined && !marked => match main.len() {
                15 | 18 if main.is_ascii() => Gtin::parse(&main[..13])?,
                14 | 17 if main.is_ascii() => Gtin::parse(&main[..12])?,
                10 | 13 if main.is_ascii() => either(&main[..8])?,
                _ => {
                    return Err(bad(
                        text,
                        format!(
                            "{} digits; expected the 10, 13, 14, 15, 17 or 18 of an article number with its add-on",
                            main.len()
                        ),
                    ));
                }
            },
            Symbology::Ean8 if unmarked(&[10, 13]) => Gtin::parse(&main[..8])?,
            Symbology::Ean13 | Symbology::UpcA if unmarked(&[15, 18]) => Gtin::parse(&main[..13])?,
            Symbology::Ean13 | Symbology::UpcA if unmarked(&[14, 17]) => Gtin::parse(&main[..12])?,
            Symbology::UpcE if main.len() == 6 && self.aim.is_some_and(|aim| aim.source == AimSource::Reported) => {
                return Err(bad(text, "6 digits: either a UPC-E without its check digit, or a code that was cut off")
                    .hint("set the scanner to send number system and check digit"));
            }
            Symbology::UpcE => Gtin::from_upc_e(main)?,
            symbology if symbology.is_ean_upc() => Gtin::parse(main)?,
            Symbology::Itf if main.len() == 14 => match Gtin::parse(main) {
                Ok(gtin) => gtin,
                Err(_) => return Ok(None),
            },
            Symbology::Unknown => return guess(main, marked),
            _ => return Ok(None),
        };
        Ok(Some(gtin))
    }
}

/// The article number in digits of unknown symbology.
fn guess(text: &str, add_on: bool) -> Result<Option<Gtin>> {
    let ascii = text.is_ascii();
    Ok(match text.len() {
        8 if ascii && text.starts_with(['0', '1']) => match (Gtin::parse(text), Gtin::from_upc_e(text)) {
            (Ok(ean), Ok(upc)) if ean != upc => {
                return Err(bad(text, format!("ambiguous: an EAN-8, or the UPC-E of {upc}"))
                    .hint("switch on the scanner's AIM identifiers, or set `upc-e` in its address"));
            }
            (Ok(gtin), _) | (_, Ok(gtin)) => Some(gtin),
            _ => None,
        },
        14 if ascii && !add_on => match (Gtin::parse(text), Gtin::parse(&text[..12])) {
            (Ok(case), Ok(upc)) => {
                return Err(bad(text, format!("ambiguous: the case {case}, or the UPC-A {upc} with an add-on"))
                    .hint("switch on the scanner's AIM identifiers"));
            }
            (case, _) => case.ok(),
        },
        // Only periodicals and books have add-ons. Other numbers of 15 digits may be an IMEI, say.
        15 | 18 if ascii && !add_on && matches!(&text[..3], "977" | "978" | "979") => Gtin::parse(&text[..13]).ok(),
        _ => Gtin::parse(text).ok(),
    })
}

/// The article of eight digits that may be an EAN-8 or a UPC-E.
fn either(text: &str) -> Result<Gtin> {
    match (Gtin::parse(text), Gtin::from_upc_e(text)) {
        (Ok(ean), Ok(upc)) if ean != upc => Err(bad(text, format!("ambiguous: an EAN-8, or the UPC-E of {upc}"))
            .hint("set the scanner to expand UPC-E to UPC-A")),
        (Ok(gtin), _) | (_, Ok(gtin)) => Ok(gtin),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The text in front of an add-on that is marked by a space, or by its own AIM identifier, ]E1 or ]E2.
fn without_add_on(text: &str) -> Option<&str> {
    let (main, add_on) = text.split_once(' ').or_else(|| text.split_once("]E1")).or_else(|| text.split_once("]E2"))?;
    (matches!(add_on.len(), 2 | 5) && add_on.bytes().all(|b| b.is_ascii_digit())).then_some(main)
}

/// Splits off the two-dimensional component of a composite symbol, which follows its own identifier, ]e and a digit;
/// a `|` may precede that.
fn component(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(3).position(|w| w[..2] == *b"]e" && w[2].is_ascii_digit())?;
    let linear = bytes[..at].strip_suffix(b"|").unwrap_or(&bytes[..at]);
    Some((linear, &bytes[at + 3..]))
}

/// Whether it is an element string of AIs in the table only.
fn is_known(bytes: &[u8]) -> bool {
    ElementString::parse(bytes).is_ok_and(|s| s.elements().iter().all(|e| e.known))
}

fn bad(text: &str, why: impl Into<String>) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::new(Kind::Input, why).at(format!("`{shown}`"))
}

/// What a scanned code means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// An article number.
    Article(Gtin),
    /// A label of the shop or its scale that matches a template.
    InStore(InStore),
    /// A restricted circulation number that matches no template.
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
    fn an_invalid_article_number_is_an_error() {
        for (aim, data) in
            [("]E0", "4006381333932"), ("]E4", "96385075"), ("]E0", "é"), ("]E0", ""), ("]C1", "0109506000134353")]
        {
            assert_eq!(code(aim, data).expect_err(data).kind(), Kind::Input, "{aim}{data}");
        }
    }

    /// Numbers of a periodical (ISSN 1473-968X), a UPC-A and an EAN-8 with add-ons, as ISO/IEC 15424 and makers'
    /// guides let scanners send them: in one packet, behind a space, or with an identifier of its own.
    #[test]
    fn an_add_on_never_makes_another_article() {
        let article = |digits: &str| Code::Article(digits.parse().expect(digits));
        for (aim, data, expected) in [
            ("]E3", "977147396801202", "9771473968012"),
            ("]E3", "977147396801212345", "9771473968012"),
            ("]E3", "03600029145212", "036000291452"),
            ("]E3", "03600029145212345", "036000291452"),
            ("]E3", "9638507412", "96385074"),
            ("]E3", "9638507412345", "96385074"),
            ("]E4", "9638507412345", "96385074"),
            ("]E0", "9771473968012]E112", "9771473968012"),
            ("]E0", "0036000291452]E212345", "036000291452"),
            ("]E4", "96385074]E112", "96385074"),
            ("]E0", "9771473968012 12", "9771473968012"),
            ("", "9771473968012 12345", "9771473968012"),
            ("", "977147396801202", "9771473968012"),
        ] {
            assert_eq!(code(aim, data).expect(data), article(expected), "{aim}{data}");
        }
        // Every add-on of two digits, with an identifier and without.
        for n in 0..100 {
            let data = format!("036000291452{n:02}");
            assert_eq!(code("]E3", &data).expect("with ]E3"), article("036000291452"), "{data}");
            match code("", &data) {
                Ok(Code::Other) | Err(_) => {}
                Ok(other) => panic!("{data} became {other:?}"),
            }
        }
        // An IMEI is not a periodical.
        assert_eq!(code("", "490154203237518").expect("digits"), Code::Other);
        assert!(code("]E3", "4006381333931").is_err(), "]E3 promises an add-on");
    }

    #[test]
    fn eight_digits_are_an_article_only_if_one_reading_fits() {
        // UPC-E 01234565 is 012345000065; as an EAN-8 its check digit fits as well.
        for ambiguous in ["01234565", "03059999"] {
            let error = code("", ambiguous).expect_err(ambiguous);
            assert!(error.to_string().contains("UPC-E"), "{error}");
        }
        let article = |digits: &str| Code::Article(digits.parse().expect(digits));
        assert_eq!(code("", "06543217").expect("UPC-E only"), article("065100004327"));
        assert_eq!(code("", "96385074").expect("EAN-8"), article("96385074"));
        assert_eq!(code("]E0", "01234565").expect("]E0 rules out EAN-8"), article("012345000065"));
        assert_eq!(code("]E0", "6543217").expect("7 digits"), article("065100004327"));
        // An EAN-13 of which six digits came.
        assert_eq!(code("]E0", "400638").expect_err("cut off").kind(), Kind::Input);
    }

    #[test]
    fn composite_symbols_keep_their_article() {
        for (aim, data, printed) in [
            ("]E0", "2112345678900|]e099123", "(01)02112345678900(99)123"),
            ("]E4", "96385074]e010ABC", "(01)00000096385074(10)ABC"),
            ("]e0", "0109506000134352|]e010ABC", "(01)09506000134352(10)ABC"),
            ("]e0", "09506000134352", "(01)09506000134352"),
        ] {
            let Code::Gs1(elements) = code(aim, data).expect(data) else { panic!("{aim}{data}") };
            assert_eq!(elements.to_string(), printed);
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
