//! What a payment says, for all protocols' tests.
#![allow(dead_code, reason = "not every test asks for everything")]

use tresen_payment::{Payment, Reason};

pub(crate) fn is_charged(payment: &Payment) -> bool {
    matches!(payment, Payment::Charged(_))
}

/// Why it is unknown.
#[track_caller]
pub(crate) fn why(payment: &Payment) -> &str {
    match payment {
        Payment::Unknown(unknown) => &unknown.why,
        other => panic!("{other:?}"),
    }
}

/// Why it was not charged.
#[track_caller]
pub(crate) fn reason(payment: &Payment) -> Reason {
    match payment {
        Payment::NotCharged(not) => not.reason,
        other => panic!("{other:?}"),
    }
}
