//! One SQLite file holds what must survive: the payment journal, the print spool, the sales.
//!
//! WAL with `synchronous = FULL`: a commit that returned is on disk, also after a power cut. One thread
//! writes and commits what has queued up in one transaction; two others read through connections of
//! their own, one for questions about a single row, one for listings, so that a long listing delays
//! neither a payment nor a print. Dropping a pending call discards the answer, not the write.
//!
//! One process at a time writes: see [`Store::open`]. Tools look on with [`Store::open_read_only`].

pub(crate) mod failure;
mod jobs;
mod journal;
mod listing;
mod lock;
mod meta;
mod origin;
mod retention;
mod sales;
mod schema;
mod threads;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::Connection;
use tresen_hal::{Error, Kind, Result, Runtime};

pub(crate) use jobs::{JobEnd, no_job};
pub use jobs::{JobState, NextJob, SpooledJob};
pub use journal::{JournalEntry, StoredPayment};
pub use listing::{Listing, Query, Unreadable};
pub use origin::Origin;
pub use retention::Pruned;
pub(crate) use sales::{Closing, NewTender, Paper, changed};
pub use sales::{SaleState, SaleView, StoredTicket};

use failure::Failure;
use threads::{Opening, Reader, Writer};

/// The open database. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    path: Arc<Path>,
    runtime: Arc<dyn Runtime>,
    till: String,
    /// Names this opening.
    opening: String,
    epoch: AtomicI64,
    /// None where the file was opened to be read only.
    writer: Option<Writer>,
    lookups: Reader,
    listings: Reader,
    /// Held while a sale is closed: numbers are given one by one.
    closing: tokio::sync::Mutex<()>,
    /// Who asks for transactions that are about to be journalled, by their key.
    asked_by: Mutex<HashMap<String, Origin>>,
    /// Attempts to pay that surely never reached their terminal, and why, until that is written.
    never_sent: Mutex<HashMap<String, String>>,
}

impl Store {
    /// Opens the database at `path` to write, making it or migrating it to this version where needed.
    /// The file and those beside it (`-wal`, `-shm`, `.lock`) are readable by their owner only.
    ///
    /// The lock on `till.db.lock` is held until the store is closed or its last clone is dropped; the file
    /// says in words who holds it. A process that ends, however it ends, lets go of it. If it is held, this waits up to
    /// two seconds for a till that is just closing, ten if that is one of this very process.
    ///
    /// # Errors
    /// [`Kind::Busy`]: another till has it open; the error names it. [`Kind::Storage`]: not readable, not
    /// a tresen database, or written by a newer version; such a file is left as it is.
    pub async fn open(path: &Path, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let path: Arc<Path> = path.into();
        let opening = Opening { at: stamp(runtime.wall()), ids: [runtime.new_id(), runtime.new_id()] };
        let (writer, meta) = Writer::start(&*runtime, path.clone(), opening).await?;
        Self::with(path, runtime, Some(writer), meta).await
    }

    /// Opens the database at `path` to look at it, also while a till has it open. All that would write
    /// is refused.
    ///
    /// # Errors
    /// [`Kind::Storage`]: there is no tresen database of this version.
    pub async fn open_read_only(path: &Path, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let path: Arc<Path> = path.into();
        let place = path.clone();
        let read =
            move || schema::open_read_only(&place).and_then(|db| meta::read(&db).map_err(|e| failure::told(e, &place)));
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
            runtime,
            till: meta.till,
            opening: meta.opening,
            epoch: AtomicI64::new(meta.epoch),
            writer,
            lookups,
            listings,
            closing: tokio::sync::Mutex::new(()),
            asked_by: Mutex::default(),
            never_sent: Mutex::default(),
        })))
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The till's own id, a UUID made with the database. With [`Store::epoch`] and a ticket's number it
    /// names the ticket everywhere.
    pub fn till(&self) -> &str {
        &self.0.till
    }

    /// Counts the lives of this database, from 1. It rises when a backup was put in the place of a file
    /// that had gone on: what is numbered afterwards may carry a number that was given before, and only
    /// the epoch tells the two apart.
    ///
    /// A restored backup is recognised by the lock file, which keeps how far the database beside it had
    /// come: a database that is behind it, or that was moved here without it, begins a new epoch. A
    /// backup that brings its lock file back with it cannot be told; call [`Store::new_epoch`] after
    /// restoring such a one.
    pub fn epoch(&self) -> i64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// Begins a new epoch; returns it.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn new_epoch(&self) -> Result<i64> {
        let at = self.now();
        let epoch = self.write(move |db| Ok(meta::raise_epoch(db, &at, "asked for")?)).await?;
        self.0.epoch.store(epoch, Ordering::Relaxed);
        Ok(epoch)
    }

    /// Moves what the WAL beside the database holds into the file itself, so that the file alone can be
    /// copied away. Nothing is lost without it.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn checkpoint(&self) -> Result<()> {
        self.writer()?.apart(|db| Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)).await
    }

    /// Closes the database after what was asked for before: when this returns, the file is closed and another process
    /// may open it. Every later call, of every clone, fails with [`Kind::Storage`].
    pub async fn close(&self) {
        self.0.lookups.close().await;
        self.0.listings.close().await;
        if let Some(writer) = &self.0.writer {
            writer.close().await;
        }
    }

    /// Runs `work` in a transaction of the storage thread, alone or with others; if it fails, nothing of
    /// it stays. When this returns `Ok`, it is on disk.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.writer()?.call(work).await
    }

    /// Reads a row or a few by an index.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.0.lookups.call(work).await
    }

    /// Reads what may take long.
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
            .ok_or_else(|| Error::new(Kind::Storage, "was opened to be read only").at(self.0.path.display()))
    }

    /// The time.
    pub(crate) fn time(&self) -> Timestamp {
        self.0.runtime.wall()
    }

    /// The time as it stands in columns.
    fn now(&self) -> String {
        stamp(self.0.runtime.wall())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.path).finish()
    }
}

/// RFC 3339 with six decimals always, so that text sorts as time does.
fn stamp(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// A column of [`stamp`] as a time.
fn time(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|e| Failure::row(format!("`{text}` is not a time: {e}")))
}

/// A value as JSON text in a column.
fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(Kind::Input, "cannot be stored").because(e))
}

/// A column of JSON text as a value.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|e| Failure::row(e.to_string()))
}

#[cfg(test)]
mod tests;
