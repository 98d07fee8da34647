//! Peers that mean no good, or do not know better.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tresen_remote::wire::{DEAD, HELLO, MESSAGE};

use super::frames::{BINARY, CLOSE, PING, PONG, Peer, TEXT, frame, raw};
use super::shop::{Shop, principal, soon};

const INFO: &str = "{\"id\":1,\"command\":\"till.info\"}";

/// The till serves others all the same.
async fn serves(shop: &Shop) {
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.text(INFO).await;
    assert_eq!(peer.json().await["reply"]["name"], "Corner shop");
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_in_without_a_token_that_the_gate_knows() {
    let shop = Shop::open().await;
    for (first, kind, code) in [
        ("{\"hello\":{\"protocol\":1}}", "permission", 1008),
        ("{\"hello\":{\"protocol\":1,\"token\":\"wrong\"}}", "permission", 1008),
        ("{\"hello\":{\"protocol\":1,\"token\":\"\"}}", "permission", 1008),
        ("{\"hello\":{\"protocol\":2,\"token\":\"anna\"}}", "unsupported", 1008),
        ("{\"hello\":{\"protocol\":1,\"token\":\"anna\",\"x\":1}}", "input", 1008),
        (INFO, "input", 1008),
        ("", "input", 1008),
        ("null", "input", 1008),
    ] {
        let mut peer = Peer::upgrade(shop.stream(), "").await;
        peer.text(first).await;
        let (error, closed) = peer.ended().await;
        assert_eq!((&error["kind"], closed), (&json!(kind), code), "{first}: {error}");
    }
    let refused = shop.gate.record();
    assert_eq!(refused.len(), 3, "those that asked the gate, or should have: {refused:?}");
    assert!(refused.iter().all(|entry| entry.action == "connect" && entry.principal.is_none()));
    assert!(!format!("{refused:?}").contains("wrong"), "no token is recorded");
    serves(&shop).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_ends_the_connection_with_its_code() {
    let shop = Shop::open().await;
    let long = vec![b' '; MESSAGE + 1];
    let mut longest = INFO.as_bytes().to_vec();
    longest.resize(MESSAGE, b' ');
    for (what, bytes, code) in [
        ("binary", frame(BINARY, b"{}"), 1002),
        ("unmasked", raw(0x80 | TEXT, false, INFO.as_bytes()), 1002),
        ("reserved opcode", frame(0x3, b""), 1002),
        ("reserved control opcode", frame(0xb, b""), 1002),
        ("reserved bit", raw(0xc0 | TEXT, true, INFO.as_bytes()), 1002),
        ("continuation of nothing", frame(0x0, b"{}"), 1002),
        ("long control frame", frame(PING, &[0; 126]), 1002),
        ("control frame in parts", raw(PING, true, b""), 1002),
        ("not UTF-8", frame(TEXT, b"\xff\xfe"), 1002),
        ("too long", frame(TEXT, &long), 1009),
        // Its head announces 2^62 bytes.
        ("endless", vec![0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
    ] {
        let mut peer = Peer::welcomed(shop.stream(), "anna").await;
        let (mut stream, sent) = (peer, bytes);
        let writing = stream.stream.write_all(&sent);
        // The server may stop reading half-way.
        tokio::time::timeout(Duration::from_secs(1), writing).await.ok();
        peer = stream;
        let (error, closed) =
            soon(Duration::from_secs(60), peer.ended()).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((&error["kind"], closed), (&json!("input"), code), "{what}: {error}");
    }
    // Parts of one message that is too long in all.
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.bytes(&raw(TEXT, true, &long[..MESSAGE / 2])).await;
    peer.bytes(&raw(0x0, true, &long[..MESSAGE / 2])).await;
    peer.bytes(&raw(0x80, true, b"  ")).await;
    assert_eq!(peer.ended().await.1, 1009);
    // The longest message, in parts, with a ping in between.
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.bytes(&raw(TEXT, true, &longest[..1])).await;
    peer.bytes(&frame(PING, b"x")).await;
    peer.bytes(&raw(0x80, true, &longest[1..])).await;
    assert_eq!(peer.any().await, Some((PONG, b"x".to_vec())));
    assert_eq!(peer.json().await["reply"]["name"], "Corner shop");
    serves(&shop).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_may_come_byte_by_byte_and_half_a_frame_is_nothing() {
    let shop = Shop::open().await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    for byte in frame(TEXT, INFO.as_bytes()) {
        peer.bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.json().await["id"], 1);
    // Half a frame and then silence: no frame was heard, so the peer is gone after its time.
    let bytes = frame(TEXT, INFO.as_bytes());
    peer.bytes(&bytes[..bytes.len() / 2]).await;
    let began = Instant::now();
    while let Some((opcode, _)) = peer.any().await {
        assert_eq!(opcode, PING, "nothing else is sent");
    }
    assert!(began.elapsed() <= DEAD + Duration::from_secs(6), "{:?}", began.elapsed());
    // A closing handshake.
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.bytes(&frame(CLOSE, &1000u16.to_be_bytes())).await;
    soon(Duration::from_secs(10), async { while peer.any().await.is_some() {} }).await.expect("it ends");
    serves(&shop).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_let_go() {
    let shop = Shop::open().await;
    // Before the request, in the middle of its head, and before the hello.
    for head in ["", "GET /v1/ws HTTP/1.1\r\nHost: 127."] {
        let mut stream = shop.stream();
        stream.write_all(head.as_bytes()).await.expect("it listens");
        let began = Instant::now();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.expect("it ends");
        assert!(began.elapsed() <= HELLO + Duration::from_secs(1), "{head:?}: {:?}", began.elapsed());
    }
    let mut peer = Peer::upgrade(shop.stream(), "").await;
    let began = Instant::now();
    let (error, code) = peer.ended().await;
    assert_eq!((&error["kind"], code), (&json!("timeout"), 1008));
    assert!(began.elapsed() <= HELLO + Duration::from_secs(1));
    // A peer that answers pings stays.
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    tokio::time::timeout(4 * DEAD, peer.next()).await.expect_err("nothing but pings");
    peer.text(INFO).await;
    assert_eq!(peer.json().await["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let shop = Shop::open().await;
    let mut slow = Peer::welcomed(shop.stream(), "anna").await;
    slow.text("{\"id\":1,\"command\":\"follow\"}").await;
    // More than the stream and the queue hold.
    let commands = "{\"id\":2,\"command\":\"till.commands\"}";
    let flood = async {
        loop {
            if slow.stream.write_all(&frame(TEXT, commands.as_bytes())).await.is_err() {
                return;
            }
        }
    };
    let began = Instant::now();
    let (ended, ()) = tokio::join!(soon(Duration::from_secs(60), flood), serves(&shop));
    ended.expect("it is cut off");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    serves(&shop).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_rights_are_withdrawn_is_cut_off_at_once() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "watch"));
    let (mut bob, mut anna) = (Peer::welcomed(shop.stream(), "bob").await, Peer::welcomed(shop.stream(), "anna").await);
    shop.gate.revoke("bob");
    let (error, code) = bob.ended().await;
    assert_eq!((&error["kind"], code), (&json!("permission"), 1008));
    anna.text(INFO).await;
    assert_eq!(anna.json().await["id"], 1, "others stay");
    // Other rights: connect again.
    shop.gate.admit("anna", principal("anna", "watch"));
    assert_eq!(anna.ended().await.1, 1001);
    // An expired one.
    let mut brief = principal("brief", "watch");
    brief.expires = Some(shop.till.runtime().wall() + Duration::from_secs(7));
    shop.gate.admit("brief", brief);
    let mut peer = Peer::welcomed(shop.stream(), "brief").await;
    let began = Instant::now();
    assert_eq!(peer.ended().await.1, 1008);
    assert_eq!(began.elapsed().as_secs(), 7);
    let mut late = Peer::upgrade(shop.stream(), "").await;
    late.text("{\"hello\":{\"protocol\":1,\"token\":\"brief\"}}").await;
    assert_eq!(late.ended().await.1, 1008);
}
