//! The health of a till as values.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_printers::Paper;

use super::activity::{CallHealth, ClockOffset, PastError};
use super::alerts::ActiveAlert;
use super::time::{micros, millis};
use crate::manager::DeviceState;
use crate::spool::OverduePaper;
use crate::sync::SyncStatus;

/// The health of a till and its devices at one moment: [`Tresen::health`](crate::Tresen::health).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Health {
    /// When it was looked at.
    pub at: Timestamp,
    /// The till.
    pub till: TillHealth,
    /// The devices, by class and name.
    pub devices: Vec<DeviceHealth>,
    /// What a person should know of, oldest first.
    pub alerts: Vec<ActiveAlert>,
    /// Paper that has waited longer than its route's `warn-after`, by job.
    pub overdue: Vec<OverduePaper>,
}

/// The health of the till itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TillHealth {
    /// Its name in the configuration.
    pub name: String,
    /// The version of this library.
    pub version: String,
    /// The id of its process.
    pub process: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// For how long it has been open.
    #[serde(rename = "uptime_ms", with = "millis")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub uptime: Duration,
    /// The database and its disk.
    pub store: StoreHealth,
    /// What a server has still to receive; `None` without one.
    pub outbox: Option<OutboxHealth>,
}

/// The print jobs of a route that are not done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QueueHealth {
    /// The route, or the printer that is its own route.
    pub route: String,
    /// Jobs that wait for a printer.
    pub waiting: u64,
    /// When the oldest of them was queued.
    pub oldest: Option<Timestamp>,
    /// Jobs that are being printed.
    pub printing: u64,
    /// Jobs that may be on paper or cannot be read: a person decides.
    pub parked: u64,
}

/// The payments of a terminal that are not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OpenPayments {
    /// The terminal.
    pub terminal: String,
    /// Their number.
    pub open: u64,
    /// When the oldest was journalled.
    pub oldest: Timestamp,
}

/// The database, what waits in it, and its disk: [`Store::health`](crate::Store::health). A size that is `None` is not
/// known. Writes are counted from the opening of this database by this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StoreHealth {
    /// Where it is.
    pub path: PathBuf,
    /// The size of the file and its log, in bytes.
    pub bytes: Option<u64>,
    /// The space left for it, in bytes.
    pub disk_free: Option<u64>,
    /// The size of its disk, in bytes.
    pub disk_total: Option<u64>,
    /// For about how many sales that is enough: by the average of the stored ones, or 16 KiB each.
    pub sales_left: Option<u64>,
    /// Writes.
    pub writes: u64,
    /// How long they took up to the disk, on average. In JSON microseconds, like those below.
    #[serde(rename = "mean_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub mean: Duration,
    /// What half of them did not exceed.
    #[serde(rename = "p50_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub p50: Duration,
    /// What 99 % of them did not exceed.
    #[serde(rename = "p99_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub p99: Duration,
    /// The longest.
    #[serde(rename = "max_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub max: Duration,
    /// Writes that failed.
    pub failed: u64,
    /// When the last one failed, and why.
    pub last_failure: Option<(Timestamp, String)>,
    /// The routes with jobs that are not done, by name; of a till, all its routes.
    pub queues: Vec<QueueHealth>,
    /// The terminals with payments that are not decided, by name. A payment that is being served counts.
    pub payments: Vec<OpenPayments>,
    /// Open sales.
    pub open_sales: u64,
    /// When the oldest of them was opened.
    pub oldest_sale: Option<Timestamp>,
    /// Why queues, payments and sales could not be read just now; then they are empty.
    pub error: Option<String>,
}

/// Journal entries on their way to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutboxHealth {
    /// The mode, and how far the server is behind.
    #[serde(flatten)]
    pub status: SyncStatus,
    /// When the oldest entry that the server does not have was written.
    pub oldest: Option<Timestamp>,
    /// When the server last acknowledged an entry.
    pub acknowledged_at: Option<Timestamp>,
    /// The server's clock.
    pub clock: Option<ClockOffset>,
}

/// The health of one device. Numbers count from the opening of the till; a reload keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeviceHealth {
    /// Its state.
    #[serde(flatten)]
    pub state: DeviceState,
    /// Since when it is connected; `None` if it is not.
    pub connected_since: Option<Timestamp>,
    /// How often it was connected again after a loss.
    pub reconnects: u64,
    /// How often opening it was tried.
    pub attempts: u64,
    /// Its last errors, oldest first; at most eight different ones.
    pub errors: Vec<PastError>,
    /// Its calls by kind.
    pub calls: Vec<CallHealth>,
    /// Calls that wait for their turn.
    pub waiting: u64,
    /// For a printer: jobs that it printed.
    pub printed: u64,
    /// For a printer: jobs that may be on paper.
    pub parked: u64,
    /// For a printer: its paper, as it last said.
    pub paper: Option<Paper>,
    /// For a scanner or camera: codes that it read.
    pub scans: u64,
    /// When it read the last one.
    pub last_scan: Option<Timestamp>,
    /// For a terminal: its clock, as it said with its last approval.
    pub clock: Option<ClockOffset>,
}
