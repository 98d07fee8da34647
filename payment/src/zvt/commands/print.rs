//! 06 D1 print line and 06 D3 print text block (PA00P015, chapters of these names).

use super::super::text::Charset;
use super::super::{bmp, tlv, wire};

/// Whose slip it is (tag 1F07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// `01`
    Merchant,
    /// `02`
    Customer,
    /// `03`: of an administrative function.
    Admin,
}

/// A line of a receipt, in the terminal's character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// `80` and `FF` have meanings of their own; else bit 7 ends the receipt, 6 centres, 5 doubles the
    /// width, 4 the height, and the low bits give a number of columns.
    pub attribute: u8,
    /// Its text.
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads the data of 06 D1. With attribute FF the next byte is a number of empty lines.
    pub fn parse(data: &'a [u8]) -> Self {
        let (attribute, text) = data.split_first().map_or((0, data), |(a, rest)| (*a, rest));
        Self { attribute, text }
    }

    /// It is the last line of its receipt.
    pub fn is_last(&self) -> bool {
        ends_receipt(self.attribute)
    }

    /// The lines it stands for.
    pub fn lines(&self, charset: Charset) -> Vec<String> {
        match self.attribute {
            // Bounded: one byte cannot ask for more than a foot of paper.
            0xff => vec![String::new(); usize::from(self.text.first().copied().unwrap_or(1))],
            _ => vec![charset.decode(self.text)],
        }
    }
}

fn ends_receipt(attribute: u8) -> bool {
    attribute & 0x80 != 0 && attribute != 0x80 && attribute != 0xff
}

/// A whole receipt, or a part of one, in one message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Whose slip; `None` if the terminal did not say.
    pub slip: Option<Slip>,
    container: &'a [u8],
}

impl std::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("slip", &self.slip).finish_non_exhaustive()
    }
}

impl<'a> Block<'a> {
    /// Reads the data of 06 D3. Without a container it has no lines.
    pub fn parse(data: &'a [u8]) -> Self {
        let container = bmp::fields(data).find(|f| f.id == 0x06).map_or(&[][..], |f| f.data);
        let slip = match tlv::find(container, 0x1f07) {
            Some([0x01]) => Some(Slip::Merchant),
            Some([0x02]) => Some(Slip::Customer),
            Some([0x03]) => Some(Slip::Admin),
            _ => None,
        };
        Self { slip, container }
    }

    /// Its lines: the 07 tags of all containers 25.
    pub fn lines(&self, charset: Charset) -> impl Iterator<Item = String> + use<'a> {
        let containers = tlv::tags(self.container).filter(|t| t.tag == 0x25);
        containers.flat_map(|t| tlv::tags(t.value)).filter(|t| t.tag == 0x07).map(move |t| charset.decode(t.value))
    }
}

/// Appends 06 D1.
pub fn line(out: &mut Vec<u8>, attribute: u8, text: &[u8]) {
    wire::encode(out, 0x06, 0xd1, |out| {
        out.push(attribute);
        out.extend(text);
    });
}

/// Appends 06 D3.
pub fn block(out: &mut Vec<u8>, slip: Slip, charset: Charset, lines: &[String]) {
    let kind = match slip {
        Slip::Merchant => 1,
        Slip::Customer => 2,
        Slip::Admin => 3,
    };
    wire::encode(out, 0x06, 0xd3, |out| {
        tlv::encode_container(out, |out| {
            tlv::encode(out, 0x1f07, |out| out.push(kind));
            tlv::encode(out, 0x25, |out| {
                for line in lines {
                    tlv::encode(out, 0x07, |out| out.extend(charset.encode(line)));
                }
                tlv::encode(out, 0x09, |out| out.push(0x81));
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_header_of_a_captured_block() {
        // `06 D3 FF 61 04 06 82 04 5D 1F 07 01 02 25 82 04 55 07 00 …`, the rest made up: 1109 bytes of lines.
        let mut bytes = vec![0x06, 0xd3, 0xff, 0x61, 0x04, 0x06, 0x82, 0x04, 0x5d, 0x1f, 0x07, 0x01, 0x02];
        bytes.extend([0x25, 0x82, 0x04, 0x55, 0x07, 0x00]);
        while bytes.len() + 26 <= 5 + 0x461 {
            bytes.extend([0x07, 24]);
            bytes.extend(b"    K-U-N-D-E-N-BELEG   ");
        }
        let rest = 5 + 0x461 - bytes.len();
        bytes.extend([0x07, (rest - 2) as u8]);
        bytes.extend(vec![b'x'; rest - 2]);
        for at in 0..=bytes.len() {
            let mut decoder = wire::Decoder::default();
            decoder.feed(&bytes[..at]);
            if at < bytes.len() {
                assert!(decoder.next_apdu().expect("valid").is_none(), "complete after {at} bytes");
            }
            decoder.feed(&bytes[at..]);
            let apdu = decoder.next_apdu().expect("valid").expect("complete");
            let block = Block::parse(apdu.data);
            assert_eq!(block.slip, Some(Slip::Customer));
            assert_eq!(block.lines(Charset::Cp437).take(2).collect::<Vec<_>>(), ["", "    K-U-N-D-E-N-BELEG   "]);
        }
    }

    #[test]
    fn a_block_reads_back() {
        let lines: Vec<String> = ["Händler", "", "12,50 EUR"].map(String::from).into();
        let mut out = Vec::new();
        block(&mut out, Slip::Merchant, Charset::Cp437, &lines);
        let read = Block::parse(&out[3..]);
        assert_eq!((read.slip, read.lines(Charset::Cp437).collect::<Vec<_>>()), (Some(Slip::Merchant), lines));
        assert_eq!(Block::parse(&[]).lines(Charset::Cp437).count(), 0);
    }

    #[test]
    fn attributes_end_a_receipt() {
        for (attribute, last) in
            [(0x00, false), (0x40, false), (0x80, false), (0x81, true), (0xc0, true), (0xff, false)]
        {
            assert_eq!(Line::parse(&[attribute, b'x']).is_last(), last, "{attribute:02x}");
        }
        assert_eq!(Line::parse(&[0xff, 3]).lines(Charset::Cp437).len(), 3);
        assert_eq!(Line::parse(&[0x00, 0x8e]).lines(Charset::Cp437), ["Ä"]);
    }
}
