//! The messages between a client and the till as a server. Sans-IO.
//!
//! Each message is one WebSocket text message with one JSON object. Requests, replies, errors and events are those of
//! the till's local socket ([`tresen::api`]); in addition:
//!
//! ```text
//! → {"hello":{"protocol":1,"token":"…"}}
//! ← {"tresen":"0.1.0","protocol":1,"till":"0198…","name":"Till 1","run":"0199…","you":"handheld 7","rights":"watch print:bar"}
//! → {"id":1,"key":"a-17","command":"terminal.pay","with":{…},"leases":[…]}
//! → {"id":4,"command":"follow","with":{"since":118,"run":"0199…"}}
//! ← {"id":4,"reply":{"seq":120,"devices":[…],"missed":{"from":119,"to":119}}}
//! ← {"event":{"seq":121,…}}
//! ← {"missed":{"from":122,"to":130}}
//! → {"id":5,"command":"abort","with":{"key":"a-17"}}
//! → {"id":6,"command":"ping"}
//! ← {"id":6,"reply":null}
//! ← {"closing":{"why":"the till stops"}}
//! ```
//! Messages about devices of the client itself are those of [`crate::attach`].
//!
//! - `hello` is the first message, within [`HELLO`]. `token` is for callers without a client certificate; a caller with
//!   both is refused.
//! - `key` identifies a call among those of its caller, over all its connections: see [`crate::session`]. A client that
//!   is enrolled anew under a name that was revoked is another caller.
//! - `follow` replies with the state of the devices and then sends each event. With `since` and `run`, the number of the
//!   last event seen and the `run` of that greeting, events after it come first; those that the till does not have any
//!   more are named by `missed`. Events about devices that the caller may not watch are left out.
//! - `abort` requests the transaction that runs under a key of this caller to abort, and replies whether one is running.
//!   Its outcome is the reply to its own request. A call that only waits ends, and consumes nothing.
//! - `ping` is for pages, which do not see the pings of the till: it needs no right, and tells that the link is alive.
//! - The till sends a ping every [`PING`] and ends a connection from which it has heard nothing for [`DEAD`]. It cuts off
//!   a caller that leaves a message unread for [`PATIENCE`](tresen::api::PATIENCE).
//! - An error without `id` is the last message; it explains the close code ([`Code`]).

mod answer;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tresen::Snapshot;
use tresen::api::{Grants, PROTOCOL, Request};
use tresen_hal::{Error, Kind};

use crate::attach::NOTICE;
use crate::attach::wire::FromHandheld;

pub use answer::Answer;

/// The first message of a client.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of the protocol: [`PROTOCOL`].
    pub protocol: u32,
    /// The token of a caller without a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Hello {
    /// Of this version, with a token or, over a client certificate, without.
    pub fn new(token: Option<String>) -> Self {
        Self { protocol: PROTOCOL, token }
    }
}

impl std::fmt::Debug for Hello {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// The till's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the till's software.
    pub tresen: String,
    /// The version of the protocol.
    pub protocol: u32,
    /// The till's id.
    pub till: String,
    /// The till's name.
    pub name: String,
    /// The id of this run of the server: keys and event numbers are valid as long as it is the same.
    pub run: String,
    /// The caller's name.
    pub you: String,
    /// What the caller may do.
    pub rights: Grants,
    /// When the caller has to prove again who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// The fields of `follow`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// The number of the last event seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The run of the server in which it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// The reply to `follow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// The devices, and the number of the last event before that.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Events after `since` that are not sent again, because the till does not have them any more. `None` if none are
    /// missing. An event of another run of the server counts as missed from number 0 on.
    #[serde(default)]
    pub missed: Option<Missed>,
}

/// Events that are not sent, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// The fields of `abort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// The key of the running call.
    pub key: String,
}

/// The fields of `ping`: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {}

/// Why the till ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The reason.
    pub why: String,
}

/// A message of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum FromClient {
    /// Its first.
    Hello(Hello),
    /// About a device of its own.
    Attach(Box<FromHandheld>),
    /// Any other.
    Request(Box<Request>),
}

impl FromClient {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Kind::Input`] with the request's id, if it has one.
    pub fn decode(text: &str) -> Result<Self, (Option<u64>, Error)> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct First {
            hello: Hello,
        }
        if FromHandheld::begins(text) {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let wrong =
                |error: &dyn std::fmt::Display| (None, Error::new(Kind::Input, format!("not a message: {error}")));
            let message =
                serde_path_to_error::deserialize::<_, FromHandheld>(&mut deserializer).map_err(|e| wrong(&e))?;
            deserializer.end().map_err(|e| wrong(&e))?;
            if text.len() > NOTICE && matches!(message, FromHandheld::Notice(_) | FromHandheld::Gone(_)) {
                let what = format!("a notice of a device is limited to {NOTICE} bytes; this one has {}", text.len());
                return Err((None, Error::new(Kind::Input, what)));
            }
            return Ok(Self::Attach(Box::new(message)));
        }
        // A request begins otherwise in all but hostile cases; then both readers report the same.
        if text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"hello\"")) {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            return match serde_path_to_error::deserialize::<_, First>(&mut deserializer) {
                Ok(First { hello }) => match deserializer.end() {
                    Ok(()) => Ok(Self::Hello(hello)),
                    Err(error) => Err((None, Error::new(Kind::Input, format!("not a hello: {error}")))),
                },
                // Without the value: it may contain a token.
                Err(error) => {
                    let what = format!("`hello` is wrong at `{}`", error.path());
                    Err((None, Error::new(Kind::Input, what).hint("expected {\"hello\":{\"protocol\":1}}")))
                }
            };
        }
        Request::decode(text.as_bytes()).map(|request| Self::Request(Box::new(request)))
    }
}

/// A message of the till that ends in a single field: `{"missed":{…}}`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Notice<'a> {
    /// The connection is about to be closed.
    Closing(&'a Closing),
    /// Events were left out, because the client reads too slowly.
    Missed(Missed),
}

/// How a connection is closed: RFC 6455, section 7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The till stops.
    GoingAway,
    /// What came is not a message.
    NotAMessage,
    /// The caller is not let in (any more).
    NotAllowed,
    /// A message is too long.
    TooLong,
    /// The caller has too many connections. 1013 is registered at the IANA as "Try Again Later".
    TryLater,
}

impl Code {
    /// The number.
    pub fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::NotAMessage => 1002,
            Self::NotAllowed => 1008,
            Self::TooLong => 1009,
            Self::TryLater => 1013,
        }
    }
}

/// A value as a message.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a message cannot be written as JSON");
        let error = Error::new(Kind::Protocol, "the message cannot be written as JSON").because(error);
        serde_json::json!({ "id": null, "error": error }).to_string()
    })
}

/// The fields of a command without data, or with defaults only.
pub(crate) fn fields<T: serde::de::DeserializeOwned + Default>(command: &str, with: Value) -> Result<T, Error> {
    if with.is_null() { Ok(T::default()) } else { required(command, with) }
}

/// The fields of a command.
pub(crate) fn required<T: serde::de::DeserializeOwned>(command: &str, with: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(with).map_err(|error| {
        let what = match error.path().to_string().as_str() {
            "." => format!("`{command}`: {}", error.inner()),
            field => format!("`{command}`: field `{field}`: {}", error.inner()),
        };
        Error::new(Kind::Input, what)
    })
}

/// The command that requests a call to abort.
pub const ABORT: &str = "abort";
/// The command that only is answered.
pub const ALIVE: &str = "ping";
/// Maximum length of a message of a client: 1 MiB.
pub const MESSAGE: usize = tresen::api::LINE;
/// Maximum length of the first message of a client: 16 KiB.
pub const FIRST: usize = 16 << 10;
/// Maximum length of a key, in bytes.
pub const KEY: usize = 128;
/// How long a client may take from connecting to its first message: 5 s.
pub const HELLO: Duration = Duration::from_secs(5);
/// How often the till sends a ping: every 10 s.
pub const PING: Duration = Duration::from_secs(10);
/// After how long without any frame a peer counts as gone: 25 s.
pub const DEAD: Duration = Duration::from_secs(25);
/// Maximum number of messages queued for a client.
pub const QUEUED: usize = 64;

#[cfg(test)]
mod tests;
