//! Lists input devices from /sys/class/input, without opening any of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::link::choose::Candidate;
use crate::link::interface::Interface;

/// An event node of /sys/class/input. One USB device often has several, such as letters and media keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// `/dev/input/event0`
    pub(crate) path: PathBuf,
    pub(crate) device: Candidate,
    /// Number of its USB interface; `None` over Bluetooth.
    pub(crate) interface: Option<u8>,
    /// Whether it can type codes: it has digits, letters and Enter.
    pub(crate) keyboard: bool,
    /// The parent device, usually an HID device: `…/0003:0C2E:0B6A.0001`.
    pub(crate) parent: Option<PathBuf>,
}

/// All nodes, ordered by number. `root` is `/`, except in tests.
pub(crate) fn list(root: &Path) -> Vec<Node> {
    let mut nodes: Vec<(u32, Node)> = Vec::new();
    for entry in fs::read_dir(root.join("sys/class/input")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("event").and_then(|n| n.parse().ok());
        if let (Some(number), Some(node)) = (number, read(root, &entry.path(), &name)) {
            nodes.push((number, node));
        }
    }
    nodes.sort_by_key(|(number, _)| *number);
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn read(root: &Path, class: &Path, name: &str) -> Option<Node> {
    let text = |file: &str| {
        let text = fs::read_to_string(class.join("device").join(file)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let id = |file: &str| u16::from_str_radix(&text(file)?, 16).ok();
    let parent = fs::canonicalize(class.join("device/device")).ok();
    // …/1-1.4:1.0/0003:0C2E:0B6A.0001, or without HID in between where the driver is usbkbd.
    let interface = parent.iter().flat_map(|dir| dir.ancestors().take(2)).find_map(Interface::at);
    let number = interface.as_ref().map(|i| i.number);
    Some(Node {
        path: root.join("dev/input").join(name),
        device: Candidate {
            vendor: id("id/vendor")?,
            product: id("id/product")?,
            serial: text("uniq"),
            port: interface.map(|i| i.port).or(text("phys")).unwrap_or_default(),
            name: text("name").unwrap_or_default(),
        },
        interface: number,
        keyboard: is_keyboard(&text("capabilities/key").unwrap_or_default()),
        parent,
    })
}

/// linux/input-event-codes.h: KEY_1 to KEY_0, KEY_ENTER, and KEY_Q to KEY_P, KEY_A to KEY_L, KEY_Z to KEY_M.
const TYPES: [std::ops::RangeInclusive<usize>; 5] = [2..=11, 28..=28, 16..=25, 30..=38, 44..=50];

/// `capabilities/key` is a bit for every key, in words of this machine's width, the highest word first and without
/// leading zeros: `input_print_bitmap` in drivers/input/input.c.
fn is_keyboard(keys: &str) -> bool {
    const WIDTH: usize = libc::c_ulong::BITS as usize;
    let words: Vec<libc::c_ulong> =
        keys.split_whitespace().rev().map(|word| libc::c_ulong::from_str_radix(word, 16).unwrap_or(0)).collect();
    let has = |key: usize| words.get(key / WIDTH).is_some_and(|word| word >> (key % WIDTH) & 1 == 1);
    TYPES.into_iter().flatten().all(has)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `capabilities/key` as the kernel shows it for a keyboard, its media keys, and a power button.
    #[cfg(target_pointer_width = "64")]
    pub(crate) const KEYBOARD: &str = "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n";
    #[cfg(target_pointer_width = "64")]
    const MEDIA: &str =
        "3f000303ff 0 0 483ffff17aff32d bfd4444600000000 1 130ff38b17d000 677bfad9415fed 19ed68000004400 10000002";
    #[cfg(target_pointer_width = "64")]
    const POWER: &str = "10000000000000 0";

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_keyboard_has_digits_letters_and_enter() {
        assert!(is_keyboard(KEYBOARD));
        for other in [MEDIA, POWER, "", "0", "not hex"] {
            assert!(!is_keyboard(other), "{other}");
        }
        // Keys 1 to 63, and the same without KEY_ENTER (28) and without KEY_0 (11).
        assert!(is_keyboard("fffffffffffffffe"));
        assert!(!is_keyboard("ffffffffeffffffe") && !is_keyboard("fffffffffffff7fe"));
    }

    /// Writes an input device into a made-up /sys, below the device `parent`, and links its event node.
    pub(crate) fn input(
        root: &Path,
        parent: &str,
        event: &str,
        (vendor, product, uniq): (&str, &str, &str),
        keys: &str,
    ) {
        let dir = root.join(parent).join("input").join(event.replace("event", "input")).join(event);
        fs::create_dir_all(&dir).expect("made");
        let input = dir.parent().expect("in the input device");
        for (file, value) in [
            ("id/vendor", vendor),
            ("id/product", product),
            ("uniq", uniq),
            ("name", "Honeywell 1900"),
            ("phys", "00:1a:7d:da:71:13"),
            ("capabilities/key", keys),
        ] {
            fs::create_dir_all(input.join(file).parent().expect("in a folder")).expect("made");
            fs::write(input.join(file), format!("{value}\n")).expect("written");
        }
        fs::create_dir_all(root.join("sys/class/input")).expect("made");
        let link = |from: PathBuf, to: PathBuf| std::os::unix::fs::symlink(to, from).expect("linked");
        link(input.join("device"), root.join(parent));
        link(dir.join("device"), input.to_owned());
        link(root.join("sys/class/input").join(event), dir.clone());
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn reads_sysfs() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let usb = "sys/devices/usb1/1-1/1-1.4/1-1.4:1.1";
        let ids = ("0c2e", "0b6a", "S123");
        let hid = format!("{usb}/0003:0C2E:0B6A.0001");
        input(root.path(), &hid, "event10", ids, KEYBOARD);
        input(root.path(), &format!("{usb}/0003:0C2E:0B6A.0002"), "event9", ids, MEDIA);
        fs::write(root.path().join(usb).join("bInterfaceNumber"), "01\n").expect("written");
        // A scanner paired over Bluetooth stands below the adapter, which is a USB device of its own.
        let adapter = "sys/devices/usb1/1-5/1-5:1.0";
        input(root.path(), &format!("{adapter}/bluetooth/hci0/hci0:256/0005:0C2E:0B6A.0003"), "event11", ids, KEYBOARD);
        fs::write(root.path().join(adapter).join("bInterfaceNumber"), "00\n").expect("written");
        fs::create_dir_all(root.path().join("sys/class/input/mouse0")).expect("made");

        let nodes = list(root.path());
        let [media, keyboard, bluetooth] = &nodes[..] else { panic!("{nodes:?}") };
        assert_eq!(keyboard.path, root.path().join("dev/input/event10"));
        assert_eq!((keyboard.device.vendor, keyboard.device.product, keyboard.interface), (0x0c2e, 0x0b6a, Some(1)));
        assert_eq!((keyboard.device.serial.as_deref(), &*keyboard.device.port), (Some("S123"), "1-1.4"));
        assert_eq!((&*keyboard.device.name, keyboard.keyboard), ("Honeywell 1900", true));
        assert_eq!(keyboard.parent, fs::canonicalize(root.path().join(hid)).ok());
        assert!(!media.keyboard && media.device.is(&keyboard.device));
        assert_eq!((&*bluetooth.device.port, bluetooth.interface), ("00:1a:7d:da:71:13", None));
        assert_eq!(list(&root.path().join("nowhere")), []);
    }
}
