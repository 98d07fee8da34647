//! Properties of the database: the till's id, its epoch, the id of its last opening.

use std::path::Path;

use super::cached::Cached;
use rusqlite::{Connection, OptionalExtension};
use tresen_hal::Result;

use super::doubt::{Since, doubt_attempts};
use super::failure::{self, Failure, sql_error};
use super::lock::{Lock, Witness};

/// The till's id and epoch.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) till: String,
    pub(super) epoch: i64,
    /// The id of this opening.
    pub(super) opening: String,
    /// The end of the journal when it was opened.
    pub(super) reached: i64,
}

pub(super) fn read(db: &Connection) -> rusqlite::Result<Meta> {
    let till = get(db, "till")?.unwrap_or_default();
    let epoch = get(db, "epoch")?.and_then(|n| n.parse().ok()).unwrap_or(1);
    let opening = get(db, "opening")?.unwrap_or_default();
    Ok(Meta { till, epoch, opening, reached: journal_end(db)? })
}

/// Writes the id of this opening to the database and to the lock file. A database that is behind the state in the lock
/// file, that was opened elsewhere since, or that is a backup put here without [`super::Store::restore`], begins a new
/// epoch.
pub(super) fn open(db: &Connection, lock: &mut Lock, at: &str, opening: &str, path: &Path) -> Result<Meta> {
    let sql = |e| sql_error(e, path);
    let file = |e| failure::file(e, path);
    let meta = read(db).map_err(sql)?;
    let last = Some(meta.opening.clone()).filter(|opening| !opening.is_empty());
    let reached = meta.reached;
    let before = lock.before().clone();
    let moved = last.as_ref().is_some_and(|last| before.till != meta.till || !before.openings.contains(last));
    let behind = before.till == meta.till && reached < before.reached;
    let copied = get(db, BACKUP).map_err(sql)?.is_some();
    let above = if before.till == meta.till { before.epoch } else { 0 };
    let opening = opening.to_owned();
    // In this order a kill in between is not mistaken for a restored backup.
    let both = last.clone().into_iter().chain([opening.clone()]).collect();
    let highest = if behind || moved { reached } else { reached.max(before.reached) };
    let epoch = above.max(meta.epoch);
    lock.note(Witness { till: meta.till.clone(), epoch, openings: both, reached: highest }).map_err(file)?;
    let named = || -> Result<_, Failure> {
        let write = db.unchecked_transaction()?;
        let epoch = match (behind || copied, moved) {
            (false, false) => meta.epoch,
            (true, _) => raise_epoch(&write, at, "a backup was restored", above)?,
            (false, true) => raise_epoch(&write, at, "it was opened elsewhere, or its lock file is gone", above)?,
        };
        if behind || copied {
            super::jobs::doubt_waiting(&write, at)?;
            unset(&write, BACKUP)?;
        }
        if epoch != meta.epoch {
            doubt_attempts(&write, at, Since { opening: None, line: i64::MAX })?;
        }
        set(&write, "opening", &opening)?;
        let reached = journal_end(&write)?;
        write.commit()?;
        Ok((epoch, reached))
    };
    let (epoch, reached) = named().map_err(|failure| failure.into_error(path))?;
    if epoch != meta.epoch {
        tracing::warn!(epoch, "the database was restored or moved: a new epoch");
    }
    let openings = vec![opening.clone()];
    lock.note(Witness { till: meta.till.clone(), epoch, openings, reached }).map_err(file)?;
    Ok(Meta { epoch, opening, ..meta })
}

/// Begins a new epoch, above that of the database and above `above`: an earlier restore of the same backup may have
/// begun one already.
pub(super) fn raise_epoch(db: &Connection, at: &str, why: &str, above: i64) -> rusqlite::Result<i64> {
    let epoch = super::outbox::last_epoch(db)?.max(read(db)?.epoch).max(above) + 1;
    set(db, "epoch", &epoch.to_string())?;
    super::outbox::begin_epoch(db, epoch, journal_end(db)? + 1)?;
    super::remote::end_all_tokens(db)?;
    let body = serde_json::json!({ "epoch": epoch, "why": why }).to_string();
    super::journal::append(db, at, "epoch", &epoch.to_string(), &body, &super::Origin::new())?;
    Ok(epoch)
}

/// The number of the journal's last line, even if it was removed.
pub(super) fn journal_end(db: &Connection) -> rusqlite::Result<i64> {
    last_seq(db, "journal")
}

/// The number of a table's last row, even if it was removed; 0 before the first.
pub(super) fn last_seq(db: &Connection, table: &str) -> rusqlite::Result<i64> {
    let mut end = db.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = ?1")?;
    Ok(end.query_row([table], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(super) fn set(db: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    db.run("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", [key, value])
        .map(|_| ())
}

pub(super) fn unset(db: &Connection, key: &str) -> rusqlite::Result<()> {
    db.run("DELETE FROM meta WHERE key = ?1", [key]).map(|_| ())
}

pub(super) fn get(db: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    db.one("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// In a backup: when it was made.
pub(super) const BACKUP: &str = "backup";
