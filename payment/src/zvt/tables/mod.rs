//! The numbers of ZVT as data: bitmaps, tags, commands and kinds of card.
//!
//! The names and lengths are those of PA00P015 13.13: bitmaps in chapter 13, tags in chapter
//! 9.4.1, kinds of card in chapter 12. We have these chapters as public programs list them, not the document. What else
//! an entry rests on stands in its source. `payment/tests/zvt_tables.rs` reads captured messages and says of every
//! entry whether a capture shows it; those that none shows are listed there as unproven.
//!
//! An id that is not listed is kept as it came: of a bitmap nothing tells the length, so what follows it in the message
//! is kept unread, too.

mod bmps;
mod cards;
mod commands;
mod tags;

pub use bmps::BMPS;
pub use cards::{CARD_TYPES, card_type};
pub use commands::{COMMANDS, Sender, command};
pub use tags::TAGS;

use super::bmp::Format;

/// A bitmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bmp {
    /// Its id.
    pub id: u8,
    /// How long its data is.
    pub format: Format,
    /// How its data is written.
    pub encoding: Encoding,
    /// What may be shown of it.
    pub sensitivity: Sensitivity,
    /// What it is.
    pub name: &'static str,
    /// Where it is listed.
    pub source: &'static str,
}

/// A tag of the TLV container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// The tag as the manual writes it: `0x1f07`.
    pub tag: u32,
    /// How its value is written.
    pub encoding: Encoding,
    /// What may be shown of it.
    pub sensitivity: Sensitivity,
    /// What it is.
    pub name: &'static str,
    /// Where it is listed.
    pub source: &'static str,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two digits a byte; `E` stands for a masked digit.
    Bcd,
    /// Bits and numbers, or anything else.
    Binary,
    /// A text in the terminal's character set.
    Text,
    /// Further tags.
    Tags,
}

/// What may be shown of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitivity {
    /// All of it.
    Open,
    /// A text for people, in which a card number may stand.
    Text,
    /// A card number: the issuer's first six digits and the last four.
    Number,
    /// A password.
    Password,
    /// What the tags inside say.
    Tags,
    /// Nothing: card data, or something that may be.
    Secret,
}

/// The bitmap with this id; `None` if it is not known.
pub const fn bmp(id: u8) -> Option<&'static Bmp> {
    let mut at = 0;
    while at < BMPS.len() {
        if BMPS[at].id == id {
            return Some(&BMPS[at]);
        }
        at += 1;
    }
    None
}

/// The tag; `None` if it is not known.
pub fn tag(tag: u32) -> Option<&'static Tag> {
    TAGS.binary_search_by_key(&tag, |entry| entry.tag).ok().map(|at| &TAGS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order_and_have_no_id_twice() {
        assert!(BMPS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(TAGS.windows(2).all(|pair| pair[0].tag < pair[1].tag));
        assert!(CARD_TYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_tag_holds_tags_exactly_if_its_bit_says_so() {
        for entry in TAGS {
            let bytes = entry.tag.to_be_bytes();
            let first = bytes.iter().find(|byte| **byte != 0).expect("no tag is 0");
            let constructed = first & 0x20 != 0;
            assert_eq!(entry.encoding == Encoding::Tags, constructed, "{:x}", entry.tag);
            assert_eq!(entry.sensitivity == Sensitivity::Tags, constructed, "{:x}", entry.tag);
            // Bits 1 to 5 set say that another byte follows, and its bit 8 that one more does.
            assert_eq!(entry.tag > 0xff, first & 0x1f == 0x1f, "{:x}", entry.tag);
        }
    }

    #[test]
    fn the_length_of_an_encoding_fits() {
        for entry in BMPS {
            assert_eq!(entry.format == Format::Tlv, entry.encoding == Encoding::Tags, "{:02x}", entry.id);
        }
        assert_eq!(bmp(0x04).map(|b| (b.format, b.name)), Some((Format::Fixed(6), "amount")));
        assert_eq!((bmp(0x77), tag(0x1f99)), (None, None));
        assert_eq!(tag(0x1f10).map(|t| t.name), Some("cardholder authentication"));
        assert_eq!(card_type(5), Some("girocard"));
    }
}
