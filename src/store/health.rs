//! What the database knows of its own health: its size, its writes, and what is open.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::{Error, Kind, Result};

use super::cached::Cached;
use super::failure::Failure;
use super::lock::beside;
use super::{Store, time};
use crate::health::histogram::Histogram;
use crate::health::{OpenPayments, QueueHealth, Space, StoreHealth, metrics};
use crate::manager::lock;

/// The writes of one opening.
#[derive(Default)]
pub(super) struct Writes {
    /// The till's name, once it is known.
    till: OnceLock<Arc<str>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    times: Histogram,
    failed: u64,
    last_failure: Option<(Timestamp, String)>,
}

/// What waits or is undecided.
#[derive(Default)]
struct OpenWork {
    queues: Vec<QueueHealth>,
    payments: Vec<OpenPayments>,
    /// Number and the oldest of the open sales.
    sales: Option<(u64, Timestamp)>,
    /// Closed sales, and the bytes that the database uses.
    tickets: u64,
    used: u64,
}

/// The size of the database on its disk.
struct Size {
    /// The file and its log, in bytes.
    bytes: u64,
    /// The space of the disk; `None` if the system does not tell.
    space: Option<Space>,
}

impl Writes {
    pub(super) fn done<T>(&self, took: Duration, result: &Result<T>, now: impl FnOnce() -> Timestamp) {
        // A request that does not fit the stored state is no failure of the medium.
        let failed = result.as_ref().err().filter(|error| error.kind() == Kind::Storage);
        {
            let mut state = lock(&self.state);
            state.times.add(took);
            if let Some(error) = failed {
                state.failed += 1;
                state.last_failure = Some((now(), error.to_string()));
            }
        }
        if let Some(till) = self.till.get() {
            metrics::commit(till, took, failed.is_some());
        }
    }
}

impl Store {
    /// Names the till in metrics.
    pub(crate) fn name(&self, till: Arc<str>) {
        self.0.writes.till.set(till).ok();
    }

    /// Its size, what waits in it, and how its writes went. Never fails: what could not be read is left out, and
    /// [`StoreHealth::error`] says why.
    pub async fn health(&self) -> StoreHealth {
        let (work, size) = tokio::join!(biased; self.open_work(), self.size());
        let error = work.as_ref().err().or(size.as_ref().err()).map(ToString::to_string);
        let work = work.unwrap_or_default();
        let space = size.as_ref().ok().and_then(|size| size.space);
        let a_sale = work.used.checked_div(work.tickets).filter(|_| work.tickets >= MANY).unwrap_or(A_SALE);
        let state = lock(&self.0.writes.state);
        let times = &state.times;
        StoreHealth {
            path: self.path().to_owned(),
            bytes: size.as_ref().ok().map(|size| size.bytes),
            disk_free: space.map(|space| space.free),
            disk_total: space.map(|space| space.total),
            sales_left: space.map(|space| space.free / a_sale.max(1)),
            writes: times.count(),
            mean: times.mean(),
            p50: times.quantile(50),
            p99: times.quantile(99),
            max: times.max(),
            failed: state.failed,
            last_failure: state.last_failure.clone(),
            queues: work.queues,
            payments: work.payments,
            open_sales: work.sales.map_or(0, |(open, _)| open),
            oldest_sale: work.sales.map(|(_, oldest)| oldest),
            error,
        }
    }

    async fn open_work(&self) -> Result<OpenWork> {
        self.read(|db| {
            let mut work = OpenWork::default();
            let mut jobs = db.prepare_cached(
                "SELECT route, state, count(*), min(queued_at) FROM jobs
                 WHERE state IN ('queued', 'printing', 'unknown', 'unreadable') GROUP BY route, state ORDER BY route",
            )?;
            let mut rows = jobs.query([])?;
            while let Some(row) = rows.next()? {
                let route: String = row.get(0)?;
                if work.queues.last().is_none_or(|queue| queue.route != route) {
                    work.queues.push(QueueHealth { route, ..QueueHealth::default() });
                }
                let (jobs, oldest) = (count(row, 2)?, time(&row.get::<_, String>(3)?)?);
                let Some(queue) = work.queues.last_mut() else { continue };
                match row.get::<_, String>(1)?.as_str() {
                    "queued" => (queue.waiting, queue.oldest) = (jobs, Some(oldest)),
                    "printing" => queue.printing = jobs,
                    _ => queue.parked += jobs,
                }
            }
            let mut payments = db.prepare_cached(
                "SELECT terminal, count(*), min(at) FROM intents WHERE state IN ('open', 'approved', 'unknown')
                 GROUP BY terminal ORDER BY terminal",
            )?;
            let mut rows = payments.query([])?;
            while let Some(row) = rows.next()? {
                let (terminal, open) = (row.get(0)?, count(row, 1)?);
                work.payments.push(OpenPayments { terminal, open, oldest: time(&row.get::<_, String>(2)?)? });
            }
            let mut sales = db.prepare_cached("SELECT count(*), min(opened_at) FROM sales WHERE state = 'open'")?;
            let (open, oldest): (u64, Option<String>) = sales.query_row([], |row| Ok((count(row, 0)?, row.get(1)?)))?;
            work.sales = oldest.map(|oldest| Ok::<_, Failure>((open, time(&oldest)?))).transpose()?;
            work.tickets = db.one("SELECT coalesce(max(number), 0) FROM sales", [], |row| count(row, 0))?;
            let number = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |row| count(row, 0));
            let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
            work.used = pages * number("page_size")?;
            Ok(work)
        })
        .await
    }

    async fn size(&self) -> Result<Size> {
        let path = self.0.path.clone();
        let look = move || {
            let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
            let file = std::fs::metadata(&path).map_err(|error| Error::file(&path, error))?.len();
            let bytes = file + size(beside(&path, "-wal"));
            Ok(Size { bytes, space: Space::of(&path).ok() })
        };
        self.0.runtime.run_blocking(look).await?
    }
}

/// SQLite's integers have a sign; a number of rows does not.
fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| n.unsigned_abs())
}

/// A closed sale takes about this many bytes with its payment, its journal lines and its receipt, as long as there are
/// not [`MANY`] to measure.
pub(crate) const A_SALE: u64 = 16 * 1024;
const MANY: u64 = 100;
