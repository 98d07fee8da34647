//! The tenders of a sale in the database, and how a card payment ends one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tresen_hal::{Amount, Currency};
use tresen_payment::{IntentId, Payment};

use super::cached::Cached;
use super::failure::Failure;
use super::{Origin, Store, from_json, journal, leases, time};
use crate::manager::lock;
use crate::sale::{Tender, TenderKind, TenderOperation, TenderState};

/// An attempt to pay that this program is at, for as long as it is held: its state is that of its call, not that of
/// the journal.
#[must_use]
pub(crate) struct Running {
    all: Arc<Mutex<BTreeSet<String>>>,
    key: String,
}

impl Store {
    /// Marks an attempt as running.
    pub(crate) fn run_attempt(&self, key: &str) -> Running {
        let all = self.0.running.clone();
        lock(&all).insert(key.to_owned());
        Running { all, key: key.to_owned() }
    }

    /// The attempts that run now.
    pub(super) fn running_attempts(&self) -> BTreeSet<String> {
        lock(&self.0.running).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.key);
    }
}

/// The state of an attempt according to the journal.
pub(super) struct TenderEnd {
    pub(super) state: TenderState,
    pub(super) taken: i64,
    pub(super) why: Option<String>,
}

impl TenderEnd {
    pub(super) fn of(outcome: Option<&Payment>, operation: TenderOperation) -> Self {
        match outcome {
            Some(Payment::Charged(charge) | Payment::Partial(charge)) => {
                Self { state: TenderState::Taken, taken: operation.sign() * charge.amount.minor(), why: None }
            }
            Some(Payment::NotCharged(not)) => Self::refused(&not.text),
            Some(Payment::Unknown(unknown)) => {
                Self { state: TenderState::Unknown, taken: 0, why: Some(unknown.why.clone()) }
            }
            Some(_) | None => {
                Self { state: TenderState::Unknown, taken: 0, why: Some("the outcome is not decided yet".into()) }
            }
        }
    }

    pub(super) fn refused(why: &str) -> Self {
        Self { state: TenderState::Refused, taken: 0, why: Some(why.to_owned()) }
    }
}

pub(super) fn tenders(db: &Connection, sale: &str, currency: Currency) -> Result<Vec<Tender>, Failure> {
    let mut find = db.prepare_cached(
        "SELECT key, attempt, kind, name, operation, asked, taken, given, reference, state, why, at,
         station, source, operator FROM tenders WHERE sale = ?1 ORDER BY attempt",
    )?;
    let mut rows = find.query([sale])?;
    let mut tenders = Vec::new();
    while let Some(row) = rows.next()? {
        let amount = |minor| Amount::new(minor, currency);
        let word = |at: usize| row.get::<_, String>(at).map(|w| format!("\"{w}\""));
        let key: String = row.get(0)?;
        let kind = TenderKind::of(&row.get::<_, String>(2)?, row.get(3)?);
        let stored = match &kind {
            TenderKind::Card { .. } => journal::find(db, &key)?,
            _ => None,
        };
        let reversed_by = stored.as_ref().and_then(|stored| stored.reversed_by.clone());
        let lease_ended = match &kind {
            TenderKind::Card { .. } => leases::ended_during(db, &key)?,
            _ => None,
        };
        let payment = stored.and_then(|stored| stored.entry.outcome());
        let charge = payment.and_then(|payment| payment.into_charge().map(Box::new));
        tenders.push(Tender {
            intent: matches!(kind, TenderKind::Card { .. }).then(|| IntentId(key.clone())),
            key,
            attempt: row.get(1)?,
            kind,
            operation: from_json(&word(4)?)?,
            asked: amount(row.get(5)?),
            taken: amount(row.get(6)?),
            given: row.get::<_, Option<i64>>(7)?.map(amount),
            reference: row.get(8)?,
            state: from_json(&word(9)?)?,
            why: row.get(10)?,
            charge,
            reversed_by,
            lease_ended,
            at: time(&row.get::<_, String>(11)?)?,
            origin: Origin::read(row, 12)?,
        });
    }
    Ok(tenders)
}

pub(super) fn began_in(db: &Connection, key: &str) -> rusqlite::Result<String> {
    db.one("SELECT opening FROM tenders WHERE key = ?1", [key], |row| row.get(0))
}
