//! One SQLite file holds everything that must survive: the payment journal, the print spool, the sales.
//!
//! WAL with `synchronous = FULL`: a commit that returned is on disk, even after a power cut. One thread writes and
//! commits queued requests in one transaction; two others read through separate connections, one for single rows, one
//! for listings, so that a long listing delays neither a payment nor a print. Dropping a pending call discards the
//! answer, not the write.
//!
//! Only one process at a time writes: see [`Store::open`]. Tools read with [`Store::open_read_only`].

mod account_doubt;
pub(crate) mod accounts;
mod backup;
mod cached;
mod chain;
mod closing;
mod doubt;
pub(crate) mod failure;
mod health;
mod jobs;
mod journal;
mod leases;
mod listing;
mod lock;
mod meta;
mod orders;
mod origin;
pub(crate) mod outbox;
mod parked;
mod pending;
mod read_back;
pub(crate) mod records;
pub(crate) mod reference;
mod remembered;
mod remote;
mod restore;
mod retention;
mod returns;
mod sales;
mod schema;
mod sheets;
mod steps;
mod tenders;
mod threads;
mod tips;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::Connection;
use tresen_hal::{Error, Kind, Result, Runtime};

pub use accounts::{BookingState, StoredBooking};
pub use backup::{Backup, Extent, Progress};
pub use chain::Hash;
pub(crate) use closing::Closing;
pub(crate) use jobs::{JobEnd, NewJob, no_job};
pub use jobs::{JobState, NextJob, SpooledJob};
pub use journal::{JournalEntry, StoredPayment};
pub(crate) use leases::{Basis, LeaseNote};
pub(crate) use listing::Listed;
pub use listing::{Listing, Query, Unreadable};
pub(crate) use lock::real;
pub(crate) use orders::OrderPlan;
pub use origin::Origin;
pub use outbox::OutboxEntry;
pub use parked::Parked;
pub(crate) use pending::OpenPayment;
pub use read_back::{SaleFilter, SaleNumber, SalePage};
pub use reference::{ReferencePage, ReferenceRow, ReferenceTable};
pub(crate) use remembered::Remembered;
pub use remote::{AuditEnd, AuditEntry, AuditNote, NewClient, NewSession, RemoteClient, RemoteSession};
pub use restore::Restored;
pub use retention::Pruned;
pub(crate) use sales::{NewTender, changed};
pub use sales::{SaleState, SaleView, StoredTicket};
pub(crate) use steps::{StepKey, StepTaken};

use crate::lease::{Alarm, SteadyClock};
use failure::Failure;
use threads::{Opening, Reader, Writer};

/// The open database. Clones share it; dropping the last one closes it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    path: Arc<Path>,
    runtime: Arc<dyn Runtime>,
    till: String,
    /// The id of this opening.
    opening: String,
    /// The end of the journal when it was opened.
    opened_after: i64,
    epoch: AtomicI64,
    /// `None` if the file was opened read-only.
    writer: Option<Writer>,
    lookups: Reader,
    listings: Reader,
    /// Held while a sale is closed: numbers are assigned one by one.
    closing: tokio::sync::Mutex<()>,
    /// Who requested the transactions that are about to be journalled, by key.
    asked_by: Mutex<HashMap<String, Origin>>,
    /// The time of leases.
    lease_clock: SteadyClock,
    /// When leases have to be looked at.
    lease_alarm: Arc<Alarm>,
    /// Attempts to pay that certainly never reached their terminal, and why, until that is written.
    never_sent: Mutex<HashMap<String, String>>,
    /// Attempts to pay that this program is at.
    running: Arc<Mutex<BTreeSet<String>>>,
    writes: health::Writes,
    /// Counts withdrawn rights of callers from outside.
    withdrawn: tokio::sync::watch::Sender<u64>,
}

impl Store {
    /// Opens the database at `path` for writing, creating it or migrating it to this version as needed. The file and
    /// its companions (`-wal`, `-shm`, `.lock`) are accessible to their owner only.
    ///
    /// The lock on `till.db.lock` is held until the store is closed or its last clone is dropped; the file
    /// says in words who holds it. A process that ends, however it ends, lets go of it. If it is held, this waits up to
    /// two seconds for a till that is just closing, ten if that is one of this very process.
    ///
    /// # Errors
    /// [`Kind::Busy`]: another till has it open; the error names it. [`Kind::Storage`]: not readable, not a tresen
    /// database, or written by a newer version; such a file is left unchanged.
    pub async fn open(path: &Path, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let path: Arc<Path> = real(path).into();
        let opening = Opening { at: stamp(runtime.wall()), ids: [runtime.new_id(), runtime.new_id()] };
        let (writer, meta) = Writer::start(&*runtime, path.clone(), opening).await?;
        Self::with(path, runtime, Some(writer), meta).await
    }

    /// Opens the database at `path` read-only, even while a till has it open. All writes are refused.
    ///
    /// # Errors
    /// [`Kind::Storage`]: not a tresen database of this version.
    pub async fn open_read_only(path: &Path, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let path: Arc<Path> = real(path).into();
        let place = path.clone();
        let read = move || {
            schema::open_read_only(&place).and_then(|db| meta::read(&db).map_err(|e| failure::sql_error(e, &place)))
        };
        let meta = runtime.run_blocking(read).await??;
        Self::with(path, runtime, None, meta).await
    }

    async fn with(
        path: Arc<Path>,
        runtime: Arc<dyn Runtime>,
        writer: Option<Writer>,
        meta: meta::Meta,
    ) -> Result<Self> {
        let lookups = Reader::start(&*runtime, "tresen-lookups", path.clone()).await?;
        let listings = Reader::start(&*runtime, "tresen-listings", path.clone()).await?;
        Ok(Self(Arc::new(Inner {
            path,
            lease_clock: SteadyClock::new(runtime.clone()),
            lease_alarm: Arc::default(),
            runtime,
            till: meta.till,
            opening: meta.opening,
            opened_after: meta.reached,
            epoch: AtomicI64::new(meta.epoch),
            writer,
            lookups,
            listings,
            closing: tokio::sync::Mutex::new(()),
            asked_by: Mutex::default(),
            never_sent: Mutex::default(),
            running: Arc::default(),
            writes: health::Writes::default(),
            withdrawn: tokio::sync::watch::Sender::new(0),
        })))
    }

    /// The path of the database.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The till's own id, a UUID created with the database. Together with [`Store::epoch`] and a ticket's number it
    /// identifies the ticket globally.
    pub fn till(&self) -> &str {
        &self.0.till
    }

    /// The epoch of this database, from 1. It is incremented when a backup has replaced a file that had continued: a
    /// number assigned afterwards may have been assigned before, and only the epoch distinguishes the two.
    ///
    /// [`Store::restore`] begins one. A backup that was put here otherwise is recognised by a mark that
    /// [`Store::backup`] leaves in it, or by the lock file, which records the state of the database beside it: a database
    /// that is behind it, or that was moved here without it, begins a new epoch. A copy that was made by other means and
    /// restored together with its lock file cannot be recognised; call [`Store::new_epoch`] after restoring one. So does
    /// the exchange with a server that has more of this till than the database.
    pub fn epoch(&self) -> i64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// Begins a new epoch and returns it: call it at once after opening a database that was restored unnoticed. Card
    /// payments that had begun, and whose end the journal does not know, are in doubt then: their terminals are asked.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn new_epoch(&self) -> Result<i64> {
        let (at, opening, line) = (self.now(), self.0.opening.clone(), self.0.opened_after);
        let epoch = self.write(move |db| {
            let epoch = meta::raise_epoch(db, &at, "asked for", 0)?;
            doubt::doubt_attempts(db, &at, doubt::Since { opening: Some(&opening), line })?;
            Ok(epoch)
        });
        let epoch = epoch.await?;
        self.0.epoch.store(epoch, Ordering::Relaxed);
        Ok(epoch)
    }

    /// Checkpoints the WAL into the database file, so that the file alone can be copied. Nothing is lost without it.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn checkpoint(&self) -> Result<()> {
        self.writer()?.apart(|db| Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)).await
    }

    /// Closes the database after all earlier requests: when this returns, the file is closed and another process can
    /// open it. Every later call, on any clone, fails with [`Kind::Storage`].
    pub async fn close(&self) {
        self.0.lookups.close().await;
        self.0.listings.close().await;
        if let Some(writer) = &self.0.writer {
            writer.close().await;
        }
    }

    /// Runs `work` in a transaction on the writer thread, alone or with others; if it fails, it is rolled back. When
    /// this returns `Ok`, it is on disk.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let began = self.0.runtime.now();
        let written = self.writer()?.call(work).await;
        let took = self.0.runtime.now().saturating_duration_since(began);
        self.0.writes.done(took, &written, || self.time());
        written
    }

    /// Reads one or a few rows by an index.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.0.lookups.call(work).await
    }

    /// Runs a read that may take long.
    async fn list<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.0.listings.call(work).await
    }

    fn writer(&self) -> Result<&Writer> {
        self.0
            .writer
            .as_ref()
            .ok_or_else(|| Error::new(Kind::Storage, "was opened read-only").at(self.0.path.display()))
    }

    /// The current time.
    pub(crate) fn time(&self) -> Timestamp {
        self.0.runtime.wall()
    }

    /// The time of leases, which no change of the wall clock moves.
    pub(crate) fn lease_clock(&self) -> &SteadyClock {
        &self.0.lease_clock
    }

    /// When leases have to be looked at.
    pub(crate) fn lease_alarm(&self) -> &Arc<Alarm> {
        &self.0.lease_alarm
    }

    /// 64 random bits, for jitter.
    pub(crate) fn random(&self) -> u64 {
        self.0.runtime.random()
    }

    /// The current time in its stored form.
    fn now(&self) -> String {
        stamp(self.0.runtime.wall())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.path).finish()
    }
}

/// RFC 3339 with exactly six decimals, so that text sorts by time.
fn stamp(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Parses a column written with [`stamp`].
fn time(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|e| Failure::row(format!("`{text}` is not a time: {e}")))
}

/// A value as JSON text for a column.
fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(Kind::Input, "cannot be stored").because(e))
}

/// Parses a column of JSON text.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|e| Failure::row(e.to_string()))
}

#[cfg(test)]
mod tests;
