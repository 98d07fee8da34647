//! Time that never jumps, and still means something after a restart.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tresen_hal::Runtime;

/// The wall clock as it was when this was created, continued by the monotonic clock.
#[derive(Debug, Clone)]
pub(crate) struct SteadyClock {
    runtime: Arc<dyn Runtime>,
    wall: Timestamp,
    since: Instant,
}

impl SteadyClock {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        let (wall, since) = (runtime.wall(), runtime.now());
        Self { runtime, wall, since }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.wall + self.runtime.now().saturating_duration_since(self.since)
    }
}
