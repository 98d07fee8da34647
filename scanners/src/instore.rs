//! Labels that a shop or its scale prints: an EAN with an item number and a weight or price. Layouts differ from
//! country to country, and often from shop to shop, so they are data.
//!
//! A [`Template`] has one character for each digit of the code: a digit stands for itself, a letter for a field.
//!
//! | letter | field |
//! |---|---|
//! | `P` | item number |
//! | `W` | weight in grams |
//! | `A` | amount in the currency's minor unit |
//! | `N` | number of pieces |
//! | `X` | price or weight check digit over the 4 or 5 digits of `W`, `A` or `N` |
//! | `V` | any digit |
//! | `C` | check digit of the EAN, always last |
//!
//! A suffix `*10`, `*100` or `*1000` scales the field: a weight in units of 10 g is `23PPPPPPWWWWC*10`. A layout
//! without `W`, `A` and `N` stands for one piece of the item.
//!
//! Source: GS1 General Specifications 2.1.12 (restricted circulation numbers) and 7.9.2 to 7.9.4 (price
//! or weight check digits).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use crate::Gtin;

/// One layout: 13 characters for an EAN-13, 12 for a UPC-A, 8 for an EAN-8.
///
/// ```
/// use tresen_scanners::instore::{Quantity, Template};
///
/// let template: Template = "28PPPPXWWWWWC".parse()?;
/// let label = template.read("2810275005024".parse()?)?.expect("its prefix is 28");
/// assert_eq!(label.item, "1027");
/// assert_eq!(label.quantity, Quantity::Weight { grams: 502 });
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Template {
    pattern: String,
    item: Range<usize>,
    value: Option<Range<usize>>,
    verifier: Option<usize>,
    /// What the field is multiplied by.
    scale: u32,
}

/// The contents of a shop's own label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InStore {
    /// The shop's item number, with its leading zeros.
    pub item: String,
    /// How much of the item, or at what price.
    pub quantity: Quantity,
}

/// What the variable field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// A weight.
    Weight {
        /// In grams.
        grams: u32,
    },
    /// A price, in the minor unit of the shop's currency: cents.
    Amount {
        /// How many minor units.
        minor: u32,
    },
    /// A number of pieces.
    Pieces {
        /// How many.
        count: u32,
    },
}

impl Template {
    /// Reads `code` by this layout; `None` if its fixed digits differ.
    ///
    /// # Errors
    /// [`Kind::Input`]: the layout matches but the price or weight check digit is wrong. Either the label was
    /// misread, or the scale prints another layout.
    pub fn read(&self, code: Gtin) -> Result<Option<InStore>> {
        let long = code.to_14();
        let digits = &long[14 - self.pattern.len()..];
        let in_front = &long[..14 - self.pattern.len()];
        let fits = in_front.bytes().all(|b| b == b'0')
            && self.pattern.bytes().zip(digits.bytes()).all(|(p, d)| !p.is_ascii_digit() || p == d);
        if !fits {
            return Ok(None);
        }
        let item = digits[self.item.clone()].to_owned();
        let Some(value) = &self.value else {
            return Ok(Some(InStore { item, quantity: Quantity::Pieces { count: 1 } }));
        };
        let field = &digits[value.clone()];
        if let Some(at) = self.verifier {
            let is = digits.as_bytes()[at] - b'0';
            let should = price_check_digit(field).expect("parsing checked that the field has 4 or 5 digits");
            if is != should {
                let why = format!("the check digit of `{field}` is {is}, but should be {should} by template `{self}`");
                return Err(Error::new(Kind::Input, why)
                    .at(format!("`{code}`"))
                    .hint("scan it again; if all labels fail, the scale prints another layout than this template"));
            }
        }
        let number = field.parse::<u32>().ok().and_then(|n| n.checked_mul(self.scale));
        let number = number.ok_or_else(|| {
            Error::new(Kind::Input, format!("`{field}` times {} is too large", self.scale)).at(format!("`{code}`"))
        })?;
        let quantity = match self.pattern.as_bytes()[value.start] {
            b'W' => Quantity::Weight { grams: number },
            b'N' => Quantity::Pieces { count: number },
            _ => Quantity::Amount { minor: number },
        };
        Ok(Some(InStore { item, quantity }))
    }

    /// The fixed digits at its beginning.
    fn prefix(&self) -> &str {
        let end = self.pattern.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(0);
        &self.pattern[..end]
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: String| {
            let shown: String = text.chars().take(40).collect();
            Error::new(Kind::Config, why).at(format!("template `{shown}`"))
        };
        let (text, scale) = match text.split_once('*') {
            None => (text, 1),
            Some((pattern, scale @ ("10" | "100" | "1000"))) => (pattern, scale.parse().expect("a number")),
            Some((_, other)) => return Err(bad(format!("`*{other}`: expected *10, *100 or *1000"))),
        };
        if let Some((at, c)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_digit() && !"PWANXVC".contains(*c)) {
            return Err(bad(format!("unexpected {c:?} at position {}", at + 1))
                .hint("use digits and the letters P, W, A, N, X, V and C, such as 28PPPPXWWWWWC"));
        }
        if !matches!(text.len(), 8 | 12 | 13) {
            return Err(bad(format!("{} characters; expected 13 (EAN-13), 12 (UPC-A) or 8 (EAN-8)", text.len())));
        }
        if !text.as_bytes()[0].is_ascii_digit() {
            return Err(bad("it must begin with a digit, or it would match every article's code".into()));
        }
        if text.find('C') != Some(text.len() - 1) {
            return Err(bad(format!(
                "position {}: its last character, and no other, is the check digit C",
                text.len()
            )));
        }
        let item = run(text, "P").map_err(&bad)?.ok_or_else(|| bad("no item number P".into()))?;
        let value = run(text, "WAN").map_err(&bad)?;
        let verifier = run(text, "X").map_err(&bad)?;
        if scale != 1 && value.is_none() {
            return Err(bad(format!("`*{scale}` needs a field W, A or N to scale")));
        }
        if let Some(x) = &verifier {
            let Some(value) = &value else {
                return Err(bad(format!("position {}: X needs a field W, A or N to check", x.start + 1)));
            };
            if x.len() != 1 {
                return Err(bad(format!("position {}: expected one check digit X, not {}", x.start + 1, x.len())));
            }
            if !matches!(value.len(), 4 | 5) {
                let at = value.start + 1;
                return Err(bad(format!(
                    "position {at}: X checks a field of 4 or 5 digits; this one has {}",
                    value.len()
                )));
            }
        }
        Ok(Self { pattern: text.to_owned(), item, value, verifier: verifier.map(|x| x.start), scale })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)?;
        if self.scale == 1 { Ok(()) } else { write!(f, "*{}", self.scale) }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The layouts that one shop uses. Where several match, the one with the longest fixed prefix is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Template>", into = "Vec<Template>")]
pub struct Templates(Vec<Template>);

impl Templates {
    /// Reads `code` by the layout that matches; `None` if none does. A layout whose price or weight check digit is
    /// wrong counts only if no other matches.
    ///
    /// # Errors
    /// As [`Template::read`], if no other layout matches.
    pub fn read(&self, code: Gtin) -> Result<Option<InStore>> {
        let mut wrong = None;
        for template in &self.0 {
            match template.read(code) {
                Ok(None) => {}
                Ok(label) => return Ok(label),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        wrong.map_or(Ok(None), Err)
    }
}

impl From<Vec<Template>> for Templates {
    fn from(mut templates: Vec<Template>) -> Self {
        templates.sort_by_key(|t| std::cmp::Reverse(t.prefix().len()));
        Self(templates)
    }
}

impl From<Templates> for Vec<Template> {
    fn from(templates: Templates) -> Self {
        templates.0
    }
}

/// The check digit of a price or weight field of 4 or 5 digits; `None` for any other length or character.
pub fn price_check_digit(field: &str) -> Option<u8> {
    if !field.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digit = |i: usize| usize::from(field.as_bytes()[i] - b'0');
    match field.len() {
        4 => {
            let sum = TWO_MINUS[digit(0)] + TWO_MINUS[digit(1)] + THREE[digit(2)] + FIVE_MINUS[digit(3)];
            Some(sum * 3 % 10)
        }
        5 => {
            let sum = FIVE_PLUS[digit(0)]
                + TWO_MINUS[digit(1)]
                + FIVE_MINUS[digit(2)]
                + FIVE_PLUS[digit(3)]
                + TWO_MINUS[digit(4)];
            let rest = (10 - sum % 10) % 10;
            FIVE_MINUS.iter().position(|&product| product == rest).map(|d| d as u8)
        }
        _ => None,
    }
}

/// The one field of `text` that is made of one of the letters in `of`.
fn run(text: &str, of: &str) -> Result<Option<Range<usize>>, String> {
    let Some(start) = text.find(|c| of.contains(c)) else { return Ok(None) };
    let letter = text.as_bytes()[start];
    let len = text[start..].bytes().take_while(|b| *b == letter).count();
    let end = start + len;
    match text[end..].find(|c| of.contains(c)) {
        None => Ok(Some(start..end)),
        Some(again) => Err(format!(
            "position {}: a second field of {}, after the one at position {}",
            end + again + 1,
            of.split("").filter(|l| !l.is_empty()).collect::<Vec<_>>().join(", "),
            start + 1
        )),
    }
}

// Weighted products of the digits 0 to 9, GS1 General Specifications 7.9.2.
const TWO_MINUS: [u8; 10] = [0, 2, 4, 6, 8, 9, 1, 3, 5, 7];
const THREE: [u8; 10] = [0, 3, 6, 9, 2, 5, 8, 1, 4, 7];
const FIVE_PLUS: [u8; 10] = [0, 5, 1, 6, 2, 7, 3, 8, 4, 9];
const FIVE_MINUS: [u8; 10] = [0, 5, 9, 4, 8, 3, 7, 2, 6, 1];

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::barcode::check_digit;

    fn code(body: &str) -> Gtin {
        Gtin::parse(&format!("{body}{}", check_digit(body.as_bytes()))).expect(body)
    }

    /// The usual worked examples, 2875 and 14685, and check digits of labels (`28PPPPXWWWWWC`) that the public
    /// tests of the Snabble SDK collect.
    #[test]
    fn checks_prices_as_published() {
        for (field, check) in [
            ("2875", 9),
            ("14685", 6),
            ("00502", 5),
            ("00828", 4),
            ("00782", 0),
            ("00408", 6),
            ("00284", 2),
            ("01336", 6),
            ("00190", 8),
            ("00074", 3),
            ("01508", 0),
        ] {
            assert_eq!(price_check_digit(field), Some(check), "{field}");
        }
        assert_eq!((price_check_digit("123"), price_check_digit("12a4")), (None, None));
    }

    #[test]
    fn reads_labels() {
        let templates: Templates = ["28PPPPXWWWWWC", "22PPPPPAAAAAC", "2PPPPPPVNNNNC", "02PPPPPXAAAAC", "2PPPPPAAAAAC"]
            .iter()
            .map(|t| t.parse().expect(t))
            .collect::<Vec<Template>>()
            .into();
        for (body, item, quantity) in [
            ("281027500502", "1027", Quantity::Weight { grams: 502 }),
            ("220123401299", "01234", Quantity::Amount { minor: 1299 }),
            ("241234500012", "412345", Quantity::Pieces { count: 12 }),
            ("021234592875", "12345", Quantity::Amount { minor: 2875 }),
        ] {
            let label = templates.read(code(body)).expect("right").expect(body);
            assert_eq!((label.item.as_str(), label.quantity), (item, quantity), "{body}");
        }
        let template: Template = "2PPPPPAAAAAC".parse().expect("UPC-A");
        let label = template.read(code("21234500199")).expect("right").expect("fits");
        assert_eq!((label.item.as_str(), label.quantity), ("12345", Quantity::Amount { minor: 199 }));
        assert_eq!(templates.read(code("400638133393")).expect("right"), None);
    }

    #[test]
    fn a_wrong_inner_check_digit_is_an_error_not_a_price() {
        let template: Template = "28PPPPXWWWWWC".parse().expect("good");
        let error = template.read(code("281027400502")).expect_err("4 instead of 5");
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("is 4, but should be 5"), "{error}");
    }

    #[test]
    fn another_template_may_fit_where_the_inner_check_digit_does_not() {
        let templates: Templates =
            ["28PPPPXWWWWWC", "28PPPPPWWWWWC"].map(|t| t.parse().expect(t)).into_iter().collect::<Vec<_>>().into();
        let label = templates.read(code("281027400502")).expect("the second").expect("fits");
        assert_eq!((label.item.as_str(), label.quantity), ("10274", Quantity::Weight { grams: 502 }));
    }

    #[test]
    fn a_field_may_leave_digits_out_or_be_missing() {
        let read = |template: &str, body: &str| {
            let template: Template = template.parse().expect(template);
            assert_eq!(template.to_string().parse::<Template>().expect("its own text"), template);
            template.read(code(body)).expect("right").expect("fits")
        };
        assert_eq!(read("24PPPPPPWWWWC*10", "241234560050").quantity, Quantity::Weight { grams: 500 });
        assert_eq!(read("21PPPPPPAAAAC*10", "211234560129").quantity, Quantity::Amount { minor: 1290 });
        let label = read("21PPPPPPPPPPC", "211234567890");
        assert_eq!((label.item.as_str(), label.quantity), ("1234567890", Quantity::Pieces { count: 1 }));
    }

    #[test]
    fn says_where_a_template_is_wrong() {
        for (text, why) in [
            ("28PPPPXWWWQWC", "'Q' at position 11"),
            ("28PPPPPXWWWWWC", "14 characters"),
            ("28PPPPXWWWWWW", "position 13"),
            ("28PPPCXWWWWWC", "position 13"),
            ("PPPPPPXWWWWWC", "must begin with a digit"),
            ("28PPPPXWWWWVC".trim_end_matches("VC"), "11 characters"),
            ("28VVVVXWWWWWC", "no item number"),
            ("28PPPPPPPPPXC", "position 12: X needs a field"),
            ("28PPPPPPPPPPC*10", "`*10` needs a field"),
            ("28PPPPXWWWWWC*7", "`*7`"),
            ("28PPPPXWWAAAC", "position 10"),
            ("28PPVPPWWWWWC", "position 6"),
            ("28PPXXPWWWWWC", "position 7"),
            ("28PPPXXWWWWWC", "position 6: expected one"),
            ("28PPPPPPXWWWC", "position 10: X checks a field of 4 or 5"),
            ("28PPPPXWWWWé", "'é' at position 12"),
        ] {
            let error = text.parse::<Template>().expect_err(text);
            assert!(error.kind() == Kind::Config && error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn comes_from_toml() {
        #[derive(Debug, serde::Deserialize, serde::Serialize)]
        struct Config {
            templates: Templates,
        }
        let config: Config = toml::from_str("templates = [\"2PPPPPPWWWWWC\", \"28PPPPXWWWWWC\"]").expect("good");
        let label = config.templates.read(code("281027500502")).expect("right").expect("fits");
        assert_eq!(label.item, "1027", "the longer prefix goes first");
        let back: Config = toml::from_str(&toml::to_string(&config).expect("prints")).expect("reads");
        assert_eq!(back.templates, config.templates);
        let error = toml::from_str::<Config>("templates = [\"28QPPPXWWWWWC\"]").expect_err("bad");
        assert!(error.to_string().contains("position 3"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(text in "[0-9PWANXVC]{0,14}([*]10{1,3})?", body in "[0-9]{12}") {
            if let Ok(template) = text.parse::<Template>() {
                proptest::prop_assert_eq!(template.to_string(), text);
                let _ = template.read(code(&body));
            }
        }
    }
}
