//! Terminals that are slow, busy, or hang where no customer is waited for.

mod common;

use std::time::Duration;

use common::{ACCEPTED, Counter, PRICE, cut_before, is_charged, next_customer_pays, pay, reason, why};
use tokio::sync::{mpsc, watch};
use tresen_hal::link::fault::{Damage, Plan};
use tresen_hal::{Effect, Kind};
use tresen_payment::zvt::sim::{Misbehaviour, Profile};
use tresen_payment::{Host, Reason, Request, Terminal};

#[tokio::test(start_paused = true)]
async fn nothing_that_moves_no_money_waits_for_three_minutes() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let began = tokio::time::Instant::now();
    counter.sim.with(|s| s.misbehave(Misbehaviour::HangAfterAcknowledgement));
    let hung = pay(&mut terminal, "sale").await.expect_err("it hangs before anything moves");
    assert_eq!(hung.effect(), Effect::None);
    assert!(began.elapsed().as_secs() <= 30, "{:?}", began.elapsed());
    assert_eq!((counter.received(0x0601), counter.entry("sale")), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_is_busy_for_a_moment_is_waited_for() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::BusyFor(Duration::from_secs(3))));
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    assert_eq!(counter.received(0x0601), 1);
    // And in recovery.
    drop(terminal);
    lose_as(&mut counter, "lost").await;
    counter.sim.with(|s| s.misbehave(Misbehaviour::BusyFor(Duration::from_secs(3))));
    let mut terminal = counter.open().await.expect("registers");
    let settled = terminal.recover().await.expect("asks");
    assert_eq!(reason(&settled[0].payment), Reason::NotFound);
    // Whoever aborts while it is busy has paid nothing, and nothing was sent.
    counter.sim.with(|s| s.misbehave(Misbehaviour::BusyFor(Duration::from_secs(60))));
    let (_abort, wanted) = watch::channel(true);
    let watch = Host::with(mpsc::channel(Host::KEPT).0, wanted);
    let error = terminal.pay(Request::new("left", PRICE), watch).await.expect_err("not begun");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None));
    assert_eq!(counter.entry("left"), None);
}

async fn lose_as(counter: &mut Counter, id: &str) {
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(cut_before(ACCEPTED)));
    why(&pay(&mut terminal, id).await.expect("an outcome"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_terminal_can_be_used_with_a_longer_t3() {
    let mut counter = Counter::new(Profile { acknowledges_after: Duration::from_secs(6), ..Profile::default() });
    assert_eq!(counter.open().await.expect_err("too slow").kind(), Kind::Timeout);
    counter.options.timeouts.t3 = Duration::from_secs(8);
    let mut terminal = counter.open().await.expect("registers");
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
}

/// The session's deadlines run while it waits for an answer; a link that takes no bytes has to end, too, or nobody can
/// pay any more.
#[tokio::test(start_paused = true)]
async fn a_link_that_takes_nothing_any_more_is_given_up_at_whichever_message() {
    for nth in 0..12 {
        let mut counter = Counter::new(Profile::default());
        counter.options.grace = Duration::ZERO;
        let plan = Plan::default().sent(nth, Damage::Stall);
        let within = Duration::from_secs(30);
        let opened = tokio::time::timeout(within, counter.open_broken(plan)).await.expect("opening ends");
        if let Ok(mut terminal) = opened {
            let paid = tokio::time::timeout(within, pay(&mut terminal, "sale")).await.expect("the payment ends");
            match &paid {
                Ok(paid) => assert!(!paid.is_decided(), "{nth}: {paid:?}"),
                Err(error) => assert_eq!(error.effect(), Effect::None, "{nth}: {error}"),
            }
        }
        let mut terminal = counter.open().await.expect("registers again");
        terminal.recover().await.expect("asks");
        next_customer_pays(&mut counter, terminal, &format!("stalled at {nth}")).await;
    }
}
