//! Who may reach the till from outside, and what they did: enrolled clients, browser sessions, the audit table.
//!
//! Nothing here lets anybody in: of certificates and tokens only SHA-256 is stored. Tokens end with an epoch, so a
//! restored database knows its clients and no token.

mod audit;
mod clients;
mod sessions;
#[cfg(test)]
mod tests;

pub use audit::{AuditEnd, AuditEntry, AuditNote};
pub use clients::{NewClient, RemoteClient};
pub(super) use sessions::end_all_tokens;
use tokio::sync::watch;
use tresen_hal::{Error, Kind, Result};

use super::Store;
pub use sessions::{NewSession, RemoteSession};

impl Store {
    /// Changes whenever a caller from outside is not to be let in any more: whoever serves one asks about it again.
    pub fn remote_withdrawals(&self) -> watch::Receiver<u64> {
        self.0.withdrawn.subscribe()
    }

    fn withdraw(&self) {
        self.0.withdrawn.send_modify(|count| *count += 1);
    }
}

/// Runs `work` to its end, even if the caller leaves: connections are cut after the commit.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.map_err(|_| Error::new(Kind::Cancelled, "the program is ending"))?
}

/// The tables, part of the first migration.
pub(super) const SCHEMA: &str = "
    -- Enrolled clients. A name is free again once its client was revoked.
    CREATE TABLE remote_clients (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        name          TEXT NOT NULL,
        station       TEXT,
        rights        TEXT NOT NULL,
        enrolled_at   TEXT NOT NULL,
        revoked_at    TEXT,
        revoked_why   TEXT,
        CHECK ((revoked_at IS NULL) = (revoked_why IS NULL))
    ) STRICT;
    CREATE UNIQUE INDEX remote_clients_name ON remote_clients (name) WHERE revoked_at IS NULL;

    -- Their certificates, by SHA-256.
    CREATE TABLE remote_certificates (
        fingerprint   TEXT PRIMARY KEY CHECK (length(fingerprint) = 64),
        client        INTEGER NOT NULL REFERENCES remote_clients (id),
        issued_at     TEXT NOT NULL,
        expires_at    TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX remote_certificates_client ON remote_certificates (client);

    -- Sessions of browsers and scripts. An origin of null: a program that sends none.
    CREATE TABLE remote_sessions (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        name          TEXT NOT NULL,
        station       TEXT,
        rights        TEXT NOT NULL,
        origin        TEXT,
        opened_at     TEXT NOT NULL,
        ended_at      TEXT
    ) STRICT;
    CREATE UNIQUE INDEX remote_sessions_name ON remote_sessions (name) WHERE ended_at IS NULL;

    -- Their tokens, by SHA-256, in the order of their issue. When one is first presented, those before it end.
    CREATE TABLE remote_tokens (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        hash          TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
        session       INTEGER NOT NULL REFERENCES remote_sessions (id),
        expires_at    TEXT NOT NULL,
        presented     INTEGER NOT NULL DEFAULT 0 CHECK (presented IN (0, 1))
    ) STRICT;
    CREATE INDEX remote_tokens_session ON remote_tokens (session);

    -- Every refused and every privileged action from outside. Append-only, apart from what is older than `audit-from`.
    CREATE TABLE remote_audit (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        at            TEXT NOT NULL,
        principal     TEXT,
        address       TEXT,
        action        TEXT NOT NULL,
        device        TEXT,
        key           TEXT,
        about         TEXT,
        refused       TEXT,
        -- How often, where repeats are one row.
        times         INTEGER CHECK (times > 0),
        -- A privileged call has two rows: one before it begins, and one with its result, which names the former.
        begun         INTEGER NOT NULL CHECK (begun IN (0, 1)),
        ends          INTEGER UNIQUE REFERENCES remote_audit (seq),
        CHECK (begun = 0 OR ends IS NULL)
    ) STRICT;
    CREATE TRIGGER remote_audit_stays BEFORE DELETE ON remote_audit
        WHEN old.at >= coalesce((SELECT value FROM meta WHERE key = 'audit-from'), '')
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;
    CREATE TRIGGER remote_audit_stands BEFORE UPDATE ON remote_audit
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;
";
