//! Sales that are leased, through restarts and kills.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tresen::lease::{End, Target};
use tresen::sale::{Line, Sale, Vat};
use tresen::{Amount, Effect, Kind, Tresen};

use super::{SECOND, TTL, ended, heard, journalled, open, open_with, runtime};

/// Opens a sale with one line and leases it.
pub(crate) async fn table(till: &Tresen) -> (Sale, tresen::lease::Lease) {
    let mut sale = till.open_sale().await.expect("opens");
    let lease = till.lease(&sale).await.expect("free");
    sale.add(tea()).await.expect("hers");
    (sale, lease)
}

fn tea() -> Line {
    Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits")
}

#[tokio::test(start_paused = true)]
async fn a_leased_sale_is_changed_by_its_holder_alone() {
    let (_folder, till) = open().await;
    let mut events = till.events();
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let (mut sale, lease) = table(&anna).await;
    let mut other = bo.sale(sale.id()).await.expect("readable").expect("open");
    let error = other.add(tea()).await.expect_err("anna has it");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
    assert!(error.to_string().contains("leased by `anna` for 0 s, for 180 s more"), "{error}");
    for error in [
        other.pay_cash(Amount::eur(2_90)).await.expect_err("hers"),
        other.void("a mistake").await.expect_err("hers"),
        bo.lease(&other).await.expect_err("hers"),
    ] {
        assert_eq!(error.kind(), Kind::Busy, "{error}");
    }
    // Every change renews.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(170)).await;
        sale.add(tea()).await.expect("hers");
    }
    // Parking ends the lease, and bo resumes it at once.
    sale.park("table 12").await.expect("hers");
    assert_eq!(lease.renew().await.expect_err("parked").kind(), Kind::Cancelled);
    other.refresh().await.expect("readable");
    other.resume().await.expect("free");
    let hers = bo.lease(&other).await.expect("free");
    other.add(tea()).await.expect("his");
    let error = sale.add(tea()).await.expect_err("parked");
    assert!(error.kind() == Kind::Busy && error.to_string().contains("`bo`"), "{error}");

    // A lost key is refused, whoever has the sale; a queue works as for devices.
    let back = tokio::spawn(anna.queue(&sale).await.expect("a place").wait());
    drop(anna.take_over(&sale, "the guest is back at my table").await.expect("hers"));
    back.await.expect("no panic").expect("hers");
    let mut stale = hers.till().sale(sale.id()).await.expect("readable").expect("open");
    let error = stale.add(tea()).await.expect_err("lost");
    assert!(error.kind() == Kind::Cancelled && error.to_string().contains("`anna` took it over"), "{error}");
    let reasons: Vec<_> = std::iter::from_fn(|| events.try_next()).filter_map(|event| ended(event.kind)).collect();
    let taken = End::TakenOver { by: "anna".into(), why: "the guest is back at my table".into() };
    assert_eq!(reasons, [("anna".into(), End::Released), ("bo".into(), taken)]);
    assert_eq!(journalled(&till, sale.id()).await.len(), 5, "leased, released, leased, taken over, leased");

    // Closing ends it, and whoever waits hears of it.
    sale.refresh().await.expect("readable");
    let waiting = tokio::spawn(bo.queue(&sale).await.expect("a place").wait());
    tokio::task::yield_now().await;
    sale.pay_cash(sale.open_amount()).await.expect("hers");
    let id = sale.id().to_owned();
    let mut given = sale.clone();
    given.give_back(1).await.expect("hers");
    given.void("the guest left").await.expect("hers");
    let error = waiting.await.expect("no panic").expect_err("it is voided");
    assert!(error.kind() == Kind::Input && error.to_string().contains("voided"), "{error}");
    assert_eq!(heard(&mut events, ended).await, ("anna".into(), End::Closed));
    assert_eq!(till.leases().await.expect("readable"), []);
    assert_eq!(anna.lease(Target::Sale(id)).await.expect_err("voided").kind(), Kind::Input);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_sale_survives_a_restart_and_a_kill() {
    let (folder, till) = open().await;
    let (sale, lease) = table(&till.on_behalf_of("anna")).await;
    let (id, token) = (sale.id().to_owned(), lease.token());
    tokio::time::sleep(Duration::from_secs(60)).await;
    // As a power cut leaves it: whatever is in the files at this moment.
    let copy = tempfile::tempdir().expect("a folder");
    for end in ["till.db", "till.db-wal"] {
        std::fs::copy(folder.path().join(end), copy.path().join(end)).expect("copied");
    }
    till.close(SECOND).await.expect("closed");
    drop((sale, lease, till));
    for place in [folder.path(), copy.path()] {
        // A runtime's wall clock begins anew: for the lease no time has passed, and 180 s are the most it has left.
        let till = open_with(place, Arc::new(runtime())).await;
        let start = Instant::now();
        let mut events = till.events();
        let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
        let mut other = bo.sale(&id).await.expect("readable").expect("open");
        let error = other.add(tea()).await.expect_err("still hers");
        assert!(error.kind() == Kind::Busy && error.to_string().contains("`anna`"), "{error}");
        let key = tresen::lease::Key { target: Target::Sale(id.clone()), token };
        let mut sale = anna.with_lease(&key).sale(&id).await.expect("readable").expect("open");
        sale.add(tea()).await.expect("the same lease, with the same token");
        assert_eq!(heard(&mut events, ended).await, ("anna".into(), End::Expired));
        assert!(start.elapsed() <= TTL + SECOND, "{:?}", start.elapsed());
        other.refresh().await.expect("readable");
        other.add(tea()).await.expect("free");
        assert_eq!(sale.add(tea()).await.expect_err("lost").kind(), Kind::Cancelled);
        till.close(SECOND).await.expect("closed");
    }
}
