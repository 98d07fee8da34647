//! The bitmaps of a command that a terminal looks at.

use super::bytes;

/// What a command says.
pub(super) struct Fields {
    pub(super) amount: Option<u64>,
    pub(super) currency: u16,
    pub(super) receipt: Option<u16>,
}

impl Fields {
    pub(super) fn read(mut body: &[u8]) -> Self {
        let mut fields = Self { amount: None, currency: 978, receipt: None };
        while let [id, rest @ ..] = body {
            let length = match id {
                0x01 | 0x02 | 0x03 | 0x05 | 0x19 | 0x8a => 1,
                0x0e | 0x17 | 0x49 | 0x87 => 2,
                0x0b | 0x37 | 0x3d => 3,
                0x04 => 6,
                0x06 => 1 + rest.first().map_or(0, |length| usize::from(*length)),
                _ => break,
            };
            let Some(value) = rest.get(..length) else { break };
            match id {
                0x04 => fields.amount = Some(bytes::digits(value)),
                0x49 => fields.currency = u16::try_from(bytes::digits(value)).unwrap_or(978),
                0x87 if value == [0xff, 0xff] => fields.receipt = Some(0xffff),
                0x87 => fields.receipt = u16::try_from(bytes::digits(value)).ok(),
                _ => {}
            }
            body = &rest[length..];
        }
        fields
    }
}
