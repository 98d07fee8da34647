//! Raw ESC/POS bytes as jobs: through the driver onto the virtual printer's paper.

mod common;

use std::time::Duration;

use tresen_hal::sim::Shared;
use tresen_hal::{Effect, Kind};
use tresen_printers::escpos;
use tresen_printers::escpos::sim::{Sheet, Simulator};
use tresen_printers::{Content, Job, Outcome, Printer, Proof, Raw};

async fn open(device: &Shared<Simulator>) -> escpos::Printer {
    common::open(Box::new(common::connect(device))).await
}

fn epson() -> Shared<Simulator> {
    Shared::new(common::epson())
}

fn sheets(device: &Shared<Simulator>) -> Vec<String> {
    device.with(|d| d.sheets().iter().map(|sheet: &Sheet| sheet.text().to_owned()).collect())
}

/// Epson: ESC @, ESC E 1, LF, GS V 0. 82 is é on the page that a printer begins with, PC437.
const TICKET: &[u8] = b"\x1b@\x1bE\x01Caf\x82 Tresen\n\x1dV\x00";

#[tokio::test(start_paused = true)]
async fn raw_bytes_are_printed_as_they_are_and_proven() {
    let device = epson();
    let mut printer = open(&device).await;
    let job = Job::new("ticket-1", Content::escpos(TICKET));
    assert!(matches!(printer.print(&job).await, Outcome::Printed(Proof::ProcessId(_))));
    assert_eq!(sheets(&device), ["Café Tresen\n"]);
    assert_eq!(device.with(|d| d.raw().windows(TICKET.len()).filter(|w| *w == TICKET).count()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_raw_bytes_says_so_above_them_and_looks_the_same() {
    let device = epson();
    let mut printer = open(&device).await;
    // Nothing that sets a code page: it has to be the same in the copy.
    let job = Job::new("ticket-1", Content::escpos(*b"Caf\x82 Tresen\n\x1dV\x00"));
    assert!(matches!(printer.print(&job).await, Outcome::Printed(_)));
    assert!(matches!(printer.print(&job.as_copy()).await, Outcome::Printed(_)));
    let [first, copy] = &sheets(&device)[..] else { panic!("two sheets") };
    assert_eq!(first, "Café Tresen\n");
    let (mark, rest) = copy.split_once('\n').expect("two lines");
    assert!(mark.contains("COPY"), "{mark}");
    assert_eq!(rest, "Café Tresen\n");
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_in_another_language_are_refused_before_anything_is_sent() {
    let device = epson();
    let mut printer = open(&device).await;
    let before = device.with(|d| d.raw().len());
    let raw = Raw { language: "star-line".into(), bytes: b"\x1b\x1d\x61\x01x\n".as_slice().into() };
    match printer.print(&Job::new("ticket-1", raw)).await {
        Outcome::Failed { error, safe_to_retry: true } => {
            assert_eq!((error.kind(), error.effect()), (Kind::Unsupported, Effect::None));
            assert!(error.to_string().contains("star-line"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(device.with(|d| d.raw().len()), before);
    assert!(matches!(printer.print(&Job::new("ticket-2", Content::escpos(TICKET))).await, Outcome::Printed(_)));
}

/// GS r 1 among the bytes is answered like the question that proves a job on printers without job numbers.
#[tokio::test(start_paused = true)]
async fn an_answer_that_raw_bytes_asked_for_proves_nothing() {
    let device = epson();
    device.with(|d| d.faults.no_process_id = true);
    let mut printer = open(&device).await;
    let plain = Job::new("ticket-1", Content::escpos(*b"Table 4\n\x1dV\x00"));
    assert!(matches!(printer.print(&plain).await, Outcome::Printed(Proof::BufferDone)));
    let asks = Job::new("ticket-2", Content::escpos(*b"\x1dr\x01Table 5\n\x1dV\x00"));
    assert!(matches!(printer.print(&asks).await, Outcome::Accepted));
    // Its answers are not taken for the next job's either.
    assert!(matches!(printer.print(&plain).await, Outcome::Printed(Proof::BufferDone)));
    assert_eq!(sheets(&device), ["Table 4\n", "Table 5\n", "Table 4\n"]);
}

/// ESC @ among the bytes switches the printer's own reports off: Epson, GS a.
#[tokio::test(start_paused = true)]
async fn after_raw_bytes_the_printer_still_reports_by_itself() {
    let device = epson();
    let mut printer = open(&device).await;
    assert!(matches!(printer.print(&Job::new("ticket-1", Content::escpos(TICKET))).await, Outcome::Printed(_)));
    device.with(|d| d.cover(true));
    let told = async {
        loop {
            let status = tresen_hal::Driver::event(&mut printer).await.expect("connected");
            if status.cover_open.is_yes() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("it says so");
}
