//! What the numbers mean: transaction functions, results, status bits, receipts.

use std::borrow::Cow;

use super::wire::Int;
use crate::operation::OperationKind;
use crate::outcome::Reason;

/// `TrxFunction` of a request; `TrxFunctions` of the terminal is a mask of them.
pub mod function {
    use super::Int;

    /// Purchase.
    pub const PURCHASE: Int = 0x8000;
    /// Credit: the customer gets money.
    pub const CREDIT: Int = 0x800;
    /// Reversal of a transaction.
    pub const REVERSAL: Int = 0x20;
    /// Reservation of an amount.
    pub const RESERVATION: Int = 0x10;
    /// Purchase of what a reservation holds; named by `TrxRefNum` and `AcqID`.
    pub const PURCHASE_RESERVATION: Int = 0x4000;
    /// Cancellation of a reservation; named by `TrxRefNum` and `AcqID`.
    pub const CANCEL_RESERVATION: Int = 0x200_0000;
}

/// `TrxResult`.
pub mod result {
    use super::Int;

    /// Approved; the till has to confirm it.
    pub const APPROVED: Int = 0;
    /// Declined.
    pub const DECLINED: Int = 1;
    /// The merchant has to call the issuer.
    pub const REFERRED: Int = 2;
    /// Aborted.
    pub const ABORTED: Int = 3;
}

/// Bits of `TrmStatus`.
pub mod status {
    use super::Int;

    /// A shift is open.
    pub const SHIFT_OPEN: Int = 0x1;
    /// Card data are there.
    pub const CARD: Int = 0x2;
    /// Something runs.
    pub const BUSY: Int = 0x4;
    /// A card is in the slot.
    pub const SLOT: Int = 0x8;
    /// Locked.
    pub const LOCKED: Int = 0x10;
    /// An application was chosen.
    pub const SELECTED: Int = 0x20;
    /// It waits for a transaction: the card came first.
    pub const WAITS_FOR_TRANSACTION: Int = 0x40;
    /// It waits for the choice of an application.
    pub const WAITS_FOR_CHOICE: Int = 0x80;
    /// It talks to its host.
    pub const ONLINE: Int = 0x100;
    /// No printer.
    pub const NO_PRINTER: Int = 0x200;
    /// No paper.
    pub const NO_PAPER: Int = 0x400;
}

/// Receipts: `ReceiptType` and bits of `ReceiptFlags`.
pub mod receipt {
    use super::Int;

    /// The merchant's receipt of a transaction.
    pub const TRANSACTION: Int = 1;
    /// Its copy for the customer.
    pub const COPY: Int = 2;
    /// Another part follows.
    pub const MORE: Int = 0x1;
    /// The first part.
    pub const FIRST: Int = 0x2;
    /// The text is a picture, PNG in Base64.
    pub const PICTURE: Int = 0x20;
    /// Reports of the booking period: `ReportType`.
    pub const PERIOD_SUM: Int = 2;
}

/// `TrxResultExtended` of a transaction that has to wait for a task of the terminal.
pub const TASK_PENDING: Int = 10_017;

/// A shift is open, nothing runs, nothing is locked.
pub fn is_ready(bits: Int) -> bool {
    bits & status::SHIFT_OPEN != 0 && bits & (status::BUSY | status::LOCKED) == 0
}

/// How a terminal is, in words.
pub fn status_text(bits: Int) -> Cow<'static, str> {
    let first = [
        (status::LOCKED, "locked"),
        (status::ONLINE, "talks to its host"),
        (status::WAITS_FOR_CHOICE, "waits for the choice of an application"),
        (status::WAITS_FOR_TRANSACTION, "waits for the amount"),
        (status::CARD, "reads the card"),
        (status::BUSY, "busy"),
    ];
    let what = match first.iter().find(|(bit, _)| bits & bit != 0) {
        Some((_, words)) => words,
        None if bits & status::SHIFT_OPEN == 0 => "no shift is open",
        None => "ready",
    };
    let also: Vec<&str> =
        [(status::SLOT, "a card is in the slot"), (status::NO_PRINTER, "no printer"), (status::NO_PAPER, "no paper")]
            .iter()
            .filter_map(|(bit, words)| (bits & bit != 0).then_some(*words))
            .collect();
    if also.is_empty() { what.into() } else { format!("{what}; {}", also.join("; ")).into() }
}

/// Why a transaction was not approved, and in words. `None` if `TrxResult` names nothing that is known.
pub fn reason(result: Option<Int>, extended: Option<Int>) -> Option<(Reason, Cow<'static, str>)> {
    let numbered = |words: &str| match extended.filter(|n| *n != 0) {
        Some(number) => Cow::Owned(format!("{words} ({number})")),
        None => Cow::Owned(words.to_owned()),
    };
    Some(match (result?, extended) {
        (result::DECLINED, _) => (Reason::Declined, numbered("declined")),
        (result::REFERRED, _) => (Reason::Declined, numbered("the card's issuer wants to be called")),
        (result::ABORTED, Some(TASK_PENDING)) => {
            (Reason::Unavailable, "the terminal has a task to do first; try again in half a minute".into())
        }
        (result::ABORTED, _) => (Reason::Aborted, numbered("aborted")),
        _ => return None,
    })
}

/// The transaction function of an operation.
pub fn function_of(kind: OperationKind) -> Option<Int> {
    match kind {
        OperationKind::Pay => Some(function::PURCHASE),
        OperationKind::Refund => Some(function::CREDIT),
        OperationKind::Reversal => Some(function::REVERSAL),
        OperationKind::PreAuthorisation => Some(function::RESERVATION),
        OperationKind::Booking => Some(function::PURCHASE_RESERVATION),
        OperationKind::Release => Some(function::CANCEL_RESERVATION),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_words() {
        assert_eq!(status_text(1), "ready");
        assert_eq!(status_text(0), "no shift is open");
        assert_eq!(status_text(295), "talks to its host");
        assert_eq!(status_text(5), "busy");
        assert_eq!(status_text(0x409), "ready; a card is in the slot; no paper");
        assert!(is_ready(1) && is_ready(0x409) && !is_ready(0) && !is_ready(5) && !is_ready(0x11));
    }

    /// The ranges of `TrxResultExtended` do not hold: a decline of the vendor's simulator showed 1002200.
    #[test]
    fn the_result_decides_and_not_its_extension() {
        let of = |result, extended| reason(Some(result), extended).map(|(reason, _)| reason);
        assert_eq!(of(1, Some(1_002_200)), Some(Reason::Declined));
        assert_eq!(of(2, Some(900)), Some(Reason::Declined));
        assert_eq!(of(3, Some(10_014)), Some(Reason::Aborted));
        assert_eq!(of(3, Some(10_017)), Some(Reason::Unavailable));
        assert_eq!((of(4, None), of(-1, Some(1))), (None, None));
        assert_eq!(reason(None, Some(1)), None);
    }
}
