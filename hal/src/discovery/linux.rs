//! Linux: reads /sys and the names in /dev, without opening any device.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, accessat};

use super::{Access, Buses, DeviceKind, Found, Identity, KEYBOARD, Listing, hid_class, makes_scanners, printer_kind};
use crate::address::{LinkKind, UsbId};
use crate::link::choose::Candidate;
use crate::link::{evdev, hid, permission};
use crate::{Error, Kind};

/// How much to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Without reading other programs' open files.
    Quick,
    /// Also which program holds a device.
    WithHolders,
}

pub(super) fn list(detail: Detail, buses: Buses) -> Listing {
    list_in(Path::new("/"), detail, buses)
}

fn list_in(root: &Path, detail: Detail, buses: Buses) -> Listing {
    let mut listing = Listing::default();
    if buses.has(Buses::USB) && !root.join("sys/bus/usb/devices").is_dir() {
        listing.problems.push(
            Error::new(Kind::NotFound, "this system has no USB bus")
                .hint("in a container, pass /sys and /dev/bus/usb into it; otherwise, is there a USB controller?"),
        );
    }
    let all: [(Buses, Look); 4] =
        [(Buses::USB, usb), (Buses::SERIAL, serial), (Buses::HID, hid), (Buses::CAMERAS, cameras)];
    for (_, look) in all.into_iter().filter(|(bus, _)| buses.has(*bus)) {
        listing.found.extend(look(root));
    }
    tell_twins_apart(&mut listing.found);
    if detail == Detail::WithHolders {
        name_holders(&mut listing.found, root);
    }
    listing
}

type Look = fn(&Path) -> Vec<Found>;

/// Printers, and devices that no kernel driver is bound to.
fn usb(root: &Path) -> Vec<Found> {
    let mut all = Vec::new();
    for dir in entries(&root.join("sys/bus/usb/devices")) {
        let name = file_name(&dir);
        // 1-1.4 is a device, usb1 a root hub, 1-1.4:1.0 an interface.
        if !name.starts_with(|c: char| c.is_ascii_digit()) || name.contains(':') {
            continue;
        }
        let Some(device) = candidate(&dir) else { continue };
        let interfaces: Vec<(u8, Option<String>)> = entries(&dir)
            .iter()
            .filter(|interface| file_name(interface).starts_with(&format!("{name}:")))
            .filter_map(|interface| Some((hex(&interface.join("bInterfaceClass"))? as u8, driver(interface))))
            .collect();
        let printer = interfaces.iter().find(|(class, _)| *class == 7);
        let ownerless = interfaces
            .iter()
            .find(|(class, driver)| *class == 0xff && driver.as_deref().is_none_or(|driver| driver == "usbfs"));
        let (about, (_, driver)) = match (printer, ownerless) {
            (Some(printer), _) => ("USB printer", printer),
            (None, Some(other)) => ("vendor-specific USB device", other),
            (None, None) => continue,
        };
        let id = UsbId { vendor: device.vendor, product: device.product, serial: device.serial.clone() };
        let mut found = Found::new(LinkKind::Usb(id), about);
        found.kind = printer.map(|_| printer_kind(device.vendor));
        found.name = device.name.clone();
        found.identified_by(&device);
        let (bus, number) = (decimal(&dir.join("busnum")), decimal(&dir.join("devnum")));
        let node = root.join(format!("dev/bus/usb/{bus:03}/{number:03}"));
        found.access = if driver.as_deref() == Some("usbfs") {
            Access::Held { by: None }
        } else if !node.exists() {
            Access::Denied { next_step: "there is no /dev/bus/usb; in a container, pass it in".to_owned() }
        } else {
            access(&node, || permission::step(&permission::usb_rule(device.vendor, device.product)))
        };
        found.aliases = vec![node.display().to_string()];
        found.instance = format!("usb {name} {number}");
        all.push(found);
    }
    all
}

/// Video devices. Of the nodes of one camera only the first, which is the one with the picture.
fn cameras(root: &Path) -> Vec<Found> {
    let mut all = Vec::new();
    for class in entries(&root.join("sys/class/video4linux")) {
        let name = file_name(&class);
        if !name.starts_with("video") || text(&class.join("index")).is_some_and(|index| index != "0") {
            continue;
        }
        let node = root.join("dev").join(&name);
        let mut found = Found::new(LinkKind::V4l2 { path: node.clone() }, "camera");
        found.kind = Some(DeviceKind::Camera);
        found.name = text(&class.join("name")).unwrap_or_default();
        let place = fs::canonicalize(class.join("device")).unwrap_or_default();
        let usb = place.ancestors().find(|dir| dir.join("idVendor").is_file());
        let number = usb.map_or(0, |usb| decimal(&usb.join("devnum")));
        if let Some(device) = usb.and_then(candidate) {
            found.identified_by(&device);
        }
        found.identities.push(Identity::Path(node.display().to_string()));
        found.access = access(&node, || {
            format!(
                "add the user to the group that owns {} (on Debian: `sudo usermod -aG video $USER`), then log in again",
                node.display()
            )
        });
        found.instance = format!("video {name} {number}");
        all.push(found);
    }
    all
}

/// Serial ports with hardware.
fn serial(root: &Path) -> Vec<Found> {
    let links = |folder: &str| -> Vec<(PathBuf, PathBuf)> {
        let folder = entries(&root.join(folder)).into_iter();
        folder.filter_map(|link| Some((fs::canonicalize(&link).ok()?, link))).collect()
    };
    let (by_id, by_path) = (links("dev/serial/by-id"), links("dev/serial/by-path"));
    let mut all = Vec::new();
    for class in entries(&root.join("sys/class/tty")) {
        let Ok(place) = fs::canonicalize(class.join("device")) else { continue };
        // Reserved 8250 ports without hardware have type 0, PORT_UNKNOWN.
        if text(&class.join("type")).as_deref() == Some("0") {
            continue;
        }
        let name = file_name(&class);
        let node = root.join("dev").join(&name);
        let real = fs::canonicalize(&node).unwrap_or_else(|_| node.clone());
        let named = |links: &[(PathBuf, PathBuf)]| {
            links.iter().find(|(to, _)| *to == real).map(|(_, link)| link.display().to_string())
        };
        let (id, path) = (named(&by_id), named(&by_path));
        let mut aliases: Vec<String> = id.iter().chain(&path).cloned().chain([node.display().to_string()]).collect();
        let mut found = Found::new(LinkKind::Serial { path: aliases.remove(0) }, "serial port");
        found.aliases = aliases;
        let mut number = 0;
        if let Some(usb) = place.ancestors().find(|dir| dir.join("idVendor").is_file()) {
            number = decimal(&usb.join("devnum"));
            if let Some(device) = candidate(usb) {
                found.about = format!("serial port of {:04x}:{:04x}", device.vendor, device.product);
                found.name = device.name.clone();
                found.identified_by(&device);
            }
        } else if name.starts_with("ttyUSB") || name.starts_with("ttyACM") {
            // An adapter being unplugged loses its device before its port.
            continue;
        }
        if let Some(id) = id {
            found.identities.insert(0, Identity::SerialById(id));
        }
        found.identities.push(Identity::Path(node.display().to_string()));
        found.access = access(&node, || {
            format!(
                "add the user to the group that owns {} (on Debian: `sudo usermod -aG dialout $USER`), then log in again",
                node.display()
            )
        });
        found.instance = format!("tty {name} {number}");
        all.push(found);
    }
    all
}

/// HID devices; for a keyboard its event node if it has one, because a till can grab that.
fn hid(root: &Path) -> Vec<Found> {
    let inputs = evdev::node::list(root);
    let mut all = Vec::new();
    for node in hid::node::list(root) {
        let mut device = node.device;
        if node.interface.is_none() {
            // Over Bluetooth that is the port of this computer's adapter.
            device.port.clear();
        }
        let (mut about, mut kind) = hid_class(&node.usages);
        let keyboard = about == KEYBOARD;
        if keyboard && makes_scanners(device.vendor) {
            (about, kind) = ("HID scanner in keyboard mode", Some(DeviceKind::Scanner));
        }
        let id = UsbId { vendor: device.vendor, product: device.product, serial: device.serial.clone() };
        let mut found = Found::new(LinkKind::Hid(id.clone()), about);
        found.kind = kind;
        found.name = device.name.clone();
        found.identified_by(&device);
        if let Some(interface) = node.interface.filter(|_| !node.alone) {
            found.options.push(("interface".to_owned(), interface.to_string()));
        }
        // The kernel gives HID devices a new number whenever they are plugged in: 0003:0C2E:0B6A.0001.
        let class = root.join("sys/class/hidraw").join(file_name(&node.path)).join("device");
        let place = fs::canonicalize(class).ok();
        let number = place.as_deref().map(file_name).unwrap_or_default();
        found.instance = format!("hid {} {number}", file_name(&node.path));
        found.aliases = vec![node.path.display().to_string()];
        let typing = |input: &&evdev::node::Node| input.keyboard && input.parent == place && input.path.exists();
        let input = inputs.iter().find(typing).filter(|_| keyboard);
        if let Some(input) = input {
            found.link = LinkKind::Evdev(id);
            found.aliases.insert(0, input.path.display().to_string());
            found.access = access(&input.path, || permission::input_step(device.vendor, device.product));
        } else if keyboard && place.is_none_or(|place| !place.join("driver").exists()) {
            // A keyboard being unplugged loses its driver and its event node first.
            continue;
        } else {
            found.access =
                access(&node.path, || permission::step(&permission::hid_rule(device.vendor, device.product)));
        }
        all.push(found);
    }
    all
}

/// Adds the port to the addresses of devices that are otherwise alike.
fn tell_twins_apart(all: &mut [Found]) {
    let mut same: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let key = |found: &Found| Address::of(found);
    for found in all.iter() {
        same.entry(key(found)).or_default().push(port(found).unwrap_or_default().to_owned());
    }
    for found in all.iter_mut() {
        let Some(ports) = same.get(&key(found)) else { continue };
        let mine = port(found).unwrap_or_default().to_owned();
        if ports.iter().any(|port| *port != mine) {
            found.options.push(("port".to_owned(), mine));
        }
    }
}

/// The key by which addresses without port name a device.
struct Address;

impl Address {
    fn of(found: &Found) -> String {
        match &found.link {
            LinkKind::Usb(id) => format!("usb {:04x}:{:04x} {:?}", id.vendor, id.product, id.serial),
            // One and the same device may be listed by both.
            LinkKind::Hid(id) | LinkKind::Evdev(id) => {
                format!("hid {:04x}:{:04x} {:?}", id.vendor, id.product, id.serial)
            }
            _ => found.instance.clone(),
        }
    }
}

fn port(found: &Found) -> Option<&str> {
    found.identities.iter().find_map(|identity| match identity {
        Identity::UsbPort { port, .. } => Some(port.as_str()),
        _ => None,
    })
}

/// Finds the programs that have a device's node open, as far as permissions allow. HID devices and keyboards are left
/// out: several programs may read the same one, and a desktop reads every keyboard.
fn name_holders(all: &mut [Found], root: &Path) {
    let shared = |found: &Found| matches!(found.link, LinkKind::Hid(_) | LinkKind::Evdev(_));
    let nodes: Vec<(usize, PathBuf)> = (0..all.len())
        .filter(|&i| !shared(&all[i]) && !matches!(all[i].access, Access::Denied { .. }))
        .filter_map(|i| match (all[i].aliases.last(), &all[i].link) {
            (Some(node), _) | (None, LinkKind::Serial { path: node }) => Some((i, PathBuf::from(node))),
            _ => None,
        })
        .collect();
    if nodes.is_empty() {
        return;
    }
    let own = std::process::id().to_string();
    for process in entries(&root.join("proc")) {
        let pid = file_name(&process);
        if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        for fd in entries(&process.join("fd")) {
            let Ok(target) = fs::read_link(&fd) else { continue };
            for (i, _) in nodes.iter().filter(|(_, node)| *node == target) {
                let name = text(&process.join("comm")).unwrap_or_default();
                all[*i].access = Access::Held { by: Some(format!("pid {pid} ({name})")) };
            }
        }
    }
}

fn candidate(dir: &Path) -> Option<Candidate> {
    let names: Vec<String> =
        [text(&dir.join("manufacturer")), text(&dir.join("product"))].into_iter().flatten().collect();
    Some(Candidate {
        vendor: u16::try_from(hex(&dir.join("idVendor"))?).ok()?,
        product: u16::try_from(hex(&dir.join("idProduct"))?).ok()?,
        serial: text(&dir.join("serial")),
        port: file_name(dir),
        name: names.join(" "),
    })
}

fn access(node: &Path, next_step: impl FnOnce() -> String) -> Access {
    let both = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    match accessat(CWD, node, both, AtFlags::EACCESS) {
        Ok(()) => Access::Free,
        Err(_) => Access::Denied { next_step: next_step() },
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort();
    all
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn driver(interface: &Path) -> Option<String> {
    fs::read_link(interface.join("driver")).ok().map(|to| file_name(&to))
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn hex(path: &Path) -> Option<u32> {
    u32::from_str_radix(&text(path)?, 16).ok()
}

fn decimal(path: &Path) -> u32 {
    text(path).and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A made-up /sys and /dev.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().expect("a temporary folder"));
            fs::create_dir_all(tree.at("sys/bus/usb/devices")).expect("made");
            tree
        }
        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }
        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.at(path).parent().expect("in a folder")).expect("made");
            fs::write(self.at(path), text).expect("written");
        }
        fn link(&self, from: &str, to: &str) {
            fs::create_dir_all(self.at(from).parent().expect("in a folder")).expect("made");
            symlink(self.at(to), self.at(from)).expect("linked");
        }
        /// A USB device with one interface; its node is made too.
        fn usb(&self, port: &str, number: u32, ids: (&str, &str), serial: &str, class: &str) -> String {
            let dir = format!("sys/devices/usb1/{port}");
            for (file, value) in [
                ("idVendor", ids.0),
                ("idProduct", ids.1),
                ("serial", serial),
                ("product", "Thing"),
                ("busnum", "1"),
                ("devnum", &number.to_string()),
                (&format!("{port}:1.0/bInterfaceClass"), class),
                (&format!("{port}:1.0/bInterfaceNumber"), "00"),
            ] {
                self.write(&format!("{dir}/{file}"), value);
            }
            self.link(&format!("sys/bus/usb/devices/{port}"), &dir);
            self.link(&format!("sys/bus/usb/devices/{port}:1.0"), &format!("{dir}/{port}:1.0"));
            self.write(&format!("dev/bus/usb/001/{number:03}"), "");
            format!("{dir}/{port}:1.0")
        }
        fn list(&self) -> Vec<Found> {
            list_in(self.0.path(), Detail::WithHolders, Buses::ALL).found
        }
    }

    #[test]
    fn finds_printers_and_leaves_the_rest() {
        use DeviceKind::{OtherPrinter, ReceiptPrinter};

        let tree = Tree::new();
        tree.usb("1-1", 4, ("04b8", "0202"), "S1", "07");
        tree.usb("1-2", 5, ("046d", "c31c"), "", "03");
        let ftdi = tree.usb("1-3", 6, ("0403", "6001"), "F1", "ff");
        tree.link(&format!("{ftdi}/driver"), "sys/bus/usb/drivers/ftdi_sio");
        let star = tree.usb("1-4", 7, ("0519", "0003"), "", "07");
        tree.link(&format!("{star}/driver"), "sys/bus/usb/drivers/usbfs");
        let found = tree.list();
        let kinds: Vec<_> = found.iter().map(|f| (f.address_for("x").to_string(), f.kind)).collect();
        let printers = [("x+usb://04b8:0202/S1", ReceiptPrinter), ("x+usb://0519:0003", OtherPrinter)];
        assert_eq!(kinds, printers.map(|(address, kind)| (address.to_owned(), Some(kind))));
        assert_eq!(
            found.iter().map(|f| f.access.clone()).collect::<Vec<_>>(),
            [Access::Free, Access::Held { by: None }]
        );
        assert_eq!(found[0].instance, "usb 1-1 4");
    }

    #[test]
    fn twins_are_told_apart_by_port() {
        let tree = Tree::new();
        tree.usb("1-1", 4, ("0416", "5011"), "", "07");
        tree.usb("1-2.3", 5, ("0416", "5011"), "", "07");
        let addresses: Vec<String> = tree.list().iter().map(|f| f.address_for("x").to_string()).collect();
        assert_eq!(addresses, ["x+usb://0416:5011?port=1-1", "x+usb://0416:5011?port=1-2.3"]);
    }

    #[test]
    fn serial_ports_go_by_their_lasting_name() {
        let tree = Tree::new();
        let interface = tree.usb("1-3", 6, ("0403", "6001"), "F1", "ff");
        tree.link(&format!("{interface}/driver"), "sys/bus/usb/drivers/ftdi_sio");
        tree.write(&format!("{interface}/ttyUSB0/port_number"), "0");
        tree.link("sys/class/tty/ttyUSB0/device", &format!("{interface}/ttyUSB0"));
        tree.write("sys/devices/platform/serial8250/uevent", "");
        for (port, kind) in [("ttyS0", "4"), ("ttyS1", "0")] {
            tree.write(&format!("sys/class/tty/{port}/type"), kind);
            tree.link(&format!("sys/class/tty/{port}/device"), "sys/devices/platform/serial8250");
        }
        tree.write("sys/class/tty/console/active", "tty0");
        tree.write("dev/ttyUSB0", "");
        tree.link("dev/serial/by-id/usb-FTDI_F1-if00-port0", "dev/ttyUSB0");
        let found = tree.list();
        let [fixed, usb] = &found[..] else { panic!("{found:?}") };
        assert_eq!(fixed.link, LinkKind::Serial { path: tree.at("dev/ttyS0").display().to_string() });
        let by_id = tree.at("dev/serial/by-id/usb-FTDI_F1-if00-port0").display().to_string();
        assert_eq!(usb.link, LinkKind::Serial { path: by_id.clone() });
        assert_eq!(usb.identities[0], Identity::SerialById(by_id));
        assert_eq!(usb.identities[1].to_string(), "usb:0403:6001/F1");
        assert_eq!(usb.aliases, [tree.at("dev/ttyUSB0").display().to_string()]);
        assert_eq!(usb.about, "serial port of 0403:6001");
    }

    #[test]
    fn a_camera_is_listed_once() {
        let tree = Tree::new();
        let interface = tree.usb("1-2", 9, ("046d", "0825"), "C1", "0e");
        for (node, index) in [("video0", "0"), ("video1", "1")] {
            tree.write(&format!("{interface}/video4linux/{node}/index"), index);
            tree.write(&format!("{interface}/video4linux/{node}/name"), "Webcam C270\n");
            tree.link(&format!("{interface}/video4linux/{node}/device"), &interface);
            tree.link(&format!("sys/class/video4linux/{node}"), &format!("{interface}/video4linux/{node}"));
            tree.write(&format!("dev/{node}"), "");
        }
        let found = tree.list();
        let [camera] = &found[..] else { panic!("{found:?}") };
        assert_eq!(camera.link, LinkKind::V4l2 { path: tree.at("dev/video0") });
        assert_eq!((camera.name.as_str(), camera.kind), ("Webcam C270", Some(DeviceKind::Camera)));
        assert_eq!(camera.identities[0].to_string(), "usb:046d:0825/C1");
    }

    /// A keyboard's interface, its driver bound, with hidraw node; returns the HID device's place.
    fn keyboard(tree: &Tree, port: &str, number: u32, serial: &str) -> String {
        let interface = tree.usb(port, 4, ("05e0", "1200"), serial, "03");
        let hid = format!("{interface}/0003:05E0:1200.000{number}");
        let about = format!("HID_ID=0003:000005E0:00001200\nHID_NAME=Symbol\nHID_UNIQ={serial}\n");
        tree.write(&format!("{hid}/uevent"), &about);
        // HID 1.11, appendix B.1: page 1, usage 6 is a keyboard.
        fs::write(tree.at(&hid).join("report_descriptor"), [5, 1, 9, 6, 0xa1, 1, 0xc0]).expect("written");
        tree.link(&format!("{hid}/driver"), "sys/bus/hid/drivers/hid-generic");
        fs::create_dir_all(tree.at("sys/bus/hid/drivers/hid-generic")).expect("made");
        tree.link(&format!("sys/class/hidraw/hidraw{number}/device"), &hid);
        tree.write(&format!("dev/hidraw{number}"), "");
        hid
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_keyboard_is_listed_by_its_event_node() {
        use crate::link::evdev::node::tests::{KEYBOARD as KEYS, input};

        let tree = Tree::new();
        let hid = keyboard(&tree, "1-1", 1, "S1");
        let listed = |tree: &Tree| tree.list().iter().map(Found::to_string).collect::<Vec<_>>();
        let named = "HID scanner in keyboard mode Symbol";
        assert_eq!(listed(&tree), [format!("?+hid://05e0:1200/S1  {named}")], "without evdev");
        input(tree.0.path(), &hid, "event5", ("05e0", "1200", "S1"), KEYS);
        input(tree.0.path(), &hid, "event6", ("05e0", "1200", "S1"), "10000000000000 0");
        assert_eq!(listed(&tree), [format!("?+hid://05e0:1200/S1  {named}")], "a container without /dev/input");
        tree.write("dev/input/event5", "");
        assert_eq!(listed(&tree), [format!("?+evdev://05e0:1200/S1  {named}")]);
        assert_eq!(tree.list()[0].aliases[0], tree.at("dev/input/event5").display().to_string());
        // A desktop has every keyboard open.
        tree.link("proc/7/fd/9", "dev/input/event5");
        assert_eq!(tree.list()[0].access, Access::Free);
        // Its twin, and a listing while the first is being unplugged.
        keyboard(&tree, "1-2", 2, "S1");
        let twins = listed(&tree);
        assert!(twins[0].contains("S1?port=1-1") && twins[1].contains("+hid://05e0:1200/S1?port=1-2"), "{twins:?}");
        fs::remove_file(tree.at(&hid).join("driver")).expect("unbound");
        fs::remove_file(tree.at("sys/class/input/event5")).expect("gone");
        assert_eq!(listed(&tree), [format!("?+hid://05e0:1200/S1  {named}")], "the other one");
    }

    #[test]
    fn names_who_holds_a_port() {
        let tree = Tree::new();
        tree.write("sys/devices/platform/serial8250/uevent", "");
        tree.write("sys/class/tty/ttyS0/type", "4");
        tree.link("sys/class/tty/ttyS0/device", "sys/devices/platform/serial8250");
        tree.write("dev/ttyS0", "");
        tree.write("proc/4242/comm", "minicom\n");
        tree.link("proc/4242/fd/3", "dev/ttyS0");
        assert_eq!(tree.list()[0].access, Access::Held { by: Some("pid 4242 (minicom)".into()) });
    }

    #[test]
    fn no_bus_is_a_problem_with_a_next_step() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let listing = list_in(empty.path(), Detail::Quick, Buses::ALL);
        assert!(listing.found.is_empty());
        assert!(listing.problems[0].next_step().is_some_and(|step| step.contains("/dev/bus/usb")));
    }
}
