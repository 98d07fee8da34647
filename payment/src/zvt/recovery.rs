//! Decides what became of a payment whose end was not heard, from what the terminal shows as its last
//! transaction. Pure: it sends nothing and guesses nothing.
//!
//! The terminal is idle when it is asked, so what it has not stored by now it never will.

use jiff::civil::Date;
use tresen_hal::Amount;

use super::codes;
use super::commands::status_info::StatusInfo;
use super::text::Charset;
use crate::journal::{Intent, Reference};
use crate::outcome::{Charge, IntentId, NotCharged, Payment, Reason};

/// What becomes of an approval that the till does not acknowledge. The specification says both, in
/// different sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Commit {
    /// The terminal takes it back.
    Reverses,
    /// It stands; only an explicit refusal takes it back.
    Keeps,
}

/// What a terminal answers when asked for its last transaction.
#[derive(Debug)]
pub(super) enum Last {
    /// The data of a 04 0F.
    Shown(Vec<u8>),
    /// It says that it has none.
    Nothing,
    /// It does not tell, and why.
    Untold(String),
}

/// How to read what the terminal says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) charset: Charset,
    pub(super) today: Date,
}

impl Reading {
    /// A charge as the terminal tells it; what it leaves out is as asked.
    pub(super) fn charge(self, intent: &IntentId, asked: Amount, info: &StatusInfo<'_>) -> Charge {
        let currency = info.currency().unwrap_or(asked.currency());
        let mut charge = Charge::new(intent.clone(), info.minor().map_or(asked, |m| Amount::new(m, currency)));
        charge.receipt_number = info.receipt.map(|r| r.to_string());
        charge.trace = info.trace().map(|t| t.to_string());
        charge.terminal_id = info.terminal_id.map(|t| t.to_string());
        charge.merchant_id = info.merchant_id();
        charge.authorisation = info.authorisation();
        charge.card_name = info.card_name(self.charset);
        charge.masked_pan = info.masked_pan();
        charge.at = info.at(self.today);
        charge
    }
}

/// One open intent and what the journal knows of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) intent: &'a Intent,
    pub(super) approved: Option<&'a Charge>,
    /// No other intent of this terminal is open.
    pub(super) only: bool,
    /// What this terminal does, where the user has said so.
    pub(super) commit: Option<Commit>,
}

/// How it ended, and what that rests on.
pub(super) fn decide(case: Case<'_>, last: &Last, reading: Reading) -> (Payment, String) {
    let intent = case.intent;
    let unknown = |why: String| (Payment::Unknown(intent.id.clone()), why);
    let before = intent.last_before.as_ref();
    let data = match last {
        Last::Shown(data) => data,
        Last::Nothing => {
            return match before {
                None => not_stored(case, "the terminal has no transaction stored"),
                Some(before) => unknown(format!(
                    "the terminal had {} before and shows nothing now; its storage was cleared since",
                    name(before)
                )),
            };
        }
        Last::Untold(why) => return unknown(format!("the terminal does not tell its last transaction: {why}")),
    };
    let info = StatusInfo::parse(data);
    let shown = reading.charge(&intent.id, intent.amount, &info);
    let Some(reference) = Reference::of(&shown) else {
        return unknown("the terminal shows a transaction without a receipt number".into());
    };
    let told = evidence(&shown);
    let known = case.approved.and_then(Reference::of);
    for earlier in known.iter().chain(before) {
        if differ(earlier.terminal_id.as_ref(), reference.terminal_id.as_ref()) {
            return unknown(format!("another terminal answers: {told}, before it was {}", name(earlier)));
        }
    }
    if let (Some(approved), Some(known)) = (case.approved, &known)
        && same(known, &reference)
    {
        return match info.result {
            Some(0) => (Payment::Charged(Box::new(approved.clone())), told),
            Some(code) => (reversed(intent, Some(code)), format!("{told}: {}", codes::result(code))),
            None => unknown(format!("{told}, without a result that can be read")),
        };
    }
    if before.is_some_and(|before| same(before, &reference)) {
        return not_stored(case, &format!("the terminal's last transaction is still the one before: {told}"));
    }
    if let Some(known) = known {
        return unknown(format!("{} was approved, and the terminal's last transaction is {told}", name(&known)));
    }
    if !case.only {
        return unknown(format!("more than one intent is open, and the terminal's last transaction is {told}"));
    }
    if info.minor().is_none() || shown.amount != intent.amount {
        return unknown(format!("another transaction came since: {told}, not {}", intent.amount));
    }
    if before.is_none() && older(&shown, intent) {
        return unknown(format!("the terminal's last transaction is older than this payment: {told}"));
    }
    match info.result {
        Some(0) => (Payment::Charged(Box::new(shown)), told),
        Some(code) => {
            let text = codes::result(code);
            let words = format!("{told}: {text}");
            (Payment::NotCharged(NotCharged::new(intent.id.clone(), codes::reason(code), Some(code), text)), words)
        }
        None => unknown(format!("{told}, without a result that can be read")),
    }
}

/// The terminal has not stored the payment: it was never approved, or taken back.
fn not_stored(case: Case<'_>, told: &str) -> (Payment, String) {
    let intent = case.intent;
    match case.approved {
        None => {
            let text = "the terminal has no such transaction";
            let not = NotCharged::new(intent.id.clone(), Reason::NotFound, None, text);
            (Payment::NotCharged(not), told.to_owned())
        }
        Some(approved) if case.commit == Some(Commit::Keeps) => {
            let words = format!("{} was approved and should stand, but {told}", evidence(approved));
            (Payment::Unknown(intent.id.clone()), words)
        }
        Some(approved) => {
            (reversed(intent, None), format!("{} was approved and taken back; {told}", evidence(approved)))
        }
    }
}

fn reversed(intent: &Intent, code: Option<u8>) -> Payment {
    let text = "the terminal took the approval back";
    Payment::NotCharged(NotCharged::new(intent.id.clone(), Reason::Reversed, code, text))
}

/// `receipt 0417, 42.50 EUR, trace 000123 on terminal 60000001`
pub(super) fn evidence(charge: &Charge) -> String {
    let mut words = match &charge.receipt_number {
        Some(receipt) => format!("receipt {receipt}, {}", charge.amount),
        None => charge.amount.to_string(),
    };
    for (word, value) in [(", trace ", &charge.trace), (" on terminal ", &charge.terminal_id)] {
        if let Some(value) = value {
            words += word;
            words += value;
        }
    }
    if let Some(at) = charge.at {
        words += &format!(" at {at}");
    }
    words
}

fn name(reference: &Reference) -> String {
    let mut words = format!("receipt {}", reference.receipt_number);
    for (word, value) in [(", trace ", &reference.trace), (" on terminal ", &reference.terminal_id)] {
        if let Some(value) = value {
            words += word;
            words += value;
        }
    }
    words
}

/// Receipt numbers begin anew after 9999, so the trace number has to fit as well where both have one.
fn same(a: &Reference, b: &Reference) -> bool {
    digits(&a.receipt_number) == digits(&b.receipt_number) && !differ(a.trace.as_ref(), b.trace.as_ref())
}

fn differ(a: Option<&String>, b: Option<&String>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if digits(a) != digits(b))
}

fn digits(text: &str) -> &str {
    text.trim_start_matches('0')
}

/// By more than a day: terminals' clocks are not that wrong, and time zones not that wide.
fn older(shown: &Charge, intent: &Intent) -> bool {
    let meant = intent.at.to_zoned(jiff::tz::TimeZone::system()).datetime();
    shown.at.is_some_and(|at| meant.duration_since(at).as_hours() > 24)
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
