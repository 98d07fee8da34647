//! What is not offered any more is taken away, and with it nothing that was open.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tresen::{Class, DeviceId, Kind, Payment, Print, Receipt};
use tresen_remote::attach::{ALL_DEVICES, DEVICES, LAST};

use super::peer::{MINUTE, Peer, Shop, belt, charged, offer, pay, terminal};
use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn named(name: &str) -> Value {
    let mut belt = belt();
    belt["name"] = json!(name);
    belt
}

fn names(shop: &Shop) -> Vec<String> {
    shop.till.devices().into_iter().map(|state| state.id.name).collect()
}

/// The next answer to an offer.
async fn attached(peer: &mut Peer) -> Vec<Value> {
    loop {
        if let Some(attached) = peer.hears().await.get("attached") {
            return attached["devices"].as_array().expect("a list").clone();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn devices_under_ever_new_names_do_not_pile_up() {
    let shop = Shop::open().await;
    let mut peer = Peer::connect(&shop.hub, "handheld 7", "attach");
    // One after the other, and without waiting for any answer.
    for n in 0..40 {
        peer.says(offer("run 1", &[named(&format!("belt {n}"))])).expect("is right");
        let told = attached(&mut peer).await;
        assert_eq!(told[0]["as"], format!("belt {n}.7"));
        assert_eq!(names(&shop), [format!("belt {n}.7")]);
    }
    for n in 0..400 {
        let many: Vec<_> = (0..DEVICES).map(|k| named(&format!("many {n} {k}"))).collect();
        peer.says(offer("run 1", &many)).expect("is right");
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
        assert!(names(&shop).len() <= 2 * DEVICES, "{}", names(&shop).len());
    }
    peer.says(offer("run 1", &[named("last")])).expect("is right");
    while attached(&mut peer).await.first().is_none_or(|device| device["as"] != "last.7") {}
    assert_eq!(names(&shop), ["last.7"]);
}

#[tokio::test(start_paused = true)]
async fn all_handhelds_together_have_a_limit() {
    let shop = Shop::open().await;
    let many: Vec<_> = (0..DEVICES).map(|n| named(&format!("belt {n}"))).collect();
    let mut peers = Vec::new();
    for n in 0..=ALL_DEVICES / DEVICES {
        let mut peer = Peer::connect(&shop.hub, &format!("handheld {n}"), "attach");
        peer.says(offer("run 1", &many)).expect("is right");
        let told = attached(&mut peer).await;
        let refused = told.iter().filter(|device| device["refused"]["kind"] == "busy").count();
        assert_eq!(refused, if n < ALL_DEVICES / DEVICES { 0 } else { DEVICES }, "{n}");
        peers.push(peer);
    }
    assert_eq!(shop.till.devices().len(), ALL_DEVICES);
    // One that leaves its devices makes room.
    peers[0].says(offer("run 1", &[])).expect("is right");
    sleep(SECOND).await;
    let last = peers.last_mut().expect("some");
    last.says(offer("run 1", &many)).expect("is right");
    assert!(attached(last).await.iter().all(|device| device["as"].is_string()));
}

#[tokio::test(start_paused = true)]
async fn what_runs_at_a_device_that_is_taken_away_ends_honestly_and_is_known_when_it_is_back() {
    for (answer, over) in [(Some("charged"), true), (Some("never"), false), (None, false)] {
        let shop = Shop::open().await;
        let mut peer = shop.peer(&[belt(), terminal("J")]).await;
        let printer = shop.till.printer("belt.7").expect("attached");
        let print = tokio::spawn(async move { printer.print_as("job-1", &Receipt::new().text("a")).await });
        assert_eq!(peer.asked().await.1, "print");
        let paying = pay(&shop.terminal().await, "sale-1");
        assert_eq!(peer.asked().await.1, "transact");
        peer.says(offer("run 1", &[])).expect("is right");
        let printed = timeout(3 * LAST, print).await.expect("in time").expect("ends").expect("stored");
        assert!(matches!(printed, Print::Unknown { .. }), "{printed:?}");
        let paid = timeout(3 * LAST, paying).await.expect("in time").expect("ends");
        assert!(matches!(paid, Ok(Payment::Unknown(_))), "{paid:?}");
        assert_eq!(attached(&mut peer).await, [Value::Null; 0]);
        assert_eq!(names(&shop), [""; 0]);
        let open = shop.till.open_payments("terminal.7").await.expect("readable");
        assert_eq!(open.len(), 1, "it is not forgotten");

        let Some(answer) = answer else { continue };
        peer.says(offer("run 1", &[terminal("J")])).expect("is right");
        let (id, call, with) = peer.asked().await;
        assert_eq!((call.as_str(), with), ("find", json!({"key": "sale-1"})), "nothing is sent twice");
        peer.answers(
            id,
            match answer {
                "charged" => json!({"ended": charged("sale-1", 12_50)["payment"]}),
                // Over the connection on which it was sent, this contradicts itself.
                never => json!(never),
            },
        );
        sleep(SECOND).await;
        let open = shop.till.open_payments("terminal.7").await.expect("readable");
        assert_eq!(open.is_empty(), over, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_in_time_with_a_device_that_was_taken_away() {
    let shop = Shop::open().await;
    let mut peer = shop.peer(&[terminal("J")]).await;
    let anna = shop.till.on_behalf_of("anna");
    let lease = anna.lease(&shop.terminal().await).await.expect("free");
    peer.says(offer("run 1", &[])).expect("is right");
    attached(&mut peer).await;
    sleep(4 * MINUTE).await;
    assert_eq!(shop.till.leases().await.expect("readable").len(), 0);
    peer.says(offer("run 1", &[terminal("J")])).expect("is right");
    attached(&mut peer).await;
    let bo = shop.till.on_behalf_of("bo");
    bo.lease(&shop.terminal().await).await.expect("free again");
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_away_at_the_handheld_or_with_it_stays_at_the_till() {
    let mut world = World::connected().await;
    let belt = DeviceId::new(Class::Printer, "belt.7");
    let phase = || world.shop.till.phase(&belt).expect("it stays");
    let plug = world.handheld.counter.printer("belt").expect("there");
    plug.unplug();
    timeout(MINUTE, phase().wait_for(|phase| phase.is_away())).await.expect("in time").expect("lives");
    // Another device comes back, with which everything is offered again.
    let scanner = world.handheld.counter.scanner("scanner").expect("there");
    scanner.unplug();
    sleep(5 * SECOND).await;
    scanner.plug_in();
    sleep(MINUTE).await;
    assert!(phase().borrow().is_away());
    plug.plug_in();
    timeout(MINUTE, phase().wait_for(|phase| phase.is_ready())).await.expect("in time").expect("lives");
    world.disconnect();
    sleep(60 * MINUTE).await;
    assert!(world.shop.till.phase(&belt).expect("it stays").borrow().is_away());
    world.connect(None);
    world.ready().await;
    world.till_prints("after an hour").await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_the_handheld_removes_leaves_the_till_and_may_come_back() {
    let world = World::connected().await;
    let belt = DeviceId::new(Class::Printer, "belt.7");
    let mut config = world.handheld.counter.config();
    let with = config.clone();
    config.devices.remove(&DeviceId::new(Class::Printer, "belt"));
    world.handheld.till.reload_with(config, SECOND).await.expect("right");
    sleep(SECOND).await;
    assert_eq!(world.shop.till.phase(&belt).expect_err("it is gone").kind(), Kind::Config);
    world.handheld.till.reload_with(with, SECOND).await.expect("right");
    sleep(SECOND).await;
    world.ready().await;
    world.till_prints("back").await;
}

#[tokio::test(start_paused = true)]
async fn the_devices_of_a_revoked_handheld_go_and_their_names_are_free() {
    let shop = Shop::open().await;
    let mut peer = shop.peer(&[belt(), terminal("J")]).await;
    let paying = pay(&shop.terminal().await, "sale-1");
    assert_eq!(peer.asked().await.1, "transact");
    let mut other = Peer::connect(&shop.hub, "tablet 7", "attach");
    shop.hub.forget("handheld 7", shop.hub.latest());
    // What comes late over its connection changes nothing.
    peer.says(offer("run 1", &[belt()])).expect("is ignored");
    // The terminal's call has not ended yet.
    other.says(offer("run 9", &[belt(), terminal("K")])).expect("is right");
    let told = attached(&mut other).await;
    assert!(told.iter().any(|device| device["refused"]["kind"] == "busy"), "{told:?}");
    let paid = timeout(3 * LAST, paying).await.expect("in time").expect("ends");
    assert!(matches!(paid, Ok(Payment::Unknown(_))), "{paid:?}");
    sleep(SECOND).await;
    assert_eq!(shop.hub.owners(), ["tablet 7"]);
    other.says(offer("run 9", &[belt(), terminal("K")])).expect("is right");
    let told = attached(&mut other).await;
    assert_eq!((&told[0]["as"], &told[1]["as"]), (&json!("belt.7"), &json!("terminal.7")), "{told:?}");
    // The open payment is not another handheld's to decide.
    let (id, call, _) = other.asked().await;
    assert_eq!(call, "find");
    other.answers(id, json!("never"));
    sleep(SECOND).await;
    assert_eq!(shop.till.open_payments("terminal.7").await.expect("readable").len(), 1, "a person decides");
    drop(peer);
    sleep(SECOND).await;
    assert_eq!(names(&shop), ["belt.7", "terminal.7"], "the end of the old connection takes nothing away");
}
