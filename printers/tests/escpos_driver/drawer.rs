//! Drawers on the printer, also while a job waits.

use std::time::Duration;

use tresen_hal::{Driver, Effect, Kind, Known};
use tresen_printers::escpos::sim::Simulator;
use tresen_printers::{CashDrawer, DrawerPin, Outcome, Paper, Polarity, Printer, PrinterDrawer, Profile, Proof};

use crate::common::{count, epson, faults, job, open, serve, text, tm_t88};

#[tokio::test(start_paused = true)]
async fn opens_and_watches_a_drawer() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    let mut drawer = PrinterDrawer::new(&mut printer, DrawerPin::Five, Polarity::OpenIsHigh);
    drawer.kick().await.expect("kicks");
    assert_eq!(drawer.is_open().await.expect("answers"), Known::No);
    device.with(|d| d.drawer_pin(true));
    assert_eq!(drawer.is_open().await.expect("answers"), Known::Yes);
    let shut = device.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        shut.with(|d| d.drawer_pin(false));
    });
    drawer.closed().await.expect("somebody closes it");
    device.with(|d| {
        let kick = d.kicks()[0];
        assert_eq!((kick.pin, kick.on_ms, kick.off_ms), (DrawerPin::Five, 50, 500));
    });
}

/// A pulse in the buffer would open the drawer when somebody puts in paper.
#[tokio::test(start_paused = true)]
async fn a_drawer_does_not_open_ten_minutes_later() {
    for paper in [true, false] {
        let (device, link) = serve(Simulator::new(Profile::generic_80()));
        let mut printer = open(link).await;
        device.with(|d| if paper { d.remove_paper() } else { d.cover(true) });
        let error = printer.kick_drawer(DrawerPin::Two).await.expect_err("stopped");
        assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
        assert!(error.to_string().contains("stays shut"), "{error}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        device.with(|d| {
            d.load_paper();
            d.cover(false);
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(device.with(|d| d.kicks().len()), 0);
        printer.kick_drawer(DrawerPin::Two).await.expect("works again");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(device.with(|d| d.kicks().len()), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_with_a_command_for_it_opens_the_drawer_without_paper_at_once() {
    let (device, link) = serve(tm_t88());
    let mut printer = open(link).await;
    device.with(Simulator::remove_paper);
    printer.kick_drawer(DrawerPin::Two).await.expect("opens");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(device.with(|d| d.kicks().len()), 1);
    // DLE DC4 fn 1, pin 2, 100 ms.
    assert_eq!(count(&device, b"\x10\x14\x01\x00\x01"), 1);
    device.with(Simulator::load_paper);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(device.with(|d| d.kicks().len()), 1, "and not again");
}

/// Epson, DLE DC4 (fn = 1): it is ignored in an error status. The call used to end well, and the drawer stayed shut.
#[tokio::test(start_paused = true)]
async fn a_drawer_that_stays_shut_because_of_an_error_is_told() {
    let (device, link) = serve(tm_t88());
    let mut printer = open(link).await;
    device.with(|d| d.jam_cutter(true));
    let error = printer.kick_drawer(DrawerPin::Two).await.expect_err("ignored");
    assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
    assert!(error.to_string().contains("stays shut"), "{error}");
    let panel = printer.panel();
    let idle = async { while Driver::event(&mut printer).await.is_ok() {} };
    let error = tokio::select! {
        answer = panel.kick_drawer(DrawerPin::Two) => answer.expect_err("ignored"),
        () = idle => panic!("the link was lost"),
    };
    assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
    assert_eq!(device.with(|d| d.kicks().len()), 0);
}

#[tokio::test(start_paused = true)]
async fn while_a_job_waits_for_paper_its_status_is_known_and_the_drawer_opens() {
    let (device, link) = serve(tm_t88().with_faults(faults(|f| f.paper_out_after_lines = Some(2))));
    let mut printer = open(link).await;
    let panel = printer.panel();
    assert_eq!((panel.status().paper, panel.status().online), (Paper::Ok, Known::Yes), "known without a call");
    let clerk = device.clone();
    let waiting = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(panel.status().paper, Paper::Out);
        panel.kick_drawer(DrawerPin::Two).await.expect("opens");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(clerk.with(|d| d.kicks().len()), 1);
        clerk.with(Simulator::load_paper);
    });
    assert!(matches!(printer.print(&job(20)).await, Outcome::Printed(Proof::ProcessId(_))));
    waiting.await.expect("all of it");
    assert!(text(&device).contains("Article 19"));
}

#[tokio::test(start_paused = true)]
async fn a_drawer_in_haste_is_refused_at_once_where_it_would_have_to_wait() {
    let (device, link) = serve(Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        f.paper_out_after_lines = Some(2);
    })));
    let mut printer = open(link).await;
    let panel = printer.panel();
    let asked = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let before = tokio::time::Instant::now();
        let error = panel.kick_drawer(DrawerPin::Two).await.expect_err("in turn only");
        (error.kind(), error.effect(), before.elapsed())
    });
    assert!(matches!(printer.print(&job(20)).await, Outcome::Failed { safe_to_retry: false, .. }));
    assert_eq!(asked.await.expect("asked"), (Kind::Busy, Effect::None, Duration::ZERO));
    assert_eq!(device.with(|d| d.kicks().len()), 0);
}
