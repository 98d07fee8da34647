//! A ticket: what is sold, line by line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Currency, Error, Kind, Result};

use super::vat::{Vat, VatRow, divide_rounded};

/// What is sold to one customer. Its number comes from the till's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    number: i64,
    id: String,
    opened_at: Timestamp,
    total: Amount,
    lines: Vec<Line>,
    note: Option<String>,
}

/// One line of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// How much of it.
    pub quantity: Quantity,
    /// Price of one piece or one kilogram.
    pub unit_price: Amount,
    /// The tax in the price.
    pub vat: Vat,
    /// Price of the line.
    pub total: Amount,
}

/// How much of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Pieces.
    Pieces(i64),
    /// Grams, of something whose price is per kilogram.
    Grams(i64),
}

impl Line {
    /// `count` pieces at `unit_price` each.
    ///
    /// # Errors
    /// [`Kind::Input`]: the price does not fit.
    pub fn pieces(name: impl Into<String>, count: i64, unit_price: Amount, vat: Vat) -> Result<Self> {
        let total = unit_price.checked_mul(count).ok_or_else(too_much)?;
        Ok(Self { name: name.into(), quantity: Quantity::Pieces(count), unit_price, vat, total })
    }

    /// `grams` at `per_kilogram`, rounded to the minor unit.
    ///
    /// # Errors
    /// [`Kind::Input`]: the price does not fit.
    pub fn weighed(name: impl Into<String>, grams: i64, per_kilogram: Amount, vat: Vat) -> Result<Self> {
        let exact = i128::from(per_kilogram.minor()) * i128::from(grams);
        let minor = i64::try_from(divide_rounded(exact, 1000)).map_err(|_| too_much())?;
        let total = Amount::new(minor, per_kilogram.currency());
        Ok(Self { name: name.into(), quantity: Quantity::Grams(grams), unit_price: per_kilogram, vat, total })
    }
}

impl Ticket {
    /// An empty ticket; [`crate::Tresen::open_ticket`] makes one with the next number.
    pub(crate) fn new(number: i64, id: String, opened_at: Timestamp, currency: Currency) -> Self {
        Self { number, id, opened_at, total: Amount::zero(currency), lines: Vec::new(), note: None }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Kind::Input`]: another currency than the ticket's, or the total does not fit; the ticket is
    /// as it was.
    pub fn add(&mut self, line: Line) -> Result<()> {
        if line.total.currency() != self.total.currency() {
            let what = format!(
                "`{}` is priced in {}, the ticket is in {}",
                line.name,
                line.total.currency(),
                self.total.currency()
            );
            return Err(Error::new(Kind::Input, what));
        }
        self.total = self.total.checked_add(line.total).ok_or_else(too_much)?;
        self.lines.push(line);
        Ok(())
    }

    /// A remark that is printed on the receipt: a customer's name, a voucher.
    pub fn set_note(&mut self, note: impl Into<String>) {
        self.note = Some(note.into());
    }

    /// The remark.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Its number in this till.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Its key, unique everywhere.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it was opened.
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// Its lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What the customer pays.
    pub fn total(&self) -> Amount {
        self.total
    }

    /// Totals by tax rate, highest rate first.
    pub fn vat(&self) -> Vec<VatRow> {
        let mut rates: Vec<Vat> = self.lines.iter().map(|l| l.vat).collect();
        rates.sort_unstable_by(|a, b| b.cmp(a));
        rates.dedup();
        let row = |rate: Vat| {
            let minor = self.lines.iter().filter(|l| l.vat == rate).map(|l| l.total.minor()).sum();
            let gross = Amount::new(minor, self.total.currency());
            let tax = rate.contained_in(gross);
            let net = Amount::new(gross.minor() - tax.minor(), gross.currency());
            VatRow { rate, gross, tax, net }
        };
        rates.into_iter().map(row).collect()
    }
}

fn too_much() -> Error {
    Error::new(Kind::Input, "the amount does not fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket::new(1, "t".into(), Timestamp::UNIX_EPOCH, Currency::EUR)
    }

    #[test]
    fn weighed_goods_round_to_the_cent() {
        let line = |grams| Line::weighed("Ham", grams, Amount::eur(19_90), Vat::percent(7)).expect("fits").total;
        // 456 g at 19.90 are 9.0744; 125 g at 19.90 are 2.4875.
        assert_eq!((line(456), line(125), line(0)), (Amount::eur(9_07), Amount::eur(2_49), Amount::eur(0)));
    }

    #[test]
    fn taxes_add_up_to_the_total() {
        let mut ticket = ticket();
        for (price, rate) in [(3_80, 19), (2_49, 7), (9_07, 7)] {
            ticket.add(Line::pieces("x", 1, Amount::eur(price), Vat::percent(rate)).expect("fits")).expect("euro");
        }
        let vat = ticket.vat();
        assert_eq!(vat.iter().map(|v| v.rate).collect::<Vec<_>>(), [Vat::percent(19), Vat::percent(7)]);
        assert_eq!(vat.iter().map(|v| v.net.minor() + v.tax.minor()).sum::<i64>(), ticket.total().minor());
        assert_eq!(vat[1].gross, Amount::eur(11_56));
    }

    #[test]
    fn refuses_what_does_not_fit_and_stays_as_it_was() {
        let mut ticket = ticket();
        let franc = "1 CHF".parse().expect("an amount");
        ticket.add(Line::pieces("x", 1, franc, Vat::percent(8)).expect("fits")).expect_err("francs");
        let all = Amount::eur(i64::MAX);
        ticket.add(Line::pieces("x", 1, all, Vat::percent(0)).expect("fits")).expect("fits");
        ticket.add(Line::pieces("x", 1, all, Vat::percent(0)).expect("fits")).expect_err("too much");
        assert_eq!((ticket.lines().len(), ticket.total()), (1, all));
        assert!(Line::pieces("x", 2, all, Vat::percent(0)).is_err());
    }
}
