//! Jobs that need a person: paper out, cover open, cutter jammed.

use std::time::Duration;

use tresen_hal::{Effect, Kind};
use tresen_printers::document::Receipt;
use tresen_printers::escpos::sim::Simulator;
use tresen_printers::{Job, Outcome, Printer, Proof};

use crate::common::{epson, faults, job, open, serve, text};

#[tokio::test(start_paused = true)]
async fn without_paper_nothing_is_sent() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(Simulator::remove_paper);
    let before = device.with(|d| d.raw().len());
    match printer.print(&job(3)).await {
        Outcome::Failed { error, safe_to_retry: true } => {
            assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::None));
            assert!(error.to_string().contains("new roll"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // Four real-time status requests of three bytes.
    assert_eq!(device.with(|d| d.raw().len()) - before, 12);
    device.with(Simulator::load_paper);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(_)));
    device.with(|d| d.cover(true));
    assert!(matches!(printer.print(&job(3)).await, Outcome::Failed { safe_to_retry: true, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_new_roll_in_time_finishes_the_job() {
    let (device, link) = serve(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(40))));
    let mut printer = open(link).await;
    let operator = device.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(90)).await;
        operator.with(Simulator::load_paper);
    });
    // Long enough that the printer stops reading.
    assert!(matches!(printer.print(&job(300)).await, Outcome::Printed(Proof::ProcessId(_))));
    assert!(text(&device).contains("Article 299"));
}

#[tokio::test(start_paused = true)]
async fn a_job_without_paper_is_discarded_if_the_printer_can() {
    let (device, link) = serve(epson().with_faults(faults(|f| f.paper_out_after_lines = Some(2))));
    let mut printer = open(link).await;
    match printer.print(&job(20)).await {
        Outcome::Failed { error, safe_to_retry: false } => {
            assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Partial));
        }
        other => panic!("{other:?}"),
    }
    device.with(Simulator::load_paper);
    let next = Job::new("ticket-2", Receipt::new().text("next")).as_copy();
    assert!(matches!(printer.print(&next).await, Outcome::Printed(_)));
    let text = text(&device);
    assert!(text.contains("Article 1") && !text.contains("Article 5"), "the rest is gone:\n{text}");
    assert!(text.contains("COPY") && text.contains("next"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_discarded_is_unknown() {
    let device = epson().with_faults(faults(|f| (f.paper_out_after_lines, f.no_clear) = (Some(2), true)));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    match printer.print(&job(20)).await {
        Outcome::Unknown(error) => assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Unknown)),
        other => panic!("{other:?}"),
    }
    device.with(Simulator::load_paper);
    assert!(text(&device).contains("Article 19"), "it came out after all");
}

#[tokio::test(start_paused = true)]
async fn a_cutter_jam_is_recovered_from() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| d.jam_cutter(true));
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(_)), "DLE ENQ 2 frees it");
}

#[tokio::test(start_paused = true)]
async fn reset_discards_and_checks() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    printer.send_raw(b"left over").await.expect("open");
    printer.reset().await.expect("works");
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
    assert!(!text(&device).contains("left over"));
    device.with(Simulator::remove_paper);
    assert_eq!(printer.reset().await.expect_err("no paper").kind(), Kind::Operator);
}
