//! What the simulated terminal does wrong when it is asked to. Each fault happens once.

use std::time::Duration;

use tresen_hal::Amount;

use crate::planned::Planned;

/// One misbehaviour. Messages are counted from 0 at the moment it was asked for; heartbeats are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The next transaction is declined, with this `TrxResultExtended`.
    Decline(i64),
    /// The next transaction is referred: the issuer wants to be called.
    Refer,
    /// The customer aborts the next transaction.
    Cancel,
    /// The next transaction has to wait for a task of the terminal.
    TaskPending,
    /// The next transaction is refused with an `ErrorNotification`, and does not begin.
    Refuse,
    /// The next transaction is disturbed by an `ErrorNotification`, and goes on.
    Disturb,
    /// The next payment is approved in part, with this amount, if it is less than was asked for.
    Part(Amount),
    /// The customer adds a tip to the next payment.
    Tip(Amount),
    /// The next approval says something else than was asked for; the ledger has what was asked.
    Differs(Difference),
    /// The next transaction begins with the last answer once more.
    RepeatLast,
    /// The next transaction ends with this `TrxResult`, which is not documented, and does not stand.
    Result(i64),
    /// For so long it is busy with something else.
    BusyFor(Duration),
    /// Something goes wrong with a message.
    At {
        /// Which messages are counted.
        side: Side,
        /// Which message.
        message: usize,
        /// What goes wrong.
        how: Fault,
    },
}

/// How an approval differs from what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// One unit more.
    Amount,
    /// Another currency.
    Currency,
    /// Another terminal.
    Terminal,
    /// It is a refund, or a payment.
    Function,
}

/// What goes wrong with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The terminal hangs up instead.
    HangUp,
    /// The terminal hangs up after it.
    HangUpAfter,
    /// It is lost.
    Drop,
    /// The terminal starts anew instead: what runs is forgotten, and the link is lost.
    Restart,
    /// It is late.
    Late(Duration),
    /// It comes after so many later ones.
    Behind(usize),
    /// It comes twice.
    Twice,
    /// It comes in two pieces.
    Split,
    /// It comes byte by byte.
    Chunked,
    /// It comes in one piece with the next.
    Merged,
    /// Half of it comes, then the terminal hangs up.
    Half,
    /// Something comes instead that is not of this protocol.
    Garbage,
    /// A message of its name comes instead that cannot be read.
    Unreadable,
    /// An `ErrorNotification` comes instead.
    Error,
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

/// What happens to the message that has come after `since` others, or is to be sent.
pub(super) fn at(of: Side) -> impl Fn(Misbehaviour, usize) -> Option<Fault> {
    move |misbehaviour, since| match misbehaviour {
        Misbehaviour::At { side, message, how } if side == of && message == since => Some(how),
        _ => None,
    }
}
