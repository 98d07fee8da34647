//! The till: all devices by logical name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tresen_hal::{Language, Result, Runtime};
use tresen_payment::{Decision, Intent, IntentId, Journal, Payment};

use crate::api::Socket;
use crate::builder::Builder;
use crate::capabilities::Kept;
use crate::class::DeviceId;
use crate::config::{Config, PaperKind};
use crate::drivers::Drivers;
use crate::event::{Bus, Events};
use crate::health::Vitals;
use crate::lease::{self, Asker, Leases};
use crate::manager::{
    Camera, Device, DeviceClass, DeviceState, Phase, Printer, Registry, Scanner, Terminal, Terminals, after, lock,
    no_device,
};
use crate::sale::Checkout;
use crate::spool::{OverduePaper, PrintJob, Spool};
use crate::store::{Origin, SpooledJob, Store};
use crate::sync::Exchange;

/// A till with its devices. Clones are cheap and share it. [`Tresen::close`] lets the devices go; without it, they go with
/// the last handle, and a [`Printer`], a [`PrintJob`] or a [`Terminal`] that is kept is one, too.
///
/// ```no_run
/// use tresen::{Amount, Payment, Tresen};
///
/// # async fn sell() -> tresen::Result<()> {
/// let till = Tresen::open("till.toml").await?;
/// let mut sale = till.open_sale().await?;
/// sale.add(tresen::sale::Line::pieces("Flat white", 2, Amount::eur(3_80), tresen::sale::Vat::percent(19))?).await?;
/// let (_stop, abort) = tokio::sync::watch::channel(false);
/// match sale.pay_card(&till.terminal("counter")?, abort).await? {
///     Payment::Charged(_) => println!("{:?}", till.checkout("receipt")?.close(&mut sale).await?),
///     Payment::NotCharged(why) => eprintln!("not paid: {}", why.text),
///     Payment::Unknown(unknown) => eprintln!("not known: {}", unknown.why),
///     other => eprintln!("{other:?}, still open: {}", sale.open_amount()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tresen(pub(crate) Arc<Inner>, pub(crate) Caller);

/// On whose behalf a handle makes calls.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    /// Who it is, in its own words.
    pub(crate) origin: Option<Origin>,
    /// Its name and the leases that its calls depend on.
    pub(crate) asker: Asker,
    /// Requests an abort of the transactions it begins.
    pub(crate) abort: Option<watch::Receiver<bool>>,
    /// The local socket, served as long as the program has a handle. Handles used by the socket itself have none.
    pub(crate) socket: Option<Arc<Socket>>,
}

pub(crate) struct Inner {
    pub(crate) config: Mutex<Arc<Config>>,
    /// The file it was read from.
    pub(crate) file: Option<PathBuf>,
    pub(crate) store: Store,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) bus: Bus,
    pub(crate) spool: Spool,
    pub(crate) registry: Arc<Registry>,
    /// What devices and tenders can do.
    pub(crate) capabilities: Kept,
    pub(crate) leases: Leases,
    /// The exchange with the server.
    pub(crate) sync: Option<Exchange>,
    /// The initial setup of every checkout.
    pub(crate) checkout: Option<CheckoutSetup>,
    /// Held while devices or routes change.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Whether the database was closed; held while it is being closed.
    pub(crate) closed: tokio::sync::Mutex<bool>,
    pub(crate) vitals: Vitals,
    /// The server, while one runs.
    pub(crate) inviter: Mutex<Option<std::sync::Weak<dyn crate::remote::Inviter>>>,
}

/// Sets up a checkout, for example with a signer or a drawer.
pub(crate) type CheckoutSetup = Arc<dyn Fn(Checkout) -> Checkout + Send + Sync>;

impl Tresen {
    /// Opens the till that a configuration file describes, with the protocols of this crate.
    ///
    /// Unreachable devices do not prevent it from opening: they connect later.
    ///
    /// # Errors
    /// The file is wrong (the error names line, key and allowed values), or the database cannot be used.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path).await
    }

    /// Opens a till from a configuration built in code.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be used.
    pub async fn with(config: Config) -> Result<Self> {
        Self::builder().with(config).await
    }

    /// For custom protocols, or another clock.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same till for calls on behalf of `origin`, such as a handheld or a cashier: its devices act [on behalf
    /// of](crate::Device::on_behalf_of) it, and its payments, print jobs and sales are recorded under it unless
    /// specified otherwise. A plain text is the name of a station.
    #[must_use]
    pub fn on_behalf_of(&self, origin: impl Into<Origin>) -> Self {
        let origin = origin.into();
        let asker = self.1.asker.named(&origin);
        Self(self.0.clone(), Caller { origin: Some(origin), asker, ..self.1.clone() })
    }

    /// The same till for [commands](crate::api) whose transactions are aborted when `abort` becomes true.
    #[must_use]
    pub fn aborted_by(&self, abort: watch::Receiver<bool>) -> Self {
        Self(self.0.clone(), Caller { abort: Some(abort), ..self.1.clone() })
    }

    /// The same till for calls that depend on these leases.
    pub(crate) fn with_leases(&self, keys: &[lease::Key]) -> Self {
        let asker = self.1.asker.with(keys);
        Self(self.0.clone(), Caller { asker, ..self.1.clone() })
    }

    /// The same till for a caller who has left as soon as `gone` is closed.
    pub(crate) fn until(&self, gone: watch::Receiver<()>) -> Self {
        let asker = self.1.asker.until(gone);
        Self(self.0.clone(), Caller { asker, ..self.1.clone() })
    }

    /// Who makes calls with this handle, as far as leases are concerned.
    pub(crate) fn asker(&self) -> Asker {
        self.1.asker.clone()
    }

    /// Who makes calls with this handle.
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.1.origin.clone()
    }

    /// The abort signal for this caller's transactions.
    pub(crate) fn abort(&self) -> watch::Receiver<bool> {
        self.1.abort.clone().unwrap_or_else(|| watch::channel(false).1)
    }

    /// A printer, or a route of printers, by name.
    ///
    /// # Errors
    /// Unknown name; the error lists the known ones.
    pub fn printer(&self, name: &str) -> Result<Printer> {
        let station = self.1.origin.as_ref().and_then(|origin| origin.station.as_deref());
        let first = self.0.spool.first(name, station);
        let first = first.ok_or_else(|| no_device("printer or route", name, self.0.spool.names()))?;
        let printer = Printer::new(name, first, self.0.spool.clone(), self.config().till.patience);
        let printer = match self.origin() {
            Some(origin) => printer.on_behalf_of(origin),
            None => printer,
        };
        Ok(printer.asked_by(self.asker()))
    }

    /// The route that prints a kind of paper, by its rules: [`Config::route_for`]. On a route with `own`, the printer of
    /// the calling station comes first.
    ///
    /// ```no_run
    /// # async fn print(till: tresen::Tresen, receipt: tresen::Receipt) -> tresen::Result<()> {
    /// use tresen::config::PaperKind;
    ///
    /// let printer = till.on_behalf_of("handheld 7").printer_for(PaperKind::Receipt)?;
    /// let job = printer.submit(&receipt).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Config`](tresen_hal::Kind::Config): no route prints it, or none of the route's printers is attached.
    pub fn printer_for(&self, kind: PaperKind) -> Result<Printer> {
        self.printer(&self.config().route_for(kind)?)
    }

    /// A handle to a print job that was queued earlier, also before a restart.
    pub fn print_job(&self, id: &str) -> PrintJob {
        self.0.spool.follow(id)
    }

    /// A payment terminal by name.
    ///
    /// # Errors
    /// Unknown name; the error lists the known ones.
    pub fn terminal(&self, name: &str) -> Result<Terminal> {
        self.device(name)
    }

    /// A scanner by name.
    ///
    /// # Errors
    /// Unknown name; the error lists the known ones.
    pub fn scanner(&self, name: &str) -> Result<Scanner> {
        self.device(name)
    }

    /// A camera by name.
    ///
    /// # Errors
    /// Unknown name; the error lists the known ones.
    pub fn camera(&self, name: &str) -> Result<Camera> {
        self.device(name)
    }

    fn device<C: DeviceClass>(&self, name: &str) -> Result<Device<C>> {
        let device: Device<C> = self.0.registry.device(name)?;
        let device = match self.origin() {
            Some(origin) => device.on_behalf_of(origin),
            None => device,
        };
        Ok(device.asked_by(self.asker()))
    }

    /// The current state of all devices, by class and name.
    pub fn devices(&self) -> Vec<DeviceState> {
        self.0.registry.snapshot()
    }

    /// The state of a device of any class; changes can be awaited.
    ///
    /// # Errors
    /// Unknown device.
    pub fn phase(&self, device: &DeviceId) -> Result<watch::Receiver<Phase>> {
        Ok(self.0.registry.any(device)?.phase())
    }

    /// Reopens a device of any class at once.
    ///
    /// # Errors
    /// Unknown device, or the till was closed.
    pub fn reset(&self, device: &DeviceId) -> Result<()> {
        self.0.registry.any(device)?.reset()
    }

    /// The current state of all devices, and the events from then on: show the former and follow the latter. The first
    /// events may repeat what the snapshot already shows, but nothing is missed in between.
    pub fn follow(&self) -> (Snapshot, Events) {
        let (seq, events) = self.0.bus.follow();
        (Snapshot { seq, devices: self.devices(), overdue: self.0.spool.overdue() }, events)
    }

    /// The till's events. The first listener also receives those since the till was opened: which devices were found,
    /// which print jobs are in doubt.
    pub fn events(&self) -> Events {
        self.0.bus.listen()
    }

    /// Closes the till in an orderly way, within about `within`: running print jobs and calls are finished, or parked
    /// when the time is over; waiting calls are refused, waiting jobs stay queued; terminals are logged off; the
    /// database is checkpointed. Afterwards every call is refused.
    ///
    /// A device that hangs takes 5 s more at most. Dropping all handles instead lets the devices go as well, but
    /// nobody hears when that is done. Closing what is closed does nothing.
    ///
    /// # Errors
    /// [`Kind::Storage`](tresen_hal::Kind::Storage): the database cannot be written.
    pub async fn close(&self, within: Duration) -> Result<()> {
        let deadline = after(within);
        let till = &self.0;
        let socket = self.1.socket.as_ref();
        if let Some(socket) = socket {
            socket.refuse();
        }
        till.leases.close();
        till.vitals.watcher.stop();
        tokio::join!(till.spool.close(deadline + MARKS), till.registry.close(deadline));
        if let Some(sync) = &till.sync {
            sync.close(deadline).await;
        }
        let mut closed = till.closed.lock().await;
        if std::mem::replace(&mut *closed, true) {
            return Ok(());
        }
        let checkpoint = till.store.checkpoint().await;
        if let Some(socket) = socket {
            socket.end();
        }
        till.store.close().await;
        checkpoint
    }

    /// Payments at a terminal whose outcome is undecided: recovery settles them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_payments(&self, terminal: &str) -> Result<Vec<Intent>> {
        Journal::open(&self.0.store, terminal).await
    }

    /// Print jobs that are waiting, printing, or parked until a person decides; oldest first. Includes jobs of a route
    /// that is not configured: [`Printer::adopt`] moves them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_jobs(&self) -> Result<Vec<SpooledJob>> {
        self.0.store.open_jobs().await
    }

    /// Settles an open payment by hand, also of a terminal that is no longer configured; the journal records who
    /// decided what, and why.
    ///
    /// # Errors
    /// The payment is not open, the decision lacks a name or a reason, or the journal cannot be written.
    pub async fn settle(&self, intent: &IntentId, decision: Decision) -> Result<Payment> {
        let entry = Journal::find(&self.0.store, intent).await?;
        let terminal = entry.and_then(|entry| self.0.registry.find::<Terminals>(&entry.intent.terminal));
        if let Some(terminal) = terminal {
            return terminal.settle(intent, decision).await;
        }
        let entry = Journal::settle(&self.0.store, intent, &decision).await?;
        Ok(entry.outcome().unwrap_or_else(|| Payment::unknown(intent, "no reason given")))
    }

    /// The database: journal, jobs, tickets.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The current configuration.
    pub fn config(&self) -> Arc<Config> {
        lock(&self.0.config).clone()
    }

    /// The supported protocols.
    pub fn drivers(&self) -> &Drivers {
        self.0.registry.drivers()
    }

    /// The source of time, ids, randomness and threads.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.0.runtime
    }

    /// A new key for a payment or print job: globally unique, and sorted by time.
    pub fn new_id(&self) -> String {
        self.0.runtime.new_id()
    }

    /// The language of receipts.
    pub fn language(&self) -> Language {
        self.config().till.language
    }
}

impl std::fmt::Debug for Tresen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tresen").field(&self.config().till.name).finish()
    }
}

/// The state of all devices at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of the last event before it.
    pub seq: u64,
    /// The devices, by class and name.
    pub devices: Vec<DeviceState>,
    /// Paper that has waited longer than its route allows, by job.
    #[serde(default)]
    pub overdue: Vec<OverduePaper>,
}

/// How long recording the outcomes of aborted jobs may take when the till is closed.
const MARKS: Duration = Duration::from_secs(6);
