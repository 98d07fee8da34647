//! The messages that carry commands, as the network and the local socket write them. The types are described here only;
//! those that are read and written stand in [`message`](super::super::message) and in the crate `tresen-remote`, whose
//! tests compare what crosses with this schema.

#![expect(dead_code, reason = "described, never built")]

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use tresen_hal::Error;

use super::devices::{AttachMessage, OfHandheld};
use super::{Generators, names};
use crate::api::{FOLLOW, Request};
use crate::{Event, Snapshot};

/// What the schema says of messages; refers to definitions of `generators`.
pub(super) fn messages(generators: &mut Generators) -> Messages {
    let boolean = json!({ "type": "boolean" });
    let Generators { taken, told, .. } = generators;
    let mut requests = Vec::new();
    let mut request = |name, description, with: Schema, reply: Value| {
        requests.push(ConnectionRequest { name, description, with: with.to_value(), reply });
    };
    let followed = told.subschema_for::<Followed>().to_value();
    request(FOLLOW, "Sends events from now on.", taken.subschema_for::<FollowFields>(), followed);
    let aborts = "Aborts the running call under a key of this caller; whether one is running.";
    request("abort", aborts, taken.subschema_for::<AbortFields>(), boolean);
    let pings = "Shows that the connection lives; needs no right.";
    request("ping", pings, taken.subschema_for::<PingFields>(), json!({ "type": "null" }));
    let renews = "Renews the caller's token, or its certificate in the last third of its life.";
    let renewed = told.subschema_for::<Renewed>().to_value();
    request("session.renew", renews, taken.subschema_for::<RenewFields>(), renewed);
    Messages {
        client: taken.subschema_for::<ClientMessage>().to_value(),
        till: told.subschema_for::<TillMessage>().to_value(),
        requests,
    }
}

/// Schemas of messages.
pub(super) struct Messages {
    client: Value,
    till: Value,
    requests: Vec<ConnectionRequest>,
}

/// A request that is no command: it concerns the connection or its caller.
struct ConnectionRequest {
    name: &'static str,
    description: &'static str,
    with: Value,
    reply: Value,
}

impl Messages {
    /// As they stand in the schema.
    pub(super) fn into_value(mut self, taken: &names::Taken) -> Value {
        taken.rename(&mut self.client);
        let mut requests = Map::new();
        for ConnectionRequest { name, description, mut with, reply } in self.requests {
            taken.rename(&mut with);
            requests.insert(name.into(), json!({ "description": description, "with": with, "reply": reply }));
        }
        json!({ "client": self.client, "till": self.till, "requests": requests })
    }
}

/// A message of a client over the network: a text message of a WebSocket, with one JSON object.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum ClientMessage {
    /// The first one.
    Hello(HelloMessage),
    /// A request.
    Request(Box<Request>),
    /// About a device of the client itself.
    Device(OfHandheld),
}

/// The first message of a client, within 5 s.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HelloMessage {
    /// Its content.
    hello: Hello,
}

/// What the client speaks, and who it is.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Hello {
    /// The version of the protocol.
    protocol: u32,
    /// The token of a caller without a client certificate.
    token: Option<String>,
}

/// A message of the till.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum TillMessage {
    /// The answer to a hello.
    Welcome(Welcome),
    /// The first line of the local socket.
    Greeting(Greeting),
    /// The reply to a request.
    Reply(ReplyMessage),
    /// The error of a request; without `id` the last message before the till closes the connection.
    Error(ErrorMessage),
    /// An event, for those who follow.
    Event(EventMessage),
    /// Events that were left out.
    Missed(MissedMessage),
    /// About a device of the client itself, which it has offered.
    Device(AttachMessage),
    /// The connection is about to be closed.
    Closing(ClosingMessage),
}

/// The till's answer to a hello.
#[derive(JsonSchema)]
struct Welcome {
    /// The version of the till's software.
    tresen: String,
    /// The version of the protocol.
    protocol: u32,
    /// The till's id.
    till: String,
    /// The till's name.
    name: String,
    /// The id of this run of the server: numbers of events are valid as long as it is the same.
    run: String,
    /// The caller's name.
    you: String,
    /// What the caller may do: `watch print:bar,kitchen`.
    rights: String,
    /// When the caller has to prove again who it is; absent if never.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// The first line of the local socket.
#[derive(JsonSchema)]
struct Greeting {
    /// The version of the till's software.
    tresen: String,
    /// The version of the protocol.
    protocol: u32,
    /// The till's id.
    till: String,
    /// The till's name.
    name: String,
}

/// The reply to a request.
#[derive(JsonSchema)]
struct ReplyMessage {
    /// The request's number.
    id: u64,
    /// What the command replies.
    reply: Value,
}

/// An error.
#[derive(JsonSchema)]
struct ErrorMessage {
    /// The request's number; `null` if the error belongs to none.
    id: Option<u64>,
    /// What went wrong.
    error: Error,
}

/// An event.
#[derive(JsonSchema)]
struct EventMessage {
    /// The event.
    event: Event,
}

/// Events were left out, because the client reads too slowly.
#[derive(JsonSchema)]
struct MissedMessage {
    /// Which ones.
    missed: MissedEvents,
}

/// Events that are not sent, by their numbers.
#[derive(JsonSchema)]
struct MissedEvents {
    /// The first.
    from: u64,
    /// The last.
    to: u64,
}

/// The connection is about to be closed.
#[derive(JsonSchema)]
struct ClosingMessage {
    /// The circumstances.
    closing: Closing,
}

/// Why the till ends a connection.
#[derive(JsonSchema)]
struct Closing {
    /// The reason.
    why: String,
}

/// The fields of `follow`: over the network, what was seen before.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct FollowFields {
    /// The number of the last event seen.
    since: Option<u64>,
    /// The run of the server in which it was seen.
    run: Option<String>,
}

/// The reply to `follow`.
#[derive(JsonSchema)]
struct Followed {
    /// The devices, and the number of the last event before that.
    #[schemars(flatten)]
    snapshot: Snapshot,
    /// Events after `since` that are not sent again, because the till does not have them any more.
    missed: Option<MissedEvents>,
}

/// The fields of `abort`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AbortFields {
    /// The key of the running call.
    key: String,
}

/// The fields of `ping`: none.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PingFields {}

/// The fields of `session.renew`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RenewFields {
    /// A request for a certificate of the same key (PKCS #10, PEM); absent where a token is renewed.
    request: Option<String>,
}

/// What was renewed.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Renewed {
    /// A token: the earlier one is good until its own end, or until this one is first presented.
    Token(RenewedToken),
    /// A certificate: the earlier one is good for a week more.
    Certificate(RenewedCertificate),
}

/// A new token.
#[derive(JsonSchema)]
struct RenewedToken {
    /// The token.
    token: String,
    /// When it ends.
    expires: Timestamp,
}

/// A new certificate.
#[derive(JsonSchema)]
struct RenewedCertificate {
    /// The certificate (X.509, PEM).
    certificate: String,
    /// When it ends.
    expires: Timestamp,
}
