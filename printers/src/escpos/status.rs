//! What a printer reports.
//!
//! A single stream carries everything: Automatic Status Back (4 bytes), real-time status (1 byte),
//! `GS r` status (1 byte), `GS I` strings (`5F … 00`) and `GS ( H` process ids (`37 22 … 00`). They
//! are distinguished by the bits that Epson fixes in each first byte ("ESC/POS Command Reference",
//! GS a, DLE EOT, GS r, GS I, GS ( H, DLE DC4); [`Decoder`] is the only reader of the stream.

use crate::printer::{Paper, Status};
use tresen_hal::Known;

/// The longest `5F … 00` or `37 … 00` block that is accepted; Epson's are up to 80 characters.
const LONGEST: usize = 128;

/// A reply or report from a printer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Automatic Status Back.
    Automatic([u8; 4]),
    /// The answer to a `DLE EOT`; to which one depends on what was asked.
    Realtime(u8),
    /// The answer to `GS r` (or to the old one-byte `GS I`).
    Byte(u8),
    /// The answer to `GS I` 65 and above.
    Text(String),
    /// A process id: what came before it is on paper.
    Done([u8; 4]),
    /// The buffers are cleared: the answer to `DLE DC4` function 8.
    Cleared,
    /// XON (true) or XOFF (false) of a serial printer.
    Flow(bool),
    /// Unknown bytes, kept as received.
    Unknown(Vec<u8>),
}

/// Splits the stream into replies. Feed it, then take replies until there are none.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Adds received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete reply, if there is one.
    pub fn next_reply(&mut self) -> Option<Reply> {
        let (length, reply) = decode(&self.buffer)?;
        self.buffer.drain(..length);
        Some(reply)
    }

    /// Discards an incomplete reply whose rest is lost, so that it does not swallow the next one.
    pub fn discard(&mut self) {
        self.buffer.clear();
    }

    /// How many bytes of an incomplete reply are buffered.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }
}

/// The first reply in `bytes` and its length; `None` if it is incomplete.
fn decode(bytes: &[u8]) -> Option<(usize, Reply)> {
    let &first = bytes.first()?;
    match first {
        0x5f => return block(bytes, |body| Reply::Text(String::from_utf8_lossy(&body[1..]).into_owned())),
        0x37 => {
            return block(bytes, |body| match body {
                [0x37, 0x22, a, b, c, d] => Reply::Done([*a, *b, *c, *d]),
                [0x37, 0x25] => Reply::Cleared,
                other => Reply::Unknown(other.to_vec()),
            });
        }
        0x11 => return Some((1, Reply::Flow(true))),
        0x13 => return Some((1, Reply::Flow(false))),
        _ => {}
    }
    if first & 0x93 == 0x12 {
        return Some((1, Reply::Realtime(first)));
    }
    if first & 0x93 == 0x10 {
        // Bytes 2 to 4 have bits 7 and 4 clear. If one has not, the rest of this status was lost.
        let rest = &bytes[1..bytes.len().min(4)];
        if rest.iter().any(|b| b & 0x90 != 0) {
            return Some((1, Reply::Unknown(vec![first])));
        }
        let status: [u8; 4] = bytes.get(..4)?.try_into().expect("four bytes");
        // Bits 5 and 6 of the last two are reserved and 0: these are letters of a name that lost its `_`.
        if status[2] >= 0x20 && status[3] >= 0x20 {
            return Some((1, Reply::Unknown(vec![first])));
        }
        return Some((4, Reply::Automatic(status)));
    }
    if first & 0x90 == 0 {
        return Some((1, Reply::Byte(first)));
    }
    Some((1, Reply::Unknown(vec![first])))
}

/// A block that NUL ends; one that is too long, or holds what cannot be in one, is given up byte by
/// byte.
fn block(bytes: &[u8], reply: impl FnOnce(&[u8]) -> Reply) -> Option<(usize, Reply)> {
    let end = bytes.iter().skip(1).position(|b| *b < 0x20).map(|at| at + 1);
    match end {
        Some(end) if bytes[end] == 0 && end <= LONGEST => Some((end + 1, reply(&bytes[..end]))),
        None if bytes.len() <= LONGEST => None,
        _ => Some((1, Reply::Unknown(vec![bytes[0]]))),
    }
}

/// The printer's condition, as last reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its status, for the class trait.
    pub status: Status,
    /// Why it is stopped, if it is.
    pub fault: Option<Fault>,
}

/// Why a printer is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No paper.
    PaperOut,
    /// The cover is open.
    CoverOpen,
    /// Paper is being fed by its button.
    Feeding,
    /// The cutter is stuck.
    Cutter,
    /// An error that `DLE ENQ` ends.
    Recoverable,
    /// The head is too hot or the voltage is wrong; ends by itself.
    Automatic,
    /// Needs to be switched off and on, or serviced.
    Unrecoverable,
    /// Offline for no reason given.
    Offline,
}

impl Fault {
    /// What is wrong, as a clause.
    pub fn what(self) -> &'static str {
        match self {
            Self::PaperOut => "out of paper",
            Self::CoverOpen => "the cover is open",
            Self::Feeding => "paper is being fed by hand",
            Self::Cutter => "the cutter is stuck",
            Self::Recoverable => "the printer stopped with an error",
            Self::Automatic => "the printer pauses until it has cooled down or its voltage is right",
            Self::Unrecoverable => "the printer reports an error that it cannot recover from",
            Self::Offline => "the printer is offline",
        }
    }

    /// What a person can do, as a clause.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::PaperOut => "put in a new roll and close the cover",
            Self::CoverOpen => "close the cover",
            Self::Feeding => "release the feed button",
            Self::Cutter => "open the cover, free the cutter and switch the printer off and on",
            Self::Recoverable => "open and close the cover, then try again",
            Self::Automatic => "wait a minute",
            Self::Unrecoverable => "switch the printer off and on; if that does not help, it needs service",
            Self::Offline => "press its online or feed button, or switch it off and on",
        }
    }
}

/// Whether the answer to `DLE EOT` 1 says that the printer does not print: bit 3 is offline, bit 5 waiting for recovery.
pub(super) fn is_stopped(first: u8) -> bool {
    first & 0x28 != 0
}

impl Condition {
    /// What an Automatic Status Back says: all of it at once.
    pub fn from_automatic(bytes: [u8; 4]) -> Self {
        let bit = |byte: usize, bit: u8| bytes[byte] & (1 << bit) != 0;
        Self::from_flags(&Flags {
            offline: bit(0, 3),
            drawer_high: bit(0, 2),
            cover: bit(0, 5),
            feeding: bit(0, 6),
            waiting: bit(1, 0),
            recoverable: bit(1, 2),
            cutter: bit(1, 3),
            unrecoverable: bit(1, 5),
            automatic: bit(1, 6),
            near_end: bytes[2] & 0x03 != 0,
            paper_out: bytes[2] & 0x0c != 0,
        })
    }

    /// What the answers to `DLE EOT` 1 to 4 say together. What was not answered stays unknown.
    pub fn from_realtime(answers: [Option<u8>; 4]) -> Self {
        let bytes = answers.map(|a| a.unwrap_or(0x12));
        let bit = |n: usize, bit: u8| bytes[n - 1] & (1 << bit) != 0;
        let mut condition = Self::from_flags(&Flags {
            offline: bit(1, 3),
            drawer_high: bit(1, 2),
            cover: bit(2, 2),
            feeding: bit(2, 3),
            waiting: bit(1, 5),
            recoverable: bit(3, 2),
            cutter: bit(3, 3),
            unrecoverable: bit(3, 5),
            automatic: bit(3, 6),
            near_end: bytes[3] & 0x0c != 0,
            paper_out: bytes[3] & 0x60 != 0 || bit(2, 5),
        });
        let status = &mut condition.status;
        if answers[0].is_none() {
            status.drawer_pin_high = Known::Unknown;
        }
        if answers[1].is_none() {
            status.cover_open = Known::Unknown;
        }
        if answers[2].is_none() {
            status.error = Known::Unknown;
        }
        if answers[3].is_none() && status.paper == Paper::Ok {
            status.paper = Paper::Unknown;
        }
        condition
    }

    fn from_flags(flags: &Flags) -> Self {
        let error = flags.recoverable || flags.cutter || flags.unrecoverable || flags.automatic;
        let fault = match flags {
            Flags { unrecoverable: true, .. } => Some(Fault::Unrecoverable),
            Flags { cover: true, .. } => Some(Fault::CoverOpen),
            Flags { paper_out: true, .. } => Some(Fault::PaperOut),
            Flags { cutter: true, .. } => Some(Fault::Cutter),
            Flags { recoverable: true, .. } => Some(Fault::Recoverable),
            Flags { automatic: true, .. } => Some(Fault::Automatic),
            Flags { feeding: true, .. } => Some(Fault::Feeding),
            Flags { offline: true, .. } | Flags { waiting: true, .. } => Some(Fault::Offline),
            _ => None,
        };
        let paper = match flags {
            Flags { paper_out: true, .. } => Paper::Out,
            Flags { near_end: true, .. } => Paper::NearEnd,
            _ => Paper::Ok,
        };
        Self {
            status: Status {
                online: Known::from(fault.is_none()),
                cover_open: flags.cover.into(),
                paper,
                drawer_pin_high: flags.drawer_high.into(),
                error: error.into(),
            },
            fault,
        }
    }
}

#[derive(Debug, Default)]
struct Flags {
    offline: bool,
    drawer_high: bool,
    cover: bool,
    feeding: bool,
    waiting: bool,
    recoverable: bool,
    cutter: bool,
    unrecoverable: bool,
    automatic: bool,
    near_end: bool,
    paper_out: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replies(chunks: &[&[u8]]) -> Vec<Reply> {
        let mut decoder = Decoder::default();
        let mut replies = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk);
            replies.extend(std::iter::from_fn(|| decoder.next_reply()));
        }
        replies
    }

    /// Epson: GS a byte 1 `0xx1xx00`, DLE EOT `0xx1xx10`, GS r `0xx0xxxx`, GS I `5F … 00`, GS ( H
    /// `37 22 d1–d4 00`.
    #[test]
    fn tells_replies_apart_however_they_are_split() {
        let stream = b"\x14\x00\x00\x0f\x16\x5fTM-m30\x00\x00\x37\x22ab~!\x00\x12\x11\x13\x0c\xff";
        let expected = [
            Reply::Automatic([0x14, 0, 0, 0x0f]),
            Reply::Realtime(0x16),
            Reply::Text("TM-m30".into()),
            Reply::Byte(0),
            Reply::Done(*b"ab~!"),
            Reply::Realtime(0x12),
            Reply::Flow(true),
            Reply::Flow(false),
            Reply::Byte(0x0c),
            Reply::Unknown(vec![0xff]),
        ];
        assert_eq!(replies(&[stream]), expected);
        for at in 0..stream.len() {
            let (a, b) = stream.split_at(at);
            assert_eq!(replies(&[a, b]), expected, "split at {at}");
        }
    }

    #[test]
    fn finds_its_way_back_after_a_loss() {
        // Two of four bytes lost, then a real-time status.
        assert_eq!(replies(&[b"\x10\x00\x12"]), [Reply::Unknown(vec![0x10]), Reply::Byte(0), Reply::Realtime(0x12)]);
        let endless = [&[0x5f][..], &[b'x'; 200]].concat();
        assert_eq!(replies(&[&endless])[0], Reply::Unknown(vec![0x5f]));
        assert_eq!(replies(&[b"\x37\x29abc\x00"]), [Reply::Unknown(b"\x37\x29abc".to_vec())]);
    }

    /// `5F` is lost: of `TM-m30`, `T` looks like the beginning of an automatic status.
    #[test]
    fn the_rest_of_a_name_is_no_status() {
        let heard = replies(&[b"TM-m\x00"]);
        assert!(!heard.iter().any(|r| matches!(r, Reply::Automatic(_))), "{heard:?}");
    }

    #[test]
    fn waits_for_the_rest() {
        let mut decoder = Decoder::default();
        decoder.feed(b"\x10\x00\x00");
        assert_eq!((decoder.next_reply(), decoder.held()), (None, 3));
        decoder.feed(b"\x00");
        assert_eq!(decoder.next_reply(), Some(Reply::Automatic([0x10, 0, 0, 0])));
    }

    /// Bits as in Epson's tables for GS a and DLE EOT.
    #[test]
    fn reads_the_bits() {
        let fine = Condition::from_automatic([0x10, 0, 0, 0]);
        assert_eq!((fine.fault, fine.status.online, fine.status.paper), (None, Known::Yes, Paper::Ok));
        assert_eq!(fine, Condition::from_realtime([Some(0x12); 4]));
        for (automatic, realtime, fault) in [
            ([0x18, 0, 0x0c, 0], [0x1a, 0x32, 0x12, 0x72], Fault::PaperOut),
            ([0x38, 0, 0, 0], [0x1a, 0x16, 0x12, 0x12], Fault::CoverOpen),
            ([0x58, 0, 0, 0], [0x1a, 0x1a, 0x12, 0x12], Fault::Feeding),
            ([0x18, 0x08, 0, 0], [0x1a, 0x52, 0x1a, 0x12], Fault::Cutter),
            ([0x18, 0x04, 0, 0], [0x1a, 0x52, 0x16, 0x12], Fault::Recoverable),
            ([0x18, 0x20, 0, 0], [0x1a, 0x52, 0x32, 0x12], Fault::Unrecoverable),
            ([0x18, 0x40, 0, 0], [0x1a, 0x52, 0x52, 0x12], Fault::Automatic),
            ([0x18, 0, 0, 0], [0x1a, 0x12, 0x12, 0x12], Fault::Offline),
        ] {
            assert_eq!(Condition::from_automatic(automatic).fault, Some(fault));
            assert_eq!(Condition::from_realtime(realtime.map(Some)), Condition::from_automatic(automatic), "{fault:?}");
        }
        assert_eq!(Condition::from_automatic([0x10, 0, 0x03, 0]).status.paper, Paper::NearEnd);
        assert_eq!(Condition::from_realtime([0x12, 0x12, 0x12, 0x1e].map(Some)).status.paper, Paper::NearEnd);
        assert_eq!(Condition::from_automatic([0x14, 0, 0, 0]).status.drawer_pin_high, Known::Yes);
        assert_eq!(Condition::from_realtime([0x16, 0x12, 0x12, 0x12].map(Some)).status.drawer_pin_high, Known::Yes);
    }

    #[test]
    fn what_was_not_answered_is_unknown() {
        let status = Condition::from_realtime([Some(0x12), None, None, None]).status;
        assert_eq!((status.online, status.cover_open, status.paper), (Known::Yes, Known::Unknown, Paper::Unknown));
        let out = Condition::from_realtime([Some(0x1a), None, None, Some(0x72)]);
        assert_eq!((out.fault, out.status.error), (Some(Fault::PaperOut), Known::Unknown));
        // Epson, DLE DC4 function 8: the clear response is 37 25 00.
        assert_eq!(replies(&[b"\x37\x25\x00"]), [Reply::Cleared]);
    }

    proptest! {
        #[test]
        fn no_input_panics_and_little_is_held(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5)) {
            let mut decoder = Decoder::default();
            for chunk in &chunks {
                decoder.feed(chunk);
                while decoder.next_reply().is_some() {}
                prop_assert!(decoder.held() <= LONGEST);
            }
        }
    }
}
