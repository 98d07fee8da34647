//! Messages of the till, as a client reads them.

use serde::Deserialize;
use serde_json::Value;
use tresen::Event;
use tresen_hal::{Error, Kind, Result};

use super::{Closing, Missed, Welcome};
use crate::attach::wire::FromTill;

/// A message of the till.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The first.
    Welcome(Box<Welcome>),
    /// The reply to a request.
    Reply {
        /// The request's number.
        id: u64,
        /// The command's reply.
        reply: Value,
    },
    /// The error of a request.
    Error {
        /// The request's number.
        id: u64,
        /// What went wrong.
        error: Error,
    },
    /// An error that ends the connection.
    Fatal(Error),
    /// An event.
    Event(Box<Event>),
    /// Events that were left out.
    Missed(Missed),
    /// About a device of the client itself.
    Attach(Box<FromTill>),
    /// The connection is about to be closed.
    Closing(Closing),
}

impl Answer {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: this version does not understand it.
    pub fn decode(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            id: Option<u64>,
            #[serde(default, deserialize_with = "present")]
            reply: Option<Value>,
            #[serde(default)]
            error: Option<Error>,
            #[serde(default)]
            event: Option<Box<Event>>,
            #[serde(default)]
            missed: Option<Missed>,
            #[serde(default)]
            closing: Option<Closing>,
            #[serde(default)]
            run: Option<Value>,
            #[serde(default)]
            ask: Option<Value>,
            #[serde(default)]
            taken: Option<Value>,
            #[serde(default)]
            lost: Option<Value>,
            #[serde(default)]
            attached: Option<Value>,
            #[serde(default)]
            replaced: Option<Value>,
        }
        let unreadable = |error: serde_json::Error| {
            Error::new(Kind::Protocol, "the till's message cannot be read; is it another version?").because(error)
        };
        let fields: Fields = serde_json::from_str(text).map_err(unreadable)?;
        match fields {
            Fields { id: Some(id), reply: Some(reply), .. } => Ok(Self::Reply { id, reply }),
            Fields { id: Some(id), error: Some(error), .. } => Ok(Self::Error { id, error }),
            Fields { error: Some(error), .. } => Ok(Self::Fatal(error)),
            Fields { event: Some(event), .. } => Ok(Self::Event(event)),
            Fields { missed: Some(missed), .. } => Ok(Self::Missed(missed)),
            Fields { closing: Some(closing), .. } => Ok(Self::Closing(closing)),
            Fields { run: Some(_), .. } => serde_json::from_str(text).map(Self::Welcome).map_err(unreadable),
            Fields { ask: Some(_), .. }
            | Fields { taken: Some(_), .. }
            | Fields { lost: Some(_), .. }
            | Fields { attached: Some(_), .. }
            | Fields { replaced: Some(_), .. } => serde_json::from_str(text).map(Self::Attach).map_err(unreadable),
            _ => Err(Error::new(Kind::Protocol, "the till sent something that is no message")),
        }
    }
}

/// A field that is there, even if it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
