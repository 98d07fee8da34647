//! What happens on the counter, as it happens.

use jiff::Timestamp;
use tresen_payment::{Progress, Settled};
use tresen_printers::Status;
use tresen_scanners::Scan;

/// Something that happened, and where.
///
/// Events are telemetry: a listener that is too slow loses the oldest. What must not be lost is in
/// the journal and the spool.
#[derive(Debug, Clone)]
pub struct Event {
    /// The device's logical name.
    pub device: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum What {
    /// The device is there and ready; its address as it was found.
    Connected {
        /// The address, without options.
        address: String,
    },
    /// The device cannot be reached, or went away; it is tried again.
    Disconnected {
        /// Why.
        why: String,
    },
    /// The driver failed too often; it is not tried again until its handle's `reset`.
    Faulted {
        /// Why.
        why: String,
    },
    /// The printer's status changed.
    Printer(Status),
    /// Something was scanned.
    Scanned(Box<Scan>),
    /// A scan was thrown away, because nobody took the ones before it.
    ScanLost(Box<Scan>),
    /// A transaction goes on.
    Payment(Progress),
    /// The terminal has something for the cashier.
    Notice(String),
    /// Recovery settled a payment that was open.
    Settled(Box<Settled>),
    /// Recovery failed; what is open stays open.
    Unsettled {
        /// Why.
        why: String,
    },
    /// A print job is on paper or was taken by the printer.
    Printed {
        /// The job.
        job: String,
        /// The printer it was meant for, if this is not it.
        instead_of: Option<String>,
    },
    /// A print job waits for a printer.
    PrintWaits {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// A print job may be on paper or not; a person decides.
    PrintUnknown {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
}
