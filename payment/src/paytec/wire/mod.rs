//! Messages of the KIT dialect: one JSON object with one key, the name of the message.
//!
//! Reading is lenient, since terminals are: numbers may be texts, fields that are not known are skipped, a field of
//! another type is as if it were missing, and keys beside the message (`msg_id`) are ignored.

mod fields;
mod report;
mod terminal;
mod transaction;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use fields::Int;
pub use report::{CounterType, Figure, Report, ReportRequest};
pub use terminal::{
    Activation, ActivationRequest, ConnectRequest, Connected, ErrorNotification, Receipt, ReceiptRequest, Status, Task,
};
pub use transaction::{Confirmation, Confirmed, OrderReference, TransactionRequest, TransactionResponse};

/// A message, in either direction. `Debug` shows its name only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the protocol's own names")]
pub enum Message {
    ConnectRequest(ConnectRequest),
    ConnectResponse(Connected),
    StatusRequest {},
    StatusResponse(Status),
    ActivationRequest(ActivationRequest),
    ActivationResponse(Activation),
    DeactivationRequest {},
    DeactivationResponse {},
    TransactionRequest(TransactionRequest),
    TransactionResponse(Box<TransactionResponse>),
    TransactionConfirmationRequest(Confirmation),
    TransactionConfirmationResponse(Confirmed),
    AbortTransactionRequest {},
    AbortTransactionResponse {},
    BalanceRequest {},
    BalanceResponse {},
    ConfigurationRequest {},
    ConfigurationResponse {},
    InitializationRequest {},
    InitializationResponse {},
    ReceiptRequest(ReceiptRequest),
    ReceiptResponse(Receipt),
    ReportRequest(ReportRequest),
    ReportResponse(Report),
    HeartbeatRequest {},
    HeartbeatResponse {},
    DisplayNotification {
        #[serde(rename = "CardholderText", default, deserialize_with = "fields::text")]
        cardholder_text: Option<String>,
    },
    ErrorNotification(ErrorNotification),
}

impl Message {
    /// The names of all messages that are known here.
    pub const NAMES: &[&str] = &[
        "ConnectRequest",
        "ConnectResponse",
        "StatusRequest",
        "StatusResponse",
        "ActivationRequest",
        "ActivationResponse",
        "DeactivationRequest",
        "DeactivationResponse",
        "TransactionRequest",
        "TransactionResponse",
        "TransactionConfirmationRequest",
        "TransactionConfirmationResponse",
        "AbortTransactionRequest",
        "AbortTransactionResponse",
        "BalanceRequest",
        "BalanceResponse",
        "ConfigurationRequest",
        "ConfigurationResponse",
        "InitializationRequest",
        "InitializationResponse",
        "ReceiptRequest",
        "ReceiptResponse",
        "ReportRequest",
        "ReportResponse",
        "HeartbeatRequest",
        "HeartbeatResponse",
        "DisplayNotification",
        "ErrorNotification",
    ];

    /// The message in a line, without the line's end.
    ///
    /// # Errors
    /// It is not JSON, not a message that is known here, or one that cannot be read.
    pub fn from_line(line: &[u8]) -> Result<Self, Unreadable> {
        let object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line).map_err(|_| Unreadable::NotJson)?;
        let mut known = object.iter().filter_map(|(key, value)| {
            let name = Self::NAMES.iter().find(|name| *name == key)?;
            Some((*name, value))
        });
        let Some((name, value)) = known.next() else {
            // Names of messages are short words; anything else is not repeated in logs.
            let name = object.into_keys().find(|key| key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphabetic()));
            return Err(Unreadable::Unknown(name.unwrap_or_default()));
        };
        // A list would be taken for the fields in their order.
        if known.next().is_some() || !value.get().starts_with('{') {
            return Err(Unreadable::Bad(name));
        }
        serde_json::from_str(&format!("{{\"{name}\":{value}}}")).map_err(|_| Unreadable::Bad(name))
    }

    /// The message as a line, with its end.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("messages have text keys only");
        line.push(b'\n');
        line
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConnectRequest(_) => "ConnectRequest",
            Self::ConnectResponse(_) => "ConnectResponse",
            Self::StatusRequest {} => "StatusRequest",
            Self::StatusResponse(_) => "StatusResponse",
            Self::ActivationRequest(_) => "ActivationRequest",
            Self::ActivationResponse(_) => "ActivationResponse",
            Self::DeactivationRequest {} => "DeactivationRequest",
            Self::DeactivationResponse {} => "DeactivationResponse",
            Self::TransactionRequest(_) => "TransactionRequest",
            Self::TransactionResponse(_) => "TransactionResponse",
            Self::TransactionConfirmationRequest(_) => "TransactionConfirmationRequest",
            Self::TransactionConfirmationResponse(_) => "TransactionConfirmationResponse",
            Self::AbortTransactionRequest {} => "AbortTransactionRequest",
            Self::AbortTransactionResponse {} => "AbortTransactionResponse",
            Self::BalanceRequest {} => "BalanceRequest",
            Self::BalanceResponse {} => "BalanceResponse",
            Self::ConfigurationRequest {} => "ConfigurationRequest",
            Self::ConfigurationResponse {} => "ConfigurationResponse",
            Self::InitializationRequest {} => "InitializationRequest",
            Self::InitializationResponse {} => "InitializationResponse",
            Self::ReceiptRequest(_) => "ReceiptRequest",
            Self::ReceiptResponse(_) => "ReceiptResponse",
            Self::ReportRequest(_) => "ReportRequest",
            Self::ReportResponse(_) => "ReportResponse",
            Self::HeartbeatRequest {} => "HeartbeatRequest",
            Self::HeartbeatResponse {} => "HeartbeatResponse",
            Self::DisplayNotification { .. } => "DisplayNotification",
            Self::ErrorNotification(_) => "ErrorNotification",
        }
    }

    /// The name of the message that answers this request; `None` if it is no request.
    pub fn answered_by(&self) -> Option<&'static str> {
        let subject = self.name().strip_suffix("Request")?;
        Self::NAMES.iter().copied().find(|name| name.strip_suffix("Response") == Some(subject))
    }

    /// It moves money, or decides whether money has moved: it must not arrive twice.
    pub fn moves_money(&self) -> bool {
        matches!(self, Self::TransactionRequest(_) | Self::TransactionConfirmationRequest(_))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a line is not a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no JSON object.
    NotJson,
    /// A message that is not known here, by its name, if that looks like one.
    Unknown(String),
    /// A known message whose content cannot be read.
    Bad(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("a line that is no JSON object"),
            Self::Unknown(name) => write!(f, "a message `{name}` that is not known here"),
            Self::Bad(name) => write!(f, "a `{name}` that cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests;
