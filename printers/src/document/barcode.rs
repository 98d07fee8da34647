//! One-dimensional barcodes: which characters each symbology holds, and how wide they come out.

use std::fmt;

use serde::{Deserialize, Serialize};
use tresen_hal::barcode::{self, check_digit};
use tresen_hal::{Dots, Error, Kind, Result};

use super::Align;
use crate::{gs1, symbols};

/// Dots, unless told otherwise.
const USUAL_HEIGHT: u8 = 80;
const USUAL_MODULE: u8 = 2;

/// A kind of barcode that printers print; [`tresen_hal::barcode::Symbology`] has those that scanners read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PrintedSymbology"))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Symbology {
    /// 13 digits, the last one a check digit.
    #[serde(rename = "ean-13")]
    Ean13,
    /// 8 digits, the last one a check digit.
    #[serde(rename = "ean-8")]
    Ean8,
    /// 12 digits, the last one a check digit.
    UpcA,
    /// Digits, capitals and `-. $/+%`.
    #[serde(rename = "code-39")]
    Code39,
    /// ASCII, in the code sets A, B and C that make it shortest.
    #[serde(rename = "code-128")]
    Code128,
    /// GS1 element strings in Code 128: `(01)09501101530003(10)AB-123`.
    #[serde(rename = "gs1-128")]
    Gs1128,
    /// An even number of digits.
    Itf,
}

impl From<Symbology> for barcode::Symbology {
    fn from(symbology: Symbology) -> Self {
        match symbology {
            Symbology::Ean13 => Self::Ean13,
            Symbology::Ean8 => Self::Ean8,
            Symbology::UpcA => Self::UpcA,
            Symbology::Code39 => Self::Code39,
            Symbology::Code128 | Symbology::Gs1128 => Self::Code128,
            Symbology::Itf => Self::Itf,
        }
    }
}

impl fmt::Display for Symbology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gs1128 => f.write_str("GS1-128"),
            other => barcode::Symbology::from(*other).fmt(f),
        }
    }
}

/// Where the characters of a barcode are printed for people to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Hri {
    /// Nowhere.
    None,
    /// Above the bars.
    Above,
    /// Below the bars.
    #[default]
    Below,
    /// Above and below.
    Both,
}

/// A barcode whose data are known to be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Barcode {
    symbology: Symbology,
    data: String,
    height: u8,
    module: u8,
    hri: Hri,
    align: Align,
}

impl Barcode {
    /// An EAN-13 of 12 digits, to which the check digit is added, or of 13, whose last is checked.
    ///
    /// # Errors
    /// [`Kind::Input`]: not that many digits, or a wrong check digit. The other symbologies alike.
    pub fn ean13(digits: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::Ean13, digits)
    }

    /// An EAN-8 of 7 or 8 digits.
    ///
    /// # Errors
    /// As for [`Self::ean13`].
    pub fn ean8(digits: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::Ean8, digits)
    }

    /// A UPC-A of 11 or 12 digits.
    ///
    /// # Errors
    /// As for [`Self::ean13`].
    pub fn upc_a(digits: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::UpcA, digits)
    }

    /// A Code 39; the printer adds the start and stop characters.
    ///
    /// # Errors
    /// [`Kind::Input`]: a character that Code 39 does not have, none, or more than 80.
    pub fn code39(text: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::Code39, text)
    }

    /// A Code 128 of ASCII. Pairs of digits are packed, so that it is as short as it can be.
    ///
    /// # Errors
    /// [`Kind::Input`]: another character, none, more than 80, or the control character DLE, which
    /// starts printer commands.
    pub fn code128(text: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::Code128, text)
    }

    /// A GS1-128: application identifiers in brackets, each with its value, such as
    /// `(01)09501101530003(10)AB-123`. The brackets are not part of the barcode.
    ///
    /// # Errors
    /// [`Kind::Input`]: not in that form, a value of the wrong length, a wrong check digit, or more than
    /// 80 characters.
    pub fn gs1_128(elements: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::Gs1128, elements)
    }

    /// An interleaved 2 of 5.
    ///
    /// # Errors
    /// [`Kind::Input`]: not an even number of digits, none, or more than 80.
    pub fn itf(digits: impl Into<String>) -> Result<Self> {
        Self::new(Symbology::Itf, digits)
    }

    /// A barcode of any symbology: 80 dots high, modules of 2 dots, text below, centred.
    ///
    /// # Errors
    /// [`Kind::Input`]: the symbology does not hold `data`.
    pub fn new(symbology: Symbology, data: impl Into<String>) -> Result<Self> {
        let data = checked(symbology, data.into())?;
        let (hri, align) = (Hri::default(), super::centred());
        Ok(Self { symbology, data, height: USUAL_HEIGHT, module: USUAL_MODULE, hri, align })
    }

    /// This high, in dots, at least 1.
    #[must_use]
    pub fn height(mut self, dots: u8) -> Self {
        self.height = dots.max(1);
        self
    }

    /// With its thinnest bar this wide, 2 to 6 dots; less is used where the paper is too narrow.
    #[must_use]
    pub fn module(mut self, dots: u8) -> Self {
        self.module = dots.clamp(2, 6);
        self
    }

    /// With its text elsewhere.
    #[must_use]
    pub fn hri(mut self, hri: Hri) -> Self {
        self.hri = hri;
        self
    }

    /// At another place on the line.
    #[must_use]
    pub fn align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// What kind it is.
    pub fn symbology(&self) -> Symbology {
        self.symbology
    }

    /// Its characters, with the check digit where there is one.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Where its text is printed.
    pub fn text_position(&self) -> Hri {
        self.hri
    }

    /// Where on the line it stands.
    pub fn alignment(&self) -> Align {
        self.align
    }

    /// How high it is, in dots.
    pub fn bar_height(&self) -> u8 {
        self.height
    }

    /// How wide it is with modules of `module` dots, without quiet zones.
    pub fn width(&self, module: u8) -> Dots {
        Dots(symbols::elements(self.symbology, self.data.as_bytes(), u32::from(module)).iter().sum())
    }

    /// For Code 128, its characters with the code sets they are printed in, as `GS k 73` takes them.
    pub(crate) fn code128_data(&self) -> Option<Vec<u8>> {
        match self.symbology {
            Symbology::Code128 => symbols::code128_data(self.data.as_bytes()),
            Symbology::Gs1128 => symbols::code128_data(&gs1::elements(self.data.as_bytes())),
            _ => None,
        }
    }

    /// The module width to print with on paper of `width`; `None` if it fits with none.
    pub(crate) fn module_for(&self, width: Dots) -> Option<u8> {
        let n = self.data.len() as u32;
        // A cheap bound first: most codes fit, and then nothing needs drawing.
        let bound = match self.symbology {
            Symbology::Ean13 | Symbology::UpcA => 95,
            Symbology::Ean8 => 67,
            Symbology::Code128 | Symbology::Gs1128 => 11 * (2 * n + 3) + 2,
            Symbology::Code39 => 17 * (n + 2),
            Symbology::Itf => 9 * n + 9,
        };
        (2..=self.module).rev().find(|&m| bound * u32::from(m) <= width.0 || self.width(m) <= width)
    }
}

fn checked(symbology: Symbology, mut data: String) -> Result<String> {
    let bad = |what: String| Err(Error::new(Kind::Input, what));
    let digits = match symbology {
        Symbology::Ean13 => 13,
        Symbology::UpcA => 12,
        Symbology::Ean8 => 8,
        _ => 0,
    };
    let numeric = !data.is_empty() && data.bytes().all(|b| b.is_ascii_digit());
    if digits > 0 {
        if !numeric || (data.len() != digits && data.len() != digits - 1) {
            return bad(format!("{symbology} needs {} or {digits} digits, not `{data}`", digits - 1));
        }
        let check = char::from(b'0' + check_digit(&data.as_bytes()[..digits - 1]));
        match data.as_bytes().get(digits - 1) {
            None => data.push(check),
            Some(&last) if last as char != check => {
                return bad(format!("{symbology} `{data}` has a wrong check digit; it should end in {check}"));
            }
            Some(_) => {}
        }
        return Ok(data);
    }
    if data.is_empty() || data.len() > 80 {
        return bad(format!("{symbology} takes 1 to 80 characters, not {}", data.len()));
    }
    let odd = match symbology {
        Symbology::Code39 => data.chars().find(|&c| !c.is_ascii() || symbols::code39(c as u8).is_none()),
        Symbology::Code128 => data.chars().find(|c| !c.is_ascii() || *c == '\u{10}'),
        Symbology::Gs1128 => {
            gs1::check(&data)?;
            None
        }
        _ => data.chars().find(|c| !c.is_ascii_digit()),
    };
    if let Some(c) = odd {
        return bad(format!("{symbology} has no {c:?}"));
    }
    if symbology == Symbology::Itf && !data.len().is_multiple_of(2) {
        return bad(format!(
            "{symbology} needs an even number of digits, `{data}` has {}; put a 0 before it",
            data.len()
        ));
    }
    Ok(data)
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Raw {
    /// Which code.
    symbology: Symbology,
    /// What it says; a check digit may be left out.
    data: String,
    /// The height of the bars in dots; default 80.
    #[serde(default = "usual_height")]
    height: u8,
    /// The width of the narrowest bar in dots.
    #[serde(default = "usual_module")]
    module: u8,
    /// Where the data is printed as text.
    #[serde(default)]
    hri: Hri,
    /// Alignment; default in the centre.
    #[serde(default = "super::centred")]
    align: Align,
}

fn usual_height() -> u8 {
    USUAL_HEIGHT
}

fn usual_module() -> u8 {
    USUAL_MODULE
}

impl TryFrom<Raw> for Barcode {
    type Error = Error;
    fn try_from(raw: Raw) -> Result<Self> {
        let barcode = Self::new(raw.symbology, raw.data)?;
        Ok(barcode.height(raw.height).module(raw.module).hri(raw.hri).align(raw.align))
    }
}

impl From<Barcode> for Raw {
    fn from(b: Barcode) -> Self {
        Self { symbology: b.symbology, data: b.data, height: b.height, module: b.module, hri: b.hri, align: b.align }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GS1 General Specifications: 4006381333931 and 73513537 are the usual examples; 036000291452 UPC-A.
    #[test]
    fn adds_and_checks_check_digits() {
        assert_eq!(Barcode::ean13("400638133393").expect("12").data(), "4006381333931");
        assert_eq!(Barcode::ean8("7351353").expect("7").data(), "73513537");
        assert_eq!(Barcode::upc_a("03600029145").expect("11").data(), "036000291452");
        assert!(Barcode::ean13("4006381333931").is_ok());
        for bad in ["4006381333932", "40063813339", "40063813339x", ""] {
            assert_eq!(Barcode::ean13(bad).expect_err(bad).kind(), Kind::Input);
        }
        let error = Barcode::ean13("123").expect_err("too few");
        assert!(error.to_string().contains("EAN-13 needs 12 or 13 digits, not `123`"), "{error}");
    }

    #[test]
    fn refuses_what_a_symbology_does_not_hold() {
        assert!(Barcode::code39("AB-12.$/+% ").is_ok());
        assert!(Barcode::code39("ab").expect_err("lower case").to_string().contains("'a'"));
        assert!(Barcode::code39("A*").is_err());
        assert!(Barcode::code128("Größe").expect_err("not ASCII").to_string().contains("'ö'"));
        assert!(Barcode::code128("a\u{1d}").is_ok(), "set A");
        assert!(Barcode::code128("a\u{10}").expect_err("DLE").to_string().contains("'\\u{10}'"));
        assert!(Barcode::itf("123").expect_err("odd").to_string().contains("put a 0"));
        assert!(Barcode::itf("1234").is_ok());
        assert!(Barcode::code128("x".repeat(81)).is_err());
    }

    /// EAN-13 is 95 modules wide, EAN-8 67 (GS1 General Specifications 5.2.1).
    #[test]
    fn knows_how_wide_it_is() {
        assert_eq!(Barcode::ean13("400638133393").expect("12").width(2), Dots(190));
        assert_eq!(Barcode::ean8("7351353").expect("7").width(3), Dots(201));
        // Two digits in one character: start, 12 pairs, check character; the stop has 13 modules.
        assert_eq!(Barcode::code128("123456789012345678901234").expect("fits").width(2), Dots(2 * (11 * 14 + 13)));
        let long = Barcode::code128("x".repeat(20)).expect("fits").module(4);
        assert_eq!(long.width(1), Dots(11 * 22 + 13));
        assert_eq!(long.module_for(Dots(576)), Some(2));
        assert_eq!(long.module_for(Dots(384)), None);
    }
}
