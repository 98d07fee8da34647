//! Devices that come and go while the till runs: attached, detached, reloaded; and a screen that follows.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Counter, epson, event, paper, ready, within};
use tresen::hal::link::memory;
use tresen::hal::{BoxFuture, Link, sim};
use tresen::printers::{Printer, escpos};
use tresen::{Class, Config, DeviceId, Drivers, Error, EventKind, Kind, Plan, Print, Printers, Receipt, Result};

const SOON: Duration = Duration::from_secs(5);

fn receipt(text: &str) -> Receipt {
    Receipt::new().text(text).cut()
}

/// A virtual printer at the far end of a link in memory, and how often it was opened.
fn in_memory() -> (Plan<dyn Printer>, sim::Shared<escpos::sim::Simulator>, Arc<AtomicUsize>) {
    let (device, opened) = (sim::Shared::new(epson()), Arc::new(AtomicUsize::new(0)));
    let (served, count) = (device.clone(), opened.clone());
    let link = move || -> BoxFuture<'static, Result<Box<dyn Link>>> {
        let (near, far) = memory::pair();
        let device = served.clone();
        count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move { sim::link(&far, &device).await });
        Box::pin(async move { Ok(Box::new(near) as _) })
    };
    let plan = Plan::over("a printer in memory", link, |link, _context| async move {
        Ok(Box::new(escpos::open(link, escpos::Options::default()).await?) as Box<dyn Printer>)
    });
    (plan, device, opened)
}

#[tokio::test]
async fn a_printer_of_the_programs_own_is_one_like_the_others_until_it_is_detached() {
    let counter = Counter::new();
    let till = counter.open().await;
    let (snapshot, mut events) = till.follow();
    assert_eq!(snapshot.devices, []);
    let (plan, device, opened) = in_memory();
    let id = till.attach::<Printers>("bar", vec![plan.clone()]).await.expect("new");
    assert_eq!(id, DeviceId::new(Class::Printer, "bar"));
    let taken = till.attach::<Printers>("bar", vec![plan.clone()]).await.expect_err("taken");
    assert_eq!(taken.kind(), Kind::Config, "{taken}");
    let bar = till.printer("bar").expect("attached");
    ready(bar.phase()).await;
    assert!(
        matches!(within("paper", bar.print(&receipt("Table 4"))).await, Ok(Print::Printed { on, .. }) if on == "bar")
    );
    assert!(paper(&device).contains("Table 4"));
    let at = event(&mut events, |name, kind| match kind {
        EventKind::Connected { address } if name == "bar" => Some(address),
        _ => None,
    });
    assert_eq!(at.await, "a printer in memory");

    till.detach(&id, SOON).await.expect("attached");
    assert_eq!(till.detach(&id, SOON).await.expect_err("gone").kind(), Kind::Config);
    assert_eq!((till.devices(), opened.load(Ordering::Relaxed)), (vec![], 1));
    assert!(till.printer("bar").is_err());
    let refused: Error = bar.status().await.expect_err("detached");
    assert_eq!(refused.kind(), Kind::Cancelled, "{refused}");
    // What is queued for it now waits until there is a printer of that name again.
    let job = bar.submit(&receipt("Table 5")).await.expect("stored");
    assert!(matches!(job.now().await, Ok(Print::Waiting { .. })));
    till.attach::<Printers>("bar", vec![plan]).await.expect("free again");
    assert!(matches!(within("paper", job.outcome(common::DEADLINE)).await, Ok(Print::Printed { .. })));
    assert!(paper(&device).contains("Table 5"));
}

#[tokio::test]
async fn a_changed_configuration_changes_only_what_has_changed() {
    let mut counter = Counter::new();
    let stays = counter.printer("stays").await;
    let goes = counter.printer("goes").await;
    let moves = counter.printer("moves").await;
    counter.route("all", &["goes", "stays"]);
    let till = counter.open_ready(&["stays", "goes", "moves"]).await;
    let mut events = till.events();
    let (before, mut connection) = (counter.config(), till.printer("stays").expect("configured").phase());
    connection.mark_unchanged();

    let mut next = before.clone();
    next.devices.remove(&DeviceId::new(Class::Printer, "goes"));
    next.routes.insert("all".into(), ["stays"].into());
    let moved = next.devices.get_mut(&DeviceId::new(Class::Printer, "moves")).expect("configured");
    moved.options.insert("connect-timeout".into(), tresen::config::OptionValue::Number(3));
    let added = before.device(Class::Printer, "goes").expect("configured").clone();
    next = next.with(Class::Printer, "new", added);
    let reloaded = till.reload_with(next.clone(), SOON).await.expect("right");
    let id = |name| vec![DeviceId::new(Class::Printer, name)];
    assert_eq!((reloaded.attached, reloaded.detached, reloaded.replaced), (id("new"), id("goes"), id("moves")));
    for name in ["stays", "new", "moves"] {
        ready(till.printer(name).expect("configured").phase()).await;
    }
    assert!(till.printer("goes").is_err());
    assert!(!connection.has_changed().expect("still owned"), "the one that stays keeps its connection");
    within("paper", till.printer("all").expect("a route").print(&receipt("first"))).await.expect("printed");
    within("paper", till.printer("new").expect("a printer").print(&receipt("second"))).await.expect("printed");
    assert!(paper(&stays).contains("first") && paper(&goes).contains("second"), "routes follow");
    event(&mut events, |name, kind| (name == "goes" && kind == EventKind::Detached).then_some(())).await;
    drop(moves);

    // What cannot change changes nothing.
    let mut other = next.clone();
    other.till.store = "elsewhere.db".into();
    let refused = till.reload_with(other, SOON).await.expect_err("another database");
    assert!(refused.to_string().contains("till.store"), "{refused}");
    let wrong = next.clone().with(
        Class::Printer,
        "odd",
        tresen::config::Device::at("zvt+tcp://x".parse().expect("an address")),
    );
    assert_eq!(till.reload_with(wrong, SOON).await.expect_err("no printer's").kind(), Kind::Config);
    assert_eq!(till.devices().len(), 3);
    assert!(till.reload(SOON).await.expect_err("no file").to_string().contains("not opened from a file"));
}

#[tokio::test]
async fn a_job_of_a_route_that_is_gone_is_told_of_and_printed_when_the_route_is_back() {
    let mut counter = Counter::new();
    let _receipt = counter.printer("receipt").await;
    let away = counter.away("printers.kitchen", "escpos");
    let till = counter.open_ready(&["receipt"]).await;
    let mut events = till.events();
    let both = counter.config();
    let job = till.printer("kitchen").expect("configured").submit(&receipt("2 Soup")).await.expect("stored");
    let mut one = both.clone();
    one.devices.remove(&DeviceId::new(Class::Printer, "kitchen"));
    till.reload_with(one, SOON).await.expect("right");
    let stranded = event(&mut events, |_, kind| match kind {
        EventKind::PrintStranded { job } => Some(job),
        _ => None,
    });
    assert_eq!(stranded.await, job.id());
    let (kitchen, _server) = away.switch_on(epson());
    till.reload_with(both, SOON).await.expect("right");
    assert!(matches!(within("paper", job.outcome(common::DEADLINE)).await, Ok(Print::Printed { .. })));
    assert!(paper(&kitchen).contains("2 Soup"));
}

#[tokio::test]
async fn a_till_reads_its_file_again() {
    let mut counter = Counter::new();
    let _receipt = counter.printer("receipt").await;
    let file = counter.write();
    let till = tresen::Tresen::open(&file).await.expect("opens");
    assert_eq!(till.reload(SOON).await.expect("right"), tresen::Reloaded::default());
    let _kitchen = counter.printer("kitchen").await;
    counter.write();
    assert_eq!(till.reload(SOON).await.expect("right").attached, [DeviceId::new(Class::Printer, "kitchen")]);
    std::fs::write(&file, "[printers.receipt]\naddress = 'nonsense'\n").expect("written");
    let error = till.reload(SOON).await.expect_err("wrong");
    assert!(error.to_string().contains("till.toml:2"), "{error}");
    assert_eq!(till.devices().len(), 2, "nothing has changed");
    let config = Config::load(&counter.write(), &Drivers::standard()).expect("right");
    assert_eq!(till.config().devices, config.devices);
}
