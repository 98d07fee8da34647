//! Lists HID devices from /sys/class/hidraw, without opening any of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::link::choose::Candidate;
use crate::link::interface::Interface;

/// A device of /sys/class/hidraw. A scanner often has several, such as a keyboard and a HID POS scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// `/dev/hidraw0`
    pub(crate) path: PathBuf,
    pub(crate) device: Candidate,
    /// Number of its USB interface; `None` over Bluetooth.
    pub(crate) interface: Option<u8>,
    /// Whether its device has no other interface.
    pub(crate) alone: bool,
    /// Report descriptor, as the device sent it.
    pub(crate) descriptor: Vec<u8>,
    /// Page and usage of its top-level collections.
    pub(crate) usages: Vec<(u16, u16)>,
}

/// All nodes, ordered by number. `root` is `/`, except in tests.
pub(crate) fn list(root: &Path) -> Vec<Node> {
    let mut nodes: Vec<(u32, Node)> = Vec::new();
    for entry in fs::read_dir(root.join("sys/class/hidraw")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("hidraw").and_then(|n| n.parse().ok());
        if let (Some(number), Some(node)) = (number, read(root, &entry.path(), &name)) {
            nodes.push((number, node));
        }
    }
    nodes.sort_by_key(|(number, _)| *number);
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn read(root: &Path, class: &Path, name: &str) -> Option<Node> {
    let about = fs::read_to_string(class.join("device/uevent")).ok()?;
    let field = |key: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(str::trim).filter(|value| !value.is_empty())
    };
    // HID_ID=0003:00000C2E:00000B6A, bus, vendor and product.
    let mut ids = field("HID_ID")?.split(':').map(|part| u32::from_str_radix(part, 16).ok());
    let (_bus, vendor, product) = (ids.next()??, ids.next()??, ids.next()??);
    let descriptor = fs::read(class.join("device/report_descriptor")).unwrap_or_default();
    // …/1-1.4/1-1.4:1.0/0003:0C2E:0B6A.0001
    let place = fs::canonicalize(class.join("device")).ok();
    let interface = place.as_deref().and_then(Path::parent).and_then(Interface::at);
    let (number, alone) = (interface.as_ref().map(|i| i.number), interface.as_ref().is_none_or(|i| i.alone));
    let port = interface.map(|i| i.port);
    Some(Node {
        path: root.join("dev").join(name),
        device: Candidate {
            vendor: u16::try_from(vendor).ok()?,
            product: u16::try_from(product).ok()?,
            serial: field("HID_UNIQ").map(str::to_owned),
            port: port.or(field("HID_PHYS").map(str::to_owned)).unwrap_or_default(),
            name: field("HID_NAME").unwrap_or_default().to_owned(),
        },
        interface: number,
        alone,
        usages: usages(&descriptor),
        descriptor,
    })
}

/// Page and usage of every top-level collection: HID 1.11, section 6.2.2. Unknown items are ignored.
fn usages(descriptor: &[u8]) -> Vec<(u16, u16)> {
    let (mut page, mut usage, mut depth, mut found) = (0, 0, 0_usize, Vec::new());
    let mut rest = descriptor;
    while let [prefix, after @ ..] = rest {
        if *prefix == 0xfe {
            // A long item, section 6.2.2.3: length, tag, data.
            rest = after.first().and_then(|n| after.get(2 + usize::from(*n)..)).unwrap_or_default();
            continue;
        }
        let length = [0, 1, 2, 4][usize::from(prefix & 3)];
        let Some((data, next)) = after.split_at_checked(length) else { break };
        rest = next;
        let value = data.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        match prefix & 0xfc {
            0x04 => page = value as u16,
            0x08 if length == 4 => (page, usage) = ((value >> 16) as u16, value as u16),
            0x08 => usage = value as u16,
            0xa0 => {
                if depth == 0 && value == 1 {
                    found.push((page, usage));
                }
                depth += 1;
            }
            0xc0 => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    // HID Point of Sale Usage Tables 1.02: page 0x8C, usage 0x02 is a bar code scanner.
    const SCANNER: [u8; 9] = [0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x85, 0x02, 0xc0];

    #[test]
    fn reads_top_level_usages() {
        assert_eq!(usages(&SCANNER), [(0x8c, 2)]);
        let keyboard_and_vendor = [
            0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x09, 0x02, 0xa1, 0x00, 0xc0,
            0xc0, // keyboard with an inner collection
            0x0b, 0x01, 0x00, 0x00, 0xff, 0xa1, 0x01, 0xc0, // page and usage in one item
        ];
        assert_eq!(usages(&keyboard_and_vendor), [(1, 6), (0xff00, 1)]);
        for end in 0..keyboard_and_vendor.len() {
            assert!(usages(&keyboard_and_vendor[..end]).len() <= 2, "cut off at {end}");
        }
        assert_eq!(usages(&[0xfe, 0xff, 0x00, 0x01]), []);
        assert_eq!(usages(&[0xfe]), []);
    }

    #[cfg(unix)]
    #[test]
    fn reads_sysfs() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| root.path().join(path);
        let device = "sys/devices/pci/usb1/1-1/1-1.4/1-1.4:1.1/0003:0C2E:0B6A.0001";
        fs::create_dir_all(at(device)).expect("made");
        let about = "DRIVER=hid-generic\nHID_ID=0003:00000C2E:00000B6A\nHID_NAME=Honeywell 1900\nHID_PHYS=usb-1.4/input1\nHID_UNIQ=S123\n";
        fs::write(at(device).join("uevent"), about).expect("written");
        fs::write(at(device).join("report_descriptor"), SCANNER).expect("written");
        fs::write(at("sys/devices/pci/usb1/1-1/1-1.4/1-1.4:1.1/bInterfaceNumber"), "01\n").expect("written");
        fs::write(at("sys/devices/pci/usb1/1-1/1-1.4/bNumInterfaces"), " 2\n").expect("written");
        for name in ["hidraw0", "unrelated"] {
            fs::create_dir_all(at("sys/class/hidraw").join(name)).expect("made");
            std::os::unix::fs::symlink(at(device), at("sys/class/hidraw").join(name).join("device")).expect("linked");
        }
        let nodes = list(root.path());
        let [node] = &nodes[..] else { panic!("{nodes:?}") };
        assert_eq!((&node.path, node.alone), (&at("dev/hidraw0"), false));
        assert_eq!((node.device.vendor, node.device.product, node.interface), (0x0c2e, 0x0b6a, Some(1)));
        assert_eq!((node.device.serial.as_deref(), &*node.device.port), (Some("S123"), "1-1.4"));
        assert_eq!((&*node.device.name, &*node.usages), ("Honeywell 1900", &[(0x8c, 2)][..]));
        assert_eq!(list(&at("nowhere")), []);
    }

    proptest::proptest! {
        #[test]
        fn no_descriptor_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            usages(&bytes);
        }
    }
}
