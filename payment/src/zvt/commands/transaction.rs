//! 06 01 authorisation, 06 09 prepaid top-up, 06 0C tip, 06 30 reversal, 06 31 refund (PA00P015, chapters of these names).

use std::str::FromStr;

use tresen_hal::{Amount, Currency, Error, Kind};

use super::super::bmp::encode_bcd;
use super::super::{bmp, tlv, wire};
use super::{Password, currency, encode_amount, encode_currency, encode_digits};

/// The receipt number that the till saw last, sent along as tag 1F1F.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror<'a> {
    /// The number.
    Last(&'a str),
    /// The till does not know: an empty tag, never the number 0.
    Unknown,
}

/// Appends 06 01: the customer pays `amount`.
pub fn authorisation(out: &mut Vec<u8>, amount: Amount, mirror: Option<Mirror<'_>>) {
    wire::encode(out, 0x06, 0x01, |out| {
        encode_amount(out, amount);
        encode_currency(out, amount.currency());
        encode_mirror(out, mirror);
    });
}

/// Appends 06 30: the payment with `receipt_number` is taken back.
pub fn reversal(
    out: &mut Vec<u8>,
    password: Password,
    receipt_number: &str,
    amount: Amount,
    mirror: Option<Mirror<'_>>,
) {
    wire::encode(out, 0x06, 0x30, |out| {
        out.extend(password.bytes());
        out.push(0x87);
        encode_digits(out, receipt_number, 2);
        encode_amount(out, amount);
        encode_currency(out, amount.currency());
        encode_mirror(out, mirror);
    });
}

/// Appends 06 31: the customer gets `amount` back.
pub fn refund(out: &mut Vec<u8>, password: Password, amount: Amount, mirror: Option<Mirror<'_>>) {
    wire::encode(out, 0x06, 0x31, |out| {
        out.extend(password.bytes());
        encode_amount(out, amount);
        encode_currency(out, amount.currency());
        encode_mirror(out, mirror);
    });
}

/// Appends 06 0C: a tip is added to the payment with `receipt_number`.
///
/// No capture and no open source of its fields is known here: its layout is that of 06 30, and is unproven.
pub fn tip(out: &mut Vec<u8>, password: Password, receipt_number: &str, tip: Amount) {
    wire::encode(out, 0x06, 0x0c, |out| {
        out.extend(password.bytes());
        out.push(0x87);
        encode_digits(out, receipt_number, 2);
        encode_amount(out, tip);
        encode_currency(out, tip.currency());
    });
}

/// A product of 06 09, as `0012` or `0012/01`: the prepaid card's id of four digits, and the mode of payment, a byte in hex
/// that is 00 if left out. The operator of the terminal tells both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    id: u16,
    mode: u8,
}

impl FromStr for Product {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (id, mode) = text.split_once('/').unwrap_or((text, "00"));
        let digits = |text: &str, length, radix| text.len() == length && text.chars().all(|c| c.is_digit(radix));
        if !digits(id, 4, 10) || !digits(mode, 2, 16) {
            let what = format!("`{text}` is no product of a ZVT terminal");
            let hint = "write the prepaid card's id of four digits, such as 0012, or with the mode of payment 0012/01";
            return Err(Error::new(Kind::Input, what).hint(hint));
        }
        Ok(Self { id: id.parse().expect("four digits"), mode: u8::from_str_radix(mode, 16).expect("two digits") })
    }
}

/// Appends 06 09: a prepaid card or account is loaded.
///
/// Edition 13.13 lays it out as the prepaid card's id (two bytes BCD), the mode of payment (one byte), and BMP 04. The values
/// of the mode are unproven.
pub fn top_up(out: &mut Vec<u8>, product: Product, amount: Amount) {
    wire::encode(out, 0x06, 0x09, |out| {
        encode_bcd(out, u64::from(product.id), 2);
        out.push(product.mode);
        encode_amount(out, amount);
    });
}

pub(super) fn encode_mirror(out: &mut Vec<u8>, mirror: Option<Mirror<'_>>) {
    if let Some(mirror) = mirror {
        tlv::encode_container(out, |out| {
            tlv::encode(out, 0x1f1f, |out| match mirror {
                Mirror::Last(number) => encode_digits(out, number, 2),
                Mirror::Unknown => {}
            });
        });
    }
}

/// What a transaction request asks for, read by the simulator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// BMP 04 in minor units.
    pub amount: Option<u64>,
    /// BMP 49.
    pub currency: Option<Currency>,
    /// BMP 87; FFFF is no number.
    pub receipt: Option<u16>,
    /// Tag 1F1F: `Some(None)` is an empty tag.
    pub mirror: Option<Option<u16>>,
    /// The till sent a TLV container, so the terminal may send one too.
    pub tlv: bool,
}

impl Asked {
    /// Reads the fields after a password, in any order.
    pub fn parse(data: &[u8]) -> Self {
        let mut asked = Self::default();
        for field in bmp::fields(data) {
            let number = || bmp::Bcd(field.data).number();
            match field.id {
                0x04 => asked.amount = number(),
                0x49 => asked.currency = currency(field.data),
                0x87 => asked.receipt = number().and_then(|n| n.try_into().ok()),
                0x06 => {
                    asked.tlv = true;
                    asked.mirror = tlv::find(field.data, 0x1f1f)
                        .map(|v| bmp::Bcd(v).number().filter(|_| !v.is_empty()).and_then(|n| n.try_into().ok()));
                }
                _ => {}
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_the_specification_lays_out() {
        // 06 01: 04 amount (6 BCD), 49 currency (2 BCD).
        let mut out = Vec::new();
        authorisation(&mut out, Amount::eur(25_00), None);
        assert_eq!(out, [0x06, 0x01, 0x0a, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 0x09, 0x78]);
        // 06 30: password, 87 receipt number, then amount and currency.
        out.clear();
        let password: Password = "123456".parse().expect("six digits");
        reversal(&mut out, password, "0417", Amount::eur(1), None);
        assert_eq!(out[..9], [0x06, 0x30, 0x10, 0x12, 0x34, 0x56, 0x87, 0x04, 0x17]);
        out.clear();
        refund(&mut out, password, Amount::eur(1), None);
        assert_eq!(out[..7], [0x06, 0x31, 0x0d, 0x12, 0x34, 0x56, 0x04]);
    }

    #[test]
    fn writes_a_top_up_as_edition_13_13_lays_it_out() {
        let mut out = Vec::new();
        top_up(&mut out, "0012/01".parse().expect("a product"), Amount::eur(15_00));
        assert_eq!(out, [0x06, 0x09, 0x0a, 0x00, 0x12, 0x01, 0x04, 0, 0, 0, 0, 0x15, 0]);
        assert_eq!("0012".parse::<Product>().expect("a product"), Product { id: 12, mode: 0 });
        for wrong in ["", "12", "00012", "0012/", "0012/1", "0012/xx", "+012", "0012/+1"] {
            assert_eq!(wrong.parse::<Product>().expect_err(wrong).kind(), Kind::Input);
        }
    }

    #[test]
    fn a_tip_is_laid_out_as_a_reversal() {
        let (mut tipped, mut reversed) = (Vec::new(), Vec::new());
        let password: Password = "123456".parse().expect("six digits");
        tip(&mut tipped, password, "0417", Amount::eur(2_50));
        assert_eq!(
            tipped,
            [0x06, 0x0c, 0x10, 0x12, 0x34, 0x56, 0x87, 0x04, 0x17, 0x04, 0, 0, 0, 0, 0x02, 0x50, 0x49, 0x09, 0x78]
        );
        reversal(&mut reversed, password, "0417", Amount::eur(2_50), None);
        assert_eq!(tipped[2..], reversed[2..]);
    }

    #[test]
    fn the_mirror_is_empty_when_unknown() {
        for (mirror, tail, read) in [
            (Mirror::Last("417"), &[0x06, 0x05, 0x1f, 0x1f, 0x02, 0x04, 0x17][..], Some(Some(417))),
            (Mirror::Unknown, &[0x06, 0x03, 0x1f, 0x1f, 0x00][..], Some(None)),
        ] {
            let mut out = Vec::new();
            authorisation(&mut out, Amount::eur(1), Some(mirror));
            assert_eq!(&out[13..], tail);
            let asked = Asked::parse(&out[3..]);
            assert_eq!((asked.amount, asked.currency, asked.mirror), (Some(1), Some(Currency::EUR), read));
        }
    }

    #[test]
    fn reads_fields_in_any_order() {
        let asked = Asked::parse(&[0x49, 0x09, 0x78, 0x87, 0x04, 0x17, 0x04, 0, 0, 0, 0, 0x25, 0]);
        assert_eq!((asked.amount, asked.receipt), (Some(2500), Some(417)));
    }
}
