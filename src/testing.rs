//! For the tests of a program that uses this crate: its till on simulated devices, without hardware, ports and waiting.
//!
//! A [`Counter`] takes the till's own configuration and puts simulators in the place of its printers, terminals and
//! serial scanners. They speak the real protocols over links in memory: drivers, journal, spool and recovery are those
//! of a shop. Under tokio's paused clock, time passes by itself whenever everything waits, so that a test of a timeout
//! of three minutes takes milliseconds; the till's ids repeat themselves from a seed.
//!
//! ```
//! use tresen::payment::zvt::sim::Misbehaviour;
//! use tresen::testing::Counter;
//! use tresen::{Amount, Payment};
//!
//! // In a test: #[tokio::test(start_paused = true)], with tokio's feature `test-util`.
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let folder = std::env::temp_dir().join(format!("till-{}", std::process::id()));
//! let counter = Counter::parse("[terminals.counter]\naddress = 'zvt+tcp://10.0.0.30'\n", &folder)?;
//! let till = counter.open().await?;
//! counter.terminal("counter")?.with(|device| device.misbehave(Misbehaviour::Decline(0x6c)));
//! let payment = till.terminal("counter")?.pay(Amount::eur(12_50)).await?;
//! assert!(matches!(payment, Payment::NotCharged(_)), "{payment:?}");
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), tresen::Error>(())
//! # }).unwrap();
//! ```
//!
//! `tests/vendor.rs` in the repository has a declined card, an empty roll and a missing device.
//!
//! Left out: cameras, which keep their addresses (`camera+file:` reads a folder of pictures), and the parts of a real
//! device that no simulator has; test those with the device.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tresen_hal::address::LinkKind;
use tresen_hal::link::memory;
use tresen_hal::runtime::SimulatedRuntime;
use tresen_hal::sim::{self, Device, Shared};
use tresen_hal::{Address, BoxFuture, Effect, Error, Kind, Link, Result};
use tresen_payment::{Terminal, zvt};
use tresen_printers::{Printer, Profile, escpos};
use tresen_scanners::{Scanner, serial};

use crate::builder::Builder;
use crate::class::{Class, DeviceId};
use crate::config::{self, Config};
use crate::drivers::{Drivers, OPEN_TERMINAL, Plan, Protocol};
use crate::manager::{Printers, Scanners, Terminals, lock};
use crate::tresen::Tresen;

/// The simulated printer of a [`Counter`].
pub type SimulatedPrinter = Simulated<escpos::sim::Simulator>;
/// The simulated terminal of a [`Counter`].
pub type SimulatedTerminal = Simulated<zvt::sim::Simulator>;
/// The simulated scanner of a [`Counter`].
pub type SimulatedScanner = Simulated<serial::sim::Simulator>;

/// The devices of a till, simulated. They outlive it: printers keep their paper, terminals their ledger, also when the
/// till is closed and opened again.
pub struct Counter {
    config: Config,
    drivers: Drivers,
    devices: Arc<Devices>,
    seed: u64,
    wall: Timestamp,
    /// Begins with the first till, so that time goes on with the next.
    runtime: Mutex<Option<SimulatedRuntime>>,
}

#[derive(Default)]
struct Devices {
    printers: BTreeMap<String, SimulatedPrinter>,
    terminals: BTreeMap<String, SimulatedTerminal>,
    scanners: BTreeMap<String, SimulatedScanner>,
}

impl Counter {
    /// Simulators for the devices of a configuration file. The database is `till.db` in `folder`, which is created if
    /// necessary: a temporary one of the test.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(file: impl AsRef<Path>, folder: impl Into<PathBuf>) -> Result<Self> {
        Self::of(Config::load(file.as_ref(), &Drivers::standard())?, folder)
    }

    /// The same for a configuration as TOML text.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse(text: &str, folder: impl Into<PathBuf>) -> Result<Self> {
        Self::of(Config::parse(text, "till.toml", &Drivers::standard())?, folder)
    }

    /// The same for a configuration built in code. Printers are Epson TM-m30 with a drawer, terminals confirm every
    /// payment, scanners send lines. Options of the protocols are kept, those of the links are not.
    ///
    /// # Errors
    /// The folder cannot be created, or a printer's `profile` is unknown.
    pub fn of(mut config: Config, folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
        config.till.store = folder.join("till.db");
        // A socket belongs to the kernel, which no seed repeats.
        config.till.socket = false;
        let mut devices = Devices::default();
        for (id, device) in &mut config.devices {
            if device.from.is_some() {
                continue;
            }
            let first = device.addresses().into_iter().next();
            let framing = first.as_ref().filter(|address| id.class == Class::Terminal && address.protocol() == "zvt");
            let framing = framing.and_then(|address| Some(zvt::Options::from_address(address).ok()?.framing));
            let framing = framing.unwrap_or_default();
            let (protocol, options) = match id.class {
                Class::Printer => {
                    let profile = profile(device)?;
                    devices.printers.insert(id.name.clone(), Simulated::new(escpos::sim::Simulator::new(profile)));
                    (PRINTER, escpos::Options::NAMES)
                }
                Class::Terminal => {
                    // A receipt number is unique at its terminal, whose id is part of a payment's reference.
                    let terminal_id = format!("{}", FIRST_TERMINAL + devices.terminals.len());
                    let profile = zvt::sim::Profile { terminal_id, framing, ..zvt::sim::Profile::default() };
                    let terminal = zvt::sim::Simulator::new(profile);
                    devices.terminals.insert(id.name.clone(), Simulated::new(terminal));
                    (TERMINAL, zvt::Options::NAMES)
                }
                Class::Scanner => {
                    let scanner = serial::sim::Simulator::new(serial::sim::Settings::default());
                    devices.scanners.insert(id.name.clone(), Simulated::new(scanner));
                    (SCANNER, serial::Options::NAMES)
                }
                _ => continue,
            };
            // The options of the protocol; those of a link are its own.
            let mut simulated = Address::tcp(protocol, &id.name, 1);
            if let zvt::Framed::Serial(_) = framing {
                simulated = simulated.with("framing", "serial");
            }
            let kept = first.iter().flat_map(Address::options).filter(|(name, _)| options.contains(name));
            device.address = vec![kept.fold(simulated, |address, (name, value)| address.with(name, value))];
            device.options.clear();
        }
        let devices = Arc::new(devices);
        let drivers = drivers(&devices)?;
        let wall = "2026-01-02T08:00:00Z".parse().map_err(|e| Error::new(Kind::Input, "no time").because(e))?;
        Ok(Self { config, drivers, devices, seed: 1, wall, runtime: Mutex::default() })
    }

    /// Changes the configuration before the till is opened.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets the seed of ids and random numbers; default 1.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the date and time at which the first till is opened; default 2026-01-02T08:00:00Z.
    #[must_use]
    pub fn starting_at(self, wall: Timestamp) -> Self {
        Self { wall, ..self }
    }

    /// A simulated printer by its name.
    ///
    /// # Errors
    /// Unknown name.
    pub fn printer(&self, name: &str) -> Result<SimulatedPrinter> {
        find("printer", &self.devices.printers, name)
    }

    /// A simulated terminal by its name.
    ///
    /// # Errors
    /// Unknown name.
    pub fn terminal(&self, name: &str) -> Result<SimulatedTerminal> {
        find("terminal", &self.devices.terminals, name)
    }

    /// A simulated scanner by its name.
    ///
    /// # Errors
    /// Unknown name.
    pub fn scanner(&self, name: &str) -> Result<SimulatedScanner> {
        find("scanner", &self.devices.scanners, name)
    }

    /// A builder with the drivers and the runtime of this counter, for tills with a signer or drivers of one's own: open
    /// it with [`Counter::config`]. Call it within a tokio runtime.
    pub fn builder(&self) -> Builder {
        let runtime = lock(&self.runtime).get_or_insert_with(|| SimulatedRuntime::new(self.seed, self.wall)).clone();
        Builder::default().drivers(self.drivers.clone()).runtime(Arc::new(runtime))
    }

    /// The configuration with the simulators' addresses.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Opens the till, and waits until each device that is plugged in is ready.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be used.
    pub async fn open(&self) -> Result<Tresen> {
        let till = self.builder().with(self.config()).await?;
        for id in self.config.devices.keys().filter(|id| self.devices.is_plugged(id)) {
            till.phase(id)?.wait_for(crate::manager::Phase::is_ready).await.ok();
        }
        Ok(till)
    }
}

impl Devices {
    fn is_plugged(&self, id: &DeviceId) -> bool {
        match id.class {
            Class::Printer => self.printers.get(&id.name).is_some_and(Simulated::is_plugged),
            Class::Terminal => self.terminals.get(&id.name).is_some_and(Simulated::is_plugged),
            Class::Scanner => self.scanners.get(&id.name).is_some_and(Simulated::is_plugged),
            _ => false,
        }
    }
}

/// A simulated device and its cable. Clones are the same device.
pub struct Simulated<D>(Arc<Place<D>>);

impl<D> Clone for Simulated<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Place<D> {
    device: Shared<D>,
    plugged: watch::Sender<bool>,
    /// Held while a host is served: one at a time, as real devices do.
    serving: tokio::sync::Mutex<()>,
}

impl<D: Device + 'static> Simulated<D> {
    fn new(device: D) -> Self {
        let (plugged, serving) = (watch::Sender::new(true), tokio::sync::Mutex::default());
        Self(Arc::new(Place { device: Shared::new(device), plugged, serving }))
    }

    /// Looks at the device or operates it: removes its paper, scans a code, tells it to misbehave.
    pub fn with<T>(&self, operate: impl FnOnce(&mut D) -> T) -> T {
        self.0.device.with(operate)
    }

    /// Pulls the cable: the open link ends, and no other can be opened.
    pub fn unplug(&self) {
        self.0.plugged.send_replace(false);
    }

    /// Plugs it in again. The till finds it with its next attempt.
    pub fn plug_in(&self) {
        self.0.plugged.send_replace(true);
    }

    /// Whether it is plugged in.
    pub fn is_plugged(&self) -> bool {
        *self.0.plugged.borrow()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Link>>> {
        let place = self.0.clone();
        Box::pin(async move {
            if !*place.plugged.borrow() {
                return Err(Error::new(Kind::NotFound, "the device is unplugged").with_effect(Effect::None));
            }
            let (near, far) = memory::pair();
            let mut plugged = place.plugged.subscribe();
            tokio::spawn(async move {
                let _turn = place.serving.lock().await;
                tokio::select! {
                    biased;
                    _ = plugged.wait_for(|plugged| !plugged) => {
                        place.device.with(|device| device.disconnected(Instant::now().into_std()));
                    }
                    () = sim::link(&far, &place.device) => {}
                }
            });
            Ok(Box::new(near) as Box<dyn Link>)
        })
    }
}

fn profile(device: &config::Device) -> Result<Profile> {
    let named = device.options.get("profile").map(ToString::to_string);
    let named = named.or_else(|| device.address.first()?.option("profile").map(str::to_owned));
    match named {
        Some(name) => {
            let unknown = || Error::new(Kind::Config, format!("unknown printer profile `{name}`"));
            Profile::named(&name).ok_or_else(unknown)
        }
        None => Ok(Profile::epson_tm_m30()),
    }
}

/// The standard drivers on links in memory.
fn drivers(devices: &Arc<Devices>) -> Result<Drivers> {
    let mut drivers = Drivers::standard();
    let all = devices.clone();
    let printer = Protocol::new::<Printers>(PRINTER, move |address| {
        let device = find("printer", &all.printers, name(address)?)?;
        let (link, options) = (move || device.connect(), escpos::Options::from_address(address)?);
        Ok(Plan::over(address.label(), link, move |link, context| {
            let mut options = options.clone();
            options.runtime = context.runtime;
            async move { Ok(Box::new(escpos::open(link, options).await?) as Box<dyn Printer>) }
        }))
    });
    drivers.register(printer.port(1).options(|_| escpos::Options::NAMES.to_vec()))?;
    let all = devices.clone();
    let terminal = Protocol::new::<Terminals>(TERMINAL, move |address| {
        let device = find("terminal", &all.terminals, name(address)?)?;
        let (link, options) = (move || device.connect(), zvt::Options::from_address(address)?);
        let plan = Plan::over(address.label(), link, move |link, context| {
            let mut options = options.clone();
            options.name = context.name;
            async move {
                let journal = context.journal.ok_or_else(|| Error::new(Kind::Config, "a terminal needs a journal"))?;
                Ok(Box::new(zvt::open(link, options, journal, context.runtime).await?) as Box<dyn Terminal>)
            }
        });
        Ok(plan.within(OPEN_TERMINAL))
    });
    drivers.register(terminal.port(1).options(|_| zvt::Options::NAMES.to_vec()))?;
    let all = devices.clone();
    let scanner = Protocol::new::<Scanners>(SCANNER, move |address| {
        let device = find("scanner", &all.scanners, name(address)?)?;
        let (link, options) = (move || device.connect(), serial::Options::from_address(address)?);
        Ok(Plan::over(address.label(), link, move |link, context| {
            let scanner = serial::open(link, &context.name, options.clone(), context.runtime);
            std::future::ready(scanner.map(|scanner| Box::new(scanner) as Box<dyn Scanner>))
        }))
    });
    drivers.register(scanner.port(1).options(|_| serial::Options::NAMES.to_vec()))?;
    Ok(drivers)
}

fn name(address: &Address) -> Result<&str> {
    match address.link() {
        LinkKind::Tcp { host, .. } => Ok(host),
        _ => Err(Error::new(Kind::Address, "simulated devices have a name only")),
    }
}

fn find<D>(class: &str, all: &BTreeMap<String, Simulated<D>>, name: &str) -> Result<Simulated<D>> {
    all.get(name).cloned().ok_or_else(|| {
        let known: Vec<_> = all.keys().map(String::as_str).collect();
        let what = format!("the counter has no {class} `{name}`; expected one of {}", known.join(", "));
        Error::new(Kind::NotFound, what)
    })
}

/// The id of the first terminal; the others follow it.
const FIRST_TERMINAL: usize = 60_000_001;
const PRINTER: &str = "simulated-printer";
const TERMINAL: &str = "simulated-terminal";
const SCANNER: &str = "simulated-scanner";
