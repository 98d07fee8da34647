//! Limits of connections: who displaces whom, who is refused, and how long a peer may take.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};
use tresen::api::PATIENCE;
use tresen_remote::server::{CONNECTIONS_OF_ONE_CALLER, GRACE, Options, STRANGERS_OF_ONE_ADDRESS};
use tresen_remote::wire::HELLO;

use super::frames::Peer;
use super::http::{ANNA, ask};
use super::shop::{Shop, principal};

const INFO: &str = "{\"id\":1,\"command\":\"till.info\"}";

/// Whether the server closes a stream within half a second: sooner than any limit of time.
async fn is_closed(stream: &mut DuplexStream) -> bool {
    timeout(Duration::from_millis(500), stream.read_to_end(&mut Vec::new())).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn strangers_displace_strangers_and_never_a_caller() {
    let shop = Shop::open().await;
    let mut anna = Peer::welcomed(shop.stream(), "anna").await;
    // A WebSocket without a hello, then streams without a request.
    let mut mute = Peer::upgrade(shop.stream(), "").await;
    let mut strangers: Vec<_> = (1..STRANGERS_OF_ONE_ADDRESS).map(|_| shop.stream()).collect();
    assert!(!is_closed(&mut strangers[0]).await, "there is room for them");
    sleep(GRACE - Duration::from_millis(400)).await;
    let mut also = Peer::welcomed(shop.stream(), "anna").await;
    assert!(timeout(Duration::from_secs(1), mute.any()).await.expect("it is displaced").is_none());
    // The caller is no stranger any more, so the next one finds room.
    let _one = shop.stream();
    assert!(!is_closed(&mut strangers[0]).await);
    let _more = shop.stream();
    assert!(is_closed(&mut strangers[0]).await, "the oldest");
    assert!(!is_closed(&mut strangers[1]).await);
    for caller in [&mut anna, &mut also] {
        caller.text(INFO).await;
        assert_eq!(caller.json().await["reply"]["name"], "Corner shop");
    }
}

#[tokio::test(start_paused = true)]
async fn a_displaced_connection_finishes_its_request() {
    let routes = Router::new().route("/echo", post(async |body: String| body));
    let shop = Shop::with(Options { routes, ..Options::default() }).await;
    let mut asking = shop.stream();
    let head = "POST /echo HTTP/1.1\r\nHost: localhost:7480\r\nContent-Length: 2\r\n\r\n{";
    asking.write_all(head.as_bytes()).await.expect("it listens");
    sleep(GRACE).await;
    let _others: Vec<_> = (0..STRANGERS_OF_ONE_ADDRESS).map(|_| shop.stream()).collect();
    sleep(Duration::from_millis(10)).await;
    asking.write_all(b"}").await.expect("it still listens");
    let mut said = String::new();
    timeout(Duration::from_secs(1), asking.read_to_string(&mut said)).await.expect("it ends").expect("text");
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\n{}"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_has_so_many_connections_and_others_have_theirs() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "watch"));
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS_OF_ONE_CALLER {
        peers.push(Peer::welcomed(shop.stream(), "anna").await);
    }
    let mut more = Peer::upgrade(shop.stream(), "").await;
    more.text("{\"hello\":{\"protocol\":1,\"token\":\"anna\"}}").await;
    let (error, code) = more.ended().await;
    assert_eq!((&error["kind"], &error["effect"], code), (&json!("busy"), &json!("none"), 1013), "{error}");
    let what = format!("`anna` has as many connections as it may: {CONNECTIONS_OF_ONE_CALLER}");
    assert_eq!(error["what"], what.as_str());
    let info = format!("POST /v1/till.info HTTP/1.1\r\n{ANNA}");
    assert_eq!(ask(&shop, &info, "").await.status, 429);
    let refused = shop.gate.record().pop().expect("recorded");
    assert_eq!((refused.principal.as_deref(), refused.action.as_str()), (Some("anna"), "connect"));
    Peer::welcomed(shop.stream(), "bob").await;
    peers.pop();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(ask(&shop, &info, "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_in_drops_has_a_time_limit() {
    let shop = Shop::open().await;
    let (mut stream, began) = (shop.stream(), Instant::now());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").await.expect("it listens");
    while stream.write_all(b"x").await.is_ok() {
        sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() <= HELLO + Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert!(began.elapsed() >= HELLO);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_reads_ends_the_connection() {
    let shop = Shop::open().await;
    // The reply is longer than what the stream holds.
    let (mut near, far) = duplex(1 << 10);
    let serving = shop.server.serve(far, "memory", None).expect("there is room");
    let request = format!("POST /v1/till.commands HTTP/1.1\r\nHost: localhost\r\n{ANNA}\r\nContent-Length: 0\r\n\r\n");
    near.write_all(request.as_bytes()).await.expect("it listens");
    let began = Instant::now();
    timeout(2 * PATIENCE, serving).await.expect("it ends").expect("no panic");
    assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
}
