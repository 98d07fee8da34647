//! The handles: a lease, and a place in the queue for one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::Result;

use super::words::{Grant, Key, Target, Turn, View, Wish};
use super::{Leases, RENEW_EVERY};
use crate::tresen::Tresen;

/// A lease of the caller. Dropping the handle does not end it: [release](Lease::release) it, or let it expire.
#[derive(Clone)]
pub struct Lease {
    till: Tresen,
    grant: Grant,
}

impl Lease {
    pub(crate) fn new(till: &Tresen, grant: Grant) -> Self {
        Self { till: till.with_lease(&grant.key), grant }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.grant.key.target
    }

    /// Its number, which grows from lease to lease of one target.
    pub fn token(&self) -> u64 {
        self.grant.key.token
    }

    /// Its key, for calls of another process: [`Tresen::with_lease`].
    pub fn key(&self) -> &Key {
        &self.grant.key
    }

    /// Who has it.
    pub fn holder(&self) -> &str {
        &self.grant.holder
    }

    /// The lease as it was granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The till for calls that depend on this lease: once it has ended, they are refused with
    /// [`Kind::Cancelled`](crate::Kind::Cancelled).
    pub fn till(&self) -> &Tresen {
        &self.till
    }

    /// Renews it; returns when it expires unless it is renewed again. Every call of its holder renews it, too.
    ///
    /// # Errors
    /// [`Kind::Cancelled`](crate::Kind::Cancelled): it has ended; the error says how. [`Kind::Storage`](crate::Kind).
    pub async fn renew(&self) -> Result<Timestamp> {
        Ok(self.till.renew_lease(self.target()).await?.until)
    }

    /// Ends it; a running transaction keeps it until its end. False if it had ended before.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::Kind): the lease of a sale stays, and expires.
    pub async fn release(self) -> Result<bool> {
        self.till.release_lease(self.target()).await
    }

    /// Who asks its holder to let go, in order.
    ///
    /// # Errors
    /// As [`Lease::renew`], without renewing it.
    pub async fn asked(&self) -> Result<Vec<Wish>> {
        self.till.wishes(self.target()).await
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.grant).finish()
    }
}

/// A place in the queue for a lease. Dropping it leaves the queue; once [`Place::turn`] has returned the lease, dropping
/// it changes nothing.
///
/// It is kept while [`Place::wait`] waits, and otherwise for the time to live after each [`Place::turn`].
#[must_use = "dropping a place leaves the queue"]
pub struct Place {
    till: Tresen,
    target: Target,
    /// Who has to leave the queue when this is dropped; `None` if that was never needed.
    waits: Option<String>,
    /// The caller knows that the lease is its own: dropping the place does not end it any more.
    settled: AtomicBool,
    since: Timestamp,
}

impl Place {
    pub(super) fn new(till: &Tresen, target: Target, name: &str, turn: &Turn) -> Self {
        let (waits, since) = match turn {
            Turn::Granted(grant) => (None, grant.since),
            Turn::Waiting { since, .. } => (Some(name.to_owned()), *since),
        };
        Self { till: till.clone(), target, waits, settled: AtomicBool::new(false), since }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Since when it waits.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The place in the queue and the lease it waits for, or the lease, if it is the caller's by now. Renews the place.
    ///
    /// # Errors
    /// The sale is no longer open, or the database cannot be used.
    pub async fn turn(&self) -> Result<Turn> {
        let turn = self.till.queue_turn(&self.target).await?;
        self.settled.store(matches!(turn, Turn::Granted(_)), Ordering::Relaxed);
        Ok(turn)
    }

    /// The place in the queue, from 1; 0 once the lease is the caller's.
    ///
    /// # Errors
    /// As [`Place::turn`].
    pub async fn position(&self) -> Result<usize> {
        Ok(match self.turn().await? {
            Turn::Granted(_) => 0,
            Turn::Waiting { place, .. } => place,
        })
    }

    /// The lease that it waits for; `None` once that is the caller's.
    ///
    /// # Errors
    /// As [`Place::turn`].
    pub async fn waits_for(&self) -> Result<Option<View>> {
        Ok(match self.turn().await? {
            Turn::Granted(_) => None,
            Turn::Waiting { lease, .. } => Some(*lease),
        })
    }

    /// Waits until the lease is the caller's. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// As [`Place::turn`].
    pub async fn wait(self) -> Result<Lease> {
        let moved = self.leases().moved(&self.target);
        let renew = RENEW_EVERY.min(self.leases().ttl() / 3).max(Duration::from_millis(1));
        loop {
            let news = moved.notified();
            if let Turn::Granted(grant) = self.turn().await? {
                return Ok(Lease::new(&self.till, grant));
            }
            tokio::time::timeout(renew, news).await.ok();
        }
    }

    /// Leaves the queue.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::Kind): the place stays, and expires.
    pub async fn leave(mut self) -> Result<()> {
        self.waits = None;
        self.till.leave_queue(&self.target).await.map(drop)
    }

    fn leases(&self) -> &Leases {
        &self.till.0.leases
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(name) = self.waits.take().filter(|_| !*self.settled.get_mut()) else { return };
        let (leases, target) = (self.leases().clone(), self.target.clone());
        leases.abandon(target, name);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("target", &self.target).field("since", &self.since).finish_non_exhaustive()
    }
}
