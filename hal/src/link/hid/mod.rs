//! HID devices: scanners, scales, card readers, through the system's hidraw.
//!
//! One chunk is one report. A report begins with its number where the device has numbered reports; to
//! the device, reports always begin with a number, 0 where there is none.
//!
//! Options in an address, for a device that has several HID interfaces: `usage` (usage page in hex, `8c`
//! for scanners, `8d` for scales, `8e` for card readers), `interface` (its number), `port` (`1-1.4`, for two
//! devices that are alike), `feature` (feature reports to send on opening, in hex, number first, separated by
//! commas: `fe01`, which some devices want before they speak). Without them a point-of-sale page goes before any
//! other, and any other before keyboard and mouse.
//!
//! **Permissions.** A udev rule for the hidraw node, which the error spells out. Several programs may
//! read the same device; each gets every report.
//!
//! Linux only; elsewhere opening says so. A scanner in keyboard mode still types into the focused
//! window while it is read here; the link [`evdev`](crate::link::evdev) has it for itself.

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

/// What an address may say beyond vendor, product and serial number.
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

/// What the system knows of an HID device without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The report descriptor, as the device sent it: HID 1.11, section 6.2.2.
    pub descriptor: Vec<u8>,
    /// Usage page and usage of the top-level collections: `(0x8c, 2)` is a scanner.
    pub usages: Vec<(u16, u16)>,
    /// What the device calls itself; may be empty.
    pub name: String,
}

impl Settings {
    /// Reads the options of an HID address.
    ///
    /// # Errors
    /// [`crate::Kind::Address`] names the option, its value and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let usage = address.option("usage").map(|text| {
            u16::from_str_radix(text, 16).map_err(|_| address.refuse("usage", "write a usage page in hex, such as 8c"))
        });
        let feature = address.option("feature").map(|text| {
            let reports = text.split(',').map(unhex).collect::<Option<Vec<_>>>();
            reports.ok_or_else(|| address.refuse("feature", "write pairs of hex digits, such as fe01"))
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
