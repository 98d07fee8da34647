//! The leases of open sales. Each row is the state of one [`Slot`]; the columns repeat what queries and people need.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tresen_hal::{Error, Kind, Result};

use super::failure::Failure;
use super::{Origin, StepKey, Store, from_json, journal, json, stamp, time};
use crate::lease::{Change, Claim, End, Slot, Target, Use};

/// Times are those of [`Store::lease_clock`].
pub(super) const SCHEMA: &str = "
    -- Who has an open sale. Without a row, nobody has had it yet.
    CREATE TABLE leases (
        sale          TEXT PRIMARY KEY REFERENCES sales (id) ON DELETE CASCADE,
        token         INTEGER NOT NULL,
        holder        TEXT,
        until         TEXT,
        -- When it has to be looked at next.
        due           TEXT,
        slot          TEXT NOT NULL,
        -- Changes that are journalled, but not yet published as events.
        told          TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX leases_due ON leases (due) WHERE due IS NOT NULL;
";

/// What a change of a sale is based on: the revision, and who has the sale.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    pub(crate) rev: i64,
    pub(crate) name: Option<String>,
    pub(crate) token: Option<u64>,
    /// It completes what has begun, whoever has the sale.
    pub(crate) completes: bool,
    /// The key under which the caller takes it.
    pub(crate) step: Option<StepKey>,
    /// The time of the lease clock.
    pub(crate) now: Timestamp,
}

/// The answer to a change of a lease.
pub(crate) struct Changed<T> {
    pub(crate) answer: T,
    pub(crate) changes: Vec<Change>,
    pub(crate) due: Option<Timestamp>,
}

/// What ended of itself.
pub(crate) struct EndedLeases {
    pub(crate) changes: Vec<(String, Vec<Change>)>,
    /// When to look again.
    pub(crate) due: Option<Timestamp>,
}

/// A journal entry about the lease of a device.
#[derive(Debug, Clone)]
pub(crate) struct LeaseNote {
    key: String,
    body: String,
    origin: Origin,
}

#[cfg(test)]
impl Basis {
    /// A change by somebody without a name.
    pub(crate) fn nameless(rev: i64, store: &Store) -> Self {
        Self { rev, name: None, token: None, completes: false, step: None, now: store.lease_clock().now() }
    }
}

impl LeaseNote {
    /// The lease of `holder` on `device` ended or ends because of `why`; `key` is the device or the transaction.
    pub(crate) fn new(key: &str, device: &str, holder: &str, why: &End, origin: &Origin) -> Self {
        let body = serde_json::json!({ "device": device, "holder": holder, "why": why });
        Self { key: key.to_owned(), body: body.to_string(), origin: origin.clone() }
    }
}

impl Store {
    /// Changes the lease of an open sale, and journals what came of it.
    ///
    /// # Errors
    /// [`Kind::Input`]: unknown sale, or it is no longer open. [`Kind::Storage`].
    pub(crate) async fn change_lease<T: Send + 'static>(
        &self,
        sale: &str,
        origin: &Origin,
        change: impl FnOnce(&mut Slot) -> T + Send + 'static,
    ) -> Result<Changed<T>> {
        let (sale, origin, at) = (sale.to_owned(), origin.clone(), self.now());
        self.write(move |db| {
            let state = state(db, &sale)?;
            if state.as_deref() != Some("open") {
                let what = state.map_or_else(|| "unknown sale".to_owned(), |state| format!("it is {state}"));
                return Err(Error::new(Kind::Input, what).at(Target::Sale(sale)).into());
            }
            let Stored { mut slot, told } = read(db, &sale)?.unwrap_or_default();
            let answer = change(&mut slot);
            let changes = noted(db, &mut slot, told, &at, &sale, &origin)?;
            write(db, &sale, &slot, &[])?;
            Ok(Changed { answer, changes, due: slot.deadline() })
        })
        .await
    }

    /// Ends what has expired at `now`, and the leases of sales that are no longer open.
    pub(crate) async fn end_leases(&self, now: Timestamp) -> Result<EndedLeases> {
        let at = self.now();
        self.write(move |db| {
            let mut ended = Vec::new();
            let due = db
                .prepare_cached("SELECT sale FROM leases WHERE due <= ?1 AND due IS NOT NULL ORDER BY due, sale")?
                .query_map([stamp(now)], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            for sale in due {
                let Some(Stored { mut slot, told }) = read(db, &sale)? else { continue };
                let open = state(db, &sale)?.as_deref() == Some("open");
                if open {
                    slot.tick(now);
                } else {
                    slot.end_with(End::Closed, now);
                }
                let changes = noted(db, &mut slot, told, &at, &sale, &Origin::new())?;
                if open {
                    write(db, &sale, &slot, &[])?;
                } else {
                    db.execute("DELETE FROM leases WHERE sale = ?1", [&sale])?;
                }
                ended.push((sale, changes));
            }
            Ok(EndedLeases { changes: ended, due: next(db)? })
        })
        .await
    }

    /// Limits the leases of an earlier run to their time to live from now on; returns when to look at them.
    pub(crate) async fn limit_leases(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        if self.sale_leases().await?.is_empty() {
            return Ok(None);
        }
        self.write(move |db| {
            for (sale, mut slot) in all(db)? {
                let told = read(db, &sale)?.map(|stored| stored.told).unwrap_or_default();
                slot.restored(now);
                write(db, &sale, &slot, &told)?;
            }
            next(db)
        })
        .await
    }

    /// The leases of sales, oldest sale first.
    pub(crate) async fn sale_leases(&self) -> Result<Vec<(String, Slot)>> {
        self.read(all).await
    }

    /// Journals what happened to the leases of devices.
    pub(crate) async fn note_leases(&self, notes: Vec<LeaseNote>) -> Result<()> {
        let at = self.now();
        self.write(move |db| {
            for LeaseNote { key, body, origin } in &notes {
                journal::append(db, &at, KIND, key, body, origin)?;
            }
            Ok(())
        })
        .await
    }
}

/// Refuses a change of a sale that somebody else has; otherwise renews the caller's lease.
pub(super) fn admit(db: &Connection, sale: &str, basis: &Basis) -> Result<(), Failure> {
    let stored = read(db, sale)?;
    if basis.completes || (stored.is_none() && basis.token.is_none()) {
        return Ok(());
    }
    let Stored { mut slot, told } = stored.unwrap_or_default();
    slot.tick(basis.now);
    let claim = Claim { name: basis.name.as_deref(), token: basis.token };
    let target = || Target::Sale(sale.to_owned());
    slot.check(claim, Use::Call, basis.now).map_err(|refusal| refusal.into_error(&target()))?;
    // What has expired is ended, journalled and published by the task, at this very moment.
    if slot.take_changes().is_empty() && slot.renew(claim, basis.now).is_ok() {
        write(db, sale, &slot, &told)?;
    }
    Ok(())
}

/// Ends the lease of a sale together with a step of the sale: [`End::Closed`] when it is closed or voided,
/// [`End::Released`] when it is parked. If this returns true, set [`Store::lease_alarm`] once the step is on disk, so that
/// the end is published.
pub(super) fn end(
    db: &Connection,
    sale: &str,
    why: End,
    (at, now): (&str, Timestamp),
    origin: &Origin,
) -> Result<bool, Failure> {
    let Some(Stored { mut slot, told }) = read(db, sale)? else { return Ok(false) };
    slot.end_with(why, now);
    let told = noted(db, &mut slot, told, at, sale, origin)?;
    write(db, sale, &slot, &told)?;
    Ok(!told.is_empty())
}

/// Why the leases of a card attempt's terminal ended while it was running.
pub(super) fn ended_during(db: &Connection, key: &str) -> Result<Option<String>, Failure> {
    let mut find =
        db.prepare_cached("SELECT body FROM journal WHERE key = ?1 AND kind = 'lease' ORDER BY seq LIMIT 1")?;
    let body: Option<String> = find.query_row([key], |row| row.get(0)).optional()?;
    let Some(body) = body else { return Ok(None) };
    #[derive(serde::Deserialize)]
    struct Body {
        holder: String,
        why: End,
    }
    let Body { holder, why } = from_json(&body)?;
    Ok(Some(format!("the lease of `{holder}` ended with it: {why}")))
}

/// Journals who got the sale, and how others lost it. Returns all that is not published yet.
fn noted(
    db: &Connection,
    slot: &mut Slot,
    mut told: Vec<Change>,
    at: &str,
    sale: &str,
    origin: &Origin,
) -> Result<Vec<Change>, Failure> {
    for change in slot.take_changes() {
        if matches!(change, Change::Leased { .. } | Change::Ended { .. }) {
            journal::append(db, at, KIND, sale, &json(&change)?, origin)?;
        }
        told.push(change);
    }
    Ok(told)
}

fn state(db: &Connection, sale: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT state FROM sales WHERE id = ?1")?.query_row([sale], |row| row.get(0)).optional()
}

/// The lease of a sale as stored.
#[derive(Default)]
struct Stored {
    slot: Slot,
    /// Changes that are journalled, but not yet published.
    told: Vec<Change>,
}

fn read(db: &Connection, sale: &str) -> Result<Option<Stored>, Failure> {
    let mut find = db.prepare_cached("SELECT slot, told FROM leases WHERE sale = ?1")?;
    let stored =
        find.query_row([sale], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))).optional()?;
    let Some((slot, told)) = stored else { return Ok(None) };
    let told = told.map(|told| from_json(&told)).transpose()?.unwrap_or_default();
    Ok(Some(Stored { slot: from_json(&slot)?, told }))
}

fn all(db: &Connection) -> Result<Vec<(String, Slot)>, Failure> {
    let mut find = db.prepare_cached("SELECT sale, slot FROM leases JOIN sales ON id = sale ORDER BY seq")?;
    let rows = find.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (sale, slot) = row?;
        Ok((sale, from_json(&slot)?))
    })
    .collect()
}

fn write(db: &Connection, sale: &str, slot: &Slot, told: &[Change]) -> Result<(), Failure> {
    let (token, holder, until) = slot.columns();
    let (body, news) = (json(slot)?, if told.is_empty() { None } else { Some(json(&told)?) });
    // What is not published yet is due at once.
    let due = if told.is_empty() { slot.deadline() } else { Some(Timestamp::UNIX_EPOCH) };
    db.prepare_cached(
        "INSERT INTO leases (sale, token, holder, until, due, slot, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (sale) DO UPDATE SET token = ?2, holder = ?3, until = ?4, due = ?5, slot = ?6, told = ?7",
    )?
    .execute(params![sale, token as i64, holder, until.map(stamp), due.map(stamp), body, news])?;
    Ok(())
}

fn next(db: &Connection) -> Result<Option<Timestamp>, Failure> {
    let due: Option<String> =
        db.query_row("SELECT min(due) FROM leases WHERE due IS NOT NULL", [], |row| row.get(0))?;
    due.map(|due| time(&due)).transpose()
}

/// The journal's kind for leases.
const KIND: &str = "lease";
