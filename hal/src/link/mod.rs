//! Links move bytes; they know nothing of what the bytes mean.
//!
//! | module | moves bytes over | needs |
//! |---|---|---|
//! | [`tcp`] | a TCP connection | – |
//! | `tls` | TLS over TCP, by the option `tls=true` of a TCP address | feature `tls` |
//! | [`serial`] | a serial port or pseudo-terminal | feature `serial` |
//! | `usb` | USB bulk transfers | feature `usb`, or `usb-libusb` |
//! | `ble` | Bluetooth LE characteristics | feature `ble` |
//! | `spp` | a Bluetooth serial port (RFCOMM) | feature `spp`, Linux |
//! | [`hid`] | HID reports | Linux |
//! | [`evdev`] | key events of a scanner in keyboard mode | Linux |
//! | `adapter` | embedded-io and embedded-io-async, both ways | feature `embedded-io` |
//! | [`memory`] | a pair of queues in this process | – |
//! | [`record`] | another link, and writes down what passes | – |
//! | [`replay`] | a recording, which stands in for the device | – |
//! | [`relay()`] | between two links | – |
//! | [`fault`] | another link, and breaks it as a plan or a seed says | – |

use std::fmt;

use crate::address::LinkKind;
use crate::{Address, BoxFuture, Error, Kind, Result};

#[cfg(feature = "embedded-io")]
pub mod adapter;
#[cfg(feature = "ble")]
pub mod ble;
pub(crate) mod choose;
#[cfg(any(feature = "serial", feature = "tls", all(feature = "spp", target_os = "linux")))]
mod duplex;
pub mod evdev;
pub mod fault;
mod hex;
pub mod hid;
#[cfg(target_os = "linux")]
mod interface;
pub mod memory;
pub mod permission;
pub mod record;
mod relay;
pub mod replay;
#[cfg(feature = "serial")]
pub mod serial;
#[cfg(all(feature = "spp", target_os = "linux"))]
pub mod spp;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(any(feature = "usb", feature = "usb-libusb"))]
pub mod usb;

pub use relay::relay;

/// A two-way connection to one device.
///
/// Both directions work at the same time: `send` may wait for a printer without paper while `recv`
/// hears it say so. Call each from one place at a time.
///
/// **Short.** `send` sends all of `bytes` or fails. `recv` returns as soon as one chunk is there: a
/// socket read, a USB transfer, an HID report, a notification. On stream links a chunk begins and
/// ends anywhere.
/// **Empty.** `recv` never returns an empty chunk; the end of the stream is an error of
/// [`Kind::Closed`]. `send` of nothing does nothing.
/// **Late.** Links have no deadline of their own except for opening and closing; callers wrap calls
/// in `tokio::time::timeout`.
/// **Cancelled.** A dropped `recv` loses nothing. A dropped `send` may have sent any prefix: close
/// the link, unless the protocol can tell how far it came.
pub trait Link: Send + Sync + fmt::Debug {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// [`Kind::Closed`] if the link has ended, [`Kind::Io`] otherwise; any prefix may have arrived.
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>>;

    /// Appends the next chunk to `into` and returns its length, which is never 0.
    ///
    /// # Errors
    /// [`Kind::Closed`] at the end of the stream, [`Kind::Io`] otherwise.
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>>;

    /// Lets what was sent arrive, then ends the link. Takes at most a few seconds.
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        (**self).send(bytes)
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        (**self).recv(into)
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        (**self).close()
    }
}

impl<L: Link + ?Sized> Link for &L {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        (**self).send(bytes)
    }
    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        (**self).recv(into)
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        (**self).close()
    }
}

/// Opens the link that `address` names. For a protocol that carries card data use [`open_redacted`].
///
/// # Errors
/// Each names the address and the next step; [`Kind::Unsupported`] says which feature is missing.
pub async fn open(address: &Address) -> Result<Box<dyn Link>> {
    open_redacted(address, |_, _| {}).await
}

/// Opens the link that `address` names; with its option `record=FILE` what passes is written down, masked
/// by `redact`.
///
/// # Errors
/// As [`open`]; or the file cannot be written.
pub async fn open_redacted(address: &Address, redact: record::Redact) -> Result<Box<dyn Link>> {
    let link = bare(address).await.map_err(|e| e.at(address.label()))?;
    match address.option("record") {
        None => Ok(link),
        Some(file) => Ok(Box::new(record::Record::to_file(link, file.as_ref(), &address.label(), redact)?)),
    }
}

async fn bare(address: &Address) -> Result<Box<dyn Link>> {
    match address.link() {
        LinkKind::Replay { path } => replay::Replay::open(path).map(|l| Box::new(l) as _),
        LinkKind::Tcp { host, port } => tcp::open(address, host, *port).await,
        #[cfg(feature = "serial")]
        LinkKind::Serial { path } => match serial::Settings::from_address(address) {
            Ok(settings) => serial::open_in_time(path, settings).await.map(|l| Box::new(l) as _),
            Err(e) => Err(e),
        },
        #[cfg(not(feature = "serial"))]
        LinkKind::Serial { .. } => Err(missing("serial")),
        #[cfg(any(feature = "usb", feature = "usb-libusb"))]
        LinkKind::Usb(id) => match usb::Settings::from_address(address) {
            Ok(settings) => usb::open(id, &settings).await.map(|l| Box::new(l) as _),
            Err(e) => Err(e),
        },
        #[cfg(not(any(feature = "usb", feature = "usb-libusb")))]
        LinkKind::Usb(_) => Err(missing("usb")),
        LinkKind::Hid(id) => match hid::Settings::from_address(address) {
            Ok(settings) => hid::open(id, &settings).await.map(|l| Box::new(l) as _),
            Err(e) => Err(e),
        },
        LinkKind::Evdev(id) => match evdev::Settings::from_address(address) {
            Ok(settings) => evdev::open(id, &settings).await.map(|l| Box::new(l) as _),
            Err(e) => Err(e),
        },
        #[cfg(feature = "ble")]
        LinkKind::Ble { device } => ble::open(address, device).await.map(|l| Box::new(l) as _),
        #[cfg(not(feature = "ble"))]
        LinkKind::Ble { .. } => Err(missing("ble")),
        #[cfg(all(feature = "spp", target_os = "linux"))]
        LinkKind::Spp { device } => spp::open(address, device).await.map(|l| Box::new(l) as _),
        #[cfg(all(feature = "spp", not(target_os = "linux")))]
        LinkKind::Spp { .. } => Err(Error::new(Kind::Unsupported, "`spp` links are for Linux")
            .hint("pair the device in the system's settings and use the serial port that it then has")),
        #[cfg(not(feature = "spp"))]
        LinkKind::Spp { .. } => Err(missing("spp")),
        other => Err(Error::new(Kind::Unsupported, format!("`{}` is not a link that carries bytes", other.scheme()))),
    }
}

/// The options that the link of an address reads; a link that is not built in has none.
pub fn options(link: &LinkKind) -> impl Iterator<Item = &'static str> {
    let own: &[&str] = match link {
        LinkKind::Tcp { .. } => &tcp::OPTIONS,
        #[cfg(feature = "serial")]
        LinkKind::Serial { .. } => &serial::OPTIONS,
        #[cfg(any(feature = "usb", feature = "usb-libusb"))]
        LinkKind::Usb(_) => &usb::OPTIONS,
        LinkKind::Hid(_) => &hid::OPTIONS,
        LinkKind::Evdev(_) => &evdev::OPTIONS,
        #[cfg(feature = "ble")]
        LinkKind::Ble { .. } => &ble::OPTIONS,
        #[cfg(all(feature = "spp", target_os = "linux"))]
        LinkKind::Spp { .. } => &spp::OPTIONS,
        _ => &[],
    };
    own.iter().copied().chain(["record"])
}

/// Checks the values of a link's options, as far as that goes without opening it.
///
/// # Errors
/// [`Kind::Address`] names the option, its value and what is allowed.
pub fn check(address: &Address) -> Result<()> {
    match address.link() {
        #[cfg(feature = "serial")]
        LinkKind::Serial { .. } => serial::Settings::from_address(address).map(drop),
        #[cfg(any(feature = "usb", feature = "usb-libusb"))]
        LinkKind::Usb(_) => usb::Settings::from_address(address).map(drop),
        LinkKind::Hid(_) => hid::Settings::from_address(address).map(drop),
        LinkKind::Evdev(_) => evdev::Settings::from_address(address).map(drop),
        _ => Ok(()),
    }
}

// Unused where every feature is built in.
#[allow(dead_code)]
fn missing(feature: &str) -> Error {
    Error::new(Kind::Unsupported, format!("this build has no {feature} links"))
        .hint(format!("build with feature `{feature}`"))
}
