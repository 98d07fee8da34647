//! What a till sees of a terminal, case by case, against the simulator.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Counter, PRICE, is_charged, pay};
use tokio::sync::{mpsc, watch};
use tresen_hal::{Amount, Driver, Effect, Kind, Known, Link, SystemClock};
use tresen_payment::testing::{FaultyJournal, Write};
use tresen_payment::zvt::sim::{Commit, Misbehaviour, OnAbort, Profile, State};
use tresen_payment::zvt::{self, Charset, Config};
use tresen_payment::{
    Charge, Host, MemoryJournal, Notice, Operation, OperationKind, Outcome, Payment, Progress, Reason, Reference,
    Request, Terminal,
};

fn reason(payment: &Payment) -> Option<(Reason, Option<u8>)> {
    match payment {
        Payment::NotCharged(not) => Some((not.reason, not.code)),
        _ => None,
    }
}

fn charge(payment: Payment) -> Charge {
    match payment {
        Payment::Charged(charge) => *charge,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_tells_its_progress_and_hands_over_both_slips() {
    for (text_blocks, config, slips) in [(true, 0xbe, true), (false, 0xbe, true), (false, 0x3e, false)] {
        let mut counter = Counter::new(Profile {
            time: Some(jiff::civil::date(2026, 1, 2).at(7, 59, 1, 0)),
            pace: Duration::from_millis(300),
            ..Profile::default()
        });
        counter.options.text_blocks = text_blocks;
        counter.options.config = Config(config);
        let mut terminal = counter.open().await.expect("registers");
        let (progress, mut told) = mpsc::channel(Host::KEPT);
        let (_abort, abort) = watch::channel(false);
        let watch = Host::with(progress, abort);
        let charge = charge(terminal.pay(Request::new("a", PRICE), watch).await.expect("pays"));
        assert_eq!((charge.amount, charge.card_name.as_deref()), (PRICE, Some("girocard")));
        assert_eq!((charge.receipt_number.as_deref(), charge.trace.as_deref()), (Some("0417"), Some("000417")));
        assert_eq!(charge.terminal_id.as_deref(), Some("60000001"));
        assert_eq!(charge.merchant_id.as_deref(), Some("100764992"));
        assert_eq!(charge.masked_pan.as_deref(), Some("67259000******0123"));
        assert_eq!(charge.at.expect("a time").date(), jiff::civil::date(2026, 1, 2));
        let first = |slip: &[String]| slip.first().cloned();
        let want = |text: &str| slips.then(|| text.to_owned());
        assert_eq!(
            (first(&charge.merchant_slip), first(&charge.customer_slip)),
            (want("Händlerbeleg"), want("Kundenbeleg"))
        );
        assert_eq!(charge.customer_slip.len(), if slips { 7 } else { 0 });
        let mut all = Vec::new();
        while let Ok(one) = told.try_recv() {
            all.push(one);
        }
        assert_eq!(all[0], Progress::Status { code: 0x0a, text: "insert the card".into() });
        assert_eq!(all.iter().filter(|p| **p == Progress::Approved).count(), 1);
        let entry = counter.entry("a").expect("journalled");
        assert_eq!(entry.payment, Some(Payment::Charged(Box::new(charge))));
        assert_eq!(entry.intent.last_before.expect("asked").field("receipt"), Some("0416"));
        assert!(!format!("{terminal:?} {:?}", counter.journal).contains("67259000"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_decline_is_a_result_and_the_terminal_goes_on() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Decline(0x78)));
    let payment = pay(&mut terminal, "a").await.expect("an outcome");
    assert_eq!(reason(&payment), Some((Reason::Declined, Some(0x78))));
    assert_eq!(counter.sim.with(|s| s.ledger().entries()[0].state), State::Declined);
    assert_eq!(pay(&mut terminal, "a").await.expect("from the journal"), payment);
    assert_eq!(counter.received(0x0601), 1);
    assert!(is_charged(&pay(&mut terminal, "b").await.expect("pays")));
}

#[tokio::test(start_paused = true)]
async fn a_busy_terminal_has_charged_nothing() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Busy));
    let payment = pay(&mut terminal, "a").await.expect("an outcome");
    assert_eq!(reason(&payment), Some((Reason::Unavailable, Some(0x9c))));
    assert_eq!(counter.stored(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_a_wish_and_the_outcome_tells() {
    for (on_abort, charged) in [(OnAbort::Ends, false), (OnAbort::GoesOn, true), (OnAbort::Refuses, true)] {
        // The steps of a payment take 500 ms each; the abort comes at every 100 ms of it.
        let mut ended = 0;
        for tenth in 0..60 {
            let mut counter =
                Counter::new(Profile { on_abort, pace: Duration::from_millis(500), ..Profile::default() });
            let mut terminal = counter.open().await.expect("registers");
            let (abort, wanted) = watch::channel(false);
            let watch = Host::with(mpsc::channel(Host::KEPT).0, wanted);
            let press = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(tenth * 100)).await;
                abort.send(true).ok();
                abort
            });
            let payment = terminal.pay(Request::new("a", PRICE), watch).await.expect("an outcome");
            press.await.expect("pressed");
            assert_eq!(counter.stored(), usize::from(is_charged(&payment)), "{on_abort:?} after {tenth}00 ms");
            assert!(!matches!(payment, Payment::Unknown(_)), "{on_abort:?} after {tenth}00 ms");
            if !is_charged(&payment) {
                assert_eq!(reason(&payment), Some((Reason::Aborted, Some(0x6c))));
                ended += 1;
            }
        }
        assert_eq!(ended == 0, charged, "{on_abort:?}: {ended} payments ended");
        assert!(ended < 60, "an abort after the approval does not end a payment");
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_taken_back_by_its_receipt_number_once() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let paid = charge(pay(&mut terminal, "a").await.expect("pays"));
    let receipt = paid.reference.expect("named");
    let back = terminal.reverse(receipt.clone(), Request::new("b", PRICE), Host::none()).await.expect("reverses");
    assert_eq!(charge(back).receipt_number.as_deref(), Some("0418"));
    assert_eq!(counter.sim.with(|s| s.ledger().entries()[0].state), State::Reversed);
    let twice = terminal.reverse(receipt.clone(), Request::new("c", PRICE), Host::none()).await.expect_err("it was");
    assert!(twice.to_string().contains("was reversed by `b`"), "{twice}");
    // A till that does not know of it leaves it to the terminal.
    counter.journal = Arc::default();
    drop(terminal);
    let mut terminal = counter.open().await.expect("registers");
    let twice = terminal.reverse(receipt, Request::new("c", PRICE), Host::none()).await.expect("an outcome");
    assert_eq!(reason(&twice), Some((Reason::Declined, Some(0xb4))));
    for wrong in [
        zvt::reference(None, "12345", None),
        zvt::reference(None, "41x", None),
        zvt::reference(Some("60000002"), "417", None),
        Reference::new("opi").with("receipt", "0417"),
    ] {
        let refused = terminal.reverse(wrong, Request::new("d", PRICE), Host::none()).await;
        assert_eq!(refused.expect_err("not this terminal's").kind(), Kind::Input);
    }
    assert_eq!(counter.received(0x0630), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reversal_is_settled_too() {
    for commit in [Commit::Reverses, Commit::Keeps] {
        let mut counter = Counter::new(Profile { commit, ..Profile::default() });
        counter.options.exclusive = true;
        let mut terminal = counter.open().await.expect("registers");
        assert!(is_charged(&pay(&mut terminal, "a").await.expect("pays")));
        counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
        // The approval is acknowledged, the receipts never come.
        let back = terminal
            .reverse(zvt::reference(None, "417", None), Request::new("b", PRICE), Host::none())
            .await
            .expect("an outcome");
        assert!(matches!(back, Payment::Unknown(_)), "{back:?}");
        drop(terminal);
        let mut terminal = counter.open().await.expect("registers again");
        let settled = terminal.recover().await.expect("asks");
        assert_eq!(settled.len(), 1);
        let reversed = counter.sim.with(|s| s.ledger().entries()[0].state == State::Reversed);
        assert_eq!(is_charged(&settled[0].payment), reversed, "{commit:?} {settled:?}");
        assert_eq!(reversed, commit == Commit::Keeps);
        assert_eq!(counter.received(0x0630), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_terminal_leaves_it_unknown_after_t4() {
    let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
    let began = tokio::time::Instant::now();
    assert!(matches!(pay(&mut terminal, "a").await, Ok(Payment::Unknown(_))));
    assert_eq!(began.elapsed().as_secs(), 180);
    let error = pay(&mut terminal, "b").await.expect_err("the connection is spent");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None));
    assert_eq!(terminal.recover().await.expect_err("spent").kind(), Kind::Closed);
    drop(terminal);
    let mut terminal = counter.open().await.expect("registers again");
    let settled = terminal.recover().await.expect("asks");
    assert!(is_charged(&settled[0].payment));
    assert_eq!(settled[0].evidence, "receipt 0417, 12.50 EUR, trace 000417 on terminal 60000001");
    assert_eq!(counter.received(0x0601), 1);
}

#[tokio::test(start_paused = true)]
async fn fields_that_nobody_knows_do_not_kill_a_payment() {
    for how in [
        Misbehaviour::UnknownField { first: true },
        Misbehaviour::UnknownField { first: false },
        Misbehaviour::UnknownTag,
    ] {
        let mut counter = Counter::new(Profile::default());
        let mut terminal = counter.open().await.expect("registers");
        // Only the answer to the payment, not the one before it.
        assert!(is_charged(&pay(&mut terminal, "before").await.expect("pays")));
        counter.sim.with(|s| s.misbehave(how));
        assert!(is_charged(&pay(&mut terminal, "a").await.expect("pays")), "{how:?}");
        assert_eq!(counter.stored(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_payment_leaves_a_driver_that_says_so() {
    let mut counter = Counter::new(Profile { pace: Duration::from_secs(1), ..Profile::default() });
    let mut terminal = counter.open().await.expect("registers");
    let gone = tokio::time::timeout(Duration::from_millis(2500), pay(&mut terminal, "a")).await;
    assert!(gone.is_err(), "the caller left");
    assert_eq!(terminal.status().await.expect_err("in its middle").kind(), Kind::Closed);
    drop(terminal);
    let mut terminal = counter.open().await.expect("registers again");
    let settled = terminal.recover().await.expect("asks");
    assert_eq!(reason(&settled[0].payment), Some((Reason::NotFound, None)));
    assert_eq!(counter.stored(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_day_is_closed_with_its_total_after_what_is_open_was_asked_about() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    for id in ["a", "b"] {
        assert!(is_charged(&pay(&mut terminal, id).await.expect("pays")));
    }
    let refund = terminal.refund(Request::new("c", Amount::eur(5_00)), Host::none()).await.expect("refunds");
    assert!(is_charged(&refund));
    let receipt = terminal.repeat_receipt().await.expect("has one");
    assert!(receipt.iter().any(|l| l == "Betrag 5,00 EUR"), "{receipt:?}");
    let day = terminal.end_of_day(Host::none()).await.expect("closes");
    assert_eq!(day.total, Some(Amount::eur(20_00)));
    assert!(day.receipt.iter().any(|l| l == "Gesamt 20,00 EUR"), "{day:?}");
    counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
    assert!(matches!(pay(&mut terminal, "d").await, Ok(Payment::Unknown(_))));
    drop(terminal);
    let mut terminal = counter.open().await.expect("registers again");
    // It is asked about before the storage is emptied.
    terminal.end_of_day(Host::none()).await.expect("closes");
    assert_eq!(
        reason(&counter.entry("d").expect("journalled").payment.expect("settled")),
        Some((Reason::Reversed, None))
    );
    assert_eq!(counter.received(0x0650), 2);
}

#[tokio::test(start_paused = true)]
async fn status_close_and_character_set() {
    let mut counter = Counter::new(Profile::default());
    counter.options.charset = Some(Charset::Utf8);
    let mut terminal = counter.open().await.expect("registers");
    let status = terminal.status().await.expect("answers");
    assert!(status.ready);
    assert_eq!(
        (status.terminal_id.as_deref(), status.software.as_deref()),
        (Some("60000001"), Some("tresen simulator"))
    );
    assert_eq!(charge(pay(&mut terminal, "a").await.expect("pays")).merchant_slip[0], "Händlerbeleg");
    let idle = tokio::time::timeout(Duration::from_secs(60), terminal.event()).await;
    assert!(idle.is_err(), "an idle terminal says nothing");
    terminal.close().await;
    assert_eq!(counter.received(0x0602), 1);
    assert!(!counter.sim.with(|s| s.is_registered()));
}

#[tokio::test(start_paused = true)]
async fn amounts_and_keys_that_cannot_be_are_refused_before_anything_is_sent() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    for amount in [Amount::eur(0), Amount::eur(-1), Amount::eur(1_000_000_000_000)] {
        let error = terminal.pay(Request::new("a", amount), Host::none()).await.expect_err("not payable");
        assert_eq!(error.kind(), Kind::Input, "{amount}");
    }
    assert!(is_charged(&pay(&mut terminal, "a").await.expect("pays")));
    let other = terminal.pay(Request::new("a", Amount::eur(1)), Host::none()).await;
    assert_eq!(other.expect_err("another amount").kind(), Kind::Input);
    assert_eq!(counter.received(0x0601), 1);
}

#[tokio::test(start_paused = true)]
async fn the_mirrored_receipt_number_keeps_both_in_step() {
    let mut counter = Counter::new(Profile { mirrors: true, ..Profile::default() });
    counter.options.mirror = true;
    let mut terminal = counter.open().await.expect("registers");
    for id in ["a", "b", "c"] {
        assert!(is_charged(&pay(&mut terminal, id).await.expect("pays")));
    }
    assert_eq!(counter.stored(), 3, "none was taken back");
}

#[tokio::test(start_paused = true)]
async fn a_first_payment_is_found_missing_where_the_code_for_it_is_known() {
    for (codes, settled_as) in [(vec![], None), (vec![0x66], Some((Reason::NotFound, None)))] {
        let mut counter = Counter::new(Profile { used_before: false, ..Profile::default() });
        counter.options.nothing_stored = codes;
        let mut terminal = counter.open().await.expect("registers");
        terminal.status().await.expect("answers");
        counter.sim.with(|s| {
            // The question for the last receipt takes an answer and an abort; then the payment's answer.
            s.misbehave(Misbehaviour::HangUp { side: zvt::sim::Side::ToTill, message: 3, after: true });
        });
        assert!(matches!(pay(&mut terminal, "a").await, Ok(Payment::Unknown(_))));
        drop(terminal);
        let mut terminal = counter.open().await.expect("registers again");
        let settled = terminal.recover().await.expect("asks");
        assert_eq!(reason(&settled[0].payment), settled_as, "{settled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_protocol_on_the_port_is_named() {
    let mut counter = Counter::new(Profile::default());
    counter.sim.with(|s| s.misbehave(Misbehaviour::Garbage { message: 0 }));
    let error = counter.open().await.expect_err("no ZVT");
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(error.to_string().starts_with("counter: what came is not ZVT: byte 48 at offset 0"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_says_unasked_is_a_notice() {
    let (near, far) = tresen_hal::link::memory::pair();
    let options = zvt::Options::new("counter");
    let journal = Arc::new(MemoryJournal::new());
    // Acknowledged and completed in one piece, as it may come over TCP.
    far.send(&[0x80, 0x00, 0x00, 0x06, 0x0f, 0x00]).await.expect("open");
    let mut terminal = zvt::open(Box::new(near), options, journal, Arc::new(SystemClock)).await.expect("registers");
    let mut heard = Vec::new();
    for _ in 0..2 {
        far.recv(&mut heard).await.expect("registration and acknowledgement");
    }
    assert!(heard.starts_with(&[0x06, 0x00]) && heard.ends_with(&[0x80, 0x00, 0x00]));
    for part in [&[0x06, 0xd1, 0x06, 0x00, b'K'][..], b"asse"] {
        far.send(part).await.expect("open");
    }
    assert_eq!(terminal.event().await.expect("a line"), Notice::Text("Kasse".into()));
    heard.clear();
    far.recv(&mut heard).await.expect("an acknowledgement");
    assert_eq!(heard, [0x80, 0x00, 0x00]);
    far.close().await;
    assert_eq!(terminal.event().await.expect_err("ended").kind(), Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_is_sent_and_nothing_acknowledged() {
    let mut counter = Counter::new(Profile::default());
    // Without receipts the acknowledgement of the result alone makes a payment stand.
    counter.options.config = Config(0x08);
    for fails in [Write::Intend, Write::Approve] {
        let journal = Arc::new(FaultyJournal::default().failing_at(fails));
        let link = Box::new(counter.link().await);
        let mut terminal =
            zvt::open(link, counter.options.clone(), journal, Arc::new(SystemClock)).await.expect("registers");
        let payment = pay(&mut terminal, "a").await;
        if fails == Write::Intend {
            assert_eq!(payment.expect_err("nothing was sent").kind(), Kind::Storage);
            assert_eq!(counter.received(0x0601), 0);
        } else {
            assert!(matches!(payment, Ok(Payment::Unknown(_))));
            drop(terminal);
            // Waits until the terminal has heard all that was sent.
            counter.link().await;
            assert_eq!(counter.stored(), 0, "an approval without acknowledgement does not stand");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_terminal_can_do_is_known_from_its_registration_and_the_options() {
    // 06 0F with 06 TLV, tag 26: one tag 0A for each command that it takes; here 06 01 and 06 30.
    let listed = [0x06, 0x0f, 0x0c, 0x06, 0x0a, 0x26, 0x08, 0x0a, 0x02, 0x06, 0x01, 0x0a, 0x02, 0x06, 0x30];
    let silent = [0x06, 0x0f, 0x00];
    for (completion, reversal, refund) in
        [(&listed[..], Known::Yes, Known::No), (&silent, Known::Unknown, Known::Unknown)]
    {
        let (near, far) = tresen_hal::link::memory::pair();
        let mut options = zvt::Options::new("counter");
        // Neither receipts nor lines for the till.
        options.config = Config(0x08);
        options.partial = true;
        far.send(&[&[0x80, 0x00, 0x00], completion].concat()).await.expect("open");
        let journal = Arc::new(MemoryJournal::new());
        let terminal = zvt::open(Box::new(near), options, journal, Arc::new(SystemClock)).await.expect("registers");
        let can = terminal.capabilities();
        assert_eq!((can.of(OperationKind::Reversal), can.of(OperationKind::Refund)), (reversal, refund));
        assert_eq!((can.partial, can.receipt_text), (Known::Yes, Known::No));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_refused_in_every_command_that_has_one() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.profile_mut().password = Some("123456".parse().expect("six digits")));
    for operation in [Operation::EndOfDay, Operation::Totals, Operation::Initialise] {
        let refused = terminal.transact(operation, Host::none()).await.expect_err("another password");
        assert_eq!(refused.kind(), Kind::Refused);
    }
}

#[tokio::test(start_paused = true)]
async fn the_largest_amount_is_named_where_it_is_exceeded() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    let much = Request::new("sale", Amount::eur(1_000_000_000_000));
    let error = terminal.pay(much, Host::none()).await.expect_err("too much").to_string();
    assert!(error.contains("at most 9999999999.99 EUR"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn totals_diagnosis_and_initialisation_move_nothing() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    for id in ["a", "b"] {
        assert!(is_charged(&pay(&mut terminal, id).await.expect("pays")));
    }
    let ledger = counter.sim.with(|s| s.ledger().entries().to_vec());
    let totals = terminal.transact(Operation::Totals, Host::none()).await.and_then(Outcome::totals).expect("tells");
    assert_eq!(totals.total, Some(Amount::eur(25_00)));
    assert_eq!(totals.receipts, Some(("0417".into(), "0418".into())));
    let cards: Vec<_> = totals.cards.iter().map(|c| (c.card.as_str(), c.count, c.total)).collect();
    assert_eq!(cards, [("girocard", 2, Amount::eur(25_00))]);
    for operation in [Operation::Diagnosis, Operation::Initialise] {
        let (_abort, wanted) = watch::channel(false);
        let (host, mut steps) = Host::new(wanted);
        let done = terminal.transact(operation, host).await.and_then(Outcome::done);
        assert_eq!(done.expect("is done"), [""; 0], "the simulator prints nothing about it");
        assert!(matches!(steps.try_recv(), Ok(Progress::Status { .. })), "progress is told");
    }
    terminal.login().await.expect("registers again");
    assert_eq!(counter.sim.with(|s| s.ledger().entries().to_vec()), ledger, "nothing moved");
    assert_eq!([0x0610, 0x0670, 0x0693, 0x0650].map(|code| counter.received(code)), [1, 1, 1, 0]);
}
