//! Refunds with reference to a closed sale: nothing is given back twice, over all refunds of the sale.
//!
//! Open refunds count like closed ones, voided ones do not. Everything is checked in the transaction that writes it.

use rusqlite::{Connection, params};
use tresen_hal::{Error, Kind, Result};

use super::failure::Failure;
use super::leases::Basis;
use super::sales::{insert, known, opened, record, update};
use super::{Origin, SaleState, SaleView, Store};
use crate::sale::{ReturnLine, Returnable, Ticket};

impl Store {
    /// Opens a refund of a closed sale with the given lines, or with all that is left.
    pub(crate) async fn new_refund(
        &self,
        id: &str,
        original: &str,
        lines: Option<Vec<ReturnLine>>,
        origin: &Origin,
    ) -> Result<SaleView> {
        let (opened_at, origin) = (self.time(), origin.clone());
        let (id, original) = (id.to_owned(), original.to_owned());
        self.write(move |db| {
            if let Some(sale) = opened(db, &id, Some(&original))? {
                return Ok(sale);
            }
            let mut left = left(db, &original, &id)?;
            let all = || left.lines.iter().filter(|l| !l.is_used_up()).map(|l| ReturnLine::all(l.at)).collect();
            let lines: Vec<_> = lines.unwrap_or_else(all);
            if lines.is_empty() {
                let what = format!("nothing of sale `{original}` is left to give back");
                return Err(Error::new(Kind::Input, what).hint("see its other refunds, also the open ones").into());
            }
            let mut ticket = Ticket::new(id, opened_at, left.currency);
            ticket.original = Some(original);
            for line in lines {
                left.give_back(line, &mut ticket)?;
            }
            insert(db, &ticket, &origin)
        })
        .await
    }

    /// Adds a line to an open refund.
    pub(crate) async fn return_line(&self, id: &str, basis: Basis, line: ReturnLine) -> Result<SaleView> {
        let (id, at) = (id.to_owned(), self.now());
        self.write(move |db| {
            let mut ticket = known(db, &id)?.ticket;
            let Some(original) = ticket.original.clone() else {
                return Err(Error::new(Kind::Input, format!("sale `{id}` is not a refund")).into());
            };
            let mut left = left(db, &original, &id)?;
            left.take_off(&ticket)?;
            left.give_back(line, &mut ticket)?;
            update(db, &basis, &ticket, &at)
        })
        .await
    }

    /// What of a closed sale was not given back yet, line by line; lines that were given back in full are left out.
    pub(crate) async fn returnable(&self, original: &str) -> Result<Vec<Returnable>> {
        let original = original.to_owned();
        self.read(move |db| {
            let left = left(db, &original, "")?;
            Ok(left.lines.into_iter().filter(|line| !line.is_used_up()).collect())
        })
        .await
    }
}

/// Checks that a ticket gives back no more than its original sale and the other refunds leave.
pub(super) fn check(db: &Connection, ticket: &Ticket) -> Result<(), Failure> {
    let gives_back = ticket.lines().iter().any(|l| l.returns.is_some()) || ticket.tip().minor() < 0;
    match &ticket.original {
        Some(original) if gives_back => Ok(left(db, original, ticket.id())?.take_off(ticket)?),
        None if gives_back => {
            let what = format!("sale `{}` is not a refund, so no line of it can give back another", ticket.id());
            Err(Error::new(Kind::Input, what).into())
        }
        _ => Ok(()),
    }
}

/// What is left of a closed sale.
struct Left {
    currency: tresen_hal::Currency,
    lines: Vec<Returnable>,
    /// The tips, in minor units.
    tip: i128,
}

impl Left {
    fn give_back(&mut self, line: ReturnLine, ticket: &mut Ticket) -> Result<()> {
        let back = self.line(line.line)?.give_back(line.quantity)?;
        self.line(line.line)?.take_off(&back)?;
        ticket.add(back)
    }

    /// Takes off what a refund gives back.
    fn take_off(&mut self, refund: &Ticket) -> Result<()> {
        for line in refund.lines() {
            if let Some(at) = line.returns {
                self.line(at)?.take_off(line)?;
            }
        }
        self.tip += i128::from(refund.tip().minor().min(0));
        if self.tip < 0 {
            return Err(Error::new(Kind::Input, "more tips would be given back than the sale had"));
        }
        Ok(())
    }

    fn line(&mut self, at: usize) -> Result<&mut Returnable> {
        let lines = self.lines.len();
        let unknown = || Error::new(Kind::Input, format!("no line {at} to give back: the sale has {lines}"));
        self.lines.get_mut(at).ok_or_else(unknown)
    }
}

/// What the refunds other than `except` leave of a closed sale.
fn left(db: &Connection, original: &str, except: &str) -> Result<Left, Failure> {
    let sold = record(db, original)?.filter(|sale| sale.state == SaleState::Closed);
    let Some(sold) = sold else {
        return Err(Error::new(Kind::Input, format!("unknown closed sale `{original}`")).into());
    };
    let lines = sold.ticket.lines().iter().enumerate().map(|(at, line)| Returnable::new(at, line.clone()));
    let (currency, tip) = (sold.ticket.total().currency(), i128::from(sold.ticket.tip().minor().max(0)));
    let mut left = Left { currency, lines: lines.collect(), tip };
    let mut others = db.prepare_cached(
        "SELECT id FROM sales WHERE original = ?1 AND original IS NOT NULL AND state != 'voided' AND id != ?2",
    )?;
    let ids = others.query_map(params![original, except], |row| row.get::<_, String>(0))?;
    for id in ids.collect::<rusqlite::Result<Vec<_>>>()? {
        left.take_off(&known(db, &id)?.ticket)?;
    }
    Ok(left)
}
