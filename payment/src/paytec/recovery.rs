//! Decides what an answer means, and how a payment ended whose end was not heard. Pure: no IO, no guesses.
//!
//! The till confirms an approval, and journals each step before it goes on, so its own journal says most:
//!
//! | the journal has | and the terminal | the payment is |
//! |---|---|---|
//! | the acknowledgement of the confirmation | says anything | charged |
//! | the confirmation, and no acknowledgement | says anything | unknown |
//! | the approval, and no confirmation | says anything | unknown; taken back if the terminal is declared to do so |
//! | no approval | has given no number since, in two looks | not charged |
//! | no approval | has given numbers since, or began to count anew | unknown; taken back if it is declared to do so |
//!
//! The terminal has no message that tells how a transaction ended.

use jiff::civil::DateTime;
use tresen_hal::{Amount, Currency};

use super::codes::{self, result};
use super::reference::{self, Counters, name};
use super::wire::TransactionResponse;
use crate::journal::{Intent, Reference, Transaction};
use crate::outcome::{Charge, Confirmation, IntentId, NotCharged, Payment, Reason, Unknown};
use crate::pan;

/// What an answer to a transaction means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is an earlier transaction's.
    Earlier,
    /// Approved; and why it may not stand, if it differs from what was asked.
    Approved(Box<Charge>, Option<String>),
    /// Not approved.
    Not(Reason, String),
    /// It cannot be told.
    Unclear(String),
}

/// Holds an answer against what was asked, and against the transaction before.
pub(super) fn read(intent: &Intent, before: &Counters, response: &TransactionResponse, partial: bool) -> Answer {
    if let (Some(now), Some(then)) = (response.trx_seq_cnt, before.number)
        && now <= then
    {
        return Answer::Earlier;
    }
    if response.trx_result == Some(result::APPROVED) {
        let charge = charge(intent, before, response);
        let objection = objection(intent, before, response, &charge, partial);
        return Answer::Approved(Box::new(charge), objection);
    }
    let elsewhere = response.trm_id.as_deref().zip(before.terminal.as_deref()).filter(|(theirs, ours)| theirs != ours);
    if let Some((theirs, _)) = elsewhere {
        return Answer::Unclear(format!("terminal {} answered", clean(theirs)));
    }
    match codes::reason(response.trx_result, response.trx_result_extended) {
        Some((reason, words)) => {
            let told = response.attendant_text.as_deref().or(response.cardholder_text.as_deref());
            let mut text = told.map_or_else(|| words.into_owned(), clean);
            if let (Some(result::REFERRED), Some(phone)) = (response.trx_result, &response.voice_phone) {
                text = format!("{text}: {}", clean(phone));
            }
            Answer::Not(reason, text)
        }
        None => Answer::Unclear(match response.trx_result {
            Some(result) => format!("the terminal ended it with result {result}, which is not documented"),
            None => "the terminal ended it without a result".into(),
        }),
    }
}

/// The charge as the terminal tells it; what it leaves out is as asked.
fn charge(intent: &Intent, before: &Counters, response: &TransactionResponse) -> Charge {
    let asked = intent.amount;
    let currency = match response.trx_curr_c {
        Some(number) => u16::try_from(number).ok().and_then(Currency::from_number).unwrap_or(asked.currency()),
        None => asked.currency(),
    };
    let minor = response.amt_auth.or(response.trx_amt).unwrap_or(asked.minor());
    let mut charge = Charge::new(intent.id.clone(), Amount::new(minor, currency));
    charge.reference = before.name(response);
    charge.receipt_number = response.trx_seq_cnt.map(|number| number.to_string());
    charge.trace = response.trx_ref_num.as_deref().map(clean);
    charge.terminal_id = response.trm_id.as_deref().map(clean);
    charge.authorisation = response.auth_c.as_deref().map(clean);
    charge.card_name = response.display_name.as_deref().or(response.brand.as_deref()).map(clean);
    let masked = response.app_pan_prt_attendant.as_deref().or(response.app_pan_prt_cardholder.as_deref());
    charge.masked_pan = masked.map(clean);
    charge.at = at(response);
    charge
}

/// How an approval differs from what was asked.
fn objection(
    intent: &Intent,
    before: &Counters,
    response: &TransactionResponse,
    charge: &Charge,
    partial: bool,
) -> Option<String> {
    let asked = intent.amount;
    if response.trm_id.is_none() {
        return Some("the terminal did not say which one it is".into());
    }
    if before.terminal.is_some() && response.trm_id != before.terminal {
        return Some(format!("terminal {} approved it", response.trm_id.as_deref().map_or_else(String::new, clean)));
    }
    if let Some(number) = response.trx_curr_c
        && number != i64::from(asked.currency().number())
    {
        return Some(format!("the currency is {number}, not {}", asked.currency()));
    }
    let function = codes::function_of(intent.operation.kind());
    if response.trx_function.is_some() && response.trx_function != function {
        return Some("it is another kind of transaction".into());
    }
    if let Transaction::Reversal { reference } = &intent.operation
        && response.trx_seq_cnt_ori.is_some()
        && response.trx_seq_cnt_ori != reference::number(reference)
    {
        return Some("another transaction was reversed".into());
    }
    if response.tip_amt.is_some_and(|tip| tip != 0) {
        return Some("a tip was added at the terminal".into());
    }
    if response.amt_other.is_some_and(|other| other != 0) {
        return Some("cash was added at the terminal".into());
    }
    let both = response.amt_auth.zip(response.trx_amt);
    if let Some((authorised, transacted)) = both.filter(|(authorised, transacted)| authorised != transacted) {
        return Some(format!("the terminal tells two amounts, {authorised} and {transacted}"));
    }
    if !intent.allows(charge.amount, partial) {
        return Some(format!("the amount is {}, not {asked}", charge.amount));
    }
    let left = asked.minor() - charge.amount.minor();
    (response.amt_remaining.is_some_and(|remaining| remaining != left))
        .then(|| format!("what remains to be paid does not fit {}", charge.amount))
}

/// One open intent and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) intent: &'a Intent,
    pub(super) approved: Option<&'a Charge>,
    /// The terminal undoes what is not confirmed: the user has said so.
    pub(super) reverses: bool,
    /// The terminal may approve less than was asked for: the user has said so.
    pub(super) partial: bool,
}

/// How it ended, and what that rests on. `now` is `None` if the terminal stays busy.
pub(super) fn decide(case: Case<'_>, now: Option<&Counters>) -> (Payment, String) {
    let Case { intent, approved, .. } = case;
    let unknown = |why: String| {
        let mut unknown = Unknown::new(intent.id.clone(), &*why);
        unknown.asked = now.is_some();
        (Payment::Unknown(unknown), why)
    };
    match approved.map(|charge| (charge, charge.confirmation)) {
        Some((charge, Some(Confirmation::Acknowledged))) => {
            let told = evidence(charge);
            if intent.allows(charge.amount, case.partial) {
                let words = format!("{told} was approved and confirmed, and the terminal acknowledged that");
                (Payment::charged(charge.clone(), intent.amount), words)
            } else {
                unknown(format!("not {} was confirmed, but {told}", intent.amount))
            }
        }
        Some((charge, Some(Confirmation::Sent))) => unknown(format!(
            "{} was approved; its confirmation was sent, and no acknowledgement was heard: compare the terminal's receipts",
            evidence(charge)
        )),
        Some((charge, None)) => unconfirmed(case, now, format!("{} was approved and not confirmed", evidence(charge)))
            .unwrap_or_else(|why| unknown(format!("{why}: the terminal presumably takes it back"))),
        None => match counted(intent, now) {
            Counted::Nothing(told) => {
                let text = "the terminal has no such transaction";
                let not = NotCharged::new(intent.id.clone(), Reason::NotFound, None, text);
                (Payment::NotCharged(not), told)
            }
            Counted::Unsure(why) => unconfirmed(case, now, format!("no approval was heard, and none confirmed; {why}"))
                .unwrap_or_else(unknown),
        },
    }
}

/// What was never confirmed was taken back, where the terminal is declared to do so.
fn unconfirmed(case: Case<'_>, now: Option<&Counters>, told: String) -> Result<(Payment, String), String> {
    // After a restored backup the journal may lack a confirmation. A terminal that stays busy may still wait for one.
    if !case.reverses || case.intent.restored || now.is_none() {
        return Err(told);
    }
    let text = "the terminal took it back: it was not confirmed";
    let not = NotCharged::new(case.intent.id.clone(), Reason::Reversed, None, text);
    Ok((Payment::NotCharged(not), format!("{told}; this terminal undoes what is not confirmed")))
}

enum Counted {
    /// No transaction has begun since.
    Nothing(String),
    Unsure(String),
}

/// Compares the terminal's counters with those before the intent.
fn counted(intent: &Intent, now: Option<&Counters>) -> Counted {
    let Some(now) = now else { return Counted::Unsure("the terminal stays busy".into()) };
    let Some(before) = intent.last_before.as_ref().and_then(Counters::before) else {
        return Counted::Unsure("the transaction before it is not known".into());
    };
    let told = now.reference().map_or_else(|| "the terminal tells no number".to_owned(), |now| name(&now));
    if before.terminal != now.terminal {
        return Counted::Unsure(format!("another terminal answers: the last one is {told}"));
    }
    if before.period != now.period || before.shift != now.shift {
        return Counted::Unsure(format!("shift or day have changed, and the last one is {told}"));
    }
    match (before.number, now.number) {
        (Some(then), Some(now)) if then == now => {
            Counted::Nothing(format!("the terminal's last transaction is still the one before: {told}"))
        }
        (Some(then), Some(now)) if then < now => {
            Counted::Unsure(format!("the terminal has begun {} since, the last is {told}", now - then))
        }
        _ => Counted::Unsure(format!("the terminal counts anew: the last one is {told}")),
    }
}

/// `transaction 42 on terminal 90000001, 12.50 CHF`
pub(super) fn evidence(charge: &Charge) -> String {
    match Reference::of(charge) {
        Some(reference) => format!("{}, {}", name(&reference), charge.amount),
        None => charge.amount.to_string(),
    }
}

/// A text of the terminal without card numbers and control characters.
pub(super) fn clean(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    pan::mask_line(text.trim(), &[])
}

fn at(response: &TransactionResponse) -> Option<DateTime> {
    let stamp = format!("20{}{}", response.trx_date.as_deref()?, response.trx_time.as_deref()?);
    DateTime::strptime("%Y%m%d%H%M%S", stamp).ok()
}

/// The intent was declined or aborted.
pub(super) fn not_charged(id: &IntentId, reason: Reason, text: String) -> NotCharged {
    NotCharged::new(id.clone(), reason, None, text)
}

/// Characters of a text.
const MOST: usize = 400;

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
