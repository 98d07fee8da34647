//! GS1 element strings: application identifiers (AI) and their data, as GS1-128, GS1 DataMatrix, GS1 QR
//! and DataBar carry them (GS1 General Specifications 3, 5.10 and 7.8).
//!
//! A field whose AI begins with one of the predefined-length prefixes of figure 7.8.5-2 ends by its length;
//! every other ends at a separator, GS (0x1D), or at the end. A separator after a predefined-length field
//! is superfluous, but accepted. Unknown AIs are kept as they are.
//!
//! The table of AIs and what their data may be is in [`tresen_hal::barcode::gs1`]. Left out: Digital Link.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
pub use tresen_hal::barcode::gs1::GS;
use tresen_hal::barcode::gs1::{ApplicationIdentifier, ai_digits, date, predefined_length};
use tresen_hal::{Error, Kind, Result};

use crate::Gtin;

/// A parsed element string.
///
/// ```
/// use tresen_scanners::gs1::ElementString;
///
/// let code = ElementString::parse(b"010950600013435217261231" .as_slice())?;
/// assert_eq!(code.gtin()?.unwrap().to_string(), "9506000134352");
/// assert_eq!(code.date("17", 2026)?.unwrap().to_string(), "2026-12-31");
/// assert_eq!(code.to_string(), "(01)09506000134352(17)261231");
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ElementString {
    elements: Vec<Element>,
}

/// One application identifier with its data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Element {
    /// The identifier, 2 to 4 digits; if the table does not have it, as many as its prefix implies.
    pub ai: String,
    /// Its data.
    pub value: String,
    /// Whether the table has it. If not, the value is unchecked.
    pub known: bool,
}

impl Element {
    /// The data title: `BATCH/LOT`.
    pub fn title(&self) -> Option<&'static str> {
        ApplicationIdentifier::of(&self.ai).map(ApplicationIdentifier::title)
    }
}

impl ElementString {
    /// Parses the data of a GS1 symbol, without its AIM identifier. A leading FNC1 that a scanner sent as
    /// GS is skipped.
    ///
    /// # Errors
    /// [`Kind::Input`] names the identifier, its position and what is wrong with its data: length,
    /// character, check digit, date.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut at = usize::from(data.first() == Some(&GS));
        let mut elements = Vec::new();
        while at < data.len() {
            let (element, next) = element(data, at)?;
            elements.push(element);
            at = next;
        }
        if elements.is_empty() {
            return Err(Error::new(Kind::Input, "the GS1 element string is empty"));
        }
        Ok(Self { elements })
    }

    /// All elements, in the order of the symbol.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The data of an application identifier, such as `10`.
    pub fn value(&self, ai: &str) -> Option<&str> {
        self.elements.iter().find(|e| e.ai == ai).map(|e| e.value.as_str())
    }

    /// The GTIN of the article, (01), or of the contents of a case, (02).
    ///
    /// # Errors
    /// [`Kind::Input`]: not a GTIN. Only possible in a deserialised value; parsing checks it.
    pub fn gtin(&self) -> Result<Option<Gtin>> {
        self.value("01").or(self.value("02")).map(Gtin::parse).transpose()
    }

    /// A date field such as (15) or (17). Day 00 means the last day of the month. The century is the one
    /// that puts the year at most 50 years ahead of `year`, the current one, and at most 49 behind it.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such date in that century, such as 29 February.
    pub fn date(&self, ai: &str, year: i16) -> Result<Option<Date>> {
        self.value(ai).map(|value| date(value, year)).transpose()
    }

    /// The net weight in grams, (310n), rounded to the nearest gram.
    pub fn net_weight_grams(&self) -> Option<u64> {
        let element = self.elements.iter().find(|e| e.known && e.ai.starts_with("310"))?;
        let n = u32::from(element.ai.as_bytes().get(3)?.wrapping_sub(b'0'));
        let value: u64 = element.value.parse().ok()?;
        let scale = 10_u64.checked_pow(n)?;
        Some((value * 1000 + scale / 2) / scale)
    }

    /// The price, (392n) or (393n): the number, how many of its digits are decimals, and for (393n) the
    /// ISO 4217 number of the currency.
    pub fn price(&self) -> Option<Price> {
        let element = self.elements.iter().find(|e| e.known && (e.ai.starts_with("392") || e.ai.starts_with("393")))?;
        let decimals = element.ai.as_bytes().get(3)?.wrapping_sub(b'0');
        let (currency, number) =
            if element.ai.starts_with("393") { element.value.split_at_checked(3)? } else { ("", &*element.value) };
        Some(Price { number: number.parse().ok()?, decimals, currency: currency.parse().ok() })
    }
}

impl fmt::Display for ElementString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.elements.iter().try_for_each(|e| write!(f, "({}){}", e.ai, e.value))
    }
}

/// A price as an element string writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Price {
    /// All digits.
    pub number: u64,
    /// How many of them are decimals.
    pub decimals: u8,
    /// ISO 4217 number; `None` means the shop's own currency.
    pub currency: Option<u16>,
}

/// The field that begins at `at`, and where the next one begins.
fn element(data: &[u8], at: usize) -> Result<(Element, usize)> {
    let rest = &data[at..];
    let bad = |why: String| Error::new(Kind::Input, format!("{why}, at position {}", at + 1)).at("GS1 element string");
    let known = ApplicationIdentifier::at_start_of(rest);
    let ai_len = ai_digits(rest).ok_or_else(|| bad("expected an application identifier".into()))?;
    if rest.len() < ai_len || !rest[..ai_len].iter().all(u8::is_ascii_digit) {
        return Err(bad("expected an application identifier".into()));
    }
    let ai = String::from_utf8_lossy(&rest[..ai_len]).into_owned();
    let rest = &rest[ai_len..];
    let until_gs = rest.iter().position(|b| *b == GS).unwrap_or(rest.len());
    let len = match predefined_length(ai.as_bytes()) {
        Some(len) if until_gs < len - ai_len => {
            return Err(bad(format!("({ai}) has {until_gs} characters instead of {}", len - ai_len)));
        }
        Some(len) => len - ai_len,
        None => until_gs,
    };
    let field = &rest[..len];
    if let Some(b) = field.iter().find(|b| !(0x21..=0x7e).contains(*b)) {
        return Err(bad(format!("({ai}) contains the byte {b:02x}")));
    }
    let value = String::from_utf8_lossy(field).into_owned();
    if value.is_empty() {
        return Err(bad(format!("({ai}) is empty")));
    }
    if let Some(known) = known {
        known.check(&value).map_err(|why| bad(format!("({ai}) `{value}`: {why}")))?;
    }
    let next = at + ai_len + len;
    Ok((Element { ai, value, known: known.is_some() }, next + usize::from(data.get(next) == Some(&GS))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &str) -> String {
        ElementString::parse(data.as_bytes()).map_or_else(|e| e.to_string(), |s| s.to_string())
    }

    /// Cases of the GS1 linters `iso4217`, `iso3166`, `hh`, `mi` and `ss`.
    #[test]
    fn currencies_countries_and_times_are_checked() {
        for (data, why) in [
            ("3932000100", "no currency has the number 000"),
            ("422999", "no country has the number 999"),
            ("422000", "no country has the number 000"),
            ("800820122599", "99 is not an hour"),
            ("80082012252360", "60 is not a minute"),
            ("8008201225230060", "60 is not a minute or second"),
        ] {
            assert!(shown(data).contains(why), "{data}: {}", shown(data));
        }
        for good in ["3932978100", "422276", "8008201225235959"] {
            ElementString::parse(good.as_bytes()).expect(good);
        }
    }

    /// Composed by the rules of GS1 General Specifications 7.8, with numbers from GS1 samples.
    #[test]
    fn parses_element_strings() {
        for (data, printed) in [
            ("0109506000134352", "(01)09506000134352"),
            ("\x1d0109506000134352", "(01)09506000134352"),
            ("01095060001343521726123110ABC123\x1d21456", "(01)09506000134352(17)261231(10)ABC123(21)456"),
            ("0109506000134352\x1d10ABC", "(01)09506000134352(10)ABC"),
            ("10ABC123\x1d", "(10)ABC123"),
            ("02095060001343523724\x1d10AB", "(02)09506000134352(37)24(10)AB"),
            ("0195060001343528310300185015260500", "(01)95060001343528(3103)001850(15)260500"),
            ("4149506000134352254AB", "(414)9506000134352(254)AB"),
            ("3922195\x1d39329781250", "(3922)195(3932)9781250"),
            ("8005000365", "(8005)000365"),
            ("8200http://example.com", "(8200)http://example.com"),
            ("42045458\x1d400AB-1", "(420)45458(400)AB-1"),
            ("00006141411234567890", "(00)006141411234567890"),
        ] {
            assert_eq!(shown(data), printed);
        }
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let code = ElementString::parse(b"7023ABC\x1d19260101" as &[u8]).expect("kept");
        assert_eq!(code.to_string(), "(7023)ABC(19)260101");
        assert!(code.elements().iter().all(|e| !e.known && e.title().is_none()));
        let code = ElementString::parse(b"3409123456\x1d99own" as &[u8]).expect("kept");
        assert_eq!(code.to_string(), "(3409)123456(99)own");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (data, why) in [
            ("0109506000134353", "should be 2, at position 1"),
            ("01095060001343", "12 characters instead of 14"),
            ("0109506000134352172613", "4 characters instead of 6, at position 17"),
            ("17261301", "not a date"),
            ("17260230", "not a date"),
            ("10", "(10) is empty"),
            ("10AB C", "byte 20"),
            ("10123456789012345678901", "too many"),
            ("37AB", "'A' is not allowed"),
            ("393297", "too few"),
            ("AB", "expected an application identifier"),
            ("10AB\x1d\x1d21C", "expected an application identifier, at position 6"),
            ("", "empty"),
            ("80051234567", "too many"),
            ("39", "expected an application identifier"),
        ] {
            let text = shown(data);
            assert!(text.contains(why), "{data:?}: {text}");
        }
    }

    #[test]
    fn reads_dates_weights_and_prices() {
        let code = ElementString::parse(b"150002003103001850393297800123417490229" as &[u8]);
        assert!(code.is_ok(), "(393n) takes what is left: {code:?}");
        let code = ElementString::parse(b"15000200310300185011260100137612313932978001234" as &[u8]).expect("good");
        assert_eq!(code.date("15", 2026).expect("a date").map(|d| d.to_string()).as_deref(), Some("2000-02-29"));
        assert_eq!(code.date("11", 2026).expect("a date").map(|d| d.to_string()).as_deref(), Some("2026-01-31"));
        assert_eq!(code.date("13", 2026).expect("a date").map(|d| d.to_string()).as_deref(), Some("2076-12-31"));
        assert_eq!(code.date("17", 2026).expect("none"), None);
        assert_eq!(date("770101", 2026).expect("a date").year(), 1977);
        assert_eq!(code.net_weight_grams(), Some(1850));
        assert_eq!(code.price(), Some(Price { number: 1234, decimals: 2, currency: Some(978) }));
        let code = ElementString::parse(b"3105123456\x1d392250" as &[u8]).expect("good");
        assert_eq!(code.net_weight_grams(), Some(1235));
        assert_eq!(code.price(), Some(Price { number: 50, decimals: 2, currency: None }));
        assert_eq!(code.elements()[0].title(), Some("NET WEIGHT (kg)"));
    }

    proptest::proptest! {
        #[test]
        fn no_data_panics(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = ElementString::parse(&data).map(|s| (s.price(), s.net_weight_grams(), s.date("15", 2026).is_ok()));
        }

        #[test]
        fn no_digits_panic(data in "[0-9\x1dA]{0,40}") {
            if let Ok(s) = ElementString::parse(data.as_bytes()) {
                let _ = (s.price(), s.net_weight_grams(), s.date("15", 2026).is_ok(), s.gtin().is_ok());
                let bytes: usize = s.elements().iter().map(|e| e.ai.len() + e.value.len()).sum();
                proptest::prop_assert!(bytes <= data.len());
            }
        }
    }
}
