//! Card payments of which a restored database does not know whether they were made.
//!
//! A backup may be older than the end of a payment, or than its intent: the till was killed, or sold on, after the backup
//! was taken. What a running till may conclude from its journal ("there is no intent, so nothing was sent") is then
//! wrong. So every card attempt that had begun, and whose end the restored journal does not have, is in doubt: the
//! journal gets an intent for it, the terminal is asked, and otherwise a person decides. Nothing is sent that moves
//! money. A payment that began wholly after the backup has left no trace in it: only the terminal lists it.

use super::cached::Cached;
use rusqlite::{Connection, params};
use tresen_hal::{Amount, Currency};
use tresen_payment::{Intent, IntentId, Payment, Transaction};

use super::failure::Failure;
use super::{Origin, journal, json, time};

/// Which attempts may have gone on in a time that this database does not know of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since<'a> {
    /// Attempts that began in this opening go on here: they are not in doubt.
    pub(super) opening: Option<&'a str>,
    /// Attempts that were refused, because the journal has no intent of theirs, in a line after this one.
    pub(super) line: i64,
}

/// Puts the card attempts in doubt of which the journal does not know the end; returns how many payments the journal
/// has undecided.
pub(super) fn doubt_attempts(db: &Connection, at: &str, since: Since<'_>) -> Result<usize, Failure> {
    // Evidence that rests on the journal's knowledge of all that came before does not hold for them any more.
    db.run(
        "UPDATE intents SET intent = json_set(intent, '$.restored', json('true'))
         WHERE state IN ('open', 'approved', 'unknown') AND json_valid(intent)",
        [],
    )?;
    for attempt in attempts(db, since)? {
        let id = attempt.key.clone();
        if let Err(why) = attempt.doubt(db, at) {
            // The sale cannot be read either, and is listed as such.
            match why {
                Failure::Sql(_) => return Err(why),
                why => tracing::error!(%id, %why, "an attempt to pay cannot be read"),
            }
        }
    }
    let open = "SELECT count(*) FROM intents WHERE state IN ('open', 'approved', 'unknown')";
    Ok(db.one(open, [], |row| row.get::<_, i64>(0))?.unsigned_abs() as usize)
}

/// A card attempt without an intent.
struct Attempt {
    key: String,
    sale: String,
    terminal: String,
    operation: String,
    asked: i64,
    currency: String,
    /// For a reversal: the attempt that it reverses.
    reference: Option<String>,
    at: String,
    origin: Origin,
    is_open: bool,
}

fn attempts(db: &Connection, since: Since<'_>) -> rusqlite::Result<Vec<Attempt>> {
    let mut find = db.prepare(
        "SELECT t.key, t.sale, t.name, t.operation, t.asked, s.currency, t.reference, t.at, t.station, t.source,
                t.operator, s.state = 'open'
         FROM tenders t JOIN sales s ON s.id = t.sale
         WHERE t.kind = 'card' AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.id = t.key)
           AND (t.state = 'begun' AND t.opening IS NOT ?1
                OR t.state = 'refused' AND t.why = ?2 AND EXISTS
                   (SELECT 1 FROM journal j WHERE j.key = t.sale AND j.kind = 'tender' AND j.seq > ?3
                    AND j.body ->> 'key' = t.key))
         ORDER BY t.seq",
    )?;
    let rows = find.query_map(params![since.opening, NEVER_SENT, since.line], |row| {
        Ok(Attempt {
            key: row.get(0)?,
            sale: row.get(1)?,
            terminal: row.get(2)?,
            operation: row.get(3)?,
            asked: row.get(4)?,
            currency: row.get(5)?,
            reference: row.get(6)?,
            at: row.get(7)?,
            origin: Origin::read(row, 8)?,
            is_open: row.get(11)?,
        })
    })?;
    rows.collect()
}

impl Attempt {
    /// Journals the intent and that its outcome is unknown.
    fn doubt(self, db: &Connection, at: &str) -> Result<(), Failure> {
        let id = IntentId(self.key.clone());
        let currency: Currency = self.currency.parse().map_err(|e: tresen_hal::Error| Failure::row(e.to_string()))?;
        // The terminal's last transaction, as far as this journal knows.
        let before = journal::last(db, &self.terminal)?;
        let (amount, began) = (Amount::new(self.asked.saturating_abs(), currency), time(&self.at)?);
        let mut intent = Intent::new(id.clone(), self.terminal.as_str(), self.operation(db)?, amount, began, before);
        intent.restored = true;
        let (body, unknown) = (json(&intent)?, json(&Payment::unknown(&id, WHY))?);
        journal::intend(db, &intent, Some(self.origin.clone()), at, &body)?;
        db.run("UPDATE intents SET state = 'unknown', result = ?2 WHERE id = ?1", [&self.key, &unknown])?;
        journal::append(db, at, "unknown", &self.key, &unknown, &self.origin)?;
        // A closed sale stays as it was signed and printed.
        if !self.is_open {
            return Ok(());
        }
        db.run(
            "UPDATE tenders SET state = 'unknown', taken = 0, why = ?2, changed_at = ?3 WHERE key = ?1",
            [&self.key, WHY, at],
        )?;
        db.run("UPDATE sales SET rev = rev + 1, changed_at = ?2 WHERE id = ?1", [&self.sale, at])?;
        let body = json(&serde_json::json!({ "key": self.key, "state": "unknown", "taken": 0, "why": WHY }))?;
        Ok(journal::append(db, at, "tender", &self.sale, &body, &self.origin)?)
    }

    fn operation(&self, db: &Connection) -> Result<Transaction, Failure> {
        Ok(match (self.operation.as_str(), &self.reference) {
            ("payment", _) => Transaction::Payment,
            ("reversal", Some(reversed)) => {
                let paid = journal::find(db, reversed)?.and_then(|stored| stored.entry.outcome()?.into_charge());
                let reference = paid.and_then(|charge| charge.reference);
                let reference = reference.ok_or_else(|| Failure::row(format!("`{reversed}` names no charge")))?;
                Transaction::Reversal { reference }
            }
            _ => Transaction::Refund,
        })
    }
}

/// Why an attempt that an earlier run of the till had begun, and that has no intent, is refused.
pub(super) const NEVER_SENT: &str = "the till stopped before anything was sent";
/// Why an attempt is in doubt.
const WHY: &str = "a backup was restored that does not know how this attempt went on: it may have been charged";
