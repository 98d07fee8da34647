//! USB printers: the kernel's printer gadget and a scripted one, over both backends, with and without the
//! kernel's own driver in the way.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use nusb::MaybeFuture;
use nusb::transfer::{Bulk, Out};
use tresen_hal::address::UsbId;
use tresen_hal::discovery::{self, Access};
use tresen_hal::link::usb::{self, Backend, Settings, Usb};
use tresen_hal::sim::{Action, Shared};
use tresen_hal::{Address, Effect, Kind, Link, link};
use tresen_lab::{FfsPrinter, Gadget, Paper, Race, Served, measured, modprobe, run, until, within};

const IDS: (u16, u16) = (0x04b8, 0x0202);
const DEVICE_ID: &str = "MFG:EPSON;CMD:ESC/POS;MDL:TM-T88V;CLS:PRINTER;DES:EPSON TM-T88V;";
const RECEIPT: &[u8] = b"\x1b@Hello from the till\n\x1dV\x00";
const BACKENDS: [Backend; 2] = [Backend::Nusb, Backend::Libusb];
/// What a job in flight may take to end when its printer is pulled.
const HONEST_WITHIN: Duration = Duration::from_secs(1);

async fn open(serial: &str, backend: Backend) -> Usb {
    let id = UsbId { vendor: IDS.0, product: IDS.1, serial: Some(serial.to_owned()) };
    let settings = Settings { backend: Some(backend), ..Settings::default() };
    within("opening", usb::open(&id, &settings)).await.unwrap_or_else(|e| panic!("{e}"))
}

fn driver_of(gadget: &Gadget) -> Option<String> {
    let place = gadget.place();
    let driver = std::fs::read_link(format!("/sys/bus/usb/devices/{place}/{place}:1.0/driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

/// Bytes that show it when one is lost, doubled or moved.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

async fn prints_and_answers(link: &Usb, paper: &Shared<Paper>) {
    let before = paper.with(|p| p.printed.len());
    within("sending", link.send(RECEIPT)).await.expect("printed");
    within("sending", link.send(&[0x10, 0x04, 0x01])).await.expect("asked");
    let mut answer = Vec::new();
    within("the answer", link.recv(&mut answer)).await.expect("answered");
    assert_eq!(answer, [0x12]);
    assert_eq!(paper.with(|p| p.printed[before..].to_vec()), [RECEIPT, &[0x10, 0x04, 0x01]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prints_through_either_backend_with_and_without_usblp() {
    let gadget = Gadget::new("tm", 0, IDS, "S1").printer(DEVICE_ID);
    gadget.plug_and_wait();
    let paper = Shared::new(Paper::default());
    let _printer = Served::printer(paper.clone());
    for usblp in [false, true] {
        if usblp {
            modprobe("usblp");
            until("usblp to take the printer", || driver_of(&gadget).as_deref() == Some("usblp"));
        }
        for backend in BACKENDS {
            let link = open("S1", backend).await;
            assert_eq!((link.backend(), link.identity().interface), (backend, 0));
            assert_eq!((&*link.identity().name, &*link.identity().port), ("tresen tm", &*gadget.place()));
            assert_eq!(driver_of(&gadget).as_deref(), Some("usbfs"));
            prints_and_answers(&link, &paper).await;
            let id = link.device_id().await.expect("a printer has one");
            assert_eq!(id.text(), DEVICE_ID);
            assert_eq!((id.maker(), id.model(), id.commands()), (Some("EPSON"), Some("TM-T88V"), Some("ESC/POS")));
            let status = link.port_status().await.expect("a printer has one");
            assert!(status.selected() && !status.paper_empty() && !status.error(), "{status:?}");
            within("closing", link.close()).await;
            assert_eq!(link.send(b"x").await.expect_err("closed").kind(), Kind::Closed);
            let expected = usblp.then_some("usblp");
            assert_eq!(driver_of(&gadget).as_deref(), expected, "the kernel's driver is as before: {backend:?}");
        }
    }
    run("modprobe -r usblp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_link_gives_the_printer_back() {
    let gadget = Gadget::new("drop", 0, IDS, "S2").printer(DEVICE_ID);
    gadget.plug_and_wait();
    modprobe("usblp");
    let paper = Shared::new(Paper::default());
    let _printer = Served::printer(paper.clone());
    for backend in BACKENDS {
        let link = open("S2", backend).await;
        prints_and_answers(&link, &paper).await;
        drop(link);
        until("usblp to have it again", || driver_of(&gadget).as_deref() == Some("usblp"));
    }
    run("modprobe -r usblp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_general_way_to_open_reaches_it() {
    let gadget = Gadget::new("general", 0, IDS, "S3").printer(DEVICE_ID);
    gadget.plug_and_wait();
    let paper = Shared::new(Paper::default());
    let _printer = Served::printer(paper.clone());
    let listing = discovery::list().await;
    let found = listing.found.iter().find(|f| f.name == "tresen general").expect("listed");
    assert_eq!(found.access, Access::Free);
    let address = found.address_for("escpos");
    assert_eq!(address.to_string(), "escpos+usb://04b8:0202/S3");
    let link = link::open(&address).await.expect("opens");
    link.send(RECEIPT).await.expect("printed");
    until("the receipt", || paper.with(|p| p.printed == RECEIPT));
    let held = discovery::list().await;
    let found = held.found.iter().find(|f| f.name == "tresen general").expect("still listed");
    assert!(matches!(found.access, Access::Held { .. }), "{found}");
    let error = link::open(&address).await.expect_err("claimed");
    assert_eq!((error.kind(), error.effect()), (Kind::Busy, Effect::None), "{error}");
    assert!(error.to_string().starts_with("escpos+usb://04b8:0202/S3: "), "{error}");
    link.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_are_alike_are_told_apart_by_port_only() {
    let (one, two) = (Gadget::new("one", 0, IDS, "SAME"), Gadget::new("two", 1, IDS, "SAME"));
    let (one, two) = (one.printer(DEVICE_ID), two.printer(DEVICE_ID));
    one.plug_and_wait();
    two.plug_and_wait();
    for backend in ["nusb", "libusb"] {
        let address: Address = format!("escpos+usb://04b8:0202?backend={backend}").parse().expect("address");
        let error = link::open(&address).await.expect_err("two fit").to_string();
        assert!(
            error.contains("matches 2 devices") && error.contains(&one.place()) && error.contains(&two.place()),
            "{error}"
        );
        let by_port = address.with("port", two.place());
        let link = link::open(&by_port).await.expect("one fits");
        link.close().await;
    }
    let addresses: Vec<String> =
        discovery::list().await.found.iter().map(|f| f.address_for("escpos").to_string()).collect();
    assert!(addresses.contains(&format!("escpos+usb://04b8:0202/SAME?port={}", two.place())), "{addresses:?}");
}

/// Runs itself again as the user `nobody`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission_the_error_is_the_udev_rule() {
    const NAME: &str = "without_permission_the_error_is_the_udev_rule";
    if tresen_lab::is_nobody() {
        for backend in BACKENDS {
            let id = UsbId { vendor: IDS.0, product: IDS.1, serial: Some("S4".into()) };
            let settings = Settings { backend: Some(backend), ..Settings::default() };
            let error = usb::open(&id, &settings).await.expect_err("nobody may not");
            assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{error}");
            let rule = r#"SUBSYSTEM=="usb", ATTR{idVendor}=="04b8", ATTR{idProduct}=="0202", GROUP="plugdev", MODE="0660", TAG+="uaccess""#;
            assert!(error.to_string().contains(rule), "{error}");
        }
        let listing = discovery::list().await;
        let found = listing.found.iter().find(|f| f.name == "tresen denied").expect("listed all the same");
        assert!(matches!(&found.access, Access::Denied { next_step } if next_step.contains("udev")), "{found}");
        return;
    }
    let gadget = Gadget::new("denied", 0, IDS, "S4").printer(DEVICE_ID);
    gadget.plug_and_wait();
    run("chmod 0644 /dev/bus/usb/*/*");
    tresen_lab::again_as_nobody(NAME);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_flight_ends_honestly_when_its_printer_is_pulled() {
    let gadget = Gadget::new("pull", 0, IDS, "S5").printer(DEVICE_ID);
    let paper = Shared::new(Paper::default());
    for backend in BACKENDS {
        gadget.plug_and_wait();
        let printer = Served::printer(paper.clone());
        paper.with(|p| (p.busy, p.printed) = (false, Vec::new()));
        let link = std::sync::Arc::new(open("S5", backend).await);
        let listener = {
            let link = link.clone();
            tokio::spawn(async move { link.recv(&mut Vec::new()).await })
        };
        let job = {
            let link = link.clone();
            tokio::spawn(async move { (link.send(&pattern(4 << 20)).await, Instant::now()) })
        };
        until("the job to begin", || paper.with(|p| p.printed.len() > 10_000));
        // No paper: the job stands still while the cable is pulled.
        paper.with(|p| p.busy = true);
        let pulled = Instant::now();
        gadget.unplug();
        let (sent, ended) = within("the job", job).await.expect("no panic");
        let took = ended.saturating_duration_since(pulled);
        let error = sent.expect_err("it was pulled");
        assert_eq!(error.kind(), Kind::Closed, "{error}");
        assert_ne!(error.effect(), Effect::None, "something was printed");
        assert!(took < HONEST_WITHIN, "{took:?}");
        measured(&format!("usb {backend:?}: job in flight at unplug ended after {} ms", took.as_millis()));
        let heard = within("the listener", listener).await.expect("no panic").expect_err("it was pulled");
        assert_eq!(heard.kind(), Kind::Closed, "{heard}");
        assert!(link.send(RECEIPT).await.is_err(), "a lost link stays lost");
        link.close().await;
        gadget.unplug_and_wait();
        drop(printer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_is_cleared_and_no_byte_is_lost() {
    let printer = FfsPrinter::new(0, IDS, "F1", DEVICE_ID);
    let link = open("F1", Backend::Nusb).await;
    let job = pattern(100_000);
    printer.with(|s| s.stall_out_after = Some(20_000));
    within("sending", link.send(&job)).await.expect("sent in spite of the stall");
    until("all of it", || printer.with(|s| s.printed.len() >= job.len()));
    assert_eq!(printer.with(|s| s.stalls), 1);
    assert!(printer.with(|s| s.printed == job), "each byte once and in order");
    link.close().await;

    // libusb cannot tell how much was taken, so it does not go on by itself.
    let link = open("F1", Backend::Libusb).await;
    printer.with(|s| (s.stall_out_after, s.printed) = (Some(20_000), Vec::new()));
    let error = within("sending", link.send(&job)).await.expect_err("stalled");
    assert_eq!((error.kind(), error.effect()), (Kind::Io, Effect::Unknown), "{error}");
    printer.with(|s| s.printed.clear());
    within("sending", link.send(RECEIPT)).await.expect("the stall is cleared");
    until("the receipt", || printer.with(|s| s.printed.ends_with(RECEIPT)));
    link.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hears_across_stalls_and_empty_packets_and_loses_nothing_to_a_dropped_recv() {
    let printer = std::sync::Arc::new(FfsPrinter::new(0, IDS, "F2", DEVICE_ID));
    for backend in BACKENDS {
        let link = open("F2", backend).await;
        let speaker = printer.clone();
        let speech = tokio::task::spawn_blocking(move || {
            speaker.say(&[]);
            speaker.say(b"one");
            speaker.stall_in();
            speaker.say(b"two");
            speaker.say(&[]);
            speaker.say(b"three");
        });
        let mut heard = Vec::new();
        let all = async {
            while heard.len() < 11 {
                let soon = tokio::time::timeout(Duration::from_millis(3), link.recv(&mut heard)).await;
                if let Ok(chunk) = soon {
                    assert_ne!(chunk.expect("alive"), 0, "never empty");
                }
            }
        };
        within("the speech", all).await;
        assert_eq!(heard, b"onetwothree", "{backend:?}");
        speech.await.expect("spoken");
        link.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_and_resets_the_printer() {
    let printer = FfsPrinter::new(0, IDS, "F3", DEVICE_ID);
    printer.with(|s| s.status = 0x30);
    for (n, backend) in BACKENDS.into_iter().enumerate() {
        let link = open("F3", backend).await;
        assert_eq!(link.device_id().await.expect("answered").text(), DEVICE_ID);
        assert!(link.port_status().await.expect("answered").paper_empty());
        link.soft_reset().await.expect("taken");
        assert_eq!(printer.with(|s| s.resets), n + 1);
        link.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_send_does_not_mix_with_the_next() {
    let printer = FfsPrinter::new(0, IDS, "F4", DEVICE_ID);
    for backend in BACKENDS {
        let link = open("F4", backend).await;
        printer.with(|s| (s.deaf, s.printed) = (true, Vec::new()));
        let job = pattern(200_000);
        let early = tokio::time::timeout(Duration::from_millis(300), link.send(&job)).await;
        assert!(early.is_err(), "a deaf printer takes no job");
        printer.with(|s| s.deaf = false);
        within("sending", link.send(RECEIPT)).await.expect("sent");
        until("the receipt", || printer.with(|s| s.printed.ends_with(RECEIPT)));
        let printed = printer.with(|s| s.printed.clone());
        let before = &printed[..printed.len() - RECEIPT.len()];
        assert_eq!(before, &job[..before.len()], "any prefix of the first, then the second: {backend:?}");
        link.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_as_fast_as_a_bare_loop() {
    const JOB: usize = 8 << 20;
    let gadget = Gadget::new("fast", 0, IDS, "S6").printer(DEVICE_ID);
    gadget.plug_and_wait();
    let paper = Shared::new(Paper::default());
    let _printer = Served::printer(paper.clone());
    let job = std::sync::Arc::new(vec![0x55_u8; JOB]);
    let arrived = || until("the job", || paper.with(|p| p.printed.len() >= JOB));
    for backend in BACKENDS {
        let mut race = Race::new();
        for _ in 0..Race::LAPS {
            paper.with(|p| p.printed = Vec::with_capacity(JOB));
            let link = open("S6", backend).await;
            let start = Instant::now();
            link.send(&job).await.expect("sent");
            race.link(start.elapsed());
            arrived();
            link.close().await;

            paper.with(|p| p.printed = Vec::with_capacity(JOB));
            let job = job.clone();
            let lap = move || if backend == Backend::Nusb { bare_nusb(&job) } else { bare_rusb(&job) };
            race.bare(tokio::task::spawn_blocking(lap).await.expect("no panic"));
            arrived();
        }
        race.finish(&format!("usb {backend:?}"), JOB);
    }
}

/// The shortest program that does it well: four transfers of 16 KiB under way.
fn bare_nusb(job: &[u8]) -> Duration {
    let info = nusb::list_devices().wait().expect("listed").find(|d| d.serial_number() == Some("S6")).expect("there");
    let interface = info.open().wait().expect("opened").claim_interface(0).wait().expect("claimed");
    let address = interface.descriptor().expect("one").endpoints().map(|e| e.address()).find(|a| a & 0x80 == 0);
    let mut out = interface.endpoint::<Bulk, Out>(address.expect("bulk OUT")).expect("free");
    let start = Instant::now();
    let mut chunks = job.chunks(16 * 1024);
    loop {
        while out.pending() < 4 {
            let Some(chunk) = chunks.next() else { break };
            out.submit(chunk.to_vec().into());
        }
        if out.pending() == 0 {
            return start.elapsed();
        }
        out.wait_next_complete(tresen_lab::PATIENCE).expect("in time").status.expect("taken");
    }
}

fn bare_rusb(job: &[u8]) -> Duration {
    let device = rusb::devices()
        .expect("listed")
        .iter()
        .find(|d| d.device_descriptor().is_ok_and(|about| (about.vendor_id(), about.product_id()) == IDS));
    let device = device.expect("there");
    let handle = device.open().expect("opened");
    handle.claim_interface(0).expect("claimed");
    let configuration = device.active_config_descriptor().expect("one");
    let setting = configuration.interfaces().next().expect("one").descriptors().next().expect("one");
    let address = setting.endpoint_descriptors().map(|e| e.address()).find(|a| a & 0x80 == 0).expect("bulk OUT");
    let start = Instant::now();
    for chunk in job.chunks(256 * 1024) {
        assert_eq!(handle.write_bulk(address, chunk, tresen_lab::PATIENCE).expect("taken"), chunk.len());
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_unasked() {
    let gadget = Gadget::new("asb", 0, IDS, "S7").printer(DEVICE_ID);
    gadget.plug_and_wait();
    let paper = Shared::new(Paper::default());
    let _printer = Served::printer(paper.clone());
    for backend in BACKENDS {
        let link = open("S7", backend).await;
        // Automatic status back, four bytes: GS a of the ESC/POS command reference.
        paper.with(|p| p.actions.push(Action::Send(vec![0x14, 0x00, 0x00, 0x0f])));
        let mut heard = Vec::new();
        within("the status", link.recv(&mut heard)).await.expect("alive");
        assert_eq!(heard, [0x14, 0x00, 0x00, 0x0f]);
        link.close().await;
    }
}
