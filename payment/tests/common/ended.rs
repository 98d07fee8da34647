//! What a terminal has booked, released or reversed, or may have, is not asked of it again: for all protocols' tests.

use tresen_hal::{Effect, Kind};
use tresen_payment::{
    Decision, Host, Intent, Journal as _, MemoryJournal, Operation, Payment, Request, Terminal, Unknown,
};

/// `end` and `other` end the same transaction, which stands, under the key they are given; `sent` counts the requests that
/// end one. `name` is part of the keys.
pub(crate) async fn is_ended_once(
    terminal: &mut dyn Terminal,
    journal: &MemoryJournal,
    name: &str,
    end: impl Fn(&str) -> Operation,
    other: impl Fn(&str) -> Operation,
    sent: impl Fn() -> usize,
) {
    let [lost, meanwhile, once, twice] = ["lost", "meanwhile", "once", "twice"].map(|key| format!("{name}, {key}"));
    let before = sent();
    in_doubt(journal, end(&lost)).await;
    for operation in [end(&meanwhile), other(&meanwhile)] {
        let error = terminal.transact(operation, Host::none()).await.expect_err("it may have ended");
        assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
        assert!(error.what().contains(&format!("by `{lost}` is being settled")), "{error}");
        assert!(error.next_step().is_some_and(|step| step.contains("recover")), "{error:?}");
    }
    assert_eq!(sent(), before, "{name}: nothing was sent");
    let decision = Decision::not_charged("Ada", "not in the terminal's list");
    journal.settle(&tresen_payment::IntentId(lost), &decision).await.expect("it is open");

    let ended = terminal.transact(end(&once), Host::none()).await.expect("an outcome").payment().expect("a payment");
    assert!(matches!(ended, Payment::Charged(_)), "what failed does not count: {ended:?}");
    let same = terminal.transact(end(&once), Host::none()).await.expect("from the journal").payment();
    assert_eq!((same.expect("a payment"), sent()), (ended, before + 1), "{name}");
    for operation in [end(&twice), other(&twice)] {
        let error = terminal.transact(operation, Host::none()).await.expect_err("it has ended");
        assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
        assert!(error.what().contains(&format!("by `{once}`")), "{error}");
    }
    assert_eq!(sent(), before + 1, "{name}: nothing was sent");
    let journalled = journal.entries().iter().any(|e| e.intent.id.0 == meanwhile || e.intent.id.0 == twice);
    assert!(!journalled, "{name}: what was refused is not in the journal");
}

/// It was sent, and the terminal that was asked about it could not tell.
async fn in_doubt(journal: &MemoryJournal, operation: Operation) {
    let (operation, Request { intent: id, amount, .. }) = operation.into_transaction().expect("it moves money");
    let at = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
    journal.intend(&Intent::new(id.clone(), "counter", operation, amount, at, None)).await.expect("a new key");
    let mut unknown = Unknown::new(id.clone(), "the terminal cannot tell");
    unknown.asked = true;
    journal.conclude(&id, &Payment::Unknown(unknown)).await.expect("it is open");
}
