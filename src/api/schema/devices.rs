//! The messages about devices of a client, which it offers to the till: described only, as those of [`messages`](super::messages).
//! They are read and written by the crate `tresen-remote`, whose module `attach` says what survives what.
//!
//! What a client says here is read leniently: fields that are unknown are ignored, so that a client of a later version can
//! offer its devices too.

#![expect(dead_code, reason = "described, never built")]

use std::borrow::Cow;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use tresen_cameras::PixelFormat;
use tresen_hal::{Amount, Error};
use tresen_payment::{
    Answer, Card, EndOfDay, OperationKind, Payment, Progress, Question, Reference, TerminalStatus, Totals,
};
use tresen_printers::{DrawerPin, Identity, Job, Proof, Status};
use tresen_scanners::Scan;

use super::{DEFINITIONS, Generators, names};
use crate::DeviceId;

/// What the schema says of these messages; refers to definitions of `generators`.
pub(super) fn devices(generators: &mut Generators) -> Devices {
    let client = generators.offered.subschema_for::<HandheldMessage>().to_value();
    let till = generators.told.subschema_for::<AttachMessage>().to_value();
    let mut calls = Vec::new();
    let printer = &mut |name, description, call| calls.push(("printer", name, description, call));
    printer("status", "The printer's status.", call::<(), Status>(generators));
    printer("identity", "What the printer reports about itself.", call::<(), Identity>(generators));
    let print = "Prints a job, once under each key. The answer may take minutes: the till waits for 10 min.";
    printer("print", print, call::<PrintAttempt, PrintEnd>(generators));
    printer("kick-drawer", "Opens a drawer, also while a job is printed.", call::<DrawerKick, ()>(generators));
    for (name, description) in [
        ("set-enabled", "Enables or disables the scanner."),
        ("beep", "Beeps: a good or a bad sound."),
        ("trigger", "Presses or releases the trigger."),
    ] {
        calls.push(("scanner", name, description, call::<ScannerSwitch, ()>(generators)));
    }
    let frame = "The camera's next frame, or the present one if the till does not have it, within 20 s.";
    calls.push(("camera", "frame", frame, call::<FrameAfter, Picture>(generators)));
    let terminal = &mut |name, description, call| calls.push(("terminal", name, description, call));
    terminal("status", "The terminal's status.", call::<(), TerminalStatus>(generators));
    let transact = "Runs an operation; one that moves or holds money once under each key. It is journalled before the \
                    terminal is asked. The till waits for 15 min.";
    terminal("transact", transact, call::<Transact, Transacted>(generators));
    let find = "How a transaction stands. The till asks after the connection was lost.";
    terminal("find", find, call::<TransactionKey, Found>(generators));
    let abort = "Aborts a running transaction; whether one is running.";
    terminal("abort", abort, call::<TransactionKey, bool>(generators));
    terminal("answer", "Answers a question of the terminal.", call::<QuestionReply, ()>(generators));
    Devices { client, till, calls }
}

/// Schemas of these messages.
pub(super) struct Devices {
    client: Value,
    till: Value,
    /// By class and name, with a description.
    calls: Vec<(&'static str, &'static str, &'static str, Call)>,
}

impl Devices {
    /// As they stand in the schema. `offered` are the definitions of what the client says.
    pub(super) fn into_value(mut self, offered: &names::Taken) -> Value {
        offered.rename(&mut self.client);
        let mut classes = Map::new();
        for (class, name, description, Call { with, mut reply }) in self.calls {
            offered.rename(&mut reply);
            let call = json!({ "description": description, "with": with, "reply": reply });
            classes.entry(class).or_insert_with(|| json!({}))[name] = call;
        }
        json!({ "client": self.client, "till": self.till, "calls": classes })
    }
}

/// What the till sends with a call, and what the client replies.
struct Call {
    with: Value,
    reply: Value,
}

fn call<W: JsonSchema, R: JsonSchema>(generators: &mut Generators) -> Call {
    Call {
        with: generators.told.subschema_for::<W>().to_value(),
        reply: generators.offered.subschema_for::<R>().to_value(),
    }
}

/// [`HandheldMessage`] within what is read strictly, where it stays as it is.
pub(super) struct OfHandheld;

impl JsonSchema for OfHandheld {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OfHandheld".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": format!("{DEFINITIONS}{}", HandheldMessage::schema_name()) })
    }
}

/// A message of a client about devices of its own, which it offers to the till. It needs the right `attach`. Unknown
/// fields are ignored.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum HandheldMessage {
    /// All devices that the client has. It is sent first, and again after each change; each offer is answered by
    /// `attached`.
    Offer(DeviceOffer),
    /// The answer to an `ask`. Each is answered once, in any order.
    Answer(DeviceAnswer),
    /// What a device tells unasked. At most 64 KiB.
    Notice(DeviceNotice),
    /// A device is away until it is offered again. At most 64 KiB.
    Gone(DeviceGone),
}

/// A message of the till about devices of the client itself.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(super) enum AttachMessage {
    /// A call to a device.
    Ask(DeviceAsk),
    /// A scan was taken: it is not to be sent again.
    Taken(ScanNumber),
    /// A scan was not taken, and will not be, because 64 are waiting at the till.
    Lost(ScanNumber),
    /// The answer to an offer; offers that follow each other quickly have one answer.
    Attached {
        /// Each device of the offer that can be used now.
        devices: Vec<AttachedDevice>,
    },
    /// Another connection of the same client has taken over: nothing is taken from this one any more.
    Replaced {
        /// The `run` of the other one.
        by: String,
    },
}

/// All devices that a client has. A device of an earlier offer that is not named is taken away from the till. At most 16 in
/// `devices` and `away` together, each once.
#[derive(JsonSchema)]
struct DeviceOffer {
    /// The id of this run of the client's program, chosen by it, of 1 to 64 bytes: another one each time it starts. What it
    /// remembers of print jobs and scans is valid as long as it is the same.
    run: String,
    /// The devices that can be used now.
    devices: Vec<OfferedDevice>,
    /// Those that it has and that cannot be used now.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    away: Vec<DeviceId>,
}

/// A device that is offered. The till names it by the client's name for it, a dot and the suffix of the client's station:
/// `belt.7`.
#[derive(JsonSchema)]
#[schemars(tag = "class", rename_all = "kebab-case")]
enum OfferedDevice {
    /// A printer.
    Printer {
        /// Its name at the client, of 1 to 64 bytes without control characters.
        name: String,
        /// What it can do.
        capabilities: tresen_printers::Capabilities,
    },
    /// A scanner.
    Scanner {
        /// Its name at the client, of 1 to 64 bytes without control characters.
        name: String,
        /// What it can do.
        capabilities: tresen_scanners::Capabilities,
    },
    /// A camera.
    Camera {
        /// Its name at the client, of 1 to 64 bytes without control characters.
        name: String,
        /// What it delivers.
        capabilities: tresen_cameras::Capabilities,
    },
    /// A payment terminal.
    Terminal {
        /// Its name at the client, of 1 to 64 bytes without control characters.
        name: String,
        /// What it can do.
        capabilities: tresen_payment::Capabilities,
        /// The id of the database in which the client journals its payments: another one if that was lost or restored from a
        /// backup. That it does not know a payment proves something only if it is the same as when the payment was sent.
        journal: String,
    },
}

/// What became of an offered device.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum AttachedDevice {
    /// The till has it.
    Named {
        /// The device, as the client names it.
        device: DeviceId,
        /// Its name at the till: `belt.7`.
        r#as: String,
    },
    /// The till does not take it.
    Refused {
        /// The device, as the client names it.
        device: DeviceId,
        /// Why. After `busy` it may be offered again in 15 s.
        refused: Error,
    },
}

/// A call to a device of the client. `messages.devices.calls` of the schema says what there is.
#[derive(JsonSchema)]
pub(super) struct DeviceAsk {
    /// The till's number for it on this connection.
    id: u64,
    /// The device, as the client names it.
    device: DeviceId,
    /// The call's name.
    call: String,
    /// The call's fields; left out if it has none.
    #[schemars(default, skip_serializing_if = "Value::is_null")]
    with: Value,
}

/// The answer to a call. Without `reply` and `error` it counts as a reply of `null`.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum DeviceAnswer {
    /// It was done.
    Reply {
        /// The number of the `ask`.
        id: u64,
        /// What the call replies.
        reply: Value,
    },
    /// It was not done, or not completely.
    Error {
        /// The number of the `ask`.
        id: u64,
        /// What went wrong. With the effect `none` the till takes it that nothing was printed and no money has moved.
        error: Error,
    },
}

/// What a device tells unasked.
#[derive(JsonSchema)]
struct DeviceNotice {
    /// The device, as the client names it.
    device: DeviceId,
    /// What it tells.
    event: DeviceTold,
}

/// What devices tell unasked. The till cuts texts to 1,000 bytes.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum DeviceTold {
    /// A printer's status has changed.
    Status(Status),
    /// A scanner has read a code. It is sent again over the next connection to the same `run` of the till unless it was
    /// `taken` or `lost`; at most 64 that are neither.
    Scan {
        /// The scan's number: grows within a run of the client.
        number: u64,
        /// What was read.
        scan: Scan,
    },
    /// A scan that the client could not keep for the till.
    ScanLost(Scan),
    /// A text of a terminal for the cashier.
    Notice(String),
    /// A transaction has made progress.
    Progress {
        /// The key of the transaction, as the till named it.
        key: String,
        /// What has happened.
        progress: Progress,
    },
    /// A running transaction asks something; the till may answer with the call `answer`.
    Question {
        /// The key of the transaction, as the till named it.
        key: String,
        /// The question's id, chosen by the client.
        id: String,
        /// The question.
        question: Question,
    },
    /// A question is not open any more.
    Withdrawn {
        /// The question's id.
        id: String,
    },
}

/// A device is away.
#[derive(JsonSchema)]
struct DeviceGone {
    /// The device, as the client names it.
    device: DeviceId,
    /// Why, in words; the till cuts it to 1,000 bytes.
    why: String,
}

/// A scan by its number.
#[derive(JsonSchema)]
pub(super) struct ScanNumber {
    /// The scanner, as the client names it.
    device: DeviceId,
    /// The scan's number.
    number: u64,
}

/// The fields of `print`.
#[derive(JsonSchema)]
struct PrintAttempt {
    /// The attempt's key, of 1 to 128 bytes. The client remembers how its last 200 attempts ended: the same key does not
    /// print again.
    key: String,
    /// What to print.
    job: Job,
}

/// How a print attempt ended.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum PrintEnd {
    /// It is on paper, as the printer confirmed.
    Printed(Proof),
    /// The printer took all of it, and cannot confirm more.
    Accepted,
    /// All, some or none of it is on paper, and why that is not known. A person decides.
    Unknown(Error),
    /// Not printed, or not completely.
    Failed {
        /// Why.
        error: Error,
        /// Nothing was printed: the till may print it again, also elsewhere.
        safe_to_retry: bool,
    },
}

/// The fields of `kick-drawer`.
#[derive(JsonSchema)]
struct DrawerKick {
    /// Which drawer.
    pin: DrawerPin,
}

/// The fields of a scanner's calls.
#[derive(JsonSchema)]
struct ScannerSwitch {
    /// `set-enabled`: enabled. `beep`: the good sound. `trigger`: pressed.
    on: bool,
}

/// The fields of `frame`.
#[derive(JsonSchema)]
struct FrameAfter {
    /// The number of the last frame that the till has; left out if it has none.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

/// A frame of a camera.
#[derive(JsonSchema)]
struct Picture {
    /// How its bytes are laid out: `mjpeg` or `grey8`.
    format: PixelFormat,
    /// Pixels in a row.
    width: u32,
    /// Rows.
    height: u32,
    /// Its number in the camera's stream: another one for each frame.
    number: u64,
    /// A stored picture, not what is there now.
    #[schemars(default, skip_serializing_if = "std::ops::Not::not")]
    still: bool,
    /// Its bytes in base64, at most 716,800 before that.
    data: String,
}

/// The fields of `transact`.
#[derive(JsonSchema)]
struct Transact {
    /// What kind of operation.
    operation: OperationKind,
    /// The key of one that moves or holds money: the same key is the same transaction.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Its amount.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
    /// The earlier transaction that it concerns: of a reversal, increment, booking, release or tip.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    of: Option<Reference>,
    /// The product of a top-up.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// The text to be shown.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// For how long it is shown, or a card is waited for, in ISO 8601: `PT30S`.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    within: Option<SignedDuration>,
    /// What is asked at the terminal.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    question: Option<Question>,
}

/// How an operation ended.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Transacted {
    /// Of what moves or holds money.
    Payment(Payment),
    /// Of `read-card`: a card was read.
    Card(Card),
    /// Of `input`: what was entered.
    Answer(Answer),
    /// Of `reprint`: a receipt, line by line.
    Receipt(Vec<String>),
    /// Of `totals`: the turnover.
    Totals(Totals),
    /// Of `end-of-day`: the day is closed.
    Day(EndOfDay),
    /// Of any other operation: it is done; the lines of what the terminal printed about it.
    Done(Vec<String>),
}

/// The fields of `find` and `abort`.
#[derive(JsonSchema)]
struct TransactionKey {
    /// The key of the transaction, as the till named it.
    key: String,
}

/// How a transaction stands at the client.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Found {
    /// Its journal has no such key, and nothing runs under it: no money has moved, and none will.
    Never,
    /// It runs, or waits for its turn.
    Running,
    /// It was begun, and how it ended is not known yet.
    Open {
        /// What is known, in words.
        why: String,
        /// The terminal was asked and could not tell.
        asked: bool,
    },
    /// It has ended.
    Ended(Payment),
}

/// The fields of `answer`.
#[derive(JsonSchema)]
struct QuestionReply {
    /// The question's id, as the client named it.
    question: String,
    /// The answer.
    answer: Answer,
}
