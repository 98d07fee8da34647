//! Money: exact decimals with their currency. Never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Kind};

/// A currency of ISO 4217: letters, number and the digits of its minor unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(&'static Entry);

#[derive(PartialEq, Eq, Hash)]
struct Entry {
    code: &'static str,
    number: u16,
    digits: u8,
}

impl Currency {
    /// Euro.
    pub const EUR: Self = Self(&TABLE[0]);

    /// The three letters: `EUR`.
    pub fn code(self) -> &'static str {
        self.0.code
    }

    /// The ISO number, as terminals use it: 978.
    pub fn number(self) -> u16 {
        self.0.number
    }

    /// Digits after the decimal point: 2 for the euro, 0 for the yen.
    pub fn digits(self) -> u8 {
        self.0.digits
    }

    /// The currency with this ISO number.
    pub fn from_number(number: u16) -> Option<Self> {
        TABLE.iter().find(|e| e.number == number).map(Self)
    }
}

impl FromStr for Currency {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        TABLE.iter().find(|e| e.code.eq_ignore_ascii_case(text)).map(Self).ok_or_else(|| {
            let known: Vec<_> = TABLE.iter().map(|e| e.code).collect();
            Error::new(Kind::Input, format!("unknown currency `{text}`; expected one of {}", known.join(", ")))
        })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money in the currency's minor unit.
///
/// ```
/// use tresen_hal::{Amount, Currency};
/// let price: Amount = "12.50 EUR".parse()?;
/// assert_eq!(price, Amount::eur(12_50));
/// assert_eq!(price.checked_add(Amount::eur(50)), Some(Amount::eur(13_00)));
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    minor: i64,
    currency: Currency,
}

impl Amount {
    /// Euro, counted in cents: `eur(42_50)` is 42.50 €.
    pub const fn eur(cents: i64) -> Self {
        Self { minor: cents, currency: Currency::EUR }
    }

    /// `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Zero in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// How many minor units: cents for euro.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// Its currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum, if both have the same currency and it does not overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| self.minor.checked_add(other.minor))
            .flatten()
            .map(|minor| Self { minor, ..self })
    }

    /// The difference, if both have the same currency and it does not overflow.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self { minor: other.minor.checked_neg()?, ..other })
    }

    /// This amount times `quantity`, unless it overflows.
    pub fn checked_mul(self, quantity: i64) -> Option<Self> {
        self.minor.checked_mul(quantity).map(|minor| Self { minor, ..self })
    }

    /// The number alone, with the decimal mark of the reader's language: `42,50`.
    pub fn number(self, decimal_mark: char) -> String {
        let digits = usize::from(self.currency.digits());
        let sign = if self.minor < 0 { "-" } else { "" };
        let all = format!("{:0width$}", self.minor.unsigned_abs(), width = digits + 1);
        let (whole, part) = all.split_at(all.len() - digits);
        if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}{decimal_mark}{part}") }
    }

    /// Reads a number such as `12.50` or `12,50` as an amount of `currency`.
    ///
    /// # Errors
    /// [`Kind::Input`]: not a number with at most one decimal mark, more decimals than the currency has, or too large.
    pub fn parse(number: &str, currency: Currency) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(Kind::Input, format!("invalid amount `{number}` in {currency}: {why}"));
        let digits = usize::from(currency.digits());
        let (negative, rest) = number.strip_prefix('-').map_or((false, number), |r| (true, r));
        let (whole, part) = rest.split_once(['.', ',']).unwrap_or((rest, ""));
        if whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(bad("write it like 12.50"));
        }
        if part.len() > digits {
            return Err(bad(&format!("it has more than {digits} decimals")));
        }
        let minor: i64 = format!("{whole}{part:0<digits$}").parse().map_err(|_| bad("it is too large"))?;
        Ok(Self { minor: if negative { -minor } else { minor }, currency })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number('.'), self.currency)
    }
}

impl FromStr for Amount {
    type Err = Error;
    /// `12.50 EUR`, `12,50 EUR` or `12.50EUR`; without a currency, euro.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, code) = text.split_at(at);
        let currency = if code.is_empty() { Currency::EUR } else { code.parse()? };
        Self::parse(number.trim(), currency)
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const fn entry(code: &'static str, number: u16, digits: u8) -> Entry {
    Entry { code, number, digits }
}

/// From ISO 4217: the currencies of countries where our protocols are in use.
static TABLE: [Entry; 26] = [
    entry("EUR", 978, 2),
    entry("AED", 784, 2),
    entry("AUD", 36, 2),
    entry("BAM", 977, 2),
    entry("BGN", 975, 2),
    entry("CAD", 124, 2),
    entry("CHF", 756, 2),
    entry("CZK", 203, 2),
    entry("DKK", 208, 2),
    entry("GBP", 826, 2),
    entry("HUF", 348, 2),
    entry("ILS", 376, 2),
    entry("ISK", 352, 0),
    entry("JPY", 392, 0),
    entry("KWD", 414, 3),
    entry("MKD", 807, 2),
    entry("NOK", 578, 2),
    entry("NZD", 554, 2),
    entry("PLN", 985, 2),
    entry("RON", 946, 2),
    entry("RSD", 941, 2),
    entry("SAR", 682, 2),
    entry("SEK", 752, 2),
    entry("TRY", 949, 2),
    entry("UAH", 980, 2),
    entry("USD", 840, 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_exactly() {
        for (text, minor) in [("12.50 EUR", 1250), ("12,5", 1250), ("0.01EUR", 1), ("-3 EUR", -300)] {
            assert_eq!(text.parse::<Amount>().expect(text).minor(), minor, "{text}");
        }
        assert_eq!("12 JPY".parse::<Amount>().expect("yen").to_string(), "12 JPY");
        assert_eq!("1.234 KWD".parse::<Amount>().expect("dinar").to_string(), "1.234 KWD");
        assert_eq!(Amount::eur(-5).number(','), "-0,05");
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in ["", "EUR", "1.234 EUR", "1e3", "1.2.3", "99999999999999999999", "5 XYZ", "1 000"] {
            assert_eq!(text.parse::<Amount>().expect_err(text).kind(), Kind::Input, "{text}");
        }
    }

    #[test]
    fn does_not_mix_currencies() {
        let franc: Amount = "1 CHF".parse().expect("franc");
        assert_eq!(franc.checked_add(Amount::eur(1)), None);
        assert_eq!(Amount::eur(i64::MAX).checked_add(Amount::eur(1)), None);
    }
}
