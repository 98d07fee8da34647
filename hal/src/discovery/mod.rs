//! Which devices are plugged in, whether they can be opened, and hot-plug events.
//!
//! Listing neither opens devices nor sends anything, so that a device in use is never disturbed: on Linux all
//! information comes from /sys. Only asking a device reveals what it really speaks; [`Found::kind`] is a guess from
//! device class and maker.
//!
//! ```no_run
//! # async fn list() {
//! use tresen_hal::discovery;
//!
//! let mut watch = discovery::watch();
//! for found in discovery::list().await.found {
//!     tracing::info!(%found, "there already");
//! }
//! loop {
//!     let event = watch.next().await;
//!     tracing::info!(?event);
//! }
//! # }
//! ```

#[cfg(feature = "ble")]
mod ble;
#[cfg(feature = "mdns")]
mod epson;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(feature = "mdns")]
mod mdns;
#[cfg(feature = "mdns")]
mod network;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(target_os = "linux")]
mod uevent;
mod watch;

use std::fmt;

use serde::ser::SerializeStruct;

use crate::address::{Address, LinkKind};
use crate::link::choose::Candidate;
use crate::{Error, Kind};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use other as platform;

#[cfg(feature = "ble")]
pub use ble::ble;
#[cfg(feature = "mdns")]
pub use network::{CONFIRM, network};
pub use watch::{Event, Source, Watch, watch};

/// A device that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The link that reaches it.
    pub link: LinkKind,
    /// Options that its address needs, such as `port` to tell it from an identical one.
    pub options: Vec<(String, String)>,
    /// What kind of device it most likely is: a guess.
    pub kind: Option<DeviceKind>,
    /// The protocol that it most likely speaks. Listing leaves it empty: this crate knows no protocols; a driver table
    /// fills it in by [`Found::kind`].
    pub protocol: Option<String>,
    /// Its own name; may be empty.
    pub name: String,
    /// Its kind in words: `USB printer`, `HID scanner`, `HID scanner in keyboard mode`.
    pub about: String,
    /// Its identities, the most persistent first.
    pub identities: Vec<Identity>,
    /// Other paths that lead to it: `/dev/ttyUSB0`.
    pub aliases: Vec<String>,
    /// Whether it can be opened.
    pub access: Access,
    /// Changes each time that it is plugged in.
    pub(crate) instance: String,
}

/// Kinds of devices, as far as class and maker tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A printer that most likely takes ESC/POS.
    ReceiptPrinter,
    /// A printer with another language: Star's own, office and label printers.
    OtherPrinter,
    /// A barcode scanner.
    Scanner,
    /// A camera.
    Camera,
}

/// An identity that a device keeps when it is unplugged and plugged in again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// Maker, product and serial number: independent of the port.
    UsbSerial {
        /// Vendor id.
        vendor: u16,
        /// Product id.
        product: u16,
        /// Serial number.
        serial: String,
    },
    /// Maker, product and port: valid as long as it returns to the same port.
    UsbPort {
        /// Vendor id.
        vendor: u16,
        /// Product id.
        product: u16,
        /// Bus and ports on the way to it: `1-1.4`.
        port: String,
    },
    /// `/dev/serial/by-id/…`
    SerialById(String),
    /// Address of a network or Bluetooth adapter: `AA:BB:CC:DD:EE:FF`.
    Mac(String),
    /// A path that may belong to another device after the next boot.
    Path(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsbSerial { vendor, product, serial } => write!(f, "usb:{vendor:04x}:{product:04x}/{serial}"),
            Self::UsbPort { vendor, product, port } => write!(f, "usb:{vendor:04x}:{product:04x}@{port}"),
            Self::SerialById(path) | Self::Path(path) => f.write_str(path),
            Self::Mac(address) => write!(f, "mac:{address}"),
        }
    }
}

/// Whether a device can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// As far as known, yes.
    Free,
    /// Another program holds it; named if the system reveals it.
    Held {
        /// `pid 123 (cupsd)`
        by: Option<String>,
    },
    /// Permission is missing.
    Denied {
        /// The next step for a person.
        next_step: String,
    },
}

impl Found {
    /// A device reached over `link`, free, with nothing else known about it.
    pub fn new(link: LinkKind, about: impl Into<String>) -> Self {
        Self {
            link,
            options: Vec::new(),
            kind: None,
            protocol: None,
            name: String::new(),
            about: about.into(),
            identities: Vec::new(),
            aliases: Vec::new(),
            access: Access::Free,
            instance: String::new(),
        }
    }

    /// Its address, if its protocol could be guessed.
    pub fn address(&self) -> Option<Address> {
        Some(self.address_for(self.protocol.as_deref()?))
    }

    /// Its address, for a protocol that the caller knows.
    pub fn address_for(&self, protocol: &str) -> Address {
        self.options.iter().fold(Address::new(protocol, self.link.clone()), |a, (name, value)| a.with(name, value))
    }

    /// Whether `address` names this device, whatever its protocol.
    pub fn fits(&self, address: &Address) -> bool {
        let port = |wanted: &str| {
            self.identities.iter().any(|i| matches!(i, Identity::UsbPort { port, .. } if port == wanted))
        };
        match (&self.link, address.link()) {
            // A keyboard can be reached over both links, whichever one it is listed with.
            (LinkKind::Usb(mine), LinkKind::Usb(theirs))
            | (LinkKind::Hid(mine) | LinkKind::Evdev(mine), LinkKind::Hid(theirs) | LinkKind::Evdev(theirs)) => {
                (mine.vendor, mine.product) == (theirs.vendor, theirs.product)
                    && (theirs.serial.is_none() || theirs.serial == mine.serial)
                    && address.option("port").is_none_or(port)
            }
            (LinkKind::Serial { path: mine }, LinkKind::Serial { path: theirs }) => {
                mine == theirs || self.aliases.contains(theirs)
            }
            (mine, theirs) => mine == theirs,
        }
    }

    /// A USB or HID device has its serial number and its port as identities.
    fn identified_by(&mut self, device: &Candidate) {
        let Candidate { vendor, product, serial, port, .. } = device.clone();
        if let Some(serial) = serial {
            self.identities.push(Identity::UsbSerial { vendor, product, serial });
        }
        if !port.is_empty() {
            self.identities.push(Identity::UsbPort { vendor, product, port });
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A device of no known protocol shows how it would be addressed: `?+usb://…`.
        write!(f, "{}  {}", self.address_for(self.protocol.as_deref().unwrap_or("?")), self.about)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        match &self.access {
            Access::Free => Ok(()),
            Access::Held { by: Some(by) } => write!(f, "; in use by {by}"),
            Access::Held { by: None } => f.write_str("; in use by another program"),
            Access::Denied { next_step } => write!(f, "; no permission: {next_step}"),
        }
    }
}

impl serde::Serialize for Found {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (access, detail) = match &self.access {
            Access::Free => ("free", None),
            Access::Held { by } => ("held", by.as_ref()),
            Access::Denied { next_step } => ("denied", Some(next_step)),
        };
        let identities: Vec<String> = self.identities.iter().map(Identity::to_string).collect();
        let mut found = serializer.serialize_struct("Found", 8)?;
        found.serialize_field("link", self.link.scheme())?;
        found.serialize_field("address", &self.address())?;
        found.serialize_field("about", &self.about)?;
        found.serialize_field("name", &self.name)?;
        found.serialize_field("identities", &identities)?;
        found.serialize_field("aliases", &self.aliases)?;
        found.serialize_field("access", access)?;
        found.serialize_field("access_detail", &detail)?;
        found.end()
    }
}

/// What [`list`] found, and which buses it could not search.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The devices, by link and address.
    pub found: Vec<Found>,
    /// Buses that could not be searched, each with the next step.
    pub problems: Vec<Error>,
}

/// Lists what is plugged in now: USB printers and similar devices, serial ports, HID devices, cameras.
pub async fn list() -> Listing {
    let mut listing = look(platform::Detail::WithHolders, Buses::ALL).await.unwrap_or_else(|error| {
        let problem = Error::new(Kind::Io, "listing devices failed").because(error);
        Listing { found: Vec::new(), problems: vec![problem] }
    });
    listing.found.sort_by_key(Found::to_string);
    listing
}

/// Reading /sys can block while a device is being enumerated.
///
/// # Errors
/// The listing panicked, or the runtime is shutting down.
async fn look(detail: platform::Detail, buses: Buses) -> Result<Listing, tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || platform::list(detail, buses)).await
}

/// A set of buses to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Buses(u8);

impl Buses {
    const USB: Self = Self(1);
    const SERIAL: Self = Self(2);
    const HID: Self = Self(4);
    const CAMERAS: Self = Self(8);
    const NONE: Self = Self(0);
    const ALL: Self = Self(15);

    /// The bus of a link; empty for links that are not hot-pluggable.
    fn of(link: &LinkKind) -> Self {
        match link {
            LinkKind::Usb(_) => Self::USB,
            LinkKind::Serial { .. } => Self::SERIAL,
            LinkKind::Hid(_) | LinkKind::Evdev(_) => Self::HID,
            LinkKind::V4l2 { .. } => Self::CAMERAS,
            _ => Self::NONE,
        }
    }

    fn has(self, bus: Self) -> bool {
        self.0 & bus.0 != 0
    }
}

impl std::ops::BitOrAssign for Buses {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What kind of printer this maker sells.
fn printer_kind(vendor: u16) -> DeviceKind {
    match vendor {
        // Star has its own protocol. Hewlett-Packard, Brother, Canon, Dymo, Zebra: office
        // and label printers.
        0x0519 | 0x03f0 | 0x04f9 | 0x04a9 | 0x0922 | 0x0a5f => DeviceKind::OtherPrinter,
        _ => DeviceKind::ReceiptPrinter,
    }
}

/// A keyboard, or a scanner in keyboard mode: only the maker tells which.
#[cfg(target_os = "linux")]
const KEYBOARD: &str = "HID keyboard or scanner in keyboard mode";

/// Whether keyboards of this maker are scanners. Names as in usb.ids, and today's.
#[cfg(target_os = "linux")]
fn makes_scanners(vendor: u16) -> bool {
    match vendor {
        // Symbol Technologies: Zebra. Metrologic Instruments, Hand Held Products: Honeywell.
        0x05e0 | 0x0c2e | 0x0536 => true,
        // PSC Scanning, Datalogic: Datalogic. Optoelectronics: Opticon. Fujian Newland.
        0x05f9 | 0x080c | 0x065a | 0x1eab => true,
        _ => false,
    }
}

/// What an HID device with these top-level usages is.
#[cfg(target_os = "linux")]
fn hid_class(usages: &[(u16, u16)]) -> (&'static str, Option<DeviceKind>) {
    let has = |page: u16| usages.iter().any(|(p, _)| *p == page);
    // HID Point of Sale Usage Tables 1.02: 0x8C bar code scanner, 0x8D scale, 0x8E magnetic stripe reader.
    match () {
        () if has(0x8c) => ("HID scanner", Some(DeviceKind::Scanner)),
        () if has(0x8d) => ("HID scale", None),
        () if has(0x8e) => ("HID card reader", None),
        () if usages.contains(&(1, 6)) => (KEYBOARD, None),
        () if usages.contains(&(1, 2)) => ("HID mouse", None),
        () => ("HID device", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::UsbId;

    fn printer() -> Found {
        let id = UsbId { vendor: 0x04b8, product: 0x0202, serial: Some("S1".into()) };
        let mut found = Found::new(LinkKind::Usb(id), "USB printer");
        found.kind = Some(printer_kind(0x04b8));
        found.protocol = Some("escpos".into());
        found.name = "EPSON TM-T88V".into();
        found.identified_by(&Candidate {
            vendor: 0x04b8,
            product: 0x0202,
            serial: Some("S1".into()),
            port: "1-1.4".into(),
            name: String::new(),
        });
        found
    }

    #[test]
    fn a_keyboard_is_meant_by_both_of_its_links() {
        let id = UsbId { vendor: 0x05e0, product: 0x1200, serial: Some("S1".into()) };
        for link in [LinkKind::Hid(id.clone()), LinkKind::Evdev(id)] {
            let found = Found::new(link, "HID keyboard");
            let fits = |text: &str| found.fits(&text.parse().expect(text));
            assert!(fits("scanner+evdev://05e0:1200/S1") && fits("scanner+hid://05e0:1200?usage=1"));
            assert!(!fits("scanner+evdev://05e0:1200/S2") && !fits("escpos+usb://05e0:1200/S1"));
        }
    }

    #[test]
    fn knows_which_addresses_mean_it() {
        let found = printer();
        let fits = |text: &str| found.fits(&text.parse().expect(text));
        assert!(fits("escpos+usb://04b8:0202/S1") && fits("star+usb://04b8:0202?port=1-1.4"));
        assert!(!fits("escpos+usb://04b8:0202/S2") && !fits("escpos+usb://04b8:0202?port=1-1.3"));
        assert!(!fits("escpos+usb://04b8:0e15/S1") && !fits("scanner+hid://04b8:0202/S1"));
        let mut port = Found::new(LinkKind::Serial { path: "/dev/serial/by-id/usb-FTDI".into() }, "serial port");
        port.aliases = vec!["/dev/ttyUSB0".into()];
        assert!(port.fits(&"escpos+serial:///dev/ttyUSB0?baud=38400".parse().expect("address")));
        assert!(!port.fits(&"escpos+serial:///dev/ttyUSB1".parse().expect("address")));
    }

    #[test]
    fn says_what_it_is_and_why_not() {
        let mut found = printer();
        assert_eq!(found.to_string(), "escpos+usb://04b8:0202/S1  USB printer EPSON TM-T88V");
        assert_eq!(found.identities[0].to_string(), "usb:04b8:0202/S1");
        assert_eq!(found.identities[1].to_string(), "usb:04b8:0202@1-1.4");
        found.access = Access::Held { by: Some("pid 7 (cupsd)".into()) };
        assert!(found.to_string().ends_with("; in use by pid 7 (cupsd)"));
        found.access = Access::Denied { next_step: "join the group lp".into() };
        assert!(found.to_string().ends_with("; no permission: join the group lp"));
        found.protocol = None;
        assert!(found.address().is_none() && found.to_string().starts_with("?+usb://04b8:0202/S1"));
    }

    #[test]
    fn guesses_with_care() {
        assert_eq!(
            (printer_kind(0x04b8), printer_kind(0x0a5f)),
            (DeviceKind::ReceiptPrinter, DeviceKind::OtherPrinter)
        );
        // What no command takes is not suggested.
        assert_eq!(printer_kind(0x0519), DeviceKind::OtherPrinter, "Star");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn knows_a_scanner_by_its_usage() {
        assert_eq!(hid_class(&[(1, 6), (0x8c, 2)]), ("HID scanner", Some(DeviceKind::Scanner)));
        assert_eq!(hid_class(&[(1, 6)]), (KEYBOARD, None));
        assert_eq!(hid_class(&[]), ("HID device", None));
        // usb.ids: 046d is Logitech.
        assert!(makes_scanners(0x0c2e) && !makes_scanners(0x046d));
    }
}
