//! A terminal that approves less than was asked for.

mod common;

use common::{APPROVAL, Counter, PRICE, cut_before, is_charged, pay};
use tresen_hal::Amount;
use tresen_payment::zvt;
use tresen_payment::zvt::sim::{Commit, Misbehaviour, Profile, Simulator};
use tresen_payment::{Host, Payment, Reason, Request, Terminal};

const PART: Amount = Amount::eur(2_50);
/// What follows the approval where there are no slips.
const COMPLETION: usize = APPROVAL + 1;

fn counter(profile: Profile) -> Counter {
    let mut counter = Counter::new(profile);
    counter.options.partial = true;
    // No slips: the message after the approval is the completion.
    counter.options.config = zvt::Config(0x08);
    counter
}

fn part(payment: &Payment) -> Option<(Amount, Option<&str>)> {
    match payment {
        Payment::Partial(charge) => Some((charge.amount, charge.receipt_number.as_deref())),
        _ => None,
    }
}

fn approve_in_part(counter: &Counter) {
    counter.sim.with(|s| s.misbehave(Misbehaviour::Part(PART)));
}

/// How `sale` stands once `terminal` is gone and a new driver has recovered.
async fn recovered(counter: &mut Counter, terminal: zvt::Terminal) -> (Payment, zvt::Terminal) {
    drop(terminal);
    counter.sim.with(Simulator::behave);
    let mut terminal = counter.open().await.expect("registers again");
    terminal.recover().await.expect("asks");
    (counter.entry("sale").expect("journalled").payment.expect("concluded"), terminal)
}

#[tokio::test(start_paused = true)]
async fn a_partial_approval_is_an_outcome_of_its_own_and_the_rest_is_another_payment() {
    let mut counter = counter(Profile::default());
    let mut terminal = counter.open().await.expect("registers");
    approve_in_part(&counter);
    let payment = pay(&mut terminal, "sale").await.expect("an outcome");
    assert_eq!(part(&payment), Some((PART, Some("0417"))), "{payment:?}");
    assert_eq!(counter.entry("sale").expect("journalled").payment.as_ref(), Some(&payment));
    assert_eq!(pay(&mut terminal, "sale").await.expect("from the journal"), payment);
    assert_eq!(counter.received(0x0601), 1);
    let rest = terminal.pay(Request::new("rest", Amount::eur(10_00)), Host::none()).await.expect("an outcome");
    assert!(is_charged(&rest), "{rest:?}");
    assert_eq!(counter.sim.with(|s| s.ledger().turnover()), PRICE.minor());
}

#[tokio::test(start_paused = true)]
async fn a_partial_payment_whose_end_was_not_heard_is_found_again() {
    for (commit, message, exclusive) in [
        // Approved, acknowledged, and the completion lost: what was heard stands.
        (Commit::Keeps, COMPLETION, false),
        (Commit::Reverses, COMPLETION, false),
        // The approval itself lost, at a terminal that is this till's alone.
        (Commit::Keeps, APPROVAL, true),
    ] {
        let mut counter = counter(Profile { commit, ..Profile::default() });
        counter.options.exclusive = exclusive;
        let mut terminal = counter.open().await.expect("registers");
        approve_in_part(&counter);
        counter.sim.with(|s| s.misbehave(cut_before(message)));
        let payment = pay(&mut terminal, "sale").await.expect("an outcome");
        assert!(matches!(payment, Payment::Unknown(_)), "{commit:?} {message}: {payment:?}");
        assert_eq!(counter.entry("sale").expect("journalled").approved.is_some(), message == COMPLETION);
        let (payment, _) = recovered(&mut counter, terminal).await;
        assert_eq!(part(&payment), Some((PART, Some("0417"))), "{commit:?} {message}: {payment:?}");
        assert_eq!((counter.stored(), counter.received(0x0601)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_the_terminal_took_back_is_not_charged() {
    let mut counter = counter(Profile { commit: Commit::Reverses, ..Profile::default() });
    let mut terminal = counter.open().await.expect("registers");
    approve_in_part(&counter);
    counter.sim.with(|s| s.misbehave(Misbehaviour::HangUpAfterApproval));
    assert!(matches!(pay(&mut terminal, "sale").await, Ok(Payment::Unknown(_))));
    let (payment, _) = recovered(&mut counter, terminal).await;
    assert!(matches!(&payment, Payment::NotCharged(not) if not.reason == Reason::Reversed), "{payment:?}");
    assert_eq!(counter.stored(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_terminal_may_not_approve_a_part_it_stays_unknown_until_it_may() {
    let mut counter = counter(Profile { commit: Commit::Keeps, ..Profile::default() });
    counter.options.partial = false;
    let mut terminal = counter.open().await.expect("registers");
    approve_in_part(&counter);
    match pay(&mut terminal, "sale").await.expect("an outcome") {
        Payment::Unknown(unknown) => assert!(unknown.why.contains("2.50 EUR, not 12.50 EUR"), "{}", unknown.why),
        other => panic!("{other:?}"),
    }
    let (payment, terminal) = recovered(&mut counter, terminal).await;
    assert!(matches!(payment, Payment::Unknown(_)), "{payment:?}");
    counter.options.partial = true;
    let (payment, _) = recovered(&mut counter, terminal).await;
    assert_eq!(part(&payment), Some((PART, Some("0417"))));
}
