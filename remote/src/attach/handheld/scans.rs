//! The scans of one scanner that the till has not taken yet. Sans-IO: time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen::{Scan, Scanner};

use crate::attach::SCANS;

/// Scans that wait, oldest first, each with its number.
#[derive(Default)]
pub(super) struct Scans {
    last: u64,
    waiting: VecDeque<Waiting>,
    /// Those that were dropped, until the till is told.
    lost: VecDeque<Scan>,
}

struct Waiting {
    number: u64,
    scan: Scan,
    at: Instant,
    /// The run of the till to which it was sent.
    sent: Option<String>,
    /// It was sent over this connection.
    here: bool,
}

impl Scans {
    /// A scan was made. Of those that were not sent at most [`SCANS`] are kept, the latest.
    pub(super) fn scanned(&mut self, scan: Scan, now: Instant) {
        self.forget(now);
        self.last += 1;
        self.waiting.push_back(Waiting { number: self.last, scan, at: now, sent: None, here: false });
        if self.waiting.iter().filter(|waiting| waiting.sent.is_none()).count() > SCANS
            && let Some(oldest) = self.waiting.iter().position(|waiting| waiting.sent.is_none())
            && let Some(dropped) = self.waiting.remove(oldest)
        {
            self.lose(dropped.scan);
        }
    }

    /// The till has taken a scan, or has said that it is lost.
    pub(super) fn over(&mut self, number: u64) {
        self.waiting.retain(|waiting| waiting.number != number);
    }

    /// The scanner was removed: what the till may have got is not sent again, should it come back.
    pub(super) fn removed(&mut self) {
        self.waiting.retain(|waiting| waiting.sent.is_none());
    }

    /// The scans that were dropped without having been sent, as far as they are still known.
    pub(super) fn take_lost(&mut self) -> Vec<Scan> {
        self.lost.drain(..).collect()
    }

    fn lose(&mut self, scan: Scan) {
        tracing::warn!("a scan was dropped: the till does not take them");
        self.lost.push_back(scan);
        if self.lost.len() > SCANS {
            self.lost.pop_front();
        }
    }

    /// There is a new connection, to this run of the till. What was sent to another run may have been taken there.
    pub(super) fn reconnected(&mut self, run: &str, now: Instant) {
        self.forget(now);
        self.waiting.retain(|waiting| waiting.sent.as_deref().is_none_or(|sent| sent == run));
        self.waiting.iter_mut().for_each(|waiting| waiting.here = false);
    }

    /// Sends in their order those that were not sent over this connection, as long as no more than [`SCANS`] of them are
    /// neither taken nor lost; stops when `send` says that it could not.
    pub(super) fn send(&mut self, run: &str, mut send: impl FnMut(u64, &Scan) -> bool) {
        for waiting in self.waiting.iter_mut().take(SCANS).filter(|waiting| !waiting.here) {
            if !send(waiting.number, &waiting.scan) {
                return;
            }
            (waiting.here, waiting.sent) = (true, Some(run.to_owned()));
        }
    }

    /// Drops what was never sent and is too old to be sold.
    fn forget(&mut self, now: Instant) {
        let old = |waiting: &Waiting| waiting.sent.is_none() && now.saturating_duration_since(waiting.at) >= KEEP;
        let (dropped, kept): (VecDeque<_>, VecDeque<_>) = self.waiting.drain(..).partition(old);
        self.waiting = kept;
        dropped.into_iter().for_each(|dropped| self.lose(dropped.scan));
    }
}

/// How long a scan is kept that was not sent: as long as at a scanner of the till's own.
const KEEP: Duration = Scanner::KEEP;

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Scan {
        Scan::plain(text, jiff::Timestamp::UNIX_EPOCH)
    }

    fn sent(scans: &mut Scans, run: &str) -> Vec<(u64, String)> {
        let mut sent = Vec::new();
        scans.send(run, |number, scan| {
            sent.push((number, scan.text.clone()));
            true
        });
        sent
    }

    #[test]
    fn what_is_not_taken_is_sent_again_to_the_same_run_only() {
        let (mut scans, now) = (Scans::default(), Instant::now());
        scans.scanned(scan("a"), now);
        scans.scanned(scan("b"), now);
        assert_eq!(sent(&mut scans, "1"), [(1, "a".into()), (2, "b".into())]);
        assert_eq!(sent(&mut scans, "1"), [], "once over one connection");
        scans.over(1);
        scans.reconnected("1", now + KEEP);
        assert_eq!(sent(&mut scans, "1"), [(2, "b".into())]);
        scans.scanned(scan("c"), now + KEEP);
        scans.reconnected("2", now + KEEP);
        assert_eq!(sent(&mut scans, "2"), [(3, "c".into())], "the first till may have sold b");
    }

    #[test]
    fn an_old_basket_is_not_sold() {
        let (mut scans, now) = (Scans::default(), Instant::now());
        scans.scanned(scan("a"), now);
        scans.scanned(scan("b"), now + Duration::from_secs(1));
        scans.reconnected("1", now + KEEP);
        assert_eq!(sent(&mut scans, "1"), [(2, "b".into())]);
        let mut scans = Scans::default();
        (0..70).for_each(|_| scans.scanned(scan("a"), now));
        assert_eq!(sent(&mut scans, "1").first().map(|(number, _)| *number), Some(7));
        assert_eq!(scans.take_lost().len(), 6, "they are told of");
    }

    #[test]
    fn no_more_are_sent_than_wait_at_the_till() {
        let (mut scans, now) = (Scans::default(), Instant::now());
        (0..SCANS).for_each(|_| scans.scanned(scan("a"), now));
        assert_eq!(sent(&mut scans, "1").len(), SCANS);
        (0..3).for_each(|_| scans.scanned(scan("b"), now));
        assert_eq!(sent(&mut scans, "1"), []);
        scans.over(1);
        scans.over(2);
        let two: Vec<_> = sent(&mut scans, "1").into_iter().map(|(number, _)| number).collect();
        assert_eq!(two, [65, 66]);
        assert_eq!(scans.take_lost().len(), 0, "nothing was dropped");
    }

    #[test]
    fn a_scanner_that_was_removed_does_not_send_again_what_may_have_been_taken() {
        let (mut scans, now) = (Scans::default(), Instant::now());
        scans.scanned(scan("a"), now);
        sent(&mut scans, "1");
        scans.removed();
        scans.scanned(scan("b"), now);
        scans.reconnected("1", now);
        assert_eq!(sent(&mut scans, "1"), [(2, "b".into())], "its numbers go on");
    }

    #[test]
    fn the_order_is_kept_when_a_message_cannot_be_sent() {
        let (mut scans, now) = (Scans::default(), Instant::now());
        (0..3).for_each(|_| scans.scanned(scan("a"), now));
        let mut room = 1;
        scans.send("1", |_, _| std::mem::replace(&mut room, 0) == 1);
        assert_eq!(sent(&mut scans, "1").iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3]);
    }
}
