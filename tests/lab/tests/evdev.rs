//! Scanners in keyboard mode: keyboards of the kernel's HID gadget, and of uhid, under its evdev.
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tresen_hal::discovery::{self, Access};
use tresen_hal::link::{self, evdev, hid};
use tresen_hal::{Address, Kind, Link};
use tresen_lab::uhid::{self, Answer, Identity, Uhid};
use tresen_lab::{Gadget, KEYBOARD, POS_SCANNER, descriptors, measured, modprobe, run, until, within};

const IDS: (u16, u16) = (0x05e0, 0x1200);
/// Media keys: HID Usage Tables 1.4, page 0x0C, usage 1 (consumer control), one 16-bit usage.
const MEDIA: &[u8] = &[
    0x05, 0x0c, 0x09, 0x01, 0xa1, 0x01, 0x15, 0x00, 0x26, 0xff, 0x03, 0x19, 0x00, 0x2a, 0xff, 0x03, 0x75, 0x10, 0x95,
    0x01, 0x81, 0x00, 0xc0,
];
/// Keys as HID Usage Tables 1.4, page 7, and linux/input-event-codes.h number them.
const ENTER: (u8, u16) = (0x28, 28);
const KEYS: [(char, u8, u16); 12] = [
    ('1', 0x1e, 2),
    ('2', 0x1f, 3),
    ('3', 0x20, 4),
    ('4', 0x21, 5),
    ('5', 0x22, 6),
    ('6', 0x23, 7),
    ('7', 0x24, 8),
    ('8', 0x25, 9),
    ('9', 0x26, 10),
    ('0', 0x27, 11),
    ('a', 0x04, 30),
    ('q', 0x14, 16),
];

fn drivers() {
    // i8042 and atkbd are the machine's own keyboard, which must not be taken for a scanner.
    for module in ["usbhid", "hid-generic", "evdev", "i8042", "atkbd"] {
        modprobe(module);
    }
}

/// Plugs a keyboard in and waits for its event nodes.
fn plugged(gadget: Gadget, nodes: usize) -> Gadget {
    gadget.plug_and_wait();
    until("the event nodes", || events(&gadget.place()).len() == nodes);
    gadget
}

/// Event nodes of the USB device at this port.
fn events(port: &str) -> Vec<PathBuf> {
    let of_port = |class: &Path| {
        std::fs::canonicalize(class).is_ok_and(|p| p.display().to_string().contains(&format!("/{port}/")))
    };
    let all = std::fs::read_dir("/sys/class/input").into_iter().flatten().flatten().map(|entry| entry.path());
    let events = all.filter(|class| class.display().to_string().contains("/event") && of_port(class));
    events.map(|class| Path::new("/dev/input").join(class.file_name().expect("a name"))).collect()
}

fn keyboard(name: &str, port: usize, serial: &str) -> Gadget {
    Gadget::new(name, port, IDS, serial).hid("keys", KEYBOARD, 8)
}

fn address(text: &str) -> Address {
    text.parse().expect("address")
}

async fn opened(text: &str) -> Box<dyn Link> {
    within("opening", link::open(&address(text))).await.unwrap_or_else(|e| panic!("{e}"))
}

/// A keyboard's report with one key down: HID 1.11, appendix B.1.
fn report(key: u8) -> [u8; 8] {
    [0, 0, key, 0, 0, 0, 0, 0]
}

fn key(c: char) -> (u8, u16) {
    KEYS.iter().find(|(name, ..)| *name == c).map(|(_, usage, code)| (*usage, *code)).expect("a key of ours")
}

/// Types a code with Enter, each key pressed and let go.
fn type_in(node: &mut File, code: &str) {
    for (usage, _) in code.chars().map(key).chain([ENTER]) {
        node.write_all(&report(usage)).expect("taken");
        node.write_all(&[0; 8]).expect("taken");
    }
}

fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &code.to_le_bytes(), &value.to_le_bytes()].concat()
}

/// The chunk of one key that goes down or up: EV_MSC (4) MSC_SCAN (4) with page and usage, EV_KEY (1), SYN_REPORT.
fn chunk((usage, code): (u8, u16), value: i32) -> Vec<u8> {
    [event(4, 4, 0x0007_0000 | i32::from(usage)), event(1, code, value), event(0, 0, 0)].concat()
}

fn chunks(code: &str) -> Vec<Vec<u8>> {
    code.chars().map(key).chain([ENTER]).flat_map(|key| [chunk(key, 1), chunk(key, 0)]).collect()
}

/// Chunks until Enter is let go.
async fn heard(link: &dyn Link) -> Vec<Vec<u8>> {
    let end = event(1, ENTER.1, 0);
    let mut all: Vec<Vec<u8>> = Vec::new();
    while !all.last().is_some_and(|chunk| chunk.chunks(8).any(|event| event == end)) {
        let mut chunk = Vec::new();
        within("a key", link.recv(&mut chunk)).await.unwrap_or_else(|e| panic!("{e}"));
        all.push(chunk);
    }
    all
}

/// Another program that reads the same node.
fn bystander(node: &Path) -> File {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(node).expect("root may")
}

/// How many events a bystander has got; 24 bytes each on a 64-bit machine.
fn got(mut bystander: &File) -> usize {
    let (mut events, mut buffer) = (0, [0; 64 * 24]);
    while let Ok(length) = bystander.read(&mut buffer) {
        events += length / 24;
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_heard_here_and_nowhere_else() {
    drivers();
    let gadget = plugged(keyboard("wedge", 0, "E1"), 1);
    let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
    let other = bystander(&events(&gadget.place())[0]);
    let raw = within("hidraw", hid::open(&id("E1"), &hid::Settings::default())).await.expect("opens");

    let link = opened("scanner+evdev://05e0:1200/E1").await;
    type_in(&mut keys, "4006381333931");
    assert_eq!(heard(&link).await, chunks("4006381333931"));
    assert_eq!(got(&other), 0, "the grab keeps the code from the focused window");
    let mut report = Vec::new();
    within("the raw report", raw.recv(&mut report)).await.expect("the grab does not reach hidraw");
    assert_eq!(report, [0, 0, key('4').0, 0, 0, 0, 0, 0]);

    let busy = link::open(&address("scanner+evdev://05e0:1200/E1")).await.expect_err("taken");
    assert_eq!(busy.kind(), Kind::Busy, "{busy}");
    assert!(busy.to_string().contains("fuser -v /dev/input/event"), "{busy}");
    let refused = link.send(&[1]).await.expect_err("no way to send");
    assert_eq!(refused.kind(), Kind::Unsupported);

    let link = Arc::new(link);
    let waiting = tokio::spawn({
        let link = link.clone();
        async move { link.recv(&mut Vec::new()).await }
    });
    tokio::task::yield_now().await;
    link.close().await;
    let end = within("the end", waiting).await.expect("no panic").expect_err("closed");
    assert!(end.kind() == Kind::Closed && end.what() == "the link was closed", "{end}");
    assert_eq!(within("the end", link.recv(&mut Vec::new())).await.expect_err("closed").kind(), Kind::Closed);
    type_in(&mut keys, "12");
    until("the others to hear", || got(&other) > 0);

    // Dropping gives it back as well; and without the grab all hear.
    drop(opened("scanner+evdev://05e0:1200/E1").await);
    let link = opened("scanner+evdev://05e0:1200/E1?grab=false").await;
    got(&other);
    type_in(&mut keys, "789");
    assert_eq!(heard(&link).await, chunks("789"));
    assert_eq!(got(&other), 4 * 2 * 3, "four keys down and up, three events each");
}

fn id(serial: &str) -> tresen_hal::address::UsbId {
    tresen_hal::address::UsbId { vendor: IDS.0, product: IDS.1, serial: Some(serial.into()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_down_is_let_go_before_the_grab() {
    drivers();
    let gadget = plugged(keyboard("held", 0, "E2"), 1);
    let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
    let other = bystander(&events(&gadget.place())[0]);
    keys.write_all(&report(key('a').0)).expect("taken");
    until("the key to go down", || got(&other) > 0);
    let opening = tokio::spawn(opened("scanner+evdev://05e0:1200/E2"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!opening.is_finished(), "a key is down");
    keys.write_all(&[0; 8]).expect("taken");
    let link = within("opening", opening).await.expect("no panic");
    assert!(got(&other) >= 3, "the desktop has heard the release");
    type_in(&mut keys, "1");
    assert_eq!(heard(&link).await, chunks("1"), "what was typed before is not ours");
    drop(link);
    // Something lies on the keyboard: it is taken after a second.
    keys.write_all(&report(key('a').0)).expect("taken");
    until("the key to go down", || got(&other) > 0);
    let start = Instant::now();
    let link = opened("scanner+evdev://05e0:1200/E2").await;
    assert!((1..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    keys.write_all(&[0; 8]).expect("taken");
    type_in(&mut keys, "2");
    assert_eq!(heard(&link).await.last(), chunks("2").last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_with_the_letters_is_taken() {
    drivers();
    let names = || std::fs::read_to_string("/proc/bus/input/devices").unwrap_or_default();
    until("the machine's own keyboard", || names().contains("AT Translated"));
    // Of a maker that sells keyboards.
    let plain = plugged(Gadget::new("office", 2, (0x046d, 0xc31c), "K").hid("keys", KEYBOARD, 8), 1);
    let gadget = Gadget::new("combined", 0, IDS, "E3").hid("media", MEDIA, 2);
    let gadget = plugged(gadget.hid("pos", POS_SCANNER, 61).hid("keys", KEYBOARD, 8), 2);
    let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
    let link = opened("scanner+evdev://05e0:1200").await;
    type_in(&mut keys, "963");
    assert_eq!(heard(&link).await, chunks("963"));
    let found = discovery::list().await.found;
    let listed: Vec<String> = found.iter().filter(|f| f.name.contains("combined")).map(|f| f.to_string()).collect();
    assert!(
        listed.iter().any(|f| f.starts_with("?+evdev://05e0:1200/E3?interface=2  HID scanner in keyboard mode")),
        "{listed:?}"
    );
    assert!(listed.iter().any(|f| f.starts_with("?+hid://05e0:1200/E3?interface=1  HID scanner")), "{listed:?}");
    let office = found.iter().find(|f| f.name.contains("office")).expect("listed").to_string();
    assert_eq!(office, "?+evdev://046d:c31c/K  HID keyboard or scanner in keyboard mode tresen office");
    drop((link, plain));
    // The media keys' interface types no codes.
    let error = link::open(&address("scanner+evdev://05e0:1200?interface=0")).await.expect_err("no letters");
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert!(error.to_string().contains("no keyboard, only /dev/input/event"), "{error}");
    // One without any input node.
    let pos = Gadget::new("pos", 1, (0x0c2e, 0x0b6a), "E4").hid("pos", POS_SCANNER, 61);
    pos.plug_and_wait();
    until("the hidraw node", || std::fs::read_dir("/sys/class/hidraw").is_ok_and(|all| all.count() == 4));
    let error = link::open(&address("scanner+evdev://0c2e:0b6a")).await.expect_err("not in keyboard mode");
    assert!(error.to_string().contains("not in keyboard mode: use the link `hid`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulled_scanner_ends_the_link_and_comes_back_by_its_serial_number() {
    drivers();
    let gadget = plugged(keyboard("pull", 0, "E5"), 1);
    let here = address("scanner+evdev://05e0:1200/E5");
    let (mut before, rounds) = (0, [["E5"; 9].as_slice(), &["E6"]].concat());
    for (round, serial) in rounds.iter().enumerate() {
        let link = link::open(&here).await.unwrap_or_else(|e| panic!("{e}"));
        let waiting = tokio::spawn(async move { (link.recv(&mut Vec::new()).await, Instant::now()) });
        let pulled = Instant::now();
        gadget.unplug();
        let (end, at) = within("the end", waiting).await.expect("no panic");
        let end = end.expect_err("pulled");
        assert_eq!(end.kind(), Kind::Closed, "{end}");
        assert!(end.to_string().contains("unplugged"), "{end}");
        assert!(at.saturating_duration_since(pulled) < Duration::from_secs(1));
        let gone = link::open(&here).await.expect_err("pulled");
        assert_eq!(gone.kind(), Kind::NotFound, "{gone}");
        gadget.unplug_and_wait();
        gadget.set_serial(serial);
        gadget.plug_and_wait();
        until("the event node", || events(&gadget.place()).len() == 1);
        if round == 2 {
            before = descriptors();
        }
    }
    assert_eq!(descriptors(), before, "{} replugs leave no descriptor behind", rounds.len());
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "and no task");
    let error = link::open(&here).await.expect_err("another one");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("present instead: 05e0:1200/E6 at port"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_are_told_apart_by_their_ports() {
    drivers();
    let twins = [plugged(keyboard("left", 0, "SAME"), 1), plugged(keyboard("right", 1, "SAME"), 1)];
    let error = link::open(&address("scanner+evdev://05e0:1200/SAME")).await.expect_err("two");
    assert_eq!(error.kind(), Kind::Address, "{error}");
    assert!(error.to_string().contains("?port="), "{error}");
    for (gadget, code) in twins.iter().zip(["111", "222"]) {
        let link = opened(&format!("scanner+evdev://05e0:1200?port={}", gadget.place())).await;
        let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
        type_in(&mut keys, code);
        assert_eq!(heard(&link).await, chunks(code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast_typing_loses_nothing() {
    const CODES: u64 = 200;
    drivers();
    let gadget = plugged(keyboard("fast", 0, "E7"), 1);
    let link = opened("scanner+evdev://05e0:1200/E7").await;
    let node = gadget.hid_node("keys");
    let code = |i: u64| format!("{:020}", i.wrapping_mul(98_765_432_123_456_789));
    let start = Instant::now();
    let writer = std::thread::spawn(move || {
        let mut keys = File::create(node).expect("our end");
        for i in 0..CODES {
            // Rolling over from key to key, as fast scanners do; a key that comes twice is let go in between.
            let mut before = 0;
            for usage in code(i).chars().map(|c| key(c).0).chain([ENTER.0]) {
                if usage == before {
                    keys.write_all(&[0; 8]).expect("taken");
                }
                keys.write_all(&report(usage)).expect("taken");
                before = usage;
            }
            keys.write_all(&[0; 8]).expect("taken");
        }
        keys
    });
    for i in 0..CODES {
        let pressed: Vec<u16> = heard(&link)
            .await
            .concat()
            .chunks(8)
            .filter(|event| event[..2] == [1, 0] && event[4..] == [1, 0, 0, 0])
            .map(|event| u16::from_le_bytes([event[2], event[3]]))
            .collect();
        let expected: Vec<u16> = code(i).chars().map(|c| key(c).1).chain([ENTER.1]).collect();
        assert_eq!(pressed, expected, "code {i}");
    }
    let rate = CODES as f64 / start.elapsed().as_secs_f64();
    measured(&format!("evdev: {CODES} codes of 20 characters back to back, {rate:.1} a second, none lost"));

    // Nobody asks for a while: five codes wait.
    let mut keys = writer.join().expect("typed");
    for _ in 0..5 {
        type_in(&mut keys, "12345678901234567890");
    }
    for _ in 0..5 {
        assert_eq!(heard(&link).await, chunks("12345678901234567890"));
    }
}

/// This runtime has one thread, and the typing stands in its way.
#[tokio::test]
async fn a_runtime_that_stands_still_is_told_what_it_missed() {
    drivers();
    let gadget = plugged(keyboard("late", 0, "E0"), 1);
    let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
    let link = opened("scanner+evdev://05e0:1200/E0").await;
    for _ in 0..5 {
        type_in(&mut keys, "12345678901234567890");
    }
    let mut late = Vec::new();
    while let Ok(chunk) = tokio::time::timeout(Duration::from_secs(1), link.recv(&mut late)).await {
        chunk.expect("read");
    }
    let dropped = late.chunks(8).filter(|e| *e == event(0, 3, 0)).count();
    assert!(dropped >= 1 && late.ends_with(&event(0, 0, 0)), "{late:02x?}");
    let (kept, all) = (late.len() / 8, chunks("12345678901234567890").concat().len() / 8 * 5);
    assert!(kept < all);
    measured(&format!("evdev: of {all} events that nobody read, {kept} came through, SYN_DROPPED among them"));
    type_in(&mut keys, "1");
    assert_eq!(heard(&link).await, chunks("1"), "whole again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_here_at_once() {
    const KEYS: usize = 101;
    drivers();
    let gadget = plugged(keyboard("latency", 0, "E8"), 1);
    let mut keys = File::create(gadget.hid_node("keys")).expect("our end");
    // A bare blocking reader of the same node, for comparison.
    let mut bare = File::open(&events(&gadget.place())[0]).expect("root may");
    let mut barely = Vec::new();
    for value in (0..KEYS).flat_map(|_| [key('1').0, 0]) {
        let start = Instant::now();
        keys.write_all(&report(value)).expect("taken");
        let mut read = 0;
        while read < 3 * 24 {
            read += bare.read(&mut [0; 64 * 24]).expect("read");
        }
        barely.push(start.elapsed());
    }
    drop(bare);
    let link = opened("scanner+evdev://05e0:1200/E8").await;
    let mut ours = Vec::new();
    for value in (0..KEYS).flat_map(|_| [key('1').0, 0]) {
        let start = Instant::now();
        keys.write_all(&report(value)).expect("taken");
        within("a key", link.recv(&mut Vec::new())).await.expect("read");
        ours.push(start.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let (bare, ours) = (median(&mut barely), median(&mut ours));
    measured(&format!(
        "evdev: from the device's report to the chunk {ours:.2} ms, with a bare read(2) {bare:.2} ms (median of {}, emulated CPU)",
        2 * KEYS
    ));
    assert!(ours < bare + 5.0, "{ours} ms against {bare} ms");
}

/// Over Bluetooth a device has neither interface nor port of its own: its address tells it from its twin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bluetooth_keyboards_go_by_their_own_address() {
    drivers();
    let scanner = |uniq| {
        let identity = Identity { bus: uhid::BLUETOOTH, ids: IDS, name: "BT scanner", phys: "00:1a:7d:da:71:13", uniq };
        Uhid::new(identity, KEYBOARD, |_| Answer::Error)
    };
    let [first, second] = ["aa:bb:cc:00:00:01", "aa:bb:cc:00:00:02"].map(scanner);
    until("the event nodes", || {
        let devices = std::fs::read_to_string("/proc/bus/input/devices").unwrap_or_default();
        devices.matches("BT scanner").count() == 2
            && std::fs::read_dir("/sys/class/hidraw").is_ok_and(|all| all.count() == 2)
    });
    let error = link::open(&address("scanner+evdev://05e0:1200")).await.expect_err("two");
    assert!(error.to_string().contains("add the serial number"), "{error}");
    for (device, uniq) in [(&first, "aa:bb:cc:00:00:01"), (&second, "aa:bb:cc:00:00:02")] {
        let text = format!("scanner+evdev://05e0:1200/{uniq}");
        let found = discovery::list().await.found;
        let listed =
            found.iter().find(|f| f.address_for("scanner") == address(&text)).unwrap_or_else(|| panic!("{found:?}"));
        let identities: Vec<String> = listed.identities.iter().map(ToString::to_string).collect();
        assert_eq!(identities, [format!("usb:05e0:1200/{uniq}")], "the adapter's address is none of its own");
        let link = opened(&text).await;
        for usage in [key('7').0, 0, ENTER.0, 0] {
            device.input(&report(usage));
        }
        assert_eq!(heard(&link).await, chunks("7"));
        within("hidraw", hid::open(&id(uniq), &hid::Settings::default())).await.expect("opens by the same address");
    }
    let link = opened("scanner+evdev://05e0:1200/aa:bb:cc:00:00:01").await;
    drop(first);
    let end = within("the end", link.recv(&mut Vec::new())).await.expect_err("out of reach");
    assert_eq!(end.kind(), Kind::Closed, "{end}");
}

/// Runs itself again as the user `nobody`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission_the_error_is_the_udev_rule() {
    const NAME: &str = "without_permission_the_error_is_the_udev_rule";
    const RULE: &str = r#"SUBSYSTEM=="input", KERNEL=="event*", ATTRS{id/vendor}=="05e0", ATTRS{id/product}=="1200", GROUP="plugdev", MODE="0660", TAG+="uaccess""#;
    if tresen_lab::is_nobody() {
        let error = evdev::open(&id("E9"), &evdev::Settings::default()).await.expect_err("nobody may not");
        assert_eq!(error.kind(), Kind::Permission, "{error}");
        assert!(error.to_string().contains(RULE), "{error}");
        assert!(error.to_string().contains("every keyboard"), "{error}");
        let listing = discovery::list().await;
        let found =
            listing.found.iter().find(|f| f.about == "HID scanner in keyboard mode").expect("listed all the same");
        assert!(matches!(&found.access, Access::Denied { next_step } if next_step.contains(RULE)), "{found}");
        return;
    }
    drivers();
    let gadget = plugged(keyboard("denied", 0, "E9"), 1);
    run("chmod 0600 /dev/input/event*");
    tresen_lab::again_as_nobody(NAME);
    // The rule does what it says: udev itself applies it.
    let node = &events(&gadget.place())[0];
    std::fs::create_dir_all("/etc/udev/rules.d").expect("a folder");
    std::fs::write("/etc/udev/rules.d/60-tresen.rules", format!("{RULE}\n")).expect("written");
    let class = Path::new("/sys/class/input").join(node.file_name().expect("a name"));
    run(&format!(
        "udevadm test --action=add {} >/run/udevadm 2>&1 || {{ cat /run/udevadm >&2; false; }}",
        class.display()
    ));
    let told = std::fs::read_to_string("/run/udevadm").expect("its output");
    assert!(told.contains("60-tresen.rules") && told.contains(":uaccess:"), "{told}");
    run(&format!(
        "test \"$(stat -c %G:%a {})\" = plugdev:660 || {{ stat {} >&2; cat /run/udevadm >&2; false; }}",
        node.display(),
        node.display()
    ));
}
