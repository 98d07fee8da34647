//! A journal that counts its writes, fails at chosen ones, or takes its time.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tresen_hal::{BoxFuture, Error, Kind, Result};

use crate::journal::{Decision, Entry, Intent, Journal, Reference, Transaction};
use crate::memory::MemoryJournal;
use crate::outcome::{Charge, IntentId, Payment};

/// A write to a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// [`Journal::intend`].
    Intend,
    /// [`Journal::approve`].
    Approve,
    /// [`Journal::conclude`].
    Conclude,
    /// [`Journal::settle`].
    Settle,
}

/// A [`MemoryJournal`] with storage that can fail: what was refused is not in it. Reads never fail.
#[derive(Debug, Default)]
pub struct FaultyJournal {
    inner: Arc<MemoryJournal>,
    writes: Mutex<Vec<Write>>,
    fails: Fails,
    slow: bool,
}

#[derive(Debug, Default)]
enum Fails {
    #[default]
    Never,
    Between(Range<usize>),
    At(Write),
}

impl FaultyJournal {
    /// A journal over `inner` that fails at nothing yet.
    pub fn over(inner: Arc<MemoryJournal>) -> Self {
        Self { inner, ..Self::default() }
    }

    /// Fails at these writes, counted from 0, whatever they are.
    #[must_use]
    pub fn failing(mut self, writes: Range<usize>) -> Self {
        self.fails = Fails::Between(writes);
        self
    }

    /// Fails at every write of this kind.
    #[must_use]
    pub fn failing_at(mut self, kind: Write) -> Self {
        self.fails = Fails::At(kind);
        self
    }

    /// Yields to other tasks before and after each write, so that a till can die there.
    #[must_use]
    pub fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// What is in it.
    pub fn memory(&self) -> &MemoryJournal {
        &self.inner
    }

    /// The writes that were asked for so far, oldest first, those that failed as well.
    pub fn writes(&self) -> Vec<Write> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write<T>(&self, kind: Write, write: BoxFuture<'_, Result<T>>) -> Result<T> {
        let nth = {
            let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            writes.push(kind);
            writes.len() - 1
        };
        self.pause().await;
        let fails = match &self.fails {
            Fails::Never => false,
            Fails::Between(range) => range.contains(&nth),
            Fails::At(at) => *at == kind,
        };
        if fails {
            return Err(Error::new(Kind::Storage, "the disk is full"));
        }
        let written = write.await?;
        self.pause().await;
        Ok(written)
    }

    async fn pause(&self) {
        if self.slow {
            tokio::task::yield_now().await;
        }
    }
}

impl Journal for FaultyJournal {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(Write::Intend, self.inner.intend(intent)))
    }

    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(Write::Approve, self.inner.approve(id, charge)))
    }

    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(Write::Conclude, self.inner.conclude(id, payment)))
    }

    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>> {
        Box::pin(self.write(Write::Settle, self.inner.settle(id, decision)))
    }

    fn holder<'a>(&'a self, terminal: &'a str, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>> {
        self.inner.holder(terminal, reference)
    }

    fn ends<'a>(&'a self, terminal: &'a str, operation: &'a Transaction) -> BoxFuture<'a, Result<Vec<Entry>>> {
        self.inner.ends(terminal, operation)
    }

    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        self.inner.find(id)
    }

    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        self.inner.open(terminal)
    }

    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        self.inner.last(terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_faults_it_is_a_journal() {
        super::super::journal(&FaultyJournal::default().slow()).await;
    }
}
