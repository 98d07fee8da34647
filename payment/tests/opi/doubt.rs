//! Terminals that mislead a till: answers of others, too late, of a wrong amount. Nothing is called charged that was
//! not, or not charged that was; what stays unknown says why, and the next customer can pay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_payment::opi::sim::{Kind, Misbehaviour, OnLoss, OnRepeat, Profile, Side};
use tresen_payment::{Decision, Host, IntentId, Journal, Payment, Reason, Request, Terminal as _};

use super::counter::{Break, Counter, PRICE, is_charged, pay, why};

/// Messages to the till in a payment without receipts: the last message, then the answer.
const ANSWER: usize = 1;

fn quiet() -> Profile {
    Profile { receipts: None, shows: false, ..Profile::default() }
}

/// The answer to the payment is lost with its connection.
async fn lose_answer(counter: &Counter) {
    let mut terminal = counter.open().await.expect("logs in");
    let hang_up = Misbehaviour::HangUp { side: Side::ToTill, message: ANSWER, after: false };
    counter.sim.with(|s| s.misbehave(hang_up));
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("not heard"), "{payment:?}");
}

async fn recovered(counter: &Counter) -> Payment {
    let mut terminal = counter.open().await.expect("logs in again");
    terminal.recover().await.expect("asks");
    let payment = counter.entry("sale").expect("journalled").payment.expect("concluded");
    let next = pay(&mut terminal, "next").await.expect("the next customer pays");
    assert!(is_charged(&next), "{next:?}");
    payment
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_by_the_id_of_its_request() {
    let counter = Counter::new(quiet());
    lose_answer(&counter).await;
    assert!(is_charged(&recovered(&counter).await));
}

#[tokio::test(start_paused = true)]
async fn anothers_payment_of_the_same_amount_settles_nothing() {
    for repeat in [OnRepeat::Header, OnRepeat::NoHeader, OnRepeat::Verbatim] {
        let counter = Counter::new(Profile { repeat, ..quiet() });
        lose_answer(&counter).await;
        counter.sim.with(|s| s.by_hand(Kind::Payment, PRICE, "7"));
        let payment = recovered(&counter).await;
        assert!(!why(&payment).is_empty(), "{repeat:?}: {payment:?}");
        // A person settles it; the key then stands for that.
        let decision = Decision::charged(PRICE, "Ada", "trace 000417 is on the terminal's list");
        counter.journal.settle(&IntentId("sale".into()), &decision).await.expect("it is open");
        let mut terminal = counter.open().await.expect("logs in");
        assert!(is_charged(&pay(&mut terminal, "sale").await.expect("the same")));
        assert_eq!(counter.received("CardPayment"), 2, "sale and next");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_goes_on_and_says_nothing_of_it_is_given_the_time_of_a_customer() {
    for (pace, charged) in [(90, true), (0, false)] {
        let on_loss = if charged { OnLoss::GoesOn } else { OnLoss::Forgets };
        let profile = Profile { pace: Duration::from_secs(pace), lies_idle: true, on_loss, ..quiet() };
        let counter = Counter::new(profile);
        let mut terminal = counter.open().await.expect("logs in");
        // Login is done: the last message, its answer, the request, which passes or not.
        counter.net.breaks(2, if charged { Break::After } else { Break::Before });
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        why(&payment);
        let payment = recovered(&counter).await;
        assert_eq!(is_charged(&payment), charged, "{payment:?}");
        if let Payment::NotCharged(not) = &payment {
            assert_eq!(not.reason, Reason::NotFound);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_the_payment_before_is_not_this_ones() {
    let mut counter = Counter::new(quiet());
    counter.options.limit = Duration::from_secs(20);
    let mut terminal = counter.open().await.expect("logs in");
    let late = Misbehaviour::Late { message: ANSWER, by: Duration::from_secs(60) };
    counter.sim.with(|s| s.misbehave(late));
    let first = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&first).contains("no complete answer in time"), "{first:?}");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Decline));
    let second = pay(&mut terminal, "second").await.expect("an outcome");
    assert!(matches!(second, Payment::NotCharged(_)), "{second:?}");
    let first = counter.entry("sale").and_then(|e| e.payment).expect("settled before the second");
    assert!(is_charged(&first), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cashier_who_asks_three_times_leaves_a_silent_terminal() {
    let counter = Counter::new(quiet());
    let mut terminal = counter.open().await.expect("logs in");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Drop { message: ANSWER }));
    let (abort, wanted) = watch::channel(false);
    let asks = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            abort.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    let begun = tokio::time::Instant::now();
    let watch = Host::with(tokio::sync::mpsc::channel(1).0, wanted);
    let paid = tokio::select! {
        paid = terminal.pay(Request::new("sale", PRICE), watch) => paid.expect("an outcome"),
        () = asks => unreachable!("it waits"),
    };
    why(&paid);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(terminal);
    assert!(is_charged(&recovered(&counter).await));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_never_answers_is_left_alone_after_three_questions() {
    let mut counter = Counter::new(quiet());
    counter.options.ask_before = false;
    lose_answer_at(&counter, 0).await;
    counter.sim.with(|s| s.profile_mut().repeat = OnRepeat::Silent);
    for asked in 1..=5_usize {
        let mut terminal = counter.open().await.expect("logs in");
        let settled = terminal.recover().await.expect("asks");
        assert!(matches!(settled[0].payment, Payment::Unknown(_)));
        assert_eq!(counter.received("RepeatLastMessage"), asked.min(3));
    }
}

async fn lose_answer_at(counter: &Counter, message: usize) {
    let mut terminal = counter.open().await.expect("logs in");
    counter.sim.with(|s| s.misbehave(Misbehaviour::HangUp { side: Side::ToTill, message, after: false }));
    why(&pay(&mut terminal, "sale").await.expect("an outcome"));
}

#[tokio::test(start_paused = true)]
async fn two_tills_with_the_same_keys_at_one_terminal() {
    let counter = Counter::new(quiet());
    lose_answer(&counter).await;
    // Another till, whose journal has the same key, pays the same.
    let other = Arc::new(tresen_payment::MemoryJournal::new());
    let clock = counter.clock.clone();
    tokio::time::sleep(Duration::from_millis(3)).await;
    let opened = tresen_payment::opi::open(counter.connect(), None, counter.options.clone(), other, Arc::new(clock));
    let mut second = opened.await.expect("logs in");
    assert!(is_charged(&pay(&mut second, "sale").await.expect("an outcome")));
    let payment = recovered(&counter).await;
    assert!(why(&payment).contains("another"), "{payment:?}");
    assert_eq!(counter.sim.with(|s| s.ledger().turnover()), 3 * PRICE.minor());
}
