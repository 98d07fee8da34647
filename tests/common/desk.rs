//! A till and its simulated devices over links in memory, under virtual time. The devices outlive the till, which may be
//! opened again.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::Instant;
use tresen::hal::address::LinkKind;
use tresen::hal::link::memory;
use tresen::hal::sim::{self, Device, Shared};
use tresen::hal::{Address, BoxFuture, Link, SimulatedRuntime};
use tresen::payment::zvt::sim::{Profile as TerminalProfile, Simulator as TerminalSimulator};
use tresen::payment::{Terminal, nexo, opi, zvt};
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::printers::{Printer, escpos};
use tresen::scanners::serial::sim::{Settings, Simulator as ScannerSimulator};
use tresen::scanners::{Scanner, serial};
use tresen::sync::sim::Server;
use tresen::{
    Class, Config, DeviceId, Drivers, Effect, Error, EventKind, Events, Kind, Plan, Printers, Protocol, Result,
    Scanners, Terminals, Tresen,
};

use super::set_clock::SetClock;

/// One device and the plug that it hangs on.
pub(crate) struct Place<D> {
    pub(crate) device: Shared<D>,
    /// Whether it is plugged in, and how often the link was cut.
    plug: watch::Sender<(bool, u64)>,
}

impl<D: Device + 'static> Place<D> {
    fn new(device: D) -> Arc<Self> {
        Arc::new(Self { device: Shared::new(device), plug: watch::Sender::new((true, 0)) })
    }

    /// Looks at the device, or operates it.
    pub(crate) fn with<T>(&self, operate: impl FnOnce(&mut D) -> T) -> T {
        self.device.with(operate)
    }

    /// Pulls the plug, or puts it back.
    pub(crate) fn plugged_in(&self, is: bool) {
        self.plug.send_modify(|(on, cuts)| (*on, *cuts) = (is, *cuts + 1));
    }

    fn connect(self: &Arc<Self>) -> BoxFuture<'static, Result<Box<dyn Link>>> {
        let place = self.clone();
        Box::pin(async move {
            let mut plug = place.plug.subscribe();
            if !plug.borrow_and_update().0 {
                return Err(Error::new(Kind::Closed, "connection refused").with_effect(Effect::None));
            }
            let (near, far) = memory::pair();
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    _ = plug.changed() => far.close().await,
                    () = sim::link(&far, &place.device) => {}
                }
            });
            Ok(Box::new(near) as Box<dyn Link>)
        })
    }
}

type Places<D> = Vec<(String, Arc<Place<D>>)>;

/// Devices, and the configuration of a till that knows them.
pub(crate) struct Desk {
    dir: TempDir,
    began: Instant,
    /// Seconds by which somebody has set the clock.
    ahead: Arc<AtomicI64>,
    till: String,
    toml: String,
    server: Option<Server>,
    printers: Places<PrinterSimulator>,
    terminals: Places<TerminalSimulator>,
    scanners: Places<ScannerSimulator>,
    /// Terminals that are connected to for each request.
    opi: Vec<(String, memory::Dialer)>,
    nexo: Vec<(String, memory::Dialer)>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let (printers, terminals, scanners) = Default::default();
        let (dir, began) = (tempfile::tempdir().expect("a folder"), Instant::now());
        // A socket is the kernel's, and its time is real.
        let till = "[till]\nsocket = false\n".to_owned();
        let (server, opi, nexo) = (None, Vec::new(), Vec::new());
        Self {
            dir,
            began,
            ahead: Arc::default(),
            till,
            toml: String::new(),
            server,
            printers,
            terminals,
            scanners,
            opi,
            nexo,
        }
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.dir.path().join("till.db")
    }

    /// Sets the wall clock; the time that passes stays as it is.
    pub(crate) fn set_clock(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Adds a key of `[till]`.
    pub(crate) fn till(&mut self, line: &str) {
        self.till += line;
        self.till += "\n";
    }

    /// Adds to the configuration.
    pub(crate) fn configure(&mut self, toml: &str) {
        self.toml += toml;
        self.toml += "\n";
    }

    /// The till sends its journal there.
    pub(crate) fn server(&mut self, server: &Server) {
        self.server = Some(server.clone());
    }

    /// `options` such as `?profile=generic-80mm`.
    pub(crate) fn printer(
        &mut self,
        name: &str,
        options: &str,
        device: PrinterSimulator,
    ) -> Arc<Place<PrinterSimulator>> {
        self.configure(&format!("[printers.{name}]\naddress = 'desk-printer+tcp://{name}{options}'"));
        add(&mut self.printers, name, device)
    }

    /// A terminal that is this till's alone and keeps what it has approved.
    pub(crate) fn terminal(&mut self, name: &str, profile: TerminalProfile) -> Arc<Place<TerminalSimulator>> {
        let options = "?exclusive=true&commit=keeps&partial=true";
        self.configure(&format!("[terminals.{name}]\naddress = 'desk-terminal+tcp://{name}{options}'"));
        add(&mut self.terminals, name, TerminalSimulator::new(profile))
    }

    /// A terminal that speaks OPI; `options` such as `?grace=60`. Call it within a tokio runtime.
    pub(crate) fn opi_terminal(
        &mut self,
        name: &str,
        options: &str,
        profile: opi::sim::Profile,
    ) -> Shared<opi::sim::Simulator> {
        self.configure(&format!("[terminals.{name}]\naddress = 'desk-opi+tcp://{name}{options}'"));
        let ((dialer, port), device) = (memory::port(), Shared::new(opi::sim::Simulator::new(profile)));
        tokio::spawn(opi::sim::serve(Box::new(port), None, device.clone()));
        self.opi.push((name.to_owned(), dialer));
        device
    }

    /// A terminal that speaks nexo, in clear; `options` such as `&tip=true`. Call it within a tokio runtime.
    pub(crate) fn nexo_terminal(&mut self, name: &str, options: &str) -> Shared<nexo::sim::Simulator> {
        let profile = nexo::sim::Profile { time: self.wall(), ..nexo::sim::Profile::default() };
        let common = format!("poi={}&encryption=false&grace=1", profile.poi);
        self.configure(&format!("[terminals.{name}]\naddress = 'desk-nexo+tcp://{name}?{common}{options}'"));
        let ((dialer, port), device) = (memory::port(), Shared::new(nexo::sim::Simulator::new(profile)));
        tokio::spawn(nexo::sim::serve(Box::new(port), None, device.clone()));
        self.nexo.push((name.to_owned(), dialer));
        device
    }

    pub(crate) fn scanner(&mut self, name: &str) -> Arc<Place<ScannerSimulator>> {
        self.configure(&format!("[scanners.{name}]\naddress = 'desk-scanner+tcp://{name}'"));
        add(&mut self.scanners, name, ScannerSimulator::new(Settings::default()))
    }

    pub(crate) fn config(&self) -> Config {
        let mut config =
            Config::parse(&format!("{}{}", self.till, self.toml), "till.toml", &self.drivers()).expect("right");
        config.till.store = self.db();
        config
    }

    pub(crate) async fn open(&self) -> Tresen {
        self.open_on(SimulatedRuntime::new(7, self.wall())).await
    }

    /// Opens it on a runtime that suspends whoever waits for the database, as threads do.
    pub(crate) async fn open_in_turns(&self) -> Tresen {
        self.open_on(SimulatedRuntime::in_turns(7, self.wall())).await
    }

    fn wall(&self) -> Timestamp {
        let began: Timestamp = "2026-01-02T08:00:00Z".parse().expect("a time");
        began + self.began.elapsed()
    }

    async fn open_on(&self, inner: SimulatedRuntime) -> Tresen {
        let runtime = SetClock { inner, ahead: self.ahead.clone() };
        let builder = Tresen::builder().drivers(self.drivers()).runtime(Arc::new(runtime));
        let mut config = self.config();
        let builder = match &self.server {
            Some(server) => {
                config.server = Some(tresen::config::Server::default());
                builder.server(server.clone())
            }
            None => builder,
        };
        builder.with(config).await.expect("opens")
    }

    fn drivers(&self) -> Drivers {
        let mut drivers = Drivers::standard();
        let printers = self.printers.clone();
        let printer = Protocol::new::<Printers>("desk-printer", move |address| {
            let (place, options) = (named(&printers, address)?, escpos::Options::from_address(address)?);
            Ok(Plan::over(
                address.label(),
                move || place.connect(),
                move |link, context| {
                    let mut options = options.clone();
                    options.runtime = context.runtime;
                    async move { Ok(Box::new(escpos::open(link, options).await?) as Box<dyn Printer>) }
                },
            ))
        });
        let terminals = self.terminals.clone();
        let terminal = Protocol::new::<Terminals>("desk-terminal", move |address| {
            let (place, options) = (named(&terminals, address)?, zvt::Options::from_address(address)?);
            let plan = Plan::over(
                address.label(),
                move || place.connect(),
                move |link, context| {
                    let mut options = options.clone();
                    options.name = context.name.clone();
                    async move {
                        let journal = context.journal.expect("a till has one");
                        let terminal = zvt::open(link, options, journal, context.runtime).await?;
                        Ok(Box::new(terminal) as Box<dyn Terminal>)
                    }
                },
            );
            Ok(plan.within(Duration::from_secs(200)))
        });
        let dialers = self.opi.clone();
        let opi = Protocol::new::<Terminals>("desk-opi", move |address| {
            let (dialer, options) = (named(&dialers, address)?, opi::Options::from_address(address)?);
            let plan = Plan::new(address.label(), move |context| {
                let (mut options, dialer) = (options.clone(), Arc::new(dialer.clone()));
                options.name = context.name.clone();
                async move {
                    let journal = context.journal.expect("a till has one");
                    let terminal = opi::open(dialer, None, options, journal, context.runtime).await?;
                    Ok(Box::new(terminal) as Box<dyn Terminal>)
                }
            });
            Ok(plan.within(Duration::from_secs(200)))
        });
        let dialers = self.nexo.clone();
        let nexo = Protocol::new::<Terminals>("desk-nexo", move |address| {
            let (dialer, options) = (named(&dialers, address)?, nexo::Options::from_address(address)?);
            let plan = Plan::new(address.label(), move |context| {
                let (mut options, dialer) = (options.clone(), Arc::new(dialer.clone()));
                options.name = context.name.clone();
                async move {
                    let journal = context.journal.expect("a till has one");
                    let terminal = nexo::open(dialer, None, options, journal, context.runtime).await?;
                    Ok(Box::new(terminal) as Box<dyn Terminal>)
                }
            });
            Ok(plan.within(Duration::from_secs(200)))
        });
        let scanners = self.scanners.clone();
        let scanner = Protocol::new::<Scanners>("desk-scanner", move |address| {
            let place = named(&scanners, address)?;
            Ok(Plan::over(
                address.label(),
                move || place.connect(),
                |link, context| async move {
                    let scanner = serial::open(link, &context.name, serial::Options::default(), context.runtime)?;
                    Ok(Box::new(scanner) as Box<dyn Scanner>)
                },
            ))
        });
        for protocol in [
            printer.port(9100).options(|_| escpos::Options::NAMES.to_vec()),
            terminal.port(20007).options(|_| zvt::Options::NAMES.to_vec()),
            opi.port(20002).options(|_| opi::Options::NAMES.to_vec()),
            nexo.port(8443).options(|_| nexo::Options::NAMES.to_vec()),
            scanner.port(4001),
        ] {
            drivers.register(protocol).expect("a free name");
        }
        drivers
    }
}

fn add<D: Device + 'static>(places: &mut Places<D>, name: &str, device: D) -> Arc<Place<D>> {
    let place = Place::new(device);
    places.push((name.to_owned(), place.clone()));
    place
}

fn named<T: Clone>(places: &[(String, T)], address: &Address) -> Result<T> {
    let LinkKind::Tcp { host, .. } = address.link() else {
        return Err(Error::new(Kind::Address, "the desk has links over tcp only"));
    };
    let found = places.iter().find(|(name, _)| name == host).map(|(_, place)| place.clone());
    found.ok_or_else(|| Error::new(Kind::Address, format!("the desk has no `{host}`")))
}

/// Waits, in virtual time, until the device is connected.
pub(crate) async fn ready(till: &Tresen, class: Class, name: &str) {
    let mut phase = till.phase(&DeviceId::new(class, name)).expect("configured");
    let ready = phase.wait_for(tresen::Phase::is_ready);
    tokio::time::timeout(Duration::from_secs(300), ready).await.expect("within five minutes").expect("open");
}

/// The next event of which `pick` makes something; at most an hour of virtual time is waited.
pub(crate) async fn event<T>(events: &mut Events, pick: impl Fn(&str, EventKind) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the till is open");
            if let Some(found) = pick(event.source.name(), event.kind) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), found).await.expect("within an hour")
}

/// Lets everything that is due happen, for this long.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
