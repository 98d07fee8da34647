//! Finds the USB interface behind an HID or input node, in /sys.

use std::fs;
use std::path::Path;

/// An interface of a USB device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) number: u8,
    /// Whether its device has no other interface.
    pub(crate) alone: bool,
    /// Bus and ports of its device: `1-1.4`.
    pub(crate) port: String,
}

impl Interface {
    /// The interface of this folder in /sys, `…/1-1.4/1-1.4:1.0`; `None` if it is not one.
    pub(crate) fn at(folder: &Path) -> Option<Self> {
        let number = fs::read_to_string(folder.join("bInterfaceNumber")).ok()?;
        let device = folder.parent()?;
        let interfaces = fs::read_to_string(device.join("bNumInterfaces")).ok();
        Some(Self {
            number: u8::from_str_radix(number.trim(), 16).ok()?,
            alone: interfaces.is_none_or(|number| number.trim() == "1"),
            port: device.file_name()?.to_string_lossy().into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_number_and_port() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("1-1.4/1-1.4:1.2");
        fs::create_dir_all(&folder).expect("made");
        assert_eq!(Interface::at(&folder), None);
        fs::write(folder.join("bInterfaceNumber"), "0a\n").expect("written");
        let alone = Interface { number: 10, alone: true, port: "1-1.4".into() };
        assert_eq!(Interface::at(&folder), Some(alone.clone()));
        fs::write(root.path().join("1-1.4/bNumInterfaces"), " 2\n").expect("written");
        assert_eq!(Interface::at(&folder), Some(Interface { alone: false, ..alone }));
    }
}
