//! A server that says what cannot be, or panics; and what a till keeps in mind of accounts and refunds without it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tresen::config::{Device, Server as Settings};
use tresen::hal::{BoxFuture, SimulatedRuntime};
use tresen::sale::{Line, OnAccount, Sale, TenderState, Vat};
use tresen::sync::sim::Server;
use tresen::sync::{Ack, Balance, Booked, Booking, Hello, Pushed, Reserved, SyncState, Table, Upstream, Welcome};
use tresen::{Amount, Class, Config, Hash, Kind, Origin, OutboxEntry, Result, Tresen};

/// A server in memory behind a connection that does not do what it should.
#[derive(Clone, Default)]
struct Bad {
    server: Server,
    /// How many of the next calls panic.
    panics: Arc<AtomicUsize>,
    /// What it says that it has.
    acks: Arc<Mutex<Option<Vec<Ack>>>>,
}

impl Bad {
    fn answer<'a, T: 'a>(&'a self, call: BoxFuture<'a, Result<T>>) -> BoxFuture<'a, Result<T>> {
        Box::pin(async move {
            if self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                panic!("a defect of a vendor's server");
            }
            call.await
        })
    }
}

impl Upstream for Bad {
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>> {
        self.answer(Box::pin(async move {
            let mut welcome = self.server.hello(hello).await?;
            if let Some(acks) = &*self.acks.lock().expect("whole") {
                welcome.acks.clone_from(acks);
            }
            Ok(welcome)
        }))
    }
    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>> {
        self.answer(self.server.hash_at(till, epoch, seq))
    }
    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>> {
        self.answer(self.server.push(till, entries))
    }
    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>> {
        self.answer(self.server.reference(table, known))
    }
    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>> {
        self.answer(self.server.balances())
    }
    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>> {
        self.answer(self.server.reserve(booking))
    }
    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>> {
        self.answer(self.server.decide(booking))
    }
    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>> {
        self.answer(self.server.book(booking))
    }
    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>> {
        self.answer(self.server.release(booking))
    }
}

/// A canteen: account `a` has 20.00 EUR, of which 15.00 EUR may be owed in local mode.
async fn open(dir: &Path, bad: &Bad) -> Tresen {
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.join("till.db");
    config.till.socket = false;
    config.till.patience = Duration::from_secs(1);
    let mut settings = Settings::default();
    settings.account_limit = Some(Amount::eur(15_00));
    config.server = Some(settings);
    let runtime = SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time"));
    Tresen::builder().runtime(Arc::new(runtime)).server(bad.clone()).with(config).await.expect("opens")
}

fn canteen() -> (TempDir, Bad) {
    let bad = Bad::default();
    bad.server.set_balance("a", Amount::eur(20_00));
    (tempfile::tempdir().expect("a folder"), bad)
}

async fn basket(till: &Tresen, cents: i64) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Soup", 1, Amount::eur(cents), Vat::percent(7)).expect("fits")).await.expect("kept");
    sale
}

async fn on_account(till: &Tresen, sale: &mut Sale, cents: i64) -> Result<OnAccount> {
    sale.pay_account(&till.accounts().expect("configured"), "a", Amount::eur(cents)).await
}

async fn close(till: &Tresen, sale: &mut Sale) {
    let _ = till.checkout("receipt").expect("configured").close(sale).await.expect("stored");
}

/// Lets time pass until the state holds.
async fn until(till: &Tresen, what: &str, holds: impl Fn(&SyncState, i64) -> bool) {
    for _ in 0..6_000 {
        let status = till.sync().await.expect("readable");
        if holds(&status.state, status.behind) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {:?}", till.sync().await);
}

async fn connected(till: &Tresen) {
    until(till, "connected", |state, behind| *state == SyncState::Connected && behind == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_panics_is_asked_again() {
    let (dir, bad) = canteen();
    bad.panics.store(3, Ordering::SeqCst);
    let till = open(dir.path(), &bad).await;
    until(&till, "local", |state, _| matches!(state, SyncState::Local { why, .. } if why.contains("panicked"))).await;
    connected(&till).await;
    // In the middle of a payment it may have been reserved: it is taken within the limit, and no sale hangs.
    bad.panics.store(1, Ordering::SeqCst);
    let mut sale = basket(&till, 5_00).await;
    let paid = on_account(&till, &mut sale, 5_00).await.expect("stored");
    assert_eq!(paid, OnAccount::Owed { balance: Amount::eur(15_00) });
    close(&till, &mut sale).await;
    connected(&till).await;
    assert_eq!(bad.server.balance("a"), Some((Amount::eur(15_00), Amount::eur(15_00))), "booked once");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_what_cannot_be_is_told_apart_from_a_restored_backup() {
    let ack = |epoch, first, through| Ack { epoch, first, through, hash: None };
    let impossible = [
        ack(1, i64::MAX, i64::MAX),
        ack(i64::MAX, 1, i64::MAX),
        ack(1, i64::MIN, i64::MIN),
        ack(1, 1, i64::MAX),
        ack(1, 5, 2),
        ack(-1, 1, 1),
        ack(0, 0, 0),
    ];
    for ack in impossible {
        let (dir, bad) = canteen();
        *bad.acks.lock().expect("whole") = Some(vec![ack]);
        let till = open(dir.path(), &bad).await;
        basket(&till, 1_00).await.void("the guest has left").await.expect("not paid");
        let impossible =
            |state: &SyncState, _| matches!(state, SyncState::Local { why, .. } if why.contains("possible"));
        until(&till, "told", impossible).await;
        assert_eq!(till.store().epoch(), 1, "nothing was restored: {ack:?}");
        *bad.acks.lock().expect("whole") = None;
        connected(&till).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_balance_that_was_spent_in_local_mode_is_not_spent_again_in_the_next_one() {
    let (dir, bad) = canteen();
    let till = open(dir.path(), &bad).await;
    connected(&till).await;
    for (round, cents) in [15_00, 15_00, 5_00].into_iter().enumerate() {
        bad.server.set_reachable(false);
        basket(&till, 1_00).await.void("so that the till looks").await.expect("not paid");
        until(&till, "local", |state, _| matches!(state, SyncState::Local { .. })).await;
        let mut sale = basket(&till, cents).await;
        let paid = on_account(&till, &mut sale, cents).await.expect("stored");
        match round {
            0 => assert_eq!(paid, OnAccount::Owed { balance: Amount::eur(5_00) }),
            1 => assert!(matches!(paid, OnAccount::Refused { .. }), "only 5.00 EUR are left: {paid:?}"),
            _ => assert_eq!(paid, OnAccount::Owed { balance: Amount::eur(0) }),
        }
        match sale.open_amount().minor() {
            0 => close(&till, &mut sale).await,
            _ => sale.void("not paid").await.expect("not paid"),
        }
        bad.server.set_reachable(true);
        connected(&till).await;
    }
    assert_eq!(till.unbooked().await.expect("readable"), []);
    assert_eq!(bad.server.balance("a"), Some((Amount::eur(0), Amount::eur(0))));
}

/// The disk is full when the server's answer is to be written, and has space again later.
#[tokio::test(start_paused = true)]
async fn a_reservation_whose_answer_cannot_be_written_is_decided_later() {
    let (dir, bad) = canteen();
    let till = open(dir.path(), &bad).await;
    connected(&till).await;
    let db = Connection::open(dir.path().join("till.db")).expect("opens");
    let full = "CREATE TRIGGER full BEFORE UPDATE ON bookings BEGIN SELECT RAISE(FAIL, 'full'); END";
    db.execute_batch(full).expect("made");
    let mut sale = basket(&till, 5_00).await;
    on_account(&till, &mut sale, 5_00).await.expect_err("it cannot be written");
    sale.refresh().await.expect("readable");
    assert!(sale.is_pending());
    tokio::time::sleep(Duration::from_secs(20)).await;
    db.execute_batch("DROP TRIGGER full").expect("dropped");
    tokio::time::sleep(Duration::from_secs(60)).await;
    sale.refresh().await.expect("readable");
    assert_eq!(sale.tenders()[0].state, TenderState::Taken, "{:?}", sale.tenders());
    close(&till, &mut sale).await;
    connected(&till).await;
    assert_eq!(bad.server.balance("a"), Some((Amount::eur(15_00), Amount::eur(15_00))), "booked once");
}

/// The copy of the old receipt is not at the server yet, so its sale stays; its refund is old and acknowledged.
#[tokio::test(start_paused = true)]
async fn a_refund_is_not_forgotten_before_the_sale_that_it_refunds() {
    let (dir, bad) = canteen();
    let till = open(dir.path(), &bad).await;
    let mut sale = basket(&till, 10_00).await;
    sale.pay_cash(Amount::eur(10_00)).await.expect("taken");
    close(&till, &mut sale).await;
    let mut refund = till.open_refund(sale.id(), Origin::new()).await.expect("all of it");
    refund.pay_out().await.expect("paid out");
    close(&till, &mut refund).await;
    connected(&till).await;
    bad.server.set_reachable(false);
    till.checkout("receipt").expect("configured").reprint(&sale).await.expect("stored");
    let later = || async {
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        till.store().prune(till.runtime().wall()).await.expect("pruned")
    };
    assert_eq!(later().await.sales, 0);
    let error = till.open_refund(sale.id(), Origin::new()).await.expect_err("it was given back");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    bad.server.set_reachable(true);
    connected(&till).await;
    assert_eq!(later().await.sales, 2, "both go together");
}
