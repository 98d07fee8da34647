//! How often strangers may try.

use std::time::{Duration, Instant};

/// A token bucket: `burst` at once, then one each `every`.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    every: Duration,
    burst: u32,
    left: u32,
    /// When the bucket was last refilled.
    since: Option<Instant>,
}

impl Attempts {
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self { every, burst, left: burst, since: None }
    }

    /// Whether another attempt is allowed now, which is then used up.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let earned = now.saturating_duration_since(since).as_nanos() / self.every.as_nanos();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(self.burst);
            self.since = Some(if self.left == self.burst { now } else { since + self.every * earned });
        }
        if self.left == 0 {
            return false;
        }
        if self.left == self.burst {
            self.since = Some(now);
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut attempts = Attempts::new(2, Duration::from_secs(1));
        let taken = [0, 0, 0, 999, 1000, 1001, 2500, 2600, 3000, 9000, 9000, 9000].map(|ms| attempts.take(at(ms)));
        assert_eq!(taken, [true, true, false, false, true, false, true, false, true, true, true, false]);
    }
}
