//! Requests take no other fields than those described, at any depth, as [`strict`](super::super::strict) reads them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::referred;

/// Closes the definitions of what requests consist of. One that is a part of another object is closed there.
pub(super) fn close_all(definitions: &mut Map<String, Value>) {
    let mut parts = BTreeSet::new();
    definitions.values().for_each(|schema| find_parts(schema, &mut parts));
    for (name, schema) in definitions {
        close_as(schema, parts.contains(name));
    }
}

/// Closes a schema that is not part of another, and those within.
pub(super) fn close(schema: &mut Value) {
    close_as(schema, false);
}

/// A `part` of an object does not know the fields of the others: `unevaluatedProperties` of the whole does.
fn close_as(schema: &mut Value, part: bool) {
    let Value::Object(fields) = schema else { return };
    let own = fields.contains_key("properties");
    let joined = own && JOINED.iter().any(|key| fields.contains_key(*key));
    if own && !part {
        let key = if joined { "unevaluatedProperties" } else { "additionalProperties" };
        fields.entry(key).or_insert(false.into());
    }
    for (key, within) in fields {
        match (key.as_str(), within) {
            ("oneOf" | "anyOf" | "allOf", Value::Array(of)) => {
                of.iter_mut().for_each(|one| close_as(one, part || joined));
            }
            ("properties" | "patternProperties", Value::Object(of)) => of.values_mut().for_each(close),
            ("prefixItems", Value::Array(of)) => of.iter_mut().for_each(close),
            ("items" | "additionalProperties", of) => close(of),
            _ => {}
        }
    }
}

/// The names of definitions whose fields stand beside others in one object.
fn find_parts(schema: &Value, parts: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                parts.extend(referred(schema).map(str::to_owned));
            }
            fields.values().for_each(|field| find_parts(field, parts));
        }
        Value::Array(items) => items.iter().for_each(|item| find_parts(item, parts)),
        _ => {}
    }
}

/// What adds fields to those of an object.
const JOINED: [&str; 4] = ["$ref", "oneOf", "anyOf", "allOf"];

#[cfg(test)]
mod tests;
