//! The journal: what was meant, written before anything is sent, and what came of it, written
//! before it is acknowledged.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, BoxFuture, Result};

use crate::outcome::{Charge, IntentId, Payment};

/// What is about to be asked of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Intent {
    /// Its key.
    pub id: IntentId,
    /// The terminal, by its logical name.
    pub terminal: String,
    /// What kind of transaction.
    pub operation: Operation,
    /// How much.
    pub amount: Amount,
    /// When it was written.
    pub at: Timestamp,
    /// The last transaction that the terminal had stored before this one, as evidence for recovery.
    pub last_before: Option<Reference>,
}

impl Intent {
    /// A new intent.
    pub fn new(
        id: IntentId,
        terminal: impl Into<String>,
        operation: Operation,
        amount: Amount,
        at: Timestamp,
        last_before: Option<Reference>,
    ) -> Self {
        Self { id, terminal: terminal.into(), operation, amount, at, last_before }
    }
}

/// Transactions that move money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// The customer pays.
    Payment,
    /// A payment is taken back by its receipt number.
    Reversal {
        /// Receipt number of the payment, as the terminal gave it.
        receipt_number: String,
    },
    /// The customer gets money back without reference to a payment.
    Refund,
}

/// How a terminal names one of its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Receipt number.
    pub receipt_number: String,
    /// Trace number.
    pub trace: Option<String>,
    /// The terminal's own id. Another one in the same place is another terminal.
    #[serde(default)]
    pub terminal_id: Option<String>,
}

impl Reference {
    /// How the terminal names this charge, if it numbered it.
    pub fn of(charge: &Charge) -> Option<Self> {
        Some(Self {
            receipt_number: charge.receipt_number.clone()?,
            trace: charge.trace.clone(),
            terminal_id: charge.terminal_id.clone(),
        })
    }
}

/// All that a journal knows of one intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// What was meant.
    pub intent: Intent,
    /// What the terminal approved, as far as it was written: [`Journal::approve`].
    pub approved: Option<Charge>,
    /// How it ended, the last word: [`Journal::conclude`]. `None` while nothing is known.
    pub payment: Option<Payment>,
}

impl Entry {
    /// An entry as a journal has read it.
    pub fn new(intent: Intent, approved: Option<Charge>, payment: Option<Payment>) -> Self {
        Self { intent, approved, payment }
    }

    /// Neither charged nor not charged yet.
    pub fn is_open(&self) -> bool {
        !matches!(self.payment, Some(Payment::Charged(_) | Payment::NotCharged(_)))
    }
}

/// Where intents and results are kept. Each call returns when the entry is durable: on disk, not in
/// a cache.
///
/// # Errors
/// All methods: [`tresen_hal::Kind::Storage`]. A driver that cannot write the intent sends nothing;
/// one that cannot write the result does not acknowledge it.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Writes an intent, before anything is sent for it. An id that is already there is refused
    /// with [`tresen_hal::Kind::Input`]: the same id is the same payment.
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>>;

    /// Writes what the terminal has approved, before that is acknowledged to it. The intent stays
    /// open: a terminal that misses the acknowledgement takes the approval back. Called again for
    /// the same intent when a slip has come; the last call counts.
    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>>;

    /// Writes how an intent ended. The last word counts: a result may follow an `Unknown`, and a
    /// reversal by the terminal may follow a result.
    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>>;

    /// What is known of one intent.
    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>>;

    /// All intents of a terminal that are not concluded as charged or not charged, oldest first.
    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>>;

    /// The last transaction of this terminal that stands, as far as the journal knows.
    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>>;
}
