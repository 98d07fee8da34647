//! What scanners and cameras share: scans that are handed out once, in order.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tresen_hal::{BoxFuture, Driver, Error, Result};
use tresen_scanners::Scan;

use super::owner::{Hooks, Opener};
use super::{Bus, Owned, Teller, own};
use crate::event::What;

/// Scans that wait to be taken; a person with a scanner does not outrun this.
const WAITING: usize = 64;

/// An owned source of scans.
pub(super) struct Scans<D: ?Sized> {
    pub(super) owned: Owned<D>,
    scans: Arc<Mutex<mpsc::Receiver<Scan>>>,
}

impl<D: ?Sized> Clone for Scans<D> {
    fn clone(&self) -> Self {
        Self { owned: self.owned.clone(), scans: self.scans.clone() }
    }
}

impl<D: Driver<Event = Scan> + ?Sized + 'static> Scans<D> {
    pub(super) fn start(name: &str, opener: Opener<D>, bus: Bus) -> Self {
        let (to, scans) = mpsc::channel(WAITING);
        let hooks = ScanHooks { teller: Teller { name: name.to_owned(), bus }, to };
        Self { owned: own(name, opener, Arc::new(hooks)), scans: Arc::new(Mutex::new(scans)) }
    }

    pub(super) async fn next(&self) -> Scan {
        match self.scans.lock().await.recv().await {
            Some(scan) => scan,
            // The sender lives in the owner task, which lives as long as this handle.
            None => std::future::pending().await,
        }
    }
}

struct ScanHooks {
    teller: Teller,
    to: mpsc::Sender<Scan>,
}

impl<D: Driver<Event = Scan> + ?Sized + 'static> Hooks<D> for ScanHooks {
    fn opened<'a>(&'a self, _: &'a mut D, address: &'a str) -> BoxFuture<'a, Result<()>> {
        self.teller.connected(address);
        Box::pin(async { Ok(()) })
    }
    fn event(&self, scan: Scan) {
        let lost = self.to.try_send(scan.clone()).is_err();
        let scan = Box::new(scan);
        self.teller.tell(if lost { What::ScanLost(scan) } else { What::Scanned(scan) });
    }
    fn lost(&self, error: &Error) {
        self.teller.lost(error);
    }
    fn faulted(&self, why: &str) {
        self.teller.faulted(why);
    }
}
