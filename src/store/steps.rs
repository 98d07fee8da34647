//! Steps of sales by the keys of those who took them: the same key is the same step, also after a restart of the till.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tresen_hal::{Effect, Error, Kind, Result, Retry};

use super::cached::Cached;
use super::failure::Failure;
use super::{Store, json};
use crate::api::sale::CIRCUMSTANCES;

/// The table, part of the first migration.
pub(super) const SCHEMA: &str = "
    -- Steps of sales that were taken under a key of their caller.
    CREATE TABLE steps (
        key           TEXT PRIMARY KEY,
        sale          TEXT NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
        -- The command and its fields as JSON: the same key with another content is refused.
        content       BLOB NOT NULL,
        -- The attempt to pay that the step began.
        tender        TEXT
    ) STRICT;
    CREATE INDEX steps_sale ON steps (sale);
";

/// The key of a step, and what tells its content from another.
#[derive(Debug, Clone)]
pub(crate) struct StepKey {
    key: String,
    command: &'static str,
    /// Command and fields as JSON.
    content: Vec<u8>,
    /// Stored fields as this version of the till writes them; `None` if it cannot read them.
    rewrite: fn(Value) -> Option<Value>,
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
    pub(crate) fn new<C>(command: &'static str, key: &str, fields: &C) -> Result<Self>
    where
        C: Serialize + DeserializeOwned,
    {
        if key.is_empty() || key.len() > LONGEST_KEY {
            let what = format!("`{command}`: field `key`: it has {} bytes; expected 1 to {LONGEST_KEY}", key.len());
            return Err(Error::new(Kind::Input, what));
        }
        let fields = serde_json::to_value(fields)
            .map_err(|error| Error::new(Kind::Input, format!("`{command}` cannot be written")).because(error))?;
        let rewrite = |fields| serde_json::to_value(serde_json::from_value::<C>(fields).ok()?).ok();
        Ok(Self { key: key.to_owned(), command, content: content(command, fields)?, rewrite })
    }

    /// Whether this content was stored for the same step. Another version of the till may have written fewer fields or
    /// more: it is compared as this version reads it. What this version cannot read, it cannot compare; then the key
    /// alone tells, because a new key could charge a second time.
    fn is_content(&self, stored: &[u8]) -> bool {
        if stored == self.content {
            return true;
        }
        let Ok((command, fields)) = serde_json::from_slice::<(String, Value)>(stored) else { return true };
        let rewritten = (self.rewrite)(fields).and_then(|fields| content(self.command, fields).ok());
        command == self.command && rewritten.is_none_or(|rewritten| rewritten == self.content)
    }
}

/// A command and what its fields say, as JSON.
fn content(command: &str, mut fields: Value) -> Result<Vec<u8>> {
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| name != "key" && !CIRCUMSTANCES.contains(&name.as_str()));
    }
    json(&(command, fields)).map(String::into_bytes)
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

    /// Whether something is stored under a key of a caller: a transaction of a terminal, a print job, a sale, or a step
    /// of one.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub(crate) async fn knows_key(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.read(move |db| {
            let sql = format!(
                "SELECT EXISTS (SELECT 1 FROM intents WHERE id = ?1) OR EXISTS (SELECT 1 FROM jobs WHERE id = ?1)
                 OR EXISTS (SELECT 1 FROM sales WHERE id = ?1) OR EXISTS (SELECT 1 {TAKEN})"
            );
            Ok(db.one(&sql, [&key], |row| row.get(0))?)
        })
        .await
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

fn taken(db: &Connection, sale: &str, step: &StepKey) -> Result<Option<StepTaken>, Failure> {
    let mut find = db.prepare_cached(&format!("SELECT steps.sale, content, tender {TAKEN}"))?;
    let known = find.query_row([&step.key], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<String>>(2)?))
    });
    match known.optional()? {
        None => Ok(None),
        Some((of, content, tender)) if of == sale && step.is_content(&content) => Ok(Some(StepTaken { tender })),
        Some(_) => {
            let error = Error::new(Kind::Input, format!("the key `{}` belongs to another step", step.key));
            Err(error.hint("choose a new key for a new step").into())
        }
    }
}

/// Of a step's key, in bytes.
const LONGEST_KEY: usize = 300;

/// The step under a key. An attempt that was certainly never sent is none: the step may be taken under its key, as if for
/// the first time.
const TAKEN: &str = "FROM steps LEFT JOIN tenders ON tenders.key = tender
    WHERE steps.key = ?1 AND NOT (coalesce(tenders.kind, '') = 'card' AND tenders.state = 'refused'
        AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.id = tender))";

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// A step as this version of the till writes it.
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Step {
        line: String,
        #[serde(default)]
        group: Option<String>,
        #[serde(default)]
        rev: Option<i64>,
    }

    fn step(line: &str, group: Option<&str>) -> StepKey {
        let step = Step { line: line.into(), group: group.map(str::to_owned), rev: Some(7) };
        StepKey::new("sale.add", "a", &step).expect("a key")
    }

    /// The database of a till that has taken the step `a` of the sale `s`.
    fn after(stored: &[u8]) -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let db = super::super::schema::open(&folder.path().join("till.db"), "till").expect("opens");
        db.pragma_update(None, "foreign_keys", false).expect("set");
        db.execute("INSERT INTO steps (key, sale, content) VALUES ('a', 's', ?1)", [stored]).expect("written");
        (folder, db)
    }

    fn again(stored: &Value, step: &StepKey) -> Result<bool, String> {
        let (_folder, db) = after(stored.to_string().as_bytes());
        match taken(&db, "s", step) {
            Ok(known) => Ok(known.is_some()),
            Err(Failure::Refused(error)) => Err(error.what().to_owned()),
            Err(_) => Err("the database".to_owned()),
        }
    }

    #[test]
    fn a_step_that_a_version_with_fewer_fields_has_stored_is_the_same() {
        let stored = json!(["sale.add", { "line": "Tea" }]);
        assert_eq!(again(&stored, &step("Tea", None)), Ok(true));
        for other in [step("Coffee", None), step("Tea", Some("kitchen"))] {
            assert!(again(&stored, &other).is_err(), "another content");
        }
        let other = json!(["sale.add-tip", { "line": "Tea" }]);
        assert!(again(&other, &step("Tea", None)).is_err(), "another command");
    }

    #[test]
    fn a_step_that_this_version_cannot_read_is_known_by_its_key() {
        let newer = json!(["sale.add", { "line": "Tea", "colour": "green" }]);
        assert_eq!(again(&newer, &step("Tea", None)), Ok(true));
        let (_folder, db) = after(&[0x5b; 32]);
        assert!(taken(&db, "s", &step("Tea", None)).is_ok_and(|known| known.is_some()), "a hash");
        assert!(taken(&db, "other", &step("Tea", None)).is_err(), "of another sale");
    }
}
