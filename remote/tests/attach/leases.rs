//! Leases of a handheld's devices: they outlast its absence, and end when the till has the devices no more.

use tresen::lease::{End, Target};
use tresen::{Class, DeviceId, EventKind, Events, Phase};

use super::peer::{Shop, belt};
use super::world::World;

async fn ended(events: &mut Events) -> (String, End) {
    loop {
        let event = events.next().await.expect("the till is open");
        if let EventKind::LeaseEnded { holder, why, .. } = event.kind {
            return (holder, why);
        }
    }
}

fn id() -> DeviceId {
    DeviceId::new(Class::Printer, "belt.7")
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_away_keeps_its_lease_and_one_of_a_revoked_handheld_loses_it() {
    let mut world = World::connected().await;
    let till = world.shop.till.clone();
    let anna = till.on_behalf_of("anna");
    let lease = anna.lease(id()).await.expect("free");
    let (mut events, mut phase) = (till.events(), till.phase(&id()).expect("attached"));
    world.disconnect();
    phase.wait_for(Phase::is_away).await.expect("attached");
    lease.renew().await.expect("still hers");
    world.connect(None);
    world.ready().await;
    lease.renew().await.expect("still hers");

    world.disconnect();
    world.hub.forget("handheld 7", world.hub.latest());
    assert_eq!(ended(&mut events).await, ("anna".into(), End::Removed));
    assert!(till.phase(&id()).is_err());
    assert_eq!(till.leases().await.expect("readable"), []);
}

#[tokio::test(start_paused = true)]
async fn an_expected_device_keeps_its_lease_when_its_handheld_is_revoked() {
    let shop = Shop::with("[remote]\n[printers.'belt.7']\nfrom = 'handheld 7'\n").await;
    let _peer = shop.peer(&[belt()]).await;
    shop.till.on_behalf_of("anna").lease(id()).await.expect("free");
    let mut events = shop.till.events();
    shop.hub.forget("handheld 7", shop.hub.latest());
    let mut phase = shop.till.phase(&id()).expect("it is expected");
    phase.wait_for(Phase::is_away).await.expect("it stays");
    let leases = shop.till.leases().await.expect("readable");
    assert_eq!(leases.iter().map(|view| &view.target).collect::<Vec<_>>(), [&Target::from(id())]);
    assert_eq!(ended(&mut events).await, ("anna".into(), End::Expired));
}
