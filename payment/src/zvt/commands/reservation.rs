//! 06 22 reservation, 06 23 partial reversal, 06 24 book total, 06 25 reservation reversal (PA00P015, chapters
//! "Pre-Authorisation/Reservation", "Partial-Reversal of a Pre-Authorisation / Booking of a Reservation", "Book Total",
//! "Pre-Authorisation Reversal").
//!
//! The fields and their order of 06 22, 06 23 and 06 25 are those that a till sent to a terminal of Feig, as the crate
//! `zvt` 0.1 has captured them. The amount of 06 23 is what is released of the reservation, not what is booked: so that
//! crate's users send it. No capture of 06 24 is known here: its layout is that of 06 23, with the amount that is booked,
//! and is unproven.

use tresen_hal::{Amount, Currency};

use super::super::{bmp, wire};
use super::transaction::{Mirror, encode_mirror};
use super::{encode_amount, encode_currency, encode_digits};

/// BMP 19: the terminal decides how the customer pays.
const TERMINAL_DECIDES: [u8; 2] = [0x19, 0x40];
/// BMP 87: all open reservations.
const ALL: [u8; 3] = [0x87, 0xff, 0xff];

/// Appends 06 22: `amount` is held.
pub fn reservation(out: &mut Vec<u8>, amount: Amount, mirror: Option<Mirror<'_>>) {
    wire::encode(out, 0x06, 0x22, |out| {
        out.extend(TERMINAL_DECIDES);
        encode_currency(out, amount.currency());
        encode_amount(out, amount);
        encode_mirror(out, mirror);
    });
}

/// Appends 06 23: of the reservation with `receipt_number`, `released` is released and the rest is booked.
pub fn partial_reversal(out: &mut Vec<u8>, receipt_number: &str, released: Amount, mirror: Option<Mirror<'_>>) {
    booking(out, 0x23, receipt_number, released, mirror);
}

/// Appends 06 24: of the reservation with `receipt_number`, `booked` is booked and the rest is released.
pub fn book_total(out: &mut Vec<u8>, receipt_number: &str, booked: Amount, mirror: Option<Mirror<'_>>) {
    booking(out, 0x24, receipt_number, booked, mirror);
}

fn booking(out: &mut Vec<u8>, instr: u8, receipt_number: &str, amount: Amount, mirror: Option<Mirror<'_>>) {
    wire::encode(out, 0x06, instr, |out| {
        out.extend(TERMINAL_DECIDES);
        encode_receipt(out, receipt_number);
        encode_currency(out, amount.currency());
        encode_amount(out, amount);
        encode_mirror(out, mirror);
    });
}

/// Appends 06 25: the reservation with `receipt_number` is released.
pub fn release(out: &mut Vec<u8>, receipt_number: &str, currency: Currency) {
    wire::encode(out, 0x06, 0x25, |out| {
        out.extend(TERMINAL_DECIDES);
        encode_receipt(out, receipt_number);
        encode_currency(out, currency);
    });
}

/// Appends 06 23 with receipt number `FFFF`: the terminal lists its open reservations, in a 06 1E.
pub fn list_open(out: &mut Vec<u8>) {
    wire::encode(out, 0x06, 0x23, |out| out.extend(ALL));
}

/// Whether the data of 06 23 is [`list_open`].
pub(in super::super) fn asks_for_open(data: &[u8]) -> bool {
    bmp::fields(data).any(|field| field.id == 0x87 && field.data == [0xff, 0xff])
}

fn encode_receipt(out: &mut Vec<u8>, receipt_number: &str) {
    out.push(0x87);
    encode_digits(out, receipt_number, 2);
}

/// What a terminal answers to [`list_open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// None is open.
    None,
    /// At least this one is open. The specification lets further numbers follow in a TLV container; no capture of one
    /// is known here, and they are not read.
    AtLeast(u16),
}

impl Open {
    /// Reads the data of 06 1E: the code B8, and BMP 87. `None` if it is no such answer.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (&code, rest) = data.split_first()?;
        let receipt = bmp::fields(rest).find(|field| field.id == 0x87).filter(|_| code == 0xb8)?;
        match receipt.data {
            [0xff, 0xff] => Some(Self::None),
            number => Some(Self::AtLeast(bmp::Bcd(number).number()?.try_into().ok()?)),
        }
    }
}

/// Appends 06 1E as the answer to [`list_open`], and to a booking of a reservation that is not open.
pub(in super::super) fn open(out: &mut Vec<u8>, open: Open) {
    wire::encode(out, 0x06, 0x1e, |out| {
        out.extend([0xb8, 0x87]);
        match open {
            Open::None => out.extend([0xff, 0xff]),
            Open::AtLeast(number) => bmp::encode_bcd(out, u64::from(number), 2),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows the captured fields is a TLV container with data of the till's operator, tag E9; it is left out here,
    /// and the length with it.
    const OPERATORS: usize = 2 + 0x10;

    /// Captures of the crate `zvt` 0.1: `data/1680728162.033575000_ecr_pt.blob`, `data/1681455683.221609000_ecr_pt.blob`,
    /// `data/1680728213.562478000_ecr_pt.blob`.
    const RESERVATION: &[u8] = &[
        0x06, 0x22, 0x1e, 0x19, 0x40, 0x49, 0x09, 0x78, 0x04, 0x00, 0x00, 0x00, 0x00, 0x25, 0x00, 0x06, 0x10, 0xe9,
        0x0e, 0x1f, 0x62, 0x02, 0x41, 0x43, 0x1f, 0x63, 0x06, 0x33, 0x38, 0x34, 0x48, 0x48, 0x32,
    ];
    const PARTIAL: &[u8] = &[
        0x06, 0x23, 0x21, 0x19, 0x40, 0x87, 0x04, 0x91, 0x49, 0x09, 0x78, 0x04, 0x00, 0x00, 0x00, 0x00, 0x12, 0x95,
        0x06, 0x10, 0xe9, 0x0e, 0x1f, 0x62, 0x02, 0x41, 0x43, 0x1f, 0x63, 0x06, 0x4d, 0x46, 0x32, 0x32, 0x34, 0x36,
    ];
    const RELEASE: &[u8] = &[0x06, 0x25, 0x08, 0x19, 0x40, 0x87, 0x02, 0x31, 0x49, 0x09, 0x78];

    #[test]
    fn writes_what_was_captured() {
        let mut out = Vec::new();
        reservation(&mut out, Amount::eur(25_00), None);
        assert_eq!(out[3..], RESERVATION[3..RESERVATION.len() - OPERATORS]);
        assert_eq!((&out[..2], usize::from(out[2]) + OPERATORS), (&RESERVATION[..2], usize::from(RESERVATION[2])));
        out.clear();
        // EUR 12.95 is released, whatever was reserved.
        partial_reversal(&mut out, "0491", Amount::eur(12_95), None);
        assert_eq!(out[3..], PARTIAL[3..PARTIAL.len() - OPERATORS]);
        assert_eq!((&out[..2], usize::from(out[2]) + OPERATORS), (&PARTIAL[..2], usize::from(PARTIAL[2])));
        out.clear();
        release(&mut out, "231", Currency::EUR);
        assert_eq!(out, RELEASE);
    }

    #[test]
    fn asks_for_open_reservations_and_reads_the_answer() {
        let mut out = Vec::new();
        list_open(&mut out);
        // Field facts: `06 23` with `87 FFFF`.
        assert_eq!(out, [0x06, 0x23, 0x03, 0x87, 0xff, 0xff]);
        assert!(asks_for_open(&out[3..]) && !asks_for_open(&PARTIAL[3..]));
        // Capture of the crate `zvt` 0.1, `data/partial_reversal.blob`.
        const NONE: [u8; 7] = [0x06, 0x1e, 0x04, 0xb8, 0x87, 0xff, 0xff];
        assert_eq!(Open::parse(&NONE[3..]), Some(Open::None));
        assert_eq!(Open::parse(&[0xb8, 0x87, 0x04, 0x91]), Some(Open::AtLeast(491)));
        for no in [&[0x6c][..], &[0xb8], &[0xb8, 0x87, 0x04], &[0x6c, 0x87, 0xff, 0xff], &[]] {
            assert_eq!(Open::parse(no), None, "{no:02x?}");
        }
        out.clear();
        open(&mut out, Open::None);
        assert_eq!(out, NONE);
    }
}
