//! Connection, status, shift, receipts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields::{Int, int, ints, object, text, texts};

/// The till introduces itself; always first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConnectRequest {
    /// `de`, `fr`, `it`, `en`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_lng: Option<String>,
    /// Characters of a receipt's line.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub printer_width: Option<Int>,
    /// 1: receipts come without being asked for.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub unsolicited_receipts: Option<Int>,
    /// 1: texts for the cardholder come as `DisplayNotification`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub use_external_display: Option<Int>,
    /// The till's name.
    #[serde(rename = "POSID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub pos_id: Option<String>,
}

/// The terminal introduces itself: `ConnectResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Connected {
    /// Terminal id, 8 characters.
    #[serde(rename = "TrmID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_id: Option<String>,
    /// Its language.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_lng: Option<String>,
    /// Serial number, 8 characters.
    #[serde(rename = "IFDSerialNum", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub ifd_serial_num: Option<String>,
    /// 191000 is 19.10.00.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub software_version: Option<Int>,
    /// Number of the booking period.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub pe_seq_cnt: Option<Int>,
    /// Number of the shift.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub act_seq_cnt: Option<Int>,
}

/// How the terminal is: `StatusResponse`, also without being asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Status {
    /// Bits: [`super::super::codes::status`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trm_status: Option<Int>,
    /// Its language.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_lng: Option<String>,
    /// 1: it takes signatures on its screen.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub e_sig_ind: Option<Int>,
    /// What it will do by itself next.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub next_scheduled_task: Option<Task>,
}

/// Something that the terminal will do by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// `CONFIG`, `INIT_FORCED`, `FINAL_BALANCE`, `AUTO_REVERSAL`, …
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub task_name: Option<String>,
    /// `yyyy-MM-dd HH:mm:ss`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub next_run: Option<String>,
}

/// Opens a shift, or tells of the open one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ActivationRequest {
    /// Who works at the till.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub attendant_name: Option<String>,
}

/// The open shift, and what the terminal can do: `ActivationResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Activation {
    /// Terminal id.
    #[serde(rename = "TrmID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_id: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trm_type: Option<Int>,
    /// Its language.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub trm_lng: Option<String>,
    /// Number of the booking period.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub pe_seq_cnt: Option<Int>,
    /// Number of the shift.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub act_seq_cnt: Option<Int>,
    /// Number of the last transaction, 0 if there is none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_seq_cnt: Option<Int>,
    /// What it can do: [`super::super::codes::function`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub trx_functions: Option<Int>,
    /// ISO 4217 numbers.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "ints")]
    pub currencies: Vec<Int>,
    /// Card brands.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "texts")]
    pub brands: Vec<String>,
    /// The merchant's number, 15 characters.
    #[serde(rename = "MctID", skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub mct_id: Option<String>,
}

/// Asks for a receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReceiptRequest {
    /// 1 transaction, 2 its copy, …
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub receipt_type: Option<Int>,
    /// `TrxSeqCnt` of the transaction.
    #[serde(rename = "ReceiptIDNumeric", skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub receipt_id_numeric: Option<Int>,
}

/// A receipt or a part of one: `ReceiptResponse`. `Debug` does not show its text.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Receipt {
    /// 1 transaction, 2 its copy, …
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub receipt_type: Option<Int>,
    /// Bits: [`super::super::codes::receipt`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub receipt_flags: Option<Int>,
    /// Its text, with line ends.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub receipt_text: Option<String>,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.receipt_text.as_deref().map_or(0, str::len);
        f.debug_struct("Receipt").field("type", &self.receipt_type).field("bytes", &length).finish_non_exhaustive()
    }
}

/// Something failed; it does not say which request. `Debug` does not show its words.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ErrorNotification {
    /// Depends on the terminal's operating system.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "int")]
    pub error_code: Option<Int>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub error_source: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub error_description: Option<String>,
}

impl fmt::Debug for ErrorNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorNotification({:?})", self.error_code)
    }
}
