//! Links move bytes, whatever their protocol.
//!
//! | module | moves bytes over | needs |
//! |---|---|---|
//! | [`tcp`] | a TCP connection | – |
//! | `tls` | TLS over TCP, by `tls` or `https` in an address, or the option `tls=true` | feature `tls` |
//! | [`serial`] | a serial port or pseudo-terminal | feature `serial` |
//! | `usb` | USB bulk transfers | feature `usb`, or `usb-libusb` |
//! | `ble` | Bluetooth LE characteristics | feature `ble` |
//! | `spp` | a Bluetooth serial port (RFCOMM) | feature `spp`, Linux |
//! | [`hid`] | HID reports | Linux |
//! | [`evdev`] | key events of a scanner in keyboard mode | Linux |
//! | `adapter` | embedded-io and embedded-io-async, both ways | feature `embedded-io` |
//! | [`memory`] | a pair of queues in this process | – |
//! | [`record`] | another link, and records the traffic | – |
//! | [`replay`] | a recording, instead of a device | – |
//! | [`relay()`] | between two links | – |
//! | [`fault`] | another link, with faults by plan or seed | – |

use std::fmt;
use std::path::PathBuf;

use crate::address::LinkKind;
use crate::{Address, BoxFuture, Error, Kind, Result};

#[cfg(feature = "embedded-io")]
pub mod adapter;
#[cfg(feature = "ble")]
pub mod ble;
pub(crate) mod choose;
mod connect;
#[cfg(any(feature = "serial", feature = "tls", all(feature = "spp", target_os = "linux")))]
mod duplex;
pub mod evdev;
pub mod fault;
pub(crate) mod hex;
pub mod hid;
#[cfg(target_os = "linux")]
mod interface;
pub mod memory;
mod options;
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

pub use connect::{Connect, Incoming, Listen, Reached};
pub use relay::relay;

/// A two-way connection to one device.
///
/// Both directions work at the same time: `send` may wait for a printer without paper while `recv` receives its status.
/// Do not call `send`, or `recv`, twice at the same time.
///
/// **Short.** `send` sends all of `bytes` or fails. `recv` returns as soon as one chunk is there: a
/// socket read, a USB transfer, an HID report, a notification. On stream links, chunk
/// boundaries are arbitrary.
/// **Empty.** `recv` never returns an empty chunk; the end of the stream is an error of
/// [`Kind::Closed`]. `send` of nothing does nothing.
/// **Late.** Only opening and closing have deadlines; callers wrap other calls in `tokio::time::timeout`.
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

    /// Flushes what was sent, then ends the link. Takes at most a few seconds.
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
    open_redacted(address, Box::new(record::Plain)).await
}

/// Opens the link that `address` names. With the option `record=FILE`, the traffic is recorded as masked by `redactor`.
///
/// # Errors
/// As [`open`]; or the file cannot be written.
pub async fn open_redacted(address: &Address, redactor: Box<dyn record::Redactor>) -> Result<Box<dyn Link>> {
    check_options(address)?;
    let link = bare(address).await.map_err(|e| e.at(address.label()))?;
    let Some(file) = address.option("record") else { return Ok(link) };
    let (path, label) = (PathBuf::from(file), address.label());
    // Creating a file may block.
    let made = tokio::task::spawn_blocking(move || record::new_file(&path)).await;
    let file = made.map_err(|e| Error::new(Kind::Cancelled, "the runtime is shutting down").because(e))??;
    Ok(Box::new(record::Record::new(link, Box::new(file), &label, redactor)?))
}

async fn bare(address: &Address) -> Result<Box<dyn Link>> {
    match address.link() {
        LinkKind::Replay { path } => replay::Replay::open(path).map(|l| Box::new(l) as _),
        LinkKind::Tcp { host, port } | LinkKind::Https { host, port } | LinkKind::Tls { host, port } => match port {
            Some(port) => tcp::open(address, host, *port).await,
            None => Err(tcp::no_port(address)),
        },
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
        #[cfg(not(all(feature = "spp", target_os = "linux")))]
        LinkKind::Spp { .. } => Err(missing("spp")),
        other => Err(Error::new(Kind::Unsupported, format!("links over `{}` do not carry bytes", other.scheme()))),
    }
}

/// The options of a link, whether this build has that link or not.
pub fn options(link: &LinkKind) -> impl Iterator<Item = &'static str> {
    let own: &[&str] = match link {
        LinkKind::Tcp { .. } => &options::TCP,
        LinkKind::Https { .. } | LinkKind::Tls { .. } => &options::HTTPS,
        LinkKind::Serial { .. } => &options::SERIAL,
        LinkKind::Usb(_) => &options::USB,
        LinkKind::Hid(_) => &options::HID,
        LinkKind::Evdev(_) => &options::EVDEV,
        LinkKind::Ble { .. } => &options::BLE,
        LinkKind::Spp { .. } => &options::SPP,
        LinkKind::V4l2 { .. } | LinkKind::Url(_) | LinkKind::File { .. } | LinkKind::Replay { .. } => &[],
    };
    own.iter().copied().chain(["record"])
}

/// Checks what can be checked without opening an address: the values of the link's options, the files that they name,
/// and that this build has the link.
///
/// # Errors
/// [`Kind::Address`] names the option, also as [`Error::option`], its value and what is allowed;
/// [`Kind::Unsupported`] names the missing feature; [`Kind::NotFound`] a missing recording.
pub fn check(address: &Address) -> Result<()> {
    check_options(address)?;
    match address.link() {
        LinkKind::Tcp { .. } | LinkKind::Https { .. } | LinkKind::Tls { .. } => tcp::check(address),
        LinkKind::Replay { path } => match std::fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(()),
            Ok(_) => Err(Error::file(path, std::io::ErrorKind::IsADirectory.into())),
            Err(error) => Err(Error::file(path, error)),
        },
        #[cfg(feature = "serial")]
        LinkKind::Serial { .. } => serial::Settings::from_address(address).map(drop),
        #[cfg(not(feature = "serial"))]
        LinkKind::Serial { .. } => Err(missing("serial")),
        #[cfg(any(feature = "usb", feature = "usb-libusb"))]
        LinkKind::Usb(_) => usb::Settings::from_address(address).map(drop),
        #[cfg(not(any(feature = "usb", feature = "usb-libusb")))]
        LinkKind::Usb(_) => Err(missing("usb")),
        LinkKind::Hid(_) => hid::Settings::from_address(address).map(drop),
        LinkKind::Evdev(_) => evdev::Settings::from_address(address).map(drop),
        #[cfg(feature = "ble")]
        LinkKind::Ble { .. } => ble::check(address),
        #[cfg(not(feature = "ble"))]
        LinkKind::Ble { .. } => Err(missing("ble")),
        #[cfg(all(feature = "spp", target_os = "linux"))]
        LinkKind::Spp { .. } => spp::check(address),
        #[cfg(not(all(feature = "spp", target_os = "linux")))]
        LinkKind::Spp { .. } => Err(missing("spp")),
        LinkKind::V4l2 { .. } | LinkKind::Url(_) | LinkKind::File { .. } => Ok(()),
    }
    .map_err(|e| if e.device().is_some() { e } else { e.at(address.label()) })
}

/// The options of all links.
fn check_options(address: &Address) -> Result<()> {
    match address.option("record") {
        Some("") => Err(address.refuse("record", "name a file")),
        _ => Ok(()),
    }
}

/// Runs blocking system calls, such as reading /sys while a device is being enumerated, on another thread.
#[cfg(any(target_os = "linux", feature = "tls"))]
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let asked = tokio::task::spawn_blocking(ask).await;
    asked.map_err(|e| Error::new(Kind::Cancelled, "the runtime is shutting down").because(e))?
}

#[allow(dead_code, reason = "unused where every feature is built in")]
fn missing(feature: &str) -> Error {
    if feature == "spp" && cfg!(not(target_os = "linux")) {
        return Error::new(Kind::Unsupported, "`spp` links are supported on Linux only")
            .hint("pair the device in the system's settings and use the serial port that this creates");
    }
    Error::new(Kind::Unsupported, format!("this build has no {feature} links"))
        .hint(format!("build with feature `{feature}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_finds_each_wrong_option_and_names_it_as_data() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |text: &str| {
            let address: Address = text.parse().expect(text);
            let error = check(&address).expect_err(text);
            assert!(error.device().is_some(), "{error}");
            (error.kind(), error.option().map(str::to_owned))
        };
        let address = |name: &str| (Kind::Address, Some(name.to_owned()));
        assert_eq!(refused("escpos+tcp://p?tls=yes"), address("tls"));
        assert_eq!(refused("escpos+tcp://p?connect-timeout=500"), address("connect-timeout"));
        assert_eq!(refused("escpos+tcp://p?fingerprint=zz"), address("fingerprint"));
        assert_eq!(refused("escpos+tcp://p?ca=/x"), address("ca"));
        assert_eq!(refused("escpos+tcp://p?record="), address("record"));
        assert_eq!(refused("escpos+serial:///dev/x?baud=12"), address("baud"));
        assert_eq!(refused("scanner+hid://05e0:1900?interface=x"), address("interface"));
        let missing = format!("escpos+replay://{}", dir.path().join("none.capture").display());
        assert_eq!(refused(&missing), (Kind::NotFound, None));
        let folder = format!("escpos+replay://{}", dir.path().display());
        assert_eq!(refused(&folder), (Kind::Input, None));
        if cfg!(feature = "tls") {
            assert_eq!(refused("escpos+tcp://p?tls=true&fingerprint=zz"), address("fingerprint"));
            assert_eq!(refused("escpos+tcp://p?tls=true&ca=/no/such/file.pem"), address("ca"));
            assert_eq!(refused("escpos+tcp://p?tls=true&ca=/x&fingerprint=00"), address("fingerprint"));
        } else {
            assert_eq!(refused("escpos+tcp://p?tls=true"), (Kind::Unsupported, Some("tls".to_owned())));
        }
        if cfg!(feature = "ble") {
            assert_eq!(refused("escpos+ble://AA:BB:CC:DD:EE:FF?mtu=5"), address("mtu"));
        } else {
            assert_eq!(refused("escpos+ble://AA:BB:CC:DD:EE:FF?mtu=5"), (Kind::Unsupported, None));
        }
        if cfg!(all(feature = "spp", target_os = "linux")) {
            assert_eq!(refused("escpos+spp://AA:BB:CC:DD:EE:FF?channel=99"), address("channel"));
            assert_eq!(refused("escpos+spp://AA:BB:CC:DD:EE:FF?adapter=hci0"), address("adapter"));
        } else {
            assert_eq!(refused("escpos+spp://AA:BB:CC:DD:EE:FF?channel=99"), (Kind::Unsupported, None));
        }
        for right in ["escpos+tcp://p?connect-timeout=2.5&tls=false", "scanner+hid://05e0:1900", "camera+file:///tmp"] {
            check(&right.parse().expect(right)).expect(right);
        }
    }
}
