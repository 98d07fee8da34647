//! Reference tables of the server, as last received: rows that the library does not interpret.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tresen_hal::Result;

use super::cached::Cached;
use super::failure::Failure;
use super::{Store, from_json, json, time};
use crate::sync::Table;

/// The tables and their rows.
pub(super) const SCHEMA: &str = "
    CREATE TABLE reference_tables (
        name          TEXT PRIMARY KEY,
        version       INTEGER NOT NULL,
        received_at   TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE reference_rows (
        name          TEXT NOT NULL,
        id            TEXT NOT NULL,
        body          TEXT NOT NULL,
        PRIMARY KEY (name, id)
    ) STRICT, WITHOUT ROWID;
";

/// A reference table as last received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ReferenceTable {
    /// Its name.
    pub name: String,
    /// Its version at the server.
    pub version: i64,
    /// When the till last received or confirmed it.
    pub received_at: Timestamp,
}

/// A row of a reference table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReferenceRow {
    /// Its id, unique within the table.
    pub id: String,
    /// Its content, which the library does not interpret.
    pub body: Value,
}

/// A page of a reference table, in order of the rows' ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ReferencePage {
    /// The table; `None` if it was never received.
    pub table: Option<ReferenceTable>,
    /// The rows.
    pub rows: Vec<ReferenceRow>,
    /// If there may be more rows: the id to continue after.
    pub next: Option<String>,
}

impl Store {
    /// Replaces a table by what the server sent, all rows at once; `None` confirms the rows there are.
    pub(crate) async fn set_reference(&self, name: &str, received: Option<Table>) -> Result<()> {
        let (name, at) = (name.to_owned(), self.now());
        let received = match received {
            Some(table) => {
                let rows = table.rows.into_iter().map(|row| Ok((row.id, json(&row.body)?)));
                Some((table.version, rows.collect::<Result<Vec<_>>>()?))
            }
            None => None,
        };
        self.write(move |db| {
            let Some((version, rows)) = received else {
                db.run("UPDATE reference_tables SET received_at = ?2 WHERE name = ?1", [&name, &at])?;
                return Ok(());
            };
            db.run("DELETE FROM reference_rows WHERE name = ?1", [&name])?;
            // A row that comes twice is the last one.
            let mut row =
                db.prepare_cached("INSERT OR REPLACE INTO reference_rows (name, id, body) VALUES (?1, ?2, ?3)")?;
            for (id, body) in rows {
                row.execute([&name, &id, &body])?;
            }
            db.run(
                "INSERT OR REPLACE INTO reference_tables (name, version, received_at) VALUES (?1, ?2, ?3)",
                params![name, version, at],
            )?;
            Ok(())
        })
        .await
    }

    /// The version of a table as last received.
    pub(crate) async fn reference_table(&self, name: &str) -> Result<Option<ReferenceTable>> {
        let name = name.to_owned();
        self.read(move |db| table(db, name)).await
    }

    /// A page of rows.
    pub(crate) async fn reference(&self, name: &str, after: Option<&str>, limit: u32) -> Result<ReferencePage> {
        let (name, after) = (name.to_owned(), after.unwrap_or_default().to_owned());
        let limit = limit.clamp(1, 10_000);
        self.list(move |db| {
            // Version and rows belong together.
            let read = db.unchecked_transaction()?;
            let mut page = ReferencePage { table: table(&read, name.clone())?, rows: Vec::new(), next: None };
            let mut next = read.prepare_cached(
                "SELECT id, body FROM reference_rows WHERE name = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let mut next = next.query(params![name, after, limit])?;
            while let Some(row) = next.next()? {
                page.rows.push(ReferenceRow { id: row.get(0)?, body: from_json(&row.get::<_, String>(1)?)? });
            }
            if page.rows.len() == limit as usize {
                page.next = page.rows.last().map(|row| row.id.clone());
            }
            Ok(page)
        })
        .await
    }

    /// One row of a reference table.
    pub(crate) async fn reference_row(&self, name: &str, id: &str) -> Result<Option<ReferenceRow>> {
        let (name, id) = (name.to_owned(), id.to_owned());
        self.read(move |db| {
            let mut find = db.prepare_cached("SELECT body FROM reference_rows WHERE name = ?1 AND id = ?2")?;
            let body = find.query_row([&name, &id], |row| row.get::<_, String>(0)).optional()?;
            body.map(|body| Ok(ReferenceRow { id, body: from_json(&body)? })).transpose()
        })
        .await
    }
}

fn table(db: &Connection, name: String) -> Result<Option<ReferenceTable>, Failure> {
    let mut find = db.prepare_cached("SELECT version, received_at FROM reference_tables WHERE name = ?1")?;
    let row = find.query_row([&name], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).optional()?;
    let Some((version, at)) = row else { return Ok(None) };
    Ok(Some(ReferenceTable { name, version, received_at: time(&at)? }))
}
