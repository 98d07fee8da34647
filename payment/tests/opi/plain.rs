//! Nothing breaks.

use tokio::sync::watch;
use tresen_hal::{Amount, Currency, Driver, Kind, Known};
use tresen_payment::opi::dialect::{ALL, GERMAN};
use tresen_payment::opi::sim::{Misbehaviour, OnAbort, Profile, When};
use tresen_payment::opi::{Options, reference};
use tresen_payment::{
    Answer, Host, Notice, Operation, OperationKind, Outcome, Payment, Progress, Reason, Reference, Request, Terminal,
    Wanted,
};

use super::counter::{Counter, PRICE, is_charged, pay};
use super::ended::is_ended_once;
use super::sweep::profiles;

#[tokio::test(start_paused = true)]
async fn pays_reverses_refunds_and_closes_the_day_in_every_dialect() {
    for dialect in ALL {
        let time = Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0));
        let counter = Counter::new(Profile { dialect: *dialect, time, ..Profile::default() });
        let mut terminal = counter.open().await.expect("logs in");
        assert_eq!(counter.received(dialect.login), 1, "{}", dialect.name);
        assert!(terminal.recover().await.expect("nothing is open").is_empty());
        let Payment::Charged(charge) = pay(&mut terminal, "sale").await.expect("an outcome") else { panic!("charged") };
        assert_eq!((charge.amount, charge.card_name.as_deref()), (PRICE, Some("girocard")));
        assert_eq!((charge.trace.as_deref(), charge.terminal_id.as_deref()), (Some("000417"), Some("60000001")));
        assert_eq!((charge.receipt_number.as_deref(), charge.at), (Some("0417"), time));
        assert_eq!(charge.merchant_slip.first().map(String::as_str), Some("Händlerbeleg"), "{}", dialect.name);
        assert_eq!(charge.customer_slip.first().map(String::as_str), Some("Kundenbeleg"));
        assert_eq!(terminal.terminal_id(), Some("60000001"));
        assert_eq!(
            terminal.repeat_receipt().await.expect("it has one").first().map(String::as_str),
            Some("Kundenbeleg")
        );
        let status = terminal.status().await.expect("answers");
        assert_eq!((status.ready, status.text.as_str()), (true, "ready"));
        let sale = charge.reference.clone().expect("it names it");
        let again = terminal.pay(Request::new("sale", PRICE), Host::none()).await.expect("the same");
        assert_eq!(
            (again, counter.received("CardPayment")),
            (Payment::Charged(charge), 1),
            "the same key is the same payment"
        );
        let refund = terminal.refund(Request::new("refund", PRICE), Host::none()).await.expect("an outcome");
        assert!(is_charged(&refund), "{refund:?}");
        assert!(is_charged(&pay(&mut terminal, "second").await.expect("an outcome")));
        let back = terminal.reverse(sale.clone(), Request::new("back", PRICE), Host::none()).await.expect("an outcome");
        assert!(is_charged(&back), "{back:?}");
        let twice = terminal.reverse(sale, Request::new("twice", PRICE), Host::none()).await.expect_err("it was");
        assert!(twice.to_string().contains("was reversed by `back`"), "{twice}");
        assert_eq!(terminal.end_of_day(Host::none()).await.expect("closes").total, Some(PRICE), "one payment stands");
        terminal.close().await;
        assert_eq!(counter.received(dialect.logoff), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_shows_and_prints_is_told_and_receipts_may_come_whenever() {
    for when in [When::Before, When::After, When::Crossing] {
        for keeps_device_link in [false, true] {
            let counter = Counter::new(Profile { receipts: Some(when), keeps_device_link, ..Profile::default() });
            let mut terminal = counter.open().await.expect("logs in");
            let (_abort, wanted) = watch::channel(false);
            let (watch, mut steps) = Host::new(wanted);
            let paid = terminal.pay(Request::new("sale", PRICE), watch).await.expect("an outcome");
            assert!(is_charged(&paid), "{when:?}");
            assert_eq!(steps.recv().await, Some(Progress::Display("Bitte Karte".into())));
            // Late ones come while nothing runs.
            let idle = std::time::Duration::from_secs(5);
            let waited = tokio::time::timeout(idle, terminal.event()).await;
            assert!(waited.is_err(), "{when:?}: {waited:?}");
            let charge =
                counter.entry("sale").and_then(|e| e.outcome()).and_then(Payment::into_charge).expect("charged");
            let heads = (charge.merchant_slip.first(), charge.customer_slip.first());
            assert_eq!(heads, (Some(&"Händlerbeleg".to_owned()), Some(&"Kundenbeleg".to_owned())), "{when:?}");
            assert!(counter.sim.with(|s| s.answers().len()) == 3, "{when:?}: all are answered");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_belongs_to_nothing_is_told() {
    let counter = Counter::new(Profile { receipts: Some(When::After), ..Profile::default() });
    let mut terminal = counter.open().await.expect("logs in");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Late { message: 7, by: std::time::Duration::from_secs(30) }));
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    let mut told = Vec::new();
    while let Ok(Ok(Notice::Text(line))) =
        tokio::time::timeout(std::time::Duration::from_secs(60), terminal.event()).await
    {
        told.push(line);
    }
    assert!(told.iter().any(|line| line.contains("beleg")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_as_declared_and_no_declines() {
    for confirm in [false, true] {
        let mut counter = Counter::new(Profile { asks: Some("Unterschrift richtig?".into()), ..Profile::default() });
        counter.options.confirm = confirm;
        let mut terminal = counter.open().await.expect("logs in");
        let paid = pay(&mut terminal, "sale").await.expect("an outcome");
        assert_eq!(
            (is_charged(&paid), counter.sim.with(|s| s.ledger().stored().count() == 1)),
            (confirm, confirm),
            "{paid:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_cashier_aborts() {
    for dialect in ALL {
        for (on_abort, charged) in [(OnAbort::Ends, false), (OnAbort::GoesOn, true), (OnAbort::Refuses, true)] {
            let pace = std::time::Duration::from_secs(20);
            let counter = Counter::new(Profile { dialect: *dialect, on_abort, pace, ..Profile::default() });
            let mut terminal = counter.open().await.expect("logs in");
            let (abort, wanted) = watch::channel(false);
            let asks = async {
                tokio::time::sleep(std::time::Duration::from_secs(3)).await;
                abort.send_replace(true);
                std::future::pending::<()>().await;
            };
            let watch = Host::with(tokio::sync::mpsc::channel(1).0, wanted);
            let paid = tokio::select! {
                paid = terminal.pay(Request::new("sale", PRICE), watch) => paid.expect("an outcome"),
                () = asks => unreachable!("it waits"),
            };
            assert_eq!(is_charged(&paid), charged, "{} {on_abort:?}: {paid:?}", dialect.name);
            if let Payment::NotCharged(not) = &paid {
                assert_eq!(not.reason, Reason::Aborted);
            }
            assert_eq!((counter.received("AbortRequest"), counter.stored()), (1, usize::from(charged)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parts_declines_and_other_amounts() {
    let mut counter = Counter::new(Profile::default());
    counter.options.partial = true;
    let mut terminal = counter.open().await.expect("logs in");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Part(tresen_hal::Amount::eur(5_00))));
    let part = pay(&mut terminal, "part").await.expect("an outcome");
    assert!(matches!(&part, Payment::Partial(c) if c.amount.minor() == 5_00), "{part:?}");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Decline));
    let declined = pay(&mut terminal, "declined").await.expect("an outcome");
    assert!(
        matches!(&declined, Payment::NotCharged(n) if n.reason == Reason::Declined && n.text.contains("issuer")),
        "{declined:?}"
    );
    counter.sim.with(|s| s.misbehave(Misbehaviour::Busy));
    let busy = pay(&mut terminal, "busy").await.expect("an outcome");
    assert!(matches!(&busy, Payment::NotCharged(n) if n.reason == Reason::Unavailable), "{busy:?}");
    counter.sim.with(|s| {
        s.profile_mut().approves = Some(tresen_hal::Amount::new(12_50, "CHF".parse::<Currency>().expect("known")));
    });
    let francs = pay(&mut terminal, "francs").await.expect("an outcome");
    assert!(super::counter::why(&francs).contains("12.50 CHF"), "{francs:?}");
}

#[tokio::test(start_paused = true)]
async fn another_terminals_payment_is_not_reversed_here() {
    let counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("logs in");
    for named in [reference(Some("60000002"), "000417"), tresen_payment::Reference::new("zvt").with("stan", "1")] {
        let refused = terminal.reverse(named, Request::new("back", PRICE), Host::none()).await.expect_err("refused");
        assert_eq!(refused.kind(), tresen_hal::Kind::Input);
    }
    assert_eq!((counter.received("PaymentReversal"), counter.entry("back")), (0, None));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_for_what_cannot_be_paid_and_a_terminal_that_is_away_is_said() {
    let counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("logs in");
    let zero = terminal.pay(Request::new("zero", tresen_hal::Amount::eur(0)), Host::none()).await.expect_err("refused");
    assert_eq!(zero.kind(), tresen_hal::Kind::Input);
    assert_eq!(terminal.capabilities().of(OperationKind::Reversal), Known::Yes);
    let (away, _) = tresen_hal::link::memory::port();
    let options = Options::new("away");
    let clock = std::sync::Arc::new(counter.clock.clone());
    let opened =
        tresen_payment::opi::open(std::sync::Arc::new(away), None, options, counter.journal.clone(), clock).await;
    assert_eq!(opened.expect_err("nobody is there").kind(), tresen_hal::Kind::Refused);
    assert_eq!(GERMAN.port, 20002);
}

/// What the terminal asks is put to whoever answers; else its default stands, in time for the terminal.
#[tokio::test(start_paused = true)]
async fn a_question_is_answered_by_the_application() {
    for (answers, confirm, charged) in [
        (Some(Answer::Yes), false, true),
        (Some(Answer::No), true, false),
        // Nobody decides for ten seconds; nobody is there at all.
        (Some(Answer::Declined), true, true),
        (None, false, false),
        (None, true, true),
    ] {
        let mut counter = Counter::new(Profile { asks: Some("Unterschrift ok?".into()), ..Profile::default() });
        counter.options.confirm = confirm;
        let mut terminal = counter.open().await.expect("logs in");
        let mut host = Host::none();
        let (questions, mut asked) = tokio::sync::mpsc::channel(1);
        if answers.is_some() {
            host = host.answered_by(questions);
        }
        let begun = tokio::time::Instant::now();
        let cashier = async {
            let Some(answer) = &answers else { return };
            let question = asked.recv().await.expect("asked");
            assert_eq!(question.question.text, "Unterschrift ok?");
            assert_eq!(
                (&question.question.wanted, &question.question.default),
                (&Wanted::Confirmation, &confirm.into())
            );
            match answer {
                Answer::Declined => {
                    let mut question = question;
                    question.withdrawn().await;
                    assert!(begun.elapsed() >= counter.options.confirm_within, "its time was over");
                }
                answer => assert!(question.answer(answer.clone())),
            }
        };
        let (paid, ()) = tokio::join!(terminal.pay(Request::new("sale", PRICE), host), cashier);
        let paid = paid.expect("an outcome");
        assert_eq!(is_charged(&paid), charged, "{answers:?} {confirm}: {paid:?}");
        assert_eq!(counter.stored(), usize::from(charged));
    }
}

/// The link is cut while a question is open: the question is closed, and the payment is settled by asking.
#[tokio::test(start_paused = true)]
async fn an_open_question_ends_with_its_payment() {
    let counter = Counter::new(Profile { asks: Some("Weiter?".into()), ..Profile::default() });
    let mut terminal = counter.open().await.expect("logs in");
    let (questions, mut asked) = tokio::sync::mpsc::channel(1);
    let host = Host::none().answered_by(questions);
    let cashier = async {
        let mut question = asked.recv().await.expect("asked");
        counter.net.cut();
        question.withdrawn().await;
        assert!(!question.answer(Answer::Yes), "nobody waits for it");
    };
    let (paid, ()) = tokio::join!(terminal.pay(Request::new("sale", PRICE), host), cashier);
    assert!(matches!(paid, Ok(Payment::Unknown(_))), "{paid:?}");
    let settled = terminal.recover().await.expect("asks");
    assert!(matches!(settled[0].payment, Payment::NotCharged(_)), "{:?}", settled[0]);
    assert_eq!(counter.stored(), 0);
}

#[tokio::test(start_paused = true)]
async fn totals_and_administration_where_the_dialect_has_a_service() {
    for dialect in ALL {
        let counter = Counter::new(Profile { dialect: *dialect, ..Profile::default() });
        let mut terminal = counter.open().await.expect("logs in");
        assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
        for operation in [Operation::Totals, Operation::Diagnosis, Operation::Initialise] {
            let kind = operation.kind();
            let known = if dialect.totals.is_some() { Known::Unknown } else { Known::No };
            assert_eq!(terminal.capabilities().of(kind), known, "{} {kind:?}", dialect.name);
            let ended = terminal.transact(operation, Host::none()).await;
            match (dialect.totals, ended) {
                (Some(_), Ok(Outcome::Totals(totals))) => {
                    let cards: Vec<_> = totals.cards.iter().map(|card| (card.count, card.total)).collect();
                    assert_eq!((totals.total, cards), (Some(PRICE), vec![(1, PRICE)]));
                }
                (Some(_), Ok(Outcome::Done(lines))) => assert_eq!(lines, [""; 0]),
                (None, Err(error)) => assert_eq!(error.kind(), tresen_hal::Kind::Unsupported, "{error}"),
                (_, ended) => panic!("{} {kind:?}: {ended:?}", dialect.name),
            }
        }
        let asked = ["Reconciliation", "Initialisation"].map(|name| counter.received(name));
        assert_eq!(asked, if dialect.totals.is_some() { [1, 1] } else { [0, 0] }, "{}", dialect.name);
        assert_eq!(terminal.end_of_day(Host::none()).await.expect("closes").total, Some(PRICE), "the day was open");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_booked_or_released() {
    let held = Amount::eur(50_00);
    for (_, profile) in profiles() {
        let counter = Counter::new(profile);
        let mut terminal = counter.open().await.expect("logs in");
        let hold = async |key: &str, terminal: &mut tresen_payment::opi::Terminal| {
            let payment = terminal.pre_authorise(Request::new(key, held), Host::none()).await.expect("an outcome");
            payment.into_charge().and_then(|charge| charge.reference).expect("it is named")
        };
        let first = hold("first", &mut terminal).await;
        let second = hold("second", &mut terminal).await;
        let more = Request::new("more", Amount::eur(50_01));
        let error = terminal.book(first.clone(), more, Host::none()).await.expect_err("more than is held");
        assert!(error.kind() == Kind::Input && error.to_string().contains("holds 50.00 EUR"), "{error}");
        let bill = || Request::new("bill", Amount::eur(42_00));
        let booked = terminal.book(first.clone(), bill(), Host::none()).await.expect("an outcome");
        assert_eq!(booked.charge().map(|charge| charge.amount), Some(Amount::eur(42_00)));
        assert_eq!(terminal.book(first.clone(), bill(), Host::none()).await.expect("from the journal"), booked);
        let twice = terminal.book(first, Request::new("twice", Amount::eur(1)), Host::none()).await;
        assert_eq!(twice.expect_err("it was booked").kind(), Kind::Input);
        let released = terminal.release(second, Request::new("none", held), Host::none()).await.expect("an outcome");
        assert_eq!(released.charge().map(|charge| charge.amount), Some(held));
        let (turnover, sent) = (counter.sim.with(|s| s.ledger().turnover()), counter.received("CardFinancialAdvice"));
        assert_eq!((turnover, sent), (42_00, 1));
        let can = terminal.capabilities();
        assert!(can.of(OperationKind::Increment).is_no() && can.of(OperationKind::Tip).is_no());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_booked_released_or_reversed_or_may_have_been_is_not_sent_again() {
    for (_, profile) in profiles() {
        let counter = Counter::new(profile);
        let mut terminal = counter.open().await.expect("logs in");
        let mut named = Vec::new();
        for key in ["a", "b"] {
            let held = terminal.pre_authorise(Request::new(key, PRICE), Host::none()).await.expect("an outcome");
            named.push(held.into_charge().and_then(|charge| charge.reference).expect("it is named"));
        }
        let paid = pay(&mut terminal, "sale").await.expect("an outcome").into_charge().expect("charged");
        let (first, second, paid) = (&named[0], &named[1], paid.reference.expect("it is named"));
        let request = |key: &str| Request::new(key, PRICE);
        let book = |key: &str, of: &Reference| Operation::Book { request: request(key), of: of.clone() };
        let release = |key: &str, of: &Reference| Operation::Release { request: request(key), of: of.clone() };
        let reverse = |key: &str, of: &Reference| Operation::Reverse { request: request(key), of: of.clone() };
        // Trace number and terminal on the slip mean the same, whatever else the dialect names it by.
        let slip = |of: &Reference| reference(of.field("terminal"), of.field("stan").expect("it has a trace number"));
        let kinds = ["CardFinancialAdvice", "PreAuthReversal", "PaymentReversal"];
        let sent = || kinds.map(|kind| counter.received(kind)).iter().sum();
        let journal = &counter.journal;
        is_ended_once(&mut terminal, journal, "1", |key| book(key, first), |key| release(key, &slip(first)), sent)
            .await;
        is_ended_once(&mut terminal, journal, "2", |key| release(key, second), |key| book(key, second), sent).await;
        is_ended_once(&mut terminal, journal, "3", |key| reverse(key, &paid), |key| reverse(key, &slip(&paid)), sent)
            .await;
        assert_eq!(counter.sim.with(|s| s.ledger().turnover()), PRICE.minor());
    }
}
