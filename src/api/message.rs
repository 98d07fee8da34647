//! Requests and what answers them, as the local socket and the till as a server write them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tresen_hal::{Error, Kind};

use super::strict;
use crate::event::Event;
use crate::lease;

/// A request, as a caller writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RequestMessage"))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The caller's number for it, repeated in the answer.
    pub id: u64,
    /// The command's name.
    pub command: String,
    /// The command's fields.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub with: Value,
    /// On whose behalf: [`Tresen::on_behalf_of`](crate::Tresen::on_behalf_of). Callers over the network do not choose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The leases that the call depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<lease::Key>,
    /// The idempotency key of a call over the network. The local socket has none: its commands have keys of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Request {
    /// A request without caller, leases and key.
    pub fn new(id: u64, command: impl Into<String>, with: Value) -> Self {
        Self { id, command: command.into(), with, caller: None, leases: Vec::new(), key: None }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Kind::Input`] with the request's id, if it has one: not JSON, a field that is missing or unknown, another type.
    pub fn decode(text: &[u8]) -> Result<Self, (Option<u64>, Error)> {
        let wrong = |error: &dyn std::fmt::Display| Error::new(Kind::Input, format!("not a request: {error}"));
        let mut value: Value = serde_json::from_slice(text).map_err(|error| (None, wrong(&error)))?;
        let id = value["id"].as_u64();
        // `null` means no fields, and is not written again: read strictly, `with` would look unknown.
        if let Some(fields) = value.as_object_mut()
            && fields.get("with").is_some_and(Value::is_null)
        {
            fields.remove("with");
        }
        strict::read(&value).map_err(|error| (id, wrong(&error)))
    }
}

/// What the till sends.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Message<'a> {
    /// The first line on the local socket.
    Greeting {
        /// The version of this crate.
        tresen: &'a str,
        /// The version of the protocol.
        protocol: u32,
        /// The till's id.
        till: &'a str,
        /// The till's name.
        name: &'a str,
    },
    /// The reply to a request.
    Reply {
        /// The request's number.
        id: u64,
        /// The command's reply.
        reply: &'a Value,
    },
    /// The error of a request, or one that ends the connection.
    Error {
        /// The request's number, if the error belongs to one.
        id: Option<u64>,
        /// What went wrong.
        error: &'a Error,
    },
    /// An event, for those who follow.
    Event {
        /// The event.
        event: &'a Event,
    },
}

impl<'a> Message<'a> {
    /// The answer to request `id`.
    pub fn answer(id: u64, done: &'a tresen_hal::Result<Value>) -> Self {
        match done {
            Ok(reply) => Self::Reply { id, reply },
            Err(error) => Self::Error { id: Some(id), error },
        }
    }
}
