//! Amounts in messages: decimals of any currency, exact.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use tresen_hal::{Amount, Currency};

use crate::amount;

/// A number as it is written, such as `10.99`. Never a float.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// The digits of an amount.
    pub fn of(amount: Amount) -> Self {
        Self(amount.number('.'))
    }

    /// The amount of this currency; `None` if it has more decimals than the currency, or is too large.
    pub fn amount(&self, currency: Currency) -> Option<Amount> {
        amount::parse(&self.0, currency)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        // Some write numbers as text.
        let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(numeric) {
            return Err(de::Error::custom("not a number"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Characters of a number.
const LONGEST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        for (json, minor) in [
            ("10.99", 10_99),
            ("\"10.99\"", 10_99),
            ("7", 7_00),
            ("1.0E1", 10_00),
            ("90071992547409.93", 9_007_199_254_740_993),
        ] {
            let number: Number = serde_json::from_str(json).expect(json);
            assert_eq!(number.amount(Currency::EUR).map(Amount::minor), Some(minor), "{json}");
        }
        assert_eq!(serde_json::to_string(&Number::of(Amount::eur(10_90))).expect("JSON"), "10.90");
        for wrong in ["null", "true", "\"\"", "\"1,5\"", "{}", "[1]", "\"4111 1111\""] {
            assert!(serde_json::from_str::<Number>(wrong).is_err(), "{wrong}");
        }
    }
}
