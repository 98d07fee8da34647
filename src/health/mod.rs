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

use std::sync::Arc;

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
use crate::tresen::Tresen;

/// What a till remembers for its health, besides its devices.
pub(crate) struct Vitals {
    pub(crate) alerts: Arc<Alerts>,
    opened_at: Timestamp,
    opened: Instant,
    pub(crate) watcher: Watcher,
}

impl Vitals {
    pub(crate) fn new(alerts: Arc<Alerts>, now: Timestamp) -> Self {
        Self { alerts, opened_at: now, opened: Instant::now(), watcher: Watcher::default() }
    }
}

impl Tresen {
    /// The health of the till and its devices. Reads the database and asks the system for the disk's space; disturbs no
    /// device. Never fails: what could not be read is left out, and [`StoreHealth::error`] says why.
    pub async fn health(&self) -> Health {
        let till = &self.0;
        let mut store = till.store.health().await;
        let idle = till.spool.names().into_iter().filter(|name| store.queues.iter().all(|q| q.route != *name));
        let idle: Vec<_> = idle.map(|route| QueueHealth { route, ..QueueHealth::default() }).collect();
        store.queues.extend(idle);
        store.queues.sort_by(|a, b| a.route.cmp(&b.route));
        Health {
            at: till.runtime.wall(),
            till: TillHealth {
                name: self.config().till.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                process: std::process::id(),
                opened_at: till.vitals.opened_at,
                uptime: till.vitals.opened.elapsed(),
                store,
                outbox: self.outbox_health().await,
            },
            devices: till.registry.health(),
            alerts: till.vitals.alerts.active(),
            overdue: till.spool.overdue(),
        }
    }

    /// The last events of the till and its devices, oldest first: at most 256. Scans and the progress of payments are
    /// left out: they would push out the rest.
    pub fn recent_events(&self) -> Vec<Event> {
        self.0.bus.recent()
    }
}

#[cfg(test)]
mod tests;
