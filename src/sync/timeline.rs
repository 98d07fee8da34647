//! Agreeing with the server on what it has, and finding the place where the two histories differ.

use tresen_hal::{Error, Kind, Result, Retry};

use super::bounded;
use super::gap::{Gap, continue_after};
use super::task::{ANSWER, Task};
use super::upstream::{Ack, Hello, Welcome};
use crate::event::{EventKind, Source};
use crate::health::ClockOffset;
use crate::manager::lock;
use crate::store::outbox::{EpochRange, Outbox};

/// An epoch in which the server has lines that this till does not have.
struct Fork {
    range: EpochRange,
    /// The last common line.
    common: i64,
}

impl Task {
    /// Says hello, and resolves what the two sides disagree on. Returns the line after which to send.
    pub(super) async fn agree(&mut self) -> Result<i64> {
        for _ in 0..ROUNDS {
            let outbox = self.store.outbox().await?;
            let hello = Hello {
                till: self.store.till().to_owned(),
                name: self.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                at: self.store.time(),
            };
            let Welcome { acks, clock } = bounded(ANSWER, self.upstream.hello(&hello)).await?;
            if let Some(ack) = acks.iter().find(|ack| !ack.is_possible()) {
                let what = format!("the server's answer is not possible: {ack:?}");
                return Err(Error::new(Kind::Protocol, what).with_retry(Retry::AfterOperator));
            }
            if let Some(clock) = clock {
                let at = self.store.time();
                lock(&self.heard).clock = Some(ClockOffset { seconds: clock.duration_since(at).as_secs(), at });
            }
            let Some(fork) = self.fork(&outbox, &acks).await? else {
                return self.resume(&outbox, &acks).await;
            };
            self.leave(&outbox, &acks, fork).await?;
        }
        let what = "the server's entries of this till keep changing";
        let error = Error::new(Kind::Protocol, what).with_retry(Retry::AfterOperator);
        Err(error.hint("another till seems to run on a copy of the same database: stop one of them"))
    }

    /// Gives the lines after the last common one a new epoch, and tells a person.
    async fn leave(&mut self, outbox: &Outbox, acks: &[Ack], fork: Fork) -> Result<()> {
        let known = outbox.epochs.iter().map(|range| range.epoch).chain(acks.iter().map(|ack| ack.epoch));
        let epoch = known.max().unwrap_or(0) + 1;
        let why = "the server has entries that this database does not have: a backup was restored, the database was \
                   copied, or something else wrote under this till's id";
        self.store.rekey(fork.range, fork.common, epoch, why).await?;
        tracing::warn!(epoch, after = fork.common, "{why}");
        self.bus.publish(Source::Till, EventKind::RestoreFound { epoch, after: fork.common });
        Ok(())
    }

    /// The line after which to send: the end of what the server has without gaps.
    async fn resume(&mut self, outbox: &Outbox, acks: &[Ack]) -> Result<i64> {
        let (mut sent, mut at) = (0, None);
        for range in &outbox.epochs {
            let through = acks.iter().find(|ack| ack.epoch == range.epoch).map_or(0, |ack| ack.through);
            sent = through.clamp(range.first - 1, range.last.max(range.first - 1));
            at = Some(range.epoch);
            if through < range.last {
                break;
            }
        }
        self.gap = outbox.gap.filter(|gap| Some(gap.epoch) == at && gap.after == sent && sent + 1 < outbox.oldest);
        if self.gap.is_some() {
            lock(&self.heard).lacks = None;
            let has = async |seq| self.has(outbox, seq).await;
            return continue_after(&self.store, outbox.oldest, outbox.acknowledged, has).await;
        }
        self.store.acknowledge(sent).await?;
        let lacks = sent + 1 < outbox.oldest;
        let gap = |epoch| Gap { epoch, after: sent, before: outbox.oldest };
        lock(&self.heard).lacks = at.filter(|_| lacks).map(gap);
        if lacks {
            // The server was set back to before lines that this till has removed since.
            let (after, before) = (sent, outbox.oldest);
            if self.told.insert((after, before)) {
                tracing::error!(after, before, "the server lacks entries that this till no longer has");
                self.bus.publish(Source::Till, EventKind::ServerLacks { after, before });
            }
            return Ok(outbox.oldest - 1);
        }
        Ok(sent)
    }

    /// Whether the server has this line of ours.
    async fn has(&self, outbox: &Outbox, seq: i64) -> Result<bool> {
        let Some(range) = outbox.epochs.iter().find(|range| (range.first..=range.last).contains(&seq)) else {
            return Ok(false);
        };
        let theirs = bounded(ANSWER, self.upstream.hash_at(self.store.till(), range.epoch, seq)).await?;
        Ok(theirs.is_some() && theirs == self.store.hash_at(seq).await?)
    }

    /// The first epoch in which the server has something else than this till.
    async fn fork(&self, outbox: &Outbox, acks: &[Ack]) -> Result<Option<Fork>> {
        for (i, &range) in outbox.epochs.iter().enumerate() {
            let Some(ack) = acks.iter().find(|ack| ack.epoch == range.epoch) else { continue };
            let current = i + 1 == outbox.epochs.len();
            if !current && range.last <= outbox.acknowledged.min(ack.through) {
                continue;
            }
            // It begins with the first line sent of it: the first one, or the oldest that was left.
            if ack.first < range.first || ack.first > range.first.max(outbox.oldest) {
                return Ok(Some(Fork { range, common: range.first - 1 }));
            }
            // After a restore that was announced, the server has more of the epoch before it.
            let ahead = current && ack.through > range.last;
            let at = ack.through.min(range.last);
            if at >= range.first.max(outbox.oldest) && !self.same(ack, at).await? {
                return Ok(Some(Fork { range, common: self.last_common(outbox, range, ack, at).await? }));
            }
            if ahead {
                return Ok(Some(Fork { range, common: range.last }));
            }
        }
        Ok(None)
    }

    /// The last line that both have, before the line `differs`. Once two journals differ, so do all later hashes.
    async fn last_common(&self, outbox: &Outbox, range: EpochRange, ack: &Ack, differs: i64) -> Result<i64> {
        let mut same = range.first.max(outbox.oldest) - 1;
        let mut differs = differs;
        while same + 1 < differs {
            let middle = same + (differs - same) / 2;
            if self.same(ack, middle).await? { same = middle } else { differs = middle }
        }
        Ok(same)
    }

    /// Whether the server has the same journal up to this line.
    async fn same(&self, ack: &Ack, seq: i64) -> Result<bool> {
        let theirs = match ack.hash {
            Some(hash) if seq == ack.through => Some(hash),
            _ => bounded(ANSWER, self.upstream.hash_at(self.store.till(), ack.epoch, seq)).await?,
        };
        Ok(theirs.is_some() && theirs == self.store.hash_at(seq).await?)
    }
}

/// How often the histories may turn out to differ in a row: each time resolves one epoch.
const ROUNDS: usize = 8;
