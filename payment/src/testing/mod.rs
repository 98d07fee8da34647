//! For tests: the contract of [`Journal`], which each implementation runs, and a journal that fails on request.

mod faulty;

use jiff::Timestamp;
use tresen_hal::{Amount, Kind, Result};

use crate::journal::{Decision, Intent, Journal, Reference, Transaction};
use crate::outcome::{Charge, IntentId, NotCharged, Payment, Reason};

pub use faulty::{FaultyJournal, Write};

/// Runs a journal through everything that the trait promises. It has to be empty at first; the
/// terminals are called `counter` and `bar`.
///
/// # Panics
/// Where the journal does something else; the message says what.
pub async fn journal(journal: &dyn Journal) {
    an_intent_is_written_once(journal).await;
    the_outcome_follows_the_approval(journal).await;
    a_late_unknown_changes_nothing(journal).await;
    one_receipt_stands_for_one_intent(journal).await;
    a_person_settles_what_is_open_and_only_that(journal).await;
    the_newest_charge_of_a_terminal_is_its_last(journal).await;
    a_part_is_never_taken_for_the_whole(journal).await;
    what_ends_a_transaction_is_found_by_every_name_of_it(journal).await;
}

async fn an_intent_is_written_once(journal: &dyn Journal) {
    let a = intent("once", "counter");
    journal.intend(&a).await.expect("a new intent");
    refused(journal.intend(&a).await, "already has an intent");
    let entry = journal.find(&a.id).await.expect("read").expect("it was written");
    assert_eq!((entry.intent, entry.approved, entry.payment, entry.decision), (a.clone(), None, None, None));
    assert_eq!(open(journal, "counter").await, ["once"]);
    assert!(open(journal, "bar").await.is_empty(), "another terminal's intents are its own");
    assert_eq!(journal.find(&IntentId("nobody".into())).await.expect("read"), None);
    let nobody = IntentId("nobody".into());
    let missing = journal.approve(&nobody, &charge("nobody", 1)).await.expect_err("no such intent");
    assert_eq!(missing.kind(), Kind::Storage);
    conclude(journal, &not_charged("once", Reason::Declined)).await.expect("concluded");
    assert!(open(journal, "counter").await.is_empty());
}

async fn the_outcome_follows_the_approval(journal: &dyn Journal) {
    journal.intend(&intent("approved", "counter")).await.expect("a new intent");
    journal.approve(&IntentId("approved".into()), &charge("approved", 10)).await.expect("approved");
    assert_eq!(open(journal, "counter").await, ["approved"], "an approval leaves it open");
    let mut with_slip = charge("approved", 10);
    with_slip.customer_slip = vec!["line".into()];
    journal.approve(&with_slip.intent, &with_slip).await.expect("approved again with its slip");
    conclude(journal, &Payment::unknown(&with_slip.intent, "the link was lost")).await.expect("unknown");
    assert_eq!(open(journal, "counter").await, ["approved"], "unknown is open");
    conclude(journal, &Payment::unknown(&with_slip.intent, "the link was lost again")).await.expect("unknown");
    conclude(journal, &Payment::Charged(Box::new(with_slip.clone()))).await.expect("a result follows unknown");
    conclude(journal, &Payment::Charged(Box::new(with_slip.clone()))).await.expect("the same again");
    refused(conclude(journal, &charged("approved", 11)).await, "receipt=0010");
    refused(conclude(journal, &not_charged("approved", Reason::Declined)).await, "receipt=0010");
    let late = journal.approve(&with_slip.intent, &with_slip).await;
    refused(late, "charged");
    let entry = journal.find(&with_slip.intent).await.expect("read").expect("there");
    assert_eq!(entry.payment, Some(Payment::Charged(Box::new(with_slip.clone()))));
    assert_eq!(entry.approved, Some(with_slip));
    assert_eq!(holder(journal, "counter", 10).await.as_deref(), Some("approved"));
    conclude(journal, &not_charged("approved", Reason::Reversed)).await.expect("the terminal reversed it");
    refused(conclude(journal, &charged("approved", 10)).await, "not charged");
    assert_eq!(holder(journal, "counter", 10).await, None, "what was reversed holds nothing");
}

async fn a_late_unknown_changes_nothing(journal: &dyn Journal) {
    for (id, end) in [("late-1", charged("late-1", 20)), ("late-2", not_charged("late-2", Reason::NotFound))] {
        journal.intend(&intent(id, "counter")).await.expect("a new intent");
        conclude(journal, &end).await.expect("concluded");
        refused(conclude(journal, &Payment::unknown(&IntentId(id.into()), "late")).await, "has ended already");
        let entry = journal.find(&IntentId(id.into())).await.expect("read").expect("there");
        assert_eq!(entry.payment, Some(end), "the first word stands");
    }
}

async fn one_receipt_stands_for_one_intent(journal: &dyn Journal) {
    for id in ["first", "second", "nameless-1", "nameless-2"] {
        journal.intend(&intent(id, "counter")).await.expect("a new intent");
    }
    journal.approve(&IntentId("first".into()), &charge("first", 30)).await.expect("approved");
    assert_eq!(holder(journal, "counter", 30).await.as_deref(), Some("first"), "an open approval holds its receipt");
    let second = IntentId("second".into());
    refused(journal.approve(&second, &charge("second", 30)).await, "`first`");
    refused(conclude(journal, &charged("second", 30)).await, "`first`");
    conclude(journal, &charged("first", 30)).await.expect("concluded");
    refused(conclude(journal, &charged("second", 30)).await, "`first`");
    let entry = journal.find(&second).await.expect("read").expect("there");
    assert_eq!((entry.approved, entry.payment), (None, None), "nothing of it was written");
    conclude(journal, &charged("second", 31)).await.expect("another receipt");
    // Another terminal with the same id counts by itself.
    journal.intend(&intent("elsewhere", "terrace")).await.expect("a new intent");
    conclude(journal, &charged("elsewhere", 30)).await.expect("another terminal's receipt");
    let there = journal.holder("terrace", &reference(30)).await.expect("read").map(|id| id.0);
    assert_eq!((there.as_deref(), holder(journal, "counter", 30).await.as_deref()), (Some("elsewhere"), Some("first")));
    // Without a trace number two receipts cannot be told apart, so neither holds anything.
    let nameless = Reference::new("zvt").with("receipt", "0032");
    assert_eq!(journal.holder("counter", &nameless).await.expect("read"), None);
    for id in ["nameless-1", "nameless-2"] {
        let mut charge = charge(id, 32);
        charge.reference = Some(nameless.clone());
        conclude(journal, &Payment::Charged(Box::new(charge))).await.expect("concluded");
    }
    assert_eq!(journal.holder("counter", &nameless).await.expect("read"), None);
    assert!(open(journal, "counter").await.is_empty());
}

async fn a_person_settles_what_is_open_and_only_that(journal: &dyn Journal) {
    let yes = Decision::charged(Amount::eur(100), "Ada", "the customer's slip").with_reference(reference(40));
    let no = Decision::not_charged("Ada", "not in the terminal's journal");
    let ended = journal.settle(&IntentId("first".into()), &no).await.map(drop);
    refused(ended, "receipt=0030");
    for id in ["by-hand-1", "by-hand-2", "by-hand-3"] {
        journal.intend(&intent(id, "counter")).await.expect("a new intent");
    }
    let [one, two, three] = ["by-hand-1", "by-hand-2", "by-hand-3"].map(|id| IntentId(id.into()));
    for (by, reason) in [("", "a reason"), ("Ada", ""), (" ", "a reason"), ("Ada", "\t")] {
        refused(journal.settle(&one, &Decision::not_charged(by, reason)).await.map(drop), "name and a reason");
    }
    conclude(journal, &Payment::unknown(&one, "the terminal was replaced")).await.expect("unknown");
    let settled = journal.settle(&one, &yes).await.expect("settled");
    assert_eq!(settled.decision.as_ref(), Some(&yes));
    assert_eq!(settled.payment, Some(Payment::unknown(&one, "the terminal was replaced")), "what was known stays");
    assert!(!settled.is_open());
    assert!(matches!(settled.outcome(), Some(Payment::Charged(c)) if c.amount == Amount::eur(100)));
    assert_eq!(journal.find(&one).await.expect("read"), Some(settled));
    assert_eq!(open(journal, "counter").await, ["by-hand-2", "by-hand-3"]);
    assert_eq!(holder(journal, "counter", 40).await.as_deref(), Some("by-hand-1"));
    refused(journal.settle(&one, &no).await.map(drop), "settled by Ada");
    // Recovery never overwrites a person.
    refused(conclude(journal, &not_charged("by-hand-1", Reason::NotFound)).await, "settled by Ada");
    refused(conclude(journal, &charged("by-hand-1", 41)).await, "settled by Ada");
    refused(journal.approve(&one, &charge("by-hand-1", 41)).await, "settled by Ada");
    refused(journal.settle(&two, &yes).await.map(drop), "`by-hand-1`");
    refused(conclude(journal, &charged("by-hand-2", 40)).await, "`by-hand-1`");
    journal.approve(&two, &charge("by-hand-2", 42)).await.expect("approved");
    let settled = journal.settle(&two, &no).await.expect("settled");
    assert!(matches!(settled.outcome(), Some(Payment::NotCharged(n)) if n.reason == Reason::Settled));
    assert_eq!(holder(journal, "counter", 42).await, None, "what is settled as not charged holds nothing");
    journal.settle(&three, &Decision::charged(Amount::eur(50), "Ada", "half of it")).await.expect("settled");
    assert!(open(journal, "counter").await.is_empty());
    let missing = journal.settle(&IntentId("nobody".into()), &no).await.expect_err("no such intent");
    assert_eq!(missing.kind(), Kind::Storage);
}

async fn the_newest_charge_of_a_terminal_is_its_last(journal: &dyn Journal) {
    assert_eq!(journal.last("bar").await.expect("read"), None);
    for (id, receipt) in [("bar-1", 50), ("bar-2", 51), ("bar-3", 52)] {
        journal.intend(&intent(id, "bar")).await.expect("a new intent");
        conclude(journal, &charged(id, receipt)).await.expect("concluded");
        assert_eq!(journal.last("bar").await.expect("read"), Some(reference(receipt)));
    }
    conclude(journal, &not_charged("bar-3", Reason::Reversed)).await.expect("the terminal reversed it");
    assert_eq!(journal.last("bar").await.expect("read"), Some(reference(51)));
    let four = intent("bar-4", "bar");
    journal.intend(&four).await.expect("a new intent");
    let by_hand = Decision::charged(Amount::eur(100), "Ada", "slip").with_reference(reference(53));
    journal.settle(&four.id, &by_hand).await.expect("settled");
    assert_eq!(journal.last("bar").await.expect("read"), Some(reference(53)), "a decision counts as well");
}

async fn a_part_is_never_taken_for_the_whole(journal: &dyn Journal) {
    let part = |id: &str, minor| {
        let mut charge = charge(id, 60);
        charge.amount = Amount::eur(minor);
        Box::new(charge)
    };
    journal.intend(&intent("part", "bar")).await.expect("a new intent");
    refused(conclude(journal, &Payment::Charged(part("part", 99))).await, "not all of 1.00 EUR");
    refused(conclude(journal, &Payment::Partial(part("part", 100))).await, "not a part of 1.00 EUR");
    assert!(open(journal, "bar").await.contains(&"part".to_owned()), "nothing of it was written");
    let partial = Payment::Partial(part("part", 99));
    conclude(journal, &partial).await.expect("a part");
    conclude(journal, &partial).await.expect("the same again");
    refused(conclude(journal, &Payment::Partial(part("part", 98))).await, "charged 0.99 EUR");
    let entry = journal.find(&IntentId("part".into())).await.expect("read").expect("there");
    assert_eq!((entry.is_open(), entry.outcome()), (false, Some(partial)));
    assert_eq!(holder(journal, "bar", 60).await.as_deref(), Some("part"), "it holds its receipt");
    assert_eq!(journal.last("bar").await.expect("read"), Some(reference(60)), "and is the last charge");
    conclude(journal, &not_charged("part", Reason::Reversed)).await.expect("the terminal reversed it");
    assert_eq!(holder(journal, "bar", 60).await, None);
    journal.intend(&intent("part by hand", "bar")).await.expect("a new intent");
    let decision = Decision::charged(Amount::eur(40), "Ada", "the slip says 0.40");
    let settled = journal.settle(&IntentId("part by hand".into()), &decision).await.expect("settled");
    assert!(matches!(settled.outcome(), Some(Payment::Partial(c)) if c.amount == Amount::eur(40)), "{settled:?}");
}

async fn what_ends_a_transaction_is_found_by_every_name_of_it(journal: &dyn Journal) {
    let book = |of: &Reference| Transaction::Booking { reference: of.clone() };
    let slip = Reference::new("zvt").with("receipt", "0070");
    let part = reference(70).with("batch", "7").unique();
    let begun = |id: &str, operation| {
        let mut intent = intent(id, "counter");
        intent.operation = operation;
        intent
    };
    // A pre-authorisation and a payment of an earlier day under one receipt number, and another pre-authorisation.
    let numbered = |id: &str, receipt: u16, reference: &Reference| {
        let mut charge = charge(id, receipt);
        charge.receipt_number = Some(format!("{receipt:04}"));
        charge.reference = Some(reference.clone());
        Payment::Charged(Box::new(charge))
    };
    let earlier = slip.clone().with("terminal", "60000001").with("trace", "000001").unique();
    for (id, operation, of) in [
        ("held before", Transaction::PreAuthorisation, &earlier),
        ("held", Transaction::PreAuthorisation, &reference(70)),
        ("paid", Transaction::Payment, &slip.clone().with("terminal", "60000001").with("trace", "000002").unique()),
    ] {
        journal.intend(&begun(id, operation)).await.expect("a new intent");
        conclude(journal, &numbered(id, 70, of)).await.expect("concluded");
    }
    for of in [&slip, &reference(70), &earlier] {
        assert_eq!(ends(journal, &book(of)).await, [""; 0], "{of}");
    }
    journal.intend(&begun("booked before", book(&earlier))).await.expect("a new intent");
    journal.intend(&begun("booked", book(&reference(70)))).await.expect("a new intent");
    journal.intend(&begun("released", Transaction::Release { reference: slip.clone() })).await.expect("a new intent");
    conclude(journal, &not_charged("booked", Reason::Declined)).await.expect("concluded");
    // By its whole name, by the receipt number of the newest, and with what is no part of its name.
    for of in [&reference(70), &slip, &reference(70).with_fact("held", "1.00 EUR")] {
        assert_eq!(ends(journal, &book(of)).await, ["booked", "released"], "{of}");
    }
    assert_eq!(ends(journal, &book(&earlier)).await, ["booked before"]);
    let reversal = Transaction::Reversal { reference: slip.clone() };
    assert_eq!(ends(journal, &reversal).await, [""; 0], "the newest is the payment");
    assert_eq!(ends(journal, &Transaction::Tip { reference: reference(70) }).await, ["booked", "released"]);
    assert_eq!(ends(journal, &Transaction::Payment).await, [""; 0]);
    // Fields that the terminal did not tell are another transaction's; what the journal does not have is named by its fields.
    for of in [&part, &Reference::new("opi").with("stan", "000070"), &Reference::new("zvt").with("receipt", "0071")] {
        assert_eq!(ends(journal, &book(of)).await, [""; 0], "{of}");
        let id = format!("of {of}");
        journal.intend(&begun(&id, book(of))).await.expect("a new intent");
        assert_eq!(ends(journal, &book(of)).await, [id.as_str()], "{of}");
    }
    // Another terminal's transactions are its own.
    let elsewhere = journal.ends("terrace", &book(&reference(70))).await.expect("read");
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    for id in ["booked before", "released"] {
        conclude(journal, &not_charged(id, Reason::Declined)).await.expect("concluded");
    }
}

async fn ends(journal: &dyn Journal, operation: &Transaction) -> Vec<String> {
    journal.ends("counter", operation).await.expect("read").into_iter().map(|end| end.intent.id.0).collect()
}

fn intent(id: &str, terminal: &str) -> Intent {
    let at = Timestamp::from_second(1_767_340_800).expect("in range");
    Intent::new(IntentId(id.into()), terminal, Transaction::Payment, Amount::eur(100), at, None)
}

fn reference(receipt: u16) -> Reference {
    let number = |width: usize| format!("{receipt:0width$}");
    Reference::new("zvt").with("terminal", "60000001").with("receipt", number(4)).with("trace", number(6)).unique()
}

fn charge(id: &str, receipt: u16) -> Charge {
    let mut charge = Charge::new(IntentId(id.into()), Amount::eur(100));
    charge.reference = Some(reference(receipt));
    charge
}

fn charged(id: &str, receipt: u16) -> Payment {
    Payment::Charged(Box::new(charge(id, receipt)))
}

fn not_charged(id: &str, reason: Reason) -> Payment {
    Payment::NotCharged(NotCharged::new(IntentId(id.into()), reason, None, "no money moved"))
}

async fn conclude(journal: &dyn Journal, payment: &Payment) -> Result<()> {
    journal.conclude(payment.intent(), payment).await
}

async fn open(journal: &dyn Journal, terminal: &str) -> Vec<String> {
    journal.open(terminal).await.expect("read").into_iter().map(|intent| intent.id.0).collect()
}

async fn holder(journal: &dyn Journal, terminal: &str, receipt: u16) -> Option<String> {
    journal.holder(terminal, &reference(receipt)).await.expect("read").map(|id| id.0)
}

/// The journal says no with [`Kind::Input`], and its words contain `part`.
#[track_caller]
fn refused(result: Result<()>, part: &str) {
    let error = result.expect_err("it must be refused");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert!(error.to_string().contains(part), "{error}, not {part}");
}
