//! The health of a till and its devices: as values, as events on change, and as metrics.
//!
//! [`Tresen::health`] tells, per device, since when it is connected, how often it was lost, its last errors, how long
//! its calls take, its jobs, its paper, its clock; and of the till its queues, open payments, database and disk. The
//! owner tasks note this as they go, in memory of fixed size; asking disturbs no device.
//!
//! Conditions that a person should know of before they become faults are [alerts](Alert): an event tells when one is
//! raised and when it is cleared, and nothing in between. [`Limits`] are the section `[health]` of the configuration.
//!
//! Feature `metrics` reports the same numbers to whatever recorder the program installs; `src/health/metrics.rs` lists
//! their names.

mod activity;
mod alerts;
mod clock;
mod disk;
pub(crate) mod histogram;
pub(crate) mod metrics;
mod report;
mod time;
mod watcher;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::time::Instant;

pub use activity::{CallHealth, ClockOffset, PastError};
pub use alerts::{ActiveAlert, Alert, Limits};
pub use disk::Space;
pub use report::{DeviceHealth, Health, OpenPayments, OutboxHealth, QueueHealth, StoreHealth, TillHealth};

pub(crate) use activity::Activity;
pub(crate) use alerts::Alerts;
pub(crate) use clock::Observed;
pub(crate) use watcher::Watcher;

use crate::event::Event;
use crate::manager::lock;
use crate::tresen::Tresen;

/// What a till remembers for its health, besides its devices.
pub(crate) struct Vitals {
    pub(crate) alerts: Arc<Alerts>,
    opened_at: Timestamp,
    opened: Instant,
    outbox: Mutex<Option<OutboxHealth>>,
    pub(crate) watcher: Watcher,
}

impl Vitals {
    pub(crate) fn new(alerts: Arc<Alerts>, now: Timestamp) -> Self {
        let (outbox, watcher) = (Mutex::default(), Watcher::default());
        Self { alerts, opened_at: now, opened: Instant::now(), outbox, watcher }
    }

    /// Records how far the server has received the journal: for whoever sends it.
    #[allow(dead_code, reason = "only builds with a server call this")]
    pub(crate) fn outbox(&self, health: Option<OutboxHealth>) {
        *lock(&self.outbox) = health;
    }
}

impl Tresen {
    /// The health of the till and its devices. Reads the database and asks the system for the disk's space; disturbs no
    /// device. Never fails: what could not be read is left out, and [`StoreHealth::error`] says why.
    pub async fn health(&self) -> Health {
        let till = &self.0;
        let now = till.runtime.wall();
        let (work, size) = tokio::join!(biased; till.store.open_work(), till.store.size());
        let error = work.as_ref().err().or(size.as_ref().err()).map(ToString::to_string);
        let work = work.unwrap_or_default();
        let mut queues: Vec<_> =
            till.spool.names().into_iter().map(|route| QueueHealth { route, ..QueueHealth::default() }).collect();
        for (route, state, jobs, oldest) in work.jobs {
            let at = queues.iter().position(|queue| queue.route == route).unwrap_or_else(|| {
                queues.push(QueueHealth { route, ..QueueHealth::default() });
                queues.len() - 1
            });
            let queue = &mut queues[at];
            match state.as_str() {
                "queued" => (queue.waiting, queue.oldest) = (jobs, Some(oldest)),
                "printing" => queue.printing = jobs,
                _ => queue.parked += jobs,
            }
        }
        queues.sort_by(|a, b| a.route.cmp(&b.route));
        let open = |(terminal, open, oldest)| OpenPayments { terminal, open, oldest };
        let written = till.store.written();
        let space = size.as_ref().ok().and_then(|size| size.space);
        let a_sale = work.used.checked_div(work.tickets).filter(|_| work.tickets >= MANY).unwrap_or(A_SALE);
        let store = StoreHealth {
            path: till.store.path().to_owned(),
            bytes: size.as_ref().ok().map(|size| size.bytes),
            disk_free: space.map(|space| space.free),
            disk_total: space.map(|space| space.total),
            sales_left: space.map(|space| space.free / a_sale.max(1)),
            writes: written.count,
            mean: written.mean,
            p50: written.p50,
            p99: written.p99,
            max: written.max,
            failed: written.failed,
            last_failure: written.last_failure,
            error,
        };
        let outbox = lock(&till.vitals.outbox).clone();
        Health {
            at: now,
            till: TillHealth {
                name: self.config().till.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                process: std::process::id(),
                opened_at: till.vitals.opened_at,
                uptime: till.vitals.opened.elapsed(),
                queues,
                payments: work.payments.into_iter().map(open).collect(),
                open_sales: work.sales.map_or(0, |(open, _)| open),
                oldest_sale: work.sales.map(|(_, oldest)| oldest),
                store,
                outbox,
            },
            devices: till.registry.health(),
            alerts: till.vitals.alerts.active(),
        }
    }

    /// The last events of the till and its devices, oldest first: at most 256. Scans and the progress of payments are
    /// left out: they would push out the rest.
    pub fn recent_events(&self) -> Vec<Event> {
        self.0.bus.recent()
    }
}

/// A closed sale takes about this many bytes with its payment, its journal lines and its receipt, as long as there are
/// not [`MANY`] to measure.
const A_SALE: u64 = 16 * 1024;
const MANY: u64 = 100;

#[cfg(test)]
mod tests;
