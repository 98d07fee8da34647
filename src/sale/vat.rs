//! Value-added tax in prices that contain it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tresen_hal::Amount;

/// A tax rate in hundredths of a percent: 1900 is 19 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vat(u16);

impl Vat {
    /// A rate in whole percent.
    pub const fn percent(percent: u8) -> Self {
        Self(percent as u16 * 100)
    }

    /// A rate in hundredths of a percent: 770 is 7.7 %.
    pub const fn basis_points(points: u16) -> Self {
        Self(points)
    }

    /// The rate in hundredths of a percent.
    pub const fn points(self) -> u16 {
        self.0
    }

    /// The tax contained in `gross`, rounded half away from zero.
    pub fn contained_in(self, gross: Amount) -> Amount {
        let (gross_minor, rate) = (i128::from(gross.minor()), i128::from(self.0));
        let tax = divide_rounded(gross_minor * rate, 10_000 + rate);
        Amount::new(i64::try_from(tax).expect("tax is no more than the price, which fits"), gross.currency())
    }
}

impl fmt::Display for Vat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{} %", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02} %"),
        }
    }
}

/// The total for one tax rate and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VatRow {
    /// The rate.
    pub rate: Vat,
    /// The tax key of its lines.
    pub key: Option<String>,
    /// What the customer pays at this rate.
    pub gross: Amount,
    /// The tax included.
    pub tax: Amount,
    /// The price without tax.
    pub net: Amount,
}

/// `a / b`, rounded half away from zero; `b` is positive.
pub(super) fn divide_rounded(a: i128, b: i128) -> i128 {
    (a.abs() * 2 + b) / (b * 2) * a.signum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_taken_out_of_the_price() {
        // 119.00 contains 19.00 at 19 %, 107.00 contains 7.00 at 7 %; 1.00 at 19 % contains 15.966 cents.
        for (gross, percent, tax) in
            [(119_00, 19, 19_00), (107_00, 7, 7_00), (1_00, 19, 16), (-119_00, 19, -19_00), (5, 0, 0)]
        {
            assert_eq!(
                Vat::percent(percent).contained_in(Amount::eur(gross)),
                Amount::eur(tax),
                "{gross} at {percent}"
            );
        }
    }

    #[test]
    fn reads_as_people_write_it() {
        assert_eq!(Vat::percent(19).to_string(), "19 %");
        assert_eq!(Vat::basis_points(770).to_string(), "7.7 %");
        assert_eq!(Vat::basis_points(1025).to_string(), "10.25 %");
    }

    #[test]
    fn rounds_half_away_from_zero() {
        assert_eq!(
            [divide_rounded(5, 10), divide_rounded(4, 10), divide_rounded(-5, 10), divide_rounded(15, 10)],
            [1, 0, -1, 2]
        );
    }
}
