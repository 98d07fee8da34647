//! Something breaks at every message and at every byte of a payment, a refund and a reversal, in both directions, for
//! every kind of terminal. Then a new driver recovers at the same terminal.
//!
//! By default every fourth byte of a payment's answer is tried and fewer of the rest; all run with
//! `TRESEN_SWEEP=all cargo test -p tresen-payment --test nexo -- --nocapture`.

use std::time::Duration;

use tresen_hal::{Effect, Result};
use tresen_payment::nexo::Terminal;
use tresen_payment::nexo::sim::{Fault, Misbehaviour, OnLoss, OnStatus, Profile, Side};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::{Host, Payment, Request, Terminal as _};

use super::counter::{Break, Counter, PRICE, is_charged, pay, profile};
use super::judging::{Life, Sums};
use super::pairs::{Pair, pairs};

/// Every kind of terminal.
fn profiles() -> Vec<(String, Profile)> {
    let mut all = Vec::new();
    for sealed in [true, false] {
        for on_loss in [OnLoss::GoesOn, OnLoss::Cancels, OnLoss::Forgets] {
            for pace in [0, 40, 150] {
                let name = format!("sealed={sealed} {on_loss:?} pace={pace}");
                let key = profile().key.filter(|_| sealed);
                all.push((name, Profile { key, on_loss, pace: Duration::from_secs(pace), ..profile() }));
            }
        }
    }
    all
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
    async fn prepare(self, counter: &Counter, terminal: &mut Terminal) {
        if self == Self::Reversal {
            let pace = counter.sim.with(|s| std::mem::take(&mut s.profile_mut().pace));
            assert!(is_charged(&pay(terminal, "first").await.expect("an outcome")));
            counter.sim.with(|s| s.profile_mut().pace = pace);
        }
    }

    async fn run(self, counter: &Counter, terminal: &mut Terminal) -> Result<Payment> {
        let request = Request::new("sale", PRICE);
        match self {
            Self::Payment => terminal.pay(request, Host::none()).await,
            Self::Refund => terminal.refund(request, Host::none()).await,
            Self::Reversal => {
                let first = counter.entry("first").and_then(|e| e.outcome()).and_then(Payment::into_charge);
                let reference = first.and_then(|charge| charge.reference).expect("it is named");
                terminal.reverse(reference, request, Host::none()).await
            }
        }
    }

    /// Of the terminal's entries those that this operation made.
    fn stored(self, counter: &Counter) -> usize {
        counter.stored() - usize::from(self == Self::Reversal)
    }

    fn sent(self, counter: &Counter) -> usize {
        match self {
            Self::Payment | Self::Refund => counter.received("Payment"),
            Self::Reversal => counter.received("Reversal"),
        }
    }
}

/// Recovers over a good network, and checks that everything fits.
async fn settle_and_check(
    counter: &Counter,
    operation: Operation,
    name: &str,
    told: Option<&Payment>,
    may_be_unknown: bool,
    sums: &mut Sums,
) {
    let mut terminal = counter.open().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    let settled = terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    while counter.sim.with(|s| s.is_busy()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (sent, stored) = (operation.sent(counter), operation.stored(counter));
    assert!(sent <= 1, "{name}: {sent}");
    let life = Life { name, entry: counter.entry("sale"), sent, stored, told, settled: &settled };
    if let Some(payment) = sums.judge(life, |_, _| may_be_unknown) {
        // The same key again is the same payment.
        let again = operation.run(counter, &mut terminal).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again, payment, "{name}");
        assert_eq!(operation.sent(counter), sent, "{name}: asked again");
    }
    assert_eq!(counter.sim.with(|s| s.repeats()), 0, "{name}: a number was used twice");
    // The terminal is not stuck: the next payment works.
    counter.sim.with(|s| s.profile_mut().pace = Duration::ZERO);
    let before = counter.stored();
    let next = terminal.pay(Request::new("next", PRICE), Host::none()).await;
    assert!(is_charged(&next.unwrap_or_else(|e| panic!("{name}: {e}"))), "{name}");
    assert_eq!(counter.stored(), before + 1, "{name}");
}

#[tokio::test(start_paused = true)]
async fn one_break_at_every_message() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles() {
        for operation in OPERATIONS {
            for how in [Break::Before, Break::After, Break::Network, Break::Swallow] {
                // The request, and its answer.
                for message in 0..2 {
                    let name = format!("{kind} {operation:?} {how:?} at {message}");
                    let counter = Counter::new(profile.clone());
                    let mut terminal = counter.open().await.expect("answers");
                    operation.prepare(&counter, &mut terminal).await;
                    counter.net.breaks(message, how);
                    let told = operation.run(&counter, &mut terminal).await;
                    if let Err(error) = &told {
                        assert_eq!(error.effect(), Effect::None, "{name}: {error}");
                    }
                    drop(terminal);
                    counter.net.mended();
                    settle_and_check(&counter, operation, &name, told.as_ref().ok(), false, &mut sums).await;
                    cases += 1;
                }
            }
        }
    }
    println!("one break at every message: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases == 18 * 3 * 8 && sums.0[0] > 60 && sums.0[1] > 60, "{cases} {sums:?}");
}

#[tokio::test(start_paused = true)]
async fn one_break_at_every_byte() {
    let all = std::env::var("TRESEN_SWEEP").is_ok_and(|sweep| sweep == "all");
    let (mut cases, mut sums) = (0, Sums::default());
    for operation in OPERATIONS {
        for message in 0..2 {
            let step = match (all, operation, message) {
                (true, ..) => 1,
                (_, Operation::Payment, 1) => 4,
                _ => 23,
            };
            for at in (0..).step_by(step) {
                let name = format!("{operation:?}: message {message} is cut after {at} bytes");
                assert!(at < 20_000, "{name}: the sweep does not end");
                let counter = Counter::new(profile());
                let mut terminal = counter.open().await.expect("answers");
                operation.prepare(&counter, &mut terminal).await;
                counter.net.breaks(message, Break::Cut(at));
                let told = operation.run(&counter, &mut terminal).await;
                drop(terminal);
                counter.net.mended();
                settle_and_check(&counter, operation, &name, told.as_ref().ok(), false, &mut sums).await;
                cases += 1;
                if matches!(told, Ok(Payment::Charged(_))) || message == 0 && operation.sent(&counter) > 0 && at > 1_500
                {
                    // The whole message has arrived.
                    assert!(at > 500, "{name}");
                    break;
                }
            }
        }
    }
    println!("one break at every byte: {cases} cases: {:?}", sums.0);
    assert!(cases > 700 && sums.0[2] == 0, "{cases} {sums:?}");
}

/// What a terminal can do wrong at a message, and whether that may leave the transaction unknown.
const FAULTS: [(Side, Fault, bool); 20] = [
    (Side::FromTill, Fault::HangUp, false),
    (Side::FromTill, Fault::HangUpAfter, false),
    (Side::FromTill, Fault::Drop, false),
    (Side::FromTill, Fault::Restart, false),
    (Side::ToTill, Fault::HangUp, false),
    (Side::ToTill, Fault::HangUpAfter, false),
    (Side::ToTill, Fault::Drop, false),
    (Side::ToTill, Fault::Restart, false),
    (Side::ToTill, Fault::Late(Duration::from_secs(4)), false),
    (Side::ToTill, Fault::Late(Duration::from_secs(400)), false),
    (Side::ToTill, Fault::Split, false),
    (Side::ToTill, Fault::Chunked, false),
    (Side::ToTill, Fault::Half, false),
    (Side::ToTill, Fault::Garbage, false),
    (Side::ToTill, Fault::Status(302), false),
    (Side::ToTill, Fault::Status(500), false),
    (Side::ToTill, Fault::OtherKey, false),
    (Side::ToTill, Fault::OtherHeader, false),
    (Side::ToTill, Fault::Foreign, false),
    (Side::ToTill, Fault::Reject, false),
];

#[tokio::test(start_paused = true)]
async fn the_terminal_errs_at_every_message() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles() {
        let sealed = profile.key.is_some();
        for operation in OPERATIONS {
            for (side, how, may_be_unknown) in FAULTS {
                // In clear nothing tells a forged header.
                if !sealed && matches!(how, Fault::OtherKey) {
                    continue;
                }
                let name = format!("{kind} {operation:?} {how:?} of {side:?}");
                let counter = Counter::new(profile.clone());
                let mut terminal = counter.open().await.expect("answers");
                operation.prepare(&counter, &mut terminal).await;
                counter.sim.with(|s| s.misbehave(Misbehaviour::At { side, message: 0, how }));
                let told = operation.run(&counter, &mut terminal).await;
                drop(terminal);
                counter.sim.with(|s| s.behave());
                settle_and_check(&counter, operation, &name, told.as_ref().ok(), may_be_unknown, &mut sums).await;
                cases += 1;
            }
        }
    }
    println!("faults of the terminal: {cases} cases: {:?}", sums.0);
    assert!(cases > 1_000 && sums.0[0] > 300 && sums.0[1] > 200, "{cases} {sums:?}");
}

/// A second fault, in the recovery. What two faults hide may stay unknown, and the next recovery finds it.
#[tokio::test(start_paused = true)]
async fn a_second_break_during_recovery() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles().into_iter().filter(|(name, _)| name.contains("sealed=true")) {
        for first in [Break::Before, Break::After, Break::Cut(700)] {
            for message in 0..2 {
                for second in 0..6 {
                    for how in [Break::Before, Break::After, Break::Swallow, Break::Cut(300)] {
                        let name = format!("{kind}: {first:?} at {message}, then {how:?} at {second}");
                        let counter = Counter::new(profile.clone());
                        let mut terminal = counter.open().await.expect("answers");
                        counter.net.breaks(message, first);
                        let told = pay(&mut terminal, "sale").await;
                        drop(terminal);
                        counter.net.mended();
                        counter.net.breaks(second, how);
                        if let Ok(mut terminal) = counter.open().await {
                            terminal.recover().await.ok();
                        }
                        counter.net.mended();
                        let told = told.as_ref().ok();
                        settle_and_check(&counter, Operation::Payment, &name, told, false, &mut sums).await;
                        cases += 1;
                    }
                }
            }
        }
    }
    println!("two breaks: {cases} cases: {:?}", sums.0);
    assert!(cases > 1_000 && sums.0[2] == 0, "{cases} {sums:?}");
}

/// Two faults of the terminal, in the operation or in the recovery. What they hide together may stay unknown.
#[tokio::test(start_paused = true)]
async fn pairs_of_faults() {
    let kinds = profiles();
    let (mut cases, mut sums) = (0, Sums::default());
    for Pair { number, life, faults } in pairs(kinds.len() * OPERATIONS.len(), FAULTS.len(), 4, 600) {
        let ((kind, profile), operation) = (&kinds[life / OPERATIONS.len()], OPERATIONS[life % OPERATIONS.len()]);
        let faults = faults.map(|(fault, message)| {
            let (side, how, _) = FAULTS[fault];
            Misbehaviour::At { side, message, how }
        });
        let forged = |fault: &Misbehaviour| matches!(fault, Misbehaviour::At { how: Fault::OtherKey, .. });
        // In clear nothing tells a forged header.
        if profile.key.is_none() && faults.iter().any(forged) {
            continue;
        }
        let name = format!("{kind} {operation:?}: pair {number} {faults:?}");
        let counter = Counter::new(profile.clone());
        let mut terminal = counter.open().await.expect("answers");
        operation.prepare(&counter, &mut terminal).await;
        counter.sim.with(|s| faults.into_iter().for_each(|fault| s.misbehave(fault)));
        let told = operation.run(&counter, &mut terminal).await;
        drop(terminal);
        // A fault that is left meets the recovery.
        if let Ok(mut terminal) = counter.open().await {
            terminal.recover().await.ok();
        }
        counter.sim.with(|s| s.behave());
        settle_and_check(&counter, operation, &name, told.as_ref().ok(), true, &mut sums).await;
        cases += 1;
    }
    println!("pairs of faults: {cases}; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(sums.0[0] * 10 > cases && sums.0[2] * 4 < cases, "{cases} {sums:?}");
}

/// Terminals that do not tell: what was lost stays unknown, and never is wrong.
#[tokio::test(start_paused = true)]
async fn one_break_at_terminals_that_tell_nothing() {
    let (mut cases, mut sums) = (0, Sums::default());
    for on_status in [OnStatus::Silent, OnStatus::Busy, OnStatus::Last, OnStatus::Nameless, OnStatus::Odd] {
        for operation in OPERATIONS {
            for how in [Break::Before, Break::After, Break::Swallow] {
                for message in 0..2 {
                    let name = format!("{on_status:?} {operation:?} {how:?} at {message}");
                    let counter = Counter::new(Profile { on_status, ..profile() });
                    let mut terminal = counter.open().await.expect("answers");
                    operation.prepare(&counter, &mut terminal).await;
                    counter.net.breaks(message, how);
                    let told = operation.run(&counter, &mut terminal).await;
                    drop(terminal);
                    counter.net.mended();
                    settle_and_check(&counter, operation, &name, told.as_ref().ok(), true, &mut sums).await;
                    cases += 1;
                }
            }
        }
    }
    println!("terminals that tell nothing: {cases} cases: {:?}", sums.0);
    assert!(sums.0[2] > 40, "{sums:?}");
}

/// The storage fails at every write: nothing is sent without an intent, and what was charged is found again.
#[tokio::test(start_paused = true)]
async fn the_storage_fails_at_every_write() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles() {
        for operation in OPERATIONS {
            for write in 0..4 {
                let name = format!("{kind} {operation:?}: write {write} fails");
                let counter = Counter::new(profile.clone());
                let mut first = counter.open().await.expect("answers");
                operation.prepare(&counter, &mut first).await;
                drop(first);
                let journal = FaultyJournal::over(counter.journal.clone()).failing(write..write + 1).slow();
                let mut terminal = counter.open_with(std::sync::Arc::new(journal)).await.expect("answers");
                let told = operation.run(&counter, &mut terminal).await;
                drop(terminal);
                settle_and_check(&counter, operation, &name, told.as_ref().ok(), false, &mut sums).await;
                cases += 1;
            }
        }
    }
    println!("failing storage: {cases} cases: {:?}", sums.0);
    assert!(sums.0[0] > 30 && sums.0[3] > 30, "{sums:?}");
}

/// The till dies at every moment: its task is dropped after each step, and the next till recovers.
#[tokio::test(start_paused = true)]
async fn the_till_dies_at_every_step() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles().into_iter().filter(|(name, _)| name.contains("sealed=true")) {
        for operation in OPERATIONS {
            for steps in 0..40 {
                let name = format!("{kind} {operation:?}: dies after {steps} steps");
                let counter = Counter::new(profile.clone());
                let mut terminal = counter.open().await.expect("answers");
                operation.prepare(&counter, &mut terminal).await;
                {
                    let mut life = std::pin::pin!(operation.run(&counter, &mut terminal));
                    for _ in 0..steps {
                        if futures_poll(&mut life).await {
                            break;
                        }
                    }
                }
                drop(terminal);
                settle_and_check(&counter, operation, &name, None, false, &mut sums).await;
                cases += 1;
            }
        }
    }
    println!("dying tills: {cases} cases: {:?}", sums.0);
    assert!(sums.0[0] > 100 && sums.0[3] > 50, "{sums:?}");
}

/// Polls once, then lets all others run; whether it is ready.
async fn futures_poll<T>(life: &mut std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    let ready = std::future::poll_fn(|cx| std::task::Poll::Ready(life.as_mut().poll(cx).is_ready())).await;
    tokio::task::yield_now().await;
    ready
}
