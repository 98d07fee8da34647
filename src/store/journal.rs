//! The payment journal in the database.
//!
//! Each change reads the intent, applies the rules of [`Entry`], and writes row and journal line, in one transaction of
//! the writer thread.

use std::ops::Deref;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Error, Kind, Result};
use tresen_payment::journal::held;
use tresen_payment::{Charge, Decision, Entry, Flow, Intent, IntentId, Journal, Payment, Reference, Transaction};

use super::cached::Cached;
use super::failure::Failure;
use super::listing::{Listed, Query};
use super::{Origin, Store, chain, from_json, json, time};
use crate::manager::lock;

/// One line of the append-only journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct JournalEntry {
    /// Its sequence number.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Its kind: for a payment `intent`, `approved`, `charged`, `partial`, `not-charged`, `unknown`, `settled`; for a
    /// sale `sale`, `tender`, `signed`, `parked`, `resumed`, `ordered`, `closed`, `voided`, `copied`, and `account` for a
    /// tender on a customer's account; `lease` for a sale, a payment or a device; `epoch`, `gap`, `pruned`,
    /// `quarantined`.
    pub kind: String,
    /// The id of the payment or sale.
    pub key: String,
    /// Who did it.
    pub origin: Origin,
}

/// A stored payment: its journal entry and related records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StoredPayment {
    /// Its position in the listing.
    pub seq: i64,
    /// Intent, approval, result and decision.
    #[serde(flatten)]
    pub entry: Entry,
    /// The earlier payment that it reverses, books, releases or adds to.
    pub original: Option<IntentId>,
    /// What ended it: its reversal; of a pre-authorisation its booking or release.
    pub reversed_by: Option<IntentId>,
    /// Who requested it.
    pub origin: Origin,
}

impl Deref for StoredPayment {
    type Target = Entry;
    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Store {
    /// The journal from the beginning, without the bodies.
    pub fn journal(&self) -> Query<'_, JournalEntry> {
        Query::new(self)
    }

    /// The payments, in the order they were initiated.
    pub fn payments(&self) -> Query<'_, StoredPayment> {
        Query::new(self)
    }

    /// One payment.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn payment(&self, id: &IntentId) -> Result<Option<StoredPayment>> {
        let id = id.0.clone();
        self.read(move |db| {
            let mut find = db.prepare_cached(&format!("SELECT {COLUMNS} FROM intents WHERE id = ?1"))?;
            let mut rows = find.query([id])?;
            rows.next()?.map(stored).transpose()
        })
        .await
    }

    /// The reference of the latest pre-authorisation of a terminal with the receipt number of `reference`, if that is all
    /// that `reference` tells.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub(crate) async fn pre_authorised(&self, terminal: &str, reference: &Reference) -> Result<Option<Reference>> {
        let Some(receipt) = reference.field("receipt").filter(|_| reference.key().is_none()) else { return Ok(None) };
        let (terminal, receipt) = (terminal.to_owned(), digits(receipt).to_owned());
        self.read(move |db| {
            let mut find = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM intents WHERE terminal = ?1 AND receipt = ?2 AND receipt IS NOT NULL
                 AND operation = 'pre-authorisation' ORDER BY seq DESC LIMIT 1"
            ))?;
            let mut rows = find.query([terminal, receipt])?;
            let stored = rows.next()?.map(stored).transpose()?;
            Ok(stored.and_then(|stored| stored.entry.outcome()?.into_charge()?.reference))
        })
        .await
    }

    /// Changes an intent if `allowed`, and if no other intent holds the reference it would hold then, and writes a
    /// journal line.
    async fn change<T: Serialize>(
        &self,
        id: &IntentId,
        kind: &'static str,
        body: &T,
        allowed: impl FnOnce(&Entry) -> Result<()> + Send + 'static,
        change: impl FnOnce(&mut Entry) + Send + 'static,
    ) -> Result<Entry> {
        let (id, at, body) = (id.clone(), self.now(), json(body)?);
        self.write(move |db| {
            let Some(was) = find(db, &id.0)? else {
                return Err(Error::new(Kind::Storage, format!("the journal has no intent `{}`", id.0)).into());
            };
            allowed(&was.entry)?;
            let mut now = was.entry.clone();
            change(&mut now);
            // A terminal that is asked again and says the same.
            if now == was.entry {
                return Ok(now);
            }
            let key = now.holds().and_then(|reference| reference.key());
            if let (Some(key), Some(reference)) = (&key, now.holds())
                && let Some(other) = holder(db, &now.intent.terminal, key)?.filter(|other| *other != id)
            {
                return Err(held(&reference, &other).into());
            }
            let outcome = now.outcome();
            let (state, moved, receipt) = match &outcome {
                // For a partial payment `moved` is less than `minor`.
                Some(payment) if payment.charge().is_some() => {
                    let state = if was.reversed_by.is_some() { "reversed" } else { "charged" };
                    (state, charged(&now), number(&now))
                }
                Some(Payment::NotCharged(_)) => ("not-charged", Some(0), None),
                Some(_) => ("unknown", None, None),
                None if now.approved.is_some() => ("approved", None, None),
                None => ("open", None, None),
            };
            let text = |value: Option<String>| value;
            db.run(
                "UPDATE intents SET state = ?2, moved = ?3, receipt = ?4, held = ?5, approved = ?6, result = ?7,
                 decision = ?8 WHERE id = ?1",
                params![
                    id.0,
                    state,
                    moved,
                    receipt,
                    key,
                    text(now.approved.as_ref().map(json).transpose()?),
                    text(now.payment.as_ref().map(json).transpose()?),
                    text(now.decision.as_ref().map(json).transpose()?),
                ],
            )?;
            take_back(db, &was, outcome.is_some_and(|payment| payment.charge().is_some()))?;
            append(db, &at, kind, &id.0, &body, &was.origin)?;
            Ok(now)
        })
        .await
    }
}

impl Journal for Store {
    fn intend<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (intent, at, body) = (intent.clone(), self.now(), json(intent)?);
            let asked_by = lock(&self.0.asked_by).get(&intent.id.0).cloned();
            self.write(move |db| intend(db, &intent, asked_by, &at, &body)).await
        })
    }

    fn approve<'a>(&'a self, id: &'a IntentId, charge: &'a Charge) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let approved = charge.clone();
            self.change(id, "approved", charge, Entry::may_be_approved, |e| e.approved = Some(approved)).await.map(drop)
        })
    }

    fn conclude<'a>(&'a self, id: &'a IntentId, payment: &'a Payment) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let kind = payment.word();
            let (asked, ended) = (payment.clone(), payment.clone());
            let allowed = move |e: &Entry| e.may_conclude(&asked);
            self.change(id, kind, payment, allowed, |e| e.payment = Some(ended)).await.map(drop)
        })
    }

    fn settle<'a>(&'a self, id: &'a IntentId, decision: &'a Decision) -> BoxFuture<'a, Result<Entry>> {
        Box::pin(async move {
            let (asked, decided) = (decision.clone(), decision.clone());
            let allowed = move |e: &Entry| e.may_settle(&asked);
            self.change(id, "settled", decision, allowed, |e| e.decision = Some(decided)).await
        })
    }

    fn holder<'a>(&'a self, terminal: &'a str, reference: &'a Reference) -> BoxFuture<'a, Result<Option<IntentId>>> {
        Box::pin(async move {
            let Some(key) = reference.key() else { return Ok(None) };
            let terminal = terminal.to_owned();
            self.read(move |db| holder(db, &terminal, &key)).await
        })
    }

    fn ends<'a>(&'a self, terminal: &'a str, operation: &'a Transaction) -> BoxFuture<'a, Result<Vec<Entry>>> {
        Box::pin(async move {
            let (terminal, operation) = (terminal.to_owned(), operation.clone());
            self.read(move |db| ends(db, &terminal, &operation)).await
        })
    }

    fn find<'a>(&'a self, id: &'a IntentId) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(async move { Ok(self.payment(id).await?.map(|stored| stored.entry)) })
    }

    fn open<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Vec<Intent>>> {
        Box::pin(async move {
            let terminal = terminal.to_owned();
            self.read(move |db| {
                let mut open = db.prepare_cached(OPEN)?;
                let mut rows = open.query([terminal])?;
                let mut intents = Vec::new();
                while let Some(row) = rows.next()? {
                    let (id, text): (String, String) = (row.get(0)?, row.get(1)?);
                    match from_json(&text) {
                        Ok(intent) => intents.push(intent),
                        // It stays open and is listed as unreadable; other payments are not blocked.
                        Err(why) => tracing::error!(%id, %why, "an open payment cannot be read"),
                    }
                }
                Ok(intents)
            })
            .await
        })
    }

    fn last<'a>(&'a self, terminal: &'a str) -> BoxFuture<'a, Result<Option<Reference>>> {
        Box::pin(async move {
            let terminal = terminal.to_owned();
            self.read(move |db| last(db, &terminal)).await
        })
    }
}

/// Registers who requests a transaction, for as long as it is held.
#[must_use]
pub(crate) struct AskedBy<'a> {
    store: &'a Store,
    key: Option<&'a str>,
}

impl Store {
    /// Records who requests a transaction that is about to be journalled.
    pub(crate) fn asked_by<'a>(&'a self, intent: &'a IntentId, origin: &Origin) -> AskedBy<'a> {
        let key = (*origin != Origin::default()).then_some(intent.0.as_str());
        if let Some(key) = key {
            lock(&self.0.asked_by).insert(key.to_owned(), origin.clone());
        }
        AskedBy { store: self, key }
    }
}

impl Drop for AskedBy<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.store.0.asked_by).remove(key);
        }
    }
}

pub(super) fn intend(
    db: &Connection,
    intent: &Intent,
    asked_by: Option<Origin>,
    at: &str,
    body: &str,
) -> Result<(), Failure> {
    let (operation, sign) = (intent.operation.name(), sign(&intent.operation));
    let original = original(db, &intent.terminal, &intent.operation)?;
    // A sale's attempt has the same key and records who requested it.
    let origin = db
        .prepare_cached("SELECT station, source, operator FROM tenders WHERE key = ?1")?
        .query_row([&intent.id.0], |row| Origin::read(row, 0))
        .optional()?
        .or(asked_by)
        .unwrap_or_default();
    let new = db.run(
        "INSERT INTO intents (id, terminal, operation, minor, currency, at, state, original, station, source, operator,
         intent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING",
        params![
            intent.id.0,
            intent.terminal,
            operation,
            sign * intent.amount.minor(),
            intent.amount.currency().code(),
            super::stamp(intent.at),
            original,
            origin.station,
            origin.source,
            origin.operator,
            body,
        ],
    )?;
    if new == 0 {
        let what = format!("the journal already has an intent `{}`", intent.id.0);
        return Err(Error::new(Kind::Input, what).hint("each payment needs a key of its own").into());
    }
    Ok(append(db, at, "intent", &intent.id.0, body, &origin)?)
}

/// The reference of the terminal's last charge that stands.
pub(super) fn last(db: &Connection, terminal: &str) -> Result<Option<Reference>, Failure> {
    let mut last = db.prepare_cached(&format!("SELECT {COLUMNS} {LAST}"))?;
    let mut rows = last.query([terminal])?;
    let stored = rows.next()?.map(stored).transpose()?;
    Ok(stored.and_then(|stored| stored.entry.outcome()?.into_charge()?.reference))
}

/// The transaction that `operation` names, as [`Journal::ends`] says.
fn original(db: &Connection, terminal: &str, operation: &Transaction) -> rusqlite::Result<Option<String>> {
    let Some(reference) = operation.of() else { return Ok(None) };
    let kinds = match operation.can_name(&Transaction::Payment) {
        true => "('payment', 'pre-authorisation', 'booking', 'tip')",
        false => "('pre-authorisation')",
    };
    if let Some(key) = reference.key() {
        let find = format!("SELECT id FROM intents WHERE held = ?1 AND terminal = ?2 AND operation IN {kinds}");
        let held = db.one(&find, [key.as_str(), terminal], |row| row.get(0)).optional()?;
        if held.is_some() {
            return Ok(held);
        }
    } else if let Some(receipt) = reference.field("receipt") {
        // A reference made from the number on the slip.
        let find = format!(
            "SELECT id FROM intents WHERE terminal = ?1 AND receipt = ?2 AND receipt IS NOT NULL
             AND operation IN {kinds} ORDER BY seq DESC LIMIT 1"
        );
        return db.one(&find, [terminal, digits(receipt)], |row| row.get(0)).optional();
    }
    let mut newest = db.prepare_cached(HELD)?;
    let mut rows = newest.query([terminal])?;
    let find = format!("SELECT id FROM intents WHERE seq = ?1 AND operation IN {kinds}");
    while let Some(row) = rows.next()? {
        if !reference.fits(&row.get::<_, String>(1)?) {
            continue;
        }
        let id = db.one(&find, [row.get::<_, i64>(0)?], |row| row.get(0)).optional()?;
        if id.is_some() {
            return Ok(id);
        }
    }
    Ok(None)
}

/// What has reversed, booked or released what `operation` names, or was to.
fn ends(db: &Connection, terminal: &str, operation: &Transaction) -> Result<Vec<Entry>, Failure> {
    let named = original(db, terminal, operation)?;
    let written = |operation: &Transaction| operation.of().map(ToString::to_string);
    let mut find = db.prepare_cached(&format!("SELECT {COLUMNS} {ENDS}"))?;
    let mut rows = find.query(params![terminal, named])?;
    // What was not in the journal when it was named may be there now.
    let whole = operation.of().is_some_and(|of| of.key().is_some());
    let mut ends = Vec::new();
    while let Some(row) = rows.next()? {
        let end = stored(row)?;
        let same = match end.original {
            Some(_) => true,
            None => (named.is_none() || whole) && written(&end.entry.intent.operation) == written(operation),
        };
        if same {
            ends.push(end);
        }
    }
    ends.sort_by_key(|end| end.seq);
    Ok(ends.into_iter().map(|end| end.entry).collect())
}

/// Marks what a reversal, booking or release has ended, or removes the mark.
fn take_back(db: &Connection, end: &StoredPayment, stands: bool) -> rusqlite::Result<()> {
    let Some(original) = end.original.as_ref().filter(|_| end.entry.intent.operation.is_end()) else { return Ok(()) };
    let id = &end.entry.intent.id.0;
    if stands {
        db.run(
            "UPDATE intents SET state = 'reversed', reversed_by = ?2 WHERE id = ?1 AND state = 'charged'",
            [&original.0, id],
        )?;
    } else {
        db.run(
            "UPDATE intents SET state = 'charged', reversed_by = NULL WHERE id = ?1 AND reversed_by = ?2",
            [&original.0, id],
        )?;
    }
    Ok(())
}

/// The intent of a terminal that holds the reference of this key.
fn holder(db: &Connection, terminal: &str, key: &str) -> Result<Option<IntentId>, Failure> {
    let mut holder =
        db.prepare_cached("SELECT id FROM intents WHERE terminal = ?1 AND held = ?2 AND held IS NOT NULL")?;
    Ok(holder.query_row([terminal, key], |row| row.get(0)).optional()?.map(IntentId))
}

pub(super) fn find(db: &Connection, id: &str) -> Result<Option<StoredPayment>, Failure> {
    let mut find = db.prepare_cached(&format!("SELECT {COLUMNS} FROM intents WHERE id = ?1"))?;
    let mut rows = find.query([id])?;
    rows.next()?.map(stored).transpose()
}

/// Appends a line to the journal and to its chain of hashes, inside the caller's transaction.
pub(super) fn append(
    db: &Connection,
    at: &str,
    kind: &str,
    key: &str,
    body: &str,
    origin: &Origin,
) -> rusqlite::Result<()> {
    let (epoch, before) = chain::end(db)?;
    let hash = before.then(at, kind, key, body, origin);
    db.prepare_cached(
        "INSERT INTO journal (at, kind, key, body, station, source, operator, epoch, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![at, kind, key, body, origin.station, origin.source, origin.operator, epoch, hash.as_bytes()])
    .map(|_| ())
}

impl Listed for JournalEntry {
    const SQL: &'static str = "SELECT seq, key, at, kind, station, source, operator FROM journal
        WHERE seq > ?1 ORDER BY seq LIMIT ?2";

    fn read(row: &Row<'_>) -> std::result::Result<Self, String> {
        let entry = || {
            Ok::<_, Failure>(Self {
                seq: row.get(0)?,
                key: row.get(1)?,
                at: time(&row.get::<_, String>(2)?)?,
                kind: row.get(3)?,
                origin: Origin::read(row, 4)?,
            })
        };
        entry().map_err(|e| e.to_string())
    }
}

impl Listed for StoredPayment {
    const SQL: &'static str = "SELECT seq, id, intent, approved, result, decision, original, reversed_by,
        station, source, operator FROM intents WHERE seq > ?1 ORDER BY seq LIMIT ?2";

    fn read(row: &Row<'_>) -> std::result::Result<Self, String> {
        stored(row).map_err(|e| e.to_string())
    }
}

fn stored(row: &Row<'_>) -> Result<StoredPayment, Failure> {
    let some = |at: usize| row.get::<_, Option<String>>(at);
    let entry = Entry::new(
        from_json(&row.get::<_, String>(2)?)?,
        some(3)?.map(|text| from_json(&text)).transpose()?,
        some(4)?.map(|text| from_json(&text)).transpose()?,
    );
    let decision = some(5)?.map(|text| from_json(&text)).transpose()?;
    Ok(StoredPayment {
        seq: row.get(0)?,
        entry: entry.with_decision(decision),
        original: some(6)?.map(IntentId),
        reversed_by: some(7)?.map(IntentId),
        origin: Origin::read(row, 8)?,
    })
}

/// The sign of what is asked for: negative where the customer gets money back.
fn sign(operation: &Transaction) -> i64 {
    if operation.flow() == Flow::Out { -1 } else { 1 }
}

/// The amount that moved, with its sign; zero of what is held, released or loaded.
fn charged(entry: &Entry) -> Option<i64> {
    let charge = entry.outcome()?.into_charge()?;
    Some(entry.intent.operation.flow().sign() * charge.amount.minor())
}

/// The receipt number of the charge.
fn number(entry: &Entry) -> Option<String> {
    let number = entry.outcome()?.into_charge()?.receipt_number?;
    Some(digits(&number).to_owned())
}

/// Without leading zeros.
fn digits(number: &str) -> &str {
    number.trim_start_matches('0')
}

const COLUMNS: &str = "seq, id, intent, approved, result, decision, original, reversed_by, station, source, operator";
pub(super) const OPEN: &str = "SELECT id, intent FROM intents
    WHERE terminal = ?1 AND state IN ('open', 'approved', 'unknown') ORDER BY seq";
pub(super) const LAST: &str = "FROM intents WHERE terminal = ?1 AND state = 'charged' ORDER BY seq DESC LIMIT 1";
/// What a terminal's intents hold, newest first.
const HELD: &str = "SELECT seq, held FROM intents WHERE terminal = ?1 AND held IS NOT NULL ORDER BY seq DESC";
pub(super) const ENDS: &str = "FROM intents WHERE terminal = ?1 AND (original = ?2 OR original IS NULL)
    AND operation IN ('reversal', 'booking', 'release')";
