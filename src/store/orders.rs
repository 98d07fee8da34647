//! Orders in the database: what was sent to the kitchen, stored with its print jobs in one commit.

use super::cached::Cached;
use rusqlite::{Connection, params};
use tresen_hal::Result;

use super::failure::Failure;
use super::leases::{self, Basis};
use super::sales::{changed, known, overtaken};
use super::{Origin, SaleView, Store, from_json, jobs, journal, json};
use crate::sale::{KitchenTicket, NewTicket};

pub(super) const SCHEMA: &str = "
    -- Kitchen tickets: what was ordered, and what of it was cancelled.
    CREATE TABLE orders (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        sale          TEXT NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
        -- The order's number within the sale.
        number        INTEGER NOT NULL,
        route         TEXT NOT NULL,
        -- Its print job.
        job           TEXT NOT NULL UNIQUE,
        cancels       INTEGER NOT NULL,
        lines         TEXT NOT NULL,
        at            TEXT NOT NULL,
        station       TEXT,
        source        TEXT,
        operator      TEXT
    ) STRICT;
    CREATE INDEX orders_sale ON orders (sale, seq);
";

impl Store {
    /// The kitchen tickets of a sale, in the order in which they were sent.
    pub(crate) async fn orders(&self, sale: &str) -> Result<Vec<KitchenTicket>> {
        let sale = sale.to_owned();
        self.read(move |db| tickets(db, &sale)).await
    }

    /// Stores the tickets that `plan` makes, and queues their jobs. Without tickets nothing is changed.
    pub(crate) async fn order_sale(
        &self,
        id: &str,
        basis: Basis,
        origin: &Origin,
        plan: OrderPlan,
    ) -> Result<(SaleView, Vec<KitchenTicket>)> {
        let (id, at, origin) = (id.to_owned(), self.now(), origin.clone());
        self.write(move |db| {
            leases::admit(db, &id, &basis)?;
            let (record, rev) = (known(db, &id)?, basis.rev);
            if record.rev != rev {
                return Err(changed(&id, record.rev, rev).into());
            }
            if record.parked.is_some() {
                return Err(overtaken(db, &id, rev)?.into());
            }
            let new = order(db, &record, &origin, &at, plan)?;
            if new.is_empty() {
                return Ok((record, new));
            }
            db.run("UPDATE sales SET rev = rev + 1, changed_at = ?2 WHERE id = ?1", params![id, at])?;
            Ok((known(db, &id)?, new))
        })
        .await
    }
}

/// The tickets for a sale, for what was ordered before, and for the number of this order.
pub(crate) type OrderPlan = Box<dyn FnOnce(&SaleView, &[KitchenTicket], i64) -> Result<Vec<NewTicket>> + Send>;

/// Stores the tickets of a plan inside the caller's transaction.
pub(super) fn order(
    db: &Connection,
    record: &SaleView,
    origin: &Origin,
    at: &str,
    plan: OrderPlan,
) -> Result<Vec<KitchenTicket>, Failure> {
    let id = record.ticket.id();
    let before = tickets(db, id)?;
    let number = before.iter().map(|ticket| ticket.number).max().unwrap_or(0) + 1;
    let new = plan(record, &before, number)?;
    if new.is_empty() {
        return Ok(Vec::new());
    }
    for NewTicket { ticket, job } in &new {
        db.prepare_cached(
            "INSERT INTO orders (sale, number, route, job, cancels, lines, at, station, source, operator)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id,
            number,
            ticket.route,
            ticket.job,
            ticket.cancels,
            json(&ticket.lines)?,
            at,
            origin.station,
            origin.source,
            origin.operator
        ])?;
        jobs::queue(db, job, at)?;
    }
    let new: Vec<_> = new.into_iter().map(|new| new.ticket).collect();
    journal::append(db, at, "ordered", id, &json(&new)?, origin)?;
    Ok(new)
}

fn tickets(db: &Connection, sale: &str) -> Result<Vec<KitchenTicket>, Failure> {
    let mut find =
        db.prepare_cached("SELECT number, route, job, cancels, lines FROM orders WHERE sale = ?1 ORDER BY seq")?;
    let mut rows = find.query([sale])?;
    let mut tickets = Vec::new();
    while let Some(row) = rows.next()? {
        tickets.push(KitchenTicket {
            number: row.get(0)?,
            route: row.get(1)?,
            job: row.get(2)?,
            cancels: row.get(3)?,
            lines: from_json(&row.get::<_, String>(4)?)?,
        });
    }
    Ok(tickets)
}
