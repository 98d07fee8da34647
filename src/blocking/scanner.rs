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

    /// All that is known of it without asking it.
    pub fn state(&self) -> DeviceState {
        self.0.inner.state()
    }

    /// The same scanner for calls on behalf of `caller`.
    #[must_use]
    pub fn on_behalf_of(&self, caller: &str) -> Self {
        Self(self.0.on_behalf_of(caller, self.0.inner.on_behalf_of(caller)))
    }

    /// The next scan, or none within `within`; a day is the longest. None as well if the scanner was detached.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.ask(scanner::Next { scanner: self.scanner(), within: Some(within) }).ok().flatten()
    }

    /// Drops the scans that wait; how many there were.
    pub fn discard(&self) -> usize {
        self.0.inner.discard()
    }

    /// Lets it scan, or not.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn set_enabled(&self, enabled: bool) -> Result<()> {
        self.0.ask(scanner::SetEnabled { scanner: self.scanner(), enabled })
    }

    /// Beeps as for a good or a bad scan.
    ///
    /// # Errors
    /// It cannot be reached, or cannot beep on command.
    pub fn beep(&self, good: bool) -> Result<()> {
        self.0.ask(scanner::Beep { scanner: self.scanner(), good })
    }

    /// Presses or releases its trigger.
    ///
    /// # Errors
    /// It cannot be reached, or has no trigger that can be commanded.
    pub fn trigger(&self, on: bool) -> Result<()> {
        self.0.ask(scanner::Trigger { scanner: self.scanner(), on })
    }

    /// What the scanner can do; none until it was reached for the first time.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.0.inner.capabilities()
    }

    /// The state of the scanner now.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Opens the scanner anew at once.
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
