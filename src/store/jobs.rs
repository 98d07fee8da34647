//! Print jobs in the database: queued with the sale, marked before sending and again afterwards.
//!
//! Every mark names the state and the attempt it follows (compare and set): a mark that comes too late, after a
//! person's decision or another attempt, changes nothing and reports that.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};
use tresen_printers::{Content, Proof};

use super::cached::Cached;
use super::failure::Failure;
use super::listing::{Listed, Query};
use super::threads::Queued;
use super::{Origin, Store, from_json, json, sheets, time};
use crate::spool::Jobs;

/// A print job and its state; the content is read with [`Store::job_content`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SpooledJob {
    /// Its position in the queue.
    pub seq: i64,
    /// The caller's key: the same key is the same job.
    pub id: String,
    /// The name of its route or printer.
    pub route: String,
    /// Its state.
    pub state: JobState,
    /// The number of attempts.
    pub attempt: i64,
    /// An earlier attempt may be on paper; the next one is marked as a copy.
    pub copy: bool,
    /// Which of the copies that its route prints it is, from 1. Each copy is a job of its own; the further ones have the
    /// id of the first with `#2`, `#3` and so on.
    pub sheet: i64,
    /// The number of those copies.
    pub sheets: i64,
    /// The printer it was last sent to.
    pub printer: Option<String>,
    /// The printer's proof that it is on paper.
    pub proof: Option<Proof>,
    /// Why it is waiting, unknown or unreadable.
    pub error: Option<String>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Who requested it.
    pub origin: Origin,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobState {
    /// Nothing was sent; it waits for a printer.
    Queued,
    /// Being sent. After a restart this becomes unknown.
    Printing,
    /// On paper, with proof.
    Printed,
    /// Accepted by a printer that gives no proof.
    Accepted,
    /// It may be on paper. A person decides: [`crate::Printer::reprint`] or [`crate::Printer::cancel`].
    Unknown,
    /// Cancelled by a person.
    Cancelled,
    /// Its content cannot be read, because another version wrote it. Nothing was sent.
    Unreadable,
}

/// The next job of a route, and jobs skipped before it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct NextJob {
    /// The oldest waiting job, and its content.
    pub job: Option<(SpooledJob, Content)>,
    /// Ids of unreadable jobs, with the reason; they are now marked as [`JobState::Unreadable`].
    pub unreadable: Vec<(String, String)>,
}

/// A job to be queued, with its further copies.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    id: String,
    route: String,
    /// The content in its stored form.
    content: String,
    copies: u8,
    origin: Origin,
}

impl NewJob {
    pub(crate) fn new(id: &str, route: &str, content: &Content, copies: u8, origin: &Origin) -> Result<Self> {
        let (id, route, content) = (id.to_owned(), route.to_owned(), json(content)?);
        Ok(Self { id, route, content, copies, origin: origin.clone() })
    }
}

/// An attempt that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// An earlier job broke off at this printer and may have left something on the sheet.
    pub(crate) fresh_sheet: bool,
}

/// The result of an attempt at a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JobEnd {
    /// On paper, with proof.
    Printed(Proof),
    /// Accepted, without proof.
    Accepted,
    /// It may be on paper; with the reason for the doubt.
    Unknown(String),
    /// Nothing was printed and it waits again; with the reason.
    Waits(String),
}

impl Store {
    /// The print jobs, oldest first, without their content.
    pub fn jobs(&self) -> Query<'_, SpooledJob> {
        Query::new(self)
    }

    /// One print job, without its content.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn job(&self, id: &str) -> Result<Option<SpooledJob>> {
        let id = id.to_owned();
        self.read(move |db| {
            let mut find = db.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?;
            let mut rows = find.query([id])?;
            rows.next()?.map(job).transpose()
        })
        .await
    }

    /// The content of a job.
    ///
    /// # Errors
    /// [`Kind::Storage`], also if this version cannot read it.
    pub async fn job_content(&self, id: &str) -> Result<Option<Content>> {
        let id = id.to_owned();
        self.read(move |db| {
            let text: Option<String> =
                db.one("SELECT content FROM jobs WHERE id = ?1", [id], |r| r.get(0)).optional()?;
            text.map(|text| read(&text)).transpose()
        })
        .await
    }

    /// Routes with waiting jobs, and their number.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn waiting_jobs(&self) -> Result<Vec<(String, i64)>> {
        self.read(|db| {
            let mut waiting =
                db.prepare_cached("SELECT route, count(*) FROM jobs WHERE state = 'queued' GROUP BY route")?;
            let rows = waiting.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Queues a job. The same id with the same content and route is the same job and is not queued again.
    ///
    /// # Errors
    /// [`Kind::Storage`]; [`Kind::Input`] for a known id with other content or another route.
    pub(crate) async fn queue(&self, job: NewJob) -> Result<()> {
        let at = self.now();
        self.write(move |db| queue(db, &job, &at)).await
    }

    /// The routes that get print jobs from now on.
    pub(crate) fn queued_jobs(&self) -> Result<Arc<Queued>> {
        Ok(self.writer()?.queued())
    }

    /// Queues a single copy of a job.
    #[cfg(test)]
    pub(crate) async fn queue_job(&self, id: &str, route: &str, content: &Content, origin: &Origin) -> Result<()> {
        self.queue(NewJob::new(id, route, content, 1, origin)?).await
    }

    /// The oldest queued one of these jobs of a route after position `after`, 0 for the first. Unreadable jobs are marked
    /// as such and skipped.
    pub(crate) async fn next_job(&self, route: &str, jobs: &Jobs, after: i64) -> Result<NextJob> {
        let route = route.to_owned();
        let (only, but) = match jobs {
            Jobs::Of(station) => (Some(station.clone()), "[]".to_owned()),
            Jobs::AllBut(stations) => (None, json(stations)?),
        };
        let next = self
            .read(move |db| {
                let mut waiting = db.prepare_cached(&format!(
                    "SELECT {COLUMNS}, content FROM jobs WHERE route = ?1 AND state = 'queued' AND seq > ?2
                     AND (?3 IS NULL OR station = ?3)
                     AND (station IS NULL OR station NOT IN (SELECT value FROM json_each(?4))) ORDER BY seq"
                ))?;
                let mut rows = waiting.query(params![route, after, only, but])?;
                let mut next = NextJob::default();
                while let Some(row) = rows.next()? {
                    match job(row).and_then(|job| Ok((job, read(&row.get::<_, String>(CONTENT)?)?))) {
                        Ok(found) => {
                            next.job = Some(found);
                            break;
                        }
                        Err(why) => next.unreadable.push((row.get(1)?, why.to_string())),
                    }
                }
                Ok(next)
            })
            .await?;
        if !next.unreadable.is_empty() {
            let (unreadable, at) = (next.unreadable.clone(), self.now());
            self.write(move |db| {
                for (id, why) in unreadable {
                    db.execute(
                        "UPDATE jobs SET state = 'unreadable', error = ?2, changed_at = ?3
                         WHERE id = ?1 AND state = 'queued'",
                        params![id, why, at],
                    )?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(next)
    }

    /// Begins the next attempt at a queued job, at a printer; `None` if it is no longer queued, or was begun elsewhere.
    /// The attempt's number is then `job.attempt + 1`. The reason it was waiting is kept.
    pub(crate) async fn begin_job(&self, job: &SpooledJob, printer: &str) -> Result<Option<Begun>> {
        let (id, attempt, printer, at) = (job.id.clone(), job.attempt, printer.to_owned(), self.now());
        self.write(move |db| {
            let begun = db.execute(
                "UPDATE jobs SET state = 'printing', attempt = attempt + 1, printer = ?3, changed_at = ?4
                 WHERE id = ?1 AND state = 'queued' AND attempt = ?2",
                params![id, attempt, printer, at],
            )?;
            Ok(if begun == 1 { Some(Begun { fresh_sheet: sheets::is_begun(db, &printer)? }) } else { None })
        })
        .await
    }

    /// Marks the result of an attempt; false if that attempt is not in progress. Repeating it after a failure is the
    /// same mark.
    pub(crate) async fn end_job(&self, id: &str, attempt: i64, end: &JobEnd) -> Result<bool> {
        let (state, proof, error) = match end {
            JobEnd::Printed(proof) => (JobState::Printed, Some(json(proof)?), None),
            JobEnd::Accepted => (JobState::Accepted, None, None),
            JobEnd::Unknown(why) => (JobState::Unknown, None, Some(why.clone())),
            JobEnd::Waits(why) => (JobState::Queued, None, Some(why.clone())),
        };
        let (id, at) = (id.to_owned(), self.now());
        self.write(move |db| {
            let ended = db.execute(
                "UPDATE jobs SET state = ?3, proof = ?4, error = ?5, changed_at = ?6
                 WHERE id = ?1 AND state = 'printing' AND attempt = ?2",
                params![id, attempt, state.text(), proof, error, at],
            )?;
            match state {
                _ if ended == 0 => {}
                JobState::Unknown => sheets::broken_off(db, &id)?,
                JobState::Queued => {}
                _ => sheets::ended(db, &id)?,
            }
            Ok(ended == 1)
        })
        .await
    }

    /// Records why a queued job is waiting, if the reason is new; true if it was written.
    pub(crate) async fn note_waiting(&self, job: &SpooledJob, why: &str) -> Result<bool> {
        if job.error.as_deref() == Some(why) {
            return Ok(false);
        }
        let (id, attempt, why, at) = (job.id.clone(), job.attempt, why.to_owned(), self.now());
        self.write(move |db| {
            let noted = db.execute(
                "UPDATE jobs SET error = ?3, changed_at = ?4
                 WHERE id = ?1 AND state = 'queued' AND attempt = ?2 AND error IS NOT ?3",
                params![id, attempt, why, at],
            )?;
            Ok(noted == 1)
        })
        .await
    }

    /// Queues a parked job again: the till that has this database open, or opens it next, prints it marked as a copy.
    /// If a till has it open, use [`crate::Printer::reprint`] there.
    ///
    /// # Errors
    /// [`Kind::Input`]: unknown job, or it is not parked. [`Kind::Storage`].
    pub async fn reprint_job(&self, id: &str) -> Result<SpooledJob> {
        let job = self.job(id).await?.ok_or_else(|| no_job(id))?;
        if !self.decide_job(id, JobState::Unknown, JobState::Queued, true).await? {
            let what = format!("print job `{id}` is not parked, it is {}", job.state.text());
            return Err(Error::new(Kind::Input, what));
        }
        Ok(job)
    }

    /// Cancels a waiting or parked job. If a till has this database open, use [`crate::Printer::cancel`] there.
    ///
    /// # Errors
    /// [`Kind::Input`]: unknown job, or it is already printed. [`Kind::Storage`].
    pub async fn cancel_job(&self, id: &str) -> Result<SpooledJob> {
        let job = self.job(id).await?.ok_or_else(|| no_job(id))?;
        for from in [JobState::Queued, JobState::Unknown, JobState::Unreadable] {
            if self.decide_job(id, from, JobState::Cancelled, job.copy).await? {
                return Ok(job);
            }
        }
        let what = format!("print job `{id}` cannot be cancelled, it is {}", job.state.text());
        Err(Error::new(Kind::Input, what))
    }

    /// Changes a job's state from `from` to `to`, as a copy or not; false if it is in another state.
    pub(crate) async fn decide_job(&self, id: &str, from: JobState, to: JobState, copy: bool) -> Result<bool> {
        let (id, at) = (id.to_owned(), self.now());
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE jobs SET state = ?3, copy = ?4, error = NULL, changed_at = ?5 WHERE id = ?1 AND state = ?2",
                params![id, from.text(), to.text(), copy, at],
            )?;
            Ok(changed == 1)
        })
        .await
    }

    /// Moves a waiting or parked job to another route; false if it is in another state. It counts as an attempt, so
    /// that a worker that has read it for the old route cannot begin it.
    pub(crate) async fn move_job(&self, job: &SpooledJob, route: &str) -> Result<bool> {
        let (id, attempt, route, at) = (job.id.clone(), job.attempt, route.to_owned(), self.now());
        self.write(move |db| {
            let moved = db.execute(
                "UPDATE jobs SET route = ?3, attempt = attempt + 1, changed_at = ?4
                 WHERE id = ?1 AND attempt = ?2 AND state IN ('queued', 'unknown')",
                params![id, attempt, route, at],
            )?;
            Ok(moved == 1)
        })
        .await
    }

    /// Jobs that are waiting, printing or parked, oldest first.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn open_jobs(&self) -> Result<Vec<SpooledJob>> {
        self.jobs_in("'queued', 'printing', 'unknown', 'unreadable'").await
    }

    /// Jobs that are waiting or printing, oldest first.
    pub(crate) async fn waiting_papers(&self) -> Result<Vec<SpooledJob>> {
        self.jobs_in("'queued', 'printing'").await
    }

    async fn jobs_in(&self, states: &'static str) -> Result<Vec<SpooledJob>> {
        self.read(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM jobs WHERE state IN ({states}) ORDER BY seq");
            let mut find = db.prepare_cached(&sql)?;
            let mut rows = find.query([])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                jobs.push(job(row)?);
            }
            Ok(jobs)
        })
        .await
    }

    /// Marks jobs that a crash interrupted as unknown; returns their ids. Only for the till that is about to start its
    /// spool.
    pub(crate) async fn park_interrupted_jobs(&self) -> Result<Vec<String>> {
        let at = self.now();
        self.write(move |db| {
            sheets::all_broken_off(db)?;
            let mut park = db.prepare(
                "UPDATE jobs SET state = 'unknown', error = 'the till stopped while it was printing', changed_at = ?1
                 WHERE state = 'printing' RETURNING id",
            )?;
            let ids = park.query_map([at], |r| r.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

/// Parks the waiting jobs of a restored backup, which may have been printed since it was made; returns their number.
pub(super) fn doubt_waiting(db: &Connection, at: &str) -> rusqlite::Result<usize> {
    sheets::all_broken_off(db)?;
    db.execute(
        "UPDATE jobs SET state = 'unknown', error = 'a backup was restored: it may have been printed since',
         changed_at = ?1 WHERE state IN ('queued', 'printing')",
        [at],
    )
}

/// Queues a job and its copies inside the caller's transaction. If the job exists, no copy is added.
pub(super) fn queue(db: &Connection, job: &NewJob, at: &str) -> Result<(), Failure> {
    let NewJob { id, route, content, copies, origin } = job;
    let mut insert = db.prepare_cached(
        "INSERT INTO jobs (id, route, content, state, sheet, sheets, queued_at, changed_at, station, source, operator)
         VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
    )?;
    let mut insert = |id: &str, sheet: u8| {
        insert.execute(params![id, route, content, sheet, copies, at, origin.station, origin.source, origin.operator])
    };
    let taken = |id: &str| {
        Error::new(Kind::Input, format!("print job `{id}` exists with another content or route"))
            .hint("use a separate id for each job")
    };
    if insert(id, 1)? == 0 {
        let same: bool = db.query_row(
            "SELECT route = ?2 AND content = ?3 FROM jobs WHERE id = ?1",
            params![id, route, content],
            |r| r.get(0),
        )?;
        return if same { Ok(()) } else { Err(taken(id).into()) };
    }
    for sheet in 2..=*copies {
        let copy = format!("{id}#{sheet}");
        if insert(&copy, sheet)? == 0 {
            return Err(taken(&copy).into());
        }
    }
    Ok(())
}

fn read(text: &str) -> Result<Content, Failure> {
    // The version first: newer content may have a different structure.
    let Version { v } = from_json(text)?;
    if v != Content::VERSION {
        let reads = Content::VERSION;
        return Err(Failure::row(format!("its content has version {v}, this tresen reads {reads}")));
    }
    from_json(text)
}

impl Listed for SpooledJob {
    const SQL: &'static str =
        "SELECT seq, id, route, state, attempt, copy, printer, proof, error, queued_at, changed_at,
        station, source, operator, sheet, sheets FROM jobs WHERE seq > ?1 ORDER BY seq LIMIT ?2";

    fn read(row: &Row<'_>) -> std::result::Result<Self, String> {
        job(row).map_err(|e| e.to_string())
    }
}

/// The error for an unknown id.
pub(crate) fn no_job(id: &str) -> Error {
    Error::new(Kind::Input, format!("unknown print job `{id}`"))
}

fn job(row: &Row<'_>) -> Result<SpooledJob, Failure> {
    let state: String = row.get(3)?;
    let proof: Option<String> = row.get(7)?;
    Ok(SpooledJob {
        seq: row.get(0)?,
        id: row.get(1)?,
        route: row.get(2)?,
        state: from_json(&format!("\"{state}\""))?,
        attempt: row.get(4)?,
        copy: row.get(5)?,
        printer: row.get(6)?,
        proof: proof.map(|p| from_json(&p)).transpose()?,
        error: row.get(8)?,
        queued_at: time(&row.get::<_, String>(9)?)?,
        changed_at: time(&row.get::<_, String>(10)?)?,
        origin: Origin::read(row, 11)?,
        sheet: row.get(14)?,
        sheets: row.get(15)?,
    })
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
            Self::Unreadable => "unreadable",
        }
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Version {
    v: u32,
}

pub(super) const COLUMNS: &str =
    "seq, id, route, state, attempt, copy, printer, proof, error, queued_at, changed_at, station, source, operator, sheet,
     sheets";
/// The column of `content`, when selected after [`COLUMNS`].
const CONTENT: usize = 16;
