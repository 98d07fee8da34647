//! What a till says of devices that work, fail and come back.

mod common;

use common::{Counter, epson, event, is_charged, pay, within};
use tokio::net::TcpListener;
use tresen::hal::sim::{self, Shared};
use tresen::health::{Alert, DeviceHealth};
use tresen::payment::zvt::sim::Profile as TerminalProfile;
use tresen::printers::Paper;
use tresen::{Amount, EventKind, Receipt, Tresen};

async fn device(till: &Tresen, name: &str) -> DeviceHealth {
    till.health().await.devices.into_iter().find(|d| d.state.id.name == name).expect("configured")
}

#[tokio::test]
async fn a_printers_jobs_paper_and_connections_are_counted() {
    let printer = Shared::new(epson());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (server, at) = sim::tcp(listener, printer.clone()).expect("served");
    let mut counter = Counter::new();
    counter.configure("printers.bar", &format!("escpos+tcp://{at}"));
    let till = counter.open_ready(&["bar"]).await;
    let mut events = till.events();
    let bar = till.printer("bar").expect("configured");
    for n in 0..3 {
        let receipt = Receipt::new().text(&format!("Tea {n}"));
        assert!(within("printed", bar.print(&receipt)).await.expect("stored").is_done());
    }
    within("asked", bar.status()).await.expect("answers");
    let health = device(&till, "bar").await;
    assert_eq!((health.attempts, health.reconnects, health.printed, health.parked), (1, 0, 3, 0));
    assert!(health.connected_since.is_some());
    assert_eq!(health.paper, Some(Paper::Ok));
    let calls: Vec<_> = health.calls.iter().map(|c| (c.call.as_str(), c.count, c.failed)).collect();
    assert_eq!(calls, [("print job", 3, 0), ("status request", 1, 0)]);
    let jobs = &health.calls[0];
    assert!(jobs.p50 <= jobs.p99 && jobs.p99 <= jobs.max && jobs.mean <= jobs.max, "{jobs:?}");
    assert!(!jobs.max.is_zero());

    printer.with(|p| p.remove_paper());
    event(&mut events, |_, what| match what {
        EventKind::Printer(status) if status.paper == Paper::Out => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(device(&till, "bar").await.paper, Some(Paper::Out));
    printer.with(|p| p.load_paper());

    drop(server);
    event(&mut events, |_, what| matches!(what, EventKind::Disconnected { .. }).then_some(())).await;
    let health = device(&till, "bar").await;
    assert_eq!((health.connected_since, health.paper), (None, None), "what it last said counts no more");
    assert!(!health.errors.is_empty(), "why it was lost");
    let listener = TcpListener::bind(at).await.expect("the same port");
    let (_server, _) = sim::tcp(listener, printer.clone()).expect("served");
    bar.reset().await.expect("open");
    event(&mut events, |_, what| matches!(what, EventKind::Connected { .. }).then_some(())).await;
    let health = device(&till, "bar").await;
    assert_eq!((health.reconnects, health.printed), (1, 3));
    let store = till.health().await.till.store;
    assert!(store.writes >= 9 && store.p50 <= store.max, "each job was queued, begun and ended: {store:?}");
}

#[tokio::test]
async fn a_terminal_whose_clock_is_wrong_is_told_with_its_first_approval() {
    let local = jiff::Zoned::now().datetime();
    let behind = local.checked_sub(jiff::SignedDuration::from_mins(61)).expect("a time");
    let profile = TerminalProfile { time: Some(behind), ..TerminalProfile::default() };
    let mut counter = Counter::new();
    let _sim = counter.terminal(profile).await;
    let till = counter.open_ready(&["counter"]).await;
    let mut events = till.events();
    assert_eq!(device(&till, "counter").await.clock, None, "it has not told the time yet");
    assert!(is_charged(&pay(&till, "a", Amount::eur(12_50)).await.expect("paid")));
    let why = event(&mut events, |on, what| match what {
        EventKind::AlertRaised { alert: Alert::ClockOff, why } if on == "counter" => Some(why),
        _ => None,
    });
    assert!(why.await.contains("behind"));
    let health = device(&till, "counter").await;
    let offset = health.clock.expect("told").seconds;
    assert!((-3720..=-3600).contains(&offset), "{offset}");
    assert_eq!(health.calls.iter().map(|c| (c.call.as_str(), c.count)).collect::<Vec<_>>(), [("payment", 1)]);
    // The same key again is the same payment: an old approval is no clock.
    assert!(is_charged(&pay(&till, "a", Amount::eur(12_50)).await.expect("known")));
    assert_eq!(device(&till, "counter").await.clock.map(|c| c.seconds), Some(offset));
    assert_eq!(till.health().await.alerts.len(), 1);
}
