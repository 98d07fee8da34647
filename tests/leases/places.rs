//! Places in a queue, and what dropping them does.

use tresen::Kind;

use super::{SECOND, bar, open, table, terminal};

#[tokio::test(start_paused = true)]
async fn a_place_that_has_told_its_holder_of_the_lease_can_be_dropped() {
    let (_folder, till) = open().await;
    let _device = terminal(&till, "bar", SECOND).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    for told in [true, false] {
        let his = bo.lease(bar()).await.expect("free");
        let place = anna.queue(bar()).await.expect("waits");
        his.release().await.expect("given back");
        if told {
            assert_eq!(place.position().await.expect("known"), 0);
            let lease = anna.lease(bar()).await.expect("her own");
            drop(place);
            lease.renew().await.expect("anna has it still");
            assert!(lease.release().await.expect("given back"));
        } else {
            // Nobody knows that she has it: it is given back.
            drop(place);
            bo.lease(bar()).await.expect("free").release().await.expect("given back");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_sale_that_is_closed_can_be_released() {
    let (_folder, till) = open().await;
    let (mut sale, lease) = table(&till.on_behalf_of("anna")).await;
    let place = till.on_behalf_of("bo").queue(&sale).await.expect("waits");
    sale.void("the guests have left").await.expect("not paid");
    assert!(!lease.release().await.expect("it has ended"));
    place.leave().await.expect("so has the queue");
    let error = till.on_behalf_of("bo").lease(&sale).await.expect_err("it is voided");
    assert_eq!(error.kind(), Kind::Input);
}
