//! Sales in the database: each step is written before the next begins.
//!
//! A change names the revision it is based on; if another station has changed the sale since, nothing is written
//! ([`Kind::Busy`]). The outcome of a card payment is always read from the journal, under the attempt's key, in the
//! same transaction.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Currency, Error, Kind, Result, Retry};
use tresen_payment::Payment;

use super::cached::Cached;
use super::failure::Failure;
use super::leases::{self, Basis};
use super::listing::{Listed, Query};
use super::parked::Parked;
use super::tenders::{TenderEnd, began_in, tenders};
use super::{Origin, Store, accounts, doubt, from_json, journal, json, returns, steps, time, tips};
use crate::sale::{Line, Signing, Tender, TenderKind, TenderOperation, TenderState, Ticket, Tip};

/// A sale without its lines and tenders, for listings; [`crate::Tresen::sale`] includes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredTicket {
    /// Its position in the listing, in the order sales were opened.
    pub seq: i64,
    /// Its globally unique key.
    pub id: String,
    /// Its revision; incremented with every change.
    pub rev: i64,
    /// Its state.
    pub state: SaleState,
    /// Its number, assigned on closing, without gaps within an epoch of a till.
    pub number: Option<i64>,
    /// The epoch of its number.
    pub epoch: Option<i64>,
    /// The sale that it refunds.
    pub original: Option<String>,
    /// Its total, tips included; negative where the customer gets money back.
    pub total: Amount,
    /// The tips in it.
    pub tip: Amount,
    /// The name under which it is parked.
    pub parked: Option<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Who opened it.
    pub origin: Origin,
}

/// The state of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SaleState {
    /// Lines are being added, or it is being paid.
    Open,
    /// Paid and numbered.
    Closed,
    /// Voided before it was paid.
    Voided,
}

/// A sale with its lines and tenders, at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SaleView {
    /// Its revision; incremented with every change.
    pub rev: i64,
    /// Its state.
    pub state: SaleState,
    /// The amount still to be paid; negative where the customer gets money back. An attempt with an unknown outcome
    /// counts as paid.
    pub due: Amount,
    /// Whether an attempt is in progress or has an unknown outcome.
    pub pending: bool,
    /// The epoch of its number.
    pub epoch: Option<i64>,
    /// The lines sold.
    pub ticket: Ticket,
    /// The attempts to pay so far, in order.
    pub tenders: Vec<Tender>,
    /// The fiscal device's signature, or the record of its outage.
    pub signing: Option<Signing>,
    /// The result of opening the drawer: `asked`, `opened`, or why it did not open.
    pub drawer: Option<String>,
    /// While it is parked: under which name, since when and by whom.
    #[serde(default)]
    pub parked: Option<Parked>,
    /// Who opened it.
    pub origin: Origin,
}

/// A tender that is about to begin, or that completes at once.
#[derive(Debug, Clone)]
pub(crate) struct NewTender {
    pub(crate) kind: TenderKind,
    pub(crate) operation: TenderOperation,
    /// Signed: negative where the customer gets money back.
    pub(crate) asked: Amount,
    pub(crate) given: Option<Amount>,
    pub(crate) reference: Option<String>,
    /// No device is involved: the tender is taken as soon as it is written.
    pub(crate) taken: bool,
}

impl Store {
    /// The sales, in the order they were opened, without their lines.
    pub fn tickets(&self) -> Query<'_, StoredTicket> {
        Query::new(self)
    }

    /// The ids of open sales, oldest first.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn open_sales(&self) -> Result<Vec<String>> {
        self.read(|db| {
            let mut open = db.prepare_cached("SELECT id FROM sales WHERE state = 'open' ORDER BY seq")?;
            let ids = open.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    pub(crate) async fn new_sale(
        &self,
        id: &str,
        opened_at: Timestamp,
        currency: Currency,
        origin: &Origin,
    ) -> Result<SaleView> {
        let (ticket, origin) = (Ticket::new(id.to_owned(), opened_at, currency), origin.clone());
        self.write(move |db| match opened(db, ticket.id(), None)? {
            Some(sale) => Ok(sale),
            None => insert(db, &ticket, &origin),
        })
        .await
    }

    /// One sale with its lines and tenders.
    pub(crate) async fn sale(&self, id: &str) -> Result<Option<SaleView>> {
        let id = id.to_owned();
        self.read(move |db| record(db, &id)).await
    }

    /// Writes the lines, the tips and the note of an open sale.
    pub(crate) async fn change_sale(&self, basis: Basis, ticket: &Ticket) -> Result<SaleView> {
        let (ticket, at) = (ticket.clone(), self.now());
        self.write(move |db| update(db, &basis, &ticket, &at)).await
    }

    /// Writes the next attempt to pay; also returns its key.
    pub(crate) async fn begin_tender(
        &self,
        id: &str,
        basis: Basis,
        new: NewTender,
        origin: &Origin,
    ) -> Result<(SaleView, String)> {
        let (id, at, origin) = (id.to_owned(), self.now(), origin.clone());
        let opening = self.0.opening.clone();
        self.write(move |db| {
            step(db, &id, &basis, &at)?;
            db.run("UPDATE sales SET signature = NULL WHERE id = ?1 AND signature IS NOT NULL", [&id])?;
            let attempt: i64 =
                db.one("SELECT coalesce(max(attempt), 0) + 1 FROM tenders WHERE sale = ?1", [&id], |row| row.get(0))?;
            let key = format!("{id}/{attempt}");
            let (kind, name) = new.kind.columns();
            db.run(
                "INSERT INTO tenders (key, sale, attempt, kind, name, operation, asked, taken, given, reference, state,
                 opening, at, changed_at, station, source, operator)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16)",
                params![
                    key,
                    id,
                    attempt,
                    kind,
                    name,
                    new.operation.word(),
                    new.asked.minor(),
                    if new.taken { new.asked.minor() } else { 0 },
                    new.given.map(Amount::minor),
                    new.reference,
                    if new.taken { "taken" } else { "begun" },
                    opening,
                    at,
                    origin.station,
                    origin.source,
                    origin.operator
                ],
            )?;
            if let Some(step) = &basis.step {
                steps::begun(db, step, &key)?;
            }
            accounts::begin(db, &id, &key, &new, &opening, &at)?;
            let record = known(db, &id)?;
            if new.taken {
                let body = json(&record.tenders.last())?;
                journal::append(db, &at, "tender", &id, &body, &origin)?;
            }
            Ok((record, key))
        })
        .await
    }

    /// Records that an attempt certainly never reached its terminal; the next [`Store::follow_tenders`] of its sale
    /// writes that down.
    pub(crate) fn never_sent(&self, key: &str, why: &str) {
        self.0.never_sent.lock().expect("no holder of this lock panics").insert(key.to_owned(), why.to_owned());
    }

    /// Updates the card attempts of an open sale from the journal, except those that are running. An attempt missing from
    /// the journal was never sent if it began in an earlier opening, or if that was recorded.
    pub(crate) async fn follow_tenders(&self, id: &str) -> Result<SaleView> {
        let (id, at, opening) = (id.to_owned(), self.now(), self.0.opening.clone());
        let never_sent = self.0.never_sent.lock().expect("no holder of this lock panics").clone();
        let running = self.running_attempts();
        let noted: Vec<String> = never_sent.keys().filter(|key| key.starts_with(&format!("{id}/"))).cloned().collect();
        let record = self.write(move |db| {
            let before = known(db, &id)?;
            if before.state != SaleState::Open {
                return Ok(before);
            }
            let (mut changed, mut tipped, mut ticket) = (false, false, before.ticket.clone());
            for tender in &before.tenders {
                let TenderKind::Card { .. } = tender.kind else { continue };
                if tender.state == TenderState::Begun && running.contains(&tender.key) {
                    continue;
                }
                let outcome = journal::find(db, &tender.key)?.map(|stored| stored.entry.outcome());
                let end = match &outcome {
                    Some(outcome) => TenderEnd::of(outcome.as_ref(), tender.operation),
                    None if tender.state != TenderState::Begun => continue,
                    None => match never_sent.get(&tender.key) {
                        Some(why) => TenderEnd::refused(why),
                        None if began_in(db, &tender.key)? != opening => TenderEnd::refused(doubt::NEVER_SENT),
                        None => continue,
                    },
                };
                if (end.state, end.taken, &end.why) == (tender.state, tender.taken.minor(), &tender.why) {
                    continue;
                }
                changed = true;
                let taken = outcome.flatten().and_then(Payment::into_charge);
                tipped |= tips::follow(&mut ticket, tender, taken.as_ref());
                db.run(
                    "UPDATE tenders SET state = ?2, taken = ?3, why = ?4, changed_at = ?5 WHERE key = ?1",
                    params![tender.key, end.state.word(), end.taken, end.why, at],
                )?;
                if end.state != TenderState::Begun {
                    let body = json(&serde_json::json!({
                        "key": tender.key, "state": end.state, "taken": end.taken, "why": end.why,
                        "tip": taken.and_then(|charge| charge.tip),
                    }))?;
                    journal::append(db, &at, "tender", &id, &body, &tender.origin)?;
                }
            }
            if tipped {
                write_body(db, &ticket)?;
            }
            if changed {
                db.run("UPDATE sales SET rev = rev + 1, changed_at = ?2 WHERE id = ?1", [&id, &at])?;
            }
            known(db, &id)
        });
        let record = record.await?;
        let mut never_sent = self.0.never_sent.lock().expect("no holder of this lock panics");
        noted.iter().for_each(|key| _ = never_sent.remove(key));
        Ok(record)
    }

    /// Writes the result of signing.
    pub(crate) async fn sign_sale(&self, id: &str, basis: Basis, signing: &Signing) -> Result<SaleView> {
        let (id, body, at) = (id.to_owned(), json(signing)?, self.now());
        self.write(move |db| {
            step(db, &id, &basis, &at)?;
            db.run("UPDATE sales SET signature = ?2 WHERE id = ?1", [&id, &body])?;
            let record = known(db, &id)?;
            journal::append(db, &at, "signed", &id, &body, &record.origin)?;
            Ok(record)
        })
        .await
    }
}

/// The amount not covered by tenders taken or pending.
fn due(ticket: &Ticket, tenders: &[Tender]) -> Amount {
    let paid: i128 = tenders.iter().map(|t| i128::from(t.counts().minor())).sum();
    let due = i128::from(ticket.total().minor()) - paid;
    Amount::new(due.clamp(i64::MIN.into(), i64::MAX.into()) as i64, ticket.total().currency())
}

/// The sale that was opened under this id before, if any: a refund of `original`, or none.
pub(super) fn opened(db: &Connection, id: &str, original: Option<&str>) -> Result<Option<SaleView>, Failure> {
    if id.is_empty() || id.len() > LONGEST_ID {
        return Err(Error::new(Kind::Input, format!("a sale's id has 1 to {LONGEST_ID} bytes")).into());
    }
    let Some(sale) = record(db, id)? else { return Ok(None) };
    if sale.ticket.original() == original {
        return Ok(Some(sale));
    }
    Err(Error::new(Kind::Input, format!("sale `{id}` is another one")).hint("choose another id").into())
}

/// Of a sale's id, in bytes.
const LONGEST_ID: usize = 300;

/// Writes a new sale.
pub(super) fn insert(db: &Connection, ticket: &Ticket, origin: &Origin) -> Result<SaleView, Failure> {
    db.run(
        "INSERT INTO sales (id, state, original, minor, tip, currency, body, opened_at, changed_at, station, source,
         operator) VALUES (?1, 'open', ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10)",
        params![
            ticket.id(),
            ticket.original,
            ticket.total().minor(),
            ticket.tip().minor(),
            ticket.total().currency().code(),
            Body::of(ticket)?,
            super::stamp(ticket.opened_at()),
            origin.station,
            origin.source,
            origin.operator
        ],
    )?;
    known(db, ticket.id())
}

/// Writes the lines, the tips and the note of an open sale, if it is at the revision known to the caller. A signature
/// that it has already got was of something else.
pub(super) fn update(db: &Connection, basis: &Basis, ticket: &Ticket, at: &str) -> Result<SaleView, Failure> {
    step(db, ticket.id(), basis, at)?;
    returns::check(db, ticket)?;
    write_body(db, ticket)?;
    known(db, ticket.id())
}

fn write_body(db: &Connection, ticket: &Ticket) -> Result<(), Failure> {
    db.run(
        "UPDATE sales SET body = ?2, minor = ?3, tip = ?4, signature = NULL WHERE id = ?1",
        params![ticket.id(), Body::of(ticket)?, ticket.total().minor(), ticket.tip().minor()],
    )?;
    Ok(())
}

/// Increments the revision of an open sale that is not parked, if it is the one known to the caller and nobody else has
/// the sale.
pub(super) fn step(db: &Connection, id: &str, basis: &Basis, at: &str) -> Result<(), Failure> {
    leases::admit(db, id, basis)?;
    if let Some(step) = &basis.step {
        steps::take(db, id, step)?;
    }
    let rev = basis.rev;
    let applied = db.run(
        "UPDATE sales SET rev = rev + 1, changed_at = ?3 WHERE id = ?1 AND rev = ?2 AND state = 'open'
         AND parked IS NULL",
        params![id, rev, at],
    )?;
    if applied == 1 { Ok(()) } else { Err(overtaken(db, id, rev)?.into()) }
}

/// Why a change was not applied.
pub(super) fn overtaken(db: &Connection, id: &str, rev: i64) -> rusqlite::Result<Error> {
    let row = db
        .query_row("SELECT rev, state, parked ->> 'name' FROM sales WHERE id = ?1", [id], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
        })
        .optional()?;
    Ok(match row {
        None => Error::new(Kind::Input, format!("unknown sale `{id}`")),
        Some((_, state, _)) if state != "open" => Error::new(Kind::Input, format!("sale `{id}` is {state}")),
        Some((now, ..)) if now != rev => changed(id, now, rev),
        Some((.., Some(name))) => {
            Error::new(Kind::Input, format!("sale `{id}` is parked as `{name}`")).hint("resume it first")
        }
        Some((now, ..)) => changed(id, now, rev),
    })
}

/// The error for a sale changed by another station.
pub(crate) fn changed(id: &str, now: i64, known: i64) -> Error {
    let what = format!("sale `{id}` was changed in the meantime: it is at revision {now}, the request was for {known}");
    Error::new(Kind::Busy, what).with_retry(Retry::Now).hint("read it again")
}

pub(super) fn known(db: &Connection, id: &str) -> Result<SaleView, Failure> {
    record(db, id)?.ok_or_else(|| Error::new(Kind::Input, format!("unknown sale `{id}`")).into())
}

pub(super) fn record(db: &Connection, id: &str) -> Result<Option<SaleView>, Failure> {
    let mut find = db.prepare_cached(
        "SELECT rev, state, epoch, number, original, minor, currency, body, signature, drawer, opened_at, closed_at,
         station, source, operator, parked FROM sales WHERE id = ?1",
    )?;
    let mut rows = find.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let opened_at = time(&row.get::<_, String>(10)?)?;
    let currency = currency(&row.get::<_, String>(6)?)?;
    let mut ticket = Ticket::new(id.to_owned(), opened_at, currency);
    ticket.number = row.get(3)?;
    ticket.original = row.get(4)?;
    ticket.closed_at = row.get::<_, Option<String>>(11)?.map(|at| time(&at)).transpose()?;
    let body: Body = from_json(&row.get::<_, String>(7)?)?;
    if body.v != VERSION {
        return Err(Failure::row(format!("sale `{id}` has version {}, this tresen reads {VERSION}", body.v)));
    }
    for line in body.lines {
        ticket.add(line).map_err(|e| Failure::row(e.to_string()))?;
    }
    for tip in body.tips {
        ticket.add_tip(tip).map_err(|e| Failure::row(e.to_string()))?;
    }
    if let Some(note) = body.note {
        ticket.set_note(note);
    }
    if ticket.total().minor() != row.get::<_, i64>(5)? {
        return Err(Failure::row(format!("the lines of sale `{id}` do not add up to its total")));
    }
    let state: String = row.get(1)?;
    let tenders = tenders(db, id, currency)?;
    Ok(Some(SaleView {
        rev: row.get(0)?,
        state: from_json(&format!("\"{state}\""))?,
        due: due(&ticket, &tenders),
        pending: tenders.iter().any(|t| matches!(t.state, TenderState::Begun | TenderState::Unknown)),
        epoch: row.get(2)?,
        ticket,
        tenders,
        signing: row.get::<_, Option<String>>(8)?.map(|text| from_json(&text)).transpose()?,
        drawer: row.get(9)?,
        parked: row.get::<_, Option<String>>(15)?.map(|text| from_json(&text)).transpose()?,
        origin: Origin::read(row, 12)?,
    }))
}

fn currency(code: &str) -> Result<Currency, Failure> {
    code.parse().map_err(|e: Error| Failure::row(e.to_string()))
}

/// The stored form of a ticket's content.
#[derive(Serialize, Deserialize)]
struct Body {
    v: u32,
    lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tips: Vec<Tip>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Body {
    fn of(ticket: &Ticket) -> Result<String> {
        let (lines, tips) = (ticket.lines().to_vec(), ticket.tips().to_vec());
        json(&Self { v: VERSION, lines, tips, note: ticket.note().map(str::to_owned) })
    }
}

impl Listed for StoredTicket {
    const SQL: &'static str =
        "SELECT seq, id, rev, state, number, epoch, original, minor, currency, opened_at, closed_at,
        station, source, operator, tip, parked ->> 'name' FROM sales WHERE seq > ?1 ORDER BY seq LIMIT ?2";

    fn read(row: &Row<'_>) -> std::result::Result<Self, String> {
        let ticket = || {
            Ok::<_, Failure>(Self {
                seq: row.get(0)?,
                id: row.get(1)?,
                rev: row.get(2)?,
                state: from_json(&format!("\"{}\"", row.get::<_, String>(3)?))?,
                number: row.get(4)?,
                epoch: row.get(5)?,
                original: row.get(6)?,
                total: Amount::new(row.get(7)?, currency(&row.get::<_, String>(8)?)?),
                tip: Amount::new(row.get(14)?, currency(&row.get::<_, String>(8)?)?),
                parked: row.get(15)?,
                opened_at: time(&row.get::<_, String>(9)?)?,
                closed_at: row.get::<_, Option<String>>(10)?.map(|at| time(&at)).transpose()?,
                origin: Origin::read(row, 11)?,
            })
        };
        ticket().map_err(|e| e.to_string())
    }
}

/// The ticket version that this tresen writes and reads.
const VERSION: u32 = 1;
