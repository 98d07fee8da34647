//! APDU framing over TCP (ZVT PA00P015, chapter 1): class, instruction, length, data.
//!
//! A length byte `FF` is followed by two bytes, little-endian. The serial frame (DLE, CRC) is not here.

use std::fmt;

/// One APDU. Its data is not shown by `Debug`: it may hold a card number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Apdu<'a> {
    /// CLASS byte.
    pub class: u8,
    /// INSTR byte.
    pub instr: u8,
    /// What follows the length.
    pub data: &'a [u8],
}

impl Apdu<'_> {
    /// Class and instruction as one number: `0x040f`.
    pub fn code(&self) -> u16 {
        u16::from_be_bytes([self.class, self.instr])
    }

    /// `80 00` or `84 xx`: an answer, not a command.
    pub fn is_answer(&self) -> bool {
        matches!(self.class, 0x80 | 0x84)
    }
}

impl fmt::Debug for Apdu<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x} {:02x} with {} bytes", self.class, self.instr, self.data.len())
    }
}

/// Bytes that are no APDU, at `offset` of all that was fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// Counted from the first byte ever fed.
    pub offset: u64,
    /// The byte that is no class byte.
    pub byte: u8,
}

/// Cuts a stream into APDUs, wherever it was split.
#[derive(Default)]
pub struct Decoder {
    held: Vec<u8>,
    start: usize,
    passed: u64,
}

impl Decoder {
    /// Takes in bytes from the link.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.drain(..self.start);
        self.start = 0;
        self.held.extend_from_slice(bytes);
    }

    /// The next whole APDU; `None` when more bytes are needed. A stream that is invalid once stays so.
    pub fn next_apdu(&mut self) -> Result<Option<Apdu<'_>>, Invalid> {
        let held = &self.held[self.start..];
        let Some(&class) = held.first() else { return Ok(None) };
        if !is_class(class) {
            return Err(Invalid { offset: self.passed, byte: class });
        }
        let Some((header, length)) = measure(held) else { return Ok(None) };
        if held.len() < header + length {
            return Ok(None);
        }
        let at = self.start;
        self.start += header + length;
        self.passed += (header + length) as u64;
        let apdu = &self.held[at..self.start];
        Ok(Some(Apdu { class, instr: apdu[1], data: &apdu[header..] }))
    }

    /// Bytes of an APDU that is not complete.
    pub fn pending(&self) -> usize {
        self.held.len() - self.start
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("pending", &self.pending()).field("passed", &self.passed).finish()
    }
}

/// Length of header and of data of the APDU that `bytes` begins with, once both are known.
pub(super) fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes {
        [_, _, 0xff, lo, hi, ..] => Some((5, usize::from(u16::from_le_bytes([*lo, *hi])))),
        [_, _, 0xff, ..] => None,
        [_, _, length, ..] => Some((3, usize::from(*length))),
        _ => None,
    }
}

/// The classes that ZVT uses. Anything else means that another protocol answers, or that we are out
/// of step; there is no way back into step.
pub(super) fn is_class(byte: u8) -> bool {
    matches!(byte, 0x04 | 0x05 | 0x06 | 0x08 | 0x0f | 0x80 | 0x84)
}

/// The largest data an APDU can carry.
pub const MAX_DATA: usize = 0xffff;

/// Appends one APDU whose data `body` appends. Data beyond [`MAX_DATA`] is cut off.
pub fn encode(out: &mut Vec<u8>, class: u8, instr: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend([class, instr, 0]);
    let start = out.len();
    body(out);
    out.truncate(start + MAX_DATA);
    let length = out.len() - start;
    if length < 0xff {
        out[start - 1] = length as u8;
    } else {
        let [lo, hi] = (length as u16).to_le_bytes();
        out[start - 1] = 0xff;
        out.splice(start..start, [lo, hi]);
    }
}

/// `80 00 00`, the positive answer.
pub const ACK: [u8; 3] = [0x80, 0x00, 0x00];

/// `84 xx 00`, a refusal with its code.
pub fn nak(code: u8) -> [u8; 3] {
    [0x84, code, 0x00]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(decoder: &mut Decoder) -> Vec<(u16, Vec<u8>)> {
        let mut got = Vec::new();
        while let Some(apdu) = decoder.next_apdu().expect("valid") {
            got.push((apdu.code(), apdu.data.to_vec()));
        }
        got
    }

    #[test]
    fn cuts_coalesced_and_split_input_at_every_byte() {
        // `84 1E 01 7D` is a refusal with data, as seen in the field.
        let stream =
            [&ACK[..], &[0x84, 0x1e, 0x01, 0x7d], &[0x06, 0x0f, 0x00], &[0x04, 0xff, 0xff, 2, 0, 0x0a, 1]].concat();
        let want = vec![(0x8000, vec![]), (0x841e, vec![0x7d]), (0x060f, vec![]), (0x04ff, vec![0x0a, 1])];
        for at in 0..=stream.len() {
            let mut decoder = Decoder::default();
            decoder.feed(&stream[..at]);
            let mut got = all(&mut decoder);
            decoder.feed(&stream[at..]);
            got.extend(all(&mut decoder));
            assert_eq!(got, want, "split at {at}");
            assert_eq!(decoder.pending(), 0);
        }
    }

    #[test]
    fn extended_length_is_little_endian() {
        let mut out = Vec::new();
        encode(&mut out, 0x06, 0xd3, |o| o.extend([0; 0x461]));
        assert_eq!(out[..5], [0x06, 0xd3, 0xff, 0x61, 0x04]);
        let mut short = Vec::new();
        encode(&mut short, 0x06, 0xd3, |o| o.extend([0; 0xfe]));
        assert_eq!(short[..3], [0x06, 0xd3, 0xfe]);
        let mut edge = Vec::new();
        encode(&mut edge, 0x06, 0xd3, |o| o.extend([0; 0xff]));
        assert_eq!(edge[..5], [0x06, 0xd3, 0xff, 0xff, 0x00]);
    }

    #[test]
    fn names_the_place_where_it_stops_being_zvt() {
        let mut decoder = Decoder::default();
        decoder.feed(&ACK);
        decoder.feed(b"HTTP/1.1");
        assert!(decoder.next_apdu().expect("the answer").is_some());
        assert_eq!(decoder.next_apdu(), Err(Invalid { offset: 3, byte: b'H' }));
        assert_eq!(decoder.next_apdu(), Err(Invalid { offset: 3, byte: b'H' }));
    }

    #[test]
    fn debug_shows_no_data() {
        assert_eq!(format!("{:?}", Apdu { class: 4, instr: 15, data: &[0x22, 0xf1] }), "04 0f with 2 bytes");
    }
}
