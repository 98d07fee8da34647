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
use tokio::sync::watch;
use tresen_hal::{Amount, Error, Kind, Result};
use tresen_payment::{
    Capabilities as TerminalCapabilities, Decision, EndOfDay, Intent, IntentId, Payment, Reference, Request, Settled,
    TerminalStatus,
};
use tresen_printers::{Capabilities as PrinterCapabilities, Content, DrawerPin, Identity, Receipt, Status};
use tresen_scanners::{Capabilities as ScannerCapabilities, Scan};

use crate::event::Event;
use crate::manager::{DeviceState, Phase};
use crate::sale::{self, Line, Sold};
use crate::spool::Print;
use crate::store::{Origin, SpooledJob};

/// A till, as [`crate::Tresen`].
#[derive(Clone)]
pub struct Tresen(On<crate::Tresen>);

/// A printer, as [`crate::Printer`].
#[derive(Clone)]
pub struct Printer(On<crate::Printer>);

/// A print job, as [`crate::PrintJob`].
#[derive(Clone)]
pub struct PrintJob(On<crate::PrintJob>);

/// A payment terminal, as [`crate::Terminal`].
#[derive(Clone)]
pub struct Terminal(On<crate::Terminal>);

/// A scanner, as [`crate::Scanner`].
#[derive(Clone)]
pub struct Scanner(On<crate::Scanner>);

/// A camera, as [`crate::Camera`].
#[derive(Clone)]
pub struct Camera(On<crate::Camera>);

/// A sale, as [`sale::Sale`].
#[derive(Clone)]
pub struct Sale(On<sale::Sale>);

/// What follows the basket, as [`sale::Checkout`].
#[derive(Clone)]
pub struct Checkout(On<sale::Checkout>);

/// Asks a running transaction to stop; clones ask for the same.
#[derive(Clone, Debug)]
pub struct Abort(watch::Sender<bool>);

impl Abort {
    /// Nothing is to stop yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Asks for it, from any thread. A request only: the outcome tells.
    pub fn abort(&self) {
        self.0.send_replace(true);
    }
}

impl Default for Abort {
    fn default() -> Self {
        Self::new()
    }
}

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

    /// All devices as they are now.
    pub fn devices(&self) -> Vec<DeviceState> {
        self.0.inner.devices()
    }

    /// A new, empty sale.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn open_sale(&self) -> Result<Sale> {
        self.open_sale_by(Origin::new())
    }

    /// A new, empty sale of a station, source or operator.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn open_sale_by(&self, origin: Origin) -> Result<Sale> {
        Ok(Sale(self.0.beside(self.0.wait(self.0.inner.open_sale_by(origin))?)))
    }

    /// A new sale that gives another one back.
    ///
    /// # Errors
    /// As [`crate::Tresen::open_refund`].
    pub fn open_refund(&self, original: &str, origin: Origin) -> Result<Sale> {
        Ok(Sale(self.0.beside(self.0.wait(self.0.inner.open_refund(original, origin))?)))
    }

    /// A sale by its id, open or closed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sale(&self, id: &str) -> Result<Option<Sale>> {
        Ok(self.0.wait(self.0.inner.sale(id))?.map(|sale| Sale(self.0.beside(sale))))
    }

    /// The sales that are open, oldest first.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn open_sales(&self) -> Result<Vec<Sale>> {
        let open = self.0.wait(self.0.inner.open_sales())?;
        Ok(open.into_iter().map(|sale| Sale(self.0.beside(sale))).collect())
    }

    /// What follows the basket, with receipts at `printer`; add a drawer or a signer with
    /// [`Checkout::with`].
    ///
    /// # Errors
    /// There is no such printer.
    pub fn checkout(&self, printer: &str) -> Result<Checkout> {
        Ok(Checkout(self.0.beside(self.0.inner.checkout(printer)?)))
    }

    /// Print jobs that wait, are being printed, or are parked until a person decides; oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_jobs(&self) -> Result<Vec<SpooledJob>> {
        self.0.wait(self.0.inner.open_jobs())
    }

    /// Payments at a terminal that are neither charged nor not charged yet.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_payments(&self, terminal: &str) -> Result<Vec<Intent>> {
        self.0.wait(self.0.inner.open_payments(terminal))
    }

    /// Settles an open payment by hand.
    ///
    /// # Errors
    /// As [`crate::Tresen::settle`].
    pub fn settle(&self, intent: &IntentId, decision: Decision) -> Result<Payment> {
        self.0.wait(self.0.inner.settle(intent, decision))
    }

    /// What happens on the counter; the first listener also hears what has happened since the till was opened.
    pub fn events(&self) -> Events {
        Events(self.0.beside(self.0.inner.events()))
    }

    /// Ends the till in an orderly way, within about `within`.
    ///
    /// # Errors
    /// As [`crate::Tresen::close`].
    pub fn close(&self, within: Duration) -> Result<()> {
        self.0.wait(self.0.inner.close(within))
    }

    /// The asynchronous till behind this one.
    pub fn inner(&self) -> &crate::Tresen {
        &self.0.inner
    }
}

/// Events as they happen; an iterator that ends with the till.
pub struct Events(On<crate::Events>);

impl Events {
    /// The next event, or none within `within`, or none because the till has ended.
    pub fn next_within(&mut self, within: Duration) -> Option<Event> {
        let threads = self.0.threads.clone();
        threads.block_on(async { tokio::time::timeout(within, self.0.inner.next()).await.ok().flatten() })
    }
}

impl Iterator for Events {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        let threads = self.0.threads.clone();
        threads.block_on(self.0.inner.next())
    }
}

impl Sale {
    /// The sale as it is known here.
    pub fn inner(&self) -> &sale::Sale {
        &self.0.inner
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`sale::Sale::refresh`].
    pub fn refresh(&mut self) -> Result<()> {
        self.0.threads.block_on(self.0.inner.refresh())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// As [`sale::Sale::add`].
    pub fn add(&mut self, line: Line) -> Result<()> {
        self.0.threads.block_on(self.0.inner.add(line))
    }

    /// Takes a line out; counted from 0.
    ///
    /// # Errors
    /// As [`sale::Sale::remove`].
    pub fn remove(&mut self, at: usize) -> Result<Line> {
        self.0.threads.block_on(self.0.inner.remove(at))
    }

    /// Sets the remark that is printed on the receipt.
    ///
    /// # Errors
    /// As [`sale::Sale::set_note`].
    pub fn set_note(&mut self, note: &str) -> Result<()> {
        self.0.threads.block_on(self.0.inner.set_note(note))
    }

    /// Pays all that is open at a terminal.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_card`].
    pub fn pay_card(&mut self, terminal: &Terminal, abort: &Abort) -> Result<Payment> {
        self.0.threads.block_on(self.0.inner.pay_card(&terminal.0.inner, abort.0.subscribe()))
    }

    /// Pays a part at a terminal.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_card_part`].
    pub fn pay_card_part(&mut self, terminal: &Terminal, amount: Amount, abort: &Abort) -> Result<Payment> {
        self.0.threads.block_on(self.0.inner.pay_card_part(&terminal.0.inner, amount, abort.0.subscribe()))
    }

    /// Takes a card payment back at its terminal.
    ///
    /// # Errors
    /// As [`sale::Sale::reverse_card`].
    pub fn reverse_card(&mut self, terminal: &Terminal, attempt: i64, abort: &Abort) -> Result<Payment> {
        self.0.threads.block_on(self.0.inner.reverse_card(&terminal.0.inner, attempt, abort.0.subscribe()))
    }

    /// Takes cash; returns the change.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_cash`].
    pub fn pay_cash(&mut self, given: Amount) -> Result<Amount> {
        self.0.threads.block_on(self.0.inner.pay_cash(given))
    }

    /// Gives back in cash what is open; returns how much.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_out`].
    pub fn pay_out(&mut self) -> Result<Amount> {
        self.0.threads.block_on(self.0.inner.pay_out())
    }

    /// Takes an amount in the vendor's own way.
    ///
    /// # Errors
    /// As [`sale::Sale::pay_other`].
    pub fn pay_other(&mut self, name: &str, amount: Amount, reference: Option<&str>) -> Result<()> {
        self.0.threads.block_on(self.0.inner.pay_other(name, amount, reference))
    }

    /// Gives a cash or the vendor's own tender back.
    ///
    /// # Errors
    /// As [`sale::Sale::give_back`].
    pub fn give_back(&mut self, attempt: i64) -> Result<()> {
        self.0.threads.block_on(self.0.inner.give_back(attempt))
    }

    /// Gives the sale up before it is paid.
    ///
    /// # Errors
    /// As [`sale::Sale::void`].
    pub fn void(&mut self, why: &str) -> Result<()> {
        self.0.threads.block_on(self.0.inner.void(why))
    }
}

impl Checkout {
    /// Sets up the checkout: `with(|c| c.drawer(DrawerPin::Two))`.
    #[must_use]
    pub fn with(self, change: impl FnOnce(sale::Checkout) -> sale::Checkout) -> Self {
        Self(On { inner: change(self.0.inner), threads: self.0.threads })
    }

    /// Pays what is open, signs, closes and prints.
    ///
    /// # Errors
    /// As [`sale::Checkout::run`].
    pub fn run(&self, sale: &mut Sale, terminal: &str, abort: &Abort) -> Result<Sold> {
        self.0.wait(self.0.inner.run(&mut sale.0.inner, terminal, abort.0.subscribe()))
    }

    /// Signs, closes and prints a sale that is paid.
    ///
    /// # Errors
    /// As [`sale::Checkout::close`].
    pub fn close(&self, sale: &mut Sale) -> Result<Sold> {
        self.0.wait(self.0.inner.close(&mut sale.0.inner))
    }

    /// Goes on with what an earlier life of this till left open.
    ///
    /// # Errors
    /// As [`sale::Checkout::resume`].
    pub fn resume(&self) -> Result<Vec<(Sale, Result<Sold>)>> {
        let resumed = self.0.wait(self.0.inner.resume())?;
        Ok(resumed.into_iter().map(|(sale, sold)| (Sale(self.0.beside(sale)), sold)).collect())
    }
}

impl Printer {
    /// The same printer for a caller who waits for paper as long as `patience`.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self(On { inner: self.0.inner.with_patience(patience), threads: self.0.threads })
    }

    /// Queues a receipt and returns at once: the job can be followed.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub fn submit(&self, receipt: &Receipt) -> Result<PrintJob> {
        Ok(PrintJob(self.0.beside(self.0.wait(self.0.inner.submit(receipt))?)))
    }

    /// Queues a receipt under the caller's id, once, and returns at once.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used for another content.
    pub fn submit_as(&self, id: &str, receipt: &Receipt) -> Result<PrintJob> {
        Ok(PrintJob(self.0.beside(self.0.wait(self.0.inner.submit_as(id, receipt))?)))
    }

    /// Queues a receipt or raw bytes and returns at once: the job can be followed.
    ///
    /// # Errors
    /// As [`crate::Printer::submit_content`].
    pub fn submit_content(&self, content: impl Into<Content>) -> Result<PrintJob> {
        Ok(PrintJob(self.0.beside(self.0.wait(self.0.inner.submit_content(content))?)))
    }

    /// Queues a receipt or raw bytes under the caller's id, once, and returns at once.
    ///
    /// # Errors
    /// As [`crate::Printer::submit_content_as`].
    pub fn submit_content_as(&self, id: &str, content: impl Into<Content>) -> Result<PrintJob> {
        Ok(PrintJob(self.0.beside(self.0.wait(self.0.inner.submit_content_as(id, content))?)))
    }

    /// Prints a receipt through the spool and waits for it, 60 s at most unless told otherwise.
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
    /// As [`crate::Printer::reprint`].
    pub fn reprint(&self, id: &str) -> Result<Print> {
        self.0.wait(self.0.inner.reprint(id))
    }

    /// Moves a job that waits or is parked to this printer or route.
    ///
    /// # Errors
    /// As [`crate::Printer::adopt`].
    pub fn adopt(&self, id: &str) -> Result<PrintJob> {
        Ok(PrintJob(self.0.beside(self.0.wait(self.0.inner.adopt(id))?)))
    }

    /// Gives up a job that waits or is parked.
    ///
    /// # Errors
    /// As [`crate::Printer::cancel`].
    pub fn cancel(&self, id: &str) -> Result<()> {
        self.0.wait(self.0.inner.cancel(id))
    }

    /// Asks the printer for its status.
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

    /// What the printer can do; none until it was reached for the first time.
    pub fn capabilities(&self) -> Option<PrinterCapabilities> {
        self.0.inner.capabilities()
    }

    /// The state of the printer now.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Opens the printer anew at once.
    ///
    /// # Errors
    /// The till was closed.
    pub fn reset(&self) -> Result<()> {
        self.0.wait(self.0.inner.reset())
    }
}

impl PrintJob {
    /// Its id.
    pub fn id(&self) -> &str {
        self.0.inner.id()
    }

    /// Waits until it is printed, parked or cancelled, `patience` at most, and tells how it stands then.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn outcome(&self, patience: Duration) -> Result<Print> {
        self.0.wait(self.0.inner.outcome(patience))
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
    pub fn pay_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        self.0.wait(self.0.inner.pay_as(request, abort.0.subscribe()))
    }

    /// As [`Terminal::pay_as`], but refused instead of waiting while the terminal serves someone else.
    ///
    /// # Errors
    /// As [`crate::Terminal::try_pay_as`].
    pub fn try_pay_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        self.0.wait(self.0.inner.try_pay_as(request, abort.0.subscribe()))
    }

    /// Takes a payment back under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn reverse(&self, reference: &Reference, amount: Amount) -> Result<Payment> {
        self.0.wait(self.0.inner.reverse(reference, amount))
    }

    /// Takes a payment back under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn reverse_as(&self, reference: &Reference, request: Request, abort: &Abort) -> Result<Payment> {
        self.0.wait(self.0.inner.reverse_as(reference, request, abort.0.subscribe()))
    }

    /// Gives money back under a new key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn refund(&self, amount: Amount) -> Result<Payment> {
        self.0.wait(self.0.inner.refund(amount))
    }

    /// Gives money back under the caller's key.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    pub fn refund_as(&self, request: Request, abort: &Abort) -> Result<Payment> {
        self.0.wait(self.0.inner.refund_as(request, abort.0.subscribe()))
    }

    /// Settles what is open by asking the terminal.
    ///
    /// # Errors
    /// The terminal cannot be reached; what is open stays open.
    pub fn recover(&self) -> Result<Vec<Settled>> {
        self.0.wait(self.0.inner.recover())
    }

    /// Settles an open payment by hand.
    ///
    /// # Errors
    /// As [`crate::Terminal::settle`].
    pub fn settle(&self, intent: &IntentId, decision: Decision) -> Result<Payment> {
        self.0.wait(self.0.inner.settle(intent, decision))
    }

    /// The transaction that the terminal serves now.
    pub fn serving(&self) -> Option<IntentId> {
        self.0.inner.serving()
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

    /// Asks the terminal for its status.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn status(&self) -> Result<TerminalStatus> {
        self.0.wait(self.0.inner.status())
    }

    /// What the terminal can do; none until it was reached for the first time.
    pub fn capabilities(&self) -> Option<TerminalCapabilities> {
        self.0.inner.capabilities()
    }

    /// The state of the terminal now.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Opens the terminal anew at once.
    ///
    /// # Errors
    /// The till was closed.
    pub fn reset(&self) -> Result<()> {
        self.0.wait(self.0.inner.reset())
    }
}

impl Scanner {
    /// The next scan, or none within `within`.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.wait(async { tokio::time::timeout(within, self.0.inner.next()).await.ok() })
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
        self.0.wait(self.0.inner.set_enabled(enabled))
    }

    /// Beeps as for a good or a bad scan.
    ///
    /// # Errors
    /// It cannot be reached, or cannot beep on command.
    pub fn beep(&self, good: bool) -> Result<()> {
        self.0.wait(self.0.inner.beep(good))
    }

    /// What the scanner can do; none until it was reached for the first time.
    pub fn capabilities(&self) -> Option<ScannerCapabilities> {
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
}

impl Camera {
    /// The next code seen, or none within `within`.
    pub fn next(&self, within: Duration) -> Option<Scan> {
        self.0.wait(async { tokio::time::timeout(within, self.0.inner.next()).await.ok() })
    }

    /// Drops the codes that wait; how many there were.
    pub fn discard(&self) -> usize {
        self.0.inner.discard()
    }

    /// The state of the camera now.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Opens the camera anew at once.
    ///
    /// # Errors
    /// The till was closed.
    pub fn reset(&self) -> Result<()> {
        self.0.wait(self.0.inner.reset())
    }
}
