//! Runs calls from outside, whichever transport carries them.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tresen_hal::{Error, Kind, Result};

use super::call::Call;
use crate::event::Events;
use crate::lease;
use crate::store::Origin;
use crate::tresen::Tresen;

/// How a call is run: on whose behalf, depending on which leases, until when.
///
/// ```no_run
/// # async fn till_info(till: tresen::Tresen) -> tresen::Result<()> {
/// use tresen::api::{Call, Dispatch};
///
/// let call = Call::read("till.info", serde_json::Value::Null)?;
/// let done = Dispatch::new(&till, call).on_behalf_of("handheld 7").run().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dispatch {
    call: Call,
    till: Tresen,
    gone: Option<watch::Receiver<()>>,
}

impl Dispatch {
    /// A call of the program itself.
    pub fn new(till: &Tresen, call: Call) -> Self {
        Self { call, till: till.clone(), gone: None }
    }

    /// Makes it on behalf of `origin`: [`Tresen::on_behalf_of`].
    #[must_use]
    pub fn on_behalf_of(self, origin: impl Into<Origin>) -> Self {
        Self { till: self.till.on_behalf_of(origin), ..self }
    }

    /// Refuses it once one of these leases has ended.
    #[must_use]
    pub fn with_leases(self, keys: &[lease::Key]) -> Self {
        Self { till: self.till.with_leases(keys), ..self }
    }

    /// Aborts the transactions that it begins when `abort` becomes true.
    #[must_use]
    pub fn aborted_by(self, abort: watch::Receiver<bool>) -> Self {
        Self { till: self.till.aborted_by(abort), ..self }
    }

    /// Its caller has left as soon as the sender of `gone` is dropped. What only waits then ends, and consumes nothing;
    /// everything else runs to its end.
    #[must_use]
    pub fn until(self, gone: watch::Receiver<()>) -> Self {
        Self { till: self.till.until(gone.clone()), gone: Some(gone), ..self }
    }

    /// Runs it. `None`: it only waited, and its caller has left.
    ///
    /// Dropping the future abandons the reply, not what has begun.
    ///
    /// # Errors
    /// As [`Tresen::ask_json`].
    pub async fn run(self) -> Option<Result<Value>> {
        let waits = self.call.info().waits;
        let work = self.call.run(self.till);
        let Some(mut gone) = self.gone.filter(|_| waits) else { return Some(work.await) };
        tokio::select! {
            biased;
            done = work => Some(done),
            // Nothing is ever sent on it; resolves when the sender is dropped.
            _ = gone.changed() => None,
        }
    }
}

/// The number of the last event so far, and the events after it, for a server that passes them on. Unlike
/// [`Tresen::follow`] this does not count as somebody who listens: a question of a terminal is not left waiting for it.
pub fn relay(till: &Tresen) -> (u64, Events) {
    till.0.bus.relay()
}

/// Counts the calls of one connection that are not answered yet; clones share the count.
#[derive(Debug, Clone)]
pub struct InFlight {
    places: Arc<Semaphore>,
    limit: usize,
}

/// The place of one call among those of its connection; free again when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "kept until it is dropped")] OwnedSemaphorePermit);

impl InFlight {
    /// Up to `limit` calls at a time.
    pub fn up_to(limit: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Whether none is pending.
    pub fn is_idle(&self) -> bool {
        self.places.available_permits() == self.limit
    }

    /// A place for one more call.
    ///
    /// # Errors
    /// [`Kind::Busy`]: too many are pending.
    pub fn place(&self) -> Result<Place> {
        let busy = |_| Error::new(Kind::Busy, format!("{} requests of this connection are pending", self.limit));
        self.places.clone().try_acquire_owned().map(Place).map_err(busy)
    }
}
