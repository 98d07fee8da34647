//! How one simulated terminal differs from another.

use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::Amount;

use super::super::crypto::Key;

/// How this terminal is.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its `POIID`. Requests to another are rejected.
    pub poi: String,
    /// Its key; without one it takes messages in clear.
    pub key: Option<Key>,
    /// The brand of the card that every customer has.
    pub brand: String,
    /// The number of that card, as the terminal sends it.
    pub card_number: String,
    /// How long a customer takes; zero for tests. After 120 s the terminal cancels.
    pub pace: Duration,
    /// What becomes of a transaction when the till is lost before its end.
    pub on_loss: OnLoss,
    /// What it does when the till wants to abort.
    pub on_abort: OnAbort,
    /// How it answers a question for a transaction.
    pub on_status: OnStatus,
    /// A result shows this amount instead of the one that was asked for.
    pub approves: Option<Amount>,
    /// What the customer enters when asked.
    pub enters: Enters,
    /// It has a printer.
    pub printer: bool,
    /// It tells the till when a transaction begins and ends, unasked.
    pub tells: bool,
    /// Its clock when it starts.
    pub time: Timestamp,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            poi: "V400m-123456789".into(),
            key: None,
            brand: "mc".into(),
            card_number: "541333 **** 9999".into(),
            pace: Duration::ZERO,
            on_loss: OnLoss::GoesOn,
            on_abort: OnAbort::Ends,
            on_status: OnStatus::Tells,
            approves: None,
            enters: Enters::Nothing,
            printer: true,
            tells: false,
            time: Timestamp::UNIX_EPOCH,
        }
    }
}

/// What a customer enters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enters {
    /// Nothing: the customer cancels.
    Nothing,
    /// Yes.
    Yes,
    /// No.
    No,
    /// This text, or these digits.
    Text(String),
    /// The choice at this place, counted from 0.
    Entry(usize),
}

/// What becomes of a transaction whose till is lost before the approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLoss {
    /// It goes on.
    GoesOn,
    /// It is cancelled, and the terminal says so when it is asked.
    Cancels,
    /// It is cancelled, and forgotten.
    Forgets,
}

/// What the terminal does on `AbortRequest` before the approval. After it the transaction always goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnAbort {
    /// It ends the transaction.
    Ends,
    /// It does nothing.
    GoesOn,
}

/// How the terminal answers `TransactionStatusRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStatus {
    /// As documented.
    Tells,
    /// Not at all.
    Silent,
    /// Always with `InProgress`.
    Busy,
    /// With the last response, whatever was asked for.
    Last,
    /// With the response, without its header's numbers.
    Nameless,
    /// With a result that nobody knows.
    Odd,
}
