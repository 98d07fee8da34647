//! Payment terminals at serial ports of the kernel: ZVT and PayTec over an FTDI adapter that a wire joins to a 16550, and a
//! ZVT terminal with a USB port of its own that is pulled in the middle of a payment.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tresen::hal::link;
use tresen::hal::sim::{self, Device, Shared};
use tresen::payment::zvt::Framed;
use tresen::payment::zvt::serial::Timing;
use tresen::payment::{Request, paytec, zvt};
use tresen::{Amount, Payment, Phase, Tresen};
use tresen_lab::{Gadget, PATIENCE, measured, modprobe, until_exists, within};

/// The far end of the FTDI adapter's wire.
const UART: &str = "serial:///dev/ttyS1";
/// The far end of the CDC ACM gadget.
const GADGET: &str = "serial:///dev/ttyGS0";

struct Till {
    till: Tresen,
    _folder: tempfile::TempDir,
}

impl Till {
    async fn open(address: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("till.toml");
        std::fs::write(&config, format!("terminals.counter.address = \"{address}\"")).expect("written");
        let till = Tresen::open(&config).await.unwrap_or_else(|e| panic!("{e}"));
        // What a failed test's output shows.
        let mut events = till.events();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                println!("{} {}: {:?}", event.at, event.source, event.kind);
            }
        });
        Self { till, _folder: folder }
    }

    fn terminal(&self) -> tresen::Terminal {
        self.till.terminal("counter").expect("named")
    }

    async fn ready(&self) {
        let mut phase = self.terminal().phase();
        within("the terminal to be ready", phase.wait_for(|p| *p == Phase::Ready)).await.expect("the till is open");
    }

    /// Pays 12.50 EUR under a key; the same key is the same payment.
    async fn pay(&self, key: &str) -> Payment {
        let (_keep, abort) = watch::channel(false);
        let request = Request::new(key, Amount::eur(1250));
        tokio::time::timeout(PATIENCE * 3, self.terminal().pay_as(request, abort))
            .await
            .expect("the outcome")
            .expect("journalled")
    }
}

/// A simulator at the far end of a line.
async fn serve<D: Device + 'static>(line: &str, device: Shared<D>) -> JoinHandle<()> {
    let port = link::open(&format!("zvt+{line}").parse().expect("an address")).await.expect("the far end");
    tokio::spawn(async move { sim::link(&*port, &device).await })
}

fn zvt(profile: zvt::sim::Profile) -> Shared<zvt::sim::Simulator> {
    Shared::new(zvt::sim::Simulator::new(zvt::sim::Profile { framing: Framed::Serial(Timing::default()), ..profile }))
}

fn ftdi() {
    for module in ["xhci_pci", "ftdi_sio"] {
        modprobe(module);
    }
    until_exists("/dev/ttyUSB0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zvt_over_an_ftdi_adapter_pays_and_gives_back() {
    ftdi();
    let device = zvt(zvt::sim::Profile::default());
    // ZVT's line has two stop bits (PA00P015, chapter 1); the address need not say so.
    let served = serve(&format!("{UART}?stop=2"), device.clone()).await;
    let counter = Till::open("zvt+serial:///dev/ttyUSB0").await;
    counter.ready().await;
    let paid = within("paying", counter.terminal().pay(Amount::eur(1250))).await.expect("journalled");
    let Payment::Charged(charge) = paid else { panic!("{paid:?}") };
    assert_eq!(charge.amount, Amount::eur(1250));
    let reference = charge.reference.expect("named");
    let back =
        within("reversing", counter.terminal().reverse(&reference, Amount::eur(1250))).await.expect("journalled");
    assert!(matches!(back, Payment::Charged(_)), "{back:?}");
    device.with(|d| {
        assert_eq!((d.received(0x0601), d.received(0x0630)), (1, 1), "one authorisation, one reversal");
        assert_eq!(d.ledger().turnover(), 0);
    });
    served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paytec_over_an_ftdi_adapter_pays() {
    ftdi();
    let profile = paytec::sim::Profile { serial: true, ..paytec::sim::Profile::default() };
    let device = Shared::new(paytec::sim::Simulator::new(profile));
    let served = serve(&format!("{UART}?baud=115200"), device.clone()).await;
    let counter = Till::open("paytec+serial:///dev/ttyUSB0").await;
    counter.ready().await;
    let amount: Amount = "12.50 CHF".parse().expect("an amount");
    let paid = within("paying", counter.terminal().pay(amount)).await.expect("journalled");
    assert!(matches!(&paid, Payment::Charged(charge) if charge.amount == amount), "{paid:?}");
    device.with(|d| assert_eq!(d.ledger().turnover(), 1250));
    served.abort();
}

/// The adapter is pulled while the customer pays; the terminal finishes alone. Back again, the till asks it and charges nothing a
/// second time. What the terminal shows proves that only if no other till uses it (`exclusive=true`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_is_pulled_in_mid_payment_is_asked_when_it_is_back() {
    modprobe("cdc_acm");
    let gadget = Gadget::new("terminal", 0, (0x079b, 0x0028), "T9").acm();
    gadget.plug_and_wait();
    until_exists("/dev/ttyACM0");
    until_exists("/dev/ttyGS0");
    let device = zvt(zvt::sim::Profile {
        pace: Duration::from_secs(1),
        finishes_alone: true,
        commit: zvt::Commit::Keeps,
        ..zvt::sim::Profile::default()
    });
    let served = serve(GADGET, device.clone()).await;
    let counter = Arc::new(Till::open("zvt+serial:///dev/ttyACM0?exclusive=true").await);
    counter.ready().await;

    let customer = counter.clone();
    let paying = tokio::spawn(async move { customer.pay("a-1").await });
    let begun = || device.with(|d| d.received(0x0601) == 1);
    within("the terminal to begin", async {
        while !begun() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gadget.unplug_and_wait();
    served.abort();
    served.await.ok();
    let stored = || device.with(|d| d.ledger().turnover() == 1250);
    within("the terminal to finish alone", async {
        while !stored() {
            // No line drives it meanwhile.
            device.with(|d| d.timeout(Instant::now()));
            tokio::task::yield_now().await;
        }
    })
    .await;
    gadget.plug_and_wait();
    until_exists("/dev/ttyGS0");
    let served = serve(GADGET, device.clone()).await;
    let back = Instant::now();
    counter.ready().await;
    measured(&format!("terminal: asked and ready {} ms after it was put back", back.elapsed().as_millis()));
    // The call has waited for what the terminal says; asked again, the till knows.
    let paid = paying.await.expect("no panic");
    let known = counter.pay("a-1").await;
    for payment in [paid, known] {
        assert!(matches!(&payment, Payment::Charged(charge) if charge.amount == Amount::eur(1250)), "{payment:?}");
    }
    device.with(|d| {
        assert_eq!(d.received(0x0601), 1, "asked, not charged again");
        assert_eq!(d.ledger().turnover(), 1250);
    });
    served.abort();
}
