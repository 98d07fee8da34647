//! Experiments.
mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use common::desk::{Desk, pass, ready};
use common::epson;
use tokio::sync::watch;
use tresen::config::{Device, Server as Settings};
use tresen::hal::{BoxFuture, SimulatedRuntime};
use tresen::payment::zvt::sim::Profile;
use tresen::sale::{Line, Sale, Signature, Signer, Sold, Tender, Ticket, Vat};
use tresen::sync::sim::Server;
use tresen::sync::{Ack, Balance, Booked, Booking, Hello, Pushed, Reserved, SyncState, Table, Upstream, Welcome};
use tresen::{
    Amount, Class, Config, Hash, Kind, Origin, OutboxEntry, Payment, Print, Receipt, Result, Store, Tresen,
};

fn no_abort() -> watch::Receiver<bool> {
    watch::channel(false).1
}

fn tea(cents: i64) -> Line {
    Line::pieces("Tea", 1, Amount::eur(cents), Vat::percent(19)).expect("fits")
}

async fn basket(till: &Tresen, cents: i64) -> Sale {
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(tea(cents)).await.expect("kept");
    sale
}

async fn sync_till(dir: &std::path::Path, server: Arc<dyn Upstream>, runtime: SimulatedRuntime) -> Tresen {
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().expect("an address"));
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = dir.join("till.db");
    config.till.socket = false;
    let mut settings = Settings::default();
    settings.account_limit = Some(Amount::eur(15_00));
    config.server = Some(settings);
    Tresen::builder().runtime(Arc::new(runtime)).server(Shared(server)).with(config).await.expect("opens")
}

struct Shared(Arc<dyn Upstream>);
impl Upstream for Shared {
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>> { self.0.hello(hello) }
    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>> { self.0.hash_at(till, epoch, seq) }
    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>> { self.0.push(till, entries) }
    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>> { self.0.reference(table, known) }
    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>> { self.0.balances() }
    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>> { self.0.reserve(booking) }
    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>> { self.0.decide(booking) }
    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>> { self.0.book(booking) }
    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>> { self.0.release(booking) }
}

/// A server that does something bad in `hello` and `push`.
struct Bad {
    server: Server,
    panics: AtomicUsize,
    acks: Option<Vec<Ack>>,
}
impl Upstream for Bad {
    fn hello<'a>(&'a self, hello: &'a Hello) -> BoxFuture<'a, Result<Welcome>> {
        Box::pin(async move {
            let mut welcome = self.server.hello(hello).await?;
            if let Some(acks) = &self.acks { welcome.acks = acks.clone(); }
            Ok(welcome)
        })
    }
    fn hash_at<'a>(&'a self, till: &'a str, epoch: i64, seq: i64) -> BoxFuture<'a, Result<Option<Hash>>> { self.server.hash_at(till, epoch, seq) }
    fn push<'a>(&'a self, till: &'a str, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Result<Pushed>> {
        Box::pin(async move {
            if self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() { panic!("a vendor's defect"); }
            self.server.push(till, entries).await
        })
    }
    fn reference<'a>(&'a self, table: &'a str, known: Option<i64>) -> BoxFuture<'a, Result<Option<Table>>> { self.server.reference(table, known) }
    fn balances(&self) -> BoxFuture<'_, Result<Vec<Balance>>> { self.server.balances() }
    fn reserve<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Reserved>> { self.server.reserve(booking) }
    fn decide<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<bool>> { self.server.decide(booking) }
    fn book<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<Booked>> { self.server.book(booking) }
    fn release<'a>(&'a self, booking: &'a Booking) -> BoxFuture<'a, Result<()>> { self.server.release(booking) }
}

fn simulated() -> SimulatedRuntime {
    SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time"))
}

async fn connected(till: &Tresen) {
    for _ in 0..2000 {
        let status = till.sync().await.expect("readable");
        if status.state == SyncState::Connected && status.behind == 0 { return; }
        pass(Duration::from_millis(100)).await;
    }
    panic!("{:?}", till.sync().await);
}

#[tokio::test(start_paused = true)]
async fn a01_place_dropped_after_leasing() {
    let mut desk = Desk::new();
    desk.terminal("bar", Profile::default());
    let till = desk.open().await;
    ready(&till, Class::Terminal, "bar").await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let bar = anna.terminal("bar").unwrap();
    let his = bo.lease(&bar).await.unwrap();
    let place = anna.queue(&bar).await.unwrap();
    his.release().await.unwrap();
    assert_eq!(place.position().await.unwrap(), 0);
    let lease = anna.lease(&bar).await.unwrap();
    drop(place);
    pass(Duration::from_secs(1)).await;
    lease.renew().await.expect("anna has leased it and still has it");
}

#[tokio::test(start_paused = true)]
async fn a02_balance_after_local_booking() {
    let (dir, server, runtime) = (tempfile::tempdir().unwrap(), Server::new(), simulated());
    server.set_balance("a", Amount::eur(20_00));
    let till = sync_till(dir.path(), Arc::new(server.clone()), runtime).await;
    connected(&till).await;
    for round in 0..3 {
        server.set_reachable(false);
        for _ in 0..2000 {
            if matches!(till.sync().await.unwrap().state, SyncState::Local { .. }) { break; }
            // Something to send, so that the till notices.
            till.open_sale().await.unwrap();
            pass(Duration::from_secs(1)).await;
        }
        let mut sale = basket(&till, 15_00).await;
        let paid = sale.pay_account(&till.accounts().unwrap(), "a", Amount::eur(15_00)).await.unwrap();
        println!("{round}: {paid:?}");
        if !sale.open_amount().minor() == 0 || sale.open_amount().minor() == 15_00 {
            sale.void("no").await.unwrap();
        } else {
            let _ = till.checkout("receipt").unwrap().close(&mut sale).await.unwrap();
        }
        server.set_reachable(true);
        connected(&till).await;
        println!("{round}: server {:?} unbooked {:?}", server.balance("a"), till.unbooked().await.unwrap());
    }
    assert!(till.unbooked().await.unwrap().is_empty(), "a balance that the till has seen spent is not spent again");
}

#[tokio::test(start_paused = true)]
async fn a03_upstream_panics_once() {
    let (dir, server, runtime) = (tempfile::tempdir().unwrap(), Server::new(), simulated());
    let bad = Bad { server: server.clone(), panics: AtomicUsize::new(1), acks: None };
    let till = sync_till(dir.path(), Arc::new(bad), runtime).await;
    basket(&till, 1_00).await.void("x").await.unwrap();
    pass(Duration::from_secs(600)).await;
    let status = till.sync().await.unwrap();
    assert!(status.behind == 0, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a04_hostile_acks() {
    let h = None;
    let all = [
        vec![Ack { epoch: 1, first: i64::MAX, through: i64::MAX, hash: h }, Ack { epoch: i64::MAX, first: 1, through: i64::MAX, hash: h }],
        vec![Ack { epoch: 1, first: i64::MIN, through: i64::MIN, hash: h }],
        vec![Ack { epoch: 1, first: 1, through: i64::MAX, hash: h }],
        vec![Ack { epoch: 1, first: 1, through: 2, hash: h }, Ack { epoch: 1, first: 5, through: 2, hash: h }],
        vec![Ack { epoch: -1, first: 0, through: -7, hash: h }],
    ];
    for acks in all {
        let (dir, server, runtime) = (tempfile::tempdir().unwrap(), Server::new(), simulated());
        let bad = Bad { server: server.clone(), panics: AtomicUsize::new(0), acks: Some(acks.clone()) };
        let till = sync_till(dir.path(), Arc::new(bad), runtime).await;
        basket(&till, 1_00).await.void("x").await.unwrap();
        pass(Duration::from_secs(120)).await;
        let calls = server.calls();
        pass(Duration::from_secs(600)).await;
        let status = till.sync().await.unwrap();
        println!("{acks:?}: {status:?} epoch {} calls {calls} -> {}", till.store().epoch(), server.calls());
        assert!(server.calls() > calls, "the exchange lives");
    }
}

#[tokio::test(start_paused = true)]
async fn a05_pruned_refund() {
    let (dir, server, runtime) = (tempfile::tempdir().unwrap(), Server::new(), simulated());
    let till = sync_till(dir.path(), Arc::new(server.clone()), runtime).await;
    connected(&till).await;
    let checkout = till.checkout("receipt").unwrap().patience(Duration::from_secs(1));
    let mut sale = basket(&till, 10_00).await;
    sale.pay_cash(Amount::eur(10_00)).await.unwrap();
    let _ = checkout.close(&mut sale).await.unwrap();
    let mut back = till.open_refund(sale.id(), Origin::new()).await.unwrap();
    back.pay_out().await.unwrap();
    let _ = checkout.close(&mut back).await.unwrap();
    assert!(till.returnable(sale.id()).await.unwrap().is_empty());
    connected(&till).await;
    server.set_reachable(false);
    let _ = checkout.reprint(&sale).await.unwrap();
    pass(Duration::from_secs(24 * 3600)).await;
    let pruned = till.store().prune(till.runtime().wall()).await.unwrap();
    println!("{pruned:?}");
    let left = till.returnable(sale.id()).await.map(|left| left.len()).unwrap_or(0);
    assert_eq!(left, 0, "what was given back is given back");
}

#[tokio::test(start_paused = true)]
async fn a06_order_parked() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    desk.configure("[routes.kitchen]\nprinters = ['receipt']\ngroups = ['kitchen']");
    let till = desk.open().await;
    let mut sale = till.open_sale().await.unwrap();
    sale.add(tea(1_00).group("kitchen")).await.unwrap();
    sale.park("table 1").await.unwrap();
    let ordered = till.order(&mut sale).await;
    println!("{ordered:?}");
    assert!(ordered.is_err(), "until it is resumed no other step is taken");
}

#[tokio::test(start_paused = true)]
async fn a07_endless_patience() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let till = desk.open().await;
    let job = till.printer("receipt").unwrap().submit(&Receipt::new().text("x").cut()).await.unwrap();
    let print = job.outcome(Duration::MAX).await.unwrap();
    assert!(matches!(print, Print::Printed { .. }), "{print:?}");
    till.close(Duration::MAX).await.unwrap();
}

struct Totals(Arc<std::sync::Mutex<Vec<i64>>>);
impl Signer for Totals {
    fn sign<'a>(&'a self, ticket: &'a Ticket, _: &'a [Tender]) -> BoxFuture<'a, Result<Signature>> {
        Box::pin(async move {
            self.0.lock().unwrap().push(ticket.total().minor());
            let mut signature = Signature::default();
            signature.lines = vec![format!("total {}", ticket.total().minor())];
            Ok(signature)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a08_stale_signature() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let till = desk.open_in_turns().await;
    for polls in 0..60 {
        let signed = Arc::new(std::sync::Mutex::new(Vec::new()));
        let checkout = till.checkout("receipt").unwrap().signer(Totals(signed.clone()));
        let mut sale = basket(&till, 1_00).await;
        sale.pay_cash(Amount::eur(1_00)).await.unwrap();
        let id = sale.id().to_owned();
        Polled::new(checkout.close(&mut sale), polls).await;
        pass(Duration::from_secs(30)).await;
        let mut sale = till.sale(&id).await.unwrap().unwrap();
        if sale.add(tea(2_00)).await.is_err() { continue; }
        sale.pay_cash(Amount::eur(2_00)).await.unwrap();
        let _ = checkout.close(&mut sale).await.unwrap();
        let signing = format!("{:?}", sale.signing());
        assert!(signing.contains("total 300"), "after {polls} polls: {signing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a09_reverse_elsewhere() {
    let mut desk = Desk::new();
    desk.printer("receipt", "", epson());
    let one = desk.terminal("one", Profile::default());
    let two = desk.terminal("two", Profile { terminal_id: "60000002".into(), ..Profile::default() });
    let till = desk.open().await;
    for name in ["one", "two"] { ready(&till, Class::Terminal, name).await; }
    let (t1, t2) = (till.terminal("one").unwrap(), till.terminal("two").unwrap());
    let mut mine = basket(&till, 5_00).await;
    let _ = mine.pay_card(&t1, no_abort()).await.unwrap();
    let mut other = basket(&till, 5_00).await;
    let _ = other.pay_card(&t2, no_abort()).await.unwrap();
    let reversed = mine.reverse_card(&t2, 1, no_abort()).await;
    println!("{reversed:?}");
    println!("{:?} {:?}", one.with(|t| t.ledger().turnover()), two.with(|t| t.ledger().turnover()));
    assert!(reversed.is_err());
    assert_eq!((one.with(|t| t.ledger().turnover()), two.with(|t| t.ledger().turnover())), (5_00, 5_00));
}

#[tokio::test]
async fn a10_symlink() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("till.db"), dir.path().join("link.db"));
    let runtime = || Arc::new(tresen::SystemRuntime::new());
    let first = Store::open(&real, runtime()).await.unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let second = Store::open(&link, runtime()).await;
    assert!(second.is_err(), "one file, two tills");
    drop(first);
}

/// Polls a future at most `left` times, then drops it.
struct Polled<F>(Option<Pin<Box<F>>>, usize);
impl<F: Future> Polled<F> {
    fn new(future: F, polls: usize) -> Self { Self(Some(Box::pin(future)), polls) }
}
impl<F: Future> Future for Polled<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.1 == 0 { self.0 = None; return Poll::Ready(None); }
        self.1 -= 1;
        match self.0.as_mut().unwrap().as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.1 == 0 => { self.0 = None; Poll::Ready(None) }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a11_dropped_sale() {
    let mut desk = Desk::new();
    let printer = desk.printer("receipt", "", epson());
    desk.configure("[routes.kitchen]\nprinters = ['receipt']\ngroups = ['kitchen']");
    let terminal = desk.terminal("counter", Profile { pace: Duration::from_millis(200), ..Profile::default() });
    let till = desk.open_in_turns().await;
    ready(&till, Class::Terminal, "counter").await;
    ready(&till, Class::Printer, "receipt").await;
    let till = till.on_behalf_of("anna");
    let card = till.terminal("counter").unwrap();
    let checkout = till.checkout("receipt").unwrap();
    let mut turnover = 0;
    for polls in 0..400 {
        let id = std::cell::RefCell::new(None);
        let whole = async {
            let mut sale = till.open_sale().await.unwrap();
            *id.borrow_mut() = Some(sale.id().to_owned());
            let lease = till.lease(&sale).await.unwrap();
            sale.add(tea(1_00).group("kitchen")).await.unwrap();
            till.order(&mut sale).await.unwrap();
            sale.park("t").await.unwrap();
            sale.resume().await.unwrap();
            sale.pay_cash(Amount::eur(40)).await.unwrap();
            let _ = sale.pay_card(&card, no_abort()).await.unwrap();
            let sold = checkout.close(&mut sale).await.unwrap();
            assert!(matches!(sold, Sold::Closed { .. }));
            drop(lease);
        };
        let done = Polled::new(whole, polls).await;
        pass(Duration::from_secs(120)).await;
        let id = id.into_inner();
        let Some(id) = id else { continue };
        let mut sale = till.sale(&id).await.unwrap().expect("stored");
        sale.refresh().await.unwrap();
        assert!(!sale.is_pending(), "{polls}: {:?}", sale.tenders());
        let by_card: i64 = sale.tenders().iter().filter(|t| t.intent.is_some()).map(|t| t.taken.minor()).sum();
        turnover += by_card;
        assert_eq!(terminal.with(|t| t.ledger().turnover()), turnover, "{polls}");
        if sale.parked().is_some() { sale.resume().await.unwrap(); }
        if sale.state() == tresen::SaleState::Open {
            if sale.ticket().lines().is_empty() { sale.add(tea(1_00).group("kitchen")).await.unwrap(); }
            till.order(&mut sale).await.unwrap();
            if sale.open_amount().minor() > 0 { sale.pay_cash(sale.open_amount()).await.unwrap(); }
        }
        let sold = checkout.close(&mut sale).await.unwrap();
        assert!(matches!(sold, Sold::Closed { print: Print::Printed { .. }, .. }), "{polls}: {sold:?}");
        let jobs: Vec<_> = till.store().jobs().limit(100_000).await.unwrap().rows.into_iter().filter(|j| j.id.contains(&id)).collect();
        assert_eq!(jobs.len(), 2, "{polls}: {jobs:?}");
        if done.is_some() { println!("whole after {polls} polls"); break; }
        assert!(polls < 399);
    }
    let open = till.open_sales().await.unwrap();
    println!("{} open, {} sheets", open.len(), printer.with(|p| p.sheets().len()));
    assert!(till.leases().await.unwrap().iter().all(|l| l.until.is_some()), "{:?}", till.leases().await);
    pass(Duration::from_secs(200)).await;
    assert!(till.leases().await.unwrap().is_empty(), "{:?}", till.leases().await);
    let _ = Kind::Busy;
    let _: Option<Payment> = None;
}

#[tokio::test(start_paused = true)]
async fn a12_dropped_queue() {
    let mut desk = Desk::new();
    desk.terminal("bar", Profile::default());
    let till = desk.open_in_turns().await;
    ready(&till, Class::Terminal, "bar").await;
    let sale = till.open_sale().await.unwrap();
    for target in [tresen::lease::Target::from(&till.terminal("bar").unwrap()), tresen::lease::Target::from(&sale)] {
        for polls in 0..30 {
            let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
            let his = bo.lease(target.clone()).await.unwrap();
            let whole = async {
                let place = anna.queue(target.clone()).await.unwrap();
                place.wait().await.unwrap()
            };
            let waiting = Polled::new(whole, polls);
            let (got, ()) = tokio::join!(waiting, async { pass(Duration::from_secs(1)).await; his.release().await.unwrap(); });
            pass(Duration::from_millis(10)).await;
            match got {
                Some(lease) => { lease.release().await.unwrap(); }
                None => {
                    let leases = till.leases().await.unwrap();
                    println!("{polls}: {leases:?}");
                    pass(Duration::from_secs(181)).await;
                    assert!(till.leases().await.unwrap().is_empty(), "{polls} {:?}", till.leases().await);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a13_account_without_server() {
    // A tender that was being asked for when the till was stopped, and the server is gone from the configuration.
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::new());
    server.set_balance("a", Amount::eur(20_00));
    let till = sync_till(dir.path(), Arc::new(server.clone()), simulated()).await;
    connected(&till).await;
    server.add_faults([tresen::sync::sim::Fault::Late(Duration::from_secs(3))]);
    let mut sale = basket(&till, 20_00).await;
    let id = sale.id().to_owned();
    let accounts = till.accounts().unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(500), sale.pay_account(&accounts, "a", Amount::eur(20_00))).await;
    let copy = tempfile::tempdir().unwrap();
    for file in ["till.db", "till.db-wal"] { let _ = std::fs::copy(dir.path().join(file), copy.path().join(file)); }
    let printer = Device::at("escpos+tcp://127.0.0.1:9".parse().unwrap());
    let mut config = Config::default().with(Class::Printer, "receipt", printer);
    config.till.store = copy.path().join("till.db");
    config.till.socket = false;
    let till = Tresen::builder().runtime(Arc::new(simulated())).with(config).await.unwrap();
    let mut sale = till.sale(&id).await.unwrap().unwrap();
    pass(Duration::from_secs(3600)).await;
    sale.refresh().await.unwrap();
    println!("{:?}", sale.tenders());
    assert!(!sale.is_pending(), "a sale that can never be finished");
}
