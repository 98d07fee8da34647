//! `tresen pay` is killed in the middle of a payment. What it left in its journal and what the terminal
//! has in its ledger agree as soon as somebody asks, and nothing is charged twice.
//!
//! So is a program that sells: that of `examples/full_sale.rs`, two hundred times. This program runs it in
//! a process of its own by starting itself again.

mod common;
#[allow(dead_code, reason = "its `main` is not called")]
#[path = "../../examples/full_sale.rs"]
mod full_sale;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{start, tresen, until};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tresen::hal::link::record::Direction;
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, Profile, Simulator};
use tresen::payment::{Entry, Payment};
use tresen::printers::Profile as PrinterProfile;
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::sale::{Sale, TenderState};
use tresen::{Amount, Config, JobState, SaleState, Store, SystemRuntime, Tresen};

struct Terminal {
    sim: Shared<Simulator>,
    address: String,
    _server: Server,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

fn terminal(on: &Runtime, commit: Commit) -> Terminal {
    let sim = Shared::new(Simulator::new(Profile { commit, ..Profile::default() }));
    let (server, at) = on.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        sim::tcp(listener, sim.clone()).expect("served")
    });
    Terminal { sim, address: format!("zvt+tcp://{at}?exclusive=true&grace=0"), _server: server }
}

impl Terminal {
    fn pay<'a>(&'a self, journal: &'a Path, key: &'a str) -> [&'a str; 7] {
        ["pay", &self.address, "12.50", "--journal", journal.to_str().expect("text"), "--key", key]
    }

    fn charged(&self) -> Vec<Amount> {
        self.sim.with(|s| s.ledger().stored().map(|t| t.amount).collect())
    }
}

fn journal(on: &Runtime, path: &Path) -> Vec<Entry> {
    on.block_on(async {
        let store = Store::open_read_only(path, Arc::new(SystemRuntime::new())).await.expect("a journal");
        store.payments().await.expect("readable").into_iter().map(|stored| stored.entry).collect()
    })
}

fn charges(journal: &[Entry]) -> Vec<Amount> {
    let charge = |e: &Entry| if let Some(Payment::Charged(c)) = &e.payment { Some(c.amount) } else { None };
    journal.iter().filter_map(charge).collect()
}

/// Who spoke, message by message, in a payment of the command that nothing disturbs.
fn undisturbed(on: &Runtime) -> Vec<Direction> {
    let terminal = terminal(on, Commit::Keeps);
    let dir = tempfile::tempdir().expect("a folder");
    let said = tresen(terminal.pay(&dir.path().join("journal.db"), "a")).well();
    assert!(said.out.contains("charged 12.50 EUR, receipt 0417"), "{}", said.out);
    // Up to the completion: what follows is the log-off.
    let log: Vec<_> = terminal.sim.with(|s| s.log().map(|l| (l.direction, l.bytes.clone())).collect());
    let end = log.iter().rposition(|(_, bytes)| bytes.starts_with(&[0x06, 0x0f])).expect("a completion");
    log[..=end].iter().map(|(direction, _)| *direction).collect()
}

/// The terminal falls silent instead of its message `n`; when it has heard all that the till says until
/// then, the till is killed. True if the payment was charged.
fn killed_before(on: &Runtime, commit: Commit, log: &[Direction], n: usize) -> bool {
    let name = format!("{commit:?}, before message {n}");
    let terminal = terminal(on, commit);
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("journal.db");
    terminal.sim.with(|s| s.misbehave(Misbehaviour::NoAnswer { message: n }));
    let passed = (log.iter().enumerate().filter(|(_, d)| **d == Direction::Sent).map(|(at, _)| at)).nth(n);
    let passed = passed.expect("there is such a message");
    let till = start(terminal.pay(&db, "a"));
    until(&name, || terminal.sim.with(|s| s.log().count() >= passed));
    till.kill();
    terminal.sim.with(Simulator::behave);

    let recover = ["pay", &terminal.address, "--recover", "--journal", db.to_str().expect("text")];
    let said = tresen(recover).well();
    assert!(said.out.contains("nothing is open"), "{name}: {}", said.out);
    let (ours, theirs) = (charges(&journal(on, &db)), terminal.charged());
    assert_eq!(ours, theirs, "{name}: journal and ledger");
    assert!(theirs.len() <= 1, "{name}: {theirs:?}");
    let charged = !theirs.is_empty();
    let (meant, sent) = (journal(on, &db).len(), terminal.sim.with(|s| s.received(0x0601)));
    assert!(sent <= meant && meant <= 1, "{name}: {meant} intents, {sent} authorisations");

    // The same key again: the same payment if there is one, else the first.
    let again = tresen(terminal.pay(&db, "a"));
    assert_eq!(again.code, Some(if charged || meant == 0 { 0 } else { 3 }), "{name}: {again:?}");
    assert_eq!(terminal.sim.with(|s| s.received(0x0601)), if meant == 0 { 1 } else { sent }, "{name}");
    assert_eq!(charges(&journal(on, &db)), terminal.charged(), "{name}");
    // The next customer pays.
    tresen(terminal.pay(&db, "b")).well();
    assert_eq!(charges(&journal(on, &db)), terminal.charged(), "{name}");
    charged
}

#[test]
fn killed_at_every_message_it_is_charged_once_or_not_at_all() {
    let on = runtime();
    let log = undisturbed(&on);
    let sent = log.iter().filter(|d| **d == Direction::Sent).count();
    assert!(sent > 8, "{log:?}");
    let cases: Vec<_> =
        [Commit::Reverses, Commit::Keeps].into_iter().flat_map(|c| (0..sent).map(move |n| (c, n))).collect();
    let (mut charged, all) = (0, cases.len());
    std::thread::scope(|scope| {
        let (on, log) = (&on, &log);
        let chunks: Vec<_> = cases.chunks(all.div_ceil(4)).collect();
        let threads: Vec<_> = chunks
            .into_iter()
            .map(|some| scope.spawn(move || some.iter().filter(|(c, n)| killed_before(on, *c, log, *n)).count()))
            .collect();
        charged = threads.into_iter().map(|t| t.join().expect("a case that failed says why above")).sum();
    });
    assert!(charged > 2 && charged < all - 2, "{charged} of {all} charged");
}

#[test]
fn killed_after_the_approval_it_is_charged_once() {
    let on = runtime();
    let terminal = terminal(&on, Commit::Keeps);
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("journal.db");
    terminal.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
    let till = start(terminal.pay(&db, "a"));
    until("approved", || terminal.sim.with(|s| !s.ledger().entries().is_empty()));
    till.kill();
    until("the terminal has decided", || terminal.charged().len() == 1);
    let recover = ["--json", "pay", &terminal.address, "--recover", "--journal", db.to_str().expect("text")];
    tresen(recover).well();
    let entries = journal(&on, &db);
    assert_eq!(charges(&entries), [Amount::eur(12_50)]);
    let again = tresen([&["--json"][..], &terminal.pay(&db, "a")].concat()).well().json();
    assert_eq!(again["charged"]["receipt_number"], "0417", "{again}");
    assert_eq!((terminal.sim.with(|s| s.received(0x0601)), terminal.charged().len()), (1, 1));
}

/// Names the configuration for the program that sells.
const SELLS: &str = "TRESEN_TEST_SELLS";
const KILLS: usize = 200;
const TILLS: usize = 4;

/// A counter at which a program sells and is killed.
struct Counter {
    printer: Shared<PrinterSimulator>,
    terminal: Shared<Simulator>,
    dir: tempfile::TempDir,
    _servers: [Server; 2],
}

impl Counter {
    fn new(on: &Runtime, commit: Commit) -> Self {
        let printer = Shared::new(PrinterSimulator::new(PrinterProfile::epson_tm_m30()));
        let terminal = Shared::new(Simulator::new(Profile { commit, ..Profile::default() }));
        let dir = tempfile::tempdir().expect("a folder");
        let (servers, [printer_at, terminal_at]) = on.block_on(async {
            let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let (paper, printer_at) = sim::tcp(bind().await, printer.clone()).expect("served");
            let (money, terminal_at) = sim::tcp(bind().await, terminal.clone()).expect("served");
            ([paper, money], [printer_at, terminal_at])
        });
        let config = format!(
            "[printers.receipt]\naddress = 'escpos+tcp://{printer_at}'\n\
             [terminals.counter]\naddress = 'zvt+tcp://{terminal_at}?exclusive=true&grace=0'\n"
        );
        std::fs::write(dir.path().join("till.toml"), config).expect("written");
        Self { printer, terminal, dir, _servers: servers }
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("till.toml")
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("till.db")
    }

    fn sell(&self) -> Child {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "killed_two_hundred_times_a_selling_program_loses_and_doubles_nothing", "--nocapture"])
            .env(SELLS, self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts")
    }

    /// What can be seen of a running sale: pages written to the database, messages, bytes on paper.
    fn seen(&self) -> u64 {
        let wal = self.dir.path().join("till.db-wal").metadata().map_or(0, |m| m.len() / 4096);
        let messages = self.terminal.with(|t| t.log().count()) as u64;
        wal + messages + self.printer.with(|p: &mut PrinterSimulator| p.raw().len() as u64 / 200)
    }

    /// Kills the program after it has come a certain way; false if it ended before.
    fn kill_after(&self, steps: u64) -> bool {
        let mut till = self.sell();
        let (mut last, mut way) = (self.seen(), 0);
        let started = Instant::now();
        loop {
            let now = self.seen();
            way += now.abs_diff(last);
            last = now;
            if way >= steps {
                break;
            }
            if till.try_wait().expect("it can be asked").is_some() {
                return false;
            }
            assert!(started.elapsed() < common::DEADLINE, "it neither sells nor ends");
            std::thread::sleep(Duration::from_micros(200));
        }
        till.kill().expect("it can be killed");
        till.wait().expect("it ends");
        true
    }
}

/// Kills a program that sells, then lets it sell in peace, and compares books, ledger and paper.
fn killed_at_one_till(on: &Runtime, commit: Commit, kills: usize, seed: u64) -> usize {
    let counter = Counter::new(on, commit);
    let (mut killed, mut state) = (0, seed);
    for _ in 0..kills {
        // xorshift: the same moments each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        killed += usize::from(counter.kill_after(state % 84));
    }
    on.block_on(settled(&counter));
    on.block_on(compare(&counter, commit));
    killed
}

/// Opens the till once more, until nothing is in doubt, and goes on with every sale that was begun.
async fn settled(counter: &Counter) {
    let till = Tresen::with(Config::load(&counter.config(), &tresen::Drivers::standard()).expect("right"))
        .await
        .expect("opens");
    let checkout = till.checkout("receipt").expect("configured");
    let mut events = till.events();
    loop {
        till.terminal("counter").expect("configured").status().await.expect("it answers");
        checkout.resume().await.expect("readable").into_iter().for_each(|(sale, sold)| {
            sold.map(drop).unwrap_or_else(|e| panic!("{}: {e}", sale.id()));
        });
        let open = till.open_sales().await.expect("readable");
        if open.iter().all(|sale| !sale.is_pending()) {
            return;
        }
        // What is in doubt is settled by recovery, which tells.
        let next = tokio::time::timeout(common::DEADLINE, events.next()).await;
        assert!(matches!(next, Ok(Some(_))), "nothing happens any more: {open:?}");
    }
}

async fn compare(counter: &Counter, commit: Commit) {
    let till = Tresen::with(Config::load(&counter.config(), &tresen::Drivers::standard()).expect("right"))
        .await
        .expect("opens");
    let closed = till.tickets_since(0, 10_000).await.expect("readable");
    let numbers: Vec<_> = closed.iter().map(|s| s.ticket().number()).collect();
    assert_eq!(numbers, (1..=closed.len() as i64).map(Some).collect::<Vec<_>>(), "{commit:?}: no gaps");
    assert!(closed.iter().all(|s| s.epoch() == Some(1)), "a kill is no restored backup");
    assert!(!closed.is_empty(), "{commit:?}: no sale was closed");
    let open = till.open_sales().await.expect("readable");
    assert!(!open.is_empty(), "{commit:?}: no sale was interrupted before it was paid");
    assert!(open.iter().all(|s| s.open_amount() == s.ticket().total()), "{commit:?}: paid and not closed: {open:?}");

    let price = closed.first().map_or(Amount::eur(0), |s| s.ticket().total());
    let whole = |s: &Sale| s.ticket().lines().len() == 2 && s.ticket().total() == price;
    assert!(closed.iter().all(whole), "{commit:?}: all lines of what was sold are there");
    let taken = |s: &Sale| s.tenders().iter().filter(|t| t.state == TenderState::Taken).count();
    assert!(closed.iter().all(|s| taken(s) == 1), "{commit:?}: each was charged once");
    let ledger: Vec<Amount> = counter.terminal.with(|t| t.ledger().stored().map(|t| t.amount).collect());
    assert_eq!(ledger, vec![price; closed.len()], "{commit:?}: the terminal's ledger and the books");

    let (paper, jobs) = (counter.printer.with(|p| p.roll().text().to_owned()), till.store().jobs().limit(10_000));
    let jobs = jobs.await.expect("readable");
    assert_eq!(jobs.len(), closed.len(), "{commit:?}: one piece of paper for each");
    for sale in &closed {
        let job = jobs.iter().find(|j| j.id == format!("receipt-{}", sale.id())).expect("queued with the sale");
        let number = sale.ticket().number().expect("numbered");
        let printed = paper.lines().filter(|l| l.trim_start().starts_with(&format!("Receipt {number} "))).count();
        match job.state {
            JobState::Printed => assert_eq!(printed, 1, "{commit:?}: receipt {number}"),
            JobState::Unknown => assert!(printed <= 1, "{commit:?}: receipt {number}"),
            other => panic!("{commit:?}: receipt {number} is {other:?}"),
        }
    }
    let states = till.store().tickets().limit(10_000).await.expect("readable");
    assert!(states.iter().all(|s| s.state != SaleState::Voided));
    assert_eq!(till.store().path(), counter.db());
}

#[test]
fn killed_two_hundred_times_a_selling_program_loses_and_doubles_nothing() {
    let on = runtime();
    if let Some(config) = std::env::var_os(SELLS) {
        on.block_on(full_sale::sell(Path::new(&config))).expect("sells");
        return;
    }
    let killed: usize = std::thread::scope(|scope| {
        let tills = (0..TILLS).map(|n| {
            let (on, commit) = (&on, if n % 2 == 0 { Commit::Keeps } else { Commit::Reverses });
            scope.spawn(move || killed_at_one_till(on, commit, KILLS / TILLS, 0x9e37_79b9_7f4a_7c15 + n as u64))
        });
        let tills: Vec<_> = tills.collect();
        tills.into_iter().map(|t| t.join().expect("a till that failed says why above")).sum()
    });
    assert!(killed > KILLS / 2, "only {killed} were killed");
}
