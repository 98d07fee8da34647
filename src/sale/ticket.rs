//! A ticket: the lines of a sale.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Currency, Error, Kind, Result};

use super::line::Line;
use super::tip::Tip;
use super::vat::VatRow;

/// The lines sold to one customer, and the tips.
///
/// An open sale has an id; it gets its number, and the time printed on its receipt, when it is closed. Reading a ticket
/// from JSON checks that the total is the sum of the lines and tips.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Unchecked")]
pub struct Ticket {
    /// The sale's id.
    id: String,
    /// Its number, once it is closed.
    pub(crate) number: Option<i64>,
    /// The id of the sale that it refunds.
    pub(crate) original: Option<String>,
    /// When it was opened.
    opened_at: Timestamp,
    /// When it was closed, as printed on the receipt.
    pub(crate) closed_at: Option<Timestamp>,
    /// What the customer pays: lines and tips.
    total: Amount,
    /// The lines, as they were added.
    lines: Vec<Line>,
    /// The tips; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tips: Vec<Tip>,
    /// The remark that is printed on the receipt.
    note: Option<String>,
}

impl Ticket {
    /// An empty ticket; [`crate::Tresen::open_sale`] creates one that is stored.
    pub fn new(id: String, opened_at: Timestamp, currency: Currency) -> Self {
        let total = Amount::zero(currency);
        let (lines, tips) = Default::default();
        Self { id, number: None, original: None, opened_at, closed_at: None, total, lines, tips, note: None }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Kind::Input`]: the line has another currency than the ticket, its tax key stands for another rate on this
    /// ticket, or a total is out of range; the ticket is unchanged.
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
        let other =
            self.lines.iter().find(|l| line.tax_key.is_some() && l.tax_key == line.tax_key && l.vat != line.vat);
        if let (Some(other), Some(key)) = (other, &line.tax_key) {
            let what =
                format!("`{}` has {} under the tax key `{key}`, which is {} here", line.name, line.vat, other.vat);
            return Err(Error::new(Kind::Input, what).hint("a tax key stands for one rate"));
        }
        let total = self.total.checked_add(line.total).ok_or_else(too_much)?;
        // The totals per tax and that of all lines have to be in range as well: their magnitude may exceed that of the sum.
        let sum = |counts: &dyn Fn(&Line) -> bool| {
            let counted = self.lines.iter().filter(|l| counts(l)).map(|l| i128::from(l.total.minor()));
            i64::try_from(counted.sum::<i128>() + i128::from(line.total.minor())).map_err(|_| too_much())
        };
        sum(&|l| (l.vat, &l.tax_key) == (line.vat, &line.tax_key))?;
        sum(&|_| true)?;
        self.total = total;
        self.lines.push(line);
        Ok(())
    }

    /// Adds a tip: the total grows by it, the turnover and the taxes do not.
    ///
    /// # Errors
    /// [`Kind::Input`]: another currency, an amount that is not positive (a refund may give tips back: not zero), or the
    /// total is out of range; the ticket is unchanged.
    pub fn add_tip(&mut self, tip: Tip) -> Result<()> {
        let allowed = if self.original.is_some() { tip.amount.minor() != 0 } else { tip.amount.minor() > 0 };
        if !allowed || tip.amount.currency() != self.total.currency() {
            return Err(Error::new(Kind::Input, format!("{} cannot be a tip here", tip.amount)));
        }
        let total = self.total.checked_add(tip.amount).ok_or_else(too_much)?;
        let sum: i128 = self.tips.iter().chain([&tip]).map(|tip| i128::from(tip.amount.minor())).sum();
        i64::try_from(sum).map_err(|_| too_much())?;
        self.total = total;
        self.tips.push(tip);
        Ok(())
    }

    /// Removes a tip by its index, from 0.
    ///
    /// # Errors
    /// [`Kind::Input`]: no such tip, or the remaining total is out of range; the ticket is unchanged.
    pub fn remove_tip(&mut self, at: usize) -> Result<Tip> {
        let Some(tip) = self.tips.get(at) else {
            let what = format!("no tip {at}: the ticket has {}", self.tips.len());
            return Err(Error::new(Kind::Input, what));
        };
        self.total = self.total.checked_sub(tip.amount).ok_or_else(too_much)?;
        Ok(self.tips.remove(at))
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
        let mut rest = Self { lines: Vec::new(), total: self.tip(), ..self.clone() };
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

    /// Its tips.
    pub fn tips(&self) -> &[Tip] {
        &self.tips
    }

    /// What the customer pays: turnover and tips; negative where the customer gets money back.
    pub fn total(&self) -> Amount {
        self.total
    }

    /// The sum of the lines, without tips: what is taxed.
    pub fn turnover(&self) -> Amount {
        self.sum(self.lines.iter().map(|line| line.total))
    }

    /// The sum of the tips.
    pub fn tip(&self) -> Amount {
        self.sum(self.tips.iter().map(|tip| tip.amount))
    }

    fn sum(&self, amounts: impl Iterator<Item = Amount>) -> Amount {
        let sum = amounts.map(|amount| i128::from(amount.minor())).sum::<i128>();
        let minor = i64::try_from(sum).expect("it was checked on adding that the sum is in range");
        Amount::new(minor, self.total.currency())
    }

    /// Totals by tax key, and by rate where there is no key; highest rate first. They add up to the
    /// [turnover](Ticket::turnover).
    pub fn vat(&self) -> Vec<VatRow> {
        let mut groups: BTreeMap<_, Vec<&Line>> = BTreeMap::new();
        for line in &self.lines {
            groups.entry((line.vat, line.tax_key.as_deref())).or_default().push(line);
        }
        let row = |((rate, key), lines): ((_, Option<&str>), Vec<&Line>)| {
            let gross = self.sum(lines.iter().map(|line| line.total));
            let tax = super::Vat::contained_in(rate, gross);
            let net = Amount::new(gross.minor() - tax.minor(), gross.currency());
            let text = lines.iter().find_map(|line| line.tax_text.clone());
            VatRow { rate, key: key.map(str::to_owned), text, gross, tax, net }
        };
        let mut rows: Vec<_> = groups.into_iter().map(row).collect();
        rows.sort_by_key(|row| Reverse(row.rate));
        rows
    }
}

/// A ticket as read from JSON, before it is checked.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    tips: Vec<Tip>,
    #[serde(default)]
    note: Option<String>,
}

impl TryFrom<Unchecked> for Ticket {
    type Error = Error;

    fn try_from(told: Unchecked) -> Result<Self> {
        let mut ticket = Self::new(told.id, told.opened_at, told.total.currency());
        ticket.original = told.original;
        for line in told.lines {
            ticket.add(line)?;
        }
        for tip in told.tips {
            ticket.add_tip(tip)?;
        }
        if ticket.total != told.total {
            let what = format!("the lines of the ticket add up to {}, not to {}", ticket.total, told.total);
            return Err(Error::new(Kind::Input, what));
        }
        let (number, closed_at, note) = (told.number, told.closed_at, told.note);
        Ok(Self { number, closed_at, note, ..ticket })
    }
}

/// The error for an amount that does not fit.
pub(crate) fn too_much() -> Error {
    Error::new(Kind::Input, "the amount is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::{Tax, Vat};

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
    fn a_tax_key_stands_for_one_rate_and_its_text_stands_with_its_total() {
        // Keys of DSFinV-K: 2 reduced, 5 not taxable, 6 exempt.
        let (reduced, untaxed) =
            (Tax::new("2", Vat::percent(7)), Tax::new("5", Vat::percent(0)).text("nicht steuerbar"));
        let exempt = Tax::new("6", Vat::percent(0)).text("umsatzsteuerfrei");
        let mut ticket = ticket();
        for (price, tax) in [(1_07, &reduced), (95, &exempt), (10_00, &untaxed), (85, &exempt)] {
            ticket.add(Line::pieces("x", 1, Amount::eur(price), tax).expect("fits")).expect("euro");
        }
        let rows: Vec<_> = ticket.vat().into_iter().map(|r| (r.key, r.text, r.gross.minor(), r.tax.minor())).collect();
        let row = |key: &str, text: Option<&str>, gross, tax| (Some(key.into()), text.map(str::to_owned), gross, tax);
        let expected = [
            row("2", None, 1_07, 7),
            row("5", Some("nicht steuerbar"), 10_00, 0),
            row("6", Some("umsatzsteuerfrei"), 1_80, 0),
        ];
        assert_eq!(rows, expected);
        let other = Line::pieces("x", 1, Amount::eur(1_00), Tax::new("2", Vat::percent(5))).expect("fits");
        let error = ticket.add(other).expect_err("7 % on this ticket");
        assert!(error.to_string().contains("tax key `2`"), "{error}");
        assert_eq!(ticket.lines().len(), 4);
    }

    #[test]
    fn a_tip_is_paid_and_neither_turnover_nor_taxed() {
        let mut ticket = ticket();
        ticket.add(Line::pieces("x", 1, Amount::eur(47_60), Vat::percent(19)).expect("fits")).expect("euro");
        ticket.add_tip(Tip::new(Amount::eur(2_40)).recipient("anna")).expect("euro");
        assert_eq!((ticket.total(), ticket.turnover()), (Amount::eur(50_00), Amount::eur(47_60)));
        assert_eq!((ticket.vat()[0].gross, ticket.vat()[0].tax), (Amount::eur(47_60), Amount::eur(7_60)));
        for wrong in ["0 EUR", "-1 EUR", "1 CHF"] {
            let error = ticket.add_tip(Tip::new(wrong.parse().expect("an amount"))).expect_err(wrong);
            assert_eq!(error.kind(), Kind::Input, "{wrong}");
        }
        let text = serde_json::to_string(&ticket).expect("text");
        assert_eq!(serde_json::from_str::<Ticket>(&text).expect("its own"), ticket);
        assert_eq!(ticket.remove(0).expect("there").total, Amount::eur(47_60));
        assert_eq!(ticket.total(), Amount::eur(2_40), "the tip stays");
        assert_eq!(ticket.remove_tip(0).expect("there").recipient.as_deref(), Some("anna"));
        assert_eq!(ticket.total(), Amount::eur(0));
        ticket.remove_tip(0).expect_err("none is left");
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
