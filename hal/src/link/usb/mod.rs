//! USB: printers and other devices with a bulk OUT endpoint.
//!
//! The interface is found by its class: printer (7), preferably bidirectional, or else the only vendor-specific one
//! with a bulk OUT endpoint. A kernel driver that holds it (usblp) is detached, and attached again at the end. The
//! printer class's requests are here too: device id, port status, soft reset (Device Class Definition for Printing
//! Devices 1.1, section 4.2).
//!
//! Options in an address: `port` (`1-1.4`, for devices that are otherwise alike), `interface` (its
//! number, if the class does not decide), `backend` (`nusb`, `libusb`; the first that is built in).
//!
//! **Backends.** `nusb` is pure Rust and the default. `libusb`, feature `usb-libusb`, builds its own copy
//! of libusb, which is LGPL-2.1: it is meant for comparison and for systems where nusb fails. It
//! cannot tell how much a stalled device had accepted, so it reports a stall as an error where nusb resumes.
//!
//! **Permissions.** Linux: a udev rule, which the error spells out, or membership in the group of
//! /dev/bus/usb/…; printers belong to `lp` on Debian. Windows: the WinUSB driver. macOS: none.

mod class;
#[cfg(feature = "usb")]
mod nusb;
#[cfg(feature = "usb-libusb")]
mod rusb;

use std::time::Duration;

use crate::address::UsbId;
use crate::link::choose::Candidate;
use crate::link::permission;
use crate::{Address, BoxFuture, Error, Kind, Link, Result};

pub use class::{DeviceId, PortStatus};
#[cfg(all(feature = "usb", not(target_os = "linux")))]
pub(crate) use nusb::candidate;

/// The options that [`Settings::from_address`] reads.
pub const OPTIONS: [&str; 3] = super::options::USB;

/// How long a control request may take.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long closing waits for transfers to be cancelled.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The length of one transfer. Beyond 4 KiB longer ones are no faster.
const TRANSFER: usize = 16 * 1024;
/// The most stalls in a row without progress.
const STALLS_MAX: u32 = 3;

/// The USB library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// nusb, feature `usb`.
    Nusb,
    /// libusb through rusb, feature `usb-libusb`.
    Libusb,
}

/// The options of a USB address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The backend; `None` means the first that is built in.
    pub backend: Option<Backend>,
    /// The interface number; `None` means that the class decides.
    pub interface: Option<u8>,
    /// Bus and ports: `1-1.4`.
    pub port: Option<String>,
}

impl Settings {
    /// Reads the options of a USB address.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option, its value and what is allowed.
    pub fn from_address(address: &Address) -> Result<Self> {
        let backend = match address.option("backend") {
            None => None,
            Some("nusb") => Some(Backend::Nusb),
            Some("libusb") => Some(Backend::Libusb),
            Some(_) => return Err(address.refuse("backend", "expected nusb or libusb")),
        };
        Ok(Self {
            backend,
            interface: address.option_as("interface")?,
            port: address.option("port").map(str::to_owned),
        })
    }
}

/// An open USB device, one of its interfaces claimed.
///
/// No other program can use the interface until [`Link::close`], or until the link is dropped. A dropped `send` leaves
/// transfers in flight; the next `send` waits for them first.
#[derive(Debug)]
pub struct Usb {
    port: Port,
    identity: Identity,
}

#[derive(Debug)]
enum Port {
    #[cfg(feature = "usb")]
    Nusb(nusb::Port),
    #[cfg(feature = "usb-libusb")]
    Libusb(rusb::Port),
}

/// The identity of a device, which persists when it is unplugged and plugged in again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Vendor, product and serial number.
    pub id: UsbId,
    /// Its bus and ports: `1-1.4`. Persists when the device is replaced by another.
    pub port: String,
    /// Its own name; may be empty.
    pub name: String,
    /// The claimed interface.
    pub interface: u8,
}

/// Calls a method of the open backend.
macro_rules! backend {
    ($self:ident, $port:ident => $call:expr) => {
        match &$self.port {
            #[cfg(feature = "usb")]
            Port::Nusb($port) => $call,
            #[cfg(feature = "usb-libusb")]
            Port::Libusb($port) => $call,
        }
    };
}

/// Opens the device that `id` and `settings` name.
///
/// # Errors
/// Not found; several matches, which are listed; no permission, with the udev rule; held by another program; no
/// suitable interface; or a backend that is not built in.
pub async fn open(id: &UsbId, settings: &Settings) -> Result<Usb> {
    let backend = settings.backend.unwrap_or(if cfg!(feature = "usb") { Backend::Nusb } else { Backend::Libusb });
    let (port, identity) = match backend {
        #[cfg(feature = "usb")]
        Backend::Nusb => nusb::open(id, settings).await.map(|(port, identity)| (Port::Nusb(port), identity)),
        #[cfg(feature = "usb-libusb")]
        Backend::Libusb => rusb::open(id, settings).await.map(|(port, identity)| (Port::Libusb(port), identity)),
        #[cfg(not(all(feature = "usb", feature = "usb-libusb")))]
        _ => {
            let feature = if backend == Backend::Nusb { "usb" } else { "usb-libusb" };
            Err(Error::new(Kind::Unsupported, "this build has no such USB backend")
                .hint(format!("build with feature `{feature}`")))
        }
    }?;
    tracing::debug!(?identity, ?backend, "opened");
    Ok(Usb { port, identity })
}

impl Usb {
    /// The device's identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The USB library.
    pub fn backend(&self) -> Backend {
        match &self.port {
            #[cfg(feature = "usb")]
            Port::Nusb(_) => Backend::Nusb,
            #[cfg(feature = "usb-libusb")]
            Port::Libusb(_) => Backend::Libusb,
        }
    }

    /// The IEEE 1284 device id of a printer.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if the device refuses the request, as devices outside the printer class do.
    pub async fn device_id(&self) -> Result<DeviceId> {
        // wIndex: interface in the high byte, alternate setting in the low one; section 4.2.1.
        let index = u16::from(self.identity.interface) << 8 | u16::from(backend!(self, port => port.alternate()));
        let answer = backend!(self, port => port.control_in(class::GET_DEVICE_ID, index, class::DEVICE_ID_MAX).await)?;
        DeviceId::parse(&answer)
    }

    /// The port status of the printer class: paper, selected and error.
    ///
    /// # Errors
    /// As [`Usb::device_id`].
    pub async fn port_status(&self) -> Result<PortStatus> {
        let index = u16::from(self.identity.interface);
        let answer = backend!(self, port => port.control_in(class::GET_PORT_STATUS, index, 1).await)?;
        let status = answer.first().ok_or_else(|| Error::new(Kind::Protocol, "the port status is empty"))?;
        Ok(PortStatus(*status))
    }

    /// Clears the printer's buffers and returns its interface to its power-on state.
    ///
    /// # Errors
    /// As [`Usb::device_id`].
    pub async fn soft_reset(&self) -> Result<()> {
        let index = u16::from(self.identity.interface);
        backend!(self, port => port.control_out(class::SOFT_RESET, index).await)
    }
}

impl Link for Usb {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { backend!(self, port => port.send(bytes).await) })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move { backend!(self, port => port.recv(into).await) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { backend!(self, port => port.close().await) })
    }
}

/// What choosing needs to know about an alternate setting of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alternate {
    interface: u8,
    alternate: u8,
    class: u8,
    protocol: u8,
    bulk_out: Option<u8>,
    bulk_in: Option<u8>,
}

/// The interface and setting to use: by the number `wanted`, or else by class.
fn find_interface(all: &[Alternate], wanted: Option<u8>) -> Result<Alternate> {
    // Section 4.2, table 2: protocol 2 bidirectional, 1 unidirectional, 3 IEEE 1284.4. Not 4, which is IPP.
    let rank = |a: &Alternate| match (a.class, a.protocol) {
        (7, 2) => Some(0),
        (7, 1) => Some(1),
        (7, 3 | 0 | 0xff) => Some(2),
        (0xff, _) => Some(3),
        _ => None,
    };
    let usable = |a: &&Alternate| a.bulk_out.is_some() && wanted.map_or(rank(a).is_some(), |n| n == a.interface);
    let mut usable: Vec<&Alternate> = all.iter().filter(usable).collect();
    usable.sort_by_key(|a| (rank(a), a.interface, a.alternate));
    let vendor_specific = |a: &&&Alternate| a.class == 0xff;
    match usable[..] {
        [] => {
            let what = match wanted {
                Some(number) => format!("interface {number} has no bulk OUT endpoint"),
                None => "no interface of the printer class, and no other with a bulk OUT endpoint".to_owned(),
            };
            Err(Error::new(Kind::Unsupported, what).hint("is this the right device? `tresen list` shows what it is"))
        }
        [best, ..] if best.class != 0xff || wanted.is_some() => Ok(*best),
        [only, ref rest @ ..] if rest.iter().filter(vendor_specific).all(|a| a.interface == only.interface) => {
            Ok(*only)
        }
        _ => {
            let numbers: Vec<String> = usable.iter().map(|a| a.interface.to_string()).collect();
            Err(Error::new(Kind::Address, format!("interfaces {} all have a bulk OUT endpoint", numbers.join(", ")))
                .hint("name one in the address: ?interface=N"))
        }
    }
}

/// A fault on the bus, common to all backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Gone,
    Stall,
    Timeout,
    Permission,
    Busy,
    Other,
}

fn explain(fault: Fault, cause: impl std::error::Error + Send + Sync + 'static, device: &Candidate) -> Error {
    let (kind, what) = match fault {
        Fault::Gone => (Kind::Closed, "the device was unplugged or switched off"),
        Fault::Stall => (Kind::Unsupported, "the device refuses the request"),
        Fault::Timeout => (Kind::Timeout, "the device does not answer"),
        Fault::Permission => (Kind::Permission, "permission denied"),
        Fault::Busy => (Kind::Busy, "another program holds the device"),
        Fault::Other => (Kind::Io, "the USB transfer failed"),
    };
    let error = Error::new(kind, what).because(cause);
    match fault {
        Fault::Permission => error.hint(permission::step(&permission::usb_rule(device.vendor, device.product))),
        Fault::Busy => error.hint("is a print queue or a second instance using it?"),
        _ => error,
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the link was closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternate(interface: u8, alternate: u8, class: u8, protocol: u8) -> Alternate {
        Alternate { interface, alternate, class, protocol, bulk_out: Some(2), bulk_in: Some(0x81) }
    }

    #[test]
    fn finds_the_interface_by_class_not_by_number() {
        let hid = alternate(0, 0, 3, 1);
        let composite = [hid, alternate(1, 0, 7, 1), alternate(1, 1, 7, 2), alternate(2, 0, 0xff, 0)];
        let found = find_interface(&composite, None).expect("a printer");
        assert_eq!((found.interface, found.alternate), (1, 1), "bidirectional before unidirectional");
        assert_eq!(find_interface(&composite, Some(2)).expect("as asked").interface, 2);
        assert_eq!(find_interface(&[hid, alternate(3, 0, 0xff, 0)], None).expect("the only one").interface, 3);
    }

    #[test]
    fn says_why_there_is_none() {
        let mut deaf = alternate(0, 0, 7, 2);
        deaf.bulk_out = None;
        for (all, wanted) in [(vec![], None), (vec![alternate(0, 0, 3, 1)], None), (vec![deaf], Some(0))] {
            assert_eq!(find_interface(&all, wanted).expect_err("none").kind(), Kind::Unsupported);
        }
        let ipp = alternate(0, 0, 7, 4);
        assert!(find_interface(&[ipp], None).is_err(), "IPP over USB takes no raw bytes");
        let two = [alternate(0, 0, 0xff, 0), alternate(1, 0, 0xff, 0)];
        assert!(find_interface(&two, None).expect_err("two").to_string().contains("0, 1"));
    }

    #[test]
    fn reads_its_options() {
        let address: Address = "escpos+usb://04b8:0202?backend=libusb&interface=1&port=1-1.4".parse().expect("address");
        let settings = Settings::from_address(&address).expect("settings");
        let expected = Settings { backend: Some(Backend::Libusb), interface: Some(1), port: Some("1-1.4".into()) };
        assert_eq!(settings, expected);
        for query in ["backend=usb", "interface=x"] {
            let address: Address = format!("escpos+usb://04b8:0202?{query}").parse().expect("address");
            assert!(Settings::from_address(&address).expect_err(query).to_string().contains(query));
        }
    }

    #[tokio::test]
    async fn a_device_that_is_not_there_is_not_found() {
        let id = UsbId { vendor: 0xfffe, product: 0xfffe, serial: None };
        let error = open(&id, &Settings::default()).await.expect_err("not there");
        // A machine without any USB bus has a message of its own.
        assert!(matches!(error.kind(), Kind::NotFound), "{error}");
        assert!(error.next_step().is_some(), "{error}");
    }

    #[test]
    fn no_permission_gives_the_rule() {
        let device =
            Candidate { vendor: 0x04b8, product: 0x0202, serial: None, port: "1-1".into(), name: String::new() };
        let error = explain(Fault::Permission, std::io::Error::other("EACCES"), &device);
        assert_eq!(error.kind(), Kind::Permission);
        if cfg!(target_os = "linux") {
            assert!(error.to_string().contains(r#"ATTR{idVendor}=="04b8", ATTR{idProduct}=="0202""#), "{error}");
        }
    }
}
