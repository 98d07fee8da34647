//! The dialogue, message by message, as the chapters of PA00P015 draw it.

use super::super::framing::Framing;
use super::*;

const COMMAND: [u8; 3] = [0x06, 0x50, 0x00];
const ENQUIRY: [u8; 8] = [0x06, 0x20, 0x05, 0x00, 0x00, 0x00, 0x03, 0x03];
const RESULT: [u8; 5] = [0x04, 0x0f, 0x02, 0x27, 0x00];
const DONE: [u8; 3] = [0x06, 0x0f, 0x00];

struct Till {
    framing: Framing,
    session: Session,
    now: Instant,
}

impl Till {
    fn new(timeouts: Timeouts) -> Self {
        Self { framing: Framing::tcp(), session: Session::new(timeouts), now: Instant::now() }
    }

    fn started() -> Self {
        let mut till = Self::new(Timeouts::default());
        assert!(till.session.start(COMMAND.to_vec(), Flow::Completed, till.now));
        assert_eq!(till.sent(), [COMMAND.to_vec()]);
        till
    }

    fn accepted() -> Self {
        let mut till = Self::started();
        assert_eq!(till.hears(&wire::ACK), [Event::Accepted]);
        till
    }

    fn hears(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.framing.feed(bytes);
        loop {
            match self.framing.next_apdu() {
                Ok(Some(apdu)) => self.session.handle_input(apdu, self.now),
                Ok(None) => break,
                Err(invalid) => {
                    self.session.handle_invalid(invalid, self.now);
                    break;
                }
            }
        }
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.session.poll_transmit()).collect()
    }

    fn waits(&mut self, seconds: u64) -> Option<Event> {
        self.now += Duration::from_secs(seconds);
        self.session.handle_timeout(self.now);
        self.session.poll_event()
    }
}

#[test]
fn a_result_is_acknowledged_only_when_confirmed() {
    let mut till = Till::accepted();
    // The completion comes coalesced with the result; it must wait as well.
    let events = till.hears(&[&RESULT[..], &DONE].concat());
    assert_eq!(events, [Event::Result(Data(vec![0x27, 0x00]))]);
    assert!(till.sent().is_empty());
    assert_eq!(till.waits(3600), None, "no timer runs while the terminal waits for us");
    till.session.confirm(till.now);
    assert_eq!(till.sent(), [wire::ACK, wire::ACK]);
    assert_eq!(till.session.poll_event(), Some(Event::Completed(Data(vec![]))));
    assert!(till.session.is_idle());
}

#[test]
fn prints_wait_too_and_a_result_can_be_refused() {
    let mut till = Till::accepted();
    assert_eq!(till.hears(&[0x06, 0xd1, 0x02, 0x00, b'x']), [Event::PrintLine(Data(vec![0, b'x']))]);
    assert!(till.sent().is_empty());
    till.session.confirm(till.now);
    assert_eq!(till.sent(), [wire::ACK]);
    till.hears(&RESULT);
    till.session.refuse(0xb1, till.now);
    assert_eq!(till.sent(), [[0x84, 0xb1, 0x00]]);
}

#[test]
fn an_unreadable_result_is_acknowledged_like_any_other() {
    let mut till = Till::accepted();
    assert_eq!(till.hears(&[0x04, 0x0f, 0x02, 0x77, 0x77]), [Event::Result(Data(vec![0x77, 0x77]))]);
    till.session.confirm(till.now);
    assert_eq!(till.sent(), [wire::ACK]);
}

#[test]
fn works_split_at_every_byte() {
    let stream = [&wire::ACK[..], &[0x04, 0xff, 0x01, 0x0a], &DONE].concat();
    for at in 0..=stream.len() {
        let mut till = Till::started();
        let mut events = till.hears(&stream[..at]);
        events.extend(till.hears(&stream[at..]));
        let want = [Event::Accepted, Event::Intermediate(Data(vec![0x0a])), Event::Completed(Data(vec![]))];
        assert_eq!(events, want, "split at {at}");
    }
}

#[test]
fn t3_ends_a_command_that_nobody_acknowledges() {
    let mut till = Till::started();
    assert_eq!(till.waits(4), None);
    assert_eq!(till.waits(1), Some(Event::Failed(Failure::NotAcknowledged)));
    assert!(till.session.is_spent());
    assert!(!till.session.start(COMMAND.to_vec(), Flow::Completed, till.now));
    assert!(till.hears(&wire::ACK).is_empty());
}

#[test]
fn t4_is_reset_by_status_and_changed_by_its_timeout_byte() {
    let hours = Timeouts { limit: Duration::from_secs(7200), ..Timeouts::default() };
    let mut till = Till::new(hours);
    assert!(till.session.start(COMMAND.to_vec(), Flow::Completed, till.now));
    till.hears(&wire::ACK);
    assert_eq!(till.waits(179), None);
    till.hears(&[0x04, 0xff, 0x01, 0x0a]);
    assert_eq!(till.waits(179), None);
    till.hears(&[0x04, 0xff, 0x02, 0x0a, 0x10]);
    assert_eq!(till.waits(599), None, "ten minutes, BCD");
    till.hears(&RESULT);
    till.session.confirm(till.now);
    assert_eq!(till.waits(599), None);
    assert_eq!(till.waits(1), Some(Event::Failed(Failure::Silent)));
}

#[test]
fn a_command_ends_after_ten_minutes_however_much_is_said() {
    let mut till = Till::accepted();
    for _ in 0..599 {
        assert_eq!(till.waits(1), None);
        assert_eq!(till.hears(&[0x04, 0xff, 0x01, 0x0a]).len(), 1);
    }
    assert_eq!(till.session.poll_timeout(), Some(till.now + Duration::from_secs(1)), "T4 is far away");
    // It never pauses, so that only what it says wakes anybody.
    till.now += Duration::from_secs(1);
    assert_eq!(till.hears(&[0x04, 0xff, 0x01, 0x0a]), [Event::Failed(Failure::Endless)]);
    assert!(till.session.is_spent());
}

#[test]
fn an_enquiry_ends_after_two_minutes_and_then_counts_as_unanswered() {
    let mut till = Till::new(Timeouts::default());
    assert!(till.session.start(ENQUIRY.to_vec(), Flow::Enquiry, till.now));
    till.hears(&wire::ACK);
    for _ in 0..119 {
        assert_eq!(till.waits(1), None);
        till.hears(&[0x04, 0xff, 0x01, 0x0a]);
    }
    assert_eq!(till.waits(1), Some(Event::Unanswered));
    assert!(till.session.is_doubtful(), "its end may still come");
}

#[test]
fn a_refusal_may_carry_data_and_84_00_is_none() {
    let mut till = Till::started();
    // `84 1E 01 7D`, as seen in the field.
    assert_eq!(till.hears(&[0x84, 0x1e, 0x01, 0x7d]), [Event::Refused { code: 0x1e, data: Data(vec![0x7d]) }]);
    assert!(till.session.is_idle());
    assert_eq!(Till::started().hears(&[0x84, 0x00, 0x00]), [Event::Accepted]);
}

#[test]
fn messages_of_an_earlier_life_are_not_acknowledged() {
    let mut till = Till::started();
    assert!(till.hears(&RESULT).is_empty());
    assert!(till.sent().is_empty());
    assert_eq!(till.hears(&wire::ACK), [Event::Accepted]);
    let mut idle = Till::new(Timeouts::default());
    assert!(idle.hears(&RESULT).is_empty());
    assert!(idle.sent().is_empty());
}

#[test]
fn an_abort_goes_out_once_and_its_answer_is_no_outcome() {
    let mut till = Till::started();
    assert!(!till.session.abort(till.now), "not before the command is taken");
    till.hears(&wire::ACK);
    assert!(till.session.abort(till.now));
    assert!(!till.session.abort(till.now));
    assert_eq!(till.sent(), [[0x06, 0xb0, 0x00]]);
    assert_eq!(till.hears(&wire::ACK), [Event::AbortAnswered(true)]);
    assert!(!till.session.is_idle());
    assert_eq!(till.hears(&[0x06, 0x1e, 0x01, 0x6c]), [Event::Aborted(Data(vec![0x6c]))]);
}

#[test]
fn a_command_that_wants_input_waits_for_its_answer_and_the_payment_goes_on() {
    let mut till = Till::accepted();
    let events = till.hears(&[0x04, 0x0d, 0x00]);
    assert_eq!(events, [Event::Asked { code: 0x040d, data: Data(vec![]) }]);
    assert!(till.sent().is_empty(), "nobody has answered");
    till.session.refuse(0x83, till.now);
    assert_eq!(till.sent(), [[0x84, 0x83, 0x00]]);
    assert_eq!(till.hears(&RESULT).len(), 1);
}

#[test]
fn another_protocol_on_the_port_is_named() {
    let mut till = Till::started();
    let events = till.hears(b"HTTP/1.1 400");
    assert_eq!(events, [Event::Failed(Failure::Invalid(Invalid { offset: 0, byte: b'H' }))]);
}

#[test]
fn a_late_answer_to_an_abort_is_not_taken_for_the_next_commands() {
    // 06 B0 crosses 06 1E; its answer, 84 83, comes after the next command was sent.
    let mut till = Till::accepted();
    assert!(till.session.abort(till.now));
    assert_eq!(till.hears(&[0x06, 0x1e, 0x01, 0x6c]), [Event::Aborted(Data(vec![0x6c]))]);
    assert!(till.session.owes());
    assert!(!till.session.start(COMMAND.to_vec(), Flow::Completed, till.now), "nothing that moves money is started");
    assert!(!till.session.start(ENQUIRY.to_vec(), Flow::Enquiry, till.now), "nor asked");
    assert_eq!(till.hears(&[0x84, 0x83, 0x00]), [Event::AbortAnswered(false)]);
    assert!(till.session.start(ENQUIRY.to_vec(), Flow::Enquiry, till.now));
    assert_eq!(till.hears(&wire::ACK), [Event::Accepted]);
    assert_eq!(till.hears(&RESULT), [Event::Result(Data(vec![0x27, 0x00]))]);
    till.session.confirm(till.now);
    assert_eq!(till.hears(&DONE), [Event::Completed(Data(vec![]))]);
    assert!(!till.session.owes());
    assert!(till.session.start(COMMAND.to_vec(), Flow::Completed, till.now));
}

#[test]
fn an_abort_that_is_never_answered_ends_the_connection_after_t3() {
    let mut till = Till::accepted();
    assert!(till.session.abort(till.now));
    till.hears(&[0x06, 0x1e, 0x01, 0x6c]);
    assert_eq!(till.waits(4), None);
    assert_eq!(till.waits(1), Some(Event::Failed(Failure::Owing)));
    assert!(till.session.is_spent());
}

#[test]
fn an_unanswered_enquiry_leaves_the_session_alive_but_no_money_moves_over_it() {
    let mut till = Till::new(Timeouts::default());
    assert!(till.session.start(ENQUIRY.to_vec(), Flow::Enquiry, till.now));
    assert_eq!(till.waits(5), Some(Event::Unanswered));
    assert!(!till.session.start(COMMAND.to_vec(), Flow::Completed, till.now));
    // The next enquiry is answered to its end; one answer is still missing, whosever it is.
    assert!(till.session.start(ENQUIRY.to_vec(), Flow::Enquiry, till.now));
    assert!(till.hears(&wire::ACK).is_empty());
    assert_eq!(till.hears(&DONE), [Event::Completed(Data(vec![]))]);
    assert!(till.session.owes() && till.session.is_doubtful());
    till.session.forgive();
    assert!(!till.session.owes() && till.session.is_doubtful());
    assert!(till.session.start(COMMAND.to_vec(), Flow::Completed, till.now));
}

#[test]
fn an_enquiry_does_not_wait_for_a_customer_and_is_not_prolonged() {
    let mut till = Till::new(Timeouts::default());
    assert!(till.session.start(ENQUIRY.to_vec(), Flow::Enquiry, till.now));
    till.hears(&wire::ACK);
    till.hears(&[0x04, 0xff, 0x02, 0x0a, 0x10]);
    assert_eq!(till.waits(9), None);
    assert_eq!(till.waits(1), Some(Event::Unanswered));
}

#[test]
fn an_answer_too_many_makes_the_connection_doubtful() {
    let mut till = Till::accepted();
    assert!(till.hears(&wire::ACK).is_empty());
    assert!(till.session.is_doubtful());
}

#[test]
fn in_a_hurry_silence_ends_after_t3_and_talk_does_not() {
    let mut till = Till::accepted();
    till.hears(&[0x04, 0xff, 0x02, 0x0a, 0x10]);
    till.session.hurry(till.now);
    assert_eq!(till.waits(4), None);
    till.hears(&[0x04, 0xff, 0x02, 0x0a, 0x10]);
    assert_eq!(till.waits(4), None, "it talks");
    assert_eq!(till.waits(1), Some(Event::Failed(Failure::Silent)));
}
