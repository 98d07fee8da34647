//! nexo messages: no bytes may panic HTTP, JSON, encryption, session, simulator or masking, and what is read is written and
//! read again.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_payment::nexo::Redactor;
use tresen_payment::nexo::crypto::Key;
use tresen_payment::nexo::http::{Reader, request, response};
use tresen_payment::nexo::session::Session;
use tresen_payment::nexo::sim::{Profile, Simulator};
use tresen_payment::nexo::wire::Message;

static KEY: OnceLock<Key> = OnceLock::new();

const REQUEST: &str = r#"{"SaleToPOIRequest":{"MessageHeader":{"MessageClass":"Service","MessageCategory":"Diagnosis",
"MessageType":"Request","SaleID":"till","ServiceID":"1","POIID":"V400m-1"},"DiagnosisRequest":{}}}"#;

/// Reads, writes, answers and masks the bytes.
pub(crate) fn decode(bytes: &[u8]) {
    let key = KEY.get_or_init(|| Key::derive("shop", 1, "test123").expect("ASCII"));
    if let Ok(message) = Message::from_json(bytes, None) {
        for sealed_with in [None, Some((key, [7; 16]))] {
            let again = Message::from_json(message.to_json(sealed_with).as_bytes(), sealed_with.map(|(key, _)| key));
            assert_eq!(again.as_ref(), Ok(&message), "what is written can be read");
        }
    }
    let _ = Message::from_json(bytes, Some(key));
    for mut reader in [Reader::of_responses(), Reader::of_requests()] {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        reader.feed(first);
        let _ = reader.next_message();
        reader.feed(second);
        while let Ok(Some(_)) = reader.next_message() {}
        let _ = reader.end();
    }
    let now = Instant::now();
    let asked = Message::from_json(REQUEST.as_bytes(), None).expect("a message");
    let body = String::from_utf8_lossy(bytes);
    for answer in [bytes, &response(200, &body)] {
        let mut session = Session::new(&asked, None, "t", Duration::from_secs(1), now);
        session.handle_input(answer);
        session.handle_end();
        assert!(session.poll_event().is_some() && session.poll_event().is_none(), "one end");
    }
    let mut sim = Simulator::new(Profile { poi: "V400m-1".into(), ..Profile::default() });
    for asked in [bytes, &request("t", &body)] {
        let conn = sim.accepted();
        sim.input(conn, asked, now);
        sim.gone(conn, now);
    }
    // However it is split, the masked stream has the length of the other.
    let mut redactor = Redactor::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut masked = redactor.feed(Direction::Received, first);
    masked.extend(redactor.feed(Direction::Received, second));
    masked.extend(redactor.finish(Direction::Received));
    assert_eq!(masked.len(), bytes.len());
}
