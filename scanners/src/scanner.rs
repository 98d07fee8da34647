//! The trait of all barcode scanners.

use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Driver, Known, Result};

use crate::scan::{AimSource, Scan};

/// A barcode scanner, whatever its protocol and link. Its events are its scans.
pub trait Scanner: Driver<Event = Scan> {
    /// What this scanner can do.
    fn capabilities(&self) -> &Capabilities;

    /// Enables or disables scanning.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Unsupported`]: it has no such command. Or the link is lost.
    fn set_enabled(&mut self, enabled: bool) -> BoxFuture<'_, Result<()>>;

    /// Sounds the beep for a good or a bad scan.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Unsupported`]: it has no such command. Or the link is lost.
    fn beep(&mut self, good: bool) -> BoxFuture<'_, Result<()>>;

    /// Presses or releases the trigger; many scanners release it by themselves after a read.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Unsupported`]: it has no such command. Or the link is lost.
    fn trigger(&mut self, on: bool) -> BoxFuture<'_, Result<()>>;
}

/// What a scanner can do. A command that it lacks fails with [`tresen_hal::Kind::Unsupported`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ScannerDriver"))]
#[non_exhaustive]
pub struct Capabilities {
    /// It can be enabled and disabled. If not, the driver drops its scans while disabled.
    pub enable: Known,
    /// It can beep on command.
    pub beep: Known,
    /// Its trigger can be pressed on command.
    pub trigger: Known,
    /// It reports the symbology of its codes. Unknown until the first report, where that depends on its settings.
    pub symbology: Known,
}

impl Capabilities {
    /// Updates what a scan proves.
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
