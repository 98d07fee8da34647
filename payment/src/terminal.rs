//! What a vendor codes against: any payment terminal.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tresen_hal::{Amount, BoxFuture, Driver, Result};

use crate::journal::Intent;
use crate::outcome::{IntentId, Payment};

/// A payment terminal, whatever its protocol and link.
///
/// A driver takes no new payment while the journal has an open one for its terminal: whoever opens a
/// terminal calls [`Terminal::recover`] next. Opening alone does not, so that its caller gets what
/// was settled, with the evidence.
pub trait Terminal: Driver<Event = Notice> {
    /// What this terminal can do; known after opening.
    fn capabilities(&self) -> &Capabilities;

    /// Takes a payment. Returns when it is decided, or `Unknown` when the link is lost or an answer
    /// stays away; then this driver is spent, and the next one's `recover` settles it.
    ///
    /// The same intent asked again is answered from the journal; nothing is sent for it.
    ///
    /// # Errors
    /// Nothing was sent that moves money: the journal could not be read or written, the amount is not
    /// payable, the link is lost, or an earlier payment is still unknown ([`tresen_hal::Kind::Busy`]).
    fn pay<'a>(&'a mut self, request: Request, watch: Watch) -> BoxFuture<'a, Result<Payment>>;

    /// Takes a payment back by its receipt number.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    fn reverse<'a>(
        &'a mut self,
        receipt_number: String,
        request: Request,
        watch: Watch,
    ) -> BoxFuture<'a, Result<Payment>>;

    /// Gives money back without reference to a payment.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    fn refund<'a>(&'a mut self, request: Request, watch: Watch) -> BoxFuture<'a, Result<Payment>>;

    /// Settles every open intent of this terminal by asking it what it has stored. Sends nothing
    /// that moves money.
    ///
    /// # Errors
    /// The link is lost or the journal cannot be read; what is open stays open.
    fn recover(&mut self) -> BoxFuture<'_, Result<Vec<Settled>>>;

    /// Closes the day: the terminal hands its turnover to the acquirer.
    ///
    /// # Errors
    /// The link is lost, or the terminal refuses.
    fn end_of_day<'a>(&'a mut self, watch: Watch) -> BoxFuture<'a, Result<EndOfDay>>;

    /// The last receipt once more, as the terminal has it: its lines.
    ///
    /// # Errors
    /// The link is lost, or the terminal has none.
    fn repeat_receipt(&mut self) -> BoxFuture<'_, Result<Vec<String>>>;

    /// Asks the terminal how it is.
    ///
    /// # Errors
    /// The link is lost or the terminal does not answer.
    fn status(&mut self) -> BoxFuture<'_, Result<TerminalStatus>>;
}

/// What to pay, and under which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The caller's key: the same key is the same payment.
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

/// How a caller follows and aborts a running transaction.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Where progress goes; nobody needs to listen.
    pub progress: mpsc::UnboundedSender<Progress>,
    /// Becomes `true` when the caller wants to abort. A request only: the outcome tells.
    pub abort: watch::Receiver<bool>,
}

impl Watch {
    /// A watch that nobody listens to and that never aborts.
    pub fn none() -> Self {
        Self { progress: mpsc::unbounded_channel().0, abort: watch::channel(false).1 }
    }
}

/// What happens while a transaction runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// What the terminal shows or wants shown: its code, and the text in words.
    Status {
        /// The protocol's code.
        code: u8,
        /// In words.
        text: String,
    },
    /// The terminal has an approval; it stands once acknowledged.
    Approved,
    /// A line of a receipt.
    ReceiptLine(String),
}

/// What a terminal says without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something to show to the cashier.
    Text(String),
}

/// How `recover` settled an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndOfDay {
    /// The total, where the terminal gives one.
    pub total: Option<Amount>,
    /// The terminal's receipt, line by line.
    pub receipt: Vec<String>,
}

/// How a terminal is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What a terminal can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Payments can be reversed by receipt number.
    pub reversal: bool,
    /// Refunds without reference.
    pub refund: bool,
    /// The till can abort a running payment.
    pub abort: bool,
    /// The terminal hands its receipts to the till.
    pub receipt_text: bool,
}
