//! 06 D1 print line and 06 D3 print text block (PA00P015, chapters of these names).

use super::super::text::Charset;
use super::super::{bmp, tlv, wire};
pub use crate::slips::Slip;

impl Slip {
    /// What tag 1F07 in a container says, wherever it stands: `01` merchant, `02` customer, `03` administration.
    fn named_in(container: &[u8]) -> Option<Self> {
        match tlv::find(container, 0x1f07) {
            Some([0x01]) => Some(Self::Merchant),
            Some([0x02]) => Some(Self::Customer),
            Some([0x03]) => Some(Self::Admin),
            _ => None,
        }
    }
}

/// The BMP 06 that ends the data of 06 D1, with its id and length. A text holds no byte 06, which prints nothing.
pub(in crate::zvt) fn container_behind(data: &[u8]) -> Option<&[u8]> {
    let whole = |start: usize| {
        let mut fields = bmp::fields(&data[start..]);
        let container = fields.next()?;
        let mut tags = tlv::tags(container.data);
        let sound = tags.by_ref().count() > 0 && tags.rest().is_none() && fields.rest().is_none();
        sound.then_some(&data[start..])
    };
    data.iter().position(|b| *b == 0x06).and_then(whole)
}

/// A line of a receipt, in the terminal's character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// `80` and `FF` have meanings of their own; else bit 7 ends the receipt, 6 centres, 5 doubles the
    /// width, 4 the height, and the low bits give a number of columns.
    pub attribute: u8,
    /// Its text.
    pub text: &'a [u8],
    /// Whose slip it belongs to, where the terminal says so: tag 1F07 in a BMP 06 behind the text.
    pub slip: Option<Slip>,
}

impl<'a> Line<'a> {
    /// Reads the data of 06 D1. With attribute FF the next byte is a number of empty lines.
    pub fn parse(data: &'a [u8]) -> Self {
        let (attribute, rest) = data.split_first().map_or((0, data), |(a, rest)| (*a, rest));
        let behind = container_behind(rest);
        let text = &rest[..rest.len() - behind.map_or(0, <[u8]>::len)];
        let slip = behind.and_then(|bytes| bmp::fields(bytes).next()).and_then(|f| Slip::named_in(f.data));
        Self { attribute, text, slip }
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
    data: &'a [u8],
}

impl std::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("slip", &self.slip).finish_non_exhaustive()
    }
}

impl<'a> Block<'a> {
    /// Reads the data of 06 D3. Without a container it has no lines.
    pub fn parse(data: &'a [u8]) -> Self {
        Self { slip: containers(data).find_map(Slip::named_in), data }
    }

    /// Its lines: the 07 tags of all containers 25.
    pub fn lines(&self, charset: Charset) -> impl Iterator<Item = String> + use<'a> {
        let texts = containers(self.data).flat_map(tlv::tags).filter(|t| t.tag == 0x25);
        texts.flat_map(|t| tlv::tags(t.value)).filter(|t| t.tag == 0x07).map(move |t| charset.decode(t.value))
    }
}

fn containers(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    bmp::fields(data).filter(|f| f.id == 0x06).map(|f| f.data)
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
            let mut framing = crate::zvt::framing::Framing::tcp();
            framing.feed(&bytes[..at]);
            if at < bytes.len() {
                assert!(framing.next_apdu().expect("valid").is_none(), "complete after {at} bytes");
            }
            framing.feed(&bytes[at..]);
            let apdu = framing.next_apdu().expect("valid").expect("complete");
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

    #[test]
    fn tag_1f07_names_the_slip_also_behind_the_text() {
        let line = Line::parse(b"\x00EUR 12,50\x06\x04\x1f\x07\x01\x01");
        assert_eq!((line.slip, line.text), (Some(Slip::Merchant), &b"EUR 12,50"[..]));
        let line = Line::parse(b"\x81\x06\x04\x1f\x07\x01\x02");
        assert_eq!((line.slip, line.text, line.is_last()), (Some(Slip::Customer), &b""[..], true));
        // Not a container: it does not end with the line, or is cut off.
        for text in [&b"a\x06\x04\x1f\x07\x01\x01b"[..], b"a\x06\x04\x1f\x07\x01", b"a\x06", b"a\x06\x00"] {
            let line = [&[0], text].concat();
            assert_eq!((Line::parse(&line).slip, Line::parse(&line).text), (None, text));
        }
        // In a block it may stand before the lines, behind them, or in a container of its own.
        let text = [0x25, 0x04, 0x07, 0x02, b'h', b'i'];
        let name = [0x1f, 0x07, 0x01, 0x01];
        for parts in
            [vec![[&name[..], &text].concat()], vec![[&text[..], &name].concat()], vec![text.to_vec(), name.to_vec()]]
        {
            let data: Vec<u8> = parts.iter().flat_map(|p| [&[0x06, p.len() as u8], &p[..]].concat()).collect();
            let block = Block::parse(&data);
            let lines: Vec<String> = block.lines(Charset::Cp437).collect();
            assert_eq!((block.slip, lines), (Some(Slip::Merchant), vec!["hi".to_owned()]), "{data:02x?}");
        }
    }
}
