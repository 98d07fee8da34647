//! What all terminals of these tests have in common: the till's journal and clock, and what became of its payments.

use std::sync::Arc;

use tresen_hal::SimulatedRuntime;
use tresen_payment::{MemoryJournal, Payment};

/// What lasts while tills and terminals are exchanged.
pub(crate) struct Till {
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: SimulatedRuntime,
}

impl Till {
    pub(crate) fn new() -> Self {
        let wall = "2026-01-02T08:00:00Z".parse().expect("a timestamp");
        Self { journal: Arc::default(), clock: SimulatedRuntime::new(0, wall) }
    }

    pub(crate) fn clock(&self) -> Arc<SimulatedRuntime> {
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
