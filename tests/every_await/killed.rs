//! The process ends: all its tasks with it.

use std::cell::RefCell;
use std::time::Duration;

use tresen::sale::Sold;
use tresen::{Class, Print, SaleState};

use crate::common::desk::{pass, ready};
use crate::{Polled, by_card, counter, finish, sell};

/// A process: its tasks end with it, wherever they are, and its devices are left alone.
fn process() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

#[test]
fn a_till_that_is_killed_anywhere_in_a_sale_goes_on_and_charges_once() {
    let counter = process().block_on(async { counter() });
    let mut charged = 0;
    for polls in 0.. {
        let id = RefCell::default();
        let whole = process().block_on(async {
            let till = counter.desk.open_in_turns().await;
            ready(&till, Class::Terminal, "counter").await;
            let till = till.on_behalf_of("anna");
            Polled::new(sell(&till, &id), polls).await
        });
        process().block_on(async {
            let till = counter.desk.open_in_turns().await;
            let till = till.on_behalf_of("anna");
            let checkout = till.checkout("receipt").expect("configured");
            ready(&till, Class::Terminal, "counter").await;
            pass(Duration::from_secs(120)).await;
            for (sale, sold) in checkout.resume().await.expect("stored") {
                let _ = sold.unwrap_or_else(|error| panic!("{}: {error}", sale.id()));
            }
            if let Some(id) = id.into_inner() {
                let mut sale = till.sale(&id).await.expect("readable").expect("stored before its id is known");
                finish(&till, &mut sale).await;
                charged += by_card(&sale);
                assert_eq!(counter.charged(), charged, "after {polls} polls: {:?}", sale.tenders());
                let sold = checkout.close(&mut sale).await.expect("stored");
                assert_eq!(sale.state(), SaleState::Closed);
                pass(Duration::from_secs(30)).await;
                // What was being printed is parked, and a person decides.
                let parked = till.store().open_jobs().await.expect("readable");
                let is_known = matches!(&sold, Sold::Closed { print: Print::Printed { .. }, .. });
                assert!(is_known || !parked.is_empty(), "after {polls} polls: {sold:?}");
                for job in &parked {
                    till.printer("receipt").expect("configured").cancel(&job.id).await.expect("parked");
                }
                let [receipts, tickets] = counter.sheets();
                assert!(receipts <= 1 && tickets <= 1, "after {polls} polls: {receipts} and {tickets}");
                assert!(receipts + tickets + parked.len() >= 2, "after {polls} polls: {parked:?}");
            }
            till.close(Duration::from_secs(10)).await.expect("closes");
        });
        if let Some(whole) = whole {
            whole.expect("nothing goes wrong");
            assert!(polls > 10, "it is suspended at each step");
            break;
        }
    }
}
