//! Scanners as a vendor sees them: the next scan.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Address, Clock, Result};
use tresen_scanners::Capabilities;
use tresen_scanners::Scan;

use super::hotplug::Waker;
use super::owner::Opener;
use super::scans::{self, Scans};
use super::state::{DeviceCapabilities, DeviceState};
use super::{AnyScanner, Phase, Terms};
use crate::event::{Bus, Class};

/// A barcode scanner by its logical name. Clones are cheap and share the scans: each scan goes to one of those who
/// wait in [`Scanner::next`]. Who wants to hear every scan listens to the till's events.
#[derive(Clone)]
pub struct Scanner(Scans<AnyScanner>);

impl Scanner {
    /// How long a scan waits for [`Scanner::next`]: 120 s. Older ones are dropped, with an event if anyone took
    /// scans before: a till that begins to read late does not sell an old basket.
    pub const KEEP: Duration = scans::KEEP;
    /// How many scans wait for [`Scanner::next`]: the newest 64.
    pub const WAITING: usize = scans::WAITING;
    /// How long [`Scanner::set_enabled`] and its kin take at most: 5 s.
    pub const ANSWER: Duration = Duration::from_secs(5);

    pub(crate) fn start(name: &str, addresses: Vec<Address>, clock: Arc<dyn Clock>, bus: Bus) -> Self {
        let (addresses, label, time) = (Arc::new(addresses), name.to_owned(), clock.clone());
        let opener: Opener<AnyScanner> = Arc::new(move || {
            let (addresses, name, clock) = (addresses.clone(), label.clone(), time.clone());
            Box::pin(async move {
                let open = |a| super::open::open_scanner(a, &name, clock.clone());
                super::open::first(&addresses, |a| Box::pin(open(a))).await
            })
        });
        let describe = |driver: &AnyScanner| Some(DeviceCapabilities::Scanner(driver.capabilities().clone()));
        Self(Scans::start(Class::Scanner, name, opener, describe, clock, bus))
    }

    /// The next scan, in the order in which they were made; each is handed out once.
    ///
    /// Cancel-safe: a dropped future loses no scan.
    pub async fn next(&self) -> Scan {
        self.0.next().await
    }

    /// Drops the scans that wait, say when a new basket begins; how many there were.
    pub fn discard(&self) -> usize {
        self.0.discard()
    }

    /// Lets it scan, or not.
    ///
    /// # Errors
    /// It cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn set_enabled(&self, enabled: bool) -> Result<()> {
        let terms = Terms::normal("a setting", Self::ANSWER);
        self.0.owned.ask(terms, move |driver| driver.set_enabled(enabled)).await
    }

    /// Beeps as for a good or a bad scan: say, for an article that is not for sale.
    ///
    /// # Errors
    /// It cannot beep on command, cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn beep(&self, good: bool) -> Result<()> {
        self.0.owned.ask(Terms::urgent("a beep", Self::ANSWER), move |driver| driver.beep(good)).await
    }

    /// Presses or releases its trigger, for scanners that read on command.
    ///
    /// # Errors
    /// It has no trigger that can be commanded, cannot be reached, or does not answer within [`Scanner::ANSWER`].
    pub async fn trigger(&self, on: bool) -> Result<()> {
        self.0.owned.ask(Terms::urgent("its trigger", Self::ANSWER), move |driver| driver.trigger(on)).await
    }

    /// What it can do; none until it was reached for the first time, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self.0.capabilities() {
            Some(DeviceCapabilities::Scanner(capabilities)) => Some(capabilities),
            _ => None,
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        self.0.waker()
    }

    pub(crate) fn state(&self) -> DeviceState {
        self.0.state()
    }

    pub(crate) async fn close(&self, deadline: tokio::time::Instant) {
        self.0.owned.close(deadline).await;
    }

    /// Opens it anew at once: if it is away, if its driver was given up as faulted, and if a call hangs.
    ///
    /// # Errors
    /// The till was closed.
    pub async fn reset(&self) -> Result<()> {
        self.0.owned.reset()
    }

    /// The state of the scanner; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.0.phase()
    }
}
