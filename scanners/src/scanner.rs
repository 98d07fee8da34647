//! What a vendor codes against: any barcode scanner.

use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Driver, Known, Result};

use crate::scan::{AimSource, Scan};

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

/// What a scanner can do, and be told to do.
///
/// A command that it does not have fails with [`tresen_hal::Kind::Unsupported`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// It can be enabled and disabled; where it cannot, the driver drops scans while disabled.
    pub enable: Known,
    /// It can beep on command.
    pub beep: Known,
    /// Its trigger can be pressed on command.
    pub trigger: Known,
    /// It says which symbology it read. Unknown for a scanner that may be set up to do so, until it has once.
    pub symbology: Known,
}

impl Capabilities {
    /// Learns from a scan.
    pub(crate) fn saw(&mut self, scan: &Scan) {
        if scan.aim.is_some_and(|aim| aim.source == AimSource::Reported) {
            self.symbology = Known::Yes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_survive_json() {
        let capabilities = Capabilities { beep: Known::Yes, enable: Known::No, ..Capabilities::default() };
        let json = serde_json::to_string(&capabilities).expect("prints");
        assert_eq!(json, r#"{"enable":"no","beep":"yes","trigger":"unknown","symbology":"unknown"}"#);
        assert_eq!(serde_json::from_str::<Capabilities>(&json).expect("reads"), capabilities);
    }
}
