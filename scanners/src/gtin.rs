//! Article numbers: GTIN-8, -12, -13 and -14 with their check digit, and UPC-E, the short form of some
//! UPC-A (GS1 General Specifications 7.9 and 5.2.2.4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tresen_hal::barcode::{check_digit, upc_e};
use tresen_hal::{Error, Kind, Result};

/// A valid article number: 8, 12, 13 or 14 digits with the right check digit.
///
/// UPC-A `036000291452` and EAN-13 `0036000291452` are the same article and compare equal. It prints as 13
/// digits, the form that article databases keep, unless it is a GTIN-8 or needs 14.
///
/// ```
/// use tresen_scanners::Gtin;
///
/// let upc: Gtin = "036000291452".parse()?;
/// assert_eq!(upc.to_string(), "0036000291452");
/// assert_eq!(upc, "0036000291452".parse()?);
/// let error = "4006381333932".parse::<Gtin>().unwrap_err();
/// assert_eq!(error.to_string(), "`4006381333932`: the check digit is 2, but should be 1; scan or type it again");
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gtin(u64);

/// How many digits an article number needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GtinKind {
    /// 8 digits, as in EAN-8.
    Gtin8,
    /// 12 digits, as in UPC-A.
    Gtin12,
    /// 13 digits, as in EAN-13.
    Gtin13,
    /// 14 digits: a case or other grouping of articles.
    Gtin14,
}

impl Gtin {
    /// Parses 8, 12, 13 or 14 digits and checks the last one.
    ///
    /// # Errors
    /// [`Kind::Input`] says what is wrong: a character, the number of digits, the check digit.
    pub fn parse(digits: &str) -> Result<Self> {
        all_digits(digits)?;
        if !matches!(digits.len(), 8 | 12..=14) {
            return Err(bad(digits, format!("{} digits; expected 8, 12, 13 or 14", digits.len())));
        }
        let (body, last) = digits.split_at(digits.len() - 1);
        let (is, should) = (last.as_bytes()[0] - b'0', check_digit(body.as_bytes()));
        if is != should {
            return Err(
                bad(digits, format!("the check digit is {is}, but should be {should}")).hint("scan or type it again")
            );
        }
        Ok(Self(digits.bytes().fold(0, |n, b| n * 10 + u64::from(b - b'0'))))
    }

    /// Expands a UPC-E number of 6 digits (number system 0, no check digit), 7 (six digits and the check digit, or
    /// the number system and six digits) or 8 (number system, six digits, check digit) to its UPC-A.
    ///
    /// # Errors
    /// [`Kind::Input`]: other lengths, a number system other than 0 and 1, a wrong check digit, or 7 digits that
    /// are valid both ways.
    pub fn from_upc_e(digits: &str) -> Result<Self> {
        all_digits(digits)?;
        let (system, six, check) = match digits.len() {
            6 => ('0', digits, None),
            7 => return Self::from_upc_e_7(digits),
            8 => (char::from(digits.as_bytes()[0]), &digits[1..7], Some(&digits[7..])),
            n => return Err(bad(digits, format!("{n} digits; expected the 6 to 8 of a UPC-E"))),
        };
        let Some(upc) = upc_e::expand(system, six) else {
            return Err(bad(digits, format!("number system {system}; expected 0 or 1, as a UPC-E has")));
        };
        match check.filter(|check| !upc.ends_with(check)) {
            Some(is) => Err(bad(digits, format!("the check digit is {is}, but should be {}", &upc[11..]))
                .hint("scan or type it again")),
            None => Self::parse(&upc),
        }
    }

    fn from_upc_e_7(digits: &str) -> Result<Self> {
        let with_check = Self::from_upc_e(&format!("0{digits}"));
        let system = char::from(digits.as_bytes()[0]);
        let Some(with_system) = upc_e::expand(system, &digits[1..]) else { return with_check };
        let with_system = Self::parse(&with_system)?;
        match with_check {
            Ok(other) if other != with_system => {
                Err(bad(digits, "ambiguous: a UPC-E of 7 digits with or without its check digit".into())
                    .hint("set the scanner to send number system and check digit, 8 digits in all"))
            }
            _ => Ok(with_system),
        }
    }

    /// Its short form as the eight digits of a UPC-E, if it has one.
    pub fn to_upc_e(self) -> Option<String> {
        (self.kind() == GtinKind::Gtin12).then(|| upc_e::shorten(&format!("{:012}", self.0)))?
    }

    /// How many digits it needs.
    pub fn kind(self) -> GtinKind {
        match self.0 {
            0..=99_999_999 => GtinKind::Gtin8,
            100_000_000..=999_999_999_999 => GtinKind::Gtin12,
            1_000_000_000_000..=9_999_999_999_999 => GtinKind::Gtin13,
            _ => GtinKind::Gtin14,
        }
    }

    /// All 14 digits with leading zeros, as GS1 element strings and databases of cases have it.
    pub fn to_14(self) -> String {
        format!("{:014}", self.0)
    }

    /// Whether it is a restricted circulation number, which has a meaning only within one company or region, such as
    /// a price or weight (prefixes 02, 04, 20 to 29; GTIN-8 beginning with 0 or 2).
    pub fn is_restricted(self) -> bool {
        match self.kind() {
            GtinKind::Gtin8 => matches!(self.0 / 10_000_000, 0 | 2),
            GtinKind::Gtin14 => false,
            _ => matches!(self.0 / 100_000_000_000, 2 | 4 | 20..=29),
        }
    }
}

impl FromStr for Gtin {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            GtinKind::Gtin8 => write!(f, "{:08}", self.0),
            GtinKind::Gtin14 => write!(f, "{}", self.0),
            _ => write!(f, "{:013}", self.0),
        }
    }
}

impl fmt::Debug for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Gtin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Gtin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn all_digits(text: &str) -> Result<()> {
    match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        None if text.is_empty() => Err(bad(text, "it is empty".into())),
        None => Ok(()),
        Some((at, c)) => Err(bad(text, format!("{c:?} at position {} is not a digit", at + 1))),
    }
}

fn bad(text: &str, why: String) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::new(Kind::Input, why).at(format!("`{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_published_numbers() {
        for (digits, printed, kind) in [
            ("96385074", "96385074", GtinKind::Gtin8),
            ("036000291452", "0036000291452", GtinKind::Gtin12),
            ("4006381333931", "4006381333931", GtinKind::Gtin13),
            ("9506000134352", "9506000134352", GtinKind::Gtin13),
            ("10614141543219", "10614141543219", GtinKind::Gtin14),
            ("00614141999996", "0614141999996", GtinKind::Gtin12),
        ] {
            let gtin = Gtin::parse(digits).expect(digits);
            assert_eq!((gtin.to_string().as_str(), gtin.kind()), (printed, kind));
            assert_eq!(gtin.to_14().parse::<Gtin>().expect("the long form"), gtin);
        }
    }

    #[test]
    fn refuses_with_the_reason() {
        for (digits, why) in [
            ("4006381333932", "should be 1"),
            ("400638133393", "should be 0"),
            ("40063813339", "11 digits"),
            ("", "empty"),
            ("400638133393x", "'x' at position 13"),
            ("４006381333931", "position 1"),
        ] {
            let error = Gtin::parse(digits).expect_err(digits);
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(Gtin::parse(&"1".repeat(1 << 20)).expect_err("long").to_string().len() < 200);
    }

    /// Labels of zxing-cpp's UPC-E samples; the first pair is the usual textbook one, the last two
    /// are derived from the rule.
    #[test]
    fn expands_and_shortens_upc_e() {
        for (short, long) in [
            ("06543217", "065100004327"),
            ("01234565", "012345000065"),
            ("01234531", "012300000451"),
            ("05096893", "050968000093"),
            ("04963406", "049000006346"),
            ("04124498", "041244000098"),
            ("01264904", "012000006494"),
            ("04965802", "049000006582"),
            ("01234514", "012100003454"),
            ("01234543", "012340000053"),
        ] {
            let gtin: Gtin = long.parse().expect(long);
            assert_eq!(Gtin::from_upc_e(short).expect(short), gtin, "{short}");
            assert_eq!(Gtin::from_upc_e(&short[1..7]).expect(short), gtin, "{short}");
            assert_eq!(gtin.to_upc_e().as_deref(), Some(short));
        }
        assert_eq!(Gtin::parse("036000291452").expect("good").to_upc_e(), None);
        for (seven, long) in [("6543217", "065100004327"), ("0654321", "065100004327")] {
            assert_eq!(Gtin::from_upc_e(seven).expect(seven), long.parse().expect(long));
        }
        for (digits, why) in [
            ("65432", "5 digits"),
            ("6543218", "should be 7"),
            ("26543217", "number system 2"),
            ("06543218", "should be 7"),
        ] {
            let error = Gtin::from_upc_e(digits).expect_err(digits);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn restricted_circulation_numbers_are_told_apart() {
        for (body, restricted) in [
            ("281027500502", true),
            ("021234567899", true),
            ("041234567899", true),
            ("400638133393", false),
            ("012345678990", false),
            ("030000000000", false),
            ("2000000", true),
            ("0000012", true),
            ("9638507", false),
        ] {
            let gtin = Gtin::parse(&format!("{body}{}", check_digit(body.as_bytes()))).expect(body);
            assert_eq!(gtin.is_restricted(), restricted, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn upc_e_survives_the_round_trip(system in 0..2u32, six in 0..1_000_000u32) {
            let body = format!("{six:06}");
            let mut upc = Gtin::from_upc_e(&body).expect("six digits");
            if system == 1 {
                let bare = format!("1{}", &upc.to_14()[3..13]);
                upc = Gtin::parse(&format!("{bare}{}", check_digit(bare.as_bytes()))).expect("a UPC-A");
            }
            if let Some(short) = upc.to_upc_e() {
                proptest::prop_assert_eq!(Gtin::from_upc_e(&short).expect("ours"), upc);
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (Gtin::parse(&text), Gtin::from_upc_e(&text));
        }
    }
}
