//! The payment journal in the database.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use tresen_hal::{BoxFuture, Error, Kind, Result};
use tresen_payment::{Charge, Entry, Intent, IntentId, Journal, Payment, Reference};

use super::{Store, from_json, json};

/// One line of the append-only journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// Its number; grows by one.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// What kind: `intent`, `approved`, `charged`, `not-charged`, `unknown`.
    pub kind: String,
    /// The intent's id.
    pub key: String,
}

impl Store {
    /// The journal from the beginning, without its bodies.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn journal(&self) -> Result<Vec<JournalEntry>> {
        self.call(|db| {
            let mut lines = db.prepare_cached("SELECT seq, at, kind, key FROM journal ORDER BY seq")?;
            let entry =
                |r: &Row<'_>| Ok(JournalEntry { seq: r.get(0)?, at: r.get(1)?, kind: r.get(2)?, key: r.get(3)? });
            lines.query_map([], entry)?.collect()
        })
        .await
    }

    /// All payments, in the order in which they were meant.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn payments(&self) -> Result<Vec<Entry>> {
        self.call(|db| {
            db.prepare_cached("SELECT intent, approved, result FROM intents ORDER BY rowid")?
                .query_map([], entry)?
                .collect()
        })
        .await
    }

    /// Writes what became of an intent, and a line in the journal, in one commit.
    async fn change(&self, id: &IntentId, kind: &'static str, body: String, update: &'static str) -> Result<()> {
        let (id, at) = (id.0.clone(), self.clock.wall().to_string());
        let known = self
            .call({
                let id = id.clone();
                move |db| {
                    let write = db.transaction()?;
                    let known = write.execute(update, params![id, kind, body])?;
                    if known == 1 {
                        append(&write, &at, kind, &id, &body)?;
                    }
                    write.commit()?;
                    Ok(known == 1)
                }
            })
            .await?;
        if known { Ok(()) } else { Err(Error::new(Kind::Storage, format!("the journal has no intent `{id}`"))) }
    }

    fn body<T: Serialize>(&self, value: &T) -> Result<String> {
        json(value).map_err(|e| super::failed(e, &self.path))
    }
}

impl Journal for Store {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (id, terminal, amount) = (intent.id.0.clone(), intent.terminal.clone(), intent.amount.to_string());
            let (meant_at, at, body) = (intent.at.to_string(), self.clock.wall().to_string(), self.body(intent)?);
            let new = self
                .call(move |db| {
                    let write = db.transaction()?;
                    let new = write.execute(
                        "INSERT INTO intents (id, terminal, amount, at, state, intent) VALUES (?1, ?2, ?3, ?4, 'open', ?5)
                         ON CONFLICT (id) DO NOTHING",
                        params![id, terminal, amount, meant_at, body],
                    )?;
                    if new == 1 {
                        append(&write, &at, "intent", &id, &body)?;
                    }
                    write.commit()?;
                    Ok(new == 1)
                })
                .await?;
            if new {
                return Ok(());
            }
            Err(Error::new(Kind::Input, format!("the journal already has an intent `{}`", intent.id.0))
                .hint("each payment needs a key of its own"))
        })
    }

    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let body = self.body(charge)?;
            self.change(id, "approved", body, "UPDATE intents SET state = ?2, approved = ?3 WHERE id = ?1").await
        })
    }

    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let state = match payment {
                Payment::Charged(_) => "charged",
                Payment::NotCharged(_) => "not-charged",
                Payment::Unknown(_) => "unknown",
            };
            let body = self.body(payment)?;
            self.change(id, state, body, "UPDATE intents SET state = ?2, result = ?3 WHERE id = ?1").await
        })
    }

    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(async move {
            let id = id.0.clone();
            self.call(move |db| {
                db.query_row("SELECT intent, approved, result FROM intents WHERE id = ?1", [id], entry).optional()
            })
            .await
        })
    }

    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        Box::pin(async move {
            let terminal = terminal.to_owned();
            self.call(move |db| {
                let mut open = db.prepare_cached(
                    "SELECT intent FROM intents WHERE terminal = ?1 AND state NOT IN ('charged', 'not-charged') ORDER BY rowid",
                )?;
                let intents = open.query_map([terminal], |r| r.get::<_, String>(0))?;
                intents.map(|text| from_json(&text?)).collect()
            })
            .await
        })
    }

    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        Box::pin(async move {
            let terminal = terminal.to_owned();
            let last: Option<String> = self
                .call(move |db| {
                    db.query_row(
                        "SELECT result FROM intents WHERE terminal = ?1 AND state = 'charged' ORDER BY rowid DESC LIMIT 1",
                        [terminal],
                        |r| r.get(0),
                    )
                    .optional()
                })
                .await?;
            let last: Option<Payment> =
                last.map(|text| from_json(&text)).transpose().map_err(|e| super::failed(e, &self.path))?;
            Ok(last.and_then(|payment| match payment {
                Payment::Charged(charge) => Reference::of(&charge),
                _ => None,
            }))
        })
    }
}

fn append(write: &rusqlite::Transaction<'_>, at: &str, kind: &str, key: &str, body: &str) -> rusqlite::Result<()> {
    write
        .execute("INSERT INTO journal (at, kind, key, body) VALUES (?1, ?2, ?3, ?4)", params![at, kind, key, body])
        .map(|_| ())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let some = |at: usize| row.get::<_, Option<String>>(at);
    Ok(Entry::new(
        from_json(&row.get::<_, String>(0)?)?,
        some(1)?.map(|text| from_json(&text)).transpose()?,
        some(2)?.map(|text| from_json(&text)).transpose()?,
    ))
}
