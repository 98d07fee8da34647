//! What is journalled of an operation that moves or holds money.

use serde::{Deserialize, Serialize};

use crate::journal::Reference;
use crate::operation::OperationKind;

/// Transactions that move or hold money.
///
/// | transaction | names | amount | turnover |
/// |---|---|---|---|
/// | payment | nothing | what is paid | in |
/// | refund | nothing | what is given back | out |
/// | reversal | the payment | what the payment was | out |
/// | pre-authorisation | nothing | what is held | none |
/// | increment | the pre-authorisation | what is added to what is held | none |
/// | booking | the pre-authorisation | what is finally charged; what remains is released | in |
/// | release | the pre-authorisation | what is held | none |
/// | tip | the payment | the tip alone | in |
/// | top-up | nothing | what is loaded; the till sells it and takes the money by another tender | none |
///
/// A transaction names at most one earlier one, by its [`Reference`]. [`Intent::amount`](crate::Intent::amount) is what
/// this transaction asks for, not a running total. It ends as one [`Payment`](crate::Payment):
/// [`Charged`](crate::Payment::Charged) means that it stands, so that of a pre-authorisation is held and has not moved.
/// [`Transaction::flow`] says what counts as turnover. Each is stored under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Transaction {
    /// The customer pays.
    Payment,
    /// A payment is taken back.
    Reversal {
        /// The payment, as the terminal named it: [`Charge::reference`](crate::Charge::reference).
        reference: Reference,
    },
    /// The customer gets money back without reference to a payment.
    Refund,
    /// An amount is held on the customer's card.
    PreAuthorisation,
    /// More is held.
    Increment {
        /// The pre-authorisation.
        reference: Reference,
    },
    /// What was held is charged, all of it or a part. The rest is released.
    Booking {
        /// The pre-authorisation.
        reference: Reference,
    },
    /// What was held is released; nothing is charged.
    Release {
        /// The pre-authorisation.
        reference: Reference,
    },
    /// A tip is added to a payment.
    Tip {
        /// The payment.
        reference: Reference,
    },
    /// A prepaid card or account is loaded.
    TopUp {
        /// Which one, as the protocol names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        product: Option<String>,
    },
}

/// Which way the money of a [`Transaction`] goes that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// From the customer to the shop: turnover.
    In,
    /// Back to the customer.
    Out,
    /// It is held, released or loaded: no turnover.
    None,
}

impl Flow {
    /// What multiplies the amount in a sum of turnover: 1, −1 or 0.
    pub fn sign(self) -> i64 {
        match self {
            Self::In => 1,
            Self::Out => -1,
            Self::None => 0,
        }
    }
}

impl Transaction {
    /// The kind of operation that it is journalled for.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Payment => OperationKind::Pay,
            Self::Refund => OperationKind::Refund,
            Self::Reversal { .. } => OperationKind::Reversal,
            Self::PreAuthorisation => OperationKind::PreAuthorisation,
            Self::Increment { .. } => OperationKind::Increment,
            Self::Booking { .. } => OperationKind::Booking,
            Self::Release { .. } => OperationKind::Release,
            Self::Tip { .. } => OperationKind::Tip,
            Self::TopUp { .. } => OperationKind::TopUp,
        }
    }

    /// The earlier transaction that it names: what it reverses, books, releases or adds to.
    pub fn of(&self) -> Option<&Reference> {
        match self {
            Self::Reversal { reference }
            | Self::Increment { reference }
            | Self::Booking { reference }
            | Self::Release { reference }
            | Self::Tip { reference } => Some(reference),
            Self::Payment | Self::Refund | Self::PreAuthorisation | Self::TopUp { .. } => None,
        }
    }

    /// Which way its money goes. Sums of turnover leave out [`Flow::None`].
    pub fn flow(&self) -> Flow {
        match self {
            Self::Payment | Self::Booking { .. } | Self::Tip { .. } => Flow::In,
            Self::Refund | Self::Reversal { .. } => Flow::Out,
            Self::PreAuthorisation | Self::Increment { .. } | Self::Release { .. } | Self::TopUp { .. } => Flow::None,
        }
    }

    /// It ends what it names: a reversal, a booking, a release. An earlier transaction is ended once.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Reversal { .. } | Self::Booking { .. } | Self::Release { .. })
    }

    /// Whether `earlier` can be what it names: what is booked, released or added to is a pre-authorisation.
    pub fn can_name(&self, earlier: &Self) -> bool {
        let held = *earlier == Self::PreAuthorisation;
        let paid = matches!(earlier, Self::Payment | Self::Booking { .. } | Self::Tip { .. });
        match self {
            Self::Increment { .. } | Self::Booking { .. } | Self::Release { .. } => held,
            Self::Reversal { .. } | Self::Tip { .. } => held || paid,
            Self::Payment | Self::Refund | Self::PreAuthorisation | Self::TopUp { .. } => false,
        }
    }

    /// Its name in lists and exports: `payment`, `pre-authorisation`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Payment => "payment",
            other => other.kind().name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_or_loaded_is_no_turnover() {
        let of = || Reference::new("zvt").with("receipt", "0417");
        for (transaction, sign) in [
            (Transaction::Payment, 1),
            (Transaction::Refund, -1),
            (Transaction::Reversal { reference: of() }, -1),
            (Transaction::PreAuthorisation, 0),
            (Transaction::Increment { reference: of() }, 0),
            (Transaction::Booking { reference: of() }, 1),
            (Transaction::Release { reference: of() }, 0),
            (Transaction::Tip { reference: of() }, 1),
            (Transaction::TopUp { product: None }, 0),
        ] {
            assert_eq!(transaction.flow().sign(), sign, "{transaction:?}");
            let text = serde_json::to_string(&transaction).expect("serialises");
            assert!(text.trim_start_matches(['{', '"']).starts_with(transaction.name()), "{text}");
            assert_eq!(serde_json::from_str::<Transaction>(&text).expect("reads back"), transaction);
        }
    }
}
