//! How one simulated terminal differs from another.

use std::time::Duration;

use jiff::civil::DateTime;

use super::super::codes::function::{
    CANCEL_RESERVATION, CREDIT, PURCHASE, PURCHASE_RESERVATION, RESERVATION, REVERSAL,
};

/// How this terminal is.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its lines come in the frames of a serial line.
    pub serial: bool,
    /// Eight characters.
    pub terminal_id: String,
    /// The merchant's number, up to 15 characters.
    pub merchant_id: String,
    /// 240406 is 24.04.06. Before 170005 receipts have to be asked for.
    pub software: i64,
    /// What it can do: `TrxFunctions`.
    pub functions: i64,
    /// ISO 4217 numbers.
    pub currencies: Vec<i64>,
    /// The brand of the card that every customer has.
    pub brand: String,
    /// The number of that card, masked as terminals should.
    pub card_number: String,
    /// `TrxSeqCnt` before the first transaction.
    pub numbers_from: u16,
    /// How long each step of a transaction takes; zero for tests.
    pub pace: Duration,
    /// How long it waits for a confirmation.
    pub confirm_window: Duration,
    /// What becomes of an approval that is not confirmed in that time.
    pub unconfirmed: Unconfirmed,
    /// A transaction that has begun goes on when the link is lost before the approval.
    pub finishes_alone: bool,
    /// What it does when the till wants to abort.
    pub on_abort: OnAbort,
    /// Numbers come as texts.
    pub numbers_as_text: bool,
    /// Receipts come in parts.
    pub splits_receipts: bool,
    /// It sends receipts at all.
    pub receipts: bool,
    /// It asks for the till every so often.
    pub heartbeat: Option<Duration>,
    /// It answers heartbeats.
    pub answers_heartbeats: bool,
    /// The card comes before the amount.
    pub card_first: bool,
    /// While it goes on with a customer without a till it says that it is idle.
    pub lies_idle: bool,
    /// A restart closes the shift.
    pub restart_closes_shift: bool,
    /// Its clock when the first till connects; `None` leaves date and time out of its messages.
    pub time: Option<DateTime>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            serial: false,
            terminal_id: "90000001".into(),
            merchant_id: "100764992".into(),
            software: 240_406,
            functions: PURCHASE | CREDIT | REVERSAL | RESERVATION | PURCHASE_RESERVATION | CANCEL_RESERVATION,
            currencies: vec![756, 978],
            brand: "Visa".into(),
            card_number: "XXXXXXXXXXXX1234".into(),
            numbers_from: 41,
            pace: Duration::ZERO,
            confirm_window: Duration::from_secs(30),
            unconfirmed: Unconfirmed::Undone,
            finishes_alone: false,
            on_abort: OnAbort::Ends,
            numbers_as_text: false,
            splits_receipts: false,
            receipts: true,
            heartbeat: None,
            answers_heartbeats: true,
            card_first: false,
            lies_idle: false,
            restart_closes_shift: false,
            time: None,
        }
    }
}

/// What becomes of an approval that the till does not confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unconfirmed {
    /// It is undone, as the vendor says.
    Undone,
    /// It stands, in case that a terminal does not do what the vendor says.
    Kept,
}

/// What the terminal does on a wish to abort before the approval. After it the transaction always goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnAbort {
    /// It takes it, and the transaction ends with result 3.
    Ends,
    /// It takes it, and the transaction ends without a result.
    EndsSilently,
    /// It takes it, and the transaction goes on.
    GoesOn,
}
