//! Scanners as a vendor sees them: the next scan.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tresen_hal::{Address, BoxFuture, Clock, Error, Result};
use tresen_scanners::Scan;

use super::owner::{Hooks, Opener};
use super::{AnyScanner, Bus, Owned, Phase, Teller, open_scanner, own};
use crate::event::What;

/// Scans that wait to be taken; a person with a scanner does not outrun this.
pub(super) const WAITING: usize = 64;
const ANSWER: Duration = Duration::from_secs(5);

/// A barcode scanner by its logical name. Clones are cheap and share the scans.
#[derive(Clone)]
pub struct Scanner {
    owned: Owned<AnyScanner>,
    scans: Arc<Mutex<mpsc::Receiver<Scan>>>,
}

impl Scanner {
    pub(crate) fn start(name: &str, addresses: Vec<Address>, clock: Arc<dyn Clock>, bus: Bus) -> Self {
        let (addresses, label) = (Arc::new(addresses), name.to_owned());
        let opener: Opener<AnyScanner> = Arc::new(move || {
            let (addresses, name, clock) = (addresses.clone(), label.clone(), clock.clone());
            Box::pin(async move {
                super::open::first(&addresses, |a| Box::pin(open_scanner(a, &name, clock.clone()))).await
            })
        });
        let (to, scans) = mpsc::channel(WAITING);
        let hooks = ScannerHooks { teller: Teller { name: name.to_owned(), bus }, to };
        Self { owned: own(name, opener, Arc::new(hooks)), scans: Arc::new(Mutex::new(scans)) }
    }

    /// The next scan, in the order in which they were made; each is handed out once.
    ///
    /// Cancel-safe: a dropped future loses no scan.
    pub async fn next(&self) -> Scan {
        match self.scans.lock().await.recv().await {
            Some(scan) => scan,
            // The sender lives in the owner task, which lives as long as this handle.
            None => std::future::pending().await,
        }
    }

    /// Lets it scan, or not.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn set_enabled(&self, enabled: bool) -> Result<()> {
        self.owned.ask(ANSWER, move |driver| driver.set_enabled(enabled)).await
    }

    /// Tries it again at once if it is away, also if its driver was given up as faulted; an open link
    /// is closed and opened anew.
    ///
    /// # Errors
    /// The till has ended.
    pub async fn reset(&self) -> Result<()> {
        self.owned.reset().await
    }

    /// Where the scanner stands; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.owned.phase()
    }
}

struct ScannerHooks {
    teller: Teller,
    to: mpsc::Sender<Scan>,
}

impl Hooks<AnyScanner> for ScannerHooks {
    fn opened<'a>(&'a self, _: &'a mut AnyScanner, address: &'a str) -> BoxFuture<'a, Result<()>> {
        self.teller.connected(address);
        Box::pin(async { Ok(()) })
    }
    fn event(&self, scan: Scan) {
        hand_on(&self.teller, &self.to, scan);
    }
    fn lost(&self, error: &Error) {
        self.teller.lost(error);
    }
    fn faulted(&self, why: &str) {
        self.teller.faulted(why);
    }
}

/// Puts a scan where [`Scanner::next`] takes it, and tells the bus.
pub(super) fn hand_on(teller: &Teller, to: &mpsc::Sender<Scan>, scan: Scan) {
    let lost = match to.try_send(scan.clone()) {
        Ok(()) => false,
        Err(_) => true,
    };
    let scan = Box::new(scan);
    teller.tell(if lost { What::ScanLost(scan) } else { What::Scanned(scan) });
}
