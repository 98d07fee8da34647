//! Value-added tax in prices that contain it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tresen_hal::Amount;

/// A tax rate in hundredths of a percent: 1900 is 19 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// How a line is taxed: a rate and, if the vendor has one, the key of the tax office or fiscal device. The library
/// totals by it, prints it and stores it, and does not interpret it.
///
/// The same rate may have several keys: 0 % because exempt is not 0 % because not taxable. A table of a vendor's own,
/// here with keys 1, 2, 5 and 6 of DSFinV-K (the German export format for cash registers):
///
/// ```
/// use tresen::Amount;
/// use tresen::sale::{Line, Tax, Vat};
///
/// let standard = Tax::new("1", Vat::percent(19));
/// let reduced = Tax::new("2", Vat::percent(7));
/// let not_taxable = Tax::new("5", Vat::percent(0)).text("nicht steuerbar");
/// let exempt = Tax::new("6", Vat::percent(0)).text("umsatzsteuerfrei");
/// let coffee = Line::pieces("Coffee to go", 1, Amount::eur(3_20), &reduced)?;
/// let stamp = Line::pieces("Stamp", 1, Amount::eur(0_95), &exempt)?;
/// assert_eq!((coffee.vat, stamp.tax_key.as_deref()), (Vat::percent(7), Some("6")));
/// # let _ = (standard, not_taxable);
/// # Ok::<(), tresen::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tax {
    /// The rate.
    pub rate: Vat,
    /// The key; stands for one rate on a ticket.
    #[serde(default)]
    pub key: Option<String>,
    /// What the receipt says about it below the totals: why a line bears no tax.
    #[serde(default)]
    pub text: Option<String>,
}

impl Tax {
    /// The key `key` with its rate.
    pub fn new(key: impl Into<String>, rate: Vat) -> Self {
        Self { rate, key: Some(key.into()), text: None }
    }

    /// Sets what the receipt says about it.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }
}

impl From<Vat> for Tax {
    /// A rate without a key.
    fn from(rate: Vat) -> Self {
        Self { rate, key: None, text: None }
    }
}

impl From<&Tax> for Tax {
    fn from(tax: &Tax) -> Self {
        tax.clone()
    }
}

/// The total for one tax key, or for one rate without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VatRow {
    /// The rate.
    pub rate: Vat,
    /// The tax key of its lines.
    pub key: Option<String>,
    /// What the receipt says about the key.
    pub text: Option<String>,
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
