//! What a dialogue tells, and how it ends.

use std::fmt;

use super::super::framing::Invalid;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// With its acknowledgement: log-off.
    Acknowledged,
    /// With 06 0F or 06 1E.
    Completed,
    /// With 06 0F or 06 1E, soon: no customer is waited for and no money moves. If it stays away the
    /// session lives on: [`Event::Unanswered`].
    Enquiry,
}

/// The data of a message. `Debug` shows its length only: it may hold a card number.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(pub Vec<u8>);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The terminal took the command: `80 00 00` or `84 00`.
    Accepted,
    /// The terminal refused the command: `84 xx`.
    Refused {
        /// The result code.
        code: u8,
        /// What came with it.
        data: Data,
    },
    /// Whether the terminal took the wish to abort. No outcome either way.
    AbortAnswered(bool),
    /// 04 FF.
    Intermediate(Data),
    /// 04 0F; waits for [`Session::confirm`](super::Session::confirm) or [`Session::refuse`](super::Session::refuse).
    Result(Data),
    /// 06 D1; waits for [`Session::confirm`](super::Session::confirm).
    PrintLine(Data),
    /// 06 D3; waits for [`Session::confirm`](super::Session::confirm).
    PrintBlock(Data),
    /// 06 E2 or 04 0D while a command runs: the terminal asks for an input. Waits for
    /// [`Session::reply`](super::Session::reply) or [`Session::refuse`](super::Session::refuse).
    Asked {
        /// Class and instruction.
        code: u16,
        /// What came with it.
        data: Data,
    },
    /// 06 0F: the command ended well.
    Completed(Data),
    /// 06 1E: the command ended without success.
    Aborted(Data),
    /// Another command of the terminal, and whether it was acknowledged.
    Other {
        /// Class and instruction.
        code: u16,
        /// `80 00 00`, else `84 83`.
        acknowledged: bool,
        /// What came with it.
        data: Data,
    },
    /// The enquiry was not answered, or not to its end. The session is idle again; an answer that comes
    /// later is not taken for the next command's.
    Unanswered,
    /// The dialogue is over; this session is spent.
    Failed(Failure),
}

/// Why a dialogue is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// T3: the command was not acknowledged.
    NotAcknowledged,
    /// The transport does not know whether the terminal has our message.
    Undelivered,
    /// T4: nothing came any more.
    Silent,
    /// The command did not end within [`Timeouts::limit`](super::Timeouts::limit), though the terminal went on talking.
    Endless,
    /// The answer to an abort stayed away. It could be taken for the next command's.
    Owing,
    /// Bytes that are not ZVT.
    Invalid(Invalid),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAcknowledged => f.write_str("the terminal did not acknowledge the command"),
            Self::Undelivered => f.write_str("the terminal did not confirm that a message has arrived"),
            Self::Silent => f.write_str("the terminal fell silent"),
            Self::Endless => f.write_str("the terminal went on without coming to an end"),
            Self::Owing => f.write_str("the terminal never answered the wish to abort"),
            Self::Invalid(at) => write!(f, "what came is not ZVT: byte {:02x} at offset {}", at.byte, at.offset),
        }
    }
}
