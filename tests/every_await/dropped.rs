//! The caller leaves.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tresen::hal::BoxFuture;
use tresen::lease::Target;
use tresen::sale::{Signature, Signer, Sold, Tender, Ticket};
use tresen::{Amount, Class, Origin, Print, Result};

use crate::common::desk::{pass, ready};
use crate::{CASH, PRICE, Polled, by_card, counter, finish, no_abort, sell, soup};

#[tokio::test(start_paused = true)]
async fn a_sale_whose_caller_leaves_anywhere_is_charged_once_printed_once_and_can_be_finished() {
    let counter = counter();
    let till = counter.desk.open_in_turns().await;
    for (class, name) in [(Class::Terminal, "counter"), (Class::Printer, "receipt"), (Class::Printer, "stove")] {
        ready(&till, class, name).await;
    }
    let till = till.on_behalf_of("anna");
    let mut charged = 0;
    for polls in 0.. {
        let id = RefCell::default();
        let whole = Polled::new(sell(&till, &id), polls).await;
        pass(Duration::from_secs(60)).await;
        if let Some(id) = id.into_inner() {
            let mut sale = till.sale(&id).await.expect("readable").expect("stored before its id is known");
            finish(&till, &mut sale).await;
            charged += by_card(&sale);
            assert_eq!(counter.charged(), charged, "after {polls} polls: {:?}", sale.tenders());
            let sold = till.checkout("receipt").expect("configured").close(&mut sale).await.expect("stored");
            assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "after {polls} polls: {sold:?}");
            pass(Duration::from_secs(5)).await;
            assert_eq!(counter.sheets(), [1, 1], "receipt and kitchen ticket after {polls} polls");
        }
        if let Some(whole) = whole {
            whole.expect("nothing goes wrong");
            assert!(polls > 10, "it is suspended at each step");
            break;
        }
    }
    pass(Duration::from_secs(181)).await;
    assert_eq!(till.leases().await.expect("readable"), [], "what nobody released has expired");
    till.close(Duration::MAX).await.expect("closes");
}

#[tokio::test(start_paused = true)]
async fn a_reversal_whose_caller_leaves_anywhere_gives_back_once() {
    let counter = counter();
    let till = counter.desk.open_in_turns().await;
    ready(&till, Class::Terminal, "counter").await;
    let card = till.terminal("counter").expect("configured");
    for polls in 0.. {
        let mut sale = till.open_sale().await.expect("stored");
        sale.add(soup()).await.expect("stored");
        sale.pay_card(&card, no_abort()).await.map(drop).expect("sent");
        assert_eq!(counter.charged(), PRICE.minor());
        let whole = Polled::new(sale.reverse_card(&card, 1, no_abort()), polls).await.is_some();
        pass(Duration::from_secs(60)).await;
        sale.refresh().await.expect("readable");
        assert!(!sale.is_pending(), "after {polls} polls: {:?}", sale.tenders());
        assert_eq!(by_card(&sale), counter.charged(), "after {polls} polls: {:?}", sale.tenders());
        if by_card(&sale) > 0 {
            sale.reverse_card(&card, 1, no_abort()).await.map(drop).expect("sent");
        }
        sale.reverse_card(&card, 1, no_abort()).await.expect_err("it was given back");
        assert_eq!(counter.charged(), 0);
        sale.void("given back").await.expect("nothing is paid");
        if whole {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_whose_caller_leaves_anywhere_gives_back_no_more_than_was_sold() {
    let counter = counter();
    let till = counter.desk.open_in_turns().await;
    let checkout = till.checkout("receipt").expect("configured");
    for polls in 0.. {
        let mut sale = till.open_sale().await.expect("stored");
        sale.add(soup()).await.expect("stored");
        sale.pay_cash(PRICE).await.expect("stored");
        let _ = checkout.close(&mut sale).await.expect("stored");
        let back = async {
            let mut refund = till.open_refund(sale.id(), Origin::new()).await?;
            refund.pay_out().await?;
            let _ = checkout.close(&mut refund).await?;
            Ok::<_, tresen::Error>(())
        };
        let whole = Polled::new(back, polls).await;
        pass(Duration::from_secs(30)).await;
        let refunds = till.store().tickets().limit(10_000).await.expect("readable").rows;
        let refunds: Vec<_> = refunds.iter().filter(|ticket| ticket.original.as_deref() == Some(sale.id())).collect();
        assert!(refunds.len() <= 1, "{refunds:?}");
        for refund in &refunds {
            assert_eq!(refund.total, Amount::eur(-1_00));
            till.open_refund(sale.id(), Origin::new()).await.expect_err("an open refund counts as well");
        }
        if let Some(whole) = whole {
            whole.expect("nothing goes wrong");
            break;
        }
    }
}

/// Signs the total.
struct Totals(Arc<Mutex<Vec<i64>>>);

impl Signer for Totals {
    fn sign<'a>(&'a self, ticket: &'a Ticket, _: &'a [Tender]) -> BoxFuture<'a, Result<Signature>> {
        Box::pin(async move {
            self.0.lock().expect("whole").push(ticket.total().minor());
            let mut signature = Signature::default();
            signature.lines = vec![format!("total {}", ticket.total().minor())];
            Ok(signature)
        })
    }
}

/// The customer takes another one while the receipt is about to be printed, and whoever closed the sale has left.
#[tokio::test(start_paused = true)]
async fn a_signed_sale_that_changes_before_it_is_closed_is_signed_again() {
    let counter = counter();
    let till = counter.desk.open_in_turns().await;
    let signed = Arc::new(Mutex::new(Vec::new()));
    let checkout = till.checkout("receipt").expect("configured").signer(Totals(signed.clone()));
    let mut again = 0;
    for polls in 0.. {
        let mut sale = till.open_sale().await.expect("stored");
        sale.add(soup()).await.expect("stored");
        sale.pay_cash(PRICE).await.expect("stored");
        let whole = Polled::new(checkout.close(&mut sale.clone()), polls).await;
        pass(Duration::from_secs(30)).await;
        sale.refresh().await.expect("readable");
        if whole.is_some() {
            break;
        }
        let was_signed = sale.signing().is_some();
        if sale.add(soup()).await.is_err() {
            continue;
        }
        again += usize::from(was_signed);
        sale.pay_cash(PRICE).await.expect("stored");
        let _ = checkout.close(&mut sale).await.expect("stored");
        let signing = format!("{:?}", sale.signing());
        assert!(signing.contains("total 200"), "after {polls} polls: {signing}");
        assert_eq!(signed.lock().expect("whole").last(), Some(&200));
    }
    assert!(again > 0, "at least once it was left between signing and closing");
}

#[tokio::test(start_paused = true)]
async fn a_place_in_a_queue_whose_holder_leaves_anywhere_blocks_nobody() {
    let counter = counter();
    let till = counter.desk.open_in_turns().await;
    ready(&till, Class::Terminal, "counter").await;
    let sale = till.open_sale().await.expect("stored");
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let targets = [Target::from(&till.terminal("counter").expect("configured")), Target::from(&sale)];
    for (target, taken) in targets.iter().flat_map(|target| [(target, false), (target, true)]) {
        for polls in 0.. {
            let his = bo.lease(target.clone()).await.expect("free");
            let whole = async {
                let place = match taken {
                    true => anna.take_over(target.clone(), "the guest has left").await?,
                    false => anna.queue(target.clone()).await?,
                };
                place.wait().await
            };
            let gives_back = async {
                pass(Duration::from_secs(1)).await;
                his.release().await.expect("stored");
            };
            let (lease, ()) = tokio::join!(Polled::new(whole, polls), gives_back);
            if let Some(lease) = lease {
                assert!(lease.expect("granted").release().await.expect("stored"));
                break;
            }
            // At worst a request had been sent, and its answer was not heard.
            pass(Duration::from_secs(181)).await;
            assert_eq!(till.leases().await.expect("readable"), [], "after {polls} polls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn paper_whose_caller_leaves_anywhere_is_printed_once_or_never() {
    let counter = counter();
    let till = counter.desk.open_in_turns().await;
    ready(&till, Class::Printer, "receipt").await;
    let printer = till.printer("receipt").expect("configured");
    let checkout = till.checkout("receipt").expect("configured");
    let mut sale = till.open_sale().await.expect("stored");
    sale.add(soup()).await.expect("stored");
    sale.pay_cash(CASH).await.expect("stored");
    sale.pay_other("Voucher", Amount::eur(60), None).await.expect("stored");
    let _ = checkout.close(&mut sale).await.expect("stored");
    pass(Duration::from_secs(30)).await;
    counter.sheets();
    let mut copies = 0;
    for polls in 0.. {
        let copy = async { checkout.reprint(&sale).await?.outcome(Duration::MAX).await };
        let whole = Polled::new(copy, polls).await;
        pass(Duration::from_secs(30)).await;
        let [sheets, _] = counter.sheets();
        let jobs = till.store().jobs().limit(10_000).await.expect("readable").rows;
        let queued = jobs.iter().filter(|job| job.id.contains("/copy-")).count();
        assert_eq!(sheets, queued - copies, "each copy that was stored is on paper, after {polls} polls");
        copies = queued;
        if let Some(whole) = whole {
            assert!(whole.expect("stored").is_done());
            break;
        }
    }
    assert_eq!(printer.phase().borrow().why(), None);
}
