//! Bluetooth printers through BlueZ and the kernel: LE and serial port, found, printed on, and lost.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use tresen_hal::discovery::{self, Identity};
use tresen_hal::sim::{Action, Shared};
use tresen_hal::{Address, Backoff, Effect, Error, Kind, Link, link};
use tresen_lab::radio::{BlePrinter, PRINTER, Radio, SppPrinter, TILL};
use tresen_lab::{Paper, descriptors, measured, threads};

const RECEIPT: &[u8] = b"\x1b@Hello from the till\n\x1dV\x00";

/// Bytes that show it when one is lost, doubled or moved.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// All of it, in order.
fn assert_printed(what: &str, printed: &[u8], job: &[u8]) {
    let at = printed.iter().zip(job).position(|(a, b)| a != b);
    assert!(printed == job, "{what}: {} bytes of {}, different from byte {at:?}", printed.len(), job.len());
}

/// Waits until the printer has got this much. The tests run on one thread, because the GATT server's library
/// hands writes to tasks, which several threads would run in any order.
async fn printed(paper: &Shared<Paper>, length: usize) {
    let wait = async {
        while paper.with(|p| p.printed.len() < length) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("printing", wait).await;
}

/// Opening scans, connects and asks, each with a deadline of its own; together they may take this.
async fn open(address: &Address) -> Result<Box<dyn Link>, Error> {
    let opened = tokio::time::timeout(Duration::from_secs(100), link::open(address)).await;
    opened.expect("opening has deadlines of its own")
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), future).await;
    done.unwrap_or_else(|_| panic!("{what} took longer than 60 s"))
}

/// Opens as a manager does after a loss: again and again, until the printer answers.
async fn again(address: &Address) -> Box<dyn Link> {
    let mut backoff = Backoff::new(1);
    let trying = async {
        loop {
            if let Ok(link) = link::open(address).await {
                let mut answer = Vec::new();
                // As a driver does, which does not wait for ever.
                let asking =
                    async { link.send(&[0x10, 0x04, 0x01]).await.is_ok() && link.recv(&mut answer).await.is_ok() };
                if tokio::time::timeout(Duration::from_secs(5), asking).await == Ok(true) {
                    return link;
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    };
    let started = Instant::now();
    let link = within("connecting again", trying).await;
    measured(&format!("{}: connected again after {:.1} s", address.link().scheme(), started.elapsed().as_secs_f64()));
    link
}

fn address(link: &str, device: &str, query: &str) -> Address {
    format!("escpos+{link}://{device}?{query}").parse().expect("an address")
}

async fn ble(radio: &Radio, query: &str) -> Address {
    address("ble", &radio.printer().await, &format!("adapter={TILL}{query}"))
}

/// Asks for the status, and waits for the answer.
async fn answers(link: &dyn Link) {
    within("asking", link.send(&[0x10, 0x04, 0x01])).await.expect("asked");
    let mut answer = Vec::new();
    within("the answer", link.recv(&mut answer)).await.expect("answered");
    assert_eq!(answer, [0x12]);
}

#[tokio::test]
async fn le_is_found_printed_on_and_answers() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = BlePrinter::serve(&radio, paper.clone()).await;

    let device = radio.printer().await;
    let found =
        within("the scan", discovery::ble(Duration::from_secs(5), Some(TILL), |_| false)).await.expect("scanned");
    let printer = found.iter().find(|f| f.name == "SimPrinter").unwrap_or_else(|| panic!("not in {found:?}"));
    assert_eq!(printer.address().expect("a known service").to_string(), format!("escpos+ble://{device}"));
    assert_eq!(printer.identities, [Identity::Mac(device.clone())]);
    let used = address("ble", &device, "");
    let others =
        discovery::ble(Duration::from_secs(2), Some(TILL), |a| a.link() == used.link()).await.expect("scanned");
    assert!(others.iter().all(|f| f.name != "SimPrinter"), "in use: {others:?}");

    let started = Instant::now();
    let link = open(&ble(&radio, "").await).await.unwrap_or_else(|e| panic!("{e}"));
    measured(&format!("Bluetooth LE: open {:.1} s", started.elapsed().as_secs_f64()));
    answers(&*link).await;
    let job = pattern(20_000);
    let started = Instant::now();
    within("the job", link.send(&job)).await.unwrap_or_else(|e| panic!("{link:?}: {e}"));
    printed(&paper, 3 + job.len()).await;
    measured(&format!("Bluetooth LE: {:.1} kB/s", 20.0 / started.elapsed().as_secs_f64()));
    assert_printed("the job", &paper.with(|p| p.printed[3..].to_vec()), &job);
    // Unasked: paper low, say.
    paper.with(|p| p.actions.push(Action::Send(vec![0x14, 0, 3, 0x0f])));
    let mut said = Vec::new();
    within("what it says", link.recv(&mut said)).await.expect("said");
    assert_eq!(said, [0x14, 0, 3, 0x0f]);
    within("closing", link.close()).await;
    assert_eq!(link.send(b"x").await.expect_err("closed").kind(), Kind::Closed);
}

#[tokio::test]
async fn le_prints_the_same_however_it_writes() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = BlePrinter::serve(&radio, paper.clone()).await;
    let job = pattern(1500);
    for query in ["&response=true", "&response=false&pace=5", "&mtu=23", "&service=18F0&write=2AF1&notify=2AF0"] {
        paper.with(|p| p.printed.clear());
        let link = open(&ble(&radio, query).await).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        within(query, link.send(&job)).await.expect("sent");
        // Closing at once must not lose the tail.
        within("closing", link.close()).await;
        drop(link);
        printed(&paper, job.len()).await;
        assert_printed(query, &paper.with(|p| p.printed.clone()), &job);
    }
    let error = open(&ble(&radio, "&service=FF00").await).await.expect_err("it has another service");
    assert_eq!((error.kind(), error.effect()), (Kind::Unsupported, Effect::None), "{error}");
    assert!(error.to_string().contains("000018f0"), "it says what there is: {error}");
}

#[tokio::test]
async fn le_tells_when_the_printer_leaves_and_connects_again() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = BlePrinter::serve(&radio, paper.clone()).await;
    let address = ble(&radio, "&response=true").await;
    let mut before = None;
    for round in 0..5 {
        let link = again(&address).await;
        if round == 1 {
            before = Some((descriptors(), threads()));
        }
        // A job that cannot end before the link does, and somebody who listens.
        let job = pattern(4_000_000);
        let mut heard = Vec::new();
        let dropped = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let at = Instant::now();
            radio.drop_link().await;
            at
        };
        let (sent, received, at) = within("the end", async {
            let ended = async { (link.send(&job).await, Instant::now()) };
            tokio::join!(ended, link.recv(&mut heard), dropped)
        })
        .await;
        let error = sent.0.expect_err("the printer has left");
        assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown), "{error}");
        assert_eq!(received.expect_err("the printer has left").kind(), Kind::Closed);
        // BlueZ, which is the printer here, waits 2 s before it ends a connection.
        measured(&format!("Bluetooth LE: job in flight ended {:?} after the printer was told to leave", sent.1 - at));
    }
    let (fds, threads_before) = before.expect("a second round");
    let _link = again(&address).await;
    assert!(
        descriptors() <= fds + 1 && threads() <= threads_before + 1,
        "leaked: {fds} to {} descriptors",
        descriptors()
    );
}

#[tokio::test]
async fn le_says_plainly_what_is_missing() {
    let mut radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let printer = BlePrinter::serve(&radio, paper.clone()).await;
    let device = radio.printer().await;

    let link = open(&ble(&radio, "").await).await.unwrap_or_else(|e| panic!("{e}"));
    answers(&*link).await;
    let started = Instant::now();
    radio.kill_bluetoothd();
    let error = within("the end", link.recv(&mut Vec::new())).await.expect_err("bluetoothd is gone");
    assert_eq!(error.kind(), Kind::Closed, "{error}");
    measured(&format!("Bluetooth LE: bluetoothd killed, noticed after {:?}", started.elapsed()));
    drop((link, printer));

    let error = open(&address("ble", &device, "")).await.expect_err("no bluetoothd");
    assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None), "{error}");
    assert!(error.to_string().contains("systemctl enable --now bluetooth"), "{error}");

    radio.start_bluetoothd().await;
    let error = open(&address("ble", &device, "adapter=hci7")).await.expect_err("no such adapter");
    assert!(error.to_string().contains("hci0, hci1"), "it says which there are: {error}");
    radio.adapter(PRINTER).set_powered(false).await.expect("switched off");
    let error = open(&address("ble", &device, &format!("adapter={PRINTER}"))).await.expect_err("switched off");
    assert!(error.to_string().contains("bluetoothctl power on"), "{error}");
    let started = Instant::now();
    let error = open(&address("ble", "02:00:00:00:00:07", &format!("adapter={TILL}"))).await.expect_err("not there");
    assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None), "{error}");
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
}

#[tokio::test]
async fn spp_finds_its_channel_prints_and_loses_no_tail() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = SppPrinter::serve(&radio, 5, paper.clone()).await;
    let device = radio.printer().await;
    let till = radio.adapter(TILL).address().await.expect("an address");
    let asked = address("spp", &device, &format!("adapter={till}"));
    for round in 0..3 {
        paper.with(|p| p.printed.clear());
        let started = Instant::now();
        let link = open(&asked).await.unwrap_or_else(|e| panic!("{e}"));
        measured(&format!("Bluetooth serial port: open with lookup {:.1} s", started.elapsed().as_secs_f64()));
        answers(&*link).await;
        let job = pattern(65_536);
        let started = Instant::now();
        within("the job", link.send(&job)).await.expect("sent");
        within("closing", link.close()).await;
        measured(&format!("Bluetooth serial port: {:.0} kB/s, closed", 65.5 / started.elapsed().as_secs_f64()));
        drop(link);
        printed(&paper, 3 + job.len()).await;
        assert_printed(&format!("round {round}"), &paper.with(|p| p.printed[3..].to_vec()), &job);
    }
}

#[tokio::test]
async fn spp_tells_when_the_printer_leaves_and_connects_again() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = SppPrinter::listen(&radio, 7, paper.clone()).await;
    let device = radio.printer().await;
    let till = radio.adapter(TILL).address().await.expect("an address");
    let known = address("spp", &device, &format!("adapter={till}&channel=7"));
    for _ in 0..3 {
        let link = again(&known).await;
        paper.with(|p| p.actions.push(Action::HangUp));
        let error = within("its hanging up", link.recv(&mut Vec::new())).await.expect_err("it hung up");
        assert_eq!(error.kind(), Kind::Closed, "{error}");
        drop(link);
        let link = again(&known).await;
        within("sending", link.send(RECEIPT)).await.expect("sent");
        let at = Instant::now();
        radio.drop_link().await;
        let error = within("the end", async {
            loop {
                if let Err(error) = link.recv(&mut Vec::new()).await {
                    return error;
                }
            }
        });
        assert_eq!(error.await.kind(), Kind::Closed);
        measured(&format!("Bluetooth serial port: the drop noticed after {:?}", at.elapsed()));
        radio.forget().await;
    }
    // Over a link that stands: after `forget`, the first connection may be refused for its old key.
    let _link = again(&known).await;
    let error = open(&address("spp", &device, &format!("adapter={till}&channel=9"))).await.expect_err("nothing there");
    assert_eq!((error.kind(), error.effect()), (Kind::Refused, Effect::None), "{error}");
    // An address that nobody has is left out: this kernel (Debian's 6.1.192-2) panics in hci_chan_del when a
    // classic connection fails, with BlueZ's own l2ping, too.
}
