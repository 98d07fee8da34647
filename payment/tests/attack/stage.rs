//! What all terminals of these tests have in common: the till's journal and clock, and what became of its payments.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tresen_hal::runtime::{Work, Worker};
use tresen_hal::{Clock, Runtime, SimulatedRuntime};
use tresen_payment::{MemoryJournal, Payment};

/// What lasts while tills and terminals are exchanged.
pub(crate) struct Till {
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: TillClock,
}

/// A runtime whose date can be set, as by a person or a time server.
#[derive(Debug, Clone)]
pub(crate) struct TillClock {
    runtime: SimulatedRuntime,
    hours: Arc<AtomicI64>,
}

impl TillClock {
    /// Sets the date by so many hours forward, or back. What has passed is what it was.
    pub(crate) fn jump(&self, hours: i64) {
        self.hours.fetch_add(hours, SeqCst);
    }
}

impl Clock for TillClock {
    fn now(&self) -> Instant {
        self.runtime.now()
    }
    fn wall(&self) -> Timestamp {
        self.runtime.wall() + SignedDuration::from_hours(self.hours.load(SeqCst))
    }
}

impl Runtime for TillClock {
    fn random(&self) -> u64 {
        self.runtime.random()
    }
    fn new_id(&self) -> String {
        self.runtime.new_id()
    }
    fn offload(&self, work: Work) {
        self.runtime.offload(work);
    }
    fn worker(&self, name: &str) -> tresen_hal::Result<Worker> {
        self.runtime.worker(name)
    }
}

/// When the date is set in a test, each by how many hours: before a payment, in it, and between it and recovery.
pub(crate) const JUMPS: [[i64; 3]; 8] =
    [[0, 24, 0], [0, -24, 0], [0, 0, 24], [0, 0, -24], [0, 0, 23], [-24, 24, 0], [-24, 0, 24], [24, 0, -24]];

impl Till {
    pub(crate) fn new() -> Self {
        let wall = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
        let runtime = SimulatedRuntime::new(0, wall);
        Self { journal: Arc::default(), clock: TillClock { runtime, hours: Arc::default() } }
    }

    pub(crate) fn clock(&self) -> Arc<TillClock> {
        Arc::new(self.clock.clone())
    }

    /// How the journal has this payment.
    pub(crate) fn stands(&self, id: &str) -> Option<Payment> {
        self.journal.entries().into_iter().find(|e| e.intent.id.0 == id)?.outcome()
    }

    /// All that the till keeps, as it is stored and as it is shown.
    pub(crate) fn everything(&self) -> String {
        let entries = self.journal.entries();
        format!("{entries:?} {}", serde_json::to_string(&entries).expect("serialises"))
    }
}

/// `charged`, `partial`, `not charged`, `unknown`.
pub(crate) fn how(payment: &Payment) -> &'static str {
    match payment {
        Payment::Charged(_) => "charged",
        Payment::Partial(_) => "partial",
        Payment::NotCharged(_) => "not charged",
        Payment::Unknown(_) => "unknown",
        _ => "something else",
    }
}
