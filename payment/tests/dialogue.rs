//! What a terminal wants shown and entered at the till during a payment, and the till at the terminal.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Counter, PRICE, is_charged, reason};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tresen_hal::link::memory;
use tresen_hal::{Kind, Link};
use tresen_payment::zvt::sim::{Asks, Profile};
use tresen_payment::zvt::{self};
use tresen_payment::{Answer, Asked, Host, Length, Payment, Progress, Question, Reason, Request, Terminal, Wanted};

fn asks() -> Profile {
    let asks = Asks::Digits { text: "Tischnummer?".into(), min: 1, max: 3 };
    Profile { asks: Some(asks), ..Profile::default() }
}

/// Pays while `answer` answers the terminal's question.
async fn pay(
    terminal: &mut zvt::Terminal,
    answer: impl FnOnce(Asked) -> Option<Asked> + Send + 'static,
) -> (Payment, Question) {
    let (questions, mut asked) = mpsc::channel::<Asked>(1);
    let answering = tokio::spawn(async move {
        let asked = asked.recv().await.expect("a question");
        let question = asked.question.clone();
        let mut kept = answer(asked);
        if let Some(kept) = &mut kept {
            kept.withdrawn().await;
        }
        question
    });
    let host = Host::none().answered_by(questions);
    let payment = terminal.pay(Request::new("a", PRICE), host).await.expect("an outcome");
    (payment, answering.await.expect("no panic"))
}

#[tokio::test(start_paused = true)]
async fn an_input_reaches_the_cashier_and_its_answer_the_terminal() {
    for (asks, wanted) in [
        (asks().asks, Wanted::Number(Length::new(1, 3))),
        (Some(Asks::Input("Tischnummer?".into())), Wanted::Text(Length::new(0, 99))),
    ] {
        let mut counter = Counter::new(Profile { asks, shows: Some("Bitte warten".into()), ..Profile::default() });
        counter.options.dialogue = true;
        let mut terminal = counter.open().await.expect("registers");
        let (payment, question) = pay(&mut terminal, |asked| {
            assert!(asked.answer(Answer::Text("12".into())));
            None
        })
        .await;
        assert!(is_charged(&payment), "{payment:?}");
        assert_eq!((question.text.as_str(), question.wanted), ("Tischnummer?", wanted));
        assert_eq!((question.default, question.within), (Answer::Declined, Question::WITHIN));
        assert_eq!((counter.sim.with(|sim| sim.entered().to_vec()), counter.stored()), (vec!["12".to_owned()], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_terminal_decides() {
    // Nobody is there; somebody is there and says nothing; somebody declines; an answer that does not fit.
    let begun = Instant::now();
    let mut counter = Counter::new(asks());
    let mut terminal = counter.open().await.expect("registers");
    let payment = common::pay(&mut terminal, "nobody").await.expect("an outcome");
    assert_eq!((reason(&payment), counter.stored()), (Reason::Aborted, 0));
    assert!(begun.elapsed() < Question::WITHIN, "{:?}", begun.elapsed());

    let answers: [fn(Asked) -> Option<Asked>; 3] = [
        Some,
        |asked| {
            assert!(asked.answer(Answer::Declined));
            None
        },
        |asked| {
            assert!(asked.answer(Answer::Text("1234".into())));
            None
        },
    ];
    for answer in answers {
        let mut counter = Counter::new(asks());
        let mut terminal = counter.open().await.expect("registers");
        let (payment, _) = pay(&mut terminal, answer).await;
        assert_eq!((reason(&payment), counter.stored()), (Reason::Aborted, 0));
        assert_eq!(counter.sim.with(|sim| sim.entered().len()), 0);
        counter.sim.with(|sim| sim.profile_mut().asks = None);
        assert!(is_charged(&common::pay(&mut terminal, "next").await.expect("an outcome")), "it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_withdraws_the_question() {
    let mut counter = Counter::new(asks());
    let mut terminal = counter.open().await.expect("registers");
    let (questions, mut asked) = mpsc::channel::<Asked>(1);
    let (abort, wanted) = watch::channel(false);
    let host = Host::with(mpsc::channel(1).0, wanted).answered_by(questions);
    let cashier = tokio::spawn(async move {
        let mut asked = asked.recv().await.expect("a question");
        abort.send(true).expect("the payment runs");
        asked.withdrawn().await;
        abort
    });
    let begun = Instant::now();
    let payment = terminal.pay(Request::new("a", PRICE), host).await.expect("an outcome");
    assert_eq!((reason(&payment), counter.stored()), (Reason::Aborted, 0));
    assert!(begun.elapsed() < Question::WITHIN, "at once: {:?}", begun.elapsed());
    cashier.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn the_till_shows_and_asks_at_the_terminal() {
    let mut counter = Counter::new(Profile { enters: Some("89073".into()), ..Profile::default() });
    let mut terminal = counter.open().await.expect("registers");
    terminal.display("Bitte\nwarten".into(), Duration::from_secs(5)).await.expect("shows it");
    assert_eq!(counter.sim.with(|sim| sim.shown().to_vec()), ["Bitte warten"]);

    let question = Question::new("PLZ?", Wanted::Number(Length::new(5, 5)), Answer::Declined);
    let entered = terminal.input(question.clone(), Host::none()).await.expect("asks");
    assert_eq!(entered, Answer::Text("89073".into()));
    // Too short, and nothing at all.
    counter.sim.with(|sim| sim.profile_mut().enters = Some("89".into()));
    let error = terminal.input(question.clone(), Host::none()).await.expect_err("not what was asked for");
    assert_eq!(error.kind(), Kind::Protocol, "{error}");
    counter.sim.with(|sim| sim.profile_mut().enters = None);
    assert_eq!(terminal.input(question.clone(), Host::none()).await.expect("asks"), Answer::Declined);

    // What ZVT cannot ask, and a time in which the terminal would be taken for silent.
    let unlike = Question::new("Ja?", Wanted::Confirmation, Answer::No);
    let error = terminal.input(unlike, Host::none()).await.expect_err("no such command");
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    let mut long = question;
    long.within = Duration::from_secs(600);
    assert_eq!(terminal.input(long, Host::none()).await.expect_err("too long").kind(), Kind::Input);
    assert!(is_charged(&common::pay(&mut terminal, "next").await.expect("an outcome")), "it goes on");
}

/// A terminal by hand: it asks, byte by byte as chapter 13 lists the bitmaps, and keeps what it is answered.
#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_question_and_of_its_answer() {
    // 06 E2: F0 30 s, F1 "PLZ?", E0 5, E9 5, EA echo, FB to be confirmed.
    let asks = [&[0x06, 0xe2, 0x11, 0xf0, 0x1e, 0xf1, 0xf0, 0xf4][..], b"PLZ?", &[0xe0, 5, 0xe9, 5, 0xea, 1, 0xfb, 1]];
    let mut asks = asks.concat();
    asks[2] = (asks.len() - 3) as u8;
    // 06 E3, a PIN verification, is never passed on.
    let pin = vec![0x06, 0xe3, 0x02, 0xf0, 0x1e];
    let approved = vec![0x04, 0x0f, 0x0c, 0x27, 0, 0x04, 0, 0, 0, 0, 0x12, 0x50, 0x87, 0x00, 0x07];

    let counter = Counter::new(Profile::default());
    let (near, far) = memory::pair();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let kept = answers.clone();
    tokio::spawn(async move {
        let mut said = vec![vec![0x06, 0x0f, 0], approved, asks, pin];
        let mut heard = Vec::new();
        let mut paying = false;
        while far.recv(&mut heard).await.is_ok() {
            match heard.as_slice() {
                [0x06, 0x00, ..] => far.send(&[0x80, 0, 0, 0x06, 0x0f, 0]).await.expect("open"),
                [0x06, 0x20, ..] => far.send(&[0x84, 0x83, 0]).await.expect("open"),
                [0x06, 0x01, ..] => {
                    paying = true;
                    far.send(&[0x80, 0, 0]).await.expect("open");
                    far.send(&said.pop().expect("more")).await.expect("open");
                }
                answer if paying => {
                    kept.lock().expect("no panic").push(answer.to_vec());
                    match said.pop() {
                        Some(next) => far.send(&next).await.expect("open"),
                        None => paying = false,
                    }
                }
                _ => {}
            }
            heard.clear();
        }
    });
    let clock = Arc::new(counter.clock.clone());
    let opened = zvt::open(Box::new(near), counter.options.clone(), counter.journal.clone(), clock).await;
    let mut terminal = opened.expect("registers");
    let (payment, question) = pay(&mut terminal, |asked| {
        assert!(asked.answer(Answer::Text("89073".into())));
        None
    })
    .await;
    assert!(is_charged(&payment), "{payment:?}");
    assert_eq!((question.text.as_str(), &question.wanted), ("PLZ?", &Wanted::Number(Length::new(5, 5))));
    let with_input = [&[0x80, 0x00, 0x0c, 0x06, 0x0a, 0x32, 0x08, 0x1f, 0x3c, 0x05][..], b"89073"].concat();
    assert_eq!(*answers.lock().expect("no panic"), [vec![0x84, 0x83, 0], with_input, vec![0x80, 0, 0]]);
}

#[tokio::test(start_paused = true)]
async fn states_and_reasons_come_in_the_tills_language() {
    let mut counter = Counter::new(Profile::default());
    counter.options.language = Some(tresen_payment::Language::German);
    let mut terminal = counter.open().await.expect("registers");
    assert_eq!(terminal.status().await.expect("answers").text, "bereit");
    counter.sim.with(|sim| sim.misbehave(zvt::sim::Misbehaviour::Decline(0x78)));
    let (progress, mut told) = mpsc::channel(Host::KEPT);
    let host = Host::with(progress, watch::channel(false).1);
    match terminal.pay(Request::new("a", PRICE), host).await.expect("an outcome") {
        Payment::NotCharged(not) => {
            assert_eq!(not.text, "die Karte ist abgelaufen");
            assert_eq!(not.advice.as_deref(), Some("Andere Karte oder Zahlungsart wählen."));
        }
        other => panic!("{other:?}"),
    }
    let first = told.recv().await.expect("told");
    assert_eq!(first, Progress::Status { code: 0x0a, text: "Karte einstecken".into() });
}
