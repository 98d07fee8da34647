//! Bluetooth printers through BlueZ and the kernel: LE and serial port, found, printed on, and lost.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use tresen_hal::discovery::{self, Identity};
use tresen_hal::sim::{Action, Shared};
use tresen_hal::{Address, Backoff, Effect, Error, Kind, Link, link};
use tresen_lab::radio::{BlePrinter, PRINTER, Radio, SppPrinter, TILL, hci};
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
    let started = Instant::now();
    loop {
        let what = match link::open(address).await {
            Ok(link) => {
                let mut answer = Vec::new();
                // As a driver does, which does not wait for ever.
                let asking = async {
                    link.send(&[0x10, 0x04, 0x01]).await?;
                    link.recv(&mut answer).await
                };
                match tokio::time::timeout(Duration::from_secs(5), asking).await {
                    Ok(Ok(_)) => {
                        let took = started.elapsed().as_secs_f64();
                        measured(&format!("{}: connected again after {took:.1} s", address.link().scheme()));
                        return link;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "no answer within 5 s".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        assert!(started.elapsed() < Duration::from_secs(60), "cannot connect again: {what}");
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

fn address(link: &str, device: &str, query: &str) -> Address {
    format!("escpos+{link}://{device}?{query}").parse().expect("an address")
}

async fn ble(radio: &Radio, query: &str) -> Address {
    address("ble", &radio.printer().await, &format!("adapter={TILL}{query}"))
}

async fn spp(radio: &Radio, query: &str) -> Address {
    let till = radio.adapter(TILL).address().await.expect("an address");
    address("spp", &radio.printer().await, &format!("adapter={till}{query}"))
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
    assert_eq!(printer.address_for("escpos").to_string(), format!("escpos+ble://{device}"));
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

/// A job in flight, and somebody who listens, when the link ends: both learn it honestly and soon. `ending`
/// says when the link ended.
async fn ends_soon(what: &str, link: &dyn Link, paper: &Shared<Paper>, ending: impl Future<Output = Instant>) {
    // Too long to end before the link does, which is when some of it is on paper.
    let job = pattern(4_000_000);
    let mut heard = Vec::new();
    paper.with(|p| p.printed.clear());
    let ending = async {
        printed(paper, 10_000).await;
        ending.await
    };
    let (sent, received, end) = within("the end", async {
        let sending = async { (link.send(&job).await, Instant::now()) };
        let receiving = async { (link.recv(&mut heard).await, Instant::now()) };
        tokio::join!(sending, receiving, ending)
    })
    .await;
    let error = sent.0.expect_err("the printer has left");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown), "{error}");
    assert!(error.next_step().is_some(), "{error}");
    assert_eq!(received.0.expect_err("the printer has left").kind(), Kind::Closed);
    // The kernel shows the end a little after or before it tells us.
    let [sender, receiver] = [sent.1, received.1].map(|at| at.saturating_duration_since(end));
    measured(&format!("{what}: {sender:.0?} for the sender, {receiver:.0?} for the receiver to know"));
    assert!(sender < Duration::from_secs(1) && receiver < Duration::from_secs(1), "{sender:?}, {receiver:?}");
}

/// Five times lost and connected again, by a goodbye and by silence: nothing is left open. BlueZ 5.66, which is the
/// printer, too, sometimes dies on a busy machine when a link drops; then there is nothing to connect to.
async fn comes_back(radio: &mut Radio, address: &Address, paper: &Shared<Paper>) {
    let mut before = None;
    for round in 0..5 {
        let link = tokio::select! {
            link = again(address) => link,
            () = radio.died() => {
                measured(&format!("{}: bluetoothd died of drop {round}; no more rounds", address.link().scheme()));
                return;
            }
        };
        if round == 1 {
            before = Some((descriptors(), threads()));
        }
        let reason = if round % 2 == 0 { hci::GOODBYE } else { hci::TIMEOUT };
        let what = format!("{}, reason {reason:#04x}", address.link().scheme());
        ends_soon(&what, &*link, paper, radio.drop_link(reason)).await;
    }
    let (fds, before) = before.expect("a second round");
    let link = tokio::select! {
        link = again(address) => link,
        () = radio.died() => return,
    };
    assert!(descriptors() <= fds, "leaked: {fds} to {} descriptors", descriptors());
    assert!(threads() <= before, "leaked: {before} to {} threads", threads());
    within("closing", link.close()).await;
}

#[tokio::test]
async fn le_ends_a_job_at_once_when_the_link_drops_and_connects_again() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let printer = BlePrinter::serve(&radio, paper.clone()).await;
    let link = open(&ble(&radio, "").await).await.unwrap_or_else(|e| panic!("{e}"));
    ends_soon("ble, usual writes", &*link, &paper, radio.drop_link(hci::GOODBYE)).await;
    drop((link, printer, radio));

    let mut radio = Radio::start().await;
    let _printer = BlePrinter::serve(&radio, paper.clone()).await;
    let address = ble(&radio, "&response=true").await;
    comes_back(&mut radio, &address, &paper).await;
}

#[tokio::test]
async fn both_end_a_job_at_once_when_the_adapter_is_pulled() {
    let mut radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _le = BlePrinter::serve(&radio, paper.clone()).await;
    let link = open(&ble(&radio, "").await).await.unwrap_or_else(|e| panic!("{e}"));
    ends_soon("ble, adapter pulled", &*link, &paper, async { radio.unplug() }).await;
    drop((link, _le));
    drop(radio);

    let mut radio = Radio::start().await;
    let _spp = SppPrinter::listen(&radio, 7, paper.clone()).await;
    let link = open(&spp(&radio, "&channel=7").await).await.unwrap_or_else(|e| panic!("{e}"));
    ends_soon("spp, adapter pulled", &*link, &paper, async { radio.unplug() }).await;
}

#[tokio::test]
async fn le_pairs_when_asked_to_and_keeps_the_bond() {
    let radio = Radio::start_le().await;
    let paper = Shared::new(Paper::default());
    let _printer = BlePrinter::serve_paired(&radio, paper.clone()).await;
    let device = radio.printer().await;
    let prints = async |query: &str| {
        paper.with(|p| p.printed.clear());
        let link = open(&ble(&radio, query).await).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        let sent = within("the job", link.send(RECEIPT)).await;
        if sent.is_ok() {
            printed(&paper, RECEIPT.len()).await;
            assert_printed(query, &paper.with(|p| p.printed.clone()), RECEIPT);
        }
        within("closing", link.close()).await;
        sent
    };

    // The printer does not agree to pair: as one that waits for a button to be pressed.
    let error = prints("").await.expect_err("not paired");
    assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::Unknown), "{error}");
    assert!(error.to_string().contains("pair=true"), "{error}");
    assert_eq!(paper.with(|p| p.printed.len()), 0);
    let error = open(&ble(&radio, "&pair=true").await).await.expect_err("refused");
    assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{error}");
    assert!(error.to_string().contains(&format!("bluetoothctl pair {device}")), "{error}");

    let agreement = radio.agree_to_pair().await;
    prints("&pair=true").await.expect("paired");
    assert!(radio.is_paired().await);
    assert_eq!(agreement.asked(), [PRINTER], "nobody was asked on the till's side");
    for query in ["&pair=true", ""] {
        prints(query).await.expect("paired");
    }
    assert_eq!(agreement.asked(), [""; 0], "the bond was kept");

    radio.lose_pairing(PRINTER).await;
    for query in ["&pair=true", ""] {
        let error = open(&ble(&radio, query).await).await.expect_err("the printer was reset");
        assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{error}");
        assert!(error.to_string().contains(&format!("bluetoothctl remove {device}")), "{error}");
    }
    radio.lose_pairing(TILL).await;
    prints("&pair=true").await.expect("paired anew");
    assert_eq!(agreement.asked(), [PRINTER]);
}

#[tokio::test]
async fn le_pairs_by_itself_when_the_printer_asks() {
    let radio = Radio::start_le().await;
    let agreement = radio.agree_to_pair().await;
    let paper = Shared::new(Paper::default());
    let _printer = BlePrinter::serve_paired(&radio, paper.clone()).await;
    let link = open(&ble(&radio, "").await).await.unwrap_or_else(|e| panic!("{e}"));
    within("the job", link.send(RECEIPT)).await.unwrap_or_else(|e| panic!("{e}"));
    printed(&paper, RECEIPT.len()).await;
    assert_eq!(agreement.asked(), [PRINTER]);
    within("closing", link.close()).await;
}

#[tokio::test]
async fn le_says_plainly_what_is_missing() {
    let mut radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let printer = BlePrinter::serve(&radio, paper.clone()).await;
    let device = radio.printer().await;

    let link = open(&ble(&radio, "").await).await.unwrap_or_else(|e| panic!("{e}"));
    answers(&*link).await;
    let killing = async {
        let end = Instant::now();
        radio.kill_bluetoothd();
        end
    };
    ends_soon("ble, bluetoothd killed", &*link, &paper, killing).await;
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
async fn spp_ends_a_job_at_once_when_the_link_drops_and_connects_again() {
    let mut radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = SppPrinter::listen(&radio, 7, paper.clone()).await;
    // Unpaired, each connection makes a key of its own, and when it drops one end may keep it and then refuse.
    let _agreement = radio.agree_to_pair().await;
    radio.pair().await;
    let address = spp(&radio, "&channel=7").await;
    comes_back(&mut radio, &address, &paper).await;
}

#[tokio::test]
async fn spp_tells_when_the_printer_hangs_up() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = SppPrinter::listen(&radio, 7, paper.clone()).await;
    let known = spp(&radio, "&channel=7").await;
    for _ in 0..3 {
        let link = again(&known).await;
        paper.with(|p| p.actions.push(Action::HangUp));
        let error = within("its hanging up", link.recv(&mut Vec::new())).await.expect_err("it hung up");
        assert_eq!(error.kind(), Kind::Closed, "{error}");
    }
}

#[tokio::test]
async fn spp_pairs_by_itself_when_the_printer_asks() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = SppPrinter::serve_paired(&radio, 5, paper.clone()).await;
    let address = spp(&radio, "&channel=5").await;
    for _ in 0..2 {
        // As a till does it, which asks first and connects again if nothing answers: BlueZ, which is the printer,
        // is at times still busy with the pairing.
        let link = again(&address).await;
        paper.with(|p| p.printed.clear());
        within("the job", link.send(RECEIPT)).await.expect("sent");
        printed(&paper, RECEIPT.len()).await;
        assert!(radio.is_paired().await);
        within("closing", link.close()).await;
    }
}

#[tokio::test]
async fn spp_says_plainly_what_is_missing() {
    let radio = Radio::start().await;
    let paper = Shared::new(Paper::default());
    let _printer = SppPrinter::listen(&radio, 7, paper.clone()).await;
    let till = radio.adapter(TILL).address().await.expect("an address");
    for query in ["&channel=1", ""] {
        let absent = address("spp", "02:00:00:00:00:07", &format!("adapter={till}{query}"));
        let error = open(&absent).await.expect_err("not there");
        assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None), "{error}");
        assert!(error.to_string().contains("switched on"), "{error}");
    }
    let error = open(&spp(&radio, "&channel=9").await).await.expect_err("nothing there");
    assert_eq!((error.kind(), error.effect()), (Kind::Refused, Effect::None), "{error}");
    assert!(error.to_string().contains("channel"), "{error}");
    let known = spp(&radio, "&channel=7").await;
    radio.adapter(TILL).set_powered(false).await.expect("switched off");
    let error = open(&known).await.expect_err("no adapter");
    assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None), "{error}");
    assert!(error.to_string().contains("bluetoothctl power on"), "{error}");
}
