//! The till: everything on the counter by its logical name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tresen_hal::{Error, Kind, Result, Runtime};
use tresen_payment::{Decision, Intent, IntentId, Journal, Payment};

use crate::api::Socket;
use crate::builder::Builder;
use crate::class::DeviceId;
use crate::config::Config;
use crate::drivers::Drivers;
use crate::event::{Bus, Events};
use crate::manager::{
    Camera, Device, DeviceClass, DeviceState, Phase, Printer, Registry, Scanner, Terminal, Terminals, lock, no_device,
};
use crate::sale::{Checkout, Language, Sale};
use crate::spool::Spool;
use crate::store::{Origin, SaleState, SpooledJob, Store};

/// A till with its devices. Clones are cheap and share it. [`Tresen::close`] lets the devices go; without it, they go with
/// the last handle, and a [`Printer`], a [`PrintJob`](crate::PrintJob) or a [`Terminal`] that is kept is one, too.
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

/// For whom a handle calls.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    /// Who it is, in the caller's own words.
    pub(crate) name: Option<Arc<str>>,
    /// Asks the transactions that it begins to stop.
    pub(crate) abort: Option<watch::Receiver<bool>>,
    /// The local socket, which is served as long as the program has a handle. The socket's own handles have none.
    pub(crate) socket: Option<Arc<Socket>>,
}

pub(crate) struct Inner {
    pub(crate) config: Mutex<Arc<Config>>,
    /// Where it was read from.
    pub(crate) file: Option<PathBuf>,
    pub(crate) store: Store,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) bus: Bus,
    pub(crate) spool: Spool,
    pub(crate) registry: Arc<Registry>,
    /// What every checkout begins with.
    pub(crate) checkout: Option<CheckoutSetup>,
    /// Held while devices or routes change.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Whether the database was closed; held while it is being closed.
    pub(crate) closed: tokio::sync::Mutex<bool>,
}

/// Sets up a checkout: with a signer, a drawer.
pub(crate) type CheckoutSetup = Arc<dyn Fn(Checkout) -> Checkout + Send + Sync>;

impl Tresen {
    /// Opens the till that a configuration file describes, with the protocols of this crate.
    ///
    /// Devices that are away do not keep it from opening: they connect when they can.
    ///
    /// # Errors
    /// The file is wrong (line, key and what is allowed are named), or the database cannot be used.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path).await
    }

    /// Opens a till from a configuration in hand.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be used.
    pub async fn with(config: Config) -> Result<Self> {
        Self::builder().with(config).await
    }

    /// For protocols of one's own, or another clock.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same till for calls on behalf of `caller`, such as a handheld or a cashier: its devices are
    /// [`Device::on_behalf_of`](crate::Device::on_behalf_of) that caller, its print jobs and sales are of a station of
    /// that name unless told otherwise.
    #[must_use]
    pub fn on_behalf_of(&self, caller: &str) -> Self {
        Self(self.0.clone(), Caller { name: Some(caller.into()), ..self.1.clone() })
    }

    /// The same till for commands whose transactions stop when `abort` says so.
    pub(crate) fn aborted_by(&self, abort: watch::Receiver<bool>) -> Self {
        Self(self.0.clone(), Caller { abort: Some(abort), ..self.1.clone() })
    }

    /// The caller as the station of what is stored.
    pub(crate) fn station(&self) -> Option<Origin> {
        self.1.name.as_deref().map(|caller| Origin::new().station(caller))
    }

    /// What asks the transactions of this caller to stop.
    pub(crate) fn abort(&self) -> watch::Receiver<bool> {
        self.1.abort.clone().unwrap_or_else(|| watch::channel(false).1)
    }

    /// A printer, or a route of printers, by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn printer(&self, name: &str) -> Result<Printer> {
        let first = self.0.spool.first(name);
        let first = first.ok_or_else(|| no_device("printer or route", name, self.0.spool.names()))?;
        let printer = Printer::new(name, first, self.0.spool.clone());
        Ok(match &self.1.name {
            Some(caller) => printer.on_behalf_of(&**caller),
            None => printer,
        })
    }

    /// A payment terminal by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn terminal(&self, name: &str) -> Result<Terminal> {
        self.device(name)
    }

    /// A scanner by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn scanner(&self, name: &str) -> Result<Scanner> {
        self.device(name)
    }

    /// A camera by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn camera(&self, name: &str) -> Result<Camera> {
        self.device(name)
    }

    fn device<C: DeviceClass>(&self, name: &str) -> Result<Device<C>> {
        let device: Device<C> = self.0.registry.device(name)?;
        Ok(match &self.1.name {
            Some(caller) => device.on_behalf_of(&**caller),
            None => device,
        })
    }

    /// All devices as they are now, by class and name.
    pub fn devices(&self) -> Vec<DeviceState> {
        self.0.registry.snapshot()
    }

    /// The state of a device of whatever class; changes can be awaited.
    ///
    /// # Errors
    /// There is no such device.
    pub fn phase(&self, device: &DeviceId) -> Result<watch::Receiver<Phase>> {
        Ok(self.0.registry.any(device)?.phase())
    }

    /// Opens a device of whatever class anew, at once.
    ///
    /// # Errors
    /// There is no such device, or the till was closed.
    pub fn reset(&self, device: &DeviceId) -> Result<()> {
        self.0.registry.any(device)?.reset()
    }

    /// All devices as they are now, and the events from here on: a screen shows the one and follows the other. What
    /// the snapshot shows may be told again by the first events, but nothing falls between the two.
    pub fn follow(&self) -> (Snapshot, Events) {
        let (seq, events) = self.0.bus.follow();
        (Snapshot { seq, devices: self.devices() }, events)
    }

    /// What happens on the counter. The first listener also hears what has happened since the till was opened: which
    /// devices were found, which paper is in doubt.
    pub fn events(&self) -> Events {
        self.0.bus.listen()
    }

    /// Ends the till in an orderly way, within about `within`: print jobs and calls under way are finished, or
    /// parked once the time is over; what waits is refused or stays queued; terminals are logged off; the database
    /// is brought up to date. Afterwards every call is refused.
    ///
    /// A device that hangs takes 5 s more at most. Dropping all handles instead lets the devices go as well, but
    /// nobody hears when that is done. Closing what is closed does nothing.
    ///
    /// # Errors
    /// [`Kind::Storage`]: the database cannot be written.
    pub async fn close(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let till = &self.0;
        let socket = self.1.socket.as_ref();
        if let Some(socket) = socket {
            socket.refuse();
        }
        tokio::join!(till.spool.close(deadline + MARKS), till.registry.close(deadline));
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

    /// A new, empty sale; it is in the database at once, and so is each line that is added.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_sale(&self) -> Result<Sale> {
        self.open_sale_by(self.station().unwrap_or_default()).await
    }

    /// A new, empty sale of a station, source or operator.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_sale_by(&self, origin: Origin) -> Result<Sale> {
        self.new_sale(None, origin).await
    }

    /// A new sale that gives another one back: its lines with the other sign, to be taken out where
    /// only some come back. What is open is negative: pay it out with [`Sale::pay_out`] or
    /// [`Sale::pay_card`]. A card payment of the same day can be reversed at its terminal instead.
    ///
    /// # Errors
    /// There is no such closed sale, or the database cannot be written.
    pub async fn open_refund(&self, original: &str, origin: Origin) -> Result<Sale> {
        let sold = self.sale(original).await?.filter(|sale| sale.state() == SaleState::Closed);
        let Some(sold) = sold else {
            return Err(Error::new(Kind::Input, format!("there is no closed sale `{original}`")));
        };
        let mut sale = self.new_sale(Some(original), origin).await?;
        for line in sold.ticket().lines() {
            sale.add(line.given_back()?).await?;
        }
        Ok(sale)
    }

    /// A sale by its id, open or closed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn sale(&self, id: &str) -> Result<Option<Sale>> {
        Ok(self.0.store.sale(id).await?.map(|record| Sale::new(self.0.store.clone(), record)))
    }

    /// A closed sale by its number.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn sale_by_number(&self, number: i64) -> Result<Option<Sale>> {
        let mut next = self.tickets_since(number.saturating_sub(1), 1).await?;
        Ok(next.pop().filter(|sale| sale.ticket().number() == Some(number)))
    }

    /// Closed sales with their lines and tenders, from the one after `number` on, at most `limit`: what
    /// another system fetches. Keep the last number for the next time; begin with 0.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn tickets_since(&self, number: i64, limit: u32) -> Result<Vec<Sale>> {
        let closed = self.0.store.closed_sales(number, limit).await?;
        Ok(closed.into_iter().map(|record| Sale::new(self.0.store.clone(), record)).collect())
    }

    /// The sales that are open, oldest first: baskets, and what is not wholly paid. What an earlier life
    /// of this till surely never sent to a terminal counts as refused.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn open_sales(&self) -> Result<Vec<Sale>> {
        let mut open = Vec::new();
        for id in self.0.store.open_sales().await? {
            match self.0.store.follow_tenders(&id).await {
                Ok(record) => open.push(Sale::new(self.0.store.clone(), record)),
                Err(error) => tracing::error!(sale = %id, %error, "an open sale cannot be read"),
            }
        }
        Ok(open)
    }

    async fn new_sale(&self, original: Option<&str>, origin: Origin) -> Result<Sale> {
        let (id, store, currency) = (self.new_id(), &self.0.store, self.config().till.currency);
        let record = store.new_sale(&id, self.0.runtime.wall(), currency, original, &origin).await?;
        Ok(Sale::new(store.clone(), record))
    }

    /// Payments at a terminal that are neither charged nor not charged yet: recovery settles them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_payments(&self, terminal: &str) -> Result<Vec<Intent>> {
        Journal::open(&self.0.store, terminal).await
    }

    /// Print jobs that wait, are being printed, or are parked until a person decides; oldest first. Jobs of a route
    /// that is not configured are among them: [`Printer::adopt`] moves them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_jobs(&self) -> Result<Vec<SpooledJob>> {
        self.0.store.open_jobs().await
    }

    /// Settles an open payment by hand, also of a terminal that is not configured any more: who decides what, on
    /// what grounds, stands in the journal.
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
        Ok(entry.outcome().unwrap_or_else(|| Payment::unknown(intent, "not told")))
    }

    /// Everything that follows the basket, in the right order: pay, sign, close, print, with receipts at
    /// `printer`. It begins as [`Builder::checkout`] has set it up.
    ///
    /// # Errors
    /// There is no such printer.
    pub fn checkout(&self, printer: &str) -> Result<Checkout> {
        self.printer(printer)?;
        let checkout = Checkout::new(self.clone(), printer);
        Ok(match &self.0.checkout {
            Some(setup) => setup(checkout),
            None => checkout,
        })
    }

    /// The database: journal, jobs, tickets.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Its configuration, as it was opened or reloaded.
    pub fn config(&self) -> Arc<Config> {
        lock(&self.0.config).clone()
    }

    /// The protocols that it speaks.
    pub fn drivers(&self) -> &Drivers {
        self.0.registry.drivers()
    }

    /// Where it takes time, ids, randomness and threads from.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.0.runtime
    }

    /// A new key for a payment or a piece of paper: unique everywhere, and sorted by time.
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

/// All devices at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of the last event before it.
    pub seq: u64,
    /// The devices, by class and name.
    pub devices: Vec<DeviceState>,
}

/// How long the outcomes of jobs that were broken off may take to be written when the till is closed.
const MARKS: Duration = Duration::from_secs(6);
