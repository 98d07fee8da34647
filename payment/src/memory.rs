//! A journal without a disk: for tests, and for users who keep their own books.

use std::sync::{Mutex, MutexGuard};

use tresen_hal::{BoxFuture, Error, Kind, Result};

use crate::journal::{Decision, Entry, Intent, Journal, Reference, Transaction, held};
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

    /// Changes an entry if `allowed` and nobody else holds what it would hold then.
    fn change(
        &self,
        id: &IntentId,
        allowed: impl FnOnce(&Entry) -> Result<()>,
        change: impl FnOnce(&mut Entry),
    ) -> Result<Entry> {
        let mut entries = self.lock();
        let Some(at) = entries.iter().position(|e| e.intent.id == *id) else {
            return Err(Error::new(Kind::Storage, format!("the journal has no intent `{}`", id.0)));
        };
        allowed(&entries[at])?;
        let mut changed = entries[at].clone();
        change(&mut changed);
        if let Some(reference) = changed.holds()
            && let Some(other) = holder(&entries, &changed.intent.terminal, &reference).filter(|other| other != id)
        {
            return Err(held(&reference, &other));
        }
        entries[at] = changed.clone();
        Ok(changed)
    }
}

fn holder(entries: &[Entry], terminal: &str, reference: &Reference) -> Option<IntentId> {
    let key = reference.key()?;
    let holds = |e: &&Entry| e.intent.terminal == terminal && e.holds().and_then(|r| r.key()).is_some_and(|k| k == key);
    entries.iter().find(holds).map(|e| e.intent.id.clone())
}

/// The place of what `operation` names.
fn original(entries: &[Entry], terminal: &str, operation: &Transaction) -> Option<usize> {
    let reference = operation.of()?;
    let can = |e: &Entry| e.intent.terminal == terminal && operation.can_name(&e.intent.operation);
    let written = |e: &Entry| e.holds().map(|held| held.to_string());
    let held = reference.key().and_then(|key| entries.iter().position(|e| can(e) && written(e).as_ref() == Some(&key)));
    held.or_else(|| entries.iter().rposition(|e| can(e) && written(e).is_some_and(|written| reference.fits(&written))))
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
        Box::pin(
            async move { self.change(id, Entry::may_be_approved, |e| e.approved = Some(charge.clone())).map(drop) },
        )
    }

    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.change(id, |e| e.may_conclude(payment), |e| e.payment = Some(payment.clone())).map(drop)
        })
    }

    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>> {
        Box::pin(async move { self.change(id, |e| e.may_settle(decision), |e| e.decision = Some(decision.clone())) })
    }

    fn holder<'a>(&'a self, terminal: &'a str, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>> {
        Box::pin(async move { Ok(holder(&self.lock(), terminal, reference)) })
    }

    fn ends<'a>(&'a self, terminal: &'a str, operation: &'a Transaction) -> BoxFuture<'a, Result<Vec<Entry>>> {
        Box::pin(async move {
            let entries = self.lock();
            let named = original(&entries, terminal, operation);
            let same = |(at, end): &(usize, &Entry)| {
                let of = original(&entries[..*at], terminal, &end.intent.operation);
                let ends = end.intent.terminal == terminal && end.intent.operation.is_end();
                let same =
                    || end.intent.operation.of().map(|of| of.to_string()) == operation.of().map(|of| of.to_string());
                ends && of == named && (named.is_some() || same())
            };
            Ok(entries.iter().enumerate().filter(same).map(|(_, end)| end.clone()).collect())
        })
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
            let mut newest = entries.iter().rev().filter(|e| e.intent.terminal == terminal);
            let stands = newest.find_map(|e| e.outcome()?.into_charge()).map(|charge| charge.reference);
            Ok(stands.flatten())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_what_every_journal_promises() {
        crate::testing::journal(&MemoryJournal::new()).await;
    }
}
