//! Plugging in, pulling and replugging: what is announced, how soon, and that nothing is left behind.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use tresen_hal::discovery::{self, Event, Source, Watch};
use tresen_hal::{Address, Kind, Link, link};
use tresen_lab::{FfsPrinter, Gadget, KEYBOARD, POS_SCANNER, descriptors, measured, modprobe, run, threads, within};

const IDS: (u16, u16) = (0x04b8, 0x0202);
const DEVICE_ID: &str = "MFG:EPSON;CMD:ESC/POS;MDL:TM-T88V;CLS:PRINTER;";
/// From the kernel's knowing a device to a link that has taken its first bytes. What the kernel needs before
/// that is its own: it waits for a steady contact and resets the port twice.
const READY_WITHIN: Duration = Duration::from_millis(500);
const REPLUGS: usize = 200;

/// A printer that is not plugged in yet.
fn printer() -> FfsPrinter {
    let printer = FfsPrinter::new(0, IDS, "hotplug", DEVICE_ID);
    printer.gadget().unplug_and_wait();
    printer
}

/// The next event about a device of this name; others, such as the emulated machine's own, are passed over.
async fn next(watch: &mut Watch, name: &str) -> Event {
    within("a hot-plug event", async {
        loop {
            let event = watch.next().await;
            if event.found().name.contains(name) {
                return event;
            }
        }
    })
    .await
}

async fn arrival(watch: &mut Watch, name: &str) -> discovery::Found {
    match next(watch, name).await {
        Event::Arrived(found) => found,
        other => panic!("expected an arrival: {other:?}"),
    }
}

/// A watch that has had its first look: what is plugged in from now on is announced.
async fn settled_watch() -> Watch {
    let mut watch = discovery::watch();
    let quiet = tokio::time::timeout(Duration::from_secs(2), watch.next()).await;
    assert!(quiet.is_err(), "what is there already is not announced: {quiet:?}");
    watch
}

/// How long after its plugging in a printer was known to the kernel, announced to us, and printing.
#[derive(Debug, Clone, Copy)]
struct Times {
    known: Duration,
    announced: Duration,
    ready: Duration,
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_millis();
        write!(f, "known to the kernel after {} ms, announced after {} ms", ms(self.known), ms(self.announced))?;
        write!(f, ", first bytes taken after {} ms", ms(self.ready))
    }
}

/// Plugs in a printer, prints and pulls it.
async fn plug_print_pull(watch: &mut Watch, printer: &FfsPrinter, serial: &str) -> Times {
    let gadget = printer.gadget();
    gadget.set_serial(serial);
    let interface = format!("/sys/bus/usb/devices/{}:1.0/bInterfaceClass", gadget.place());
    let start = Instant::now();
    gadget.plug();
    let known = std::thread::spawn(move || {
        tresen_lab::until_exists(interface);
        start.elapsed()
    });
    let found = arrival(watch, "hotplug").await;
    let announced = start.elapsed();
    let address = found.address_for("escpos");
    assert_eq!(address.to_string(), format!("escpos+usb://04b8:0202/{serial}"));
    let link = link::open(&address).await.unwrap_or_else(|e| panic!("{e}"));
    within("sending", link.send(b"\x1b@")).await.expect("taken");
    let ready = start.elapsed();
    // Before it goes: whoever waits for it would wait for ever.
    let known = known.join().expect("no panic");
    gadget.unplug();
    assert_eq!(within("the end", link.recv(&mut Vec::new())).await.expect_err("pulled").kind(), Kind::Closed);
    let Event::Left(left) = next(watch, "hotplug").await else { panic!("it left") };
    assert_eq!(left.identities, found.identities);
    Times { known, announced, ready }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kernel_without_udevd_announces_devices() {
    let printer = printer();
    let mut watch = settled_watch().await;
    assert_eq!(watch.source(), &Source::Kernel);
    // Once for the kernel's modules and our program's pages to be there.
    plug_print_pull(&mut watch, &printer, "A").await;
    let mut times = Vec::new();
    for serial in ["A", "A", "B", "C", "A"] {
        times.push(plug_print_pull(&mut watch, &printer, serial).await);
    }
    times.sort_by_key(|t| t.ready);
    let median = times[times.len() / 2];
    measured(&format!("hot-plug: {median} (median of 5, emulated CPU)"));
    assert!(median.ready.saturating_sub(median.known) < READY_WITHIN, "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serial_ports_and_hid_devices_are_announced_too() {
    for module in ["usbhid", "hid-generic", "evdev", "cdc_acm"] {
        modprobe(module);
    }
    let gadget = Gadget::new("hotplug", 1, (0x0c2e, 0x0b6a), "H").acm();
    let gadget = gadget.hid("pos", POS_SCANNER, 61).hid("keys", KEYBOARD, 8);
    let mut watch = settled_watch().await;
    for round in 0..5 {
        gadget.plug();
        let mut came = Vec::new();
        for _ in 0..3 {
            came.push(arrival(&mut watch, "hotplug").await);
        }
        came.sort_by_key(|f| f.about.clone());
        let abouts: Vec<&str> = came.iter().map(|f| f.about.as_str()).collect();
        let typing = "HID scanner in keyboard mode";
        assert_eq!(abouts, ["HID scanner", typing, "serial port of 0c2e:0b6a"], "round {round}");
        let scanner = came[0].address_for("scanner");
        let typing = came[1].address_for("scanner");
        assert_eq!(typing.to_string(), "scanner+evdev://0c2e:0b6a/H?interface=3");
        assert_eq!(scanner.to_string(), "scanner+hid://0c2e:0b6a/H?interface=2");
        let port: Address = came[2].address_for("scanner");
        let mut opened = Vec::new();
        for address in [&scanner, &typing, &port] {
            opened.push(link::open(address).await.unwrap_or_else(|e| panic!("{e}")));
        }
        gadget.unplug();
        for link in opened {
            let start = Instant::now();
            let error = within("the end", link.recv(&mut Vec::new())).await.expect_err("pulled");
            assert_eq!(error.kind(), Kind::Closed, "{error}");
            assert!(start.elapsed() < Duration::from_secs(1));
        }
        for _ in 0..3 {
            assert!(matches!(next(&mut watch, "hotplug").await, Event::Left(_)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replugs_leave_nothing_behind() {
    let printer = printer();
    let gadget = printer.gadget();
    let mut watch = settled_watch().await;
    let mut before = None;
    for round in 0..REPLUGS {
        gadget.plug();
        let found = arrival(&mut watch, "hotplug").await;
        let backend = if round % 2 == 0 { "nusb" } else { "libusb" };
        let address = found.address_for("escpos").with("backend", backend);
        let link = link::open(&address).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        within("sending", link.send(b"\x1b@")).await.expect("taken");
        gadget.unplug();
        let end = within("the end", link.recv(&mut Vec::new())).await.expect_err("pulled");
        assert_eq!(end.kind(), Kind::Closed);
        link.close().await;
        drop(link);
        assert!(matches!(next(&mut watch, "hotplug").await, Event::Left(_)));
        if round == 19 {
            before = Some((descriptors(), threads()));
        }
    }
    let (files, tasks) = before.expect("counted");
    let now = (descriptors(), threads());
    measured(&format!(
        "hot-plug: {REPLUGS} replugs; descriptors {files} after 20, {} at the end; threads {tasks}, {}",
        now.0, now.1
    ));
    // The runtime's pool for blocking calls grows and shrinks by itself; a leak would be one per replug.
    let pool = tasks + 4;
    assert!(now.0 <= files && now.1 <= pool, "{files} descriptors and {tasks} threads became {now:?}");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "no task is left");
}

/// Last, by its name: udevd stays and would load drivers under the other tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_udevd_devices_are_announced_when_they_are_ready() {
    run("/lib/systemd/systemd-udevd --daemon");
    tresen_lab::until_exists("/run/udev/control");
    run("udevadm control --log-level=err; udevadm settle");
    let printer = printer();
    let acm = Gadget::new("hotplug-port", 1, (0x1d6b, 0x0104), "P").acm();
    let mut watch = settled_watch().await;
    assert_eq!(watch.source(), &Source::Udev);
    plug_print_pull(&mut watch, &printer, "U").await;
    let times = plug_print_pull(&mut watch, &printer, "U").await;
    measured(&format!("hot-plug with udevd: {times} (emulated CPU)"));
    acm.plug();
    let by_id = within("the port with its lasting name", async {
        loop {
            let event = watch.next().await;
            let address = event.found().address_for("scanner").to_string();
            if address.contains("/dev/serial/by-id/") {
                return address;
            }
        }
    })
    .await;
    assert!(by_id.contains("hotplug-port_P"), "{by_id}");
    let link = link::open(&by_id.parse().expect("address")).await.expect("opens by its lasting name");
    drop(link);
    run("kill $(pidof systemd-udevd); rm -f /run/udev/control");
}
