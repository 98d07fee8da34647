//! Delays between attempts to reach a device that is away.

use std::time::Duration;

use tresen_hal::{Backoff, backoff};

/// The delays between attempts to reach a device that is away: the first, then twice as long each time, up to the
/// longest. A device that is plugged in is opened at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnect {
    /// The first delay; default 250 ms.
    pub first: Duration,
    /// The longest delay; default 30 s.
    pub at_most: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { first: backoff::FIRST, at_most: backoff::LONGEST }
    }
}

impl Reconnect {
    /// Delays from `first` to `at_most`.
    pub fn new(first: Duration, at_most: Duration) -> Self {
        Self { first, at_most }
    }

    pub(crate) fn delays(self, seed: u64) -> Backoff {
        Backoff::between(self.first, self.at_most, seed)
    }
}
