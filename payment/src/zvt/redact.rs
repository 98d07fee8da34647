//! Masks card data in captures, without changing a length.
//!
//! A capture is redacted chunk by chunk, and a chunk may begin inside an APDU. What does not begin
//! like an APDU, or cannot be walked to its end, is masked whole: rather too much than a card number.

use std::ops::Range;

use tresen_hal::link::record::Direction;

use super::{bmp, tlv, wire};

const MASK: u8 = 0xee;

/// Masks card number, tracks, chip data and long digit runs on receipts, in a chunk that passed in either
/// direction. Fits [`tresen_hal::link::record::Redact`].
pub fn redact(_: Direction, bytes: &mut [u8]) {
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let known = match rest {
            [class, instr, ..] => content(*class, *instr),
            _ => None,
        };
        let (Some(content), true) = (known, wire::is_class(rest[0])) else {
            return bytes[at..].fill(MASK);
        };
        let Some((header, length)) = wire::measure(rest) else { return };
        let start = (at + header).min(bytes.len());
        let end = (start + length).min(bytes.len());
        mask(content, &mut bytes[start..end]);
        at = end;
    }
}

/// What an APDU's data can hold.
#[derive(Clone, Copy)]
enum Content {
    /// No card data.
    Plain,
    /// BMPs after this many bytes.
    Fields(usize),
    /// A receipt.
    Text,
    /// Not known.
    Anything,
}

/// `None` if these are not the first bytes of a ZVT message.
fn content(class: u8, instr: u8) -> Option<Content> {
    Some(match (class, instr) {
        (0x80, 0x00) | (0x84, _) | (0x05, 0x01) | (0x04, 0xff) => Content::Plain,
        (0x06, 0x00 | 0x02 | 0x0f | 0x1e | 0x20 | 0x50 | 0x70 | 0x93 | 0xb0) => Content::Plain,
        (0x04, 0x0f) | (0x06, 0x01 | 0x22) => Content::Fields(0),
        (0x06, 0x23..=0x25 | 0x30 | 0x31) => Content::Fields(3),
        (0x06, 0xd1 | 0xd3) => Content::Text,
        (0x04, 0x01 | 0x0c | 0x0d) | (0x06, 0xc0 | 0xe0..=0xe3) | (0x08, _) => Content::Anything,
        _ => return None,
    })
}

fn mask(content: Content, data: &mut [u8]) {
    match content {
        Content::Plain => {}
        Content::Fields(skip) => {
            let skip = skip.min(data.len());
            mask_fields(&mut data[skip..]);
        }
        Content::Text => mask_digit_runs(data),
        Content::Anything => data.fill(MASK),
    }
}

fn mask_fields(data: &mut [u8]) {
    let mut masked: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let mut fields = bmp::fields(data);
    while let Some(field) = fields.next() {
        let end = fields.rest().map_or(data.len(), |(offset, _)| offset);
        let value = end - field.data.len()..end;
        match field.id {
            // The issuer's number and the last four digits may be seen.
            0x22 if field.data.len() >= 7 => masked.push(value.start + 3..value.end - 2),
            0x22 | 0x23 | 0x24 | 0x2d | 0x2e | 0x0e | 0x92 | 0xaf => masked.push(value),
            0x06 => mask_tags(field.data, value.start, tlv::MAX_DEPTH, &mut masked),
            _ => {}
        }
        at = end;
    }
    masked.push(at..data.len());
    for range in masked {
        data[range].fill(MASK);
    }
}

/// EMV and ZVT tags that identify a card: 5A, 57, 4C, 1F45.
fn mask_tags(bytes: &[u8], base: usize, depth: usize, masked: &mut Vec<Range<usize>>) {
    let mut tags = tlv::tags(bytes);
    while let Some(tag) = tags.next() {
        let end = tags.rest().map_or(bytes.len(), |(offset, _)| offset);
        let start = end - tag.value.len();
        match tag.tag {
            0x5a | 0x57 | 0x4c | 0x1f45 => masked.push(base + start..base + end),
            _ if tag.constructed && depth > 1 => mask_tags(tag.value, base + start, depth - 1, masked),
            _ => {}
        }
    }
    if let Some((offset, _)) = tags.rest() {
        masked.push(base + offset..base + bytes.len());
    }
}

/// Thirteen digits or more, blanks between them allowed, are a card number.
fn mask_digit_runs(data: &mut [u8]) {
    let mut start = 0;
    while start < data.len() {
        let run = data[start..].iter().take_while(|b| b.is_ascii_digit() || **b == b' ').count();
        let digits = data[start..start + run].iter().filter(|b| b.is_ascii_digit()).count();
        if digits >= 13 {
            let run = &mut data[start..start + run];
            run.iter_mut().filter(|b| b.is_ascii_digit()).for_each(|b| *b = b'*');
        }
        start += run.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAN: [u8; 11] = [0x22, 0xf0, 0xf8, 0x41, 0x11, 0x12, 0x34, 0x56, 0x78, 0x11, 0x11];

    fn redacted(bytes: &[u8]) -> Vec<u8> {
        let mask: tresen_hal::link::record::Redact = redact;
        let mut bytes = bytes.to_vec();
        mask(Direction::Received, &mut bytes);
        bytes
    }

    fn message() -> Vec<u8> {
        let mut bytes = wire::ACK.to_vec();
        wire::encode(&mut bytes, 0x04, 0x0f, |out| {
            out.extend([0x27, 0x00]);
            out.extend(PAN);
            out.extend([0x23, 0xf0, 0xf3, 0x34, 0x56, 0x78, 0x06, 0x07, 0x5a, 0x02, 0x34, 0x56, 0x0a, 0x01, 0x07]);
        });
        bytes
    }

    #[test]
    fn masks_card_number_track_and_chip_data() {
        let got = redacted(&message());
        assert_eq!(got.len(), message().len());
        assert_eq!(got[..14], message()[..14], "up to the issuer's number");
        assert_eq!(got[14..17], [MASK; 3]);
        assert_eq!(got[17..19], [0x11, 0x11]);
        assert_eq!(got[22..25], [MASK; 3], "track 2");
        assert_eq!(got[29..31], [MASK; 2], "tag 5A");
        assert_eq!(got[31..], [0x0a, 0x01, 0x07]);
    }

    #[test]
    fn no_split_lets_a_digit_through() {
        let whole = message();
        for at in 0..whole.len() {
            let parts = [redacted(&whole[..at]), redacted(&whole[at..])].concat();
            assert_eq!(parts.len(), whole.len());
            for secret in [[0x34, 0x56], [0x56, 0x78]] {
                assert!(!parts.windows(2).any(|w| w == secret), "split at {at}: {parts:02x?}");
            }
        }
    }

    #[test]
    fn masks_long_digit_runs_on_receipts() {
        let mut bytes = Vec::new();
        wire::encode(&mut bytes, 0x06, 0xd1, |out| out.extend(b"\x004111 1111 1111 1111  TA 60000001"));
        let got = redacted(&bytes);
        assert!(!got.windows(4).any(|w| w == b"4111" || w == b"1111"));
        assert!(got.ends_with(b"TA 60000001"));
    }
}
