//! What an answer of the terminal says about an intent: the answer to the request itself, or to
//! `RepeatLastMessage`. Pure: no IO, no guesses.
//!
//! | the terminal's last message | then |
//! |---|---|
//! | is the answer to this request, by type and id | as it says, if amount, currency, trace number, terminal and time fit; else unknown |
//! | is still the one before | not charged, once the terminal has had the time to serve a customer |
//! | is another, not about money, or has no `OriginalHeader` | unknown |
//!
//! An approval that was heard and journalled stands: OPI has no acknowledgement that a terminal could miss.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tresen_hal::Currency;

use super::dialect::Dialect;
use super::options::Options;
use super::reference::{self, name};
use super::results::{Ending, OverallResult};
use super::wire::Response;
use crate::journal::{Entry, Intent, Reference, Transaction};
use crate::outcome::{Charge, NotCharged, Payment, Reason};
use crate::pan;

/// What a terminal answers to `RepeatLastMessage`.
#[derive(Debug)]
pub(super) enum Last {
    /// The message that it repeats.
    Shown(Box<Response>),
    /// It does not tell, and why.
    Untold(String),
    /// It did not answer.
    Silent,
}

/// What is known of an intent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// How it ended.
    Ended(Payment),
    /// The terminal does not show it and may still be busy with it.
    NotYet,
    /// The terminal's answer says nothing certain about it.
    Unsure,
}

/// The type of the request for an operation, if there is one.
pub(super) fn request_type(operation: &Transaction) -> Option<&'static str> {
    match operation {
        Transaction::Payment => Some("CardPayment"),
        Transaction::Reversal { .. } => Some("PaymentReversal"),
        Transaction::Refund => Some("PaymentRefund"),
        Transaction::PreAuthorisation => Some("CardPreAuthorisation"),
        Transaction::Booking { .. } => Some("CardFinancialAdvice"),
        Transaction::Release { .. } => Some("PreAuthReversal"),
        Transaction::Increment { .. } | Transaction::Tip { .. } | Transaction::TopUp { .. } => None,
    }
}

/// The id of the request for an intent: from the intent alone, so that a till that was killed knows it again. Nine digits,
/// which fit where terminals store 32 bits.
pub(super) fn request_id(intent: &Intent) -> String {
    // FNV-1a, 64 bits.
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let at = intent.at.as_millisecond().to_be_bytes();
    let parts = [intent.terminal.as_bytes(), &[0], intent.id.0.as_bytes(), &[0], &at];
    let hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, hash);
    (100_000_000 + (hash ^ (hash >> 32)) % 900_000_000).to_string()
}

/// What the answer to the request itself says. `Err` is why it is not certain.
pub(super) fn answered(
    intent: &Intent,
    response: &Response,
    options: &Options,
    usual: &Usual,
) -> Result<Payment, String> {
    judge(intent, response, &response.result, options, usual)
}

/// What the terminal's last message says, and in words what that rests on.
pub(super) fn decide(
    entry: &Entry,
    last: &Last,
    options: &Options,
    usual: &Usual,
    clock: Elapsed,
) -> (Verdict, String) {
    let now = clock.now;
    let intent = &entry.intent;
    if let Some(approved) = &entry.approved {
        let words = format!("{} was approved, and what the terminal has answered stands", evidence(approved));
        return (Verdict::Ended(Payment::charged(approved.clone(), intent.amount)), words);
    }
    let response = match last {
        Last::Shown(response) => response,
        Last::Untold(why) => return (Verdict::Unsure, format!("the terminal does not tell its last message: {why}")),
        Last::Silent => {
            return (Verdict::Unsure, "the terminal does not tell its last message: it did not answer".into());
        }
    };
    let Some(original) = &response.original else {
        return (Verdict::Unsure, "the terminal does not say which message it repeats".into());
    };
    let told = told(response, options.currency);
    let before = intent.last_before.as_ref();
    if let (Some(then), Some(now)) = (before.and_then(reference::terminal), response.terminal_id.as_deref())
        && !same_number(then, now)
    {
        return (Verdict::Unsure, format!("another terminal answers: {told}; before it was terminal {then}"));
    }
    if original.request_id == request_id(intent) {
        if !request_type(&intent.operation).is_some_and(|ours| original.request_type.eq_ignore_ascii_case(ours)) {
            let what = format!("the terminal's last message has this payment's id and is a {}", original.request_type);
            return (Verdict::Unsure, what);
        }
        if let Some(why) = out_of_time(intent, response, now) {
            return (Verdict::Unsure, format!("{why}: {told}"));
        }
        let charged = original.result.ending() == Ending::Done;
        let names_amount = !matches!(intent.operation, Transaction::Reversal { .. } | Transaction::Release { .. });
        if charged && response.total.is_none() && names_amount {
            return (Verdict::Unsure, format!("the terminal tells no amount: {told}"));
        }
        return match judge(intent, response, &original.result, options, usual) {
            Ok(payment) => (Verdict::Ended(payment), told),
            Err(why) => (Verdict::Unsure, why),
        };
    }
    if before.is_some_and(|before| reference::is_still(before, response)) {
        let words = format!("the terminal's last message is still the one before: {told}");
        if !clock.waited {
            return (Verdict::NotYet, format!("{words}; it may still be busy with the customer"));
        }
        let text = "the terminal has no such transaction";
        let not = NotCharged::new(intent.id.clone(), Reason::NotFound, None, text);
        return (Verdict::Ended(Payment::NotCharged(not)), words);
    }
    (Verdict::Unsure, format!("the terminal's last message is another: {told}"))
}

/// The time of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elapsed {
    pub(super) now: Timestamp,
    /// The driver itself has waited for [`Options::grace`]: the date may have been set since the attempt.
    pub(super) waited: bool,
}

/// What terminals leave out.
#[derive(Debug, Clone, Default)]
pub(super) struct Usual {
    pub(super) terminal_id: Option<String>,
}

fn judge(
    intent: &Intent,
    response: &Response,
    result: &OverallResult,
    options: &Options,
    usual: &Usual,
) -> Result<Payment, String> {
    let ending = match (result, result.ending()) {
        (OverallResult::TimedOut, _) if options.timed_out_is_final => Ending::NotDone(Reason::Aborted),
        (_, ending) => ending,
    };
    match ending {
        Ending::NotDone(reason) => {
            let text = response.error_text.as_deref().map_or_else(|| result.text().into_owned(), clean);
            let text = match &response.error_code {
                Some(code) => format!("{text} ({result}, {})", clean(code)),
                None => text,
            };
            Ok(Payment::NotCharged(NotCharged::new(intent.id.clone(), reason, None, text)))
        }
        Ending::Unsure => Err(format!("{}; that does not say whether money has moved", result.text())),
        Ending::Done => {
            let charge = charge(intent, response, &options.dialect, usual);
            let amount = response.amount(intent.amount.currency());
            let amount = amount.map_err(|text| format!("the terminal's amount `{}` cannot be read", clean(&text)))?;
            let mut charge = charge;
            // Nothing remains of what was released.
            let nothing = matches!(intent.operation, Transaction::Release { .. }).then_some(0);
            let amount = amount.filter(|amount| Some(amount.minor()) != nothing);
            charge.amount = amount.unwrap_or(intent.amount);
            let told = evidence(&charge);
            let repeated = |before: &Reference| {
                let same = |a: Option<&str>, b: Option<&str>| a.is_some() && a == b;
                same(reference::stan(before), response.stan.as_deref())
                    && !differ(reference::terminal(before), response.terminal_id.as_deref())
            };
            if intent.last_before.as_ref().is_some_and(repeated) {
                return Err(format!("the terminal repeated the transaction before: {told}"));
            }
            if !intent.allows(charge.amount, options.partial) {
                return Err(format!("not {} was charged, but {told}", intent.amount));
            }
            Ok(Payment::charged(charge, intent.amount))
        }
    }
}

/// The charge without its amount.
fn charge(intent: &Intent, response: &Response, dialect: &Dialect, usual: &Usual) -> Charge {
    let mut charge = Charge::new(intent.id.clone(), intent.amount);
    let authorisation = &response.authorisation;
    let text = |text: &Option<String>| text.as_deref().map(clean);
    charge.terminal_id = text(&response.terminal_id).or_else(|| usual.terminal_id.clone());
    charge.trace = text(&response.stan);
    charge.receipt_number = text(&authorisation.receipt);
    charge.merchant_id = text(&authorisation.merchant);
    charge.authorisation = text(&authorisation.approval);
    charge.card_name = text(&authorisation.circuit);
    charge.masked_pan = authorisation.pan.as_deref().map(masked);
    charge.at = response.at();
    charge.reference = reference::of(response, charge.terminal_id.as_deref(), dialect);
    charge
}

/// `receipt 8930, 39.50 EUR, trace 021601 on terminal 68276185`
pub(super) fn evidence(charge: &Charge) -> String {
    let mut words = match &charge.receipt_number {
        Some(receipt) => format!("receipt {receipt}, {}", charge.amount),
        None => charge.amount.to_string(),
    };
    if let Some(reference) = &charge.reference {
        words = format!("{words}, {}", name(reference));
    }
    match charge.at {
        Some(at) => format!("{words} at {at}"),
        None => words,
    }
}

/// A repeated message in words.
fn told(response: &Response, currency: Currency) -> String {
    let mut words = match &response.original {
        Some(original) => {
            format!("{} {}: {}", clean(&original.request_type), clean(&original.request_id), original.result)
        }
        None => "a message".into(),
    };
    if let Ok(Some(amount)) = response.amount(currency) {
        words = format!("{words}, {amount}");
    }
    if let Some(stan) = &response.stan {
        words = format!("{words}, trace {}", clean(stan));
    }
    words
}

/// Why the time of the transaction is not that of the attempt.
fn out_of_time(intent: &Intent, response: &Response, now: Timestamp) -> Option<String> {
    let at = response.at()?;
    let local = |at: Timestamp| -> DateTime { at.to_zoned(TimeZone::system()).datetime() };
    let (from, to) = (local(intent.at).saturating_sub(CLOCKS), local(now).saturating_add(CLOCKS));
    (at < from || at > to).then(|| format!("its time does not fit the attempt of {}", local(intent.at)))
}

fn differ(a: Option<&str>, b: Option<&str>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if !same_number(a, b))
}

/// Leading zeros do not matter.
pub(super) fn same_number(a: &str, b: &str) -> bool {
    a.trim_start_matches('0') == b.trim_start_matches('0')
}

/// A text of the terminal without card numbers, and of bounded length.
pub(super) fn clean(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    pan::mask_line(&line.chars().take(LONGEST).collect::<String>(), &[])
}

/// A card number whose last four digits stay.
fn masked(pan: &str) -> String {
    let hidden = pan.chars().count().saturating_sub(4);
    pan.chars().take(64).enumerate().map(|(at, c)| if at < hidden { '*' } else { c }).collect()
}

/// Clocks of terminals that are off by more than this are wrong.
const CLOCKS: SignedDuration = SignedDuration::from_hours(26);
/// Characters that are kept of a text for people.
const LONGEST: usize = 200;

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
