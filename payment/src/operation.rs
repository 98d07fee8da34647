//! What a till can ask of a terminal: one [`Operation`] for each, its [kind](OperationKind), and how it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Error, Kind, Result, Retry};

use crate::card::Card;
use crate::host::{Answer, Question};
use crate::journal::{Reference, Transaction};
use crate::outcome::{IntentId, Payment};
use crate::terminal::{EndOfDay, Totals};
use crate::verification::AgeCheck;

/// What a till asks of a terminal: [`Terminal::transact`](crate::Terminal::transact).
///
/// What moves or holds money carries a [`Request`] with its key, is journalled under it, and ends as
/// [`Outcome::Payment`]. [`Transaction`] says for each what its amount is and whether it is turnover.
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
    /// An amount is held on the customer's card, to be charged later: a hotel, a rental, a tab. `Charged` means held.
    PreAuthorise(Request),
    /// More is held.
    Increment {
        /// The key of the increment, and what is added to what is held.
        request: Request,
        /// The pre-authorisation: its charge's [`reference`](crate::Charge::reference).
        of: Reference,
    },
    /// What was held is charged, all of it or a part. The rest is released, and the pre-authorisation has ended.
    Book {
        /// The key of the booking, and what is finally charged: at most what is held.
        request: Request,
        /// The pre-authorisation: its charge's [`reference`](crate::Charge::reference).
        of: Reference,
    },
    /// What was held is released. Nothing is charged, and the pre-authorisation has ended.
    Release {
        /// The key of the release, and what is held.
        request: Request,
        /// The pre-authorisation: its charge's [`reference`](crate::Charge::reference).
        of: Reference,
    },
    /// A tip is added to a payment that stands.
    Tip {
        /// The key of the tip, and the tip alone.
        request: Request,
        /// The payment: its charge's [`reference`](crate::Charge::reference).
        of: Reference,
    },
    /// A prepaid card or account is loaded. The till sells this and takes the money by another tender.
    TopUp {
        /// The key of the top-up, and what is loaded.
        request: Request,
        /// Which product, as the protocol names it; `None` where the terminal asks.
        product: Option<String>,
    },
    /// The terminal reads a card; no money moves. Ends as [`Outcome::Card`], or as an error with
    /// [`Kind::Timeout`] if no card is presented.
    ReadCard {
        /// How long the terminal waits for a card. Protocols that count seconds round up.
        within: Duration,
    },
    /// The terminal shows a text. Ends as [`Outcome::Done`].
    Display {
        /// Lines of it are separate.
        text: String,
        /// For how long.
        within: Duration,
    },
    /// The terminal asks the customer, or whoever stands there. Ends as [`Outcome::Answer`]; with the question's default
    /// if nothing is entered in its time.
    Input {
        /// What to ask.
        question: Question,
    },
    /// The terminal prints a text on its own printer. Ends as [`Outcome::Done`].
    Print {
        /// Lines of it are separate.
        text: String,
    },
    /// The terminal finds out from a card whether its holder has reached an age; no money moves. Ends as
    /// [`Outcome::Age`].
    ///
    /// No protocol of this crate can do this: that ZVT asks with tag 1F6B is public, how it asks is not; and none of the
    /// other three has such a request. An answer that a terminal gives with a payment is [`Charge::age`](crate::Charge::age).
    AgeCheck {
        /// In years.
        years: u8,
        /// How long the terminal waits for a card.
        within: Duration,
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
            Self::PreAuthorise(_) => OperationKind::PreAuthorisation,
            Self::Increment { .. } => OperationKind::Increment,
            Self::Book { .. } => OperationKind::Booking,
            Self::Release { .. } => OperationKind::Release,
            Self::Tip { .. } => OperationKind::Tip,
            Self::TopUp { .. } => OperationKind::TopUp,
            Self::ReadCard { .. } => OperationKind::ReadCard,
            Self::Display { .. } => OperationKind::Display,
            Self::Input { .. } => OperationKind::Input,
            Self::Print { .. } => OperationKind::Print,
            Self::AgeCheck { .. } => OperationKind::AgeCheck,
            Self::Reprint => OperationKind::Reprint,
            Self::Totals => OperationKind::Totals,
            Self::EndOfDay => OperationKind::EndOfDay,
            Self::Diagnosis => OperationKind::Diagnosis,
            Self::Initialise => OperationKind::Initialisation,
        }
    }

    /// What is journalled of an operation that moves or holds money, and its key and amount; the operation itself if it
    /// does neither.
    ///
    /// # Errors
    /// It neither moves nor holds money.
    pub fn into_transaction(self) -> std::result::Result<(Transaction, Request), Self> {
        match self {
            Self::Pay(request) => Ok((Transaction::Payment, request)),
            Self::Refund(request) => Ok((Transaction::Refund, request)),
            Self::Reverse { request, of } => Ok((Transaction::Reversal { reference: of }, request)),
            Self::PreAuthorise(request) => Ok((Transaction::PreAuthorisation, request)),
            Self::Increment { request, of } => Ok((Transaction::Increment { reference: of }, request)),
            Self::Book { request, of } => Ok((Transaction::Booking { reference: of }, request)),
            Self::Release { request, of } => Ok((Transaction::Release { reference: of }, request)),
            Self::Tip { request, of } => Ok((Transaction::Tip { reference: of }, request)),
            Self::TopUp { request, product } => Ok((Transaction::TopUp { product }, request)),
            other => Err(other),
        }
    }
}

/// The kinds of [`Operation`]. In configuration and JSON they have their names in kebab case: `end-of-day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// [`Operation::Pay`].
    Pay,
    /// [`Operation::Refund`].
    Refund,
    /// [`Operation::Reverse`].
    Reversal,
    /// [`Operation::PreAuthorise`].
    PreAuthorisation,
    /// [`Operation::Increment`].
    Increment,
    /// [`Operation::Book`].
    Booking,
    /// [`Operation::Release`].
    Release,
    /// [`Operation::Tip`].
    Tip,
    /// [`Operation::TopUp`].
    TopUp,
    /// [`Operation::ReadCard`].
    ReadCard,
    /// [`Operation::Display`].
    Display,
    /// [`Operation::Input`].
    Input,
    /// [`Operation::Print`].
    Print,
    /// [`Operation::AgeCheck`].
    AgeCheck,
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
        Self::PreAuthorisation,
        Self::Increment,
        Self::Booking,
        Self::Release,
        Self::Tip,
        Self::TopUp,
        Self::ReadCard,
        Self::Display,
        Self::Input,
        Self::Print,
        Self::AgeCheck,
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
            Self::PreAuthorisation => "pre-authorisation",
            Self::Increment => "increment",
            Self::Booking => "booking",
            Self::Release => "release",
            Self::Tip => "tip",
            Self::TopUp => "top-up",
            Self::ReadCard => "read-card",
            Self::Display => "display",
            Self::Input => "input",
            Self::Print => "print",
            Self::AgeCheck => "age-check",
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
            Self::PreAuthorisation => "hold an amount",
            Self::Increment => "hold more than it holds already",
            Self::Booking => "charge what it holds",
            Self::Release => "release what it holds",
            Self::Tip => "add a tip to a payment",
            Self::TopUp => "load a prepaid card or account",
            Self::ReadCard => "read a card without a payment",
            Self::Display => "show a text",
            Self::Input => "ask for an input",
            Self::Print => "print a text",
            Self::AgeCheck => "check an age",
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

    /// It moves or holds money, or may: it is journalled.
    pub fn moves_money(self) -> bool {
        match self {
            Self::Pay
            | Self::Refund
            | Self::Reversal
            | Self::PreAuthorisation
            | Self::Increment
            | Self::Booking
            | Self::Release
            | Self::Tip
            | Self::TopUp => true,
            Self::ReadCard
            | Self::Display
            | Self::Input
            | Self::Print
            | Self::AgeCheck
            | Self::Reprint
            | Self::Totals
            | Self::EndOfDay
            | Self::Diagnosis
            | Self::Initialisation => false,
        }
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
    /// What moves or holds money ended so.
    Payment(Payment),
    /// A card was read.
    Card(Card),
    /// What was entered.
    Answer(Answer),
    /// What the terminal found out about an age.
    Age(AgeCheck),
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

    /// The card.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn card(self) -> Result<Card> {
        if let Self::Card(card) = self { Ok(card) } else { Err(self.mistaken()) }
    }

    /// What was entered.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn answer(self) -> Result<Answer> {
        if let Self::Answer(answer) = self { Ok(answer) } else { Err(self.mistaken()) }
    }

    /// What the terminal found out about an age.
    ///
    /// # Errors
    /// As [`Outcome::payment`].
    pub fn age(self) -> Result<AgeCheck> {
        if let Self::Age(age) = self { Ok(age) } else { Err(self.mistaken()) }
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
            Self::Card(_) => "a card",
            Self::Answer(_) => "a question",
            Self::Age(_) => "an age check",
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
    use crate::host::{Length, Wanted};

    #[test]
    fn a_kind_has_one_name() {
        for kind in OperationKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("serialises"), kind.name());
            assert_eq!(OperationKind::named(kind.name()), Some(*kind));
        }
        assert_eq!(OperationKind::named("tipping"), None);
    }

    #[test]
    fn what_moves_money_is_journalled() {
        let request = Request::new("a", Amount::eur(1));
        let of = Reference::new("zvt").with("receipt", "0417");
        for operation in [
            Operation::Pay(request.clone()),
            Operation::Refund(request.clone()),
            Operation::Reverse { request: request.clone(), of: of.clone() },
            Operation::PreAuthorise(request.clone()),
            Operation::Increment { request: request.clone(), of: of.clone() },
            Operation::Book { request: request.clone(), of: of.clone() },
            Operation::Release { request: request.clone(), of: of.clone() },
            Operation::Tip { request: request.clone(), of },
            Operation::TopUp { request: request.clone(), product: Some("0012".into()) },
            Operation::ReadCard { within: Duration::from_secs(30) },
            Operation::Display { text: "Bitte warten".into(), within: Duration::from_secs(5) },
            Operation::Input { question: Question::new("PLZ", Wanted::Number(Length::new(5, 5)), Answer::Declined) },
            Operation::Print { text: "Tisch 7".into() },
            Operation::AgeCheck { years: 18, within: Duration::from_secs(30) },
            Operation::Reprint,
            Operation::Totals,
            Operation::EndOfDay,
            Operation::Diagnosis,
            Operation::Initialise,
        ] {
            let (moves, kind) = (operation.kind().moves_money(), operation.kind());
            match operation.into_transaction() {
                Ok((transaction, named)) => assert!(moves && named == request && transaction.kind() == kind),
                Err(operation) => assert!(!moves, "{operation:?}"),
            }
        }
    }
}
