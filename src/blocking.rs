//! The same till for programs without tokio. Each call waits until it is done.
//!
//! The till runs on threads of its own; calls may come from any thread outside of an async runtime.
//!
//! ```no_run
//! use tresen::{Amount, blocking::Tresen};
//!
//! let till = Tresen::open("till.toml")?;
//! let payment = till.terminal("counter")?.pay(Amount::eur(12_50))?;
//! println!("{payment:?}");
//! # Ok::<(), tresen::Error>(())
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{broadcast, watch};
use tresen_hal::{Amount, Error, Kind, Result};
use tresen_payment::{EndOfDay, Payment, Request, Settled, TerminalStatus};
use tresen_printers::{DrawerPin, Identity, Receipt, Status};
use tresen_scanners::Scan;

use crate::event::Event;
use crate::sale::{Sold, Ticket};
use crate::spool::Print;

/// A till, as [`crate::Tresen`].
#[derive(Clone)]
pub struct Tresen(On<crate::Tresen>);

/// A printer, as [`crate::Printer`].
#[derive(Clone)]
pub struct Printer(On<crate::Printer>);

/// A payment terminal, as [`crate::Terminal`].
#[derive(Clone)]
pub struct Terminal(On<crate::Terminal>);

/// A scanner, as [`crate::Scanner`].
#[derive(Clone)]
pub struct Scanner(On<crate::Scanner>);

/// A camera, as [`crate::Camera`].
#[derive(Clone)]
pub struct Camera(On<crate::Camera>);

/// Something asynchronous and the threads it runs on. The fields drop in this order: handles first.
#[derive(Clone)]
struct On<T> {
    inner: T,
    threads: Arc<Runtime>,
}

impl<T> On<T> {
    fn wait<'a, R>(&'a self, work: impl Future<Output = R> + 'a) -> R {
        self.threads.block_on(work)
    }

    fn beside<U>(&self, inner: U) -> On<U> {
        On { inner, threads: self.threads.clone() }
    }
}

impl Tresen {
    /// Opens the till that a configuration file describes.
    ///
    /// # Errors
    /// As [`crate::Tresen::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tresen")
            .enable_all()
            .build()
            .map_err(|e| Error::new(Kind::Io, "cannot start threads").because(e))?;
        let inner = threads.block_on(crate::Tresen::open(path))?;
        Ok(Self(On { inner, threads: Arc::new(threads) }))
    }

    /// A printer or route by name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn printer(&self, name: &str) -> Result<Printer> {
        Ok(Printer(self.0.beside(self.0.inner.printer(name)?)))
    }

    /// A payment terminal by name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn terminal(&self, name: &str) -> Result<Terminal> {
        Ok(Terminal(self.0.beside(self.0.inner.terminal(name)?)))
    }

    /// A scanner by name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn scanner(&self, name: &str) -> Result<Scanner> {
        Ok(Scanner(self.0.beside(self.0.inner.scanner(name)?)))
    }

    /// A camera by name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn camera(&self, name: &str) -> Result<Camera> {
        Ok(Camera(self.0.beside(self.0.inner.camera(name)?)))
    }

    /// A new ticket with the next number.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn open_ticket(&self) -> Result<Ticket> {
        self.0.wait(self.0.inner.open_ticket())
    }

    /// Pays `ticket` at `terminal`, prints its receipt at `printer` and closes it.
    ///
    /// # Errors
    /// As [`crate::sale::Checkout::run`].
    pub fn checkout(&self, terminal: &str, printer: &str, ticket: &Ticket) -> Result<Sold> {
        let checkout = self.0.inner.checkout(terminal, printer)?;
        let (_keep, abort) = watch::channel(false);
        self.0.wait(checkout.run(ticket, abort))
    }

    /// What happens on the counter from now on.
    pub fn events(&self) -> Events {
        Events(self.0.beside(self.0.inner.events()))
    }

    /// The asynchronous till behind this one.
    pub fn inner(&self) -> &crate::Tresen {
        &self.0.inner
    }
}

/// Events as they happen; an iterator that ends with the till.
pub struct Events(On<broadcast::Receiver<Event>>);

impl Iterator for Events {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        let threads = self.0.threads.clone();
        loop {
            match threads.block_on(self.0.inner.recv()) {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Printer {
    /// Prints a receipt through the spool.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub fn print(&self, receipt: &Receipt) -> Result<Print> {
        self.0.wait(self.0.inner.print(receipt))
    }

    /// Prints a receipt under the caller's id, once.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used for another content.
    pub fn print_as(&self, id: &str, receipt: &Receipt) -> Result<Print> {
        self.0.wait(self.0.inner.print_as(id, receipt))
    }

    /// Prints a parked job again, marked as a copy.
    ///
    /// # Errors
    /// There is no such job, or it is not parked.
    pub fn reprint(&self, id: &str) -> Result<Print> {
        self.0.wait(self.0.inner.reprint(id))
    }

    /// Asks the printer how it is.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn status(&self) -> Result<Status> {
        self.0.wait(self.0.inner.status())
    }

    /// Asks the printer who it is.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn identity(&self) -> Result<Identity> {
        self.0.wait(self.0.inner.identity())
    }

    /// Opens the drawer.
    ///
    /// # Errors
    /// The printer cannot be reached or has no drawer.
    pub fn kick_drawer(&self, pin: DrawerPin) -> Result<()> {
        self.0.wait(self.0.inner.kick_drawer(pin))
    }
}

impl Terminal {
    /// Takes a payment and waits until it is decided.
    ///
    /// # Errors
    /// Nothing was sent to the terminal; see [`crate::Terminal::pay`].
    pub fn pay(&self, amount: Amount) -> Result<Payment> {
        self.0.wait(self.0.inner.pay(amount))
    }

    /// Takes a payment under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn pay_as(&self, request: Request, abort: watch::Receiver<bool>) -> Result<Payment> {
        self.0.wait(self.0.inner.pay_as(request, abort))
    }

    /// Takes a payment back.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn reverse(&self, receipt_number: &str, amount: Amount) -> Result<Payment> {
        self.0.wait(self.0.inner.reverse(receipt_number, amount))
    }

    /// Gives money back.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn refund(&self, amount: Amount) -> Result<Payment> {
        self.0.wait(self.0.inner.refund(amount))
    }

    /// Settles what is open.
    ///
    /// # Errors
    /// The terminal cannot be reached; what is open stays open.
    pub fn recover(&self) -> Result<Vec<Settled>> {
        self.0.wait(self.0.inner.recover())
    }

    /// Closes the day.
    ///
    /// # Errors
    /// The terminal cannot be reached or refuses.
    pub fn end_of_day(&self) -> Result<EndOfDay> {
        self.0.wait(self.0.inner.end_of_day())
    }

    /// The last receipt once more.
    ///
    /// # Errors
    /// The terminal cannot be reached or has none.
    pub fn repeat_receipt(&self) -> Result<Vec<String>> {
        self.0.wait(self.0.inner.repeat_receipt())
    }

    /// Asks the terminal how it is.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn status(&self) -> Result<TerminalStatus> {
        self.0.wait(self.0.inner.status())
    }
}

impl Scanner {
    /// The next scan, or none within `within`.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.wait(async { tokio::time::timeout(within, self.0.inner.next()).await.ok() })
    }
}

impl Camera {
    /// The next code seen, or none within `within`.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.wait(async { tokio::time::timeout(within, self.0.inner.next()).await.ok() })
    }
}
