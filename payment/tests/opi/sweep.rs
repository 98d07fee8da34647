//! Something breaks at every message of a payment, a refund, a reversal, and of what is held, booked and released, on both
//! channels and in both directions, for every dialect and kind of terminal. Then a new driver recovers at the same terminal.
//!
//! By default operations and dialects whose way through the code is the same are tried at fewer kinds of terminal; all run
//! with `TRESEN_SWEEP=all cargo test -p tresen-payment --test opi -- --nocapture`.

use std::time::Duration;

use tresen_hal::{Amount, Effect, Result};
use tresen_payment::opi::Terminal;
use tresen_payment::opi::dialect::ALL;
use tresen_payment::opi::sim::{Misbehaviour, OnLoss, OnRepeat, Profile, Side, When};
use tresen_payment::testing::FaultyJournal;
use tresen_payment::{Host, Payment, Request, Terminal as _};

use super::counter::{Break, Counter, PRICE, is_charged, pay};
use super::judging::{Life, Sums};
use super::pairs::{Pair, pairs};

/// Every kind of terminal.
pub(crate) fn profiles() -> Vec<(String, Profile)> {
    let mut all = Vec::new();
    for dialect in ALL {
        for on_loss in [OnLoss::Cancels, OnLoss::Forgets, OnLoss::GoesOn] {
            for (receipts, keeps_device_link) in
                [(Some(When::Before), false), (Some(When::Crossing), true), (Some(When::After), true), (None, false)]
            {
                for pace in [0, 30] {
                    let name = format!("{} {on_loss:?} {receipts:?} pace={pace}", dialect.name);
                    let profile = Profile {
                        dialect: *dialect,
                        on_loss,
                        receipts,
                        keeps_device_link,
                        shows: receipts.is_some(),
                        pace: Duration::from_secs(pace),
                        lies_idle: pace > 0 && receipts.is_none(),
                        time: Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0)),
                        ..Profile::default()
                    };
                    all.push((name, profile));
                }
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
    PreAuthorisation,
    Booking,
    Release,
}

const OPERATIONS: [Operation; 6] = [
    Operation::Payment,
    Operation::Refund,
    Operation::Reversal,
    Operation::PreAuthorisation,
    Operation::Booking,
    Operation::Release,
];

/// What is held, of which [`PRICE`] is booked.
const HELD: Amount = Amount::eur(50_00);

impl Operation {
    fn request_type(self) -> &'static str {
        match self {
            Self::Payment => "CardPayment",
            Self::Refund => "PaymentRefund",
            Self::Reversal => "PaymentReversal",
            Self::PreAuthorisation => "CardPreAuthorisation",
            Self::Booking => "CardFinancialAdvice",
            Self::Release => "PreAuthReversal",
        }
    }

    /// What has to stand before.
    async fn prepare(self, terminal: &mut Terminal) {
        let first = match self {
            Self::Payment | Self::Refund | Self::PreAuthorisation => return,
            Self::Reversal => pay(terminal, "first").await,
            Self::Booking | Self::Release => terminal.pre_authorise(Request::new("first", HELD), Host::none()).await,
        };
        assert!(is_charged(&first.expect("an outcome")));
    }

    async fn run(self, counter: &Counter, terminal: &mut Terminal) -> Result<Payment> {
        let request = Request::new("sale", self.amount());
        let first = || {
            let first = counter.entry("first").and_then(|e| e.outcome()).and_then(Payment::into_charge);
            first.and_then(|charge| charge.reference).expect("it is named")
        };
        match self {
            Self::Payment => terminal.pay(request, Host::none()).await,
            Self::Refund => terminal.refund(request, Host::none()).await,
            Self::Reversal => terminal.reverse(first(), request, Host::none()).await,
            Self::PreAuthorisation => terminal.pre_authorise(request, Host::none()).await,
            Self::Booking => terminal.book(first(), request, Host::none()).await,
            Self::Release => terminal.release(first(), request, Host::none()).await,
        }
    }

    /// What is asked for.
    fn amount(self) -> Amount {
        if self == Self::Release { HELD } else { PRICE }
    }

    /// Of the terminal's entries those that this operation made.
    fn stored(self, counter: &Counter) -> usize {
        counter.stored() - usize::from(matches!(self, Self::Reversal | Self::Booking | Self::Release))
    }

    fn sent(self, counter: &Counter) -> usize {
        counter.received(self.request_type())
    }
}

/// Whether this combination is tried.
fn tried(kind: &str, operation: Operation) -> bool {
    let all = std::env::var("TRESEN_SWEEP").is_ok_and(|sweep| sweep == "all");
    let plain = kind.contains("GoesOn") && kind.contains("pace=0");
    let german = kind.starts_with("german");
    let ends = matches!(operation, Operation::Payment | Operation::Reversal | Operation::Booking);
    all || plain && (german || ends) || german && operation == Operation::Payment
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
    assert!(
        sent <= 1 + usize::from(operation == Operation::Payment && counter.entry("first").is_some()),
        "{name}: {sent}"
    );
    let life = Life { name, entry: counter.entry("sale"), sent, stored, told, settled: &settled };
    if let Some(payment) = sums.judge(life, |_, _| may_be_unknown) {
        // The same key again is the same payment.
        let again = operation.run(counter, &mut terminal).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again, payment, "{name}");
        assert_eq!(operation.sent(counter), sent, "{name}: asked again");
    }
    // The terminal is not stuck: the next payment works.
    let before = counter.stored();
    let next = terminal.pay(Request::new("next", PRICE), Host::none()).await;
    assert!(is_charged(&next.unwrap_or_else(|e| panic!("{name}: {e}"))), "{name}");
    assert_eq!(counter.stored(), before + 1, "{name}");
}

#[tokio::test(start_paused = true)]
async fn one_break_at_every_message_of_both_channels() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles() {
        for operation in OPERATIONS.into_iter().filter(|operation| tried(&kind, *operation)) {
            for how in [Break::Before, Break::After, Break::Network, Break::Swallow] {
                for message in 0.. {
                    let name = format!("{kind} {operation:?} {how:?} at {message}");
                    assert!(message < 60, "{name}: the sweep does not end");
                    let counter = Counter::new(profile.clone());
                    let mut terminal = counter.open().await.expect("logs in");
                    operation.prepare(&mut terminal).await;
                    counter.net.breaks(message, how);
                    let told = operation.run(&counter, &mut terminal).await;
                    if let Err(error) = &told {
                        assert_eq!(error.effect(), Effect::None, "{name}: {error}");
                    }
                    drop(terminal);
                    if !counter.net.mended() {
                        assert!(message > 3, "{name}: the sweep reached the end");
                        break;
                    }
                    settle_and_check(&counter, operation, &name, told.as_ref().ok(), false, &mut sums).await;
                    cases += 1;
                }
            }
        }
    }
    println!("one break: {cases} cases; charged, not charged, unknown, never begun: {:?}", sums.0);
    assert!(cases > 1000 && sums.0[0] > 300 && sums.0[1] > 50, "{cases} {sums:?}");
}

/// Terminals whose `RepeatLastMessage` is of no use: what was lost stays unknown, and never is wrong.
#[tokio::test(start_paused = true)]
async fn one_break_at_terminals_that_tell_nothing() {
    let (mut cases, mut sums) = (0, Sums::default());
    for repeat in [OnRepeat::Verbatim, OnRepeat::NoHeader, OnRepeat::NotSupported, OnRepeat::Silent] {
        for on_loss in [OnLoss::Cancels, OnLoss::GoesOn] {
            for how in [Break::Before, Break::After, Break::Network] {
                for message in 0..14 {
                    let name = format!("{repeat:?} {on_loss:?} {how:?} at {message}");
                    let counter = Counter::new(Profile { repeat, on_loss, ..Profile::default() });
                    let mut terminal = counter.open().await.expect("logs in");
                    counter.net.breaks(message, how);
                    let told = pay(&mut terminal, "sale").await;
                    drop(terminal);
                    counter.net.mended();
                    settle_and_check(&counter, Operation::Payment, &name, told.as_ref().ok(), true, &mut sums).await;
                    cases += 1;
                }
            }
        }
    }
    println!("terminals that tell nothing: {cases} cases: {:?}", sums.0);
    assert!(sums.0[2] > 20, "{sums:?}");
}

type Make = fn(usize) -> Misbehaviour;

/// What a terminal can do wrong at its n-th message, and whether that may leave a payment unknown.
const WAYS: [(Make, bool); 14] = [
    (|message| Misbehaviour::HangUp { side: Side::ToTill, message, after: false }, false),
    (|message| Misbehaviour::HangUp { side: Side::ToTill, message, after: true }, false),
    (|message| Misbehaviour::HangUp { side: Side::FromTill, message, after: false }, false),
    (|message| Misbehaviour::HangUp { side: Side::FromTill, message, after: true }, false),
    (|message| Misbehaviour::Restart { side: Side::ToTill, message }, false),
    (|message| Misbehaviour::Restart { side: Side::FromTill, message }, false),
    (|message| Misbehaviour::Drop { message }, false),
    (|message| Misbehaviour::Garbage { message }, false),
    (|message| Misbehaviour::WrongLength { message }, false),
    (|message| Misbehaviour::Late { message, by: Duration::from_secs(400) }, false),
    (|message| Misbehaviour::Late { message, by: Duration::from_secs(4) }, false),
    (|message| Misbehaviour::Twice { message }, false),
    (|message| Misbehaviour::Behind { message, others: 1 }, false),
    (|message| Misbehaviour::Split { message }, false),
];

#[tokio::test(start_paused = true)]
async fn the_terminal_errs_at_every_message() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles().into_iter().filter(|(name, _)| !name.contains("pace=30") || name.contains("None"))
    {
        for operation in OPERATIONS.into_iter().filter(|operation| tried(&kind, *operation)) {
            for (way, may_be_unknown) in WAYS {
                for message in 0..8 {
                    let name = format!("{kind} {operation:?} {:?}", way(message));
                    let counter = Counter::new(profile.clone());
                    let mut terminal = counter.open().await.expect("logs in");
                    operation.prepare(&mut terminal).await;
                    counter.sim.with(|s| s.misbehave(way(message)));
                    let told = operation.run(&counter, &mut terminal).await;
                    drop(terminal);
                    // A fault that did not happen yet must not happen in the recovery.
                    counter.sim.with(|s| s.behave());
                    settle_and_check(&counter, operation, &name, told.as_ref().ok(), may_be_unknown, &mut sums).await;
                    cases += 1;
                }
            }
        }
    }
    println!("faults of the terminal: {cases} cases: {:?}", sums.0);
    assert!(cases > 2000 && sums.0[0] > 1000, "{cases} {sums:?}");
}

/// A second break, in the recovery. What two faults hide may stay unknown.
#[tokio::test(start_paused = true)]
async fn a_second_break_during_recovery() {
    let (mut cases, mut sums) = (0, Sums::default());
    for (kind, profile) in profiles().into_iter().filter(|(name, _)| name.contains("Before")) {
        for first in 2..9 {
            for second in 0..6 {
                for how in [Break::Before, Break::After] {
                    let name = format!("{kind}: {how:?} at {first}, then at {second}");
                    let counter = Counter::new(profile.clone());
                    let mut terminal = counter.open().await.expect("logs in");
                    counter.net.breaks(first, how);
                    let told = pay(&mut terminal, "sale").await;
                    drop(terminal);
                    counter.net.mended();
                    counter.net.breaks(second, how);
                    if let Ok(mut terminal) = counter.open().await {
                        terminal.recover().await.ok();
                    }
                    counter.net.mended();
                    settle_and_check(&counter, Operation::Payment, &name, told.as_ref().ok(), true, &mut sums).await;
                    cases += 1;
                }
            }
        }
    }
    println!("two breaks: {cases} cases: {:?}", sums.0);
    assert!(sums.0[2] * 10 < cases, "{cases} {sums:?}");
}

/// Two faults of the terminal, in the operation or in the recovery. What they hide together may stay unknown.
#[tokio::test(start_paused = true)]
async fn pairs_of_faults() {
    let kinds = profiles();
    let (mut cases, mut sums) = (0, Sums::default());
    for Pair { number, life, faults } in pairs(kinds.len() * OPERATIONS.len(), WAYS.len(), 8, 600) {
        let ((kind, profile), operation) = (&kinds[life / OPERATIONS.len()], OPERATIONS[life % OPERATIONS.len()]);
        let faults = faults.map(|(way, message)| WAYS[way].0(message));
        let name = format!("{kind} {operation:?}: pair {number} {faults:?}");
        let counter = Counter::new(profile.clone());
        let mut terminal = counter.open().await.expect("logs in");
        operation.prepare(&mut terminal).await;
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

/// The storage fails at every write: nothing is sent without an intent, and what was charged is found again.
#[tokio::test(start_paused = true)]
async fn the_storage_fails_at_every_write() {
    let mut sums = Sums::default();
    for (kind, profile) in profiles().into_iter().filter(|(name, _)| name.contains("pace=0")) {
        for write in 0..4 {
            let name = format!("{kind}: write {write} fails");
            let counter = Counter::new(profile.clone());
            let journal = FaultyJournal::over(counter.journal.clone()).failing(write..write + 1).slow();
            let mut terminal = counter.open_with(std::sync::Arc::new(journal)).await.expect("logs in");
            let told = pay(&mut terminal, "sale").await;
            drop(terminal);
            settle_and_check(&counter, Operation::Payment, &name, told.as_ref().ok(), false, &mut sums).await;
        }
    }
    assert!(sums.0[0] > 20 && sums.0[3] > 10, "{sums:?}");
}
