//! The schema from which other languages generate their messages, and what crosses compared with it.

use std::collections::BTreeMap;
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

/// What crosses one connection of a client that offers devices: each message, and what the calls have with them and reply.
#[derive(Default)]
pub(crate) struct Dialogue {
    /// Class and name of the calls that are not answered.
    asked: BTreeMap<u64, (String, String)>,
}

impl Dialogue {
    /// Checks a message of the client.
    #[track_caller]
    pub(crate) fn client_says(&mut self, message: &Value) {
        valid(&CLIENT, message);
        let answer = &message["answer"];
        let Some((class, call)) = answer["id"].as_u64().and_then(|id| self.asked.remove(&id)) else { return };
        if let Some(reply) = answer.get("reply") {
            fits(&class, &call, "reply", reply);
        }
    }

    /// Checks a message of the till.
    #[track_caller]
    pub(crate) fn till_says(&mut self, message: &Value) {
        valid(&TILL, message);
        let ask = &message["ask"];
        let named = |value: &Value| value.as_str().map(str::to_owned);
        if let (Some(id), Some(class), Some(call)) =
            (ask["id"].as_u64(), named(&ask["device"]["class"]), named(&ask["call"]))
        {
            fits(&class, &call, "with", &ask["with"]);
            self.asked.insert(id, (class, call));
        }
    }
}

/// Checks the fields of a call to a device, or its reply.
#[track_caller]
pub(crate) fn fits(class: &str, call: &str, what: &str, value: &Value) {
    valid(&part(&format!("/messages/devices/calls/{class}/{call}/{what}")), value);
}

pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(api::schema);
static CLIENT: LazyLock<Validator> = LazyLock::new(|| part("/messages/client"));
static TILL: LazyLock<Validator> = LazyLock::new(|| part("/messages/till"));
