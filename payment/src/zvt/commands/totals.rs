//! BMP 60, the single amounts of a 04 0F after an end of day (06 50) or a request for totals (06 10).
//!
//! Two receipt numbers, then a count and a sum for each of seven kinds of card. The layout is that of the crate `zvt`
//! 0.1 (`packets.rs`, `SingleAmounts`), which took it from PA00P015; its capture of an end of day is the test.

use super::super::bmp::Bcd;

/// A view of BMP 60.
#[derive(Debug, Clone, Copy)]
pub struct SingleAmounts<'a> {
    /// The first receipt number.
    pub first: Bcd<'a>,
    /// The last receipt number.
    pub last: Bcd<'a>,
    cards: &'a [u8],
}

impl<'a> SingleAmounts<'a> {
    /// Reads the data of the BMP. `None` unless it has the length of the layout.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (first, rest) = data.split_at_checked(2)?;
        let (last, cards) = rest.split_at_checked(2)?;
        (cards.len() == CARDS.len() * CARD).then_some(Self { first: Bcd(first), last: Bcd(last), cards })
    }

    /// Each kind of card: its name, how many transactions, and their sum in minor units. A sum that is no number is
    /// left out.
    pub fn cards(&self) -> impl Iterator<Item = (&'static str, u8, i64)> + 'a {
        let sums = CARDS.into_iter().zip(self.cards.chunks(CARD));
        sums.filter_map(|(name, bytes)| Some((name, bytes[0], i64::try_from(Bcd(&bytes[1..]).number()?).ok()?)))
    }
}

/// The kinds of card, in the order of the BMP. `others` is what the terminal counts as none of them.
pub const CARDS: [&str; 7] = ["girocard", "JCB", "Eurocard", "American Express", "VISA", "Diners", "others"];
/// Bytes of one kind: the count, and the sum as six bytes BCD.
const CARD: usize = 7;

#[cfg(test)]
mod tests {
    use super::super::status_info::StatusInfo;
    use super::*;

    /// The 04 0F of an end of day, from the crate `zvt` 0.1: `data/1680761828.489701000_pt_ecr.blob`.
    const CAPTURED: &[u8] = &[
        0x04, 0x0f, 0x4d, 0x27, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x09, 0x58, 0x0b, 0x00, 0x09, 0x82, 0x0d, 0x04,
        0x06, 0x0c, 0x08, 0x17, 0x06, 0x60, 0xf0, 0xf5, 0xf3, 0x02, 0x33, 0x02, 0x34, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x09, 0x58, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn reads_a_captured_end_of_day() {
        let info = StatusInfo::parse(&CAPTURED[3..]);
        assert_eq!((info.result, info.minor()), (Some(0), Some(9_58)));
        let amounts = info.fields().find(|field| field.id == 0x60).and_then(|f| SingleAmounts::parse(f.data));
        let amounts = amounts.expect("it has them");
        assert_eq!((amounts.first.to_string(), amounts.last.to_string()), ("0233".to_owned(), "0234".to_owned()));
        let used: Vec<_> = amounts.cards().filter(|(_, count, _)| *count > 0).collect();
        assert_eq!(used, [("Eurocard", 2, 9_58)]);
        assert_eq!(amounts.cards().count(), 7);
    }

    #[test]
    fn another_length_is_another_layout() {
        let whole = [0; 4 + 7 * 7];
        for length in 0..whole.len() {
            assert!(SingleAmounts::parse(&whole[..length]).is_none(), "{length}");
        }
        assert!(SingleAmounts::parse(&whole).is_some());
        assert!(SingleAmounts::parse(&[0; 4 + 7 * 7 + 1]).is_none());
        // A sum with a masked digit.
        let mut odd = whole;
        odd[10] = 0xee;
        assert_eq!(SingleAmounts::parse(&odd).expect("of this length").cards().count(), 6);
    }
}
