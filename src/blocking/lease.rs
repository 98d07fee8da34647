//! Leases.

use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::Result;

use super::{On, Tresen};
use crate::api::lease as api;
use crate::lease::{self, Grant, Key, Target, Turn, View, Wish};

/// A lease, as [`lease::Lease`].
#[derive(Clone)]
pub struct Lease(pub(super) On<lease::Lease>);

impl Lease {
    /// The target.
    pub fn target(&self) -> &Target {
        self.0.inner.target()
    }

    /// Its number.
    pub fn token(&self) -> u64 {
        self.0.inner.token()
    }

    /// Its key, for calls of another process.
    pub fn key(&self) -> &Key {
        self.0.inner.key()
    }

    /// Who has it.
    pub fn holder(&self) -> &str {
        self.0.inner.holder()
    }

    /// The lease as it was granted.
    pub fn grant(&self) -> &Grant {
        self.0.inner.grant()
    }

    /// The till for calls that depend on this lease.
    pub fn till(&self) -> Tresen {
        Tresen(On { inner: (), till: self.0.inner.till().clone(), threads: self.0.threads.clone() })
    }

    /// Renews it; returns when it expires unless it is renewed again.
    ///
    /// # Errors
    /// As [`lease::Lease::renew`].
    pub fn renew(&self) -> Result<Timestamp> {
        self.0.wait(self.0.inner.renew())
    }

    /// Ends it; false if it had ended before.
    ///
    /// # Errors
    /// As [`lease::Lease::release`].
    pub fn release(self) -> Result<bool> {
        let On { inner, threads, .. } = self.0;
        threads.block_on(inner.release())
    }

    /// Who asks its holder to let go.
    ///
    /// # Errors
    /// As [`lease::Lease::asked`].
    pub fn asked(&self) -> Result<Vec<Wish>> {
        self.0.wait(self.0.inner.asked())
    }
}

/// A place in the queue for a lease, as [`lease::Place`]: it is kept for the time to live after each call.
#[must_use = "a place that is not renewed is lost"]
#[derive(Clone)]
pub struct Place {
    pub(super) on: On<()>,
    pub(super) target: Target,
    pub(super) since: Timestamp,
}

impl Place {
    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Since when it waits.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The place in the queue, or the lease, if it is the caller's by now.
    ///
    /// # Errors
    /// As [`lease::Place::turn`].
    pub fn turn(&self) -> Result<Turn> {
        self.on.ask(api::Queue { target: self.target.clone(), within: None })
    }

    /// The place in the queue, from 1; 0 once the lease is the caller's.
    ///
    /// # Errors
    /// As [`lease::Place::turn`].
    pub fn position(&self) -> Result<usize> {
        Ok(match self.turn()? {
            Turn::Granted(_) => 0,
            Turn::Waiting { place, .. } => place,
        })
    }

    /// The lease that it waits for; `None` once that is the caller's.
    ///
    /// # Errors
    /// As [`lease::Place::turn`].
    pub fn waits_for(&self) -> Result<Option<View>> {
        Ok(match self.turn()? {
            Turn::Granted(_) => None,
            Turn::Waiting { lease, .. } => Some(*lease),
        })
    }

    /// Waits until the lease is the caller's, at most `within`; `None` if it is not by then.
    ///
    /// # Errors
    /// As [`lease::Place::turn`].
    pub fn wait(&self, within: Duration) -> Result<Option<Lease>> {
        let turn = self.on.ask(api::Queue { target: self.target.clone(), within: Some(within) })?;
        Ok(match turn {
            Turn::Granted(grant) => Some(Lease(self.on.beside(lease::Lease::new(&self.on.till, grant)))),
            Turn::Waiting { .. } => None,
        })
    }

    /// Leaves the queue.
    ///
    /// # Errors
    /// As [`lease::Place::leave`].
    pub fn leave(self) -> Result<()> {
        self.on.ask(api::Leave { target: self.target.clone() }).map(drop)
    }
}
