//! Enrolled clients and their certificates.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use super::audit::{self, AuditNote};
use crate::api::Grants;
use crate::store::cached::Cached;
use crate::store::failure::Failure;
use crate::store::{Store, stamp, time};

/// A client to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClient {
    /// Its name, unique among clients and sessions that may connect.
    pub name: String,
    /// The station that it works as: [`Origin::station`](crate::Origin).
    pub station: Option<String>,
    /// What it may do.
    pub rights: Grants,
    /// SHA-256 of its certificate, 64 lowercase hex digits.
    pub fingerprint: String,
    /// When the certificate ends.
    pub expires: Timestamp,
}

/// An enrolled client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RemoteClient {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The station that it works as.
    pub station: Option<String>,
    /// What it may do.
    pub rights: Grants,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// When its newest certificate ends.
    pub expires: Timestamp,
    /// When it was revoked, and why.
    pub revoked: Option<(Timestamp, String)>,
}

impl Store {
    /// Enrols a client and records that in the audit table.
    ///
    /// # Errors
    /// [`Kind::Input`]: a client of this name is enrolled already. [`Kind::Storage`].
    pub async fn add_remote_client(&self, new: NewClient, note: AuditNote) -> Result<RemoteClient> {
        let at = self.now();
        self.write(move |db| {
            name_is_free(db, &new.name)?;
            db.run(
                "INSERT INTO remote_clients (name, station, rights, enrolled_at) VALUES (?1, ?2, ?3, ?4)",
                params![new.name, new.station, new.rights.to_string(), at],
            )?;
            let id = db.last_insert_rowid();
            certify(db, id, &new.fingerprint, &at, new.expires)?;
            audit::append(db, &at, &note)?;
            let client = db.prepare_cached(&select("WHERE c.id = ?1"))?.query_row([id], read)?;
            client.into_client()
        })
        .await
    }

    /// Whether no client of this name may connect.
    ///
    /// # Errors
    /// [`Kind::Input`]: the name is in use. [`Kind::Storage`].
    pub async fn remote_name_is_free(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.read(move |db| name_is_free(db, &name)).await
    }

    /// All clients, revoked ones too, in the order of their enrolment.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn remote_clients(&self) -> Result<Vec<RemoteClient>> {
        self.list(|db| {
            let mut query = db.prepare_cached(&select("ORDER BY c.id"))?;
            let rows = query.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
            rows.into_iter().map(Stored::into_client).collect()
        })
        .await
    }

    /// The client with this certificate, and when that certificate ends; `None` for a certificate that nobody enrolled
    /// has.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn remote_client_with(&self, fingerprint: &str) -> Result<Option<(RemoteClient, Timestamp)>> {
        let fingerprint = fingerprint.to_owned();
        self.read(move |db| {
            let known = "SELECT client, expires_at FROM remote_certificates WHERE fingerprint = ?1";
            let known = db.one(known, [&fingerprint], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
            let Some((id, expires)) = known.optional()? else { return Ok(None) };
            let client = db.prepare_cached(&select("WHERE c.id = ?1"))?.query_row([id], read)?;
            Ok(Some((client.into_client()?, time(&expires)?)))
        })
        .await
    }

    /// Adds a renewed certificate. The earlier ones of the client end after `overlap`, at the latest: the client may be
    /// switched off before it has written the new one.
    ///
    /// # Errors
    /// [`Kind::Refused`]: the client was revoked. [`Kind::Storage`].
    pub async fn renew_remote_client(
        &self,
        client: &str,
        fingerprint: &str,
        expires: Timestamp,
        overlap: Timestamp,
        note: AuditNote,
    ) -> Result<()> {
        let (client, fingerprint, at) = (client.to_owned(), fingerprint.to_owned(), self.now());
        self.write(move |db| {
            let id = "SELECT id FROM remote_clients WHERE name = ?1 AND revoked_at IS NULL";
            let id = db.one(id, [&client], |row| row.get::<_, i64>(0)).optional()?;
            let id = id.ok_or_else(|| Error::new(Kind::Refused, "the client was revoked").at(&client))?;
            db.run(
                "UPDATE remote_certificates SET expires_at = min(expires_at, ?2) WHERE client = ?1",
                params![id, stamp(overlap)],
            )?;
            certify(db, id, &fingerprint, &at, expires)?;
            audit::append(db, &at, &note)?;
            Ok(())
        })
        .await
    }

    /// Revokes a client, or ends a session, by name; `false` if there is none that may connect. The audit table gets
    /// the note in the same transaction.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn revoke_remote(&self, name: &str, why: &str, note: AuditNote) -> Result<bool> {
        let (name, why, at) = (name.to_owned(), why.to_owned(), self.now());
        let store = self.clone();
        let revoking = async move {
            let revoked = store.write(move |db| {
                let clients = db.run(
                "UPDATE remote_clients SET revoked_at = ?2, revoked_why = ?3 WHERE name = ?1 AND revoked_at IS NULL",
                params![name, at, why],
            )?;
                let sessions = super::sessions::end(db, &name, &at)?;
                if clients + sessions == 0 {
                    return Ok(false);
                }
                audit::append(db, &at, &note)?;
                Ok(true)
            });
            let revoked = revoked.await?;
            if revoked {
                store.withdraw();
            }
            Ok(revoked)
        };
        super::to_the_end(revoking).await
    }
}

/// A row, before its texts are read.
struct Stored {
    client: RemoteClientRow,
    rights: String,
    times: [Option<String>; 3],
}

struct RemoteClientRow {
    id: i64,
    name: String,
    station: Option<String>,
    why: Option<String>,
}

impl Stored {
    fn into_client(self) -> Result<RemoteClient, Failure> {
        let RemoteClientRow { id, name, station, why } = self.client;
        let [enrolled, expires, revoked] = self.times;
        let enrolled = time(&enrolled.unwrap_or_default())?;
        let expires = time(&expires.unwrap_or_default())?;
        let revoked = match revoked {
            Some(at) => Some((time(&at)?, why.unwrap_or_default())),
            None => None,
        };
        let rights = self.rights.parse()?;
        Ok(RemoteClient { id, name, station, rights, enrolled, expires, revoked })
    }
}

fn select(which: &str) -> String {
    format!(
        "SELECT c.id, c.name, c.station, c.revoked_why, c.rights, c.enrolled_at, c.revoked_at,
                (SELECT max(expires_at) FROM remote_certificates WHERE client = c.id)
         FROM remote_clients c {which}"
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let client = RemoteClientRow { id: row.get(0)?, name: row.get(1)?, station: row.get(2)?, why: row.get(3)? };
    Ok(Stored { client, rights: row.get(4)?, times: [row.get(5)?, row.get(7)?, row.get(6)?] })
}

fn name_is_free(db: &Connection, name: &str) -> Result<(), Failure> {
    let session = "SELECT EXISTS (SELECT 1 FROM remote_sessions WHERE name = ?1 AND ended_at IS NULL)";
    if db.one(session, [name], |row| row.get::<_, bool>(0))? {
        let error = Error::new(Kind::Input, format!("a session `{name}` is open"));
        return Err(error.hint("choose another name, or end that session first: `tresen revoke`").into());
    }
    let taken = "SELECT EXISTS (SELECT 1 FROM remote_clients WHERE name = ?1 AND revoked_at IS NULL)";
    if db.one(taken, [name], |row| row.get::<_, bool>(0))? {
        let error = Error::new(Kind::Input, format!("a client `{name}` is enrolled already"));
        return Err(error.hint("choose another name, or revoke that client first: `tresen revoke`").into());
    }
    Ok(())
}

fn certify(db: &Connection, id: i64, fingerprint: &str, at: &str, expires: Timestamp) -> Result<(), Failure> {
    db.run(
        "INSERT INTO remote_certificates (fingerprint, client, issued_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![fingerprint, id, at, stamp(expires)],
    )?;
    Ok(())
}
