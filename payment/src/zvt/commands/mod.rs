//! One family of commands per file: what the till encodes, what the terminal answers, and the way
//! back for the simulator.
//!
//! Left out: input requests, software update. A terminal that starts one of them is answered `84 83`, "cannot do this".

pub mod admin;
pub mod card;
pub mod completion;
pub mod display;
pub mod enquiry;
pub mod intermediate;
pub mod print;
pub mod registration;
pub mod reservation;
pub mod status_info;
pub mod totals;
pub mod transaction;

use std::fmt;
use std::str::FromStr;

use tresen_hal::{Amount, Currency, Error, Kind};

use super::bmp::{Bcd, encode_bcd};

/// The password that most commands begin with: six digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; 3]);

impl Password {
    /// Its three bytes, BCD.
    pub fn bytes(self) -> [u8; 3] {
        self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.get(..3)?.try_into().ok().map(Self)
    }
}

/// `000000`, which most terminals come with.
impl Default for Password {
    fn default() -> Self {
        Self([0; 3])
    }
}

impl FromStr for Password {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(Kind::Config, "a terminal's password is six digits");
        if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let mut out = Vec::new();
        encode_bcd(&mut out, text.parse().map_err(|_| bad())?, 3);
        Self::from_bytes(&out).ok_or_else(bad)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// BMP 04, the amount in minor units. Negative amounts and more than twelve digits cannot be written;
/// the driver refuses them before.
pub(super) fn encode_amount(out: &mut Vec<u8>, amount: Amount) {
    out.push(0x04);
    encode_bcd(out, amount.minor().unsigned_abs(), 6);
}

/// BMP 49.
pub(super) fn encode_currency(out: &mut Vec<u8>, currency: Currency) {
    out.push(0x49);
    encode_bcd(out, u64::from(currency.number()), 2);
}

/// A currency number as two bytes BCD.
pub(crate) fn currency(bytes: &[u8]) -> Option<Currency> {
    Currency::from_number(u16::try_from(Bcd(bytes).number()?).ok()?)
}

/// A decimal string as BCD of `bytes` bytes.
pub(super) fn encode_digits(out: &mut Vec<u8>, digits: &str, bytes: usize) {
    encode_bcd(out, digits.parse().unwrap_or(0), bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_six_digits_and_stays_secret() {
        let password: Password = "123456".parse().expect("six digits");
        assert_eq!(password.bytes(), [0x12, 0x34, 0x56]);
        assert_eq!(format!("{password:?}"), "Password(…)");
        for wrong in ["", "12345", "1234567", "12345x", "+12345"] {
            assert_eq!(wrong.parse::<Password>().expect_err(wrong).kind(), Kind::Config);
        }
    }
}
