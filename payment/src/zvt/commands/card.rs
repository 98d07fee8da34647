//! 06 C0 read card (PA00P015, chapter "Read Card"). The fields and their order are those that a till sent to a terminal of
//! Feig, as the crate `zvt` 0.1 has captured them.

use super::super::text::Charset;
use super::super::{tlv, wire};
use super::status_info::StatusInfo;
use crate::card::Card;

/// Appends 06 C0: the terminal waits `seconds` for a card and reads it. No tracks are asked for.
pub fn read(out: &mut Vec<u8>, seconds: u8) {
    wire::encode(out, 0x06, 0xc0, |out| {
        // 19: kinds of card; FC: what the terminal shows.
        out.extend([seconds, 0x19, 0x10, 0xfc, 0x02]);
        tlv::encode_container(out, |out| {
            // 1F15: how the card is read; 1F60: which cards.
            tlv::encode(out, 0x1f15, |out| out.push(0xd0));
            tlv::encode(out, 0x1f60, |out| out.push(0x07));
        });
    });
}

/// The card that a 04 0F tells of. Tracks and the expiry date are left alone.
///
/// The number of a contactless card (tag 4C) is its token, unless an application for payments is on it (tag 43): then it
/// may change with each use, or lead to the card.
pub fn card(info: &StatusInfo<'_>, charset: Charset) -> Card {
    let masked_pan = info.masked_pan();
    let tag = |tag| info.container.and_then(|container| tlv::find(container, tag));
    let token = tag(0x4c).filter(|_| tag(0x43).is_none() && masked_pan.is_none()).map(hex);
    Card { name: info.card_name(charset), masked_pan, token }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captures of the crate `zvt` 0.1: `data/1680722649.972316000_ecr_pt.blob`, `data/1680728161.963129000_pt_ecr.blob`.
    const ASKED: &[u8] =
        &[0x06, 0xc0, 0x0f, 0x0f, 0x19, 0x10, 0xfc, 0x02, 0x06, 0x08, 0x1f, 0x15, 0x01, 0xd0, 0x1f, 0x60, 0x01, 0x07];
    const BANK: &[u8] = &[
        0x27, 0x00, 0x06, 0x31, 0x4c, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x1c, 0xa7, 0x2f, 0x1f, 0x45,
        0x05, 0x05, 0x78, 0x80, 0x70, 0x02, 0x1f, 0x4c, 0x01, 0x01, 0x1f, 0x4d, 0x02, 0xfe, 0x04, 0x1f, 0x4f, 0x02,
        0x04, 0x00, 0x1f, 0x50, 0x01, 0x20, 0x60, 0x09, 0x43, 0x07, 0xa0, 0x00, 0x00, 0x00, 0x04, 0x10, 0x10,
    ];

    #[test]
    fn asks_as_was_captured() {
        let mut out = Vec::new();
        read(&mut out, 15);
        assert_eq!(out, ASKED);
    }

    #[test]
    fn a_bank_card_has_no_token_and_a_member_card_has() {
        let bank = card(&StatusInfo::parse(BANK), Charset::Cp437);
        assert_eq!(bank, Card::default());
        // The same without the application, tag 60: a card that is not for payments.
        let mut member = BANK[..BANK.len() - 11].to_vec();
        member[3] -= 11;
        let card = card(&StatusInfo::parse(&member), Charset::Cp437);
        assert_eq!(card.token.as_deref(), Some("000000000000081ca72f"));
        assert!(!format!("{card:?}").contains("1ca72f"));
    }
}
