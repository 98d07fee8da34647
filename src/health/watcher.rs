//! Looks at disk, clocks, queues and payments now and then: alerts and metrics. Overdue paper and payments in doubt are
//! found where they are looked after, in the spool and by the sweeper.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::AbortHandle;

use super::alerts::Alert;
use super::{Health, clock, metrics};
use crate::class::Class;
use crate::event::Source;
use crate::manager::lock;
use crate::tresen::{Caller, Inner, Tresen};

/// The task that looks; it ends with the till.
#[derive(Default)]
pub(crate) struct Watcher(Mutex<Option<AbortHandle>>);

impl Watcher {
    /// Begins to look at the till, now and then every [`super::Limits::look_every`].
    pub(crate) fn start(till: &Arc<Inner>) {
        let watched = Arc::downgrade(till);
        let task = tokio::spawn(watch(watched)).abort_handle();
        *lock(&till.vitals.watcher.0) = Some(task);
    }

    pub(crate) fn stop(&self) {
        if let Some(task) = lock(&self.0).take() {
            task.abort();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn watch(till: Weak<Inner>) {
    loop {
        let Some(inner) = till.upgrade() else { return };
        let (every, failed) = (inner.vitals.alerts.limits().look_every, inner.bus.storage_failed());
        let till = Tresen(inner, Caller::default());
        let health = till.health().await;
        look(&till, &health);
        drop(till);
        tokio::select! {
            biased;
            // A write failed: the disk may be full.
            () = failed.notified() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Raises and clears what the limits say.
fn look(till: &Tresen, health: &Health) {
    let (alerts, now) = (&till.0.vitals.alerts, health.at);
    let (limits, store) = (alerts.limits(), &health.till.store);
    let name = &health.till.name;
    if let Some(free) = store.disk_free {
        let low = (free < limits.disk_low).then(|| {
            let sales = store.sales_left.unwrap_or_default();
            format!("{} left on the disk of {}, enough for about {sales} sales", bytes(free), store.path.display())
        });
        alerts.set(&Source::Till, Alert::DiskLow, low, now);
    }
    metrics::store(name, store.bytes.unwrap_or_default(), store.disk_free);
    if let Some(outbox) = &health.till.outbox {
        metrics::outbox(name, outbox.status.behind.unsigned_abs());
        let off = outbox.clock.filter(|offset| offset.distance() >= limits.clock_off);
        let why = off.map(|offset| format!("the server: {}", clock::said(offset)));
        alerts.set(&Source::Till, Alert::ClockOff, why, now);
        let lacks = outbox.status.lacks.map(|gap| {
            let (after, before) = (gap.after, gap.before);
            format!("the server lacks the journal entries after {after} and before {before}, which are removed here")
        });
        alerts.set(&Source::Till, Alert::ServerLacks, lacks, now);
    }
    // What could not be read is neither good nor bad.
    if store.error.is_some() {
        return;
    }
    let config = till.config();
    for queue in &health.till.store.queues {
        let waits = queue.oldest.map_or(Duration::ZERO, |oldest| since(oldest, now));
        metrics::queue(name, &queue.route, queue.waiting + queue.printing, waits);
    }
    for open in &health.till.store.payments {
        metrics::payments(name, &open.terminal, open.open);
    }
    for terminal in config.names(Class::Terminal) {
        if health.till.store.payments.iter().all(|open| open.terminal != terminal) {
            metrics::payments(name, terminal, 0);
        }
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// `480 MB`
fn bytes(n: u64) -> String {
    if n >= 10_000_000_000 { format!("{} GB", n / 1_000_000_000) } else { format!("{} MB", n / 1_000_000) }
}

/// How long to wait after a failed write, so that a disk that fails again and again is not looked at each time.
const SETTLE: Duration = Duration::from_secs(5);
