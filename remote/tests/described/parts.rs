//! The schema, and values compared with parts of it.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use tresen::api;

/// Checks values against the part of the schema at a JSON pointer.
pub(crate) fn part(pointer: &str) -> Validator {
    let mut part = SCHEMA.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not described")).clone();
    part["$defs"] = SCHEMA["$defs"].clone();
    jsonschema::draft202012::new(&part).expect("a schema")
}

#[track_caller]
pub(crate) fn valid(validator: &Validator, value: &Value) {
    let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{}\n{value:#}", errors.join("\n"));
}

pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(api::schema);
