//! What a vendor codes against: any barcode scanner.

use tresen_hal::{BoxFuture, Driver, Result};

use crate::scan::Scan;

/// A barcode scanner, whatever its protocol and link. Its events are its scans.
pub trait Scanner: Driver<Event = Scan> {
    /// What this scanner can do.
    fn capabilities(&self) -> &Capabilities;

    /// Lets it scan, or not.
    ///
    /// # Errors
    /// The scanner cannot be told, or the link is lost.
    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>>;

    /// Beeps as for a good or a bad scan.
    ///
    /// # Errors
    /// The scanner cannot be told, or the link is lost.
    fn beep(&mut self, good: bool) -> BoxFuture<'_, Result<()>>;

    /// Presses or releases the trigger; many scanners release it by themselves after a read.
    ///
    /// # Errors
    /// The scanner cannot be told ([`tresen_hal::Kind::Unsupported`]), or the link is lost.
    fn trigger(&mut self, on: bool) -> BoxFuture<'_, Result<()>>;
}

/// What a scanner can be told to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// It can be enabled and disabled; where it cannot, the driver drops scans while disabled.
    pub enable: bool,
    /// It can beep on command.
    pub beep: bool,
    /// Its trigger can be pressed on command.
    pub trigger: bool,
    /// It says which symbology it read.
    pub symbology: bool,
}
