//! A counter of simulated devices on loopback, and a till that stands on it.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod desk;
pub(crate) mod set_clock;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tresen::hal::sim::{self, Device, Server, Shared};
use tresen::payment::Request;
use tresen::payment::zvt::sim::{Profile as TerminalProfile, Simulator};
use tresen::printers::Profile as PrinterProfile;
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::{Amount, Config, Drivers, EventKind, Events, Payment, Phase, Result, Tresen};

/// The options of a terminal that is this till's alone and whose simulator decides at once.
const TERMINAL: &str = "?password=000000&exclusive=true&grace=0";
/// Nothing that these tests wait for takes this long, unless it never comes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// Devices that are served over TCP, and the configuration of a till that knows them.
pub(crate) struct Counter {
    pub(crate) dir: TempDir,
    toml: String,
    servers: Vec<Server>,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), toml: String::new(), servers: Vec::new() }
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.dir.path().join("till.db")
    }

    /// Adds to the configuration; `section` such as `printers.receipt`.
    pub(crate) fn configure(&mut self, section: &str, address: &str) {
        self.toml += &format!("[{section}]\naddress = '{address}'\n");
    }

    /// The printers of a route, in order.
    pub(crate) fn route(&mut self, name: &str, printers: &[&str]) {
        self.toml += &format!("[routes]\n{name} = {printers:?}\n");
    }

    /// The till speaks German.
    pub(crate) fn german(&mut self) {
        self.toml += "[till]\nlanguage = 'german'\n";
    }

    /// Serves a device; `protocol` stands before `+tcp`, options follow the port.
    pub(crate) async fn serve<D: Device + 'static>(
        &mut self,
        section: &str,
        protocol: &str,
        options: &str,
        device: D,
    ) -> Shared<D> {
        let device = Shared::new(device);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (server, at) = sim::tcp(listener, device.clone()).expect("served");
        self.servers.push(server);
        self.configure(section, &format!("{protocol}+tcp://{at}{options}"));
        device
    }

    /// Serves a device again, for a till that starts anew: the configuration begins anew with it.
    pub(crate) async fn serve_again<D: Device + 'static>(
        &mut self,
        section: &str,
        protocol: &str,
        device: Shared<D>,
    ) -> Shared<D> {
        self.power_off();
        self.toml.clear();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (server, at) = sim::tcp(listener, device.clone()).expect("served");
        self.servers.push(server);
        let options = if protocol == "zvt" { TERMINAL } else { "" };
        self.configure(section, &format!("{protocol}+tcp://{at}{options}"));
        device
    }

    pub(crate) async fn printer(&mut self, name: &str) -> Shared<PrinterSimulator> {
        self.serve(&format!("printers.{name}"), "escpos", "", epson()).await
    }

    pub(crate) async fn terminal(&mut self, profile: TerminalProfile) -> Shared<Simulator> {
        self.serve("terminals.counter", "zvt", TERMINAL, Simulator::new(profile)).await
    }

    /// A device that is switched off: its port is its own, but nobody listens there yet.
    pub(crate) fn away(&mut self, section: &str, protocol: &str) -> Away {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let at = socket.local_addr().expect("bound");
        self.configure(section, &format!("{protocol}+tcp://{at}"));
        Away(socket)
    }

    /// Writes the configuration into the folder, as `till.toml`.
    pub(crate) fn write(&self) -> PathBuf {
        let path = self.dir.path().join("till.toml");
        std::fs::write(&path, &self.toml).expect("written");
        path
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::parse(&self.toml, "till.toml", &Drivers::standard()).expect("right");
        config.till.store = self.db();
        config
    }

    pub(crate) async fn open(&self) -> Tresen {
        Tresen::with(self.config()).await.expect("opens")
    }

    /// A till whose devices named here are connected.
    pub(crate) async fn open_ready(&self, devices: &[&str]) -> Tresen {
        let till = self.open().await;
        for name in devices {
            ready(phase_of(&till, name)).await;
        }
        till
    }

    /// The devices of this counter are switched off.
    pub(crate) fn power_off(&mut self) {
        self.servers.clear();
    }
}

/// A device that is switched off.
pub(crate) struct Away(TcpSocket);

impl Away {
    pub(crate) fn switch_on<D: Device + 'static>(self, device: D) -> (Shared<D>, Server) {
        let device = Shared::new(device);
        let listener = self.0.listen(16).expect("listens");
        let (server, _) = sim::tcp(listener, device.clone()).expect("served");
        (device, server)
    }
}

pub(crate) fn epson() -> PrinterSimulator {
    PrinterSimulator::new(PrinterProfile::epson_tm_m30())
}

/// All that a printer has put on paper, as text.
pub(crate) fn paper(printer: &Shared<PrinterSimulator>) -> String {
    printer.with(|p| p.roll().text().to_owned())
}

fn phase_of(till: &Tresen, name: &str) -> watch::Receiver<Phase> {
    (till.printer(name).map(|p| p.phase()))
        .or_else(|_| till.terminal(name).map(|t| t.phase()))
        .or_else(|_| till.scanner(name).map(|s| s.phase()))
        .or_else(|_| till.camera(name).map(|c| c.phase()))
        .expect("a device of that name")
}

/// Threads that can be stopped with all that runs on them, as a process can.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Waits until a condition holds that nothing tells of: a simulator's state.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) async fn ready(mut phase: watch::Receiver<Phase>) {
    within("ready", phase.wait_for(|p| *p == Phase::Ready)).await.expect("the till is open");
}

/// The next event of which `pick` makes something.
pub(crate) async fn event<T>(events: &mut Events, pick: impl Fn(&str, EventKind) -> Option<T>) -> T {
    within("an event", async {
        loop {
            let event = events.next().await.expect("the till is open");
            if let Some(found) = pick(event.source.name(), event.kind) {
                return found;
            }
        }
    })
    .await
}

/// Pays under a key at the terminal `counter`.
pub(crate) async fn pay(till: &Tresen, key: &str, amount: Amount) -> Result<Payment> {
    let (_keep, abort) = watch::channel(false);
    let terminal = till.terminal("counter").expect("configured");
    within(key, terminal.pay_as(Request::new(key, amount), abort)).await
}

pub(crate) fn is_charged(payment: &Payment) -> bool {
    matches!(payment, Payment::Charged(_))
}
