//! How one simulated terminal differs from another.

use std::time::Duration;

use jiff::civil::DateTime;
use tresen_hal::Amount;

use super::super::commands::Password;
use super::super::recovery::Commit;
use super::super::transport::Framed;

/// How this terminal is.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Eight digits.
    pub terminal_id: String,
    /// Number at the acquirer, up to 15 characters.
    pub merchant_id: String,
    /// What a status enquiry names.
    pub software: String,
    /// The card that every customer has.
    pub card_name: String,
    /// The password that it wants in each command that has one; `None` takes any.
    pub password: Option<Password>,
    /// What becomes of an approval that the till does not acknowledge.
    pub commit: Commit,
    /// A payment that has begun goes on when the link is lost before the approval.
    pub finishes_alone: bool,
    /// What it shows as its last receipt.
    pub repeats: Repeats,
    /// What it does when the till wants to abort.
    pub on_abort: OnAbort,
    /// How long each step takes; zero for tests.
    pub pace: Duration,
    /// Its clock when the first till connects; `None` leaves date and time out of its messages.
    pub time: Option<DateTime>,
    /// The receipt number before the first.
    pub receipts_from: u16,
    /// It has been in use before: its last receipt is one of before the first till came. It is not in
    /// the ledger.
    pub used_before: bool,
    /// The result code with which it says that it has no last receipt. The specification names none.
    pub nothing_stored: u8,
    /// How it answers 06 20.
    pub repeat: OnRepeat,
    /// It answers 05 01. One that does not stays silent.
    pub answers_enquiry: bool,
    /// While it goes on with a customer without a till it says that it is idle, and answers 06 20.
    pub lies_idle: bool,
    /// It takes an approval back with a reversal that has a receipt of its own.
    pub reverses_with_receipt: bool,
    /// A result shows this amount instead of the one that was asked for: a partial approval, or a fault.
    pub approves: Option<Amount>,
    /// What it wants shown at the till before it authorises: 06 E0.
    pub shows: Option<String>,
    /// What it asks the till for before it authorises. Without an answer it declines.
    pub asks: Option<Asks>,
    /// What the customer enters when the till asks: 06 E2. Nobody enters anything if `None`.
    pub enters: Option<String>,
    /// How long it takes to acknowledge a command.
    pub acknowledges_after: Duration,
    /// A registration outlives the connection, until log-off: for tills that connect for each command.
    pub keeps_registration: bool,
    /// How APDUs are framed on its links.
    pub framing: Framed,
    /// The 04 0F of a booking by 06 23 tells what was released, not what was booked.
    pub tells_released: bool,
    /// It knows tag 1F1F: a till that is one receipt behind has its last transaction reversed.
    pub mirrors: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            terminal_id: "60000001".into(),
            merchant_id: "100764992".into(),
            software: "tresen simulator".into(),
            card_name: "girocard".into(),
            password: None,
            commit: Commit::Reverses,
            finishes_alone: false,
            repeats: Repeats::Stored,
            on_abort: OnAbort::Ends,
            pace: Duration::ZERO,
            time: None,
            receipts_from: 416,
            used_before: true,
            nothing_stored: 0x66,
            repeat: OnRepeat::Shows,
            answers_enquiry: true,
            lies_idle: false,
            reverses_with_receipt: false,
            approves: None,
            shows: None,
            asks: None,
            enters: None,
            acknowledges_after: Duration::ZERO,
            keeps_registration: true,
            framing: Framed::ByLength,
            tells_released: false,
            mirrors: false,
        }
    }
}

/// What a terminal asks the till for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asks {
    /// A number of so many digits: 06 E2.
    Digits {
        /// The question.
        text: String,
        /// Digits at least.
        min: u8,
        /// Digits at most.
        max: u8,
    },
    /// Any digits: 04 0D, with the question in tags 24 and 07.
    Input(String),
}

/// How the terminal answers the question for its last receipt, 06 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRepeat {
    /// With the transaction, as it should.
    Shows,
    /// With `84` and this code.
    Refuses(u8),
    /// With `06 1E` and this code.
    Aborts(u8),
    /// Not at all.
    Silent,
    /// It acknowledges and says no more.
    Hangs,
    /// It prints, and sends no 04 0F whatever the service byte says.
    PrintsOnly,
}

/// What the terminal shows as its last receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeats {
    /// The last transaction that stands.
    Stored,
    /// The last transaction, however it ended.
    Any,
}

/// What the terminal does on 06 B0 before the approval. After it the payment always goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnAbort {
    /// Acknowledges it and ends the payment.
    Ends,
    /// Acknowledges it and goes on.
    GoesOn,
    /// Refuses it with `84 83`.
    Refuses,
}
