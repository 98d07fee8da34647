//! Names of definitions: a type that differs by direction gets one for each.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{DEFINITIONS, referred};

/// What comes to the till in one way. A definition that differs from what the till sends has a suffix.
pub(super) struct Taken {
    definitions: Map<String, Value>,
    differing: BTreeSet<String>,
    suffix: &'static str,
}

impl Taken {
    pub(super) fn new(definitions: Map<String, Value>, told: &Map<String, Value>, suffix: &'static str) -> Self {
        Self { differing: differing(&definitions, told), definitions, suffix }
    }

    /// Makes a schema of what comes in this way refer to the definitions for that.
    pub(super) fn rename(&self, schema: &mut Value) {
        if let Some(name) = referred(schema).filter(|name| self.differing.contains(*name)) {
            schema["$ref"] = format!("{DEFINITIONS}{}", self.name(name)).into();
        }
        match schema {
            Value::Object(fields) => fields.values_mut().for_each(|field| self.rename(field)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            _ => {}
        }
    }

    /// Adds the definitions to `all`.
    pub(super) fn merge_into(mut self, all: &mut Map<String, Value>) {
        for (name, mut schema) in std::mem::take(&mut self.definitions) {
            self.rename(&mut schema);
            all.insert(self.name(&name), schema);
        }
    }

    fn name(&self, name: &str) -> String {
        let suffix = if self.differing.contains(name) { self.suffix } else { "" };
        format!("{name}{suffix}")
    }
}

/// The names whose definitions differ by direction, or refer to one that does.
fn differing(taken: &Map<String, Value>, told: &Map<String, Value>) -> BTreeSet<String> {
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

fn refers(schema: &Value, to: &BTreeSet<String>) -> bool {
    referred(schema).is_some_and(|name| to.contains(name))
        || match schema {
            Value::Object(fields) => fields.values().any(|field| refers(field, to)),
            Value::Array(items) => items.iter().any(|item| refers(item, to)),
            _ => false,
        }
}
