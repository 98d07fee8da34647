//! What scanners and cameras share: a queue of scans that are handed out once, in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tresen_hal::{BoxFuture, Clock, Driver, Error, Result};
use tresen_scanners::Scan;

use super::hotplug::Waker;
use super::owner::{Hooks, Opener, own};
use super::state::{DeviceCapabilities, DeviceState};
use super::{Owned, Phase, lock};
use crate::event::{Bus, Class, EventKind, Reporter};

/// An owned source of scans.
pub(super) struct Scans<D: ?Sized> {
    pub(super) owned: Owned<D>,
    pub(super) inbox: Inbox,
    pub(super) last: Arc<Mutex<Last>>,
}

/// What was known when the device was last opened.
#[derive(Default)]
pub(super) struct Last {
    pub(super) address: Option<String>,
    pub(super) capabilities: Option<DeviceCapabilities>,
}

impl<D: ?Sized> Clone for Scans<D> {
    fn clone(&self) -> Self {
        Self { owned: self.owned.clone(), inbox: self.inbox.clone(), last: self.last.clone() }
    }
}

/// What a driver can do, in the words of its class.
type Describe<D> = fn(&D) -> Option<DeviceCapabilities>;

impl<D: Driver<Event = Scan> + ?Sized + 'static> Scans<D> {
    pub(super) fn start(
        class: Class,
        name: &str,
        opener: Opener<D>,
        describe: Describe<D>,
        clock: Arc<dyn Clock>,
        bus: Bus,
    ) -> Self {
        let (inbox, last) = (Inbox::new(Reporter::new(class, name, bus)), Arc::new(Mutex::new(Last::default())));
        let hooks = ScanHooks { inbox: inbox.clone(), last: last.clone(), describe };
        Self { owned: own(name, opener, Arc::new(hooks), clock), inbox, last }
    }
}

impl<D: Driver + ?Sized + 'static> Scans<D> {
    pub(super) async fn next(&self) -> Scan {
        self.inbox.next().await
    }

    pub(super) fn discard(&self) -> usize {
        self.inbox.discard()
    }

    pub(super) fn waker(&self) -> Waker {
        self.owned.waker()
    }

    pub(super) fn phase(&self) -> tokio::sync::watch::Receiver<Phase> {
        self.owned.phase()
    }

    pub(super) fn capabilities(&self) -> Option<DeviceCapabilities> {
        lock(&self.last).capabilities.clone()
    }

    pub(super) fn state(&self) -> DeviceState {
        let last = lock(&self.last);
        DeviceState {
            id: self.inbox.reporter.device.clone(),
            phase: self.owned.phase().borrow().clone(),
            address: last.address.clone(),
            attention: Vec::new(),
            busy_with: self.owned.busy_with().map(|(what, _)| what.to_owned()),
            capabilities: last.capabilities.clone(),
        }
    }
}

/// Where the scans of one device arrive: they wait here to be taken, and are told as events. Clones share it.
#[derive(Clone)]
pub(super) struct Inbox {
    queue: Arc<Queue>,
    pub(super) reporter: Reporter,
}

impl Inbox {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self { queue: Arc::default(), reporter }
    }

    /// Takes in a scan.
    pub(super) fn put(&self, scan: Scan) {
        self.report(self.queue.push(scan.clone()));
        self.reporter.tell(EventKind::Scanned(Box::new(scan)));
    }

    pub(super) async fn next(&self) -> Scan {
        self.queue.taken.store(true, Ordering::Relaxed);
        loop {
            let arrived = self.queue.arrived.notified();
            self.report(self.queue.drop_old());
            if let Some((_, scan)) = lock(&self.queue.scans).pop_front() {
                return scan;
            }
            arrived.await;
        }
    }

    pub(super) fn discard(&self) -> usize {
        std::mem::take(&mut *lock(&self.queue.scans)).len()
    }

    fn report(&self, lost: Vec<Scan>) {
        lost.into_iter().for_each(|scan| self.reporter.tell(EventKind::ScanLost(Box::new(scan))));
    }
}

/// Scans that wait for [`Inbox::next`], oldest first: bounded in number and age, so that nobody sells an old basket.
#[derive(Default)]
struct Queue {
    scans: Mutex<VecDeque<(Instant, Scan)>>,
    arrived: Notify,
    /// Someone takes scans from here: what is dropped is worth an event.
    taken: AtomicBool,
}

impl Queue {
    /// Returns the scans that were dropped for this one, if anyone missed them.
    fn push(&self, scan: Scan) -> Vec<Scan> {
        let mut dropped = self.drop_old();
        {
            let mut scans = lock(&self.scans);
            if scans.len() >= WAITING {
                dropped.extend(scans.pop_front().map(|(_, scan)| scan));
            }
            scans.push_back((Instant::now(), scan));
        }
        self.arrived.notify_one();
        if self.taken.load(Ordering::Relaxed) { dropped } else { Vec::new() }
    }

    fn drop_old(&self) -> Vec<Scan> {
        let mut scans = lock(&self.scans);
        let old = scans.iter().take_while(|(at, _)| at.elapsed() >= KEEP).count();
        scans.drain(..old).map(|(_, scan)| scan).collect()
    }
}

struct ScanHooks<D: ?Sized> {
    inbox: Inbox,
    last: Arc<Mutex<Last>>,
    describe: Describe<D>,
}

impl<D: Driver<Event = Scan> + ?Sized + 'static> Hooks<D> for ScanHooks<D> {
    fn opened<'a>(&'a self, driver: &'a mut D, address: &'a str) -> BoxFuture<'a, Result<Option<Duration>>> {
        *lock(&self.last) = Last { address: Some(address.to_owned()), capabilities: (self.describe)(driver) };
        self.inbox.reporter.connected(address);
        Box::pin(async { Ok(None) })
    }
    fn event(&self, scan: Scan) {
        self.inbox.put(scan);
    }
    fn lost(&self, error: &Error) {
        self.inbox.reporter.lost(error);
    }
    fn ended(&self, why: &str) {
        self.inbox.reporter.ended(why);
    }
    fn faulted(&self, why: &str) {
        self.inbox.reporter.faulted(why);
    }
}

/// Scans that wait to be taken; a person with a scanner does not outrun this.
pub(super) const WAITING: usize = 64;
/// How long a scan waits to be taken.
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
