//! What outlives the till: the devices, the disk, the people's notebook; and the moment at which the till dies.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tresen::Amount;
use tresen::payment::zvt;
use tresen::printers::{self, escpos};
use tresen::scanners::serial;
use tresen::sync::sim::Server;

use crate::customers::Customers;
use crate::dice::Dice;
use crate::invariants::rolls::Rolls;
use crate::invariants::server::ACCOUNTS;
use crate::notebook::Notebook;
use crate::place::Place;
use crate::plan::Plan;
use crate::radio::Radio;
use crate::remote::{Door, Handset};
use crate::story::Story;

/// A printer at its place.
pub type PrinterPlace = Place<escpos::sim::Simulator>;
/// A terminal at its place.
pub type TerminalPlace = Place<zvt::sim::Simulator>;
/// A scanner at its place.
pub type ScannerPlace = Place<serial::sim::Simulator>;

/// Everything of a shop besides the till.
pub struct World {
    /// What happens; of all tills.
    pub story: Arc<Story>,
    /// How long the run is and how much happens.
    pub plan: Plan,
    /// Four printers of the counter, of which the last is one that people wear at their belt, and then those of single
    /// handhelds.
    pub printers: Vec<Arc<PrinterPlace>>,
    /// Three payment terminals.
    pub terminals: Vec<Arc<TerminalPlace>>,
    /// Two scanners.
    pub scanners: Vec<Arc<ScannerPlace>>,
    /// The ways from the handhelds to the till.
    pub radios: Vec<Arc<Radio>>,
    /// Where connections to the till's own server arrive.
    pub door: Door,
    /// The server, which keeps what it has.
    pub server: Server,
    /// Who is still to be served.
    pub customers: Customers,
    /// What people know.
    notebook: Mutex<Notebook>,
    /// What came out of the printers.
    rolls: Mutex<Rolls>,
    folder: tempfile::TempDir,
    dead: AtomicBool,
    /// The number of the till's life.
    life: AtomicU64,
    death: Mutex<Death>,
    violation: Mutex<Option<String>>,
}

/// When the till dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuse {
    /// It does not.
    Never,
    /// After this time.
    Time(Duration),
    /// After this time, and once it has asked so often for time, ids or random numbers, which it does before each
    /// write.
    Call(Duration, u64),
    /// After this time, and once so many chunks have passed on its links.
    Chunk(Duration, u64),
}

#[derive(Default)]
struct Death {
    calls: Option<u64>,
    chunks: Option<u64>,
    /// The files of the database as they were at that moment.
    files: Vec<(PathBuf, Vec<u8>)>,
    waker: Option<Waker>,
}

impl World {
    /// A shop that has just been furnished.
    pub fn new(plan: &Plan, dice: &mut Dice) -> Arc<Self> {
        let folder = tempfile::tempdir_in(fast_folder()).expect("a temporary folder");
        let handhelds = match dice.below(4) {
            _ if !plan.has_faults() => plan.handhelds,
            0 => 0,
            1 => plan.handhelds,
            _ => dice.below(u64::from(plan.handhelds / 3) + 1) as u32,
        };
        let own = (0..handhelds).step_by(EVERY_FIFTH);
        let mut printers = printers(dice);
        printers.extend(own.map(|n| belt_printer(n, dice)));
        Arc::new(Self {
            story: Arc::new(Story::hiding(folder.path().display().to_string(), plan.keeps_lines)),
            plan: plan.clone(),
            printers,
            terminals: terminals(dice),
            scanners: ["hand", "belt"].into_iter().map(|name| scanner(name, dice)).collect(),
            radios: (0..handhelds).map(|n| Radio::new(format!("handheld {}", n + 1), dice.fork())).collect(),
            door: Door::default(),
            server: server(dice),
            customers: Customers::of(plan, dice),
            notebook: Mutex::default(),
            rolls: Mutex::default(),
            folder,
            dead: AtomicBool::new(false),
            life: AtomicU64::new(0),
            death: Mutex::default(),
            violation: Mutex::default(),
        })
    }

    /// On some seeds, the world of a second till with a file, printers and a terminal of its own, at the same server.
    pub fn branch(main: &Arc<Self>, dice: &mut Dice) -> Option<Arc<Self>> {
        if !main.plan.has_faults() || dice.percent(50) {
            return None;
        }
        // Customers are fewer, and so are mishaps.
        let plan = Plan { sales: main.plan.sales / 5, faults: main.plan.faults / 4, handhelds: 0, ..main.plan.clone() };
        let folder = tempfile::tempdir_in(fast_folder()).expect("a temporary folder");
        main.story.hide(folder.path().display().to_string());
        Some(Arc::new(Self {
            story: main.story.clone(),
            printers: printers(dice),
            terminals: terminals(dice).into_iter().take(1).collect(),
            scanners: vec![scanner("hand", dice)],
            radios: Vec::new(),
            door: Door::default(),
            server: main.server.clone(),
            customers: Customers::of(&plan, dice),
            plan,
            notebook: Mutex::default(),
            rolls: Mutex::default(),
            folder,
            dead: AtomicBool::new(false),
            life: AtomicU64::new(0),
            death: Mutex::default(),
            violation: Mutex::default(),
        }))
    }

    /// Of a hundred connections to any device this many have a fault.
    pub fn all_trouble(&self, percent: u64) {
        self.printers.iter().for_each(|place| place.trouble(percent));
        self.terminals.iter().for_each(|place| place.trouble(percent));
        self.scanners.iter().for_each(|place| place.trouble(percent));
        self.radios.iter().for_each(|radio| radio.set_trouble(percent));
    }

    /// Has some handhelds, or all, or none, reach the till through its server.
    pub fn connect(self: &Arc<Self>, air: &tokio::runtime::Handle, dice: &mut Dice) {
        let share = [100, 50, 20][dice.index(3)];
        for radio in &self.radios {
            let handset = Handset::new(self, radio, air.clone(), dice.fork());
            if dice.percent(share) {
                radio.goes_through(handset);
                self.notebook().count("remote handhelds");
            }
        }
    }

    /// Whether a handheld reaches the till through its server.
    pub fn is_remote(&self) -> bool {
        self.radios.iter().any(|radio| radio.handset().is_some())
    }

    /// The number of the till's life.
    pub fn life(&self) -> u64 {
        self.life.load(Ordering::Acquire)
    }

    /// The till's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The till's database.
    pub fn database(&self) -> PathBuf {
        self.folder().join("till.db")
    }

    /// The printer of its own that a handheld has.
    pub fn own_printer(&self, station: &str) -> Option<String> {
        let n: usize = station.strip_prefix("handheld ")?.parse().ok()?;
        let name = format!("belt-{n}");
        self.printers.iter().any(|place| place.name() == name).then_some(name)
    }

    /// Carries a handheld out of range, and its own printer with it, until this time of the run.
    pub fn carry_away(&self, radio: &Radio, until: Duration) {
        if let Some(own) = self.own_printer(radio.name())
            && let Some(place) = self.printers.iter().find(|place| place.name() == own)
        {
            place.refuse_until(until);
            place.cut();
        }
        radio.carry_away(until);
    }

    /// What people know.
    pub fn notebook(&self) -> MutexGuard<'_, Notebook> {
        self.notebook.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came out of the printers.
    pub fn rolls(&self) -> MutexGuard<'_, Rolls> {
        self.rolls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether customers may still come.
    pub fn is_open(&self) -> bool {
        self.story.time() < self.plan.length
    }

    /// Says that something is as it must never be. The first time counts.
    pub fn violated(&self, what: String) {
        if self.is_dead() {
            return;
        }
        self.broken(what);
    }

    /// The same, whether the till lives or not: for those who outlive it.
    pub fn broken(&self, what: String) {
        self.story.tell("VIOLATED:", &what);
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
        self.wake();
    }

    /// What was violated, if anything was.
    pub fn violation(&self) -> Option<String> {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A life begins after this time of the run. Call it within its runtime.
    pub fn begin(&self, past: Duration) {
        self.dead.store(false, Ordering::Release);
        self.life.fetch_add(1, Ordering::AcqRel);
        *self.death() = Death::default();
        self.printers.iter().for_each(|place| place.begin(past));
        self.terminals.iter().for_each(|place| place.begin(past));
        self.scanners.iter().for_each(|place| place.begin(past));
        self.radios.iter().for_each(|radio| radio.begin());
        let mut notebook = self.notebook();
        notebook.leases.clear();
        notebook.told.clear();
        notebook.doubts.values_mut().for_each(|since| *since = past);
    }

    /// Has the till die at `fuse`, from now on.
    pub async fn light(&self, fuse: Fuse) {
        match fuse {
            Fuse::Never => {}
            Fuse::Time(after) => {
                tokio::time::sleep(after).await;
                self.kill();
            }
            Fuse::Call(after, calls) => {
                tokio::time::sleep(after).await;
                self.death().calls = Some(calls);
            }
            Fuse::Chunk(after, chunks) => {
                tokio::time::sleep(after).await;
                self.death().chunks = Some(chunks);
            }
        }
    }

    /// After the till's tasks are gone: devices see their connections end, and the database is what it was at the
    /// moment of death, whatever the tasks did while they were dropped.
    pub fn bury(&self, lived: Duration) {
        self.printers.iter().for_each(|place| place.abandon(lived));
        self.terminals.iter().for_each(|place| place.abandon(lived));
        self.scanners.iter().for_each(|place| place.abandon(lived));
        let files = std::mem::take(&mut self.death().files);
        if self.is_dead() {
            for name in NAMES {
                std::fs::remove_file(self.folder().join(name)).ok();
            }
            for (path, bytes) in files {
                std::fs::write(path, bytes).expect("the temporary folder can be written");
            }
        }
    }

    /// The till dies now: what it does from here on neither reaches a device nor stays on disk.
    pub fn kill(&self) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        self.story.tell("THE TILL", "dies");
        self.story.silence();
        let paths = NAMES.iter().map(|name| self.folder().join(name));
        self.death().files = paths.filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?))).collect();
        self.wake();
    }

    /// Whether the till is dead.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Returns at once while the till lives; never again once it is dead.
    pub async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Wakes this when the till dies or something is violated.
    pub fn wakes(&self, waker: &Waker) {
        self.death().waker = Some(waker.clone());
    }

    /// A chunk passes on a link.
    pub fn passed(&self) {
        if burns(&mut self.death().chunks) {
            self.kill();
        }
    }

    /// The till asks for the time, an id or a random number.
    pub fn called(&self) {
        if burns(&mut self.death().calls) {
            self.kill();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.death().waker {
            waker.wake_by_ref();
        }
    }

    fn death(&self) -> MutexGuard<'_, Death> {
        self.death.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn server(dice: &mut Dice) -> Server {
    let server = Server::new();
    for account in ACCOUNTS {
        server.set_balance(account, Amount::eur(dice.below(500_00) as i64));
    }
    server
}

fn belt_printer(handheld: u32, dice: &mut Dice) -> Arc<PrinterPlace> {
    let mut slow = escpos::sim::Faults::default();
    slow.line = Some(escpos::sim::Line { bytes_per_second: 3_840, buffer: 256 });
    let device = escpos::sim::Simulator::new(printers::Profile::epson_tm_m30()).with_faults(slow);
    Place::new(&format!("belt-{}", handheld + 1), device, dice.fork(), true)
}

fn printers(dice: &mut Dice) -> Vec<Arc<PrinterPlace>> {
    let mut place = |name: &str, faults: escpos::sim::Faults| {
        let device = escpos::sim::Simulator::new(printers::Profile::epson_tm_m30()).with_faults(faults);
        Place::new(name, device, dice.fork(), true)
    };
    let slow = |bytes_per_second| {
        let mut slow = escpos::sim::Faults::default();
        slow.line = Some(escpos::sim::Line { bytes_per_second, buffer: 256 });
        slow
    };
    let mut simple = escpos::sim::Faults::default();
    (simple.no_clear, simple.no_process_id) = (true, true);
    let front = place("front", Default::default());
    front.with(|printer| printer.attach_drawer(true));
    vec![front, place("back", slow(1_920)), place("stove", simple), place("belt", slow(3_840))]
}

fn terminals(dice: &mut Dice) -> Vec<Arc<TerminalPlace>> {
    let commits = [zvt::Commit::Keeps, zvt::Commit::Reverses, zvt::Commit::Keeps];
    let terminal = |(n, name): (usize, &&str)| {
        let profile = zvt::sim::Profile {
            terminal_id: format!("6000000{}", n + 1),
            commit: commits[n],
            finishes_alone: dice.percent(50),
            pace: dice.millis(50, 1_500),
            ..zvt::sim::Profile::default()
        };
        Place::new(name, zvt::sim::Simulator::new(profile), dice.fork(), true)
    };
    TERMINALS.iter().enumerate().map(terminal).collect()
}

fn scanner(name: &str, dice: &mut Dice) -> Arc<ScannerPlace> {
    Place::new(name, serial::sim::Simulator::new(serial::sim::Settings::default()), dice.fork(), false)
}

/// One step less to go; true if that was the last.
fn burns(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

/// Where `fsync` costs nothing, if there is such a place: a kill of the till loses no write either way.
fn fast_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// The files of the database that matter; `-shm` is harmless.
pub const NAMES: [&str; 4] = ["till.db", "till.db-wal", "till.db-shm", "till.db.lock"];
/// The payment terminals by name. Only that at the bar is used by others, too.
pub const TERMINALS: [&str; 3] = ["counter", "bar", "terrace"];
/// How long a lease lasts without a call of its holder.
pub const LEASE: Duration = Duration::from_secs(60);
/// Every fifth handheld has a printer of its own.
const EVERY_FIFTH: usize = 5;
