//! A handheld or a till that ends in the middle, and starts again.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tresen::payment::Request;
use tresen::{Amount, Effect, Payment};
use tresen_remote::attach::{Hub, Offer, Standing};

use super::world::{World, carry};

const SECOND: Duration = Duration::from_secs(1);

fn slow(world: &World, pace: Duration) {
    let sim = world.handheld.counter.terminal("terminal").expect("there");
    sim.with(|sim| sim.profile_mut().pace = pace);
}

/// How many tenths of a second a payment takes, in these worlds.
const TENTHS: u64 = 40;

#[tokio::test(start_paused = true)]
async fn a_handheld_that_ends_during_a_payment_settles_it_and_tells_when_it_is_back() {
    for tenths in (0..TENTHS).step_by(4) {
        let what = format!("after {tenths} tenths of a second");
        let mut world = World::connected().await;
        slow(&world, Duration::from_millis(500));
        let terminal = world.shop.till.terminal("terminal.7").expect("attached");
        let (_keep, abort) = watch::channel(false);
        let paying =
            tokio::spawn(async move { terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort).await });
        sleep(Duration::from_millis(tenths * 100)).await;
        world.disconnect();
        world.handheld.restart().await;
        sleep(3 * SECOND).await;
        world.offer = Offer::of(&world.handheld.till);
        world.connect(None);
        match timeout(900 * SECOND, paying).await.expect("ends").expect("does not panic") {
            Ok(_) => world.agrees("sale-1", &what).await,
            // Lost before it was begun.
            Err(error) => {
                assert_eq!(error.effect(), Effect::None, "{what}: {error}");
                assert_eq!((world.charged(), world.journals("sale-1").await), (0, (None, None)), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handheld_with_a_restored_database_proves_nothing() {
    let mut world = World::connected().await;
    let folder = tempfile::tempdir().expect("a folder");
    let backup = world.handheld.till.backup(folder.path()).await.expect("backed up");
    slow(&world, Duration::from_millis(500));
    let terminal = world.shop.till.terminal("terminal.7").expect("attached");
    let (_keep, abort) = watch::channel(false);
    let paying = tokio::spawn(async move { terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort).await });
    sleep(2 * SECOND).await;
    world.disconnect();
    sleep(30 * SECOND).await;
    assert_eq!(world.charged(), 12_50, "the handheld went on");
    world.handheld.restore(&backup.path).await;
    world.offer = Offer::of(&world.handheld.till);
    world.connect(None);
    world.ready().await;
    paying.await.expect("does not panic").ok();
    sleep(300 * SECOND).await;
    let (here, there) = world.journals("sale-1").await;
    assert!(there.is_none(), "it has forgotten: {there:?}");
    assert!(
        !matches!(here, Some(Payment::NotCharged(_) | Payment::Charged(_))),
        "nothing tells how it ended: {here:?}"
    );
    let open = world.shop.till.open_payments("terminal.7").await.expect("readable");
    assert_eq!(open.len(), 1, "a person decides");
}

#[tokio::test(start_paused = true)]
async fn a_till_that_ends_during_a_payment_learns_of_it_from_the_handheld() {
    for tenths in (0..TENTHS).step_by(4) {
        let what = format!("after {tenths} tenths of a second");
        let mut world = World::connected().await;
        slow(&world, Duration::from_millis(500));
        let terminal = world.shop.till.terminal("terminal.7").expect("attached");
        let (_keep, abort) = watch::channel(false);
        let paying =
            tokio::spawn(async move { terminal.pay_as(Request::new("sale-1", Amount::eur(12_50)), abort).await });
        sleep(Duration::from_millis(tenths * 100)).await;
        world.disconnect();
        world.shop.restart().await;
        world.hub = Hub::new(&world.shop.till);
        world.run += 1;
        paying.await.expect("does not panic").ok();
        let begun = !world.shop.till.open_payments("terminal.7").await.expect("readable").is_empty();
        world.connect(None);
        world.ready().await;
        if begun {
            world.agrees("sale-1", &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn scans_made_while_the_till_is_away_come_once_and_in_order() {
    let mut world = World::connected().await;
    world.disconnect();
    sleep(SECOND).await;
    for code in ["4006381333931", "5000159461122"] {
        world.scan(code);
        sleep(SECOND).await;
    }
    for _ in 0..3 {
        world.connect(None);
        world.ready().await;
        sleep(SECOND).await;
    }
    let scanner = world.shop.till.scanner("scanner.7").expect("attached");
    for code in ["4006381333931", "5000159461122"] {
        assert_eq!(timeout(SECOND, scanner.next()).await.expect("comes").expect("the caller's").text, code);
    }
    assert!(timeout(60 * SECOND, scanner.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_second_run_of_a_handheld_replaces_the_first_for_good() {
    let world = World::connected().await;
    let second = Offer::of(&world.handheld.till);
    let (hub, welcome, offer) = (world.hub.clone(), world.welcome(), second.clone());
    let line = tokio::spawn(async move { carry(&hub, &offer, &welcome, &Mutex::new(None)).await });
    let replaced = Standing::Replaced { by: second.run().to_owned() };
    let mut standing = world.offer.standing();
    timeout(SECOND, standing.wait_for(|standing| *standing == replaced)).await.expect("is told").expect("lives");
    second.standing().wait_for(|standing| matches!(standing, Standing::Attached { .. })).await.expect("lives");
    world.till_prints("by the second").await;
    // The first connects again, as a program would that has lost its connection: it does not take over.
    let (hub, welcome, first) = (world.hub.clone(), world.welcome(), world.offer.clone());
    let again = tokio::spawn(async move { carry(&hub, &first, &welcome, &Mutex::new(None)).await });
    sleep(60 * SECOND).await;
    assert!(matches!(&*second.standing().borrow(), Standing::Attached { .. }));
    world.till_prints("still by the second").await;
    line.abort();
    again.abort();
}
