//! A whole counter at once: printers on USB, network, Bluetooth LE and Bluetooth serial port, scanners in HID,
//! keyboard and serial mode, a camera, a payment terminal. One device after the other is pulled and put
//! back, while the till goes on selling on the rest.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tresen::hal::sim::Shared;
use tresen::payment::zvt::sim::{Profile as TerminalProfile, Simulator};
use tresen::printers::escpos::sim::Simulator as PrinterSimulator;
use tresen::printers::{Profile, Receipt};
use tresen::scanners::Symbology;
use tresen::scanners::{hid, wedge};
use tresen::{Amount, Payment, Phase, Print, Tresen};
use tresen_lab::net::Network;
use tresen_lab::radio::{BlePrinter, Radio, SECOND, SppPrinter, TILL, TILLS_SECOND, hci};
use tresen_lab::video::{Feed, Loopback};
use tresen_lab::{
    Gadget, KEYBOARD, PATIENCE, Served, descriptors, measured, modprobe, picture, threads, until, until_exists, within,
};

const DEVICE_ID: &str = "MFG:EPSON;CMD:ESC/POS;MDL:TM-m30;CLS:PRINTER;";
const CHANNEL: u8 = 7;

type Paper = Shared<PrinterSimulator>;

fn paper() -> Paper {
    Shared::new(PrinterSimulator::new(Profile::epson_tm_m30()))
}

/// What can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Usb,
    Cable,
    Ble,
    Spp,
    Hid,
    Keyboard,
    Serial,
    Camera,
}

const PARTS: [Part; 8] =
    [Part::Usb, Part::Cable, Part::Ble, Part::Spp, Part::Hid, Part::Keyboard, Part::Serial, Part::Camera];

/// The printers in the air, on a thread and a runtime of their own: the GATT server's library hands writes to
/// tasks, which several threads would run in any order.
struct Air {
    orders: Option<mpsc::UnboundedSender<(Order, oneshot::Sender<()>)>>,
    thread: Option<std::thread::JoinHandle<()>>,
    ble: String,
    spp: String,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Leave(Part),
    Return(Part),
}

impl Air {
    async fn start(ble: Paper, spp: Paper) -> Self {
        let (orders, mut received) = mpsc::unbounded_channel::<(Order, oneshot::Sender<()>)>();
        let (ready, started) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let radio = Radio::start_with_two_printers().await;
                let mut low_energy = Some(BlePrinter::serve(&radio, ble.clone()).await);
                let mut classic = Some(SppPrinter::listen_at(&radio, SECOND, CHANNEL, spp.clone()).await);
                // Unpaired, each connection makes a key of its own, and when it drops one end may keep it and refuse.
                let _agreement = radio.agree_to_pair().await;
                radio.pair_second().await;
                ready
                    .send([
                        format!("{}?adapter={TILL}", radio.printer().await),
                        format!(
                            "{}?channel={CHANNEL}&adapter={}",
                            radio.address(SECOND).await,
                            radio.address(TILLS_SECOND).await
                        ),
                    ])
                    .expect("the test waits");
                while let Some((order, done)) = received.recv().await {
                    match order {
                        Order::Leave(Part::Ble) => {
                            low_energy = None;
                            radio.drop_link(hci::GOODBYE).await;
                        }
                        Order::Leave(_) => {
                            classic = None;
                            radio.drop_seconds_link(hci::GOODBYE).await;
                        }
                        Order::Return(Part::Ble) => low_energy = Some(BlePrinter::serve(&radio, ble.clone()).await),
                        Order::Return(_) => {
                            classic = Some(SppPrinter::listen_at(&radio, SECOND, CHANNEL, spp.clone()).await);
                        }
                    }
                    done.send(()).expect("the test waits");
                }
                drop((low_energy, classic));
            });
        });
        let [ble, spp] = within("Bluetooth", started).await.expect("it starts");
        Self { orders: Some(orders), thread: Some(thread), ble, spp }
    }

    async fn order(&self, order: Order) {
        let (done, finished) = oneshot::channel();
        self.orders.as_ref().expect("not dropped").send((order, done)).expect("the thread lives");
        within("the order", finished).await.expect("obeyed");
    }
}

impl Drop for Air {
    /// The kernel wants the controllers to go in an orderly way.
    fn drop(&mut self) {
        self.orders = None;
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// All of it, and the till.
struct Counter {
    till: Tresen,
    usb: Paper,
    kitchen: Paper,
    ble: Paper,
    spp: Paper,
    hid: Shared<hid::sim::Simulator>,
    keys: Shared<wedge::sim::Simulator>,
    terminal: Shared<Simulator>,
    // Those behind the first three gadgets; dropped before them.
    served: [Option<Served>; 3],
    gadgets: [Gadget; 4],
    network: Network,
    feed: Option<Feed>,
    air: Air,
    said: usize,
    _folder: tempfile::TempDir,
}

impl Counter {
    async fn new() -> Self {
        for module in ["cdc_acm", "usbhid", "hid-generic", "evdev"] {
            modprobe(module);
        }
        let gadgets = [
            Gadget::new("receipt", 0, (0x04b8, 0x0202), "T1").printer(DEVICE_ID),
            Gadget::new("hand", 1, (0x05e0, 0x1900), "T2").hid("pos", hid::sim::DESCRIPTOR, 64),
            Gadget::new("keys", 2, (0x05e0, 0x1200), "T3").hid("keys", KEYBOARD, 8),
            Gadget::new("port", 3, (0x05e0, 0x1701), "T4").acm(),
        ];
        gadgets.iter().for_each(Gadget::plug_and_wait);
        let (usb, kitchen, ble, spp) = (paper(), paper(), paper(), paper());
        let hid = Shared::new(hid::sim::Simulator::new());
        let keys = Shared::new(wedge::sim::Simulator::reports());
        until_exists("/dev/ttyACM0");
        let network = Network::new();
        let terminal = Shared::new(Simulator::new(TerminalProfile::default()));
        let (kitchen_at, terminal_at) = (network.serve(9100, kitchen.clone()), network.serve(20007, terminal.clone()));
        let feed = Some(Loopback::load().feed(b"YUYV", picture::yuyv("first light")));
        let air = Air::start(ble.clone(), spp.clone()).await;
        let config = format!(
            r#"
            printers.usb.address = "escpos+usb://04b8:0202/T1"
            printers.kitchen.address = "escpos+tcp://{kitchen_at}"
            printers.ble.address = "escpos+ble://{}"
            printers.spp.address = "escpos+spp://{}"
            scanners.hid.address = "scanner+hid://05e0:1900/T2"
            scanners.keys.address = "scanner+evdev://05e0:1200/T3"
            scanners.serial.address = "scanner+serial:///dev/ttyACM0"
            cameras.desk.address = "camera+v4l2://{}"
            terminals.counter.address = "zvt+tcp://{terminal_at}"
            "#,
            air.ble,
            air.spp,
            Loopback::CAMERA,
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("till.toml");
        std::fs::write(&file, config).expect("written");
        let till = Tresen::open(&file).await.unwrap_or_else(|e| panic!("{e}"));
        // What a failed test's output shows.
        let mut events = till.events();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                println!("{} {}: {:?}", event.at, event.source, event.kind);
            }
        });
        let mut counter = Self {
            till,
            usb,
            kitchen,
            ble,
            spp,
            hid,
            keys,
            terminal,
            served: [None, None, None],
            gadgets,
            network,
            feed,
            air,
            said: 0,
            _folder: folder,
        };
        counter.serve();
        counter
    }

    /// Has the simulators play what is plugged in and not played yet.
    fn serve(&mut self) {
        let Self { served: [printer, hid, keys], gadgets, .. } = self;
        printer.get_or_insert_with(|| Served::printer(self.usb.clone()));
        hid.get_or_insert_with(|| Served::hid(&gadgets[1], "pos", self.hid.clone()));
        keys.get_or_insert_with(|| Served::hid(&gadgets[2], "keys", self.keys.clone()));
    }

    fn phase(&self, part: Part) -> watch::Receiver<Phase> {
        match part {
            Part::Usb | Part::Cable | Part::Ble | Part::Spp => self.printer(part).0.phase(),
            Part::Hid | Part::Keyboard | Part::Serial => self.scanner(part).phase(),
            Part::Camera => self.till.camera("desk").expect("named").phase(),
        }
    }

    fn printer(&self, part: Part) -> (tresen::Printer, Paper) {
        let (name, paper) = match part {
            Part::Usb => ("usb", &self.usb),
            Part::Cable => ("kitchen", &self.kitchen),
            Part::Ble => ("ble", &self.ble),
            _ => ("spp", &self.spp),
        };
        (self.till.printer(name).expect("named"), paper.clone())
    }

    fn scanner(&self, part: Part) -> tresen::Scanner {
        let name = match part {
            Part::Hid => "hid",
            Part::Keyboard => "keys",
            _ => "serial",
        };
        self.till.scanner(name).expect("named")
    }

    async fn ready(&self, part: Part) {
        let mut phase = self.phase(part);
        let ready = tokio::time::timeout(PATIENCE * 2, phase.wait_for(|p| *p == Phase::Ready)).await;
        assert!(ready.is_ok(), "{part:?} is {:?}", *self.phase(part).borrow());
    }

    async fn pull(&mut self, part: Part) {
        match part {
            Part::Usb => {
                self.gadgets[0].unplug_and_wait();
                self.served[0] = None;
            }
            Part::Cable => self.network.cable(false),
            Part::Ble | Part::Spp => self.air.order(Order::Leave(part)).await,
            Part::Hid => {
                self.gadgets[1].unplug_and_wait();
                self.served[1] = None;
            }
            Part::Keyboard => {
                self.gadgets[2].unplug_and_wait();
                self.served[2] = None;
            }
            Part::Serial => self.gadgets[3].unplug_and_wait(),
            Part::Camera => self.feed = None,
        }
        // A network says nothing when its cable is pulled.
        if part != Part::Cable {
            let mut phase = self.phase(part);
            let gone = |p: &Phase| matches!(p, Phase::Away { .. } | Phase::Opening);
            within("the till to know", phase.wait_for(gone)).await.expect("the till is open");
        }
    }

    async fn put_back(&mut self, part: Part) {
        match part {
            Part::Usb => {
                self.gadgets[0].plug_and_wait();
                self.serve();
            }
            Part::Cable => self.network.cable(true),
            Part::Ble | Part::Spp => self.air.order(Order::Return(part)).await,
            Part::Hid => {
                self.gadgets[1].plug_and_wait();
                self.serve();
            }
            Part::Keyboard => {
                self.gadgets[2].plug_and_wait();
                self.serve();
            }
            Part::Serial => self.gadgets[3].plug_and_wait(),
            Part::Camera => self.feed = Some(Loopback::load().feed(b"YUYV", picture::yuyv("back again"))),
        }
    }

    /// Something that was never printed or scanned before.
    fn line(&mut self, part: Part) -> String {
        self.said += 1;
        format!("{part:?} {:03}.", self.said)
    }

    /// Has one part do what it is there for, and checks that it did, once.
    async fn works(&mut self, part: Part) {
        let line = self.line(part);
        match part {
            Part::Usb | Part::Cable | Part::Ble | Part::Spp => {
                let (printer, paper) = self.printer(part);
                let done =
                    within(&format!("printing on {part:?}"), printer.print(&receipt(&line))).await.expect("spooled");
                assert!(matches!(done, Print::Printed { .. }), "{part:?}: {done:?}");
                assert_eq!(times(&paper, &line), 1, "{line}");
            }
            Part::Hid | Part::Keyboard | Part::Serial => {
                match part {
                    Part::Hid => self.hid.with(|s| s.scan(&line, Symbology::Code128)),
                    Part::Keyboard => self.keys.with(|s| s.scan(&line, Symbology::Code128)),
                    _ => {
                        let port = std::fs::OpenOptions::new().write(true).open("/dev/ttyGS0");
                        port.expect("our end").write_all(format!("{line}\r").as_bytes()).expect("taken");
                    }
                }
                let scan = within(&format!("the scan by {part:?}"), self.scanner(part).next()).await.expect("ours");
                assert_eq!(scan.text, line);
            }
            Part::Camera => {
                self.feed = None;
                self.feed = Some(Loopback::load().feed(b"YUYV", picture::yuyv(&line)));
                let camera = self.till.camera("desk").expect("named");
                within("the code", async { while camera.next().await.expect("ours").text != line {} }).await;
            }
        }
    }

    async fn sells(&mut self) {
        let terminal = self.till.terminal("counter").expect("named");
        let paid = within("payment", terminal.pay(Amount::eur(4_20))).await.expect("journalled");
        assert!(matches!(paid, Payment::Charged(_)), "{paid:?}");
    }
}

fn receipt(line: &str) -> Receipt {
    Receipt::new().text(line).cut()
}

fn times(paper: &Paper, line: &str) -> usize {
    paper.with(|p| p.roll().text().matches(line).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_pulled_once_and_put_back_while_the_rest_sells() {
    let mut counter = Counter::new().await;
    for part in PARTS {
        counter.ready(part).await;
    }
    for part in PARTS {
        counter.works(part).await;
    }
    counter.sells().await;
    let mut sold = 1;
    let before = (descriptors(), threads());
    for gone in PARTS {
        counter.pull(gone).await;
        // A job for a printer that is away waits until it is back.
        let line = counter.line(gone);
        let job = match gone {
            Part::Usb | Part::Cable | Part::Ble | Part::Spp => {
                let (printer, paper) = counter.printer(gone);
                let receipt = receipt(&line);
                Some((tokio::spawn(async move { printer.print(&receipt).await }), paper))
            }
            _ => None,
        };
        let begun = Instant::now();
        for part in PARTS.into_iter().filter(|part| *part != gone) {
            counter.works(part).await;
        }
        if gone != Part::Cable {
            counter.sells().await;
            sold += 1;
        }
        let others = begun.elapsed();
        let back = Instant::now();
        counter.put_back(gone).await;
        counter.ready(gone).await;
        measured(&format!(
            "counter without {gone:?}: seven devices and the terminal worked in {:.1} s; ready {} ms after its return",
            others.as_secs_f64(),
            back.elapsed().as_millis()
        ));
        if let Some((job, paper)) = job {
            let done = within("the job", job).await.expect("no panic").expect("spooled");
            assert!(matches!(done, Print::Printed { .. } | Print::Waiting { .. }), "{gone:?}: {done:?}");
            until("the waiting job's paper", || times(&paper, &line) > 0);
            assert_eq!(times(&paper, &line), 1, "{line}");
        }
        counter.works(gone).await;
    }
    counter.sells().await;
    sold += 1;
    assert_eq!(counter.terminal.with(|t| t.ledger().turnover()), 4_20 * sold, "each sale once");
    let after = (descriptors(), threads());
    measured(&format!(
        "counter: descriptors {} and {} after all; threads {} and {}",
        before.0, after.0, before.1, after.1
    ));
    assert!(after.0 <= before.0 + 4 && after.1 <= before.1 + 8, "leaked: {before:?} became {after:?}");
}
