//! Transactions and their confirmation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields::{Int, exact, int, object, text};

/// Begins a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TransactionRequest {
    /// One of [`super::super::codes::function`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_function: Option<Int>,
    /// ISO 4217 number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_curr_c: Option<Int>,
    /// How much, in minor units.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub amt_auth: Option<Int>,
    /// `TrxSeqCnt` of the transaction to reverse.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_seq_cnt_ori: Option<Int>,
    /// The acquirer's number of the reservation that this one books or cancels.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trx_ref_num: Option<String>,
    /// Which acquirer.
    #[serde(rename = "AcqID", skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub acq_id: Option<Int>,
    /// 1: it may approve less than was asked for.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub partial_approval_cap: Option<Int>,
    /// A name for the acquirer's books; from software 24.04.06 on.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub rec_order_ref: Option<OrderReference>,
}

/// The till's name for a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OrderReference {
    /// Up to 18 characters.
    #[serde(rename = "OrderID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub order_id: Option<String>,
}

/// How a transaction ended at the terminal. An approval is undone unless the till confirms it. `Debug` shows numbers only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TransactionResponse {
    /// 0 approved, 1 declined, 2 referred, 3 aborted.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_result: Option<Int>,
    /// Why, see [`super::super::codes::reason`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_result_extended: Option<Int>,
    /// Terminal id.
    #[serde(rename = "TrmID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_id: Option<String>,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub trx_seq_cnt: Option<Int>,
    /// The number of the transaction that it reverses.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub trx_seq_cnt_ori: Option<Int>,
    /// Its number at the acquirer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trx_ref_num: Option<String>,
    /// Which acquirer.
    #[serde(rename = "AcqID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub acq_id: Option<String>,
    /// What was authorised, in minor units.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub amt_auth: Option<Int>,
    /// What was transacted, in minor units.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub trx_amt: Option<Int>,
    /// A tip that the customer added.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub tip_amt: Option<Int>,
    /// Cash that the customer gets.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub amt_other: Option<Int>,
    /// What a partial approval leaves to be paid.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub amt_remaining: Option<Int>,
    /// ISO 4217 number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub trx_curr_c: Option<Int>,
    /// `YYMMDD`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trx_date: Option<String>,
    /// `HHMMSS`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trx_time: Option<String>,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exact")]
    pub trx_function: Option<Int>,
    /// The issuer's authorisation code.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub auth_c: Option<String>,
    /// Card brand.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub brand: Option<String>,
    /// The card's name.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub display_name: Option<String>,
    /// Card number for the merchant's receipt, masked.
    #[serde(rename = "AppPANPrtAttendant", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub app_pan_prt_attendant: Option<String>,
    /// Card number for the customer's receipt, masked.
    #[serde(rename = "AppPANPrtCardholder", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub app_pan_prt_cardholder: Option<String>,
    /// What the cardholder reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub cardholder_text: Option<String>,
    /// What the cashier reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub attendant_text: Option<String>,
    /// Whom to call about a referral.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub voice_phone: Option<String>,
}

impl fmt::Debug for TransactionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionResponse")
            .field("result", &self.trx_result)
            .field("extended", &self.trx_result_extended)
            .field("number", &self.trx_seq_cnt)
            .field("amount", &self.amt_auth)
            .finish_non_exhaustive()
    }
}

/// Keeps an approval, or rolls it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Confirmation {
    /// 1 keeps it, 0 rolls it back.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub confirm: Option<Int>,
}

/// The answer to a [`Confirmation`]: without content if the approval was kept; after a rollback it tells of that. `Debug`
/// does not show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Confirmed {
    /// Which message of the acquirer's protocol undid it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub msg_type: Option<String>,
    /// The result of undoing it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub auth_reslt: Option<String>,
    /// What the cardholder reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub cardholder_text: Option<String>,
    /// What the cashier reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub attendant_text: Option<String>,
}

impl fmt::Debug for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirmed")
    }
}
