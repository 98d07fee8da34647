//! What becomes of the lease of a device that leaves the till, or is only away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tresen::lease::{End, Target};
use tresen::{Class, Config, DeviceId, Drivers, EventKind, Kind, Tresen};

use super::{SECOND, TTL, bar, ended, heard, id, open, pay, runtime, terminal};

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_device_that_is_detached_ends_and_so_does_its_queue() {
    let (_folder, till) = open().await;
    let _device = terminal(&till, "bar", SECOND).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let lease = anna.lease(bar()).await.expect("free");
    let waiting = tokio::spawn(bo.queue(bar()).await.expect("a place").wait());
    let mut events = till.events();
    till.detach(&DeviceId::new(Class::Terminal, "bar"), SECOND).await.expect("attached");
    assert_eq!(heard(&mut events, ended).await, ("anna".into(), End::Removed));
    assert_eq!(till.leases().await.expect("readable"), [], "bo does not get it either");
    let error = waiting.await.expect("no panic").expect_err("there is nothing to wait for");
    assert_eq!(error.kind(), Kind::Config, "{error}");

    // Another one of that name is nobody's.
    let _device = terminal(&till, "bar", SECOND).await;
    let error = pay(lease.till(), "bar", "late").await.expect_err("lost");
    assert_eq!(error.kind(), Kind::Cancelled, "{error}");
    assert!(error.to_string().contains("the device was removed"), "{error}");
    let new = bo.lease(bar()).await.expect("free");
    assert!(new.token() > lease.token());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_in_use_ends_with_its_terminal() {
    let (_folder, till) = open().await;
    let device = terminal(&till, "bar", Duration::from_secs(10)).await;
    let anna = till.on_behalf_of("anna");
    anna.lease(bar()).await.expect("free");
    let paying = tokio::spawn({
        let anna = anna.clone();
        async move { pay(&anna, "bar", "a").await }
    });
    tokio::time::sleep(SECOND).await;
    assert_eq!(device.with(|device| device.received(0x0601)), 1);
    let mut events = till.events();
    till.detach(&DeviceId::new(Class::Terminal, "bar"), SECOND).await.expect("attached");
    assert_eq!(heard(&mut events, ended).await, ("anna".into(), End::Removed));
    paying.await.expect("no panic").ok();
    assert_eq!(till.leases().await.expect("readable"), []);
}

/// Two printers that are away, the second with these options.
fn printers(folder: &std::path::Path, first: &str, options: &str) -> Config {
    let second = format!("[printers.'second.7']\nfrom = 'handheld 7'\n{options}");
    let mut config =
        Config::parse(&format!("[remote]\n{first}{second}"), "till.toml", &Drivers::standard()).expect("right");
    config.till.store = folder.join("till.db");
    config.till.socket = false;
    config
}

#[tokio::test(start_paused = true)]
async fn a_reload_ends_the_leases_of_devices_that_it_leaves_out_and_one_that_is_away_keeps_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let both = printers(folder.path(), "[printers.'first.7']\nfrom = 'handheld 7'\n", "");
    let till = Tresen::builder().runtime(Arc::new(runtime())).with(both).await.expect("opens");
    let (first, second) = (id(Class::Printer, "first.7"), id(Class::Printer, "second.7"));
    let anna = till.on_behalf_of("anna");
    for target in [&first, &second] {
        anna.lease(target).await.expect("free");
    }
    let (began, mut events) = (Instant::now(), till.events());
    let ended = |kind| if let EventKind::LeaseEnded { target, why, .. } = kind { Some((target, why)) } else { None };
    let changed = printers(folder.path(), "", "reconnect = { first = '2s' }\n");
    let reloaded = till.reload_with(changed, SECOND).await.expect("right");
    assert_eq!((reloaded.detached.len(), reloaded.replaced.len()), (1, 1));
    assert_eq!(heard(&mut events, ended).await, (first, End::Removed));
    let left: Vec<Target> = till.leases().await.expect("readable").into_iter().map(|view| view.target).collect();
    assert_eq!(left, std::slice::from_ref(&second));
    assert!(began.elapsed() < TTL);
    assert_eq!(heard(&mut events, ended).await, (second, End::Expired));
    assert_eq!(began.elapsed(), TTL);
}
