//! A fiscal device or service signs what was sold, between paid and closed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Result};

use super::tender::Tender;
use super::ticket::Ticket;

/// Signs sales: a vendor's hook for a fiscal device (in Germany a TSE) or service.
///
/// It is called once per sale, after it is paid. If it fails, or takes longer than
/// [`Checkout::sign_within`](super::Checkout::sign_within), the outage is recorded with the sale and
/// stands in the journal, and the sale goes on: a customer who has paid gets a receipt.
pub trait Signer: Send + Sync {
    /// Signs a sale. After a crash it may be asked again for a sale that it has signed before: the
    /// ticket's id is the key.
    ///
    /// # Errors
    /// The device or service is out of order.
    fn sign<'a>(&'a self, ticket: &'a Ticket, tenders: &'a [Tender]) -> BoxFuture<'a, Result<Signature>>;
}

/// What a fiscal device said about a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Signature {
    /// Lines for the receipt.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The content of a QR code for the receipt.
    #[serde(default)]
    pub code: Option<String>,
    /// Everything else that has to be kept.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// What came of signing a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Signing {
    /// It is signed.
    Signed(Signature),
    /// It is not, because the device or service was out of order.
    Outage {
        /// When that was found.
        at: Timestamp,
        /// What it said, or that it said nothing.
        why: String,
    },
}

impl Signature {
    /// A signature with these lines for the receipt.
    pub fn new(lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { lines: lines.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With a QR code for the receipt.
    #[must_use]
    pub fn code(self, content: impl Into<String>) -> Self {
        Self { code: Some(content.into()), ..self }
    }

    /// With data that is kept with the sale.
    #[must_use]
    pub fn data(self, data: serde_json::Value) -> Self {
        Self { data, ..self }
    }
}
