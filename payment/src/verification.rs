//! How a card was read and its holder verified.

use serde::{Deserialize, Serialize};

/// How the card was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum CardEntry {
    /// The magnetic stripe was swiped.
    MagneticStripe,
    /// The chip was inserted.
    Chip,
    /// Held to the reader: a card, a telephone, a watch.
    Contactless,
}

/// How the cardholder was verified (cardholder verification method).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Cvm {
    /// Not at all.
    None,
    /// By signature on the merchant's slip.
    Signature,
    /// By a PIN that the issuer checked.
    OnlinePin,
    /// By a PIN that the chip checked, encrypted on its way.
    EncryptedOfflinePin,
    /// By a PIN that the chip checked, not encrypted on its way.
    PlainOfflinePin,
    /// [`Cvm::EncryptedOfflinePin`] and signature.
    EncryptedOfflinePinAndSignature,
    /// [`Cvm::PlainOfflinePin`] and signature.
    PlainOfflinePinAndSignature,
    /// [`Cvm::OnlinePin`] and signature.
    OnlinePinAndSignature,
}

impl Cvm {
    /// The merchant's slip has to be signed.
    pub fn wants_signature(self) -> bool {
        use Cvm::{EncryptedOfflinePinAndSignature, OnlinePinAndSignature, PlainOfflinePinAndSignature, Signature};
        matches!(
            self,
            Signature | EncryptedOfflinePinAndSignature | PlainOfflinePinAndSignature | OnlinePinAndSignature
        )
    }
}

/// What a terminal found out about the age of the cardholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum AgeCheck {
    /// The cardholder has not reached it.
    Below,
    /// The cardholder has reached it.
    Reached,
    /// Card or terminal cannot tell.
    Unsupported,
}
