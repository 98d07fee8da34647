use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use tresen_hal::{Amount, Clock, ManualClock, SimulatedRuntime};
use tresen_payment::{Charge, IntentId, Journal, MemoryJournal, Transaction};
use tresen_printers::Receipt;

use super::*;
use crate::class::{Class, DeviceId};
use crate::config::{Config, Device};
use crate::event::{EventKind, Events, Source};

/// A till with a printer that is not reachable. Its time is tokio's.
async fn till(limits: Limits) -> (TempDir, Tresen) {
    let dir = tempfile::tempdir().expect("a folder");
    let address = "escpos+tcp://127.0.0.1:10".parse().expect("an address");
    let mut config = Config::default().with(Class::Printer, "bar", Device::at(address));
    config.till.store = dir.path().join("till.db");
    config.till.socket = false;
    config.health = limits;
    let runtime = SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time"));
    let till = Tresen::builder().runtime(Arc::new(runtime)).with(config).await.expect("opens");
    (dir, till)
}

/// Limits that no disk of a test machine reaches.
fn limits() -> Limits {
    Limits { disk_low: 0, ..Limits::default() }
}

/// The alerts among the events so far.
fn alerts(events: &mut Events) -> Vec<(Source, &'static str)> {
    let all = std::iter::from_fn(|| events.try_next());
    all.filter(|e| e.kind.name().starts_with("alert-") || e.kind.name() == "paper-overdue")
        .map(|e| (e.source, e.kind.name()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_too_long_is_told_once_and_again_when_it_is_gone() {
    let (_dir, till) = till(limits()).await;
    let mut events = till.events();
    till.printer("bar").expect("configured").submit_as("slip", &Receipt::new().text("Tea")).await.expect("queued");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(alerts(&mut events), [], "it may still wait");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let bar = Source::Route("bar".into());
    assert_eq!(alerts(&mut events), [(bar.clone(), "paper-overdue")], "once, however long it waits");
    let health = till.health().await;
    let [queue] = health.till.store.queues.as_slice() else { panic!("one route: {:?}", health.till.store.queues) };
    assert_eq!((queue.route.as_str(), queue.waiting, queue.printing, queue.parked), ("bar", 1, 0, 0));
    assert_eq!(queue.oldest, Some("2026-01-02T08:00:00Z".parse().expect("a time")));
    let [alert] = health.alerts.as_slice() else { panic!("one alert: {:?}", health.alerts) };
    assert_eq!((alert.alert, &alert.source), (Alert::PaperOverdue, &bar));
    assert!(
        alert.why.contains("1 print job waits, the oldest, slip, since 2026-01-02T08:00:00Z: bar"),
        "{}",
        alert.why
    );
    assert_eq!(health.overdue.iter().map(|paper| paper.job.as_str()).collect::<Vec<_>>(), ["slip"]);

    till.printer("bar").expect("configured").cancel("slip").await.expect("waits");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(alerts(&mut events), [(bar, "alert-cleared")]);
    assert_eq!(till.health().await.alerts, []);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_stays_away_takes_no_memory_for_it() {
    let (_dir, till) = till(limits()).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    let health = till.health().await;
    let [bar] = health.devices.as_slice() else { panic!("one device") };
    assert!(bar.attempts > 1000, "every half a minute, for a day: {}", bar.attempts);
    assert_eq!((bar.connected_since, bar.reconnects, bar.calls.len()), (None, 0, 0));
    let [error] = bar.errors.as_slice() else { panic!("one kind of error: {:?}", bar.errors) };
    assert_eq!(error.times, bar.attempts, "each attempt is counted");
    assert!(bar.state.phase.is_away());
    assert_eq!(health.till.uptime.as_secs(), 24 * 3600);
    let told = till.recent_events();
    assert_eq!(told.iter().filter(|e| e.kind.name() == "disconnected").count(), 1, "events tell of changes");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_is_told_and_the_limits_can_change_while_the_till_is_open() {
    let (_dir, till) = till(Limits { disk_low: u64::MAX, ..Limits::default() }).await;
    let mut events = till.events();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(alerts(&mut events), [(Source::Till, "alert-raised")], "at the first look");
    let why = till.health().await.alerts[0].why.clone();
    assert!(why.contains("till.db") && why.contains("sales"), "{why}");
    let mut config = (*till.config()).clone();
    config.health.disk_low = 0;
    till.reload_with(config, Duration::ZERO).await.expect("the same devices");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(alerts(&mut events), [(Source::Till, "alert-cleared")]);
    let store = till.health().await.till.store;
    let (free, total) = (store.disk_free.expect("known"), store.disk_total.expect("known"));
    assert!(free <= total && store.bytes.expect("known") > 4096, "{store:?}");
    assert_eq!(store.sales_left, Some(free / (16 * 1024)));
    assert_eq!((store.failed, store.error), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_till_that_is_closed_says_that_it_cannot_read() {
    let (_dir, till) = till(limits()).await;
    till.printer("bar").expect("configured").submit_as("slip", &Receipt::new().text("Tea")).await.expect("queued");
    let mut events = till.events();
    till.close(Duration::from_secs(1)).await.expect("closes");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let health = till.health().await;
    assert!(health.till.store.error.as_deref().is_some_and(|e| e.contains("closed")), "{:?}", health.till.store);
    assert_eq!(health.till.store.queues.iter().map(|q| q.waiting).sum::<u64>(), 0);
    assert_eq!(alerts(&mut events), [], "nothing is looked at any more");
}

#[tokio::test]
async fn the_clock_of_a_terminal_is_compared_with_each_first_approval() {
    let clock = Arc::new(ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a time")));
    let bus = crate::event::Bus::new(clock.clone());
    let mut events = bus.listen();
    let terminal = DeviceId::new(Class::Terminal, "counter");
    let activity = Arc::new(Activity::new(Class::Terminal, "counter", "Till".into()));
    let journal = Observed {
        journal: Arc::new(MemoryJournal::new()),
        clock: clock.clone(),
        activity: activity.clone(),
        alerts: Arc::new(Alerts::new(bus, Limits::default())),
        terminal: Source::Device(terminal.clone()),
        last: Mutex::default(),
    };
    let approve = async |id: &str, ahead: i64| {
        let (key, amount) = (IntentId(id.into()), Amount::eur(1_00));
        let intent = tresen_payment::Intent::new(key, "counter", Transaction::Payment, amount, clock.wall(), None);
        journal.intend(&intent).await.ok();
        let mut charge = Charge::new(intent.id.clone(), amount);
        let local = clock.wall().to_zoned(jiff::tz::TimeZone::system()).datetime();
        charge.at = Some(local.checked_add(jiff::SignedDuration::from_secs(ahead)).expect("a time"));
        journal.approve(&intent.id, &charge).await.expect("journalled");
    };
    approve("a", -3600).await;
    assert_eq!(activity.past().clock.map(|c| c.seconds), Some(-3600));
    // With its slip, ten minutes later: not a new time.
    clock.advance(Duration::from_secs(600));
    approve("a", -4200).await;
    assert_eq!(activity.past().clock.map(|c| c.seconds), Some(-3600));
    approve("b", 90).await;
    assert_eq!(activity.past().clock.map(|c| c.seconds), Some(90), "the approval itself takes time");
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert_eq!(told.iter().map(|e| e.kind.name()).collect::<Vec<_>>(), ["alert-raised", "alert-cleared"]);
    let EventKind::AlertRaised { alert: Alert::ClockOff, why } = &told[0].kind else { panic!("{told:?}") };
    assert!(why.contains("60 min behind"), "{why}");
    assert_eq!(told[0].source, Source::Device(terminal));
}

#[tokio::test]
async fn the_space_of_a_disk_is_known_where_the_system_tells_it() {
    assert_eq!(Space::of(Path::new(".")).is_ok(), cfg!(unix));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_has_still_to_receive_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.till.store = dir.path().join("till.db");
    config.till.socket = false;
    config.health = limits();
    let server = crate::sync::sim::Server::new();
    server.set_reachable(false);
    let runtime = SimulatedRuntime::new(7, "2026-01-02T08:00:00Z".parse().expect("a time"));
    let till = Tresen::builder().runtime(Arc::new(runtime)).server(server.clone()).with(config).await.expect("opens");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.void("left").await.expect("voided");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let outbox = till.health().await.till.outbox.expect("there is a server");
    assert!(!outbox.status.state.is_connected() && outbox.status.behind > 0, "{outbox:?}");
    let oldest = outbox.oldest.expect("a line waits");
    assert!(oldest >= "2026-01-02T08:00:00Z".parse().expect("a time") && oldest < till.health().await.at, "{oldest}");
    server.set_reachable(true);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let outbox = till.health().await.till.outbox.expect("there is a server");
    assert!(outbox.status.state.is_connected(), "{outbox:?}");
    assert_eq!((outbox.status.behind, outbox.oldest), (0, None));
}
