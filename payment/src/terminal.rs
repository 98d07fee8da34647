//! What a vendor codes against: any payment terminal.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tresen_hal::{Amount, BoxFuture, Driver, Known, Result};

use crate::journal::{Intent, Reference};
use crate::outcome::{IntentId, Payment};

/// A payment terminal, whatever its protocol and link.
///
/// Call [`Terminal::recover`] after opening one: it returns what was settled, with the evidence. Open
/// payments that the terminal has not been asked about are looked up before the next payment at the latest.
/// One that stays unknown does not block others.
pub trait Terminal: Driver<Event = Notice> {
    /// What this terminal can do; known after opening.
    fn capabilities(&self) -> &Capabilities;

    /// Takes a payment. Returns when it is decided: charged, or less than was asked for
    /// ([`Payment::Partial`]) where the terminal may approve a part, or not charged; or `Unknown`, with the reason, when the link is
    /// lost, an answer stays away, or the terminal tells of something else than was asked; then this
    /// driver may be spent, and the next one's `recover` may settle it.
    ///
    /// The same intent asked again is answered from the journal; nothing is sent for it.
    ///
    /// # Errors
    /// Nothing was sent that moves money: the journal could not be read or written, the amount is not
    /// payable, the link is lost or was left because answers are missing on it
    /// ([`tresen_hal::Kind::Closed`]; the next driver takes the payment), or the terminal stays busy ([`tresen_hal::Kind::Busy`]).
    fn pay<'a>(&'a mut self, request: Request, watch: Watch) -> BoxFuture<'a, Result<Payment>>;

    /// Takes a payment back: that of a charge's [`reference`](crate::Charge::reference). Where only the
    /// number on the slip is known, the protocol makes a reference of it:
    /// [`zvt::reference`](crate::zvt::reference).
    ///
    /// # Errors
    /// As [`Terminal::pay`]; [`tresen_hal::Kind::Input`]: the reference is another protocol's or another
    /// terminal's.
    fn reverse<'a>(
        &'a mut self,
        reference: Reference,
        request: Request,
        watch: Watch,
    ) -> BoxFuture<'a, Result<Payment>>;

    /// Gives money back without reference to a payment.
    ///
    /// # Errors
    /// As [`Terminal::pay`].
    fn refund<'a>(&'a mut self, request: Request, watch: Watch) -> BoxFuture<'a, Result<Payment>>;

    /// Settles the open intents of this terminal by asking it what it has stored. Sends nothing that
    /// moves money. What the terminal cannot settle is concluded as unknown with the reason; it stays
    /// open, is asked about again next time, and can be settled by a person:
    /// [`Journal::settle`](crate::Journal::settle). A terminal that does not even answer is left alone
    /// about it after three times, and this driver may be spent: open the next.
    ///
    /// # Errors
    /// The link is lost or the journal cannot be read or written; what is open stays open.
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
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Watch {
    /// Where progress goes. What does not fit into the channel is dropped; the outcome has the slips.
    pub progress: mpsc::Sender<Progress>,
    /// Becomes `true` when the caller wants to abort. A request only: the outcome tells. Sent as
    /// `true` once more, it asks the terminal again; the third time a terminal that has fallen silent
    /// is left after a few seconds, with an unknown outcome.
    pub abort: watch::Receiver<bool>,
}

impl Watch {
    /// A watch whose progress goes to `progress` and which aborts when `abort` says so.
    pub fn with(progress: mpsc::Sender<Progress>, abort: watch::Receiver<bool>) -> Self {
        Self { progress, abort }
    }

    /// A watch without a listener that never aborts.
    pub fn none() -> Self {
        Self { progress: mpsc::channel(1).0, abort: watch::channel(false).1 }
    }

    /// A watch and the other end of its progress, which keeps up to [`Watch::KEPT`] steps for a listener.
    pub fn new(abort: watch::Receiver<bool>) -> (Self, mpsc::Receiver<Progress>) {
        let (progress, steps) = mpsc::channel(Self::KEPT);
        (Self { progress, abort }, steps)
    }

    /// Steps that wait for a slow listener: more than the lines of the longest receipts.
    pub const KEPT: usize = 1024;
}

/// What happens while a transaction runs. `Debug` does not show what is printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A text that the terminal wants shown, in its own words.
    Display(String),
    /// The terminal has an approval; it stands once acknowledged.
    Approved,
    /// A line of a receipt, once the receipt is complete; card numbers in it are masked.
    ReceiptLine(String),
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status { code, text } => write!(f, "Status({code:02x}, {text:?})"),
            Self::Display(text) => write!(f, "Display({} characters)", text.chars().count()),
            Self::Approved => f.write_str("Approved"),
            Self::ReceiptLine(line) => write!(f, "ReceiptLine({} characters)", line.chars().count()),
        }
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
    /// What somebody should do at the terminal.
    pub due: Vec<Due>,
}

/// What a terminal needs besides payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[non_exhaustive]
#[serde(rename_all = "kebab-case", default)]
pub struct Capabilities {
    /// Payments can be reversed. If that is not known, try: a terminal that cannot says so, and nothing moves.
    pub reversal: Known,
    /// Refunds without reference. If that is not known, as for reversals.
    pub refund: Known,
    /// The till can abort a running payment. If that is not known, it may ask for it.
    pub abort: Known,
    /// A payment may end as [`Payment::Partial`].
    pub partial: Known,
    /// The terminal hands its receipts to the till: [`Charge::customer_slip`](crate::Charge::customer_slip).
    pub receipt_text: Known,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_an_older_or_newer_version_does_not_name_are_not_known() {
        let read = |text: &str| serde_json::from_str::<Capabilities>(text).expect("reads");
        let can = read(r#"{"refund":"no","receipt-text":"yes","later":"yes"}"#);
        assert_eq!((can.refund, can.receipt_text, can.reversal), (Known::No, Known::Yes, Known::Unknown));
        assert_eq!(read(&serde_json::to_string(&can).expect("serialises")), can);
    }
}
