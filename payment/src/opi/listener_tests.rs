use tresen_hal::Kind;
use tresen_hal::link::Connect;
use tresen_hal::link::memory::{self, Dialer};

use super::super::wire::Header;
use super::super::wire::device::{Line, Output, Target};
use super::*;

fn options(pop: &str, workstation: &str) -> Options {
    let mut options = Options::new("t");
    (options.pop, options.workstation) = (pop.into(), workstation.into());
    options
}

fn request(id: &str) -> DeviceRequest {
    let output = Output { target: Target::CashierDisplay, lines: vec![Line { text: "hi".into(), cut: false }] };
    let header = Header::new("Output", id);
    DeviceRequest { header, sequence: None, terminal_id: None, outputs: vec![output], input: None }
}

async fn ask(dialer: &Dialer, request: DeviceRequest) -> DeviceResponse {
    let link = dialer.connect().await.expect("it listens");
    link.send(&frame(&request.to_bytes(Encoding::Latin1))).await.expect("open");
    let (mut framing, mut input) = (Framing::default(), Vec::new());
    loop {
        link.recv(&mut input).await.expect("an answer");
        framing.feed(&std::mem::take(&mut input), SystemClock.now());
        if let Some(message) = framing.next_message().expect("OPI") {
            match Message::parse(&message) {
                Ok(Message::DeviceResponse(response)) => return response,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Answers one request with success and tells its id.
async fn serve_one(attached: &mut Attached) -> String {
    let Asked { request, answer } = attached.next().await;
    let mut response = unavailable(&request);
    response.result = OverallResult::Success;
    answer.send(response).expect("the listener waits");
    request.header.request_id
}

#[tokio::test(start_paused = true)]
async fn several_terminals_share_a_listener_and_none_gets_what_may_be_anothers() {
    let (dialer, port) = memory::port();
    let listener = Listener::new(Box::new(port));
    let (mut one, mut two) = (attach(&listener, &options("001", "1")), attach(&listener, &options("002", "1")));
    let mut named = request("5");
    named.header.pop = Some("002".into());
    let (response, id) = tokio::join!(ask(&dialer, named.clone()), serve_one(&mut two));
    assert_eq!((response.result, id.as_str()), (OverallResult::Success, "5"));
    // Nothing names the terminal, until the request is that which runs.
    assert_eq!(ask(&dialer, request("6")).await.result, OverallResult::DeviceUnavailable);
    one.runs("6");
    let (response, id) = tokio::join!(ask(&dialer, request("6")), serve_one(&mut one));
    assert_eq!((response.result, id.as_str()), (OverallResult::Success, "6"));
    // Its own id outweighs a till's name that all share.
    two.is_terminal("60000002");
    one.is_terminal("60000001");
    let mut by_terminal = request("7");
    by_terminal.terminal_id = Some("60000002".into());
    by_terminal.header.workstation = Some("1".into());
    let (_, id) = tokio::join!(ask(&dialer, by_terminal.clone()), serve_one(&mut two));
    assert_eq!(id, "7");
    by_terminal.terminal_id = Some("60000003".into());
    assert_eq!(ask(&dialer, by_terminal.clone()).await.result, OverallResult::DeviceUnavailable, "a third one");
    // Alone, a terminal is meant whatever is left out.
    drop(two);
    let (_, id) = tokio::join!(ask(&dialer, request("8")), serve_one(&mut one));
    assert_eq!(id, "8");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_repeated_is_done_once_and_the_last_answer_can_be_asked_for() {
    let (dialer, port) = memory::port();
    let listener = Listener::new(Box::new(port));
    let mut one = attach(&listener, &options("001", "1"));
    let mut again = request("5");
    assert_eq!(
        ask(&dialer, DeviceRequest { header: Header::new("RepeatLastMessage", "4"), ..again.clone() }).await.result,
        OverallResult::Failure
    );
    again.sequence = Some("1".into());
    tokio::join!(ask(&dialer, again.clone()), serve_one(&mut one));
    assert_eq!(ask(&dialer, again.clone()).await.result, OverallResult::Success, "nobody had to answer it");
    let repeated = ask(&dialer, DeviceRequest { header: Header::new("RepeatLastMessage", "9"), ..again }).await;
    let original = repeated.original.expect("which it was");
    assert_eq!((repeated.header.request_id.as_str(), original.request_id.as_str()), ("9", "5"));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_answer_holds_up_nobody_for_ever_and_the_port_closes_with_the_last() {
    let (dialer, port) = memory::port();
    let listener = Listener::new(Box::new(port));
    let one = attach(&listener, &options("001", "1"));
    assert_eq!(ask(&dialer, request("5")).await.result, OverallResult::DeviceUnavailable);
    drop((one, listener));
    tokio::task::yield_now().await;
    assert!(dialer.connect().await.is_err(), "nobody listens");
}

#[tokio::test]
async fn one_port_serves_all_who_name_it_and_is_free_again_after_them() {
    let listeners = Listeners::default();
    let place = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").to_string();
    for _ in 0..3 {
        let (one, two) = (listeners.at(&place).await.expect("free"), listeners.at(&place).await.expect("shared"));
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(Listeners::default().at(&place).await.expect_err("taken").kind(), Kind::Busy);
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_and_half_messages_end_a_connection() {
    let (dialer, port) = memory::port();
    let _listener = Listener::new(Box::new(port));
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0]] {
        let link = dialer.connect().await.expect("it listens");
        link.send(nonsense).await.expect("open");
        assert!(link.recv(&mut Vec::new()).await.is_err(), "it is left");
    }
}
