//! The schema as TypeScript types.

use std::fmt::Write as _;

use serde_json::Value;

use super::{definitions, referred};

/// TypeScript types of all commands, replies, events and errors: `remote/web/commands.d.ts`.
pub fn typescript() -> String {
    let schema = super::described(false);
    let mut file = String::from(HEADER);
    writeln!(file, "/** The version of the protocol. */\nexport type Protocol = {};", schema["protocol"]).ok();
    for (name, definition) in definitions(&schema) {
        file.push('\n');
        comment(&mut file, definition, 0);
        match is_interface(definition) {
            true => writeln!(file, "export interface {name} {}", kind(definition, 0)).ok(),
            false => writeln!(file, "export type {name} = {};", kind(definition, 0)).ok(),
        };
    }
    let commands = schema["commands"].as_object().into_iter().flatten();
    file.push_str("\n/** What each command takes and replies. */\nexport interface Commands {\n");
    for (name, command) in commands.clone() {
        comment(&mut file, command, 1);
        let (with, reply) = (kind(&command["with"], 2), kind(&command["reply"], 2));
        writeln!(file, "  {name:?}: {{\n    with: {with};\n    reply: {reply};\n  }};").ok();
    }
    file.push_str("}\n\n/** The names of all commands. */\nexport type CommandName = keyof Commands;\n");
    requests(&mut file, &schema["messages"]["requests"]);
    device_calls(&mut file, &schema["messages"]["devices"]["calls"]);
    for (named, flag, what) in [
        ("Changing", "changes", "Commands that change something: each request has a key"),
        ("Waiting", "waits", "Commands that only wait: they end with the connection"),
    ] {
        let names = commands.clone().filter(|(_, command)| command[flag] == true).map(|(name, _)| format!("{name:?}"));
        let names = names.collect::<Vec<_>>().join("\n  | ");
        writeln!(file, "\n/** {what}. */\nexport type {named} =\n  | {names};").ok();
    }
    file.lines().map(str::trim_end).flat_map(|line| [line, "\n"]).collect()
}

/// What each request that is no command has with it and replies.
fn requests(file: &mut String, requests: &Value) {
    file.push_str(
        "\n/** Requests that are no commands: they concern the connection or its caller, and need no key. */\n",
    );
    file.push_str("export interface Requests {\n");
    for (name, request) in requests.as_object().into_iter().flatten() {
        comment(file, request, 1);
        let (with, reply) = (kind(&request["with"], 2), kind(&request["reply"], 2));
        writeln!(file, "  {name:?}: {{\n    with: {with};\n    reply: {reply};\n  }};").ok();
    }
    file.push_str("}\n");
}

/// What each call to a device of a client has with it and replies.
fn device_calls(file: &mut String, classes: &Value) {
    file.push_str("\n/** The till's calls to devices that a client offers, by class and name. */\n");
    file.push_str("export interface DeviceCalls {\n");
    for (class, calls) in classes.as_object().into_iter().flatten() {
        writeln!(file, "  {class}: {{").ok();
        for (name, call) in calls.as_object().into_iter().flatten() {
            comment(file, call, 2);
            let (with, reply) = (kind(&call["with"], 3), kind(&call["reply"], 3));
            writeln!(file, "    {name:?}: {{\n      with: {with};\n      reply: {reply};\n    }};").ok();
        }
        file.push_str("  };\n");
    }
    file.push_str("}\n");
}

fn is_interface(schema: &Value) -> bool {
    schema.get("properties").is_some()
        && referred(schema).is_none()
        && COMBINED.iter().all(|key| schema.get(key).is_none())
}

/// A schema as a type.
pub(super) fn kind(schema: &Value, depth: usize) -> String {
    if let Some(name) = referred(schema) {
        return match schema.get("properties") {
            // A variant that is told apart by a field of its own.
            Some(_) => format!("{} & {name}", object(schema, depth)),
            None => name.to_owned(),
        };
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return union(values.iter().map(Value::to_string).collect());
    }
    let mut parts = Vec::new();
    for key in COMBINED {
        let Some(of) = schema[key].as_array() else { continue };
        parts.push(match key {
            "allOf" => of.iter().map(|schema| bracketed(&kind(schema, depth))).collect::<Vec<_>>().join(" & "),
            _ if of.iter().any(|variant| variant.get("properties").is_some()) => variants(of, depth + 1),
            _ => union(of.iter().map(|schema| kind(schema, depth)).collect()),
        });
    }
    if parts.is_empty() || schema.get("properties").is_some() {
        parts.insert(0, plain(schema, depth));
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => parts.iter().map(|part| bracketed(part)).collect::<Vec<_>>().join(" & "),
    }
}

/// Alternatives with their descriptions, each on lines of its own.
fn variants(of: &[Value], depth: usize) -> String {
    let mut variants = String::new();
    for variant in of {
        variants.push('\n');
        comment(&mut variants, variant, depth);
        write!(variants, "{}| {}", "  ".repeat(depth), kind(variant, depth)).ok();
    }
    variants
}

fn plain(schema: &Value, depth: usize) -> String {
    match &schema["type"] {
        Value::Array(types) => {
            union(types.iter().filter_map(Value::as_str).map(|kind| named(kind, schema, depth)).collect())
        }
        Value::String(kind) => named(kind, schema, depth),
        _ if schema.get("properties").is_some() => object(schema, depth),
        _ => "unknown".to_owned(),
    }
}

fn named(name: &str, schema: &Value, depth: usize) -> String {
    match name {
        "integer" | "number" => "number".to_owned(),
        "array" => match schema["prefixItems"].as_array() {
            Some(items) => {
                let items: Vec<_> = items.iter().map(|item| kind(item, depth)).collect();
                format!("[{}]", items.join(", "))
            }
            None => format!("{}[]", bracketed(&kind(&schema["items"], depth))),
        },
        "object" => object(schema, depth),
        other => other.to_owned(),
    }
}

fn object(schema: &Value, depth: usize) -> String {
    let mut object = String::from("{\n");
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name));
    let indent = "  ".repeat(depth + 1);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        comment(&mut object, field, depth + 1);
        let mark = if required(name) { "" } else { "?" };
        let simple = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if simple { name.clone() } else { format!("{name:?}") };
        writeln!(object, "{indent}{name}{mark}: {};", kind(field, depth + 1)).ok();
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(_)) | None => {}
        Some(values) => _ = writeln!(object, "{indent}[key: string]: {};", kind(values, depth + 1)),
    }
    if object == "{\n" {
        let closed = schema["additionalProperties"] == false;
        return if closed { "Record<string, never>".to_owned() } else { "Record<string, unknown>".to_owned() };
    }
    object + &"  ".repeat(depth) + "}"
}

fn union(mut of: Vec<String>) -> String {
    of.dedup();
    of.join(" | ")
}

fn bracketed(kind: &str) -> String {
    if kind.contains("| ") || kind.contains(" & ") { format!("({kind})") } else { kind.to_owned() }
}

fn comment(to: &mut String, schema: &Value, depth: usize) {
    let Some(text) = schema["description"].as_str() else { return };
    let indent = "  ".repeat(depth);
    // A comment must not end early.
    let text = text.replace("*/", "* /");
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(line), None) => _ = writeln!(to, "{indent}/** {line} */"),
        _ => {
            writeln!(to, "{indent}/**").ok();
            for line in text.lines() {
                writeln!(to, "{}", format!("{indent} * {line}").trim_end()).ok();
            }
            writeln!(to, "{indent} */").ok();
        }
    }
}

const COMBINED: [&str; 3] = ["oneOf", "anyOf", "allOf"];
const HEADER: &str = "// Generated by `tresen schema --typescript`. Do not edit.\n\n";
