//! Print jobs in the database: queued with the sale, marked before they are sent, marked after.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};
use tresen_printers::{Proof, Receipt};

use super::{Store, from_json, json};

/// A print job and how far it came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpooledJob {
    /// The caller's key: the same key is the same piece of paper.
    pub id: String,
    /// Where it goes: the name of a route or printer.
    pub route: String,
    /// What to print.
    #[serde(skip)]
    pub receipt: Receipt,
    /// How far it came.
    pub state: JobState,
    /// An earlier attempt may be on paper; the next one says so.
    pub copy: bool,
    /// The printer it was last sent to.
    pub printer: Option<String>,
    /// The printer's proof that it is on paper.
    pub proof: Option<Proof>,
    /// Why it waits or is unknown.
    pub error: Option<String>,
    /// When it was queued, RFC 3339.
    pub queued_at: String,
}

/// How far a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Nothing of it was sent; it waits for a printer.
    Queued,
    /// It is being sent. After a restart this means unknown.
    Printing,
    /// On paper, with proof.
    Printed,
    /// Taken by a printer that gives no proof.
    Accepted,
    /// It may be on paper. A person decides: [`crate::Printer::reprint`] or [`crate::Printer::cancel`].
    Unknown,
    /// Given up by a person.
    Cancelled,
}

impl JobState {
    fn text(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Printing => "printing",
            Self::Printed => "printed",
            Self::Accepted => "accepted",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
        }
    }
}

const COLUMNS: &str = "id, route, receipt, state, copy, printer, proof, error, queued_at";

fn job(row: &Row<'_>) -> rusqlite::Result<SpooledJob> {
    let text: String = row.get(2)?;
    let state: String = row.get(3)?;
    let proof: Option<String> = row.get(6)?;
    Ok(SpooledJob {
        id: row.get(0)?,
        route: row.get(1)?,
        receipt: from_json(&text)?,
        state: from_json(&format!("\"{state}\""))?,
        copy: row.get(4)?,
        printer: row.get(5)?,
        proof: proof.map(|p| from_json(&p)).transpose()?,
        error: row.get(7)?,
        queued_at: row.get(8)?,
    })
}

impl Store {
    /// All print jobs, oldest first.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn jobs(&self) -> Result<Vec<SpooledJob>> {
        self.call(|db| {
            db.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs ORDER BY seq"))?.query_map([], job)?.collect()
        })
        .await
    }

    /// One print job.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn job(&self, id: &str) -> Result<Option<SpooledJob>> {
        let id = id.to_owned();
        self.call(move |db| db.query_row(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"), [id], job).optional())
            .await
    }

    /// Queues a job. The same id with the same receipt and route is the same job and is not queued
    /// again.
    ///
    /// # Errors
    /// [`Kind::Storage`]; [`Kind::Input`] for a known id with another receipt or route.
    pub(crate) async fn queue_job(&self, id: &str, route: &str, receipt: &Receipt) -> Result<()> {
        let at = self.clock.wall().to_string();
        let (key, to, body) =
            (id.to_owned(), route.to_owned(), json(receipt).map_err(|e| super::failed(e, &self.path))?);
        let same = self
            .call(move |db| {
                let write = db.transaction()?;
                write.execute(
                    "INSERT INTO jobs (id, route, receipt, state, queued_at, changed_at)
                     VALUES (?1, ?2, ?3, 'queued', ?4, ?4) ON CONFLICT (id) DO NOTHING",
                    params![key, to, body, at],
                )?;
                let same: bool = write.query_row(
                    "SELECT route = ?2 AND receipt = ?3 FROM jobs WHERE id = ?1",
                    params![key, to, body],
                    |r| r.get(0),
                )?;
                write.commit()?;
                Ok(same)
            })
            .await?;
        if same {
            return Ok(());
        }
        Err(Error::new(Kind::Input, format!("print job `{id}` exists with another content or route"))
            .hint("give each piece of paper its own id"))
    }

    /// The oldest queued job of a route.
    pub(crate) async fn next_job(&self, route: &str) -> Result<Option<SpooledJob>> {
        let route = route.to_owned();
        self.call(move |db| {
            let oldest =
                format!("SELECT {COLUMNS} FROM jobs WHERE route = ?1 AND state = 'queued' ORDER BY seq LIMIT 1");
            db.query_row(&oldest, [route], job).optional()
        })
        .await
    }

    /// Marks a queued job as being printed; false if it is not queued any more. Why it waited so far
    /// stays beside it.
    pub(crate) async fn begin_job(&self, id: &str, printer: &str) -> Result<bool> {
        let (id, printer, at) = (id.to_owned(), printer.to_owned(), self.clock.wall().to_string());
        self.call(move |db| {
            let begun = db.execute(
                "UPDATE jobs SET state = 'printing', printer = ?2, changed_at = ?3 WHERE id = ?1 AND state = 'queued'",
                params![id, printer, at],
            )?;
            Ok(begun == 1)
        })
        .await
    }

    /// Marks how far a job came.
    pub(crate) async fn mark_job(
        &self,
        id: &str,
        state: JobState,
        printer: Option<&str>,
        proof: Option<&Proof>,
        error: Option<&str>,
    ) -> Result<()> {
        let at = self.clock.wall().to_string();
        let proof = proof.map(json).transpose().map_err(|e| super::failed(e, &self.path))?;
        let (id, printer, error) = (id.to_owned(), printer.map(str::to_owned), error.map(str::to_owned));
        self.call(move |db| {
            db.execute(
                "UPDATE jobs SET state = ?2, printer = coalesce(?3, printer), proof = ?4, error = ?5, changed_at = ?6
                 WHERE id = ?1",
                params![id, state.text(), printer, proof, error, at],
            )
            .map(|_| ())
        })
        .await
    }

    /// Moves a job from `from` to `to`, as a copy or not; false if it is in another state.
    pub(crate) async fn decide_job(&self, id: &str, from: JobState, to: JobState, copy: bool) -> Result<bool> {
        let (id, at) = (id.to_owned(), self.clock.wall().to_string());
        self.call(move |db| {
            let changed = db.execute(
                "UPDATE jobs SET state = ?3, copy = ?4, error = NULL, changed_at = ?5 WHERE id = ?1 AND state = ?2",
                params![id, from.text(), to.text(), copy, at],
            )?;
            Ok(changed == 1)
        })
        .await
    }

    /// What a crash left in the middle of printing becomes unknown; returns those jobs' ids.
    pub(crate) async fn park_interrupted_jobs(&self) -> Result<Vec<String>> {
        let at = self.clock.wall().to_string();
        self.call(move |db| {
            let mut park = db.prepare(
                "UPDATE jobs SET state = 'unknown', error = 'the till stopped while it was printing', changed_at = ?1
                 WHERE state = 'printing' RETURNING id",
            )?;
            park.query_map([at], |r| r.get(0))?.collect()
        })
        .await
    }
}
