//! One line of a ticket.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Error, Kind, Result};

use super::ticket::too_much;
use super::vat::{Tax, Vat, divide_rounded};

/// One line of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "SaleLine"))]
#[non_exhaustive]
pub struct Line {
    /// The name of the article.
    pub name: String,
    /// The quantity.
    pub quantity: Quantity,
    /// Price of one piece or one kilogram.
    pub unit_price: Amount,
    /// The tax included in the price.
    pub vat: Vat,
    /// Price of the line.
    pub total: Amount,
    /// The article number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article: Option<String>,
    /// The group it belongs to: drinks, kitchen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The tax key: see [`Tax`]. Lines with the same rate and different keys are totalled separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_key: Option<String>,
    /// What the receipt says about the tax key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_text: Option<String>,
    /// In a refund: the line of the original sale that this one gives back, by its index, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<usize>,
}

/// A quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Pieces.
    Pieces(i64),
    /// Grams, for a price per kilogram.
    Grams(i64),
}

impl Quantity {
    /// The number of pieces or grams.
    pub fn count(self) -> i64 {
        match self {
            Self::Pieces(count) | Self::Grams(count) => count,
        }
    }

    /// As many of the same unit.
    pub(crate) fn of(self, count: i64) -> Self {
        match self {
            Self::Pieces(_) => Self::Pieces(count),
            Self::Grams(_) => Self::Grams(count),
        }
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pieces(count) => write!(f, "{count} x"),
            Self::Grams(grams) => write!(f, "{grams} g"),
        }
    }
}

impl Line {
    /// `count` pieces at `unit_price` each. `tax` is a [`Tax`] or just a [`Vat`].
    ///
    /// # Errors
    /// [`Kind::Input`]: the total is out of range.
    pub fn pieces(name: impl Into<String>, count: i64, unit_price: Amount, tax: impl Into<Tax>) -> Result<Self> {
        let total = unit_price.checked_mul(count).ok_or_else(too_much)?;
        Ok(Self::new(name.into(), Quantity::Pieces(count), unit_price, tax.into(), total))
    }

    /// `grams` at `per_kilogram`, rounded to the minor unit.
    ///
    /// # Errors
    /// [`Kind::Input`]: the total is out of range.
    pub fn weighed(name: impl Into<String>, grams: i64, per_kilogram: Amount, tax: impl Into<Tax>) -> Result<Self> {
        let exact = i128::from(per_kilogram.minor()) * i128::from(grams);
        let minor = i64::try_from(divide_rounded(exact, 1000)).map_err(|_| too_much())?;
        let total = Amount::new(minor, per_kilogram.currency());
        Ok(Self::new(name.into(), Quantity::Grams(grams), per_kilogram, tax.into(), total))
    }

    /// Sets the article number.
    #[must_use]
    pub fn article(self, number: impl Into<String>) -> Self {
        Self { article: Some(number.into()), ..self }
    }

    /// Sets the article group.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// Sets the tax key.
    #[must_use]
    pub fn tax_key(self, key: impl Into<String>) -> Self {
        Self { tax_key: Some(key.into()), ..self }
    }

    /// The same line as a refund: quantity and total with the opposite sign.
    ///
    /// # Errors
    /// [`Kind::Input`]: the amount is out of range.
    pub fn given_back(&self) -> Result<Self> {
        let count = self.quantity.count().checked_neg().ok_or_else(too_much)?;
        let total = Amount::zero(self.total.currency()).checked_sub(self.total).ok_or_else(too_much)?;
        Ok(Self { quantity: self.quantity.of(count), total, ..self.clone() })
    }

    fn new(name: String, quantity: Quantity, unit_price: Amount, tax: Tax, total: Amount) -> Self {
        let Tax { rate: vat, key: tax_key, text: tax_text } = tax;
        let (article, group, returns) = Default::default();
        Self { name, quantity, unit_price, vat, total, article, group, tax_key, tax_text, returns }
    }
}

/// What of one line of a closed sale can still be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReturnableLine"))]
#[non_exhaustive]
pub struct Returnable {
    /// The line's index in the closed sale, from 0.
    pub at: usize,
    /// The line as it was sold.
    pub line: Line,
    /// The quantity that was not given back yet.
    pub quantity: Quantity,
    /// The part of its price that was not given back yet.
    pub total: Amount,
}

/// One line of a closed sale to give back, in full or in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReturnLine {
    /// The line's index in the closed sale, from 0.
    pub line: usize,
    /// How much of it, in the unit and with the sign of the sold line; default all that is left.
    #[serde(default)]
    pub quantity: Option<Quantity>,
}

impl ReturnLine {
    /// All that is left of a line.
    pub fn all(line: usize) -> Self {
        Self { line, quantity: None }
    }

    /// A part of a line.
    pub fn part(line: usize, quantity: Quantity) -> Self {
        Self { line, quantity: Some(quantity) }
    }
}

impl Returnable {
    /// Nothing of it was given back yet.
    pub(crate) fn new(at: usize, line: Line) -> Self {
        Self { at, quantity: line.quantity, total: line.total, line }
    }

    /// Whether nothing is left.
    pub(crate) fn is_used_up(&self) -> bool {
        self.quantity.count() == 0 && self.total.minor() == 0
    }

    /// The line that gives `quantity` back; its price is the sold one's, in proportion, and the last part gets what is
    /// left, so that all parts together are exactly the price.
    ///
    /// # Errors
    /// [`Kind::Input`]: more than is left, nothing, or another unit.
    pub(crate) fn give_back(&self, quantity: Option<Quantity>) -> Result<Line> {
        let left = self.quantity.count();
        let asked = quantity.unwrap_or(self.quantity);
        let refused = |why: &str| {
            let what = format!("{asked} `{}` cannot be given back: {why}", self.line.name);
            Err(Error::new(Kind::Input, what))
        };
        if self.is_used_up() {
            return refused("all of it was given back");
        }
        let count = asked.count();
        if self.quantity.of(count) != asked {
            return refused("it was sold in another unit");
        }
        if quantity.is_some() && count.signum() != left.signum() {
            return refused(&format!("{} is left", self.quantity));
        }
        if count.unsigned_abs() > left.unsigned_abs() {
            return refused(&format!("{} is left", self.quantity));
        }
        let total = match count == left {
            true => self.total,
            false => {
                let exact = i128::from(self.line.total.minor()) * i128::from(count.abs());
                let part = divide_rounded(exact, i128::from(self.line.quantity.count()).abs());
                // Parts that were rounded up may have used up more than their share.
                let (low, high) = (self.total.minor().min(0), self.total.minor().max(0));
                let part = part.clamp(low.into(), high.into());
                Amount::new(i64::try_from(part).map_err(|_| too_much())?, self.total.currency())
            }
        };
        let part = Line { quantity: asked, total, ..self.line.clone() };
        Ok(Line { returns: Some(self.at), ..part.given_back()? })
    }

    /// Takes off what a line of a refund gives back.
    ///
    /// # Errors
    /// [`Kind::Input`]: that is more than is left, or another unit.
    pub(crate) fn take_off(&mut self, line: &Line) -> Result<()> {
        let (left, total) = (self.quantity.count(), self.total);
        let rest = left.checked_add(line.quantity.count());
        let rest_total = total.checked_add(line.total);
        let within = |left: i64, rest: i64| rest == 0 || (rest.signum() == left.signum() && rest.abs() <= left.abs());
        match (rest, rest_total) {
            (Some(rest), Some(rest_total))
                if self.quantity.of(0) == line.quantity.of(0)
                    && within(left, rest)
                    && within(total.minor(), rest_total.minor()) =>
            {
                (self.quantity, self.total) = (self.quantity.of(rest), rest_total);
                Ok(())
            }
            _ => {
                let back = line.quantity.of(line.quantity.count().saturating_neg());
                let what = format!(
                    "{back} `{}` for {} cannot be given back: {} for {total} is left",
                    line.name, line.total, self.quantity
                );
                Err(Error::new(Kind::Input, what).hint("other returns of that sale count, also those that are open"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tresen_hal::Currency;

    use super::*;
    use crate::sale::Ticket;

    fn sold(quantity: Quantity, total: i64) -> Returnable {
        let mut line = Line::pieces("x", 1, Amount::eur(0), Vat::percent(7)).expect("fits");
        (line.quantity, line.total) = (quantity, Amount::eur(total));
        Returnable::new(0, line)
    }

    fn give_back(left: &mut Returnable, quantity: Option<Quantity>) -> Result<i64> {
        let back = left.give_back(quantity)?;
        left.take_off(&back)?;
        Ok(back.total.minor())
    }

    #[test]
    fn the_last_part_gets_what_the_others_left() {
        // 10.00 for three: thirds of 3.33, 3.33 and 3.34.
        let mut left = sold(Quantity::Pieces(3), 10_00);
        let one = Some(Quantity::Pieces(1));
        assert_eq!([(); 3].map(|()| give_back(&mut left, one).expect("left")), [-3_33, -3_33, -3_34]);
        assert!(left.is_used_up());
        give_back(&mut left, one).expect_err("nothing is left");
        give_back(&mut left, None).expect_err("nothing is left");
        // A discount of 1.00 is given back as well: the customer gets less.
        let mut discount = sold(Quantity::Pieces(1), -1_00);
        assert_eq!(give_back(&mut discount, None).expect("left"), 1_00);
    }

    #[test]
    fn what_was_not_sold_cannot_be_given_back() {
        let left = sold(Quantity::Grams(456), 9_07);
        for wrong in [Quantity::Grams(457), Quantity::Grams(0), Quantity::Grams(-1), Quantity::Pieces(1)] {
            assert_eq!(left.give_back(Some(wrong)).expect_err("refused").kind(), Kind::Input, "{wrong}");
        }
        let mut line = left.give_back(Some(Quantity::Grams(100))).expect("left");
        assert_eq!((line.total, line.quantity), (Amount::eur(-1_99), Quantity::Grams(-100)));
        line.total = Amount::eur(-9_08);
        sold(Quantity::Grams(456), 9_07).take_off(&line).expect_err("more money than it cost");
    }

    proptest! {
        /// However a line is split, its parts cost what it cost, and no part turns its sign.
        #[test]
        fn parts_add_up_to_the_line(
            count in 1..2_000i64,
            total in -100_000..100_000i64,
            parts in prop::collection::vec(1..500i64, 0..40),
        ) {
            let mut left = sold(Quantity::Grams(count), total);
            let mut back = 0;
            for part in parts {
                let fits = part <= left.quantity.count();
                let taken = give_back(&mut left, Some(Quantity::Grams(part)));
                prop_assert_eq!(taken.is_ok(), fits);
                let Ok(taken) = taken else { continue };
                prop_assert!(taken == 0 || taken.signum() == -total.signum());
                back += taken;
            }
            if !left.is_used_up() {
                back += give_back(&mut left, None).expect("left");
            }
            prop_assert_eq!(back, -total);
        }

        /// Net and tax of all groups are the turnover, and turnover and tips are the total, to the cent.
        #[test]
        fn groups_add_up_to_the_total(
            lines in prop::collection::vec((-50_000..50_000i64, 0..4u8, prop::option::of(0..3u8)), 0..40),
            tips in prop::collection::vec(1..1_000i64, 0..3),
        ) {
            let mut ticket = Ticket::new("t".into(), jiff::Timestamp::UNIX_EPOCH, Currency::EUR);
            for (price, rate, key) in lines {
                let rate = Vat::percent([0, 7, 19, 21][usize::from(rate)]);
                let tax = key.map_or(Tax::from(rate), |key| Tax::new(format!("{rate}/{key}"), rate));
                ticket.add(Line::pieces("x", 1, Amount::eur(price), tax).expect("fits")).expect("euro");
            }
            for tip in tips {
                ticket.add_tip(Amount::eur(tip).into()).expect("a tip");
            }
            let rows = ticket.vat();
            let groups: i64 = rows.iter().map(|row| row.net.minor() + row.tax.minor()).sum();
            prop_assert_eq!(groups, ticket.turnover().minor());
            prop_assert_eq!(groups + ticket.tip().minor(), ticket.total().minor());
            prop_assert!(rows.iter().all(|row| row.net.minor() + row.tax.minor() == row.gross.minor()));
        }
    }
}
