//! Suppresses repeated reads of a code that stays in front of the scanner. Sans-IO.
//!
//! A code counts again after it has been out of sight for the re-arm gap. Other codes in between make no difference, so
//! two articles side by side count once each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::{Scan, Symbology};

/// How many codes are remembered. The one that has been out of sight for longest is forgotten first.
const MOST: usize = 256;

/// Remembers which codes are in sight.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tresen_scanners::{Dedupe, Scan, dedupe::Verdict};
///
/// let scan = Scan::plain("4006381333931", "2026-01-02T08:00:00Z".parse().unwrap());
/// let (mut dedupe, now) = (Dedupe::new(Duration::from_millis(800)), Instant::now());
/// assert_eq!(dedupe.see(&scan, now), Verdict::New);
/// assert_eq!(dedupe.see(&scan, now + Duration::from_millis(500)), Verdict::Repeat { count: 1 });
/// assert_eq!(dedupe.see(&scan, now + Duration::from_millis(1300)), Verdict::New);
/// ```
#[derive(Debug, Clone)]
pub struct Dedupe {
    rearm: Duration,
    seen: HashMap<(Symbology, Vec<u8>), Seen>,
    suppressed: u64,
}

#[derive(Debug, Clone)]
struct Seen {
    last: Instant,
    count: u32,
}

/// Whether a scan is a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The code was not in sight.
    New,
    /// The code is still in sight.
    Repeat {
        /// How many times it has been read since it was new.
        count: u32,
    },
}

impl Dedupe {
    /// A code counts again after it has been out of sight for `rearm`; with zero, every scan counts.
    pub fn new(rearm: Duration) -> Self {
        Self { rearm, seen: HashMap::new(), suppressed: 0 }
    }

    /// Takes a scan made at `now`.
    pub fn see(&mut self, scan: &Scan, now: Instant) -> Verdict {
        if self.rearm.is_zero() {
            return Verdict::New;
        }
        let key = (scan.symbology, scan.bytes.clone());
        if let Some(seen) = self.seen.get_mut(&key) {
            let gap = now.saturating_duration_since(seen.last);
            seen.last = seen.last.max(now);
            if gap < self.rearm {
                seen.count = seen.count.saturating_add(1);
                self.suppressed += 1;
                return Verdict::Repeat { count: seen.count };
            }
            seen.count = 0;
            return Verdict::New;
        }
        if self.seen.len() >= MOST {
            self.seen.retain(|_, seen| now.saturating_duration_since(seen.last) < self.rearm);
        }
        if self.seen.len() >= MOST {
            let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.last).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.seen.remove(&key));
        }
        self.seen.insert(key, Seen { last: now, count: 0 });
        Verdict::New
    }

    /// How many scans were repeats.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Forgets all codes in sight, as after a sale: the next scan of each counts.
    pub fn clear(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Scan {
        Scan::plain(text, jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn each_code_has_its_own_gap() {
        let (mut dedupe, start) = (Dedupe::new(Duration::from_millis(1000)), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(dedupe.see(&scan("a"), at(0)), Verdict::New);
        assert_eq!(dedupe.see(&scan("b"), at(400)), Verdict::New);
        assert_eq!(dedupe.see(&scan("a"), at(900)), Verdict::Repeat { count: 1 });
        assert_eq!(dedupe.see(&scan("a"), at(1800)), Verdict::Repeat { count: 2 }, "each repeat extends the gap");
        assert_eq!(dedupe.see(&scan("b"), at(1800)), Verdict::New);
        assert_eq!(dedupe.see(&scan("a"), at(2800)), Verdict::New);
        assert_eq!(dedupe.see(&scan("a"), at(2801)), Verdict::Repeat { count: 1 }, "counting begins anew");
        assert_eq!(dedupe.suppressed(), 3);
        dedupe.clear();
        assert_eq!(dedupe.see(&scan("a"), at(2802)), Verdict::New);
    }

    #[test]
    fn zero_lets_all_count() {
        let (mut dedupe, now) = (Dedupe::new(Duration::ZERO), Instant::now());
        assert_eq!((dedupe.see(&scan("a"), now), dedupe.see(&scan("a"), now)), (Verdict::New, Verdict::New));
    }

    #[test]
    fn remembers_a_bounded_number() {
        let (mut dedupe, start) = (Dedupe::new(Duration::from_secs(60)), Instant::now());
        for i in 0..1000_u64 {
            dedupe.see(&scan(&i.to_string()), start + Duration::from_millis(i));
        }
        assert_eq!(dedupe.seen.len(), MOST);
        assert_eq!(dedupe.see(&scan("999"), start + Duration::from_secs(1)), Verdict::Repeat { count: 1 });
        assert_eq!(dedupe.see(&scan("0"), start + Duration::from_secs(1)), Verdict::New);
    }
}
