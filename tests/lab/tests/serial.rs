//! Serial ports: a CDC ACM device, and an FTDI adapter that a wire joins to a 16550 port (both QEMU's).
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio_serial::SerialPortBuilderExt;
use tresen_hal::discovery;
use tresen_hal::link::serial::{self, Settings};
use tresen_hal::sim::{self, Action, Shared};
use tresen_hal::{Address, Kind, Link, link};
use tresen_lab::{Gadget, Paper, Race, measured, modprobe, until, until_exists, within};

const IDS: (u16, u16) = (0x0c2e, 0x0b6a);
const OURS: &str = "/dev/ttyGS0";
const HOST: &str = "/dev/ttyACM0";

fn adapter(name: &str) -> Gadget {
    modprobe("cdc_acm");
    let gadget = Gadget::new(name, 0, IDS, name).acm();
    gadget.plug_and_wait();
    until_exists(HOST);
    until_exists(OURS);
    gadget
}

/// Bytes that a terminal's line discipline would change: all of them have to be raw.
fn all_bytes(times: usize) -> Vec<u8> {
    (0..times).flat_map(|_| 0..=255_u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulator_behind_the_adapter_is_reached_at_its_address() {
    let _gadget = adapter("acm");
    let paper = Shared::new(Paper::default());
    let served = paper.clone();
    let ours = serial::open(OURS, &Settings::default()).expect("our end");
    let server = tokio::spawn(async move { sim::link(&ours, &served).await });

    let listing = discovery::list().await;
    let found = listing.found.iter().find(|f| f.name == "tresen acm").expect("listed");
    assert_eq!(found.about, "serial port of 0c2e:0b6a");
    let link = link::open(&found.address_for("escpos").with("baud", "115200")).await.expect("opens");
    let job = all_bytes(64);
    within("sending", link.send(&job)).await.expect("sent");
    within("sending", link.send(&[0x10, 0x04, 0x01])).await.expect("sent");
    let mut heard = Vec::new();
    within("the answer", link.recv(&mut heard)).await.expect("answered");
    assert_eq!(heard, [0x12]);
    assert_eq!(paper.with(|p| p.printed.clone()), [&job[..], &[0x10, 0x04, 0x01]].concat());
    paper.with(|p| p.actions.push(Action::Send(all_bytes(4))));
    heard.clear();
    let all = async {
        while heard.len() < 1024 {
            link.recv(&mut heard).await.expect("alive");
        }
    };
    within("every byte there is", all).await;
    assert_eq!(heard, all_bytes(4));
    let error = link::open(&found.address_for("escpos")).await.expect_err("held");
    assert!(matches!(error.kind(), Kind::Busy | Kind::NotFound), "{error}");
    within("closing", link.close()).await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulled_adapter_ends_both_directions_and_comes_back() {
    let gadget = adapter("pull");
    for round in 0..3 {
        let link = std::sync::Arc::new(serial::open(HOST, &Settings::default()).expect("opens"));
        // Nobody reads our end, so the job stands still once the buffers are full.
        let job = {
            let link = link.clone();
            tokio::spawn(async move { (link.send(&all_bytes(4096)).await, Instant::now()) })
        };
        let listener = {
            let link = link.clone();
            tokio::spawn(async move { (link.recv(&mut Vec::new()).await, Instant::now()) })
        };
        let stuck = tokio::time::timeout(Duration::from_millis(300), async {
            while !job.is_finished() {
                tokio::task::yield_now().await;
            }
        });
        assert!(stuck.await.is_err(), "1 MiB does not fit into the buffers");
        let pulled = Instant::now();
        gadget.unplug();
        let (sent, sent_at) = within("the job", job).await.expect("no panic");
        let (heard, heard_at) = within("the listener", listener).await.expect("no panic");
        assert_eq!(heard.expect_err("pulled").kind(), Kind::Closed);
        assert_eq!(sent.expect_err("pulled").kind(), Kind::Closed);
        let took = sent_at.max(heard_at).saturating_duration_since(pulled);
        assert!(took < Duration::from_secs(1), "{took:?}");
        if round == 0 {
            measured(&format!("serial CDC ACM: job in flight at unplug ended after {} ms", took.as_millis()));
        }
        drop(link);
        gadget.unplug_and_wait();
        gadget.plug_and_wait();
        until_exists(HOST);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_as_fast_as_a_bare_loop() {
    const JOB: usize = 4 << 20;
    let _gadget = adapter("fast");
    let paper = Shared::new(Paper::default());
    let served = paper.clone();
    let ours = serial::open(OURS, &Settings::default()).expect("our end");
    let server = tokio::spawn(async move { sim::link(&ours, &served).await });
    let job = vec![0x55_u8; JOB];
    let arrived = || until("the job", || paper.with(|p| p.printed.len() >= JOB));
    let mut race = Race::new();
    for _ in 0..Race::LAPS {
        paper.with(|p| p.printed = Vec::with_capacity(JOB));
        let link = serial::open(HOST, &Settings::default()).expect("opens");
        let start = Instant::now();
        within("sending", link.send(&job)).await.expect("sent");
        arrived();
        race.link(start.elapsed());
        link.close().await;
        drop(link);

        paper.with(|p| p.printed = Vec::with_capacity(JOB));
        let mut port = tokio_serial::new(HOST, 9600).open_native_async().expect("opens");
        let start = Instant::now();
        AsyncWriteExt::write_all(&mut port, &job).await.expect("sent");
        arrived();
        race.bare(start.elapsed());
    }
    race.finish("serial CDC ACM", JOB);
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ftdi_adapter_talks_to_a_16550() {
    for module in ["xhci_pci", "ftdi_sio"] {
        modprobe(module);
    }
    until_exists("/dev/ttyUSB0");
    let listing = discovery::list().await;
    let found = listing.found.iter().find(|f| f.about == "serial port of 0403:6001").expect("listed");
    let adapter = link::open(&found.address_for("scanner").with("baud", "115200")).await.expect("opens");
    let settings = Settings { baud: 115_200, ..Settings::default() };
    let port = serial::open("/dev/ttyS1", &settings).expect("opens");
    adapter.send(b"4006381333931\r").await.expect("sent");
    let mut heard = Vec::new();
    let all = async {
        while heard.len() < 14 {
            port.recv(&mut heard).await.expect("alive");
        }
    };
    within("the scan", all).await;
    assert_eq!(heard, b"4006381333931\r");
    within("the answer", port.send(&[0x06])).await.expect("sent");
    heard.clear();
    within("the answer", adapter.recv(&mut heard)).await.expect("alive");
    assert_eq!(heard, [0x06]);
    within("closing", adapter.close()).await;
    within("closing", port.close()).await;
}

/// What the options of an address make of a 16550, as stty and the driver itself tell it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_setting_reaches_the_port() {
    let stty = || {
        let told = std::process::Command::new("stty").args(["-a", "-F", "/dev/ttyS1"]).output().expect("stty");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8_lossy(&told.stdout).replace(';', " ")
    };
    // `1: uart:16550A port:000002F8 irq:3 tx:0 rx:0 RTS|DTR`
    let outputs = || {
        let all = std::fs::read_to_string("/proc/tty/driver/serial").expect("the driver of 16550s");
        let line = all.lines().find(|line| line.starts_with("1:")).expect("the second port").to_owned();
        let lines = line.rsplit(' ').next().unwrap_or_default().to_owned();
        (lines.contains("RTS"), lines.contains("DTR"))
    };
    let cases = [
        ("", "speed 9600 cs8 -parenb -cstopb -crtscts -ixon -ixoff"),
        ("?baud=38400&data=7&parity=even&stop=2", "speed 38400 cs7 parenb -parodd cstopb"),
        ("?baud=115200&parity=odd", "speed 115200 cs8 parenb parodd -cstopb"),
        ("?data=5&flow=software", "speed 9600 cs5 -crtscts ixon ixoff"),
        ("?data=6&flow=hardware", "speed 9600 cs6 crtscts -ixon -ixoff"),
    ];
    for (query, expected) in cases {
        let address: Address = format!("escpos+serial:///dev/ttyS1{query}").parse().expect("address");
        let link = link::open(&address).await.unwrap_or_else(|e| panic!("{e}"));
        let told = stty();
        let words: Vec<&str> = told.split_whitespace().collect();
        for word in expected.split(' ') {
            assert!(words.contains(&word), "{query}: no {word} in {told}");
        }
        // Raw: nothing of what a terminal does to bytes.
        for word in ["-icanon", "-opost", "-echo", "-isig", "-icrnl", "-inlcr", "-istrip"] {
            assert!(words.contains(&word), "{query}: no {word} in {told}");
        }
        within("closing", link.close()).await;
    }
    for (query, expected) in
        [("dtr=on&rts=on", (true, true)), ("dtr=off&rts=on", (true, false)), ("dtr=on&rts=off", (false, true))]
    {
        let address: Address = format!("escpos+serial:///dev/ttyS1?{query}").parse().expect("address");
        let link = link::open(&address).await.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(outputs(), expected, "RTS and DTR after {query}");
        within("closing", link.close()).await;
    }
    let port = serial::open("/dev/ttyS1", &Settings::default()).expect("opens");
    for (rts, dtr) in [(false, false), (true, false), (false, true), (true, true)] {
        port.set_rts(rts).expect("set");
        port.set_dtr(dtr).expect("set");
        assert_eq!(outputs(), (rts, dtr));
    }
}

/// The gadget raises Data Set Ready and Data Carrier Detect while somebody has its end open: CDC PSTN 1.2,
/// section 6.5.4, SERIAL_STATE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peers_lines_are_read() {
    let _gadget = adapter("lines");
    let port = serial::open(HOST, &Settings::default()).expect("opens");
    let ready = |expected: bool| {
        until("the lines to change", || {
            let lines = port.lines().expect("has lines");
            (lines.dsr, lines.dcd) == (expected, expected)
        });
    };
    for _ in 0..2 {
        let ours = serial::open(OURS, &Settings::default()).expect("our end");
        ready(true);
        drop(ours);
        ready(false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_takes_nothing_is_left_at_once() {
    let _gadget = adapter("stuck");
    let address: Address = format!("escpos+serial://{HOST}").parse().expect("address");
    let link = link::open(&address).await.expect("opens");
    let job = all_bytes(4096);
    let sent = tokio::time::timeout(Duration::from_millis(500), link.send(&job)).await;
    assert!(sent.is_err(), "1 MiB does not fit into the buffers");
    let start = Instant::now();
    drop(link);
    assert!(start.elapsed() < Duration::from_secs(1), "dropped without waiting: {:?}", start.elapsed());
    // The kernel closes it meanwhile, up to 30 s; an opener is told instead of hanging.
    let start = Instant::now();
    match link::open(&address).await {
        Ok(link) => drop(link),
        Err(error) => assert!(matches!(error.kind(), Kind::Busy | Kind::NotFound), "{error}"),
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}
