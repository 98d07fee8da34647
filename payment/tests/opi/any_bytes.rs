//! No bytes of a terminal or a till may panic the decoders, the session or the simulator.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tresen_payment::opi::framing::{Framing, frame};
use tresen_payment::opi::session::{Event, Session};
use tresen_payment::opi::sim::{Action, Profile, Simulator};
use tresen_payment::opi::wire::{Family, Message, Request};
use tresen_payment::opi::xml::{Element, Encoding};

/// The answer of the facts, whose values are made up.
const ANSWER: &str = "<?xml version=\"1.0\"?><CardServiceResponse RequestType=\"CardPayment\" WorkstationID=\"1\" RequestID=\"2\" \
    OverallResult=\"Success\" xmlns=\"http://www.nrf-arts.org/IXRetail/namespace\"><Terminal TerminalID=\"60000001\" STAN=\"021601\"/>\
    <Tender><TotalAmount Currency=\"EUR\">39.50</TotalAmount><Authorisation CardCircuit=\"girocard\" ReceiptNumber=\"8930\"/></Tender>\
    <PrivateData><ErrorCode>1002700</ErrorCode></PrivateData></CardServiceResponse>";

/// The answer, damaged in a few places.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((0..ANSWER.len(), any::<u8>(), 0u8..3), 0..6).prop_map(|damages| {
        let mut bytes = ANSWER.as_bytes().to_vec();
        for (at, byte, how) in damages {
            let at = at.min(bytes.len() - 1);
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn messages(bytes in prop_oneof![damaged(), proptest::collection::vec(any::<u8>(), 0..300)]) {
        let _ = Message::parse(&bytes);
        if let Ok(element) = Element::parse(&bytes) {
            for encoding in [Encoding::Utf8, Encoding::Latin1] {
                prop_assert!(Element::parse(&element.to_bytes(encoding)).is_ok());
            }
        }
        let mut framing = Framing::default();
        framing.feed(&bytes, Instant::now());
        while let Ok(Some(_)) = framing.next_message() {}
    }

    #[test]
    fn a_session_sends_once_and_ends_once(chunks in proptest::collection::vec((0u8..6, damaged()), 0..6)) {
        let mut now = Instant::now();
        let request = Request::new(Family::Card, "CardPayment", "2");
        let mut session = Session::new(&request, Encoding::Utf8, Duration::from_secs(300), now);
        let (mut sent, mut ends) = (0, 0);
        for (what, bytes) in chunks {
            match what {
                0 => {
                    now += Duration::from_secs(100);
                    session.handle_timeout(now);
                }
                1 => session.abort(&Request::new(Family::Card, "AbortRequest", "5")),
                2 => session.handle_input(&bytes, now),
                _ => session.handle_input(&frame(&bytes), now),
            }
            while let Some(message) = session.poll_transmit() {
                sent += usize::from(String::from_utf8_lossy(&message).contains("CardPayment"));
            }
            while let Some(event) = session.poll_event() {
                prop_assert_eq!(ends, 0, "nothing follows the end");
                ends += usize::from(matches!(event, Event::Answer(_) | Event::NoOpi(_) | Event::TimedOut));
            }
        }
        prop_assert!(sent <= 1);
    }

    #[test]
    fn a_simulated_terminal(steps in proptest::collection::vec((0u8..8, 0usize..4, damaged()), 0..12)) {
        let mut now = Instant::now();
        let mut sim = Simulator::new(Profile { asks: Some("?".into()), ..Profile::default() });
        let mut conns = vec![sim.accepted()];
        for (what, at, bytes) in steps {
            let conn = conns[at % conns.len()];
            let request = |kind: &str| {
                let mut request = Request::new(Family::Card, kind, "7");
                request.amount = Some(tresen_hal::Amount::eur(5_00));
                frame(&request.to_bytes(Encoding::Utf8))
            };
            match what {
                0 => conns.push(sim.accepted()),
                1 => sim.gone(conn, now),
                2 => {
                    now += Duration::from_secs(20);
                    sim.timeout(now);
                }
                3 => sim.input(conn, &request("CardPayment"), now),
                4 => sim.input(conn, &request("RepeatLastMessage"), now),
                5 => sim.input(conn, &frame(&Request::new(Family::Service, "Login", "1").to_bytes(Encoding::Utf8)), now),
                6 => sim.input(conn, &bytes, now),
                _ => sim.input(conn, &frame(&bytes), now),
            }
            while let Some(action) = sim.next_action() {
                if let Action::Dial(conn) = action {
                    sim.dialled(conn, at % 2 == 0, now);
                    conns.push(conn);
                }
            }
        }
    }
}
