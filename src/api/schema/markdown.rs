//! The schema as a reference for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::{definitions, referred, typescript};

/// The reference of all commands, replies, events and errors: `docs/commands.md`.
pub fn markdown() -> String {
    let schema = super::described(false);
    let mut page = String::from(HEADER);
    let commands: Vec<_> = schema["commands"].as_object().into_iter().flatten().collect();
    let mut class = "";
    for (name, command) in &commands {
        let of = name.split('.').next().unwrap_or_default();
        if of != class {
            class = of;
            let names = commands.iter().filter(|(name, _)| name.split('.').next() == Some(class));
            let names: Vec<_> = names.map(|(name, _)| format!("[`{name}`](#{})", anchor(name))).collect();
            write!(page, "\n## {class}\n\n{}\n", names.join(" · ")).ok();
        }
        self::command(&mut page, name, command);
    }
    requests(&mut page, &schema["messages"]["requests"]);
    device_calls(&mut page, &schema["messages"]["devices"]["calls"]);
    page.push_str(TYPES);
    for (name, definition) in definitions(&schema) {
        write!(page, "\n### {name}\n\n").ok();
        if let Some(text) = definition["description"].as_str() {
            write!(page, "{text}\n\n").ok();
        }
        body(&mut page, definition);
    }
    page
}

fn command(page: &mut String, name: &str, command: &Value) {
    write!(page, "\n### {name}\n\n{}\n\n", command["description"].as_str().unwrap_or_default()).ok();
    write!(page, "Right: `{}`.", command["right"].as_str().unwrap_or_default()).ok();
    if command["changes"] == true {
        page.push_str(" Changes something: needs a key.");
    }
    if command["waits"] == true {
        page.push_str(" Only waits: ends with the connection.");
    }
    page.push_str("\n\n");
    fields(page, &command["with"]);
    writeln!(page, "Reply: {}", kind(&command["reply"])).ok();
}

/// The requests that are no commands as a table.
fn requests(page: &mut String, requests: &Value) {
    page.push_str(CONNECTION);
    for (name, request) in requests.as_object().into_iter().flatten() {
        let text = request["description"].as_str().unwrap_or_default();
        writeln!(page, "| `{name}` | {} | {} | {text} |", kind(&request["with"]), kind(&request["reply"])).ok();
    }
}

/// The calls to devices of clients as a table.
fn device_calls(page: &mut String, classes: &Value) {
    page.push_str(DEVICES);
    for (class, calls) in classes.as_object().into_iter().flatten() {
        for (name, call) in calls.as_object().into_iter().flatten() {
            let text = call["description"].as_str().unwrap_or_default();
            let (with, reply) = (kind(&call["with"]), kind(&call["reply"]));
            writeln!(page, "| {class} | `{name}` | {with} | {reply} | {text} |").ok();
        }
    }
}

/// What a definition consists of.
fn body(page: &mut String, schema: &Value) {
    fields(page, schema);
    for key in ["oneOf", "anyOf"] {
        let Some(variants) = schema[key].as_array() else { continue };
        for variant in variants {
            let text = variant["description"].as_str().map(|text| format!(": {}", text.replace('\n', " ")));
            writeln!(page, "- {}{}", kind(variant), text.unwrap_or_default()).ok();
        }
    }
    if schema.get("properties").is_none() && schema.get("oneOf").is_none() && schema.get("anyOf").is_none() {
        writeln!(page, "{}", kind(schema)).ok();
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        writeln!(page, "\nPattern: `{pattern}`").ok();
    }
}

/// The fields of an object as a table.
fn fields(page: &mut String, schema: &Value) {
    let Some(fields) = schema["properties"].as_object().filter(|fields| !fields.is_empty()) else { return };
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name));
    page.push_str("| field | type | |\n|---|---|---|\n");
    for (name, field) in fields {
        let optional = if required(name) { "" } else { " *(optional)*" };
        let text = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        writeln!(page, "| `{name}`{optional} | {} | {text} |", kind(field).replace('|', "\\|")).ok();
    }
    page.push('\n');
}

/// A type, with links to those that have a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        let link = format!("[{name}](#{})", anchor(name));
        let Some(fields) = schema["properties"].as_object() else { return link };
        let fields: Vec<_> = fields.iter().map(|(name, field)| format!("`{name}`: {}", kind(field))).collect();
        return format!("{{ {}, and the fields of {link} }}", fields.join(", "));
    }
    for key in ["oneOf", "anyOf"] {
        let Some(of) = schema[key].as_array().filter(|_| schema.get("properties").is_none()) else { continue };
        return of.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if schema["type"] == "array" && schema.get("prefixItems").is_none() {
        return format!("list of {}", kind(&schema["items"]));
    }
    if schema["type"] == "object" {
        let Some(fields) = schema["properties"].as_object() else {
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            return values.map_or("`{}`".to_owned(), |values| format!("map of {}", kind(values)));
        };
        let fields: Vec<_> = fields.iter().map(|(name, field)| format!("`{name}`: {}", kind(field))).collect();
        return format!("{{ {} }}", fields.join(", "));
    }
    let (text, format) = (typescript::kind(schema, 0), &schema["format"]);
    match (text.as_str(), format.as_str()) {
        ("null", _) => "nothing (`null`)".to_owned(),
        ("string", Some("date-time")) => "time (RFC 3339)".to_owned(),
        ("number", _) if schema["type"] == "integer" => "integer".to_owned(),
        ("unknown", _) => "anything".to_owned(),
        (text, _) if text.starts_with('"') => {
            text.split(" | ").map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or ")
        }
        (text, _) => text.replace(" | null", " or `null`"),
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    kept.collect::<String>().to_lowercase()
}

const HEADER: &str = "<!-- Generated by `tresen schema --markdown`. Do not edit. -->
# Commands

All that a till can be asked, over its socket, over the network and from JavaScript. A request over the network is a message such as
`{\"id\":1,\"key\":\"a-17\",\"command\":\"terminal.pay\",\"with\":{\"terminal\":\"counter\",\"amount\":\"12.50 EUR\"}}`. On the local
socket there is no `key` beside `command`; it stands in `with`. The answer
is `{\"id\":1,\"reply\":…}` or `{\"id\":1,\"error\":…}` with an [Error](#error). `follow` replies with a
[Snapshot](#snapshot) and then sends `{\"event\":…}` with each [Event](#event). All messages are [ClientMessage](#clientmessage)
and [TillMessage](#tillmessage).

A field that is not *optional* must be there, and an unknown field is refused. *Right* is what a caller over the network
needs, for the device that the command names or without limit to devices. A command that changes something needs a key
over the network: the same key with the same content is done once. The till remembers it for 10 minutes, and for good where the
command has a field of its own for it (`key` or `id`), which it fills.
";
const CONNECTION: &str = "
## Requests of the connection

They are asked as commands are, over a WebSocket, and need no key.

| `command` | `with` | `reply` | |
|---|---|---|---|
";
const DEVICES: &str = "
## Devices of clients

A client with the right `attach` offers devices of its own by a [HandheldMessage](#handheldmessage), and is called by an
[AttachMessage](#attachmessage): `{\"ask\":{\"id\":1,\"device\":{\"class\":\"printer\",\"name\":\"belt\"},\"call\":\"print\",\"with\":{…}}}`.
Its answer is `{\"answer\":{\"id\":1,\"reply\":…}}` or `{\"answer\":{\"id\":1,\"error\":…}}`. Fields that either side does not know are
ignored. `docs/remote.md` has a dialogue.

| class | `call` | `with` | `reply` | |
|---|---|---|---|---|
";
const TYPES: &str = "\n## Types\n";
