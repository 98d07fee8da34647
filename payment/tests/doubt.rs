//! Terminals that mislead a till: stale and foreign results, answers too late, questions that are of
//! no use. Whatever they do, no payment is called charged that was not, or not charged that was; what
//! stays unknown says why, and the next customer can pay.

mod common;

use std::time::Duration;

use common::{ACCEPTED, APPROVAL, Counter, PRICE, cut_before, is_charged, next_customer_pays, pay, why};
use tresen_hal::{Amount, Currency};
use tresen_payment::zvt::sim::{Commit, Kind as Sort, Misbehaviour, OnRepeat, Profile};
use tresen_payment::{Decision, IntentId, Journal, Payment, Terminal};

/// Pays as `sale` over a connection that ends before `message`, and lets `meanwhile` happen.
async fn lose(counter: &mut Counter, message: usize) {
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(cut_before(message)));
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(matches!(payment, Payment::Unknown(_)), "{payment:?}");
}

/// Recovers over a new connection and returns how `sale` stands; then the next customer pays.
async fn recovered(counter: &mut Counter) -> Payment {
    let mut terminal = counter.open().await.expect("registers again");
    terminal.recover().await.expect("asks");
    let payment = counter.entry("sale").expect("journalled").payment.expect("concluded");
    next_customer_pays(counter, terminal, "cut").await;
    let now = counter.entry("sale").expect("journalled").payment.expect("concluded");
    match (&now, &payment) {
        (Payment::Unknown(_), Payment::Unknown(_)) => {}
        _ => assert_eq!(now, payment),
    }
    payment
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_was_not_heard_is_charged_only_if_the_terminal_is_ours_alone() {
    for exclusive in [false, true] {
        let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
        counter.options.exclusive = exclusive;
        lose(&mut counter, APPROVAL).await;
        let payment = recovered(&mut counter).await;
        assert_eq!(counter.stored(), 2, "it stands");
        if exclusive {
            assert!(is_charged(&payment), "{payment:?}");
        } else {
            assert!(why(&payment).contains("exclusive=true") && why(&payment).contains("receipt 0417"), "{payment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_settles_what_stays_unknown_and_the_key_then_stands_for_that() {
    let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
    lose(&mut counter, APPROVAL).await;
    why(&recovered(&mut counter).await);
    let id = IntentId("sale".into());
    let decision = Decision::charged(PRICE, "Ada", "receipt 0417 is on the terminal's list");
    counter.journal.settle(&id, &decision).await.expect("it is open");
    let mut terminal = counter.open().await.expect("registers");
    assert!(terminal.recover().await.expect("nothing is open").is_empty());
    let again = pay(&mut terminal, "sale").await.expect("from the journal");
    assert!(matches!(again, Payment::Charged(c) if c.amount == PRICE));
    assert_eq!(counter.received(0x0601), 2);
}

#[tokio::test(start_paused = true)]
async fn what_others_do_at_the_terminal_is_not_the_lost_payment() {
    for exclusive in [false, true] {
        // The same price by another till, typed in, or a reversal with a receipt of its own; once or twice.
        for (sort, count) in [(Sort::Payment, 1), (Sort::Payment, 2), (Sort::Reversal(0), 1), (Sort::Refund, 2)] {
            if exclusive && sort == Sort::Payment && count == 1 {
                continue; // Nobody else uses it, says the user.
            }
            let mut counter = Counter::new(Profile::default());
            counter.options.exclusive = exclusive;
            counter.sim.with(|s| s.by_hand(Sort::Payment, PRICE).clone());
            lose(&mut counter, ACCEPTED).await;
            for _ in 0..count {
                counter.sim.with(|s| s.by_hand(sort, PRICE).clone());
            }
            let payment = recovered(&mut counter).await;
            assert!(matches!(payment, Payment::Unknown(_)), "{exclusive} {sort:?} {count}: {payment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_taken_back_with_a_receipt_of_its_own_is_not_charged_by_it() {
    for exclusive in [false, true] {
        let profile = Profile { reverses_with_receipt: true, commit: Commit::Reverses, ..Profile::default() };
        let mut counter = Counter::new(profile);
        counter.options.exclusive = exclusive;
        lose(&mut counter, APPROVAL).await;
        let payment = recovered(&mut counter).await;
        assert!(matches!(payment, Payment::Unknown(_)), "{payment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_known_predecessor_the_customer_before_is_not_taken_for_the_lost_payment() {
    for repeat in [OnRepeat::Aborts(0xa0), OnRepeat::Refuses(0xa0), OnRepeat::Refuses(0x83), OnRepeat::PrintsOnly] {
        let mut counter = Counter::new(Profile { repeat, ..Profile::default() });
        counter.options.exclusive = true;
        counter.sim.with(|s| s.by_hand(Sort::Payment, PRICE).clone());
        let mut terminal = counter.open().await.expect("registers");
        // Everything is lost from the acknowledgement of 06 01 on.
        let before = if matches!(repeat, OnRepeat::Refuses(_)) { 1 } else { 2 };
        counter.sim.with(|s| s.misbehave(cut_before(before)));
        let lost = pay(&mut terminal, "sale").await;
        assert!(!matches!(lost, Ok(Payment::Charged(_))), "{lost:?}");
        drop(terminal);
        counter.sim.with(|s| {
            s.behave();
            s.profile_mut().repeat = OnRepeat::Shows;
        });
        if counter.entry("sale").is_some() {
            let payment = recovered(&mut counter).await;
            assert!(matches!(payment, Payment::Unknown(_)), "{repeat:?}: {payment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_said_again_is_no_approval() {
    let mut counter = Counter::new(Profile::default());
    counter.sim.with(|s| s.by_hand(Sort::Payment, PRICE).clone());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| {
        s.misbehave(Misbehaviour::RepeatResult);
        s.misbehave(Misbehaviour::Decline(0x78));
    });
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert!(!is_charged(&payment), "{payment:?}");
    assert_eq!(counter.stored(), 1, "only the customer before");
    next_customer_pays(&mut counter, terminal, "another till").await;
    // The same, and the customer pays after all.
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::RepeatResult));
    let payment = pay(&mut terminal, "again").await.expect("an outcome");
    match payment {
        Payment::Charged(charge) => assert_eq!(charge.receipt_number.as_deref(), Some("0420")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_said_twice_is_one() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    counter.sim.with(|s| s.misbehave(Misbehaviour::Twice { message: APPROVAL }));
    assert!(is_charged(&pay(&mut terminal, "sale").await.expect("an outcome")));
    assert_eq!(counter.stored(), 1);
}

#[tokio::test(start_paused = true)]
async fn not_charged_is_never_concluded_after_one_look() {
    for exclusive in [false, true] {
        // It goes on with the customer for half a second, and says that it is idle.
        let profile = Profile {
            commit: Commit::Keeps,
            finishes_alone: true,
            lies_idle: true,
            pace: Duration::from_millis(500),
            ..Profile::default()
        };
        let mut counter = Counter::new(profile);
        counter.options.exclusive = exclusive;
        lose(&mut counter, APPROVAL - 1).await;
        let payment = recovered(&mut counter).await;
        assert_eq!(counter.stored(), 2);
        assert!(!matches!(payment, Payment::NotCharged(_)), "{payment:?}");
        assert_eq!(is_charged(&payment), exclusive, "{payment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_amount_or_currency_than_asked_for_is_unknown_and_says_so() {
    let chf = Amount::new(PRICE.minor(), "CHF".parse::<Currency>().expect("known"));
    for (approves, part) in
        [(Amount::eur(2_50), "2.50 EUR, not 12.50 EUR"), (Amount::eur(99_00), "99.00 EUR"), (chf, "not EUR")]
    {
        let mut counter = Counter::new(Profile { approves: Some(approves), ..Profile::default() });
        counter.options.exclusive = true;
        let mut terminal = counter.open().await.expect("registers");
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        assert!(why(&payment).contains(part), "{payment:?}");
        assert_eq!(counter.entry("sale").expect("journalled").approved.expect("it was heard").amount, approves);
        counter.sim.with(|s| s.profile_mut().approves = None);
        next_customer_pays(&mut counter, terminal, part).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_does_not_tell_its_last_transaction_closes_no_till() {
    let ways =
        [OnRepeat::Refuses(0x83), OnRepeat::Aborts(0x66), OnRepeat::Silent, OnRepeat::PrintsOnly, OnRepeat::Shows];
    for repeat in ways {
        for answers_enquiry in [true, false] {
            let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
            lose(&mut counter, APPROVAL).await;
            counter.sim.with(|s| {
                s.profile_mut().repeat = repeat;
                s.profile_mut().answers_enquiry = answers_enquiry;
                s.profile_mut().time = Some(jiff::civil::date(2026, 1, 2).at(8, 0, 0, 0));
            });
            if repeat == OnRepeat::Shows {
                // 05 01 stays unanswered; 06 20 is tried all the same, and settles.
                counter.options.exclusive = true;
            }
            let began = tokio::time::Instant::now();
            let payment = recovered(&mut counter).await;
            assert_eq!(is_charged(&payment), repeat == OnRepeat::Shows, "{repeat:?} {answers_enquiry} {payment:?}");
            assert!(began.elapsed().as_secs() < 60, "{repeat:?} {answers_enquiry}: {:?}", began.elapsed());
        }
    }
}

/// Its late end could be taken for the next payment's, so that one goes over another connection.
#[tokio::test(start_paused = true)]
async fn a_terminal_that_hangs_when_it_is_asked_takes_the_next_payment_all_the_same() {
    // Also where its clock is behind, so that no time says which approval is new.
    for time in [None, Some(jiff::civil::date(2026, 1, 1).at(8, 0, 0, 0))] {
        for repeat in [OnRepeat::Hangs, OnRepeat::Silent] {
            let mut counter = Counter::new(Profile { commit: Commit::Keeps, time, ..Profile::default() });
            lose(&mut counter, APPROVAL).await;
            counter.sim.with(|s| s.profile_mut().repeat = repeat);
            why(&recovered(&mut counter).await);
            assert_eq!(counter.stored(), 2, "both stand");
            let enough = counter.received(0x0620);
            // It is left alone from then on; what stays open is told each time.
            let mut terminal = counter.open().await.expect("registers");
            let settled = terminal.recover().await.expect("from the journal");
            assert!(settled[0].evidence.contains("not asked again"), "{settled:?}");
            assert_eq!(counter.received(0x0620), enough);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_a_terminal_keeps_stands_even_if_it_cannot_be_asked() {
    for repeat in [OnRepeat::Refuses(0x83), OnRepeat::Aborts(0x66), OnRepeat::Silent, OnRepeat::PrintsOnly] {
        let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
        counter.options.commit = Some(Commit::Keeps);
        let mut terminal = counter.open().await.expect("registers");
        // Approved and acknowledged; then nothing comes any more.
        counter.sim.with(|s| s.misbehave(Misbehaviour::MuteAfterApproval));
        why(&pay(&mut terminal, "sale").await.expect("an outcome"));
        drop(terminal);
        counter.sim.with(|s| s.profile_mut().repeat = repeat);
        let payment = recovered(&mut counter).await;
        assert!(is_charged(&payment), "{repeat:?} {payment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_was_replaced_leaves_the_payment_unknown_and_takes_the_next() {
    let mut counter = Counter::new(Profile { commit: Commit::Keeps, ..Profile::default() });
    counter.options.exclusive = true;
    lose(&mut counter, APPROVAL).await;
    counter.sim.with(|s| s.profile_mut().terminal_id = "60000002".into());
    let payment = recovered(&mut counter).await;
    assert!(why(&payment).contains("another terminal answers"), "{payment:?}");
}

#[tokio::test(start_paused = true)]
async fn a_field_that_no_table_knows_before_the_result_does_not_make_a_payment_unknown() {
    let mut counter = Counter::new(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    for id in ["a", "b"] {
        // Before the answer to the question, too, so that both are read in the same way.
        counter.sim.with(|s| {
            s.misbehave(Misbehaviour::UnknownField { first: true });
            s.misbehave(Misbehaviour::UnknownField { first: true });
        });
        assert!(is_charged(&pay(&mut terminal, id).await.expect("an outcome")));
    }
    assert_eq!(counter.stored(), 2);
}
