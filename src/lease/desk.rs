//! Who has which device, the task that ends leases in time, and the news about them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tresen_hal::{Error, Kind, Result};

use super::clock::SteadyClock;
use super::slot::{Change, Slot, span};
use super::words::{End, Target, View};
use crate::class::DeviceId;
use crate::event::{Bus, EventKind, Source};
use crate::manager::lock;
use crate::store::{LeaseNote, Origin, Store};

/// The leases of a till; clones share them.
#[derive(Clone)]
pub(crate) struct Leases(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) clock: SteadyClock,
    pub(super) store: Store,
    bus: Bus,
    /// The time to live of new leases, in milliseconds.
    ttl: AtomicU64,
    devices: Mutex<BTreeMap<DeviceId, Cell>>,
    /// Tokens of devices are above this one, and so above those of an earlier run.
    first: u64,
    /// Notified when anything about the lease of a sale has changed.
    pub(super) sales_moved: Arc<Notify>,
    /// Held while the lease of a sale changes, so that the news are published in order.
    pub(super) turn: tokio::sync::Mutex<()>,
    task: Mutex<Option<AbortHandle>>,
    closed: AtomicBool,
}

struct Cell {
    slot: Slot,
    /// Notified when anything but its time has changed.
    moved: Arc<Notify>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl Leases {
    /// The leases of a till that is being opened, and the task that ends them in time.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn start(store: Store, bus: Bus, ttl: Duration) -> Result<Self> {
        let clock = store.lease_clock().clone();
        let first = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
        let inner = Inner {
            clock,
            store,
            bus,
            ttl: AtomicU64::new(0),
            devices: Mutex::default(),
            first,
            sales_moved: Arc::default(),
            turn: tokio::sync::Mutex::default(),
            task: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        let leases = Self(Arc::new(inner));
        leases.set_ttl(ttl);
        if let Some(due) = leases.0.store.limit_leases(leases.0.clock.now()).await? {
            leases.0.store.lease_alarm().set(due);
        }
        let task = tokio::spawn(keep_time(Arc::downgrade(&leases.0), leases.0.store.lease_alarm().clone()));
        *lock(&leases.0.task) = Some(task.abort_handle());
        Ok(leases)
    }

    /// Nothing is leased and nothing expires any more; who waits hears of it.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        if let Some(task) = lock(&self.0.task).take() {
            task.abort();
        }
        lock(&self.0.devices).values().for_each(|cell| cell.moved.notify_waiters());
        self.0.sales_moved.notify_waiters();
    }

    /// # Errors
    /// [`Kind::Cancelled`]: the till was closed.
    pub(super) fn is_open(&self) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Cancelled, "the till was closed"));
        }
        Ok(())
    }

    /// The time to live of new leases.
    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_millis(self.0.ttl.load(Ordering::Relaxed))
    }

    /// Sets the time to live of new leases.
    pub(crate) fn set_ttl(&self, ttl: Duration) {
        self.0.ttl.store(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Changes the lease of a device. The second value is the writing of what belongs in the journal.
    pub(super) fn device<T>(
        &self,
        id: &DeviceId,
        origin: &Origin,
        change: impl FnOnce(&mut Slot, Timestamp) -> T,
    ) -> (T, Option<JoinHandle<()>>) {
        let now = self.0.clock.now();
        let (done, notes) = {
            let mut devices = lock(&self.0.devices);
            if !devices.contains_key(id) {
                let cell = Cell { slot: Slot::new(self.0.first), moved: Arc::default() };
                devices.insert(id.clone(), cell);
            }
            let cell = devices.get_mut(id).expect("inserted above");
            let done = change(&mut cell.slot, now);
            let changes = cell.slot.take_changes();
            if !changes.is_empty() {
                cell.moved.notify_waiters();
            }
            if let Some(due) = cell.slot.deadline() {
                self.0.store.lease_alarm().set(due);
            }
            // Under the lock, so that the news are in order.
            self.0.publish(&Target::Device(id.clone()), &changes);
            (done, notes(id, &changes, origin))
        };
        (done, self.0.write(notes))
    }

    /// A device was removed from the till: its lease ends, at the latest with the running transaction, and so does its
    /// queue. What belongs in the journal is written when this returns.
    pub(crate) async fn removed(&self, id: &DeviceId) {
        if !lock(&self.0.devices).contains_key(id) {
            return;
        }
        let (_, written) = self.device(id, &Origin::new(), |slot, now| slot.end_with(End::Removed, now));
        if let Some(written) = written {
            written.await.ok();
        }
    }

    /// Notified when anything but the time of a device's lease has changed.
    pub(crate) fn moved(&self, target: &Target) -> Arc<Notify> {
        match target {
            Target::Device(id) => {
                self.device(id, &Origin::new(), |_, _| ());
                lock(&self.0.devices).get(id).map(|cell| cell.moved.clone()).unwrap_or_default()
            }
            Target::Sale(_) => self.0.sales_moved.clone(),
        }
    }

    /// The lease of a device.
    pub(crate) fn view(&self, id: &DeviceId) -> Option<View> {
        let now = self.0.clock.now();
        let devices = lock(&self.0.devices);
        let slot = &devices.get(id)?.slot;
        // What has expired a moment ago is not shown, even if the task has not ended it yet.
        let expired = slot.deadline().is_some_and(|due| due <= now);
        let target = Target::Device(id.clone());
        if !expired {
            return slot.view(&target);
        }
        let mut slot = slot.clone();
        slot.tick(now);
        slot.view(&target)
    }

    /// The leases of all devices, by class and name.
    pub(crate) fn views(&self) -> Vec<View> {
        let ids: Vec<_> = lock(&self.0.devices).keys().cloned().collect();
        ids.iter().filter_map(|id| self.view(id)).collect()
    }
}

impl Inner {
    /// Ends what has expired; returns when to look again.
    async fn tick(self: &Arc<Self>) -> Option<Timestamp> {
        let leases = Leases(self.clone());
        let ids: Vec<_> = lock(&self.devices).keys().cloned().collect();
        for id in &ids {
            leases.device(id, &Origin::new(), Slot::tick);
        }
        let sales = match leases.tick_sales().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the leases of sales cannot be looked at");
                Some(self.clock.now() + AGAIN)
            }
        };
        let devices = lock(&self.devices).values().filter_map(|cell| cell.slot.deadline()).min();
        devices.into_iter().chain(sales).min()
    }

    /// Publishes the news about a target.
    pub(super) fn publish(&self, target: &Target, changes: &[Change]) {
        for change in changes {
            let target = target.clone();
            let source = match &target {
                Target::Device(id) => Source::Device(id.clone()),
                Target::Sale(_) => Source::Till,
            };
            let kind = match change.clone() {
                Change::Leased { holder, queued: false, .. } => EventKind::Leased { target, holder },
                Change::Leased { holder, queued: true, .. } => EventKind::LeaseGranted { target, holder },
                Change::Ended { holder, why, .. } => EventKind::LeaseEnded { target, holder, why },
                Change::Ending { holder, why, .. } => EventKind::LeaseEnding { target, holder, why },
                Change::Wanted { holder, by, why } => EventKind::LeaseWanted { target, holder, by, why },
                Change::Moved => continue,
            };
            self.bus.publish(source, kind);
        }
    }

    fn write(self: &Arc<Self>, notes: Vec<LeaseNote>) -> Option<JoinHandle<()>> {
        if notes.is_empty() {
            return None;
        }
        let Ok(tasks) = tokio::runtime::Handle::try_current() else {
            tracing::error!("a lease ended outside the till's threads; the journal does not know");
            return None;
        };
        let (store, bus) = (self.store.clone(), self.bus.clone());
        Some(tasks.spawn(async move {
            if let Err(error) = store.note_leases(notes).await {
                unwritten(&bus, &error);
            }
        }))
    }
}

fn unwritten(bus: &Bus, error: &Error) {
    tracing::error!(%error, "the end of a lease cannot be journalled");
    bus.publish(Source::Till, EventKind::StorageFailed { why: error.to_string() });
}

/// What the journal has to know of a device's lease: who took it from whom, and that it ended during a transaction.
fn notes(id: &DeviceId, changes: &[Change], origin: &Origin) -> Vec<LeaseNote> {
    let device = id.to_string();
    let mut notes = Vec::new();
    for change in changes {
        match change {
            Change::Ending { holder, why, running, .. } => {
                let note = |key: &String| LeaseNote::new(key, &device, holder, why, origin);
                notes.extend(running.iter().map(note));
            }
            Change::Ended { holder, why: why @ End::TakenOver { .. }, .. } => {
                notes.push(LeaseNote::new(&device, &device, holder, why, origin));
            }
            _ => {}
        }
    }
    notes
}

/// Ends leases when their time is over, for as long as somebody has them.
async fn keep_time(leases: Weak<Inner>, alarm: Arc<Alarm>) {
    loop {
        let rings = alarm.wake.notified();
        let due = *lock(&alarm.due);
        let wait = {
            let Some(inner) = leases.upgrade() else { return };
            due.map(|due| span(inner.clock.now(), due))
        };
        let time = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = time => {}
            // The time has changed.
            () = rings => continue,
        }
        let Some(inner) = leases.upgrade() else { return };
        *lock(&alarm.due) = None;
        if let Some(next) = inner.tick().await {
            alarm.set(next);
        }
    }
}

/// When leases have to be looked at next. Shared with the store, which renews those of sales.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    due: Mutex<Option<Timestamp>>,
    wake: Notify,
}

impl Alarm {
    /// Rings at `at`, or at once if it has passed; only what is earlier than before wakes anybody now.
    pub(crate) fn set(&self, at: Timestamp) {
        let mut due = lock(&self.due);
        if due.is_none_or(|due| at < due) {
            *due = Some(at);
            self.wake.notify_one();
        }
    }
}

/// How long to wait before a database that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
