use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::super::tests::till;
use super::*;

/// A hand-written client on an in-memory stream.
struct Wire {
    stream: DuplexStream,
    heard: Vec<u8>,
    served: JoinHandle<()>,
    _end: watch::Sender<bool>,
}

impl Wire {
    /// Connects; `room` is how many bytes the stream buffers while nobody reads.
    fn new(till: &Tresen, room: usize) -> Self {
        let (stream, theirs) = tokio::io::duplex(room);
        let (end, ended) = watch::channel(false);
        let served = tokio::spawn(client(theirs, Arc::downgrade(&till.0), ended));
        Self { stream, heard: Vec::new(), served, _end: end }
    }

    async fn greeted(till: &Tresen) -> Self {
        let mut wire = Self::new(till, 4096);
        wire.line().await;
        wire
    }

    async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("it listens");
    }

    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.heard.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("JSON"));
            }
            if self.stream.read_buf(&mut self.heard).await.expect("readable") == 0 {
                assert_eq!(self.heard, b"", "half a line");
                return None;
            }
        }
    }

    async fn line(&mut self) -> Value {
        self.next().await.expect("a line")
    }
}

#[tokio::test(start_paused = true)]
async fn the_till_greets_and_answers_wherever_lines_are_split() {
    let (_dir, till) = till().await;
    let mut wire = Wire::new(&till, 4096);
    let greeting = wire.line().await;
    assert_eq!((&greeting["protocol"], &greeting["name"]), (&json!(1), &json!("Till")));
    assert_eq!(greeting["till"], till.store().till());
    let request = "{\"id\":7,\"command\":\"till.info\"}\n";
    for split in 0..=request.len() {
        let (a, b) = request.split_at(split);
        wire.send(a).await;
        tokio::task::yield_now().await;
        wire.send(b).await;
        let answer = wire.line().await;
        assert_eq!((&answer["id"], &answer["reply"]["name"]), (&json!(7), &json!("Till")), "split at {split}");
    }
    // Several requests in one write, and blank lines.
    wire.send("\n\r\n{\"id\":1,\"command\":\"till.new-id\"}\n{\"id\":2,\"command\":\"till.new-id\"}\r\n").await;
    let mut ids = [wire.line().await["id"].as_u64(), wire.line().await["id"].as_u64()];
    ids.sort_unstable();
    assert_eq!(ids, [Some(1), Some(2)]);
}

#[tokio::test(start_paused = true)]
async fn answers_overtake_each_other() {
    let (_dir, till) = till().await;
    let mut wire = Wire::greeted(&till).await;
    wire.send("{\"id\":1,\"command\":\"scanner.next\",\"with\":{\"scanner\":\"counter\",\"within_ms\":1000}}\n").await;
    wire.send("{\"id\":2,\"command\":\"till.new-id\",\"with\":{}}\n").await;
    assert_eq!(wire.line().await["id"], 2);
    assert_eq!(wire.line().await, json!({ "id": 1, "reply": null }), "no scan came");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_answered_and_the_next_one_served() {
    let (_dir, till) = till().await;
    let mut wire = Wire::greeted(&till).await;
    for (bytes, id, kind, said) in [
        ("GET / HTTP/1.1\n", json!(null), "input", "not a request"),
        ("{\"id\":3}\n", json!(3), "input", "`command`"),
        ("{\"id\":\"x\",\"command\":\"till.info\"}\n", json!(null), "input", "u64"),
        ("{\"id\":4,\"command\":\"till.info\",\"whit\":{}}\n", json!(4), "input", "`whit`"),
        ("{\"id\":5,\"command\":\"till.explode\"}\n", json!(5), "unsupported", "till.explode"),
        ("{\"id\":6,\"command\":\"printer.cancel\",\"with\":{\"job\":1}}\n", json!(6), "input", "`job`"),
        ("{\"id\":7,\"command\":\"printer.cancel\",\"with\":{\"job\":\"x\"}}\n", json!(7), "input", "`x`"),
        ("[[[[\n", json!(null), "input", "not a request"),
    ] {
        wire.send(bytes).await;
        let answer = wire.line().await;
        assert_eq!((&answer["id"], &answer["error"]["kind"]), (&id, &json!(kind)), "{bytes}");
        assert!(answer["error"]["what"].as_str().is_some_and(|what| what.contains(said)), "{answer}");
    }
    wire.stream.write_all(b"\xff\xfe\0{\n").await.expect("it listens");
    assert_eq!(wire.line().await["error"]["kind"], "input");
    wire.send("{\"id\":9,\"command\":\"till.new-id\"}\n").await;
    assert_eq!(wire.line().await["id"], 9);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_ends_the_connection() {
    let (_dir, till) = till().await;
    let mut wire = Wire::greeted(&till).await;
    // The longest line allowed.
    let request = "{\"id\":1,\"command\":\"till.new-id\"}";
    wire.send(&format!("{request}{}\n", " ".repeat(LINE - request.len()))).await;
    assert_eq!(wire.line().await["id"], 1);
    // The rest of an oversized line is not read.
    let (mut from, mut to) = tokio::io::split(wire.stream);
    let flood = tokio::spawn(async move { while to.write_all(&[b' '; 4096]).await.is_ok() {} });
    let mut said = String::new();
    from.read_to_string(&mut said).await.expect("text");
    let answer: Value = serde_json::from_str(&said).expect("one line");
    assert_eq!((&answer["id"], &answer["error"]["kind"]), (&json!(null), &json!("input")), "{said}");
    flood.await.expect("it is not listened to");
    wire.served.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_too_much_is_refused_and_keeps_nobody_waiting() {
    let (_dir, till) = till().await;
    let (mut greedy, mut other) = (Wire::greeted(&till).await, Wire::greeted(&till).await);
    for id in 0..=IN_FLIGHT {
        let wait = "\"command\":\"scanner.next\",\"with\":{\"scanner\":\"counter\",\"within_ms\":5000}";
        greedy.send(&format!("{{\"id\":{id},{wait}}}\n")).await;
    }
    let refused = greedy.line().await;
    assert_eq!((&refused["id"], &refused["error"]["kind"]), (&json!(IN_FLIGHT), &json!("busy")));
    other.send("{\"id\":1,\"command\":\"till.new-id\"}\n").await;
    assert_eq!(other.line().await["id"], 1);
    for _ in 0..IN_FLIGHT {
        assert_eq!(greedy.line().await["reply"], json!(null));
    }
    greedy.send("{\"id\":99,\"command\":\"till.new-id\"}\n").await;
    assert_eq!(greedy.line().await["id"], 99, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go() {
    let (_dir, till) = till().await;
    let wire = Wire::new(&till, 16);
    let began = tokio::time::Instant::now();
    wire.served.await.expect("it ends");
    assert_eq!(began.elapsed(), PATIENCE, "not even the greeting fits");
}

#[tokio::test(start_paused = true)]
async fn who_follows_sees_the_devices_and_then_each_event_once() {
    let (_dir, till) = till().await;
    let mut wire = Wire::greeted(&till).await;
    wire.send("{\"id\":1,\"command\":\"follow\"}\n").await;
    let snapshot = wire.line().await;
    assert_eq!(snapshot["reply"]["devices"][0]["name"], "counter");
    let seq = snapshot["reply"]["seq"].as_u64().expect("a number");
    for n in 0..100 {
        till.0.bus.publish(crate::Source::Till, crate::EventKind::Notice(n.to_string()));
    }
    let (mut next, mut notices) = (seq, Vec::new());
    while notices.len() < 100 {
        let event = wire.line().await["event"].clone();
        next += 1;
        assert_eq!(event["seq"], next, "none is left out");
        notices.extend(event["kind"]["notice"].as_str().and_then(|notice| notice.parse::<u32>().ok()));
    }
    assert!(notices.into_iter().eq(0..100));
    wire.send("{\"id\":2,\"command\":\"follow\"}\n").await;
    assert_eq!(wire.line().await["error"]["kind"], "busy");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_left_takes_no_scan_with_it() {
    let (_dir, till) = till().await;
    let mut wire = Wire::greeted(&till).await;
    wire.send("{\"id\":1,\"command\":\"scanner.next\",\"with\":{\"scanner\":\"counter\"}}\n").await;
    let Wire { stream, served, _end, .. } = wire;
    drop(stream);
    let began = tokio::time::Instant::now();
    served.await.expect("it ends");
    assert_eq!(began.elapsed(), Duration::ZERO, "whoever waited for the scan has left as well");
}

#[tokio::test(start_paused = true)]
async fn clients_end_with_the_till() {
    let (_dir, till) = till().await;
    let mut wire = Wire::greeted(&till).await;
    wire._end.send_replace(true);
    assert_eq!(wire.next().await, None);
}
