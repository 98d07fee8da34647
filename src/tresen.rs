//! The till: everything on the counter by its logical name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::broadcast;
use tresen_hal::{Clock, Error, Kind, Result, SystemClock};
use tresen_payment::{Intent, Journal};

use crate::config::Config;
use crate::event::Event;
use crate::manager::{Bus, Camera, HotPlug, Plugged, Printer, Scanner, Terminal, printer};
use crate::sale::{Checkout, Language, Ticket};
use crate::spool::{Route, Spool};
use crate::store::Store;

/// A till with its devices. Clones are cheap and share it; when the last one is dropped, the
/// devices are let go.
///
/// ```no_run
/// use tresen::{Amount, Payment, Tresen};
///
/// # async fn sell() -> tresen::Result<()> {
/// let till = Tresen::open("till.toml").await?;
/// let mut ticket = till.open_ticket().await?;
/// ticket.add(tresen::sale::Line::pieces("Flat white", 2, Amount::eur(3_80), tresen::sale::Vat::percent(19))?)?;
/// match till.terminal("counter")?.pay(ticket.total()).await? {
///     Payment::Charged(charge) => {
///         till.printer("receipt")?.print(&ticket.paid_by(&charge, till.language())).await?;
///     }
///     Payment::NotCharged(why) => eprintln!("not paid: {}", why.text),
///     Payment::Unknown(intent) => eprintln!("{} is settled as soon as the terminal is back", intent.0),
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
        let owned: BTreeMap<_, _> = config
            .printers
            .iter()
            .map(|(name, device)| (name.clone(), printer::start(name, device.addresses(), bus.clone())))
            .collect();
        let names = config.printers.keys().chain(config.routes.keys().filter(|r| !config.printers.contains_key(*r)));
        let routes: Vec<Route> = names
            .map(|name| {
                let printers = config.route(name).unwrap_or_default();
                Route { name: name.clone(), printers: printers.iter().map(|p| owned[p].clone()).collect() }
            })
            .collect();
        let firsts: Vec<_> = routes.iter().map(|r| (r.name.clone(), r.printers[0].clone())).collect();
        let spool = Spool::start(store.clone(), bus.clone(), routes).await?;
        let rings = owned.iter().map(|(name, owned)| (&config.printers[name], owned.ring())).collect::<Vec<_>>();
        let printers = firsts
            .into_iter()
            .map(|(name, owned)| (name.clone(), Printer { name, owned, spool: spool.clone() }))
            .collect();
        let terminals = config.terminals.iter().map(|(name, device)| {
            (name.clone(), Terminal::start(name, device.addresses(), store.clone(), clock.clone(), bus.clone()))
        });
        let scanners = config
            .scanners
            .iter()
            .map(|(name, device)| (name.clone(), Scanner::start(name, device.addresses(), clock.clone(), bus.clone())));
        let cameras = config
            .cameras
            .iter()
            .map(|(name, device)| (name.clone(), Camera::start(name, device.addresses(), clock.clone(), bus.clone())));
        let terminals: BTreeMap<String, Terminal> = terminals.collect();
        let scanners: BTreeMap<String, Scanner> = scanners.collect();
        let cameras: BTreeMap<String, Camera> = cameras.collect();
        let rings = rings
            .into_iter()
            .chain(terminals.iter().map(|(name, terminal)| (&config.terminals[name], terminal.ring())))
            .chain(scanners.iter().map(|(name, scanner)| (&config.scanners[name], scanner.ring())))
            .chain(cameras.iter().map(|(name, camera)| (&config.cameras[name], camera.ring())));
        let plugged = rings.map(|(device, ring)| Plugged { addresses: device.addresses(), ring }).collect();
        let hot_plug = HotPlug::watch(plugged);
        let inner = Inner { config, store, clock, bus, printers, terminals, scanners, cameras, _hot_plug: hot_plug };
        Ok(Self(Arc::new(inner)))
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

    /// What happens on the counter from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.bus.listen()
    }

    /// A new, empty ticket with the next number; it is in the database at once, so that no number is
    /// given twice.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_ticket(&self) -> Result<Ticket> {
        let id = crate::new_key();
        let number = self.0.store.open_ticket(&id).await?;
        Ok(Ticket::new(number, id, self.0.clock.wall(), self.0.config.till.currency))
    }

    /// Payments at a terminal that are neither charged nor not charged yet: recovery settles them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_payments(&self, terminal: &str) -> Result<Vec<Intent>> {
        Journal::open(&self.0.store, terminal).await
    }

    /// Everything that follows the basket, in the right order: pay, close, print.
    ///
    /// # Errors
    /// There is no such terminal or printer.
    pub fn checkout(&self, terminal: &str, printer: &str) -> Result<Checkout> {
        Ok(Checkout::new(self.0.store.clone(), self.terminal(terminal)?, self.printer(printer)?, self.language()))
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

fn named<T: Clone>(what: &str, all: &BTreeMap<String, T>, name: &str) -> Result<T> {
    all.get(name).cloned().ok_or_else(|| {
        let known: Vec<_> = all.keys().map(String::as_str).collect();
        let known =
            if known.is_empty() { "none is configured".to_owned() } else { format!("there are: {}", known.join(", ")) };
        Error::new(Kind::Config, format!("there is no {what} `{name}`")).hint(known)
    })
}
