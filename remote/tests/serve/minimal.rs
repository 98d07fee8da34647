//! A request for each command of the till, made of its schema: a new command cannot be forgotten.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tresen::api::{self, Call};

/// The fields of each command: those that it needs, and those that it takes.
pub(crate) struct Requests {
    schema: Value,
    /// An existing folder.
    folder: String,
}

/// One command and its shortest request.
pub(crate) struct Shortest {
    pub(crate) name: &'static str,
    pub(crate) with: Value,
    /// The fields that must be there.
    pub(crate) required: Vec<String>,
    /// All fields.
    pub(crate) fields: Vec<String>,
}

impl Requests {
    pub(crate) fn new(folder: &std::path::Path) -> Self {
        Self { schema: api::schema(), folder: folder.display().to_string() }
    }

    /// The shortest valid request of each command, by its name.
    pub(crate) fn all(&self) -> Vec<Shortest> {
        api::commands()
            .map(|name| {
                let described = &self.schema["commands"][name]["with"];
                let with = self.value(described, name);
                Call::read(name, with.clone()).unwrap_or_else(|error| panic!("{error}: {with}"));
                let names = |of: &Value| {
                    of.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
                };
                let fields =
                    described["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
                Shortest { name, with, required: names(&described["required"]), fields }
            })
            .collect()
    }

    /// The shortest value that a schema describes; `field` is the name of its field.
    fn value(&self, schema: &Value, field: &str) -> Value {
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return values[0].clone();
        }
        let mut fields = Map::new();
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            match self.value(&self.schema["$defs"][name], field) {
                Value::Object(of) => fields.extend(of),
                other => return other,
            }
        }
        for key in ["oneOf", "anyOf"] {
            let Some(first) = schema[key].as_array().and_then(|of| of.iter().find(|one| one["type"] != "null")) else {
                continue;
            };
            match self.value(first, field) {
                Value::Object(of) => fields.extend(of),
                other => return other,
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[0].as_str(),
            kind => kind.as_str(),
        };
        match kind {
            Some("string") => return self.text(schema, field).into(),
            Some("integer" | "number") => return json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
            Some("boolean") => return json!(true),
            Some("array") => return json!([]),
            _ => {}
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            fields.insert(name.to_owned(), self.value(&schema["properties"][name], name));
        }
        Value::Object(fields)
    }

    /// Texts with a form of their own; all others are names.
    fn text(&self, schema: &Value, field: &str) -> String {
        let known = BTreeMap::from([
            ("terminal", "counter"),
            ("printer", "receipt"),
            ("scanner", "hand"),
            ("within", "30s"),
            ("rights", "watch"),
            ("origin", "https://kiosk.example"),
            ("bytes", "G0A="),
            ("to", &self.folder),
        ]);
        match (schema["format"].as_str(), schema["pattern"].as_str()) {
            (Some("date-time"), _) => "2026-01-02T08:00:00Z".to_owned(),
            (_, Some(pattern)) if pattern.contains("[A-Z]{3}") => "1.00 EUR".to_owned(),
            _ => (*known.get(field).unwrap_or(&"x")).to_owned(),
        }
    }
}
