//! The link is cut at every message of a payment, in both directions, for every kind of terminal. Then
//! a new driver recovers at the same terminal. Journal and ledger must agree, one authorisation must
//! have been sent at most, and one payment charged at most.

mod common;

use common::{Counter, PRICE, is_charged, pay};
use tresen_hal::link::fault::Plan;
use tresen_payment::zvt::sim::{Commit, Misbehaviour, Profile, Repeats, Side};
use tresen_payment::zvt::{Config, Timeouts};
use tresen_payment::{Payment, Request, Terminal, Watch};

/// Every kind of terminal and of receipt.
fn counters() -> Vec<(String, Counter)> {
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
                            pace: std::time::Duration::from_millis(pace),
                            time: Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0)),
                            ..Profile::default()
                        };
                        let mut counter = Counter::new(profile);
                        counter.settings.config = Config(config);
                        counter.settings.text_blocks = text_blocks;
                        counter.settings.timeouts = Timeouts::default();
                        let name = format!("{commit:?} alone={finishes_alone} {repeats:?} {receipts} pace={pace}");
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

/// Recovers over a good link, and checks that everything fits.
async fn settle_and_check(counter: &mut Counter, name: &str, told: Option<&Payment>) -> bool {
    let mut terminal = counter.open().await.unwrap_or_else(|e| panic!("{name}: {e}"));
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
    assert!(!entry.is_open(), "{name}: {payment:?} {settled:?}");
    assert_eq!(usize::from(is_charged(&payment)), stored, "{name}: {payment:?} {settled:?}");
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
    let next = terminal.pay(Request::new("next", PRICE), Watch::none()).await;
    assert!(is_charged(&next.unwrap_or_else(|e| panic!("{name}: {e}"))), "{name}");
    assert_eq!(counter.stored(), stored + 1, "{name}");
    terminal_gone(terminal).await;
    true
}

async fn terminal_gone(terminal: impl Terminal) {
    drop(terminal);
    tokio::task::yield_now().await;
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
                assert!(n < 60, "{name}: the sweep does not end");
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
    type Make = fn(usize) -> Misbehaviour;
    let ways: [Make; 8] = [
        |message| Misbehaviour::HangUp { side: Side::ToTill, message, after: false },
        |message| Misbehaviour::HangUp { side: Side::ToTill, message, after: true },
        |message| Misbehaviour::HangUp { side: Side::FromTill, message, after: false },
        |message| Misbehaviour::HangUp { side: Side::FromTill, message, after: true },
        |message| Misbehaviour::NoAnswer { message },
        |message| Misbehaviour::Garbage { message },
        |message| Misbehaviour::WrongLength { message },
        |message| Misbehaviour::Late { message, by: std::time::Duration::from_secs(60) },
    ];
    let mut unknown = 0;
    for kind in 0..counters().len() {
        for way in ways {
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
            }
        }
    }
    assert!(unknown > 500, "{unknown} outcomes were unknown at first");
}

async fn settle_unless_fault_is_left(counter: &mut Counter, name: &str, told: Option<&Payment>) {
    counter.sim.with(|s| s.behave());
    settle_and_check(counter, name, told).await;
}
