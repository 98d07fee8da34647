//! Steps of sales by the keys of those who took them: the same key is the same step, also after a restart of the till.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tresen_hal::{Effect, Error, Kind, Result, Retry};

use super::cached::Cached;
use super::failure::Failure;
use super::{Store, json};

/// The table, part of the first migration.
pub(super) const SCHEMA: &str = "
    -- Steps of sales that were taken under a key of their caller.
    CREATE TABLE steps (
        key           TEXT PRIMARY KEY,
        sale          TEXT NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
        -- SHA-256 of the command and its fields: the same key with another content is refused.
        content       BLOB NOT NULL,
        -- The attempt to pay that the step began.
        tender        TEXT
    ) STRICT;
    CREATE INDEX steps_sale ON steps (sale);
";

/// The key of a step, and what tells its content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepKey {
    key: String,
    content: [u8; 32],
}

/// A step that was taken before under the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepTaken {
    /// The key of the attempt to pay that it began.
    pub(crate) tender: Option<String>,
}

impl StepKey {
    /// The step `command` under `key`. The revision known to the caller and who takes the step are no part of the
    /// content: they may differ when it is repeated.
    ///
    /// # Errors
    /// [`Kind::Input`]: the key is empty or too long.
    pub(crate) fn new(command: &str, key: &str, fields: &impl Serialize) -> Result<Self> {
        if key.is_empty() || key.len() > LONGEST_KEY {
            let what = format!("`{command}`: field `key`: it has {} bytes; expected 1 to {LONGEST_KEY}", key.len());
            return Err(Error::new(Kind::Input, what));
        }
        let mut fields = serde_json::to_value(fields)
            .map_err(|error| Error::new(Kind::Input, format!("`{command}` cannot be written")).because(error))?;
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|name, _| !["key", "rev", "by"].contains(&name.as_str()));
        }
        let content = Sha256::new().chain_update(json(&(command, fields))?).finalize().into();
        Ok(Self { key: key.to_owned(), content })
    }
}

impl Store {
    /// The step of a sale that was taken under this key.
    ///
    /// # Errors
    /// [`Kind::Input`]: the key is that of another step. [`Kind::Storage`].
    pub(crate) async fn step_taken(&self, sale: &str, step: &StepKey) -> Result<Option<StepTaken>> {
        let (sale, step) = (sale.to_owned(), step.clone());
        self.read(move |db| taken(db, &sale, &step)).await
    }
}

/// Writes a step, in the transaction that takes it.
pub(super) fn take(db: &Connection, sale: &str, step: &StepKey) -> Result<(), Failure> {
    if taken(db, sale, step)?.is_some() {
        let what = format!("the step under the key `{}` has just been taken", step.key);
        let error = Error::new(Kind::Busy, what).with_effect(Effect::None).with_retry(Retry::Now);
        return Err(error.hint("ask again under the same key").into());
    }
    db.run(
        "INSERT OR REPLACE INTO steps (key, sale, content) VALUES (?1, ?2, ?3)",
        params![step.key, sale, step.content],
    )?;
    Ok(())
}

/// Writes which attempt to pay a step has begun.
pub(super) fn begun(db: &Connection, step: &StepKey, tender: &str) -> rusqlite::Result<()> {
    db.run("UPDATE steps SET tender = ?2 WHERE key = ?1", [&step.key, tender]).map(drop)
}

/// An attempt that was certainly never sent is none: the step may be taken under its key, as if for the first time.
fn taken(db: &Connection, sale: &str, step: &StepKey) -> Result<Option<StepTaken>, Failure> {
    let mut find = db.prepare_cached(
        "SELECT steps.sale, content, tender FROM steps LEFT JOIN tenders ON tenders.key = tender
         WHERE steps.key = ?1 AND NOT (coalesce(tenders.kind, '') = 'card' AND tenders.state = 'refused'
             AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.id = tender))",
    )?;
    let known = find.query_row([&step.key], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, Option<String>>(2)?))
    });
    match known.optional()? {
        None => Ok(None),
        Some((of, content, tender)) if of == sale && content == step.content => Ok(Some(StepTaken { tender })),
        Some(_) => {
            let error = Error::new(Kind::Input, format!("the key `{}` belongs to another step", step.key));
            Err(error.hint("choose a new key for a new step").into())
        }
    }
}

/// Of a step's key, in bytes.
const LONGEST_KEY: usize = 300;
