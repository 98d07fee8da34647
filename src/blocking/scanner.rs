//! Barcode scanners.

use std::time::Duration;

use tresen_hal::Result;
use tresen_scanners::{Capabilities, Scan};

use super::On;
use crate::api::scanner;
use crate::class::DeviceId;
use crate::manager::{DeviceState, Phase};

/// A scanner, as [`crate::Scanner`].
#[derive(Clone)]
pub struct Scanner(pub(super) On<crate::Scanner>);

impl Scanner {
    /// Its logical name.
    pub fn name(&self) -> &str {
        self.0.inner.name()
    }

    /// Its class and name.
    pub fn id(&self) -> DeviceId {
        self.0.inner.id()
    }

    /// Everything known about it without a query.
    pub fn state(&self) -> DeviceState {
        self.0.inner.state()
    }

    /// The same scanner for calls on behalf of `caller`.
    #[must_use]
    pub fn on_behalf_of(&self, caller: &str) -> Self {
        Self(self.0.on_behalf_of(caller, self.0.inner.on_behalf_of(caller)))
    }

    /// The next scan, or `None` after `within` (at most a day) or if the scanner was detached.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.ask(scanner::Next { scanner: self.scanner(), within: Some(within) }).ok().flatten()
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

    /// The current state of the scanner.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Reopens the scanner at once.
    ///
    /// # Errors
    /// The till was closed.
    pub fn reset(&self) -> Result<()> {
        self.0.wait(self.0.inner.reset())
    }

    fn scanner(&self) -> String {
        self.name().to_owned()
    }
}
