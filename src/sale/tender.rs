//! How a sale is paid: with one or more tenders, by card, cash or the vendor's own means.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::Amount;
use tresen_payment::{Charge, IntentId};

use crate::store::Origin;

/// One attempt to pay a sale or part of it; failed attempts are kept as well.
///
/// Amounts are negative where money goes back to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tender {
    /// Its key: the sale's id, a slash, the attempt. For a card it is also the payment's key.
    pub key: String,
    /// Number of the attempt within its sale, from 1.
    pub attempt: i64,
    /// The means of payment.
    #[serde(flatten)]
    pub kind: TenderKind,
    /// The direction of the money.
    pub operation: TenderOperation,
    /// The requested amount.
    pub asked: Amount,
    /// The amount taken: less than requested where a terminal approved a part.
    pub taken: Amount,
    /// Cash: what the customer handed over.
    pub given: Option<Amount>,
    /// The attempt that this one reverses, or the vendor's own reference: a voucher's number.
    pub reference: Option<String>,
    /// Its state.
    pub state: TenderState,
    /// Why it was refused or is unknown.
    pub why: Option<String>,
    /// Card: the payment in the journal.
    pub intent: Option<IntentId>,
    /// Card: the charge reported by the terminal.
    pub charge: Option<Box<Charge>>,
    /// Card: the transaction that reversed it at the terminal, including one made outside the sale after it was closed.
    pub reversed_by: Option<IntentId>,
    /// That a lease of its terminal ended while it was running, and how: see [`crate::lease`].
    #[serde(default)]
    pub lease_ended: Option<String>,
    /// When it began.
    pub at: Timestamp,
    /// Who requested it.
    pub origin: Origin,
}

/// The means of payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "tender")]
#[non_exhaustive]
pub enum TenderKind {
    /// A payment terminal.
    Card {
        /// The terminal's logical name.
        terminal: String,
    },
    /// Banknotes and coins.
    Cash,
    /// A customer's account at the server.
    Account {
        /// The account.
        account: String,
    },
    /// The vendor's own means: a voucher, a meal card.
    Other {
        /// Its name, as printed on receipts.
        name: String,
    },
}

/// The direction of the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenderOperation {
    /// The customer pays.
    Payment,
    /// The customer gets money back.
    Refund,
    /// An earlier attempt is reversed.
    Reversal,
}

/// The state of an attempt to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenderState {
    /// In progress.
    Begun,
    /// The money has moved.
    Taken,
    /// The money has not moved.
    Refused,
    /// The money may have moved: the terminal or a person will decide.
    Unknown,
}

impl Tender {
    /// The change due to a customer who handed over more cash than required.
    pub fn change(&self) -> Option<Amount> {
        self.given.and_then(|given| given.checked_sub(self.taken)).filter(|change| change.minor() > 0)
    }

    /// The amount by which it reduces the open amount: money that moved, or may have moved.
    pub(crate) fn counts(&self) -> Amount {
        match self.state {
            TenderState::Taken => self.taken,
            TenderState::Begun | TenderState::Unknown => self.asked,
            TenderState::Refused => Amount::zero(self.asked.currency()),
        }
    }
}

impl TenderKind {
    pub(crate) fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::Card { terminal } => ("card", terminal),
            Self::Cash => ("cash", ""),
            Self::Account { account } => ("account", account),
            Self::Other { name } => ("other", name),
        }
    }

    pub(crate) fn of(kind: &str, name: String) -> Self {
        match kind {
            "card" => Self::Card { terminal: name },
            "cash" => Self::Cash,
            "account" => Self::Account { account: name },
            _ => Self::Other { name },
        }
    }
}

impl TenderOperation {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Reversal => "reversal",
        }
    }

    pub(crate) fn sign(self) -> i64 {
        match self {
            Self::Payment => 1,
            Self::Refund | Self::Reversal => -1,
        }
    }
}

impl TenderState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Taken => "taken",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}
