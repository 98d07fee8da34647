//! What crosses the network fits the schema from which other languages generate their messages.

use serde_json::{Value, json};
use tresen_remote::wire::{Abort, Follow, FromClient, Hello, Ping};

use super::described::{part, valid};
use super::frames::Peer;
use super::shop::Shop;

#[tokio::test(start_paused = true)]
async fn every_message_of_the_till_is_described() {
    let shop = Shop::open().await;
    let till = part("/messages/till");
    let mut peer = Peer::upgrade(shop.stream(), "").await;
    let mut heard = Vec::new();
    for sent in [
        json!({ "hello": Hello::new(Some("anna".into())) }),
        json!({ "id": 1, "command": "till.info" }),
        json!({ "id": 2, "command": "till.explode" }),
        json!({ "id": 3, "command": "follow", "with": { "since": 0, "run": "another" } }),
        json!({ "id": 4, "key": "a", "command": "terminal.pay", "with": { "terminal": "counter", "amount": "1.00 EUR" } }),
    ] {
        let sent = sent.to_string();
        FromClient::decode(&sent).expect("a message");
        valid(&part("/messages/client"), &serde_json::from_str(&sent).expect("JSON"));
        peer.text(&sent).await;
        let id = serde_json::from_str::<Value>(&sent).expect("JSON")["id"].clone();
        loop {
            let message = peer.json().await;
            let answers = message["id"] == id;
            heard.push(message);
            if answers {
                break;
            }
        }
    }
    let followed = heard.iter().find(|message| message["id"] == 3).expect("answered");
    valid(&part("/messages/requests/follow/reply"), &followed["reply"]);
    assert!(followed["reply"]["missed"].is_object(), "{followed}");
    // A message that ends the connection, and what is said when the till stops.
    let mut second = Peer::welcomed(shop.stream(), "anna").await;
    shop.server.close(std::time::Duration::from_secs(1)).await;
    for peer in [&mut peer, &mut second] {
        while let Some((super::frames::TEXT, message)) = peer.next().await {
            heard.push(serde_json::from_slice(&message).expect("JSON"));
        }
    }
    for message in &heard {
        valid(&till, message);
    }
    for field in ["you", "reply", "error", "event", "closing"] {
        assert!(heard.iter().any(|message| message.get(field).is_some()), "no `{field}` was heard");
    }
    assert!(!till.is_valid(&json!({ "rumour": 1 })) && !till.is_valid(&json!({ "id": 1, "error": 7 })));
}

#[test]
fn what_is_no_message_of_a_client_is_refused_by_the_schema_too() {
    let client = part("/messages/client");
    for wrong in [
        json!({ "hello": { "protocol": 1, "tokn": "t" } }),
        json!({ "hello": { "protocol": "1" } }),
        json!({ "hello": { "protocol": 1 }, "id": 1 }),
        json!({ "id": 1, "command": "till.info", "kee": "a" }),
        json!({ "id": -1, "command": "till.info" }),
        json!({ "command": "till.info" }),
        json!({ "id": 1, "command": "till.info", "leases": [{ "target": 1 }] }),
        json!({ "id": 1, "command": "till.info", "leases": [{ "target": { "sale": "s" }, "token": 1, "kee": "a" }] }),
    ] {
        assert!(!client.is_valid(&wrong), "{wrong}");
        assert!(FromClient::decode(&wrong.to_string()).is_err(), "{wrong}");
    }
    let follow = Follow { since: Some(7), run: Some("r".into()) };
    valid(&part("/messages/requests/follow/with"), &serde_json::to_value(follow).expect("JSON"));
    let ping = part("/messages/requests/ping/with");
    valid(&ping, &serde_json::to_value(Ping {}).expect("JSON"));
    assert!(!ping.is_valid(&json!({ "beat": 1 })));
    let abort = Abort { key: "a".into() };
    valid(&part("/messages/requests/abort/with"), &serde_json::to_value(abort).expect("JSON"));
}
