//! The schema and its migrations. `user_version` in the file's header is the schema's version.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use tresen_hal::{Error, Kind, Result};

/// Marks the file as ours, in SQLite's `application_id`: "tres".
const APPLICATION: i32 = 0x7472_6573;

/// One step each; never changed once released. The version is the number of steps taken.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE intents (
        id            TEXT PRIMARY KEY,
        terminal      TEXT NOT NULL,
        amount        TEXT NOT NULL,
        at            TEXT NOT NULL,
        state         TEXT NOT NULL CHECK (state IN ('open', 'approved', 'unknown', 'charged', 'not-charged')),
        intent        TEXT NOT NULL,
        approved      TEXT,
        result        TEXT
    ) STRICT;
    CREATE INDEX intents_unsettled ON intents (terminal, state);

    -- What happened, in order; only ever appended to.
    CREATE TABLE journal (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        at            TEXT NOT NULL,
        kind          TEXT NOT NULL,
        key           TEXT NOT NULL,
        body          TEXT NOT NULL
    ) STRICT;

    CREATE TABLE jobs (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        route         TEXT NOT NULL,
        receipt       TEXT NOT NULL,
        state         TEXT NOT NULL CHECK (state IN ('queued', 'printing', 'printed', 'accepted', 'unknown', 'cancelled')),
        copy          INTEGER NOT NULL DEFAULT 0,
        printer       TEXT,
        proof         TEXT,
        error         TEXT,
        queued_at     TEXT NOT NULL,
        changed_at    TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_waiting ON jobs (route, state);

    CREATE TABLE tickets (
        number        INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        opened_at     TEXT NOT NULL,
        closed_at     TEXT,
        total         TEXT,
        intent        TEXT REFERENCES intents (id),
        body          TEXT
    ) STRICT;
"];

/// Opens and, where needed, makes or migrates the database.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let fault = |what: &str| Error::new(Kind::Storage, what).at(path.display());
    // The header is read before SQLite opens the file, because opening alone may write to it.
    if let Some((application, version)) = header(path).map_err(|e| fault("cannot be read").because(e))? {
        check(path, application, version)?;
    }
    let failed = |e: rusqlite::Error| {
        fault("cannot be opened as a database").because(e).hint("is it a tresen database, and may it be written to?")
    };
    let mut db = Connection::open(path).map_err(failed)?;
    let (application, version) = versions(&db).map_err(failed)?;
    if version > 0 {
        check(path, application, version)?;
    }
    db.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    db.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    migrate(&mut db).map_err(|e| fault("cannot be migrated; it is as it was").because(e))?;
    // Only now: what WAL holds is not in the file's header, by which the next start knows its own
    // database, also after a crash.
    db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    Ok(db)
}

fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    // Immediate: of two programs that make the same file, the second finds it made.
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i32 = step.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    for migration in &MIGRATIONS[done..] {
        step.execute_batch(migration)?;
    }
    step.pragma_update(None, "application_id", APPLICATION)?;
    step.pragma_update(None, "user_version", MIGRATIONS.len() as i32)?;
    step.commit()?;
    // A file that was in WAL mode already: the new version belongs into its header.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn versions(db: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn check(path: &Path, application: i32, version: i32) -> Result<()> {
    let refuse = |what: String| Err(Error::new(Kind::Storage, what).at(path.display()));
    if application != APPLICATION {
        return refuse("is a database of another program; it was left as it is".into())
            .map_err(|e: Error| e.hint("name another file in `store`"));
    }
    let ours = MIGRATIONS.len() as i32;
    if version > ours {
        let what = format!("has schema version {version}, and this tresen knows up to {ours}; it was left as it is");
        return refuse(what).map_err(|e: Error| e.hint("update tresen, or name another file in `store`"));
    }
    Ok(())
}

/// Application id and user version from the file's header (SQLite file format, section 1.3), or
/// none for a file that is missing or empty.
fn header(path: &Path) -> std::io::Result<Option<(i32, i32)>> {
    let mut head = [0; 100];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    file.read_exact(&mut head)
        .ok()
        .filter(|()| head.starts_with(b"SQLite format 3\0"))
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not a database"))?;
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok(Some((number(68), number(60))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let before = std::fs::read(path).expect("a file");
        let error = open(path).expect_err("refused");
        assert_eq!(error.kind(), Kind::Storage);
        assert_eq!(std::fs::read(path).expect("a file"), before, "left untouched");
        let siblings = std::fs::read_dir(path.parent().expect("a folder")).expect("readable").count();
        assert_eq!(siblings, 1, "nothing was put beside it");
        error.to_string()
    }

    #[test]
    fn makes_and_reopens() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("till.db");
        for _ in 0..2 {
            let db = open(&path).expect("opens");
            assert_eq!(versions(&db).expect("versions"), (APPLICATION, MIGRATIONS.len() as i32));
            let sync: i32 = db.pragma_query_value(None, "synchronous", |row| row.get(0)).expect("a number");
            assert_eq!(sync, 2, "FULL");
        }
    }

    /// A till that is killed leaves everything since its start in the WAL.
    #[test]
    fn the_header_tells_whose_it_is_from_the_start() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("till.db");
        let db = open(&path).expect("opens");
        assert_eq!(header(&path).expect("readable"), Some((APPLICATION, MIGRATIONS.len() as i32)));
        let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("text");
        assert_eq!(mode, "wal");
        open(&path).expect("opens beside one that holds it open");
    }

    #[test]
    fn refuses_a_newer_version() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("till.db");
        let db = Connection::open(&path).expect("opens");
        db.pragma_update(None, "application_id", APPLICATION).expect("set");
        db.pragma_update(None, "user_version", 99).expect("set");
        drop(db);
        let message = refused(&path);
        assert!(message.contains("schema version 99") && message.contains("update tresen"), "{message}");
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("till.db");
        std::fs::write(&path, b"these are my notes").expect("written");
        assert!(refused(&path).contains("not a database"));
        std::fs::remove_file(&path).expect("removed");
        let db = Connection::open(&path).expect("opens");
        db.execute_batch("CREATE TABLE other (x)").expect("made");
        drop(db);
        assert!(refused(&path).contains("another program"));
    }

    #[test]
    fn rolls_a_broken_migration_back() {
        let mut db = Connection::open_in_memory().expect("opens");
        db.execute_batch("CREATE TABLE tickets (x)").expect("in the way");
        migrate(&mut db).expect_err("a table is in the way");
        let tables: i32 = db.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0)).expect("a number");
        assert_eq!((versions(&db).expect("versions"), tables), ((0, 0), 1));
    }
}
