//! Names of definitions: a type that differs by direction gets two.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{DEFINITIONS, referred};

/// The names whose definitions differ by direction, or refer to one that does.
pub(super) fn differing(taken: &Map<String, Value>, told: &Map<String, Value>) -> BTreeSet<String> {
    let both = || taken.iter().filter_map(|(name, schema)| Some((name, schema, told.get(name)?)));
    let mut split: BTreeSet<String> =
        both().filter(|(_, taken, told)| taken != told).map(|(name, ..)| name.clone()).collect();
    loop {
        let more: Vec<_> = both()
            .filter(|(name, taken, _)| !split.contains(*name) && refers(taken, &split))
            .map(|(name, ..)| name.clone())
            .collect();
        if more.is_empty() {
            return split;
        }
        split.extend(more);
    }
}

/// All definitions.
pub(super) fn merged(
    taken: Map<String, Value>,
    mut told: Map<String, Value>,
    split: &BTreeSet<String>,
) -> Map<String, Value> {
    for (name, mut schema) in taken {
        rename(&mut schema, split);
        told.insert(if split.contains(&name) { input(&name) } else { name }, schema);
    }
    told
}

/// Makes a schema of what is sent to the till refer to the definitions for that.
pub(super) fn rename(schema: &mut Value, split: &BTreeSet<String>) {
    if let Some(name) = referred(schema).filter(|name| split.contains(*name)) {
        schema["$ref"] = format!("{DEFINITIONS}{}", input(name)).into();
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, split)),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, split)),
        _ => {}
    }
}

fn refers(schema: &Value, to: &BTreeSet<String>) -> bool {
    referred(schema).is_some_and(|name| to.contains(name))
        || match schema {
            Value::Object(fields) => fields.values().any(|field| refers(field, to)),
            Value::Array(items) => items.iter().any(|item| refers(item, to)),
            _ => false,
        }
}

fn input(name: &str) -> String {
    format!("{name}Input")
}
