//! How a payment ends: charged, not charged, or unknown. There is no fourth way and no guess.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use tresen_hal::Amount;

use crate::journal::Reference;

/// The key under which a payment is journalled before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub String);

/// How a payment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Payment {
    /// The money has moved.
    Charged(Box<Charge>),
    /// The money has not moved, and why.
    NotCharged(NotCharged),
    /// It may or may not have moved, and why that is not known. `Terminal::recover` may still settle
    /// it, and a person can: [`Journal::settle`](crate::Journal::settle). It blocks nothing else.
    Unknown(Unknown),
}

/// What the terminal said about a transaction that stands.
///
/// Numbers that are not quantities are digit strings. The card number is masked as the terminal
/// masked it; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Charge {
    /// The intent it fulfils.
    pub intent: IntentId,
    /// What was charged; may be less than asked for where the terminal allows partial amounts.
    pub amount: Amount,
    /// The terminal's name for this transaction, to reverse it by; `None` if it gave none.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// Receipt number of the terminal.
    pub receipt_number: Option<String>,
    /// Trace number.
    pub trace: Option<String>,
    /// Terminal id.
    pub terminal_id: Option<String>,
    /// Merchant number at the acquirer (ZVT: VU number).
    pub merchant_id: Option<String>,
    /// Authorisation code of the card's issuer.
    pub authorisation: Option<String>,
    /// Name of the card: `girocard`, `VISA`.
    pub card_name: Option<String>,
    /// Card number, masked.
    pub masked_pan: Option<String>,
    /// Date and time by the terminal's clock.
    pub at: Option<DateTime>,
    /// The customer's slip, as the terminal wrote it, line by line.
    pub customer_slip: Vec<String>,
    /// The merchant's slip.
    pub merchant_slip: Vec<String>,
}

/// Why no money moved. `Debug` does not show the slip.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NotCharged {
    /// The intent that was not fulfilled.
    pub intent: IntentId,
    /// What kind of reason.
    pub reason: Reason,
    /// The terminal's result code, if it gave one.
    pub code: Option<u8>,
    /// In words, for the cashier.
    pub text: String,
    /// The slip that the terminal printed about it, if any.
    pub slip: Vec<String>,
}

/// Why it is not known whether money has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unknown {
    /// The intent in question.
    pub intent: IntentId,
    /// What is known and what is missing, in words, for the person who settles it.
    pub why: String,
    /// The terminal was asked and could not tell. Asking again rarely helps.
    #[serde(default)]
    pub asked: bool,
    /// How often it was asked and did not even answer. A driver leaves it alone after a few times, so that
    /// others can pay.
    #[serde(default)]
    pub unanswered: u8,
}

impl Unknown {
    /// How `intent` ended is not known, because of `why`.
    pub fn new(intent: IntentId, why: impl Into<String>) -> Self {
        Self { intent, why: why.into(), asked: false, unanswered: 0 }
    }
}

/// Kinds of reason why no money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The issuer or the terminal declined.
    Declined,
    /// The customer or the cashier aborted.
    Aborted,
    /// The terminal could not: busy, offline, needs its end-of-day.
    Unavailable,
    /// The terminal does not know of it: it was never started, or it was taken back.
    NotFound,
    /// It was authorised and taken back before it stood.
    Reversed,
    /// A person decided so: [`Journal::settle`](crate::Journal::settle).
    Settled,
}

impl Payment {
    /// The intent it answers.
    pub fn intent(&self) -> &IntentId {
        match self {
            Self::Charged(charge) => &charge.intent,
            Self::NotCharged(not) => &not.intent,
            Self::Unknown(unknown) => &unknown.intent,
        }
    }

    /// How `intent` ended is not known, because of `why`.
    pub fn unknown(intent: &IntentId, why: impl Into<String>) -> Self {
        Self::Unknown(Unknown::new(intent.clone(), why))
    }
}

impl Charge {
    /// A charge of `amount` of which nothing else is known yet.
    pub fn new(intent: IntentId, amount: Amount) -> Self {
        Self {
            intent,
            amount,
            reference: None,
            receipt_number: None,
            trace: None,
            terminal_id: None,
            merchant_id: None,
            authorisation: None,
            card_name: None,
            masked_pan: None,
            at: None,
            customer_slip: Vec::new(),
            merchant_slip: Vec::new(),
        }
    }
}

impl NotCharged {
    /// `intent` was not fulfilled because of `reason`, which `text` tells the cashier.
    pub fn new(intent: IntentId, reason: Reason, code: Option<u8>, text: impl Into<String>) -> Self {
        Self { intent, reason, code, text: text.into(), slip: Vec::new() }
    }
}

impl std::fmt::Debug for Charge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Charge")
            .field("intent", &self.intent)
            .field("amount", &self.amount)
            .field("receipt_number", &self.receipt_number)
            .field("trace", &self.trace)
            .field("terminal_id", &self.terminal_id)
            .field("card_name", &self.card_name)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NotCharged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotCharged")
            .field("intent", &self.intent)
            .field("reason", &self.reason)
            .field("code", &self.code)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}
