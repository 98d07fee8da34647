//! One JSON schema of all commands, replies, events, errors and messages, from which the [reference](markdown()) and the
//! [types of other languages](typescript()) come. JSON Schema 2020-12.

mod closed;
mod devices;
mod markdown;
mod messages;
mod names;
mod text;
mod typescript;

use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use tresen_hal::Error;

use super::{Command, PROTOCOL, ROWS};
use crate::Event;

pub use markdown::markdown;
pub use typescript::typescript;

/// The schema of everything that crosses:
///
/// ```json
/// {"protocol": 1,
///  "commands": {"terminal.pay": {"title": …, "description": …, "right": "pay", "changes": true, "waits": false,
///                                "with": {…}, "reply": {…}}, …},
///  "event": {"$ref": "#/$defs/Event"}, "error": {"$ref": "#/$defs/Error"},
///  "messages": {"client": {…}, "till": {…}, "requests": {"follow": {"description": …, "with": {…}, "reply": {…}}, …},
///               "devices": {"client": {…}, "till": {…}, "calls": {"printer": {"print": {"description": …, "with": {…}, "reply": {…}}, …}, …}}},
///  "$defs": {…}}
/// ```
/// `with` says what a client may send, `reply` what the till sends. A request takes no other fields than those described,
/// at any depth; whoever reads what the till sends ignores fields that he does not know. A type that differs between the two
/// has two definitions; the name of that which is sent to the till ends in `Input`.
///
/// `devices` are the messages about devices that a client offers to the till. There the till calls, and the client replies;
/// the name of a definition of what the client says ends in `FromDevice` where it differs.
pub fn schema() -> Value {
    described(true)
}

/// The schema. Unless it is `closed`, only the top level of requests says that it takes no other fields: people and types
/// of TypeScript need one definition only for types that do not differ otherwise.
fn described(closed: bool) -> Value {
    let mut generators = Generators::new();
    let mut rows: Vec<_> = ROWS.iter().map(|row| (&row.info, (row.describe)(&mut generators))).collect();
    rows.sort_by_key(|(info, _)| info.name);
    let event = generators.told.subschema_for::<Event>().to_value();
    let error = generators.told.subschema_for::<Error>().to_value();
    let messages = messages::messages(&mut generators);
    let devices = devices::devices(&mut generators);
    let mut told = generators.told.take_definitions(false);
    let mut taken = generators.taken.take_definitions(false);
    if closed {
        closed::close_all(&mut taken);
        rows.iter_mut().for_each(|(_, description)| closed::close(&mut description.with));
    }
    let taken = names::Taken::new(taken, &told, "Input");
    let offered = names::Taken::new(generators.offered.take_definitions(false), &told, "FromDevice");
    let mut commands = Map::new();
    for (info, Description { mut with, reply }) in rows {
        taken.rename(&mut with);
        text::tidy(&mut with);
        let description = with.as_object_mut().and_then(|with| with.remove("description")).unwrap_or_default();
        let description = description.as_str().unwrap_or_default();
        let title = description.split_once(". ").map_or(description, |(title, _)| title);
        let title = title.trim_end_matches('.');
        let command = json!({
            "title": title,
            "description": description,
            "right": info.right,
            "changes": info.changes,
            "waits": info.waits,
            "with": with,
            "reply": reply,
        });
        commands.insert(info.name.to_owned(), command);
    }
    let mut messages = messages.into_value(&taken);
    messages["devices"] = devices.into_value(&offered);
    taken.merge_into(&mut told);
    offered.merge_into(&mut told);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The commands, replies, events, errors and messages of tresen",
        "protocol": PROTOCOL,
        "commands": commands,
        "event": event,
        "error": error,
        "messages": messages,
        "$defs": told,
    });
    text::tidy(&mut schema);
    schema
}

/// What is sent to the till, and what the till sends: a field with a default may be left out of the former and is
/// always there in the latter.
pub(super) struct Generators {
    /// Requests, which are read strictly.
    taken: SchemaGenerator,
    told: SchemaGenerator,
    /// What clients say of devices of their own, which is read leniently.
    offered: SchemaGenerator,
}

impl Generators {
    fn new() -> Self {
        let by = |contract: Contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.contract = contract;
                settings.meta_schema = None;
            });
            settings.into_generator()
        };
        Self { taken: by(Contract::Deserialize), told: by(Contract::Serialize), offered: by(Contract::Deserialize) }
    }
}

/// A command's fields and its reply.
pub(super) struct Description {
    with: Value,
    reply: Value,
}

/// Describes a command.
pub(super) fn describe<C>(generators: &mut Generators) -> Description
where
    C: Command + JsonSchema,
    C::Reply: JsonSchema,
{
    let with: Schema = C::json_schema(&mut generators.taken);
    Description { with: with.to_value(), reply: generators.told.subschema_for::<C::Reply>().to_value() }
}

/// The definitions by name; those of a schema.
fn definitions(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["$defs"].as_object().into_iter().flatten()
}

/// The name that a `$ref` names.
fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(DEFINITIONS)
}

const DEFINITIONS: &str = "#/$defs/";

#[cfg(test)]
mod tests;
