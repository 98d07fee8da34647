//! The till: everything on the counter by its logical name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tresen_hal::{Address, Clock, Error, Kind, Result, SystemClock};
use tresen_payment::{Decision, Intent, IntentId, Journal, Payment};

use crate::config::{Config, Device};
use crate::event::{Bus, Events};
use crate::manager::printer::PrinterDevice;
use crate::manager::{Camera, DeviceState, HotPlug, Plugged, Printer, Scanner, Terminal, Waker};
use crate::sale::{Checkout, Language, Sale};
use crate::spool::{Route, Spool};
use crate::store::{Origin, SaleState, SpooledJob, Store};

/// A till with its devices. Clones are cheap and share it; when the last one is dropped, the
/// devices are let go.
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
pub struct Tresen(Arc<Inner>);

struct Inner {
    config: Config,
    store: Store,
    clock: Arc<dyn Clock>,
    bus: Bus,
    spool: Spool,
    devices: BTreeMap<String, PrinterDevice>,
    printers: BTreeMap<String, Printer>,
    terminals: BTreeMap<String, Terminal>,
    scanners: BTreeMap<String, Scanner>,
    cameras: BTreeMap<String, Camera>,
    _hot_plug: HotPlug,
}

impl Tresen {
    /// Opens the till that a configuration file describes.
    ///
    /// Devices that are away do not keep it from opening: they connect when they can.
    ///
    /// # Errors
    /// The file is wrong (line, key and what is allowed are named), or the database cannot be used.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::with(Config::load(path.as_ref())?, Arc::new(SystemClock)).await
    }

    /// Opens a till from a configuration in hand and a clock.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be used.
    pub async fn with(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        config.validate()?;
        let store = Store::open(&config.till.store, clock.clone()).await?;
        let bus = Bus::new(clock.clone());
        let devices = start(&config.printers, |name, addresses| {
            PrinterDevice::start(name, addresses, config.till.language, clock.clone(), bus.clone())
        });
        let terminals = start(&config.terminals, |name, addresses| {
            Terminal::start(name, addresses, store.clone(), clock.clone(), bus.clone())
        });
        let scanners =
            start(&config.scanners, |name, addresses| Scanner::start(name, addresses, clock.clone(), bus.clone()));
        let cameras =
            start(&config.cameras, |name, addresses| Camera::start(name, addresses, clock.clone(), bus.clone()));
        // Each printer is a route of its own, unless a route has its name.
        let names = config.printers.keys().chain(config.routes.keys().filter(|r| !config.printers.contains_key(*r)));
        let routes: Vec<Route> = names
            .map(|name| {
                let printers = config.route(name).unwrap_or_default();
                Route { name: name.clone(), printers: printers.iter().map(|p| devices[p].clone()).collect() }
            })
            .collect();
        let firsts: Vec<_> = routes.iter().map(|r| (r.name.clone(), r.printers[0].clone())).collect();
        let spool = Spool::start(store.clone(), bus.clone(), routes, config.till.language).await?;
        let printers = firsts.into_iter().map(|(name, device)| {
            let printer = Printer { name: name.clone(), device, spool: spool.clone(), patience: Printer::PATIENCE };
            (name, printer)
        });
        let printers = printers.collect();
        let plugged = plugged(&config.printers, &devices, PrinterDevice::waker)
            .chain(plugged(&config.terminals, &terminals, Terminal::waker))
            .chain(plugged(&config.scanners, &scanners, Scanner::waker))
            .chain(plugged(&config.cameras, &cameras, Camera::waker));
        let hot_plug = HotPlug::watch(plugged.collect());
        Ok(Self(Arc::new(Inner {
            config,
            store,
            clock,
            bus,
            spool,
            devices,
            printers,
            terminals,
            scanners,
            cameras,
            _hot_plug: hot_plug,
        })))
    }

    /// A printer, or a route of printers, by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn printer(&self, name: &str) -> Result<Printer> {
        named("printer or route", &self.0.printers, name)
    }

    /// A payment terminal by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn terminal(&self, name: &str) -> Result<Terminal> {
        named("terminal", &self.0.terminals, name)
    }

    /// A scanner by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn scanner(&self, name: &str) -> Result<Scanner> {
        named("scanner", &self.0.scanners, name)
    }

    /// A camera by name.
    ///
    /// # Errors
    /// There is none of that name; the error lists those there are.
    pub fn camera(&self, name: &str) -> Result<Camera> {
        named("camera", &self.0.cameras, name)
    }

    /// All devices as they are now: printers, terminals, scanners, cameras, each class by name.
    pub fn devices(&self) -> Vec<DeviceState> {
        let till = &self.0;
        let printers = till.devices.values().map(PrinterDevice::state);
        let terminals = till.terminals.values().map(Terminal::state);
        let scanners = till.scanners.values().map(Scanner::state);
        printers.chain(terminals).chain(scanners).chain(till.cameras.values().map(Camera::state)).collect()
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
    /// nobody hears when that is done.
    ///
    /// # Errors
    /// [`Kind::Storage`]: the database cannot be written.
    pub async fn close(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let till = &self.0;
        let mut ending = JoinSet::new();
        for device in till.devices.values().cloned() {
            ending.spawn(async move { device.owned.close(deadline).await });
        }
        for terminal in till.terminals.values() {
            let terminal = terminal.clone();
            ending.spawn(async move { terminal.close(deadline).await });
        }
        for scanner in till.scanners.values() {
            let scanner = scanner.clone();
            ending.spawn(async move { scanner.close(deadline).await });
        }
        for camera in till.cameras.values() {
            let camera = camera.clone();
            ending.spawn(async move { camera.close(deadline).await });
        }
        let spool = till.spool.close(deadline + MARKS);
        let devices = async { while ending.join_next().await.is_some() {} };
        tokio::join!(spool, devices);
        till.store.checkpoint().await
    }

    /// A new, empty sale; it is in the database at once, and so is each line that is added.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_sale(&self) -> Result<Sale> {
        self.open_sale_by(Origin::new()).await
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
        let (id, store, currency) = (crate::new_key(), &self.0.store, self.0.config.till.currency);
        let record = store.new_sale(&id, self.0.clock.wall(), currency, original, &origin).await?;
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
        let terminal = entry.and_then(|entry| self.0.terminals.get(&entry.intent.terminal));
        if let Some(terminal) = terminal {
            return terminal.settle(intent, decision).await;
        }
        let entry = Journal::settle(&self.0.store, intent, &decision).await?;
        Ok(entry.outcome().unwrap_or_else(|| Payment::unknown(intent, "not told")))
    }

    /// Everything that follows the basket, in the right order: pay, sign, close, print, with receipts at
    /// `printer`.
    ///
    /// # Errors
    /// There is no such printer.
    pub fn checkout(&self, printer: &str) -> Result<Checkout> {
        self.printer(printer)?;
        Ok(Checkout::new(self.clone(), printer))
    }

    /// The database: journal, jobs, tickets.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The language of receipts.
    pub fn language(&self) -> Language {
        self.0.config.till.language
    }
}

impl std::fmt::Debug for Tresen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tresen").field(&self.0.config.till.name).finish()
    }
}

/// The devices of one class, owned.
fn start<T>(devices: &BTreeMap<String, Device>, start: impl Fn(&str, Vec<Address>) -> T) -> BTreeMap<String, T> {
    devices.iter().map(|(name, device)| (name.clone(), start(name, device.addresses()))).collect()
}

/// What wakes the devices of one class.
fn plugged<'a, T>(
    devices: &'a BTreeMap<String, Device>,
    owned: &'a BTreeMap<String, T>,
    waker: fn(&T) -> Waker,
) -> impl Iterator<Item = Plugged> + 'a {
    devices.iter().map(move |(name, device)| Plugged { addresses: device.addresses(), waker: waker(&owned[name]) })
}

fn named<T: Clone>(what: &str, all: &BTreeMap<String, T>, name: &str) -> Result<T> {
    all.get(name).cloned().ok_or_else(|| {
        let known: Vec<_> = all.keys().map(String::as_str).collect();
        let known =
            if known.is_empty() { "none is configured".to_owned() } else { format!("there are: {}", known.join(", ")) };
        Error::new(Kind::Config, format!("there is no {what} `{name}`")).hint(known)
    })
}

/// How long the outcomes of jobs that were broken off may take to be written when the till is closed.
const MARKS: Duration = Duration::from_secs(6);
