//! Reads what comes from outside strictly: each field must be known, at any depth, and an error names the field.
//!
//! Types that are also stored as documents do not refuse unknown fields by themselves: a database outlives the version
//! of the till that wrote it. So what was read is written again. A field that is not written is either unknown, or was
//! left out because it has its default; a known one refuses at least one of [`REFUSED`], an unknown one takes all.
//! `serde_ignored` would not do: it does not see into tagged and untagged enums, which serde reads from a buffer.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Where, such as `lines[2].price`; `None` for the value itself.
    pub(super) field: Option<String>,
    why: String,
}

/// Reads a value; an unknown field is an error.
pub(super) fn read<T: Serialize + DeserializeOwned>(value: &Value) -> Result<T, Wrong> {
    let read: T = match serde_path_to_error::deserialize(value) {
        Ok(read) => read,
        Err(error) => return Err(Reader::<T>::new(value).locate(&error)),
    };
    // What was read from JSON can be written as JSON; otherwise each field is looked at.
    let written = serde_json::to_value(&read).ok();
    let mut reader = Reader::<T>::new(value);
    match reader.unknown(value, written.as_ref(), &mut Vec::new()) {
        None => Ok(read),
        Some(path) => {
            let name = path.last().map(ToString::to_string).unwrap_or_default();
            Err(Wrong { field: Some(words(&path)), why: format!("unknown field `{}`", name.trim_start_matches('.')) })
        }
    }
}

impl fmt::Display for Wrong {
    /// Such as ``field `lines[2].price`: unknown field `price` ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field `{field}`: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Field(String),
    Index(usize),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn words(path: &[At]) -> String {
    let words: String = path.iter().map(ToString::to_string).collect();
    words.trim_start_matches('.').to_owned()
}

/// Reads variants of a value as `T`.
struct Reader<'a, T> {
    whole: &'a Value,
    /// How often it may still read.
    left: usize,
    /// How many values these may have in all.
    values: usize,
    /// Fields that are known, whatever their index.
    known: BTreeSet<String>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned> Reader<'a, T> {
    fn new(whole: &'a Value) -> Self {
        Self { whole, left: READS, values: VALUES, known: BTreeSet::new(), of: std::marker::PhantomData }
    }

    /// The first field that is unknown. `written` is what became of `value`.
    fn unknown(&mut self, value: &Value, written: Option<&Value>, path: &mut Vec<At>) -> Option<Vec<At>> {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    path.push(At::Field(name.clone()));
                    let again = written.and_then(|written| written.get(name));
                    if again.is_none() && !self.is_known(fields.get("type"), path) {
                        return Some(path.clone());
                    }
                    if let Some(found) = self.unknown(field, again, path) {
                        return Some(found);
                    }
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(At::Index(index));
                    if let Some(found) = self.unknown(item, written.and_then(|written| written.get(index)), path) {
                        return Some(found);
                    }
                    path.pop();
                }
            }
            _ => {}
        }
        None
    }

    /// Whether the field takes some values and refuses others. `tag` tells variants apart that stand in one list.
    fn is_known(&mut self, tag: Option<&Value>, path: &[At]) -> bool {
        let kind: String = path
            .iter()
            .map(|at| match at {
                At::Field(name) => format!(".{name}"),
                At::Index(_) => "[]".to_owned(),
            })
            .collect();
        let kind = format!("{kind} {}", tag.and_then(Value::as_str).unwrap_or_default());
        if self.known.contains(&kind) {
            return true;
        }
        let refuses = REFUSED.iter().any(|bad| {
            let bad = serde_json::from_str(bad).unwrap_or_default();
            // Whoever makes the till read so often does not want to be told.
            self.with(path, Some(bad)).is_none_or(|read| read.is_err())
        });
        if refuses {
            self.known.insert(kind);
        }
        refuses
    }

    /// What an error is about: serde names no field within a tagged or untagged enum. The field is the one without which
    /// the error is another, or none.
    fn locate(mut self, error: &serde_path_to_error::Error<serde_json::Error>) -> Wrong {
        let mut path = Vec::new();
        for segment in error.path() {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Seq { index } => path.push(At::Index(*index)),
                Segment::Map { key } => path.push(At::Field(key.clone())),
                // The variant's name is the field's, unless it is a tag within the object.
                Segment::Enum { variant } => path.push(At::Field(variant.clone())),
                Segment::Unknown => break,
            }
            if at(self.whole, &path).is_none() && !matches!(segment, Segment::Map { .. }) {
                path.pop();
                break;
            }
        }
        let why = error.inner().to_string();
        // Such an error is about an object as a whole.
        let whole = why.starts_with("missing field") || why.contains("map with a single key");
        if !whole {
            while let Some(step) = at(self.whole, &path).and_then(|value| self.blamed(value, &path, &why)) {
                path.push(step);
            }
        }
        Wrong { field: (!path.is_empty()).then(|| words(&path)), why }
    }

    /// The part of `value`, which stands at `path`, that causes the error `why`.
    fn blamed(&mut self, value: &Value, path: &[At], why: &str) -> Option<At> {
        let mut steps = steps(value);
        // An error that an empty list causes as well is about the list.
        if value.is_array() && self.with(path, Some(json!([])))?.is_err_and(|other| other == why) {
            return None;
        }
        // Without the tag the error is another one in any case.
        steps.sort_by_key(|step| *step == At::Field("type".into()));
        for step in steps {
            let item = matches!(step, At::Index(_));
            let path: Vec<_> = path.iter().cloned().chain([step.clone()]).collect();
            let same = self.with(&path, None)?.is_err_and(|other| other == why);
            // An object without this field, or a list of this item only.
            if same == item {
                return Some(step);
            }
        }
        None
    }

    /// Reads the value with another one at `path`, or without this field there. Lists on the way have this item only, so
    /// that reading is cheap. `None`: it was read too often.
    fn with(&mut self, path: &[At], other: Option<Value>) -> Option<Result<T, String>> {
        self.left = self.left.checked_sub(1)?;
        let value = changed(self.whole, path, other);
        self.values = self.values.checked_sub(count(&value))?;
        Some(serde_path_to_error::deserialize::<_, T>(value).map_err(|error| error.inner().to_string()))
    }
}

/// The parts of a value; none of one that has more fields than any type.
fn steps(value: &Value) -> Vec<At> {
    match value {
        Value::Object(fields) if fields.len() <= FIELDS => fields.keys().cloned().map(At::Field).collect(),
        Value::Array(items) => (0..items.len()).map(At::Index).collect(),
        _ => Vec::new(),
    }
}

/// How many values stand in one, with itself.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

fn at<'a>(value: &'a Value, path: &[At]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, at| match at {
        At::Field(name) => value.get(name),
        At::Index(index) => value.get(index),
    })
}

fn changed(value: &Value, path: &[At], other: Option<Value>) -> Value {
    match (path, value) {
        ([At::Field(name)], Value::Object(fields)) => {
            let mut fields = fields.clone();
            match other {
                Some(other) => _ = fields.insert(name.clone(), other),
                None => _ = fields.remove(name),
            }
            Value::Object(fields)
        }
        ([At::Index(index)], Value::Array(items)) => json!([other.unwrap_or_else(|| items[*index].clone())]),
        ([At::Field(name), rest @ ..], Value::Object(fields)) => {
            let inner = changed(&fields[name], rest, other);
            let others = fields.iter().filter(|(key, _)| *key != name);
            let mut fields: serde_json::Map<_, _> = others.map(|(key, field)| (key.clone(), field.clone())).collect();
            fields.insert(name.clone(), inner);
            Value::Object(fields)
        }
        ([], _) => other.unwrap_or_else(|| value.clone()),
        ([At::Index(index), rest @ ..], Value::Array(items)) => json!([changed(&items[*index], rest, other)]),
        _ => value.clone(),
    }
}

/// No field takes all of these.
const REFUSED: [&str; 3] = ["-1.5", "{\"\\u0000\": [-1.5]}", "[[-1.5]]"];
/// How often a value is read at most: more than any command has fields.
const READS: usize = 200;
/// How many values are read at most to find out what is wrong with one: a fraction of a second.
const VALUES: usize = 1_000_000;
/// More than any type has.
const FIELDS: usize = 64;

#[cfg(test)]
mod tests;
