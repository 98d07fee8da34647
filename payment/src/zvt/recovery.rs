//! Decides how a payment ended whose end was not heard, from what the terminal shows as its last
//! transaction, and whether an approval that was heard is this payment's. Pure: no IO, no guesses.
//!
//! | the terminal shows | approval heard | not heard |
//! |---|---|---|
//! | the approved transaction | charged, or taken back, by its result | |
//! | still the one before, and no later one with its numbers | taken back | not charged |
//! | the next one after it | unknown | charged or declined if the terminal is [ours alone](Options::exclusive) and amount, currency, kind and time fit, else unknown |
//! | anything else, or nothing | unknown | unknown |
//!
//! An amount fits if it is the one asked for, or less of it where the terminal [may approve a
//! part](Options::partial); "charged" is then a [partial](Payment::Partial) payment.
//!
//! Where the terminal is declared to keep approvals ([`Commit::Keeps`]), one that was heard stands
//! unless the terminal shows the opposite. "Not charged" needs two looks: a terminal may go on with a
//! customer and say that it is idle. The driver does the asking; where answers have come late on its connection, two answers
//! in a row have to agree, since the first may be a result that the terminal has taken back.
//!
//! [`Options::exclusive`]: super::Options::exclusive
//! [`Options::partial`]: super::Options::partial

use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use tresen_hal::{Amount, Language};

use super::codes;
use super::commands::status_info::StatusInfo;
use super::redact;
use super::reference::{self as zvt, name, reference};
use super::session::Data;
use super::text::Charset;
use super::wire;
use crate::journal::{Intent, Reference, Transaction};
use crate::outcome::{Charge, IntentId, NotCharged, Payment, Reason, Unknown};

/// What becomes of an approval that the till does not acknowledge. The specification says both, in
/// different sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Commit {
    /// The terminal takes it back.
    Reverses,
    /// It stands; only an explicit refusal takes it back.
    Keeps,
}

/// What a terminal answers when asked for its last transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Last {
    /// The data of a 04 0F.
    Shown(Data),
    /// It says that it has none.
    Nothing,
    /// It does not tell, and why.
    Untold(String),
    /// It did not answer.
    Silent,
}

/// How to read what the terminal says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) charset: Charset,
    /// The till's clock, in the terminal's time zone.
    pub(super) now: DateTime,
    /// Of texts for the cashier.
    pub(super) language: Language,
}

impl Reading {
    /// A charge as the terminal tells it; what it leaves out is as asked.
    pub(super) fn charge(self, intent: &IntentId, asked: Amount, info: &StatusInfo<'_>) -> Charge {
        let currency = info.currency().unwrap_or(asked.currency());
        let mut charge = Charge::new(intent.clone(), info.minor().map_or(asked, |m| Amount::new(m, currency)));
        // FFFF and 0000 are no receipt numbers.
        let number = info.receipt.map(|r| r.to_string());
        charge.receipt_number = number.filter(|n| n.bytes().any(|b| b.is_ascii_digit() && b != b'0'));
        charge.trace = info.trace().map(|t| t.to_string());
        charge.terminal_id = info.terminal_id.map(|t| t.to_string());
        charge.merchant_id = info.merchant_id();
        charge.authorisation = info.authorisation();
        charge.card_name = info.card_name(self.charset);
        charge.masked_pan = info.masked_pan();
        charge.at = info.at(self.now.date());
        (charge.card_type, charge.network_card_type) = (info.card_kind(), info.network_card_type());
        (charge.aid, charge.entry, charge.cvm, charge.age) = (info.aid(), info.entry(), info.cvm(), info.age());
        charge.turnover_number = info.turnover.map(|number| number.to_string());
        charge.raw = Some(raw(info));
        let receipt = charge.receipt_number.as_deref();
        charge.reference =
            receipt.map(|receipt| reference(charge.terminal_id.as_deref(), receipt, charge.trace.as_deref()));
        charge
    }
}

/// The 04 0F in hex, masked.
fn raw(info: &StatusInfo<'_>) -> String {
    let mut apdu = Vec::new();
    wire::encode(&mut apdu, 0x04, 0x0f, |out| out.extend(info.data()));
    redact::messages(&apdu).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One open intent and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) intent: &'a Intent,
    pub(super) approved: Option<&'a Charge>,
    /// No other open intent of this terminal could be the transaction that follows the one before.
    pub(super) only: bool,
    /// What this terminal does, where the user has said so.
    pub(super) commit: Option<Commit>,
    /// No other till and no person starts transactions at this terminal: the user has said so.
    pub(super) exclusive: bool,
    /// The terminal may approve less than was asked for: the user has said so.
    pub(super) partial: bool,
}

/// Why an approving 04 0F is not, or not quite, the approval of `intent`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// It is about another transaction.
    Another(String),
    /// It is about this one, and something else was charged than was asked for.
    Different(String),
}

/// Compares an approval that was heard with what was asked, and with the transaction before.
pub(super) fn objection(intent: &Intent, charge: &Charge, info: &StatusInfo<'_>, partial: bool) -> Option<Objection> {
    let told = evidence(charge);
    if let (Some(before), Some(now)) = (&intent.last_before, &charge.reference)
        && zvt::receipt(before) == zvt::receipt(now)
        && !differ(zvt::terminal(before), zvt::terminal(now))
    {
        return Some(Objection::Another(format!("the terminal repeated the transaction before: {told}")));
    }
    if let Some(why) = another_original(intent, info) {
        return Some(Objection::Another(format!("the terminal told of {why}: {told}")));
    }
    different(intent, info, partial).map(|why| Objection::Different(format!("{why}: {told}")))
}

/// An approval that was heard is this payment's and not an older one that came late: its receipt number
/// follows the previous one, if that is `certain`, or its time lies after the intent's, of which `elapsed` has passed since.
pub(super) fn is_new(intent: &Intent, charge: &Charge, elapsed: Duration, certain: bool) -> bool {
    let Some(reference) = &charge.reference else { return false };
    let next = certain && intent.last_before.as_ref().is_some_and(|before| follows(before, reference));
    // Terminals tell whole seconds.
    let meant = local(intent).with().subsec_nanosecond(0).build().expect("a whole second exists");
    // The till's date may have been set since: then times before the intent would lie after it.
    let latest = meant.saturating_add(elapsed).saturating_add(CLOCKS);
    next || charge.at.is_some_and(|at| at >= meant && at <= latest)
}

/// How it ended, and what that rests on.
pub(super) fn decide(case: Case<'_>, last: &Last, reading: Reading) -> (Payment, String) {
    let (payment, words) = judge(case, last, reading);
    // What was heard, journalled and acknowledged stands at a terminal that keeps approvals.
    match (payment, case.approved) {
        (Verdict::Unsure, Some(approved)) if case.commit == Some(Commit::Keeps) && case.fits(approved) => {
            let words = format!("{} was approved, and this terminal keeps approvals; {words}", evidence(approved));
            (Payment::charged(approved.clone(), case.intent.amount), words)
        }
        (Verdict::Unsure | Verdict::Contradiction, _) => {
            let mut unknown = Unknown::new(case.intent.id.clone(), &*words);
            unknown.asked = true;
            (Payment::Unknown(unknown), words)
        }
        (Verdict::Ended(payment), _) => (payment, words),
    }
}

enum Verdict {
    Ended(Payment),
    /// The terminal's answer says nothing about this payment.
    Unsure,
    /// It says something that cannot be.
    Contradiction,
}

impl Case<'_> {
    fn fits(&self, charge: &Charge) -> bool {
        self.intent.allows(charge.amount, self.partial)
    }
}

fn judge(case: Case<'_>, last: &Last, reading: Reading) -> (Verdict, String) {
    let intent = case.intent;
    let unsure = |why: String| (Verdict::Unsure, why);
    let before = intent.last_before.as_ref();
    let data = match last {
        Last::Shown(data) => &data.0,
        Last::Nothing => {
            return match before {
                // Its storage may have been cleared in the time that was lost.
                None if intent.restored => {
                    unsure("the terminal has no transaction stored, and the journal is incomplete".into())
                }
                None if !(-CLOCKS..=ATTEMPT).contains(&reading.now.duration_since(local(intent))) => unsure(format!(
                    "the terminal has no transaction stored, and may have closed its day since {}",
                    local(intent)
                )),
                None => not_stored(case, "the terminal has no transaction stored"),
                Some(before) => unsure(format!(
                    "the terminal had {} before and shows nothing now; its storage was cleared since",
                    name(before)
                )),
            };
        }
        Last::Untold(why) => return unsure(format!("the terminal does not tell its last transaction: {why}")),
        Last::Silent => return unsure("the terminal does not tell its last transaction: it did not answer".into()),
    };
    let info = StatusInfo::parse(data);
    let shown = as_meant(intent, &info, reading.charge(&intent.id, intent.amount, &info));
    let Some(reference) = shown.reference.clone() else {
        return unsure("the terminal shows a transaction without a receipt number".into());
    };
    let told = evidence(&shown);
    let known = case.approved.and_then(Reference::of);
    for earlier in known.iter().chain(before) {
        if differ(zvt::terminal(earlier), zvt::terminal(&reference)) {
            return unsure(format!("another terminal answers: {told}, before it was {}", name(earlier)));
        }
        if zvt::receipt(earlier) == zvt::receipt(&reference) && !same(earlier, &reference) {
            return unsure(format!("the terminal gives {} another trace number now: {told}", name(earlier)));
        }
    }
    if let (Some(approved), Some(known)) = (case.approved, &known)
        && same(known, &reference)
    {
        return judge_approved(case, approved, &info, told);
    }
    if before.is_some_and(|before| same(before, &reference)) {
        // Another terminal with the same id, which has got as far by now.
        let meant = local(intent);
        if shown.at.is_some_and(|at| at > meant.saturating_add(CLOCKS)) {
            return unsure(format!("what has the number of the one before came after the attempt of {meant}: {told}"));
        }
        return not_stored(case, &format!("the terminal's last transaction is still the one before: {told}"));
    }
    if let Some(approved) = case.approved {
        return unsure(format!("{} was approved, and the terminal's last transaction is {told}", evidence(approved)));
    }
    match unproven(case, &shown, &info, reading) {
        Some(why) => unsure(format!("{why}; the terminal's last transaction is {told}")),
        None => judge_result(intent, shown, info.result, told, reading.language),
    }
}

/// The terminal shows the very transaction that it had approved.
fn judge_approved(case: Case<'_>, approved: &Charge, info: &StatusInfo<'_>, told: String) -> (Verdict, String) {
    let intent = case.intent;
    match info.result {
        Some(0) if !case.fits(approved) => {
            (Verdict::Contradiction, format!("not {} was charged, but {told}", intent.amount))
        }
        Some(0) => match differs(intent, approved.amount, info) {
            Some(why) => (Verdict::Contradiction, format!("{why}: {told}")),
            None => (Verdict::Ended(Payment::charged(approved.clone(), intent.amount)), told),
        },
        Some(code) => (Verdict::Ended(reversed(intent, Some(code))), format!("{told}: {}", codes::result(code))),
        None => (Verdict::Unsure, format!("{told}, without a result that can be read")),
    }
}

fn judge_result(
    intent: &Intent,
    shown: Charge,
    result: Option<u8>,
    told: String,
    language: Language,
) -> (Verdict, String) {
    match result {
        Some(0) => (Verdict::Ended(Payment::charged(shown, intent.amount)), told),
        Some(code) => {
            let text = codes::result(code);
            let words = format!("{told}: {text}");
            let told = codes::words(code, language);
            let mut not = NotCharged::new(intent.id.clone(), codes::reason(code), Some(code), told);
            not.advice = codes::advice(code, language).map(str::to_owned);
            (Verdict::Ended(Payment::NotCharged(not)), words)
        }
        None => (Verdict::Unsure, format!("{told}, without a result that can be read")),
    }
}

/// Why a transaction whose approval was not heard is not certainly this payment.
fn unproven(case: Case<'_>, shown: &Charge, info: &StatusInfo<'_>, reading: Reading) -> Option<String> {
    let intent = case.intent;
    if !case.exclusive {
        let why = "no approval was heard, and the terminal is not declared to be this till's alone (`exclusive=true`)";
        return Some(why.into());
    }
    if !case.only {
        return Some("more than one transaction is open".into());
    }
    let Some(before) = &intent.last_before else {
        return Some("the transaction before this one is not known".into());
    };
    let follows = shown.reference.as_ref().is_some_and(|r| follows(before, r));
    if !follows {
        return Some(format!("more than one transaction came since {}", name(before)));
    }
    if let Some(why) = another_original(intent, info) {
        return Some(format!("it is {why}"));
    }
    if info.minor().is_none() {
        return Some("it tells no amount".into());
    }
    if let Some(why) = different(intent, info, case.partial) {
        return Some(why);
    }
    // It says itself what it follows. Terminals give what ends a reservation the reservation's time.
    if intent.operation.of().is_some_and(|of| follows_up(of, info)) {
        return None;
    }
    let at = shown.at?;
    let meant = local(intent);
    let (from, to) =
        (meant.saturating_sub(CLOCKS), meant.saturating_add(ATTEMPT).min(reading.now.saturating_add(CLOCKS)));
    (at < from || at > to).then(|| format!("its time does not fit the attempt of {meant}"))
}

/// What was charged and not asked for, or not allowed. What the terminal leaves out is as asked.
fn different(intent: &Intent, info: &StatusInfo<'_>, partial: bool) -> Option<String> {
    let part = minor(intent, info).map(|minor| Amount::new(minor, intent.amount.currency()));
    let expected = part.filter(|part| intent.allows(*part, partial)).unwrap_or(intent.amount);
    differs(intent, expected, info)
}

/// BMP 37 names another transaction than the one that this intent follows, or one although it follows none. In words,
/// after "it is".
fn another_original(intent: &Intent, info: &StatusInfo<'_>) -> Option<&'static str> {
    match &intent.operation {
        Transaction::Payment | Transaction::PreAuthorisation | Transaction::TopUp { .. } => {
            info.original_trace.map(|_| "a reversal")
        }
        Transaction::Refund | Transaction::Reversal { .. } => None,
        Transaction::Increment { reference }
        | Transaction::Booking { reference }
        | Transaction::Release { reference }
        | Transaction::Tip { reference } => {
            let known = info.original_trace.is_some() && zvt::trace(reference).is_some();
            (known && !follows_up(reference, info)).then_some("what follows another transaction")
        }
    }
}

/// BMP 37 is the trace number of `of`.
fn follows_up(of: &Reference, info: &StatusInfo<'_>) -> bool {
    let theirs = info.original_trace.and_then(|trace| trace.number());
    theirs.is_some() && theirs == zvt::trace(of).and_then(|trace| trace.parse().ok())
}

/// The amount of a result as the till counts it. A terminal that released a reservation tells zero, which is what remains
/// (capture of the crate `zvt` 0.1, `data/1680728215.659492000_pt_ecr.blob`); one that booked a part may tell what it
/// released, as 06 23 asked for it.
fn minor(intent: &Intent, info: &StatusInfo<'_>) -> Option<i64> {
    let asked = intent.amount.minor();
    let otherwise = match &intent.operation {
        Transaction::Release { .. } => Some(0),
        Transaction::Booking { reference } => zvt::amount_held(reference).map(|held| held.minor() - asked),
        _ => None,
    };
    info.minor().map(|minor| if otherwise == Some(minor) { asked } else { minor })
}

/// The charge as the till counts it.
pub(super) fn as_meant(intent: &Intent, info: &StatusInfo<'_>, mut charge: Charge) -> Charge {
    if let Some(minor) = minor(intent, info) {
        charge.amount = Amount::new(minor, charge.amount.currency());
    }
    if intent.operation == Transaction::PreAuthorisation {
        charge.reference = charge.reference.map(|reference| zvt::with_held(reference, charge.amount));
    }
    charge
}

/// How what is shown differs from `asked`.
fn differs(intent: &Intent, asked: Amount, info: &StatusInfo<'_>) -> Option<String> {
    let currency = info.currency.and_then(|c| c.number());
    if currency.is_some_and(|number| number != u64::from(asked.currency().number())) {
        return Some(format!("the currency is {}, not {}", currency.unwrap_or_default(), asked.currency()));
    }
    let amount = minor(intent, info).filter(|minor| *minor != asked.minor())?;
    Some(format!("the amount is {}, not {asked}", Amount::new(amount, asked.currency())))
}

/// The terminal has not stored the payment: it was never approved, or taken back.
fn not_stored(case: Case<'_>, told: &str) -> (Verdict, String) {
    let intent = case.intent;
    match case.approved {
        None => {
            let text = "the terminal has no such transaction";
            let not = NotCharged::new(intent.id.clone(), Reason::NotFound, None, text);
            (Verdict::Ended(Payment::NotCharged(not)), told.to_owned())
        }
        Some(approved) if case.commit == Some(Commit::Keeps) => {
            (Verdict::Contradiction, format!("{} was approved and should stand, but {told}", evidence(approved)))
        }
        Some(approved) => {
            let words = format!("{} was approved and taken back; {told}", evidence(approved));
            (Verdict::Ended(reversed(intent, None)), words)
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

/// Receipt numbers begin anew after 9999, so the trace number has to fit as well where both have one.
pub(super) fn same(a: &Reference, b: &Reference) -> bool {
    zvt::receipt(a) == zvt::receipt(b)
        && !differ(zvt::trace(a), zvt::trace(b))
        && !differ(zvt::terminal(a), zvt::terminal(b))
}

/// `next` has the receipt number right after `before`: nothing came between.
fn follows(before: &Reference, next: &Reference) -> bool {
    let number = |r| zvt::receipt(r).and_then(|n| n.parse::<u16>().ok());
    let (Some(before), Some(next)) = (number(before), number(next)) else { return false };
    next == before % 9999 + 1
}

/// When it was meant, by the clock on the wall.
fn local(intent: &Intent) -> DateTime {
    intent.at.to_zoned(jiff::tz::TimeZone::system()).datetime()
}

fn differ(a: Option<&str>, b: Option<&str>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

/// How far a terminal's clock may be off.
const CLOCKS: SignedDuration = minutes(10);
/// How long an attempt may take, with a customer who is slow.
const ATTEMPT: SignedDuration = minutes(30);

const fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
