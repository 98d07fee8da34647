//! The shop: `tresen serve` as a process, its devices as simulators, and what goes wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tresen::JobState;
use tresen::api::{Client, Command, lease, listing, printer, socket};
use tresen::hal::barcode::Symbology;
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, Profile, Side, Simulator as Terminal};
use tresen::scanners::serial::sim::{Settings, Simulator as Scanner};

use crate::common::{Running, start};
use crate::dice::Dice;
use crate::paper::Printer;
use crate::staff::{Staff, has_devices};
use crate::{GUARD, leases};

/// The terminals of the till.
pub(crate) const TERMINALS: [&str; 3] = ["counter", "bar", "terrace"];
/// The printers of the till.
pub(crate) const PRINTERS: [&str; 4] = ["receipt", "back", "kitchen", "bar"];
/// The groups of dishes; each has a route to the kitchen or the bar.
pub(crate) const GROUPS: [&str; 3] = ["kitchen", "grill", "drinks"];

/// The shop.
pub(crate) struct Shop {
    folder: TempDir,
    /// `None` once it has ended.
    till: Option<Running>,
    till_at: SocketAddr,
    /// Over the till's own socket: whoever runs the till.
    pub(crate) manager: Client,
    devices: Arc<Devices>,
    servers: Vec<Server>,
    leases: Arc<Mutex<leases::Book>>,
    scans: BTreeSet<String>,
}

/// All simulators.
struct Devices {
    terminals: BTreeMap<String, Shared<Terminal>>,
    /// Those of the till, and those on belts: `belt.7`.
    printers: Mutex<BTreeMap<String, Printer>>,
    scanners: BTreeMap<u64, Shared<Scanner>>,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Shop {
    /// Opens the till beside its devices and those of so many handhelds.
    pub(crate) async fn open(handhelds: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (devices, servers) = Devices::serve(handhelds).await;
        let config = folder.path().join("till.toml");
        std::fs::write(&config, devices.config()).expect("written");
        let mut till = start(["serve", config.to_str().expect("text"), "--json"]);
        let facts = till.json();
        let address = facts["addresses"][0].as_str().and_then(|at| at.strip_prefix("wss://")).expect("served");
        let till_at = address.parse().expect("an address");
        let socket = socket::path(&folder.path().join("till.db"));
        let manager = Client::connect(&socket).await.expect("the till answers").on_behalf_of("manager");
        let devices = Arc::new(devices);
        tokio::spawn(devices.clone().collect());
        let leases = Arc::new(Mutex::new(leases::Book::default()));
        Self { folder, till: Some(till), till_at, manager, devices, servers, leases, scans: BTreeSet::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("till.toml")
    }

    /// The configuration of a handheld with devices.
    pub(crate) fn config_of(&self, number: u64) -> String {
        let at = |device: String| self.devices.addresses[&device];
        let (printer, scanner) = (at(format!("belt.{number}")), at(format!("scanner.{number}")));
        format!(
            "[till]\nname = 'Handheld {number}'\n{RECONNECT}[printers.belt]\naddress = 'escpos+tcp://{printer}'\n\
             [scanners.scanner]\naddress = 'scanner+tcp://{scanner}'\n"
        )
    }

    /// Where the till listens.
    pub(crate) fn till_at(&self) -> SocketAddr {
        self.till_at
    }

    /// The resident memory of the till, in KiB: proc(5), `VmRSS`.
    pub(crate) fn memory(&self) -> u64 {
        let pid = self.till.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().expect("the till runs")
    }

    /// Follows the leases from now on.
    pub(crate) fn watch(&self) {
        let (leases, path) = (self.leases.clone(), socket::path(&self.folder().join("till.db")));
        tokio::spawn(async move {
            let watcher = Client::connect(&path).await.expect("the till answers");
            let mut events = watcher.follow().await.expect("it may");
            while let Ok(Some(event)) = events.next().await {
                lock(&leases).note(&event);
            }
        });
    }

    /// Has devices and handhelds fail for a time; returns the till's memory in the middle of it.
    pub(crate) async fn fail_in_turn(&mut self, staff: &mut Staff, time: Duration, dice: &mut Dice) -> u64 {
        let (began, mut memory) = (Instant::now(), 0);
        while began.elapsed() < time {
            sleep(dice.millis(100, 900)).await;
            staff.look();
            match dice.below(100) {
                0..30 => staff.kill_one(dice),
                30..55 => self.fail(dice),
                55..85 => self.scan(dice),
                _ => self.look_at_leases().await,
            }
            if memory == 0 && began.elapsed() > time / 2 {
                memory = self.memory();
            }
        }
        memory
    }

    /// Something goes wrong at a device.
    fn fail(&self, dice: &mut Dice) {
        let terminal = &self.devices.terminals[TERMINALS[dice.index(TERMINALS.len())]];
        let name = PRINTERS[dice.index(PRINTERS.len())];
        let printer = lock(&self.devices.printers)[name].device.clone();
        let back = dice.millis(200, 4_000);
        match dice.below(8) {
            0 | 1 => terminal.with(|terminal| terminal.misbehave(Misbehaviour::Decline(0x6c))),
            2 => {
                let (message, after) = (dice.index(6), dice.percent(50));
                let how = Misbehaviour::HangUp { side: Side::ToTill, message, after };
                terminal.with(|terminal| terminal.misbehave(how));
            }
            3 | 4 => {
                printer.with(|printer| printer.remove_paper());
                tokio::spawn(async move {
                    sleep(back).await;
                    printer.with(|printer| printer.load_paper());
                });
            }
            5 => {
                let lines = 1 + dice.below(15) as u32;
                printer.with(|printer| printer.faults.paper_out_after_lines = Some(lines));
                tokio::spawn(async move {
                    sleep(back).await;
                    printer.with(|printer| printer.load_paper());
                });
            }
            // At once, and then in the middle of one of the next jobs.
            _ => {
                let bytes = 150 + dice.index(900);
                printer.with(|printer| printer.faults.hang_up_after_bytes = Some(bytes));
                tokio::spawn(async move {
                    sleep(back).await;
                    printer.with(|printer| printer.faults.hang_up_after_bytes = None);
                });
            }
        }
    }

    /// Holds a code in front of a scanner.
    fn scan(&mut self, dice: &mut Dice) {
        if self.devices.scanners.is_empty() {
            return;
        }
        let (number, scanner) = {
            let all: Vec<_> = self.devices.scanners.iter().collect();
            all[dice.index(all.len())]
        };
        let code = format!("S{number}-{}", self.scans.len());
        scanner.with(|scanner| scanner.scan(&code, Symbology::Code128));
        self.scans.insert(code);
    }

    /// No lease is shown that is over, or that lasts longer than leases do.
    async fn look_at_leases(&self) {
        let asked = jiff::Timestamp::now();
        let views = self.ask(lease::List {}).await;
        let heard = jiff::Timestamp::now();
        lock(&self.leases).look(&views, asked, heard);
    }

    /// Ends what is wrong with the devices.
    pub(crate) fn mend(&self) {
        for terminal in self.devices.terminals.values() {
            terminal.with(Terminal::behave);
        }
        for printer in lock(&self.devices.printers).values() {
            printer.device.with(|printer| {
                printer.faults.hang_up_after_bytes = None;
                printer.load_paper();
            });
        }
    }

    /// Waits until all payments are decided, all paper is printed and all leases have ended. Somebody has what may not
    /// be on paper printed again.
    pub(crate) async fn settle(&self) {
        let began = Instant::now();
        loop {
            self.mend();
            let undecided = self.ask(listing::Payments { open: true, ..Default::default() }).await.rows;
            let states = vec![JobState::Queued, JobState::Printing, JobState::Unknown];
            let jobs = self.ask(listing::Jobs { states, ..Default::default() }).await.rows;
            let leases = self.ask(lease::List {}).await;
            if undecided.is_empty() && jobs.is_empty() && leases.is_empty() {
                return;
            }
            let open = || format!("payments {undecided:?}\njobs {jobs:?}\nleases {leases:?}");
            assert!(began.elapsed() < GUARD, "something does not come to its end:\n{}", open());
            for job in jobs.iter().filter(|job| job.state == JobState::Unknown) {
                self.ask(printer::Reprint { job: job.id.clone(), within: Some(Duration::ZERO) }).await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the till has noticed that nobody is connected any more.
    pub(crate) async fn without_clients(&self) {
        let began = Instant::now();
        for number in self.devices.scanners.keys() {
            let printer = format!("belt.{number}");
            let phase = || self.manager.call(printer::Phase { printer: printer.clone() });
            while phase().await.is_ok_and(|phase| phase.is_ready()) {
                assert!(began.elapsed() < GUARD, "{printer} is still there");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Asks the till.
    pub(crate) async fn ask<C: Command>(&self, command: C) -> C::Reply {
        self.manager.call(command).await.unwrap_or_else(|error| panic!("{}: {error:#}", C::NAME))
    }

    /// The terminals by their names.
    pub(crate) fn terminals(&self) -> &BTreeMap<String, Shared<Terminal>> {
        &self.devices.terminals
    }

    /// The printers by their names, with all that they have printed. For the end: what is printed later is not counted.
    pub(crate) fn printers(&self) -> MutexGuard<'_, BTreeMap<String, Printer>> {
        let mut printers = lock(&self.devices.printers);
        printers.values_mut().for_each(Printer::collect_all);
        printers
    }

    /// The codes that were held in front of scanners.
    pub(crate) fn scans(&self) -> &BTreeSet<String> {
        &self.scans
    }

    /// What is to be said about leases.
    pub(crate) fn leases(&self) -> String {
        lock(&self.leases).to_string()
    }

    /// Keeps the folder.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// Ends the till in an orderly way; returns what was wrong with that, and with leases.
    pub(crate) fn close(&mut self) -> Vec<String> {
        let mut wrong = lock(&self.leases).wrong().to_vec();
        let till = self.till.take().expect("it runs");
        till.interrupt();
        match till.end_within(GUARD) {
            Some(said) if said.code == Some(0) => {}
            said => wrong.push(format!("the till ended otherwise than asked: {said:?}")),
        }
        self.servers.clear();
        wrong
    }
}

impl Devices {
    async fn serve(handhelds: u64) -> (Self, Vec<Server>) {
        let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (mut addresses, mut servers) = (BTreeMap::new(), Vec::new());
        let (mut terminals, mut printers, mut scanners) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for name in TERMINALS {
            let profile = Profile { commit: Commit::Keeps, pace: Duration::from_millis(10), ..Profile::default() };
            let device = Shared::new(Terminal::new(profile));
            let (server, at) = sim::tcp(bind().await, device.clone()).expect("served");
            servers.push(server);
            addresses.insert(format!("terminal {name}"), at);
            terminals.insert(name.to_owned(), device);
        }
        let numbers: Vec<u64> = (1..=handhelds).filter(|number| has_devices(*number)).collect();
        let belts = numbers.iter().map(|number| format!("belt.{number}"));
        for name in PRINTERS.into_iter().map(str::to_owned).chain(belts) {
            let printer = Printer::new();
            let (server, at) = sim::tcp(bind().await, printer.device.clone()).expect("served");
            servers.push(server);
            addresses.insert(name.clone(), at);
            printers.insert(name, printer);
        }
        for number in numbers {
            let device = Shared::new(Scanner::new(Settings::default()));
            let (server, at) = sim::tcp(bind().await, device.clone()).expect("served");
            servers.push(server);
            addresses.insert(format!("scanner.{number}"), at);
            scanners.insert(number, device);
        }
        (Self { terminals, printers: Mutex::new(printers), scanners, addresses }, servers)
    }

    fn config(&self) -> String {
        let mut text = format!("[till]\nname = 'Corner shop'\nlease = '{}s'\n", leases::LIFE.as_secs());
        text += RECONNECT;
        text += "[remote]\nlisten = '127.0.0.1:0'\n";
        for name in TERMINALS {
            let at = self.addresses[&format!("terminal {name}")];
            writeln!(text, "[terminals.{name}]\naddress = 'zvt+tcp://{at}?exclusive=true&grace=0&commit=keeps'").ok();
        }
        for name in PRINTERS {
            writeln!(text, "[printers.{name}]\naddress = 'escpos+tcp://{}'", self.addresses[name]).ok();
        }
        text += "[routes]\nreceipt = ['receipt', 'back']\n";
        text += "[routes.pass]\nprinters = ['kitchen', 'bar']\nprints = ['kitchen']\ngroups = ['kitchen', 'grill']\n";
        text + "[routes.drinks]\nprinters = ['bar', 'kitchen']\nprints = ['kitchen']\ngroups = ['drinks']\n"
    }

    /// Takes the sheets as they come.
    async fn collect(self: Arc<Self>) {
        loop {
            lock(&self.printers).values_mut().for_each(Printer::collect);
            sleep(Duration::from_millis(200)).await;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const RECONNECT: &str = "reconnect = { first = '100ms', at-most = '1s' }\n";
