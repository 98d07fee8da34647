//! Whatever happens between till and terminal: journal and ledger agree, and nothing is charged twice.
//! The whole stack: manager, journal in SQLite, ZVT over TCP to the simulated terminal.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Counter, event, is_charged, pay, ready, runtime, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tresen::hal::link::record::Direction;
use tresen::hal::sim::Shared;
use tresen::payment::zvt::Commit;
use tresen::payment::zvt::sim::{Misbehaviour, OnAbort, Profile, Side, Simulator};
use tresen::payment::{Decision, NotCharged, Progress, Reason, Request};
use tresen::{Amount, Effect, EventKind, Kind, Payment, Tresen};

const PRICE: Amount = Amount::eur(12_50);
/// Tills that run at the same time.
const AT_ONCE: usize = 16;

fn profiles() -> Vec<Profile> {
    let profile = |commit, finishes_alone| Profile { commit, finishes_alone, ..Profile::default() };
    [Commit::Reverses, Commit::Keeps].into_iter().flat_map(|c| [profile(c, false), profile(c, true)]).collect()
}

fn count(sim: &Shared<Simulator>, direction: Direction) -> usize {
    sim.with(|s| s.log().filter(|l| l.direction == direction).count())
}

/// Waits until the terminal has heard the till's last word: each dialogue ends with one.
async fn quiet(sim: &Shared<Simulator>) {
    until("the last word is the till's", || {
        sim.with(|s| s.log().last().is_some_and(|l| l.direction == Direction::Received))
    })
    .await;
}

/// How many messages a payment takes that nothing disturbs: from the till, to the till.
async fn messages(profile: Profile) -> (usize, usize) {
    let mut counter = Counter::new();
    let sim = counter.terminal(profile).await;
    let till = counter.open_ready(&["counter"]).await;
    quiet(&sim).await;
    let before = (count(&sim, Direction::Received), count(&sim, Direction::Sent));
    assert!(is_charged(&pay(&till, "clean", PRICE).await.expect("pays")));
    quiet(&sim).await;
    (count(&sim, Direction::Received) - before.0, count(&sim, Direction::Sent) - before.1)
}

/// The journal and the terminal's ledger say the same of every payment.
async fn agree(till: &Tresen, sim: &Shared<Simulator>, name: &str) {
    let mut ours = till.store().payments().await.expect("readable").rows;
    assert!(ours.iter().all(|e| !e.is_open()), "{name}: {ours:?}");
    ours.retain(|e| e.payment.as_ref().is_some_and(is_charged));
    let charges: Vec<_> = ours
        .iter()
        .map(|e| match &e.payment {
            Some(Payment::Charged(c)) => (c.amount, c.receipt_number.clone()),
            _ => unreachable!("kept are charges"),
        })
        .collect();
    let theirs: Vec<_> =
        sim.with(|s| s.ledger().stored().map(|t| (t.amount, Some(format!("{:04}", t.receipt)))).collect());
    assert_eq!(charges, theirs, "{name}: journal and ledger");
}

/// One payment with one fault, then recovery. Whether the payment was charged in the end; none if it
/// was never begun.
async fn disturbed(profile: Profile, fault: Misbehaviour) -> Option<bool> {
    let name = format!("{:?} alone={} {fault:?}", profile.commit, profile.finishes_alone);
    let mut counter = Counter::new();
    let sim = counter.terminal(profile).await;
    let till = counter.open_ready(&["counter"]).await;
    let mut events = till.events();
    quiet(&sim).await;
    sim.with(|s| s.misbehave(fault));
    let told = pay(&till, "sale", PRICE).await;
    if matches!(fault, Misbehaviour::HangUp { .. }) || told.is_err() {
        event(&mut events, |_, what| matches!(what, EventKind::Disconnected { .. }).then_some(())).await;
    }
    ready(till.terminal("counter").expect("configured").phase()).await;
    sim.with(Simulator::behave);

    agree(&till, &sim, &name).await;
    let sent = sim.with(|s| s.received(0x0601));
    assert!(sent <= 1, "{name}: {sent} authorisations");
    let stored = sim.with(|s| s.ledger().stored().count());
    let begun = match &told {
        Ok(told) => {
            assert_eq!(usize::from(is_charged(told)), stored, "{name}: what was told is true: {told:?}");
            assert!(stored <= sent, "{name}");
            // The same key is the same payment, and asks the terminal nothing.
            assert_eq!(&pay(&till, "sale", PRICE).await.expect("known"), told, "{name}: again");
            assert_eq!(sim.with(|s| s.received(0x0601)), sent, "{name}: again");
            Some(stored == 1)
        }
        Err(error) => {
            assert_eq!((error.effect(), sent, stored), (Effect::None, 0, 0), "{name}: {error}");
            // Nothing was begun under this key: it can be used now.
            assert!(is_charged(&pay(&till, "sale", PRICE).await.expect("pays")), "{name}");
            None
        }
    };
    let lines = till.store().journal().await.expect("readable");
    let intents = lines.iter().filter(|l| l.key == "sale" && l.kind == "intent").count();
    assert_eq!(intents, 1, "{name}: written once");
    // The terminal is not stuck: the next customer pays.
    let before = sim.with(|s| s.received(0x0601));
    assert!(is_charged(&pay(&till, "next", Amount::eur(7_00)).await.expect("pays")), "{name}");
    assert_eq!(sim.with(|s| s.received(0x0601)), before + 1, "{name}");
    agree(&till, &sim, &name).await;
    begun
}

/// How many payments were charged, not charged, and never begun.
async fn sweep(cases: Vec<(Profile, Misbehaviour)>) -> (usize, usize, usize) {
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (profile, fault) in cases {
        let seats = seats.clone();
        running.spawn(async move {
            let _seat = seats.acquire_owned().await.expect("not closed");
            disturbed(profile, fault).await
        });
    }
    let (mut charged, mut not, mut never) = (0, 0, 0);
    while let Some(ended) = running.join_next().await {
        *match ended.expect("a case that failed says why above") {
            Some(true) => &mut charged,
            Some(false) => &mut not,
            None => &mut never,
        } += 1;
    }
    (charged, not, never)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_is_cut_at_every_message_in_both_directions() {
    let mut cases = Vec::new();
    for profile in profiles() {
        let (from_till, to_till) = messages(profile.clone()).await;
        assert!(from_till > 8 && to_till > 8, "{from_till} and {to_till} messages: too few for a payment");
        for (side, messages) in [(Side::FromTill, from_till), (Side::ToTill, to_till)] {
            for message in 0..messages {
                cases.extend(
                    [false, true].map(|after| (profile.clone(), Misbehaviour::HangUp { side, message, after })),
                );
            }
        }
    }
    let all = cases.len();
    let (charged, not, never) = sweep(cases).await;
    assert_eq!(charged + not + never, all);
    assert!(charged > 20 && not > 20 && never > 8, "{charged} charged, {not} not, {never} never begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_answers_garbage_at_every_message() {
    let mut cases = Vec::new();
    for profile in profiles() {
        let (_, to_till) = messages(profile.clone()).await;
        cases.extend((0..to_till).map(|message| (profile.clone(), Misbehaviour::Garbage { message })));
    }
    let all = cases.len();
    let (charged, not, never) = sweep(cases).await;
    assert_eq!(charged + not + never, all);
    assert!(charged > 5 && not > 5, "{charged} charged, {not} not, {never} never begun");
}

#[tokio::test]
async fn what_answers_is_no_terminal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut counter = Counter::new();
    counter.configure("terminals.counter", &format!("zvt+tcp://{}", listener.local_addr().expect("bound")));
    let web = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if stream.read(&mut [0; 256]).await.is_ok_and(|heard| heard > 0) {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.ok();
            }
        }
    });
    let till = counter.open().await;
    let mut events = till.events();
    let why =
        event(&mut events, |_, what| if let EventKind::Disconnected { why } = what { Some(why) } else { None }).await;
    assert!(why.contains("127.0.0.1"), "names the terminal: {why}");
    let error = pay(&till, "sale", PRICE).await.expect_err("there is no terminal");
    assert_eq!((error.effect(), error.device()), (Effect::None, Some("counter")), "{error}");
    assert_eq!(till.store().payments().await.expect("readable").rows, [], "nothing was meant");
    web.abort();
}

#[tokio::test]
async fn what_is_there_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut counter = Counter::new();
    counter.configure("terminals.counter", &format!("zvt+tcp://{}", listener.local_addr().expect("bound")));
    let till = counter.open().await;
    let error = pay(&till, "sale", PRICE).await.expect_err("nobody answers");
    assert_eq!((error.effect(), error.device()), (Effect::None, Some("counter")), "{error}");
    assert_eq!(till.store().payments().await.expect("readable").rows, [], "nothing was meant");
}

#[tokio::test]
async fn a_terminal_that_is_away_at_first_comes_later() {
    let mut counter = Counter::new();
    let away = counter.away("terminals.counter", "zvt");
    let till = counter.open().await;
    let mut events = till.events();
    event(&mut events, |_, what| matches!(what, EventKind::Disconnected { .. }).then_some(())).await;
    let error = pay(&till, "sale", PRICE).await.expect_err("it is away");
    assert_eq!(error.effect(), Effect::None, "{error}");
    let (sim, _server) = away.switch_on(Simulator::new(Profile::default()));
    ready(till.terminal("counter").expect("configured").phase()).await;
    assert!(is_charged(&pay(&till, "sale", PRICE).await.expect("it is there")));
    assert_eq!(sim.with(|s| s.received(0x0601)), 1);
    agree(&till, &sim, "came later").await;
}

/// The till stops with a payment open; the next till on the same journal finds out. Nobody tells the
/// terminal that the first is gone: it is busy until it has waited long enough for an answer.
#[test]
fn a_till_that_starts_settles_what_an_earlier_one_left_open() {
    std::thread::scope(|scope| {
        for commit in [Commit::Reverses, Commit::Keeps] {
            scope.spawn(move || stops_and_starts(commit));
        }
    });
}

fn stops_and_starts(commit: Commit) {
    let mut counter = Counter::new();
    let first = runtime();
    let sim = first.block_on(async {
        let sim = counter.terminal(Profile { commit, ..Profile::default() }).await;
        let till = counter.open_ready(&["counter"]).await;
        sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
        tokio::spawn(async move { pay(&till, "sale", PRICE).await });
        until("approved", || sim.with(|s| s.ledger().entries().len() == 1)).await;
        sim
    });
    first.shutdown_timeout(Duration::from_secs(5));

    runtime().block_on(async {
        let sim = counter.serve_again("terminals.counter", "zvt", sim).await;
        let till = counter.open_ready(&["counter"]).await;
        agree(&till, &sim, &format!("{commit:?}")).await;
        assert_eq!(sim.with(|s| s.received(0x0601)), 1);
        let entry = till.store().payments().await.expect("readable").rows.remove(0);
        let stands = sim.with(|s| s.ledger().stored().count() == 1);
        assert_eq!(entry.payment.as_ref().is_some_and(is_charged), stands, "{entry:?}");
        assert!(stands || commit == Commit::Reverses, "a terminal that keeps approvals has charged it");
        assert!(is_charged(&pay(&till, "next", PRICE).await.expect("pays")));
    });
}

#[tokio::test]
async fn the_same_key_is_the_same_payment() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    let (first, second) = tokio::join!(pay(&till, "sale", PRICE), pay(&till, "sale", PRICE));
    let first = first.expect("pays");
    assert!(is_charged(&first));
    assert_eq!(second.expect("pays"), first, "at the same time");
    assert_eq!(pay(&till, "sale", PRICE).await.expect("known"), first, "and later");
    let error = pay(&till, "sale", Amount::eur(1)).await.expect_err("another amount");
    assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
    assert_eq!(sim.with(|s| s.received(0x0601)), 1);
    drop(till);
    // Also after a restart.
    counter.power_off();
    let again = counter.open().await;
    let known = again.store().payments().await.expect("readable").rows;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].payment.as_ref(), Some(&first));
}

#[tokio::test]
async fn a_decline_is_a_result_and_charges_nothing() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    sim.with(|s| s.misbehave(Misbehaviour::Decline(5)));
    let declined = pay(&till, "sale", PRICE).await.expect("a result");
    let Payment::NotCharged(NotCharged { reason, code, text, .. }) = &declined else {
        panic!("{declined:?}");
    };
    assert_eq!((*reason, *code), (Reason::Declined, Some(5)));
    assert!(!text.is_empty());
    assert_eq!(pay(&till, "sale", PRICE).await.expect("known"), declined, "the same key stays declined");
    assert!(is_charged(&pay(&till, "another card", PRICE).await.expect("pays")));
    agree(&till, &sim, "declined").await;
    assert_eq!(sim.with(|s| s.ledger().turnover()), PRICE.minor());
}

/// The cashier gives up while the customer looks for a card. What comes of it, the terminal decides.
#[tokio::test]
async fn an_abort_is_a_request() {
    for (on_abort, charged) in [(OnAbort::Ends, false), (OnAbort::GoesOn, true), (OnAbort::Refuses, true)] {
        let mut counter = Counter::new();
        let profile = Profile { on_abort, pace: Duration::from_millis(150), ..Profile::default() };
        let sim = counter.terminal(profile).await;
        let till = counter.open_ready(&["counter"]).await;
        let mut events = till.events();
        let (abort, asked) = watch::channel(false);
        let paying = tokio::spawn({
            let terminal = till.terminal("counter").expect("configured");
            async move { terminal.pay_as(Request::new("sale", PRICE), asked).await }
        });
        let shown = |_: &str, what| {
            if let EventKind::Payment(Progress::Status { code, .. }) = what { Some(code) } else { None }
        };
        assert_eq!(event(&mut events, shown).await, 0x0a, "insert card");
        abort.send_replace(true);
        let ended = within("ended", paying).await.expect("no panic").expect("a result");
        match &ended {
            Payment::NotCharged(why) => assert_eq!((why.reason, charged), (Reason::Aborted, false), "{}", why.text),
            other => assert_eq!((is_charged(other), charged), (true, true), "{on_abort:?}: {other:?}"),
        }
        agree(&till, &sim, &format!("{on_abort:?}")).await;
        assert_eq!(sim.with(|s| s.received(0x0601)), 1);
    }
}

#[tokio::test]
async fn a_busy_terminal_charges_nothing_and_is_free_again() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    sim.with(|s| s.misbehave(Misbehaviour::Busy));
    match pay(&till, "sale", PRICE).await {
        Ok(Payment::NotCharged(why)) => assert_eq!(why.reason, Reason::Unavailable, "{}", why.text),
        other => panic!("{other:?}"),
    }
    assert!(is_charged(&pay(&till, "next", PRICE).await.expect("pays")));
    agree(&till, &sim, "busy").await;
}

/// The journal cannot be read any more after the terminal has approved: that is no reason to say that nothing was sent.
#[tokio::test]
async fn a_journal_that_fails_after_approval_leaves_the_payment_unknown() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
    let paying = tokio::spawn({
        let terminal = till.terminal("counter").expect("configured");
        async move { terminal.pay_as(Request::new("sale", PRICE), watch::channel(false).1).await }
    });
    until("approved", || sim.with(|s| s.ledger().entries().len() == 1)).await;
    let db = rusqlite::Connection::open(counter.db()).expect("opens");
    db.busy_timeout(Duration::from_secs(10)).expect("set");
    db.execute_batch("ALTER TABLE intents RENAME TO away").expect("renamed");
    till.terminal("counter").expect("configured").reset().await.expect("open");
    sim.with(Simulator::behave);
    tokio::time::pause();
    // As long as a caller waits for recovery; on a clock that leaps from timer to timer that takes no time.
    let ended = paying.await.expect("no panic");
    tokio::time::resume();
    assert!(matches!(ended, Ok(Payment::Unknown(_))), "{ended:?}");

    // Storage comes back: what is open is settled without anybody asking for it.
    db.execute_batch("ALTER TABLE away RENAME TO intents").expect("renamed");
    // Recovery is tried again with growing delays of up to 60 s, and how many tries the leap of the clock has used up
    // depends on the machine.
    let mut events = till.events();
    let settled =
        async { while !matches!(events.next().await.expect("the till is open").kind, EventKind::Settled(_)) {} };
    tokio::time::timeout(Duration::from_secs(150), settled).await.expect("settled within the longest delay");
    agree(&till, &sim, "storage came back").await;
    assert_eq!(sim.with(|s| s.received(0x0601)), 1);
    assert!(is_charged(&pay(&till, "next", PRICE).await.expect("pays")));
}

#[tokio::test]
async fn a_second_cashier_hears_who_is_served() {
    let mut counter = Counter::new();
    let profile = Profile { pace: Duration::from_millis(300), ..Profile::default() };
    let sim = counter.terminal(profile).await;
    let till = counter.open_ready(&["counter"]).await;
    let mut events = till.events();
    let terminal = till.terminal("counter").expect("configured");
    let anna = tokio::spawn({
        let till = till.clone();
        async move { pay(&till, "anna", PRICE).await }
    });
    event(&mut events, |_, what| matches!(what, EventKind::Payment(_)).then_some(())).await;
    assert_eq!(terminal.serving().map(|i| i.0), Some("anna".to_owned()));
    let (_keep, abort) = watch::channel(false);
    let refused = terminal.try_pay_as(Request::new("bert", PRICE), abort).await.expect_err("it serves anna");
    assert_eq!((refused.kind(), refused.effect()), (Kind::Busy, Effect::None));
    assert!(refused.to_string().contains("`anna`"), "{refused}");
    let bert = tokio::spawn({
        let till = till.clone();
        async move { pay(&till, "bert", PRICE).await }
    });
    let waits = event(&mut events, |_, what| match what {
        EventKind::PaymentWaits { intent, behind } => Some((intent.0, behind?.0)),
        _ => None,
    });
    assert_eq!(waits.await, ("bert".to_owned(), "anna".to_owned()));
    for paying in [anna, bert] {
        assert!(is_charged(&within("pays", paying).await.expect("no panic").expect("pays")));
    }
    assert_eq!((terminal.serving(), sim.with(|s| s.received(0x0601))), (None, 2));
}

/// The same key asked again, after a crash say, gives the money back once.
#[tokio::test]
async fn a_refund_under_the_same_key_is_the_same_refund() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    let terminal = till.terminal("counter").expect("configured");
    let refund = || async {
        let (_keep, abort) = watch::channel(false);
        within("refund", terminal.refund_as(Request::new("back", PRICE), abort)).await.expect("ends")
    };
    let first = refund().await;
    assert!(is_charged(&first), "{first:?}");
    assert_eq!(refund().await, first);
    assert_eq!(sim.with(|s| s.received(0x0631)), 1);
}

/// The terminal is away for good; a person settles what it left open, and the next customer is none the worse.
#[tokio::test]
async fn a_person_settles_what_the_terminal_cannot() {
    let mut counter = Counter::new();
    let sim = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["counter"]).await;
    let mut events = till.events();
    sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
    let paying = tokio::spawn({
        let till = till.clone();
        async move { pay(&till, "sale", PRICE).await }
    });
    until("approved", || sim.with(|s| s.ledger().entries().len() == 1)).await;
    counter.power_off();
    till.terminal("counter").expect("configured").reset().await.expect("open");
    event(&mut events, |_, what| matches!(what, EventKind::Disconnected { .. }).then_some(())).await;
    let intent = tresen::payment::IntentId("sale".into());
    let nameless = Decision::not_charged("", "the slip says so");
    assert_eq!(till.settle(&intent, nameless).await.expect_err("no name").kind(), Kind::Input);
    let decision = Decision::not_charged("anna", "the terminal's slip says it was reversed");
    let settled = till.settle(&intent, decision.clone()).await.expect("it is open");
    assert!(matches!(&settled, Payment::NotCharged(why) if why.reason == Reason::Settled), "{settled:?}");
    let told = within("the caller hears it", paying).await.expect("no panic").expect("a result");
    assert_eq!(told, settled, "who waited for it hears it at once");
    event(&mut events, |_, what| matches!(what, EventKind::Settled(_)).then_some(())).await;
    assert_eq!(till.settle(&intent, decision).await.expect_err("not open").kind(), Kind::Input);
    assert_eq!(till.open_payments("counter").await.expect("readable").len(), 0);
}

#[tokio::test]
async fn a_payment_and_a_print_job_tell_on_whose_behalf_they_were_made() {
    let mut counter = Counter::new();
    let _printer = counter.printer("receipt").await;
    let _terminal = counter.terminal(Profile::default()).await;
    let till = counter.open_ready(&["receipt", "counter"]).await;
    let anna = tresen::Origin::new().station("handheld 7").operator("anna");
    let terminal = till.terminal("counter").expect("configured").on_behalf_of(anna.clone());
    let paid = within("paid", terminal.pay(Amount::eur(1_00))).await.expect("decided");
    let stored = till.store().payment(paid.intent()).await.expect("readable").expect("journalled");
    assert_eq!(stored.origin, anna);
    let printer = till.printer("receipt").expect("configured").on_behalf_of(anna.clone());
    let job = printer.submit(&tresen::Receipt::new().text("Table 4").cut()).await.expect("stored");
    assert_eq!(till.store().job(job.id()).await.expect("readable").expect("stored").origin, anna);
    // One that says nothing leaves nothing of the one before.
    let other = within("paid", till.terminal("counter").expect("configured").pay(Amount::eur(2_00))).await;
    let stored = till.store().payment(other.expect("decided").intent()).await.expect("readable").expect("journalled");
    assert_eq!(stored.origin, tresen::Origin::new());
}
