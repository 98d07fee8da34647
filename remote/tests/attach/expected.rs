//! Devices that the till's configuration expects from a handheld: they are there, away, before it comes.

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};
use tresen::config::Device;
use tresen::printers::escpos::sim::Line;
use tresen::{Class, Config, DeviceId, Drivers, Kind, Print, Receipt};
use tresen_remote::attach::Hub;

use super::peer::{MINUTE, Peer, Shop, belt, offer};
use super::world::World;

const TILL: &str = "
    [till]
    name = 'Till 1'
    [remote]
    [printers.bar]
    address = 'escpos+tcp://10.0.0.21'
    [printers.'belt.7']
    from = 'handheld 7'
    [terminals.'terminal.7']
    from = 'handheld 7'
    [scanners.'scanner.7']
    from = 'handheld 7'
    [stations.'handheld 7']
    terminal = 'terminal.7'
    printer = 'belt.7'
    scanner = 'scanner.7'
    [routes]
    receipt = ['belt.7', 'bar']
    [routes.own]
    printers = ['belt.7']
    own = true
";

fn id() -> DeviceId {
    DeviceId::new(Class::Printer, "belt.7")
}

fn bar(world: &World) -> String {
    world.shop.counter.printer("bar").expect("there").with(|printer| printer.roll().text().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_for_the_handheld_or_goes_where_its_route_says() {
    let mut world = World::at(TILL).await;
    let till = &world.shop.till;
    assert!(till.phase(&id()).expect("it is expected").borrow().is_away());
    assert_eq!(till.on_behalf_of("handheld 7").my_printer().expect("of the station").name(), "belt.7");
    let waiting = till.printer("own").expect("a route").print_as("job-1", &Receipt::new().text("waits")).await;
    assert!(matches!(waiting, Ok(Print::Waiting { .. })), "{waiting:?}");
    let elsewhere =
        till.printer("receipt").expect("a route").print_as("job-2", &Receipt::new().text("elsewhere")).await;
    assert!(matches!(&elsewhere, Ok(Print::Printed { on, .. }) if on == "bar"), "{elsewhere:?}");
    let refused = till.terminal("terminal.7").expect("expected").pay(tresen::Amount::eur(1)).await;
    assert_eq!(refused.expect_err("it is away").effect(), tresen::Effect::None);

    // The till restarts before the handheld comes.
    world.shop.restart().await;
    world.hub = Hub::new(&world.shop.till);
    world.run += 1;
    sleep(MINUTE).await;
    world.connect(None);
    world.ready().await;
    let ended = world.shop.till.print_job("job-1").outcome(MINUTE).await;
    assert!(matches!(&ended, Ok(Print::Printed { on, .. }) if on == "belt.7"), "{ended:?}");
    assert_eq!((world.paper().matches("waits").count(), world.paper().matches("elsewhere").count()), (1, 0));
    assert_eq!((bar(&world).matches("waits").count(), bar(&world).matches("elsewhere").count()), (0, 1));

    // It stays when the handheld does not offer it any more, and serves again when it does.
    let mut without = world.handheld.counter.config();
    let with = without.clone();
    without.devices.remove(&DeviceId::new(Class::Printer, "belt"));
    world.handheld.till.reload_with(without, MINUTE).await.expect("right");
    sleep(MINUTE).await;
    assert!(world.shop.till.phase(&id()).expect("it stays").borrow().is_away());
    let job =
        world.shop.till.printer("own").expect("a route").submit(&Receipt::new().text("later")).await.expect("stored");
    world.handheld.till.reload_with(with, MINUTE).await.expect("right");
    let ended = job.outcome(2 * MINUTE).await;
    assert!(matches!(ended, Ok(Print::Printed { .. })), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn only_its_station_may_offer_it() {
    let shop = Shop::with(
        "[remote]\n[printers.'belt.7']\nfrom = 'handheld 7'\n[printers.'own.7']\naddress = 'escpos+tcp://10.0.0.20'\n",
    )
    .await;
    let mut other = Peer::connect(&shop.hub, "tablet 7", "attach");
    let mut own = belt();
    own["name"] = json!("own");
    other.says(offer("run 1", &[belt(), own])).expect("is right");
    let told = other.hears().await;
    for device in told["attached"]["devices"].as_array().expect("a list") {
        assert_eq!(device["refused"]["kind"], "config", "{told}");
    }
    assert!(shop.till.phase(&id()).expect("it is expected").borrow().is_away());
    // It is revoked with its handheld, and expected again from the next of that station.
    shop.peer(&[belt()]).await;
    shop.hub.forget("handheld 7", shop.hub.latest());
    sleep(MINUTE).await;
    assert!(shop.till.phase(&id()).expect("it is expected").borrow().is_away());
    assert!(!shop.hub.owners().contains(&"handheld 7".to_owned()));
    let mut peer = shop.peer(&[belt()]).await;
    let printer = shop.till.printer("belt.7").expect("attached");
    let print = tokio::spawn(async move { printer.print_as("job-1", &Receipt::new().text("a")).await });
    let (job, call, _) = peer.asked().await;
    assert_eq!(call, "print");
    peer.answers(job, json!("accepted"));
    assert!(matches!(print.await.expect("ends"), Ok(Print::Accepted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_reload_expects_what_is_offered_already_and_gives_it_up_again() {
    let world = World::connected().await;
    world.till_prints("before").await;
    let plain = world.shop.counter.config();
    let expecting = plain.clone().with(Class::Printer, "belt.7", Device::offered_by("handheld 7"));
    let changed = world.shop.till.reload_with(expecting.clone(), MINUTE).await.expect("right");
    assert_eq!(changed, tresen::Reloaded::default(), "it goes on as it is");
    world.till_prints("expected").await;
    // One that is made anew finds what is offered.
    let mut slower = expecting;
    slower.devices.get_mut(&id()).expect("configured").reconnect = Some(tresen::config::Reconnect::default());
    let changed = world.shop.till.reload_with(slower, MINUTE).await.expect("right");
    assert_eq!(changed.replaced, [id()]);
    let mut phase = world.shop.till.phase(&id()).expect("there");
    timeout(MINUTE, phase.wait_for(|phase| phase.is_ready())).await.expect("in time").expect("lives");
    world.till_prints("anew").await;
    // Without it the device is gone until it is offered again.
    world.shop.till.reload_with(plain, MINUTE).await.expect("right");
    assert_eq!(world.shop.till.phase(&id()).expect_err("gone").kind(), Kind::Config);
    let mut world = world;
    world.connect(None);
    sleep(MINUTE).await;
    world.ready().await;
    world.till_prints("offered").await;
}

#[tokio::test(start_paused = true)]
async fn a_job_in_the_middle_when_the_handheld_is_lost_is_in_doubt_and_the_route_goes_on() {
    let mut world = World::at(TILL).await;
    world.connect(None);
    world.ready().await;
    let slow = world.handheld.counter.printer("belt").expect("there");
    slow.with(|printer| printer.faults.line = Some(Line { bytes_per_second: 20, buffer: 64 }));
    let long = (0..40).fold(Receipt::new().text("first"), |receipt, line| receipt.text(format!("line {line}")));
    let printer = world.shop.till.printer("receipt").expect("a route");
    let printing = tokio::spawn(async move { printer.print_as("job-1", &long).await });
    sleep(Duration::from_secs(5)).await;
    world.disconnect();
    world.handheld.till.close(Duration::ZERO).await.ok();
    let ended = printing.await.expect("ends").expect("stored");
    assert!(matches!(&ended, Print::Unknown { .. }), "{ended:?}");
    let next =
        world.shop.till.printer("receipt").expect("a route").print_as("job-2", &Receipt::new().text("second")).await;
    assert!(matches!(&next, Ok(Print::Printed { on, .. }) if on == "bar"), "{next:?}");
    assert_eq!((bar(&world).matches("first").count(), bar(&world).matches("second").count()), (0, 1));
}

#[test]
fn the_configuration_of_these_tests_is_right() {
    let checked = Config::check_text(TILL, "till.toml", &Drivers::standard());
    assert_eq!(checked.problems, []);
}
