//! Signing of a paid sale by a fiscal device or service, before it is closed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Result};

use super::tender::Tender;
use super::ticket::Ticket;

/// Signs sales: a vendor's hook for a fiscal device (in Germany a TSE) or service.
///
/// Called once per sale, after it is paid. If it fails, or takes longer than
/// [`Checkout::sign_within`](super::Checkout::sign_within), the outage is recorded with the sale and in the journal,
/// and the sale continues: a customer who has paid gets a receipt.
pub trait Signer: Send + Sync {
    /// Signs a sale. After a crash it may be called again for a sale that was already signed: use the ticket's id as
    /// the key. If a signed sale is changed before it is closed, it is called again with the changed one.
    ///
    /// # Errors
    /// The device or service is out of order.
    fn sign<'a>(&'a self, ticket: &'a Ticket, tenders: &'a [Tender]) -> BoxFuture<'a, Result<Signature>>;
}

/// A fiscal device's signature of a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Signature {
    /// Lines for the receipt.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The content of a QR code for the receipt.
    #[serde(default)]
    pub code: Option<String>,
    /// Further data to be stored.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// The result of signing a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Signing {
    /// Signed.
    Signed(Signature),
    /// Not signed, because the device or service was out of order.
    Outage {
        /// When the outage was noticed.
        at: Timestamp,
        /// The error, or that there was no answer.
        why: String,
    },
}

impl Signature {
    /// A signature with these lines for the receipt.
    pub fn new(lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { lines: lines.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Adds a QR code for the receipt.
    #[must_use]
    pub fn code(self, content: impl Into<String>) -> Self {
        Self { code: Some(content.into()), ..self }
    }

    /// Adds data to be stored with the sale.
    #[must_use]
    pub fn data(self, data: serde_json::Value) -> Self {
        Self { data, ..self }
    }
}
