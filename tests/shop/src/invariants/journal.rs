//! The journal: it grows at its end only and without gaps, and what it says is what the tables hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tresen::Amount;

use super::books::unreadable;
use super::{Books, Held};

/// What the journal says, entry by entry.
#[derive(Default)]
pub(super) struct Replay {
    last: i64,
    /// Payments with the entry that decided them.
    payments: BTreeMap<String, Option<String>>,
    /// What each tender of a sale has taken, by its key, in minor units.
    tenders: BTreeMap<String, BTreeMap<String, i64>>,
    /// Closed sales with their number and total.
    closed: BTreeMap<String, (Option<i64>, i64)>,
    voided: BTreeSet<String>,
}

/// Entries follow each other, each payment is intended once and decided once, and each sale ends once, paid by what the
/// journal says was taken.
///
/// # Errors
/// What does not hold.
pub(super) fn grows(books: &mut Books) -> Held {
    let mut replay = std::mem::take(&mut books.replay);
    let grown = replay.read(books);
    books.replay = replay;
    grown
}

impl Replay {
    /// The number of the last entry.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    fn read(&mut self, books: &mut Books) -> Held {
        let db = books.db();
        let mut find = db
            .prepare_cached("SELECT seq, kind, key, body FROM journal WHERE seq > ?1 ORDER BY seq")
            .map_err(unreadable)?;
        let mut rows = find.query([self.last]).map_err(unreadable)?;
        while let Some(row) = rows.next().map_err(unreadable)? {
            let entry = || -> rusqlite::Result<(i64, String, String, String)> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            };
            let (seq, kind, key, body) = entry().map_err(unreadable)?;
            if seq != self.last + 1 {
                return Err(format!("entry {seq} of the journal follows entry {}", self.last));
            }
            self.last = seq;
            let body: Value = serde_json::from_str(&body).map_err(|e| format!("entry {seq} of the journal: {e}"))?;
            self.take(&kind, key, &body).map_err(|what| format!("entry {seq} of the journal: {what}"))?;
        }
        Ok(())
    }

    fn take(&mut self, kind: &str, key: String, body: &Value) -> Held {
        match kind {
            "intent" if self.payments.insert(key.clone(), None).is_some() => {
                return Err(format!("payment {key} is intended twice"));
            }
            "approved" | "unknown" | "charged" | "partial" | "not-charged" | "settled" => {
                let Some(decided) = self.payments.get_mut(&key) else {
                    return Err(format!("payment {key} is `{kind}` and was not intended"));
                };
                if let Some(earlier) = decided {
                    return Err(format!("payment {key} is `{kind}` and was `{earlier}` before"));
                }
                if !matches!(kind, "approved" | "unknown") {
                    *decided = Some(kind.to_owned());
                }
            }
            "tender" => {
                if self.closed.contains_key(&key) || self.voided.contains(&key) {
                    return Err(format!("sale {key} has a tender after its end: {body}"));
                }
                let (Some(tender), Some(taken)) = (body["key"].as_str(), minor(&body["taken"])) else {
                    return Err(format!("a tender without key or amount: {body}"));
                };
                let taken = if body["state"] == "taken" { taken } else { 0 };
                self.tenders.entry(key).or_default().insert(tender.to_owned(), taken);
            }
            "closed" => {
                let (ticket, mut sum) = (&body["ticket"], 0);
                let Some(total) = minor(&ticket["total"]) else {
                    return Err(format!("a sale without a total: {body}"));
                };
                let told = self.tenders.get(&key);
                for tender in body["tenders"].as_array().into_iter().flatten() {
                    let taken =
                        if tender["state"] == "taken" { minor(&tender["taken"]).unwrap_or_default() } else { 0 };
                    let before = told.and_then(|told| told.get(tender["key"].as_str()?)).copied().unwrap_or_default();
                    if taken != before && tender["tender"] != "account" {
                        return Err(format!("sale {key} is closed with {tender}, of which the journal had {before}"));
                    }
                    sum += taken;
                }
                if sum != total {
                    return Err(format!("sale {key} is closed with a total of {total}, of which {sum} is taken"));
                }
                if self.voided.contains(&key) || self.closed.contains_key(&key) {
                    return Err(format!("sale {key} is closed after its end"));
                }
                self.closed.insert(key, (ticket["number"].as_i64(), total));
            }
            "voided" if self.closed.contains_key(&key) || !self.voided.insert(key.clone()) => {
                return Err(format!("sale {key} is voided after its end"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The journal alone tells which sales were closed and voided, and how payments ended.
///
/// # Errors
/// What does not hold.
pub(super) fn agrees_with_the_tables(books: &mut Books) -> Held {
    grows(books)?;
    let mut find =
        books.db().prepare("SELECT id, state, number, minor FROM sales WHERE state <> 'open'").map_err(unreadable)?;
    let ended = find
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, String, Option<i64>, i64)>>>)
        .map_err(unreadable)?;
    drop(find);
    let (mut closed, mut voided) = (0, 0);
    for (id, state, number, minor) in ended {
        let told = books.replay.closed.get(&id);
        let same = match &*state {
            "closed" => {
                closed += 1;
                told == Some(&(number, minor))
            }
            _ => {
                voided += 1;
                told.is_none() && books.replay.voided.contains(&id)
            }
        };
        if !same {
            return Err(format!("sale {id} is {state} as {number:?} with {minor}, the journal says {told:?}"));
        }
    }
    if (closed, voided) != (books.replay.closed.len(), books.replay.voided.len()) {
        return Err(format!("{closed} sales are closed and {voided} voided, the journal has others"));
    }
    for (key, payment) in &books.payments {
        let told = books.replay.payments.get(key);
        if told.is_none_or(|decided| decided.is_none() != payment.entry.is_open()) {
            return Err(format!("payment {key} is {:?}, the journal says {told:?}", payment.entry.outcome()));
        }
    }
    if books.payments.len() != books.replay.payments.len() {
        return Err("the journal has a payment that is not listed".into());
    }
    Ok(())
}

/// Minor units: a number, or an amount in words.
fn minor(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| Some(value.as_str()?.parse::<Amount>().ok()?.minor()))
}
