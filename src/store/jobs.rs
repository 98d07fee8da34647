//! Print jobs in the database: queued with the sale, marked before they are sent, marked after.
//!
//! Every mark names the state and the attempt that it follows (compare and set): a mark that comes too
//! late, after a person's decision or another attempt, changes nothing and says so.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};
use tresen_printers::{Content, Proof};

use super::failure::Failure;
use super::listing::{Listed, Query};
use super::{Origin, Store, from_json, json, time};

/// A print job and how far it came; what it prints is read with [`Store::job_content`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpooledJob {
    /// Its place in the queue.
    pub seq: i64,
    /// The caller's key: the same key is the same piece of paper.
    pub id: String,
    /// Where it goes: the name of a route or printer.
    pub route: String,
    /// How far it came.
    pub state: JobState,
    /// How many times it was begun.
    pub attempt: i64,
    /// An earlier attempt may be on paper; the next one says so.
    pub copy: bool,
    /// The printer it was last sent to.
    pub printer: Option<String>,
    /// The printer's proof that it is on paper.
    pub proof: Option<Proof>,
    /// Why it waits, is unknown or unreadable.
    pub error: Option<String>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// Who asked for it.
    pub origin: Origin,
}

/// How far a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
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
    /// Its content cannot be read, because another version wrote it. Nothing of it was sent.
    Unreadable,
}

/// The next job of a route, and those that had to be left out on the way to it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct NextJob {
    /// The oldest that waits, and what it prints.
    pub job: Option<(SpooledJob, Content)>,
    /// Ids of jobs that cannot be read, and why; they are marked as [`JobState::Unreadable`] by now.
    pub unreadable: Vec<(String, String)>,
}

/// How an attempt at a job ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JobEnd {
    /// On paper, with proof.
    Printed(Proof),
    /// Taken, without proof.
    Accepted,
    /// It may be on paper, and why that is not known.
    Unknown(String),
    /// Nothing came out; it waits again, and why.
    Waits(String),
}

impl Store {
    /// The print jobs, oldest first, without what they print.
    pub fn jobs(&self) -> Query<'_, SpooledJob> {
        Query::new(self)
    }

    /// One print job, without what it prints.
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

    /// What a job prints.
    ///
    /// # Errors
    /// [`Kind::Storage`], also if this version cannot read it.
    pub async fn job_content(&self, id: &str) -> Result<Option<Content>> {
        let id = id.to_owned();
        self.read(move |db| {
            let text: Option<String> =
                db.query_row("SELECT content FROM jobs WHERE id = ?1", [id], |r| r.get(0)).optional()?;
            text.map(|text| read(&text)).transpose()
        })
        .await
    }

    /// Routes for which jobs wait, and how many.
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

    /// Queues a job. The same id with the same content and route is the same job and is not queued
    /// again.
    ///
    /// # Errors
    /// [`Kind::Storage`]; [`Kind::Input`] for a known id with another content or route.
    pub(crate) async fn queue_job(&self, id: &str, route: &str, content: &Content, origin: &Origin) -> Result<()> {
        let (at, origin) = (self.now(), origin.clone());
        let (id, route, content) = (id.to_owned(), route.to_owned(), text(content)?);
        self.write(move |db| queue(db, &id, &route, &content, &at, &origin)).await
    }

    /// The oldest queued job of a route after the place `after`, 0 for the first. What cannot be read is
    /// marked so and left out.
    pub(crate) async fn next_job(&self, route: &str, after: i64) -> Result<NextJob> {
        let route = route.to_owned();
        let next = self
            .read(move |db| {
                let mut waiting = db.prepare_cached(&format!(
                    "SELECT {COLUMNS}, content FROM jobs WHERE route = ?1 AND state = 'queued' AND seq > ?2 ORDER BY seq"
                ))?;
                let mut rows = waiting.query(params![route, after])?;
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

    /// Begins the next attempt at a queued job, at a printer; false if it is not queued any more, or was
    /// begun by someone else. The attempt's number is then `job.attempt + 1`. Why it waited so far stays
    /// beside it.
    pub(crate) async fn begin_job(&self, job: &SpooledJob, printer: &str) -> Result<bool> {
        let (id, attempt, printer, at) = (job.id.clone(), job.attempt, printer.to_owned(), self.now());
        self.write(move |db| {
            let begun = db.execute(
                "UPDATE jobs SET state = 'printing', attempt = attempt + 1, printer = ?3, changed_at = ?4
                 WHERE id = ?1 AND state = 'queued' AND attempt = ?2",
                params![id, attempt, printer, at],
            )?;
            Ok(begun == 1)
        })
        .await
    }

    /// Marks how an attempt ended; false if that attempt is not under way. Asked again after a failure it
    /// is the same mark.
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
            Ok(ended == 1)
        })
        .await
    }

    /// Notes why a queued job waits, if it is another reason than before; true if it was written.
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
    /// Where a till has it open, ask that till: [`crate::Printer::reprint`].
    ///
    /// # Errors
    /// [`Kind::Input`]: there is no such job, or it is not parked. [`Kind::Storage`].
    pub async fn reprint_job(&self, id: &str) -> Result<SpooledJob> {
        let job = self.job(id).await?.ok_or_else(|| no_job(id))?;
        if !self.decide_job(id, JobState::Unknown, JobState::Queued, true).await? {
            let what = format!("print job `{id}` is not parked but {}", job.state.text());
            return Err(Error::new(Kind::Input, what));
        }
        Ok(job)
    }

    /// Gives up a job that waits or is parked. Where a till has this database open, ask that till:
    /// [`crate::Printer::cancel`].
    ///
    /// # Errors
    /// [`Kind::Input`]: there is no such job, or it is printed already. [`Kind::Storage`].
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

    /// Moves a job from `from` to `to`, as a copy or not; false if it is in another state.
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

    /// Moves a job that waits or is parked to another route; false if it is in another state. It counts as an
    /// attempt, so that whoever has read it for the old route cannot begin it.
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

    /// Jobs that wait, are being printed, or are parked, oldest first.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn open_jobs(&self) -> Result<Vec<SpooledJob>> {
        self.read(|db| {
            let mut open = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM jobs WHERE state IN ('queued', 'printing', 'unknown', 'unreadable') ORDER BY seq"
            ))?;
            let mut rows = open.query([])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                jobs.push(job(row)?);
            }
            Ok(jobs)
        })
        .await
    }

    /// What a crash left in the middle of printing becomes unknown; returns those jobs' ids. Only for the
    /// till that is about to start its spool.
    pub(crate) async fn park_interrupted_jobs(&self) -> Result<Vec<String>> {
        let at = self.now();
        self.write(move |db| {
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

/// Queues a job inside a transaction of the caller's.
pub(super) fn queue(
    db: &Connection,
    id: &str,
    route: &str,
    content: &str,
    at: &str,
    origin: &Origin,
) -> Result<(), Failure> {
    let new = db.execute(
        "INSERT INTO jobs (id, route, content, state, queued_at, changed_at, station, source, operator)
         VALUES (?1, ?2, ?3, 'queued', ?4, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
        params![id, route, content, at, origin.station, origin.source, origin.operator],
    )?;
    if new == 1 {
        return Ok(());
    }
    let same: bool =
        db.query_row("SELECT route = ?2 AND content = ?3 FROM jobs WHERE id = ?1", params![id, route, content], |r| {
            r.get(0)
        })?;
    if same {
        return Ok(());
    }
    Err(Error::new(Kind::Input, format!("print job `{id}` exists with another content or route"))
        .hint("give each piece of paper its own id")
        .into())
}

/// A content as it stands in the database.
pub(super) fn text(content: &Content) -> Result<String> {
    json(content)
}

fn read(text: &str) -> Result<Content, Failure> {
    // The version first: what a newer one holds may not even have the same shape.
    let Version { v } = from_json(text)?;
    if v != Content::VERSION {
        let reads = Content::VERSION;
        return Err(Failure::row(format!("its content has version {v}, and this tresen reads {reads}")));
    }
    from_json(text)
}

impl Listed for SpooledJob {
    const SQL: &'static str =
        "SELECT seq, id, route, state, attempt, copy, printer, proof, error, queued_at, changed_at,
        station, source, operator FROM jobs WHERE seq > ?1 ORDER BY seq LIMIT ?2";

    fn read(row: &Row<'_>) -> std::result::Result<Self, String> {
        job(row).map_err(|e| e.to_string())
    }
}

/// There is no job with this id.
pub(crate) fn no_job(id: &str) -> Error {
    Error::new(Kind::Input, format!("there is no print job `{id}`"))
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
struct Version {
    v: u32,
}

const COLUMNS: &str =
    "seq, id, route, state, attempt, copy, printer, proof, error, queued_at, changed_at, station, source, operator";
/// Where `content` stands, if it is asked for after [`COLUMNS`].
const CONTENT: usize = 14;
