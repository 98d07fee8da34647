//! The language of texts for the people at the counter.

use std::str::FromStr;

use tresen_hal::{Error, Kind};

/// A language of texts that the drivers write for the cashier. Errors and evidence are in English.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// The text in this language.
    pub(crate) fn of<'a>(self, english: &'a str, german: &'a str) -> &'a str {
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
        assert_eq!((Language::German.of("a", "b"), Language::default().of("a", "b")), ("b", "a"));
    }
}
