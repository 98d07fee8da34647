//! A till with real ESC/POS drivers on simulated printers, over links in memory and on tokio's clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tresen::hal::link::memory;
use tresen::hal::sim::{self, Action, Device, Shared};
use tresen::hal::{BoxFuture, Link, SimulatedRuntime};
use tresen::printers::escpos::sim::Simulator;
use tresen::printers::{Profile, escpos};
use tresen::{Drivers, Error, Event, EventKind, Kind, Phase, Plan, Printers, Protocol, Result, Runtime, Tresen};

/// The printers and the folder of a till.
pub(crate) struct Shop {
    dir: TempDir,
    printers: BTreeMap<&'static str, Arc<Printer>>,
    config: Mutex<String>,
    /// How often the till was opened.
    opened: AtomicU64,
}

/// A printer and the way to it.
pub(crate) struct Printer {
    device: Shared<Gate>,
    away: AtomicBool,
    /// Neither accepts nor refuses a connection, as one behind a firewall.
    unreachable: AtomicBool,
    cuts: watch::Sender<u64>,
    attempts: AtomicU64,
    serving: tokio::sync::Mutex<()>,
}

/// A printer that can hang: it takes jobs and answers to DLE EOT, the real-time request for its status, but does nothing
/// else.
#[derive(Debug)]
struct Gate {
    printer: Simulator,
    hangs: bool,
    /// What it has not looked at.
    untouched: Vec<u8>,
}

impl Device for Gate {
    fn connected(&mut self, now: std::time::Instant) {
        self.printer.connected(now);
    }
    fn input(&mut self, bytes: &[u8], now: std::time::Instant) {
        match bytes {
            [0x10, 0x04, ..] => self.printer.input(bytes, now),
            _ if self.hangs => self.untouched.extend_from_slice(bytes),
            _ => self.printer.input(bytes, now),
        }
    }
    fn next_action(&mut self) -> Option<Action> {
        self.printer.next_action()
    }
    fn is_ready(&self) -> bool {
        self.printer.is_ready()
    }
    fn deadline(&self) -> Option<std::time::Instant> {
        self.printer.deadline()
    }
    fn timeout(&mut self, now: std::time::Instant) {
        self.printer.timeout(now);
    }
    fn disconnected(&mut self, now: std::time::Instant) {
        self.untouched.clear();
        self.printer.disconnected(now);
    }
}

impl Shop {
    /// A till with these printers; `config` is the rest of its configuration.
    pub(crate) fn new(printers: &[&'static str], config: &str) -> Self {
        let printers = printers.iter().map(|name| (*name, Printer::new()));
        let config = Mutex::new(config.to_owned());
        let dir = tempfile::tempdir().expect("a folder");
        Self { dir, printers: printers.collect(), config, opened: AtomicU64::new(0) }
    }

    /// Replaces the configuration besides the printers.
    pub(crate) fn configure(&self, config: &str) -> PathBuf {
        *self.config.lock().expect("whole") = config.to_owned();
        self.write()
    }

    fn write(&self) -> PathBuf {
        let mut text = self.config.lock().expect("whole").clone();
        text = text.replace("[till]\n", "");
        // Keys of the till stand first, those of routes and stations in sections of their own.
        let mut all = format!("[till]\nstore = 'till.db'\nsocket = false\n{text}\n");
        for name in self.printers.keys() {
            let section = format!("[printers.'{name}']\n");
            let address = format!("address = 'mem+tcp://{}'\n", name.replace(' ', "-"));
            match all.contains(&section) {
                true => all = all.replace(&section, &format!("{section}{address}")),
                false => all += &format!("{section}{address}"),
            }
        }
        let path = self.dir.path().join("till.toml");
        std::fs::write(&path, all).expect("written");
        path
    }

    /// Opens the till. Its printers that are there are connected.
    pub(crate) async fn open(&self) -> Tresen {
        let runtime = self.runtime();
        self.open_on(Arc::new(runtime)).await
    }

    /// Time, ids and random numbers for the next life of the till, an hour after the last one began.
    pub(crate) fn runtime(&self) -> SimulatedRuntime {
        let seed = self.opened.fetch_add(1, Ordering::SeqCst);
        let wall = "2026-01-02T08:00:00Z".parse::<jiff::Timestamp>().expect("a time");
        let wall = wall + Duration::from_secs(3600 * seed);
        SimulatedRuntime::new(seed, wall)
    }

    pub(crate) async fn open_on(&self, runtime: Arc<dyn Runtime>) -> Tresen {
        let till = Tresen::builder().drivers(self.drivers()).runtime(runtime).open(self.write()).await;
        let till = till.unwrap_or_else(|error| panic!("{error}"));
        for (name, printer) in &self.printers {
            if !printer.away.load(Ordering::SeqCst) && !printer.unreachable.load(Ordering::SeqCst) {
                ready(&till, name).await;
            }
        }
        till
    }

    pub(crate) fn printer(&self, name: &str) -> &Printer {
        &self.printers[name]
    }

    /// All that a printer has put on paper.
    pub(crate) fn paper(&self, name: &str) -> String {
        self.printer(name).operate(|p| p.roll().text().to_owned())
    }

    /// How often a word stands on the paper of each printer, in the order of their names.
    pub(crate) fn times(&self, word: &str) -> Vec<usize> {
        self.printers.keys().map(|name| self.paper(name).matches(word).count()).collect()
    }

    /// As [`Shop::times`], of a text in double width.
    pub(crate) fn times_wide(&self, words: &str) -> Vec<usize> {
        let wide: Vec<_> = words.chars().map(String::from).collect();
        self.times(&wide.join(" "))
    }

    fn drivers(&self) -> Drivers {
        let printers: BTreeMap<String, _> =
            self.printers.iter().map(|(name, printer)| (name.replace(' ', "-"), printer.clone())).collect();
        let mut drivers = Drivers::standard();
        let protocol = Protocol::new::<Printers>("mem", move |address| {
            let label = address.label();
            let host = label.trim_start_matches("mem+tcp://").split(':').next().unwrap_or_default().to_owned();
            let printer = printers.get(&host).cloned().ok_or_else(|| Error::new(Kind::Address, "no such printer"))?;
            Ok(Plan::over(
                label,
                move || printer.connect(),
                |link, context| async move {
                    let options = escpos::Options { runtime: context.runtime, ..Default::default() };
                    Ok(Box::new(escpos::open(link, options).await?) as Box<dyn tresen::printers::Printer>)
                },
            ))
        });
        drivers.register(protocol.port(9100)).expect("a new name");
        drivers
    }
}

impl Printer {
    fn new() -> Arc<Self> {
        let printer = Simulator::new(Profile::epson_tm_m30());
        let gate = Gate { printer, hangs: false, untouched: Vec::new() };
        Arc::new(Self {
            device: Shared::new(gate),
            away: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
            attempts: AtomicU64::new(0),
            serving: tokio::sync::Mutex::default(),
        })
    }

    /// Looks at the printer, or operates it.
    pub(crate) fn operate<T>(&self, operate: impl FnOnce(&mut Simulator) -> T) -> T {
        self.device.with(|gate| operate(&mut gate.printer))
    }

    /// Has it hang, or go on with what it was sent.
    pub(crate) fn hang(&self, hangs: bool) {
        let now = tokio::time::Instant::now().into_std();
        self.device.with(|gate| {
            gate.hangs = hangs;
            if !hangs {
                gate.printer.input(&std::mem::take(&mut gate.untouched), now);
            }
        });
    }

    /// Switches it off, or on again.
    pub(crate) fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
        self.cuts.send_modify(|n| *n += 1);
    }

    /// Swallows attempts to connect, or answers them again.
    pub(crate) fn unreachable(&self, is: bool) {
        self.unreachable.store(is, Ordering::SeqCst);
    }

    /// How often the till has asked for a status in real time: DLE EOT 1.
    pub(crate) fn asked(&self) -> usize {
        self.operate(|p| p.raw().windows(3).filter(|bytes| *bytes == [0x10, 0x04, 1]).count())
    }

    /// How often the till has tried to connect.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::SeqCst)
    }

    fn connect(self: &Arc<Self>) -> BoxFuture<'static, Result<Box<dyn Link>>> {
        let printer = self.clone();
        Box::pin(async move {
            printer.attempts.fetch_add(1, Ordering::SeqCst);
            if printer.unreachable.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if printer.away.load(Ordering::SeqCst) {
                return Err(Error::new(Kind::Closed, "connection refused"));
            }
            let (near, far) = memory::pair();
            let mut cuts = printer.cuts.subscribe();
            tokio::spawn(async move {
                let _turn = printer.serving.lock().await;
                tokio::select! {
                    biased;
                    _ = cuts.changed() => far.close().await,
                    () = sim::link(&far, &printer.device) => {}
                }
            });
            Ok(Box::new(near) as Box<dyn Link>)
        })
    }
}

/// Waits until a printer is connected.
pub(crate) async fn ready(till: &Tresen, name: &str) {
    let id = tresen::DeviceId::new(tresen::Class::Printer, name);
    let mut phase = till.phase(&id).expect("configured");
    let ready = tokio::time::timeout(Duration::from_secs(300), phase.wait_for(|p| *p == Phase::Ready));
    ready.await.unwrap_or_else(|_| panic!("{name} does not connect")).expect("the till is open");
}

/// What a person should look at at a printer.
pub(crate) fn attention(till: &Tresen, name: &str) -> Vec<tresen::Attention> {
    let state = till.devices().into_iter().find(|state| state.id.name == name);
    state.expect("configured").attention
}

/// The events so far of one name.
pub(crate) fn events(events: &mut tresen::Events, name: &str) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).filter(|event| event.kind.name() == name).collect()
}

/// The job and the printer that was meant, of each paper printed so far.
pub(crate) fn printed(log: &mut tresen::Events) -> Vec<(String, String, Option<String>)> {
    let printed = events(log, "printed").into_iter().filter_map(|event| match event.kind {
        EventKind::Printed { job, instead_of } => Some((job, event.source.name().to_owned(), instead_of)),
        _ => None,
    });
    printed.collect()
}
