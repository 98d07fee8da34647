//! What the terminal says about an intent: the response to the request itself, or to a question for its status. Pure: no
//! IO, no guesses.
//!
//! | status of this `SaleID` and `ServiceID` | then |
//! |---|---|
//! | repeats the response | as it says, if header, amount, currency, sale and time fit; else unknown |
//! | `InProgress` | asked again; unknown if that goes on for longer than any transaction |
//! | `NotFound` | not charged, at the second look, once the request cannot be on its way any more; unknown after a day, since nothing says how long a terminal remembers |
//! | another | unknown |

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tresen_hal::Amount;

use super::options::Options;
use super::reference::{self, name};
use super::results::{Condition, Ending, Outcome};
use super::session::clean;
use super::wire::{
    Answer, Category, Header, PaymentResponse, PoiData, Receipt, RepeatedBody, ReversalResponse,
    TransactionStatusResponse,
};
use super::{form, receipt};
use crate::amount;
use crate::journal::{Entry, Intent, Transaction};
use crate::outcome::{Charge, NotCharged, Payment, Reason};
use crate::slips::Slips;

/// What a terminal answers to the question for a transaction.
#[derive(Debug)]
pub(super) enum Status {
    /// The response to it.
    Repeated(Box<RepeatedBody>),
    /// It runs, or the terminal serves somebody.
    Running,
    /// There is no such transaction.
    Missing,
    /// It does not tell, and why.
    Untold(String),
    /// It did not answer, and why.
    Silent(String),
}

/// What is known of an intent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// How it ended.
    Ended(Payment),
    /// It may still run, or be on its way.
    NotYet,
    /// The terminal's answer says nothing certain about it.
    Unsure,
}

/// The time of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elapsed {
    pub(super) now: Timestamp,
    /// The driver has asked before and waited for [`Options::grace`] since: the date may have been set since the attempt.
    pub(super) waited: bool,
}

/// The category of the request for an operation.
pub(super) fn category(operation: &Transaction) -> Category {
    match operation {
        Transaction::Reversal { .. } => Category::Reversal,
        _ => Category::Payment,
    }
}

/// What a status says, if it is one of this transaction.
pub(super) fn status(told: TransactionStatusResponse, asked: &Header) -> Status {
    let TransactionStatusResponse { response, message_reference, repeated_message_response } = told;
    let other = message_reference.is_some_and(|about| {
        let differs = |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && theirs != ours;
        about.category.is_some_and(|category| category != asked.category)
            || differs(&about.sale_id, &asked.sale_id)
            || differs(&about.service_id, &asked.service_id)
            || differs(&about.poi_id, &asked.poi_id)
    });
    if other {
        return Status::Untold("the terminal tells of another transaction".into());
    }
    match Outcome::of(&response.result, response.error_condition.as_deref()) {
        Outcome::Success => match repeated_message_response {
            Some(repeated) if same(&repeated.message_header, asked) => {
                Status::Repeated(Box::new(repeated.repeated_response_message_body))
            }
            Some(_) => Status::Untold("the terminal repeats the response to another request".into()),
            None => Status::Untold("the terminal does not repeat the response".into()),
        },
        Outcome::Failure(Condition::InProgress | Condition::Busy) => Status::Running,
        Outcome::Failure(Condition::NotFound) => Status::Missing,
        Outcome::Failure(condition) => Status::Untold(clean(&condition.to_string())),
        Outcome::Partial | Outcome::Other(_) => Status::Untold("its answer is none to this question".into()),
    }
}

/// The repeated header is that of the response to this request. Terminals leave out what it shares with the question.
fn same(repeated: &Header, asked: &Header) -> bool {
    let fits = |theirs: &Option<String>, ours: &Option<String>| theirs.is_none() || theirs == ours;
    repeated.category == asked.category
        && repeated.service_id == asked.service_id
        && repeated.sale_id == asked.sale_id
        && fits(&repeated.poi_id, &asked.poi_id)
}

/// What the terminal's status says, and in words what that rests on.
pub(super) fn decide(entry: &Entry, status: &Status, options: &Options, clock: Elapsed) -> (Verdict, String) {
    let intent = &entry.intent;
    match status {
        Status::Repeated(body) => {
            let ended = match (&body.payment_response, &body.reversal_response, &intent.operation) {
                (None, Some(reversed), Transaction::Reversal { .. }) => reversal(intent, reversed, options),
                (Some(paid), None, Transaction::Payment | Transaction::Refund) => payment(intent, paid, options),
                _ => Err("the terminal repeats the response to something else".into()),
            };
            match ended {
                Ok(payment) => match out_of_time(intent, &payment, clock.now) {
                    Some(why) => (Verdict::Unsure, why),
                    None => {
                        let words = told(intent, &payment);
                        (Verdict::Ended(payment), words)
                    }
                },
                Err(why) => (Verdict::Unsure, why),
            }
        }
        Status::Running => (Verdict::NotYet, "the terminal says that the transaction still runs".into()),
        Status::Missing => {
            let since = clock.now.duration_since(intent.at);
            let words = "the terminal has no such transaction".to_owned();
            if since > REMEMBERS || since < -CLOCKS {
                return (Verdict::Unsure, format!("{words}, and may have forgotten it since {}", intent.at));
            }
            if !clock.waited {
                return (Verdict::NotYet, format!("{words} yet"));
            }
            let not = NotCharged::new(intent.id.clone(), Reason::NotFound, None, &*words);
            (Verdict::Ended(Payment::NotCharged(not)), words)
        }
        Status::Untold(why) => (Verdict::Unsure, format!("the terminal does not tell how it ended: {why}")),
        Status::Silent(why) => (Verdict::Unsure, format!("the terminal did not answer the question for it: {why}")),
    }
}

/// What the response to a payment or refund says. `Err` is why it is not certain.
pub(super) fn payment(intent: &Intent, paid: &PaymentResponse, options: &Options) -> Result<Payment, String> {
    let result = paid.payment_result.as_ref();
    let answered = Answered { response: &paid.response, poi: paid.poi_data.as_ref(), receipts: &paid.payment_receipt };
    if !answered.done(intent)? {
        return Ok(answered.not_charged(intent));
    }
    let wanted = reference::sale_transaction(intent).transaction_id;
    let named = paid.sale_data.as_ref().and_then(|data| data.sale_transaction_id.as_ref());
    if named.is_some_and(|named| named.transaction_id != wanted) {
        return Err("the terminal answers for another sale".into());
    }
    let refund = result.and_then(|result| result.payment_type.as_deref()).map(|kind| kind == "Refund");
    if refund.is_some_and(|refund| refund != (intent.operation == Transaction::Refund)) {
        return Err(format!("the terminal answers for something else than a {}", intent.operation.name()));
    }
    let amounts = result.and_then(|result| result.amounts_resp.as_ref());
    let amounts = amounts.ok_or("the terminal approved and tells no amount")?;
    let currency = match &amounts.currency {
        Some(code) => amount::currency(code).ok_or("the terminal's currency is not known")?,
        None => intent.amount.currency(),
    };
    let read = |number: &super::wire::Number| {
        number
            .amount(currency)
            .ok_or_else(|| format!("the terminal's amount `{}` cannot be read", clean(number.as_str())))
    };
    let authorised = read(&amounts.authorized_amount)?;
    let tip = amounts.tip_amount.as_ref().map(read).transpose()?;
    let mut charge = answered.charge(intent, authorised, options);
    let card = result.and_then(|result| result.payment_instrument_data.as_ref()?.card_data.as_ref());
    charge.card_name = card.and_then(|card| card.payment_brand.as_deref()).map(clean);
    charge.masked_pan = card.and_then(|card| card.masked_pan.as_deref()).map(masked);
    let acquirer = result.and_then(|result| result.payment_acquirer_data.as_ref());
    charge.authorisation = acquirer.and_then(|acquirer| acquirer.approval_code.as_deref()).map(clean);
    charge.merchant_id = acquirer.and_then(|acquirer| acquirer.merchant_id.as_deref()).map(clean);
    let traced = acquirer.and_then(|acquirer| acquirer.transaction.as_ref());
    charge.trace = traced.map(|traced| clean(&traced.transaction_id));
    if !fits(intent, authorised, tip, options) {
        return Err(format!("not {} was charged, but {}", intent.amount, evidence(&charge)));
    }
    charge.tip = tip.filter(|_| charge.amount.minor() > intent.amount.minor());
    Ok(answered.with_slips(charge, intent))
}

/// What the response to a reversal says.
pub(super) fn reversal(intent: &Intent, reversed: &ReversalResponse, options: &Options) -> Result<Payment, String> {
    let answered =
        Answered { response: &reversed.response, poi: reversed.poi_data.as_ref(), receipts: &reversed.payment_receipt };
    // Here it is the original that is not found.
    let unknown = answered.outcome() == Outcome::Failure(Condition::NotFound);
    if unknown || !answered.done(intent)? {
        return Ok(answered.not_charged(intent));
    }
    let partial = Outcome::of(&reversed.response.result, None) == Outcome::Partial;
    let read = reversed.reversed_amount.as_ref().map(|number| number.amount(intent.amount.currency()));
    if partial || read.is_some_and(|amount| amount != Some(intent.amount)) {
        return Err(format!("another amount than {} was reversed", intent.amount));
    }
    Ok(answered.with_slips(answered.charge(intent, intent.amount, options), intent))
}

/// The amount is what was asked for, or a part where parts are allowed, or more by the tip.
fn fits(intent: &Intent, authorised: Amount, tip: Option<Amount>, options: &Options) -> bool {
    let tip = tip.filter(|tip| tip.minor() > 0);
    match tip {
        Some(tip) if options.tip && intent.operation == Transaction::Payment => {
            authorised.minor().checked_sub(tip.minor()) == Some(intent.amount.minor())
                && authorised.currency() == intent.amount.currency()
        }
        _ => intent.allows(authorised, options.partial),
    }
}

/// What responses of both kinds have.
struct Answered<'a> {
    response: &'a Answer,
    poi: Option<&'a PoiData>,
    receipts: &'a [Receipt],
}

impl Answered<'_> {
    fn outcome(&self) -> Outcome {
        Outcome::of(&self.response.result, self.response.error_condition.as_deref())
    }

    /// Whether money has moved.
    fn done(&self, intent: &Intent) -> Result<bool, String> {
        match self.outcome().ending() {
            Ending::Done => Ok(true),
            Ending::NotDone(_) => Ok(false),
            Ending::Unsure => {
                let why = self.text();
                Err(format!("{why}; that does not say whether the {} was done", intent.operation.name()))
            }
        }
    }

    fn not_charged(&self, intent: &Intent) -> Payment {
        let reason = match self.outcome().ending() {
            Ending::NotDone(reason) => reason,
            Ending::Done | Ending::Unsure => Reason::Unavailable,
        };
        let mut slips = Slips::default();
        receipt::collect(self.receipts, &mut slips);
        let mut not = NotCharged::new(intent.id.clone(), reason, None, self.text());
        not.slip = slips.all();
        Payment::NotCharged(not)
    }

    /// What the terminal says of a failure, for the cashier.
    fn text(&self) -> String {
        let why = match self.outcome() {
            Outcome::Failure(condition) => condition.to_string(),
            other => format!("the terminal answered {other:?}"),
        };
        let more = self.response.additional_response.as_deref().unwrap_or_default();
        let more = form::value(more, "refusalReason").or_else(|| form::value(more, "message"));
        clean(&more.map_or(why.clone(), |more| format!("{why}: {more}")))
    }

    fn charge(&self, intent: &Intent, amount: Amount, options: &Options) -> Charge {
        let mut charge = Charge::new(intent.id.clone(), amount);
        charge.reference = reference::of(self.poi);
        charge.terminal_id = Some(options.poi.clone());
        let named = self.poi.and_then(|poi| poi.transaction.as_ref());
        let at = named.and_then(|named| named.time_stamp.parse::<Timestamp>().ok());
        charge.at = at.map(local);
        charge
    }

    fn with_slips(&self, mut charge: Charge, intent: &Intent) -> Payment {
        let mut slips = Slips::default();
        slips.know(charge.merchant_id.clone());
        receipt::collect(self.receipts, &mut slips);
        slips.fill(&mut charge);
        Payment::charged(charge, intent.amount)
    }
}

/// `39.50 EUR, transaction oLkO001.8828 at 2026-01-02T08:00:00`
pub(super) fn evidence(charge: &Charge) -> String {
    let mut words = charge.amount.to_string();
    if let Some(reference) = &charge.reference {
        words = format!("{words}, {}", clean(&name(reference)));
    }
    match charge.at {
        Some(at) => format!("{words} at {at}"),
        None => words,
    }
}

/// A repeated response in words.
fn told(intent: &Intent, payment: &Payment) -> String {
    let what = match payment {
        Payment::Charged(charge) | Payment::Partial(charge) => evidence(charge),
        Payment::NotCharged(not) => not.text.clone(),
        Payment::Unknown(unknown) => unknown.why.clone(),
    };
    format!(
        "the terminal repeats its response to {} {}: {what}",
        intent.operation.name(),
        reference::service_id(intent)
    )
}

/// Why the time of the transaction is not that of the attempt.
fn out_of_time(intent: &Intent, payment: &Payment, now: Timestamp) -> Option<String> {
    let at = payment.charge()?.at?;
    let (from, to) = (local(intent.at).saturating_sub(CLOCKS), local(now).saturating_add(CLOCKS));
    let off = at < from || at > to;
    off.then(|| format!("its time {at} does not fit the attempt of {}", local(intent.at)))
}

fn local(at: Timestamp) -> DateTime {
    at.to_zoned(TimeZone::system()).datetime()
}

/// A card number whose last four digits stay.
fn masked(pan: &str) -> String {
    let hidden = pan.chars().count().saturating_sub(4);
    pan.chars().take(64).enumerate().map(|(at, c)| if at < hidden && c != ' ' { '*' } else { c }).collect()
}

/// Clocks of terminals that are off by more than this are wrong.
const CLOCKS: SignedDuration = SignedDuration::from_hours(26);
/// How long a missing transaction says something. `ServiceID`s are unique for 48 hours.
const REMEMBERS: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
