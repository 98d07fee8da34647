//! The audit table: every refused and every privileged action from outside.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use crate::config::Remote;
use crate::store::cached::Cached;
use crate::store::failure::Failure;
use crate::store::{Store, meta, stamp, time};

/// What somebody outside did, or tried to do. It names things and amounts; it never holds a code, a token, a key of a
/// certificate or card data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditNote {
    /// Who it was, by name; `None`: nobody whom the till knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What: a command, such as `terminal.refund`, or `connect`, `enrol`, `session`, `revoke`, `prune`.
    pub action: String,
    /// The device that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The idempotency key of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Names and amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Why it was refused; `None`: it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// How often it was refused since the line before, where repeats are one line; `None`: this is one action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl AuditNote {
    /// A note of an action that was done.
    pub fn new(action: impl Into<String>) -> Self {
        Self { action: action.into(), ..Self::default() }
    }

    /// Who did it.
    #[must_use]
    pub fn by(self, principal: impl Into<String>) -> Self {
        Self { principal: Some(principal.into()), ..self }
    }

    /// From which address.
    #[must_use]
    pub fn from(self, address: Option<String>) -> Self {
        Self { address, ..self }
    }

    /// Names and amounts.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: Some(about.into()), ..self }
    }

    /// It was not done.
    #[must_use]
    pub fn refused(self, why: impl Into<String>) -> Self {
        Self { refused: Some(why.into()), ..self }
    }

    /// Cuts each text to the 200 characters that the table stores.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let Self { principal, address, action, device, key, about, refused, times: _ } = &mut self;
        for text in [principal, address, device, key, about, refused].into_iter().flatten().chain([action]) {
            text.truncate(shortened(text).len());
        }
        self
    }
}

/// A line of the audit table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its number. The result of a privileged call has a number of its own, which is left out here.
    pub seq: i64,
    /// When; of a privileged call, when it began.
    pub at: Timestamp,
    /// Who did what.
    pub note: AuditNote,
    /// How it ended.
    pub end: AuditEnd,
}

/// Whether and when an action of the audit table ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditEnd {
    /// It was recorded when it was over, like each refusal.
    AtOnce,
    /// It was recorded before it began, and ended at this time.
    At(Timestamp),
    /// It was recorded before it began, and no result is recorded: it is running, or the program ended before it did.
    NotRecorded,
}

impl Store {
    /// Adds a line to the audit table. When this returns `Ok`, it is on disk. Texts longer than 200 characters are cut.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn note_audit(&self, note: AuditNote) -> Result<()> {
        let at = self.now();
        self.write(move |db| Ok(append(db, &at, &note)?)).await
    }

    /// Records that a privileged action begins, and returns the number of its line for [`Store::end_audit`]. When this
    /// returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn begin_audit(&self, note: AuditNote) -> Result<i64> {
        let at = self.now();
        self.write(move |db| {
            insert(db, &at, &note, Stage::Begun)?;
            Ok(db.last_insert_rowid())
        })
        .await
    }

    /// Records how the action whose line is `begun` ended: `note.refused` says why it failed. It is a row of its own; a
    /// listing shows both as one line.
    ///
    /// # Errors
    /// [`Kind::Storage`]; also where `begun` has ended already.
    pub async fn end_audit(&self, begun: i64, note: AuditNote) -> Result<()> {
        let at = self.now();
        self.write(move |db| Ok(insert(db, &at, &note, Stage::Ended(begun))?)).await
    }

    /// The audit table, newest first: at most `limit` lines, those before the line number `before`.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>> {
        let before = before.unwrap_or(i64::MAX);
        self.list(move |db| {
            let mut query = db.prepare_cached(
                "SELECT a.seq, a.at, a.principal, a.address, a.action, a.device, a.key, a.about,
                        coalesce(e.refused, a.refused), a.times, a.begun, e.at
                 FROM remote_audit a LEFT JOIN remote_audit e ON e.ends = a.seq
                 WHERE a.ends IS NULL AND a.seq < ?1 ORDER BY a.seq DESC LIMIT ?2",
            )?;
            let mut rows = query.query(params![before, limit])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let note = AuditNote {
                    principal: row.get(2)?,
                    address: row.get(3)?,
                    action: row.get(4)?,
                    device: row.get(5)?,
                    key: row.get(6)?,
                    about: row.get(7)?,
                    refused: row.get(8)?,
                    times: row.get(9)?,
                };
                let end = match (row.get::<_, bool>(10)?, row.get::<_, Option<String>>(11)?) {
                    (false, _) => AuditEnd::AtOnce,
                    (true, Some(at)) => AuditEnd::At(time(&at)?),
                    (true, None) => AuditEnd::NotRecorded,
                };
                entries.push(AuditEntry { seq: row.get(0)?, at: time(&row.get::<_, String>(1)?)?, note, end });
            }
            Ok::<_, Failure>(entries)
        })
        .await
    }

    /// Removes the lines of the audit table that are more than `days` old, and records that as one line: `prune`, with their
    /// number. A privileged call goes as a whole, when its result is as old. Returns how many lines were removed; where
    /// there were none, nothing is recorded.
    ///
    /// A till that is served does so daily, with `audit-days` of its section `[remote]`.
    ///
    /// # Errors
    /// [`Kind::Input`]: `days` is outside of [`Remote::AUDIT_RANGE`]. [`Kind::Storage`]: nothing was removed.
    pub async fn prune_audit(&self, days: u32) -> Result<usize> {
        if !Remote::AUDIT_RANGE.contains(&days) {
            let (least, most) = (Remote::AUDIT_RANGE.start(), Remote::AUDIT_RANGE.end());
            let what = format!("the audit table goes back {least} to {most} days, not {days}");
            return Err(Error::new(Kind::Input, what));
        }
        let (now, at) = (self.0.runtime.wall(), self.now());
        let before = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days)));
        let from = before.unwrap_or(Timestamp::MIN);
        let before = stamp(from);
        self.write(move |db| {
            // What is later stays append-only: `remote_audit_stays`.
            meta::set(db, PRUNED, &before)?;
            db.run(
                "DELETE FROM remote_audit WHERE at < ?1
                 AND ends IN (SELECT seq FROM remote_audit WHERE begun = 1 AND at < ?1)",
                [&before],
            )?;
            let removed = db.run(
                "DELETE FROM remote_audit WHERE at < ?1 AND ends IS NULL
                 AND NOT EXISTS (SELECT 1 FROM remote_audit later WHERE later.ends = remote_audit.seq)",
                [&before],
            )?;
            if removed > 0 {
                let note = AuditNote::new("prune").by("the till");
                append(db, &at, &note.about(format!("lines from before {from:.0}: {removed}")))?;
            }
            Ok(removed)
        })
        .await
    }
}

pub(super) fn append(db: &Connection, at: &str, note: &AuditNote) -> rusqlite::Result<()> {
    insert(db, at, note, Stage::Whole)
}

/// Which row of an action it is.
enum Stage {
    /// Its only one.
    Whole,
    /// The one before it begins.
    Begun,
    /// The one with its result, and the number of the one before.
    Ended(i64),
}

fn insert(db: &Connection, at: &str, note: &AuditNote, stage: Stage) -> rusqlite::Result<()> {
    let AuditNote { principal, address, action, device, key, about, refused, times } = note;
    let (principal, address, device) = (cut(principal), cut(address), cut(device));
    let (key, about, refused) = (cut(key), cut(about), cut(refused));
    let (begun, ends) = match stage {
        Stage::Whole => (false, None),
        Stage::Begun => (true, None),
        Stage::Ended(begun) => (false, Some(begun)),
    };
    db.run(
        "INSERT INTO remote_audit (at, principal, address, action, device, key, about, refused, times, begun, ends)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![at, principal, address, shortened(action), device, key, about, refused, times, begun, ends],
    )
    .map(drop)
}

fn cut(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(shortened)
}

/// At most [`LONGEST`] characters: a stranger chooses some of these texts.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

const LONGEST: usize = 200;
/// Where the table's present beginning is kept.
const PRUNED: &str = "audit-from";
