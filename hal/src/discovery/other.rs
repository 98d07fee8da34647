//! Windows and macOS: what nusb and serialport list. HID devices are left out.

use super::{Buses, Found, Identity, Listing, Source, printer_kind};
use crate::address::LinkKind;
use crate::{Error, Kind};

/// How much to find out. These systems do not reveal who holds a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What the system lists.
    Quick,
    /// The same.
    WithHolders,
}

pub(super) fn list(_: Detail, buses: Buses) -> Listing {
    let mut listing = Listing::default();
    if buses.has(Buses::USB) {
        usb(&mut listing);
    }
    if buses.has(Buses::SERIAL) {
        serial(&mut listing);
    }
    listing.problems.push(Error::new(Kind::Unsupported, "HID devices are not listed on this system"));
    listing
}

#[cfg(feature = "usb")]
fn usb(listing: &mut Listing) {
    use crate::address::UsbId;
    use crate::link::usb::candidate;
    use nusb::MaybeFuture;

    let devices = match nusb::list_devices().wait() {
        Ok(devices) => devices,
        Err(e) => {
            listing.problems.push(Error::new(Kind::Io, "USB devices cannot be listed").because(e));
            return;
        }
    };
    for info in devices {
        let printer = info.interfaces().any(|interface| interface.class() == 7);
        if !printer && !info.interfaces().any(|interface| interface.class() == 0xff) {
            continue;
        }
        let device = candidate(&info);
        let id = UsbId { vendor: device.vendor, product: device.product, serial: device.serial.clone() };
        let about = if printer { "USB printer" } else { "vendor-specific USB device" };
        let mut found = Found::new(LinkKind::Usb(id), about);
        found.kind = printer.then(|| printer_kind(device.vendor));
        found.name = device.name.clone();
        found.identified_by(&device);
        found.instance = format!("usb {:?}", info.id());
        listing.found.push(found);
    }
}

#[cfg(not(feature = "usb"))]
fn usb(listing: &mut Listing) {
    listing
        .problems
        .push(Error::new(Kind::Unsupported, "this build lists no USB devices").hint("build with feature `usb`"));
}

#[cfg(feature = "serial")]
fn serial(listing: &mut Listing) {
    let ports = match tokio_serial::available_ports() {
        Ok(ports) => ports,
        Err(e) => {
            listing.problems.push(Error::new(Kind::Io, "serial ports cannot be listed").because(e));
            return;
        }
    };
    for port in ports {
        let mut found = Found::new(LinkKind::Serial { path: port.port_name.clone() }, "serial port");
        if let tokio_serial::SerialPortType::UsbPort(usb) = port.port_type {
            found.about = format!("serial port of {:04x}:{:04x}", usb.vid, usb.pid);
            found.name = usb.product.unwrap_or_default();
            if let Some(serial) = usb.serial_number {
                found.identities.push(Identity::UsbSerial { vendor: usb.vid, product: usb.pid, serial });
            }
        }
        found.instance = format!("serial {}", port.port_name);
        found.identities.push(Identity::Path(port.port_name));
        listing.found.push(found);
    }
}

#[cfg(not(feature = "serial"))]
fn serial(listing: &mut Listing) {
    listing
        .problems
        .push(Error::new(Kind::Unsupported, "this build lists no serial ports").hint("build with feature `serial`"));
}

/// The system's notifications of USB devices, which serial adapters are too.
pub(super) struct Announcements {
    #[cfg(feature = "usb")]
    devices: Option<nusb::hotplug::HotplugWatch>,
}

impl std::fmt::Debug for Announcements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Announcements")
    }
}

#[cfg(feature = "usb")]
impl Announcements {
    pub(super) fn open() -> (Self, Source) {
        match nusb::watch_devices() {
            Ok(devices) => (Self { devices: Some(devices) }, Source::System),
            Err(e) => (Self { devices: None }, Source::Look(format!("the system's notifications failed ({e})"))),
        }
    }

    pub(super) async fn changed(&mut self) -> Buses {
        use futures_core::Stream;

        let Some(devices) = &mut self.devices else { return std::future::pending().await };
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut *devices).poll_next(cx)).await;
        Buses::ALL
    }
}

#[cfg(not(feature = "usb"))]
impl Announcements {
    pub(super) fn open() -> (Self, Source) {
        (Self {}, Source::Look("this build has no USB".to_owned()))
    }

    pub(super) async fn changed(&mut self) -> Buses {
        std::future::pending().await
    }
}
