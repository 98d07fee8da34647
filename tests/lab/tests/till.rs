//! A whole till on the kernel's own buses: the virtual printer behind the USB printer gadget, a scanner
//! behind the serial one. Devices are pulled and put back while it works.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tresen::hal::sim::Shared;
use tresen::printers::escpos::sim::Simulator;
use tresen::printers::{Profile, Receipt};
use tresen::{Phase, Print, Tresen};
use tresen_lab::{Gadget, Served, measured, modprobe, until, until_exists, within};

const DEVICE_ID: &str = "MFG:EPSON;CMD:ESC/POS;MDL:TM-m30;CLS:PRINTER;";

const CONFIG: &str = r#"
[till]
name = "Lab"
store = "till.db"

[printers.receipt]
address = "escpos+usb://04b8:0202/T1?backend=BACKEND"

[scanners.hand]
address = "scanner+serial:///dev/ttyACM0?baud=115200"
"#;

/// The counter: both devices plugged in, the till open.
struct Counter {
    till: Tresen,
    paper: Shared<Simulator>,
    printer: Gadget,
    served: Option<Served>,
    scanner: Gadget,
    _folder: tempfile::TempDir,
}

impl Counter {
    async fn new(backend: &str) -> Self {
        modprobe("cdc_acm");
        let printer = Gadget::new("receipt", 0, (0x04b8, 0x0202), "T1").printer(DEVICE_ID);
        let scanner = Gadget::new("hand", 1, (0x0c2e, 0x0b6a), "T2").acm();
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("till.toml");
        std::fs::write(&config, CONFIG.replace("BACKEND", backend)).expect("written");
        let paper = Shared::new(Simulator::new(Profile::epson_tm_m30()));
        printer.plug_and_wait();
        let served = Some(Served::printer(paper.clone()));
        scanner.plug_and_wait();
        until_exists("/dev/ttyACM0");
        let till = Tresen::open(&config).await.unwrap_or_else(|e| panic!("{e}"));
        Self { till, paper, printer, served, scanner, _folder: folder }
    }

    fn put_printer(&mut self) {
        self.printer.plug_and_wait();
        self.served = Some(Served::printer(self.paper.clone()));
    }

    fn pull_printer(&mut self) {
        self.printer.unplug_and_wait();
        self.served = None;
    }

    fn scan(&self, code: &str) {
        let mut ours = std::fs::OpenOptions::new().write(true).open("/dev/ttyGS0").expect("our end");
        ours.write_all(format!("{code}\r").as_bytes()).expect("taken");
    }
}

async fn ready(mut phase: watch::Receiver<Phase>) {
    within("the device to be ready", phase.wait_for(|p| *p == Phase::Ready)).await.expect("the till is open");
}

async fn away(mut phase: watch::Receiver<Phase>) {
    let gone = |p: &Phase| matches!(p, Phase::Away { .. } | Phase::Opening);
    within("the till to know", phase.wait_for(gone)).await.expect("the till is open");
}

fn receipt(line: &str) -> Receipt {
    Receipt::new().text(line).cut()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prints_with_proof_and_scans_over_the_kernels_buses() {
    for backend in ["nusb", "libusb"] {
        let counter = Counter::new(backend).await;
        let (printer, scanner) =
            (counter.till.printer("receipt").expect("named"), counter.till.scanner("hand").expect("named"));
        ready(printer.phase()).await;
        ready(scanner.phase()).await;
        let done = within("printing", printer.print(&receipt("2 Flat white"))).await.expect("spooled");
        assert!(matches!(done, Print::Printed { .. }), "{backend}: {done:?}");
        counter.paper.with(|p| {
            assert_eq!(p.sheets().len(), 1);
            assert!(p.sheets()[0].text().contains("2 Flat white"), "{}", p.sheets()[0].text());
            assert_eq!(p.unsupported(), []);
        });
        counter.scan("4006381333931");
        let scan = within("the scan", scanner.next()).await.expect("ours");
        assert_eq!((&*scan.text, &*scan.device), ("4006381333931", "hand"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_pulled_and_put_back_while_it_works() {
    let mut counter = Counter::new("nusb").await;
    let printer = counter.till.printer("receipt").expect("named");
    let scanner = counter.till.scanner("hand").expect("named");
    ready(printer.phase()).await;
    for round in 0..5 {
        ready(scanner.phase()).await;
        counter.pull_printer();
        away(printer.phase()).await;
        // The scanner does not mind.
        counter.scan("96385074");
        assert_eq!(within("the scan", scanner.next()).await.expect("ours").text, "96385074");
        // A job for a printer that is away waits and comes out once it is back.
        let job = {
            let (printer, line) = (printer.clone(), format!("round {round}"));
            tokio::spawn(async move { printer.print(&receipt(&line)).await })
        };
        let back = Instant::now();
        counter.put_printer();
        ready(printer.phase()).await;
        measured(&format!(
            "till: printer ready {} ms after it was put back (enumeration included)",
            back.elapsed().as_millis()
        ));
        let done = within("the job", job).await.expect("no panic").expect("spooled");
        assert!(matches!(done, Print::Printed { .. } | Print::Waiting { .. }), "{done:?}");
        until("the paper", || counter.paper.with(|p| p.roll().text().contains(&format!("round {round}"))));
        // The other way round.
        counter.scanner.unplug_and_wait();
        away(scanner.phase()).await;
        let done = within("printing", printer.print(&receipt("meanwhile"))).await.expect("spooled");
        assert!(matches!(done, Print::Printed { .. }), "{done:?}");
        counter.scanner.plug_and_wait();
        until_exists("/dev/ttyACM0");
    }
    let text = counter.paper.with(|p| p.roll().text().to_owned());
    for round in 0..5 {
        assert_eq!(text.matches(&format!("round {round}")).count(), 1, "once each: {text}");
    }
    assert_eq!(text.matches("meanwhile").count(), 5, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printer_pulled_in_the_middle_of_a_job_has_an_honest_outcome() {
    let mut counter = Counter::new("nusb").await;
    let printer = counter.till.printer("receipt").expect("named");
    ready(printer.phase()).await;
    // When its paper ends the printer stops taking bytes, and the job stands still.
    counter.paper.with(|p| p.faults.paper_out_after_lines = Some(50));
    let long = (0..600).fold(Receipt::new(), |r, i| r.text(format!("line {i} of a job that does not fit"))).cut();
    let job = {
        let printer = printer.clone();
        tokio::spawn(async move { (printer.print_as("long", &long).await, Instant::now()) })
    };
    until("the job to begin", || counter.paper.with(|p| p.roll().text().contains("line 20 ")));
    assert!(!job.is_finished());
    let pulled = Instant::now();
    counter.printer.unplug();
    let (outcome, at) = within("the outcome", job).await.expect("no panic");
    let took = at.saturating_duration_since(pulled);
    let outcome = outcome.expect("spooled");
    let Print::Unknown { why, .. } = outcome else { panic!("{outcome:?}") };
    measured(&format!("till: a job in flight at unplug is unknown after {} ms: {why}", took.as_millis()));
    assert!(took < Duration::from_secs(1), "{took:?}");
    counter.pull_printer();
    counter.paper.with(Simulator::load_paper);
    counter.put_printer();
    ready(printer.phase()).await;
    let next = within("printing", printer.print(&receipt("afterwards"))).await.expect("spooled");
    assert!(matches!(next, Print::Printed { .. }), "{next:?}");
}
