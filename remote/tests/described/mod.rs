//! What crosses compared with the schema from which other languages generate their messages.

mod parts;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
pub(crate) use parts::*;
use serde_json::Value;

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

static CLIENT: LazyLock<Validator> = LazyLock::new(|| part("/messages/client"));
static TILL: LazyLock<Validator> = LazyLock::new(|| part("/messages/till"));
