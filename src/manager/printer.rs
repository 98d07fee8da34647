//! Printers as a vendor sees them: print through the spool, ask, kick the drawer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Address, BoxFuture, Error, Result};
use tresen_printers::{DrawerPin, Identity, Receipt, Status};

use super::owner::{Hooks, Opener};
use super::{AnyPrinter, Bus, Owned, Phase, Teller, open_printer, own};
use crate::event::What;
use crate::spool::{Print, Spool};

/// How long a caller waits for paper before it hears that the job waits.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(15);

pub(crate) fn start(name: &str, addresses: Vec<Address>, bus: Bus) -> Owned<AnyPrinter> {
    let addresses = Arc::new(addresses);
    let opener: Opener<AnyPrinter> = Arc::new(move || {
        let addresses = addresses.clone();
        Box::pin(async move { super::open::first(&addresses, |a| Box::pin(open_printer(a))).await })
    });
    own(name, opener, Arc::new(PrinterHooks(Teller { name: name.to_owned(), bus })))
}

struct PrinterHooks(Teller);

impl Hooks<AnyPrinter> for PrinterHooks {
    fn opened<'a>(&'a self, _: &'a mut AnyPrinter, address: &'a str) -> BoxFuture<'a, Result<()>> {
        self.0.connected(address);
        Box::pin(async { Ok(()) })
    }
    fn event(&self, status: Status) {
        self.0.tell(What::Printer(status));
    }
    fn lost(&self, error: &Error) {
        self.0.lost(error);
    }
    fn faulted(&self, why: &str) {
        self.0.faulted(why);
    }
}

/// A printer, or a route of printers, by its logical name. Clones are cheap.
#[derive(Clone)]
pub struct Printer {
    pub(crate) name: String,
    pub(crate) owned: Owned<AnyPrinter>,
    pub(crate) spool: Spool,
}

impl Printer {
    /// Prints `receipt` through the spool, under a new id.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub async fn print(&self, receipt: &Receipt) -> Result<Print> {
        self.print_as(&crate::new_key(), receipt).await
    }

    /// Prints `receipt` through the spool under the caller's id. Asked again with the same id, it
    /// prints nothing more and tells how the job stands.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used for another content.
    pub async fn print_as(&self, id: &str, receipt: &Receipt) -> Result<Print> {
        self.spool.print(id, &self.name, receipt, PATIENCE).await
    }

    /// Prints a parked job again, marked as a copy.
    ///
    /// # Errors
    /// There is no such job, or it is not parked.
    pub async fn reprint(&self, id: &str) -> Result<Print> {
        self.spool.reprint(id, PATIENCE).await
    }

    /// Gives up a job that waits or is parked.
    ///
    /// # Errors
    /// There is no such job, or it is printed already.
    pub async fn cancel(&self, id: &str) -> Result<()> {
        self.spool.cancel(id).await
    }

    /// Asks the (first) printer how it is.
    ///
    /// # Errors
    /// It cannot be reached or does not answer.
    pub async fn status(&self) -> Result<Status> {
        self.owned.ask(ANSWER, |driver| driver.status()).await
    }

    /// Asks the (first) printer who it is.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn identity(&self) -> Result<Identity> {
        self.owned.ask(ANSWER, |driver| driver.identity()).await
    }

    /// Opens the drawer at the (first) printer.
    ///
    /// # Errors
    /// It cannot be reached or has no drawer.
    pub async fn kick_drawer(&self, pin: DrawerPin) -> Result<()> {
        self.owned.ask(ANSWER, move |driver| driver.kick_drawer(pin)).await
    }

    /// Tries it again at once if it is away, also if its driver was given up as faulted; an open link
    /// is closed and opened anew.
    ///
    /// # Errors
    /// The till has ended.
    pub async fn reset(&self) -> Result<()> {
        self.owned.reset().await
    }

    /// Where the (first) printer stands; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.owned.phase()
    }
}
