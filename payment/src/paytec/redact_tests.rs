//! A marked number in every field, as a key, and outside of all, at every chunking, in lines and in frames.

use proptest::prelude::*;
use tresen_hal::link::record::{Direction, Redactor as _};

use super::*;

/// Passes the check digit, as a card number does.
const CARD: &str = "4111111111111111";

#[test]
fn what_is_held_back_is_not_shown() {
    let mut redactor = Redactor::default();
    let out = redactor.feed(Direction::Received, b"{\"TransactionResponse\":{\"AppPAN\":\"4111111111111111");
    assert!(out.is_empty(), "it may go on");
    let shown = format!("{redactor:?}");
    assert!(shown.contains("50 bytes") && !shown.contains("52, 49, 49") && !shown.contains("4111"), "{shown}");
}

fn masked(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut redactor = Redactor::default();
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        out.extend(redactor.feed(Direction::Received, piece));
    }
    out.extend(redactor.finish(Direction::Received));
    assert_eq!(out.len(), bytes.len(), "the length stays");
    out
}

fn shown(line: &str) -> String {
    String::from_utf8(masked(format!("{line}\n").as_bytes(), 7)).expect("text").trim_end().to_owned()
}

/// No six digits of it stay in a row.
fn is_clean(bytes: &[u8]) -> bool {
    CARD.as_bytes().windows(6).all(|part| !bytes.windows(6).any(|window| window == part))
}

#[test]
fn what_is_known_stays_and_the_rest_is_masked() {
    let line = r#"{"TransactionResponse":{"TrxResult":0,"TrmID":"90000001","TrxSeqCnt":42,"AmtAuth":1290,"AppPANPrtCardholder":"XXXXXXXXXXXX1234","Track2Data":"4111","AppExpDate":2812,"IIN":411111,"Brands":["Visa"],"New":{"a":[-1.5,null,true]}}}"#;
    let masked = r#"{"TransactionResponse":{"TrxResult":0,"TrmID":"90000001","TrxSeqCnt":42,"AmtAuth":1290,"AppPANPrtCardholder":"xxxxxxxxxxxxxxxx","Track2Data":"xxxx","AppExpDate":1000,"IIN":100000,"Brands":["Visa"],"New":{"a":[1000,null,true]}}}"#;
    assert_eq!(shown(line), masked);
    assert_eq!(shown(r#"{"ReceiptText":"a\"b","TrmID":"9\u0030"}"#), r#"{"ReceiptText":"xxxx","TrmID":"xxxxxxx"}"#);
    assert_eq!(shown("HTTP/1.1 400"), "xxxxxxxxxxxx");
}

#[test]
fn a_frame_is_masked_and_still_whole() {
    let line = format!("{{\"ReceiptResponse\":{{\"ReceiptType\":1,\"ReceiptText\":\"Karte {CARD}\"}}}}\n");
    let mut stream = vec![0x10, 0x11];
    stream.extend(serial::frame(16, 0x91, line.as_bytes()));
    stream.extend([0x10, 0x12]);
    for size in 1..stream.len() {
        let out = masked(&stream, size);
        assert!(is_clean(&out), "in pieces of {size}");
        let mut frames = serial::Frames::new(serial::End::Till, serial::BAUD);
        frames.feed(&out);
        let payload = frames.next_payload().expect("its check sum fits");
        assert_eq!(payload, shown(line.trim_end()).into_bytes().into_iter().chain([b'\n']).collect::<Vec<_>>());
    }
}

/// A line that is spread over two frames cannot be followed; it is masked whole.
#[test]
fn a_line_over_two_frames_is_masked() {
    let mut stream = serial::frame(1, 0x91, b"{\"TrmID\":\"41111111");
    stream.extend(serial::frame(2, 0x91, b"11111111\"}\n{\"TrmID\":\"90000001\"}\n"));
    for size in 1..stream.len() {
        let out = masked(&stream, size);
        assert!(is_clean(&out) && !out.windows(4).any(|window| window == b"1111"), "in pieces of {size}");
        assert!(out.windows(8).any(|window| window == b"90000001"));
    }
}

#[test]
fn a_card_number_stays_nowhere() {
    let mut lines: Vec<String> =
        OPEN.iter().flat_map(|key| [format!(r#"{{"{key}":"{CARD}"}}"#), format!(r#"{{"{key}":{CARD}}}"#)]).collect();
    lines.push(format!(r#"{{"{CARD}":1}}"#));
    lines.push(r#"{"TrmID":"4111\u0031 11111111111"}"#.to_owned());
    lines.push(format!(r#"{{"TrmID":["{CARD}",{{"a":"{CARD}"}}]}}"#));
    lines.push(format!("{CARD} {{\"TrmID\":1}}"));
    lines.push(format!(r#"{{"a":"b"}}{CARD}"#));
    lines.push(format!(r#"{{"TrmID":"{CARD}"#));
    lines.push(format!(r#"{{"TrmID":"4111 1111 1111 1111"}} x{CARD}"#));
    for line in lines {
        for size in [1, 2, 5, 11, 4096] {
            let ended = format!("{line}\n");
            for bytes in [line.as_bytes().to_vec(), ended.as_bytes().to_vec(), serial::frame(1, 0x91, ended.as_bytes())]
            {
                assert!(is_clean(&masked(&bytes, size)), "{line} in pieces of {size}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_stream_keeps_its_length(bytes in proptest::collection::vec(
        prop_oneof![Just(0x10), Just(0u8), Just(0xff), Just(b'\n'), Just(b'"'), Just(b'\\'), any::<u8>()], 0..300), size in 1usize..40) {
        masked(&bytes, size);
    }
}
