//! One frame of the serial line (PA00P015, chapter "Transport protocol"): `DLE STX apdu DLE ETX crc-lo crc-hi`.
//!
//! A DLE inside the APDU is doubled. The checksum is over the APDU and ETX, without the doubled DLEs; its two bytes are
//! not doubled. Between frames a single ACK or NAK answers the frame that was sent last.

use super::super::wire::MAX_APDU;
use super::crc::crc;

/// Start of text.
pub const STX: u8 = 0x02;
/// End of text.
pub const ETX: u8 = 0x03;
/// The frame has arrived.
pub const ACK: u8 = 0x06;
/// Data link escape.
pub const DLE: u8 = 0x10;
/// The frame cannot be read.
pub const NAK: u8 = 0x15;

/// The frame of `apdu`.
pub fn encode(apdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(apdu.len() + 8);
    frame.extend([DLE, STX]);
    for &byte in apdu {
        frame.push(byte);
        if byte == DLE {
            frame.push(DLE);
        }
    }
    frame.extend([DLE, ETX]);
    frame.extend(checksum(apdu).to_le_bytes());
    frame
}

fn checksum(apdu: &[u8]) -> u16 {
    crc(apdu.iter().copied().chain([ETX]))
}

/// What comes over the line.
#[derive(Clone, PartialEq, Eq)]
pub enum Item {
    /// ACK.
    Ack,
    /// NAK.
    Nak,
    /// What stood in a frame whose checksum is right.
    Frame(Vec<u8>),
    /// A frame that cannot be read.
    Broken,
}

/// Shows no bytes: they may hold a card number.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ack => f.write_str("Ack"),
            Self::Nak => f.write_str("Nak"),
            Self::Frame(apdu) => write!(f, "Frame({} bytes)", apdu.len()),
            Self::Broken => f.write_str("Broken"),
        }
    }
}

/// Reads characters. It holds one incomplete frame, [`MAX_APDU`] bytes at most.
///
/// Characters before a frame are skipped. An ACK or NAK counts only where it stands alone: inside of what is skipped it
/// may be a part of a frame whose beginning was lost.
#[derive(Default)]
pub struct Decoder {
    state: State,
    body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Between frames, after silence or a frame.
    #[default]
    Idle,
    /// After a DLE between frames.
    Opening,
    /// What comes makes no sense; a frame was begun, if `broken`.
    Skipping {
        broken: bool,
        escaped: bool,
    },
    Body,
    /// After a DLE in a frame.
    Escaped,
    Checksum,
    SecondHalf(u8),
}

impl Decoder {
    /// Takes one character.
    pub fn feed(&mut self, byte: u8) -> Option<Item> {
        let (state, item) = match (self.state, byte) {
            (State::Idle, ACK) => (State::Idle, Some(Item::Ack)),
            (State::Idle, NAK) => (State::Idle, Some(Item::Nak)),
            (State::Idle, DLE) => (State::Opening, None),
            (State::Opening | State::Escaped | State::Skipping { escaped: true, .. }, STX) => {
                self.body.clear();
                (State::Body, None)
            }
            (State::Idle | State::Opening, _) => (State::Skipping { broken: false, escaped: false }, None),
            // A doubled DLE introduces nothing.
            (State::Skipping { broken, escaped }, _) => {
                (State::Skipping { broken, escaped: byte == DLE && !escaped }, None)
            }
            (State::Body, DLE) => (State::Escaped, None),
            (State::Body, _) | (State::Escaped, DLE) if self.body.len() < MAX_APDU => {
                self.body.push(byte);
                (State::Body, None)
            }
            (State::Escaped, ETX) => (State::Checksum, None),
            (State::Body | State::Escaped, _) => (State::Skipping { broken: true, escaped: false }, None),
            (State::Checksum, low) => (State::SecondHalf(low), None),
            (State::SecondHalf(low), high) => {
                let body = std::mem::take(&mut self.body);
                match checksum(&body) == u16::from_le_bytes([low, high]) {
                    true => (State::Idle, Some(Item::Frame(body))),
                    // The end may be a false one: what follows is no answer.
                    false => (State::Skipping { broken: false, escaped: false }, Some(Item::Broken)),
                }
            }
        };
        self.state = state;
        item
    }

    /// Something has begun that further characters would end.
    pub fn is_open(&self) -> bool {
        self.state != State::Idle
    }

    /// What comes belongs to no frame, as far as can be told.
    pub(in super::super) fn is_skipping(&self) -> bool {
        matches!(self.state, State::Skipping { escaped: false, .. })
    }

    /// No further character came in time: what was begun is given up.
    pub fn silence(&mut self) -> Option<Item> {
        self.body.clear();
        match std::mem::take(&mut self.state) {
            State::Idle | State::Opening | State::Skipping { broken: false, .. } => None,
            _ => Some(Item::Broken),
        }
    }
}

/// Shows no bytes: they may hold a card number.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("state", &self.state).field("held", &self.body.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that other software is tested with (`ecrterm`, tests/test_encoding.py): registration, initialisation,
    /// payment with a doubled DLE, diagnosis, a printed line, both answers, a status enquiry.
    const PUBLISHED: [&[u8]; 9] = [
        &[0x10, 0x02, 0x06, 0x00, 0x06, 0x12, 0x34, 0x56, 0xba, 0x09, 0x78, 0x10, 0x03, 0x24, 0xc3],
        &[0x10, 0x02, 0x06, 0x93, 0x03, 0x12, 0x34, 0x56, 0x10, 0x03, 0xca, 0xa4],
        &[
            0x10, 0x02, 0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x01, 0x10, 0x10, 0x00, 0x49, 0x09, 0x78, 0x10, 0x03,
            0xf2, 0xff,
        ],
        &[0x10, 0x02, 0x06, 0x70, 0x00, 0x10, 0x03, 0xd9, 0xf9],
        b"\x10\x02\x06\xd1\x19\x00Gesamt      0       0,00\x10\x03\xb5\xab",
        &[0x10, 0x02, 0x80, 0x00, 0x00, 0x10, 0x03, 0xf5, 0x1f],
        &[0x10, 0x02, 0x84, 0x9c, 0x00, 0x10, 0x03, 0xc3, 0x41],
        &[0x10, 0x02, 0x06, 0x18, 0x00, 0x10, 0x03, 0x56, 0x3a],
        &[0x10, 0x02, 0x05, 0x01, 0x03, 0x12, 0x34, 0x56, 0x10, 0x03, 0xe0, 0x43],
    ];

    /// What stands in such a frame; only the payment has a DLE inside.
    fn apdu(frame: &[u8]) -> Vec<u8> {
        let inner = &frame[2..frame.len() - 4];
        match inner.windows(2).position(|pair| pair == [DLE, DLE]) {
            Some(at) => [&inner[..at], &inner[at + 1..]].concat(),
            None => inner.to_vec(),
        }
    }

    fn read(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Item> {
        bytes.iter().filter_map(|byte| decoder.feed(*byte)).collect()
    }

    #[test]
    fn writes_and_reads_published_frames() {
        for frame in PUBLISHED {
            let apdu = apdu(frame);
            assert_eq!(encode(&apdu), frame, "{frame:02x?}");
            let mut decoder = Decoder::default();
            assert_eq!(read(&mut decoder, frame), [Item::Frame(apdu)]);
            assert!(!decoder.is_open());
        }
    }

    #[test]
    fn a_changed_character_anywhere_makes_no_other_frame() {
        for frame in PUBLISHED {
            for at in 0..frame.len() {
                for xor in 1..=255 {
                    let mut bytes = frame.to_vec();
                    bytes[at] ^= xor;
                    let mut decoder = Decoder::default();
                    let mut items = read(&mut decoder, &bytes);
                    items.extend(decoder.silence());
                    assert!(!items.iter().any(|item| matches!(item, Item::Frame(_))), "{at} {xor}: {items:?}");
                    // Where the beginning is lost nothing tells that it was a frame.
                    assert!(at < 2 || items.contains(&Item::Broken), "{at} {xor:02x}: {items:?}");
                    assert_eq!(read(&mut decoder, frame), [Item::Frame(apdu(frame))], "after {at} {xor:02x}");
                }
            }
        }
    }

    #[test]
    fn a_frame_that_stops_anywhere_is_broken_and_the_next_one_is_read() {
        for frame in PUBLISHED {
            for end in 2..frame.len() {
                let mut decoder = Decoder::default();
                assert_eq!(read(&mut decoder, &frame[..end]), []);
                assert!(decoder.is_open());
                assert_eq!(decoder.silence(), Some(Item::Broken), "{end}");
                assert_eq!(decoder.silence(), None);
                // A sender that begins again at once is understood, too, but for what looks like a checksum or like
                // a doubled DLE.
                let dles = frame[..end].iter().rev().take_while(|byte| **byte == DLE).count();
                if end < frame.len() - 2 && dles % 2 == 0 {
                    let again = [&frame[..end], frame].concat();
                    assert_eq!(read(&mut decoder, &again), [Item::Frame(apdu(frame))], "{end}");
                }
            }
        }
    }

    #[test]
    fn skips_what_stands_before_a_frame_and_takes_no_answer_from_it() {
        let mut decoder = Decoder::default();
        let noise = [0x00, ACK, NAK, DLE, DLE, STX, ACK, 0xff];
        assert_eq!(read(&mut decoder, &noise), []);
        assert_eq!(read(&mut decoder, PUBLISHED[5]), [Item::Frame(vec![0x80, 0x00, 0x00])]);
        assert_eq!(read(&mut decoder, &[ACK, NAK]), [Item::Ack, Item::Nak]);
        assert_eq!(read(&mut decoder, &noise), []);
        assert_eq!(decoder.silence(), None, "no frame was begun");
        assert_eq!(read(&mut decoder, &[ACK]), [Item::Ack], "after silence an answer stands alone");
    }

    #[test]
    fn holds_no_more_than_the_longest_apdu() {
        let mut decoder = Decoder::default();
        let longest = vec![0x11; MAX_APDU];
        assert_eq!(read(&mut decoder, &encode(&longest)), [Item::Frame(longest)]);
        assert_eq!(read(&mut decoder, &encode(&vec![0x11; MAX_APDU + 1])), []);
        assert_eq!(decoder.silence(), Some(Item::Broken));
    }
}
