//! A ticket: the lines of a sale.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Currency, Error, Kind, Result};

use super::vat::{Vat, VatRow, divide_rounded};

/// The lines sold to one customer.
///
/// An open sale has an id; it gets its number, and the time printed on its receipt, when it is closed. Reading a ticket
/// from JSON checks that the total is the sum of the lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Ticket {
    id: String,
    pub(crate) number: Option<i64>,
    pub(crate) original: Option<String>,
    opened_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    total: Amount,
    lines: Vec<Line>,
    note: Option<String>,
}

/// One line of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A key of the tax office or fiscal device. Lines with the same rate and different keys are totalled separately: 0
    /// % because exempt is not 0 % because exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_key: Option<String>,
}

/// A quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Pieces.
    Pieces(i64),
    /// Grams, for a price per kilogram.
    Grams(i64),
}

impl Line {
    /// `count` pieces at `unit_price` each.
    ///
    /// # Errors
    /// [`Kind::Input`]: the total is out of range.
    pub fn pieces(name: impl Into<String>, count: i64, unit_price: Amount, vat: Vat) -> Result<Self> {
        let total = unit_price.checked_mul(count).ok_or_else(too_much)?;
        Ok(Self::new(name.into(), Quantity::Pieces(count), unit_price, vat, total))
    }

    /// `grams` at `per_kilogram`, rounded to the minor unit.
    ///
    /// # Errors
    /// [`Kind::Input`]: the total is out of range.
    pub fn weighed(name: impl Into<String>, grams: i64, per_kilogram: Amount, vat: Vat) -> Result<Self> {
        let exact = i128::from(per_kilogram.minor()) * i128::from(grams);
        let minor = i64::try_from(divide_rounded(exact, 1000)).map_err(|_| too_much())?;
        let total = Amount::new(minor, per_kilogram.currency());
        Ok(Self::new(name.into(), Quantity::Grams(grams), per_kilogram, vat, total))
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
        let quantity = match self.quantity {
            Quantity::Pieces(count) => Quantity::Pieces(count.checked_neg().ok_or_else(too_much)?),
            Quantity::Grams(grams) => Quantity::Grams(grams.checked_neg().ok_or_else(too_much)?),
        };
        let total = Amount::zero(self.total.currency()).checked_sub(self.total).ok_or_else(too_much)?;
        Ok(Self { quantity, total, ..self.clone() })
    }

    fn new(name: String, quantity: Quantity, unit_price: Amount, vat: Vat, total: Amount) -> Self {
        Self { name, quantity, unit_price, vat, total, article: None, group: None, tax_key: None }
    }
}

impl Ticket {
    /// An empty ticket; [`crate::Tresen::open_sale`] creates one that is stored.
    pub fn new(id: String, opened_at: Timestamp, currency: Currency) -> Self {
        let total = Amount::zero(currency);
        Self { id, number: None, original: None, opened_at, closed_at: None, total, lines: Vec::new(), note: None }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Kind::Input`]: the line has another currency than the ticket, or a total is out of range; the ticket is
    /// unchanged.
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
        let total = self.total.checked_add(line.total).ok_or_else(too_much)?;
        // The totals per tax have to be in range as well: their magnitude may exceed that of the sum.
        let same = |l: &&Line| (l.vat, &l.tax_key) == (line.vat, &line.tax_key);
        let taxed: i128 = self.lines.iter().filter(same).map(|l| i128::from(l.total.minor())).sum();
        i64::try_from(taxed + i128::from(line.total.minor())).map_err(|_| too_much())?;
        self.total = total;
        self.lines.push(line);
        Ok(())
    }

    /// Removes a line by its index, from 0.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such line, or the remaining total is out of range; the ticket is unchanged.
    pub fn remove(&mut self, at: usize) -> Result<Line> {
        if at >= self.lines.len() {
            let what = format!("no line {at}: the ticket has {}", self.lines.len());
            return Err(Error::new(Kind::Input, what));
        }
        let mut rest = Self { lines: Vec::new(), total: Amount::zero(self.total.currency()), ..self.clone() };
        for (_, line) in self.lines.iter().enumerate().filter(|(i, _)| *i != at) {
            rest.add(line.clone())?;
        }
        let removed = self.lines[at].clone();
        *self = rest;
        Ok(removed)
    }

    /// Sets a remark that is printed on the receipt: a customer's name, a voucher.
    pub fn set_note(&mut self, note: impl Into<String>) {
        self.note = Some(note.into());
    }

    /// The remark.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Its number in this till; `None` while it is open.
    pub fn number(&self) -> Option<i64> {
        self.number
    }

    /// Its number, or the end of its id while it has none: for the kitchen or a person at the counter.
    pub fn label(&self) -> String {
        match self.number {
            Some(number) => number.to_string(),
            None => {
                let end: Vec<char> = self.id.chars().rev().filter(char::is_ascii_alphanumeric).take(4).collect();
                end.into_iter().rev().collect::<String>().to_uppercase()
            }
        }
    }

    /// Its globally unique key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The sale that this one refunds, in full or in part.
    pub fn original(&self) -> Option<&str> {
        self.original.as_deref()
    }

    /// When it was opened.
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// When it was closed: the time on its receipt.
    pub fn closed_at(&self) -> Option<Timestamp> {
        self.closed_at
    }

    /// Its lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What the customer pays; negative where the customer gets money back.
    pub fn total(&self) -> Amount {
        self.total
    }

    /// Totals by tax rate and key, highest rate first.
    pub fn vat(&self) -> Vec<VatRow> {
        let mut sums: BTreeMap<(Vat, Option<&str>), i128> = BTreeMap::new();
        for line in &self.lines {
            *sums.entry((line.vat, line.tax_key.as_deref())).or_default() += i128::from(line.total.minor());
        }
        let row = |((rate, key), sum): ((Vat, Option<&str>), i128)| {
            let minor = i64::try_from(sum).expect("`add` has checked that the sum is in range");
            let gross = Amount::new(minor, self.total.currency());
            let tax = rate.contained_in(gross);
            let net = Amount::new(gross.minor() - tax.minor(), gross.currency());
            VatRow { rate, key: key.map(str::to_owned), gross, tax, net }
        };
        let mut rows: Vec<_> = sums.into_iter().map(row).collect();
        rows.sort_by_key(|row| Reverse(row.rate));
        rows
    }
}

/// A ticket as read from JSON, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    id: String,
    #[serde(default)]
    number: Option<i64>,
    #[serde(default)]
    original: Option<String>,
    opened_at: Timestamp,
    #[serde(default)]
    closed_at: Option<Timestamp>,
    total: Amount,
    lines: Vec<Line>,
    #[serde(default)]
    note: Option<String>,
}

impl TryFrom<Unchecked> for Ticket {
    type Error = Error;

    fn try_from(told: Unchecked) -> Result<Self> {
        let mut ticket = Self::new(told.id, told.opened_at, told.total.currency());
        for line in told.lines {
            ticket.add(line)?;
        }
        if ticket.total != told.total {
            let what = format!("the lines of the ticket add up to {}, not to {}", ticket.total, told.total);
            return Err(Error::new(Kind::Input, what));
        }
        let (number, original, closed_at, note) = (told.number, told.original, told.closed_at, told.note);
        Ok(Self { number, original, closed_at, note, ..ticket })
    }
}

fn too_much() -> Error {
    Error::new(Kind::Input, "the amount is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket::new("t".into(), Timestamp::UNIX_EPOCH, Currency::EUR)
    }

    #[test]
    fn weighed_goods_round_to_the_cent() {
        let line = |grams| Line::weighed("Ham", grams, Amount::eur(19_90), Vat::percent(7)).expect("fits").total;
        // 456 g at 19.90 cost 9.0744; 125 g at 19.90 cost 2.4875.
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

    #[test]
    fn a_tax_total_that_does_not_fit_is_refused_before_it_can_overflow() {
        let mut ticket = ticket();
        let line = |minor, percent| Line::pieces("x", 1, Amount::eur(minor), Vat::percent(percent)).expect("fits");
        ticket.add(line(i64::MAX, 19)).expect("fits");
        ticket.add(line(-i64::MAX, 7)).expect("fits");
        ticket.add(line(i64::MAX, 19)).expect_err("19 % would hold twice as much as fits");
        let rows = ticket.vat();
        assert_eq!((rows.len(), rows[0].gross, ticket.total()), (2, Amount::eur(i64::MAX), Amount::eur(0)));
        let mut least = Ticket::new("t".into(), Timestamp::UNIX_EPOCH, Currency::EUR);
        least.add(line(i64::MIN, 19)).expect("fits");
        assert_eq!(least.vat()[0].net.minor() + least.vat()[0].tax.minor(), i64::MIN);
    }

    #[test]
    fn one_rate_under_two_keys_is_taxed_apart() {
        let mut ticket = ticket();
        for key in [None, Some("exempt"), Some("export"), Some("exempt")] {
            let line = Line::pieces("x", 1, Amount::eur(100), Vat::percent(0)).expect("fits");
            ticket.add(if let Some(key) = key { line.tax_key(key) } else { line }).expect("euro");
        }
        let rows: Vec<_> = ticket.vat().into_iter().map(|r| (r.key, r.gross.minor())).collect();
        assert_eq!(rows, [(None, 100), (Some("exempt".into()), 200), (Some("export".into()), 100)]);
    }

    #[test]
    fn a_ticket_whose_total_contradicts_its_lines_is_not_read() {
        let mut ticket = ticket();
        ticket.add(Line::pieces("x", 1, Amount::eur(100_00), Vat::percent(19)).expect("fits")).expect("euro");
        let text = serde_json::to_string(&ticket).expect("text");
        assert_eq!(serde_json::from_str::<Ticket>(&text).expect("its own"), ticket);
        let lies = text.replacen("\"total\":\"100.00 EUR\",\"lines\"", "\"total\":\"1.00 EUR\",\"lines\"", 1);
        assert_ne!(lies, text);
        let error = serde_json::from_str::<Ticket>(&lies).expect_err("the total is another");
        assert!(error.to_string().contains("100.00 EUR") && error.to_string().contains("1.00 EUR"), "{error}");
    }

    #[test]
    fn a_line_taken_out_takes_its_price_with_it() {
        let mut ticket = ticket();
        for price in [1_00, 2_00, 3_00] {
            ticket.add(Line::pieces("x", 1, Amount::eur(price), Vat::percent(7)).expect("fits")).expect("euro");
        }
        assert_eq!(ticket.remove(1).expect("there").total, Amount::eur(2_00));
        assert_eq!((ticket.lines().len(), ticket.total()), (2, Amount::eur(4_00)));
        assert_eq!(ticket.remove(2).expect_err("no such line").kind(), Kind::Input);
    }
}
