//! Values of an export, before they are written in the words of a mapping.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tresen_hal::Amount;

/// The kind of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// An amount in the currency of the row, with as many decimals as the currency has.
    Money,
    /// A number with decimals.
    Decimal,
    /// A moment; `format` and the zone of the mapping apply.
    Time,
    /// Date and time by the clock of a device, without a zone; `format` applies.
    LocalTime,
    /// `true` or `false`.
    Truth,
    /// JSON text; an object in JSON.
    Json,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Missing,
    Text(String),
    Number(i64),
    Money(Amount),
    /// In units of 10 to the power of minus `places`.
    Decimal {
        units: i64,
        places: u8,
    },
    Time(Timestamp),
    LocalTime(DateTime),
    Truth(bool),
    Json(String),
}

/// How values are written.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) decimal: char,
    pub(super) zone: TimeZone,
    /// For moments without a format of their own; RFC 3339 by default.
    pub(super) time: Option<String>,
}

impl Value {
    /// As text for a cell.
    pub(super) fn text(&self, style: &Style, format: Option<&str>, minor: bool) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Text(text) | Self::Json(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Money(amount) if minor => amount.minor().to_string(),
            Self::Money(amount) => amount.number(style.decimal),
            Self::Decimal { units, places } => decimal(*units, *places, style.decimal),
            Self::Time(at) => match format.or(style.time.as_deref()) {
                // The format was tried when the mapping was read.
                Some(format) => at.to_zoned(style.zone.clone()).strftime(format).to_string(),
                None if style.zone == TimeZone::UTC => at.to_string(),
                None => at.to_zoned(style.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
            },
            Self::LocalTime(at) => match format {
                Some(format) => at.strftime(format).to_string(),
                None => at.to_string(),
            },
            Self::Truth(truth) => truth.to_string(),
        }
    }

    /// As text that does not depend on the mapping, for filters.
    pub(super) fn plain(&self) -> String {
        self.text(&Style { decimal: '.', zone: TimeZone::UTC, time: None }, None, false)
    }

    /// As a JSON value, given its text.
    pub(super) fn json(&self, text: &str) -> String {
        let quoted = || serde_json::Value::from(text).to_string();
        match self {
            Self::Missing if text.is_empty() => "null".into(),
            Self::Number(_) | Self::Truth(_) | Self::Json(_) if is_json_line(text) => text.to_owned(),
            _ => quoted(),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// A text, which a spreadsheet may take for a formula.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Json(_))
    }

    /// Numbers stand at the right of their column.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Money(_) | Self::Decimal { .. })
    }
}

impl ColumnKind {
    /// Whether a format for times fits this kind, and why not.
    pub(super) fn check_format(self, format: &str) -> Result<(), String> {
        let checked = match self {
            Self::Time => strtime::format(format, &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)),
            Self::LocalTime => strtime::format(format, DateTime::ZERO),
            _ => return Err("only times have a format".into()),
        };
        checked.map(drop).map_err(|error| error.to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        Self::Money(amount)
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl From<DateTime> for Value {
    fn from(at: DateTime) -> Self {
        Self::LocalTime(at)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

/// Whether it is JSON, and in one line. A column's `values` may have made something else of it.
fn is_json_line(text: &str) -> bool {
    !text.contains(['\n', '\r']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn decimal(units: i64, places: u8, mark: char) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let width = usize::from(places) + 1;
    let all = format!("{:0width$}", units.unsigned_abs());
    let (whole, part) = all.split_at(all.len() - usize::from(places));
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}{mark}{part}") }
}
