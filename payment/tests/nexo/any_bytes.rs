//! No bytes of a terminal or a till may panic the decoders, the session or the simulator.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tresen_payment::nexo::http::{Reader, response};
use tresen_payment::nexo::session::Session;
use tresen_payment::nexo::sim::{Profile, Simulator};
use tresen_payment::nexo::wire::Message;

/// "Verify transaction status", as documented, shortened.
const ANSWER: &str = r#"{"SaleToPOIResponse":{"MessageHeader":{"ProtocolVersion":"3.0","SaleID":"till","MessageClass":"Service",
"MessageCategory":"TransactionStatus","ServiceID":"2","POIID":"V400m-1","MessageType":"Response"},"TransactionStatusResponse":
{"MessageReference":{"MessageCategory":"Payment","SaleID":"till","ServiceID":"1"},"RepeatedMessageResponse":{"MessageHeader":
{"SaleID":"till","MessageClass":"Service","MessageCategory":"Payment","ServiceID":"1","POIID":"V400m-1","MessageType":"Response"},
"RepeatedResponseMessageBody":{"PaymentResponse":{"Response":{"Result":"Success"},"PaymentResult":{"AmountsResp":
{"AuthorizedAmount":10.99,"Currency":"EUR"}}}}},"Response":{"Result":"Success"}}}}"#;

/// The answer, damaged in a few places.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    super::damaged::damaged(ANSWER)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn messages(bytes in prop_oneof![damaged(), proptest::collection::vec(any::<u8>(), 0..300)]) {
        if let Ok(message) = Message::from_json(&bytes, None) {
            let again = Message::from_json(message.to_json(None).as_bytes(), None);
            prop_assert_eq!(again.as_ref(), Ok(&message));
        }
        for mut reader in [Reader::of_responses(), Reader::of_requests()] {
            reader.feed(&bytes);
            while let Ok(Some(_)) = reader.next_message() {}
            let _ = reader.end();
        }
    }

    #[test]
    fn a_session_sends_once_and_ends_once(chunks in proptest::collection::vec((0u8..5, damaged()), 0..6)) {
        let mut now = Instant::now();
        let request = Message::from_json(ANSWER.as_bytes(), None).expect("a message");
        let mut session = Session::new(&request, None, "t", Duration::from_secs(180), now);
        let (mut sent, mut ends) = (0, 0);
        for (what, bytes) in chunks {
            match what {
                0 => {
                    now += Duration::from_secs(100);
                    session.handle_timeout(now);
                }
                1 => session.handle_end(),
                2 => session.handle_input(&bytes),
                _ => session.handle_input(&response(200, &String::from_utf8_lossy(&bytes))),
            }
            while session.poll_transmit().is_some() {
                sent += 1;
            }
            while session.poll_event().is_some() {
                ends += 1;
            }
        }
        prop_assert!(sent <= 1 && ends <= 1);
    }

    #[test]
    fn a_simulated_terminal(steps in proptest::collection::vec((0u8..5, 0usize..3, damaged()), 0..10)) {
        let mut now = Instant::now();
        let mut sim = Simulator::new(Profile::default());
        let mut conns = vec![sim.accepted()];
        for (what, at, bytes) in steps {
            let conn = conns[at % conns.len()];
            match what {
                0 => conns.push(sim.accepted()),
                1 => sim.gone(conn, now),
                2 => {
                    now += Duration::from_secs(20);
                    sim.timeout(now);
                }
                3 => sim.input(conn, &bytes, now),
                _ => {
                    let mut request = format!("POST /nexo HTTP/1.1\r\ncontent-length: {}\r\n\r\n", bytes.len()).into_bytes();
                    request.extend(bytes);
                    sim.input(conn, &request, now);
                }
            }
            while sim.next_action().is_some() {}
        }
    }
}
