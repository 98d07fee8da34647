//! Leases of terminals, scanners and sales: real drivers on simulators over links in memory, on a virtual clock.

#[path = "../common/mod.rs"]
mod common;
mod places;
mod removed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{epson, is_charged};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::Instant;
use tresen::hal::barcode::Symbology;
use tresen::hal::link::memory;
use tresen::hal::runtime::{SimulatedRuntime, Work, Worker};
use tresen::hal::sim::{self, Device, Shared};
use tresen::hal::{BoxFuture, Clock, Link, Runtime};
use tresen::lease::{End, Nature, Target, Turn};
use tresen::payment::zvt;
use tresen::payment::zvt::sim::Profile;
use tresen::payment::{Request, Terminal};
use tresen::printers::{Printer, escpos};
use tresen::sale::{Line, Sale, Vat};
use tresen::scanners::{Scanner, serial};
use tresen::{
    Amount, Class, Config, DeviceId, Effect, Event, EventKind, Events, Kind, Origin, Payment, Plan, Print, Printers,
    Receipt, Scanners, Terminals, Tresen,
};

const TTL: Duration = Duration::from_secs(180);
const SECOND: Duration = Duration::from_secs(1);

/// A link in memory to a device.
fn link<D: Device + 'static>(
    device: &Shared<D>,
) -> impl Fn() -> BoxFuture<'static, tresen::Result<Box<dyn Link>>> + Send + Sync + 'static {
    let device = device.clone();
    move || {
        let (near, far) = memory::pair();
        let device = device.clone();
        tokio::spawn(async move { sim::link(&far, &device).await });
        Box::pin(async move { Ok(Box::new(near) as _) })
    }
}

/// A terminal whose customer takes `pace` for each step.
async fn terminal(till: &Tresen, name: &str, pace: Duration) -> Shared<zvt::sim::Simulator> {
    // Each has an id of its own, as references of payments are unique.
    let terminal_id = name.bytes().fold(60_000_000, |id, byte| id + u32::from(byte)).to_string();
    let device = Shared::new(zvt::sim::Simulator::new(Profile { pace, terminal_id, ..Profile::default() }));
    let mut options = zvt::Options::new(name);
    (options.exclusive, options.ask_before, options.grace) = (true, false, Duration::ZERO);
    let plan = Plan::over(name, link(&device), move |link, context| {
        let options = options.clone();
        async move {
            let journal = context.journal.expect("a till has one");
            Ok(Box::new(zvt::open(link, options, journal, context.runtime).await?) as Box<dyn Terminal>)
        }
    });
    till.attach::<Terminals>(name, vec![plan.within(Duration::from_secs(900))]).await.expect("new");
    till.terminal(name).expect("attached").phase().wait_for(|phase| phase.is_ready()).await.expect("open");
    device
}

async fn scanner(till: &Tresen) -> Shared<serial::sim::Simulator> {
    let device = Shared::new(serial::sim::Simulator::new(serial::sim::Settings::default()));
    let plan = Plan::over("hand", link(&device), |link, context| async move {
        let scanner = serial::open(link, &context.name, serial::Options::default(), context.runtime)?;
        Ok(Box::new(scanner) as Box<dyn Scanner>)
    });
    till.attach::<Scanners>("hand", vec![plan]).await.expect("new");
    till.scanner("hand").expect("attached").phase().wait_for(|phase| phase.is_ready()).await.expect("open");
    device
}

fn runtime() -> SimulatedRuntime {
    SimulatedRuntime::new(11, "2026-01-02T08:00:00Z".parse().expect("a time"))
}

async fn open_with(folder: &Path, runtime: Arc<dyn Runtime>) -> Tresen {
    let mut config = Config::default();
    config.till.store = folder.join("till.db");
    config.till.socket = false;
    Tresen::builder().runtime(runtime).with(config).await.expect("opens")
}

async fn open() -> (TempDir, Tresen) {
    let folder = tempfile::tempdir().expect("a folder");
    let till = open_with(folder.path(), Arc::new(runtime())).await;
    (folder, till)
}

fn id(class: Class, name: &str) -> Target {
    DeviceId::new(class, name).into()
}

fn bar() -> Target {
    id(Class::Terminal, "bar")
}

fn hand() -> Target {
    id(Class::Scanner, "hand")
}

/// The next event of which `pick` makes something, and when it came.
async fn heard<T>(events: &mut Events, pick: impl Fn(EventKind) -> Option<T>) -> T {
    loop {
        let Event { kind, .. } = events.next().await.expect("the till is open");
        if let Some(found) = pick(kind) {
            return found;
        }
    }
}

fn ended(kind: EventKind) -> Option<(String, End)> {
    if let EventKind::LeaseEnded { holder, why, .. } = kind { Some((holder, why)) } else { None }
}

/// The journal's lines about leases under a key.
async fn journalled(till: &Tresen, key: &str) -> Vec<tresen::JournalEntry> {
    let entries = till.store().journal().await.expect("readable");
    entries.iter().filter(|entry| entry.kind == "lease" && entry.key == key).cloned().collect()
}

async fn pay(till: &Tresen, terminal: &str, key: &str) -> tresen::Result<Payment> {
    let (_keep, abort) = tokio::sync::watch::channel(false);
    till.terminal(terminal)?.pay_as(Request::new(key, Amount::eur(5_00)), abort).await
}

#[tokio::test(start_paused = true)]
async fn a_second_cashier_is_told_at_once_who_pays() {
    let (_folder, till) = open().await;
    let device = terminal(&till, "bar", Duration::from_secs(10)).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of(Origin::new().operator("bo")));
    let first = tokio::spawn({
        let anna = anna.clone();
        async move { pay(&anna, "bar", "a").await }
    });
    tokio::time::sleep(Duration::from_secs(7)).await;
    let asked = Instant::now();
    let error = pay(&bo, "bar", "b").await.expect_err("anna pays");
    assert_eq!((asked.elapsed(), error.kind(), error.effect()), (Duration::ZERO, Kind::Busy, Effect::None));
    assert!(error.to_string().starts_with("bar: serving `anna` for 7 s; queue for it"), "{error}");
    assert_eq!(till.store().payment(&tresen::payment::IntentId("b".into())).await.expect("readable"), None);
    let view = &till.leases().await.expect("readable")[0];
    assert_eq!((view.holder.as_str(), view.nature, view.until), ("anna", Nature::Transaction, None));
    assert_eq!(till.devices()[0].lease.as_ref(), Some(view), "and every screen can show it");
    // Those without a name wait their turn, as does anna herself.
    let (nameless, again) = tokio::join!(pay(&till, "bar", "c"), pay(&anna, "bar", "d"));
    assert!(is_charged(&nameless.expect("served")) && is_charged(&again.expect("served")));
    assert!(is_charged(&first.await.expect("no panic").expect("served")));
    assert!(is_charged(&pay(&bo, "bar", "b").await.expect("free")));
    assert_eq!(device.with(|d| d.ledger().turnover()), 4 * 5_00);
    assert_eq!(till.leases().await.expect("readable"), [], "a transaction's lease ends with it");
}

#[tokio::test(start_paused = true)]
async fn a_leased_terminal_refuses_everybody_else_until_its_holder_has_vanished() {
    let (_folder, till) = open().await;
    terminal(&till, "bar", Duration::ZERO).await;
    let mut events = till.events();
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let error = till.lease(bar()).await.expect_err("who?");
    assert!(error.kind() == Kind::Input && error.to_string().contains("on_behalf_of"), "{error}");
    let error = anna.lease(id(Class::Terminal, "bra")).await.expect_err("a typo");
    assert!(error.kind() == Kind::Config && error.to_string().contains("bar"), "{error}");

    let lease = anna.lease(&anna.terminal("bar").expect("attached")).await.expect("free");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(is_charged(&pay(&anna, "bar", "a").await.expect("hers")), "her name is enough, and renews it");
    let used = Instant::now();
    for (who, key) in [(&bo, "b"), (&till, "c")] {
        let error = pay(who, "bar", key).await.expect_err("leased");
        assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
        assert!(error.to_string().contains("leased by `anna` for 100 s, for 180 s more"), "{error}");
        let status = who.terminal("bar").expect("attached").status().await.expect_err("leased");
        assert_eq!(status.kind(), Kind::Busy, "{status}");
    }
    bo.lease(bar()).await.expect_err("leased");
    let place = bo.queue(bar()).await.expect("a place");
    assert_eq!(place.position().await.expect("known"), 1);
    // Anna is gone: bo gets it in time, and anna's late call finds it taken.
    let waiting = tokio::spawn(place.wait());
    assert_eq!(heard(&mut events, ended).await, ("anna".into(), End::Expired));
    assert!(used.elapsed() <= TTL + SECOND, "{:?}", used.elapsed());
    let granted = |kind| if let EventKind::LeaseGranted { holder, .. } = kind { Some(holder) } else { None };
    assert_eq!(heard(&mut events, granted).await, "bo");
    let new = waiting.await.expect("no panic").expect("his turn");
    assert!(new.token() > lease.token());
    let error = pay(lease.till(), "bar", "late").await.expect_err("lost");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None));
    assert!(error.to_string().contains("it was not renewed"), "{error}");
    assert!(!lease.release().await.expect("no matter"), "it does not end the lease of bo");
    assert!(is_charged(&pay(new.till(), "bar", "b").await.expect("his")));
    assert!(new.release().await.expect("his"));
    assert_eq!(till.leases().await.expect("readable"), []);
}

#[tokio::test(start_paused = true)]
async fn a_granted_lease_that_nobody_claims_passes_on_and_a_vanished_place_blocks_nobody() {
    let (_folder, till) = open().await;
    terminal(&till, "bar", Duration::ZERO).await;
    let [anna, bo, cleo, dan] = ["anna", "bo", "cleo", "dan"].map(|name| till.on_behalf_of(name));
    let lease = anna.lease(bar()).await.expect("free");
    // Bo and cleo queue by name, as a handheld does over the socket, and vanish; dan stays.
    for gone in [&bo, &cleo] {
        assert!(matches!(gone.queue_turn(&bar()).await.expect("a place"), Turn::Waiting { .. }));
    }
    let dan = tokio::spawn(dan.queue(bar()).await.expect("a place").wait());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(cleo.leave_queue(&bar()).await.expect("left"));
    assert!(lease.release().await.expect("hers"));
    let start = Instant::now();
    let mut events = till.events();
    assert_eq!(till.leases().await.expect("readable")[0].holder, "bo");
    dan.await.expect("no panic").expect("his turn");
    assert_eq!(start.elapsed(), TTL, "bo did not come for it");
    let mut left: Vec<_> = Vec::new();
    while let Some(event) = events.try_next() {
        left.extend(ended(event.kind));
    }
    assert!(left.contains(&("bo".into(), End::Expired)), "{left:?}");

    // Dropping a place leaves the queue, and gives back what it has just got.
    let place = anna.queue(bar()).await.expect("a place");
    drop(place);
    assert_eq!(till.leases().await.expect("readable")[0].waiting, []);
    let place = anna.queue(bar()).await.expect("a place");
    till.on_behalf_of("dan").release_lease(&bar()).await.expect("his");
    assert_eq!(till.leases().await.expect("readable")[0].holder, "anna");
    drop(place);
    assert_eq!(till.leases().await.expect("readable"), []);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_over_during_a_payment_ends_with_it_and_the_sale_says_so() {
    let (_folder, till) = open().await;
    let device = terminal(&till, "bar", Duration::from_secs(10)).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let mut sale = anna.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits")).await.expect("stored");
    let lease = anna.lease(bar()).await.expect("free");
    let paying = tokio::spawn({
        let counter = lease.till().terminal("bar").expect("attached");
        async move {
            let (_keep, abort) = tokio::sync::watch::channel(false);
            let paid = sale.pay_card(&counter, abort).await;
            (paid, sale, Instant::now())
        }
    });
    // A second payment of anna waits behind the first.
    let late = tokio::spawn({
        let till = lease.till().clone();
        async move {
            tokio::time::sleep(SECOND).await;
            pay(&till, "bar", "late").await
        }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut events = till.events();
    let view = bo.ask_holder(bar(), "my guest leaves").await.expect("anna has it");
    assert_eq!(view.holder, "anna");
    assert_eq!(lease.asked().await.expect("hers")[0].by, "bo");
    let wanted = |kind| if let EventKind::LeaseWanted { by, why, .. } = kind { Some((by, why)) } else { None };
    assert_eq!(heard(&mut events, wanted).await, ("bo".into(), "my guest leaves".into()));
    let error = bo.take_over(bar(), " ").await.expect_err("why?");
    assert_eq!(error.kind(), Kind::Input, "{error}");
    let place = bo.take_over(bar(), "my guest leaves").await.expect("a place");
    assert_eq!(place.position().await.expect("known"), 1);
    let ending = till.leases().await.expect("readable").remove(0);
    let why = End::TakenOver { by: "bo".into(), why: "my guest leaves".into() };
    assert_eq!((ending.holder.as_str(), ending.ending.as_ref()), ("anna", Some(&why)));
    assert_eq!(lease.renew().await.expect_err("too late").kind(), Kind::Cancelled);

    let (got, paid) = tokio::join!(
        async {
            let lease = place.wait().await.expect("his turn");
            (lease, Instant::now())
        },
        paying
    );
    let ((new, since), (paid, sale, until)) = (got, paid.expect("no panic"));
    assert!(is_charged(&paid.expect("served")), "a running payment is not torn from its terminal");
    assert_eq!(since, until, "and bo got it when it ended");
    assert_eq!(device.with(|d| (d.received(0x0601), d.ledger().turnover())), (1, 2_90));
    let error = late.await.expect("no panic").expect_err("the next one was too late");
    assert_eq!((error.kind(), error.effect()), (Kind::Cancelled, Effect::None));
    assert!(error.to_string().contains("`bo` took it over: my guest leaves"), "{error}");
    let tender = &sale.tenders()[0];
    let said = tender.lease_ended.as_deref().expect("it says what happened");
    assert!(said.contains("anna") && said.contains("`bo` took it over: my guest leaves"), "{said}");
    assert_eq!(journalled(&till, &tender.key).await[0].origin, Origin::new().station("bo"));
    drop(new);
    tokio::time::sleep(SECOND).await;
    assert_eq!(journalled(&till, "terminal bar").await.len(), 1, "and so does the terminal's history");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_vanished_holder_ends_with_its_payment() {
    let (_folder, till) = open().await;
    // Each step of the customer takes longer than a lease lasts.
    const SHORT: Duration = Duration::from_secs(5);
    let device = terminal(&till, "bar", 2 * SHORT).await;
    let mut config = Config::clone(&till.config());
    config.till.lease = SHORT;
    till.reload_with(config, SECOND).await.expect("right");
    let mut events = till.events();
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    anna.lease(bar()).await.expect("free");
    let gone = tokio::time::timeout(SECOND, pay(&anna, "bar", "a")).await;
    gone.expect_err("the customer takes longer");
    let left = Instant::now();
    let waiting = tokio::spawn(bo.queue(bar()).await.expect("a place").wait());
    let ending = |kind| if let EventKind::LeaseEnding { why, .. } = kind { Some(why) } else { None };
    assert_eq!(heard(&mut events, ending).await, End::Expired);
    assert!(left.elapsed() <= SHORT + SECOND, "{:?}", left.elapsed());
    assert_eq!(device.with(|d| d.ledger().turnover()), 0, "the payment runs on");
    waiting.await.expect("no panic").expect("his turn");
    let payment = till.store().payment(&tresen::payment::IntentId("a".into())).await.expect("readable").expect("there");
    assert!(payment.outcome().is_some_and(|outcome| is_charged(&outcome)), "it had ended by then: {payment:?}");
    assert_eq!(device.with(|d| d.ledger().turnover()), 5_00);
    assert_eq!(journalled(&till, "a").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_on_a_printer_concerns_direct_calls_and_no_jobs() {
    let (_folder, till) = open().await;
    let device = Shared::new(epson());
    let plan = Plan::over("belt", link(&device), |link, _context| async move {
        Ok(Box::new(escpos::open(link, escpos::Options::default()).await?) as Box<dyn Printer>)
    });
    till.attach::<Printers>("belt", vec![plan]).await.expect("new");
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    anna.lease(id(Class::Printer, "belt")).await.expect("free");
    let belt = bo.printer("belt").expect("attached");
    assert_eq!(belt.status().await.expect_err("leased").kind(), Kind::Busy);
    let error = belt.kick_drawer(tresen::printers::DrawerPin::Two).await.expect_err("leased");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
    assert!(matches!(belt.print(&Receipt::new().text("MARK").cut()).await, Ok(Print::Printed { .. })));
    assert!(anna.printer("belt").expect("attached").status().await.expect("hers").online.is_yes());
}

/// Opens a sale with one line and leases it.
async fn table(till: &Tresen) -> (Sale, tresen::lease::Lease) {
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

/// A clock that somebody sets.
#[derive(Debug)]
struct SetClock {
    runtime: SimulatedRuntime,
    ahead: AtomicI64,
}

impl SetClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { runtime: runtime(), ahead: AtomicI64::new(0) })
    }

    fn set(&self, hours: i64) {
        self.ahead.store(hours * 3600, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> std::time::Instant {
        self.runtime.now()
    }
    fn wall(&self) -> Timestamp {
        self.runtime.wall() + jiff::SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }
}

impl Runtime for SetClock {
    fn random(&self) -> u64 {
        self.runtime.random()
    }
    fn new_id(&self) -> String {
        self.runtime.new_id()
    }
    fn offload(&self, work: Work) {
        self.runtime.offload(work);
    }
    fn worker(&self, name: &str) -> tresen::Result<Worker> {
        self.runtime.worker(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_neither_ends_nor_extends_a_lease() {
    for (during, between) in [(5, 0), (-5, 0), (0, -5), (0, 5)] {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = SetClock::new();
        let till = open_with(folder.path(), clock.clone()).await;
        let mut events = till.events();
        let (sale, lease) = table(&till.on_behalf_of("anna")).await;
        let start = Instant::now();
        clock.set(during);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let bo = till.on_behalf_of("bo");
        bo.lease(&sale).await.expect_err("hers for 80 s more");
        if between == 0 {
            heard(&mut events, ended).await;
            assert!((TTL..=TTL + SECOND).contains(&start.elapsed()), "{during} h: {:?}", start.elapsed());
            bo.lease(&sale).await.expect("free");
            till.close(SECOND).await.expect("closed");
            continue;
        }
        let id = sale.id().to_owned();
        till.close(SECOND).await.expect("closed");
        drop((sale, lease, events, bo, till));
        clock.set(between);
        let start = Instant::now();
        let till = open_with(folder.path(), clock).await;
        let bo = tokio::spawn(till.on_behalf_of("bo").queue(Target::Sale(id)).await.expect("a place").wait());
        bo.await.expect("no panic").expect("his turn");
        assert!(start.elapsed() <= TTL + SECOND, "{between} h: {:?}", start.elapsed());
        till.close(SECOND).await.expect("closed");
    }
}

/// What is scanned while holders come and go.
#[tokio::test(start_paused = true)]
async fn each_scan_goes_to_one_and_to_the_right_one() {
    let (_folder, till) = open().await;
    let device = scanner(&till).await;
    let scan = |text: &str| device.with(|d| d.scan(text, Symbology::Code128));
    let [anna, bo] = ["anna", "bo"].map(|name| till.on_behalf_of(name));
    let next = |till: &Tresen| {
        let hand = till.scanner("hand").expect("attached");
        async move { tokio::time::timeout(SECOND, hand.next()).await.ok()?.ok().map(|scan| scan.text) }
    };
    // Nobody takes them: they wait, and the oldest goes first.
    scan("A-1");
    scan("A-2");
    assert_eq!(next(&till).await.as_deref(), Some("A-1"));
    assert_eq!(next(&anna).await.as_deref(), Some("A-2"), "anna is the listener from here on");
    scan("A-3");
    // Neither of them is left waiting without a word.
    for other in [&bo, &till] {
        let start = Instant::now();
        let refused = other.scanner("hand").expect("attached").next().await.expect_err("they are anna's");
        assert_eq!((refused.kind(), refused.effect(), start.elapsed()), (Kind::Busy, Effect::None, Duration::ZERO));
        assert!(refused.to_string().contains("its scans go to `anna`"), "{refused}");
    }
    assert_eq!(bo.scanner("hand").expect("attached").discard(), 0, "they are not his");
    assert_eq!(till.leases().await.expect("readable")[0].nature, Nature::Listener);
    assert_eq!(next(&anna).await.as_deref(), Some("A-3"));
    // Leasing it is how bo takes over.
    let lease = bo.lease(hand()).await.expect("a listener is no obstacle");
    scan("B-1");
    let refused = anna.scanner("hand").expect("attached").next().await.expect_err("they are bo's");
    assert!(refused.to_string().contains("leased by `bo`"), "{refused}");
    assert_eq!(next(&bo).await.as_deref(), Some("B-1"));
    scan("B-2");
    assert!(lease.release().await.expect("his"));
    assert_eq!(next(&anna).await.as_deref(), Some("B-2"), "what nobody took is not lost");
    // A listener who stops makes room.
    let (start, his) = (Instant::now(), bo.scanner("hand").expect("attached"));
    while let Ok(asked) = tokio::time::timeout(SECOND, his.next()).await {
        assert_eq!(asked.expect_err("nothing was scanned").kind(), Kind::Busy);
        tokio::time::sleep(SECOND).await;
        assert!(start.elapsed() < TTL + 2 * SECOND);
    }
    assert!(start.elapsed() >= TTL - 2 * SECOND, "{:?}", start.elapsed());
    scan("B-3");
    assert_eq!(next(&bo).await.as_deref(), Some("B-3"));
}

/// Whoever is waiting for a scan is told as soon as the scans go to somebody else, and loses none that came before.
#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_for_a_scan_is_told_when_another_takes_the_scanner() {
    let (_folder, till) = open().await;
    let device = scanner(&till).await;
    let [anna, bo] = ["anna", "bo"].map(|name| till.on_behalf_of(name));
    for waiter in [till.clone(), anna] {
        let waiting = tokio::spawn({
            let hand = waiter.scanner("hand").expect("attached");
            async move { hand.next().await }
        });
        tokio::time::sleep(SECOND).await;
        let lease = bo.lease(hand()).await.expect("waiting is no obstacle");
        let refused = waiting.await.expect("no panic").expect_err("they are bo's now");
        assert_eq!((refused.kind(), refused.device()), (Kind::Busy, Some("hand")), "{refused}");
        assert!(refused.to_string().contains("leased by `bo`"), "{refused}");
        device.with(|d| d.scan("WORD", Symbology::Code128));
        assert_eq!(bo.scanner("hand").expect("attached").next().await.expect("his").text, "WORD");
        // A holder whose lease was taken over is told that, and by whom.
        let chief = till.on_behalf_of("chief");
        let stale = lease.till().scanner("hand").expect("attached");
        let taken = chief.take_over(hand(), "the shift is over").await.expect("with a reason");
        let taken = taken.wait().await.expect("at once");
        let refused = stale.next().await.expect_err("it has ended");
        assert_eq!(refused.kind(), Kind::Cancelled, "{refused}");
        assert!(taken.release().await.expect("hers"));
    }
}

#[tokio::test(start_paused = true)]
async fn no_scan_is_lost_or_doubled_while_holders_change_and_waits_are_dropped() {
    const SCANS: usize = 300;
    let (_folder, till) = open().await;
    let device = scanner(&till).await;
    let dice = Arc::new(runtime());
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut takers = Vec::new();
    for name in ["anna", "bo", "cleo", ""] {
        let caller = if name.is_empty() { till.clone() } else { till.on_behalf_of(name) };
        let (dice, taken) = (dice.clone(), taken.clone());
        takers.push(tokio::spawn(async move {
            let hand = caller.scanner("hand").expect("attached");
            loop {
                // Dropped at any moment, also between being woken and returning.
                let patience = Duration::from_millis(dice.random() % 40);
                match tokio::time::timeout(patience, hand.next()).await {
                    Ok(Ok(scan)) => taken.lock().expect("whole").push(scan.text),
                    Ok(Err(_)) => tokio::time::sleep(patience.max(Duration::from_millis(1))).await,
                    Err(_) => {}
                }
                if !name.is_empty() && dice.random().is_multiple_of(5) {
                    match caller.lease(hand_of(&hand)).await {
                        Ok(lease) if dice.random().is_multiple_of(2) => _ = lease.release().await,
                        Ok(_) => {}
                        Err(_) if dice.random().is_multiple_of(3) => {
                            drop(caller.take_over(hand_of(&hand), "its my turn").await);
                        }
                        Err(_) => {}
                    }
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    for n in 0..SCANS {
        device.with(|d| d.scan(format!("CODE-{n}"), Symbology::Code128));
        tokio::time::sleep(Duration::from_millis(dice.random() % 30)).await;
    }
    let all: Vec<_> = (0..SCANS).map(|n| format!("CODE-{n}")).collect();
    let end = Instant::now() + 3 * TTL;
    while taken.lock().expect("whole").len() < SCANS && Instant::now() < end {
        tokio::time::sleep(SECOND).await;
    }
    takers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(*taken.lock().expect("whole"), all, "each once, the oldest first");
}

fn hand_of(hand: &tresen::Scanner) -> Target {
    hand.into()
}

/// 22 handhelds share 3 terminals; some are dropped on the way.
#[tokio::test(start_paused = true)]
async fn twenty_two_handhelds_take_turns_at_three_terminals() {
    const HANDHELDS: usize = 22;
    const ROUNDS: usize = 6;
    let (_folder, till) = open().await;
    let names = ["counter", "bar", "garden"];
    let mut devices = Vec::new();
    for name in names {
        devices.push(terminal(&till, name, Duration::from_secs(4)).await);
    }
    type Grants = BTreeMap<Target, Vec<(Timestamp, String)>>;
    let grants: Arc<Mutex<Grants>> = Arc::default();
    let start = Instant::now();
    let handhelds = (0..HANDHELDS).map(|n| {
        let (till, grants) = (till.on_behalf_of(format!("handheld {n}").as_str()), grants.clone());
        tokio::spawn(async move {
            let (mut waits, mut paid) = (Vec::new(), 0);
            for round in 0..ROUNDS {
                let target = id(Class::Terminal, names[(n + round) % 3]);
                let asked = Instant::now();
                let place = till.queue(target.clone()).await.expect("a place");
                let since = place.since();
                let lease = place.wait().await.expect("its turn");
                waits.push(asked.elapsed());
                grants.lock().expect("whole").entry(target.clone()).or_default().push((since, lease.holder().into()));
                let terminal = names[(n + round) % 3];
                let payment = pay(lease.till(), terminal, &format!("{n}-{round}")).await.expect("its own");
                assert!(is_charged(&payment), "{payment:?}");
                paid += 1;
                if n % 7 == 3 && round == 2 {
                    // Out of range, with the lease.
                    return (waits, paid);
                }
                assert!(lease.release().await.expect("its own"));
            }
            (waits, paid)
        })
    });
    let (mut waits, mut paid) = (Vec::new(), 0);
    for handheld in handhelds.collect::<Vec<_>>() {
        let (waited, done) = handheld.await.expect("no panic");
        waits.extend(waited);
        paid += done;
    }
    let lasted = start.elapsed();
    let (shortest, longest) = (waits.iter().min().expect("some"), waits.iter().max().expect("some"));
    println!("{paid} payments in {lasted:?}: waited {shortest:?} at least, {longest:?} at most");
    let turnover: i64 = devices.iter().map(|d| d.with(|d| d.ledger().turnover())).sum();
    assert_eq!(turnover, paid * 5_00);
    for (target, grants) in grants.lock().expect("whole").iter() {
        assert!(grants.is_sorted_by_key(|(since, _)| *since), "{target}: {grants:?}");
    }
    // Nobody waits longer than for all others before, and for the three that vanished.
    let each = Duration::from_secs(4 * 8);
    assert!(*longest <= each * HANDHELDS as u32 + 3 * (TTL + SECOND), "{longest:?}");
    tokio::time::sleep(TTL + SECOND).await;
    assert_eq!(till.leases().await.expect("readable"), []);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_lease_hears_that_the_till_is_closed() {
    let (_folder, till) = open().await;
    scanner(&till).await;
    let (anna, bo) = (till.on_behalf_of("anna"), till.on_behalf_of("bo"));
    let (sale, _lease) = table(&anna).await;
    anna.lease(hand()).await.expect("free");
    let waits = [hand(), Target::from(&sale)].map(|target| {
        let bo = bo.clone();
        tokio::spawn(async move { bo.queue(target).await.expect("a place").wait().await })
    });
    tokio::time::sleep(SECOND).await;
    till.close(SECOND).await.expect("closed");
    let closed = Instant::now();
    for waits in waits {
        let error = waits.await.expect("no panic").expect_err("closed");
        assert_eq!((error.kind(), closed.elapsed()), (Kind::Cancelled, Duration::ZERO), "{error}");
    }
    assert_eq!(anna.renew_lease(&hand()).await.expect_err("closed").kind(), Kind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_station_has_its_own_devices() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "
        [till]
        store = 'till.db'
        lease = '90s'
        socket = false
        [terminals.bar]
        address = 'zvt+tcp://127.0.0.1:9'
        [scanners.belt]
        address = 'scanner+tcp://127.0.0.1:10'
        [stations.'handheld 7']
        terminal = 'bar'
        scanner = 'belt'
    ";
    let file = folder.path().join("till.toml");
    std::fs::write(&file, text).expect("written");
    let till = Tresen::builder().runtime(Arc::new(runtime())).open(&file).await.expect("opens");
    let seven = till.on_behalf_of("handheld 7");
    assert_eq!(seven.my_terminal().expect("assigned").name(), "bar");
    assert_eq!(seven.my_scanner().expect("assigned").name(), "belt");
    let error = seven.my_printer().err().expect("there is none");
    assert!(error.kind() == Kind::Config && error.to_string().contains("[stations.\"handheld 7\"]"), "{error}");
    let error = till.my_terminal().err().expect("whose?");
    assert!(error.to_string().contains("no station"), "{error}");
    let error = till.on_behalf_of("handheld 8").my_terminal().err().expect("unknown");
    assert!(error.to_string().contains("handheld 7"), "{error}");
    let lease = seven.lease(&seven.my_terminal().expect("assigned")).await.expect("free");
    let until = lease.grant().until.duration_since(lease.grant().since);
    assert_eq!(until, jiff::SignedDuration::from_secs(90), "`lease` of the configuration");
    let text = text.replace("'90s'", "'0.5s'");
    let checked = Config::check_text(&text, "till.toml", till.drivers());
    assert!(checked.problems[0].to_string().contains("between 1 s and 24 h"), "{:?}", checked.problems);
}
