//! Terminals that mislead a till. Nothing is called charged that was not, or not charged that was; what stays unknown
//! says why, and the next customer can pay.

use std::time::Duration;

use tresen_hal::Kind;
use tresen_payment::paytec::sim::{Difference, Fault, Kind as Entry, Misbehaviour, Profile, Side, Unconfirmed};
use tresen_payment::testing::{FaultyJournal, Write};
use tresen_payment::{Confirmation, Decision, IntentId, Journal as _, Payment, Reason, Terminal as _};

use super::counter::{Counter, francs, is_charged, pay, price, profile, reason, why};

/// Messages to the till in a payment: status, activation, two steps, then the response and the acknowledgement.
const RESPONSE: usize = 4;
const ACKNOWLEDGEMENT: usize = 5;

/// The link is lost instead of this message to the till.
async fn lose(counter: &mut Counter, message: usize) -> Payment {
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::At { side: Side::ToTill, message, how: Fault::HangUp });
    pay(&mut terminal, "sale").await.expect("an outcome")
}

async fn recovered(counter: &mut Counter) -> Payment {
    let mut terminal = counter.open().await.expect("connects again");
    terminal.recover().await.expect("asks");
    let payment = counter.entry("sale").expect("journalled").payment.expect("concluded");
    let next = pay(&mut terminal, "next").await.expect("the next customer pays");
    assert!(is_charged(&next), "{next:?}");
    payment
}

#[tokio::test(start_paused = true)]
async fn what_differs_from_what_was_asked_is_rolled_back() {
    for fault in [
        Misbehaviour::Differs(Difference::Amount),
        Misbehaviour::Differs(Difference::Currency),
        Misbehaviour::Differs(Difference::Terminal),
        Misbehaviour::Differs(Difference::Function),
        Misbehaviour::Tip(francs(2_00)),
        Misbehaviour::Part(francs(5_00)),
    ] {
        let mut counter = Counter::new(profile());
        let mut terminal = counter.open().await.expect("connects");
        counter.misbehave(fault);
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        assert_eq!(reason(&payment), Reason::Reversed, "{fault:?}: {payment:?}");
        assert!(matches!(&payment, Payment::NotCharged(not) if not.text.contains("rolled back")), "{payment:?}");
        assert_eq!(counter.stored(), 0, "{fault:?}");
        assert!(is_charged(&pay(&mut terminal, "next").await.expect("an outcome")));
        // A rollback that is not acknowledged: presumably undone.
        let mut counter = Counter::new(profile());
        counter.misbehave(fault);
        let payment = lose(&mut counter, ACKNOWLEDGEMENT).await;
        assert!(why(&payment).contains("rolled back"), "{payment:?}");
        assert!(why(&recovered(&mut counter).await).contains("not confirmed"));
        assert_eq!(counter.stored(), 1, "the next one");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_is_unknown_whatever_the_terminal_does() {
    for reverses in [false, true] {
        let mut counter = Counter::new(profile());
        counter.options.reverses = reverses;
        assert!(why(&lose(&mut counter, ACKNOWLEDGEMENT).await).contains("acknowledgement"));
        let entry = counter.entry("sale").expect("journalled");
        assert_eq!(entry.approved.as_ref().and_then(|charge| charge.confirmation), Some(Confirmation::Sent));
        let payment = recovered(&mut counter).await;
        assert!(why(&payment).contains("its confirmation was sent"), "{payment:?}");
        // A person compares the receipts, and the key then stands for that.
        let reference = entry.approved.and_then(|charge| charge.reference).expect("it is named");
        let decision = Decision::charged(price(), "Ada", "its receipt is in the drawer").with_reference(reference);
        counter.journal.settle(&IntentId("sale".into()), &decision).await.expect("it is open");
        let mut terminal = counter.open().await.expect("connects");
        assert!(is_charged(&pay(&mut terminal, "sale").await.expect("the same")));
        assert_eq!(counter.received("TransactionRequest"), 2, "the sale and the next");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_approval_is_unknown_unless_the_terminal_is_declared_to_undo_it() {
    for (unconfirmed, reverses) in
        [(Unconfirmed::Undone, false), (Unconfirmed::Undone, true), (Unconfirmed::Kept, false)]
    {
        let mut counter = Counter::new(Profile { unconfirmed, ..profile() });
        counter.options.reverses = reverses;
        assert!(!why(&lose(&mut counter, RESPONSE).await).is_empty());
        let payment = recovered(&mut counter).await;
        if reverses {
            assert_eq!(reason(&payment), Reason::Reversed, "{payment:?}");
        } else {
            assert!(why(&payment).contains("none confirmed"), "{payment:?}");
        }
        let kept = usize::from(unconfirmed == Unconfirmed::Kept);
        assert_eq!(counter.stored(), 1 + kept);
    }
}

/// A sale typed in at the terminal counts as well.
#[tokio::test(start_paused = true)]
async fn anothers_transaction_settles_nothing() {
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::At { side: Side::FromTill, message: 2, how: Fault::HangUp });
    assert!(why(&pay(&mut terminal, "sale").await.expect("an outcome")).contains("not heard"));
    drop(terminal);
    counter.sim.with(|s| drop(s.by_hand(Entry::Payment, price()).clone()));
    let payment = recovered(&mut counter).await;
    assert!(why(&payment).contains("begun 1 since"), "{payment:?}");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_was_exchanged_or_opened_another_shift_settles_nothing() {
    for exchanged in [false, true] {
        let mut counter = Counter::new(Profile { restart_closes_shift: !exchanged, ..profile() });
        let mut terminal = counter.open().await.expect("connects");
        counter.misbehave(Misbehaviour::At { side: Side::FromTill, message: 2, how: Fault::Restart });
        assert!(!why(&pay(&mut terminal, "sale").await.expect("an outcome")).is_empty());
        drop(terminal);
        if exchanged {
            counter.sim.with(|s| s.profile_mut().terminal_id = "90000002".into());
        }
        let payment = recovered(&mut counter).await;
        let expected = if exchanged { "another terminal" } else { "shift or day" };
        assert!(why(&payment).contains(expected), "{payment:?}");
    }
}

/// A customer who is slow: the terminal goes on without its till, and says that it is idle.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_lies_about_being_idle_is_looked_at_twice() {
    let pace = Duration::from_secs(4);
    let mut counter = Counter::new(Profile { finishes_alone: true, lies_idle: true, pace, ..profile() });
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::At { side: Side::FromTill, message: 2, how: Fault::HangUpAfter });
    assert!(!why(&pay(&mut terminal, "sale").await.expect("an outcome")).is_empty());
    drop(terminal);
    let mut terminal = counter.open().await.expect("connects again");
    let settled = terminal.recover().await.expect("asks");
    assert!(why(&settled[0].payment).contains("begun 1 since"), "the second look found it: {settled:?}");
}

/// An earlier answer that comes once more is not this payment's, neither as approval nor as decline.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_repeated_is_not_the_next_ones() {
    for first_declined in [false, true] {
        for second_declined in [false, true] {
            let mut counter = Counter::new(profile());
            let mut terminal = counter.open().await.expect("connects");
            if first_declined {
                counter.misbehave(Misbehaviour::Decline(1_000));
            }
            assert_eq!(is_charged(&pay(&mut terminal, "first").await.expect("an outcome")), !first_declined);
            counter.misbehave(Misbehaviour::RepeatLast);
            if second_declined {
                counter.misbehave(Misbehaviour::Decline(1_000));
            }
            let second = pay(&mut terminal, "second").await.expect("an outcome");
            assert_eq!(is_charged(&second), !second_declined, "{second:?}");
            assert_eq!(counter.stored(), usize::from(!first_declined) + usize::from(!second_declined));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_names_nothing_ends_nothing_by_itself() {
    // The transaction goes on, and is answered.
    let mut counter = Counter::new(Profile { on_abort: tresen_payment::paytec::sim::OnAbort::GoesOn, ..profile() });
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::Disturb);
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    // The confirmation is disturbed: it may have been taken.
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::At { side: Side::ToTill, message: ACKNOWLEDGEMENT, how: Fault::Error });
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("an error instead"), "{payment:?}");
    let closed = pay(&mut terminal, "next").await.expect_err("the answer may still come");
    assert_eq!(closed.kind(), Kind::Closed);
    drop(terminal);
    assert!(why(&recovered(&mut counter).await).contains("its confirmation was sent"));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_not_documented_is_unknown() {
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::Result(7));
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("result 7, which is not documented"), "{payment:?}");
    drop(terminal);
    let mut counter = Counter::new(profile());
    let mut terminal = counter.open().await.expect("connects");
    counter.misbehave(Misbehaviour::At { side: Side::ToTill, message: RESPONSE, how: Fault::Unreadable });
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(why(&payment).contains("cannot be read"), "{payment:?}");
    drop(terminal);
    assert!(why(&recovered(&mut counter).await).contains("none confirmed"));
}

/// What cannot be journalled is rolled back; what was confirmed is charged although the journal failed afterwards.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_rolled_back() {
    let mut counter = Counter::new(profile());
    let journal = FaultyJournal::over(counter.journal.clone()).failing_at(Write::Approve);
    let mut terminal = counter.open_with(std::sync::Arc::new(journal)).await.expect("connects");
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(matches!(&payment, Payment::NotCharged(not) if not.text.contains("disk is full")), "{payment:?}");
    assert_eq!(counter.stored(), 0);
    drop(terminal);
    // Intent, approval, confirmation; then the acknowledgement.
    let journal = FaultyJournal::over(counter.journal.clone()).failing(3..4);
    let mut terminal = counter.open_with(std::sync::Arc::new(journal)).await.expect("connects");
    assert!(is_charged(&pay(&mut terminal, "second").await.expect("an outcome")));
    assert_eq!(counter.stored(), 1);
}

/// The caller leaves in the middle; the driver takes nothing more, since the terminal may wait for a confirmation.
#[tokio::test(start_paused = true)]
async fn a_driver_that_was_left_in_a_transaction_is_spent() {
    let mut counter = Counter::new(Profile { pace: Duration::from_secs(10), ..profile() });
    let mut terminal = counter.open().await.expect("connects");
    let left = tokio::time::timeout(Duration::from_secs(5), pay(&mut terminal, "sale")).await;
    left.expect_err("it takes longer");
    assert_eq!(pay(&mut terminal, "next").await.expect_err("spent").kind(), Kind::Closed);
    assert_eq!(counter.received("TransactionRequest"), 1);
    drop(terminal);
    assert_eq!(reason(&recovered(&mut counter).await), Reason::NotFound);
}
