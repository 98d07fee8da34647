//! What a vendor codes against: any payment terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, BoxFuture, Driver, Known, Result};

use crate::card::Card;
use crate::host::{Answer, Host, Question};
use crate::journal::{Intent, Reference};
use crate::operation::{Operation, OperationKind, Outcome, Request};
use crate::outcome::Payment;
use crate::verification::AgeCheck;

/// A payment terminal, whatever its protocol and link.
///
/// A protocol implements [`transact`](Terminal::transact) and its neighbours; the verbs for single operations are
/// provided. Call [`Terminal::recover`] after opening one: it returns what was settled, with the evidence. Open
/// payments that the terminal has not been asked about are looked up before the next payment at the latest.
/// One that stays unknown does not block others.
pub trait Terminal: Driver<Event = Notice> {
    /// What this terminal can do; known after opening.
    fn capabilities(&self) -> &Capabilities;

    /// Logs in again and asks anew what the terminal can do. A driver has done this when it was opened; call it
    /// after an initialisation or a change at the terminal. Sends nothing that moves money.
    ///
    /// # Errors
    /// The link is lost, or the terminal refuses.
    fn login(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Runs one operation to its end.
    ///
    /// One that moves money is journalled before anything is sent, and ends as [`Outcome::Payment`]: charged, or less
    /// than was asked for ([`Payment::Partial`]) where the terminal may approve a part, or not charged; or `Unknown`,
    /// with the reason, when the link is lost, an answer stays away, or the terminal tells of something else than
    /// was asked; then this driver may be spent, and the next one's `recover` may settle it. The same intent asked
    /// again is answered from the journal; nothing is sent for it.
    ///
    /// # Errors
    /// Nothing was sent that moves money: the journal could not be read or written, the amount is not
    /// payable, the link is lost or was left because answers are missing on it
    /// ([`tresen_hal::Kind::Closed`]; the next driver takes the payment), or the terminal stays busy
    /// ([`tresen_hal::Kind::Busy`]). [`tresen_hal::Kind::Unsupported`]: neither protocol nor terminal can do this.
    /// [`tresen_hal::Kind::Input`]: a reference is another protocol's or another terminal's. An operation that moves
    /// no money also ends as an error if the terminal refuses it.
    fn transact<'a>(&'a mut self, operation: Operation, host: Host) -> BoxFuture<'a, Result<Outcome>>;

    /// Settles the open intents of this terminal by asking it what it has stored. Sends nothing that
    /// moves money. What the terminal cannot settle is concluded as unknown with the reason; it stays
    /// open, is asked about again next time, and can be settled by a person:
    /// [`Journal::settle`](crate::Journal::settle). A terminal that does not even answer is left alone
    /// about it after three times, and this driver may be spent: open the next.
    ///
    /// # Errors
    /// The link is lost or the journal cannot be read or written; what is open stays open.
    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>>;

    /// Asks the terminal how it is.
    ///
    /// # Errors
    /// The link is lost or the terminal does not answer.
    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>>;

    /// Takes a payment: [`Operation::Pay`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn pay<'a>(&'a mut self, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Pay(request), host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Takes a payment back: that of a charge's [`reference`](crate::Charge::reference). Where only the
    /// number on the slip is known, the protocol makes a reference of it:
    /// [`zvt::reference`](crate::zvt::reference). [`Operation::Reverse`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn reverse<'a>(&'a mut self, of: Reference, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Reverse { request, of }, host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Gives money back without reference to a payment: [`Operation::Refund`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn refund<'a>(&'a mut self, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Refund(request), host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Holds an amount: [`Operation::PreAuthorise`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn pre_authorise<'a>(&'a mut self, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::PreAuthorise(request), host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Adds to what is held: [`Operation::Increment`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn increment<'a>(&'a mut self, of: Reference, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Increment { request, of }, host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Charges what is held, or a part of it: [`Operation::Book`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn book<'a>(&'a mut self, of: Reference, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Book { request, of }, host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Releases what is held: [`Operation::Release`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn release<'a>(&'a mut self, of: Reference, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Release { request, of }, host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Adds a tip to a payment: [`Operation::Tip`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn tip<'a>(&'a mut self, of: Reference, request: Request, host: Host) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::Tip { request, of }, host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Loads a prepaid card or account: [`Operation::TopUp`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn top_up<'a>(
        &'a mut self,
        product: Option<String>,
        request: Request,
        host: Host,
    ) -> BoxFuture<'a, Result<Payment>> {
        let ended = self.transact(Operation::TopUp { request, product }, host);
        Box::pin(async move { ended.await?.payment() })
    }

    /// Reads a card without a payment: [`Operation::ReadCard`].
    ///
    /// # Errors
    /// As [`Terminal::transact`]; no card was presented.
    fn read_card<'a>(&'a mut self, within: Duration, host: Host) -> BoxFuture<'a, Result<Card>> {
        let ended = self.transact(Operation::ReadCard { within }, host);
        Box::pin(async move { ended.await?.card() })
    }

    /// Shows a text: [`Operation::Display`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn display(&mut self, text: String, within: Duration) -> BoxFuture<'_, Result<()>> {
        let ended = self.transact(Operation::Display { text, within }, Host::none());
        Box::pin(async move { ended.await?.done().map(drop) })
    }

    /// Asks whoever stands at the terminal: [`Operation::Input`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn input<'a>(&'a mut self, question: Question, host: Host) -> BoxFuture<'a, Result<Answer>> {
        let ended = self.transact(Operation::Input { question }, host);
        Box::pin(async move { ended.await?.answer() })
    }

    /// Prints a text: [`Operation::Print`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn print(&mut self, text: String) -> BoxFuture<'_, Result<()>> {
        let ended = self.transact(Operation::Print { text }, Host::none());
        Box::pin(async move { ended.await?.done().map(drop) })
    }

    /// Checks an age: [`Operation::AgeCheck`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn age_check<'a>(&'a mut self, years: u8, within: Duration, host: Host) -> BoxFuture<'a, Result<AgeCheck>> {
        let ended = self.transact(Operation::AgeCheck { years, within }, host);
        Box::pin(async move { ended.await?.age() })
    }

    /// Closes the day: [`Operation::EndOfDay`].
    ///
    /// # Errors
    /// As [`Terminal::transact`].
    fn end_of_day<'a>(&'a mut self, host: Host) -> BoxFuture<'a, Result<EndOfDay>> {
        let ended = self.transact(Operation::EndOfDay, host);
        Box::pin(async move { ended.await?.day() })
    }

    /// The last receipt once more, line by line: [`Operation::Reprint`].
    ///
    /// # Errors
    /// As [`Terminal::transact`]; the terminal has none.
    fn repeat_receipt(&mut self) -> BoxFuture<'_, Result<Vec<String>>> {
        let ended = self.transact(Operation::Reprint, Host::none());
        Box::pin(async move { ended.await?.receipt() })
    }
}

/// What a terminal says without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something to show to the cashier.
    Text(String),
}

/// How `recover` settled an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Settled {
    /// What was open.
    pub intent: Intent,
    /// How it ended.
    pub payment: Payment,
    /// What it rests on, in words: `receipt 0417, 42.50 EUR, trace 000123 on terminal 60000001`.
    pub evidence: String,
}

impl Settled {
    /// `intent` ended as `payment`, says `evidence`.
    pub fn new(intent: Intent, payment: Payment, evidence: impl Into<String>) -> Self {
        Self { intent, payment, evidence: evidence.into() }
    }
}

/// The result of closing the day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EndOfDay {
    /// The total, where the terminal gives one.
    pub total: Option<Amount>,
    /// The first and the last receipt number, where the terminal gives them.
    #[serde(default)]
    pub receipts: Option<(String, String)>,
    /// By kind of card, where the terminal tells them apart; kinds without a transaction are left out.
    #[serde(default)]
    pub cards: Vec<CardTotal>,
    /// The terminal's receipt, line by line.
    pub receipt: Vec<String>,
}

/// The turnover of a terminal since its last end of day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Totals {
    /// All of it, where the terminal gives a total.
    pub total: Option<Amount>,
    /// The first and the last receipt number, where the terminal gives them.
    pub receipts: Option<(String, String)>,
    /// By kind of card, where the terminal tells them apart; kinds without a transaction are left out.
    pub cards: Vec<CardTotal>,
    /// The terminal's receipt about it, line by line.
    pub receipt: Vec<String>,
}

/// The turnover with one kind of card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CardTotal {
    /// The kind of card, as the protocol names it: `girocard`.
    pub card: String,
    /// How many transactions.
    pub count: u32,
    /// Their sum.
    pub total: Amount,
}

impl CardTotal {
    /// `count` transactions with `card`: `total`.
    pub fn new(card: impl Into<String>, count: u32, total: Amount) -> Self {
        Self { card: card.into(), count, total }
    }
}

/// How a terminal is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TerminalStatus {
    /// It would take a payment now.
    pub ready: bool,
    /// In words.
    pub text: String,
    /// Terminal id.
    pub terminal_id: Option<String>,
    /// Software version.
    pub software: Option<String>,
    /// The device's name.
    #[serde(default)]
    pub device: Option<String>,
    /// The device's serial number.
    #[serde(default)]
    pub serial_number: Option<String>,
    /// Date and time by its clock.
    #[serde(default)]
    pub at: Option<DateTime>,
    /// What somebody should do at the terminal.
    pub due: Vec<Due>,
}

/// What a terminal needs besides payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// It has to be initialised.
    Initialisation,
    /// It has to call its network operator.
    Diagnosis,
    /// Its day has to be closed.
    EndOfDay,
}

/// What a terminal can do, as far as protocol, options and terminal tell. [`Terminal::capabilities`] reads
/// it without asking the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TerminalDriver"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case", default)]
pub struct Capabilities {
    /// What is known of each operation. What is not known may be tried: a terminal that cannot says so, and nothing
    /// moves.
    pub operations: Operations,
    /// The till can abort a running payment. If that is not known, it may ask for it.
    pub abort: Known,
    /// A payment may end as [`Payment::Partial`].
    pub partial: Known,
    /// The terminal hands its receipts to the till: [`Charge::customer_slip`](crate::Charge::customer_slip).
    pub receipt_text: Known,
}

impl Capabilities {
    /// Whether the terminal can do this.
    pub fn of(&self, kind: OperationKind) -> Known {
        self.operations.of(kind)
    }
}

/// What is known of each kind of operation; [`Known::Unknown`] of all that are not [set](Operations::set).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Operations(BTreeMap<OperationKind, Known>);

impl Operations {
    /// Those of a protocol that can do these, as far as it goes, and no others.
    pub fn only(known: impl IntoIterator<Item = (OperationKind, Known)>) -> Self {
        let mut operations: BTreeMap<_, _> = OperationKind::ALL.iter().map(|kind| (*kind, Known::No)).collect();
        operations.extend(known);
        Self(operations)
    }

    /// Whether operations of this kind are possible.
    pub fn of(&self, kind: OperationKind) -> Known {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Declares whether operations of this kind are possible.
    pub fn set(&mut self, kind: OperationKind, known: Known) {
        self.0.insert(kind, known);
    }

    /// All that is known, by kind.
    pub fn iter(&self) -> impl Iterator<Item = (OperationKind, Known)> {
        self.0.iter().map(|(kind, known)| (*kind, *known))
    }
}

impl<'de> Deserialize<'de> for Operations {
    /// Kinds that this version does not know are left out.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let named = BTreeMap::<String, Known>::deserialize(deserializer)?;
        Ok(Self(named.iter().filter_map(|(name, known)| Some((OperationKind::named(name)?, *known))).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_an_older_or_newer_version_does_not_name_are_not_known() {
        let read = |text: &str| serde_json::from_str::<Capabilities>(text).expect("reads");
        let can = read(r#"{"operations":{"refund":"no","later":"yes"},"receipt-text":"yes","later":"yes"}"#);
        assert_eq!((can.of(OperationKind::Refund), can.receipt_text), (Known::No, Known::Yes));
        assert_eq!(can.of(OperationKind::Reversal), Known::Unknown);
        assert_eq!(read(&serde_json::to_string(&can).expect("serialises")), can);
        let only = Operations::only([(OperationKind::Pay, Known::Yes)]);
        assert_eq!((only.of(OperationKind::Pay), only.of(OperationKind::Refund)), (Known::Yes, Known::No));
    }
}
