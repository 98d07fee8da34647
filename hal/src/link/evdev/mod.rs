//! Scanners in keyboard mode, as input devices of Linux: <https://docs.kernel.org/input/input.html>.
//!
//! Such a scanner types its codes into the window with the focus. This link finds it by its identity, reads its keys,
//! and hides them from all other programs.
//!
//! **The grab hides the keys from every other program**, including the desktop's lock screen, until the link is closed
//! or dropped. Name a scanner, not a keyboard that somebody uses. `hidraw` readers, such as the `hid` link, still
//! receive its reports. On opening, the link waits up to a second until no key is down, so that none stays pressed for
//! the desktop.
//!
//! One chunk is one packet: all events up to and including a `SYN_REPORT` (0, 0, 0). An event is 8 bytes,
//! little-endian: `type: u16`, `code: u16`, `value: i32`, as in `struct input_event` of linux/input.h, without its
//! time. `EV_KEY` (1) is a key of linux/input-event-codes.h, with value 1 for down, 0 for up and 2 for autorepeat;
//! `EV_MSC` (4) may precede it with the device's own code of the key. `SYN_DROPPED` (0, 3, 0) means that events before
//! it were lost.
//!
//! The kernel buffers only ten or twenty keys, so the link reads them as they arrive, on the tokio runtime on which it
//! was opened, and buffers 64 KiB, about sixty codes. Keys are lost only if that runtime is blocked for longer than a
//! scanner takes to type ten keys (100 ms). Nothing can be sent: lights and sounds are left out.
//!
//! Options in an address: `port` (`1-1.4`, for identical scanners), `interface` (the number of the USB interface,
//! for a scanner with two keyboards), `grab` (`true`; with `false` all other programs receive the keys, too).
//!
//! **Permissions.** A udev rule for this device's event node, which the error spells out.
//!
//! Linux only; elsewhere opening fails.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) mod node;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(target_os = "linux")]
mod wire;

use crate::{Address, Result};

#[cfg(target_os = "linux")]
pub use linux::{Evdev, open};
#[cfg(not(target_os = "linux"))]
pub use other::{Evdev, open};

/// The options that [`Settings::from_address`] reads.
pub const OPTIONS: [&str; 3] = super::options::EVDEV;

/// The options of an evdev address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bus and ports: `1-1.4`.
    pub port: Option<String>,
    /// Number of the USB interface.
    pub interface: Option<u8>,
    /// Whether to hide the keys from all other programs.
    pub grab: bool,
}

impl Default for Settings {
    /// Any port and interface, with the keys hidden from other programs.
    fn default() -> Self {
        Self { port: None, interface: None, grab: true }
    }
}

impl Settings {
    /// Reads the options of an evdev address.
    ///
    /// # Errors
    /// [`crate::Kind::Address`] names the option, its value and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        Ok(Self {
            port: address.option("port").map(str::to_owned),
            interface: address.option_as("interface")?,
            grab: address.option_as("grab")?.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_options() {
        let settings = |text: &str| Settings::from_address(&text.parse().expect("address"));
        assert_eq!(settings("scanner+evdev://05e0:1200").expect("settings"), Settings::default());
        let all = Settings { port: Some("1-2".into()), interface: Some(1), grab: false };
        assert_eq!(settings("scanner+evdev://05e0:1200?interface=1&port=1-2&grab=false").expect("settings"), all);
        for query in ["grab=yes", "interface=256"] {
            let error = settings(&format!("scanner+evdev://05e0:1200?{query}")).expect_err(query);
            assert!(error.to_string().contains(query), "{error}");
        }
    }
}
