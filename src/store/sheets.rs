//! Sheets that a job has begun and nobody has ended: the next job at that printer begins with a cut.
//!
//! The paper stays in the printer while the link is cut, while the printer is off and while the till is closed, so this
//! is kept until a job has ended there. It concerns the paper, not the job, which may be reprinted elsewhere.

use super::cached::Cached;
use rusqlite::Connection;

/// The table, part of the first migration.
pub(super) const SCHEMA: &str = "
    -- Printers at which a job broke off and none has ended since.
    CREATE TABLE begun_sheets (
        printer       TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
";

/// Whether a job broke off at this printer and none has ended since.
pub(super) fn is_begun(db: &Connection, printer: &str) -> rusqlite::Result<bool> {
    db.one("SELECT EXISTS (SELECT 1 FROM begun_sheets WHERE printer = ?1)", [printer], |row| row.get(0))
}

/// A job broke off at its printer.
pub(super) fn broken_off(db: &Connection, job: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO begun_sheets SELECT printer FROM jobs WHERE id = ?1 AND printer IS NOT NULL";
    db.run(sql, [job]).map(drop)
}

/// All jobs that are being printed broke off.
pub(super) fn all_broken_off(db: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO begun_sheets
               SELECT printer FROM jobs WHERE state = 'printing' AND printer IS NOT NULL";
    db.run(sql, []).map(drop)
}

/// A job has ended at its printer.
pub(super) fn ended(db: &Connection, job: &str) -> rusqlite::Result<()> {
    let sql = "DELETE FROM begun_sheets WHERE printer = (SELECT printer FROM jobs WHERE id = ?1)";
    db.run(sql, [job]).map(drop)
}
