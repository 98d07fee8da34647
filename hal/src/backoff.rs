//! Delays between attempts to reach a device that is away. Sans-IO: the caller waits.
//!
//! The first attempt is due after exactly the first delay, usually [`FIRST`]. Each further delay doubles, up to the
//! longest, usually [`LONGEST`], less a jitter of up to a quarter, so that devices which lost power together are not all
//! contacted at once. A hot-plug event ends the delay. Being switched off is a state, not an error, so the series never
//! ends.

use std::time::Duration;

use crate::random::splitmix;

/// The usual delay before the first attempt.
pub const FIRST: Duration = Duration::from_millis(250);
/// The usual longest delay.
pub const LONGEST: Duration = Duration::from_secs(30);

/// The delays between attempts to reach one device. The same seed gives the same delays.
///
/// ```
/// use std::time::Duration;
/// use tresen_hal::Backoff;
///
/// let mut backoff = Backoff::new(7);
/// assert_eq!(backoff.next_delay(), Duration::from_millis(250));
/// assert!(backoff.next_delay() > Duration::from_millis(250));
/// backoff.hot_plugged();
/// assert_eq!(backoff.next_delay(), Duration::ZERO);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    seed: u64,
    attempts: u32,
    at_once: bool,
}

impl Backoff {
    /// A series that starts at [`FIRST`]. Use a different seed for each device, such as a hash of its name.
    pub fn new(seed: u64) -> Self {
        Self::between(FIRST, LONGEST, seed)
    }

    /// A series that starts at `first` and grows to `longest`, which is at least `first`.
    pub fn between(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest: longest.max(first), seed, attempts: 0, at_once: false }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        if std::mem::take(&mut self.at_once) {
            return Duration::ZERO;
        }
        let doubled = 1u32.checked_shl(self.attempts).and_then(|times| self.first.checked_mul(times));
        let full = doubled.map_or(self.longest, |delay| delay.min(self.longest));
        let is_first = self.attempts == 0;
        self.attempts = self.attempts.saturating_add(1);
        if is_first {
            return full;
        }
        let jitter = u64::try_from((full / 4).as_nanos()).unwrap_or(u64::MAX - 1);
        full - Duration::from_nanos(splitmix(&mut self.seed) % (jitter + 1))
    }

    /// The number of attempts so far, not counting those after a hot-plug event.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The device has answered: the next series starts at the first delay again.
    pub fn reset(&mut self) {
        self.attempts = 0;
        self.at_once = false;
    }

    /// The device has been plugged in: the next attempt is due at once, and if it fails, the series starts again. A
    /// caller that is waiting for an earlier delay should stop and ask for the next one.
    pub fn hot_plugged(&mut self) {
        self.attempts = 0;
        self.at_once = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(backoff: &mut Backoff, n: usize) -> Vec<u128> {
        (0..n).map(|_| backoff.next_delay().as_millis()).collect()
    }

    #[test]
    fn doubles_from_250_ms_to_30_s_less_a_quarter_at_most() {
        for seed in 0..1000 {
            let mut backoff = Backoff::new(seed);
            let full = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
            for (delay, full) in millis(&mut backoff, 10).into_iter().zip(full) {
                let least = if full == 250 { 250 } else { full * 3 / 4 };
                assert!((least..=full).contains(&delay), "seed {seed}: {delay} of {full}");
            }
            assert_eq!(backoff.attempts(), 10);
        }
    }

    #[test]
    fn the_seed_decides() {
        let run = |seed| millis(&mut Backoff::new(seed), 20);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        // The first output of SplitMix64 with seed 1234567 is 6457827717110365317 (the reference
        // implementation's published test vector); 500 ms less that modulo 125 ms + 1 ns.
        let mut backoff = Backoff::new(1_234_567);
        backoff.next_delay();
        let jitter = 6_457_827_717_110_365_317 % 125_000_001;
        assert_eq!(backoff.next_delay(), Duration::from_nanos(500_000_000 - jitter));
    }

    #[test]
    fn spreads_devices_that_left_together() {
        let mut ninth: Vec<u128> = (0..100).map(|seed| millis(&mut Backoff::new(seed), 9)[8]).collect();
        ninth.sort_unstable();
        assert!(ninth[99] - ninth[0] > 6_000, "{} to {}", ninth[0], ninth[99]);
    }

    #[test]
    fn comes_at_once_on_hot_plug_and_starts_anew_after_an_answer() {
        let mut backoff = Backoff::new(3);
        millis(&mut backoff, 9);
        backoff.hot_plugged();
        assert_eq!(millis(&mut backoff, 2), [0, 250]);
        millis(&mut backoff, 9);
        backoff.reset();
        assert_eq!(millis(&mut backoff, 1), [250]);
        backoff.hot_plugged();
        backoff.reset();
        assert_eq!(millis(&mut backoff, 1), [250], "an answer ends the haste");
    }

    #[test]
    fn grows_between_the_given_delays() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::between(seconds(2), seconds(5), 9);
        assert_eq!(backoff.next_delay(), seconds(2));
        for full in [4, 5, 5, 5] {
            let delay = backoff.next_delay();
            assert!((seconds(full) * 3 / 4..=seconds(full)).contains(&delay), "{delay:?} of {full} s");
        }
        let mut backoff = Backoff::between(seconds(60), seconds(5), 9);
        assert_eq!(backoff.next_delay(), seconds(60), "the longest is at least the first");
        assert!(backoff.next_delay() >= seconds(45));
        let mut backoff = Backoff::between(Duration::MAX, Duration::MAX, 9);
        backoff.next_delay();
        assert!(backoff.next_delay() > seconds(1), "no overflow");
    }

    #[test]
    fn never_gives_up() {
        let mut backoff = Backoff { attempts: u32::MAX, ..Backoff::new(0) };
        assert!(backoff.next_delay() >= LONGEST * 3 / 4);
    }
}
