//! Lines as the vendor's library and schema shape them (PayTecAG/ecritf @05c5394), and as a log of the vendor's
//! simulator shows them (leteffe/eftkey).

use super::*;

fn read(line: &str) -> Message {
    Message::from_line(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[test]
fn a_dialogue_reads_and_writes_as_it_stands() {
    for line in [
        r#"{"ConnectRequest":{"TrmLng":"de","PrinterWidth":40,"UnsolicitedReceipts":1,"POSID":"K7"}}"#,
        r#"{"ConnectResponse":{"TrmID":"90000001","TrmLng":"de","IFDSerialNum":"SIM00001","SoftwareVersion":240406,"PeSeqCnt":3,"ActSeqCnt":12}}"#,
        r#"{"StatusRequest":{}}"#,
        r#"{"StatusResponse":{"TrmStatus":295,"TrmLng":"de","ESigInd":0}}"#,
        r#"{"ActivationRequest":{}}"#,
        r#"{"ActivationResponse":{"TrmID":"90000001","TrmType":22,"TrmLng":"de","PeSeqCnt":3,"ActSeqCnt":13,"TrxSeqCnt":41,"TrxFunctions":34848,"Currencies":[756],"Brands":["Visa"]}}"#,
        r#"{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":1290,"RecOrderRef":{"OrderID":"B-5501"}}}"#,
        r#"{"TransactionConfirmationRequest":{"Confirm":1}}"#,
        r#"{"TransactionConfirmationResponse":{}}"#,
        r#"{"ReceiptResponse":{"ReceiptType":1,"ReceiptFlags":2,"ReceiptText":"MERCHANT…"}}"#,
        r#"{"HeartbeatRequest":{}}"#,
        r#"{"AbortTransactionRequest":{}}"#,
    ] {
        let message = read(line);
        let written = message.to_line();
        assert_eq!(std::str::from_utf8(&written).expect("text").strip_suffix('\n'), Some(line));
    }
    let Message::TransactionResponse(response) = read(
        r#"{"TransactionResponse":{"TrxResult":0,"TrxResultExtended":0,"TrmID":"90000001","TrxSeqCnt":42,"TrxCurrC":756,"AmtAuth":1290,"TrxDate":"260511","TrxTime":"101500","AcqID":2,"Brand":"Visa","AuthC":"A1B2C3","TrxRefNum":"700000042","AppPANPrtCardholder":"XXXXXXXXXXXX1234"}}"#,
    ) else {
        panic!("a response")
    };
    assert_eq!((response.trx_result, response.trx_seq_cnt, response.amt_auth), (Some(0), Some(42), Some(1290)));
    assert_eq!((response.acq_id.as_deref(), response.auth_c.as_deref()), (Some("2"), Some("A1B2C3")));
    assert!(!format!("{response:?}").contains("1234"));
}

/// Fields that the schema calls integers came as texts.
#[test]
fn numbers_may_be_texts_and_what_is_not_known_is_skipped() {
    let Message::TransactionResponse(response) = read(
        r#"{"msg_id":"1780000000000-4","TransactionResponse":{"TrxResult":"1","AuthReslt":"0","TrxResultExtended":"1002200","TrmID":"TERM1234","New":{"a":[1]},"TrxSeqCnt":null,"AmtAuth":""},"POSInterface":"KIT"}"#,
    ) else {
        panic!("a response")
    };
    assert_eq!((response.trx_result, response.trx_result_extended), (Some(1), Some(1_002_200)));
    assert_eq!((response.trx_seq_cnt, response.amt_auth), (None, None));
}

#[test]
fn what_is_no_message_says_why() {
    let bad = |line: &str| Message::from_line(line.as_bytes()).expect_err(line);
    for line in ["", "HTTP/1.1 400 Bad Request", "[1]", "{", "{\"StatusRequest\":{}} x"] {
        assert_eq!(bad(line), Unreadable::NotJson, "{line}");
    }
    assert_eq!(bad(r#"{"RFIDStatusNotification":{}}"#), Unreadable::Unknown("RFIDStatusNotification".into()));
    assert_eq!(bad(r#"{"4111111111111111":{}}"#), Unreadable::Unknown(String::new()));
    assert_eq!(bad(r#"{"TransactionResponse":7}"#), Unreadable::Bad("TransactionResponse"));
    assert_eq!(bad(r#"{"TransactionResponse":[0,0,"90000001",42]}"#), Unreadable::Bad("TransactionResponse"));
    assert_eq!(bad(r#"{"StatusRequest":{},"HeartbeatRequest":{}}"#), Unreadable::Bad("HeartbeatRequest"));
    // An amount that cannot be read is not one that is missing.
    for amount in ["[5]", "12.9", "\"99999999999999999999\"", "true"] {
        let line = format!("{{\"TransactionResponse\":{{\"TrxResult\":0,\"AmtAuth\":{amount}}}}}");
        assert_eq!(bad(&line), Unreadable::Bad("TransactionResponse"), "{line}");
    }
    for name in ["StatusRequest\":", "TransactionResponse\":{\"AmtAuth\":"] {
        let ends = if name.ends_with("AmtAuth\":") { "}}" } else { "}" };
        let deep = format!("{{\"{name}{}{}{ends}", "[".repeat(9_000), "]".repeat(9_000));
        assert!(Message::from_line(deep.as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn each_name_is_read_and_each_request_has_its_answer() {
    for name in Message::NAMES {
        let message = read(&format!("{{\"{name}\":{{}}}}"));
        assert_eq!(message.name(), *name);
        assert_eq!(message.answered_by().is_some(), name.ends_with("Request"), "{name}");
    }
    assert_eq!(read(r#"{"BalanceRequest":{}}"#).answered_by(), Some("BalanceResponse"));
}
