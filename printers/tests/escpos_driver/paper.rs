//! Jobs that need a person: paper out, cover open, cutter jammed.

use std::time::Duration;

use tresen_hal::{Effect, Kind, Known};
use tresen_printers::document::Receipt;
use tresen_printers::escpos::sim::Simulator;
use tresen_printers::escpos::{self, Options};
use tresen_printers::{Content, Job, Outcome, Paper, Printer, Profile, Proof};

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

/// One that is asked for a whole service while it has no paper: the requests stay in its buffer.
#[tokio::test(start_paused = true)]
async fn a_stopped_printer_is_asked_one_thing_only() {
    for few_statuses in [false, true] {
        let (device, link) = serve(epson().with_faults(faults(|f| {
            (f.few_statuses, f.no_automatic_status) = (few_statuses, true);
        })));
        let mut printer = open(link).await;
        device.with(Simulator::remove_paper);
        assert_eq!(printer.recheck().await.expect("answers").paper, Paper::Out, "all statuses, as it was not stopped");
        let before = device.with(|d| d.raw().len());
        for _ in 0..10 {
            assert_eq!(printer.recheck().await.expect("answers").paper, Paper::Out);
        }
        // Epson, DLE EOT n = 1: bit 3 is set while the printer is offline.
        device.with(|d| assert_eq!(d.raw()[before..], *b"\x10\x04\x01".repeat(10)));
        device.with(Simulator::load_paper);
        assert_eq!(printer.recheck().await.expect("answers").paper, Paper::Ok, "asked for the rest");
        // A printer that falls silent is noticed here, too.
        device.with(Simulator::remove_paper);
        printer.status().await.expect("answers");
        device.with(|d| d.faults.mute = true);
        assert_eq!(printer.recheck().await.expect_err("silent").kind(), Kind::Timeout);
    }
}

/// Epson: GS V 66 0 feeds to the cutter and cuts; without one, ESC d 4 feeds four lines.
#[tokio::test(start_paused = true)]
async fn a_job_on_a_fresh_sheet_begins_with_a_cut_or_a_feed() {
    for (cutter, command) in [(Known::Yes, &b"\x1dV\x42\x00"[..]), (Known::No, b"\x1bd\x04")] {
        let mut profile = Profile::epson_tm_m30();
        profile.cutter = cutter;
        let (device, link) = serve(Simulator::new(profile.clone()));
        let options = Options { profile: Some(profile), ..Options::default() };
        let mut printer = escpos::open(link, options).await.expect("opens");
        let before_the_total = |from: usize| {
            let sent = device.with(|d| d.raw()[from..].to_vec());
            let total = sent.windows(5).position(|w| w == b"Total").expect("sent");
            sent[..total].windows(command.len()).filter(|w| *w == command).count()
        };
        let contents = [Content::from(Receipt::new().text("Total")), Content::escpos(*b"Total\n")];
        for (n, content) in contents.into_iter().enumerate() {
            let job = Job::new(n.to_string(), content);
            for (job, cuts) in [(job.clone(), 0), (job.as_copy().on_fresh_sheet(), 1)] {
                let from = device.with(|d| d.raw().len());
                let outcome = printer.print(&job).await;
                assert!(matches!(outcome, Outcome::Printed(_)), "{outcome:?}");
                assert_eq!(before_the_total(from), cuts, "{job:?}, cutter: {cutter:?}");
            }
        }
        if cutter.is_yes() {
            let sheets = device.with(|d| d.sheets().iter().map(|sheet| sheet.text().to_owned()).collect::<Vec<_>>());
            assert_eq!(sheets.len(), 2);
            assert!(!sheets[0].contains("COPY") && sheets[1].contains("COPY"), "the mark is below the cut: {sheets:?}");
        }
    }
}
