//! The terminal's bytes, written out by hand (ZVT specification PA00P015, 13.08).

/// `80 00 00`, the positive answer.
pub const ACK: [u8; 3] = [0x80, 0x00, 0x00];
/// Completion without content.
pub const COMPLETION: [u8; 3] = [0x06, 0x0f, 0x00];
/// "Insert card", with a timeout of two minutes.
pub const INSERT_CARD: [u8; 5] = [0x04, 0xff, 0x02, 0x0a, 0x02];
/// "Please wait".
pub const PLEASE_WAIT: [u8; 4] = [0x04, 0xff, 0x01, 0x0e];

/// Completion of a registration: status 00, terminal 60000001, euro.
const REGISTERED: [u8; 13] = [0x06, 0x0f, 0x0a, 0x19, 0x00, 0x29, 0x60, 0x00, 0x00, 0x01, 0x49, 0x09, 0x78];
/// Where the terminal id stands in it.
const REGISTERED_ID: std::ops::Range<usize> = 6..10;

/// What a 04 0F says in a capture between the date and the receipt number: expiry 12/30, card sequence
/// number 0, payment type 70, PAN 6726 EEEE EEEE EEEE 012F, and behind the terminal id the VU number, AID
/// and additional text.
const CARD: [u8; 21] = [
    0x0e, 0x30, 0x12, 0x17, 0x00, 0x00, 0x19, 0x70, 0x22, 0xf1, 0xf0, 0x67, 0x26, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
    0x01, 0x2f,
];
const MERCHANT: [u8; 25] = *b"\x2a455600001      \x3b1234\0\0\0\0";
const TEXT: [u8; 14] = *b"\x3c\xf0\xf1\xf0Autorisier";
/// Card type 05 (girocard), its name, and a container with the application id.
const SCHEME: [u8; 14] = *b"\x8a\x05\x8b\xf0\xf9girocard\0";
const TAGS: [u8; 13] = [0x06, 0x0b, 0x60, 0x09, 0x43, 0x07, 0xa0, 0x00, 0x00, 0x03, 0x59, 0x10, 0x10];

/// What one 04 0F shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Result code: 00 approved.
    pub code: u8,
    /// In the smallest unit.
    pub amount: u64,
    /// ISO 4217, numeric.
    pub currency: u16,
    /// Receipt number, BMP 87; left out if `None`.
    pub receipt: Option<u16>,
    /// Trace number, BMP 0B.
    pub trace: u32,
    /// Trace number of the payment that is reversed, BMP 37.
    pub original: Option<u32>,
    /// Terminal id, BMP 29.
    pub terminal: u32,
    /// Month, day, hour, minute, second.
    pub at: [u8; 5],
}

/// How 04 0F are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Only result, amount, currency, receipt and trace.
    pub minimal: bool,
    /// A BMP that no table has (D7) stands before the result.
    pub unknown_first: bool,
    /// The same behind the amount.
    pub unknown_amid: bool,
    /// Containers (BMP 06) are sent.
    pub tlv: bool,
    /// Each length is extended: `FF lo hi`.
    pub extended: bool,
    /// Without result code.
    pub no_result: bool,
}

impl Shown {
    /// The whole message.
    pub fn apdu(&self, style: Style) -> Vec<u8> {
        const UNKNOWN: [u8; 2] = [0xd7, 0x01];
        let mut b = Vec::new();
        if style.unknown_first {
            b.extend(UNKNOWN);
        }
        if !style.no_result {
            b.extend([0x27, self.code]);
        }
        field(&mut b, 0x04, self.amount, 6);
        if style.unknown_amid {
            b.extend(UNKNOWN);
        }
        field(&mut b, 0x49, self.currency.into(), 2);
        if !style.minimal {
            let [month, day, hour, minute, second] = self.at.map(u64::from);
            field(&mut b, 0x0c, hour * 10_000 + minute * 100 + second, 3);
            field(&mut b, 0x0d, month * 100 + day, 2);
            b.extend(CARD);
            field(&mut b, 0x29, self.terminal.into(), 4);
            b.extend(MERCHANT);
            b.extend(TEXT);
        }
        if let Some(receipt) = self.receipt {
            field(&mut b, 0x87, receipt.into(), 2);
        }
        field(&mut b, 0x0b, self.trace.into(), 3);
        if let Some(original) = self.original {
            field(&mut b, 0x37, original.into(), 3);
        }
        if !style.minimal {
            b.extend(SCHEME);
            if style.tlv {
                b.extend(TAGS);
            }
        }
        apdu(0x04, 0x0f, &b, style.extended)
    }
}

/// Completion of a registration by the terminal with this id.
pub fn registered(terminal: u32) -> Vec<u8> {
    let mut bytes = REGISTERED.to_vec();
    bytes[REGISTERED_ID].copy_from_slice(&bcd(terminal.into(), 4));
    bytes
}

/// Completion of a status enquiry: software version `2.1`, then the status.
pub fn enquired(status: u8) -> Vec<u8> {
    vec![0x06, 0x0f, 0x07, 0xf0, 0xf0, 0xf3, b'2', b'.', b'1', status]
}

/// 06 1E, abort with this code.
pub fn aborted(code: u8) -> Vec<u8> {
    vec![0x06, 0x1e, 0x01, code]
}

/// 84 xx, negative answer.
pub fn refused(code: u8) -> Vec<u8> {
    vec![0x84, code, 0x00]
}

/// Slips as text blocks (06 D3), for the customer (1F07 = 02) or the merchant (01).
pub fn block(customer: bool, line: &str) -> Vec<u8> {
    let title: &str = if customer { "KUNDENBELEG" } else { "HAENDLERBELEG" };
    let mut lines = Vec::new();
    for text in [title, line] {
        lines.extend([0x07, text.len() as u8]);
        lines.extend(text.bytes());
    }
    let mut tags = vec![0x1f, 0x07, 0x01, if customer { 0x02 } else { 0x01 }, 0x25, lines.len() as u8];
    tags.extend(lines);
    let mut body = vec![0x06, tags.len() as u8];
    body.extend(tags);
    apdu(0x06, 0xd3, &body, false)
}

/// One slip line by line (06 D1). Tag 1F07 stands behind the text if `tagged`; an attribute with bit 7
/// ends the slip.
pub fn lines(customer: bool, line: &str, tagged: bool) -> Vec<Vec<u8>> {
    let title: &str = if customer { "KUNDENBELEG" } else { "HAENDLERBELEG" };
    let last = [(0x00, title), (0x00, line), (0x81, "")];
    let one = |(attribute, text): (u8, &str)| {
        let mut body = vec![attribute];
        body.extend(text.bytes());
        if tagged {
            body.extend([0x06, 0x04, 0x1f, 0x07, 0x01, if customer { 0x02 } else { 0x01 }]);
        }
        apdu(0x06, 0xd1, &body, false)
    };
    last.into_iter().map(one).collect()
}

/// Class, instruction, length, body.
pub fn apdu(class: u8, instruction: u8, body: &[u8], extended: bool) -> Vec<u8> {
    let mut bytes = vec![class, instruction];
    match u8::try_from(body.len()) {
        Ok(n) if n < 0xff && !extended => bytes.push(n),
        _ => {
            bytes.push(0xff);
            bytes.extend(u16::try_from(body.len()).expect("a body of at most 65535 bytes").to_le_bytes());
        }
    }
    bytes.extend(body);
    bytes
}

/// The first whole APDU of `bytes`, taken out of it.
pub fn take(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (&length, head) = (bytes.get(2)?, 3);
    let end = match length {
        0xff => head + 2 + usize::from(u16::from_le_bytes([*bytes.get(3)?, *bytes.get(4)?])),
        n => head + usize::from(n),
    };
    (bytes.len() >= end).then(|| bytes.drain(..end).collect())
}

/// The body of an APDU.
pub fn body(apdu: &[u8]) -> &[u8] {
    &apdu[if apdu[2] == 0xff { 5 } else { 3 }..]
}

/// Packed decimal digits.
pub fn bcd(value: u64, bytes: usize) -> Vec<u8> {
    let text = format!("{value:0width$}", width = bytes * 2);
    let digits = &text.as_bytes()[text.len() - bytes * 2..];
    digits.chunks(2).map(|d| (d[0] - b'0') << 4 | (d[1] - b'0')).collect()
}

/// What packed decimal digits say.
pub fn digits(bcd: &[u8]) -> u64 {
    bcd.iter().fold(0, |all, b| all * 100 + u64::from(b >> 4) * 10 + u64::from(b & 15))
}

fn field(b: &mut Vec<u8>, id: u8, value: u64, bytes: usize) {
    b.push(id);
    b.extend(bcd(value, bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_begins_like_the_captured_one() {
        let shown = Shown {
            code: 0,
            amount: 2500,
            currency: 978,
            receipt: Some(417),
            trace: 123,
            original: None,
            terminal: 60_000_001,
            at: [4, 5, 22, 55, 58],
        };
        let bytes = shown.apdu(Style { tlv: true, ..Style::default() });
        let captured = [
            0x27, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x25, 0x00, 0x49, 0x09, 0x78, 0x0c, 0x22, 0x55, 0x58, 0x0d, 0x04,
            0x05,
        ];
        assert_eq!(
            (&bytes[..2], usize::from(bytes[2]), &bytes[3..22]),
            (&[0x04, 0x0f][..], bytes.len() - 3, &captured[..])
        );
        let mut twice = [bytes.clone(), bytes.clone()].concat();
        assert_eq!((take(&mut twice), take(&mut twice), take(&mut twice)), (Some(bytes.clone()), Some(bytes), None));
        assert_eq!((bcd(417, 2), digits(&[0x04, 0x17])), (vec![0x04, 0x17], 417));
        assert_eq!(apdu(0x06, 0xd3, &[0; 300], false)[..5], [0x06, 0xd3, 0xff, 0x2c, 0x01]);
    }
}
