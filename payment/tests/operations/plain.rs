//! Case by case.

use std::sync::Arc;
use std::time::Duration;

use tresen_hal::{Amount, Effect, Kind};
use tresen_payment::zvt::sim::{Kind as Booked, Misbehaviour, Profile, State};
use tresen_payment::zvt::{self, Booking};
use tresen_payment::{
    Charge, Flow, Host, Operation, OperationKind, Payment, Reason, Reference, Request, Terminal, Transaction,
};

use super::common::{Counter, PRICE, is_charged, pay, reason};
use super::ended::is_ended_once;

const HELD: Amount = Amount::eur(50_00);
const BILL: Amount = Amount::eur(42_00);

fn charge(payment: Payment) -> Charge {
    match payment {
        Payment::Charged(charge) => *charge,
        other => panic!("{other:?}"),
    }
}

async fn hold(terminal: &mut zvt::Terminal, key: &str) -> Reference {
    let held = terminal.pre_authorise(Request::new(key, HELD), Host::none()).await.expect("an outcome");
    charge(held).reference.expect("it is named")
}

fn bill(key: &str) -> Request {
    Request::new(key, BILL)
}

/// The last command of this code that the terminal received.
fn sent(counter: &Counter, code: [u8; 2]) -> Vec<u8> {
    counter.sim.with(|s| s.log().filter(|l| l.bytes.starts_with(&code)).last().expect("it was sent").bytes.clone())
}

fn turnover(counter: &Counter) -> i64 {
    counter.sim.with(|s| s.ledger().turnover())
}

fn state(counter: &Counter, at: usize) -> State {
    counter.sim.with(|s| s.ledger().entries()[at].state)
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_no_turnover_until_it_is_booked() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let reference = hold(&mut terminal, "room 7").await;
    assert_eq!((turnover(&counter), state(&counter, 0)), (0, State::Stored));
    let entry = counter.entry("room 7").expect("journalled");
    assert_eq!(
        (entry.intent.operation.clone(), entry.intent.operation.flow()),
        (Transaction::PreAuthorisation, Flow::None)
    );
    assert_eq!(reference.fact("held"), Some("50.00 EUR"));

    let booked = charge(terminal.book(reference.clone(), bill("check-out"), Host::none()).await.expect("an outcome"));
    assert_eq!((booked.amount, booked.receipt_number.as_deref()), (BILL, Some("0418")));
    // The command carries what is released: 8.00 of receipt 0417. So tills have been captured.
    let wire = [0x06, 0x23, 0x0f, 0x19, 0x40, 0x87, 0x04, 0x17, 0x49, 0x09, 0x78, 0x04, 0, 0, 0, 0, 0x08, 0];
    assert_eq!(sent(&counter, [0x06, 0x23]), wire);
    assert_eq!((turnover(&counter), state(&counter, 0)), (42_00, State::Booked(BILL)));
    assert_eq!(counter.entry("check-out").expect("journalled").intent.operation.flow(), Flow::In);

    // The same key again is the same booking.
    let again = terminal.book(reference.clone(), bill("check-out"), Host::none()).await.expect("from the journal");
    assert_eq!((charge(again), counter.received(0x0623)), (booked, 1));
    // A till that does not know of the booking leaves it to the terminal, which finds nothing to book.
    counter.journal = Arc::default();
    drop(terminal);
    let mut terminal = counter.open().await.expect("registers");
    let second = terminal.book(reference.clone(), bill("once more"), Host::none()).await.expect("an outcome");
    assert_eq!(reason(&second), Reason::Declined);
    let late = terminal.release(reference, Request::new("late", HELD), Host::none()).await.expect("an outcome");
    assert_eq!((reason(&late), turnover(&counter)), (Reason::Declined, 42_00));
}

#[tokio::test(start_paused = true)]
async fn what_was_booked_released_or_reversed_or_may_have_been_is_not_sent_again() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let [first, second] = [hold(&mut terminal, "a").await, hold(&mut terminal, "b").await];
    let paid = charge(pay(&mut terminal, "meal").await.expect("pays")).reference.expect("it is named");
    let book = |key: &str, of: &Reference| Operation::Book { request: bill(key), of: of.clone() };
    let release = |key: &str, of: &Reference| Operation::Release { request: Request::new(key, HELD), of: of.clone() };
    let reverse = |key: &str| Operation::Reverse { request: Request::new(key, PRICE), of: paid.clone() };
    // The number on the slip means the same.
    let slip = zvt::held(None, "0417", None, HELD);
    let sent = || [0x0623, 0x0625, 0x0630].map(|code| counter.received(code)).iter().sum();
    let journal = &counter.journal;
    is_ended_once(&mut terminal, journal, "1", |key| book(key, &first), |key| release(key, &slip), sent).await;
    is_ended_once(&mut terminal, journal, "2", |key| release(key, &second), |key| book(key, &second), sent).await;
    is_ended_once(&mut terminal, journal, "3", reverse, reverse, sent).await;
    assert_eq!(turnover(&counter), 42_00);
}

#[tokio::test(start_paused = true)]
async fn all_of_it_is_booked_by_releasing_nothing_or_as_a_total() {
    for (booking, bill, code, tail) in [
        (Booking::PartialReversal, HELD, [0x06, 0x23], [0x04, 0, 0, 0, 0, 0, 0]),
        (Booking::Total, HELD, [0x06, 0x24], [0x04, 0, 0, 0, 0, 0x50, 0]),
        (Booking::Total, BILL, [0x06, 0x24], [0x04, 0, 0, 0, 0, 0x42, 0]),
    ] {
        let mut counter = Counter::new(Profile::default());
        counter.options.booking = booking;
        let mut terminal = counter.open().await.expect("registers");
        let reference = hold(&mut terminal, "a").await;
        let booked = terminal.book(reference, Request::new("b", bill), Host::none()).await.expect("an outcome");
        assert_eq!(charge(booked).amount, bill, "{booking:?}");
        assert_eq!(sent(&counter, code)[11..], tail, "{booking:?}");
        assert_eq!((turnover(&counter), state(&counter, 0)), (bill.minor(), State::Booked(bill)));
    }
}

/// Whatever the terminal tells of a booking, the till counts what it has booked.
#[tokio::test(start_paused = true)]
async fn a_terminal_may_tell_what_it_released() {
    let mut counter = Counter::new(Profile { tells_released: true, ..Profile::default() });
    let mut terminal = counter.open().await.expect("registers");
    let reference = hold(&mut terminal, "a").await;
    let booked = terminal.book(reference, bill("b"), Host::none()).await.expect("an outcome");
    assert_eq!((charge(booked).amount, turnover(&counter)), (BILL, 42_00));
    // But neither a third amount.
    let reference = hold(&mut terminal, "c").await;
    counter.sim.with(|s| s.profile_mut().approves = Some(Amount::eur(41_99)));
    let booked = terminal.book(reference, bill("d"), Host::none()).await.expect("an outcome");
    assert!(matches!(booked, Payment::Unknown(_)), "{booked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_till_that_was_restarted_books_by_the_journal_or_by_what_it_is_told() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let reference = hold(&mut terminal, "a").await;
    drop(terminal);
    // As a till stores it.
    let stored = serde_json::to_string(&reference).expect("serialises");
    let stored: Reference = serde_json::from_str(&stored).expect("reads back");
    // As a slip names it: with the whole name the journal knows what is held, with the number alone nobody does.
    let named = zvt::reference(Some("60000001"), "0417", Some("000417"));
    let number = zvt::reference(None, "0417", None);
    let mut terminal = counter.open().await.expect("registers");
    let error = terminal.book(number, bill("x"), Host::none()).await.expect_err("nothing to book by");
    assert_eq!((error.kind(), counter.received(0x0623)), (Kind::Input, 0));
    for (key, of) in [("more", &stored), ("more still", &named)] {
        let more = Request::new(key, Amount::eur(50_01));
        let error = terminal.book(of.clone(), more, Host::none()).await.expect_err("more than is held");
        assert!(error.kind() == Kind::Input && error.to_string().contains("holds 50.00 EUR"), "{error}");
    }
    let swiss = Request::new("francs", "42.00 CHF".parse().expect("an amount"));
    assert_eq!(terminal.book(stored, swiss, Host::none()).await.expect_err("francs").kind(), Kind::Input);
    assert_eq!(counter.received(0x0623), 0);
    let booked = terminal.book(named, bill("b"), Host::none()).await.expect("an outcome");
    assert!(is_charged(&booked), "{booked:?}");
    // Without a journal, by what the caller says is held.
    let another = hold(&mut terminal, "another").await;
    counter.journal = Arc::default();
    drop(terminal);
    let mut terminal = counter.open().await.expect("registers");
    let told = zvt::held(None, another.field("receipt").expect("it is named"), None, HELD);
    let booked = terminal.book(told, bill("c"), Host::none()).await.expect("an outcome");
    assert!(is_charged(&booked), "{booked:?}");
    assert_eq!(turnover(&counter), 84_00);
}

#[tokio::test(start_paused = true)]
async fn a_release_charges_nothing() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let reference = hold(&mut terminal, "a").await;
    let less = terminal.release(reference.clone(), bill("less"), Host::none()).await.expect_err("50.00 are held");
    assert_eq!((less.kind(), counter.received(0x0625)), (Kind::Input, 0));
    let released = terminal.release(reference, Request::new("b", HELD), Host::none()).await.expect("an outcome");
    assert_eq!(charge(released).amount, HELD);
    assert_eq!(sent(&counter, [0x06, 0x25]), [0x06, 0x25, 0x08, 0x19, 0x40, 0x87, 0x04, 0x17, 0x49, 0x09, 0x78]);
    assert_eq!((turnover(&counter), state(&counter, 0)), (0, State::Released));
    assert_eq!(counter.entry("b").expect("journalled").intent.operation.flow(), Flow::None);
}

#[tokio::test(start_paused = true)]
async fn a_tip_is_added_to_a_payment() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let paid = charge(pay(&mut terminal, "meal").await.expect("pays")).reference.expect("it is named");
    let tip = Request::new("tip", Amount::eur(1_50));
    let tipped = terminal.tip(paid, tip, Host::none()).await.expect("an outcome");
    assert_eq!(charge(tipped).amount, Amount::eur(1_50));
    assert_eq!(turnover(&counter), PRICE.minor() + 1_50);
    assert_eq!(counter.sim.with(|s| s.ledger().entries()[1].kind), Booked::Tip(0));
    let nobody = zvt::reference(None, "0001", None);
    let refused = terminal.tip(nobody, Request::new("x", Amount::eur(1)), Host::none()).await.expect("an outcome");
    assert!(matches!(&refused, Payment::NotCharged(not) if not.code == Some(0xb5)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_loaded_is_no_turnover() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let request = || Request::new("load", Amount::eur(15_00));
    let error = terminal.top_up(None, request(), Host::none()).await.expect_err("which product?");
    assert_eq!((error.kind(), error.effect(), counter.entry("load")), (Kind::Input, Effect::None, None));
    let loaded = terminal.top_up(Some("0012/01".into()), request(), Host::none()).await.expect("an outcome");
    assert_eq!((charge(loaded).amount, turnover(&counter)), (Amount::eur(15_00), 0));
    assert_eq!(sent(&counter, [0x06, 0x09])[3..6], [0x00, 0x12, 0x01]);
}

#[tokio::test(start_paused = true)]
async fn a_card_is_read_without_its_number() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let within = Duration::from_millis(14_500);
    let card = terminal.read_card(within, Host::none()).await.expect("a card");
    assert_eq!((card.name.as_deref(), card.masked_pan.as_deref()), (Some("girocard"), Some("67259000******0123")));
    assert_eq!(sent(&counter, [0x06, 0xc0])[..4], [0x06, 0xc0, 0x0f, 15]);
    assert!(!format!("{card:?}").contains("6725"));
    counter.sim.with(|s| s.misbehave(Misbehaviour::Decline(0x6c)));
    let error = terminal.read_card(within, Host::none()).await.expect_err("nobody came");
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(counter.journal.entries().is_empty());
    assert!(is_charged(&pay(&mut terminal, "next").await.expect("pays")));
}

#[tokio::test(start_paused = true)]
async fn what_it_cannot_do_and_what_is_another_terminals_is_refused_before_anything_is_sent() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    assert!(terminal.capabilities().of(OperationKind::Increment).is_no());
    assert!(!terminal.capabilities().of(OperationKind::Booking).is_no());
    let reference = hold(&mut terminal, "a").await;
    let error = terminal.increment(reference, bill("more"), Host::none()).await.expect_err("no such command");
    assert_eq!(error.kind(), Kind::Unsupported);
    let elsewhere = zvt::held(Some("60000002"), "0417", Some("000417"), HELD);
    for operation in [
        Operation::Book { request: bill("b"), of: elsewhere.clone() },
        Operation::Release { request: Request::new("c", HELD), of: elsewhere.clone() },
        Operation::Tip { request: bill("d"), of: elsewhere },
        Operation::Book { request: bill("e"), of: Reference::new("opi").with("stan", "1") },
    ] {
        let error = terminal.transact(operation, Host::none()).await.expect_err("not of here");
        assert_eq!(error.kind(), Kind::Input, "{error}");
    }
    let all = [0x0623, 0x0624, 0x0625, 0x060c].map(|code| counter.received(code));
    assert_eq!((all, counter.journal.entries().len()), ([0; 4], 1));
}

/// Receipt numbers that read as fields when they stand where a password could be.
#[tokio::test(start_paused = true)]
async fn any_receipt_number_is_booked_and_released() {
    for before in [99, 199, 399, 499, 599, 1899, 2699, 8699, 9998] {
        let mut counter = Counter::new(Profile { receipts_from: before, ..Profile::default() });
        let mut terminal = counter.open().await.expect("registers");
        let first = hold(&mut terminal, "a").await;
        let second = hold(&mut terminal, "b").await;
        assert!(is_charged(&terminal.book(first, bill("c"), Host::none()).await.expect("an outcome")), "{before}");
        let released = terminal.release(second, Request::new("d", HELD), Host::none()).await.expect("an outcome");
        assert!(is_charged(&released), "{before}: {released:?}");
        assert_eq!(turnover(&counter), 42_00);
    }
}

#[tokio::test(start_paused = true)]
async fn open_reservations_are_told_by_their_number() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    assert_eq!(terminal.open_reservation().await.expect("tells"), None);
    let [first, second] = [hold(&mut terminal, "a").await, hold(&mut terminal, "b").await];
    assert_eq!(terminal.open_reservation().await.expect("tells"), Some(417));
    for (key, of, left) in [("c", first, Some(418)), ("d", second, None)] {
        assert!(is_charged(&terminal.book(of, bill(key), Host::none()).await.expect("an outcome")));
        assert_eq!(terminal.open_reservation().await.expect("tells"), left);
    }
}
