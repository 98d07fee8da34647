//! What goes wrong at the simulated terminal.

use std::time::Duration;

use tresen_hal::Amount;

use crate::planned::Planned;

/// Something goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The next transaction is declined.
    Decline,
    /// The customer cancels the next transaction.
    Cancel,
    /// The next transaction is refused with `Busy`.
    Busy,
    /// Of the next payment only this much is approved: `Partial`.
    Part(Amount),
    /// With the next payment comes this tip.
    Tip(Amount),
    /// The next transaction ends with `UnreachableHost`.
    Unreachable {
        /// Though the host has approved it, and it stands.
        charged: bool,
    },
    /// A message, counted from when it was asked for, 0 is the next.
    At {
        /// Whose messages are counted.
        side: Side,
        /// Which message.
        message: usize,
        /// What happens to it.
        how: Fault,
    },
}

/// Whose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Requests of the till.
    FromTill,
    /// Responses of the terminal.
    ToTill,
}

/// What happens to a message. To a request of the till only the first four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is lost, and its connection ends.
    HangUp,
    /// It passes, and its connection ends.
    HangUpAfter,
    /// It is lost; its connection stays.
    Drop,
    /// The terminal restarts instead: connections and the running transaction end, what has ended stays.
    Restart,
    /// It comes so much later.
    Late(Duration),
    /// It comes byte by byte.
    Split,
    /// It comes in chunks.
    Chunked,
    /// Half of it comes, then its connection ends.
    Half,
    /// It is no HTTP.
    Garbage,
    /// This status comes instead, with a page.
    Status(u16),
    /// It is not encrypted.
    Unsealed,
    /// It is encrypted with another key of the same name.
    OtherKey,
    /// The header beside the encrypted message is another.
    OtherHeader,
    /// It answers another request.
    Foreign,
    /// A notice that the message was rejected comes instead.
    Reject,
}

/// The faults that are still to come.
pub(super) type Faults = Planned<Misbehaviour>;

/// What happens to the message that has come after `since` others, or is to be sent.
pub(super) fn at(of: Side) -> impl Fn(Misbehaviour, usize) -> Option<Fault> {
    move |misbehaviour, since| match misbehaviour {
        Misbehaviour::At { side, message, how } if side == of && message == since => Some(how),
        _ => None,
    }
}
