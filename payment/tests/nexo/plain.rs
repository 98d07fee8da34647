//! What a till does with a terminal on a good day, and what a customer and a cashier make of it.

use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Amount, Driver as _, Effect, Kind, Known};
use tresen_payment::nexo::crypto::Key;
use tresen_payment::nexo::sim::{Fault, Misbehaviour, OnAbort, Profile, Side};
use tresen_payment::{
    Host, MemoryJournal, Operation, OperationKind, Outcome, Payment, Progress, Reason, Reference, Request, Slip,
    Terminal as _,
};

use super::counter::{Counter, PRICE, is_charged, key, pay, profile, why};
use super::ended::is_ended_once;

#[tokio::test(start_paused = true)]
async fn pays_refunds_reverses_and_repeats_a_receipt() {
    for sealed in [true, false] {
        let counter = Counter::new(Profile { key: profile().key.filter(|_| sealed), ..profile() });
        let mut terminal = counter.open().await.expect("answers");
        let (host, mut steps) = Host::new(watch::channel(false).1);
        let Ok(Payment::Charged(charge)) = terminal.pay(Request::new("sale", PRICE), host).await else {
            panic!("charged")
        };
        assert_eq!((charge.amount, charge.card_name.as_deref()), (PRICE, Some("mc")));
        assert_eq!(charge.masked_pan.as_deref(), Some("****** **** 9999"));
        assert_eq!(charge.terminal_id.as_deref(), Some("V400m-123456789"));
        let total = format!("TOTAL{}EUR 12.50", " ".repeat(18));
        let card = "Card            541333 **** 9999".to_owned();
        assert_eq!(charge.customer_slip, ["CARDHOLDER COPY".to_owned(), String::new(), card, total]);
        assert_eq!(charge.merchant_slip[0], "MERCHANT COPY");
        let told = [steps.recv().await, steps.recv().await].map(|step| match step {
            Some(Progress::Receipt { slip, .. }) => slip,
            other => panic!("{other:?}"),
        });
        assert_eq!(told, [Some(Slip::Merchant), Some(Slip::Customer)]);

        let reference = charge.reference.clone().expect("it is named");
        assert_eq!(reference.field("transaction"), Some("T0417.000417"));
        assert!(is_charged(&terminal.refund(Request::new("refund", PRICE), Host::none()).await.expect("an outcome")));
        let back = Request::new("back", PRICE);
        assert!(is_charged(&terminal.reverse(reference.clone(), back, Host::none()).await.expect("an outcome")));
        let twice = terminal.reverse(reference, Request::new("again", PRICE), Host::none()).await.expect_err("it was");
        assert!(twice.to_string().contains("was reversed by `back`"), "{twice}");
        assert_eq!(counter.sim.with(|s| s.ledger().turnover()), -PRICE.minor());

        let lines = terminal.repeat_receipt().await.expect_err("the last was a reversal, which has none");
        assert_eq!(lines.kind(), Kind::NotFound);
        assert!(is_charged(&pay(&mut terminal, "next").await.expect("an outcome")));
        assert!(terminal.repeat_receipt().await.expect("a receipt").contains(&"CARDHOLDER COPY".to_owned()));
        assert!(terminal.status().await.expect("answers").ready);
        let tried = terminal.transact(Operation::Diagnosis, Host::none()).await.expect("its host answers");
        assert_eq!(tried, Outcome::Done(Vec::new()));
        let day = terminal.end_of_day(Host::none()).await.expect_err("there is none");
        assert_eq!(day.kind(), Kind::Unsupported);
        let can = terminal.capabilities();
        assert_eq!((can.of(OperationKind::EndOfDay), can.of(OperationKind::Reversal)), (Known::No, Known::Yes));
        terminal.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_refuses_is_not_charged_and_says_why() {
    let counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("answers");
    for (number, (how, reason, text)) in [
        (Misbehaviour::Decline, Reason::Declined, "declined: 214 Declined online"),
        (Misbehaviour::Cancel, Reason::Aborted, "cancelled at the terminal"),
        (Misbehaviour::Busy, Reason::Unavailable, "the terminal is busy"),
    ]
    .into_iter()
    .enumerate()
    {
        counter.sim.with(|s| s.misbehave(how));
        let payment = pay(&mut terminal, &format!("sale {number}")).await.expect("an outcome");
        let Payment::NotCharged(not) = &payment else { panic!("{payment:?}") };
        assert_eq!((not.reason, &*not.text), (reason, text));
    }
    assert_eq!(counter.stored(), 0);
    // What cannot be sent is refused before.
    let foreign = Reference::new("zvt").with("receipt", "0417");
    let error =
        terminal.reverse(foreign, Request::new("x", PRICE), Host::none()).await.expect_err("another protocol's");
    assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None));
    let error = terminal.pay(Request::new("x", Amount::eur(0)), Host::none()).await.expect_err("nothing");
    assert_eq!(error.kind(), Kind::Input);
    assert!(counter.entry("x").is_none());
}

#[tokio::test(start_paused = true)]
async fn parts_and_tips_are_taken_where_they_are_allowed() {
    for allowed in [true, false] {
        let mut counter = Counter::new(profile());
        (counter.options.partial, counter.options.tip) = (allowed, allowed);
        let mut terminal = counter.open().await.expect("answers");
        counter.sim.with(|s| s.misbehave(Misbehaviour::Part(Amount::eur(5_00))));
        let part = pay(&mut terminal, "part").await.expect("an outcome");
        counter.sim.with(|s| s.misbehave(Misbehaviour::Tip(Amount::eur(1_00))));
        let tipped = pay(&mut terminal, "tip").await.expect("an outcome");
        if allowed {
            assert!(matches!(&part, Payment::Partial(charge) if charge.amount == Amount::eur(5_00)), "{part:?}");
            assert!(matches!(&tipped, Payment::Charged(charge) if charge.amount == Amount::eur(13_50)), "{tipped:?}");
        } else {
            assert!(why(&part).contains("5.00") && why(&tipped).contains("13.50"), "{part:?} {tipped:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_goes_beside_and_the_payments_own_answer_tells() {
    for (on_abort, aborted) in [(OnAbort::Ends, true), (OnAbort::GoesOn, false)] {
        let counter = Counter::new(Profile { on_abort, pace: Duration::from_secs(20), ..profile() });
        let mut terminal = counter.open().await.expect("answers");
        let (abort, wanted) = watch::channel(false);
        let host = Host::with(tokio::sync::mpsc::channel(1).0, wanted);
        let asks = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            abort.send_replace(true);
            std::future::pending::<()>().await;
        };
        let payment = tokio::select! {
            biased;
            payment = terminal.pay(Request::new("sale", PRICE), host) => payment.expect("an outcome"),
            () = asks => unreachable!("it waits"),
        };
        assert_eq!(counter.received("Abort"), 1);
        match payment {
            Payment::NotCharged(not) if aborted => assert_eq!(not.reason, Reason::Aborted),
            Payment::Charged(_) if !aborted => {}
            other => panic!("{on_abort:?}: {other:?}"),
        }
        assert_eq!(counter.stored(), usize::from(!aborted));
    }
    // A wish that comes before anything was sent.
    let counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("answers");
    let host = Host::with(tokio::sync::mpsc::channel(1).0, watch::channel(true).1);
    let error = terminal.pay(Request::new("sale", PRICE), host).await.expect_err("not begun");
    assert_eq!((error.kind(), error.effect(), counter.received("Payment")), (Kind::Cancelled, Effect::None, 0));
    assert!(counter.entry("sale").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cashier_who_asks_three_times_leaves_a_silent_terminal() {
    let counter = Counter::new(Profile { on_abort: OnAbort::GoesOn, ..profile() });
    let mut terminal = counter.open().await.expect("answers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::At { side: Side::ToTill, message: 0, how: Fault::Drop }));
    let (abort, wanted) = watch::channel(false);
    let asks = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            abort.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    let begun = tokio::time::Instant::now();
    let host = Host::with(tokio::sync::mpsc::channel(1).0, wanted);
    let paid = tokio::select! {
        biased;
        paid = terminal.pay(Request::new("sale", PRICE), host) => paid.expect("an outcome"),
        () = asks => unreachable!("it waits"),
    };
    why(&paid);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(is_charged(&terminal.recover().await.expect("asks")[0].payment));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_with_another_key_name_or_none_is_not_opened_and_says_what_to_do() {
    type Change = fn(&mut Counter);
    let cases: [(&str, Change, Kind, &str); 4] = [
        ("another passphrase", |c| c.options.key = Key::derive("shop", 1, "test124").ok(), Kind::Refused, "passphrase"),
        ("another version", |c| c.options.key = Key::derive("shop", 2, "test123").ok(), Kind::Refused, "version"),
        ("no key", |c| c.options.key = None, Kind::Refused, "key"),
        ("another terminal", |c| c.options.poi = "V400m-2".into(), Kind::Refused, "Wrong POIID"),
    ];
    for (name, change, kind, says) in cases {
        let mut counter = Counter::new(Profile { key: Some(key()), ..profile() });
        change(&mut counter);
        let error = counter.open().await.expect_err(name);
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
        assert!(!format!("{error:?}").contains("test12"), "{error:?}");
    }
    // An answer in clear is none.
    let counter = Counter::new(profile());
    counter.sim.with(|s| s.misbehave(Misbehaviour::At { side: Side::ToTill, message: 0, how: Fault::Unsealed }));
    let error = counter.open().await.expect_err("in clear");
    assert!(error.to_string().contains("not encrypted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_was_reversed_or_may_have_been_is_not_sent_again() {
    let counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("answers");
    let paid = pay(&mut terminal, "sale").await.expect("an outcome").into_charge().expect("charged");
    let of = paid.reference.expect("it is named");
    let reverse = |key: &str| Operation::Reverse { request: Request::new(key, PRICE), of: of.clone() };
    is_ended_once(&mut terminal, &counter.journal, "1", reverse, reverse, || counter.received("Reversal")).await;
    // A till that does not know of it leaves it to the terminal.
    let mut terminal = counter.open_with(std::sync::Arc::<MemoryJournal>::default()).await.expect("answers");
    let twice = terminal.reverse(of, Request::new("again", PRICE), Host::none()).await.expect("an outcome");
    assert!(matches!(&twice, Payment::NotCharged(not) if not.text.contains("does not know")), "{twice:?}");
    assert_eq!(counter.sim.with(|s| s.ledger().turnover()), 0);
}
