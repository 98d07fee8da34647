use super::*;

fn at(seconds: u64) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
}

fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn asked() -> Session {
    let mut session = Session::new(at(0));
    assert!(session.request(Message::StatusRequest {}, at(30)));
    assert_eq!(session.poll_transmit(), Some(Message::StatusRequest {}));
    session
}

#[test]
fn one_request_at_a_time_and_its_answer_by_name() {
    let mut session = asked();
    assert!(!session.request(Message::BalanceRequest {}, at(30)), "one runs");
    session.handle_line(b"{\"ReceiptResponse\":{\"ReceiptType\":11}}", at(1));
    session.handle_line(b"{\"StatusResponse\":{\"TrmStatus\":1}}", at(1));
    let got = events(&mut session);
    assert!(matches!(&got[..], [Event::Told(Message::ReceiptResponse(_)), Event::Answer(Message::StatusResponse(_))]));
    assert!(!session.is_busy() && !session.is_doubtful());
    assert!(!session.request(Message::HeartbeatResponse {}, at(30)), "no request");
}

#[test]
fn an_answer_to_nothing_makes_it_doubtful() {
    let mut session = Session::new(at(0));
    session.handle_line(b"{\"StatusResponse\":{}}", at(1));
    assert!(!session.is_doubtful(), "the status also comes by itself");
    session.handle_line(b"{\"TransactionResponse\":{\"TrxResult\":0}}", at(1));
    assert!(session.is_doubtful());
    let mut late = asked();
    late.handle_timeout(at(29));
    assert_eq!(events(&mut late), []);
    late.handle_timeout(at(30));
    assert_eq!(events(&mut late)[..1], [Event::Unanswered]);
    assert!(late.is_doubtful(), "its answer may still come");
}

#[test]
fn a_silent_terminal_is_asked_and_then_given_up() {
    let mut session = Session::new(at(0));
    assert_eq!(session.poll_timeout(), Some(at(10)));
    session.handle_timeout(at(10));
    assert_eq!(session.poll_transmit(), Some(Message::HeartbeatRequest {}));
    session.handle_line(b"{\"HeartbeatResponse\":{}}", at(15));
    assert_eq!(session.poll_timeout(), Some(at(25)));
    session.handle_timeout(at(25));
    session.handle_timeout(at(35));
    assert_eq!(events(&mut session), [Event::Failed(Failure::Silent)]);
    assert!(session.is_spent() && session.poll_timeout().is_none());
    assert!(!session.request(Message::StatusRequest {}, at(60)));
    let mut asked = Session::new(at(0));
    asked.handle_line(b"{\"HeartbeatRequest\":{}}", at(1));
    assert_eq!(asked.poll_transmit(), Some(Message::HeartbeatResponse {}));
}

#[test]
fn what_cannot_be_read_ends_what_it_answers_and_what_is_no_json_the_connection() {
    let mut session = asked();
    session.handle_line(b"{\"BonusNotification\":{\"a\":1}}", at(1));
    session.handle_line(b"{\"BalanceResponse\":7}", at(1));
    assert_eq!(events(&mut session), [], "it may still be answered");
    session.handle_line(b"{\"StatusResponse\":7}", at(1));
    assert_eq!(events(&mut session), [Event::Unreadable(Unreadable::Bad("StatusResponse"))]);
    session.handle_line(b"HTTP/1.1 400 Bad Request", at(2));
    assert_eq!(events(&mut session), [Event::Failed(Failure::NotJson)]);
    let mut long = asked();
    long.handle_too_long(TooLong);
    assert_eq!(events(&mut long), [Event::Failed(Failure::TooLong(TooLong))]);
}
