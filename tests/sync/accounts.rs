//! Customers' accounts: reserved, booked, given back; in local mode up to the limit.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tresen::sale::{OnAccount, Sale, TenderState};
use tresen::sync::sim::{Fault, Server};
use tresen::{Amount, BookingState, EventKind, SaleState, Tresen};

use crate::{basket, close, folder, heard, open_with, sell, up};

/// A canteen: accounts `a` with 20.00 EUR, a limit of 10.00 EUR in local mode.
async fn canteen(dir: &Path, server: &Server) -> Tresen {
    if server.balance("a").is_none() {
        server.set_balance("a", Amount::eur(20_00));
    }
    let till = open_with(dir, server, |settings| settings.account_limit = Some(Amount::eur(10_00))).await;
    if till.sync_state().borrow().is_connected() {
        up(&till, server).await;
    }
    till
}

async fn on_account(till: &Tresen, sale: &mut Sale, cents: i64) -> OnAccount {
    let accounts = till.accounts().expect("configured");
    sale.pay_account(&accounts, "a", Amount::eur(cents)).await.expect("stored")
}

#[tokio::test(start_paused = true)]
async fn an_account_is_reserved_booked_on_close_and_released_when_given_back() {
    let (dir, server) = (folder(), Server::new());
    let till = canteen(dir.path(), &server).await;
    up(&till, &server).await;
    let mut sale = basket(&till, 8_00).await;
    let paid = on_account(&till, &mut sale, 5_00).await;
    assert_eq!(paid, OnAccount::Reserved { balance: Some(Amount::eur(15_00)) });
    assert_eq!(server.balance("a"), Some((Amount::eur(15_00), Amount::eur(20_00))));
    assert_eq!(sale.open_amount(), Amount::eur(3_00));
    let refused = on_account(&till, &mut sale, 3_00).await;
    assert_eq!(refused, OnAccount::Reserved { balance: Some(Amount::eur(12_00)) });
    sale.give_back(2).await.expect("given back");
    sale.pay_cash(Amount::eur(3_00)).await.expect("taken");
    close(&till, &mut sale).await;
    let there = up(&till, &server).await;
    assert_eq!(server.balance("a"), Some((Amount::eur(15_00), Amount::eur(15_00))), "booked once, the other released");
    let body: Value =
        serde_json::from_str(&there.iter().find(|e| e.kind == "closed").expect("closed").body).expect("JSON");
    assert_eq!(body["tenders"][0]["account"], "a");

    let mut sale = basket(&till, 50_00).await;
    let OnAccount::Refused { why } = on_account(&till, &mut sale, 50_00).await else { panic!("too much") };
    assert!(why.contains("15.00 EUR"), "{why}");
    assert_eq!(sale.tenders()[0].state, TenderState::Refused);
    sale.void("left").await.expect("nothing was taken");
    // A refund credits the account.
    let mut back = till.open_refund(&sell(&till, 4_00).await, "bar".into()).await.expect("opens");
    assert_eq!(on_account(&till, &mut back, -4_00).await, OnAccount::Credited);
    close(&till, &mut back).await;
    up(&till, &server).await;
    assert_eq!(server.balance("a"), Some((Amount::eur(19_00), Amount::eur(19_00))));
}

#[tokio::test(start_paused = true)]
async fn local_mode_takes_up_to_the_limit_and_lists_what_does_not_fit() {
    let (dir, server) = (folder(), Server::new());
    let till = canteen(dir.path(), &server).await;
    up(&till, &server).await;
    let mut events = till.events();
    server.set_reachable(false);
    let mut first = basket(&till, 6_00).await;
    assert_eq!(on_account(&till, &mut first, 6_00).await, OnAccount::Owed { balance: Amount::eur(14_00) });
    close(&till, &mut first).await;
    let mut second = basket(&till, 5_00).await;
    let OnAccount::Refused { why } = on_account(&till, &mut second, 5_00).await else { panic!("11.00 > 10.00") };
    assert!(why.contains("limit") && why.contains("10.00 EUR"), "{why}");
    assert_eq!(on_account(&till, &mut second, 4_00).await, OnAccount::Owed { balance: Amount::eur(10_00) });
    second.pay_cash(Amount::eur(1_00)).await.expect("taken");
    close(&till, &mut second).await;
    let mut unknown = basket(&till, 1_00).await;
    let accounts = till.accounts().expect("configured");
    let refused = unknown.pay_account(&accounts, "b", Amount::eur(1_00)).await.expect("stored");
    assert!(matches!(&refused, OnAccount::Refused { why } if why.contains("never seen")), "{refused:?}");
    // Meanwhile somebody has spent most of it elsewhere.
    server.set_balance("a", Amount::eur(7_00));
    server.set_reachable(true);
    up(&till, &server).await;
    assert_eq!(
        server.balance("a"),
        Some((Amount::eur(1_00), Amount::eur(1_00))),
        "the first fits, the second does not"
    );
    let listed = till.unbooked().await.expect("read");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].amount, listed[0].state), (Amount::eur(4_00), BookingState::Unbooked));
    assert_eq!((server.unbooked(), listed[0].sale.as_str()), (vec![listed[0].key.clone()], second.id()));
    assert_eq!(till.sync().await.expect("read").unbooked, 1);
    let told = heard(&mut events);
    assert_eq!(told.iter().filter(|k| matches!(k, EventKind::AccountUnbooked { .. })).count(), 1, "{told:?}");
    assert_eq!(till.sale(second.id()).await.expect("read").expect("there").state(), SaleState::Closed);
    // The customer pays in: the next service books it.
    server.set_balance("a", Amount::eur(30_00));
    till.refresh_reference().await.expect("read");
    assert_eq!(till.unbooked().await.expect("read"), []);
    assert_eq!(server.balance("a"), Some((Amount::eur(26_00), Amount::eur(26_00))));
}

#[tokio::test(start_paused = true)]
async fn money_in_doubt_is_asked_for_by_its_key_and_never_booked_twice() {
    for (fault, cents) in [
        (Fault::AnswerLost, 6_00),
        (Fault::Lost, 6_00),
        (Fault::Late(Duration::from_secs(20)), 6_00),
        (Fault::Twice, 6_00),
        (Fault::AnswerLost, 12_00),
        (Fault::Lost, 12_00),
        (Fault::Late(Duration::from_secs(20)), 12_00),
    ] {
        let (dir, server) = (folder(), Server::new());
        let till = canteen(dir.path(), &server).await;
        up(&till, &server).await;
        let mut sale = basket(&till, cents).await;
        server.add_faults([fault]);
        // The exchange itself must not take the fault.
        let paid = on_account(&till, &mut sale, cents).await;
        let within = cents <= 10_00;
        match (&paid, fault) {
            (OnAccount::Reserved { .. }, Fault::Twice) => {}
            (OnAccount::Owed { .. }, _) => assert!(within, "{fault:?} {cents}"),
            (OnAccount::Unknown { .. }, _) => {
                assert!(!within && sale.is_pending(), "{fault:?} {cents}");
            }
            other => panic!("{other:?} {cents}"),
        }
        let started = Instant::now();
        while sale.is_pending() {
            assert!(started.elapsed() < Duration::from_secs(120));
            tokio::time::sleep(Duration::from_secs(1)).await;
            sale.refresh().await.expect("read");
        }
        if sale.open_amount().minor() > 0 {
            assert_eq!((fault, sale.tenders()[0].state), (Fault::Lost, TenderState::Refused));
            assert!(matches!(on_account(&till, &mut sale, cents).await, OnAccount::Reserved { .. }));
        }
        close(&till, &mut sale).await;
        up(&till, &server).await;
        let left = Amount::eur(20_00 - cents);
        assert_eq!(server.balance("a"), Some((left, left)), "{fault:?} {cents}: once");
        assert_eq!(till.unbooked().await.expect("read"), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_till_killed_while_it_reserves_finds_out_at_its_next_start() {
    for (fault, state) in [(Fault::AnswerLost, TenderState::Taken), (Fault::Lost, TenderState::Refused)] {
        let (dir, server) = (folder(), Server::new());
        let till = canteen(dir.path(), &server).await;
        up(&till, &server).await;
        let mut sale = basket(&till, 12_00).await;
        let id = sale.id().to_owned();
        server.add_faults([fault]);
        let accounts = till.accounts().expect("configured");
        {
            // The till goes while the server is being asked.
            let call = sale.pay_account(&accounts, "a", Amount::eur(12_00));
            let mut call = std::pin::pin!(call);
            while server.calls() == 0 || server.balance("a").is_none() {
                tokio::select! { biased; _ = &mut call => break, () = tokio::task::yield_now() => {} }
            }
            _ = tokio::time::timeout(Duration::from_millis(1), &mut call).await;
        }
        drop((sale, accounts, till));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let till = canteen(dir.path(), &server).await;
        up(&till, &server).await;
        let mut sale = till.sale(&id).await.expect("read").expect("there");
        assert_eq!(sale.tenders()[0].state, state, "{fault:?}: {:?}", sale.tenders());
        if state == TenderState::Refused {
            sale.pay_cash(Amount::eur(12_00)).await.expect("taken");
        }
        close(&till, &mut sale).await;
        up(&till, &server).await;
        let left = if state == TenderState::Taken { Amount::eur(8_00) } else { Amount::eur(20_00) };
        assert_eq!(server.balance("a"), Some((left, left)), "{fault:?}");
    }
}
