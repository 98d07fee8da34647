//! HID devices: scanners, scales, card readers, through the system's hidraw.
//!
//! One chunk is one report. A report from the device begins with its number if the device has numbered reports; one to
//! the device always begins with a number, 0 if it has none.
//!
//! Options in an address, for a device that has several HID interfaces: `usage` (usage page in hex, `8c` for scanners,
//! `8d` for scales, `8e` for card readers), `interface` (its number), `port` (`1-1.4`, for identical devices),
//! `feature` (feature reports to send on opening, in hex, number first, separated by commas: `fe01`, which some devices
//! need before they send anything). By default a point-of-sale page is preferred to any other, and any other to
//! keyboard and mouse.
//!
//! **Permissions.** A udev rule for the hidraw node, which the error spells out. Several programs may
//! read the same device; each gets every report.
//!
//! Linux only; elsewhere opening fails. A scanner in keyboard mode still types into the focused window while it is read
//! here; the link [`evdev`](crate::link::evdev) reads it exclusively.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) mod node;
#[cfg(not(target_os = "linux"))]
mod other;

use crate::link::hex::unhex;
use crate::{Address, Result};

#[cfg(target_os = "linux")]
pub use linux::{Hid, describe, open};
#[cfg(not(target_os = "linux"))]
pub use other::{Hid, describe, open};

/// The options that [`Settings::from_address`] reads.
pub const OPTIONS: [&str; 4] = super::options::HID;

/// The options of an HID address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Usage page of the top-level collection.
    pub usage: Option<u16>,
    /// Number of the USB interface.
    pub interface: Option<u8>,
    /// Bus and ports: `1-1.4`.
    pub port: Option<String>,
    /// Feature reports to send on opening, each beginning with its number.
    pub feature: Vec<Vec<u8>>,
}

/// What the system knows about an HID device without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The report descriptor, as the device sent it: HID 1.11, section 6.2.2.
    pub descriptor: Vec<u8>,
    /// Usage page and usage of the top-level collections: `(0x8c, 2)` is a scanner.
    pub usages: Vec<(u16, u16)>,
    /// Its own name; may be empty.
    pub name: String,
}

impl Settings {
    /// Reads the options of an HID address.
    ///
    /// # Errors
    /// [`crate::Kind::Address`] names the option, its value and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let usage = address.option("usage").map(|text| {
            u16::from_str_radix(text, 16)
                .map_err(|_| address.refuse("usage", "expected a usage page in hex, such as 8c"))
        });
        let feature = address.option("feature").map(|text| {
            let reports = text.split(',').map(unhex).collect::<Option<Vec<_>>>();
            reports.ok_or_else(|| address.refuse("feature", "expected pairs of hex digits, such as fe01"))
        });
        Ok(Self {
            usage: usage.transpose()?,
            feature: feature.transpose()?.unwrap_or_default(),
            interface: address.option_as("interface")?,
            port: address.option("port").map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_options() {
        let address: Address =
            "scanner+hid://05e0:1900?usage=8c&interface=1&port=1-2&feature=fe01,0a".parse().expect("address");
        let feature = vec![vec![0xfe, 1], vec![0x0a]];
        let expected = Settings { usage: Some(0x8c), interface: Some(1), port: Some("1-2".into()), feature };
        assert_eq!(Settings::from_address(&address).expect("settings"), expected);
        for query in ["usage=pos", "interface=256", "feature=1", "feature=fe01,", "feature=no"] {
            let address: Address = format!("scanner+hid://05e0:1900?{query}").parse().expect("address");
            assert!(Settings::from_address(&address).expect_err(query).to_string().contains(query));
        }
    }
}
