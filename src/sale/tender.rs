//! How a sale is paid: in one piece or several, by card, cash or in the vendor's own way.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::Amount;
use tresen_payment::{Charge, IntentId};

use crate::store::Origin;

/// One attempt to pay a sale or a part of it; those that came to nothing are kept, too.
///
/// Amounts are negative where money goes back to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tender {
    /// Its key: the sale's id, a slash, the attempt. For a card it is the payment's key, too.
    pub key: String,
    /// Counts the attempts of its sale, from 1.
    pub attempt: i64,
    /// With what.
    #[serde(flatten)]
    pub kind: TenderKind,
    /// Which way the money goes.
    pub operation: TenderOperation,
    /// How much it was to be.
    pub asked: Amount,
    /// How much it was: less than asked for where a terminal approved a part.
    pub taken: Amount,
    /// Cash: what the customer handed over.
    pub given: Option<Amount>,
    /// The attempt that this one takes back, or the vendor's own words: a voucher's number.
    pub reference: Option<String>,
    /// How it stands.
    pub state: TenderState,
    /// Why it was refused or is unknown.
    pub why: Option<String>,
    /// Card: the payment in the journal.
    pub intent: Option<IntentId>,
    /// Card: what the terminal said.
    pub charge: Option<Box<Charge>>,
    /// Card: the transaction that took it back at the terminal, also one made after the sale was closed and beside it.
    pub reversed_by: Option<IntentId>,
    /// When it began.
    pub at: Timestamp,
    /// Who asked for it.
    pub origin: Origin,
}

/// With what a sale is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "tender")]
#[non_exhaustive]
pub enum TenderKind {
    /// At a payment terminal.
    Card {
        /// Its logical name.
        terminal: String,
    },
    /// Banknotes and coins.
    Cash,
    /// The vendor's own: a voucher, an account, a meal card.
    Other {
        /// The vendor's word for it, as printed on receipts.
        name: String,
    },
}

/// Which way the money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenderOperation {
    /// The customer pays.
    Payment,
    /// The customer gets money back.
    Refund,
    /// An attempt that was taken is taken back.
    Reversal,
}

/// How an attempt to pay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenderState {
    /// It is under way.
    Begun,
    /// The money has moved.
    Taken,
    /// It has not.
    Refused,
    /// It may or may not have moved: the terminal or a person will tell.
    Unknown,
}

impl Tender {
    /// What goes back to a customer who handed over more cash than was due.
    pub fn change(&self) -> Option<Amount> {
        self.given.and_then(|given| given.checked_sub(self.taken)).filter(|change| change.minor() > 0)
    }

    /// What it takes off the amount that is open: what moved, or may yet turn out to have moved.
    pub(crate) fn counts(&self) -> Amount {
        match self.state {
            TenderState::Taken => self.taken,
            TenderState::Begun | TenderState::Unknown => self.asked,
            TenderState::Refused => Amount::zero(self.asked.currency()),
        }
    }
}

impl TenderKind {
    pub(crate) fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Card { terminal } => ("card", terminal),
            Self::Cash => ("cash", ""),
            Self::Other { name } => ("other", name),
        }
    }

    pub(crate) fn of(kind: &str, name: String) -> Self {
        match kind {
            "card" => Self::Card { terminal: name },
            "cash" => Self::Cash,
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
