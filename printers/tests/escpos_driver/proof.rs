//! How a job is proven, and what does not prove it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tresen_hal::sim::Shared;
use tresen_hal::{Driver, Effect, Kind, Known, SimulatedRuntime};
use tresen_printers::escpos::sim::{Mishap, Simulator};
use tresen_printers::escpos::{self, Options};
use tresen_printers::{Outcome, Printer, Profile, Proof};

use crate::common::{connect, epson, faults, job, mishap, open, serve, text};

#[tokio::test(start_paused = true)]
async fn an_epson_proves_each_job_by_its_number() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    assert_eq!(printer.profile().name, "epson-tm-m30", "recognised by GS I");
    assert!(printer.capabilities().process_id.is_yes());
    let identity = printer.identity().await.expect("it says who it is");
    assert_eq!((identity.maker.as_deref(), identity.model.as_deref()), (Some("TRESEN"), Some("TM-M30")));
    let mut ids = Vec::new();
    for _ in 0..2 {
        match printer.print(&job(3)).await {
            Outcome::Printed(Proof::ProcessId(id)) => ids.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_ne!(ids[0], ids[1]);
    device.with(|d| {
        assert_eq!(d.sheets().len(), 2);
        assert!(d.sheets()[0].text().contains("Article 2                                 1,00 €"));
        assert_eq!(d.unsupported(), []);
    });
}

#[tokio::test(start_paused = true)]
async fn a_printer_without_process_ids_proves_its_buffer() {
    let device =
        Simulator::new(Profile::generic_80()).with_faults(faults(|f| (f.no_process_id, f.no_identity) = (true, true)));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert_eq!(printer.capabilities().process_id, Known::No);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(text(&device).contains("Article 2"));
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_proves_nothing_accepts() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        (f.no_process_id, f.no_identity, f.no_transmit_status) = (true, true, true);
    }));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(3)).await, Outcome::Accepted));
    assert!(text(&device).contains("Article 2"));
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_answered_once_and_fell_silent_accepts_nothing() {
    for identity in [false, true] {
        let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
            (f.no_identity, f.no_process_id, f.no_transmit_status) = (!identity, true, true);
        }));
        let (device, link) = serve(device);
        let mut printer = open(link).await;
        // Before the job: it is not sent.
        device.with(|d| d.faults.mute = true);
        match printer.print(&job(3)).await {
            Outcome::Failed { error, safe_to_retry: true } => assert_eq!(error.kind(), Kind::Timeout),
            other => panic!("{other:?}"),
        }
        // After the job: nobody knows.
        device.with(|d| d.faults.mute = false);
        let operator = device.clone();
        tokio::spawn(async move {
            while !operator.with(|d| d.roll().text().contains("Total")) {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            operator.with(|d| d.faults.mute = true);
        });
        let outcome = printer.print(&job(300)).await;
        assert!(!matches!(outcome, Outcome::Printed(_)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_process_id_falls_back_to_the_buffer() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    device.with(|d| d.faults.no_process_id = true);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    // From now on nobody waits for a number first.
    let before = tokio::time::Instant::now();
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    device.with(|d| d.faults.no_transmit_status = true);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Accepted));
    device.with(|d| d.faults.mute = true);
    match printer.print(&job(3)).await {
        Outcome::Failed { error, safe_to_retry: true } => assert_eq!(error.kind(), Kind::Timeout),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_falls_silent_after_the_job_is_unknown() {
    let (device, link) = serve(epson());
    let mut printer = open(link).await;
    let operator = device.clone();
    device.with(|d| (d.faults.no_process_id, d.faults.no_transmit_status) = (true, true));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        operator.with(|d| d.faults.mute = true);
    });
    assert!(matches!(printer.print(&job(3)).await, Outcome::Unknown(e) if e.kind() == Kind::Timeout));
}

/// The buffer status asked for behind one job comes when somebody has put in paper at last.
#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_prove_a_new_job() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| {
        (f.no_identity, f.no_clear, f.paper_out_after_lines) = (true, true, Some(2));
    }));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(5)).await, Outcome::Unknown(_)));
    device.with(|d| {
        d.load_paper();
        assert!(d.roll().text().contains("Article 4"), "and the answer is on its way");
        d.faults.no_transmit_status = true;
    });
    assert!(matches!(printer.print(&job(1)).await, Outcome::Accepted));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_costs_one_proof_only() {
    let device = Simulator::new(Profile::generic_80()).with_faults(faults(|f| f.no_identity = true));
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::BufferDone)));
    device.with(|d| d.faults.no_transmit_status = true);
    assert!(matches!(printer.print(&job(1)).await, Outcome::Accepted));
    device.with(|d| d.faults.no_transmit_status = false);
    for _ in 0..2 {
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::BufferDone)));
    }
}

#[tokio::test(start_paused = true)]
async fn late_answers_still_prove() {
    let (_device, link) = serve(epson().with_faults(faults(|f| f.late = Duration::from_millis(700))));
    let mut printer = open(link).await;
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::ProcessId(_))));
}

/// The paper-out status loses its first byte; its rest looks like answers to `GS r`.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_status_is_no_proof() {
    for numbers in [true, false] {
        let device = epson().with_faults(faults(|f| f.no_process_id = !numbers));
        let (device, link) = serve(device);
        let mut printer = open(link).await;
        assert_eq!(printer.capabilities().process_id, numbers.into());
        // Four statuses are asked for, and ESC @ with GS a reports once; then the paper ends.
        mishap(&device, 5, Mishap::FirstByteLost);
        device.with(|d| d.faults.paper_out_after_lines = Some(2));
        match printer.print(&job(20)).await {
            Outcome::Failed { error, safe_to_retry: false } => {
                assert_eq!((error.kind(), error.effect()), (Kind::Operator, Effect::Partial), "{error}");
            }
            other => panic!("numbers {numbers}: {other:?}"),
        }
        assert!(!text(&device).contains("Article 10"));
    }
}

/// The same, and somebody puts in paper: what the job itself asked for still proves it.
#[tokio::test(start_paused = true)]
async fn a_lost_byte_does_not_cost_the_proof() {
    for numbers in [true, false] {
        let (device, link) = serve(epson().with_faults(faults(|f| f.no_process_id = !numbers)));
        let mut printer = open(link).await;
        mishap(&device, 5, Mishap::FirstByteLost);
        device.with(|d| d.faults.paper_out_after_lines = Some(2));
        let operator = device.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            operator.with(Simulator::load_paper);
        });
        let outcome = printer.print(&job(20)).await;
        assert!(matches!(outcome, Outcome::Printed(_)), "numbers {numbers}: {outcome:?}");
        assert!(text(&device).contains("Article 19"));
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_asked_by_raw_bytes_proves_no_job() {
    for numbers in [true, false] {
        let (device, link) = serve(epson().with_faults(faults(|f| f.no_process_id = !numbers)));
        let mut printer = open(link).await;
        // GS r 1 and GS I 1, three times; the answers come late, and the paper ends in the job.
        device.with(|d| d.faults.late = Duration::from_millis(400));
        printer.send_raw(b"\x1dr\x01\x1dI\x01\x1dr\x01\x1dI\x01\x1dr\x01\x1dI\x01").await.expect("open");
        device.with(|d| d.faults.paper_out_after_lines = Some(2));
        match printer.print(&job(20)).await {
            Outcome::Failed { safe_to_retry: false, .. } => {}
            other => panic!("numbers {numbers}: {other:?}"),
        }
    }
}

/// A serial printer that finishes the old job after a new roll must not thereby prove its reprint.
#[tokio::test(start_paused = true)]
async fn job_numbers_do_not_begin_again_with_each_connection() {
    let device = Shared::new(epson());
    let mut numbers = Vec::new();
    for _ in 0..50 {
        let mut printer = open(Box::new(connect(&device))).await;
        for _ in 0..2 {
            match printer.print(&job(1)).await {
                Outcome::Printed(Proof::ProcessId(id)) => numbers.push(id),
                other => panic!("{other:?}"),
            }
        }
        printer.close().await;
        drop(printer);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let all = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), all);
}

#[tokio::test(start_paused = true)]
async fn job_numbers_begin_where_the_runtime_says() {
    let mut numbers = Vec::new();
    for seed in [1, 1, 2] {
        let (_device, link) = serve(epson());
        let runtime = Arc::new(SimulatedRuntime::new(seed, Timestamp::UNIX_EPOCH));
        let options = Options { runtime, ..Options::default() };
        let mut printer = escpos::open(link, options).await.expect("opens");
        match printer.print(&job(1)).await {
            Outcome::Printed(Proof::ProcessId(id)) => numbers.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[0], numbers[2]);
}

/// A printer that calls itself an Epson, but does not answer `GS ( H`, as other virtual printers do.
#[tokio::test(start_paused = true)]
async fn the_first_job_is_quick_where_no_number_comes_back() {
    let (_device, link) = serve(epson().with_faults(faults(|f| f.no_process_id = true)));
    let before = tokio::time::Instant::now();
    let mut printer = open(link).await;
    assert_eq!(printer.profile().name, "epson-tm-m30");
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::BufferDone)));
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn how_jobs_are_proven_can_be_stated() {
    for (option, proof) in [("buffer", Some(Proof::BufferDone)), ("none", None)] {
        let (_device, link) = serve(epson());
        let address = format!("escpos+tcp://p?proof={option}").parse().expect("an address");
        let mut printer = escpos::open(link, Options::from_address(&address).expect("fine")).await.expect("opens");
        match (printer.print(&job(3)).await, proof) {
            (Outcome::Printed(said), Some(meant)) => assert_eq!(said, meant),
            (Outcome::Accepted, None) => {}
            other => panic!("{other:?}"),
        }
    }
    let bad = "escpos+tcp://p?proof=maybe".parse().expect("an address");
    let error = Options::from_address(&bad).expect_err("no way to prove");
    assert!(error.to_string().contains("number, buffer or none"), "{error}");
}
