//! The till's configuration changes while a handheld is here: what became of its devices is not its own any more.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tresen::config::Device;
use tresen::{Class, Config, DeviceId, Error, Kind, Plan, Print, Printers, Receipt};

use super::peer::{MINUTE, Peer, Shop, belt, offer};

const TILL: &str = "
    [remote]
    [printers.bar]
    address = 'escpos+tcp://10.0.0.21'
    [stations.'handheld 8']
    suffix = '7'
";

fn id() -> DeviceId {
    DeviceId::new(Class::Printer, "belt.7")
}

fn expecting(shop: &Shop, station: &str) -> Config {
    shop.counter.config().with(Class::Printer, "belt.7", Device::offered_by(station))
}

/// `belt.7` is expected and offered; then it is the till's own printer, which was `bar` before.
async fn owned() -> (Shop, Peer) {
    let shop = Shop::with(TILL).await;
    shop.reload(expecting(&shop, "handheld 7")).await;
    let peer = shop.peer(&[belt()]).await;
    let mut own = shop.counter.config();
    let bar = own.devices.remove(&DeviceId::new(Class::Printer, "bar")).expect("configured");
    shop.reload(own.with(Class::Printer, "belt.7", bar)).await;
    assert!(prints(&shop).await, "it is the till's own");
    (shop, peer)
}

/// Whether `belt.7` prints on the till's own paper.
async fn prints(shop: &Shop) -> bool {
    let Ok(printer) = shop.till.printer("belt.7") else { return false };
    matches!(timeout(MINUTE, printer.print(&Receipt::new().text("own"))).await, Ok(Ok(Print::Printed { .. })))
}

/// The answer to an offer of `belt`.
async fn answer(peer: &mut Peer) -> Value {
    loop {
        if let Some(attached) = peer.hears().await.get("attached") {
            return attached["devices"][0].clone();
        }
    }
}

/// `belt.7` prints by this handheld.
async fn serves(shop: &Shop, peer: &mut Peer) {
    let printer = shop.till.printer("belt.7").expect("attached");
    let print = tokio::spawn(async move { printer.print(&Receipt::new().text("a")).await });
    let (job, call, _) = peer.asked().await;
    assert_eq!(call, "print");
    peer.answers(job, json!("accepted"));
    assert!(matches!(print.await.expect("ends"), Ok(Print::Accepted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_became_the_tills_own_stays_when_its_handheld_leaves() {
    let (shop, peer) = owned().await;
    peer.says(offer("run 1", &[])).expect("is right");
    sleep(MINUTE).await;
    assert!(prints(&shop).await, "left out of an offer");

    let (shop, _peer) = owned().await;
    shop.hub.forget("handheld 7", shop.hub.latest());
    sleep(MINUTE).await;
    assert!(prints(&shop).await, "revoked");
    assert_eq!(shop.hub.owners(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_became_the_tills_own_cannot_be_offered_again() {
    let (shop, mut peer) = owned().await;
    peer.says(offer("run 1", &[belt()])).expect("is right");
    let told = answer(&mut peer).await;
    assert_eq!(told["refused"]["kind"], "config", "{told}");
    assert!(told["as"].is_null(), "{told}");
    sleep(MINUTE).await;
    assert!(prints(&shop).await);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_attached_under_its_name_is_not_taken_away() {
    let shop = Shop::with(TILL).await;
    let peer = shop.peer(&[belt()]).await;
    shop.till.detach(&id(), Duration::ZERO).await.expect("there");
    let plan = Plan::new("mine", |_| async { Err(Error::new(Kind::Closed, "it is off")) });
    shop.till.attach::<Printers>("belt.7", vec![plan]).await.expect("the name is free");
    peer.says(offer("run 1", &[])).expect("is right");
    sleep(MINUTE).await;
    assert!(shop.till.phase(&id()).is_ok());
    shop.hub.forget("handheld 7", shop.hub.latest());
    sleep(MINUTE).await;
    assert!(shop.till.phase(&id()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_a_reload_expects_later_serves_the_next_handheld_of_its_station() {
    let shop = Shop::with(TILL).await;
    let mut peer = shop.peer(&[belt()]).await;
    serves(&shop, &mut peer).await;
    shop.reload(expecting(&shop, "handheld 7")).await;
    shop.hub.forget("handheld 7", shop.hub.latest());
    sleep(MINUTE).await;
    assert!(shop.till.phase(&id()).expect("it is expected").borrow().is_away());
    let mut next = Peer::connect(&shop.hub, "handheld 7", "attach");
    next.says(offer("run 2", &[belt()])).expect("is right");
    assert_eq!(answer(&mut next).await["as"], "belt.7");
    serves(&shop, &mut next).await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_expected_from_another_station_does_not_serve_by_the_former() {
    let shop = Shop::with(TILL).await;
    shop.reload(expecting(&shop, "handheld 7")).await;
    let mut former = shop.peer(&[belt()]).await;
    serves(&shop, &mut former).await;
    shop.reload(expecting(&shop, "handheld 8")).await;
    sleep(MINUTE).await;
    let away = || shop.till.phase(&id()).expect("it is expected").borrow().is_away();
    assert!(away());
    former.says(offer("run 1", &[belt()])).expect("is right");
    let told = answer(&mut former).await;
    assert_eq!(told["refused"]["kind"], "config", "{told}");
    assert!(away());
    let mut next = Peer::connect(&shop.hub, "handheld 8", "attach");
    next.says(offer("run 8", &[belt()])).expect("is right");
    assert_eq!(answer(&mut next).await["as"], "belt.7");
    serves(&shop, &mut next).await;
    // The former one can do nothing about it any more.
    shop.hub.forget("handheld 7", shop.hub.latest());
    sleep(MINUTE).await;
    serves(&shop, &mut next).await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_expect_from_one_station_what_another_offers() {
    let shop = Shop::with(TILL).await;
    let mut peer = shop.peer(&[belt()]).await;
    let refused = shop.till.reload_with(expecting(&shop, "handheld 8"), MINUTE).await.expect_err("it is another's");
    assert_eq!(refused.kind(), Kind::Config, "{refused}");
    serves(&shop, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_was_narrowed_counts_for_what_is_attached_already() {
    let shop = Shop::with(TILL).await;
    drop(shop.peer(&[belt()]).await);
    let mut peer = Peer::connect(&shop.hub, "handheld 7", "attach:ring.7");
    peer.says(offer("run 1", &[belt()])).expect("is right");
    let told = answer(&mut peer).await;
    assert_eq!(told["refused"]["kind"], "permission", "{told}");
    sleep(MINUTE).await;
    assert_eq!(shop.till.phase(&id()).expect_err("it is gone").kind(), Kind::Config);
}
