//! Terminals that mislead a till. Nothing is called charged that was not, or not charged that was; what stays unknown
//! says why, and the next customer can pay.

use std::time::Duration;

use tresen_hal::{Amount, Kind};
use tresen_payment::nexo::sim::{Fault, Misbehaviour, OnLoss, OnStatus, Profile, Side};
use tresen_payment::{Decision, IntentId, Journal as _, Payment, Reason, Terminal as _};

use super::counter::{Break, Counter, PRICE, is_charged, pay, profile, why};

/// The answer to the payment is lost with its connection.
async fn lose_answer(counter: &Counter) {
    let mut terminal = counter.open().await.expect("answers");
    let hang_up = Misbehaviour::At { side: Side::ToTill, message: 0, how: Fault::HangUp };
    counter.sim.with(|s| s.misbehave(hang_up));
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("not heard"), "{payment:?}");
}

async fn recovered(counter: &Counter) -> Payment {
    let mut terminal = counter.open().await.expect("answers again");
    terminal.recover().await.expect("asks");
    let payment = counter.entry("sale").expect("journalled").payment.expect("concluded");
    counter.sim.with(|s| s.profile_mut().approves = None);
    let next = pay(&mut terminal, "next").await.expect("the next customer pays");
    assert!(is_charged(&next), "{next:?}");
    payment
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_by_its_numbers_with_its_receipt() {
    let counter = Counter::new(profile());
    lose_answer(&counter).await;
    let Payment::Charged(charge) = recovered(&counter).await else { panic!("charged") };
    assert_eq!(charge.customer_slip[0], "CARDHOLDER COPY");
    assert_eq!(counter.received("TransactionStatus"), 1);
}

#[tokio::test(start_paused = true)]
async fn anothers_response_settles_nothing() {
    for on_status in [OnStatus::Last, OnStatus::Nameless] {
        let counter = Counter::new(Profile { on_status, ..profile() });
        lose_answer(&counter).await;
        // Another till pays the same.
        let mut other = Counter::new(profile());
        (other.options.sale, other.options.name) = ("till-2".into(), "other".into());
        let journal = other.journal.clone();
        let mut options = counter.options.clone();
        options.sale = "till-2".into();
        let runtime = std::sync::Arc::new(counter.clock.clone());
        let opened = tresen_payment::nexo::open(counter.connect(), None, options, journal, runtime).await;
        assert!(is_charged(&pay(&mut opened.expect("answers"), "sale").await.expect("an outcome")));
        let payment = recovered(&counter).await;
        assert!(why(&payment).contains("another request"), "{on_status:?}: {payment:?}");
        // A person settles it; the key then stands for that.
        let decision = Decision::charged(PRICE, "Ada", "T0417 is in the list of payments");
        counter.journal.settle(&IntentId("sale".into()), &decision).await.expect("it is open");
        let mut terminal = counter.open().await.expect("answers");
        assert!(is_charged(&pay(&mut terminal, "sale").await.expect("the same")));
        assert_eq!(counter.received("Payment"), 3, "sale, the other's and next");
    }
}

#[tokio::test(start_paused = true)]
async fn another_amount_settles_nothing() {
    let counter = Counter::new(Profile { approves: Some(Amount::eur(1_25)), ..profile() });
    lose_answer(&counter).await;
    assert!(why(&recovered(&counter).await).contains("1.25"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_not_reached_leaves_it_unknown_whatever_the_ledger_says() {
    for charged in [false, true] {
        let counter = Counter::new(profile());
        let mut terminal = counter.open().await.expect("answers");
        counter.sim.with(|s| s.misbehave(Misbehaviour::Unreachable { charged }));
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        assert!(why(&payment).contains("cannot be reached"), "{payment:?}");
        let payment = recovered(&counter).await;
        assert!(why(&payment).contains("cannot be reached"), "{payment:?}");
        assert_eq!(counter.stored(), usize::from(charged) + 1);
    }
}

/// A clock that is a month off at the terminal: what it repeats is not of this attempt.
#[tokio::test(start_paused = true)]
async fn a_response_of_another_time_settles_nothing() {
    let counter = Counter::new(Profile { time: "2025-12-01T08:00:00Z".parse().expect("a time"), ..profile() });
    lose_answer(&counter).await;
    assert!(why(&recovered(&counter).await).contains("time"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_runs_for_long_is_waited_for() {
    for (pace, charged) in [(100, true), (150, false)] {
        let counter = Counter::new(Profile { pace: Duration::from_secs(pace), ..profile() });
        let mut terminal = counter.open().await.expect("answers");
        counter.net.breaks(0, Break::After);
        why(&pay(&mut terminal, "sale").await.expect("an outcome"));
        let settled = terminal.recover().await.expect("asks");
        assert_eq!(is_charged(&settled[0].payment), charged, "{settled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_is_not_charged_after_two_looks() {
    let counter = Counter::new(Profile { on_loss: OnLoss::Forgets, ..profile() });
    let mut terminal = counter.open().await.expect("answers");
    counter.net.breaks(0, Break::Before);
    why(&pay(&mut terminal, "sale").await.expect("an outcome"));
    let begun = tokio::time::Instant::now();
    let settled = terminal.recover().await.expect("asks");
    assert!(matches!(&settled[0].payment, Payment::NotCharged(not) if not.reason == Reason::NotFound), "{settled:?}");
    assert!(counter.received("TransactionStatus") >= 2 && begun.elapsed() >= counter.options.grace);
}

/// After a day a terminal may have forgotten.
#[tokio::test(start_paused = true)]
async fn what_is_missing_after_a_day_stays_unknown() {
    let counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("answers");
    counter.net.breaks(0, Break::Before);
    why(&pay(&mut terminal, "sale").await.expect("an outcome"));
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    let settled = terminal.recover().await.expect("asks");
    assert!(why(&settled[0].payment).contains("forgotten"), "{settled:?}");
    assert!(is_charged(&pay(&mut terminal, "next").await.expect("the next customer pays")));
}

#[tokio::test(start_paused = true)]
async fn an_exchanged_terminal_settles_nothing_and_is_not_asked() {
    let mut counter = Counter::new(profile());
    lose_answer(&counter).await;
    counter.sim.with(|s| s.profile_mut().poi = "V400m-2".into());
    counter.options.poi = "V400m-2".into();
    let payment = recovered(&counter).await;
    assert!(why(&payment).contains("V400m-123456789"), "{payment:?}");
    assert_eq!(counter.received("TransactionStatus"), 0);
}

/// The till's name at the terminal has changed since: it is asked by the old one.
#[tokio::test(start_paused = true)]
async fn a_renamed_till_finds_its_payments() {
    let mut counter = Counter::new(profile());
    lose_answer(&counter).await;
    counter.options.sale = "till-9".into();
    assert!(is_charged(&recovered(&counter).await));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_never_answers_is_left_alone_after_three_questions() {
    let counter = Counter::new(profile());
    lose_answer(&counter).await;
    counter.sim.with(|s| s.profile_mut().on_status = OnStatus::Silent);
    for asked in 1..=5_usize {
        let mut terminal = counter.open().await.expect("answers");
        let settled = terminal.recover().await.expect("asks");
        assert!(matches!(settled[0].payment, Payment::Unknown(_)));
        assert_eq!(counter.received("TransactionStatus"), asked.min(3));
    }
}

/// One receipt stands for one payment: a terminal that gives a number twice is not believed.
#[tokio::test(start_paused = true)]
async fn a_number_that_is_another_payments_settles_nothing() {
    let counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("answers");
    assert!(is_charged(&pay(&mut terminal, "first").await.expect("an outcome")));
    let first = counter.entry("first").and_then(|e| e.outcome()).and_then(Payment::into_charge).expect("charged");
    let reference = first.reference.expect("named");
    let holder = counter.journal.holder("counter", &reference).await.expect("reads");
    assert_eq!(holder, Some(IntentId("first".into())));
    let key = Payment::Charged(Box::new({
        let mut other = tresen_payment::Charge::new(IntentId("second".into()), PRICE);
        other.reference = Some(reference);
        other
    }));
    assert!(is_charged(&pay(&mut terminal, "second").await.expect("another number")));
    let refused = counter.journal.conclude(&IntentId("second".into()), &key).await.expect_err("held by the first");
    assert_eq!(refused.kind(), Kind::Input);
}
