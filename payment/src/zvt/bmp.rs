//! Bitmaps ("BMP"): one id byte, then data whose length the id decides (PA00P015, chapter
//! "Definition of the data objects"). Their order is free.

use std::fmt;

use super::{tables, tlv};

/// How long the data of a BMP is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// That many bytes.
    Fixed(u8),
    /// `Fx Fy`, two decimal digits.
    Ll,
    /// `Fx Fy Fz`, three decimal digits.
    Lll,
    /// A BER length.
    Tlv,
}

/// The format of a BMP, or `None` if it is not known here.
pub const fn format(id: u8) -> Option<Format> {
    match tables::bmp(id) {
        Some(entry) => Some(entry.format),
        None => None,
    }
}

/// One BMP as it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its id.
    pub id: u8,
    /// Its data, without id and length.
    pub data: &'a [u8],
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x} with {} bytes", self.id, self.data.len())
    }
}

/// The BMPs of a message. Stops at the first that is unknown or cut off, because nothing tells where
/// the next begins; [`Fields::rest`] has what follows.
#[derive(Clone)]
pub struct Fields<'a> {
    all: &'a [u8],
    at: usize,
}

/// Reads BMPs.
pub fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { all: bytes, at: 0 }
}

impl<'a> Fields<'a> {
    /// What has not been read, with its offset.
    pub fn rest(&self) -> Option<(usize, &'a [u8])> {
        (self.at < self.all.len()).then(|| (self.at, &self.all[self.at..]))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;
    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let bytes = &self.all[self.at..];
        let (&id, after) = bytes.split_first()?;
        // Most are of fixed length, and one table tells which.
        let (length, header) = match LENGTHS[usize::from(id)] {
            VARIABLE => variable(id, after)?,
            fixed => (usize::from(fixed), 0),
        };
        let data = after.get(header..header + length)?;
        self.at += 1 + header + length;
        Some(Field { id, data })
    }
}

/// Length of the data, and of what tells it.
fn variable(id: u8, after: &[u8]) -> Option<(usize, usize)> {
    match FORMATS[usize::from(id)]? {
        Format::Fixed(n) => Some((usize::from(n), 0)),
        Format::Ll => match after {
            [a @ 0xf0..=0xf9, b @ 0xf0..=0xf9, ..] => Some((usize::from(a & 0xf) * 10 + usize::from(b & 0xf), 2)),
            _ => None,
        },
        Format::Lll => Some((digits(after.get(..3)?)?, 3)),
        Format::Tlv => tlv::read_length(after),
    }
}

/// What [`LENGTHS`] has for BMPs that tell their length themselves, and for those that nobody knows.
const VARIABLE: u8 = 0xff;
/// The length of each BMP of fixed length.
static LENGTHS: [u8; 256] = {
    let mut lengths = [VARIABLE; 256];
    let mut id = 0;
    while id < 256 {
        if let Some(Format::Fixed(n)) = FORMATS[id] {
            lengths[id] = n;
        }
        id += 1;
    }
    lengths
};

/// The format of each BMP, looked up once.
static FORMATS: [Option<Format>; 256] = {
    let mut formats = [None; 256];
    let mut id = 0;
    while id < 256 {
        formats[id] = format(id as u8);
        id += 1;
    }
    formats
};

/// `F1 F2` is 12.
pub(super) fn digits(bytes: &[u8]) -> Option<usize> {
    bytes.iter().try_fold(0, |n, b| (b >> 4 == 0xf && b & 0xf <= 9).then(|| n * 10 + usize::from(b & 0xf)))
}

/// Appends `Fx Fy` data; what does not fit in 99 bytes is cut off.
pub(super) fn encode_ll(out: &mut Vec<u8>, id: u8, data: &[u8]) {
    let data = &data[..data.len().min(99)];
    out.extend([id, 0xf0 | (data.len() / 10) as u8, 0xf0 | (data.len() % 10) as u8]);
    out.extend(data);
}

/// Digits, two to a byte, as a view of the message. `E` stands for a masked digit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bcd<'a>(pub &'a [u8]);

impl Bcd<'_> {
    /// The number, if all nibbles are decimal and it fits.
    pub fn number(self) -> Option<u64> {
        self.nibbles().try_fold(0u64, |n, d| if d <= 9 { n.checked_mul(10)?.checked_add(u64::from(d)) } else { None })
    }

    /// The nibbles, the high one first.
    pub fn nibbles(self) -> impl Iterator<Item = u8> {
        self.0.iter().flat_map(|b| [b >> 4, b & 0xf])
    }
}

/// Digits as they are; a masked one is `*`; a trailing `F` is padding and left out.
impl fmt::Display for Bcd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for nibble in self.nibbles() {
            match nibble {
                0..=9 => write!(f, "{nibble}")?,
                0xe => f.write_str("*")?,
                0xf => {}
                other => write!(f, "{other:x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Bcd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Appends `number` as `bytes` bytes BCD; digits beyond that are cut off on the left.
pub(super) fn encode_bcd(out: &mut Vec<u8>, number: u64, bytes: usize) {
    let start = out.len();
    out.resize(start + bytes, 0);
    let mut rest = number;
    for byte in out[start..].iter_mut().rev() {
        let two = (rest % 100) as u8;
        *byte = ((two / 10) << 4) | (two % 10);
        rest /= 100;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Field capture: EUR 25.00, approved, 22:55:58 on 5 April.
    const APPROVED: &[u8] =
        &[0x27, 0x00, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 9, 0x78, 0x0c, 0x22, 0x55, 0x58, 0x0d, 0x04, 0x05];

    #[test]
    fn walks_the_knownof_a_capture() {
        let ids: Vec<u8> = fields(APPROVED).map(|f| f.id).collect();
        assert_eq!(ids, [0x27, 0x04, 0x49, 0x0c, 0x0d]);
        let amount = fields(APPROVED).find(|f| f.id == 4).expect("an amount");
        assert_eq!(Bcd(amount.data).number(), Some(2500));
    }

    #[test]
    fn reads_on_behind_the_knownof_mail_orders_displays_and_inputs() {
        // PA00P015, table of the bitmaps: CVV; algorithm, direction, key position; input of up to 8 characters
        // with a text and a MAC; display duration, beeps, status, confirmation, dialogue.
        let known: &[&[u8]] = &[
            &[0x3a, 0x01, 0x23],
            &[0xd0, 0x01],
            &[0xd2, 0x01],
            &[0xd3, 0x01],
            &[0xe0, 0x01],
            &[0xe1, 0xf0, 0xf2, b'P', b'N'],
            &[0xe8, 0xf0, 0xf0],
            &[0xe9, 0x08],
            &[0xea, 0x01],
            &[0xeb, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xf0, 0x05],
            &[0xf9, 0x02],
            &[0xfa, 0x00],
            &[0xfb, 0x01],
            &[0xfc, 0x01],
        ];
        for field in known {
            let bytes = [*field, &[0x87, 0x04, 0x17]].concat();
            let mut walk = fields(&bytes);
            let ids: Vec<u8> = walk.by_ref().map(|f| f.id).collect();
            assert_eq!((ids, walk.rest()), (vec![field[0], 0x87], None), "{field:02x?}");
        }
    }

    #[test]
    fn keeps_what_follows_an_unknown_field() {
        let bytes = [&APPROVED[..9], &[0x77, 1, 2, 3]].concat();
        let mut walk = fields(&bytes);
        assert_eq!(walk.by_ref().count(), 2);
        assert_eq!(walk.rest(), Some((9, &[0x77, 1, 2, 3][..])));
    }

    #[test]
    fn a_masked_card_number_is_a_digit_string() {
        let bytes = [0x22, 0xf1, 0xf0, 0x67, 0x25, 0x90, 0xee, 0xee, 0xee, 0xee, 0xe0, 0x12, 0x3f];
        let pan = fields(&bytes).next().expect("a card number");
        assert_eq!(Bcd(pan.data).to_string(), "672590*********0123");
        assert_eq!(Bcd(pan.data).number(), None);
    }

    #[test]
    fn lengths_must_be_decimal_digits() {
        for wrong in [&[0x22, 0x01, 0x02, 9][..], &[0x22, 0xfa, 0xf1], &[0x3c, 0xf0, 0xf0], &[0x06, 0x83, 1, 1, 1]] {
            assert_eq!(fields(wrong).next(), None, "{wrong:02x?}");
        }
        assert_eq!(digits(&[0xf1, 0xf2, 0xf3]), Some(123));
    }

    #[test]
    fn writes_bcd() {
        let mut out = Vec::new();
        encode_bcd(&mut out, 2500, 6);
        encode_bcd(&mut out, 978, 2);
        assert_eq!(out, [0, 0, 0, 0, 0x25, 0, 0x09, 0x78]);
    }
}
