//! Scanners as a vendor sees them: the next scan.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Address, Clock, Result};
use tresen_scanners::Scan;

use super::owner::Opener;
use super::scans::Scans;
use super::{AnyScanner, Bus, Phase, Ring, open_scanner};

const ANSWER: Duration = Duration::from_secs(5);

/// A barcode scanner by its logical name. Clones are cheap and share the scans.
#[derive(Clone)]
pub struct Scanner(Scans<AnyScanner>);

impl Scanner {
    pub(crate) fn start(name: &str, addresses: Vec<Address>, clock: Arc<dyn Clock>, bus: Bus) -> Self {
        let (addresses, label) = (Arc::new(addresses), name.to_owned());
        let opener: Opener<AnyScanner> = Arc::new(move || {
            let (addresses, name, clock) = (addresses.clone(), label.clone(), clock.clone());
            Box::pin(async move {
                super::open::first(&addresses, |a| Box::pin(open_scanner(a, &name, clock.clone()))).await
            })
        });
        Self(Scans::start(name, opener, bus))
    }

    /// The next scan, in the order in which they were made; each is handed out once.
    ///
    /// Cancel-safe: a dropped future loses no scan.
    pub async fn next(&self) -> Scan {
        self.0.next().await
    }

    /// Lets it scan, or not.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn set_enabled(&self, enabled: bool) -> Result<()> {
        self.0.owned.ask(ANSWER, move |driver| driver.set_enabled(enabled)).await
    }

    pub(crate) fn ring(&self) -> Ring {
        self.0.owned.ring()
    }

    /// Tries it again at once if it is away, also if its driver was given up as faulted; an open link
    /// is closed and opened anew.
    ///
    /// # Errors
    /// The till has ended.
    pub async fn reset(&self) -> Result<()> {
        self.0.owned.reset().await
    }

    /// Where the scanner stands; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.0.owned.phase()
    }
}
