use std::time::{Duration, Instant};

use super::frame::{ACK, NAK, encode};
use super::*;

const PAY: [u8; 13] = [0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x01, 0x10, 0x00, 0x49, 0x09, 0x78];
const ENQUIRY: [u8; 6] = [0x05, 0x01, 0x03, 0x12, 0x34, 0x56];
const POSITIVE: [u8; 3] = [0x80, 0x00, 0x00];
const STATUS: [u8; 4] = [0x04, 0xff, 0x01, 0x0a];
const ABORT: [u8; 3] = [0x06, 0xb0, 0x00];

/// The frame of PAY as other software writes it (`ecrterm`, tests/test_encoding.py).
const PAY_FRAME: [u8; 20] = [
    0x10, 0x02, 0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x01, 0x10, 0x10, 0x00, 0x49, 0x09, 0x78, 0x10, 0x03, 0xf2,
    0xff,
];

struct End {
    line: Line,
    now: Instant,
}

impl End {
    fn new() -> Self {
        Self { line: Line::new(Timing::default()), now: Instant::now() }
    }

    fn sends(&mut self, apdu: &[u8]) -> Vec<Vec<u8>> {
        self.line.send(apdu.to_vec(), self.now);
        self.sent()
    }

    fn hears(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.line.handle_input(bytes, self.now);
        std::iter::from_fn(|| self.line.poll_event()).collect()
    }

    fn waits(&mut self, time: Duration) -> Vec<Event> {
        self.now += time;
        self.line.handle_timeout(self.now);
        std::iter::from_fn(|| self.line.poll_event()).collect()
    }

    fn waits_for_its_deadline(&mut self) -> Vec<Event> {
        let at = self.line.poll_timeout().expect("something is waited for");
        self.waits(at.saturating_duration_since(self.now))
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.line.poll_transmit()).collect()
    }
}

#[test]
fn one_frame_at_a_time() {
    let mut till = End::new();
    assert_eq!(till.sends(&PAY), [PAY_FRAME]);
    assert!(till.sends(&ABORT).is_empty(), "it waits for the first");
    assert_eq!(till.hears(&[ACK]), [Event::Delivered(0x0601)]);
    assert_eq!(till.sent(), [encode(&ABORT)]);
    assert_eq!(till.hears(&[ACK]), [Event::Delivered(0x06b0)]);
    assert_eq!(till.hears(&[ACK, NAK]), [], "nothing is on its way");
    assert!(till.sent().is_empty());
    assert_eq!(till.line.poll_timeout(), None);
}

#[test]
fn money_is_sent_again_after_a_nak_and_twice_at_most() {
    let mut till = End::new();
    till.sends(&PAY);
    for _ in 0..2 {
        assert_eq!(till.hears(&[NAK]), []);
        assert_eq!(till.sent(), [PAY_FRAME]);
    }
    assert_eq!(till.hears(&[NAK]), [Event::Undelivered(0x0601)]);
    assert!(till.sent().is_empty());
}

#[test]
fn money_is_never_sent_again_after_silence() {
    // Payment, activation, procurement, prepaid, tip, telephone, reservation and what follows it, reversal, refund,
    // end of the day, and what is not known.
    for instr in [0x01, 0x04, 0x05, 0x09, 0x0c, 0x21, 0x22, 0x23, 0x24, 0x25, 0x30, 0x31, 0x50, 0x7f] {
        let mut till = End::new();
        assert_eq!(till.sends(&[0x06, instr, 0x00]).len(), 1);
        assert_eq!(till.waits(Duration::from_millis(4_900)), []);
        let code = u16::from_be_bytes([0x06, instr]);
        assert_eq!(till.waits_for_its_deadline(), [Event::Undelivered(code)]);
        assert!(till.sent().is_empty(), "{instr:02x}");
        // What is said later changes nothing.
        assert_eq!(till.hears(&[NAK]), []);
        assert!(till.sent().is_empty(), "{instr:02x}");
    }
    // Not even after it was sent again because of a NAK.
    let mut till = End::new();
    till.sends(&PAY);
    till.hears(&[NAK]);
    assert_eq!(till.sent(), [PAY_FRAME]);
    assert_eq!(till.waits_for_its_deadline(), [Event::Undelivered(0x0601)]);
    assert!(till.sent().is_empty());
}

#[test]
fn what_moves_no_money_is_sent_again_after_t2() {
    for apdu in [&ENQUIRY[..], &POSITIVE, &ABORT, &[0x06, 0x20, 0x03, 0x12, 0x34, 0x56]] {
        let mut till = End::new();
        let frame = till.sends(apdu);
        for _ in 0..2 {
            assert_eq!(till.waits_for_its_deadline(), []);
            assert_eq!(till.sent(), frame);
        }
        assert!(matches!(till.waits_for_its_deadline()[..], [Event::Undelivered(_)]));
        assert!(till.sent().is_empty());
        assert!(till.now - Instant::now() < Duration::from_millis(15_200));
    }
}

#[test]
fn a_frame_that_cannot_be_read_is_answered_nak() {
    let mut till = End::new();
    let mut broken = encode(&STATUS);
    broken[4] ^= 0x01;
    assert_eq!(till.hears(&broken), []);
    assert_eq!(till.sent(), [[NAK]]);
    // T1: the rest of a frame does not come.
    let frame = encode(&STATUS);
    for end in 3..frame.len() {
        let mut till = End::new();
        assert_eq!(till.hears(&frame[..end]), []);
        till.waits(Duration::from_millis(199));
        assert!(till.sent().is_empty());
        till.waits(Duration::from_millis(1));
        assert_eq!(till.sent(), [[NAK]], "{end}");
        assert_eq!(till.hears(&frame), [Event::Received(STATUS.to_vec())]);
    }
}

#[test]
fn a_frame_is_read_however_it_is_split() {
    for at in 0..=PAY_FRAME.len() {
        let mut terminal = End::new();
        let mut events = terminal.hears(&PAY_FRAME[..at]);
        terminal.waits(Duration::from_millis(150));
        events.extend(terminal.hears(&PAY_FRAME[at..]));
        assert_eq!(events, [Event::Received(PAY.to_vec())], "{at}");
        assert_eq!(terminal.sent(), [[ACK]]);
    }
}

#[test]
fn a_repetition_is_acknowledged_and_not_handed_out() {
    let mut till = End::new();
    let status = encode(&STATUS);
    assert_eq!(till.hears(&status), [Event::Received(STATUS.to_vec())]);
    // Our ACK was lost, or came as something else.
    assert_eq!(till.hears(&status), []);
    assert_eq!(till.sent(), [[ACK], [ACK]]);
    // Our answer is on its way, and nothing says that it has arrived.
    till.sends(&POSITIVE);
    assert_eq!(till.hears(&status), []);
    assert_eq!(till.hears(&[ACK]), [Event::Delivered(0x8000)]);
    // Now the same bytes are a new message.
    assert_eq!(till.hears(&status), [Event::Received(STATUS.to_vec())]);
}

#[test]
fn a_payment_that_comes_twice_is_one() {
    let mut terminal = End::new();
    assert_eq!(terminal.hears(&PAY_FRAME), [Event::Received(PAY.to_vec())]);
    assert_eq!(terminal.hears(&PAY_FRAME), [], "the till took our ACK for a NAK");
    terminal.sends(&POSITIVE);
    assert_eq!(terminal.hears(&PAY_FRAME), []);
}

#[test]
fn after_a_while_the_same_bytes_are_a_new_message() {
    let mut till = End::new();
    till.hears(&encode(&STATUS));
    till.waits(Duration::from_secs(16));
    assert_eq!(till.hears(&encode(&STATUS)), [Event::Received(STATUS.to_vec())]);
}

#[test]
fn an_answer_proves_that_the_command_has_arrived() {
    let mut till = End::new();
    till.sends(&PAY);
    let heard = till.hears(&encode(&POSITIVE));
    assert_eq!(heard, [Event::Delivered(0x0601), Event::Received(POSITIVE.to_vec())]);
    assert_eq!(till.sent(), [[ACK]]);
    assert_eq!(till.hears(&[NAK]), [], "nothing is sent again");
    assert!(till.sent().is_empty());
    // A command of the other side proves nothing of ours: the two may have crossed.
    let mut till = End::new();
    till.sends(&PAY);
    assert_eq!(till.hears(&encode(&STATUS)), [Event::Received(STATUS.to_vec())]);
    assert_eq!(till.waits_for_its_deadline(), [Event::Undelivered(0x0601)]);
    // It does of our answer to the message before.
    let mut till = End::new();
    till.sends(&POSITIVE);
    let heard = till.hears(&encode(&STATUS));
    assert_eq!(heard, [Event::Delivered(0x8000), Event::Received(STATUS.to_vec())]);
}

#[test]
fn nothing_that_stands_in_noise_is_an_answer() {
    let mut till = End::new();
    till.sends(&PAY);
    till.sent();
    // The beginning of a frame is lost: what follows contains both answers.
    assert_eq!(till.hears(&[0x04, 0x0f, ACK, NAK, 0x00]), []);
    assert!(till.sent().is_empty());
    till.waits(Duration::from_millis(200));
    assert_eq!(till.hears(&[ACK]), [Event::Delivered(0x0601)]);
}
