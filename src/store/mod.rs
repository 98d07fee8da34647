//! One SQLite file holds what must survive: the payment journal, the print spool, the tickets.
//!
//! WAL with `synchronous = FULL`: a commit that returned is on disk, also after a power cut. All
//! access goes through one thread; whoever awaits a call that has begun and leaves, abandons the
//! answer, not the write.

mod jobs;
mod journal;
mod schema;
mod tickets;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tresen_hal::{Clock, Error, Kind, Result};

pub use jobs::{JobState, SpooledJob};
pub use journal::JournalEntry;
pub use tickets::StoredTicket;

/// The open database. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Store {
    calls: std::sync::mpsc::Sender<Call>,
    path: Arc<PathBuf>,
    clock: Arc<dyn Clock>,
}

type Call = Box<dyn FnOnce(&mut Connection) + Send>;

impl Store {
    /// Opens the database at `path`, making it or migrating it to this version where needed.
    ///
    /// # Errors
    /// [`Kind::Storage`]: not readable, not a tresen database, or written by a newer version; such
    /// a file is left as it is.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let (calls, queue) = std::sync::mpsc::channel::<Call>();
        let (opened, open) = oneshot::channel();
        let file = path.to_owned();
        std::thread::Builder::new()
            .name("tresen-store".into())
            .spawn(move || match schema::open(&file) {
                Ok(mut db) => {
                    opened.send(Ok(())).ok();
                    while let Ok(call) = queue.recv() {
                        call(&mut db);
                    }
                }
                Err(error) => {
                    opened.send(Err(error)).ok();
                }
            })
            .map_err(|e| Error::new(Kind::Storage, "cannot start the storage thread").because(e))?;
        open.await.map_err(|_| gone())??;
        Ok(Self { calls, path: Arc::new(path.to_owned()), clock })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves what stands beside the database, in its WAL, into the file itself, so that the file alone can
    /// be copied away. Nothing is lost without it.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn checkpoint(&self) -> Result<()> {
        self.call(|db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))).await
    }

    /// Runs `work` on the storage thread. When this returns `Ok`, what `work` committed is on disk.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |db| {
            answer.send(work(db)).ok();
        });
        self.calls.send(call).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(|e| failed(e, &self.path))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.path).finish()
    }
}

fn failed(error: rusqlite::Error, path: &Path) -> Error {
    Error::new(Kind::Storage, "the database cannot be used")
        .at(path.display())
        .because(error)
        .hint("is the disk full, or the file on a read-only medium?")
}

fn gone() -> Error {
    Error::new(Kind::Storage, "the storage thread has ended").hint("restart the till")
}

/// A value as JSON text in a column.
fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// A column of JSON text as a value.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}
