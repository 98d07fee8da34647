//! Sessions of browsers and scripts, and their tokens.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use super::audit::{self, AuditNote};
use crate::api::Grants;
use crate::store::cached::Cached;
use crate::store::{Store, stamp, time};

/// A session to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its name. An earlier session of this name ends.
    pub name: String,
    /// The station that it works as: [`Origin::station`](crate::Origin).
    pub station: Option<String>,
    /// What it may do.
    pub rights: Grants,
    /// The web origin that it is bound to, such as `https://kiosk.example`; `None` for a program that sends none.
    pub origin: Option<String>,
    /// SHA-256 of its first token, 64 lowercase hex digits.
    pub token: String,
    /// When the token ends.
    pub expires: Timestamp,
}

/// A session of a browser or a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RemoteSession {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The station that it works as.
    pub station: Option<String>,
    /// What it may do.
    pub rights: Grants,
    /// The web origin that it is bound to; `None` for a program that sends none.
    pub origin: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// When the token that was asked about ends; in a listing, the last one.
    pub expires: Timestamp,
}

impl Store {
    /// Opens a session and records that in the audit table. An earlier session of the same name ends.
    ///
    /// # Errors
    /// [`Kind::Input`]: a client of this name is enrolled. [`Kind::Storage`].
    pub async fn open_remote_session(&self, new: NewSession, note: AuditNote) -> Result<()> {
        let at = self.now();
        let store = self.clone();
        let opening = async move {
            let opened = store.write(move |db| {
                let taken = "SELECT EXISTS (SELECT 1 FROM remote_clients WHERE name = ?1 AND revoked_at IS NULL)";
                if db.one(taken, [&new.name], |row| row.get::<_, bool>(0))? {
                    let what = format!("`{}` is the name of an enrolled client", new.name);
                    return Err(Error::new(Kind::Input, what).hint("choose another name").into());
                }
                end(db, &new.name, &at)?;
                db.run("DELETE FROM remote_tokens WHERE expires_at <= ?1", [&at])?;
                db.run(
                "INSERT INTO remote_sessions (name, station, rights, origin, opened_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![new.name, new.station, new.rights.to_string(), new.origin, at],
            )?;
                let id = db.last_insert_rowid();
                db.run(
                    "INSERT INTO remote_tokens (hash, session, expires_at) VALUES (?1, ?2, ?3)",
                    params![new.token, id, stamp(new.expires)],
                )?;
                audit::append(db, &at, &note)?;
                Ok(())
            });
            opened.await?;
            // An earlier session of this name may have ended.
            store.withdraw();
            Ok(())
        };
        super::to_the_end(opening).await
    }

    /// The session of this number, while it has a token that has not ended.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn remote_session(&self, id: i64) -> Result<Option<RemoteSession>> {
        let at = self.now();
        let sessions = self.read(move |db| {
            let which = "JOIN remote_tokens t ON t.session = s.id AND t.expires_at > ?2
                         WHERE s.id = ?1 AND s.ended_at IS NULL GROUP BY s.id";
            sessions(db, which, params![id, at])
        });
        Ok(sessions.await?.pop())
    }

    /// The session of a token, by the token's SHA-256; `None` for one that is unknown, or has ended.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn remote_session_with(&self, token: &str) -> Result<Option<RemoteSession>> {
        let (token, at) = (token.to_owned(), self.now());
        let sessions = self.read(move |db| {
            let which = "JOIN remote_tokens t ON t.session = s.id AND t.hash = ?1 AND t.expires_at > ?2
                         WHERE s.ended_at IS NULL GROUP BY s.id";
            sessions(db, which, params![token, at])
        });
        Ok(sessions.await?.pop())
    }

    /// The sessions with a token that has not ended, oldest first.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn remote_sessions(&self) -> Result<Vec<RemoteSession>> {
        let at = self.now();
        self.list(move |db| {
            let which = "JOIN remote_tokens t ON t.session = s.id AND t.expires_at > ?1
                         WHERE s.ended_at IS NULL GROUP BY s.id ORDER BY s.id";
            sessions(db, which, params![at])
        })
        .await
    }

    /// Gives a session another token. Its earlier ones stay good until their own end, or until a later one is first
    /// presented ([`Store::present_remote_token`]): the reply with this one may be lost. Of those that were never
    /// presented, the last eight count.
    ///
    /// # Errors
    /// [`Kind::Refused`]: the session has ended. [`Kind::Storage`].
    pub async fn renew_remote_session(&self, session: i64, token: &str, expires: Timestamp) -> Result<()> {
        let (token, at) = (token.to_owned(), self.now());
        self.write(move |db| {
            let open = "SELECT 1 FROM remote_sessions s JOIN remote_tokens t ON t.session = s.id
                        WHERE s.id = ?1 AND s.ended_at IS NULL AND t.expires_at > ?2 LIMIT 1";
            if db.one(open, params![session, at], |_| Ok(())).optional()?.is_none() {
                let error = Error::new(Kind::Refused, "the session has ended");
                return Err(error.hint("begin another one with a new code: `tresen token`").into());
            }
            db.run("DELETE FROM remote_tokens WHERE expires_at <= ?1", [&at])?;
            db.run(
                "INSERT INTO remote_tokens (hash, session, expires_at) VALUES (?1, ?2, ?3)",
                params![token, session, stamp(expires)],
            )?;
            db.run(
                "DELETE FROM remote_tokens WHERE session = ?1 AND presented = 0 AND id NOT IN
                 (SELECT id FROM remote_tokens WHERE session = ?1 AND presented = 0 ORDER BY id DESC LIMIT ?2)",
                params![session, UNPRESENTED],
            )?;
            Ok(())
        })
        .await
    }

    /// A caller has presented this token, by its SHA-256: so it has the token, and those issued to its session before
    /// end. Writes nothing if the token was presented before.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn present_remote_token(&self, token: &str) -> Result<()> {
        let token = token.to_owned();
        let known = token.clone();
        let presented = "SELECT presented FROM remote_tokens WHERE hash = ?1";
        let presented = self.read(move |db| Ok(db.one(presented, [&known], |row| row.get::<_, bool>(0)).optional()?));
        if presented.await? != Some(false) {
            return Ok(());
        }
        self.write(move |db| {
            db.run("UPDATE remote_tokens SET presented = 1 WHERE hash = ?1", [&token])?;
            db.run(
                "DELETE FROM remote_tokens WHERE EXISTS (SELECT 1 FROM remote_tokens later
                 WHERE later.hash = ?1 AND later.session = remote_tokens.session AND later.id > remote_tokens.id)",
                [&token],
            )?;
            Ok(())
        })
        .await
    }
}

/// Ends the open session of this name.
pub(super) fn end(db: &Connection, name: &str, at: &str) -> rusqlite::Result<usize> {
    let tokens = "DELETE FROM remote_tokens WHERE session IN
                  (SELECT id FROM remote_sessions WHERE name = ?1 AND ended_at IS NULL)";
    db.run(tokens, [name])?;
    db.run("UPDATE remote_sessions SET ended_at = ?2 WHERE name = ?1 AND ended_at IS NULL", [name, at])
}

/// Ends all tokens: the database was restored, and whoever held them may not hold them any more.
pub(in crate::store) fn end_all_tokens(db: &Connection) -> rusqlite::Result<()> {
    db.run("DELETE FROM remote_tokens", []).map(drop)
}

fn sessions(
    db: &Connection,
    which: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<RemoteSession>, crate::store::failure::Failure> {
    let sql = format!(
        "SELECT s.id, s.name, s.station, s.rights, s.origin, s.opened_at, max(t.expires_at)
         FROM remote_sessions s {which}"
    );
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(RemoteSession {
            id: row.get(0)?,
            name: row.get(1)?,
            station: row.get(2)?,
            rights: row.get::<_, String>(3)?.parse()?,
            origin: row.get(4)?,
            opened: time(&row.get::<_, String>(5)?)?,
            expires: time(&row.get::<_, String>(6)?)?,
        });
    }
    Ok(found)
}

/// How many tokens of a session may be unpresented: each is a renewal whose reply may have been lost.
const UNPRESENTED: u32 = 8;
