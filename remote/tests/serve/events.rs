//! Events: resumed after a gap, and what was missed is told.

use std::time::Duration;

use serde_json::json;
use tresen::EventKind;
use tresen_remote::client::News;

use super::frames::Peer;
use super::shop::{Cut, Cutting, Shop, options, principal, soon};

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_gets_what_was_sent_meanwhile_or_is_told_what_is_missing() {
    let shop = Shop::open().await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.text("{\"id\":1,\"command\":\"follow\"}").await;
    let first = peer.json().await;
    assert_eq!(
        (&first["reply"]["missed"], first["reply"]["devices"].as_array().map(Vec::len)),
        (&json!(null), Some(3))
    );
    peer.text("{\"id\":2,\"command\":\"follow\"}").await;
    assert_eq!(peer.json().await["error"]["kind"], "busy");
    shop.scan("4006381333931");
    let event = peer.json().await;
    let seen = event["event"]["seq"].as_u64().expect("an event");
    assert_eq!(seen, first["reply"]["seq"].as_u64().expect("a number") + 1);
    drop(peer);
    for _ in 0..3 {
        shop.scan("4006381333931");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let run = shop.server.run().to_owned();
    let follow =
        |since: u64, run: &str| json!({ "id": 1, "command": "follow", "with": { "since": since, "run": run } });
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.text(&follow(seen, &run).to_string()).await;
    assert_eq!(peer.json().await["reply"]["missed"], json!(null));
    for next in seen + 1..=seen + 3 {
        assert_eq!(peer.json().await["event"]["seq"], next);
    }
    // Another run of the server: all its events are missing.
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.text(&follow(seen, "another").to_string()).await;
    assert_eq!(peer.json().await["reply"]["missed"], json!({ "from": 0, "to": seen + 3 }));
    // More than the till keeps.
    for _ in 0..tresen_remote::session::EVENTS + 10 {
        shop.scan("4006381333931");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.text(&follow(seen, &run).to_string()).await;
    let reply = peer.json().await["reply"].clone();
    assert_eq!(reply["missed"]["from"], seen + 1, "{}", reply["missed"]);
    let next = reply["missed"]["to"].as_u64().expect("a number") + 1;
    assert_eq!(peer.json().await["event"]["seq"], next, "what follows is sent");
}

#[tokio::test(start_paused = true)]
async fn a_client_follows_on_after_a_lost_connection_without_a_gap() {
    let shop = Shop::open().await;
    let cut = std::sync::Arc::new(std::sync::Mutex::new(Some(Cut::ToClient(4))));
    let dial = Cutting { server: shop.server.clone(), cut: cut.clone() };
    let client = tresen_remote::Client::connect(dial, options("anna")).await.expect("let in");
    let mut following = client.follow().await.expect("follows");
    let Some(News::State(state)) = following.next().await else { panic!("a state") };
    let mut seen = state.snapshot.seq;
    let (mut states, mut scans) = (1, 0);
    let scanning = tokio::spawn({
        let scanner = shop.counter.scanner("hand").expect("there");
        async move {
            for _ in 0..10 {
                scanner.with(|scanner| scanner.scan("4006381333931", tresen_hal::barcode::Symbology::Ean13));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    while scans < 10 {
        match soon(Duration::from_secs(60), following.next()).await.expect("in time").expect("open") {
            News::Event(event) => {
                assert_eq!(event.seq, seen + 1, "none is left out, none comes twice");
                seen = event.seq;
                scans += usize::from(matches!(event.kind, EventKind::Scanned(_)));
            }
            News::State(state) => {
                assert_eq!(state.missed, None);
                states += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    scanning.await.expect("no panic");
    // Somebody else follows later, over the same connection.
    assert_eq!(client.follow().await.expect_err("already").kind(), tresen_hal::Kind::Busy);
    drop(following);
    let mut following = client.follow().await.expect("follows");
    let news = soon(Duration::from_secs(5), following.next()).await.expect("in time");
    assert!(matches!(news, Some(News::State(state)) if state.snapshot.devices.len() == 3));
    assert!(cut.lock().expect("sound").is_none(), "the link was cut");
    assert_eq!(states, 2);
}

#[tokio::test(start_paused = true)]
async fn who_may_watch_some_devices_sees_those_only_and_scans_need_their_right() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "watch:hand"));
    shop.gate.admit("eve", principal("eve", "print"));
    let mut bob = Peer::welcomed(shop.stream(), "bob").await;
    bob.text("{\"id\":1,\"command\":\"follow\"}").await;
    let reply = bob.json().await;
    let devices = reply["reply"]["devices"].as_array().expect("devices").clone();
    assert_eq!(devices.len(), 1, "{devices:?}");
    shop.scan("4006381333931");
    tokio::time::sleep(Duration::from_secs(1)).await;
    shop.counter.printer("receipt").expect("there").unplug();
    shop.counter.scanner("hand").expect("there").unplug();
    let event = bob.json().await;
    assert_eq!(event["event"]["source"]["device"]["name"], "hand", "{event}");
    assert!(event["event"]["kind"]["disconnected"].is_object(), "not the scan: {event}");
    let mut eve = Peer::welcomed(shop.stream(), "eve").await;
    eve.text("{\"id\":1,\"command\":\"follow\"}").await;
    assert_eq!(eve.json().await["error"]["kind"], "permission");
}
