//! What a till can ask of a terminal: one [`Operation`] for each, its [kind](OperationKind), and how it ends.

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Error, Kind, Result, Retry};

use crate::journal::{Reference, Transaction};
use crate::outcome::{IntentId, Payment};
use crate::terminal::{EndOfDay, Totals};

/// What a till asks of a terminal: [`Terminal::transact`](crate::Terminal::transact).
///
/// What moves money carries a [`Request`] with its key, is journalled under it, and ends as
/// [`Outcome::Payment`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// The customer pays.
    Pay(Request),
    /// The customer gets money back without reference to a payment.
    Refund(Request),
    /// A payment is taken back.
    Reverse {
        /// The key of the reversal, and the amount of the payment.
        request: Request,
        /// The payment: its charge's [`reference`](crate::Charge::reference).
        of: Reference,
    },
    /// The terminal hands over the last receipt once more. Ends as [`Outcome::Receipt`].
    Reprint,
    /// The terminal tells its turnover since the last end of day. Ends as [`Outcome::Totals`].
    Totals,
    /// The terminal hands its turnover to the acquirer and begins a new day. Ends as [`Outcome::Day`].
    EndOfDay,
    /// The terminal calls its network operator. Ends as [`Outcome::Done`].
    Diagnosis,
    /// The terminal is initialised at its host. Ends as [`Outcome::Done`].
    Initialise,
}

/// What to pay, and under which key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The caller's key: the same key is the same transaction.
    pub intent: IntentId,
    /// How much.
    pub amount: Amount,
}

impl Request {
    /// `amount` under the key `intent`.
    pub fn new(intent: impl Into<String>, amount: Amount) -> Self {
        Self { intent: IntentId(intent.into()), amount }
    }
}

impl Operation {
    /// Its kind.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Pay(_) => OperationKind::Pay,
            Self::Refund(_) => OperationKind::Refund,
            Self::Reverse { .. } => OperationKind::Reversal,
            Self::Reprint => OperationKind::Reprint,
            Self::Totals => OperationKind::Totals,
            Self::EndOfDay => OperationKind::EndOfDay,
            Self::Diagnosis => OperationKind::Diagnosis,
            Self::Initialise => OperationKind::Initialisation,
        }
    }

    /// What is journalled of an operation that moves money, and its key and amount; the operation itself if it
    /// moves none.
    ///
    /// # Errors
    /// It moves no money.
    pub fn into_transaction(self) -> std::result::Result<(Transaction, Request), Self> {
        match self {
            Self::Pay(request) => Ok((Transaction::Payment, request)),
            Self::Refund(request) => Ok((Transaction::Refund, request)),
            Self::Reverse { request, of } => Ok((Transaction::Reversal { reference: of }, request)),
            other => Err(other),
        }
    }
}

/// The kinds of [`Operation`]. In configuration and JSON they have their names in kebab case: `end-of-day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// [`Operation::Pay`].
    Pay,
    /// [`Operation::Refund`].
    Refund,
    /// [`Operation::Reverse`].
    Reversal,
    /// [`Operation::Reprint`].
    Reprint,
    /// [`Operation::Totals`].
    Totals,
    /// [`Operation::EndOfDay`].
    EndOfDay,
    /// [`Operation::Diagnosis`].
    Diagnosis,
    /// [`Operation::Initialise`].
    Initialisation,
}

impl OperationKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Pay,
        Self::Refund,
        Self::Reversal,
        Self::Reprint,
        Self::Totals,
        Self::EndOfDay,
        Self::Diagnosis,
        Self::Initialisation,
    ];

    /// Its name, as serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Refund => "refund",
            Self::Reversal => "reversal",
            Self::Reprint => "reprint",
            Self::Totals => "totals",
            Self::EndOfDay => "end-of-day",
            Self::Diagnosis => "diagnosis",
            Self::Initialisation => "initialisation",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// In words, after "it cannot".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Pay => "take payments",
            Self::Refund => "give money back without reference to a payment",
            Self::Reversal => "reverse payments",
            Self::Reprint => "repeat a receipt",
            Self::Totals => "tell its turnover",
            Self::EndOfDay => "close its day",
            Self::Diagnosis => "run a diagnosis",
            Self::Initialisation => "be initialised",
        }
    }

    /// It is what a tender does in a sale: pay, refund, reversal.
    pub fn is_tender(self) -> bool {
        matches!(self, Self::Pay | Self::Refund | Self::Reversal)
    }

    /// It moves money, or may.
    pub fn moves_money(self) -> bool {
        matches!(self, Self::Pay | Self::Refund | Self::Reversal)
    }

    /// The error of a driver or terminal that cannot do it: [`Kind::Unsupported`]; nothing was sent.
    pub fn unsupported(self) -> Error {
        Error::new(Kind::Unsupported, format!("this terminal cannot {}", self.verb())).with_retry(Retry::Never)
    }
}

/// How an [`Operation`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Outcome {
    /// What moves money ended so.
    Payment(Payment),
    /// A receipt, line by line.
    Receipt(Vec<String>),
    /// The turnover since the last end of day.
    Totals(Totals),
    /// The day is closed.
    Day(EndOfDay),
    /// It is done; what the terminal printed about it, line by line.
    Done(Vec<String>),
}

impl Outcome {
    /// How what moves money ended.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: it is the outcome of another operation; the driver is wrong.
    pub fn payment(self) -> Result<Payment> {
        if let Self::Payment(payment) = self { Ok(payment) } else { Err(self.mistaken()) }
    }

    /// The receipt.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn receipt(self) -> Result<Vec<String>> {
        if let Self::Receipt(lines) = self { Ok(lines) } else { Err(self.mistaken()) }
    }

    /// The closed day.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn day(self) -> Result<EndOfDay> {
        if let Self::Day(day) = self { Ok(day) } else { Err(self.mistaken()) }
    }

    /// The turnover.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn totals(self) -> Result<Totals> {
        if let Self::Totals(totals) = self { Ok(totals) } else { Err(self.mistaken()) }
    }

    /// What the terminal printed about what it has done.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn done(self) -> Result<Vec<String>> {
        if let Self::Done(lines) = self { Ok(lines) } else { Err(self.mistaken()) }
    }

    fn mistaken(&self) -> Error {
        let name = match self {
            Self::Payment(_) => "a payment",
            Self::Receipt(_) => "a receipt",
            Self::Totals(_) => "totals",
            Self::Day(_) => "an end of day",
            Self::Done(_) => "an administrative function",
        };
        Error::new(Kind::Protocol, format!("the driver answered with the outcome of {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name() {
        for kind in OperationKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("serialises"), kind.name());
            assert_eq!(OperationKind::named(kind.name()), Some(*kind));
        }
        assert_eq!(OperationKind::named("tips"), None);
    }

    #[test]
    fn what_moves_money_is_journalled() {
        let request = Request::new("a", Amount::eur(1));
        let of = Reference::new("zvt").with("receipt", "0417");
        for operation in [
            Operation::Pay(request.clone()),
            Operation::Refund(request.clone()),
            Operation::Reverse { request: request.clone(), of },
            Operation::Reprint,
            Operation::Totals,
            Operation::EndOfDay,
            Operation::Diagnosis,
            Operation::Initialise,
        ] {
            let moves = operation.kind().moves_money();
            match operation.into_transaction() {
                Ok((_, named)) => assert!(moves && named == request),
                Err(operation) => assert!(!moves, "{operation:?}"),
            }
        }
    }
}
