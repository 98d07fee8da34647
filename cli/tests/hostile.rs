//! `tresen pay` against a terminal that shares no code with it. Each life pays K1 under one fault, often
//! with a kill, recovers, pays K1 again under its key, then K2 as the next customer. The terminal's ledger
//! is compared with the exit codes and the journal.

mod common;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Said, start, until};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tresen::payment::{Entry, Payment};
use tresen::{Amount, Store, SystemRuntime};
use tresen_peers::zvt::{
    Act, At, End, Event, Fate, Fault, Moment, Quirks, Repeat, Stray, Style, Terminal, Unheard, What,
};
use tresen_peers::{Server, Shared};

/// A till that takes longer for an outcome is killed, as a cashier would. None of the faults needs it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One fault at one terminal.
struct Case {
    name: String,
    quirks: Quirks,
    /// The till is killed when the terminal is about to say this.
    killed_at: Option<At>,
    /// The till of K0 was killed when the terminal had its approval.
    dead_before: bool,
}

struct Counter {
    peer: Shared<Terminal>,
    server: Server,
}

impl Counter {
    fn new(on: &Runtime, quirks: Quirks) -> Self {
        on.block_on(async {
            let mut terminal = Terminal::new(quirks, 417);
            let now = jiff::Zoned::now();
            let second = u64::from(now.hour().unsigned_abs()) * 3600
                + u64::from(now.minute().unsigned_abs()) * 60
                + u64::from(now.second().unsigned_abs());
            terminal.set_clock(now.month().unsigned_abs(), now.day().unsigned_abs(), second);
            terminal.had(5_00);
            let peer = Shared::new(terminal);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let server = peer.listen(listener).expect("an address");
            Self { peer, server }
        })
    }

    fn pay(&self, journal: &Path, key: &str) -> Vec<String> {
        self.peer.with(|t| t.customer(key));
        let (at, journal) = (self.server.at(), journal.to_str().expect("text"));
        let args = ["pay", &format!("zvt+tcp://{at}"), "5.00", "--journal", journal, "--key", key];
        args.map(str::to_owned).into()
    }

    fn recover(&self, journal: &Path) -> Said {
        let (at, journal) = (format!("zvt+tcp://{}", self.server.at()), journal.to_str().expect("text"));
        ends(["pay", at.as_str(), "--recover", "--journal", journal])
    }

    /// Pays until the terminal is about to say its message `at`; then the till is killed.
    fn killed(&self, journal: &Path, key: &str, at: At) {
        self.peer.with(|t| t.quirks.faults.push(Fault { at, act: Act::Stall }));
        let till = start(self.pay(journal, key));
        until("the terminal falls silent", || self.peer.with(|t| t.quirks.faults.is_empty()));
        till.kill();
    }

    fn wrongs(&self, told: &[(&str, Option<i32>)], entries: &[Entry]) -> Vec<String> {
        let mut wrongs = Vec::new();
        for key in ["K0", "K1", "K2"] {
            let (stands, asked) =
                self.peer.with(|t| (t.ledger.stored(key).into_iter().cloned().collect::<Vec<_>>(), t.asked(key)));
            if asked > 1 || stands.len() > 1 {
                wrongs.push(format!("{key}: asked {asked} times, charged {} times", stands.len()));
            }
            let right = |c: &tresen::payment::Charge| {
                let number = c.receipt_number.as_ref().and_then(|n| n.parse().ok());
                c.amount == Amount::eur(5_00)
                    && stands.iter().any(|t| (t.amount, t.currency) == (5_00, 978) && number == Some(t.receipt))
            };
            for entry in entries.iter().filter(|e| e.intent.id.0 == key) {
                match &entry.payment {
                    Some(Payment::Charged(c)) if !right(c) => {
                        wrongs.push(format!("{key}: charged {c:?}, the ledger has {stands:?}"));
                    }
                    Some(Payment::NotCharged(not)) if !stands.is_empty() => {
                        wrongs.push(format!("{key}: not charged {not:?}, the ledger has {stands:?}"));
                    }
                    _ => {}
                }
            }
            let codes = told.iter().filter(|(k, _)| *k == key).map(|(_, code)| *code);
            let full = stands.iter().any(|t| (t.amount, t.currency) == (5_00, 978));
            for code in codes {
                if code == Some(0) && !full || code == Some(3) && !stands.is_empty() {
                    wrongs.push(format!("{key}: exit {code:?}, the ledger has {stands:?}"));
                }
            }
        }
        wrongs
    }
}

/// Runs the command. Without an exit code if it was killed for taking too long.
fn ends<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Said {
    let late = || Said { code: None, out: String::new(), err: format!("no end within {PATIENCE:?}") };
    start(args).end_within(PATIENCE).unwrap_or_else(late)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

fn entries(on: &Runtime, path: &Path) -> Vec<Entry> {
    on.block_on(async {
        let store = Store::open(path, Arc::new(SystemRuntime::new())).await.expect("a journal");
        store.payments().await.expect("readable").iter().map(|payment| payment.entry.clone()).collect()
    })
}

/// Lives one life; returns what is wrong with it.
fn live(on: &Runtime, case: &Case) -> Vec<String> {
    let counter = Counter::new(on, case.quirks.clone());
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("journal.db");
    let mut told = Vec::new();
    if case.dead_before {
        counter.killed(&db, "K0", At::OutOf(0x040f, 1));
    }
    let first = case.killed_at.is_none().then(|| ends(counter.pay(&db, "K1")));
    let mut wrongs = Vec::new();
    match &first {
        None => counter.killed(&db, "K1", case.killed_at.expect("it is killed")),
        Some(said) => {
            told.push(("K1", said.code));
            if said.code == Some(1) && counter.peer.with(|t| t.asked("K1")) > 0 {
                wrongs.push(format!("K1: exit 1 although asked: {}", said.err));
            }
        }
    }
    counter.peer.with(Terminal::calm);
    counter.recover(&db);
    told.push(("K1", ends(counter.pay(&db, "K1")).code));
    let next = ends(counter.pay(&db, "K2"));
    told.push(("K2", next.code));
    // Not refused because of K1: the terminal may still be with that customer, and says so.
    let busy = next.code == Some(3) && next.out.contains("busy");
    if next.code != Some(0) && !busy {
        wrongs.push(format!("K2 could not pay: {next:?}"));
    }
    until("the terminal rests", || counter.peer.with(|t| t.rest(counter.peer.now())));
    wrongs.extend(counter.wrongs(&told, &entries(on, &db)));
    wrongs
}

fn quick() -> Quirks {
    Quirks { fate_after: Fate { customer: 20, ..Fate::default() }, ..Quirks::default() }
}

fn killed_everywhere() -> Vec<Case> {
    let mut cases = Vec::new();
    for unheard in [Unheard::Reverses, Unheard::Keeps] {
        // Two to register, three to ask for the last receipt, seven to pay.
        for n in 0..12 {
            let quirks = Quirks { unheard, ..quick() };
            let name = format!("killed at message {n}, {unheard:?}");
            cases.push(Case { name, quirks, killed_at: Some(At::Out(n)), dead_before: false });
        }
    }
    cases
}

fn named() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, quirks: Quirks, killed_at| {
        cases.push(Case { name: name.into(), quirks, killed_at, dead_before: name.starts_with("STALE") });
    };
    let (keeps, approval) = (Unheard::Keeps, Some(At::OutOf(0x040f, 1)));
    let end = |end: End| vec![Fate { end, customer: 20, ..Fate::default() }];
    let again = |nth| vec![Stray { when: Moment::AfterAnswer, nth, what: What::LastResult }];
    for decline in [End::Declined(5), End::DeclinedCompleted(5), End::Aborted(0x6c)] {
        add(&format!("{decline:?}"), Quirks { fates: end(decline), ..quick() }, None);
        add(&format!("REPEAT {decline:?}"), Quirks { strays: again(0), fates: end(decline), ..quick() }, None);
        let fates = [end(End::Approved), end(decline)].concat();
        add(&format!("STALE {decline:?}"), Quirks { unheard: keeps, strays: again(1), fates, ..quick() }, None);
    }
    for code in [0x83, 0x9c] {
        add(&format!("84 {code:02x}"), Quirks { fates: end(End::Refused(code)), ..quick() }, None);
    }
    for useless in [Repeat::Aborted(0xa0), Repeat::Refused(0x83), Repeat::Empty] {
        let killed = Some(At::OutOf(0x04ff, 1));
        add(&format!("N1 {useless:?}"), Quirks { repeat_before: useless, ..quick() }, killed);
        add(&format!("USELESS {useless:?}"), Quirks { unheard: keeps, repeat_after: useless, ..quick() }, approval);
    }
    add("REV", Quirks { unheard: Unheard::ReversesWithReceipt, ..quick() }, approval);
    let by_hand = vec![Event::Reversal("K1".into())];
    add("MANUAL", Quirks { unheard: keeps, when_lost: by_hand, ..quick() }, approval);
    add("OTHER TILL", Quirks { when_lost: vec![Event::OtherTill(5_00)], ..quick() }, approval);
    add("SWAP", Quirks { unheard: keeps, when_lost: vec![Event::Swap(60_000_002, 5_00)], ..quick() }, approval);
    add("EMPTIED", Quirks { unheard: keeps, when_lost: vec![Event::EndOfDay], ..quick() }, approval);
    add("TRACE", Quirks { counts_repeats: true, ..quick() }, approval);
    for (amount, currency) in [(5_50, 978), (2_50, 978), (5_00, 756), (5_00, 998)] {
        let fates = end(End::ApprovedAs(amount, currency));
        add(&format!("AMOUNT {amount} {currency}"), Quirks { unheard: keeps, fates, ..quick() }, approval);
    }
    let lies = Quirks { unheard: keeps, finishes_alone: true, admits_busy: false, ..Quirks::default() };
    let customer = vec![Fate { customer: 1_500, ..Fate::default() }];
    add("LIAR", Quirks { fates: customer.clone(), ..lies.clone() }, Some(At::OutOf(0x04ff, 1)));
    add("busy alone", Quirks { fates: customer, admits_busy: true, ..lies }, Some(At::OutOf(0x04ff, 1)));
    let bare = Style { minimal: true, ..Style::default() };
    add("bare", Quirks { style: bare, stays_registered: false, ..quick() }, None);
    for act in [Act::ResetBefore, Act::CutBefore, Act::Twice] {
        let faults = vec![Fault { at: At::OutOf(0x040f, 1), act: act.clone() }];
        add(&format!("{act:?} at the approval"), Quirks { unheard: keeps, faults, ..quick() }, None);
    }
    cases
}

/// Lives all cases on some threads; fails if one is wrong.
fn all(cases: &[Case]) {
    let (on, next) = (runtime(), AtomicUsize::new(0));
    let mut wrong: Vec<(String, Vec<String>)> = std::thread::scope(|scope| {
        let work = || {
            let mut wrong = Vec::new();
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let wrongs = live(&on, case);
                if !wrongs.is_empty() {
                    wrong.push((case.name.clone(), wrongs));
                }
            }
            wrong
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|t| t.join().expect("a life that hangs says so above")).collect()
    });
    wrong.sort();
    for (name, wrongs) in &wrong {
        println!("{name}:\n  {}", wrongs.join("\n  "));
    }
    let names: Vec<_> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_empty(), "{} wrong lives: {names:?}", names.len());
}

#[test]
fn killed_at_every_message_of_a_payment() {
    all(&killed_everywhere());
}

#[test]
fn what_the_reviews_named() {
    all(&named());
}

#[test]
fn two_processes_on_one_journal_charge_each_payment_once_at_most() {
    let on = runtime();
    for keys in [["K1", "K1"], ["K1", "K2"]] {
        let counter = Counter::new(&on, quick());
        let dir = tempfile::tempdir().expect("a folder");
        let db = dir.path().join("journal.db");
        // Whose payment it is follows from the order in which the terminal is asked.
        let first = start(counter.pay(&db, keys[0]));
        until("the first is asked for", || counter.peer.with(|t| t.asked(keys[0]) == 1));
        let second = start(counter.pay(&db, keys[1]));
        let told = [(keys[0], first.end().code), (keys[1], second.end().code)];
        assert_eq!(told[0].1, Some(0), "the first is not disturbed");
        let wrongs = counter.wrongs(&told, &entries(&on, &db));
        assert!(wrongs.is_empty(), "{wrongs:?}");
    }
}
