//! Which job each printer is printing, and which wait for it, for all routes that share the printer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::manager::lock;

/// The printers of a till, by name. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Desks(Arc<Mutex<BTreeMap<String, Desk>>>);

/// One printer. Its watchers hear when it becomes busy or free.
#[derive(Clone, Default)]
struct Desk {
    /// Since when it has been busy with one job.
    busy: watch::Sender<Option<Instant>>,
    /// The jobs that wait for it, by their place in the queue: the oldest is next, of whichever route.
    queue: Arc<Mutex<BTreeSet<i64>>>,
}

/// A printer's time for one job; ends when dropped.
pub(super) struct Claim(Desk);

/// A job's place before a printer; given up when dropped.
pub(super) struct Place {
    desk: Desk,
    printer: usize,
    job: i64,
    since: Instant,
}

impl Desks {
    /// Since when a printer has been busy with one job, if it is; changes can be awaited.
    pub(super) fn watch(&self, printer: &str) -> watch::Receiver<Option<Instant>> {
        self.desk(printer).busy.subscribe()
    }

    /// Takes a printer for a job; `None` if it is busy, or an older job waits for it.
    pub(super) fn claim(&self, printer: &str, job: i64) -> Option<Claim> {
        let desk = self.desk(printer);
        let queue = lock(&desk.queue);
        if queue.first().is_some_and(|first| *first < job) {
            return None;
        }
        let free = desk.busy.send_if_modified(|since| {
            let free = since.is_none();
            since.get_or_insert_with(Instant::now);
            free
        });
        drop(queue);
        free.then(|| Claim(desk))
    }

    /// Has a job wait for a printer, which is number `index` of its lane.
    pub(super) fn wait(&self, printer: &str, index: usize, job: i64) -> Place {
        let desk = self.desk(printer);
        lock(&desk.queue).insert(job);
        Place { desk, printer: index, job, since: Instant::now() }
    }

    fn desk(&self, printer: &str) -> Desk {
        lock(&self.0).entry(printer.to_owned()).or_default().clone()
    }
}

impl Place {
    /// The printer's number in the lane.
    pub(super) fn printer(&self) -> usize {
        self.printer
    }

    /// Since when the job has waited.
    pub(super) fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.busy.send_replace(None);
    }
}

impl Drop for Place {
    /// A job behind this one may take the printer now.
    fn drop(&mut self) {
        lock(&self.desk.queue).remove(&self.job);
        self.desk.busy.send_if_modified(|since| since.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_job_of_all_routes_is_next() {
        let desks = Desks::default();
        let mut heard = desks.watch("one");
        let claim = desks.claim("one", 1).expect("free");
        assert!(desks.claim("one", 2).is_none() && desks.claim("two", 2).is_some());
        let (later, older) = (desks.wait("one", 0, 7), desks.wait("one", 0, 5));
        heard.borrow_and_update();
        drop(claim);
        assert!(heard.has_changed().expect("there"), "those who wait are told");
        assert!(desks.claim("one", 7).is_none(), "not its turn");
        assert!(desks.claim("one", 6).is_none(), "nor of one that comes in between");
        // The older job goes elsewhere: the others are told.
        heard.borrow_and_update();
        drop(older);
        assert!(heard.has_changed().expect("there"));
        let claim = desks.claim("one", 7).expect("its turn");
        heard.borrow_and_update();
        drop(later);
        assert!(!heard.has_changed().expect("there"), "a busy printer is no news");
        drop(claim);
        assert!(desks.claim("one", 9).is_some(), "nobody waits");
    }
}
