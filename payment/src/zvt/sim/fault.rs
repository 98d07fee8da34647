//! What the simulated terminal does wrong when it is asked to. Each fault happens once.

use std::time::Duration;

use tresen_hal::Amount;

use crate::planned::Planned;

/// One misbehaviour. Messages are counted from 0 at the moment it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The next transaction is declined with this result code.
    Decline(u8),
    /// The next payment is approved in part, with this amount, if it is less than was asked for.
    Part(Amount),
    /// The next transaction is answered `84 9C`, busy.
    Busy,
    /// The terminal hangs up.
    HangUp {
        /// Which messages are counted.
        side: Side,
        /// Which message.
        message: usize,
        /// After it has passed, else instead of it.
        after: bool,
    },
    /// This message to the till is not sent.
    NoAnswer {
        /// Which message.
        message: usize,
    },
    /// This message to the till is late.
    Late {
        /// Which message.
        message: usize,
        /// By how much.
        by: Duration,
    },
    /// This message to the till comes after this many later ones: messages cross.
    Behind {
        /// Which message.
        message: usize,
        /// After how many others.
        others: usize,
    },
    /// The next answer to an abort, 06 B0, comes after this many later messages.
    AbortAnswerBehind {
        /// After how many others.
        others: usize,
    },
    /// This message to the till is sent twice.
    Twice {
        /// Which message.
        message: usize,
    },
    /// The next transaction begins with the 04 0F that answered 06 20 last, once more.
    RepeatResult,
    /// The next transaction begins with a 06 1E that belongs to nothing, and goes on.
    StrayAbort,
    /// The next command but a registration is acknowledged, and nothing comes after that.
    HangAfterAcknowledgement,
    /// From now on, for this long, every command but a registration is answered `84 9C`.
    BusyFor(Duration),
    /// Bytes that are not ZVT instead of this message to the till.
    Garbage {
        /// Which message.
        message: usize,
    },
    /// This message to the till announces one byte more than it has.
    WrongLength {
        /// Which message.
        message: usize,
    },
    /// The next 04 0F holds a BMP that no table knows: before all others, or after them.
    UnknownField {
        /// Before all others.
        first: bool,
    },
    /// The next 04 0F holds a TLV container with a tag that no table knows, whether permitted or not.
    UnknownTag,
    /// On a serial line something happens to this frame, ACK or NAK to the till.
    OnLine {
        /// Which frame, ACK or NAK.
        piece: usize,
        /// What happens to it.
        how: LineFault,
    },
    /// After the next approving 04 0F nothing is sent any more on this connection.
    MuteAfterApproval,
    /// After the next approving 04 0F the terminal hangs up, before the till can acknowledge it.
    HangUpAfterApproval,
}

/// Whose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Messages that come from the till.
    FromTill,
    /// Messages that go to the till.
    ToTill,
}

/// What happens to one frame, ACK or NAK on a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFault {
    /// It does not arrive.
    Lose,
    /// Its last character arrives changed: the checksum of a frame is wrong, and an ACK is none.
    Corrupt,
    /// It arrives twice.
    Twice,
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: Planned<Misbehaviour>,
    /// With the number of pieces to the till when it was asked for.
    on_line: Vec<(usize, LineFault)>,
    pieces: usize,
}

/// What to do with a message to the till.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Normal,
    Nothing,
    Late(Duration),
    Behind(usize),
    Twice,
    Garbage,
    WrongLength,
    HangUp { after: bool },
}

impl Faults {
    pub(super) fn plan(&mut self, misbehaviour: Misbehaviour) {
        match misbehaviour {
            Misbehaviour::OnLine { piece, how } => self.on_line.push((self.pieces + piece, how)),
            other => self.planned.plan(other),
        }
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
        self.on_line.clear();
    }

    /// Whether one of these was planned; it is not any more.
    pub(super) fn once(&mut self, what: Misbehaviour) -> bool {
        self.planned.once(what)
    }

    pub(super) fn decline(&mut self) -> Option<u8> {
        self.planned.take(|m| if let Misbehaviour::Decline(code) = m { Some(code) } else { None })
    }

    pub(super) fn part(&mut self) -> Option<Amount> {
        self.planned.take(|m| if let Misbehaviour::Part(amount) = m { Some(amount) } else { None })
    }

    pub(super) fn abort_answer(&mut self) -> Option<usize> {
        self.planned.take(|m| if let Misbehaviour::AbortAnswerBehind { others } = m { Some(others) } else { None })
    }

    pub(super) fn busy_for(&mut self) -> Option<Duration> {
        self.planned.take(|m| if let Misbehaviour::BusyFor(time) = m { Some(time) } else { None })
    }

    /// A message has come: `Some(after)` to hang up.
    pub(super) fn on_receive(&mut self) -> Option<bool> {
        self.planned.on_receive(|m, since| match m {
            Misbehaviour::HangUp { side: Side::FromTill, message, after } if message == since => Some(after),
            _ => None,
        })
    }

    /// A frame, ACK or NAK is to be sent.
    pub(super) fn on_piece(&mut self) -> Option<LineFault> {
        let now = self.pieces;
        self.pieces += 1;
        let at = self.on_line.iter().position(|(piece, _)| *piece == now)?;
        Some(self.on_line.swap_remove(at).1)
    }

    /// A message is to be sent.
    pub(super) fn on_send(&mut self) -> Delivery {
        let delivery = self.planned.on_send(|m, since| {
            let (message, delivery) = match m {
                Misbehaviour::NoAnswer { message } => (message, Delivery::Nothing),
                Misbehaviour::Late { message, by } => (message, Delivery::Late(by)),
                Misbehaviour::Behind { message, others } => (message, Delivery::Behind(others)),
                Misbehaviour::Twice { message } => (message, Delivery::Twice),
                Misbehaviour::Garbage { message } => (message, Delivery::Garbage),
                Misbehaviour::WrongLength { message } => (message, Delivery::WrongLength),
                Misbehaviour::HangUp { side: Side::ToTill, message, after } => (message, Delivery::HangUp { after }),
                _ => return None,
            };
            (message == since).then_some(delivery)
        });
        delivery.unwrap_or(Delivery::Normal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_happens_once_and_where_it_was_asked_for() {
        let mut faults = Faults::default();
        assert_eq!(faults.on_send(), Delivery::Normal);
        faults.plan(Misbehaviour::NoAnswer { message: 1 });
        faults.plan(Misbehaviour::HangUp { side: Side::FromTill, message: 0, after: true });
        faults.plan(Misbehaviour::Decline(5));
        assert_eq!(
            (faults.on_send(), faults.on_send(), faults.on_send()),
            (Delivery::Normal, Delivery::Nothing, Delivery::Normal)
        );
        assert_eq!((faults.on_receive(), faults.on_receive()), (Some(true), None));
        assert_eq!((faults.decline(), faults.decline()), (Some(5), None));
    }
}
