//! What the terminal shows, asks, prints and tells.

use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Driver as _, Kind, Known};
use tresen_payment::nexo::sim::{Enters, Profile};
use tresen_payment::{
    Answer, Host, Length, Notice, Operation, OperationKind, Progress, Question, Request, Terminal as _, Wanted,
};

use super::counter::{Counter, PRICE, is_charged, pay, profile};

fn question(wanted: Wanted, default: Answer) -> Question {
    Question::new("Tip?\nPlease choose", wanted, default)
}

#[tokio::test(start_paused = true)]
async fn shows_and_prints() {
    let counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("answers");
    for kind in [OperationKind::Display, OperationKind::Input, OperationKind::Print] {
        assert_eq!(terminal.capabilities().of(kind), Known::Unknown, "{kind:?}");
    }
    terminal.display("Guten Tag\nWillkommen".into(), Duration::from_millis(4_100)).await.expect("shows");
    terminal.print("Tisch 7\nKasse 1".into()).await.expect("prints");
    let (shown, printed) = counter.sim.with(|s| (s.shown().to_vec(), s.printed().to_vec()));
    assert_eq!((shown, printed), (vec!["Guten Tag\nWillkommen".into()], vec!["Tisch 7".into(), "Kasse 1".into()]));
    for within in [Duration::ZERO, Duration::from_secs(1_000)] {
        let error = terminal.display("?".into(), within).await.expect_err("not for so long");
        assert_eq!(error.kind(), Kind::Input, "{error}");
    }
    counter.sim.with(|s| s.profile_mut().printer = false);
    let error = terminal.print("Tisch 7".into()).await.expect_err("it has no printer");
    assert!(error.kind() == Kind::Refused && error.to_string().contains("missing"), "{error}");
    assert_eq!((counter.received("Display"), counter.received("Print")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn asks_the_customer() {
    let digits = || Wanted::Number(Length::new(2, 4));
    let choice = || Wanted::Choice { of: vec!["0 %".into(), "5 %".into(), "10 %".into()] };
    let text = |text: &str| Answer::Text(text.into());
    for (enters, wanted, answer) in [
        (Enters::Yes, Wanted::Confirmation, Answer::Yes),
        (Enters::No, Wanted::Confirmation, Answer::No),
        (Enters::Text("0470".into()), digits(), text("0470")),
        (Enters::Text("a@example.com".into()), Wanted::Text(Length::new(3, 80)), text("a@example.com")),
        (Enters::Entry(2), choice(), Answer::Choice(2)),
        // The customer cancels: the default.
        (Enters::Nothing, choice(), Answer::Declined),
    ] {
        let counter = Counter::new(Profile { enters: enters.clone(), ..profile() });
        let mut terminal = counter.open().await.expect("answers");
        let asked = terminal.input(question(wanted, Answer::Declined), Host::none()).await;
        assert_eq!(asked.expect("an answer"), answer, "{enters:?}");
        let shown = counter.sim.with(|s| s.shown().to_vec());
        assert!(shown[0].starts_with("Tip?\nPlease choose"), "{shown:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_none_and_what_cannot_be_asked_is_not_sent() {
    let counter = Counter::new(Profile { enters: Enters::Text("12345".into()), ..profile() });
    let mut terminal = counter.open().await.expect("answers");
    let digits = Wanted::Number(Length::new(2, 4));
    let error = terminal.input(question(digits, Answer::Declined), Host::none()).await.expect_err("too long");
    assert_eq!(error.kind(), Kind::Protocol, "{error}");
    let before = counter.received("Input");
    let many = Wanted::Choice { of: vec!["?".into(); 16] };
    for wanted in [Wanted::Signature, Wanted::Age { years: 18 }, Wanted::Acknowledgement, many] {
        let error = terminal.input(question(wanted, Answer::No), Host::none()).await.expect_err("not possible");
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    }
    let check = Operation::AgeCheck { years: 18, within: Duration::from_secs(30) };
    assert!(terminal.capabilities().of(OperationKind::AgeCheck).is_no());
    let error = terminal.transact(check, Host::none()).await.expect_err("nexo has no such request");
    assert_eq!((error.kind(), counter.received("Input")), (Kind::Unsupported, before));
}

/// The link is cut at every message of a question: an error, and nothing is left behind.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_cut_off_is_an_error() {
    use tresen_payment::nexo::sim::{Fault, Misbehaviour, Side};
    for side in [Side::FromTill, Side::ToTill] {
        for how in [Fault::HangUp, Fault::Drop] {
            let counter = Counter::new(Profile { enters: Enters::Yes, ..profile() });
            let mut terminal = counter.open().await.expect("answers");
            counter.sim.with(|s| s.misbehave(Misbehaviour::At { side, message: 0, how }));
            let ended = terminal.input(question(Wanted::Confirmation, Answer::No), Host::none()).await;
            let error = ended.expect_err("no answer");
            assert!(matches!(error.kind(), Kind::Closed | Kind::Timeout), "{error}");
            assert!(is_charged(&pay(&mut terminal, "sale").await.expect("the next customer pays")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_tells_reaches_the_cashier() {
    let counter = Counter::new(Profile { tells: true, pace: Duration::from_secs(3), ..profile() });
    let mut terminal = counter.open().await.expect("answers");
    let (host, mut steps) = Host::new(watch::channel(false).1);
    assert!(is_charged(&terminal.pay(Request::new("sale", PRICE), host).await.expect("an outcome")));
    let first = steps.recv().await;
    assert_eq!(first, Some(Progress::Display("the transaction has begun".into())));
    // The end may be told before the answer or after it.
    let mut told = Vec::new();
    while let Some(step) = steps.recv().await {
        told.extend(if let Progress::Display(text) = step { Some(text) } else { None });
    }
    if told.is_empty() {
        let Ok(Notice::Text(text)) = terminal.event().await else { panic!("a text") };
        told.push(text);
    }
    assert_eq!((told, counter.sim.with(|s| s.told())), (vec!["the transaction has ended".to_owned()], 2));
}
