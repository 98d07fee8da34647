//! `MessageHeader`.

use serde::{Deserialize, Serialize};

/// Who asks whom, under which number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Header {
    /// `3.0`; terminals may leave it out of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// Service, device or event.
    #[serde(rename = "MessageClass")]
    pub class: Class,
    /// What it is about.
    #[serde(rename = "MessageCategory")]
    pub category: Category,
    /// Request, response or notification.
    #[serde(rename = "MessageType")]
    pub direction: Direction,
    /// The till.
    #[serde(rename = "SaleID", default, skip_serializing_if = "Option::is_none")]
    pub sale_id: Option<String>,
    /// The number of a request, which its response repeats: up to 10 letters and digits, not used by this till within
    /// 48 hours.
    #[serde(rename = "ServiceID", default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// The terminal: model and serial number.
    #[serde(rename = "POIID", default, skip_serializing_if = "Option::is_none")]
    pub poi_id: Option<String>,
}

macro_rules! word {
    ($(#[$doc:meta])* $kind:ident { $($(#[$variant:meta])* $name:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$variant])* $name,)*
            /// Another word than these.
            #[serde(other)]
            Other,
        }
    };
}

word! {
    /// `MessageClass`.
    Class {
        /// The till asks for a service.
        Service,
        /// One side uses a device of the other.
        Device,
        /// Something happened.
        Event,
    }
}

word! {
    /// `MessageCategory`.
    Category {
        /// Payments, and refunds without reference.
        Payment,
        /// Reversals.
        Reversal,
        /// What became of a transaction.
        TransactionStatus,
        /// Abort of a running transaction.
        Abort,
        /// How the terminal is.
        Diagnosis,
        /// Text for a display.
        Display,
        /// A question.
        Input,
        /// Something to print.
        Print,
        /// Something has happened, such as that a message was rejected.
        Event,
    }
}

/// `MessageType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// A question.
    Request,
    /// Its answer.
    Response,
    /// Neither is asked nor answered.
    Notification,
}

impl Direction {
    /// What the outer name `SaleToPOIRequest` can hold.
    pub(super) fn or_request(self) -> Self {
        if self == Self::Notification { self } else { Self::Request }
    }
}
