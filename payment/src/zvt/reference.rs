//! How ZVT names a transaction: terminal id (BMP 29), receipt number (87), trace number (0B or 1F2B).
//!
//! Receipt numbers begin anew after 9999 and some terminals begin anew each day, so all three
//! together name one transaction; fewer do not.

use tresen_hal::Amount;

use crate::journal::Reference;

/// The reference of a transaction. Numbers are digit strings as on the slip; leading zeros do not
/// matter. A trace number of zeros only is none.
pub fn reference(terminal_id: Option<&str>, receipt_number: &str, trace: Option<&str>) -> Reference {
    let trace = trace.filter(|t| !digits(t).is_empty());
    let mut new = Reference::new(PROTOCOL).with(RECEIPT, padded(receipt_number, 4));
    if let Some(trace) = trace {
        new = new.with(TRACE, padded(trace, 6));
    }
    if let Some(terminal) = terminal_id {
        new = new.with(TERMINAL, padded(terminal, 8));
    }
    if trace.is_some() && terminal_id.is_some() { new.unique() } else { new }
}

/// The reference of a pre-authorisation of `held`, with its receipt number: to book what only a list or a slip tells.
pub fn held(terminal_id: Option<&str>, receipt_number: &str, trace: Option<&str>, held: Amount) -> Reference {
    with_held(reference(terminal_id, receipt_number, trace), held)
}

/// The same with what it holds.
pub(super) fn with_held(reference: Reference, held: Amount) -> Reference {
    reference.with_fact(HELD, held.to_string())
}

/// The same without what it holds.
pub(super) fn without_held(of: &Reference) -> Reference {
    receipt(of).map_or_else(|| of.clone(), |receipt| reference(terminal(of), receipt, trace(of)))
}

/// What the pre-authorisation holds, if the reference tells.
pub(super) fn amount_held(reference: &Reference) -> Option<Amount> {
    reference.fact(HELD)?.parse().ok()
}

/// The receipt number in a reference, if it is one of ZVT.
pub(super) fn receipt(reference: &Reference) -> Option<&str> {
    reference.field(RECEIPT).filter(|_| reference.protocol() == PROTOCOL)
}

/// The trace number in it.
pub(super) fn trace(reference: &Reference) -> Option<&str> {
    reference.field(TRACE)
}

/// The terminal id in it.
pub(super) fn terminal(reference: &Reference) -> Option<&str> {
    reference.field(TERMINAL)
}

/// `receipt 0417, trace 000417 on terminal 60000001`
pub(super) fn name(reference: &Reference) -> String {
    let mut words = match receipt(reference) {
        Some(receipt) => format!("receipt {receipt}"),
        None => return reference.to_string(),
    };
    for (word, value) in [(", trace ", trace(reference)), (" on terminal ", terminal(reference))] {
        if let Some(value) = value {
            words += word;
            words += value;
        }
    }
    words
}

fn padded(text: &str, width: usize) -> String {
    format!("{:0>width$}", digits(text))
}

fn digits(text: &str) -> &str {
    text.trim_start_matches('0')
}

const PROTOCOL: &str = "zvt";
const RECEIPT: &str = "receipt";
const TRACE: &str = "trace";
const TERMINAL: &str = "terminal";
const HELD: &str = "held";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_do_not_matter() {
        let full = reference(Some("60000001"), "0417", Some("000417"));
        assert_eq!(full, reference(Some("60000001"), "417", Some("417")));
        assert_eq!(full.key().as_deref(), Some("zvt receipt=0417 terminal=60000001 trace=000417"));
        assert_eq!(name(&full), "receipt 0417, trace 000417 on terminal 60000001");
    }

    #[test]
    fn what_is_held_is_no_part_of_the_name() {
        let plain = reference(Some("60000001"), "0417", Some("000417"));
        let held = held(Some("60000001"), "0417", Some("000417"), Amount::eur(50_00));
        assert_eq!((held.key(), amount_held(&held)), (plain.key(), Some(Amount::eur(50_00))));
        assert_eq!((name(&held), amount_held(&plain)), (name(&plain), None));
        let text = serde_json::to_string(&held).expect("serialises");
        assert_eq!(serde_json::from_str::<Reference>(&text).expect("reads back"), held);
    }

    #[test]
    fn without_terminal_or_trace_it_names_no_transaction_for_ever() {
        for part in [reference(None, "417", Some("417")), reference(Some("1"), "417", None)] {
            assert_eq!(part.key(), None, "{part}");
        }
        assert_eq!(trace(&reference(Some("1"), "417", Some("000000"))), None, "zeros are no trace number");
    }
}
