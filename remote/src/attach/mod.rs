//! Devices of others: what a handheld offers appears at the till as a device like any other.
//!
//! A handheld is a program with a [`Tresen`](tresen::Tresen) of its own. It connects to the till, as any client does, with
//! the right `attach`, and offers printers, scanners, cameras and terminals ([`Offer`]). The till attaches each under the
//! handheld's name for it, a dot and the suffix of its station (`belt.7`; [`name`]), with spool, routes, leases and events
//! ([`Hub`]). Calls cross the connection as messages about the device, not as its bytes: the driver runs at the handheld.
//!
//! # Messages
//! They share the WebSocket with requests and events ([`crate::wire`]); `→` is from the handheld to the till. The schema
//! (`tresen::api::schema`) describes each of their fields, and tests compare it with what crosses:
//!
//! ```text
//! → {"offer":{"run":"0199…","devices":[{"class":"printer","name":"belt","capabilities":{…}}],"away":[{"class":…}]}}
//! ← {"attached":{"devices":[{"device":{"class":"printer","name":"belt"},"as":"belt.7"}]}}
//! ← {"ask":{"id":7,"device":{"class":"printer","name":"belt"},"call":"print","with":{…}}}
//! → {"answer":{"id":7,"reply":…}}
//! → {"answer":{"id":7,"error":{…}}}
//! → {"notice":{"device":{…},"event":{"status":{…}}}}
//! ← {"taken":{"device":{…},"number":12}}
//! ← {"lost":{"device":{…},"number":77}}
//! → {"gone":{"device":{…},"why":"out of reach"}}
//! ← {"replaced":{"by":"0199…"}}
//! ```
//! - `offer` names all devices that the handheld has: those that can be used now, and those that are `away`. `run` is the
//!   id of this run of the handheld's program. A device of an earlier offer that it leaves out is taken away from the till:
//!   a running call has [`LAST`] to end, its lease runs out, its paper waits or goes where its route says, and a payment
//!   stays open until it is offered again. A device that the till's configuration expects (`from`) stays, away.
//! - An offer is answered by `attached`, which has `refused`, an error, instead of `as` for a device that the till does not
//!   take; offers that follow each other quickly have one answer. What was refused as `busy` may be offered again soon. A
//!   terminal also has `journal`, the id of the database in which the handheld journals its payments.
//! - `ask` is a call to a device. Each is answered once, in any order, by its `id`; ids are those of one connection.
//! - `gone` says that a device is away; another offer brings it back. A handheld that is lost is away with all its devices.
//! - Numbered scans are sent until they are `taken`, or `lost` because more than [`SCANS`] waited at the till. A handheld
//!   sends no more than [`SCANS`] that are neither.
//! - A handheld has one connection. With a second one the till tells the first that it is `replaced`, closes nothing, and
//!   takes no more from it. A run that was replaced by another run is refused with `replaced` from then on.
//!
//! | class | `call` | `with` | reply |
//! |---|---|---|---|
//! | printer | `status` | | [`Status`](tresen::printers::Status) |
//! | | `identity` | | [`Identity`](tresen::printers::Identity) |
//! | | `print` | `{"key":…,"job":`[`Job`](tresen::printers::Job)`}` | [`wire::Printed`] |
//! | | `kick-drawer` | `{"pin":"two"}` | `null` |
//! | scanner | `set-enabled`, `beep`, `trigger` | `{"on":true}` | `null` |
//! | camera | `frame` | `{"after":17}` | [`wire::Picture`]: the first whose number is another |
//! | terminal | `status` | | [`TerminalStatus`](tresen::payment::TerminalStatus) |
//! | | `transact` | [`wire::Transact`] | [`wire::Transacted`] |
//! | | `find` | `{"key":…}` | [`wire::Found`] |
//! | | `abort` | `{"key":…}` | whether it was running |
//! | | `answer` | `{"question":…,"answer":…}` | `null` |
//!
//! | class | `event` of a notice |
//! |---|---|
//! | printer | `{"status":`[`Status`](tresen::printers::Status)`}` |
//! | scanner | `{"scan":{"number":12,"scan":`[`Scan`](tresen::Scan)`}}`, `{"scan-lost":`[`Scan`](tresen::Scan)`}` |
//! | terminal | `{"notice":"text"}`, `{"progress":{"key":…,"progress":…}}`, `{"question":{"key":…,"id":…,"question":…}}`, `{"withdrawn":{"id":…}}` |
//!
//! # What survives what
//! - **Paper.** The key of `print` names one attempt. The handheld knows the outcomes of its last [`REMEMBERED`] attempts:
//!   the same key does not print again. If the connection is lost while a job is being printed, the till asks again under
//!   the same key as soon as the same run of the handheld is back, for at most [`PATIENCE`]; otherwise the outcome is
//!   unknown.
//! - **Scans.** They have numbers that grow within a run of the handheld. Those that were not taken are sent again to the
//!   same run of the till, which takes each once. What was sent to an earlier run of the till may have been taken there and
//!   is dropped; what was never sent is kept for two minutes, and the last [`SCANS`] of it. Of the rest the till is told:
//!   its scanner has the event [`ScanLost`](tresen::EventKind::ScanLost).
//! - **Money.** The till journals the intent first, with the id of the handheld's journal; then the handheld journals it
//!   under `TILL/KEY` beside its terminal, and settles it with its terminal by itself. The same key is the same payment
//!   at both. If the connection is lost the payment is unknown, and the till asks for it (`find`) whenever the handheld is
//!   back: a handheld that has never heard of it, with the same journal, cannot get it any more, since it reads one
//!   connection only, in order; so it is not charged. Nothing that moves money is sent twice by the till.
//! - **Local use** of the devices goes on without the till, and beside it: both wait for their turn at the device.
//! - **Revocation** of a handheld takes its devices away, as if it offered none. Its name and those of its devices are free.
//!   Its open payments stay in the till's journal until a person settles them, or the terminal is offered again.
//!
//! Texts that the till shows (notices, reasons, errors) are cut to [`TEXT`] bytes, and a `notice` is limited to [`NOTICE`]:
//! they become events, which the till keeps and sends to all who follow.
//!
//! Left out: raw bytes to a printer outside a job, and the reset of a printer: the handheld does that itself.

mod bounds;
mod handheld;
mod till;
pub mod wire;

use std::time::Duration;

pub use bounds::{NOTICE, TEXT};
pub use handheld::{Offer, Port, Standing};
pub use till::{Attachment, Hub, name};

/// Maximum number of devices that a handheld offers.
pub const DEVICES: usize = 16;
/// Maximum number of devices that all handhelds of a till offer.
pub const ALL_DEVICES: usize = 512;
/// How long a running call of a device that is taken away may take: 10 s.
pub const LAST: Duration = Duration::from_secs(10);
/// How many outcomes of print attempts a handheld remembers.
pub const REMEMBERED: usize = 200;
/// How many scans wait at the till, and how many a handheld keeps for it besides.
pub const SCANS: usize = 64;
/// How long a print job waits for a handheld that was lost while it printed: 30 s.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum length of a device's name at the handheld, in bytes.
pub const NAME: usize = 64;
