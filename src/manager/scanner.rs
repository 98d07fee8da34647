//! The scanner handle: the next scan.

use std::time::Duration;

use tresen_hal::{BoxFuture, Result};
use tresen_scanners::{Capabilities, Scan};

use super::device::{Common, Device, DeviceClass, Setup, Shared};
use super::owner::{Hooks, LossReason};
use super::scans::{self, Scans};
use super::state::DeviceCapabilities;
use super::{AnyScanner, Terms};
use crate::class::Class;
use crate::event::EventKind;

/// A barcode scanner by its logical name. Clones are cheap and share the scans: each scan goes to one of the callers
/// waiting in [`Scanner::next`]. To receive every scan, listen to the till's events.
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
    fn lost(&self, reason: LossReason<'_>) {
        self.common().lost(reason);
    }
}

impl Device<Scanners> {
    /// How long a scan stays queued for [`Scanner::next`]: 120 s. Older ones are dropped, with an event if scans have
    /// been taken before, so that a till that starts reading late does not sell an old basket.
    pub const KEEP: Duration = scans::KEEP;
    /// How many scans stay queued for [`Scanner::next`]: the newest 64.
    pub const WAITING: usize = scans::WAITING;
    /// Time limit of [`Scanner::set_enabled`], [`Scanner::beep`] and [`Scanner::trigger`]: 5 s.
    pub const ANSWER: Duration = Duration::from_secs(5);

    /// The next scan, in the order they were made; each is handed out once. Waits for it as long as it takes, also while
    /// the scanner is away or is replaced.
    ///
    /// Scans go to the holder of the scanner's lease, or else to its [listener](crate::lease), which a named caller
    /// becomes with the first call. Whoever else asks is refused at once, and a caller who is waiting is refused as soon
    /// as another one gets the scans: lease the scanner to have them, or queue for it.
    ///
    /// Cancel-safe: dropping the future loses no scan.
    ///
    /// # Errors
    /// No scan was taken: they go to somebody else ([`Kind::Busy`](crate::Kind::Busy); the error says who), or the
    /// caller's own lease has ended ([`Kind::Cancelled`](crate::Kind::Cancelled)).
    pub async fn next(&self) -> Result<Scan> {
        self.shared.next(&self.gate()).await
    }

    /// Drops queued scans, for example when a new basket begins, and returns their number: 0 while another caller gets
    /// the scans.
    pub fn discard(&self) -> usize {
        self.shared.discard(&self.gate())
    }

    /// Tells of a scan that was lost before it got here: [`EventKind::ScanLost`](crate::EventKind::ScanLost). For drivers
    /// that carry scans over a network.
    pub fn lost(&self, scan: Scan) {
        self.shared.common().reporter.publish(EventKind::ScanLost(Box::new(scan)));
    }

    /// Enables or disables scanning.
    ///
    /// # Errors
    /// It cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn set_enabled(&self, enabled: bool) -> Result<()> {
        let terms = Terms::normal("a setting", Self::ANSWER);
        self.ask(terms, move |driver| driver.set_enabled(enabled)).await
    }

    /// Beeps for a good or a bad scan, for example for an article that is not for sale.
    ///
    /// # Errors
    /// It does not support beeping, cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn beep(&self, good: bool) -> Result<()> {
        self.ask(Terms::urgent("a beep", Self::ANSWER), move |driver| driver.beep(good)).await
    }

    /// Presses or releases its trigger, for scanners that read on command.
    ///
    /// # Errors
    /// It does not support triggering, cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn trigger(&self, on: bool) -> Result<()> {
        self.ask(Terms::urgent("its trigger", Self::ANSWER), move |driver| driver.trigger(on)).await
    }

    /// Its capabilities; `None` until first connected, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self.shared.common().capabilities() {
            Some(DeviceCapabilities::Scanner(capabilities)) => Some(capabilities),
            _ => None,
        }
    }
}
