//! Bodies of messages: names, types and presence as in Adyen's Terminal API reference.
//!
//! `Debug` of a receipt shows no text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::form;
use super::header::{Category, Header};
use super::number::Number;
use crate::pan;

/// `Response`: how it went. `Debug` shows no additional words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// `Success`, `Partial`, `Failure`.
    pub result: String,
    /// Why, for a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_condition: Option<String>,
    /// More words, form-encoded or base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_response: Option<String>,
}

/// A transaction at one of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Identification {
    /// Its number.
    #[serde(rename = "TransactionID")]
    pub transaction_id: String,
    /// Its time, ISO 8601.
    pub time_stamp: String,
}

/// `SaleData`: the till's side of a transaction. `Debug` shows no settings.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SaleData {
    /// The till's number and time for it.
    #[serde(rename = "SaleTransactionID", default, skip_serializing_if = "Option::is_none")]
    pub sale_transaction_id: Option<Identification>,
    /// Settings for the acquirer, form-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale_to_acquirer_data: Option<String>,
}

/// `POIData`: the terminal's side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoiData {
    /// The terminal's number and time: what a reversal names.
    #[serde(rename = "POITransactionID", default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Identification>,
    /// The terminal's period.
    #[serde(rename = "POIReconciliationID", default, skip_serializing_if = "Option::is_none")]
    pub reconciliation_id: Option<String>,
}

/// `AmountsReq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AmountsRequested {
    /// ISO 4217 letters.
    pub currency: String,
    /// What is asked for.
    pub requested_amount: Number,
    /// The tip in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip_amount: Option<Number>,
}

/// `AmountsResp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AmountsResponded {
    /// ISO 4217 letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What was authorised, with the tip.
    pub authorized_amount: Number,
    /// The tip in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip_amount: Option<Number>,
}

/// `PaymentTransaction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PaymentTransaction {
    /// How much.
    pub amounts_req: AmountsRequested,
}

/// `PaymentData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PaymentData {
    /// `Refund` for a refund without reference; a payment otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_type: Option<String>,
}

/// `PaymentRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PaymentRequest {
    /// The till's side.
    pub sale_data: SaleData,
    /// How much.
    pub payment_transaction: PaymentTransaction,
    /// What kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_data: Option<PaymentData>,
}

/// `CardData`, without the card's number and tracks. `Debug` shows no digits of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CardData {
    /// The card's brand: `mc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_brand: Option<String>,
    /// The masked number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked_pan: Option<String>,
    /// How it was read: `Contactless`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_mode: Vec<String>,
}

/// `PaymentInstrumentData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstrumentData {
    /// Of a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_data: Option<CardData>,
}

/// `PaymentAcquirerData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AcquirerData {
    /// The terminal, as the acquirer names it.
    #[serde(rename = "AcquirerPOIID", default, skip_serializing_if = "Option::is_none")]
    pub poi_id: Option<String>,
    /// The acquirer's number and time.
    #[serde(rename = "AcquirerTransactionID", default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Identification>,
    /// Of the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_code: Option<String>,
    /// Of the merchant.
    #[serde(rename = "MerchantID", default, skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
}

/// `PaymentResult`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PaymentResult {
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amounts_resp: Option<AmountsResponded>,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_instrument_data: Option<InstrumentData>,
    /// At whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_acquirer_data: Option<AcquirerData>,
    /// What kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_type: Option<String>,
}

/// A run of text.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutputText {
    /// The text; on receipts `name=…&value=…`, form-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A line ends here unless this is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_line_flag: Option<bool>,
}

/// `OutputContent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutputContent {
    /// `Text` and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    /// Which text that the other side has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predefined_content: Option<Predefined>,
    /// Runs of text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_text: Vec<OutputText>,
}

/// `PredefinedContent`. `Debug` does not show which.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Predefined {
    /// `GetConfirmation` and others of a question; `event=…`, form-encoded, of a display.
    #[serde(rename = "ReferenceID")]
    pub reference_id: String,
}

/// `PaymentReceipt`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Receipt {
    /// `CashierReceipt`, `CustomerReceipt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_qualifier: Option<String>,
    /// Its lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_content: Option<OutputContent>,
    /// The customer has to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_signature_flag: Option<bool>,
}

/// `PaymentResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PaymentResponse {
    /// How it went.
    pub response: Answer,
    /// The till's side, repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale_data: Option<SaleData>,
    /// The terminal's side.
    #[serde(rename = "POIData", default, skip_serializing_if = "Option::is_none")]
    pub poi_data: Option<PoiData>,
    /// What was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_result: Option<PaymentResult>,
    /// Receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payment_receipt: Vec<Receipt>,
}

/// `OriginalPOITransaction`: what is reversed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Original {
    /// The terminal's number and time for it.
    #[serde(rename = "POITransactionID", default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Identification>,
    /// The terminal, if it was another.
    #[serde(rename = "POIID", default, skip_serializing_if = "Option::is_none")]
    pub poi_id: Option<String>,
}

/// `ReversalRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReversalRequest {
    /// Of which.
    #[serde(rename = "OriginalPOITransaction")]
    pub original_poi_transaction: Original,
    /// `MerchantCancel`, `CustCancel`, `Malfunction`, `Unable2Compl`.
    pub reversal_reason: String,
    /// A part of it; all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed_amount: Option<Number>,
    /// The till's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale_data: Option<SaleData>,
}

/// `ReversalResponse`. Success means that the terminal has taken it on; the acquirer carries it out later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReversalResponse {
    /// How it went.
    pub response: Answer,
    /// The terminal's side.
    #[serde(rename = "POIData", default, skip_serializing_if = "Option::is_none")]
    pub poi_data: Option<PoiData>,
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed_amount: Option<Number>,
    /// Receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payment_receipt: Vec<Receipt>,
}

/// Another message, by its numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageReference {
    /// What it is about.
    #[serde(rename = "MessageCategory", default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// The till that sent it.
    #[serde(rename = "SaleID", default, skip_serializing_if = "Option::is_none")]
    pub sale_id: Option<String>,
    /// Its number.
    #[serde(rename = "ServiceID", default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// The terminal.
    #[serde(rename = "POIID", default, skip_serializing_if = "Option::is_none")]
    pub poi_id: Option<String>,
}

/// `TransactionStatusRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransactionStatusRequest {
    /// Of which request; the last without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_reference: Option<MessageReference>,
    /// With the receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_reprint_flag: Option<bool>,
    /// Which receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document_qualifier: Vec<String>,
}

/// `TransactionStatusResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransactionStatusResponse {
    /// Success: the transaction has ended and is repeated; `InProgress`; `NotFound`.
    pub response: Answer,
    /// Of which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_reference: Option<MessageReference>,
    /// The response to it once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_message_response: Option<Repeated>,
}

/// `RepeatedMessageResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Repeated {
    /// The header of the response.
    pub message_header: Header,
    /// Its body.
    pub repeated_response_message_body: RepeatedBody,
}

/// `RepeatedResponseMessageBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RepeatedBody {
    /// Of a payment or a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_response: Option<Box<PaymentResponse>>,
    /// Of a reversal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversal_response: Option<Box<ReversalResponse>>,
}

/// `AbortRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Abort {
    /// `MerchantAbort`.
    pub abort_reason: String,
    /// Of which request.
    pub message_reference: MessageReference,
}

/// `DiagnosisRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiagnosisRequest {
    /// Try the host as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_diagnosis_flag: Option<bool>,
}

/// `POIStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoiStatus {
    /// `OK`, `Busy`, `Maintenance`, `Unreachable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_status: Option<String>,
    /// It reaches its host.
    #[serde(rename = "CommunicationOKFlag", default, skip_serializing_if = "Option::is_none")]
    pub communication_ok_flag: Option<bool>,
    /// `OK`, `PaperLow`, `NoPaper` and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printer_status: Option<String>,
}

/// `DiagnosisResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiagnosisResponse {
    /// How it went.
    pub response: Answer,
    /// How it is.
    #[serde(rename = "POIStatus", default, skip_serializing_if = "Option::is_none")]
    pub poi_status: Option<PoiStatus>,
}

/// `EventNotification`: what a terminal tells unasked, also instead of an answer.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventNotification {
    /// `Reject` and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_to_notify: Option<String>,
    /// More words: `message=…`, form-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_details: Option<String>,
}

impl EventNotification {
    /// In words, as the terminal says it.
    pub fn text(&self) -> String {
        let details = self.event_details.as_deref().unwrap_or_default();
        let words = form::value(details, "message").unwrap_or(details.into());
        let what = self.event_to_notify.as_deref().unwrap_or("an event");
        if words.is_empty() { what.to_owned() } else { format!("{what}, {words}") }
    }
}

impl fmt::Debug for EventNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventNotification").field("event", &self.event_to_notify.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (result, condition) = (shown(&self.result), self.error_condition.as_deref().map(shown));
        f.debug_struct("Answer").field("result", &result).field("condition", &condition).finish_non_exhaustive()
    }
}

impl fmt::Debug for SaleData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaleData").field("transaction", &self.sale_transaction_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for CardData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardData").field("brand", &self.payment_brand.as_deref().map(shown)).finish_non_exhaustive()
    }
}

/// Words of a terminal, which may hide a card number anywhere.
pub(super) fn shown(text: &str) -> String {
    pan::mask_line(text, &[])
}

impl fmt::Debug for Predefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predefined")
    }
}

impl fmt::Debug for OutputText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputText({} characters)", self.text.as_deref().unwrap_or_default().chars().count())
    }
}
