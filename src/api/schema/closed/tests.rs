use serde_json::json;

use super::super::schema;
use super::*;
use crate::api::{Call, Request};

/// Values made of the schema.
struct Samples(Value);

impl Samples {
    /// Values that a schema describes; together they have each object that it may consist of. `field` is the name of theirs.
    fn of(&self, schema: &Value, field: &str) -> Vec<Value> {
        if let Some(value) = schema.get("const") {
            return vec![value.clone()];
        }
        if let Some(value) = schema["enum"].get(0) {
            return vec![value.clone()];
        }
        let mut parts = Vec::new();
        if let Some(name) = referred(schema) {
            parts.extend(self.of(&self.0["$defs"][name], field));
        }
        for key in ["oneOf", "anyOf"] {
            for one in schema[key].as_array().into_iter().flatten().filter(|one| one["type"] != "null") {
                parts.extend(self.of(one, field));
            }
        }
        // One value without objects is enough.
        let mut plain = 0;
        parts.retain(|part| {
            plain += usize::from(!part.is_object() && !part.is_array());
            part.is_object() || part.is_array() || plain == 1
        });
        match schema["properties"].as_object() {
            Some(fields) => self.objects(fields, parts),
            None if parts.is_empty() => self.plain(schema, field),
            None => parts,
        }
    }

    /// Objects with these fields beside those of one of `parts`, which are objects as well.
    fn objects(&self, fields: &Map<String, Value>, parts: Vec<Value>) -> Vec<Value> {
        let values: Vec<_> = fields.iter().map(|(name, field)| (name, self.of(field, name))).collect();
        let mut first = Map::new();
        first.extend(values.iter().filter_map(|(name, of)| Some(((*name).clone(), of.first()?.clone()))));
        let mut objects = vec![first.clone()];
        for (name, of) in values {
            objects.extend(of.into_iter().skip(1).map(|value| {
                let mut object = first.clone();
                object.insert(name.clone(), value);
                object
            }));
        }
        if parts.is_empty() {
            return objects.into_iter().map(Value::Object).collect();
        }
        let beside = |part: &Value| {
            let mut object = first.clone();
            object.extend(part.as_object().cloned().into_iter().flatten());
            Value::Object(object)
        };
        parts.iter().map(beside).collect()
    }

    fn plain(&self, schema: &Value, field: &str) -> Vec<Value> {
        let kind = match &schema["type"] {
            Value::Array(kinds) => &kinds[0],
            kind => kind,
        };
        match kind.as_str() {
            Some("string") => vec![text(schema, field).into()],
            Some("integer" | "number") => vec![json!(schema["minimum"].as_i64().unwrap_or(1).max(1))],
            Some("boolean") => vec![json!(true)],
            Some("array") => vec![self.of(&schema["items"], field).into()],
            Some("object") => {
                let values = schema.get("additionalProperties").filter(|values| values.is_object());
                let value = values.and_then(|values| self.of(values, field).pop());
                vec![value.map_or(json!({}), |value| json!({ "name": value }))]
            }
            _ => vec![Value::Null],
        }
    }
}

/// Texts with a form of their own; all others are names.
fn text(schema: &Value, field: &str) -> &'static str {
    match (schema["format"].as_str(), schema["pattern"].as_str(), field) {
        (Some("date-time"), ..) => "2026-01-02T08:00:00Z",
        (_, Some(pattern), _) if pattern.contains("[A-Z]{3}") => "1.00 EUR",
        (_, _, "within") => "30s",
        (_, _, "rights") => "watch",
        (_, _, "bytes") => "G0A=",
        (_, _, "mapping") => "[csv]\nseparator = ';'\n",
        (_, _, "data") => "400638133393",
        (_, _, "png") => PIXEL,
        _ => "x",
    }
}

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==";

/// JSON pointers to all objects in a value.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            fields.iter().for_each(|(name, field)| objects(field, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| objects(item, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

/// Each command and each object that it may consist of: whether an unknown field is refused, the schema says as the code
/// does.
#[test]
fn an_unknown_field_is_refused_by_the_schema_wherever_it_is_by_the_code() {
    let samples = Samples(schema());
    let request = &samples.0["$defs"]["RequestMessage"];
    let commands = samples.0["commands"].as_object().expect("commands").iter();
    let commands = commands.map(|(name, command)| (name.as_str(), &command["with"])).chain([("", request)]);
    let (mut closed, mut maps, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for (name, with) in commands {
        let read = |value: &Value| match name {
            "" => Request::decode(value.to_string().as_bytes()).map(drop).map_err(|(_, error)| error),
            name => Call::read(name, value.clone()).map(drop),
        };
        let mut whole = with.clone();
        whole["$defs"] = samples.0["$defs"].clone();
        let described = jsonschema::draft202012::new(&whole).expect("a schema");
        for sample in samples.of(with, "") {
            if let Err(error) = read(&sample) {
                wrong.push(format!("{error}"));
                continue;
            }
            described.validate(&sample).unwrap_or_else(|error| panic!("{name}: {error}: {sample}"));
            let mut found = Vec::new();
            objects(&sample, "", &mut found);
            for at in found {
                let mut more = sample.clone();
                more.pointer_mut(&at).expect("an object")["unheard-of"] = json!("x");
                let taken = read(&more).is_ok();
                assert_eq!(described.is_valid(&more), taken, "{name}, {at}: {more}");
                if taken {
                    maps.insert(at.rsplit('/').next().unwrap_or_default().to_owned());
                } else {
                    closed += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "made of the schema, and refused by the code:\n{}", wrong.join("\n"));
    assert!(closed > 200, "{closed} objects");
    assert_eq!(maps.into_iter().collect::<Vec<_>>(), ["facts", "fields"], "any name is taken there only");
}

/// The names of all definitions that a schema consists of.
fn reached<'a>(whole: &'a Value, schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = referred(schema)
                && names.insert(name)
            {
                reached(whole, &whole["$defs"][name], names);
            }
            fields.values().for_each(|field| reached(whole, field, names));
        }
        Value::Array(items) => items.iter().for_each(|item| reached(whole, item, names)),
        _ => {}
    }
}

/// What the till sends may have more fields in a later version, and so may what a handheld says of its devices.
#[test]
fn what_is_read_leniently_is_not_closed() {
    let schema = schema();
    let messages = &schema["messages"];
    let mut lenient = BTreeSet::new();
    for part in [&messages["till"], &messages["devices"], &schema["event"], &schema["error"]] {
        reached(&schema, part, &mut lenient);
    }
    let mut asked = BTreeSet::new();
    for command in schema["commands"].as_object().expect("commands").values() {
        reached(&schema, &command["with"], &mut asked);
        reached(&schema, &command["reply"], &mut lenient);
    }
    let both: Vec<_> = asked.intersection(&lenient).collect();
    assert!(both.iter().all(|name| schema["$defs"][**name].get("properties").is_none()), "{both:?}");
    let names = ["PaymentReference", "PaymentReferenceInput", "PaymentReferenceFromDevice"];
    let closed = names.map(|name| schema["$defs"][name]["additionalProperties"] == false);
    assert_eq!(closed, [false, true, false], "{names:?}");
}
