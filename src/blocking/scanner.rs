//! Barcode scanners.

use std::time::Duration;

use tresen_hal::Result;
use tresen_scanners::{Capabilities, Scan};

use super::Device;
use crate::api::scanner;
use crate::manager::Scanners;

/// A scanner, as [`crate::Scanner`].
pub type Scanner = Device<Scanners>;

impl Device<Scanners> {
    /// The next scan, or `None` after `within` (at most a day).
    ///
    /// # Errors
    /// As [`crate::Scanner::next`]; or the scanner was detached.
    pub fn next(&self, within: Duration) -> Result<Option<Scan>> {
        self.0.ask(scanner::Next { scanner: self.scanner(), within: Some(within) })
    }

    /// Drops queued scans and returns their number.
    pub fn discard(&self) -> usize {
        self.0.inner.discard()
    }

    /// Enables or disables scanning.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn set_enabled(&self, enabled: bool) -> Result<()> {
        self.0.ask(scanner::SetEnabled { scanner: self.scanner(), enabled })
    }

    /// Beeps for a good or a bad scan.
    ///
    /// # Errors
    /// It cannot be reached, or does not support beeping.
    pub fn beep(&self, good: bool) -> Result<()> {
        self.0.ask(scanner::Beep { scanner: self.scanner(), good })
    }

    /// Presses or releases its trigger.
    ///
    /// # Errors
    /// It cannot be reached, or does not support triggering.
    pub fn trigger(&self, on: bool) -> Result<()> {
        self.0.ask(scanner::Trigger { scanner: self.scanner(), on })
    }

    /// The scanner's capabilities; `None` until first connected.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.0.inner.capabilities()
    }

    fn scanner(&self) -> String {
        self.name().to_owned()
    }
}
