//! Statuses: reported, asked for, late and lost.

use std::time::Duration;

use tresen_hal::{Driver, Known};
use tresen_printers::escpos::sim::{Mishap, Simulator};
use tresen_printers::{Outcome, Paper, Printer, Profile, Proof};

use crate::common::{epson, faults, job, mishap, open, serve};

#[tokio::test(start_paused = true)]
async fn reports_changes_by_itself() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| d.near_end(true));
    assert_eq!(printer.event().await.expect("open").paper, Paper::NearEnd);
    device.with(|d| d.cover(true));
    let status = printer.event().await.expect("open");
    assert_eq!((status.cover_open, status.online), (Known::Yes, Known::No));
    // Nothing new: it waits.
    assert!(tokio::time::timeout(Duration::from_secs(60), printer.event()).await.is_err());
    device.with(|d| d.cover(false));
    assert_eq!(printer.event().await.expect("open").cover_open, Known::No);
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_knows_few_statuses_is_not_waited_for_twice() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        (f.few_statuses, f.no_identity, f.no_process_id) = (true, true, true);
    }));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    let before = tokio::time::Instant::now();
    let status = printer.status().await.expect("answers");
    assert_eq!((status.paper, status.cover_open), (Paper::Ok, Known::Unknown));
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    device.with(Simulator::remove_paper);
    assert_eq!(printer.status().await.expect("answers").paper, Paper::Out);
}

/// Each of the four status answers in turn is later than a printer may take.
#[tokio::test(start_paused = true)]
async fn one_late_status_shifts_nothing() {
    for late in 0..4 {
        for overtaken in [false, true] {
            let (device, link) = serve(epson());
            let mut printer = open(link).await;
            device.with(|d| d.cover(true));
            tokio::time::sleep(Duration::from_millis(1)).await;
            let by = Duration::from_millis(1100);
            mishap(&device, late, if overtaken { Mishap::Overtaken(by) } else { Mishap::Late(by) });
            printer.status().await.expect("answers");
            device.with(|d| {
                d.cover(false);
                d.remove_paper();
            });
            tokio::time::sleep(Duration::from_secs(5)).await;
            for _ in 0..2 {
                let status = printer.status().await.expect("answers");
                assert_eq!((status.paper, status.cover_open), (Paper::Out, Known::No), "answer {late}, {overtaken}");
            }
            match printer.print(&job(1)).await {
                Outcome::Failed { error, safe_to_retry: true } => {
                    assert!(error.to_string().contains("out of paper"), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_once_stayed_away_is_asked_for_again() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    mishap(&device, 1, Mishap::Lost);
    let status = printer.status().await.expect("answers");
    assert_eq!(status.cover_open, Known::Unknown, "DLE EOT 2 was lost");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(printer.status().await.expect("answers").cover_open, Known::No);
}

#[tokio::test(start_paused = true)]
async fn statuses_that_come_late_throughout_are_right() {
    let (device, link) = serve(epson().with_faults(faults(|f| f.late = Duration::from_millis(1300))));
    let mut printer = open(link).await;
    device.with(|d| d.cover(true));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = printer.status().await.expect("answers");
    assert_eq!((status.cover_open, status.paper), (Known::Yes, Paper::Ok));
}
