//! Leases of terminals, scanners and sales: real drivers on simulators over links in memory, on a virtual clock.

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod payments;
mod places;
mod removed;
mod sales;
mod scans;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::epson;
use sales::table;
use tempfile::TempDir;
use tokio::time::Instant;
use tresen::hal::link::memory;
use tresen::hal::runtime::SimulatedRuntime;
use tresen::hal::sim::{Device, Shared};
use tresen::hal::{BoxFuture, Link, Runtime, sim};
use tresen::lease::{End, Target};
use tresen::payment::zvt::sim::Profile;
use tresen::payment::{Request, Terminal, zvt};
use tresen::printers::{Printer, escpos};
use tresen::scanners::{Scanner, serial};
use tresen::{
    Amount, Class, Config, DeviceId, Effect, Event, EventKind, Events, Kind, Payment, Plan, Print, Printers, Receipt,
    Scanners, Terminals, Tresen,
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
