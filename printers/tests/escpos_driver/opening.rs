//! Opening: who holds the printer, what it is, and what its address says about it.

use std::time::Duration;

use tresen_hal::sim::Shared;
use tresen_hal::{Dots, Effect, Kind, Known, Link};
use tresen_printers::escpos::sim::{Faults, Simulator};
use tresen_printers::escpos::{self, Options};
use tresen_printers::{Outcome, Paper, Printer, Profile, Proof};

use crate::common::{connect, count, epson, faults, job, open, serve, text};

/// `status=no`: the printer has a one-way link.
#[tokio::test(start_paused = true)]
async fn a_printer_that_can_only_listen_is_printed_on_blindly() {
    let (device, link) = serve(Simulator::new(Profile::generic_80()).with_faults(faults(|f| f.mute = true)));
    let address = "escpos+tcp://10.0.0.20?status=no".parse().expect("an address");
    let options = Options::from_address(&address).expect("options");
    let mut printer = escpos::open(link, options).await.expect("opens");
    assert_eq!(printer.capabilities().status, Known::No);
    assert_eq!(printer.status().await.expect("no error").paper, Paper::Unknown);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Accepted));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(text(&device).contains("Article 2"));
}

#[tokio::test(start_paused = true)]
async fn a_printer_that_somebody_else_holds_is_busy_whatever_its_profile() {
    for profile in [None, Some(Profile::generic_58()), Some(Profile::epson_tm_t88())] {
        for set in [|f: &mut Faults| f.mute = true, |f: &mut Faults| f.held = true] {
            let (device, link) = serve(epson().with_faults(faults(set)));
            let options = Options { profile: profile.clone(), ..Options::default() };
            let before = tokio::time::Instant::now();
            let error = escpos::open(link, options).await.expect_err("silent");
            assert_eq!(before.elapsed().as_secs(), 2);
            assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None));
            assert_eq!(error.retry(), tresen_hal::Retry::AfterReconnect);
            assert!(error.to_string().contains("may hold it"), "{error}");
            assert!(!text(&device).contains("Article"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_up_at_once_is_a_clear_error() {
    let (_device, link) = serve(epson().with_faults(faults(|f| f.hang_up_after_bytes = Some(0))));
    let error = escpos::open(link, Options::default()).await.expect_err("hung up");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None));
    assert!(error.to_string().contains("one connection at a time"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_printer_opened_without_paper_is_recognised_later() {
    let mut device = epson();
    device.remove_paper();
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert_eq!(printer.status().await.expect("answers").paper, Paper::Out);
    assert_eq!(printer.profile().name, "generic-80mm");
    device.with(Simulator::load_paper);
    assert!(matches!(printer.print(&job(3)).await, Outcome::Printed(Proof::ProcessId(_))));
    assert_eq!(printer.profile().name, "epson-tm-m30");
}

/// An earlier host died inside an image: its bytes must not eat our job.
#[tokio::test(start_paused = true)]
async fn an_unfinished_command_of_an_earlier_host_is_flushed() {
    let device = Shared::new(epson());
    let first = connect(&device);
    // GS v 0 of 72 × 100 bytes, of which few come.
    first.send(b"\x1dv0\x00\x48\x00\x64\x00\xff\xff").await.expect("open");
    tokio::task::yield_now().await;
    drop(first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut printer = open(Box::new(connect(&device))).await;
    assert_eq!(printer.profile().name, "epson-tm-m30");
    assert!(matches!(printer.print(&job(2)).await, Outcome::Printed(_)));
    assert!(text(&device).contains("Article 0"));
}

#[tokio::test(start_paused = true)]
async fn options_come_from_the_address() {
    let address = "escpos+tcp://10.0.0.20:9100?profile=generic-58mm".parse().expect("an address");
    let options = Options::from_address(&address).expect("a profile");
    assert_eq!(options.profile, Some(Profile::generic_58()));
    assert_eq!(options.label, "escpos+tcp://10.0.0.20:9100");
    let address = "escpos+tcp://10.0.0.20?profile=tm".parse().expect("an address");
    let error = Options::from_address(&address).expect_err("no profile");
    assert!(error.to_string().contains("generic-80mm, generic-58mm"), "{error}");
    let profile = |text: &str| Options::from_address(&text.parse().expect("an address")).map(|o| o.profile);
    let odd = profile("escpos+tcp://p?width=504").expect("a width").expect("a profile");
    assert_eq!((odd.width, odd.columns), (Dots(504), 42));
    assert_eq!(profile("escpos+tcp://p?profile=epson-tm-t20&columns=42").expect("columns").expect("one").columns, 42);
    assert_eq!(profile("escpos+tcp://p").expect("none"), None);
    for bad in ["escpos+tcp://p?width=9", "escpos+tcp://p?columns=9999", "escpos+tcp://p?width=wide"] {
        assert_eq!(profile(bad).expect_err(bad).kind(), Kind::Address);
    }
}

/// The printer is still busy for somebody else and answers nothing but real-time requests.
#[tokio::test(start_paused = true)]
async fn a_printer_that_is_busy_at_first_is_recognised_before_its_first_job() {
    let mut device = epson();
    (device.faults.no_identity, device.faults.no_process_id, device.faults.no_transmit_status) = (true, true, true);
    let (device, link) = serve(device);
    let mut printer = open(link).await;
    assert_eq!(printer.profile().name, "generic-80mm");
    device.with(|d| d.faults = Faults::default());
    assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(Proof::ProcessId(_))));
    let identity = printer.identity().await.expect("known");
    assert_eq!((identity.maker.as_deref(), identity.model.as_deref()), (Some("TRESEN"), Some("TM-M30")));
}

/// Epson ESC R 0: 1B 52 00; FS .: 1C 2E.
#[tokio::test(start_paused = true)]
async fn each_job_begins_with_the_character_set_that_it_is_written_for() {
    for (option, kanji) in [("", 0), ("?cancel-kanji=yes", 1)] {
        let (device, link) = serve(Simulator::new(Profile::generic_80()));
        let address = format!("escpos+tcp://p{option}").parse().expect("an address");
        let mut printer = escpos::open(link, Options::from_address(&address).expect("fine")).await.expect("opens");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let before = (count(&device, b"\x1b@\x1bR\x00"), count(&device, b"\x1b@\x1bR\x00\x1c."));
        assert!(matches!(printer.print(&job(1)).await, Outcome::Printed(_)));
        let after = (count(&device, b"\x1b@\x1bR\x00"), count(&device, b"\x1b@\x1bR\x00\x1c."));
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, kanji));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_printer_cannot_do_can_be_stated() {
    let (_device, link) = serve(epson());
    let address = "escpos+tcp://p?qr=no&barcodes=no&cutter=no".parse().expect("an address");
    let printer = escpos::open(link, Options::from_address(&address).expect("fine")).await.expect("opens");
    assert_eq!(printer.profile().name, "epson-tm-m30", "recognised all the same");
    let can = printer.capabilities();
    assert_eq!((can.qr, can.barcodes, can.cutter, can.drawer), (Known::No, Known::No, Known::No, Known::Yes));
    let bad = "escpos+tcp://p?qr=perhaps".parse().expect("an address");
    assert_eq!(Options::from_address(&bad).expect_err("yes or no").kind(), Kind::Address);
}
