//! The cashier wants to abort, and the terminal obeys, refuses, crosses it, or says nothing.

mod common;

use std::time::Duration;

use common::{APPROVAL, Counter, PRICE, is_charged, pay, why};
use tokio::sync::{mpsc, watch};
use tresen_hal::{Amount, Effect};
use tresen_payment::zvt::sim::{Commit, Misbehaviour, OnAbort, Profile};
use tresen_payment::{Host, Payment, Request, Terminal};

#[tokio::test(start_paused = true)]
async fn an_abort_that_belongs_to_nothing_does_not_make_a_payment_not_charged() {
    for commit in [Commit::Keeps, Commit::Reverses] {
        let mut counter = Counter::new(Profile { commit, pace: Duration::from_millis(300), ..Profile::default() });
        let mut terminal = counter.open().await.expect("registers");
        counter.sim.with(|s| s.misbehave(Misbehaviour::StrayAbort));
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        let stored = counter.stored();
        match &payment {
            Payment::Charged(_) => assert_eq!(stored, 1),
            Payment::NotCharged(_) => assert_eq!(stored, 0),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_an_abort_is_never_taken_for_the_next_commands() {
    let mut cases = 0;
    for tenth in 0..30 {
        for others in 0..8 {
            for decline in [false, true] {
                let profile =
                    Profile { on_abort: OnAbort::Refuses, pace: Duration::from_millis(300), ..Profile::default() };
                let mut counter = Counter::new(profile);
                let mut terminal = counter.open().await.expect("registers");
                counter.sim.with(|s| {
                    s.misbehave(Misbehaviour::AbortAnswerBehind { others });
                    if decline {
                        s.misbehave(Misbehaviour::Decline(0x6c));
                    }
                });
                let (abort, wanted) = watch::channel(false);
                let watch = Host::with(mpsc::channel(Host::KEPT).0, wanted);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(tenth * 100)).await;
                    abort.send(true).ok();
                    std::future::pending::<()>().await;
                });
                let first = terminal.pay(Request::new("first", PRICE), watch).await.expect("an outcome");
                assert_eq!(is_charged(&first), counter.stored() == 1, "{tenth} {others} {decline}: {first:?}");
                let stored = counter.stored();
                let second = Request::new("second", Amount::eur(25_00));
                match terminal.pay(second, Host::none()).await {
                    Ok(Payment::Charged(charge)) => {
                        assert_eq!(charge.amount, Amount::eur(25_00));
                        assert_eq!(counter.stored(), stored + 1);
                    }
                    Ok(Payment::NotCharged(not)) => {
                        panic!("{tenth} {others} {decline}: nothing speaks against this payment, but {not:?}")
                    }
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.effect(), Effect::None, "{error}");
                        assert_eq!(counter.stored(), stored);
                    }
                }
                cases += 1;
            }
        }
    }
    println!("{cases} late answers to aborts");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_three_times_to_abort_leaves_a_silent_terminal_soon() {
    for (presses, seconds) in [(2, 150..200), (3, 0..15)] {
        let profile = Profile { pace: Duration::from_secs(3600), on_abort: OnAbort::GoesOn, ..Profile::default() };
        let mut counter = Counter::new(Profile { pace: Duration::ZERO, ..profile });
        let mut terminal = counter.open().await.expect("registers");
        counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
        counter.sim.with(|s| s.misbehave(Misbehaviour::NoAnswer { message: APPROVAL }));
        let (abort, wanted) = watch::channel(false);
        let watch = Host::with(mpsc::channel(Host::KEPT).0, wanted);
        tokio::spawn(async move {
            for _ in 0..presses {
                tokio::time::sleep(Duration::from_secs(1)).await;
                abort.send_replace(true);
            }
            std::future::pending::<()>().await;
        });
        let began = tokio::time::Instant::now();
        let payment = terminal.pay(Request::new("sale", PRICE), watch).await.expect("an outcome");
        why(&payment);
        assert!(seconds.contains(&began.elapsed().as_secs()), "{presses}: {:?}", began.elapsed());
    }
}

/// It says so much that something has always arrived.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_never_pauses_hears_the_abort_all_the_same() {
    use tresen_hal::Link;
    // 04 FF, "please wait".
    const STATUS: [u8; 4] = [0x04, 0xff, 0x01, 0x0e];
    let (near, far) = tresen_hal::link::memory::pair();
    let counter = Counter::new(Profile::default());
    let mut options = counter.options.clone();
    options.ask_before = false;
    far.send(&[0x80, 0, 0, 0x06, 0x0f, 0]).await.expect("open");
    let clock = std::sync::Arc::new(counter.clock.clone());
    let mut terminal =
        tresen_payment::zvt::open(Box::new(near), options, counter.journal.clone(), clock).await.expect("registers");
    far.send(&[0x80, 0, 0]).await.expect("open");
    for _ in 0..500 {
        far.send(&STATUS).await.expect("open");
    }
    // 04 0F declined by key, 06 1E; the abort itself is acknowledged in between.
    far.send(&[0x80, 0, 0, 0x04, 0x0f, 0x02, 0x27, 0x6c, 0x06, 0x1e, 0x01, 0x6c]).await.expect("open");
    let (_abort, wanted) = watch::channel(true);
    let watch = Host::with(mpsc::channel(Host::KEPT).0, wanted);
    let payment = terminal.pay(Request::new("sale", PRICE), watch).await.expect("an outcome");
    assert!(matches!(payment, Payment::NotCharged(_)), "{payment:?}");
    drop(terminal);
    let mut heard = Vec::new();
    while far.recv(&mut heard).await.is_ok() {}
    let abort = heard.windows(3).position(|bytes| bytes == [0x06, 0xb0, 0x00]).expect("the abort was sent");
    let acknowledged = heard[..abort].windows(3).filter(|bytes| *bytes == [0x80, 0, 0]).count();
    assert!(acknowledged < 10, "the terminal said {acknowledged} things before it heard the abort");
}
