//! Records in the order of their position, for export: read one after the other, so that memory is bounded.

use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::{Connection, Row, ToSql};
use tresen_hal::Result;

use super::failure::Failure;
use super::listing::{Listed, Unreadable};
use super::{JournalEntry, SaleView, SpooledJob, Store, StoredPayment, sales, schema, stamp};

/// Which records.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Selection {
    /// Only records after this position.
    pub(crate) after: i64,
    /// Only records of this time or later.
    pub(crate) from: Option<Timestamp>,
    /// Only records before this time.
    pub(crate) until: Option<Timestamp>,
    /// Sales that are still open, too.
    pub(crate) open: bool,
}

impl Selection {
    /// Whether a time is in the range.
    pub(crate) fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// An entry of the journal with its content.
#[derive(Debug)]
pub(crate) struct FullEntry {
    pub(crate) entry: JournalEntry,
    /// JSON text.
    pub(crate) body: String,
}

/// What is called for each record, in order of position; it ends the reading with `Break`.
pub(crate) type Visit<'v, T> = dyn FnMut(i64, Result<T, Unreadable>) -> Result<ControlFlow<()>> + 'v;

impl Store {
    /// Runs `work` on a connection of its own, in one read transaction: it sees the database as it is now.
    pub(crate) async fn snapshot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let path = self.0.path.clone();
        let read = move || {
            let db = schema::open_read_only(&path)?;
            let done = db.execute_batch("BEGIN").map_err(Failure::from).and_then(|()| work(&db));
            done.map_err(|failure| failure.into_error(&path))
        };
        self.0.runtime.run_blocking(read).await?
    }

    /// Runs `work` on the connection for listings.
    pub(crate) async fn page<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.list(work).await
    }
}

/// Sales by the time they ended; open ones by the time they were opened.
pub(crate) fn sales(db: &Connection, which: &Selection, visit: &mut Visit<'_, SaleView>) -> Result<(), Failure> {
    let sql = "SELECT seq, id FROM sales WHERE seq > ?1 AND (?4 OR state <> 'open')
        AND (?2 IS NULL OR coalesce(closed_at, opened_at) >= ?2)
        AND (?3 IS NULL OR coalesce(closed_at, opened_at) < ?3) ORDER BY seq";
    each(db, sql, which, visit, |row| sale(db, row))
}

/// Sales with an attempt to pay in the range, by the position of the sale.
pub(crate) fn paid_sales(db: &Connection, which: &Selection, visit: &mut Visit<'_, SaleView>) -> Result<(), Failure> {
    let sql = "SELECT seq, id FROM sales WHERE seq > ?1 AND EXISTS (
        SELECT 1 FROM tenders WHERE tenders.sale = sales.id
        AND (?2 IS NULL OR tenders.at >= ?2) AND (?3 IS NULL OR tenders.at < ?3)) ORDER BY seq";
    each(db, sql, which, visit, |row| sale(db, row))
}

/// Transactions at terminals that belong to no sale, by the time of their intent.
pub(crate) fn lone_payments(
    db: &Connection,
    which: &Selection,
    visit: &mut Visit<'_, StoredPayment>,
) -> Result<(), Failure> {
    let sql = "SELECT seq, id, intent, approved, result, decision, original, reversed_by, station, source, operator
        FROM intents WHERE seq > ?1 AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR at < ?3)
        AND NOT EXISTS (SELECT 1 FROM tenders WHERE tenders.key = intents.id) ORDER BY seq";
    each(db, sql, which, visit, |row| StoredPayment::read(row).map_err(Failure::Row))
}

/// Print jobs by the time they were queued.
pub(crate) fn jobs(db: &Connection, which: &Selection, visit: &mut Visit<'_, SpooledJob>) -> Result<(), Failure> {
    let sql = format!(
        "SELECT {} FROM jobs WHERE seq > ?1 AND (?2 IS NULL OR queued_at >= ?2) AND (?3 IS NULL OR queued_at < ?3)
         ORDER BY seq",
        super::jobs::COLUMNS
    );
    each(db, &sql, which, visit, |row| SpooledJob::read(row).map_err(Failure::Row))
}

/// The journal by the time it was written.
pub(crate) fn journal(db: &Connection, which: &Selection, visit: &mut Visit<'_, FullEntry>) -> Result<(), Failure> {
    let sql = "SELECT seq, key, at, kind, station, source, operator, body FROM journal
        WHERE seq > ?1 AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR at < ?3) ORDER BY seq";
    each(db, sql, which, visit, |row| {
        Ok(FullEntry { entry: JournalEntry::read(row).map_err(Failure::Row)?, body: row.get("body")? })
    })
}

fn sale(db: &Connection, row: &Row<'_>) -> Result<SaleView, Failure> {
    let id: String = row.get(1)?;
    sales::record(db, &id)?.ok_or_else(|| Failure::row("it is gone"))
}

/// Each row of a query whose first two columns are position and id, and whose parameters are those of a [`Selection`].
fn each<T>(
    db: &Connection,
    sql: &str,
    which: &Selection,
    visit: &mut Visit<'_, T>,
    read: impl Fn(&Row<'_>) -> Result<T, Failure>,
) -> Result<(), Failure> {
    let mut query = db.prepare_cached(sql)?;
    let (from, until) = (which.from.map(stamp), which.until.map(stamp));
    let all: [&dyn ToSql; 4] = [&which.after, &from, &until, &which.open];
    let used = query.parameter_count();
    let mut rows = query.query(&all[..used])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        let record = match read(row) {
            Ok(record) => Ok(record),
            // The medium or the file, not this row.
            Err(Failure::Sql(error @ rusqlite::Error::SqliteFailure(..))) => return Err(error.into()),
            Err(why) => Err(Unreadable { seq, id: row.get(1)?, why: why.to_string() }),
        };
        if visit(seq, record)?.is_break() {
            break;
        }
    }
    Ok(())
}
