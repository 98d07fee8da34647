//! What goes wrong at the simulated terminal.

use std::time::Duration;

use tresen_hal::Amount;

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
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// With the number of messages, in and out, when it was asked for.
    planned: Vec<(Misbehaviour, usize, usize)>,
    received: usize,
    sent: usize,
}

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

impl Faults {
    pub(super) fn plan(&mut self, misbehaviour: Misbehaviour) {
        self.planned.push((misbehaviour, self.received, self.sent));
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    fn take<T>(&mut self, matches: impl Fn(Misbehaviour, usize, usize) -> Option<T>) -> Option<T> {
        let found = self.planned.iter().enumerate().find_map(|(at, (m, r, s))| Some((at, matches(*m, *r, *s)?)));
        let (at, found) = found?;
        self.planned.remove(at);
        Some(found)
    }

    /// Whether one of these was planned; it is not any more.
    pub(super) fn once(&mut self, what: Misbehaviour) -> bool {
        self.take(|m, _, _| (m == what).then_some(())).is_some()
    }

    pub(super) fn part(&mut self) -> Option<Amount> {
        self.take(|m, _, _| if let Misbehaviour::Part(amount) = m { Some(amount) } else { None })
    }

    /// A message has come.
    pub(super) fn on_receive(&mut self) -> Delivery {
        let now = self.received;
        self.received += 1;
        let delivery = self.take(|m, received, _| match m {
            Misbehaviour::HangUp { side: Side::FromTill, message, after } if received + message == now => {
                Some(Delivery::HangUp { after })
            }
            Misbehaviour::Restart { side: Side::FromTill, message } if received + message == now => {
                Some(Delivery::Restart)
            }
            _ => None,
        });
        delivery.unwrap_or(Delivery::Normal)
    }

    /// A message is to be sent.
    pub(super) fn on_send(&mut self) -> Delivery {
        let now = self.sent;
        self.sent += 1;
        let delivery = self.take(|m, _, sent| {
            let (message, delivery) = match m {
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
            (sent + message == now).then_some(delivery)
        });
        delivery.unwrap_or(Delivery::Normal)
    }
}
