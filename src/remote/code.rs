//! One-time codes: 60 bits as a person types them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

/// A one-time code: 12 characters of Crockford's base 32, 60 bits, shown in groups of four: `K7QF-02ZM-9XTA`.
///
/// As people type it, case does not matter, `O` is 0, `I` and `L` are 1, and hyphens and spaces are left out. `Debug` does
/// not show it; `Display` and JSON do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OneTimeCode([u8; LENGTH]);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OneTimeCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneTimeCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A one-time code: 12 characters of Crockford's base 32 in groups of four.",
            "pattern": "^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$",
            "examples": ["K7QF-02ZM-9XTA"],
        })
    }
}

impl OneTimeCode {
    /// The code for the lowest 60 of these bits, which have to come from a source fit for secrets.
    pub fn of(bits: u64) -> Self {
        Self(std::array::from_fn(|at| DIGITS[(bits >> (5 * (LENGTH - 1 - at)) & 31) as usize]))
    }

    /// The 12 characters, without hyphens.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for OneTimeCode {
    type Err = Error;

    /// The error does not repeat the text.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(Kind::Input, "this is not a one-time code")
                .hint("it has 12 letters and digits in groups of four, such as K7QF-02ZM-9XTA")
        };
        let mut code = [0; LENGTH];
        let mut at = 0;
        for typed in text.trim().bytes().filter(|b| !b" -".contains(b)) {
            let typed = match typed.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            *code.get_mut(at).ok_or_else(wrong)? = *DIGITS.iter().find(|digit| **digit == typed).ok_or_else(wrong)?;
            at += 1;
        }
        if at == LENGTH { Ok(Self(code)) } else { Err(wrong()) }
    }
}

impl fmt::Display for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digit) in self.0.iter().enumerate() {
            let hyphen = if at > 0 && at % 4 == 0 { "-" } else { "" };
            write!(f, "{hyphen}{}", *digit as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(…)")
    }
}

impl TryFrom<String> for OneTimeCode {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<OneTimeCode> for String {
    fn from(code: OneTimeCode) -> Self {
        code.to_string()
    }
}

const LENGTH: usize = 12;
/// Douglas Crockford's base 32: without I, L, O and U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
