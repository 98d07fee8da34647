//! No bytes of a terminal or a till may panic the decoders, the session or the simulator.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tresen_hal::sim::Device as _;
use tresen_payment::paytec::framing::Framing;
use tresen_payment::paytec::serial::{BAUD, End, Frames, frame};
use tresen_payment::paytec::session::{Event, Session};
use tresen_payment::paytec::sim::{Profile, Simulator};
use tresen_payment::paytec::wire::Message;

/// As in the dialogue of the facts, both sides.
const LINES: &str = concat!(
    r#"{"ConnectRequest":{"TrmLng":"de","PrinterWidth":40,"UnsolicitedReceipts":1,"POSID":"K7"}}"#,
    "\n",
    r#"{"ActivationRequest":{}}"#,
    "\n",
    r#"{"ActivationResponse":{"TrmID":"90000001","PeSeqCnt":3,"TrxSeqCnt":41,"TrxFunctions":34848,"Currencies":[756]}}"#,
    "\n",
    r#"{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":1290}}"#,
    "\n",
    r#"{"TransactionResponse":{"TrxResult":0,"TrmID":"90000001","TrxSeqCnt":42,"TrxCurrC":"756","AmtAuth":1290}}"#,
    "\n",
    r#"{"TransactionConfirmationRequest":{"Confirm":1}}"#,
    "\n",
);

/// The lines, damaged in a few places.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    super::damaged::damaged(LINES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn messages(bytes in prop_oneof![damaged(), proptest::collection::vec(any::<u8>(), 0..300)]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(message) = Message::from_line(line) {
                let again = Message::from_line(message.to_line().trim_ascii_end());
                prop_assert_eq!(again.as_ref(), Ok(&message), "what is written can be read");
            }
        }
    }

    #[test]
    fn a_session_answers_once(steps in proptest::collection::vec((0u8..5, damaged()), 0..8), size in 1usize..80) {
        let mut now = Instant::now();
        let mut session = Session::new(now);
        let mut framing = Framing::lines();
        let (mut asked, mut answered) = (0, 0);
        for (what, bytes) in steps {
            match what {
                0 => asked += usize::from(session.request(Message::StatusRequest {}, now + Duration::from_secs(30))),
                1 => {
                    now += Duration::from_secs(8);
                    session.handle_timeout(now);
                }
                2 => session.abort(),
                _ => bytes.chunks(size).for_each(|piece| framing.feed(piece)),
            }
            while let Ok(Some(line)) = framing.next_line() {
                session.handle_line(&line, now);
            }
            while session.poll_transmit().is_some() {}
            while let Some(event) = session.poll_event() {
                answered += usize::from(matches!(event, Event::Answer(_) | Event::Unanswered | Event::Unreadable(_)));
            }
        }
        prop_assert!(answered <= asked);
    }

    #[test]
    fn a_simulated_terminal(serial in any::<bool>(), steps in proptest::collection::vec((0u8..6, damaged()), 0..8)) {
        let mut now = Instant::now();
        let mut sim = Simulator::new(Profile { serial, pace: Duration::from_secs(3), ..Profile::default() });
        sim.connected(now);
        for (sequence, (what, bytes)) in (1..).zip(steps) {
            match what {
                0 => {
                    sim.disconnected(now);
                    sim.connected(now);
                }
                1 => {
                    now += Duration::from_secs(20);
                    sim.timeout(now);
                }
                2 => sim.input(&bytes, now),
                _ => sim.input(&frame(sequence, 0x11, &bytes), now),
            }
            while sim.next_action().is_some() {}
        }
        prop_assert!(sim.ledger().stored().count() <= 8);
    }

    #[test]
    fn frames_of_a_till(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let now = Instant::now();
        let mut frames = Frames::new(End::Terminal, BAUD);
        frames.feed(&bytes);
        while frames.poll_transmit(now).is_some() {}
        frames.handle_timeout(now + Duration::from_secs(1));
    }
}
