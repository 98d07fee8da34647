//! The till.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tresen_hal::{Error, Kind, Known, Language, Result};
use tresen_payment::{Decision, Intent, IntentId, Payment};

use super::{Camera, Checkout, Device, Events, Lease, On, Place, PrintJob, Printer, Sale, Scanner, Terminal};
use crate::api::{Command, lease, sale, terminal, till};
use crate::builder::Builder;
use crate::capabilities::TillCapabilities;
use crate::class::DeviceId;
use crate::config::{Config, PaperKind};
use crate::drivers::{Drivers, Plan};
use crate::event::Event;
use crate::health::Health;
use crate::lease::{Grant, Key, Target, Turn, View};
use crate::manager::{DeviceClass, DeviceState, Phase};
use crate::registry::Reloaded;
use crate::sale::{KitchenTicket, ReturnLine, Returnable};
use crate::store::{Origin, SaleFilter, SaleNumber, SalePage, SaleView, SpooledJob, Store};
use crate::tresen::Snapshot;

/// A till, as [`crate::Tresen`].
#[derive(Clone)]
pub struct Tresen(pub(super) On<()>);

impl Tresen {
    /// Opens the till that a configuration file describes.
    ///
    /// # Errors
    /// As [`crate::Tresen::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::build(Builder::default(), path)
    }

    /// Opens a till from a configuration built in code.
    ///
    /// # Errors
    /// As [`crate::Tresen::with`].
    pub fn with(config: Config) -> Result<Self> {
        Self::start(Builder::default().with(config))
    }

    /// For custom protocols or another clock: pass it to [`Tresen::build`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens the till that a configuration file describes, with the settings of `builder`.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn build(builder: Builder, path: impl AsRef<Path>) -> Result<Self> {
        Self::start(builder.open(path))
    }

    /// Opens a till from a configuration built in code, with the settings of `builder`.
    ///
    /// # Errors
    /// As [`Builder::with`].
    pub fn build_with(builder: Builder, config: Config) -> Result<Self> {
        Self::start(builder.with(config))
    }

    fn start(open: impl Future<Output = Result<crate::Tresen>>) -> Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tresen")
            .enable_all()
            .build()
            .map_err(|e| Error::new(Kind::Io, "cannot start threads").because(e))?;
        let till = threads.block_on(open)?;
        Ok(Self(On { inner: (), till, threads: Arc::new(threads) }))
    }

    /// The async till; its non-async methods can be called directly.
    pub fn inner(&self) -> &crate::Tresen {
        &self.0.till
    }

    /// Blocks on a future that runs on the till's threads: a listing of its [`Store`], a vendor's own tasks.
    pub fn wait<R>(&self, work: impl Future<Output = R>) -> R {
        self.0.threads.block_on(work)
    }

    /// The same till for calls on behalf of `caller`.
    #[must_use]
    pub fn on_behalf_of(&self, origin: impl Into<Origin>) -> Self {
        Self(self.0.on_behalf_of(origin.into(), ()))
    }

    /// The same till for calls that depend on a lease.
    #[must_use]
    pub fn with_lease(&self, key: &Key) -> Self {
        let On { till, threads, .. } = self.0.clone();
        Self(On { inner: (), till: till.with_lease(key), threads })
    }

    /// Leases a device or an open sale for this till's caller.
    ///
    /// # Errors
    /// As [`crate::Tresen::lease`].
    pub fn lease(&self, target: impl Into<Target>) -> Result<Lease> {
        let grant = self.0.ask(lease::Acquire { target: target.into() })?;
        Ok(Lease(self.0.beside(crate::lease::Lease::new(&self.0.till, grant))))
    }

    /// Queues for a lease, or gets it at once if it is free.
    ///
    /// # Errors
    /// As [`crate::Tresen::queue`].
    pub fn queue(&self, target: impl Into<Target>) -> Result<Place> {
        let target = target.into();
        let turn = self.queue_turn(&target)?;
        Ok(self.place(target, &turn))
    }

    /// As [`Tresen::queue`], without a handle.
    ///
    /// # Errors
    /// As [`crate::Tresen::queue_turn`].
    pub fn queue_turn(&self, target: &Target) -> Result<Turn> {
        self.0.ask(lease::Queue { target: target.clone(), within: None })
    }

    /// Leaves the queue for a lease; false if the caller was not in it.
    ///
    /// # Errors
    /// As [`crate::Tresen::leave_queue`].
    pub fn leave_queue(&self, target: &Target) -> Result<bool> {
        self.0.ask(lease::Leave { target: target.clone() })
    }

    /// Takes a lease from whoever has it.
    ///
    /// # Errors
    /// As [`crate::Tresen::take_over`].
    pub fn take_over(&self, target: impl Into<Target>, why: &str) -> Result<Place> {
        let target = target.into();
        let turn = self.take_over_turn(&target, why)?;
        Ok(self.place(target, &turn))
    }

    /// As [`Tresen::take_over`], without a handle.
    ///
    /// # Errors
    /// As [`crate::Tresen::take_over`].
    pub fn take_over_turn(&self, target: &Target, why: &str) -> Result<Turn> {
        self.0.ask(lease::TakeOver { target: target.clone(), why: why.to_owned() })
    }

    fn place(&self, target: Target, turn: &Turn) -> Place {
        let (Turn::Granted(Grant { since, .. }) | Turn::Waiting { since, .. }) = turn;
        Place { on: self.0.clone(), target, since: *since }
    }

    /// Asks the holder of a lease to let go; returns the lease.
    ///
    /// # Errors
    /// As [`crate::Tresen::ask_holder`].
    pub fn ask_holder(&self, target: impl Into<Target>, why: &str) -> Result<View> {
        self.0.ask(lease::Ask { target: target.into(), why: why.to_owned() })
    }

    /// Renews the caller's lease.
    ///
    /// # Errors
    /// As [`crate::Tresen::renew_lease`].
    pub fn renew_lease(&self, target: &Target) -> Result<Grant> {
        self.0.ask(lease::Renew { target: target.clone() })
    }

    /// Ends the caller's lease; false if it had ended before.
    ///
    /// # Errors
    /// As [`crate::Tresen::release_lease`].
    pub fn release_lease(&self, target: &Target) -> Result<bool> {
        self.0.ask(lease::Release { target: target.clone() })
    }

    /// All leases.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn leases(&self) -> Result<Vec<View>> {
        self.0.ask(lease::List {})
    }

    /// The payment terminal of the caller's station.
    ///
    /// # Errors
    /// As [`crate::Tresen::my_terminal`].
    pub fn my_terminal(&self) -> Result<Terminal> {
        Ok(Device(self.0.beside(self.0.till.my_terminal()?)))
    }

    /// The printer of the caller's station.
    ///
    /// # Errors
    /// As [`crate::Tresen::my_printer`].
    pub fn my_printer(&self) -> Result<Printer> {
        Ok(Printer(self.0.beside(self.0.till.my_printer()?)))
    }

    /// The scanner of the caller's station.
    ///
    /// # Errors
    /// As [`crate::Tresen::my_scanner`].
    pub fn my_scanner(&self) -> Result<Scanner> {
        Ok(Device(self.0.beside(self.0.till.my_scanner()?)))
    }

    /// Runs a command of [`api`](crate::api).
    ///
    /// # Errors
    /// As [`crate::Tresen::ask`].
    pub fn ask<C: Command>(&self, command: C) -> Result<C::Reply> {
        self.0.ask(command)
    }

    /// Runs the command `name` with its fields as JSON.
    ///
    /// # Errors
    /// As [`crate::Tresen::ask_json`].
    pub fn ask_json(&self, name: &str, with: Value) -> Result<Value> {
        self.0.wait(self.0.till.ask_json(name, with))
    }

    /// A printer or route by name.
    ///
    /// # Errors
    /// Unknown printer or route.
    pub fn printer(&self, name: &str) -> Result<Printer> {
        Ok(Printer(self.0.beside(self.0.till.printer(name)?)))
    }

    /// A payment terminal by name.
    ///
    /// # Errors
    /// Unknown terminal.
    pub fn terminal(&self, name: &str) -> Result<Terminal> {
        Ok(Device(self.0.beside(self.0.till.terminal(name)?)))
    }

    /// A scanner by name.
    ///
    /// # Errors
    /// Unknown scanner.
    pub fn scanner(&self, name: &str) -> Result<Scanner> {
        Ok(Device(self.0.beside(self.0.till.scanner(name)?)))
    }

    /// A camera by name.
    ///
    /// # Errors
    /// Unknown camera.
    pub fn camera(&self, name: &str) -> Result<Camera> {
        Ok(Device(self.0.beside(self.0.till.camera(name)?)))
    }

    /// The current state of all devices.
    pub fn devices(&self) -> Vec<DeviceState> {
        self.0.till.devices()
    }

    /// What the till can do now.
    pub fn capabilities(&self) -> TillCapabilities {
        self.0.till.capabilities()
    }

    /// Tells whether one of the vendor's own tenders can pay now.
    pub fn set_tender(&self, name: &str, now: Known, why: Option<&str>) {
        self.0.till.set_tender(name, now, why);
    }

    /// The health of the till and its devices.
    pub fn health(&self) -> Health {
        self.0.wait(self.0.till.health())
    }

    /// The last events of the till and its devices, oldest first.
    pub fn recent_events(&self) -> Vec<Event> {
        self.0.till.recent_events()
    }

    /// The current state of a device of any class; [`Tresen::events`] reports changes.
    ///
    /// # Errors
    /// Unknown device.
    pub fn phase(&self, device: &DeviceId) -> Result<Phase> {
        self.0.ask(till::Phase { device: device.clone() })
    }

    /// Reopens a device of any class at once.
    ///
    /// # Errors
    /// Unknown device, or the till was closed.
    pub fn reset(&self, device: &DeviceId) -> Result<()> {
        self.0.ask(till::Reset { device: device.clone() })
    }

    /// Attaches a device that is not in the configuration.
    ///
    /// # Errors
    /// As [`crate::Tresen::attach`].
    pub fn attach<C: DeviceClass>(&self, name: &str, plans: Vec<Plan<C::Driver>>) -> Result<DeviceId> {
        self.0.wait(self.0.till.attach::<C>(name, plans))
    }

    /// Removes a device.
    ///
    /// # Errors
    /// As [`crate::Tresen::detach`].
    pub fn detach(&self, device: &DeviceId, within: Duration) -> Result<()> {
        self.0.ask(till::Detach { device: device.clone(), within: Some(within) })
    }

    /// Reads the configuration file again and applies the changes.
    ///
    /// # Errors
    /// As [`crate::Tresen::reload`].
    pub fn reload(&self, within: Duration) -> Result<Reloaded> {
        self.0.ask(till::Reload { within: Some(within) })
    }

    /// Applies `config` as the new configuration.
    ///
    /// # Errors
    /// As [`crate::Tresen::reload_with`].
    pub fn reload_with(&self, config: Config, within: Duration) -> Result<Reloaded> {
        self.0.wait(self.0.till.reload_with(config, within))
    }

    /// A new, empty sale.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn open_sale(&self) -> Result<Sale> {
        Ok(self.known(self.0.ask(sale::Open::default())?))
    }

    /// A new, empty sale of a station, source or operator.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn open_sale_by(&self, origin: Origin) -> Result<Sale> {
        Ok(self.known(self.0.ask(sale::Open { by: Some(origin), id: None })?))
    }

    /// A new sale that refunds a closed one.
    ///
    /// # Errors
    /// As [`crate::Tresen::open_refund`].
    pub fn open_refund(&self, original: &str, origin: Origin) -> Result<Sale> {
        let refund = sale::OpenRefund { original: original.to_owned(), lines: None, by: Some(origin), id: None };
        Ok(self.known(self.0.ask(refund)?))
    }

    /// A new sale that refunds single lines of a closed one, in full or in part.
    ///
    /// # Errors
    /// As [`crate::Tresen::open_refund_of`].
    pub fn open_refund_of(&self, original: &str, lines: &[ReturnLine], origin: Origin) -> Result<Sale> {
        let (original, lines) = (original.to_owned(), Some(lines.to_vec()));
        Ok(self.known(self.0.ask(sale::OpenRefund { original, lines, by: Some(origin), id: None })?))
    }

    /// The sale with this id, chosen by the caller; opened if there is none.
    ///
    /// # Errors
    /// As [`crate::Tresen::open_sale_as`].
    pub fn open_sale_as(&self, id: &str, origin: Origin) -> Result<Sale> {
        Ok(self.known(self.0.ask(sale::Open { by: Some(origin), id: Some(id.to_owned()) })?))
    }

    /// The refund with this id, chosen by the caller; opened if there is none.
    ///
    /// # Errors
    /// As [`crate::Tresen::open_refund_as`].
    pub fn open_refund_as(
        &self,
        id: &str,
        original: &str,
        lines: Option<&[ReturnLine]>,
        origin: Origin,
    ) -> Result<Sale> {
        let (original, lines) = (original.to_owned(), lines.map(<[_]>::to_vec));
        let refund = sale::OpenRefund { original, lines, by: Some(origin), id: Some(id.to_owned()) };
        Ok(self.known(self.0.ask(refund)?))
    }

    /// What of a closed sale was not given back yet, line by line.
    ///
    /// # Errors
    /// As [`crate::Tresen::returnable`].
    pub fn returnable(&self, original: &str) -> Result<Vec<Returnable>> {
        self.0.ask(sale::Returnable { original: original.to_owned() })
    }

    /// A sale by its id, open or closed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sale(&self, id: &str) -> Result<Option<Sale>> {
        let found = self.0.ask(sale::Find { sale: id.to_owned() })?;
        Ok(found.map(|view| self.known(view)))
    }

    /// A closed sale by its number, or by number and epoch.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sale_by_number(&self, number: impl Into<SaleNumber>) -> Result<Option<Sale>> {
        let SaleNumber { number, epoch, .. } = number.into();
        Ok(self.0.ask(sale::ByNumber { number, epoch })?.map(|view| self.known(view)))
    }

    /// A page of closed sales: since a number, of a time, or both.
    ///
    /// # Errors
    /// As [`crate::Tresen::closed_sales`].
    pub fn closed_sales(&self, filter: &SaleFilter) -> Result<SalePage> {
        self.0.ask(sale::ListClosed { filter: filter.clone() })
    }

    /// Parked sales, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parked_sales(&self) -> Result<Vec<Sale>> {
        Ok(self.all_known(self.0.ask(sale::ListParked {})?))
    }

    /// Closed sales with numbers above `number`, in order; at most `limit`, capped at 1000.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn tickets_since(&self, number: i64, limit: u32) -> Result<Vec<Sale>> {
        Ok(self.all_known(self.0.ask(sale::Since { number, limit })?))
    }

    /// Open sales, oldest first.
    ///
    /// # Errors
    /// The database cannot be used.
    pub fn open_sales(&self) -> Result<Vec<Sale>> {
        Ok(self.all_known(self.0.ask(sale::ListOpen {})?))
    }

    fn all_known(&self, views: Vec<SaleView>) -> Vec<Sale> {
        views.into_iter().map(|view| self.known(view)).collect()
    }

    fn known(&self, view: SaleView) -> Sale {
        Sale(self.0.beside(crate::sale::Sale::new(self.0.till.store().clone(), view)))
    }

    /// The checkout with receipts at `printer`; add a drawer or a signer with [`Checkout::with`].
    ///
    /// # Errors
    /// Unknown printer.
    pub fn checkout(&self, printer: &str) -> Result<Checkout> {
        Ok(Checkout(self.0.beside(self.0.till.checkout(printer)?)))
    }

    /// The route that prints a kind of paper.
    ///
    /// # Errors
    /// As [`crate::Tresen::printer_for`].
    pub fn printer_for(&self, kind: PaperKind) -> Result<Printer> {
        Ok(Printer(self.0.beside(self.0.till.printer_for(kind)?)))
    }

    /// A handle to a print job that was queued earlier.
    pub fn print_job(&self, id: &str) -> PrintJob {
        PrintJob(self.0.beside(self.0.till.print_job(id)))
    }

    /// Sends what is new in a sale to those who make it.
    ///
    /// # Errors
    /// As [`crate::Tresen::order`].
    pub fn order(&self, sale: &mut Sale) -> Result<Vec<KitchenTicket>> {
        self.0.wait(self.0.till.order(&mut sale.0.inner))
    }

    /// The kitchen tickets of a sale.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn orders(&self, sale: &str) -> Result<Vec<KitchenTicket>> {
        self.0.ask(sale::Orders { sale: sale.to_owned() })
    }

    /// Print jobs that are waiting, printing, or parked until a person decides; oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_jobs(&self) -> Result<Vec<SpooledJob>> {
        self.0.ask(till::OpenJobs {})
    }

    /// Undecided payments at a terminal.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_payments(&self, terminal: &str) -> Result<Vec<Intent>> {
        self.0.ask(terminal::Open { terminal: terminal.to_owned() })
    }

    /// Settles an open payment by hand.
    ///
    /// # Errors
    /// As [`crate::Tresen::settle`].
    pub fn settle(&self, intent: &IntentId, decision: Decision) -> Result<Payment> {
        self.0.ask(terminal::Settle { key: intent.clone(), decision, terminal: None })
    }

    /// The current state of all devices, and the events from then on.
    pub fn follow(&self) -> (Snapshot, Events) {
        let (snapshot, events) = self.0.till.follow();
        (snapshot, Events(self.0.beside(events)))
    }

    /// The till's events from now on; the first listener also receives those since the till was opened.
    pub fn events(&self) -> Events {
        Events(self.0.beside(self.0.till.events()))
    }

    /// Closes the till in an orderly way, within about `within`.
    ///
    /// # Errors
    /// As [`crate::Tresen::close`].
    pub fn close(&self, within: Duration) -> Result<()> {
        self.0.wait(self.0.till.close(within))
    }

    /// The database: journal, jobs, tickets. Await its methods with [`Tresen::wait`].
    pub fn store(&self) -> &Store {
        self.0.till.store()
    }

    /// The current configuration.
    pub fn config(&self) -> Arc<Config> {
        self.0.till.config()
    }

    /// The supported protocols.
    pub fn drivers(&self) -> &Drivers {
        self.0.till.drivers()
    }

    /// The source of time, ids, randomness and threads.
    pub fn runtime(&self) -> &Arc<dyn tresen_hal::Runtime> {
        self.0.till.runtime()
    }

    /// A new key for a payment or print job.
    pub fn new_id(&self) -> String {
        self.0.till.new_id()
    }

    /// The language of receipts.
    pub fn language(&self) -> Language {
        self.0.till.language()
    }
}
