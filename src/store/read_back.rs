//! Closed sales read back: by number, by time, since a number; page by page.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use tresen_hal::Result;

use super::failure::Failure;
use super::listing::Unreadable;
use super::sales::{known, record};
use super::{SaleView, Store, stamp};

/// A ticket's number, with the epoch in which it was assigned if that is known: after a backup was restored, a number
/// may have been assigned twice, and only the epoch on the receipt or in an export distinguishes the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SaleNumber {
    /// The number.
    pub number: i64,
    /// The epoch; any if absent.
    #[serde(default)]
    pub epoch: Option<i64>,
}

impl SaleNumber {
    /// A number of an epoch.
    pub fn in_epoch(epoch: i64, number: i64) -> Self {
        Self { number, epoch: Some(epoch) }
    }
}

impl From<i64> for SaleNumber {
    fn from(number: i64) -> Self {
        Self { number, epoch: None }
    }
}

/// Which closed sales to read. The default is the first 100.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SaleFilter {
    /// Only numbers above this one: [`SalePage::next`], or the last number that another system has.
    pub after: i64,
    /// Only sales closed at this time or later.
    pub from: Option<Timestamp>,
    /// Only sales closed before this time.
    pub to: Option<Timestamp>,
    /// At most this many; capped at 1000.
    pub limit: u32,
}

impl Default for SaleFilter {
    fn default() -> Self {
        Self { after: 0, from: None, to: None, limit: 100 }
    }
}

impl SaleFilter {
    /// Those after a number.
    pub fn since(number: i64) -> Self {
        Self { after: number, ..Self::default() }
    }

    /// Those closed from `from` on and before `to`.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self { from: Some(from), to: Some(to), ..Self::default() }
    }

    /// Sets the number after which the page begins.
    #[must_use]
    pub fn after(self, number: i64) -> Self {
        Self { after: number, ..self }
    }

    /// Sets the size of the page.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }
}

/// A page of closed sales, in order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SalePage {
    /// The sales with their lines and tenders.
    pub sales: Vec<SaleView>,
    /// Sales that this version cannot read; `seq` is the number. They are left unchanged.
    pub unreadable: Vec<Unreadable>,
    /// If there may be more: the number for [`SaleFilter::after`].
    pub next: Option<i64>,
}

impl Store {
    pub(crate) async fn sale_by_number(&self, number: SaleNumber) -> Result<Option<SaleView>> {
        self.read(move |db| {
            let SaleNumber { number, epoch } = number;
            let mut find =
                db.prepare_cached("SELECT id FROM sales WHERE number = ?1 AND epoch = coalesce(?2, epoch)")?;
            let id = find.query_row(params![number, epoch], |row| row.get::<_, String>(0)).optional()?;
            id.map_or(Ok(None), |id| record(db, &id))
        })
        .await
    }

    /// A page of closed sales.
    pub(crate) async fn closed_sales(&self, filter: &SaleFilter) -> Result<SalePage> {
        let (after, limit) = (filter.after, filter.limit.clamp(1, 1000));
        let timed = filter.from.is_some() || filter.to.is_some();
        let (from, to) = (filter.from.map(stamp).unwrap_or_default(), filter.to.map_or_else(|| "~".to_owned(), stamp));
        self.list(move |db| {
            // Without a time the index over the numbers serves, otherwise that over the times of closing: `+` keeps
            // SQLite from the other one. A clock that was set back leaves times out of order.
            let mut closed = db.prepare_cached(match timed {
                false => {
                    "SELECT number, id FROM sales WHERE number > ?1 AND number IS NOT NULL
                     AND ?2 <= ?3 ORDER BY number LIMIT ?4"
                }
                true => {
                    "SELECT number, id FROM sales WHERE +number > ?1 AND number IS NOT NULL
                     AND closed_at >= ?2 AND closed_at < ?3 ORDER BY +number LIMIT ?4"
                }
            })?;
            let rows = closed.query_map(params![after, from, to, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let next = rows.last().map(|(number, _)| *number).filter(|_| rows.len() == limit as usize);
            let mut page = SalePage { sales: Vec::new(), unreadable: Vec::new(), next };
            for (seq, id) in rows {
                match known(db, &id) {
                    Ok(sale) => page.sales.push(sale),
                    Err(failure @ Failure::Sql(rusqlite::Error::SqliteFailure(..))) => return Err(failure),
                    Err(why) => page.unreadable.push(Unreadable { seq, id, why: why.to_string() }),
                }
            }
            Ok(page)
        })
        .await
    }
}
