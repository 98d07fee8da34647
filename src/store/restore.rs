//! Putting a backup back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result, Runtime};

use super::backup::{Extent, IN_USE, Part, copy, sound, sync_folder};
use super::doubt::{Since, doubt_attempts};
use super::failure::{self, sql_error};
use super::lock::{Lock, Wait, Witness, beside};
use super::{Store, jobs, meta, schema};

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restored {
    /// The database.
    pub path: PathBuf,
    /// Its new epoch: [`Store::epoch`].
    pub epoch: i64,
    /// What the backup holds.
    pub backup: Extent,
    /// Print jobs that were waiting in the backup. They may have been printed since: a person decides.
    pub parked: usize,
    /// Until when it knows what happened: when the backup was taken, or if it was copied by other means, when its last
    /// journal entry was written. Payments that began later are listed at the terminals only.
    pub known_until: Option<Timestamp>,
    /// Card payments of which it does not know how they ended: the terminals are asked, and otherwise a person decides.
    pub in_doubt: usize,
    /// The file that was there before, under its new name.
    pub kept: Option<PathBuf>,
    /// What that file holds; `None` if there was none, or it cannot be read.
    pub replaced: Option<Extent>,
}

impl Restored {
    /// Journal entries that only the replaced file has.
    pub fn missing_entries(&self) -> i64 {
        self.replaced.as_ref().map_or(0, |replaced| (replaced.journal - self.backup.journal).max(0))
    }

    /// Ticket numbers that only the replaced file has assigned. The restored till continues after them.
    pub fn missing_numbers(&self) -> i64 {
        self.replaced.as_ref().map_or(0, |replaced| (replaced.number - self.backup.number).max(0))
    }
}

impl Store {
    /// Replaces the database at `to` by a backup, which is left as it is. The file that is there is kept beside it, with
    /// the time in its name: `till.db.replaced-20260102T080000Z`.
    ///
    /// The restored database begins a new epoch, above those of both files, and continues after the highest ticket
    /// number of both, so that no number is assigned twice unnoticed. Print jobs that were waiting when the backup was
    /// made are parked: they may have been printed since. Killed at any moment, this leaves the old database or the
    /// restored one.
    ///
    /// Card payments that had begun, and whose end the backup does not have, are in doubt: the terminals are asked about
    /// them, and nothing is charged again. A payment that began after the backup was taken has left no trace in it: its
    /// sale is open and unpaid, or not there at all. Compare the slips of that time at the terminals with the replaced
    /// file, or with the server's entries, before anyone pays again.
    ///
    /// # Errors
    /// [`Kind::Busy`]: a till has the database open. [`Kind::Input`]: the backup is of another till, or is the database
    /// itself. [`Kind::Storage`]: the backup is damaged or of a newer version, the disk is full, or no permission. The
    /// database is unchanged then.
    pub async fn restore(backup: &Path, to: &Path, runtime: Arc<dyn Runtime>) -> Result<Restored> {
        let (backup, to, at) = (backup.to_owned(), super::real(to), runtime.wall());
        runtime.run_blocking(move || restore(&backup, &to, at)).await?
    }
}

fn restore(backup: &Path, to: &Path, at: Timestamp) -> Result<Restored> {
    if same(backup, to) {
        return Err(Error::new(Kind::Input, "is the database itself, not a backup of it").at(backup.display()));
    }
    let source = schema::open_read_only(backup)?;
    sound(&source, backup)?;
    let mut wait = Wait::begin(to)?;
    while !wait.try_lock()? {}
    let mut lock = Lock::taken(wait, &super::stamp(at))?;
    let there = to.metadata().is_ok_and(|file| file.len() > 0);
    let replaced = if there { extent_of(to)? } else { None };
    let extent = Extent::read(&source).map_err(|e| sql_error(e, backup))?;
    if let Some(replaced) = &replaced
        && replaced.till != extent.till
    {
        let what = format!("is the database of till {}, the backup is of till {}", replaced.till, extent.till);
        let hint = "move the database away first if this is intended";
        return Err(Error::new(Kind::Input, what).at(to.display()).hint(hint));
    }
    // The lock file knows the epoch even where the database cannot be read.
    let before = lock.before();
    let witnessed = if before.till == extent.till { before.epoch } else { 0 };
    let epoch = replaced.as_ref().map_or(0, |replaced| replaced.epoch).max(witnessed);
    let number = replaced.as_ref().map_or(0, |replaced| replaced.number).max(extent.number);

    let part = Part::create(beside(to, ".restoring"))?;
    let mut parked = 0;
    let mut now = (0, 0, String::new());
    let known_until = known_until(&source).map_err(|e| sql_error(e, backup))?;
    let mut in_doubt = 0;
    let change = |db: &Connection| {
        let write = db.unchecked_transaction()?;
        let epoch = meta::raise_epoch(&write, &super::stamp(at), "a backup was restored", epoch)?;
        meta::set(&write, "number", &number.to_string())?;
        parked = jobs::doubt_waiting(&write, &super::stamp(at))?;
        in_doubt = doubt_attempts(&write, &super::stamp(at), Since { opening: None, line: i64::MAX })?;
        meta::unset(&write, meta::BACKUP)?;
        now = (epoch, meta::journal_end(&write)?, meta::read(&write)?.opening);
        Ok(write.commit()?)
    };
    let backup = copy(&source, backup, &part, &mut |_| (), change)?;
    part.sync()?;
    if there {
        settle(to)?;
    }
    let kept = if there { Some(keep(to, at)?) } else { None };
    part.rename(to)?;
    let (epoch, reached, opening) = now;
    // The next start finds a restore that was announced.
    let witness = Witness { till: backup.till.clone(), epoch, openings: vec![opening], reached };
    lock.note(witness).map_err(|e| failure::file(e, to))?;
    Ok(Restored { path: to.to_owned(), epoch, backup, parked, known_until, in_doubt, kept, replaced })
}

/// When the backup was taken, or its last journal entry written.
fn known_until(source: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let last = "SELECT at FROM journal ORDER BY seq DESC LIMIT 1";
    let at = match meta::get(source, meta::BACKUP)? {
        Some(at) => Some(at),
        None => source.query_row(last, [], |row| row.get::<_, String>(0)).optional()?,
    };
    Ok(at.and_then(|at| at.parse().ok()))
}

/// How far the old database came; `None` if it is damaged.
fn extent_of(path: &Path) -> Result<Option<Extent>> {
    with_old(path, Extent::read)
}

/// Brings all of the old database into its one file, and removes the WAL, which must not meet the restored database.
fn settle(path: &Path) -> Result<()> {
    with_old(path, |db| db.pragma_update(None, "journal_mode", "DELETE")).map(|_| ())
}

fn with_old<T>(path: &Path, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<Option<T>> {
    let done = Connection::open(path).and_then(|db| {
        db.busy_timeout(schema::BUSY)?;
        work(&db)
    });
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if matches!(error.sqlite_error_code(), Some(code) if IN_USE.contains(&code)) => {
            Err(sql_error(error, path))
        }
        Err(error) => {
            tracing::warn!(%error, "the database to be replaced cannot be read");
            Ok(None)
        }
    }
}

/// Gives the database a second name; the first one is replaced next.
fn keep(path: &Path, at: Timestamp) -> Result<PathBuf> {
    let failed = |e| failure::file(e, path);
    let name = format!(".replaced-{}", at.strftime("%Y%m%dT%H%M%SZ"));
    let names = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name}-{n}") });
    let kept = names.map(|name| beside(path, &name)).find(|kept| kept.symlink_metadata().is_err());
    let kept = kept.expect("the numbers do not end");
    if std::fs::hard_link(path, &kept).is_err() {
        // Some file systems of USB media have no links.
        std::fs::copy(path, &kept).map_err(failed)?;
        std::fs::File::options().write(true).open(&kept).and_then(|file| file.sync_all()).map_err(failed)?;
    }
    // Left only by a database that cannot be read.
    for end in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, end), beside(&kept, end)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
    }
    sync_folder(path)?;
    Ok(kept)
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
