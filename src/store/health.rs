//! What the database knows of its own health: its size, its writes, and what is open.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::{Error, Kind, Result};

use super::failure::Failure;
use super::lock::beside;
use super::{Store, time};
use crate::health::histogram::Histogram;
use crate::health::{Space, metrics};
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

/// A copy of what is known of the writes.
pub(crate) struct Written {
    pub(crate) count: u64,
    pub(crate) failed: u64,
    pub(crate) last_failure: Option<(Timestamp, String)>,
    pub(crate) mean: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

/// What waits or is undecided.
#[derive(Default)]
pub(crate) struct OpenWork {
    /// Route, state, number and the oldest, of jobs that are not done.
    pub(crate) jobs: Vec<(String, String, u64, Timestamp)>,
    /// Terminal, number and the oldest, of payments that are not decided.
    pub(crate) payments: Vec<(String, u64, Timestamp)>,
    /// Number and the oldest of the open sales.
    pub(crate) sales: Option<(u64, Timestamp)>,
    /// Closed sales, and the bytes that the database uses.
    pub(crate) tickets: u64,
    pub(crate) used: u64,
}

/// The size of the database on its disk.
pub(crate) struct Size {
    /// The file and its log, in bytes.
    pub(crate) bytes: u64,
    /// The space of the disk; `None` if the system does not tell.
    pub(crate) space: Option<Space>,
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

    /// The writes since it was opened.
    pub(crate) fn written(&self) -> Written {
        let state = lock(&self.0.writes.state);
        let times = &state.times;
        Written {
            count: times.count(),
            failed: state.failed,
            last_failure: state.last_failure.clone(),
            mean: times.mean(),
            p50: times.quantile(50),
            p99: times.quantile(99),
            max: times.max(),
        }
    }

    /// What waits or is undecided.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub(crate) async fn open_work(&self) -> Result<OpenWork> {
        self.read(|db| {
            let mut work = OpenWork::default();
            let mut jobs = db.prepare_cached(
                "SELECT route, state, count(*), min(queued_at) FROM jobs
                 WHERE state IN ('queued', 'printing', 'unknown', 'unreadable') GROUP BY route, state",
            )?;
            let mut rows = jobs.query([])?;
            while let Some(row) = rows.next()? {
                work.jobs.push((row.get(0)?, row.get(1)?, count(row, 2)?, time(&row.get::<_, String>(3)?)?));
            }
            let mut payments = db.prepare_cached(
                "SELECT terminal, count(*), min(at) FROM intents WHERE state IN ('open', 'approved', 'unknown')
                 GROUP BY terminal",
            )?;
            let mut rows = payments.query([])?;
            while let Some(row) = rows.next()? {
                work.payments.push((row.get(0)?, count(row, 1)?, time(&row.get::<_, String>(2)?)?));
            }
            let mut sales = db.prepare_cached("SELECT count(*), min(opened_at) FROM sales WHERE state = 'open'")?;
            let (open, oldest): (u64, Option<String>) = sales.query_row([], |row| Ok((count(row, 0)?, row.get(1)?)))?;
            work.sales = oldest.map(|oldest| Ok::<_, Failure>((open, time(&oldest)?))).transpose()?;
            work.tickets = db.query_row("SELECT coalesce(max(number), 0) FROM sales", [], |row| count(row, 0))?;
            let number = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |row| count(row, 0));
            let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
            work.used = pages * number("page_size")?;
            Ok(work)
        })
        .await
    }

    /// The size of the file, and the space left beside it.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub(crate) async fn size(&self) -> Result<Size> {
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
