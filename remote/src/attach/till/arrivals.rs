//! The scans of one scanner that have come to the till, each once. Sans-IO.

use std::collections::VecDeque;
use std::sync::Arc;

use tresen::Scan;

use crate::attach::SCANS;

/// Scans that came and were not taken, and what is known of those before.
#[derive(Default)]
pub(super) struct Arrivals {
    run: Arc<str>,
    /// The number of the last that came from this run.
    last: u64,
    /// Those of earlier runs too.
    queue: VecDeque<Arrived>,
    /// Numbers of those of this run that were lost, latest last.
    lost: VecDeque<u64>,
}

/// A scan that came. Its number is one of its run: that of another run with the same number is another scan.
pub(super) struct Arrived {
    pub(super) run: Arc<str>,
    pub(super) number: u64,
    pub(super) scan: Scan,
}

/// What a scan that comes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The next: it is to be [kept](Arrivals::keep).
    New,
    /// It came before, and waits.
    Waits,
    /// It came before, and was taken.
    Taken,
    /// It came before, and was lost.
    Lost,
    /// Too many wait: it is lost.
    Full,
}

impl Arrivals {
    /// A scan of this run of the handheld comes.
    pub(super) fn arrived(&mut self, run: &str, number: u64) -> Arrival {
        if *self.run != *run {
            self.run = run.into();
            self.last = 0;
            self.lost.clear();
        }
        if number <= self.last {
            return if self.lost.contains(&number) {
                Arrival::Lost
            } else if self.queue.iter().any(|waiting| waiting.number == number && waiting.run == self.run) {
                Arrival::Waits
            } else {
                Arrival::Taken
            };
        }
        self.last = number;
        if self.queue.len() < SCANS {
            return Arrival::New;
        }
        self.lost.push_back(number);
        if self.lost.len() > LOST {
            self.lost.pop_front();
        }
        Arrival::Full
    }

    /// Keeps the scan that came last, a new one, until it is taken.
    pub(super) fn keep(&mut self, scan: Scan) {
        self.queue.push_back(Arrived { run: self.run.clone(), number: self.last, scan });
    }

    /// Takes the next scan.
    pub(super) fn take(&mut self) -> Option<Arrived> {
        self.queue.pop_front()
    }
}

/// How many lost scans are remembered. A handheld that keeps to the limit loses none here.
const LOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(number: u64) -> Scan {
        Scan::plain(number.to_string(), jiff::Timestamp::UNIX_EPOCH)
    }

    fn comes(arrivals: &mut Arrivals, number: u64) -> Arrival {
        let arrival = arrivals.arrived("1", number);
        if arrival == Arrival::New {
            arrivals.keep(scan(number));
        }
        arrival
    }

    #[test]
    fn what_was_lost_is_never_said_to_be_taken() {
        let (mut arrivals, full) = (Arrivals::default(), SCANS as u64);
        assert!((1..=full).all(|number| comes(&mut arrivals, number) == Arrival::New));
        assert_eq!(comes(&mut arrivals, full + 1), Arrival::Full);
        assert_eq!(arrivals.take().map(|taken| taken.number), Some(1));
        assert_eq!(comes(&mut arrivals, full + 2), Arrival::New, "there is room again");
        // Sent again after a lost connection.
        assert_eq!(comes(&mut arrivals, 1), Arrival::Taken);
        assert_eq!(comes(&mut arrivals, 2), Arrival::Waits);
        assert_eq!(comes(&mut arrivals, full + 1), Arrival::Lost);
        assert_eq!(comes(&mut arrivals, full + 2), Arrival::Waits);
    }

    #[test]
    fn another_run_counts_anew_and_what_waits_is_kept() {
        let mut arrivals = Arrivals::default();
        comes(&mut arrivals, 7);
        assert_eq!(arrivals.arrived("2", 1), Arrival::New);
        arrivals.keep(scan(1));
        assert_eq!(arrivals.arrived("2", 7), Arrival::New, "another scan than that of the first run");
        arrivals.keep(scan(7));
        let taken = std::iter::from_fn(|| arrivals.take()).map(|taken| (taken.run.to_string(), taken.number));
        assert_eq!(taken.collect::<Vec<_>>(), [("1".into(), 7), ("2".into(), 1), ("2".into(), 7)]);
    }
}
