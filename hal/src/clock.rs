//! Injectable clocks: the system's, and one that a test sets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A source of time.
///
/// Waiting uses tokio's timers, which a test pauses with `#[tokio::test(start_paused = true)]`; [`SystemClock::now`]
/// follows them.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Monotonic time, for deadlines.
    fn now(&self) -> Instant;
    /// Date and time, for journals and receipts.
    fn wall(&self) -> Timestamp;
}

/// The system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is advanced. Clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<(Instant, Timestamp)>>);

impl ManualClock {
    /// A clock that shows `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), wall))))
    }

    /// Advances both times.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock().expect("no holder of this lock panics");
        time.0 += by;
        time.1 += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.lock().expect("no holder of this lock panics").0
    }
    fn wall(&self) -> Timestamp {
        self.0.lock().expect("no holder of this lock panics").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_when_told() {
        let clock = ManualClock::at("2026-01-02T07:59:01Z".parse().expect("a timestamp"));
        let (now, wall) = (clock.now(), clock.wall());
        assert_eq!((clock.now(), clock.wall()), (now, wall));
        clock.clone().advance(Duration::from_secs(60));
        assert_eq!(clock.now() - now, Duration::from_secs(60));
        assert_eq!(clock.wall().to_string(), "2026-01-02T08:00:01Z");
    }
}
