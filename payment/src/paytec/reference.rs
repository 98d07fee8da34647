//! How PayTec names a transaction: terminal, booking period, shift, its number (`TrxSeqCnt`) and its date.
//!
//! Whether the number begins anew with a period or a shift is not documented, so all five together name one
//! transaction; fewer do not. Reservations outlive both; they are named by the acquirer (`AcqID`) and its number
//! (`TrxRefNum`).

use super::wire::{Activation, Int, TransactionResponse};
use crate::journal::Reference;
use crate::pan;

/// The reference of a transaction, with its numbers as they stand on the receipt: to reverse what only the receipt tells.
pub fn reference(terminal_id: Option<&str>, number: &str) -> Reference {
    let new = Reference::new(PROTOCOL).with(NUMBER, number);
    match terminal_id {
        Some(terminal) => new.with(TERMINAL, terminal),
        None => new,
    }
}

/// Where the terminal's counters stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) terminal: Option<String>,
    pub(super) period: Option<Int>,
    pub(super) shift: Option<Int>,
    /// `TrxSeqCnt` of the last transaction.
    pub(super) number: Option<Int>,
}

impl Counters {
    pub(super) fn of(activation: &Activation) -> Self {
        Self {
            terminal: activation.trm_id.clone().filter(|id| pan::is_without(id)),
            period: activation.pe_seq_cnt,
            shift: activation.act_seq_cnt,
            number: activation.trx_seq_cnt,
        }
    }

    /// As they were when an intent was written.
    pub(super) fn before(reference: &Reference) -> Option<Self> {
        (reference.protocol() == PROTOCOL).then(|| Self {
            terminal: reference.field(TERMINAL).map(str::to_owned),
            period: field(reference, PERIOD),
            shift: field(reference, SHIFT),
            number: field(reference, NUMBER),
        })
    }

    /// The last transaction before an intent.
    pub(super) fn reference(&self) -> Option<Reference> {
        let new = reference(self.terminal.as_deref(), &self.number?.to_string());
        Some([(PERIOD, self.period), (SHIFT, self.shift)].into_iter().fold(new, |new, (name, value)| match value {
            Some(value) => new.with(name, value.to_string()),
            None => new,
        }))
    }

    /// What names the transaction of this response, which ran in this period and shift. `None` without a number. A card
    /// number is no name.
    pub(super) fn name(&self, response: &TransactionResponse) -> Option<Reference> {
        let plain = |text: &&String| pan::is_without(text);
        let terminal = response.trm_id.as_ref().or(self.terminal.as_ref()).filter(plain).cloned();
        let new = Self { terminal, number: response.trx_seq_cnt, ..self.clone() }.reference()?;
        let date = response.trx_date.as_ref().filter(plain);
        let whole = new.fields().count() == 4 && date.is_some();
        let new = match date {
            Some(date) => new.with(DATE, date),
            None => new,
        };
        let facts = [(ACQUIRER, &response.acq_id), (ACQUIRERS, &response.trx_ref_num)];
        let new = facts.into_iter().fold(new, |new, (name, value)| match value.as_ref().filter(plain) {
            Some(value) => new.with_fact(name, value),
            None => new,
        });
        Some(if whole { new.unique() } else { new })
    }
}

/// `TrxSeqCnt`, if it is a reference of this protocol.
pub(super) fn number(reference: &Reference) -> Option<Int> {
    field(reference, NUMBER).filter(|number| *number > 0 && reference.protocol() == PROTOCOL)
}

/// `AcqID` and `TrxRefNum`, by which reservations are named.
pub(super) fn at_acquirer(reference: &Reference) -> Option<(Int, &str)> {
    Some((reference.fact(ACQUIRER)?.parse().ok()?, reference.fact(ACQUIRERS)?))
}

/// It was made at another terminal.
pub(super) fn is_elsewhere(reference: &Reference, now: &Counters) -> bool {
    reference.field(TERMINAL).zip(now.terminal.as_deref()).is_some_and(|(then, now)| then != now)
}

/// Why the terminal may mean another transaction by this number now.
pub(super) fn outdated(reference: &Reference, now: &Counters) -> Option<&'static str> {
    let differs = |name, now: Option<Int>| field(reference, name).zip(now).is_some_and(|(then, now)| then != now);
    if is_elsewhere(reference, now) {
        return Some("it was made at another terminal");
    }
    if differs(PERIOD, now.period) {
        return Some("its day has been closed");
    }
    differs(SHIFT, now.shift).then_some("its shift has been closed")
}

/// `transaction 42 on terminal 90000001`
pub(super) fn name(reference: &Reference) -> String {
    match (reference.field(NUMBER), reference.field(TERMINAL)) {
        (Some(number), Some(terminal)) => format!("transaction {number} on terminal {terminal}"),
        (Some(number), None) => format!("transaction {number}"),
        _ => reference.to_string(),
    }
}

fn field(reference: &Reference, name: &str) -> Option<Int> {
    reference.field(name)?.parse().ok()
}

const PROTOCOL: &str = "paytec";
const NUMBER: &str = "number";
const TERMINAL: &str = "terminal";
const PERIOD: &str = "period";
const SHIFT: &str = "shift";
const DATE: &str = "date";
const ACQUIRER: &str = "acquirer";
const ACQUIRERS: &str = "acquirers-number";

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        Counters { terminal: Some("90000001".into()), period: Some(3), shift: Some(13), number: Some(41) }
    }

    #[test]
    fn all_five_name_one_transaction() {
        let response = TransactionResponse {
            trx_seq_cnt: Some(42),
            trx_date: Some("260511".into()),
            acq_id: Some("2".into()),
            trx_ref_num: Some("700000042".into()),
            ..TransactionResponse::default()
        };
        let whole = counters().name(&response).expect("it has a number");
        let key = "paytec date=260511 number=42 period=3 shift=13 terminal=90000001";
        assert_eq!((whole.key().as_deref(), name(&whole).as_str()), (Some(key), "transaction 42 on terminal 90000001"));
        assert_eq!(at_acquirer(&whole), Some((2, "700000042")));
        let dateless = TransactionResponse { trx_date: None, ..response };
        assert_eq!(counters().name(&dateless).expect("it has a number").key(), None);
        assert_eq!(Counters { shift: None, ..counters() }.name(&dateless).and_then(|r| r.key()), None);
        let before = counters().reference().expect("a number");
        assert_eq!(Counters::before(&before), Some(counters()));
        assert_eq!(Counters::before(&Reference::new("zvt").with("number", "1")), None);
    }

    #[test]
    fn a_number_of_an_earlier_day_or_shift_or_another_terminal_is_outdated() {
        let of = counters().reference().expect("a number");
        assert_eq!(outdated(&of, &counters()), None);
        let closed = Counters { period: Some(4), shift: Some(14), ..counters() };
        assert_eq!(outdated(&of, &closed), Some("its day has been closed"));
        assert!(outdated(&of, &Counters { shift: Some(14), ..counters() }).is_some());
        assert!(outdated(&of, &Counters { terminal: Some("9".into()), ..counters() }).is_some());
        let slip = reference(None, "42");
        assert_eq!((outdated(&slip, &counters()), number(&slip)), (None, Some(42)));
        assert_eq!((number(&reference(None, "x")), number(&reference(None, "0"))), (None, None));
    }
}
