//! Copies of the database, made while a till writes to it.
//!
//! SQLite's online backup copies pages, so a copy costs no more than reading the file; `VACUUM INTO` would rebuild every
//! index and cannot report progress. Written from another connection, a backup starts over whenever the database
//! changes, and beside a busy till it would never end: therefore one read transaction is held for all of it. In WAL mode
//! that blocks nobody, and the copy is the database as it was when the backup began.

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::backup::{self, StepResult};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result, Retry};

use super::failure::{self, Failure, sql_error};
use super::lock::beside;
use super::{Store, meta, schema};

/// How far a database has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Extent {
    /// The till's own id: [`Store::till`].
    pub till: String,
    /// Its epoch: [`Store::epoch`].
    pub epoch: i64,
    /// The sequence number of the journal's last entry; 0 if it is empty.
    pub journal: i64,
    /// The highest ticket number assigned; 0 if there is none.
    pub number: i64,
}

/// A backup that was written and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "BackupDone"))]
#[non_exhaustive]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// When it was begun: it holds everything that was committed before.
    pub taken_at: Timestamp,
    /// What it holds.
    #[serde(flatten)]
    pub extent: Extent,
    /// Its size.
    pub bytes: u64,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes copied so far.
    pub copied: u64,
    /// Bytes of the whole database.
    pub total: u64,
}

impl Store {
    /// Copies the database to `to`, also while tills and tools work with it. `to` is a new file, or an existing folder,
    /// in which the copy is named after the database and the time in UTC: `till-20260102T080000Z.db`.
    ///
    /// The copy is one file without companions, accessible to its owner only. It is written as `….part`, verified
    /// (integrity, till, last journal entry), synced and only then renamed, so that a backup is whole or not there.
    /// [`Store::restore`] puts it back. A pending call that is dropped does not end the backup.
    ///
    /// # Errors
    /// [`Kind::Input`]: the file exists already. [`Kind::Busy`]: another backup is being written there.
    /// [`Kind::Storage`]: the disk is full, no permission, or the database is damaged. Nothing is left at `to` then.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<Backup> {
        self.backup_with(to, |_| ()).await
    }

    /// As [`Store::backup`], and reports its progress from the thread that copies: about once per megabyte.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub async fn backup_with(
        &self,
        to: impl Into<PathBuf>,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Backup> {
        let (from, to, at) = (self.0.path.clone(), to.into(), self.time());
        self.0.runtime.run_blocking(move || back_up(&from, to, at, &mut progress)).await?
    }

    /// Removes the oldest backups of this till from a folder, as named by [`Store::backup`], and keeps the newest
    /// `keep`, at least one. Returns the removed files. Other files are left alone.
    ///
    /// # Errors
    /// [`Kind::Storage`]: the folder cannot be read, or a file cannot be removed.
    pub async fn prune_backups(&self, folder: impl Into<PathBuf>, keep: usize) -> Result<Vec<PathBuf>> {
        let (from, folder, till) = (self.0.path.clone(), folder.into(), self.0.till.clone());
        self.0.runtime.run_blocking(move || prune(&from, &folder, &till, keep.max(1))).await?
    }
}

impl Extent {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let meta = meta::read(db)?;
        let number = "SELECT max(coalesce((SELECT max(number) FROM sales), 0),
            coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'number'), 0))";
        let number = db.query_row(number, [], |row| row.get(0))?;
        Ok(Self { till: meta.till, epoch: meta.epoch, journal: meta::journal_end(db)?, number })
    }
}

fn back_up(from: &Path, to: PathBuf, at: Timestamp, progress: &mut dyn FnMut(Progress)) -> Result<Backup> {
    let (to, part) = if to.is_dir() {
        // One name for the unfinished file: the next backup replaces what a killed one has left.
        (to.join(format!("{}-{}.db", stem(from), at.strftime(NAME_TIME))), to.join(format!("{}.db.part", stem(from))))
    } else {
        let part = beside(&to, ".part");
        (to, part)
    };
    absent(&to)?;
    let source = schema::open_read_only(from)?;
    let part = Part::create(part)?;
    let mark = |copy: &Connection| Ok(meta::set(copy, meta::BACKUP, &super::stamp(at))?);
    let extent = copy(&source, from, &part, progress, mark)?;
    let bytes = part.finish(&to)?;
    Ok(Backup { path: to, taken_at: at, extent, bytes })
}

/// Copies the database of `source` to `part`, lets `change` edit the copy, and verifies it. Returns what the source
/// holds.
pub(super) fn copy(
    source: &Connection,
    from: &Path,
    part: &Part,
    progress: &mut dyn FnMut(Progress),
    change: impl FnOnce(&Connection) -> Result<(), Failure>,
) -> Result<Extent> {
    let (reading, writing) = (|e| sql_error(e, from), |e| sql_error(e, &part.0));
    let mut copy = part.open().map_err(writing)?;
    // Held to the end: see above.
    source.execute_batch("BEGIN").map_err(reading)?;
    let extent = Extent::read(source).map_err(reading)?;
    let page: u32 = source.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(reading)?;
    {
        let backup = backup::Backup::new(source, &mut copy).map_err(writing)?;
        loop {
            let step = backup.step(STEP).map_err(writing)?;
            let pages = backup.progress();
            let count = |pages: std::ffi::c_int| u64::try_from(pages).unwrap_or_default() * u64::from(page);
            progress(Progress { copied: count(pages.pagecount - pages.remaining), total: count(pages.pagecount) });
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => {
                    let what = "another program keeps the database locked";
                    return Err(Error::new(Kind::Busy, what).at(from.display()).with_retry(Retry::Now));
                }
            }
        }
    }
    source.execute_batch("COMMIT").map_err(reading)?;
    // One file that can be read from a read-only medium: it was copied in WAL mode.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(writing)?;
    if Extent::read(&copy).map_err(writing)? != extent {
        return Err(damaged("the copy differs from the database", from));
    }
    sound(&copy, from)?;
    change(&copy).map_err(|failure| failure.into_error(&part.0))?;
    copy.close().map_err(|(_, e)| writing(e))?;
    schema::look(&part.0)?;
    Ok(extent)
}

/// Checks the whole file.
pub(super) fn sound(db: &Connection, path: &Path) -> Result<()> {
    let check = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match check.map_err(|e| sql_error(e, path))?.as_str() {
        "ok" => Ok(()),
        fault => Err(damaged("the database is damaged", path).because(fault.to_owned())),
    }
}

fn damaged(what: &str, path: &Path) -> Error {
    Error::new(Kind::Storage, what)
        .at(path.display())
        .with_retry(Retry::AfterOperator)
        .hint("check the medium; keep the file and the backups made so far")
}

/// A copy that is being written; removed on drop unless it was finished.
pub(super) struct Part(PathBuf);

impl Part {
    /// Creates the file, or takes over what a killed program has left.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let failed = |e| failure::file(e, &path);
        match schema::create(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| Self(path.clone())).map_err(failed),
        }
        let used = Connection::open(&path).and_then(|db| {
            db.busy_timeout(std::time::Duration::ZERO)?;
            db.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        });
        if let Err(error) = used
            && matches!(error.sqlite_error_code(), Some(code) if IN_USE.contains(&code))
        {
            let what = "another program is writing a backup here";
            return Err(Error::new(Kind::Busy, what).at(path.display()).hint("wait until it has finished"));
        }
        let part = Self(path.clone());
        part.remove();
        schema::create(&path).map_err(failed)?;
        Ok(part)
    }

    /// The connection that writes. Losing an unfinished copy is harmless: it is synced once, at the end.
    fn open(&self) -> rusqlite::Result<Connection> {
        let copy = Connection::open(&self.0)?;
        copy.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        copy.pragma_update(None, "journal_mode", "MEMORY")?;
        copy.pragma_update(None, "synchronous", "OFF")?;
        Ok(copy)
    }

    /// Syncs it and renames it to `to`, which must not exist; returns its size.
    pub(super) fn finish(self, to: &Path) -> Result<u64> {
        let bytes = self.sync()?;
        absent(to)?;
        self.rename(to)?;
        Ok(bytes)
    }

    /// Writes it to the medium; returns its size.
    pub(super) fn sync(&self) -> Result<u64> {
        let synced = File::options().read(true).write(true).open(&self.0).and_then(|file| {
            file.sync_all()?;
            Ok(file.metadata()?.len())
        });
        synced.map_err(|e| failure::file(e, &self.0))
    }

    /// Renames it to `to`, replacing what is there.
    pub(super) fn rename(self, to: &Path) -> Result<()> {
        std::fs::rename(&self.0, to).map_err(|e| failure::file(e, to))?;
        sync_folder(to)
    }

    fn remove(&self) {
        for end in ["", "-journal", "-wal", "-shm"] {
            std::fs::remove_file(beside(&self.0, end)).ok();
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Makes renames in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failure::file(e, folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn absent(to: &Path) -> Result<()> {
    if to.symlink_metadata().is_err() {
        return Ok(());
    }
    let what = "the file exists already; it was left unchanged";
    Err(Error::new(Kind::Input, what).at(to.display()).hint("name another file, or a folder"))
}

fn stem(database: &Path) -> String {
    database.file_stem().unwrap_or(database.as_os_str()).to_string_lossy().into_owned()
}

fn prune(from: &Path, folder: &Path, till: &str, keep: usize) -> Result<Vec<PathBuf>> {
    let failed = |e| failure::file(e, folder);
    let start = format!("{}-", stem(from));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let time = name.strip_prefix(&start).and_then(|name| name.strip_suffix(".db"));
        let is_named = time.is_some_and(|time| jiff::civil::DateTime::strptime(NAME_TIME, time).is_ok());
        // Another till may have a database of the same name.
        let read = || schema::open_read_only(&path).ok().and_then(|db| meta::read(&db).ok());
        if is_named && read().is_some_and(|meta| meta.till == till) {
            found.push(path);
        }
    }
    // The names sort by time.
    found.sort();
    found.truncate(found.len().saturating_sub(keep));
    for path in &found {
        std::fs::remove_file(path).map_err(|e| failure::file(e, path))?;
    }
    Ok(found)
}

/// Pages per step: one megabyte of pages of 4 KiB.
const STEP: std::ffi::c_int = 256;
/// The time in a backup's name.
const NAME_TIME: &str = "%Y%m%dT%H%M%SZ";
pub(super) const IN_USE: [rusqlite::ErrorCode; 2] =
    [rusqlite::ErrorCode::DatabaseBusy, rusqlite::ErrorCode::DatabaseLocked];
