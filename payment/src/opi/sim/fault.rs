//! What goes wrong at the simulated terminal.

use std::time::Duration;

use tresen_hal::Amount;

use crate::planned::Planned;

/// Something goes wrong, once. Messages are counted over both channels from when it was asked for, 0 is the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The next transaction is declined.
    Decline,
    /// Of the next payment only this much is approved.
    Part(Amount),
    /// The next transaction is refused with `Busy`.
    Busy,
    /// The connection is cut at this message.
    HangUp {
        /// Whose messages are counted.
        side: Side,
        /// Which message.
        message: usize,
        /// The message still passes.
        after: bool,
    },
    /// The terminal restarts instead of sending this message, or of reading it: connections and the running transaction
    /// end, what is approved stays.
    Restart {
        /// Whose messages are counted.
        side: Side,
        /// Which message.
        message: usize,
    },
    /// This message to the till is lost.
    Drop {
        /// Which message.
        message: usize,
    },
    /// This message to the till comes so much later.
    Late {
        /// Which message.
        message: usize,
        /// How much.
        by: Duration,
    },
    /// This message to the till comes after this many later ones: messages cross.
    Behind {
        /// Which message.
        message: usize,
        /// After how many others.
        others: usize,
    },
    /// This message to the till is sent twice.
    Twice {
        /// Which message.
        message: usize,
    },
    /// This message to the till comes byte by byte.
    Split {
        /// Which message.
        message: usize,
    },
    /// This message to the till comes in one piece with the next on its connection.
    Merge {
        /// Which message.
        message: usize,
    },
    /// Bytes that are not OPI instead of this message to the till.
    Garbage {
        /// Which message.
        message: usize,
    },
    /// This message to the till announces one byte more than it has.
    WrongLength {
        /// Which message.
        message: usize,
    },
}

/// Whose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Messages that come from the till.
    FromTill,
    /// Messages that go to the till.
    ToTill,
}

/// The faults that are still to come.
pub(super) type Faults = Planned<Misbehaviour>;

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Normal,
    Nothing,
    Late(Duration),
    Behind(usize),
    Twice,
    Split,
    Merge,
    Garbage,
    WrongLength,
    HangUp { after: bool },
    Restart,
}

/// What to do with the message that has come after `since` others.
pub(super) fn received(misbehaviour: Misbehaviour, since: usize) -> Option<Delivery> {
    match misbehaviour {
        Misbehaviour::HangUp { side: Side::FromTill, message, after } if message == since => {
            Some(Delivery::HangUp { after })
        }
        Misbehaviour::Restart { side: Side::FromTill, message } if message == since => Some(Delivery::Restart),
        _ => None,
    }
}

/// What to do with the message that is to be sent after `since` others.
pub(super) fn sent(misbehaviour: Misbehaviour, since: usize) -> Option<Delivery> {
    let (message, delivery) = match misbehaviour {
        Misbehaviour::Drop { message } => (message, Delivery::Nothing),
        Misbehaviour::Late { message, by } => (message, Delivery::Late(by)),
        Misbehaviour::Behind { message, others } => (message, Delivery::Behind(others)),
        Misbehaviour::Twice { message } => (message, Delivery::Twice),
        Misbehaviour::Split { message } => (message, Delivery::Split),
        Misbehaviour::Merge { message } => (message, Delivery::Merge),
        Misbehaviour::Garbage { message } => (message, Delivery::Garbage),
        Misbehaviour::WrongLength { message } => (message, Delivery::WrongLength),
        Misbehaviour::HangUp { side: Side::ToTill, message, after } => (message, Delivery::HangUp { after }),
        Misbehaviour::Restart { side: Side::ToTill, message } => (message, Delivery::Restart),
        _ => return None,
    };
    (message == since).then_some(delivery)
}
