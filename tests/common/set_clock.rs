//! A simulated runtime whose date and time can be set. The time that passes stays as it is.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tresen::Result;
use tresen::hal::runtime::{Work, Worker};
use tresen::hal::{Clock, Runtime, SimulatedRuntime};

/// Clones share their setting.
#[derive(Debug, Clone)]
pub(crate) struct SetClock {
    pub(crate) inner: SimulatedRuntime,
    /// Seconds by which somebody has set it.
    pub(crate) ahead: Arc<AtomicI64>,
}

impl SetClock {
    pub(crate) fn over(inner: SimulatedRuntime) -> Self {
        Self { inner, ahead: Arc::default() }
    }

    pub(crate) fn set_hours(&self, hours: i64) {
        self.ahead.store(hours * 3600, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> std::time::Instant {
        self.inner.now()
    }
    fn wall(&self) -> Timestamp {
        self.inner.wall() + SignedDuration::from_secs(self.ahead.load(Ordering::SeqCst))
    }
}

impl Runtime for SetClock {
    fn random(&self) -> u64 {
        self.inner.random()
    }
    fn new_id(&self) -> String {
        self.inner.new_id()
    }
    fn offload(&self, work: Work) {
        self.inner.offload(work);
    }
    fn worker(&self, name: &str) -> Result<Worker> {
        self.inner.worker(name)
    }
}
