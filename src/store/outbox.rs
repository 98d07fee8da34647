//! The journal as the outbox to a server: what was not acknowledged yet, and under which epochs.

use super::cached::Cached;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tresen_hal::{Error, Kind, Result};

use jiff::Timestamp;

use super::doubt::{Since, doubt_attempts};
use super::failure::Failure;
use super::{Hash, Origin, SaleView, Store, chain, from_json, journal, json, meta, time};
use crate::sale::{Signing, Tender, Ticket, VatRow};
use crate::sync::Gap;

/// Epochs and where they begin. The lines of an epoch end where the next one begins.
pub(super) const SCHEMA: &str = "
    -- The epochs of the journal's lines, and the first sequence number of each.
    CREATE TABLE epochs (
        epoch         INTEGER PRIMARY KEY,
        first         INTEGER NOT NULL UNIQUE
    ) STRICT;
";

/// A journal line as it is sent to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutboxEntry {
    /// The epoch; with the till's id and `seq` it is the line's key.
    pub epoch: i64,
    /// Its sequence number, without gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Its kind, as in [`JournalEntry`](super::JournalEntry).
    pub kind: String,
    /// The id of the payment or sale.
    pub key: String,
    /// What was written, as JSON text.
    pub body: String,
    /// Who did it.
    pub origin: Origin,
    /// The hash of the journal up to and including this line.
    pub hash: Hash,
}

/// The lines of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochRange {
    pub(crate) epoch: i64,
    pub(crate) first: i64,
    /// `first - 1` if it has no lines.
    pub(crate) last: i64,
}

/// The state of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outbox {
    /// The last line that the server has, with all before it.
    pub(crate) acknowledged: i64,
    /// The last line.
    pub(crate) end: i64,
    /// The first line that was not removed.
    pub(crate) oldest: i64,
    /// In order of their lines.
    pub(crate) epochs: Vec<EpochRange>,
    /// The gap at the server that a person has accepted last.
    pub(crate) gap: Option<Gap>,
}

impl Store {
    /// The journal's last sequence number as of the last commit, 0 before the first; changes can be awaited.
    pub(crate) fn journal_end(&self) -> Result<watch::Receiver<i64>> {
        Ok(self.writer()?.journal_end())
    }

    /// Records whether lines must wait for a server's acknowledgement before they may be removed.
    pub(crate) async fn set_server(&self, configured: bool) -> Result<()> {
        let value = if configured { "1" } else { "0" };
        self.write(move |db| {
            if configured || meta::get(db, "server")?.is_some() {
                meta::set(db, "server", value)?;
            }
            Ok(())
        })
        .await
    }

    /// The state of the outbox.
    pub(crate) async fn outbox(&self) -> Result<Outbox> {
        self.read(|db| {
            let end = meta::journal_end(db)?;
            let oldest = db.one("SELECT min(seq) FROM journal", [], |row| row.get::<_, Option<i64>>(0))?;
            let (oldest, epochs) = (oldest.unwrap_or(end + 1), epochs(db)?);
            let gap = meta::get(db, GAP)?.map(|gap| from_json(&gap)).transpose()?;
            Ok(Outbox { acknowledged: acknowledged(db)?, end, oldest, epochs, gap })
        })
        .await
    }

    /// When the line after `after` was written.
    pub(crate) async fn written_after(&self, after: i64) -> Result<Option<Timestamp>> {
        self.read(move |db| {
            let mut next = db.prepare_cached("SELECT at FROM journal WHERE seq > ?1 ORDER BY seq LIMIT 1")?;
            let at = next.query_row([after], |row| row.get::<_, String>(0)).optional()?;
            at.map(|at| time(&at)).transpose()
        })
        .await
    }

    /// Lines after `after`: at most `rows`, and no more once they have `bytes`, but at least one.
    pub(crate) async fn outbox_entries(&self, after: i64, rows: u32, bytes: usize) -> Result<Vec<OutboxEntry>> {
        self.list(move |db| {
            let mut next = db.prepare_cached(
                "SELECT epoch, seq, at, kind, key, body, station, source, operator, hash FROM journal
                 WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let mut next = next.query(params![after, rows])?;
            let (mut entries, mut size) = (Vec::new(), 0);
            while size < bytes
                && let Some(row) = next.next()?
            {
                let entry = OutboxEntry {
                    epoch: row.get(0)?,
                    seq: row.get(1)?,
                    at: time(&row.get::<_, String>(2)?)?,
                    kind: row.get(3)?,
                    key: row.get(4)?,
                    body: row.get(5)?,
                    origin: Origin::read(row, 6)?,
                    hash: Hash::read(row, 9)?,
                };
                size += entry.body.len() + entry.key.len() + OVERHEAD;
                entries.push(entry);
            }
            Ok(entries)
        })
        .await
    }

    /// The hash of the journal up to a line; `None` if that line was removed or does not exist.
    pub(crate) async fn hash_at(&self, seq: i64) -> Result<Option<Hash>> {
        self.read(move |db| {
            let mut hash = db.prepare_cached("SELECT hash FROM journal WHERE seq = ?1")?;
            let hash = hash.query_row([seq], |row| Hash::read(row, 0)).optional()?;
            match hash {
                None if seq == 0 => Ok(Some(Hash::origin(&meta::get(db, "till")?.unwrap_or_default()))),
                hash => Ok(hash),
            }
        })
        .await
    }

    /// Records that the server has all lines up to `through`.
    pub(crate) async fn acknowledge(&self, through: i64) -> Result<()> {
        self.write(move |db| {
            if acknowledged(db)? != through {
                meta::set(db, "acknowledged", &through.to_string())?;
            }
            Ok(())
        })
        .await
    }

    /// Assigns the lines of `range` after `common` to the new epoch `epoch`, and with them the numbers of the sales
    /// they close; if that includes the end of the journal, it becomes the current epoch. A journal line says why. Card
    /// payments whose end was on the other branch are in doubt.
    pub(crate) async fn rekey(&self, range: EpochRange, common: i64, epoch: i64, why: &str) -> Result<()> {
        let (at, why, opening) = (self.now(), why.to_owned(), self.0.opening.clone());
        let current = self.write(move |db| {
            let last = epochs(db)?
                .into_iter()
                .find(|known| known.epoch == range.epoch)
                .ok_or_else(|| Error::new(Kind::Storage, format!("the journal has no epoch {}", range.epoch)))?;
            // Lines may have been added since.
            let (common, last) = (common.max(range.first - 1), last.last);
            let is_last = last == meta::journal_end(db)?;
            db.run("UPDATE journal SET epoch = ?1 WHERE seq > ?2 AND seq <= ?3", [epoch, common, last])?;
            db.run(
                "UPDATE sales SET epoch = ?1 WHERE number IS NOT NULL AND id IN
                 (SELECT key FROM journal WHERE kind = 'closed' AND seq > ?2 AND seq <= ?3)",
                [epoch, common, last],
            )?;
            if common < range.first {
                db.run("DELETE FROM epochs WHERE epoch = ?1", [range.epoch])?;
            }
            begin_epoch(db, epoch, common + 1)?;
            if is_last {
                meta::set(db, "epoch", &epoch.to_string())?;
            }
            let body = json(&serde_json::json!({ "epoch": epoch, "why": why, "after": common, "was": range.epoch }))?;
            journal::append(db, &at, "epoch", &epoch.to_string(), &body, &Origin::new())?;
            doubt_attempts(db, &at, Since { opening: Some(&opening), line: common })?;
            Ok(chain::end(db)?.0)
        });
        self.0.epoch.store(current.await?, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Records that a person goes on without entries that the server lacks; a journal line tells it.
    pub(crate) async fn accept_gap(&self, gap: Gap) -> Result<()> {
        let (body, at) = (json(&gap)?, self.now());
        self.write(move |db| {
            if meta::get(db, GAP)?.as_ref() == Some(&body) {
                return Ok(());
            }
            meta::set(db, GAP, &body)?;
            Ok(journal::append(db, &at, "gap", &gap.epoch.to_string(), &body, &Origin::new())?)
        })
        .await
    }

    /// Writes a journal line about the exchange with the server.
    pub(crate) async fn note(&self, kind: &'static str, key: &str, body: serde_json::Value) -> Result<()> {
        let (key, body, at) = (key.to_owned(), json(&body)?, self.now());
        self.write(move |db| Ok(journal::append(db, &at, kind, &key, &body, &Origin::new())?)).await
    }
}

/// Records where an epoch begins.
pub(super) fn begin_epoch(db: &Connection, epoch: i64, first: i64) -> rusqlite::Result<()> {
    // An epoch that never got a line is replaced.
    db.run("DELETE FROM epochs WHERE first = ?1", [first])?;
    db.run("INSERT INTO epochs (epoch, first) VALUES (?1, ?2)", [epoch, first]).map(|_| ())
}

/// The highest epoch so far.
pub(super) fn last_epoch(db: &Connection) -> rusqlite::Result<i64> {
    db.one("SELECT coalesce(max(epoch), 1) FROM epochs", [], |row| row.get(0))
}

/// The last line that may be removed.
pub(super) fn may_go(db: &Connection) -> rusqlite::Result<i64> {
    match meta::get(db, "server")?.as_deref() {
        Some("1") => acknowledged(db),
        _ => Ok(i64::MAX),
    }
}

fn acknowledged(db: &Connection) -> rusqlite::Result<i64> {
    Ok(meta::get(db, "acknowledged")?.and_then(|seq| seq.parse().ok()).unwrap_or(0))
}

fn epochs(db: &Connection) -> Result<Vec<EpochRange>, Failure> {
    let end = meta::journal_end(db)?;
    let mut known = db.prepare_cached("SELECT epoch, first FROM epochs ORDER BY first")?;
    let known = known.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let known: Vec<(i64, i64)> = known.collect::<rusqlite::Result<_>>()?;
    let last = known.iter().skip(1).map(|(_, first)| first - 1).chain([end]);
    Ok(known.iter().zip(last).map(|(&(epoch, first), last)| EpochRange { epoch, first, last }).collect())
}

/// A completed sale, as the journal keeps it: enough to rebuild the ticket elsewhere. The epoch of its number is the
/// line's own.
#[derive(Serialize)]
struct Whole<'a> {
    ticket: &'a Ticket,
    tenders: &'a [Tender],
    /// The totals per tax, as they stand on the receipt.
    vat: Vec<VatRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing: Option<&'a Signing>,
    /// Who opened it.
    opened_by: &'a Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// The body of the line that completes a sale; `why` it was voided.
pub(super) fn whole(sale: &SaleView, why: Option<&str>) -> Result<String> {
    json(&Whole {
        ticket: &sale.ticket,
        tenders: &sale.tenders,
        vat: sale.ticket.vat(),
        signing: sale.signing.as_ref(),
        opened_by: &sale.origin,
        why,
    })
}

/// The property that holds the accepted gap.
const GAP: &str = "gap";
/// Bytes counted for the other fields of a line.
const OVERHEAD: usize = 200;
