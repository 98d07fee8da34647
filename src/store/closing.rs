//! The end of a sale: its number and its receipt in one commit, voiding, the drawer, copies of the receipt.

use super::cached::Cached;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use tresen_hal::{Error, Kind, Result};
use tresen_printers::Content;

use super::failure::Failure;
use super::jobs::NewJob;
use super::leases::{self, Basis};
use super::orders::{self, OrderPlan};
use super::sales::{known, step};
use super::{Origin, SaleView, Store, accounts, jobs, journal, json, outbox};
use crate::lease::End;

/// The data written on closing.
pub(crate) struct Closing {
    pub(crate) number: NextNumber,
    pub(crate) at: Timestamp,
    pub(crate) paper: Option<NewJob>,
    /// Orders what is new in the same commit, on behalf of somebody.
    pub(crate) order: Option<(OrderPlan, Origin)>,
}

/// The number of the next sale to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextNumber {
    pub(crate) epoch: i64,
    pub(crate) number: i64,
}

impl Store {
    /// Held while the number is determined, the receipt composed and the sale closed.
    pub(crate) async fn closing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.closing.lock().await
    }

    /// The number of the next sale to be closed.
    pub(crate) async fn next_number(&self) -> Result<NextNumber> {
        self.read(next_number).await
    }

    /// Closes a paid sale under its number, and queues its receipt, in one commit.
    pub(crate) async fn close_sale(&self, id: &str, basis: Basis, closing: Closing) -> Result<SaleView> {
        let (id, at, now) = (id.to_owned(), self.now(), basis.now);
        self.write(move |db| {
            if next_number(db)? != closing.number {
                return Err(Error::new(Kind::Busy, "the number was assigned to another sale").into());
            }
            step(db, &id, &basis, &at)?;
            db.run(
                "UPDATE sales SET state = 'closed', closed_at = ?2, epoch = ?3, number = ?4 WHERE id = ?1",
                params![id, super::stamp(closing.at), closing.number.epoch, closing.number.number],
            )?;
            let record = known(db, &id)?;
            if record.due.minor() != 0 || record.pending {
                return Err(Error::new(Kind::Input, format!("sale `{id}` is not paid")).into());
            }
            accounts::book_sale(db, &id, &at)?;
            journal::append(db, &at, "closed", &id, &outbox::whole(&record, None)?, &record.origin)?;
            if let Some(job) = &closing.paper {
                jobs::queue(db, job, &at)?;
            }
            if let Some((plan, origin)) = closing.order {
                orders::order(db, &record, &origin, &at, plan)?;
            }
            let leased = leases::end(db, &id, End::Closed, (&at, basis.now), &record.origin)?;
            Ok((record, leased))
        })
        .await
        .map(|(record, leased)| self.end_lease(record, leased, now))
    }

    /// Voids an open sale.
    pub(crate) async fn void_sale(&self, id: &str, basis: Basis, why: &str, origin: &Origin) -> Result<SaleView> {
        let (id, at, now, origin) = (id.to_owned(), self.now(), basis.now, origin.clone());
        let why = why.to_owned();
        self.write(move |db| {
            step(db, &id, &basis, &at)?;
            db.run("UPDATE sales SET state = 'voided', closed_at = ?2 WHERE id = ?1", [&id, &at])?;
            let record = known(db, &id)?;
            journal::append(db, &at, "voided", &id, &outbox::whole(&record, Some(&why))?, &origin)?;
            let leased = leases::end(db, &id, End::Closed, (&at, basis.now), &record.origin)?;
            Ok((record, leased))
        })
        .await
        .map(|(record, leased)| self.end_lease(record, leased, now))
    }

    pub(super) fn end_lease(&self, record: SaleView, leased: bool, now: Timestamp) -> SaleView {
        if leased {
            self.lease_alarm().set(now);
        }
        record
    }

    /// Queues a copy of a closed sale's receipt on a route, made by `content` of the copy's number; returns its job's id.
    pub(crate) async fn copy_receipt(
        &self,
        id: &str,
        route: &str,
        origin: &Origin,
        content: impl FnOnce(i64) -> Content + Send + 'static,
    ) -> Result<String> {
        let (id, route, at, origin) = (id.to_owned(), route.to_owned(), self.now(), origin.clone());
        self.write(move |db| {
            let number: i64 =
                db.one("SELECT count(*) + 1 FROM journal WHERE key = ?1 AND kind = 'copied'", [&id], |row| row.get(0))?;
            let job = format!("receipt-{id}/copy-{number}");
            // One sheet, however many of each job the route prints.
            jobs::queue(db, &NewJob::new(&job, &route, &content(number), 1, &origin)?, &at)?;
            let body = json(&serde_json::json!({ "copy": number, "job": job }))?;
            journal::append(db, &at, "copied", &id, &body, &origin)?;
            Ok(job)
        })
        .await
    }

    /// Records that the drawer is about to be opened for this sale; false if that was done before.
    pub(crate) async fn ask_for_drawer(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |db| {
            let asked = db.run("UPDATE sales SET drawer = 'asked' WHERE id = ?1 AND drawer IS NULL", [&id])?;
            Ok(asked == 1)
        })
        .await
    }

    /// Records the result of opening the drawer.
    pub(crate) async fn drawer_ended(&self, id: &str, how: &str) -> Result<()> {
        let (id, how) = (id.to_owned(), how.to_owned());
        self.write(move |db| {
            db.run("UPDATE sales SET drawer = ?2 WHERE id = ?1 AND drawer = 'asked'", [&id, &how])?;
            Ok(())
        })
        .await
    }
}

fn next_number(db: &Connection) -> Result<NextNumber, Failure> {
    let epoch = super::meta::read(db)?.epoch;
    let number = db.one(
        "SELECT max(coalesce((SELECT max(number) FROM sales), 0),
        coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'number'), 0)) + 1",
        [],
        |row| row.get(0),
    )?;
    Ok(NextNumber { epoch, number })
}
