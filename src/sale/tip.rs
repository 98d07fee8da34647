//! Tips.

use serde::{Deserialize, Serialize};
use tresen_hal::Amount;

/// A tip for the staff: an amount of its own on the ticket, payable by every tender. It is no turnover and bears no
/// tax. A tip that belongs to the shop is turnover: add a [`Line`](super::Line) with its tax key instead.
///
/// Add it before the payment that includes it: a card is then charged turnover and tip in one amount, and of 50 in cash
/// for 47.50 that "may be kept" nothing is change. A tip that the customer adds at the terminal is added when the payment
/// is taken ([`Charge::tip`](tresen_payment::Charge::tip)), and removed when it is reversed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tip {
    /// The amount; negative only in a refund that gives it back.
    pub amount: Amount,
    /// Who receives it, in the vendor's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The key of the card payment with which the customer has added it at the terminal. The till adds and removes such tips
    /// with their payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
}

impl Tip {
    /// A tip without a recipient.
    pub fn new(amount: Amount) -> Self {
        Self { amount, recipient: None, payment: None }
    }

    /// Sets the card payment that it came with.
    #[must_use]
    pub(crate) fn of_payment(self, key: impl Into<String>) -> Self {
        Self { payment: Some(key.into()), ..self }
    }

    /// Sets who receives it.
    #[must_use]
    pub fn recipient(self, recipient: impl Into<String>) -> Self {
        Self { recipient: Some(recipient.into()), ..self }
    }
}

impl From<Amount> for Tip {
    fn from(amount: Amount) -> Self {
        Self::new(amount)
    }
}
