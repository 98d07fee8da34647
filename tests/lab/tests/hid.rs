//! HID: a scanner of the point-of-sale page and a keyboard, the kernel's HID gadget under its hidraw.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tresen_hal::address::UsbId;
use tresen_hal::discovery::{self, Access};
use tresen_hal::link::hid::{self, Settings};
use tresen_hal::{Address, Kind, Link, link};
use tresen_lab::uhid::{self, Answer, Asked, Identity, Uhid};
use tresen_lab::{Gadget, KEYBOARD, POS_SCANNER, modprobe, run, until, within};

const IDS: (u16, u16) = (0x0c2e, 0x0b6a);
const ID: UsbId = UsbId { vendor: IDS.0, product: IDS.1, serial: None };

fn drivers() {
    for module in ["usbhid", "hid-generic"] {
        modprobe(module);
    }
}

/// Plugs a device in and waits for so many hidraw nodes.
fn plugged(gadget: Gadget, nodes: usize) -> Gadget {
    gadget.plug_and_wait();
    let here = || std::fs::read_dir("/sys/class/hidraw").into_iter().flatten().count();
    until("the hidraw nodes", || here() == nodes);
    gadget
}

/// Report 2 of [`POS_SCANNER`]: length, AIM symbology identifier, data.
fn scan(data: &str) -> Vec<u8> {
    let mut report = vec![2, data.len() as u8];
    report.extend(b"]E0");
    report.extend(data.as_bytes());
    report.resize(61, 0);
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_and_a_keyboard_in_one_device_are_told_apart() {
    drivers();
    let gadget = Gadget::new("scanner", 0, IDS, "H1").hid("keys", KEYBOARD, 8).hid("pos", POS_SCANNER, 61);
    let gadget = plugged(gadget, 2);
    // The point-of-sale page goes first.
    let scanner = hid::open(&ID, &Settings::default()).await.expect("opens");
    assert_eq!((scanner.usages(), scanner.descriptor()), (&[(0x8c, 2)][..], POS_SCANNER));
    assert_eq!(scanner.name(), "tresen scanner");
    let keyboard = hid::open(&ID, &Settings { usage: Some(1), ..Settings::default() }).await.expect("opens");
    assert_eq!((keyboard.usages(), keyboard.descriptor()), (&[(1, 6)][..], KEYBOARD));

    let mut pos = File::create(gadget.hid_node("pos")).expect("our end");
    let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
    let writer = tokio::task::spawn_blocking(move || {
        for data in ["4006381333931", "96385074", "5901234123457"] {
            pos.write_all(&scan(data)).expect("taken");
        }
        // Shift and `a`, then nothing pressed: HID 1.11, appendix B.1.
        keys.write_all(&[2, 0, 4, 0, 0, 0, 0, 0]).expect("taken");
        keys.write_all(&[0; 8]).expect("taken");
    });
    for data in ["4006381333931", "96385074", "5901234123457"] {
        let mut report = Vec::new();
        assert_eq!(within("a report", scanner.recv(&mut report)).await.expect("read"), 61, "one report per chunk");
        assert_eq!(report, scan(data));
    }
    for expected in [[2, 0, 4, 0, 0, 0, 0, 0], [0; 8]] {
        let mut report = Vec::new();
        within("a report", keyboard.recv(&mut report)).await.expect("read");
        assert_eq!(report, expected);
    }
    writer.await.expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_go_to_the_device_and_features_are_asked_for() {
    drivers();
    let gadget = plugged(Gadget::new("keyboard", 0, IDS, "H2").hid("keys", KEYBOARD, 8), 1);
    let link = hid::open(&ID, &Settings::default()).await.expect("opens");
    let mut ours = File::open(gadget.hid_node("keys")).expect("our end");
    let reader = tokio::task::spawn_blocking(move || {
        let mut report = [0; 8];
        let length = std::io::Read::read(&mut ours, &mut report).expect("a report");
        report[..length].to_vec()
    });
    // The keyboard's lights; unnumbered, hence the 0, which the device does not get.
    within("sending", link.send(&[0, 0b101])).await.expect("taken");
    assert_eq!(within("the report", reader).await.expect("read"), [0b101]);
    // f_hid answers GET_REPORT with zeros, whatever is asked for.
    let answer = within("the feature report", link.feature(0)).await.expect("answered");
    assert!(!answer.is_empty() && answer.iter().all(|byte| *byte == 0), "{answer:?}");
    drop(gadget);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_recv_loses_nothing_and_a_pulled_scanner_ends_the_link() {
    drivers();
    let gadget = plugged(Gadget::new("pull", 0, IDS, "H3").hid("pos", POS_SCANNER, 61), 1);
    let address: Address = "scanner+hid://0c2e:0b6a/H3".parse().expect("address");
    let link = link::open(&address).await.expect("opens");
    let mut pos = File::create(gadget.hid_node("pos")).expect("our end");
    let writer = tokio::task::spawn_blocking(move || {
        for i in 0..20 {
            pos.write_all(&scan(&format!("{i:013}"))).expect("taken");
        }
    });
    let mut heard = Vec::new();
    let all = async {
        while heard.len() < 20 * 61 {
            if let Ok(chunk) = tokio::time::timeout(Duration::from_millis(1), link.recv(&mut heard)).await {
                assert_eq!(chunk.expect("read"), 61);
            }
        }
    };
    within("the scans", all).await;
    let expected: Vec<u8> = (0..20).flat_map(|i| scan(&format!("{i:013}"))).collect();
    assert_eq!(heard, expected);
    writer.await.expect("written");

    let waiting = tokio::spawn(async move { (link.recv(&mut Vec::new()).await, Instant::now()) });
    let pulled = Instant::now();
    gadget.unplug();
    let (end, at) = within("the end", waiting).await.expect("no panic");
    assert_eq!(end.expect_err("pulled").kind(), Kind::Closed);
    assert!(at.saturating_duration_since(pulled) < Duration::from_secs(1));
    let gone = link::open(&address).await.expect_err("pulled");
    assert_eq!(gone.kind(), Kind::NotFound, "{gone}");
}

/// A scanner (page 0x8C, usage 2) whose only reports are feature reports 0xFE and 0x10, four bytes each.
const SETTINGS: &[u8] = &[
    0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x06, 0x00, 0xff, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x04, 0x85,
    0xfe, 0x09, 0x01, 0xb1, 0x02, 0x85, 0x10, 0x09, 0x02, 0xb1, 0x02, 0xc0,
];

/// f_hid answers with zeros; this device has something to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feature_reports_reach_the_device_and_its_answers_come_back() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let settings = Identity { bus: uhid::USB, ids: IDS, name: "Settings", phys: "uhid/input0", uniq: "F1" };
    let device = Uhid::new(settings, SETTINGS, move |question| {
        heard.lock().expect("unpoisoned").push(question.clone());
        match question {
            Asked::Get(0xfe) => Answer::Report(vec![0xfe, b'1', b'.', b'0', b'7']),
            Asked::Set(report) if report[0] == 0xfe => Answer::Report(vec![]),
            Asked::Get(0x10) if heard.lock().expect("unpoisoned").len() > 5 => Answer::Silence,
            _ => Answer::Error,
        }
    });
    let here = || std::fs::read_dir("/sys/class/hidraw").into_iter().flatten().count();
    until("the hidraw node", || here() == 1);

    // The option sends its reports in turn, before anything else.
    let address: Address = "scanner+hid://0c2e:0b6a/F1?feature=fe01020304,fe05060708".parse().expect("address");
    let Settings { feature, .. } = Settings::from_address(&address).expect("settings");
    let id = UsbId { serial: Some("F1".into()), ..ID };
    let link = within("opening", hid::open(&id, &Settings { feature, ..Settings::default() })).await.expect("opens");
    let answer = within("the feature report", link.feature(0xfe)).await.expect("answered");
    assert_eq!(answer, [0xfe, b'1', b'.', b'0', b'7']);
    let refused = within("the refusal", link.feature(0x10)).await.expect_err("an error answer");
    assert_eq!((refused.kind(), refused.what()), (Kind::Unsupported, "the device refuses the report"));
    let refused = within("the refusal", link.set_feature(&[0x10, 1, 2, 3, 4])).await.expect_err("an error answer");
    assert_eq!((refused.kind(), refused.what()), (Kind::Unsupported, "the device refuses the report"));
    let expected = [
        Asked::Set(vec![0xfe, 1, 2, 3, 4]),
        Asked::Set(vec![0xfe, 5, 6, 7, 8]),
        Asked::Get(0xfe),
        Asked::Get(0x10),
        Asked::Set(vec![0x10, 1, 2, 3, 4]),
    ];
    assert_eq!(*asked.lock().expect("unpoisoned"), expected);

    // A refused report on opening says which one it was.
    let address: Address = "scanner+hid://0c2e:0b6a/F1?feature=1001020304".parse().expect("address");
    let error = within("opening", link::open(&address)).await.expect_err("refused");
    assert!(error.to_string().contains("feature report 1001020304: the device refuses the report"), "{error}");

    // No answer at all: the kernel waits 5 s.
    let start = Instant::now();
    let silence = within("giving up", link.feature(0x10)).await.expect_err("no answer");
    assert_eq!(silence.kind(), Kind::Timeout, "{silence}");
    assert!((5..8).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(silence.to_string().contains("did not answer within 5 s") && silence.next_step().is_some(), "{silence}");

    // Taken away: not refused, but gone.
    drop(device);
    until("the hidraw node to go", || here() == 0);
    assert_eq!(within("the end", link.feature(0xfe)).await.expect_err("gone").kind(), Kind::Closed);
    assert_eq!(within("the end", link.recv(&mut Vec::new())).await.expect_err("gone").kind(), Kind::Closed);
}

/// Runs itself again as the user `nobody`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission_the_error_is_the_udev_rule() {
    const NAME: &str = "without_permission_the_error_is_the_udev_rule";
    if tresen_lab::is_nobody() {
        let error = hid::open(&ID, &Settings::default()).await.expect_err("nobody may not");
        assert_eq!(error.kind(), Kind::Permission, "{error}");
        let rule = r#"SUBSYSTEM=="hidraw", ATTRS{idVendor}=="0c2e", ATTRS{idProduct}=="0b6a", GROUP="plugdev", MODE="0660", TAG+="uaccess""#;
        assert!(error.to_string().contains(rule), "{error}");
        let listing = discovery::list().await;
        let found = listing.found.iter().find(|f| f.about == "HID scanner").expect("listed all the same");
        assert!(matches!(&found.access, Access::Denied { next_step } if next_step.contains(rule)), "{found}");
        return;
    }
    drivers();
    let _gadget = plugged(Gadget::new("denied", 0, IDS, "H4").hid("pos", POS_SCANNER, 61), 1);
    run("chmod 0600 /dev/hidraw*");
    tresen_lab::again_as_nobody(NAME);
}
