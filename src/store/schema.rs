//! The schema and its migrations. `user_version` in the file's header is the schema's version.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tresen_hal::{Error, Kind, Result};

use super::cached::STATEMENTS;
use super::failure::{file, sql_error};
use super::lock::{beside, own};

/// One entry per step, in parts; never changed once released. The version is the number of steps applied.
///
/// Times are RFC 3339 with six decimals, so that they sort as text. Money is in the currency's minor unit, negative
/// where the customer gets it back. `station`, `source` and `operator` come from the caller: [`super::Origin`].
const MIGRATIONS: [&[&str]; 1] = [&[
    CORE,
    super::orders::SCHEMA,
    super::leases::SCHEMA,
    super::outbox::SCHEMA,
    super::reference::SCHEMA,
    super::accounts::SCHEMA,
    super::remembered::SCHEMA,
    super::sheets::SCHEMA,
    super::steps::SCHEMA,
    super::remote::SCHEMA,
]];

/// Payments, journal, print jobs, sales.
const CORE: &str = "
    -- The till's id and epoch, and the id of the last opening.
    CREATE TABLE meta (
        key           TEXT PRIMARY KEY,
        value         TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Transactions requested from a payment terminal, and their outcome.
    CREATE TABLE intents (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        terminal      TEXT NOT NULL,
        operation     TEXT NOT NULL,
        minor         INTEGER NOT NULL,
        currency      TEXT NOT NULL,
        -- The amount that moved; null while unknown, zero of what is only held, released or loaded.
        moved         INTEGER,
        at            TEXT NOT NULL,
        state         TEXT NOT NULL
                      CHECK (state IN ('open', 'approved', 'unknown', 'charged', 'not-charged', 'reversed')),
        -- The intent that it reverses, books, releases or adds to. What ended it: its reversal, booking or release.
        original      TEXT,
        reversed_by   TEXT,
        -- The receipt number on the slip.
        receipt       TEXT,
        -- The key of the terminal's reference that this intent holds.
        held          TEXT,
        station       TEXT,
        source        TEXT,
        operator      TEXT,
        intent        TEXT NOT NULL,
        approved      TEXT,
        result        TEXT,
        decision      TEXT
    ) STRICT;
    CREATE INDEX intents_open ON intents (terminal, seq) WHERE state IN ('open', 'approved', 'unknown');
    CREATE INDEX intents_stand ON intents (terminal, seq) WHERE state = 'charged';
    CREATE INDEX intents_ends ON intents (terminal, original, seq) WHERE operation IN ('reversal', 'booking', 'release');
    CREATE INDEX intents_receipt ON intents (terminal, receipt) WHERE receipt IS NOT NULL;
    -- A transaction of a terminal belongs to one intent only. Two terminals may have one terminal id.
    CREATE UNIQUE INDEX intents_held ON intents (terminal, held) WHERE held IS NOT NULL;

    -- Append-only, in order of events.
    CREATE TABLE journal (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        at            TEXT NOT NULL,
        kind          TEXT NOT NULL,
        key           TEXT NOT NULL,
        body          TEXT NOT NULL,
        station       TEXT,
        source        TEXT,
        operator      TEXT,
        -- The epoch under which a server knows it, and the end of the chain of hashes: see `chain`.
        epoch         INTEGER NOT NULL,
        hash          BLOB NOT NULL
    ) STRICT;
    CREATE INDEX journal_key ON journal (key);

    -- Print jobs.
    CREATE TABLE jobs (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        route         TEXT NOT NULL,
        -- Tagged and versioned: {\"v\":1,\"receipt\":...}
        content       TEXT NOT NULL,
        state         TEXT NOT NULL CHECK (state IN
                      ('queued', 'printing', 'printed', 'accepted', 'unknown', 'cancelled', 'unreadable')),
        attempt       INTEGER NOT NULL DEFAULT 0,
        copy          INTEGER NOT NULL DEFAULT 0,
        -- Which of the copies that its route prints, and their number.
        sheet         INTEGER NOT NULL DEFAULT 1,
        sheets        INTEGER NOT NULL DEFAULT 1,
        printer       TEXT,
        proof         TEXT,
        error         TEXT,
        queued_at     TEXT NOT NULL,
        changed_at    TEXT NOT NULL,
        station       TEXT,
        source        TEXT,
        operator      TEXT
    ) STRICT;
    CREATE INDEX jobs_waiting ON jobs (route, seq) WHERE state = 'queued';
    CREATE INDEX jobs_state ON jobs (state, changed_at);

    -- Sales. Open sales have an id, closed ones also a number.
    CREATE TABLE sales (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        -- The revision: every change names the one it is based on.
        rev           INTEGER NOT NULL DEFAULT 1,
        state         TEXT NOT NULL CHECK (state IN ('open', 'closed', 'voided')),
        -- The sale that this one refunds, in full or in part.
        original      TEXT,
        -- The total, and the tips in it.
        minor         INTEGER NOT NULL,
        tip           INTEGER NOT NULL DEFAULT 0,
        currency      TEXT NOT NULL,
        -- The ticket: {\"v\":1,\"lines\":...}
        body          TEXT NOT NULL,
        -- The fiscal device's signature, or the record of its outage.
        signature     TEXT,
        drawer        TEXT,
        -- While it is parked: {\"name\":...,\"at\":...,\"by\":...}
        parked        TEXT,
        opened_at     TEXT NOT NULL,
        changed_at    TEXT NOT NULL,
        closed_at     TEXT,
        epoch         INTEGER,
        number        INTEGER UNIQUE,
        station       TEXT,
        source        TEXT,
        operator      TEXT,
        CHECK ((state = 'closed') = (number IS NOT NULL)),
        CHECK (parked IS NULL OR state = 'open')
    ) STRICT;
    CREATE INDEX sales_closed ON sales (closed_at, number) WHERE number IS NOT NULL;
    CREATE INDEX sales_open ON sales (seq) WHERE state = 'open';
    CREATE INDEX sales_original ON sales (original) WHERE original IS NOT NULL;

    -- Attempts to pay, including failed ones. A card attempt's key is its intent's id.
    CREATE TABLE tenders (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        key           TEXT NOT NULL UNIQUE,
        sale          TEXT NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
        attempt       INTEGER NOT NULL,
        kind          TEXT NOT NULL CHECK (kind IN ('card', 'cash', 'account', 'other')),
        -- The terminal, the account, or the vendor's own name.
        name          TEXT NOT NULL,
        operation     TEXT NOT NULL CHECK (operation IN ('payment', 'refund', 'reversal')),
        asked         INTEGER NOT NULL,
        taken         INTEGER NOT NULL DEFAULT 0,
        -- Cash: the amount handed over; the change is the difference.
        given         INTEGER,
        -- The attempt that this one reverses, or the vendor's own reference.
        reference     TEXT,
        state         TEXT NOT NULL CHECK (state IN ('begun', 'taken', 'refused', 'unknown')),
        why           TEXT,
        -- The opening of the database in which it began: an attempt of an earlier one that is missing
        -- from the journal was never sent.
        opening       TEXT NOT NULL,
        at            TEXT NOT NULL,
        changed_at    TEXT NOT NULL,
        station       TEXT,
        source        TEXT,
        operator      TEXT,
        UNIQUE (sale, attempt)
    ) STRICT;
    CREATE INDEX tenders_pending ON tenders (sale) WHERE state IN ('begun', 'unknown');
";

/// Opens the database, creating or migrating it as needed.
pub(super) fn open(path: &Path, till: &str) -> Result<Connection> {
    let fault = |what: &str| Error::new(Kind::Storage, what).at(path.display());
    look(path)?;
    let failed = |e: rusqlite::Error| sql_error(e, path);
    match create(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(file(e, path)),
        _ => {}
    }
    let mut db = Connection::open(path).map_err(failed)?;
    let (application, version) = versions(&db).map_err(failed)?;
    if version > 0 {
        check(path, application, version)?;
    }
    db.busy_timeout(BUSY).map_err(failed)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    db.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    migrate(&mut db, till).map_err(|e| fault("cannot be migrated; it was left unchanged").because(e))?;
    // Only now: data in the WAL is not in the file's header, by which the next start recognises its own database, even
    // after a crash.
    db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    for end in ["", "-wal", "-shm"] {
        match own(&beside(path, end)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(file(e, path)),
            _ => {}
        }
    }
    keep_statements(&db).map_err(failed)?;
    Ok(db)
}

/// Statements stay compiled. Without the guarantee, SQLite compiles a statement again for each new value that it compares
/// with a partial index's condition.
fn keep_statements(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Opens a database of this version read-only.
pub(super) fn open_read_only(path: &Path) -> Result<Connection> {
    let failed = |e: rusqlite::Error| sql_error(e, path);
    if look(path)?.is_none() {
        return Err(file(std::io::ErrorKind::NotFound.into(), path));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(failed)?;
    let (application, version) = versions(&db).map_err(failed)?;
    check(path, application, version)?;
    if version < MIGRATIONS.len() as i32 {
        let what = format!("has schema version {version}; a till of this version has to open it first");
        return Err(Error::new(Kind::Storage, what).at(path.display()));
    }
    db.busy_timeout(BUSY).map_err(failed)?;
    keep_statements(&db).map_err(failed)?;
    Ok(db)
}

/// Checks the file's header and refuses files that are not tresen databases. The header is read before SQLite opens the
/// file, because opening alone may write to it.
pub(super) fn look(path: &Path) -> Result<Option<(i32, i32)>> {
    let known = header(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::new(Kind::Storage, "is not a database; it was left unchanged")
            .at(path.display())
            .hint("set another file in `store`"),
        _ => file(e, path),
    })?;
    if let Some((application, version)) = known {
        check(path, application, version)?;
    }
    Ok(known)
}

/// Creates a new file that is accessible to its owner only before it has any content.
pub(super) fn create(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, super::lock::OWNER_ONLY);
    options.open(path).map(|_| ())
}

fn migrate(db: &mut Connection, till: &str) -> rusqlite::Result<()> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i32 = step.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    for part in MIGRATIONS[done..].iter().copied().flatten() {
        step.execute_batch(part)?;
    }
    if done == 0 {
        super::meta::set(&step, "till", till)?;
        super::meta::set(&step, "epoch", "1")?;
        super::outbox::begin_epoch(&step, 1, 1)?;
    }
    step.pragma_update(None, "application_id", APPLICATION)?;
    step.pragma_update(None, "user_version", MIGRATIONS.len() as i32)?;
    step.commit()?;
    // If the file was already in WAL mode, the new version must be written to its header.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn versions(db: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn check(path: &Path, application: i32, version: i32) -> Result<()> {
    let refuse = |what: String, hint: &str| Err(Error::new(Kind::Storage, what).at(path.display()).hint(hint));
    if application != APPLICATION {
        let what = "is a database of another program; it was left unchanged";
        return refuse(what.into(), "set another file in `store`");
    }
    let ours = MIGRATIONS.len() as i32;
    if version > ours {
        let what = format!("has schema version {version}, this tresen supports up to {ours}; it was left unchanged");
        return refuse(what, "update tresen, or set another file in `store`");
    }
    Ok(())
}

/// Application id and user version from the file's header (SQLite file format, section 1.3), or `None` for a missing or
/// empty file.
fn header(path: &Path) -> std::io::Result<Option<(i32, i32)>> {
    let mut head = [0; 100];
    // Opening a pipe would wait for a writer, and a device is nobody's database.
    if std::fs::metadata(path).is_ok_and(|file| !file.is_file() && !file.is_dir()) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no file"));
    }
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

/// Identifies the file as ours, in SQLite's `application_id`: "tres".
const APPLICATION: i32 = 0x7472_6573;
/// How long to wait for another program that reads the file.
pub(super) const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let before = std::fs::read(path).expect("a file");
        let error = open(path, "till").expect_err("refused");
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
            let db = open(&path, "till").expect("opens");
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
        let db = open(&path, "till").expect("opens");
        assert_eq!(header(&path).expect("readable"), Some((APPLICATION, MIGRATIONS.len() as i32)));
        let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("text");
        assert_eq!(mode, "wal");
        open(&path, "till").expect("opens beside one that holds it open");
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
        db.execute_batch("CREATE TABLE sales (x)").expect("in the way");
        migrate(&mut db, "till").expect_err("a table is in the way");
        let tables: i32 = db.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0)).expect("a number");
        assert_eq!((versions(&db).expect("versions"), tables), ((0, 0), 1));
    }
}
