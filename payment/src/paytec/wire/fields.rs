//! Fields as terminals write them: numbers also as texts, and texts also as numbers.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A whole number; amounts are in minor units.
pub type Int = i64;

/// A number, or a text of digits. Anything else is as if it were missing.
pub(super) fn int<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Int>, D::Error> {
    Ok(as_int(&Value::deserialize(from)?))
}

/// A number on which it depends what was charged: it may be missing, but not be something else.
pub(super) fn exact<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Int>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        value => as_int(&value).map(Some).ok_or_else(|| D::Error::custom("no whole number")),
    }
}

/// A list of numbers; a single number counts as a list.
pub(super) fn ints<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Int>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(values) => values.iter().filter_map(as_int).collect(),
        value => as_int(&value).into_iter().collect(),
    })
}

/// A text that is not empty, or a number as a text.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(as_text(Value::deserialize(from)?))
}

/// A list of texts.
pub(super) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(values) => values.into_iter().filter_map(as_text).collect(),
        value => as_text(value).into_iter().collect(),
    })
}

/// An object, if it can be read.
pub(super) fn object<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// A list of objects; those that cannot be read are left out.
pub(super) fn objects<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(values) = Value::deserialize(from)? else { return Ok(Vec::new()) };
    Ok(values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect())
}

fn as_int(value: &Value) -> Option<Int> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
