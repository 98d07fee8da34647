//! Values of keys: tables, texts, durations, options. What is of another type is a fault.

use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::OptionValue;
use super::problem::{Fault, Path};
use super::read::Reader;

impl Reader {
    pub(super) fn option(&mut self, path: &Path, value: &DeValue<'_>) -> Option<OptionValue> {
        let number = |text: &str, radix| i64::from_str_radix(text, radix).ok().map(OptionValue::Number);
        let read = match value {
            DeValue::String(text) => Some(OptionValue::Text(text.to_string())),
            DeValue::Boolean(truth) => Some(OptionValue::Truth(*truth)),
            DeValue::Integer(integer) => number(integer.as_str(), integer.radix()),
            DeValue::Float(float) => {
                float.as_str().parse().ok().filter(|f: &f64| f.is_finite()).map(OptionValue::Decimal)
            }
            _ => None,
        };
        if read.is_none() {
            let what = format!("expected text in quotes, a number, or true or false; found {}", kind(value));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    pub(super) fn table<'v, 'i>(
        &mut self,
        path: &Path,
        value: &'v Spanned<DeValue<'i>>,
        like: &str,
    ) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let what = format!("expected a table; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what).hint(format!("write {like}")));
        }
        table
    }

    /// A list of strings, each with its path. A list that cannot be read completely is empty.
    pub(super) fn texts(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Vec<(Path, String)> {
        let Some(list): Option<&DeArray<'_>> = value.get_ref().as_array() else {
            let what = format!("expected a list of texts, such as [\"a\", \"b\"]; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (i, value) in list.iter().enumerate() {
            let path = path.index(i);
            if let Some(text) = self.text(&path, value) {
                texts.push((path, text));
            }
        }
        texts
    }

    pub(super) fn text(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            let what = format!("expected text in quotes; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        text
    }

    pub(super) fn filled(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(path, value)?;
        if text.trim().is_empty() {
            self.fault(Fault::error(path.clone(), "must not be empty"));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(super) fn truth(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            let what = format!("expected true or false; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    /// A whole number. A check refuses 0.
    pub(super) fn count(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<usize> {
        let read = match value.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if read.is_none() {
            let what = format!("expected a number from 1 on; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }

    /// A positive duration, such as `"30s"`.
    pub(super) fn duration(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let read = value.get_ref().as_str().and_then(span);
        if read.is_none() {
            let what = format!("expected a duration such as \"30s\" or \"3m\"; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        read
    }
}

/// A positive duration.
pub(super) fn span(text: &str) -> Option<Duration> {
    let read = text.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive)?;
    Duration::try_from(read).ok().filter(|duration| *duration <= LONGEST)
}

/// No delay of a till is longer: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value's type, for messages.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the number {}", float.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date or time".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// `a`, `b`, `c`
pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
