//! Keys, rights and limits of calls.

use std::time::Duration;

use serde_json::json;
use tresen::api::{IN_FLIGHT, printer, scanner, terminal, till};
use tresen::{Amount, Payment};
use tresen_hal::{Effect, Kind};

use super::frames::Peer;
use super::shop::{Shop, principal, soon};

fn pay(cents: i64) -> terminal::Pay {
    terminal::Pay { terminal: "counter".into(), amount: Amount::eur(cents), key: None }
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_the_same_payment_and_with_other_content_it_is_refused() {
    let shop = Shop::open().await;
    let (one, other) = (shop.client("anna").await, shop.client("anna").await);
    // Two connections at the same time: the second joins the first.
    let (first, second) = tokio::join!(one.call_as("a-17", pay(12_50)), other.call_as("a-17", pay(12_50)));
    let first = first.expect("paid");
    assert!(matches!(first, Payment::Charged(_)), "{first:?}");
    assert_eq!(second.expect("joined"), first);
    assert_eq!(other.call_as("a-17", pay(12_50)).await.expect("given again"), first);
    let error = other.call_as("a-17", pay(9_99)).await.expect_err("other content");
    assert_eq!((error.kind(), error.effect()), (Kind::Input, Effect::None), "{error}");
    assert_eq!(shop.charged(), 12_50);
    // Its durable key is in the journal under the caller's name.
    let key = tresen::payment::IntentId("anna/a-17".into());
    assert!(shop.till.store().payment(&key).await.expect("readable").is_some());
    // The same key of somebody else is another payment.
    shop.gate.admit("bob", principal("bob", "pay"));
    let paid = shop.client("bob").await.call_as("a-17", pay(1_00)).await;
    assert!(matches!(paid, Ok(Payment::Charged(_))), "{paid:?}");
    assert_eq!(shop.charged(), 13_50);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_had_no_effect_runs_again_under_its_key() {
    let shop = Shop::open().await;
    let client = shop.client("anna").await;
    let terminal = shop.counter.terminal("counter").expect("there");
    terminal.unplug();
    let mut phase = shop.till.terminal("counter").expect("configured").phase();
    phase.wait_for(|phase| !phase.is_ready()).await.expect("open");
    let error = client.call_as("a", pay(5_00)).await.expect_err("away");
    assert_eq!(error.effect(), Effect::None, "{error}");
    terminal.plug_in();
    phase.wait_for(tresen::Phase::is_ready).await.expect("open");
    assert!(matches!(client.call_as("a", pay(5_00)).await, Ok(Payment::Charged(_))));
    assert_eq!(shop.charged(), 5_00);
}

#[tokio::test(start_paused = true)]
async fn the_drawer_opens_once_under_one_key() {
    let shop = Shop::open().await;
    let client = shop.client("anna").await;
    let kick = printer::KickDrawer { printer: "receipt".into(), pin: Default::default() };
    for _ in 0..3 {
        client.call_as("k", kick.clone()).await.expect("kicked");
    }
    let kicked = || shop.counter.printer("receipt").expect("there").with(|printer| printer.kicked());
    assert_eq!(kicked(), 1);
    tokio::time::sleep(tresen_remote::session::KEPT).await;
    client.call_as("k", kick).await.expect("kicked");
    assert_eq!(kicked(), 2, "the key is forgotten after its time");
    let privileged: Vec<_> = shop.gate.record().into_iter().filter(|entry| entry.refused.is_none()).collect();
    assert_eq!(privileged.len(), 2, "{privileged:?}");
    assert_eq!((privileged[0].action.as_str(), privileged[0].key.as_deref()), ("printer.kick-drawer", Some("k")));
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_needs_a_key_and_what_is_wrong_is_named() {
    let shop = Shop::open().await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    for (request, kind, said) in [
        (
            json!({ "id": 1, "command": "terminal.pay", "with": { "terminal": "counter", "amount": "1.00 EUR" } }),
            "input",
            "key",
        ),
        (json!({ "id": 1, "command": "till.info", "caller": "bob" }), "input", "caller"),
        (json!({ "id": 1, "command": "till.info", "key": "" }), "input", "key"),
        (json!({ "id": 1, "command": "till.info", "key": "k".repeat(129) }), "input", "129"),
        (json!({ "id": 1, "command": "till.explode" }), "unsupported", "till.explode"),
        (json!({ "id": 1, "command": "printer.cancel", "key": "a", "with": { "jb": "x" } }), "input", "jb"),
        (json!({ "id": 1, "command": "follow", "with": { "sinse": 1 } }), "input", "sinse"),
        (json!({ "id": 1, "command": "abort", "with": {} }), "input", "key"),
        (json!({ "id": 1, "command": "ping", "with": { "beat": 1 } }), "input", "beat"),
        (json!({ "id": 1, "command": "session.none" }), "unsupported", "session.none"),
        (json!({ "id": 1, "command": "till.info", "hello": { "protocol": 1 } }), "input", "hello"),
    ] {
        peer.text(&request.to_string()).await;
        let answer = peer.json().await;
        assert_eq!((&answer["id"], &answer["error"]["kind"]), (&json!(1), &json!(kind)), "{request}: {answer}");
        assert!(answer["error"]["what"].as_str().is_some_and(|what| what.contains(said)), "{request}: {answer}");
    }
    peer.text("{\"id\":2,\"command\":\"abort\",\"with\":{\"key\":\"none\"}}").await;
    assert_eq!(peer.json().await, json!({ "id": 2, "reply": false }));
    assert_eq!(shop.charged(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_refused_and_recorded() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "watch print:kitchen pay:counter"));
    let bob = shop.client("bob").await;
    assert!(matches!(bob.call_as("a", pay(2_00)).await, Ok(Payment::Charged(_))));
    let error = bob.call(printer::KickDrawer { printer: "receipt".into(), pin: Default::default() }).await;
    let error = error.expect_err("no right");
    assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{error}");
    let record = shop.gate.record();
    let refused = record.last().expect("recorded");
    assert_eq!((refused.principal.as_deref(), refused.action.as_str()), (Some("bob"), "printer.kick-drawer"));
    assert!(refused.refused.is_some());
    assert_eq!(shop.counter.printer("receipt").expect("there").with(|printer| printer.kicked()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_aborted_by_its_key_and_its_outcome_is_its_own_reply() {
    let shop = Shop::open().await;
    shop.counter.terminal("counter").expect("there").with(|terminal| {
        // A customer who takes his time.
        terminal.profile_mut().pace = Duration::from_secs(2);
    });
    let client = shop.client("anna").await;
    let paying = client.call_as("a", pay(5_00));
    let aborting = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        client.abort("a").await
    };
    let (paid, aborted) = tokio::join!(paying, aborting);
    assert!(aborted.expect("asked"), "it was running");
    assert!(matches!(paid, Ok(Payment::NotCharged(_))), "{paid:?}");
    assert_eq!(shop.charged(), 0);
    assert!(!client.abort("a").await.expect("asked"), "it is done");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_has_left_takes_no_scan_with_it_and_finds_it_under_its_key() {
    let shop = Shop::open().await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let next = json!({ "id": 1, "key": "s", "command": "scanner.next", "with": { "scanner": "hand" } });
    peer.text(&next.to_string()).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(peer);
    tokio::time::sleep(Duration::from_millis(10)).await;
    shop.scan("4006381333931");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = shop.client("anna").await;
    let next = scanner::Next { scanner: "hand".into(), within: None };
    let scan = soon(Duration::from_secs(5), client.call_as("s", next)).await.expect("in time").expect("answered");
    assert_eq!(scan.map(|scan| scan.text).as_deref(), Some("4006381333931"));
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_of_one_connection_are_refused_and_a_client_keeps_within_the_limit() {
    let shop = Shop::open().await;
    let mut greedy = Peer::welcomed(shop.stream(), "anna").await;
    for id in 0..=IN_FLIGHT {
        let with = json!({ "scanner": "hand", "within_ms": 5000 });
        let request = json!({ "id": id, "key": format!("s{id}"), "command": "scanner.next", "with": with });
        greedy.text(&request.to_string()).await;
    }
    let refused = greedy.json().await;
    assert_eq!((&refused["id"], &refused["error"]["kind"]), (&json!(IN_FLIGHT), &json!("busy")), "{refused}");
    let client = shop.client("anna").await;
    let many = (0..3 * IN_FLIGHT).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.call(till::Info {}).await })
    });
    for call in many.collect::<Vec<_>>() {
        call.await.expect("no panic").expect("answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_only_waits_ends_when_its_caller_does_not_wait_any_more() {
    let shop = Shop::open().await;
    let client = shop.client("anna").await;
    let next = scanner::Next { scanner: "hand".into(), within: Some(Duration::from_secs(300)) };
    soon(Duration::from_secs(5), client.call(next.clone())).await.expect_err("no scan came");
    tokio::time::sleep(Duration::from_millis(100)).await;
    shop.scan("4006381333931");
    let scan = soon(Duration::from_secs(5), client.call(next)).await.expect("in time").expect("answered");
    assert!(scan.is_some(), "the first call has not taken it");
}
