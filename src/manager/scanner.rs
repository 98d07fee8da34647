//! Scanners as a vendor sees them: the next scan.

use std::time::Duration;

use tresen_hal::{BoxFuture, Result};
use tresen_scanners::{Capabilities, Scan};

use super::device::{Common, Device, DeviceClass, Setup, Shared};
use super::owner::{Gone, Hooks};
use super::scans::{self, Scans};
use super::state::DeviceCapabilities;
use super::{AnyScanner, Terms};
use crate::class::Class;

/// A barcode scanner by its logical name. Clones are cheap and share the scans: each scan goes to one of those who
/// wait in [`Scanner::next`]. Who wants to hear every scan listens to the till's events.
pub type Scanner = Device<Scanners>;

/// Barcode scanners.
#[derive(Debug, Clone, Copy)]
pub struct Scanners;

impl DeviceClass for Scanners {
    const CLASS: Class = Class::Scanner;
    type Driver = AnyScanner;
    type Shared = Scans;
}

impl Shared<AnyScanner> for Scans {
    fn new(setup: Setup) -> Self {
        Self::new(setup.common)
    }
    fn common(&self) -> &Common {
        Scans::common(self)
    }
}

impl Hooks<AnyScanner> for Scans {
    fn opened<'a>(&'a self, driver: &'a mut AnyScanner, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        let capabilities = DeviceCapabilities::Scanner(driver.capabilities().clone());
        self.common().found(address, Some(capabilities));
        Box::pin(async { Ok(None) })
    }
    fn connected(&self, _driver: &mut AnyScanner, address: &str) {
        self.common().reporter.connected(address);
    }
    fn event(&self, scan: Scan) {
        self.scanned(scan);
    }
    fn gone(&self, how: Gone<'_>) {
        self.common().gone(how);
    }
}

impl Device<Scanners> {
    /// How long a scan waits for [`Scanner::next`]: 120 s. Older ones are dropped, with an event if anyone took
    /// scans before: a till that begins to read late does not sell an old basket.
    pub const KEEP: Duration = scans::KEEP;
    /// How many scans wait for [`Scanner::next`]: the newest 64.
    pub const WAITING: usize = scans::WAITING;
    /// How long [`Scanner::set_enabled`] and its kin take at most: 5 s.
    pub const ANSWER: Duration = Duration::from_secs(5);

    /// The next scan, in the order in which they were made; each is handed out once.
    ///
    /// Cancel-safe: a dropped future loses no scan.
    pub async fn next(&self) -> Scan {
        self.shared.next().await
    }

    /// Drops the scans that wait, say when a new basket begins; how many there were.
    pub fn discard(&self) -> usize {
        self.shared.discard()
    }

    /// Lets it scan, or not.
    ///
    /// # Errors
    /// It cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn set_enabled(&self, enabled: bool) -> Result<()> {
        let terms = Terms::normal("a setting", Self::ANSWER);
        self.owned.ask(terms, move |driver| driver.set_enabled(enabled)).await
    }

    /// Beeps as for a good or a bad scan: say, for an article that is not for sale.
    ///
    /// # Errors
    /// It cannot beep on command, cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn beep(&self, good: bool) -> Result<()> {
        self.owned.ask(Terms::urgent("a beep", Self::ANSWER), move |driver| driver.beep(good)).await
    }

    /// Presses or releases its trigger, for scanners that read on command.
    ///
    /// # Errors
    /// It has no trigger that can be commanded, cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn trigger(&self, on: bool) -> Result<()> {
        self.owned.ask(Terms::urgent("its trigger", Self::ANSWER), move |driver| driver.trigger(on)).await
    }

    /// What it can do; none until it was reached for the first time, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self.shared.common().capabilities() {
            Some(DeviceCapabilities::Scanner(capabilities)) => Some(capabilities),
            _ => None,
        }
    }
}
