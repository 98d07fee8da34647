use super::*;
use crate::opi::results::OverallResult;
use crate::opi::wire::Family;

const SECOND: Duration = Duration::from_secs(1);

fn session(now: Instant) -> Session {
    let request = Request::new(Family::Card, "CardPayment", "7");
    let mut session = Session::new(&request, Encoding::Utf8, 10 * SECOND, now);
    let sent = session.poll_transmit().expect("the request");
    let length = u32::from_be_bytes(sent[..4].try_into().expect("four"));
    assert_eq!((length as usize, session.poll_transmit()), (sent.len() - 4, None));
    session
}

/// A message as the facts write it, with its length.
fn said(xml: &str) -> Vec<u8> {
    [&(xml.len() as u32).to_be_bytes()[..], xml.as_bytes()].concat()
}

fn answer(kind: &str, id: &str) -> Vec<u8> {
    said(&format!("<CardServiceResponse RequestType=\"{kind}\" RequestID=\"{id}\" OverallResult=\"Success\"/>"))
}

#[test]
fn an_answer_counts_if_it_repeats_type_and_id_wherever_it_is_split() {
    let stream = [answer("CardPayment", "6"), answer("cardpayment", "7"), answer("CardPayment", "7")].concat();
    for split in 0..=stream.len() {
        let now = Instant::now();
        let mut session = session(now);
        session.handle_input(&stream[..split], now);
        session.handle_input(&stream[split..], now);
        assert!(matches!(session.poll_event(), Some(Event::Foreign(r)) if r.header.request_id == "6"));
        assert!(matches!(session.poll_event(), Some(Event::Answer(r)) if r.result == OverallResult::Success));
        assert_eq!((session.poll_event(), session.poll_timeout()), (None, None), "nothing follows");
    }
}

#[test]
fn what_is_no_answer_is_told_and_waited_out() {
    let now = Instant::now();
    let mut session = session(now);
    session.handle_input(&said("<CardServiceResponse"), now);
    session.handle_input(&said("<Hello/>"), now);
    session.handle_input(&said("<DeviceRequest RequestType='Output' RequestID='7'/>"), now);
    assert!(matches!(session.poll_event(), Some(Event::Unreadable(_))));
    assert_eq!(session.poll_event(), Some(Event::Other("Hello".into())));
    assert!(matches!(session.poll_event(), Some(Event::Device(_))));
    session.handle_timeout(now + 9 * SECOND);
    assert_eq!((session.poll_event(), session.poll_timeout()), (None, Some(now + 10 * SECOND)));
    session.handle_timeout(now + 10 * SECOND);
    assert_eq!(session.poll_event(), Some(Event::TimedOut));
    session.handle_input(&answer("CardPayment", "7"), now);
    assert_eq!(session.poll_event(), None, "too late");
}

#[test]
fn an_answered_abort_decides_nothing_and_a_hurry_shortens_the_wait() {
    let now = Instant::now();
    let mut session = session(now);
    session.abort(&Request::new(Family::Card, "AbortRequest", "8"));
    assert!(session.poll_transmit().is_some());
    session.handle_input(&answer("AbortRequest", "8"), now);
    assert!(matches!(session.poll_event(), Some(Event::AbortAnswered(_))));
    session.hurry(2 * SECOND, now);
    assert_eq!(session.poll_timeout(), Some(now + 2 * SECOND));
    session.handle_input(b"HTTP", now);
    assert!(matches!(session.poll_event(), Some(Event::NoOpi(_))));
}
