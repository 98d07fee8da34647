//! A marked number in every field of messages and heads, at every chunking.

use proptest::prelude::*;
use tresen_hal::link::record::{Direction, Redactor as _};

use super::*;

/// Passes the check digit, as a card number does.
const CARD: &str = "4111111111111111";

#[test]
fn what_is_held_back_is_not_shown() {
    let mut redactor = Redactor::default();
    let out = redactor.feed(Direction::Received, b"POST /nexo HTTP/1.1\r\nX: 4111111111111111");
    assert!(out.is_empty(), "it may go on");
    let shown = format!("{redactor:?}");
    assert!(shown.contains("40 bytes") && !shown.contains("52, 49, 49") && !shown.contains("4111"), "{shown}");
}

fn masked(bytes: &[u8], size: usize) -> String {
    let mut redactor = Redactor::default();
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        out.extend(redactor.feed(Direction::Received, piece));
    }
    out.extend(redactor.finish(Direction::Received));
    assert_eq!(out.len(), bytes.len(), "the length stays");
    String::from_utf8_lossy(&out).into_owned()
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// No six digits of it stay in a row.
fn is_clean(text: &str) -> bool {
    CARD.as_bytes().windows(6).all(|part| !text.as_bytes().windows(6).any(|window| window == part))
}

#[test]
fn what_is_known_stays_and_the_rest_is_masked() {
    let body = concat!(
        r#"{"SaleToPOIResponse":{"MessageHeader":{"ServiceID":"AB12","POIID":"V400m-1"},"PaymentResponse":{"Response":"#,
        r#"{"Result":"Success","AdditionalResponse":"cardBin=411111"},"PaymentResult":{"AmountsResp":{"AuthorizedAmount":10.99,"#,
        r#""Currency":"EUR"},"OnlineFlag":true,"CardData":{"MaskedPan":"411111 **** 1111","SensitiveCardData":{"PAN":"4111111111111111","#,
        r#""CardSeqNumb":12}}}},"NexoBlob":"7CjGo58gXFjv","Strange\"\\":[1,{"a":null}]}}"#
    );
    let shown = concat!(
        r#"{"SaleToPOIResponse":{"MessageHeader":{"ServiceID":"AB12","POIID":"V400m-1"},"PaymentResponse":{"Response":"#,
        r#"{"Result":"Success","AdditionalResponse":"xxxxxxxxxxxxxx"},"PaymentResult":{"AmountsResp":{"AuthorizedAmount":10.99,"#,
        r#""Currency":"EUR"},"OnlineFlag":true,"CardData":{"MaskedPan":"xxxxxxxxxxxxxxxx","SensitiveCardData":{"PAN":"xxxxxxxxxxxxxxxx","#,
        r#""CardSeqNumb":00}}}},"NexoBlob":"xxxxxxxxxxxx","xxxxxxxxxxx":[0,{"a":null}]}}"#
    );
    for size in 1..60 {
        assert_eq!(masked(answer(body).as_bytes(), size), answer(shown), "in pieces of {size}");
    }
}

/// A card number in each field that stays, as a text and as a number, and as a key.
#[test]
fn a_card_number_stays_nowhere() {
    let mut bodies: Vec<String> =
        OPEN.iter().flat_map(|key| [format!(r#"{{"{key}":"{CARD}"}}"#), format!(r#"{{"{key}":{CARD}}}"#)]).collect();
    bodies.push(format!(r#"{{"{CARD}":1}}"#));
    bodies.push(r#"{"SaleID":"4111\u0031 11111111111"}"#.to_owned());
    bodies.push(format!(r#"{{"SaleID":["{CARD}",{{"a":"{CARD}"}}]}}"#));
    bodies.push(format!("4111 1111{CARD}"));
    bodies.push(format!(r#"{{"a":"b"}}{CARD}"#));
    bodies.push(format!(r#"{{"a":"{}{CARD}"}}"#, "x".repeat(300)));
    let mut all: Vec<String> = bodies.iter().map(|body| answer(body)).collect();
    all.push(format!("HTTP/1.1 200 {CARD}\r\nserver: {CARD}\r\nx-card: {CARD}\r\n\r\n"));
    all.push(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{{\"SaleID\":\"{CARD}\"}}\r\n0\r\n\r\n"
    ));
    for text in &all {
        for size in 1..text.len() {
            let shown = masked(text.as_bytes(), size);
            assert!(is_clean(&shown), "{text}\n{shown}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_change_the_length_or_show_a_card(
        before in proptest::collection::vec(any::<u8>(), 0..80),
        key in "[a-zA-Z\\\\\"]{0,12}",
        after in proptest::collection::vec(any::<u8>(), 0..40),
        size in 1usize..40,
    ) {
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n{".to_vec();
        bytes.extend(before);
        bytes.extend(format!("\"{key}\":\"{CARD}\"").bytes());
        bytes.extend(after);
        prop_assert!(is_clean(&masked(&bytes, size)));
    }
}
