//! How a payment ends: charged, charged in part, not charged, or unknown. Nothing is guessed.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use tresen_hal::Amount;

use crate::journal::Reference;
use crate::verification::{AgeCheck, CardEntry, Cvm};

/// The key under which a payment is journalled before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct IntentId(pub String);

/// How a payment, or another [operation](crate::Transaction), ended.
///
/// Each variant serialises under its own name (`{"partial": …}`), so that outcomes can be added
/// without touching what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[must_use]
pub enum Payment {
    /// The money has moved: all that was asked for.
    Charged(Box<Charge>),
    /// Money has moved, and less than was asked for; the rest is still to be paid. Terminals approve a
    /// part only where they are allowed to, for instance by
    /// [`zvt::Options::partial`](crate::zvt::Options::partial).
    Partial(Box<Charge>),
    /// No money has moved, and why.
    NotCharged(NotCharged),
    /// It may or may not have moved, and why that is not known. `Terminal::recover` may still settle
    /// it, and a person can: [`Journal::settle`](crate::Journal::settle). It does not block other payments.
    Unknown(Unknown),
}

/// What the terminal said about a transaction that stands.
///
/// Numbers that are not quantities are digit strings. The card number is masked as the terminal
/// masked it; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Charge {
    /// The intent it fulfils.
    pub intent: IntentId,
    /// What was charged: what was asked for, or less in a [`Payment::Partial`], or more by a [tip](Self::tip).
    pub amount: Amount,
    /// The tip in it, which the customer has added at the terminal: what was asked for is less by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Amount>,
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
    /// Kind of card by the protocol's own number: ZVT's are in [`zvt::tables`](crate::zvt::tables).
    #[serde(default)]
    pub card_type: Option<u16>,
    /// Kind of card by the network operator's number.
    #[serde(default)]
    pub network_card_type: Option<u16>,
    /// Id of the application on the card that was used (AID), in hex.
    #[serde(default)]
    pub aid: Option<String>,
    /// How the card was read.
    #[serde(default)]
    pub entry: Option<CardEntry>,
    /// How the cardholder was verified.
    #[serde(default)]
    pub cvm: Option<Cvm>,
    /// What an age check found, where one was made.
    #[serde(default)]
    pub age: Option<AgeCheck>,
    /// Number of the turnover record.
    #[serde(default)]
    pub turnover_number: Option<String>,
    /// The terminal's message about it, in hex, with card data masked. ZVT: the whole 04 0F.
    #[serde(default)]
    pub raw: Option<String>,
    /// Date and time by the terminal's clock.
    pub at: Option<DateTime>,
    /// The customer's slip, as the terminal wrote it, line by line.
    pub customer_slip: Vec<String>,
    /// The merchant's slip.
    pub merchant_slip: Vec<String>,
    /// How far the till has confirmed it, at terminals that keep only what the till confirms (PayTec). `None` before that,
    /// and at all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
}

/// How far the till has confirmed an approval; journalled with [`Journal::approve`](crate::Journal::approve).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Confirmation {
    /// The confirmation is about to be sent, or was: it may have arrived.
    Sent,
    /// The terminal has acknowledged it: the charge stands.
    Acknowledged,
}

/// Why no money moved. `Debug` does not show the slip.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// What to do about it, for the cashier, where that is known.
    #[serde(default)]
    pub advice: Option<String>,
    /// The slip that the terminal printed about it, if any.
    pub slip: Vec<String>,
}

/// Why it is not known whether money has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "UnknownOutcome"))]
#[non_exhaustive]
pub struct Unknown {
    /// The intent in question.
    pub intent: IntentId,
    /// What is known and what is missing, in words, for the person who settles it.
    pub why: String,
    /// The terminal was asked and could not tell. Asking again rarely helps.
    #[serde(default)]
    pub asked: bool,
    /// How often it was asked and did not even answer. After a few times a driver stops asking, so that
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "NotChargedReason"))]
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
            Self::Charged(charge) | Self::Partial(charge) => &charge.intent,
            Self::NotCharged(not) => &not.intent,
            Self::Unknown(unknown) => &unknown.intent,
        }
    }

    /// How `intent` ended is not known, because of `why`.
    pub fn unknown(intent: &IntentId, why: impl Into<String>) -> Self {
        Self::Unknown(Unknown::new(intent.clone(), why))
    }

    /// `charge` stands, and `asked` was asked for: [`Payment::Charged`], or [`Payment::Partial`] if it is
    /// less.
    pub fn charged(charge: Charge, asked: Amount) -> Self {
        if charge.is_part_of(asked) { Self::Partial(Box::new(charge)) } else { Self::Charged(Box::new(charge)) }
    }

    /// What has moved, all of it or a part.
    pub fn charge(&self) -> Option<&Charge> {
        match self {
            Self::Charged(charge) | Self::Partial(charge) => Some(charge),
            Self::NotCharged(_) | Self::Unknown(_) => None,
        }
    }

    /// The same, taken out.
    pub fn into_charge(self) -> Option<Charge> {
        match self {
            Self::Charged(charge) | Self::Partial(charge) => Some(*charge),
            Self::NotCharged(_) | Self::Unknown(_) => None,
        }
    }

    /// The name under which it is stored: `charged`, `partial`, `not-charged`, `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Charged(_) => "charged",
            Self::Partial(_) => "partial",
            Self::NotCharged(_) => "not-charged",
            Self::Unknown(_) => "unknown",
        }
    }

    /// It is known how it ended.
    pub fn is_decided(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

impl Charge {
    /// It is less than was asked for, in the same currency.
    pub fn is_part_of(&self, asked: Amount) -> bool {
        self.amount.currency() == asked.currency() && self.amount.minor() < asked.minor()
    }

    /// A charge of `amount` of which nothing else is known yet.
    pub fn new(intent: IntentId, amount: Amount) -> Self {
        Self {
            intent,
            amount,
            tip: None,
            reference: None,
            receipt_number: None,
            trace: None,
            terminal_id: None,
            merchant_id: None,
            authorisation: None,
            card_name: None,
            masked_pan: None,
            card_type: None,
            network_card_type: None,
            aid: None,
            entry: None,
            cvm: None,
            age: None,
            turnover_number: None,
            raw: None,
            at: None,
            customer_slip: Vec::new(),
            merchant_slip: Vec::new(),
            confirmation: None,
        }
    }
}

impl NotCharged {
    /// `intent` was not fulfilled because of `reason`, which `text` tells the cashier.
    pub fn new(intent: IntentId, reason: Reason, code: Option<u8>, text: impl Into<String>) -> Self {
        Self { intent, reason, code, text: text.into(), advice: None, slip: Vec::new() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_stored_under_a_name_of_its_own() {
        let asked = Amount::eur(12_50);
        for (minor, word) in [(12_50, "charged"), (12_49, "partial"), (13_00, "charged")] {
            let payment = Payment::charged(Charge::new(IntentId("a".into()), Amount::eur(minor)), asked);
            let text = serde_json::to_string(&payment).expect("serialises");
            assert!(text.starts_with(&format!("{{\"{word}\":")), "{text}");
            assert_eq!(payment.word(), word);
            assert_eq!(serde_json::from_str::<Payment>(&text).expect("reads back"), payment);
        }
    }
}
