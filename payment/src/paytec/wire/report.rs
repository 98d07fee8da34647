//! Turnover.

use serde::{Deserialize, Serialize};

use super::fields::{Int, int, objects, text};

/// Asks for turnover.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReportRequest {
    /// 1 of the shift, 2 of the booking period.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub report_type: Option<Int>,
}

/// Turnover, or a part of it: `ReportResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Report {
    /// 1 of the shift, 2 of the booking period.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub report_type: Option<Int>,
    /// 1: more follows.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub report_flags: Option<Int>,
    /// By brand and kind.
    #[serde(deserialize_with = "objects")]
    pub financial_report: Vec<Figure>,
}

/// The turnover of one brand and one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Figure {
    /// Card brand.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub brand: Option<String>,
    /// See [`CounterType`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub financial_counter_type: Option<Int>,
    /// ISO 4217 number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_curr_c: Option<Int>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_count: Option<Int>,
    /// Their sum, in minor units.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub total_amount: Option<Int>,
}

/// Kinds of turnover: `FinancialCounterType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterType {
    /// 0: payments.
    Debit,
    /// 1: refunds.
    Credit,
    /// 2: payments that were taken back.
    DebitReversal,
    /// 3: refunds that were taken back.
    CreditReversal,
    /// 4: reservations, which are no turnover.
    Reservation,
    /// Anything else.
    Other,
}

impl CounterType {
    /// The kind with this number.
    pub fn of(number: Option<Int>) -> Self {
        match number {
            Some(0) => Self::Debit,
            Some(1) => Self::Credit,
            Some(2) => Self::DebitReversal,
            Some(3) => Self::CreditReversal,
            Some(4) => Self::Reservation,
            _ => Self::Other,
        }
    }
}
