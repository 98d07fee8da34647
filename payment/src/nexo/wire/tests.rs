//! Messages as Adyen's documentation shows them.

use serde_json::{Value, json};
use tresen_hal::Amount;

use super::*;
use crate::nexo::results::{Condition, Ending, Outcome};

/// "Pass additional data using the Terminal API", request.
const PAYMENT: &str = r#"{"SaleToPOIRequest":{"MessageHeader":{"POIID":"MX925-286240330","MessageClass":"Service",
"MessageType":"Request","ProtocolVersion":"3.0","ServiceID":"1113162452","SaleID":"POSSystemID12345",
"MessageCategory":"Payment"},"PaymentRequest":{"PaymentTransaction":{"AmountsReq":{"RequestedAmount":10.99,
"Currency":"EUR"},"TransactionConditions":{}},"SaleData":{"SaleToAcquirerData":"shopperEmail=a@example.com",
"TokenRequestedType":"Customer","SaleTransactionID":{"TransactionID":"8377","TimeStamp":"2017-11-13T15:24:52+00:00"}}}}}"#;

/// "Cancel a transaction", request.
const ABORT: &str = r#"{"SaleToPOIRequest":{"AbortRequest":{"AbortReason":"MerchantAbort","MessageReference":{
"SaleID":"POSSystemID12345","ServiceID":"21795","MessageCategory":"Payment"}},"MessageHeader":{"MessageType":"Request",
"MessageCategory":"Abort","MessageClass":"Service","ServiceID":"26319","SaleID":"POSSystemID12345",
"POIID":"MX925-260193322","ProtocolVersion":"3.0"}}}"#;

fn read(text: &str) -> Message {
    Message::from_json(text.as_bytes(), None).expect(text)
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn key() -> Key {
    Key::derive("till", 1, "test123").expect("ASCII")
}

#[test]
fn a_payment_is_read_and_written_as_documented() {
    let message = read(PAYMENT);
    let Body::Payment(request) = &message.body else { panic!("{message:?}") };
    let asked = &request.payment_transaction.amounts_req;
    assert_eq!(
        (asked.requested_amount.amount(tresen_hal::Currency::EUR), &*asked.currency),
        (Some(Amount::eur(10_99)), "EUR")
    );
    assert_eq!(message.header.service_id.as_deref(), Some("1113162452"));
    // What is not known here is left out; the rest is the same.
    let mut documented = value(PAYMENT);
    let body = &mut documented["SaleToPOIRequest"]["PaymentRequest"];
    body["PaymentTransaction"].as_object_mut().expect("object").remove("TransactionConditions");
    body["SaleData"].as_object_mut().expect("object").remove("TokenRequestedType");
    assert_eq!(value(&message.to_json(None)), documented);
}

#[test]
fn an_abort_is_written_as_documented() {
    assert_eq!(value(&read(ABORT).to_json(None)), value(ABORT));
}

#[test]
fn a_response_tells_result_numbers_and_receipts_and_shows_no_card() {
    let text = json!({"SaleToPOIResponse": {
        "MessageHeader": {"ProtocolVersion": "3.0", "SaleID": "till", "MessageClass": "Service",
            "MessageCategory": "Payment", "ServiceID": "1", "POIID": "V400m-1", "MessageType": "Response"},
        "PaymentResponse": {
            "Response": {"Result": "Success", "AdditionalResponse": "tid=1"},
            "SaleData": {"SaleTransactionID": {"TransactionID": "7", "TimeStamp": "2026-01-02T03:04:05.000Z"}},
            "POIData": {"POITransactionID": {"TransactionID": "oLkO001.8828", "TimeStamp": "2026-01-02T03:04:05.000Z"},
                "POIReconciliationID": "1000"},
            "PaymentResult": {"OnlineFlag": true, "AmountsResp": {"AuthorizedAmount": 10.99, "Currency": "EUR"},
                "PaymentInstrumentData": {"PaymentInstrumentType": "Card", "CardData": {"PaymentBrand": "mc",
                    "MaskedPan": "541333 **** 9999", "EntryMode": ["Contactless"],
                    "SensitiveCardData": {"PAN": "5413330089099999", "ExpiryDate": "0228"}}},
                "PaymentAcquirerData": {"ApprovalCode": "123456", "MerchantID": "M", "AcquirerPOIID": "V400m-1"}},
            "PaymentReceipt": [{"DocumentQualifier": "CustomerReceipt", "RequiredSignatureFlag": false, "OutputContent": {
                "OutputFormat": "Text", "OutputText": [{"Text": "key=pan&value=5413330089099999", "EndOfLineFlag": true}]}}]
        }
    }});
    let message = read(&text.to_string());
    let shown = format!("{message:?}");
    assert!(!shown.contains("5413330089099999"), "{shown}");
    let Body::Paid(paid) = message.body else { panic!("{shown}") };
    assert_eq!(Outcome::of(&paid.response.result, paid.response.error_condition.as_deref()).ending(), Ending::Done);
    let transaction = paid.poi_data.and_then(|data| data.transaction).expect("named");
    assert_eq!(transaction.transaction_id, "oLkO001.8828");
    let result = paid.payment_result.expect("paid");
    assert_eq!(result.amounts_resp.expect("amount").authorized_amount.as_str(), "10.99");
    assert_eq!(
        result.payment_instrument_data.and_then(|data| data.card_data).expect("card").entry_mode,
        ["Contactless"]
    );
}

#[test]
fn a_status_repeats_the_response() {
    let text = json!({"SaleToPOIResponse": {
        "MessageHeader": {"SaleID": "till", "MessageClass": "Service", "MessageCategory": "TransactionStatus",
            "ServiceID": "2", "POIID": "V400m-1", "MessageType": "Response"},
        "TransactionStatusResponse": {
            "MessageReference": {"MessageCategory": "Payment", "SaleID": "till", "ServiceID": "1"},
            "RepeatedMessageResponse": {
                "MessageHeader": {"SaleID": "till", "MessageClass": "Service", "MessageCategory": "Payment",
                    "ServiceID": "1", "POIID": "V400m-1", "MessageType": "Response"},
                "RepeatedResponseMessageBody": {"PaymentResponse": {"Response": {"Result": "Failure",
                    "ErrorCondition": "Refusal"}}}},
            "Response": {"Result": "Success"}
        }
    }});
    let Body::TransactionIs(status) = read(&text.to_string()).body else { panic!("{text}") };
    let repeated = status.repeated_message_response.expect("repeated");
    assert_eq!(repeated.message_header.service_id.as_deref(), Some("1"));
    let paid = repeated.repeated_response_message_body.payment_response.expect("a payment");
    let outcome = Outcome::of(&paid.response.result, paid.response.error_condition.as_deref());
    assert_eq!(outcome, Outcome::Failure(Condition::Refusal));
}

#[test]
fn a_sealed_message_is_opened_and_only_with_its_own_header() {
    let message = read(PAYMENT);
    let sealed = message.to_json(Some((&key(), [3; 16])));
    assert!(!sealed.contains("10.99"), "{sealed}");
    assert_eq!(Message::from_json(sealed.as_bytes(), Some(&key())), Ok(message.clone()));
    assert_eq!(Message::from_json(sealed.as_bytes(), None), Err(Fault::NoKey));
    assert_eq!(Message::from_json(PAYMENT.as_bytes(), Some(&key())), Err(Fault::NotSealed));
    let other = sealed.replace("1113162452", "1113162453");
    assert_eq!(Message::from_json(other.as_bytes(), Some(&key())), Err(Fault::OtherHeader));
    let other = sealed.replace("SaleToPOIRequest", "SaleToPOIResponse");
    assert_eq!(Message::from_json(other.as_bytes(), Some(&key())), Err(Fault::OtherHeader));
}

#[test]
fn what_is_no_message_is_refused_and_not_repeated() {
    let header = r#"{"MessageClass":"Service","MessageCategory":"Payment","MessageType":"Response","ServiceID":"1"}"#;
    for wrong in [
        String::new(),
        "{}".into(),
        "4111111111111111".into(),
        r#"{"SaleToPOIRequest":{}}"#.into(),
        format!(
            r#"{{"SaleToPOIRequest":{{"MessageHeader":{header}}},"SaleToPOIResponse":{{"MessageHeader":{header}}}}}"#
        ),
        format!(
            r#"{{"SaleToPOIResponse":{{"MessageHeader":{header},"PaymentResponse":{{"Result":4111111111111111}}}}}}"#
        ),
        format!(
            r#"{{"SaleToPOIResponse":{{"MessageHeader":{header},"ReversalResponse":{{"Response":{{"Result":"Success"}}}}}}}}"#
        ),
        "[".repeat(10_000),
    ] {
        let fault = Message::from_json(wrong.as_bytes(), None).expect_err(&wrong);
        assert!(matches!(fault, Fault::Invalid(_)), "{wrong}: {fault:?}");
        assert!(!fault.to_string().contains("4111"), "{fault}");
    }
    // An unknown body is a message.
    let login = format!(r#"{{"SaleToPOIResponse":{{"MessageHeader":{header},"LoginResponse":{{}}}}}}"#);
    assert_eq!(read(&login).body, Body::Other);
}

/// "InputRequest", as the vendor's libraries for .NET and Java are tested with it.
const CHOSEN: &str = r#"{"SaleToPOIResponse":{"InputResponse":{"InputResult":{"Device":"CustomerInput","InfoQualify":"Input",
"Response":{"Result":"Success","AdditionalResponse":"responseData=%7b%20%20%7d"},"Input":{"MenuEntryNumber":[0,1],
"InputCommand":"GetMenuEntry"}},"OutputResult":{"Device":"CustomerDisplay","InfoQualify":"Display","Response":{"Result":
"Success"}}},"MessageHeader":{"ProtocolVersion":"3.0","SaleID":"sanderr-4c32759faaa7","MessageClass":"Device",
"MessageCategory":"Input","ServiceID":"04151914","POIID":"V400m-346114957","MessageType":"Response"}}}"#;

/// "DisplayResponse", as the vendor's library for .NET is tested with it.
const DISPLAYED: &str = r#"{"SaleToPOIResponse":{"DisplayResponse":{"OutputResult":[{"Device":"CustomerDisplay",
"InfoQualify":"Display","Response":{"Result":"Success"}}]},"MessageHeader":{"ProtocolVersion":"3.0",
"SaleID":"POSSystemID12345Appie","MessageClass":"Device","MessageCategory":"Display","ServiceID":"20135010",
"POIID":"MX925-284691408","MessageType":"Response"}}}"#;

/// "DisplayRequest", as the vendor's library for Java is tested with it.
const DISPLAY: &str = r#"{"SaleToPOIRequest":{"MessageHeader":{"MessageClass":"Device","MessageCategory":"Display",
"MessageType":"Request","ServiceID":"1"},"DisplayRequest":{"DisplayOutput":[{"OutputContent":{"OutputText":[{"Text":
"Please present card"}],"OutputFormat":"Text"},"ResponseRequiredFlag":true,"MinimumDisplayTime":5,
"Device":"CustomerDisplay","InfoQualify":"Display"}]}}}"#;

#[test]
fn what_was_entered_and_shown_is_read_and_not_shown_in_logs() {
    let Body::Entered(told) = read(CHOSEN).body else { panic!("an input") };
    let input = told.input_result.input.expect("entered");
    assert_eq!((input.chosen(2), input.chosen(3)), (Some(1), None));
    assert_eq!(value(&read(CHOSEN).to_json(None)), value(CHOSEN));
    for (numbers, count, chosen) in [
        (&[2][..], 3, Some(1)),
        (&[1], 1, Some(0)),
        (&[0], 3, None),
        (&[4], 3, None),
        (&[-1], 3, None),
        (&[1, 1], 2, None),
        (&[0, 0], 2, None),
        (&[0, 2], 2, None),
        (&[], 2, None),
    ] {
        let input = device::Input { menu_entry_number: numbers.to_vec(), ..device::Input::default() };
        assert_eq!(input.chosen(count), chosen, "{numbers:?} of {count}");
    }
    let Body::Displayed(told) = read(DISPLAYED).body else { panic!("a display") };
    assert_eq!(told.output_result[0].response.result, "Success");
    assert_eq!(value(&read(DISPLAY).to_json(None)), value(DISPLAY));
    assert!(!format!("{:?}", read(DISPLAY)).contains("present"));
    // Digits are a number for some and a text for others.
    for digits in ["\"0123\"", "123"] {
        let text = CHOSEN.replace("\"MenuEntryNumber\":[0,1]", &format!("\"DigitInput\":{digits}"));
        let Body::Entered(told) = read(&text).body else { panic!("an input") };
        let entered = told.input_result.input.and_then(|input| input.digit_input).expect("digits");
        assert_eq!(entered.0, digits.trim_matches('"'));
        assert!(!format!("{entered:?}").contains("123"));
    }
}

/// A list in the place of any object is refused, not read as its fields in their order; elsewhere nothing is.
#[test]
fn a_list_is_no_object() {
    fn objects(at: &mut Value, path: &str, found: &mut Vec<String>) {
        match at {
            Value::Object(fields) => {
                found.push(path.to_owned());
                fields.iter_mut().for_each(|(name, value)| objects(value, &format!("{path}/{name}"), found));
            }
            Value::Array(items) => {
                items.iter_mut().enumerate().for_each(|(at, item)| objects(item, &format!("{path}/{at}"), found));
            }
            _ => {}
        }
    }
    let mut tried = 0;
    for text in include_str!("../../../testdata/nexo/messages.txt").lines().filter(|line| line.starts_with('{')) {
        // A sealed one is refused for want of its key.
        let mut whole = value(text);
        let sealed = matches!(Message::from_json(text.as_bytes(), None), Err(Fault::NoKey));
        assert!(sealed || Message::from_json(text.as_bytes(), None).is_ok(), "{text}");
        let mut paths = Vec::new();
        objects(&mut whole, "", &mut paths);
        for path in paths.iter().filter(|path| !path.ends_with("TransactionConditions")) {
            let mut damaged = whole.clone();
            let at = damaged.pointer_mut(path).expect("it was found");
            let fields: Vec<_> = at.as_object().expect("an object").values().cloned().collect();
            *at = Value::Array(fields);
            let fault = Message::from_json(damaged.to_string().as_bytes(), None);
            assert!(matches!(fault, Err(Fault::Invalid(_))), "{path} of {text}: {fault:?}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} objects");
    let unknown = PAYMENT.replace("\"TransactionConditions\":{}", "\"TransactionConditions\":[[1],{\"a\":[]}]");
    assert!(Message::from_json(unknown.as_bytes(), None).is_ok(), "what is not read may be anything");
}
