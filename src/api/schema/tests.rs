use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;
use tresen_hal::{Effect, Kind};

use super::super::tests::{examples, till};
use super::*;

/// Compares a generated file with what stands in the repository.
#[track_caller]
fn up_to_date(path: &str, now: &str, flag: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == now, "{} is out of date: run `tresen schema {flag}`", path.display());
}

#[test]
fn the_reference_is_up_to_date() {
    up_to_date("docs/commands.md", &markdown(), "--markdown > docs/commands.md");
}

#[test]
fn the_typescript_types_are_up_to_date() {
    up_to_date("remote/web/commands.d.ts", &typescript(), "--typescript > remote/web/commands.d.ts");
}

#[test]
fn the_schema_that_the_till_serves_is_up_to_date() {
    let now = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    up_to_date("remote/schema.json", &now, "> remote/schema.json");
}

/// Calls `found` for each schema within a schema, with where it stands.
fn each(schema: &Value, at: &str, found: &mut dyn FnMut(&str, &Value)) {
    found(at, schema);
    for key in ["properties", "$defs"] {
        for (name, schema) in schema[key].as_object().into_iter().flatten() {
            each(schema, &format!("{at}/{name}"), found);
        }
    }
    for key in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        for (n, schema) in schema[key].as_array().into_iter().flatten().enumerate() {
            each(schema, &format!("{at}/{key}.{n}"), found);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(key).filter(|schema| schema.is_object()) {
            each(schema, &format!("{at}/{key}"), found);
        }
    }
}

#[test]
fn each_command_field_and_definition_is_described() {
    let schema = schema();
    let mut bare = Vec::new();
    let mut check = |at: &str, schema: &Value| {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            // The field of an enum's variant is named by the variant, which is described.
            let variant = at.contains("oneOf.") && schema["required"].as_array().is_some_and(|names| names.len() == 1);
            // The field that tells variants apart has their names.
            if !variant && field.get("const").is_none() && field["description"].as_str().is_none_or(str::is_empty) {
                bare.push(format!("{at}/{name}"));
            }
        }
    };
    for (name, command) in schema["commands"].as_object().expect("commands") {
        assert!(command["title"].as_str().is_some_and(|title| title.len() > 5), "{name}");
        assert!(command["with"].is_object() && command["reply"].is_object(), "{name}: {command}");
        assert_eq!(command["with"]["additionalProperties"], false, "{name}");
        each(&command["with"], name, &mut check);
    }
    each(&schema, "", &mut check);
    for (name, definition) in definitions(&schema) {
        if definition["description"].as_str().is_none_or(str::is_empty) {
            bare.push(name.clone());
        }
    }
    assert!(bare.is_empty(), "without a description:\n{}", bare.join("\n"));
}

#[test]
fn no_two_types_share_a_name_and_each_reference_leads_somewhere() {
    let schema = schema();
    for (name, _) in definitions(&schema) {
        assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name}: two types of one name; rename one of them");
    }
    let mut referred_to = 0;
    let mut follow = |at: &str, part: &Value| {
        let Some(name) = referred(part) else { return };
        referred_to += 1;
        assert!(schema["$defs"].get(name).is_some(), "{at} refers to {name}");
    };
    each(&schema, "", &mut follow);
    for (name, command) in schema["commands"].as_object().expect("commands") {
        each(&command["with"], name, &mut follow);
        each(&command["reply"], name, &mut follow);
    }
    assert!(referred_to > 200, "{referred_to}");
}

/// Checks values against a part of the schema.
fn validator(schema: &Value, part: &Value) -> Validator {
    let mut whole = part.clone();
    if let (Some(whole), None) = (whole.as_object_mut(), part.get("$defs")) {
        whole.insert("$defs".into(), schema["$defs"].clone());
    }
    jsonschema::draft202012::new(&whole).expect("a schema")
}

#[track_caller]
fn valid(validator: &Validator, what: &str, value: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {}\n{value:#}", errors.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn what_the_code_reads_and_writes_fits_the_schema() {
    let (_dir, till) = till().await;
    let schema = schema();
    for (name, example) in examples(&till).await.0 {
        let command = &schema["commands"][name];
        valid(&validator(&schema, &command["with"]), &format!("{name}, with"), &example.with);
        valid(&validator(&schema, &command["reply"]), &format!("{name}, reply"), &example.reply);
    }
    let events = validator(&schema, &schema["event"]);
    let seen = till.recent_events();
    assert!(!seen.is_empty());
    for event in seen {
        valid(&events, "event", &serde_json::to_value(&event).expect("JSON"));
    }
    let error = till.ask_json("printer.burn", Value::Null).await.expect_err("unknown");
    valid(&validator(&schema, &schema["error"]), "error", &serde_json::to_value(&error).expect("JSON"));
}

/// Each field of each command is left out, has a wrong type, and is joined by an unknown one: the schema and the till
/// refuse the same, and the till names the field.
#[tokio::test(start_paused = true)]
async fn bad_fields_are_refused_by_the_schema_and_by_name() {
    let (_dir, till) = till().await;
    let schema = schema();
    let (mut left_out, mut wrong) = (0, 0);
    for (name, example) in examples(&till).await.0 {
        let described = &schema["commands"][name]["with"];
        let checked = validator(&schema, described);
        let refused = async |field: &str, with: Value| {
            assert!(!checked.is_valid(&with), "{name}, {field}: the schema accepts {with}");
            let error = till.ask_json(name, with.clone()).await.expect_err(name);
            assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{name}, {field}: {error}");
            assert!(error.what().contains(&format!("`{name}`")), "{error}");
            let named = [format!("`{field}`"), format!("`{field}."), format!("`{field}[")];
            assert!(named.iter().any(|named| error.what().contains(named)), "{name}, {field}: {error} of {with}");
        };
        let mut with = example.with.clone();
        with["unheard-of"] = json!(1);
        refused("unheard-of", with).await;
        for field in described["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut with = example.with.clone();
            with.as_object_mut().expect("fields").remove(field);
            refused(field, with).await;
            left_out += 1;
        }
        for (field, described) in described["properties"].as_object().into_iter().flatten() {
            let kind = validator(&schema, described);
            let bad = [json!({ "unheard-of": [7] }), json!([[{ "unheard-of": [7] }]]), json!(-1.5), json!("\u{0}")];
            for bad in bad.into_iter().filter(|bad| !kind.is_valid(bad)) {
                let mut with = example.with.clone();
                with[field] = bad;
                refused(field, with).await;
                wrong += 1;
            }
        }
    }
    assert!(left_out > 80 && wrong > 300, "{left_out} left out, {wrong} of a wrong type");
}
