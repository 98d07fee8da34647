//! tresen drives the devices of a shop's counter: receipt printers, scanners, cameras, payment terminals, the drawer. A
//! POS links this crate, names its devices in a file, and gets a [`Tresen`].
//!
//! The crate itself is a thin core: configuration, one owner task per device, journal and spool in one SQLite file, and
//! the [`sale`] that combines them. It contains no protocol code; that is in the device crates, each usable on its own:
//! [`hal`], [`printers`], [`scanners`], [`cameras`], [`payment`].
//!
//! Guarantees:
//! - **Money.** A payment is [`Payment::Charged`], [`Payment::Partial`], [`Payment::NotCharged`] or
//!   [`Payment::Unknown`]. The intent is on disk before anything is sent; nothing that moves money is ever sent twice;
//!   open payments are settled when the terminal is back.
//! - **Paper.** A print is [`Print::Printed`] with its proof, [`Print::Accepted`], [`Print::Waiting`],
//!   [`Print::Unknown`] or one of a few rarer states. A job that may be on paper is not reprinted until a person decides
//!   so, and the reprint is marked as a copy.
//! - **Calls finish.** A hung device blocks only its own callers, and only for a bounded time. While a device is away,
//!   calls are refused at once; while it is opened, they wait within their own time limit.
//!
//! Without tokio, use [`blocking`]. Other programs on the same machine, in any language, can send commands to a running
//! till through its socket: [`api`].
//!
//! # Features
#![doc = document_features::document_features!()]
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod blocking;
mod builder;
pub mod capabilities;
mod class;
pub mod config;
mod drivers;
mod event;
pub mod export;
mod find;
pub mod health;
mod language;
pub mod lease;
mod manager;
pub mod probe;
mod registry;
pub mod remote;
pub mod sale;
mod spool;
mod store;
pub mod sync;
pub mod testing;
mod tresen;

pub use tresen_cameras as cameras;
pub use tresen_hal as hal;
pub use tresen_payment as payment;
pub use tresen_printers as printers;
pub use tresen_scanners as scanners;

pub use builder::Builder;
pub use capabilities::TillCapabilities;
pub use class::{Class, DeviceId};
pub use config::{Config, PaperKind};
pub use drivers::{Context, Drivers, Plan, Protocol};
pub use event::{Event, EventKind, Events, Source};
#[cfg(feature = "ble")]
pub use find::find_bluetooth;
#[cfg(feature = "mdns")]
pub use find::find_printers;
pub use manager::{
    Attention, Camera, CameraScans, Cameras, Device, DeviceCapabilities, DeviceClass, DeviceState, OpenQuestion, Phase,
    Printer, Printers, Scanner, Scanners, Terminal, Terminals,
};
pub use registry::{Offering, Reloaded};
pub use spool::{OverduePaper, Print, PrintJob};
pub use store::{
    AuditEnd, AuditEntry, AuditNote, Backup, BookingState, Extent, Hash, JobState, JournalEntry, Listing, NewClient,
    NewSession, NextJob, Origin, OutboxEntry, Parked, Progress, Pruned, Query, ReferencePage, ReferenceRow,
    ReferenceTable, RemoteClient, RemoteSession, Restored, SaleFilter, SaleNumber, SalePage, SaleState, SaleView,
    SpooledJob, Store, StoredBooking, StoredPayment, StoredTicket, Unreadable,
};
pub use tresen::{Snapshot, Tresen};
pub use tresen_hal::{
    Address, Amount, Clock, Currency, Effect, Error, Kind, Known, ManualClock, Result, Retry, Runtime, SystemClock,
    SystemRuntime,
};
pub use tresen_payment::Payment;
pub use tresen_printers::{Content, Receipt};
pub use tresen_scanners::Scan;

/// A new key for a payment or print job: globally unique, and sorted by time. A till generates keys from its own
/// runtime: [`Tresen::new_id`].
pub fn new_key() -> String {
    SystemRuntime::new().new_id()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
