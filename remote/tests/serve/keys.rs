//! Calls that come again under their keys, whatever has happened to the sale, the till and the caller since.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tresen_remote::client::{Dial, Stream};
use tresen_remote::server::{Options, Server};
use tresen_remote::trust::Gate;

use super::audit::Full;
use super::frames::{Peer, TEXT, frame};
use super::shop::{ALL, Memory, Shop, principal};

fn call(id: u64, key: &str, command: &str, with: &Value) -> String {
    json!({ "id": id, "key": key, "command": command, "with": with }).to_string()
}

/// The answer to one call.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>, key: &str, command: &str, with: &Value) -> Value {
    peer.text(&call(7, key, command, with)).await;
    loop {
        let answer = peer.json().await;
        if answer["id"] == 7 {
            return answer;
        }
    }
}

/// The kind and the effect of a call that was refused.
fn refused(answer: &Value) -> (&str, &str) {
    let word = |of: &str| answer["error"][of].as_str().unwrap_or_else(|| panic!("no error: {answer}"));
    (word("kind"), word("effect"))
}

/// The sale `s`, of 3.80 EUR.
async fn sale(shop: &Shop) -> Value {
    let line = json!({ "name": "Tea", "quantity": { "pieces": 1 }, "unit_price": "3.80 EUR", "vat": 700,
        "total": "3.80 EUR" });
    shop.till.ask_json("sale.open", json!({ "id": "s" })).await.expect("opens");
    shop.till.ask_json("sale.add", json!({ "sale": "s", "line": line })).await.expect("added")
}

async fn found(shop: &Shop) -> Value {
    shop.till.ask_json("sale.find", json!({ "sale": "s" })).await.expect("readable")
}

fn slow_customer(shop: &Shop) {
    let terminal = shop.counter.terminal("counter").expect("there");
    terminal.with(|terminal| terminal.profile_mut().pace = Duration::from_secs(2));
}

/// A connection to another run of the server.
async fn connected(server: &Arc<Server>) -> Peer<Box<dyn Stream>> {
    Peer::welcomed(Memory(server.clone()).dial().await.expect("there is room"), "anna").await
}

/// Another run of the server of a shop.
fn restarted(shop: &Shop, gate: Arc<dyn Gate>) -> Arc<Server> {
    Arc::new(Server::start(&shop.till, gate, Options::default()).expect("starts"))
}

/// Stops a server that paper keeps from ending at once: it waits for its printer. Until then calls are refused.
async fn stopping<S: AsyncRead + AsyncWrite + Unpin>(shop: &Shop, server: &Arc<Server>, peer: &mut Peer<S>) {
    shop.counter.printer("receipt").expect("there").unplug();
    let print = json!({ "printer": "receipt", "content": receipt(), "within_ms": 300_000 });
    peer.text(&call(1, "waits", "printer.print", &print)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let server = server.clone();
    tokio::spawn(async move { server.close(Duration::from_secs(600)).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
}

fn receipt() -> Value {
    json!({ "v": 1, "receipt": { "items": [] } })
}

fn pay(amount: &str) -> Value {
    json!({ "terminal": "counter", "amount": amount })
}

#[tokio::test(start_paused = true)]
async fn a_check_out_that_comes_again_with_its_rev_is_joined_and_later_given_its_reply() {
    let shop = Shop::open().await;
    slow_customer(&shop);
    let before = sale(&shop).await;
    let check_out = json!({ "sale": "s", "rev": before["rev"], "terminal": "counter", "printer": "receipt" });
    let mut first = Peer::welcomed(shop.stream(), "anna").await;
    first.text(&call(1, "a", "sale.check-out", &check_out)).await;
    while found(&shop).await["rev"] == before["rev"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The attempt has begun, and the link is cut.
    drop(first);
    let mut again = Peer::welcomed(shop.stream(), "anna").await;
    let joined = ask(&mut again, "a", "sale.check-out", &check_out).await;
    assert!(joined["reply"]["sold"]["closed"].is_object(), "{joined}");
    assert_eq!(ask(&mut again, "a", "sale.check-out", &check_out).await, joined, "given again");
    assert_eq!((shop.charged(), shop.paper().matches("Tea").count()), (3_80, 1));
}

#[tokio::test(start_paused = true)]
async fn a_right_that_was_withdrawn_is_missing_for_what_runs_too_and_its_outcome_is_not_told() {
    let shop = Shop::open().await;
    slow_customer(&shop);
    let mut first = Peer::welcomed(shop.stream(), "anna").await;
    first.text(&call(1, "a", "terminal.pay", &pay("12.50 EUR"))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    shop.gate.admit("anna", principal("anna", "watch sell"));
    let mut fewer = Peer::welcomed(shop.stream(), "anna").await;
    let running = ask(&mut fewer, "a", "terminal.pay", &pay("12.50 EUR")).await;
    assert_eq!(refused(&running), ("permission", "unknown"), "{running}");
    while shop.charged() == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut fewer = Peer::welcomed(shop.stream(), "anna").await;
    let done = ask(&mut fewer, "a", "terminal.pay", &pay("12.50 EUR")).await;
    assert_eq!(refused(&done), ("permission", "unknown"), "{done}");
    let first = ask(&mut fewer, "b", "terminal.pay", &pay("12.50 EUR")).await;
    assert_eq!(refused(&first), ("permission", "none"), "nothing was done under this key: {first}");
    let record = shop.gate.record();
    assert_eq!(record.iter().filter(|entry| entry.action == "terminal.pay" && entry.refused.is_some()).count(), 3);
    // With the right, it is told.
    shop.gate.admit("anna", principal("anna", ALL));
    let mut again = Peer::welcomed(shop.stream(), "anna").await;
    let told = ask(&mut again, "a", "terminal.pay", &pay("12.50 EUR")).await;
    assert!(told["reply"]["charged"].is_object(), "{told}");
    assert_eq!(shop.charged(), 12_50);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_till_says_again_what_it_knows_of_a_payment_whose_outcome_is_open() {
    let shop = Shop::open().await;
    slow_customer(&shop);
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    peer.text(&call(1, "a", "terminal.pay", &pay("12.50 EUR"))).await;
    let key = tresen::payment::IntentId("anna/a".into());
    while shop.till.store().payment(&key).await.expect("readable").is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    shop.counter.terminal("counter").expect("there").unplug();
    let open = peer.json().await;
    assert!(open["reply"]["unknown"].is_object(), "{open}");
    stopping(&shop, &shop.server, &mut peer).await;
    let again = ask(&mut peer, "a", "terminal.pay", &pay("12.50 EUR")).await;
    assert_eq!(again["reply"], open["reply"], "{again}");
    let new = ask(&mut peer, "b", "terminal.pay", &pay("12.50 EUR")).await;
    assert_eq!(refused(&new), ("cancelled", "none"), "{new}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_under_a_key_of_an_earlier_run_may_have_been_done() {
    let shop = Shop::open().await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let opened = sale(&shop).await;
    let cash = json!({ "sale": "s", "rev": opened["rev"], "given": "1.00 EUR" });
    let print = json!({ "printer": "receipt", "content": receipt() });
    let done = [
        ("a", "terminal.pay", pay("12.50 EUR")),
        ("b", "sale.pay-cash", cash),
        ("c", "printer.submit", print),
        ("d", "sale.open", json!({})),
    ];
    for (key, command, with) in &done {
        let answer = ask(&mut peer, key, command, with).await;
        assert!(answer.get("reply").is_some(), "{answer}");
    }
    // Another run of the server, which is told to stop.
    shop.server.close(Duration::ZERO).await;
    let server = restarted(&shop, shop.gate.clone());
    let mut peer = connected(&server).await;
    stopping(&shop, &server, &mut peer).await;
    for (key, command, with) in &done {
        let again = ask(&mut peer, key, command, with).await;
        assert_eq!(refused(&again), ("cancelled", "unknown"), "{command}: {again}");
        assert!(again["error"]["hint"].as_str().is_some_and(|hint| hint.contains("before")), "{again}");
        let new = ask(&mut peer, &format!("new-{key}"), command, with).await;
        assert_eq!(refused(&new), ("cancelled", "none"), "{command}: {new}");
    }
    // The caller may not do it any more.
    let server = restarted(&shop, shop.gate.clone());
    shop.gate.admit("anna", principal("anna", "watch"));
    let mut peer = connected(&server).await;
    for (key, command, with) in &done {
        let again = ask(&mut peer, key, command, with).await;
        assert_eq!(refused(&again), ("permission", "unknown"), "{command}: {again}");
        let new = ask(&mut peer, &format!("new-{key}"), command, with).await;
        assert_eq!(refused(&new), ("permission", "none"), "{command}: {new}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_may_have_been_done_before() {
    let shop = Shop::open().await;
    let refund = json!({ "terminal": "counter", "amount": "2.00 EUR" });
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let given = ask(&mut peer, "a", "terminal.refund", &refund).await;
    assert!(given["reply"]["charged"].is_object(), "{given}");
    let server = restarted(&shop, Arc::new(Full(shop.gate.clone())));
    let mut peer = connected(&server).await;
    for _ in 0..2 {
        let again = ask(&mut peer, "a", "terminal.refund", &refund).await;
        assert_eq!(refused(&again), ("storage", "unknown"), "{again}");
        let new = ask(&mut peer, "b", "terminal.refund", &refund).await;
        assert_eq!(refused(&new), ("storage", "none"), "{new}");
    }
    assert_eq!(shop.charged(), -2_00);
}

#[tokio::test(start_paused = true)]
async fn an_abort_right_behind_its_call_is_not_lost() {
    let shop = Shop::open().await;
    let opened = sale(&shop).await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let check_out = json!({ "sale": "s", "rev": opened["rev"], "terminal": "counter", "printer": "receipt" });
    for (key, command, with) in [
        ("a", "terminal.pay", pay("12.50 EUR")),
        ("b", "sale.pay-card", json!({ "sale": "s", "rev": opened["rev"], "terminal": "counter" })),
        ("c", "sale.check-out", check_out),
        ("d", "scanner.next", json!({ "scanner": "hand" })),
    ] {
        let abort = json!({ "id": 2, "command": "abort", "with": { "key": key } }).to_string();
        let both = [frame(TEXT, call(1, key, command, &with).as_bytes()), frame(TEXT, abort.as_bytes())];
        peer.bytes(&both.concat()).await;
        let answers = [peer.json().await, peer.json().await];
        let of = |id: u64| answers.iter().find(|answer| answer["id"] == id).expect("answered");
        assert_eq!(of(2)["reply"], true, "{command}: {answers:?}");
        assert_eq!(refused(of(1)), ("cancelled", "none"), "{command}: {answers:?}");
        if command != "scanner.next" {
            // Its answer was lost.
            let again = ask(&mut peer, key, command, &with).await;
            assert_eq!(refused(&again), ("cancelled", "none"), "{command}: {again}");
        }
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((shop.charged(), &found(&shop).await["rev"]), (0, &opened["rev"]), "nothing has begun");
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    shop.scan("4006381333931");
    let scan = ask(&mut peer, "e", "scanner.next", &json!({ "scanner": "hand", "within_ms": 5_000 })).await;
    assert_eq!(scan["reply"]["text"], "4006381333931", "the first call has not taken it");
}

#[tokio::test(start_paused = true)]
async fn a_step_with_a_key_is_the_same_whatever_its_rev_and_operator() {
    let shop = Shop::open().await;
    let opened = sale(&shop).await;
    let mut peer = Peer::welcomed(shop.stream(), "anna").await;
    let mut part = json!({ "sale": "s", "rev": opened["rev"], "terminal": "counter", "amount": "2.00 EUR" });
    let paid = ask(&mut peer, "a", "sale.pay-card", &part).await;
    assert!(paid["reply"]["payment"]["charged"].is_object(), "{paid}");
    // Its program has started again, and has read the sale.
    part["rev"] = found(&shop).await["rev"].clone();
    part["by"] = json!({ "operator": "Bo" });
    let again = ask(&mut peer, "a", "sale.pay-card", &part).await;
    assert_eq!(again["reply"]["payment"], paid["reply"]["payment"], "{again}");
    part["amount"] = json!("1.80 EUR");
    let other = ask(&mut peer, "a", "sale.pay-card", &part).await;
    assert_eq!(refused(&other), ("input", "none"), "{other}");
    assert_eq!(shop.charged(), 2_00);
}
