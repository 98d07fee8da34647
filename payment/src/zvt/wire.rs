//! The APDU (ZVT PA00P015, chapter 1): class, instruction, length, data.
//!
//! A length byte `FF` is followed by two bytes, little-endian. How APDUs follow each other on a link is
//! [`framing`](super::framing).

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
    /// The whole of it as it came, from the class byte on.
    pub bytes: &'a [u8],
}

impl<'a> Apdu<'a> {
    /// The APDU that `bytes` are, and nothing else.
    pub fn whole(bytes: &'a [u8]) -> Option<Self> {
        let (header, length) = measure(bytes)?;
        let is = is_class(bytes[0]) && bytes.len() == header + length;
        is.then(|| Self { class: bytes[0], instr: bytes[1], data: &bytes[header..], bytes })
    }

    /// Class and instruction as one number: `0x040f`.
    pub fn code(&self) -> u16 {
        u16::from_be_bytes([self.class, self.instr])
    }

    /// `80 00` or `84 xx`: an answer, not a command.
    pub fn is_answer(&self) -> bool {
        is_answer(self.code())
    }
}

/// Whether class and instruction are those of an answer.
pub(super) fn is_answer(code: u16) -> bool {
    matches!(code >> 8, 0x80 | 0x84)
}

impl fmt::Debug for Apdu<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x} {:02x} with {} bytes", self.class, self.instr, self.data.len())
    }
}

/// Length of header and of data of the APDU that `bytes` begins with, once both are known.
pub(crate) fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes {
        [_, _, 0xff, lo, hi, ..] => Some((5, usize::from(u16::from_le_bytes([*lo, *hi])))),
        [_, _, 0xff, ..] => None,
        [_, _, length, ..] => Some((3, usize::from(*length))),
        _ => None,
    }
}

/// The classes that ZVT uses. Anything else means that another protocol answers, or that we are out
/// of step.
pub(super) fn is_class(byte: u8) -> bool {
    matches!(byte, 0x04 | 0x05 | 0x06 | 0x08 | 0x0f | 0x80 | 0x84)
}

/// The largest data an APDU can carry.
pub const MAX_DATA: usize = 0xffff;

/// The largest APDU: class, instruction, long length, data.
pub const MAX_APDU: usize = 5 + MAX_DATA;

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

/// Bytes as hexadecimal digits, for traces.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        self.0.iter().try_for_each(|byte| {
            let between = std::mem::replace(&mut between, " ");
            write!(f, "{between}{byte:02x}")
        })
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
    fn debug_shows_no_data() {
        let bytes = [0x04, 0x0f, 0x02, 0x22, 0xf1];
        let apdu = Apdu { class: 4, instr: 15, data: &bytes[3..], bytes: &bytes };
        assert_eq!(format!("{apdu:?}"), "04 0f with 2 bytes");
    }
}
