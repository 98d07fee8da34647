//! One offer, several clients: it is used by one at a time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};
use tresen_hal::{BoxFuture, Error, Kind, Result, Runtime, SimulatedRuntime};
use tresen_remote::attach::wire::FromTill;
use tresen_remote::client::{Client, Dial, Options, Stream};

use super::world::World;

/// A till that is never there.
struct Nowhere;

impl Dial for Nowhere {
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Stream>>> {
        Box::pin(async { Err(Error::new(Kind::Closed, "nobody is there")) })
    }

    fn host(&self) -> &str {
        "127.0.0.1:7480"
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_client_does_not_get_what_another_offers() {
    let world = World::open().await;
    let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time")));
    let options = Options::new(runtime).offer(world.offer.clone());
    let first = Client::lazy(Nowhere, options.clone()).expect("it is free");
    let same = first.clone();
    let refused = Client::connect(Nowhere, options.clone()).await.expect_err("in use");
    assert_eq!(refused.kind(), Kind::Input, "{refused}");
    drop(first);
    assert!(Client::lazy(Nowhere, options.clone()).is_err(), "its clone is the same client");
    drop(same);
    Client::lazy(Nowhere, options).expect("free again");
}

/// A payment that comes late over a connection that was replaced is never begun: the till has been told over the next one
/// that it is not known.
#[tokio::test(start_paused = true)]
async fn nothing_is_taken_in_over_a_connection_that_was_replaced() {
    let world = World::open().await;
    let mut old = world.offer.connect(&world.welcome());
    let ask = |id: u64, call: &str, with: serde_json::Value| -> FromTill {
        let device = json!({"class": "terminal", "name": "terminal"});
        serde_json::from_value(json!({"ask": {"id": id, "device": device, "call": call, "with": with}}))
            .expect("an ask")
    };
    let mut new = world.offer.connect(&world.welcome());
    new.take(ask(1, "find", json!({"key": "sale-1"})));
    let answer = loop {
        let text = new.next().await.expect("open");
        if text.contains("answer") {
            break text;
        }
    };
    assert!(answer.contains("never"), "{answer}");
    let amount = serde_json::to_value(tresen::Amount::eur(12_50)).expect("an amount");
    old.take(ask(1, "transact", json!({"operation": "pay", "key": "sale-1", "amount": amount})));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(world.charged(), 0);
    while let Ok(Some(text)) = timeout(Duration::from_secs(1), old.next()).await {
        assert!(!text.contains("answer"), "{text}");
    }
}
