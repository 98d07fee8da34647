//! A journal without a disk: for tests, and for users who keep their own books.

use std::sync::{Mutex, MutexGuard};

use tresen_hal::{BoxFuture, Error, Kind, Result};

use crate::journal::{Entry, Intent, Journal, Reference};
use crate::outcome::{Charge, IntentId, Payment};

/// Keeps entries as long as the process lives. It cannot settle what a crash left open.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    entries: Mutex<Vec<Entry>>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything in it, in the order it was meant.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("no holder of this lock panics")
    }

    fn change(&self, id: &IntentId, change: impl FnOnce(&mut Entry)) -> Result<()> {
        match self.lock().iter_mut().find(|e| e.intent.id == *id) {
            Some(entry) => {
                change(entry);
                Ok(())
            }
            None => Err(Error::new(Kind::Storage, format!("the journal has no intent `{}`", id.0))),
        }
    }
}

impl Journal for MemoryJournal {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut entries = self.lock();
            if entries.iter().any(|e| e.intent.id == intent.id) {
                let what = format!("the journal already has an intent `{}`", intent.id.0);
                return Err(Error::new(Kind::Input, what).hint("each payment needs a key of its own"));
            }
            entries.push(Entry::new(intent.clone(), None, None));
            Ok(())
        })
    }

    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.change(id, |e| e.approved = Some(charge.clone())) })
    }

    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.change(id, |e| e.payment = Some(payment.clone())) })
    }

    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(async move { Ok(self.lock().iter().find(|e| e.intent.id == *id).cloned()) })
    }

    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        Box::pin(async move {
            let entries = self.lock();
            let open = entries.iter().filter(|e| e.intent.terminal == terminal && e.is_open());
            Ok(open.map(|e| e.intent.clone()).collect())
        })
    }

    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        Box::pin(async move {
            let entries = self.lock();
            let stands =
                entries.iter().rev().filter(|e| e.intent.terminal == terminal).find_map(|e| match &e.payment {
                    Some(Payment::Charged(charge)) => Reference::of(charge),
                    _ => None,
                });
            Ok(stands)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Operation;
    use crate::outcome::{NotCharged, Reason};
    use tresen_hal::Amount;

    fn intent(id: &str) -> Intent {
        let at = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
        Intent::new(IntentId(id.into()), "counter", Operation::Payment, Amount::eur(100), at, None)
    }

    #[tokio::test]
    async fn an_approval_leaves_the_intent_open_and_the_last_word_closes_it() {
        let journal = MemoryJournal::new();
        let a = intent("a");
        journal.intend(&a).await.expect("new");
        assert_eq!(journal.intend(&a).await.expect_err("twice").kind(), Kind::Input);
        let mut charge = Charge::new(a.id.clone(), a.amount);
        charge.receipt_number = Some("7".into());
        journal.approve(&a.id, &charge).await.expect("there");
        assert_eq!(journal.open("counter").await.expect("read"), std::slice::from_ref(&a));
        assert_eq!(journal.open("other").await.expect("read"), []);
        journal.conclude(&a.id, &Payment::Unknown(a.id.clone())).await.expect("there");
        assert_eq!(journal.open("counter").await.expect("read").len(), 1, "unknown is open");
        journal.conclude(&a.id, &Payment::Charged(Box::new(charge))).await.expect("there");
        assert_eq!(journal.open("counter").await.expect("read"), []);
        assert_eq!(journal.last("counter").await.expect("read").expect("stands").receipt_number, "7");
        let taken_back = NotCharged::new(a.id.clone(), Reason::Reversed, None, "taken back");
        journal.conclude(&a.id, &Payment::NotCharged(taken_back)).await.expect("there");
        assert_eq!(journal.last("counter").await.expect("read"), None);
        assert_eq!(
            journal.approve(&IntentId("b".into()), &Charge::new(a.id, a.amount)).await.expect_err("none").kind(),
            Kind::Storage
        );
    }
}
