//! `tresen pay` is killed in the middle of a payment. What it left in its journal and what the terminal
//! has in its ledger agree as soon as somebody asks, and nothing is charged twice.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{start, tresen, until};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tresen::hal::link::record::Direction;
use tresen::hal::sim::{self, Server, Shared};
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, Profile, Simulator};
use tresen::payment::{Entry, Payment};
use tresen::{Amount, Store, SystemClock};

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
    Terminal { sim, address: format!("zvt+tcp://{at}"), _server: server }
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
        let store = Store::open(path, Arc::new(SystemClock)).await.expect("a journal");
        store.payments().await.expect("readable")
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
