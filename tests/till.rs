//! The till as a vendor meets it: devices that come and go, events, configuration, the blocking face.

mod common;

use std::time::Duration;

use common::{Counter, DEADLINE, epson, event, paper, ready, runtime, until, within};
use tokio::net::TcpListener;
use tresen::hal::sim::{self, Shared};
use tresen::payment::zvt::sim::{Misbehaviour, Profile as TerminalProfile, Simulator};
use tresen::printers::DrawerPin;
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::sale::{Line, Sale, Sold, TenderState, Vat};
use tresen::scanners::Symbology;
use tresen::scanners::serial::sim::{Settings, Simulator as ScannerSim};
use tresen::{Amount, EventKind, Kind, Payment, Phase, Print, Receipt, Tresen, blocking};

async fn next(till: &Tresen, scanner: &str) -> String {
    within("a scan", till.scanner(scanner).expect("configured").next()).await.expect("ours").text
}

#[tokio::test]
async fn a_scanner_that_is_unplugged_comes_back_and_no_scan_is_lost() {
    let device = Shared::new(ScannerSim::new(Settings::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (server, at) = sim::tcp(listener, device.clone()).expect("served");
    let mut counter = Counter::new();
    counter.configure("scanners.hand", &format!("scanner+tcp://{at}"));
    let till = counter.open_ready(&["hand"]).await;
    let mut events = till.events();
    // Faster than anybody takes them.
    let codes: Vec<_> = (0..40).map(|n| format!("CODE-{n:02}")).collect();
    device.with(|s| codes.iter().for_each(|c| s.scan(c, Symbology::Code128)));
    for code in &codes {
        assert_eq!(&next(&till, "hand").await, code, "in order");
    }
    // A future that is dropped loses nothing.
    let hand = till.scanner("hand").expect("configured");
    tokio::select! {
        biased;
        scan = hand.next() => panic!("nothing was scanned: {scan:?}"),
        () = std::future::ready(()) => {}
    }

    drop(server);
    event(&mut events, |on, what| (on == "hand" && matches!(what, EventKind::Disconnected { .. })).then_some(())).await;
    assert_ne!(*hand.phase().borrow(), Phase::Ready);
    let waiting = tokio::spawn({
        let till = till.clone();
        async move { next(&till, "hand").await }
    });
    let listener = TcpListener::bind(at).await.expect("the same port");
    let (_server, _) = sim::tcp(listener, device.clone()).expect("served");
    hand.reset().await.expect("open");
    event(&mut events, |_, what| matches!(what, EventKind::Connected { .. }).then_some(())).await;
    device.with(|s| s.scan("4006381333931", Symbology::Ean13));
    assert_eq!(waiting.await.expect("no panic"), "4006381333931", "who waited all the time gets it");
    let scan = event(&mut events, |_, what| if let EventKind::Scanned(scan) = what { Some(scan) } else { None }).await;
    assert_eq!((scan.symbology, scan.device.as_str()), (Symbology::Ean13, "hand"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_scanner_on_a_serial_port() {
    let device = Shared::new(ScannerSim::new(Settings::default()));
    let port = sim::pty(device.clone()).expect("a pseudo-terminal");
    let mut counter = Counter::new();
    counter.configure("scanners.hand", &format!("scanner+serial://{}", port.path));
    let till = counter.open_ready(&["hand"]).await;
    device.with(|s| s.scan("4006381333931", Symbology::Ean13));
    assert_eq!(next(&till, "hand").await, "4006381333931");
}

/// The side in pixels and the grey values of a QR code.
fn picture(text: &str) -> (u32, Vec<u8>) {
    const MODULE: usize = 8;
    let code = qrcode::QrCode::new(text).expect("short");
    let (width, colors) = (code.width(), code.to_colors());
    let side = (width + 8) * MODULE;
    let pixel = |i: usize| {
        let (x, y) = ((i % side / MODULE).wrapping_sub(4), (i / side / MODULE).wrapping_sub(4));
        let dark = x < width && y < width && colors[y * width + x] == qrcode::Color::Dark;
        if dark { 20 } else { 235 }
    };
    (side as u32, (0..side * side).map(pixel).collect())
}

/// Writes it as PNG.
fn save((side, pixels): &(u32, Vec<u8>), path: &std::path::Path) {
    let mut bytes = Vec::new();
    let header = png::Encoder::new(&mut bytes, *side, *side).write_header();
    header.and_then(|mut writer| writer.write_image_data(pixels)).expect("encoded");
    std::fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn a_folder_of_pictures_is_a_camera() {
    let mut counter = Counter::new();
    let frames = tempfile::tempdir().expect("a folder");
    save(&picture("VOUCHER-1"), &frames.path().join("1.png"));
    std::fs::write(frames.path().join("broken.png"), "no picture").expect("written");
    counter.configure("cameras.voucher", &format!("camera+file://{}?fps=50", frames.path().display()));
    let till = counter.open_ready(&["voucher"]).await;
    let camera = till.camera("voucher").expect("configured");
    let scan = within("seen", camera.next()).await.expect("ours");
    assert_eq!((scan.text.as_str(), scan.device.as_str()), ("VOUCHER-1", "voucher"));
    assert_eq!(scan.symbology, Symbology::Qr);
    save(&picture("VOUCHER-2"), &frames.path().join("2.png"));
    assert_eq!(
        within("seen", camera.next()).await.expect("ours").text,
        "VOUCHER-2",
        "a broken picture does not end it"
    );
}

#[tokio::test]
async fn what_a_camera_sees_can_be_looked_at() {
    let mut counter = Counter::new();
    let pictures = tempfile::tempdir().expect("a folder");
    counter.configure("cameras.shelf", &format!("camera+file://{}?fps=50", pictures.path().display()));
    let till = counter.open_ready(&["shelf"]).await;
    let camera = till.camera("shelf").expect("configured");
    let mut frames = camera.frames();
    assert!(frames.borrow_and_update().is_none(), "nothing was seen yet");
    let (first, second) = (picture("FIRST"), picture("SECOND-AND-LONGER-BY-FAR"));
    assert_ne!(first.0, second.0);
    save(&first, &pictures.path().join("1.png"));
    let still = within("a still", camera.frame()).await.expect("a frame");
    assert_eq!((still.width(), still.height(), still.data()), (first.0, first.0, first.1.as_slice()));
    let again = within("a still", camera.frame()).await.expect("a frame");
    assert_eq!(again.data().as_ptr(), still.data().as_ptr(), "shared, not copied");
    save(&second, &pictures.path().join("2.png"));
    let shown = |frame: &Option<tresen::cameras::Frame>| frame.as_ref().is_some_and(|f| f.data() == second.1);
    within("the live picture", frames.wait_for(shown)).await.expect("the till is open");
    let codes = [
        within("seen", camera.next()).await.expect("ours").text,
        within("seen", camera.next()).await.expect("ours").text,
    ];
    assert_eq!(codes, ["FIRST", "SECOND-AND-LONGER-BY-FAR"], "who looks takes no code away");
}

#[tokio::test]
async fn a_printer_tells_its_state_as_it_changes() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    let till = counter.open_ready(&["receipt"]).await;
    let mut events = till.events();
    let receipts = till.printer("receipt").expect("configured");
    assert!(within("asked", receipts.status()).await.expect("answers").online.is_yes());
    printer.with(|p| p.cover(true));
    let open = |on: &str, what| match what {
        EventKind::Printer(status) if on == "receipt" => Some(status.cover_open.is_yes()),
        _ => None,
    };
    assert!(!event(&mut events, open).await, "as it was found on connecting");
    assert!(event(&mut events, open).await);
    printer.with(|p| p.cover(false));
    assert!(!event(&mut events, open).await);
    within("kicked", receipts.kick_drawer(DrawerPin::Two)).await.expect("has a drawer");
    until("the drawer opens", || printer.with(|p| p.kicks().len() == 1)).await;
}

#[tokio::test]
async fn a_till_that_is_dropped_lets_its_devices_go() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    let terminal = counter.terminal(TerminalProfile::default()).await;
    for round in 1..=2 {
        let till = counter.open_ready(&["receipt", "counter"]).await;
        // Printers and terminals serve one host at a time: the second till proves that the first is gone.
        let (receipts, receipt) = (till.printer("receipt").expect("configured"), Receipt::new().text("MARK").cut());
        let printed = within("printed", receipts.print(&receipt)).await.expect("stored");
        assert!(matches!(printed, Print::Printed { .. }), "{printed:?}");
        assert_eq!(paper(&printer).matches("MARK").count(), round);
        drop((till, receipts));
        until("logged off", || !terminal.with(|t| t.is_registered())).await;
    }
}

/// The sale is the key of its payments and of its paper. The old promise, that a declined ticket stays
/// declined, was a defect: the customer takes another card.
#[tokio::test]
async fn a_checkout_asked_again_goes_on_and_charges_and_prints_nothing_twice() {
    let mut counter = Counter::new();
    let (printer, terminal) = (counter.printer("receipt").await, counter.terminal(TerminalProfile::default()).await);
    let till = counter.open_ready(&["receipt", "counter"]).await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 2, Amount::eur(2_90), Vat::percent(19)).expect("fits")).await.expect("kept");
    let checkout = till.checkout("receipt").expect("configured").drawer(DrawerPin::Two);
    let sell = async |sale: &mut Sale| {
        let (_keep, abort) = tokio::sync::watch::channel(false);
        within("sold", checkout.run(sale, "counter", abort)).await.expect("stored")
    };

    terminal.with(|t| t.misbehave(Misbehaviour::Decline(5)));
    let declined = sell(&mut sale).await;
    assert!(matches!(declined, Sold::Open { payment: Some(Payment::NotCharged(_)), .. }), "{declined:?}");
    assert_eq!((paper(&printer).as_str(), terminal.with(|t| t.received(0x0601))), ("", 1));
    terminal.with(Simulator::behave);
    let first = sell(&mut sale).await;
    assert!(matches!(&first, Sold::Closed { print: Print::Printed { .. }, drawer: None }), "{first:?}");
    assert_eq!(sell(&mut sale).await, first);
    let mut again = till.sale(sale.id()).await.expect("readable").expect("there");
    assert_eq!(sell(&mut again).await, first, "also at another station");
    assert_eq!((terminal.with(|t| t.received(0x0601)), terminal.with(|t| t.ledger().turnover())), (2, 5_80));
    let states: Vec<_> = again.tenders().iter().map(|t| (t.attempt, t.state)).collect();
    assert_eq!(states, [(1, TenderState::Refused), (2, TenderState::Taken)]);
    let printed = paper(&printer);
    assert_eq!(printed.matches("Receipt 1").count(), 1, "{printed}");
    assert!(printed.contains("Tea") && printed.contains("5.80") && printed.contains("Paid by card"), "{printed}");
    assert!(printed.trim_start().starts_with("Till"), "the till's name: {printed}");
}

#[tokio::test]
async fn paid_and_closed_even_if_the_paper_is_in_doubt() {
    let mut counter = Counter::new();
    let printer = counter.printer("receipt").await;
    counter.terminal(TerminalProfile::default()).await;
    let till = counter.open_ready(&["receipt", "counter"]).await;
    let mut sale = till.open_sale().await.expect("opens");
    sale.add(Line::pieces("Tea", 1, Amount::eur(2_90), Vat::percent(19)).expect("fits")).await.expect("kept");
    printer.with(|p| p.faults.hang_up_after_bytes = Some(p.raw().len() + 200));
    let (_keep, abort) = tokio::sync::watch::channel(false);
    let checkout = till.checkout("receipt").expect("configured");
    let sold = within("sold", checkout.run(&mut sale, "counter", abort)).await.expect("stored");
    let Sold::Closed { print: Print::Unknown { job, .. }, .. } = &sold else { panic!("{sold:?}") };
    assert_eq!(sale.tenders()[0].taken, Amount::eur(2_90));
    let stored = till.store().tickets().await.expect("readable");
    assert!(stored[0].closed_at.is_some(), "money decides, not paper");
    printer.with(|p| p.faults.hang_up_after_bytes = None);
    ready(till.printer("receipt").expect("configured").phase()).await;
    let copy = within("copy", till.printer("receipt").expect("configured").reprint(job)).await.expect("parked");
    assert!(matches!(copy, Print::Printed { .. }), "{copy:?}");
    assert!(paper(&printer).contains("COPY"));
}

#[tokio::test]
async fn what_is_wrong_in_a_configuration_is_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("till.toml");
    let text = "[till]\nname = 'Till 1'\n\n[printers.receipt]\naddress = 'escpos+tcp://10.0.0.20'\nprofil = 'x'\n";
    std::fs::write(&path, text).expect("written");
    let error = Tresen::open(&path).await.expect_err("a key is unknown");
    assert_eq!(error.kind(), Kind::Config);
    let message = error.to_string();
    for part in [&format!("{}:6", path.display()), "printers.receipt.profil", "profile", "width"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!dir.path().join("till.db").exists(), "nothing was made");

    let error = Tresen::open(dir.path().join("no.toml")).await.expect_err("no file");
    assert!(error.to_string().contains("no.toml"), "{error}");
}

#[tokio::test]
async fn a_name_that_is_not_configured_is_answered_with_those_that_are() {
    let mut counter = Counter::new();
    let _away = counter.away("printers.receipt", "escpos");
    let till = counter.open().await;
    let error = till.printer("bar").err().expect("there is none");
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("`bar`") && error.to_string().contains("receipt"), "{error}");
    let error = till.terminal("counter").err().expect("there is none");
    assert!(error.to_string().contains("none is configured"), "{error}");
    let error = till.checkout("bar").err().expect("there is none");
    assert!(error.to_string().contains("`bar`"), "{error}");
}

/// A program without tokio: scan, pay, print, close, on a plain thread.
#[test]
fn the_blocking_face_sells_on_a_plain_thread() {
    let devices = runtime();
    let mut counter = Counter::new();
    let (printer, terminal, scanner) = devices.block_on(async {
        (
            counter.serve("printers.receipt", "escpos", "", epson()).await,
            counter.serve("terminals.counter", "zvt", "", Simulator::new(TerminalProfile::default())).await,
            counter.serve("scanners.hand", "scanner", "", ScannerSim::new(Settings::default())).await,
        )
    });
    let path = counter.write();
    let (sold, number) = std::thread::spawn({
        let scanner = scanner.clone();
        move || {
            let till = blocking::Tresen::open(&path).expect("opens");
            let events = till.events();
            let hand = till.scanner("hand").expect("configured");
            assert!(matches!(hand.next(Duration::from_millis(1)), Ok(None)), "nothing was scanned");
            scanner.with(|s| s.scan("4006381333931", Symbology::Ean13));
            let scan = hand.next(DEADLINE).expect("ours").expect("was scanned");
            let mut sale = till.open_sale().expect("opens");
            sale.add(Line::pieces(scan.text, 1, Amount::eur(3_90), Vat::percent(19)).expect("fits")).expect("stored");
            let counter = till.terminal("counter").expect("configured");
            let started = std::time::Instant::now();
            while !counter.phase().is_ready() && started.elapsed() < DEADLINE {}
            let checkout = till.checkout("receipt").expect("configured");
            let sold = checkout.run(&mut sale, "counter", &blocking::Abort::new()).expect("sells");
            let mut events = events;
            let printed = events.find(|e| matches!(e.kind, EventKind::Printed { .. })).expect("an event");
            assert_eq!(printed.source.name(), "receipt");
            assert!(events.next_within(Duration::ZERO).is_none(), "a listener can be left");
            let receipts = till.printer("receipt").expect("configured");
            assert!(receipts.phase().is_ready() && receipts.capabilities().is_some());
            let states: Vec<_> = till.devices().into_iter().map(|d| d.id.to_string()).collect();
            assert_eq!(states, ["printer receipt", "terminal counter", "scanner hand"]);
            assert_eq!(till.open_jobs().expect("readable").len(), 0);
            assert_eq!(till.open_payments("counter").expect("readable").len(), 0);
            assert!(receipts.cancel("no such").is_err());
            till.close(DEADLINE).expect("closed");
            assert_eq!(counter.phase(), Phase::Closed);
            assert_eq!(counter.pay(Amount::eur(1)).expect_err("closed").kind(), Kind::Cancelled);
            (sold, sale.inner().ticket().number())
        }
    })
    .join()
    .expect("no panic");
    let Sold::Closed { print, .. } = sold else { panic!("{sold:?}") };
    assert_eq!(number, Some(1));
    assert!(matches!(print, Print::Printed { .. }), "{print:?}");
    assert!(printer.with(|p: &mut PrinterSimulator| p.roll().text().contains("4006381333931")));
    assert_eq!(terminal.with(|t| t.ledger().turnover()), 3_90);
    assert!(!terminal.with(|t| t.is_registered()), "logged off before closing returned");
    devices.block_on(async {
        let till = Tresen::with(counter.config()).await.expect("opens");
        assert_eq!(
            till.sale_by_number(1).await.expect("readable").expect("closed").ticket().total(),
            Amount::eur(3_90)
        );
        ready(till.terminal("counter").expect("configured").phase()).await;
    });
}
