//! How one simulated terminal differs from another.

use std::time::Duration;

use jiff::civil::DateTime;
use tresen_hal::Amount;

use super::super::dialect::{self, Dialect};

/// How this terminal is.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How it speaks.
    pub dialect: Dialect,
    /// Its id.
    pub terminal_id: String,
    /// The name of the card that every customer has.
    pub card_name: String,
    /// The number of that card, as the terminal sends it.
    pub card_number: String,
    /// The trace number before the first.
    pub traces_from: u16,
    /// How long a customer takes; zero for tests.
    pub pace: Duration,
    /// What becomes of a transaction when the till is lost before its end.
    pub on_loss: OnLoss,
    /// What it does when the till wants to abort.
    pub on_abort: OnAbort,
    /// When receipts are printed over channel 1; `None`: it prints by itself.
    pub receipts: Option<When>,
    /// Texts are shown at the till.
    pub shows: bool,
    /// The till is asked this with yes and no before the approval; a no declines.
    pub asks: Option<String>,
    /// The connection of channel 1 stays open between requests.
    pub keeps_device_link: bool,
    /// The till has to log in.
    pub needs_login: bool,
    /// How it answers `RepeatLastMessage`.
    pub repeat: OnRepeat,
    /// While it serves a customer it answers `RepeatLastMessage` with the message before, and not with `Busy`.
    pub lies_idle: bool,
    /// A result shows this amount instead of the one that was asked for.
    pub approves: Option<Amount>,
    /// Its clock; `None` leaves the time out of its messages.
    pub time: Option<DateTime>,
    /// It has been in use before: its last message is one of before the first till came.
    pub used_before: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            dialect: dialect::GERMAN,
            terminal_id: "60000001".into(),
            card_name: "girocard".into(),
            card_number: "***************4747".into(),
            traces_from: 416,
            pace: Duration::ZERO,
            on_loss: OnLoss::Cancels,
            on_abort: OnAbort::Ends,
            receipts: Some(When::Before),
            shows: true,
            asks: None,
            keeps_device_link: false,
            needs_login: true,
            repeat: OnRepeat::Header,
            lies_idle: false,
            approves: None,
            time: None,
            used_before: true,
        }
    }
}

/// What becomes of a transaction whose till is lost before the approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLoss {
    /// It ends, and the terminal's last message says so.
    Cancels,
    /// It ends, and the terminal's last message is still the one before.
    Forgets,
    /// It goes on.
    GoesOn,
}

/// What the terminal does on `AbortRequest` before the approval. After it the transaction always goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnAbort {
    /// Acknowledges it and ends the transaction.
    Ends,
    /// Acknowledges it and goes on.
    GoesOn,
    /// Refuses it.
    Refuses,
}

/// When receipts are printed over channel 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Before the answer.
    Before,
    /// After the answer.
    After,
    /// At the same time: nobody waits for the till.
    Crossing,
}

/// How the terminal answers `RepeatLastMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRepeat {
    /// With the last message and its `OriginalHeader`.
    Header,
    /// With the last message as it was, under its own id.
    Verbatim,
    /// With the last message, without `OriginalHeader`.
    NoHeader,
    /// With `NotSupported`.
    NotSupported,
    /// Not at all.
    Silent,
}
