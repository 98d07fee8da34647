//! Shared by scanners and cameras: a queue of scans that are handed out once, in order.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tresen_hal::Result;
use tresen_scanners::Scan;

use super::device::Common;
use super::lock;
use crate::event::EventKind;
use crate::lease::Gate;

/// Shared between the owner of a source of scans and its handles.
pub struct Scans {
    common: Common,
    queue: Queue,
}

impl Scans {
    pub(super) fn new(common: Common) -> Self {
        Self { common, queue: Queue::default() }
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    /// The next scan for the caller at `gate`.
    ///
    /// # Errors
    /// The scans go to somebody else, from the beginning or from now on.
    pub(super) async fn next(&self, gate: &Gate) -> Result<Scan> {
        self.queue.taken.store(true, Ordering::Relaxed);
        let moved = gate.moved();
        let mut listening = None;
        loop {
            // Made before looking: neither a scan nor a lease that comes in between is missed.
            let (arrived, changed) = (self.queue.arrived.notified(), moved.notified());
            self.report(self.queue.drop_old());
            gate.listen(&mut listening)?;
            if let Some((_, scan)) = lock(&self.queue.scans).pop_front() {
                return Ok(scan);
            }
            tokio::select! {
                biased;
                () = arrived => {}
                () = changed => {}
            }
        }
    }

    /// Drops the queued scans, if they are the caller's.
    pub(super) fn discard(&self, gate: &Gate) -> usize {
        if gate.may_listen() { std::mem::take(&mut *lock(&self.queue.scans)).len() } else { 0 }
    }

    /// Queues a scan and publishes its event.
    pub(super) fn scanned(&self, scan: Scan) {
        self.report(self.queue.push(scan.clone()));
        self.common.reporter.publish(EventKind::Scanned(Box::new(scan)));
    }

    fn report(&self, lost: Vec<Scan>) {
        lost.into_iter().for_each(|scan| self.common.reporter.publish(EventKind::ScanLost(Box::new(scan))));
    }
}

/// Scans queued for [`Scans::next`], oldest first: bounded in number and age, so that no old basket is sold.
#[derive(Default)]
struct Queue {
    scans: Mutex<VecDeque<(Instant, Scan)>>,
    arrived: Notify,
    /// Whether scans are taken from this queue: only then is a dropped one worth an event.
    taken: AtomicBool,
}

impl Queue {
    /// Returns the scans dropped in favour of this one, if anyone takes scans.
    fn push(&self, scan: Scan) -> Vec<Scan> {
        let mut dropped = self.drop_old();
        {
            let mut scans = lock(&self.scans);
            if scans.len() >= WAITING {
                dropped.extend(scans.pop_front().map(|(_, scan)| scan));
            }
            scans.push_back((Instant::now(), scan));
        }
        // All look: only some of them get the scans, and one of those takes it.
        self.arrived.notify_waiters();
        if self.taken.load(Ordering::Relaxed) { dropped } else { Vec::new() }
    }

    fn drop_old(&self) -> Vec<Scan> {
        let mut scans = lock(&self.scans);
        let old = scans.iter().take_while(|(at, _)| at.elapsed() >= KEEP).count();
        scans.drain(..old).map(|(_, scan)| scan).collect()
    }
}

/// Maximum number of queued scans; a person with a scanner does not exceed it.
pub(super) const WAITING: usize = 64;
/// How long a scan stays queued.
pub(super) const KEEP: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(n: usize) -> Scan {
        Scan::plain(format!("CODE-{n}"), jiff::Timestamp::UNIX_EPOCH)
    }

    fn texts(queue: &Queue) -> Vec<String> {
        lock(&queue.scans).iter().map(|(_, scan)| scan.text.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_scans_are_kept_and_the_oldest_go_first() {
        let queue = Queue::default();
        queue.taken.store(true, Ordering::Relaxed);
        let dropped: Vec<_> = (0..WAITING + 3).flat_map(|n| queue.push(scan(n))).collect();
        assert_eq!(dropped.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["CODE-0", "CODE-1", "CODE-2"]);
        assert_eq!(texts(&queue)[0], "CODE-3");
        assert_eq!(texts(&queue).len(), WAITING);
    }

    #[tokio::test(start_paused = true)]
    async fn a_till_that_begins_to_read_after_an_hour_does_not_sell_an_old_basket() {
        let queue = Queue::default();
        queue.push(scan(0));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(queue.push(scan(1)), [], "nobody took scans, so nobody misses any");
        assert_eq!(texts(&queue), ["CODE-1"]);
    }
}
