//! What works when nothing breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Kind, Known};
use tresen_payment::paytec::sim::{Misbehaviour, OnAbort, Profile};
use tresen_payment::paytec::{self, Options};
use tresen_payment::{
    Confirmation, Due, Host, Operation, OperationKind, Payment, Progress, Reason, Reference, Request, Slip,
    Terminal as _,
};

use super::counter::{Counter, francs, is_charged, pay, price, profile, reason, why};
use super::ended::is_ended_once;

/// Every kind of link and of terminal.
fn profiles() -> Vec<Profile> {
    let mut all = Vec::new();
    for serial in [false, true] {
        for numbers_as_text in [false, true] {
            for splits_receipts in [false, true] {
                for (software, receipts) in [(240_406, true), (160_000, true), (240_406, false)] {
                    all.push(Profile { serial, numbers_as_text, splits_receipts, software, receipts, ..profile() });
                }
            }
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn pays_refunds_and_reverses() {
    for profile in profiles() {
        let name = format!("{profile:?}");
        let receipts = profile.receipts;
        let mut counter = Counter::new(profile);
        let mut terminal = counter.open().await.expect("connects");
        assert_eq!(terminal.recover().await.expect("nothing is open"), [], "{name}");
        let (host, mut steps) = Host::new(watch::channel(false).1);
        let payment = terminal.pay(Request::new("sale", price()), host).await.expect("an outcome");
        let Payment::Charged(charge) = payment else { panic!("{name}: {payment:?}") };
        assert_eq!((charge.amount, charge.receipt_number.as_deref()), (price(), Some("42")), "{name}");
        assert_eq!(charge.confirmation, Some(Confirmation::Acknowledged), "{name}");
        assert_eq!((charge.authorisation.as_deref(), charge.trace.as_deref()), (Some("A1B2C3"), Some("700000042")));
        assert_eq!(charge.merchant_id.as_deref(), Some("100764992"));
        let reference = charge.reference.clone().expect("it is named");
        let key = "paytec date=260511 number=42 period=3 shift=13 terminal=90000001";
        assert_eq!(reference.key().as_deref(), Some(key), "{name}");
        let first = |slip: &[String]| slip.first().cloned();
        let expected = |whose: &str| receipts.then(|| whose.to_owned());
        assert_eq!(first(&charge.merchant_slip), expected("Händler"), "{name}");
        assert_eq!(first(&charge.customer_slip), expected("Kunde"), "{name}");
        assert!(!receipts || charge.customer_slip.len() == 7, "{name}: {:?}", charge.customer_slip);
        let mut told = Vec::new();
        while let Ok(step) = steps.try_recv() {
            told.push(step);
        }
        assert!(told.contains(&Progress::Approved), "{name}: {told:?}");
        assert!(told.iter().any(|step| matches!(step, Progress::Status { text, .. } if text == "talks to its host")));
        let slips =
            told.iter().filter(|s| matches!(s, Progress::Receipt { slip: Some(Slip::Customer | Slip::Merchant), .. }));
        assert_eq!(slips.count(), if receipts { 2 } else { 0 }, "{name}");

        let refund = terminal.refund(Request::new("refund", francs(5_00)), Host::none()).await.expect("an outcome");
        assert!(is_charged(&refund), "{name}: {refund:?}");
        let back = terminal.reverse(reference.clone(), Request::new("back", price()), Host::none()).await;
        assert!(is_charged(back.as_ref().expect("an outcome")), "{name}: {back:?}");
        let turnover = counter.sim.with(|s| s.ledger().turnover());
        assert_eq!((turnover, counter.stored()), (-5_00, 3), "{name}");
        // Once more, by a till that does not know of it: the terminal knows none that stands.
        drop(terminal);
        counter.journal = Arc::default();
        let mut terminal = counter.open().await.expect("connects again");
        let again = terminal.reverse(reference, Request::new("again", price()), Host::none()).await;
        assert_eq!(reason(&again.expect("an outcome")), Reason::Unavailable, "{name}");
        let (requests, confirmations) =
            (counter.received("TransactionRequest"), counter.received("TransactionConfirmationRequest"));
        assert_eq!((requests, confirmations), (4, 3), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_approved_is_not_charged_and_says_why() {
    for serial in [false, true] {
        for (fault, expected, words) in [
            (Misbehaviour::Decline(1_002_200), Reason::Declined, "Abgelehnt"),
            (Misbehaviour::Refer, Reason::Declined, "0800 111 222"),
            (Misbehaviour::Cancel, Reason::Aborted, "aborted (10000)"),
            (Misbehaviour::TaskPending, Reason::Unavailable, "half a minute"),
            (Misbehaviour::Refuse, Reason::Unavailable, "not ready (-1)"),
        ] {
            let mut counter = Counter::new(Profile { serial, ..profile() });
            let mut terminal = counter.open().await.expect("connects");
            counter.misbehave(fault);
            let payment = pay(&mut terminal, "sale").await.expect("an outcome");
            assert_eq!(reason(&payment), expected, "{fault:?}: {payment:?}");
            assert!(matches!(&payment, Payment::NotCharged(not) if not.text.contains(words)), "{payment:?}");
            assert_eq!((counter.stored(), counter.received("TransactionConfirmationRequest")), (0, 0));
            drop(terminal);
            // One that was refused leaves the connection, since its answer might still come.
            let mut terminal = counter.open().await.expect("connects again");
            assert!(is_charged(&pay(&mut terminal, "next").await.expect("an outcome")), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_customer_pays_a_part_only_where_that_is_allowed() {
    let part = Misbehaviour::Part(francs(10_00));
    let mut counter = Counter::new(profile());
    counter.options.partial = true;
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(part);
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(matches!(&payment, Payment::Partial(charge) if charge.amount == francs(10_00)), "{payment:?}");
    let log = counter.sim.with(|s| s.log().map(|l| l.line.clone()).collect::<Vec<_>>());
    assert!(log.iter().any(|line| line.contains("\"PartialApprovalCap\":1")));

    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(part);
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert_eq!(reason(&payment), Reason::Reversed, "{payment:?}");
    assert!(is_charged(&pay(&mut terminal, "next").await.expect("an outcome")));
    assert_eq!(counter.stored(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_cashier_aborts_and_an_approval_may_win() {
    for (on_abort, ends) in [(OnAbort::Ends, true), (OnAbort::EndsSilently, true), (OnAbort::GoesOn, false)] {
        let mut counter = Counter::new(Profile { on_abort, pace: Duration::from_secs(20), ..profile() });
        let mut terminal = counter.open().await.expect("connects");
        let (abort, wanted) = watch::channel(false);
        let (host, _steps) = Host::new(wanted);
        let sale = async { terminal.pay(Request::new("sale", price()), host).await };
        let cashier = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            abort.send_replace(true);
        };
        let (payment, ()) = tokio::join!(sale, cashier);
        let payment = payment.expect("an outcome");
        if ends {
            assert_eq!(reason(&payment), Reason::Aborted, "{on_abort:?}");
        } else {
            assert!(is_charged(&payment), "{on_abort:?}: {payment:?}");
        }
        assert_eq!((counter.stored(), counter.received("AbortTransactionRequest")), (usize::from(!ends), 1));
    }
}

/// A terminal that waits for its customer for ever is told to stop; the payment is not lost in between.
#[tokio::test(start_paused = true)]
async fn a_transaction_without_an_end_is_aborted() {
    for (on_abort, expected) in [(OnAbort::Ends, "aborted"), (OnAbort::GoesOn, "unknown")] {
        let mut counter = Counter::new(Profile { on_abort, pace: Duration::from_secs(400), ..profile() });
        let mut terminal = counter.open().await.expect("connects");
        let begun = tokio::time::Instant::now();
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        match expected {
            "aborted" => assert_eq!(reason(&payment), Reason::Aborted),
            _ => assert!(why(&payment).contains("no result"), "{payment:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(500) && begun.elapsed() >= counter.options.limit);
        assert_eq!(counter.stored(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_terminal_is_waited_for_and_the_caller_may_leave() {
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::BusyFor(Duration::from_secs(60)));
    assert_eq!(reason(&pay(&mut terminal, "first").await.expect("an outcome")), Reason::Unavailable);
    drop(terminal);
    let mut terminal = counter.open().await.expect("connects once it is not busy");
    assert!(is_charged(&pay(&mut terminal, "second").await.expect("an outcome")));
    counter.misbehave(Misbehaviour::BusyFor(Duration::from_secs(600)));
    // It is busy for longer than anybody waits.
    assert!(why(&pay(&mut terminal, "third").await.expect("an outcome")).contains("stays busy"));
    drop(terminal);
    let error = counter.open().await.expect_err("it stays busy");
    assert_eq!((error.kind(), counter.received("TransactionRequest")), (Kind::Busy, 3), "{error}");
}

#[tokio::test(start_paused = true)]
async fn totals_receipts_and_the_end_of_the_day() {
    for splits_receipts in [false, true] {
        for serial in [false, true] {
            let mut counter = Counter::new(Profile { splits_receipts, serial, ..profile() });
            let mut terminal = counter.open().await.expect("connects");
            assert_eq!(terminal.repeat_receipt().await.expect_err("none").kind(), Kind::Refused);
            assert!(is_charged(&pay(&mut terminal, "a").await.expect("an outcome")));
            assert!(is_charged(&pay(&mut terminal, "b").await.expect("an outcome")));
            let refund = terminal.refund(Request::new("c", francs(5_00)), Host::none()).await;
            assert!(is_charged(&refund.expect("an outcome")));
            let totals =
                terminal.transact(Operation::Totals, Host::none()).await.expect("told").totals().expect("totals");
            assert_eq!(totals.total, Some(francs(2 * 12_90 - 5_00)), "{totals:?}");
            assert_eq!(totals.cards.len(), 2, "{totals:?}");
            let again = terminal.repeat_receipt().await.expect("the last receipt");
            assert!(again.iter().any(|line| line.contains("Seq-Cnt: 44")), "{again:?}");
            let day = terminal.end_of_day(Host::none()).await.expect("closed");
            assert!(day.receipt.iter().any(|line| line == "TAGESABSCHLUSS"), "{day:?}");
            let totals =
                terminal.transact(Operation::Totals, Host::none()).await.expect("told").totals().expect("totals");
            assert_eq!((totals.total, totals.cards.len()), (None, 0));
            // The numbers of yesterday name nothing any more.
            let sale = counter.entry("a").and_then(|e| e.outcome()).and_then(Payment::into_charge).expect("charged");
            let of = sale.reference.expect("it is named");
            let error = terminal.reverse(of, Request::new("late", price()), Host::none()).await.expect_err("too late");
            assert_eq!(error.kind(), Kind::Input, "{error}");
            assert!(is_charged(&pay(&mut terminal, "next day").await.expect("an outcome")));
            let lines =
                terminal.transact(Operation::Initialise, Host::none()).await.expect("done").done().expect("lines");
            assert!(["KONFIGURATION", "INITIALISIERUNG"].iter().all(|title| lines.iter().any(|line| line == title)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_cannot_do_is_refused_before_anything_is_sent() {
    let mut counter = Counter::new(Profile { functions: 0x8000, currencies: vec![756], ..profile() });
    let mut terminal = counter.open().await.expect("connects");
    let can = |kind| terminal.capabilities().of(kind);
    assert_eq!((can(OperationKind::Pay), can(OperationKind::Refund)), (Known::Yes, Known::No));
    assert_eq!((can(OperationKind::Reversal), can(OperationKind::Diagnosis)), (Known::No, Known::No));
    let error = terminal.refund(Request::new("a", price()), Host::none()).await.expect_err("cannot");
    assert_eq!(error.kind(), Kind::Unsupported);
    let error = terminal.transact(Operation::Diagnosis, Host::none()).await.expect_err("cannot");
    assert_eq!(error.kind(), Kind::Unsupported);
    let euros = Request::new("b", tresen_hal::Amount::eur(1_00));
    assert_eq!(terminal.pay(euros, Host::none()).await.expect_err("francs only").kind(), Kind::Input);
    let other = tresen_payment::Reference::new("zvt").with("receipt", "0042");
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    for of in [other, paytec::reference(Some("90000002"), "42"), paytec::reference(None, "forty")] {
        let error = terminal.reverse(of, Request::new("c", price()), Host::none()).await.expect_err("cannot");
        assert_eq!(error.kind(), Kind::Input, "{error}");
    }
    assert_eq!(counter.received("TransactionRequest"), 0);
    assert_eq!(counter.journal.entries().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn holds_books_and_releases() {
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    let hold = async |terminal: &mut paytec::Terminal, id: &str| {
        let held = terminal.transact(Operation::PreAuthorise(Request::new(id, price())), Host::none()).await;
        let held = held.expect("an outcome").payment().expect("a payment").into_charge().expect("held");
        held.reference.expect("it is named")
    };
    let (a, b) = (hold(&mut terminal, "a").await, hold(&mut terminal, "b").await);
    let book = |id: &str, minor| Operation::Book { request: Request::new(id, francs(minor)), of: a.clone() };
    let error = terminal.transact(book("more", 12_91), Host::none()).await.expect_err("more than is held");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    // The day may be closed in between: reservations are named by the acquirer.
    terminal.end_of_day(Host::none()).await.expect("closed");
    let booked = terminal.transact(book("booked", 10_00), Host::none()).await.expect("an outcome").payment();
    assert!(matches!(&booked, Ok(Payment::Charged(charge)) if charge.amount == francs(10_00)), "{booked:?}");
    let release = |id: &str, of| Operation::Release { request: Request::new(id, price()), of };
    let released = terminal.transact(release("released", b), Host::none()).await.expect("an outcome").payment();
    assert!(is_charged(released.as_ref().expect("a payment")), "{released:?}");
    let slip = paytec::reference(Some("90000001"), "42");
    let error = terminal.transact(release("slip", slip), Host::none()).await.expect_err("not named");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert_eq!(counter.sim.with(|s| s.ledger().turnover()), 10_00);
    // What has ended cannot be released, and the terminal says so to a till that does not know.
    drop(terminal);
    counter.journal = Arc::default();
    let mut terminal = counter.open().await.expect("connects");
    let again = terminal.transact(release("again", a), Host::none()).await.expect("an outcome").payment();
    assert_eq!(reason(&again.expect("a payment")), Reason::Unavailable);
    let increment = Operation::Increment { request: Request::new("i", price()), of: paytec::reference(None, "1") };
    drop(terminal);
    let mut terminal = counter.open().await.expect("connects");
    let error = terminal.transact(increment, Host::none()).await.expect_err("not documented");
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn how_it_is() {
    let mut counter = Counter::new(Profile { card_first: true, ..profile() });
    let mut terminal = counter.open().await.expect("connects");
    let status = terminal.status().await.expect("answers");
    assert!(status.ready && status.text == "waits for the amount", "{status:?}");
    assert_eq!((status.terminal_id.as_deref(), status.software.as_deref()), (Some("90000001"), Some("24.04.06")));
    assert_eq!(status.due, Vec::<Due>::new());
    assert!(is_charged(&pay(&mut terminal, "card first").await.expect("an outcome")));
}

/// A terminal that asks for its till, and one that has fallen silent.
#[tokio::test(start_paused = true)]
async fn heartbeats_keep_an_idle_connection() {
    for serial in [false, true] {
        let heartbeat = Some(Duration::from_secs(10));
        let mut counter = Counter::new(Profile { serial, heartbeat, ..profile() });
        let mut terminal = counter.open().await.expect("connects");
        let idle = async {
            loop {
                tresen_hal::Driver::event(&mut terminal).await.expect("the link holds");
            }
        };
        let idle: Result<(), _> = tokio::time::timeout(Duration::from_secs(300), idle).await;
        idle.expect_err("it went on");
        assert!(counter.received("HeartbeatResponse") > 20);
        assert!(is_charged(&pay(&mut terminal, "later").await.expect("an outcome")));
    }
    let mut counter = Counter::new(Profile { answers_heartbeats: false, ..profile() });
    let mut terminal = counter.open().await.expect("connects");
    let silent = async {
        loop {
            if let Err(error) = tresen_hal::Driver::event(&mut terminal).await {
                return error;
            }
        }
    };
    let begun = tokio::time::Instant::now();
    assert_eq!(silent.await.kind(), Kind::Timeout);
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn something_else_on_the_port_is_recognised() {
    let (near, far) = tresen_hal::link::memory::pair();
    tokio::spawn(async move {
        let link: &dyn tresen_hal::Link = &far;
        link.recv(&mut Vec::new()).await.expect("the till speaks first");
        link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
        std::future::pending::<()>().await;
    });
    let clock = std::sync::Arc::new(tresen_hal::SystemClock);
    let journal = std::sync::Arc::new(tresen_payment::MemoryJournal::new());
    let opened = paytec::open(Box::new(near), Options::new("t"), journal, clock).await;
    let error = opened.expect_err("no terminal");
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(error.to_string().contains("8307"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_was_booked_released_or_reversed_or_may_have_been_is_not_sent_again() {
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    let mut named = Vec::new();
    for key in ["a", "b"] {
        let held = terminal.pre_authorise(Request::new(key, price()), Host::none()).await.expect("an outcome");
        named.push(held.into_charge().and_then(|charge| charge.reference).expect("it is named"));
    }
    let paid = pay(&mut terminal, "sale").await.expect("an outcome").into_charge().expect("charged");
    let (first, second, paid) = (&named[0], &named[1], paid.reference.expect("it is named"));
    let request = |key: &str| Request::new(key, price());
    let book = |key: &str, of: &Reference| Operation::Book { request: request(key), of: of.clone() };
    let release = |key: &str, of: &Reference| Operation::Release { request: request(key), of: of.clone() };
    let reverse = |key: &str, of: &Reference| Operation::Reverse { request: request(key), of: of.clone() };
    let slip = paytec::reference(Some("90000001"), paid.field("number").expect("it has a number"));
    let sent = || counter.received("TransactionRequest");
    let journal = &counter.journal;
    is_ended_once(&mut terminal, journal, "3", |key| reverse(key, &paid), |key| reverse(key, &slip), sent).await;
    is_ended_once(&mut terminal, journal, "1", |key| book(key, first), |key| release(key, first), sent).await;
    is_ended_once(&mut terminal, journal, "2", |key| release(key, second), |key| book(key, second), sent).await;
    assert_eq!(counter.sim.with(|s| s.ledger().turnover()), price().minor());
}
