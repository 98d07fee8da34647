//! Something breaks at every message and at every byte of a payment, a refund and a reversal, in both directions, over
//! TCP and over a serial line, for every kind of terminal. Then a new driver recovers at the same terminal.
//!
//! By default some bytes and some pairs are tried; all run with
//! `TRESEN_SWEEP=all cargo test -p tresen-payment --test paytec -- --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::link::fault::{Damage, Plan};
use tresen_hal::{BoxFuture, Effect, Error, Kind, Link, Result};
use tresen_payment::paytec::sim::{Fault, Misbehaviour, OnAbort, Profile, Side, Unconfirmed};
use tresen_payment::paytec::{self, Terminal};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::{Confirmation, Host, Payment, Request, Terminal as _};

use super::counter::{Counter, is_charged, pay, price, profile};
use super::judging::{Life, Sums};
use super::pairs::{Pair, pairs};

/// Every kind of terminal, and whether it is declared to undo what is not confirmed.
fn kinds() -> Vec<(String, Profile, bool)> {
    let mut all = Vec::new();
    for serial in [false, true] {
        for (unconfirmed, reverses) in
            [(Unconfirmed::Undone, false), (Unconfirmed::Undone, true), (Unconfirmed::Kept, false)]
        {
            for finishes_alone in [false, true] {
                for pace in [0, 2] {
                    let link = if serial { "serial" } else { "tcp" };
                    let name = format!("{link} {unconfirmed:?} declared={reverses} alone={finishes_alone} pace={pace}");
                    let pace = Duration::from_secs(pace);
                    all.push((name, Profile { serial, unconfirmed, finishes_alone, pace, ..profile() }, reverses));
                }
            }
        }
    }
    all
}

fn counter(kind: &(String, Profile, bool)) -> Counter {
    let mut counter = Counter::new(kind.1.clone());
    counter.options.reverses = kind.2;
    counter
}

fn all() -> bool {
    std::env::var("TRESEN_SWEEP").is_ok_and(|sweep| sweep == "all")
}

/// Every kind of terminal with every operation; unless all are asked for, refunds and reversals at the plainest ones.
fn lives() -> Vec<((String, Profile, bool), Operation)> {
    let plain = |kind: &(String, Profile, bool)| kind.0.ends_with("alone=false pace=0");
    let kinds = kinds().into_iter().flat_map(|kind| OPERATIONS.map(|operation| (kind.clone(), operation)));
    kinds.filter(|(kind, operation)| all() || *operation == Operation::Payment || plain(kind)).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Payment,
    Refund,
    Reversal,
}

const OPERATIONS: [Operation; 3] = [Operation::Payment, Operation::Refund, Operation::Reversal];

impl Operation {
    /// What has to stand before.
    async fn prepare(self, counter: &mut Counter) {
        if self == Self::Reversal {
            let mut terminal = counter.open().await.expect("connects");
            assert!(is_charged(&pay(&mut terminal, "first").await.expect("an outcome")));
        }
    }

    async fn run(self, counter: &Counter, terminal: &mut Terminal, host: Host) -> Result<Payment> {
        let request = Request::new("sale", price());
        match self {
            Self::Payment => terminal.pay(request, host).await,
            Self::Refund => terminal.refund(request, host).await,
            Self::Reversal => {
                let first = counter.entry("first").and_then(|e| e.outcome()).and_then(Payment::into_charge);
                let reference = first.and_then(|charge| charge.reference).expect("it is named");
                terminal.reverse(reference, request, host).await
            }
        }
    }

    /// What came before this operation.
    fn before(self) -> usize {
        usize::from(self == Self::Reversal)
    }
}

/// Recovers over a good link, and checks that everything fits.
async fn settle_and_check(
    counter: &mut Counter,
    operation: Operation,
    name: &str,
    told: Option<&Payment>,
    sums: &mut Sums,
) {
    counter.sim.with(|s| s.behave());
    let mut terminal = counter.open().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    let settled = terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    while counter.sim.with(|s| s.is_busy()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let sent = counter.received("TransactionRequest") - operation.before();
    let stored = counter.stored() - operation.before();
    assert!(sent <= 1, "{name}: {sent} were sent");
    let life = Life { name, entry: counter.entry("sale"), sent, stored, told, settled: &settled };
    if let Some(payment) = sums.judge(life, |entry, unknown| {
        // Only what may have begun; where it is declared what an unconfirmed approval becomes, only what may have been
        // confirmed.
        let confirmed = entry.approved.as_ref().is_some_and(|c| c.confirmation == Some(Confirmation::Sent));
        unknown.asked && if counter.options.reverses { confirmed } else { sent == 1 }
    }) {
        // The same key again is the same payment.
        let again = operation.run(counter, &mut terminal, Host::none()).await;
        assert_eq!(again.unwrap_or_else(|e| panic!("{name}: {e}")), payment, "{name}");
        assert_eq!(counter.received("TransactionRequest") - operation.before(), sent, "{name}: asked again");
    }
    // The terminal is not stuck: the next payment works.
    let before = counter.stored();
    let next = terminal.pay(Request::new("next", price()), Host::none()).await;
    assert!(is_charged(&next.unwrap_or_else(|e| panic!("{name}: {e}"))), "{name}");
    assert_eq!(counter.stored(), before + 1, "{name}");
    drop(terminal);
}

/// Runs over a link that breaks. Returns what the till was told, if anything, and whether the link held.
async fn run_over(counter: &mut Counter, operation: Operation, plan: Plan) -> (Option<Payment>, bool) {
    let Ok(mut terminal) = counter.open_broken(plan).await else { return (None, false) };
    let told = operation.run(counter, &mut terminal, Host::none()).await;
    if let Err(error) = &told {
        assert_eq!(error.effect(), Effect::None, "{error}");
    }
    let told = told.ok();
    let held = told.as_ref().is_some_and(is_charged) && terminal.status().await.is_ok();
    (told, held)
}

#[tokio::test(start_paused = true)]
async fn one_cut_at_every_message() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, operation) in lives() {
        for direction in 0..3 {
            for n in 0.. {
                let plan = match direction {
                    0 => Plan { cut_before_send: Some(n), ..Plan::default() },
                    1 => Plan { cut_after_send: Some(n), ..Plan::default() },
                    _ => Plan { cut_before_recv: Some(n), ..Plan::default() },
                };
                let name = format!("{} {operation:?}: {plan:?}", kind.0);
                assert!(n < 80, "{name}: the sweep does not end");
                let mut counter = counter(&kind);
                operation.prepare(&mut counter).await;
                let (told, held) = run_over(&mut counter, operation, plan).await;
                settle_and_check(&mut counter, operation, &name, told.as_ref(), &mut sums).await;
                cases += 1;
                if held {
                    assert!(n > 4, "{name}: the sweep reached the end");
                    break;
                }
            }
        }
    }
    println!("cuts at every message: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 500 && sums.0.iter().all(|sum| *sum > 30), "{cases} {sums:?}");
}

/// A link that ends after so many received bytes.
#[derive(Debug)]
struct Ends<L> {
    inner: L,
    left: AtomicUsize,
}

impl<L: Link> Link for Ends<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.left.load(Ordering::Relaxed) == 0 {
                return Err(Error::new(Kind::Closed, "the link was cut"));
            }
            self.inner.send(bytes).await
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let left = self.left.load(Ordering::Relaxed);
            if left == 0 {
                self.inner.close().await;
                return Err(Error::new(Kind::Closed, "the link was cut"));
            }
            let before = into.len();
            let got = self.inner.recv(into).await?.min(left);
            into.truncate(before + got);
            self.left.store(left - got, Ordering::Relaxed);
            Ok(got)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[tokio::test(start_paused = true)]
async fn one_cut_at_every_byte() {
    let (mut cases, mut sums) = (0, Sums::default());
    let kinds: Vec<_> = kinds().into_iter().filter(|kind| kind.0.contains("alone=false pace=0")).collect();
    for kind in kinds {
        for operation in OPERATIONS {
            for received in [false, true] {
                // Prime, so that different kinds meet different bytes.
                let step = match (all(), operation) {
                    (true, _) => 1,
                    (_, Operation::Payment) => 7,
                    _ => 41,
                };
                for at in (1..).step_by(step) {
                    let name = format!("{} {operation:?}: cut after {at} bytes, received={received}", kind.0);
                    assert!(at < 10_000, "{name}: the sweep does not end");
                    let mut counter = counter(&kind);
                    operation.prepare(&mut counter).await;
                    let (told, held) = if received {
                        let link = counter.link().await;
                        let link = Ends { inner: link, left: AtomicUsize::new(at) };
                        let journal = counter.journal.clone();
                        let clock = Arc::new(counter.clock.clone());
                        match paytec::open(Box::new(link), counter.options.clone(), journal, clock).await {
                            Ok(mut terminal) => {
                                let told = operation.run(&counter, &mut terminal, Host::none()).await.ok();
                                let held = told.as_ref().is_some_and(is_charged) && terminal.status().await.is_ok();
                                (told, held)
                            }
                            Err(_) => (None, false),
                        }
                    } else {
                        let plan = Plan { cut_after_sent_bytes: Some(at), ..Plan::default() };
                        run_over(&mut counter, operation, plan).await
                    };
                    settle_and_check(&mut counter, operation, &name, told.as_ref(), &mut sums).await;
                    cases += 1;
                    if held {
                        assert!(at > 300, "{name}: the sweep reached the end");
                        break;
                    }
                }
            }
        }
    }
    println!("cuts at every byte: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 1_000, "{cases} {sums:?}");
}

/// Damage to every chunk of a serial line: it is repaired where that is safe.
#[tokio::test(start_paused = true)]
async fn damage_at_every_frame() {
    let damages = [
        Damage::Corrupt { at: 9, xor: 0x04 },
        Damage::Corrupt { at: 1, xor: 0x01 },
        Damage::Lose,
        Damage::LoseBytes { at: 3, count: 2 },
        Damage::Duplicate,
        Damage::Delay(Duration::from_millis(500)),
        Damage::Delay(Duration::from_secs(60)),
        Damage::Late(1),
        Damage::Stall,
    ];
    let (mut cases, mut sums, mut repaired) = (0, Sums::default(), 0);
    let kinds: Vec<_> =
        kinds().into_iter().filter(|kind| kind.0.contains("serial") && kind.0.ends_with("pace=0")).collect();
    for kind in kinds {
        let operations = if all() { &OPERATIONS[..] } else { &OPERATIONS[..1] };
        for &operation in operations {
            for damage in damages {
                for sent in [false, true] {
                    for n in 0..34 {
                        let plan = Plan::default();
                        let plan = if sent { plan.sent(n, damage) } else { plan.received(n, damage) };
                        let name = format!("{} {operation:?}: {plan:?}", kind.0);
                        let mut counter = counter(&kind);
                        operation.prepare(&mut counter).await;
                        let (told, held) = run_over(&mut counter, operation, plan).await;
                        settle_and_check(&mut counter, operation, &name, told.as_ref(), &mut sums).await;
                        repaired += usize::from(held);
                        cases += 1;
                    }
                }
            }
        }
    }
    println!("damage to frames: {cases} cases, {repaired} repaired at once: {:?}", sums.0);
    assert!(cases > 2_000 && repaired > cases / 3 && sums.0[2] > 20, "{cases} {repaired} {sums:?}");
}

/// What a terminal can do wrong at a message.
const FAULTS: [(Side, Fault); 19] = [
    (Side::FromTill, Fault::HangUp),
    (Side::FromTill, Fault::HangUpAfter),
    (Side::FromTill, Fault::Drop),
    (Side::FromTill, Fault::Restart),
    (Side::ToTill, Fault::HangUp),
    (Side::ToTill, Fault::HangUpAfter),
    (Side::ToTill, Fault::Drop),
    (Side::ToTill, Fault::Restart),
    (Side::ToTill, Fault::Late(Duration::from_secs(4))),
    (Side::ToTill, Fault::Late(Duration::from_secs(400))),
    (Side::ToTill, Fault::Behind(1)),
    (Side::ToTill, Fault::Twice),
    (Side::ToTill, Fault::Split),
    (Side::ToTill, Fault::Chunked),
    (Side::ToTill, Fault::Merged),
    (Side::ToTill, Fault::Half),
    (Side::ToTill, Fault::Garbage),
    (Side::ToTill, Fault::Unreadable),
    (Side::ToTill, Fault::Error),
];

/// Messages of one side of an operation: status, activation, request, steps, response, acknowledgement, receipts.
const MESSAGES: usize = 10;

#[tokio::test(start_paused = true)]
async fn the_terminal_errs_at_every_message() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, operation) in lives() {
        for (side, how) in FAULTS {
            for message in 0..if side == Side::FromTill { 5 } else { MESSAGES } {
                let name = format!("{} {operation:?}: {how:?} of {side:?} at {message}", kind.0);
                let mut counter = counter(&kind);
                operation.prepare(&mut counter).await;
                let mut terminal = counter.open().await.expect("connects");
                counter.misbehave(Misbehaviour::At { side, message, how });
                let told = operation.run(&counter, &mut terminal, Host::none()).await;
                if let Err(error) = &told {
                    assert_eq!(error.effect(), Effect::None, "{name}: {error}");
                }
                drop(terminal);
                settle_and_check(&mut counter, operation, &name, told.as_ref().ok(), &mut sums).await;
                cases += 1;
            }
        }
    }
    println!("faults of the terminal: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 5_000 && sums.0.iter().all(|sum| *sum > 100), "{cases} {sums:?}");
}

/// The cashier aborts at every step; the terminal ends, ends without a word, or goes on.
#[tokio::test(start_paused = true)]
async fn the_cashier_aborts_at_every_step() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, operation) in lives().into_iter().filter(|(kind, _)| kind.0.contains("alone=false")) {
        for on_abort in [OnAbort::Ends, OnAbort::EndsSilently, OnAbort::GoesOn] {
            for step in 0.. {
                let name = format!("{} {operation:?}: {on_abort:?} at step {step}", kind.0);
                let mut counter = counter(&kind);
                operation.prepare(&mut counter).await;
                counter.sim.with(|s| s.profile_mut().on_abort = on_abort);
                let mut terminal = counter.open().await.expect("connects");
                let (abort, wanted) = watch::channel(false);
                let host = Host::with(tokio::sync::mpsc::channel(Host::KEPT).0, wanted);
                let mut left: usize = step;
                let told = {
                    let mut life = std::pin::pin!(operation.run(&counter, &mut terminal, host));
                    std::future::poll_fn(|cx| {
                        if left == 0 && !*abort.borrow() {
                            abort.send_replace(true);
                        }
                        left = left.saturating_sub(1);
                        life.as_mut().poll(cx)
                    })
                    .await
                };
                drop(terminal);
                match &told {
                    Err(error) => assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None), "{name}"),
                    Ok(told) => assert!(!matches!(told, Payment::Unknown(_)), "{name}: {told:?}"),
                }
                settle_and_check(&mut counter, operation, &name, told.as_ref().ok(), &mut sums).await;
                cases += 1;
                if left > 0 {
                    break;
                }
            }
        }
    }
    println!("aborts: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 300 && sums.0[0] > 50 && sums.0[1] > 50, "{cases} {sums:?}");
}

/// The storage fails at every write, once or from then on: nothing is sent without an intent, nothing is confirmed
/// that was not journalled, and what cannot be journalled is rolled back.
#[tokio::test(start_paused = true)]
async fn the_storage_fails_at_every_write() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, operation) in lives() {
        for lasting in [false, true] {
            for n in 0.. {
                let name = format!("{} {operation:?}: write {n} fails, lasting={lasting}", kind.0);
                let mut counter = counter(&kind);
                operation.prepare(&mut counter).await;
                let to = if lasting { usize::MAX } else { n + 1 };
                let journal = Arc::new(FaultyJournal::over(counter.journal.clone()).failing(n..to).slow());
                let mut terminal = counter.open_with(journal.clone()).await.expect("connects");
                let told = operation.run(&counter, &mut terminal, Host::none()).await;
                drop(terminal);
                settle_and_check(&mut counter, operation, &name, told.as_ref().ok(), &mut sums).await;
                cases += 1;
                if journal.writes().len() <= n {
                    assert!(n >= 5, "{name}: intent, approval, confirmation, acknowledgement, outcome");
                    break;
                }
            }
        }
    }
    println!("failing storage: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 400 && sums.0[0] > 50 && sums.0[3] > 30, "{cases} {sums:?}");
}

/// The till's process dies at any of its steps: what it had not written is gone.
#[tokio::test(start_paused = true)]
async fn the_till_dies_at_every_step() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, operation) in lives() {
        for steps in 0.. {
            let name = format!("{} {operation:?}: dies at step {steps}", kind.0);
            let mut counter = counter(&kind);
            operation.prepare(&mut counter).await;
            let mut terminal = counter.open().await.expect("connects");
            let lived = {
                let mut life = std::pin::pin!(operation.run(&counter, &mut terminal, Host::none()));
                let mut left = steps;
                std::future::poll_fn(|cx| {
                    if left == 0 {
                        return std::task::Poll::Ready(false);
                    }
                    left -= 1;
                    life.as_mut().poll(cx).map(|_| true)
                })
                .await
            };
            drop(terminal);
            settle_and_check(&mut counter, operation, &name, None, &mut sums).await;
            cases += 1;
            if lived {
                assert!(steps > 10, "{name}: the sweep reached the end");
                break;
            }
        }
    }
    println!("dying tills: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 500 && sums.0.iter().all(|sum| *sum > 30), "{cases} {sums:?}");
}

/// Two faults: of the terminal in the operation, and of the terminal or the link in the recovery.
#[tokio::test(start_paused = true)]
async fn pairs_of_faults() {
    let kinds = kinds();
    let (mut cases, mut sums) = (0, Sums::default());
    for Pair { number, life, faults } in pairs(kinds.len() * OPERATIONS.len(), FAULTS.len(), MESSAGES, 800) {
        let (kind, operation) = (&kinds[life / OPERATIONS.len()], OPERATIONS[life % OPERATIONS.len()]);
        let faults = faults.map(|(fault, message)| {
            let (side, how) = FAULTS[fault];
            Misbehaviour::At { side, message, how }
        });
        let name = format!("{} {operation:?}: pair {number} {faults:?}", kind.0);
        let mut counter = counter(kind);
        operation.prepare(&mut counter).await;
        let mut terminal = counter.open().await.expect("connects");
        faults.iter().for_each(|fault| counter.misbehave(*fault));
        let told = operation.run(&counter, &mut terminal, Host::none()).await.ok();
        drop(terminal);
        // A fault that is left meets the recovery.
        if let Ok(mut terminal) = counter.open().await {
            terminal.recover().await.ok();
        }
        settle_and_check(&mut counter, operation, &name, told.as_ref(), &mut sums).await;
        cases += 1;
    }
    println!("pairs of faults: {cases}; charged, not charged, unknown, never begun: {:?}", sums.0);
}
