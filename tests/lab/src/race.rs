//! Throughput beside a bare loop over the same backend, in one run, for the record.

use std::time::Duration;

use crate::measured;

/// The fastest lap of a link and of a bare loop. What disturbs a lap can only slow it down, so the fastest of
/// equally many tells the two apart best.
#[derive(Debug)]
pub struct Race {
    link: Duration,
    bare: Duration,
}

impl Race {
    /// Laps that each of the two runs, in turns.
    pub const LAPS: usize = 15;

    /// Nobody has run yet.
    pub fn new() -> Self {
        Self { link: Duration::MAX, bare: Duration::MAX }
    }

    /// The link has run a lap.
    pub fn link(&mut self, lap: Duration) {
        self.link = self.link.min(lap);
    }

    /// The bare loop has run a lap.
    pub fn bare(&mut self, lap: Duration) {
        self.bare = self.bare.min(lap);
    }

    /// Writes the result down. It fails nothing: an emulated CPU on a busy host is no judge, and the figure that
    /// counts comes from `hal/benches/links.rs`.
    pub fn finish(self, name: &str, bytes: usize) {
        let share = self.bare.as_secs_f64() / self.link.as_secs_f64();
        let speed = bytes as f64 / 1e6 / self.link.as_secs_f64();
        let laps = Self::LAPS;
        measured(&format!(
            "{name}: {speed:.1} MB/s, {:.1} % of a bare loop (fastest of {laps} laps each)",
            share * 100.0
        ));
    }
}

impl Default for Race {
    fn default() -> Self {
        Self::new()
    }
}
