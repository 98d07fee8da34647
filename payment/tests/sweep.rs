//! Something goes wrong at every message of a payment, for every kind of terminal: the link is cut in
//! either direction, the till dies, the terminal errs, messages come late, twice or crossed, the cashier
//! aborts, the storage fails. Then a new driver recovers at the same terminal. Journal and ledger must
//! agree, or the journal says unknown and why; one authorisation must have been sent at most, one payment
//! charged at most, and the next customer can pay.
//!
//! Single faults are tried exhaustively. Pairs of faults are sampled by a seed; all of them run with
//! `TRESEN_SWEEP=all cargo test -p tresen-payment --test sweep pairs -- --nocapture`.

mod common;
#[path = "common/pairs.rs"]
mod pairs;

use std::time::Duration;

use common::{APPROVAL, Counter, PRICE, is_charged, next_customer, next_customer_pays, pay};
use pairs::{Pair, pairs};
use tresen_hal::link::fault::Plan;
use tresen_payment::testing::FaultyJournal;
use tresen_payment::zvt;
use tresen_payment::zvt::serial::Timing;
use tresen_payment::zvt::sim::{Commit, Misbehaviour, OnAbort, Profile, Repeats, Side};
use tresen_payment::zvt::{Config, Framed, Timeouts};
use tresen_payment::{Host, Payment, Request, Terminal};

/// Every kind of terminal and of receipt, over TCP, and some over a serial line.
fn counters() -> Vec<(String, Counter)> {
    let serial = Framed::Serial(Timing::default());
    let mut all = counters_over(Framed::ByLength, "");
    all.extend(counters_over(serial, "serial ").into_iter().filter(|(name, _)| name.contains("Stored blocks")));
    all
}

fn counters_over(framing: Framed, link: &str) -> Vec<(String, Counter)> {
    let mut all = Vec::new();
    for commit in [Commit::Reverses, Commit::Keeps] {
        for finishes_alone in [false, true] {
            for repeats in [Repeats::Stored, Repeats::Any] {
                for (receipts, config, text_blocks) in
                    [("blocks", 0xbe, true), ("lines", 0xbe, false), ("none", 0x08, false)]
                {
                    for pace in [0, 400] {
                        let profile = Profile {
                            commit,
                            finishes_alone,
                            repeats,
                            framing,
                            pace: std::time::Duration::from_millis(pace),
                            time: Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0)),
                            ..Profile::default()
                        };
                        let mut counter = Counter::new(profile);
                        counter.options.config = Config(config);
                        counter.options.text_blocks = text_blocks;
                        counter.options.timeouts = Timeouts::default();
                        counter.options.exclusive = true;
                        let name =
                            format!("{link}{commit:?} alone={finishes_alone} {repeats:?} {receipts} pace={pace}");
                        all.push((name, counter));
                    }
                }
            }
        }
    }
    all
}

fn plans(n: usize) -> [Plan; 3] {
    [
        Plan { cut_before_send: Some(n), ..Plan::default() },
        Plan { cut_after_send: Some(n), ..Plan::default() },
        Plan { cut_before_recv: Some(n), ..Plan::default() },
    ]
}

/// Pays over a link that breaks. Returns what the till was told, if it was told anything, and whether
/// the link held.
async fn pay_over(counter: &mut Counter, plan: Plan) -> (Option<Payment>, bool) {
    let Ok(mut terminal) = counter.open_broken(plan).await else { return (None, false) };
    terminal.recover().await.expect("nothing is open, nothing is asked");
    let payment = pay(&mut terminal, "sale").await.ok();
    let held = payment.as_ref().is_some_and(is_charged) && terminal.status().await.is_ok();
    drop(terminal);
    (payment, held)
}

/// As the owner of a driver does: what a second fault has left on the line may be in the way once.
async fn opened(counter: &mut Counter, name: &str) -> zvt::Terminal {
    match counter.open().await {
        Err(error) if name.contains("pair") && name.contains("serial") => {
            counter.open().await.unwrap_or_else(|again| panic!("{name}: {error}, then {again}"))
        }
        opened => opened.unwrap_or_else(|error| panic!("{name}: {error}")),
    }
}

/// Recovers over a good link, and checks that everything fits.
async fn settle_and_check(counter: &mut Counter, name: &str, told: Option<&Payment>) -> bool {
    let mut terminal = opened(counter, name).await;
    let settled = terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(settled.iter().all(|s| !s.evidence.is_empty()), "{name}");
    assert_eq!(counter.undecided(), 0, "{name}: the terminal has decided");
    let sent = counter.received(0x0601);
    assert!(sent <= 1, "{name}: {sent} authorisations");
    let stored = counter.stored();
    let Some(entry) = counter.entry("sale") else {
        assert_eq!((sent, stored), (0, 0), "{name}: nothing was meant, so nothing was sent");
        return false;
    };
    let payment = entry.payment.clone().unwrap_or_else(|| panic!("{name}: no outcome"));
    match &payment {
        Payment::Unknown(unknown) => {
            // Only where the terminal could not tell before the payment either, or the caller says so.
            let excused = entry.intent.last_before.is_none() || may_be_unknown(name);
            assert!(excused && unknown.asked && !unknown.why.is_empty(), "{name}: {payment:?} {settled:?}");
        }
        payment => assert_eq!(usize::from(is_charged(payment)), stored, "{name}: {payment:?} {settled:?}"),
    }
    if let Payment::Charged(charge) = &payment {
        assert_eq!((charge.amount, charge.receipt_number.as_deref()), (PRICE, Some("0417")), "{name}");
    }
    // What was told at once, other than Unknown, is still true.
    if let Some(told @ (Payment::Charged(_) | Payment::NotCharged(_))) = told {
        assert_eq!(is_charged(told), is_charged(&payment), "{name}");
    }
    // The same key again is the same payment.
    let again = pay(&mut terminal, "sale").await.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(again, payment, "{name}");
    assert_eq!(counter.received(0x0601), sent, "{name}: asked again");
    // The terminal is not stuck: the next payment works.
    if name.contains("pair") {
        next_customers_pay(counter, terminal, name).await;
    } else {
        next_customer_pays(counter, terminal, name).await;
        assert_eq!(counter.stored(), stored + 1, "{name}");
    }
    true
}

/// Of two faults the second may strike the next payment, by an answer that comes late. Its outcome is true then, too, and
/// the one after it is charged.
async fn next_customers_pay(counter: &mut Counter, terminal: zvt::Terminal, name: &str) {
    let stored = counter.stored();
    match next_customer(counter, terminal, name, "next").await {
        Payment::Charged(_) => {
            assert_eq!(counter.stored(), stored + 1, "{name}");
            return;
        }
        _ if !["Late", "Behind"].iter().any(|late| name.contains(late)) => panic!("{name}: nothing was late"),
        Payment::NotCharged(not) => assert_eq!(counter.stored(), stored, "{name}: {not:?}"),
        next => assert!(matches!(&next, Payment::Unknown(unknown) if !unknown.why.is_empty()), "{name}: {next:?}"),
    }
    let mut terminal = opened(counter, name).await;
    terminal.recover().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    let stored = counter.stored();
    let later = next_customer(counter, terminal, name, "later").await;
    assert!(is_charged(&later), "{name}: {later:?}");
    assert_eq!(counter.stored(), stored + 1, "{name}");
}

/// How the sale ended: charged, not charged, unknown, never begun.
fn tally(counter: &Counter, sums: &mut [usize; 4]) {
    let at = match counter.entry("sale").and_then(|e| e.payment) {
        Some(Payment::Charged(_)) => 0,
        Some(Payment::NotCharged(_)) => 1,
        Some(_) => 2,
        None => 3,
    };
    sums[at] += 1;
}

/// Of these an approval that was not heard is unknown, and what more than one fault hides.
fn may_be_unknown(name: &str) -> bool {
    name.contains("shared") || name.contains("pair")
}

#[tokio::test(start_paused = true)]
async fn one_cut_anywhere() {
    let (mut cuts, mut charged, mut not) = (0, 0, 0);
    for kind in 0..counters().len() {
        for direction in 0..3 {
            let mut n = 0;
            loop {
                let (name, mut counter) = counters().swap_remove(kind);
                let plan = plans(n)[direction].clone();
                let name = format!("{name}: {plan:?}");
                assert!(n < 200, "{name}: the sweep does not end");
                let (told, held) = pay_over(&mut counter, plan).await;
                if settle_and_check(&mut counter, &name, told.as_ref()).await {
                    let entry = counter.entry("sale").expect("it was meant");
                    *(if is_charged(&entry.payment.expect("settled")) { &mut charged } else { &mut not }) += 1;
                }
                if held {
                    assert!(n > 8, "{name}: the sweep reached the end");
                    break;
                }
                cuts += 1;
                n += 1;
            }
        }
    }
    assert!(cuts > 1000 && charged > 100 && not > 100, "{cuts} cuts, {charged} charged, {not} not");
}

#[tokio::test(start_paused = true)]
async fn a_second_cut_during_recovery() {
    let mut double = 0;
    for kind in 0..counters().len() {
        let (name, _) = counters().swap_remove(kind);
        if name.contains("pace=400") || name.contains("lines") {
            continue;
        }
        for first in (0..16).flat_map(plans) {
            for second in (0..8).flat_map(plans) {
                let (name, mut counter) = counters().swap_remove(kind);
                let name = format!("{name}: {first:?} {second:?}");
                let (told, held) = pay_over(&mut counter, first.clone()).await;
                if held {
                    break;
                }
                if let Ok(mut terminal) = counter.open_broken(second).await {
                    double += usize::from(terminal.recover().await.is_err());
                }
                settle_and_check(&mut counter, &name, told.as_ref()).await;
            }
        }
    }
    assert!(double > 100, "{double} recoveries were cut");
}

/// The till's process dies at any of its steps: what it had not written is gone.
#[tokio::test(start_paused = true)]
async fn the_till_dies_anywhere() {
    let (mut charged, mut not) = (0, 0);
    for kind in 0..counters().len() {
        let mut steps = 0;
        loop {
            let (name, mut counter) = counters().swap_remove(kind);
            let name = format!("{name}: dies at step {steps}");
            let mut terminal = counter.open().await.expect("registers");
            let lived = {
                let mut payment = std::pin::pin!(pay(&mut terminal, "sale"));
                let mut left = steps;
                std::future::poll_fn(|cx| {
                    if left == 0 {
                        return std::task::Poll::Ready(false);
                    }
                    left -= 1;
                    payment.as_mut().poll(cx).map(|_| true)
                })
                .await
            };
            drop(terminal);
            if settle_and_check(&mut counter, &name, None).await {
                let entry = counter.entry("sale").expect("it was meant");
                *(if is_charged(&entry.payment.expect("settled")) { &mut charged } else { &mut not }) += 1;
            }
            if lived {
                assert!(steps > 10, "{name}: the sweep reached the end");
                break;
            }
            steps += 1;
        }
    }
    assert!(charged > 100 && not > 50, "{charged} charged, {not} not");
}

#[tokio::test(start_paused = true)]
async fn the_terminal_hangs_up_mutes_or_errs_at_every_message() {
    let (mut unknown, mut sums) = (0, [0; 4]);
    for kind in 0..counters().len() {
        for way in WAYS {
            for n in 0..14 {
                let (name, mut counter) = counters().swap_remove(kind);
                let name = format!("{name}: {:?}", way(n));
                let told = match counter.open().await {
                    Ok(mut terminal) => {
                        // Counted from here: the question for the last receipt, then the payment.
                        counter.sim.with(|s| s.misbehave(way(n)));
                        pay(&mut terminal, "sale").await.ok()
                    }
                    Err(error) => panic!("{name}: {error}"),
                };
                unknown += usize::from(matches!(told, Some(Payment::Unknown(_))));
                // A fault that did not happen yet must not happen in the recovery.
                let mut settled = false;
                for _ in 0..3 {
                    if let Ok(mut terminal) = counter.open().await {
                        settled = terminal.recover().await.is_ok();
                        drop(terminal);
                    }
                    if settled {
                        break;
                    }
                }
                assert!(settled, "{name}: never settled");
                settle_unless_fault_is_left(&mut counter, &name, told.as_ref()).await;
                tally(&counter, &mut sums);
            }
        }
    }
    let [charged, not, open, none] = sums;
    println!("faults of the terminal: {charged} charged, {not} not, {open} unknown, {none} never begun");
    assert!(unknown > 500, "{unknown} outcomes were unknown at first");
}

async fn settle_unless_fault_is_left(counter: &mut Counter, name: &str, told: Option<&Payment>) {
    counter.sim.with(|s| s.behave());
    settle_and_check(counter, name, told).await;
}

type Make = fn(usize) -> Misbehaviour;

/// What a terminal can do wrong at its n-th message.
const WAYS: [Make; 13] = [
    |message| Misbehaviour::HangUp { side: Side::ToTill, message, after: false },
    |message| Misbehaviour::HangUp { side: Side::ToTill, message, after: true },
    |message| Misbehaviour::HangUp { side: Side::FromTill, message, after: false },
    |message| Misbehaviour::HangUp { side: Side::FromTill, message, after: true },
    |message| Misbehaviour::NoAnswer { message },
    |message| Misbehaviour::Garbage { message },
    |message| Misbehaviour::WrongLength { message },
    |message| Misbehaviour::Late { message, by: Duration::from_secs(60) },
    |message| Misbehaviour::Late { message, by: Duration::from_secs(4) },
    |message| Misbehaviour::Twice { message },
    |message| Misbehaviour::Behind { message, others: 1 },
    |message| Misbehaviour::Behind { message, others: 2 },
    |message| Misbehaviour::Behind { message, others: 4 },
];

/// The cashier aborts at every step of a payment; the terminal ends, goes on or refuses, and its answer
/// comes at once or behind later messages. Then another amount is paid over the same connection.
#[tokio::test(start_paused = true)]
async fn the_cashier_aborts_at_every_step() {
    let (mut cases, mut ended) = (0, [0; 4]);
    for kind in (0..counters().len()).filter(|kind| kind % 2 == 1) {
        for (on_abort, behind) in [
            (OnAbort::Ends, None),
            (OnAbort::GoesOn, None),
            (OnAbort::Refuses, None),
            (OnAbort::Refuses, Some(1)),
            (OnAbort::Refuses, Some(3)),
            (OnAbort::Refuses, Some(9)),
        ] {
            for step in 0.. {
                let (name, mut counter) = counters().swap_remove(kind);
                let name = format!("{name}: {on_abort:?} {behind:?} at step {step}");
                counter.sim.with(|s| {
                    s.profile_mut().on_abort = on_abort;
                    behind.into_iter().for_each(|others| s.misbehave(Misbehaviour::AbortAnswerBehind { others }));
                });
                let mut terminal = counter.open().await.expect("registers");
                let (abort, wanted) = tokio::sync::watch::channel(false);
                let watch = Host::with(tokio::sync::mpsc::channel(Host::KEPT).0, wanted);
                let mut left: usize = step;
                let told = {
                    let mut payment = std::pin::pin!(terminal.pay(Request::new("sale", PRICE), watch));
                    std::future::poll_fn(|cx| {
                        // Once: each time it is sent is one more press.
                        if left == 0 && !*abort.borrow() {
                            abort.send_replace(true);
                        }
                        left = left.saturating_sub(1);
                        payment.as_mut().poll(cx)
                    })
                    .await
                };
                let told = told.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(is_charged(&told), counter.stored() == 1, "{name}: {told:?}");
                let stored = counter.stored();
                let other = tresen_hal::Amount::eur(25_00);
                match terminal.pay(Request::new("other", other), Host::none()).await {
                    Ok(Payment::Charged(charge)) => {
                        assert_eq!((charge.amount, counter.stored()), (other, stored + 1), "{name}");
                    }
                    Ok(Payment::NotCharged(not)) => panic!("{name}: {not:?}"),
                    Ok(_) => {}
                    Err(error) => assert_eq!(counter.stored(), stored, "{name}: {error}"),
                }
                tally(&counter, &mut ended);
                cases += 1;
                if left > 0 {
                    break;
                }
            }
        }
    }
    let [charged, not, unknown, _] = ended;
    println!("aborts: {cases} cases, {charged} charged, {not} not, {unknown} unknown");
    assert!(charged > 100 && not > 100, "{ended:?}");
}

/// The storage fails at each write of the journal, once or from then on.
#[tokio::test(start_paused = true)]
async fn the_storage_fails_at_every_write() {
    let (mut cases, mut sums) = (0, [0; 4]);
    for kind in 0..counters().len() {
        for shared in [false, true] {
            for lasting in [false, true] {
                for n in 0.. {
                    let (name, mut counter) = counters().swap_remove(kind);
                    let name =
                        format!("{name}: write {n} fails, lasting={lasting}{}", if shared { " shared" } else { "" });
                    counter.options.exclusive = !shared;
                    let to = if lasting { usize::MAX } else { n + 1 };
                    let journal = std::sync::Arc::new(FaultyJournal::over(counter.journal.clone()).failing(n..to));
                    let mut terminal = counter.open_with(journal.clone()).await.expect("registers");
                    let told = pay(&mut terminal, "sale").await.ok();
                    drop(terminal);
                    settle_and_check(&mut counter, &name, told.as_ref()).await;
                    tally(&counter, &mut sums);
                    cases += 1;
                    if journal.writes().len() <= n {
                        break;
                    }
                }
            }
        }
    }
    println!("failing storage: {cases} cases; charged, not, unknown, never begun: {sums:?}");
    assert!(cases > 300, "{cases}");
}

/// Two faults of the terminal, in the payment or in the recovery, and terminals that others use as well.
#[tokio::test(start_paused = true)]
async fn pairs_of_faults() {
    let kinds = counters().len();
    let (mut cases, mut sums) = (0, [0; 4]);
    for Pair { number, life, faults } in pairs(2 * kinds, WAYS.len(), 14, 600) {
        let (name, mut counter) = counters().swap_remove(life / 2);
        let faults = faults.map(|(way, message)| WAYS[way](message));
        let shared = life % 2 == 1;
        let name = format!("{name}: pair {number} {faults:?}{}", if shared { " shared" } else { "" });
        counter.options.exclusive = !shared;
        let mut terminal = counter.open().await.expect("registers");
        counter.sim.with(|s| faults.into_iter().for_each(|fault| s.misbehave(fault)));
        let told = pay(&mut terminal, "sale").await.ok();
        drop(terminal);
        // A fault that is left meets the recovery.
        if let Ok(mut terminal) = counter.open().await {
            terminal.recover().await.ok();
        }
        settle_unless_fault_is_left(&mut counter, &name, told.as_ref()).await;
        tally(&counter, &mut sums);
        cases += 1;
    }
    println!("pairs of faults: {cases}; charged, not, unknown, never begun: {sums:?}");
}

/// The approval stays away, the terminal takes it back, and it comes as if it were the answer to the question what is
/// stored.
#[tokio::test(start_paused = true)]
async fn an_approval_that_was_taken_back_is_not_what_is_stored() {
    let name = "serial Reverses alone=false Stored blocks pace=0";
    let (_, mut counter) = counters().into_iter().find(|(known, _)| known == name).expect("is among them");
    let mut terminal = counter.open().await.expect("registers");
    for fault in
        [Misbehaviour::Behind { message: 11, others: 1 }, Misbehaviour::Behind { message: APPROVAL, others: 4 }]
    {
        counter.sim.with(|s| s.misbehave(fault));
    }
    let told = pay(&mut terminal, "sale").await.ok();
    drop(terminal);
    if let Ok(mut terminal) = counter.open().await {
        terminal.recover().await.ok();
    }
    settle_unless_fault_is_left(&mut counter, "a pair, serial", told.as_ref()).await;
    let payment = counter.entry("sale").and_then(|entry| entry.payment);
    assert!(matches!(payment, Some(Payment::NotCharged(_))), "{payment:?}");
}
