//! The language of texts for the people at the counter.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Kind};

/// A language of texts for people: what a receipt says, what a terminal's state means. Errors and evidence are in
/// English.
///
/// Configurations name it `english`, `german`; options of addresses `en`, `de`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// English, decimal point.
    #[default]
    English,
    /// German, decimal comma.
    German,
}

impl Language {
    /// The text in this language.
    pub fn pick<'a>(self, english: &'a str, german: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }
}

/// As an option of an address writes it: `en`, `de`.
impl FromStr for Language {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().as_str() {
            "en" => Ok(Self::English),
            "de" => Ok(Self::German),
            _ => Err(Error::new(Kind::Config, format!("unknown language `{text}`; expected one of en, de"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_named_by_its_code() {
        assert_eq!(("de".parse().ok(), "EN".parse().ok()), (Some(Language::German), Some(Language::English)));
        let error = "german".parse::<Language>().expect_err("no code");
        assert!(error.to_string().contains("en, de"), "{error}");
        assert_eq!((Language::German.pick("a", "b"), Language::default().pick("a", "b")), ("b", "a"));
    }
}
