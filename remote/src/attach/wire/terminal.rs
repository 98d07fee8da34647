//! What terminals do and what comes of it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tresen::payment::{
    self, Answer, Card, EndOfDay, Operation, OperationKind, Outcome, Payment, Question, Reference, Totals,
};
use tresen::{Amount, Error, Kind, Result};

/// The fields of `transact`: [`Operation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transact {
    /// What kind of operation.
    pub operation: OperationKind,
    /// The key of one that moves or holds money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The earlier transaction that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Reference>,
    /// The product of a top-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The text to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// For how long it is shown, or a card is waited for: `PT30S` (ISO 8601).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<SignedDuration>,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Box<Question>>,
}

impl Transact {
    /// An operation as it is sent.
    pub fn of(operation: &Operation) -> Self {
        let kind = operation.kind();
        let mut sent = Self {
            operation: kind,
            key: None,
            amount: None,
            of: None,
            product: None,
            text: None,
            within: None,
            question: None,
        };
        let duration = |within: &std::time::Duration| SignedDuration::try_from(*within).unwrap_or(SignedDuration::MAX);
        match operation {
            Operation::Reverse { of, .. }
            | Operation::Increment { of, .. }
            | Operation::Book { of, .. }
            | Operation::Release { of, .. }
            | Operation::Tip { of, .. } => sent.of = Some(of.clone()),
            Operation::TopUp { product, .. } => sent.product.clone_from(product),
            Operation::ReadCard { within } => sent.within = Some(duration(within)),
            Operation::Display { text, within } => {
                (sent.text, sent.within) = (Some(text.clone()), Some(duration(within)));
            }
            Operation::Input { question } => sent.question = Some(Box::new(question.clone())),
            _ => {}
        }
        if let Ok((_, request)) = operation.clone().into_transaction() {
            (sent.key, sent.amount) = (Some(request.intent.0), Some(request.amount));
        }
        sent
    }

    /// The operation, under the key `rename` makes of its own.
    ///
    /// # Errors
    /// [`Kind::Input`]: a field is missing. [`Kind::Unsupported`]: this version does not know the operation.
    pub fn into_operation(self, rename: impl FnOnce(&str) -> String) -> Result<Operation> {
        let kind = self.operation;
        let missing = |field: &str| Error::new(Kind::Input, format!("`{}` lacks `{field}`", kind.name()));
        let (key, amount, of) = (self.key, self.amount, self.of);
        let request = || -> Result<payment::Request> {
            let key = key.as_deref().filter(|key| !key.is_empty()).ok_or_else(|| missing("key"))?;
            Ok(payment::Request::new(rename(key), amount.ok_or_else(|| missing("amount"))?))
        };
        let of = || of.ok_or_else(|| missing("of"));
        let within = || {
            let within = self.within.ok_or_else(|| missing("within"))?;
            std::time::Duration::try_from(within).map_err(|_| missing("within"))
        };
        Ok(match kind {
            OperationKind::Pay => Operation::Pay(request()?),
            OperationKind::Refund => Operation::Refund(request()?),
            OperationKind::Reversal => Operation::Reverse { request: request()?, of: of()? },
            OperationKind::PreAuthorisation => Operation::PreAuthorise(request()?),
            OperationKind::Increment => Operation::Increment { request: request()?, of: of()? },
            OperationKind::Booking => Operation::Book { request: request()?, of: of()? },
            OperationKind::Release => Operation::Release { request: request()?, of: of()? },
            OperationKind::Tip => Operation::Tip { request: request()?, of: of()? },
            OperationKind::TopUp => Operation::TopUp { request: request()?, product: self.product },
            OperationKind::ReadCard => Operation::ReadCard { within: within()? },
            OperationKind::Display => {
                Operation::Display { within: within()?, text: self.text.ok_or_else(|| missing("text"))? }
            }
            OperationKind::Input => Operation::Input { question: *self.question.ok_or_else(|| missing("question"))? },
            OperationKind::Reprint => Operation::Reprint,
            OperationKind::Totals => Operation::Totals,
            OperationKind::EndOfDay => Operation::EndOfDay,
            OperationKind::Diagnosis => Operation::Diagnosis,
            OperationKind::Initialisation => Operation::Initialise,
            other => return Err(other.unsupported()),
        })
    }
}

/// How an operation ended: [`Outcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transacted {
    /// What moves or holds money.
    Payment(Payment),
    /// A card was read.
    Card(Card),
    /// What was entered.
    Answer(Answer),
    /// A receipt, line by line.
    Receipt(Vec<String>),
    /// The turnover.
    Totals(Totals),
    /// The day is closed.
    Day(EndOfDay),
    /// It is done.
    Done(Vec<String>),
}

impl Transacted {
    /// An outcome as it is sent.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: this version cannot send it.
    pub fn of(outcome: Outcome) -> Result<Self> {
        Ok(match outcome {
            Outcome::Payment(payment) => Self::Payment(payment),
            Outcome::Card(card) => Self::Card(card),
            Outcome::Answer(answer) => Self::Answer(answer),
            Outcome::Receipt(lines) => Self::Receipt(lines),
            Outcome::Totals(totals) => Self::Totals(totals),
            Outcome::Day(day) => Self::Day(day),
            Outcome::Done(lines) => Self::Done(lines),
            _ => return Err(Error::new(Kind::Unsupported, "its outcome cannot be sent")),
        })
    }
}

impl From<Transacted> for Outcome {
    fn from(transacted: Transacted) -> Self {
        match transacted {
            Transacted::Payment(payment) => Self::Payment(payment),
            Transacted::Card(card) => Self::Card(card),
            Transacted::Answer(answer) => Self::Answer(answer),
            Transacted::Receipt(lines) => Self::Receipt(lines),
            Transacted::Totals(totals) => Self::Totals(totals),
            Transacted::Day(day) => Self::Day(day),
            Transacted::Done(lines) => Self::Done(lines),
        }
    }
}

/// The fields of `find` and `abort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key, as the till named it.
    pub key: String,
}

/// How a transaction stands at the handheld.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Its journal has no such key, and nothing runs under it.
    Never,
    /// It runs or waits for its turn.
    Running,
    /// It was begun, and how it ended is not known yet.
    Open {
        /// What is known.
        why: String,
        /// The terminal was asked and could not tell.
        asked: bool,
    },
    /// It has ended.
    Ended(Payment),
}

/// The fields of `answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The question's id at the handheld.
    pub question: String,
    /// The answer.
    pub answer: Answer,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tresen::payment::{Length, Request, Wanted};

    use super::*;

    #[test]
    fn each_operation_crosses_the_line_under_its_new_key() {
        let (of, within) = (Reference::new("zvt").with("receipt", "0417"), Duration::from_secs(30));
        let question = Question::new("PLZ", Wanted::Number(Length::new(5, 5)), Answer::Declined);
        let all = |key: &str| {
            let request = Request::new(key, Amount::eur(12_50));
            vec![
                Operation::Pay(request.clone()),
                Operation::Refund(request.clone()),
                Operation::Reverse { request: request.clone(), of: of.clone() },
                Operation::PreAuthorise(request.clone()),
                Operation::Increment { request: request.clone(), of: of.clone() },
                Operation::Book { request: request.clone(), of: of.clone() },
                Operation::Release { request: request.clone(), of: of.clone() },
                Operation::Tip { request: request.clone(), of: of.clone() },
                Operation::TopUp { request, product: Some("0012".into()) },
                Operation::ReadCard { within },
                Operation::Display { text: "Bitte warten".into(), within },
                Operation::Input { question: question.clone() },
                Operation::Reprint,
                Operation::Totals,
                Operation::EndOfDay,
                Operation::Diagnosis,
                Operation::Initialise,
            ]
        };
        for (sent, expected) in all("a").into_iter().zip(all("till/a")) {
            let text = serde_json::to_string(&Transact::of(&sent)).expect("writes");
            let read: Transact = serde_json::from_str(&text).expect("reads");
            assert_eq!(read.into_operation(|key| format!("till/{key}")).expect("is whole"), expected, "{text}");
        }
    }

    #[test]
    fn what_lacks_a_field_is_refused() {
        for wrong in [
            json!({"operation": "pay", "key": "a"}),
            json!({"operation": "pay", "key": "", "amount": Amount::eur(1)}),
            json!({"operation": "pay", "amount": Amount::eur(1)}),
            json!({"operation": "reversal", "key": "a", "amount": Amount::eur(1)}),
            json!({"operation": "read-card"}),
            json!({"operation": "display", "within": "5s"}),
            json!({"operation": "input"}),
        ] {
            let read: Transact = serde_json::from_value(wrong.clone()).expect("is a message");
            assert_eq!(read.into_operation(str::to_owned).expect_err("lacks a field").kind(), Kind::Input, "{wrong}");
        }
    }
}
