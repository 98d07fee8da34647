//! Device addresses: `<protocol>+<link>://<where>?<option>=<value>`.
//!
//! | address | reaches |
//! |---|---|
//! | `escpos+tcp://10.0.0.20:9100` | a network printer; the port may be left out |
//! | `escpos+usb://04b8:0e15/SERIAL` | a USB device by vendor, product and, if there are two, serial number |
//! | `escpos+serial:///dev/ttyUSB0?baud=38400` | a serial port; `serial://COM3` on Windows |
//! | `escpos+ble://AA:BB:CC:DD:EE:FF` | a Bluetooth LE device |
//! | `escpos+spp://AA:BB:CC:DD:EE:FF` | a Bluetooth serial-port device |
//! | `zvt+tcp://10.0.0.30:20007` | a payment terminal |
//! | `zvt+tls://10.0.0.30:22001` | the same over TLS |
//! | `scanner+hid://05e0:1900` | an HID device |
//! | `scanner+evdev://05e0:1200` | a scanner in keyboard mode, as an input device of Linux |
//! | `nexo+https://10.0.0.31` | a payment terminal over TLS: `https` without a path |
//! | `camera+v4l2:///dev/video0` | a camera |
//! | `camera+file:///var/frames` | a file or a folder of files |
//! | `escpos+replay:///tmp/job.capture` | a recording that replaces the device |
//!
//! Every link that carries bytes knows the option `record=FILE`: see [`crate::link::record`].
//!
//! Reserved characters in paths and values are percent-encoded.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::{Error, Kind, Result};

/// A parsed address: protocol, link and options.
///
/// `Display` prints what [`FromStr`] reads. Errors and logs use [`Address::label`], which omits everything that may
/// hold a password: the options, and the user, password and query of a URL. `Debug` omits the latter, too.
///
/// ```
/// use tresen_hal::{Address, address::LinkKind};
///
/// let address: Address = "zvt+tcp://10.0.0.30:22000?password=123456".parse()?;
/// assert_eq!(address.link(), &LinkKind::Tcp { host: "10.0.0.30".into(), port: Some(22000) });
/// assert_eq!(address.option("password"), Some("123456"));
/// assert_eq!(address.label(), "zvt+tcp://10.0.0.30:22000");
/// # Ok::<(), tresen_hal::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    protocol: String,
    link: LinkKind,
    options: BTreeMap<String, String>,
}

/// The link that reaches the device. `Debug` omits the credentials of a URL.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkKind {
    /// A TCP server: host name or IP address, and port.
    Tcp {
        /// Name, IPv4 or IPv6 address, without brackets.
        host: String,
        /// Port; none means the usual one of the protocol, which the driver table knows.
        port: Option<u16>,
    },
    /// A server that speaks TLS over TCP: `https` without a path. With a path it is a [`LinkKind::Url`].
    Https {
        /// Name, IPv4 or IPv6 address, without brackets.
        host: String,
        /// Port; none means the usual one of the protocol, which the driver table knows.
        port: Option<u16>,
    },
    /// A server that speaks TLS over TCP, and the device's protocol on it.
    Tls {
        /// Name, IPv4 or IPv6 address, without brackets.
        host: String,
        /// Port; none means the usual one of the protocol, which the driver table knows.
        port: Option<u16>,
    },
    /// A serial port or pseudo-terminal.
    Serial {
        /// `/dev/ttyUSB0`, `/dev/serial/by-id/…`, `COM3`.
        path: String,
    },
    /// A USB device.
    Usb(UsbId),
    /// An HID device.
    Hid(UsbId),
    /// A Linux input device: a keyboard, or a scanner in keyboard mode.
    Evdev(UsbId),
    /// A Bluetooth LE device, by address as the system shows it.
    Ble {
        /// `AA:BB:CC:DD:EE:FF`, or the system's identifier if it hides the address.
        device: String,
    },
    /// A Bluetooth classic device with a serial port.
    Spp {
        /// `AA:BB:CC:DD:EE:FF`.
        device: String,
    },
    /// A Video4Linux device.
    V4l2 {
        /// `/dev/video0`.
        path: PathBuf,
    },
    /// A network resource, `http`, `https` or `rtsp`, kept as its URL, which may hold user and password.
    Url(String),
    /// A file or folder.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// A recording that replaces the device.
    Replay {
        /// Where the capture is.
        path: PathBuf,
    },
}

/// A USB, HID or input device: vendor, product and, to tell several apart, serial number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsbId {
    /// Vendor id.
    pub vendor: u16,
    /// Product id.
    pub product: u16,
    /// Serial number; `None` means the only such device.
    pub serial: Option<String>,
}

impl LinkKind {
    /// The link's name in an address, between `+` and `://`.
    pub fn scheme(&self) -> &str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Https { .. } => "https",
            Self::Tls { .. } => "tls",
            Self::Serial { .. } => "serial",
            Self::Usb(_) => "usb",
            Self::Hid(_) => "hid",
            Self::Evdev(_) => "evdev",
            Self::Ble { .. } => "ble",
            Self::Spp { .. } => "spp",
            Self::V4l2 { .. } => "v4l2",
            Self::Url(url) => url.split(':').next().unwrap_or("http"),
            Self::File { .. } => "file",
            Self::Replay { .. } => "replay",
        }
    }

    /// Host and port of a server on a network, with TLS or without.
    pub fn server(&self) -> Option<(&str, Option<u16>)> {
        match self {
            Self::Tcp { host, port } | Self::Https { host, port } | Self::Tls { host, port } => Some((host, *port)),
            _ => None,
        }
    }
}

/// All link names, for error messages.
const LINKS: &str = "tcp, tls, serial, usb, hid, evdev, ble, spp, v4l2, http, https, rtsp, file, replay";

impl Address {
    /// An address without options.
    pub fn new(protocol: impl Into<String>, link: LinkKind) -> Self {
        Self { protocol: protocol.into(), link, options: BTreeMap::new() }
    }

    /// A TCP address.
    pub fn tcp(protocol: impl Into<String>, host: impl Into<String>, port: u16) -> Self {
        Self::new(protocol, LinkKind::Tcp { host: host.into(), port: Some(port) })
    }

    /// The same address with this port, if it is a server's that names none.
    #[must_use]
    pub fn or_port(mut self, usual: u16) -> Self {
        if let LinkKind::Tcp { port, .. } | LinkKind::Https { port, .. } | LinkKind::Tls { port, .. } = &mut self.link {
            port.get_or_insert(usual);
        }
        self
    }

    /// The protocol that the device speaks: `escpos`, `zvt`, `scanner`, `camera`.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Where it is.
    pub fn link(&self) -> &LinkKind {
        &self.link
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The value of an option, read as a `T`.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and what is wrong with it.
    pub fn option_as<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>> {
        self.option(name).map(str::parse).transpose().map_err(|e| self.refuse(name, e))
    }

    /// The error for an option whose value cannot be used: [`Kind::Address`], with the option's name as
    /// [`Error::option`]. `why` says what was expected. Not for options with secrets: the message includes the value.
    #[must_use]
    pub fn refuse(&self, name: &str, why: impl fmt::Display) -> Error {
        let value = self.option(name).unwrap_or_default();
        Error::new(Kind::Address, format!("option `{name}={value}`: {why}")).with_option(name).at(self.label())
    }

    /// All options, by name.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same address with an option set.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Refuses unknown options, since a mistyped one would otherwise be ignored.
    ///
    /// # Errors
    /// [`Kind::Address`] names the option and lists those `allowed`.
    pub fn check_options(&self, allowed: &[&str]) -> Result<()> {
        match self.options.keys().find(|name| !allowed.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let what = match allowed {
                    [] => format!("unknown option `{name}`; expected none"),
                    _ => format!("unknown option `{name}`; expected one of {}", allowed.join(", ")),
                };
                Err(Error::new(Kind::Address, what).with_option(name).at(self.label()))
            }
        }
    }

    /// The address without options and without a URL's user, password and query, for messages and logs.
    pub fn label(&self) -> String {
        format!("{}{}", self.protocol, Where { link: &self.link, credentials: false })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.protocol, Where { link: &self.link, credentials: true })?;
        for (i, (name, value)) in self.options.iter().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            write!(f, "{mark}{}={}", encode(name), encode(value))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl fmt::Debug for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Where { link: self, credentials: false })
    }
}

/// `+tcp://10.0.0.20:9100`
struct Where<'a> {
    link: &'a LinkKind,
    /// Whether to print a URL's user, password and query.
    credentials: bool,
}

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.link {
            LinkKind::Url(url) if self.credentials => return write!(f, "+{url}"),
            LinkKind::Url(url) => return write!(f, "+{}", without_secrets(url)),
            link => write!(f, "+{}://", link.scheme())?,
        }
        match self.link {
            LinkKind::Tcp { host, port } | LinkKind::Https { host, port } | LinkKind::Tls { host, port } => {
                if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            LinkKind::Serial { path } => f.write_str(&encode_path(path)),
            LinkKind::Usb(id) | LinkKind::Hid(id) | LinkKind::Evdev(id) => {
                write!(f, "{:04x}:{:04x}", id.vendor, id.product)?;
                id.serial.as_ref().map_or(Ok(()), |s| write!(f, "/{}", encode(s)))
            }
            LinkKind::Ble { device } | LinkKind::Spp { device } => f.write_str(device),
            LinkKind::V4l2 { path } | LinkKind::File { path } | LinkKind::Replay { path } => {
                f.write_str(&encode_path(&path.to_string_lossy()))
            }
            LinkKind::Url(_) => Ok(()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Address, why).at(format!("address `{}`", without_secrets(text)));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            bad("no `://` found".into()).hint("write <protocol>+<link>://<where>, such as escpos+tcp://10.0.0.20:9100")
        })?;
        let (protocol, link) = scheme.split_once('+').ok_or_else(|| {
            bad("the link is missing".to_owned()).hint("write <protocol>+<link>, such as escpos+tcp or zvt+tcp")
        })?;
        if protocol.is_empty() || !protocol.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(
                bad(format!("invalid protocol name `{protocol}`")).hint("protocols are escpos, zvt, scanner, camera")
            );
        }
        // The query of a URL belongs to the URL; that of any other link holds our options.
        let (place, query) = match link {
            "https" if !is_url(rest) => {
                rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)))
            }
            "http" | "https" | "rtsp" => (rest, None),
            _ => rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query))),
        };
        if place.is_empty() || (place == "/" && link != "file") {
            return Err(bad("expected a place after `://`".to_owned()));
        }
        let takes_credentials = !matches!(link, "tcp" | "tls" | "usb" | "hid" | "evdev" | "ble" | "spp");
        if !takes_credentials && place.split('/').next().is_some_and(|start| start.contains('@')) {
            return Err(bad(format!("an address over `{link}` cannot have a user or password")));
        }
        let link = match link {
            "tcp" => tcp(place).map(|(host, port)| LinkKind::Tcp { host, port }).map_err(&bad)?,
            "https" if !is_url(rest) => tcp(place).map(|(host, port)| LinkKind::Https { host, port }).map_err(&bad)?,
            "tls" => tcp(place).map(|(host, port)| LinkKind::Tls { host, port }).map_err(&bad)?,
            "serial" => LinkKind::Serial { path: decode(place).map_err(&bad)? },
            "usb" => LinkKind::Usb(usb(place).map_err(&bad)?),
            "hid" => LinkKind::Hid(usb(place).map_err(&bad)?),
            "evdev" => LinkKind::Evdev(usb(place).map_err(&bad)?),
            "ble" => LinkKind::Ble { device: bluetooth(place, false).map_err(&bad)? },
            "spp" => LinkKind::Spp { device: bluetooth(place, true).map_err(&bad)? },
            "v4l2" => LinkKind::V4l2 { path: decode(place).map_err(&bad)?.into() },
            "http" | "https" | "rtsp" => LinkKind::Url(format!("{link}://{place}")),
            "file" => LinkKind::File { path: decode(place).map_err(&bad)?.into() },
            "replay" => LinkKind::Replay { path: decode(place).map_err(&bad)?.into() },
            other => return Err(bad(format!("unknown link `{}`; expected one of {LINKS}", without_secrets(other)))),
        };
        let mut options = BTreeMap::new();
        // No error includes a value or what may be a part of one: it could be a secret.
        for (i, pair) in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()).enumerate() {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                let error = bad(format!("option {} has no value", i + 1));
                error.hint("write NAME=VALUE; in a value, write & as %26 and = as %3D")
            })?;
            let name = decode(name).map_err(|_| bad(format!("the name of option {} is not UTF-8", i + 1)))?;
            let value = decode(value)
                .map_err(|_| bad(format!("the value of option `{name}` is not UTF-8")).with_option(&name))?;
            if options.insert(name.clone(), value).is_some() {
                return Err(bad(format!("option `{name}` is given twice")).with_option(&name));
            }
        }
        Ok(Self { protocol: protocol.to_owned(), link, options })
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What follows `https://` has a path, or a user: it is a URL of its own.
fn is_url(rest: &str) -> bool {
    rest.split('?').next().is_some_and(|place| place.contains(['/', '@']))
}

fn tcp(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("`[` without `]`")?;
            (host, after.strip_prefix(':'))
        }
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.contains(['/', ' ']) || (host.contains(':') && !place.starts_with('[')) {
        return Err(format!("invalid host `{host}`; write HOST:PORT, an IPv6 address in [brackets]"));
    }
    let port = match port {
        Some(port) => {
            let read = port.parse().ok().filter(|&p: &u16| p != 0);
            Some(read.ok_or(format!("invalid port `{port}`; ports are 1 to 65535"))?)
        }
        None => None,
    };
    Ok((host.to_owned(), port))
}

fn usb(place: &str) -> Result<UsbId, String> {
    let (ids, serial) = place.split_once('/').map_or((place, None), |(ids, serial)| (ids, Some(serial)));
    let hex = |s: &str| (s.len() == 4).then(|| u16::from_str_radix(s, 16).ok()).flatten();
    let (vendor, product) = ids
        .split_once(':')
        .and_then(|(v, p)| Some((hex(v)?, hex(p)?)))
        .ok_or(format!("invalid device `{ids}`; expected VVVV:PPPP, vendor and product as four hex digits each"))?;
    let serial = serial.filter(|s| !s.is_empty()).map(decode).transpose()?;
    Ok(UsbId { vendor, product, serial })
}

fn bluetooth(place: &str, strict: bool) -> Result<String, String> {
    let is_mac = place.split(':').count() == 6
        && place.split(':').all(|o| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit()));
    match (is_mac, strict || place.contains(':')) {
        (true, _) => Ok(place.to_ascii_uppercase()),
        (false, false) => decode(place),
        (false, true) => Err(format!("invalid Bluetooth address `{place}`; expected AA:BB:CC:DD:EE:FF")),
    }
}

/// An address or URL, perhaps mistyped, without the parts that may hold a password: options or query, and everything
/// before an `@`.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    // The last `@`, even after a `?` or `/`, since a password may contain both.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split('?').next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{}{separator}{rest}", scheme.rsplit('@').next().unwrap_or_default())
}

const RESERVED: AsciiSet =
    CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#').add(b'&').add(b'=').add(b'"').add(b'<').add(b'>');
const RESERVED_IN_PATH: AsciiSet = RESERVED.remove(b'&').remove(b'=');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED_IN_PATH).to_string()
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|t| t.into_owned())
        .map_err(|_| format!("`{text}` does not decode to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_without_a_path_is_a_server_with_options_of_its_own() {
        let address = |text: &str| text.parse::<Address>().expect(text);
        let server = address("nexo+https://10.0.0.9?passphrase=secret");
        assert_eq!(server.link().server(), Some(("10.0.0.9", None)));
        assert_eq!(server.option("passphrase"), Some("secret"));
        assert_eq!(server.clone().or_port(8443).label(), "nexo+https://10.0.0.9:8443");
        assert_eq!(address("nexo+https://t:1").or_port(8443).label(), "nexo+https://t:1");
        let tls = address("zvt+tls://[fe80::1]?fingerprint=ab").or_port(22001);
        assert_eq!((tls.link().scheme(), tls.link().server()), ("tls", Some(("fe80::1", Some(22001)))));
        assert_eq!(tls.to_string(), "zvt+tls://[fe80::1]:22001?fingerprint=ab");
        for url in ["camera+https://10.0.0.9/?a=b", "camera+https://user:pw@10.0.0.9"] {
            assert!(matches!(address(url).link(), LinkKind::Url(_)), "{url}");
        }
        for wrong in ["nexo+https://", "nexo+https://:1", "nexo+https://t:0", "nexo+https://t?a"] {
            assert_eq!(wrong.parse::<Address>().expect_err(wrong).kind(), Kind::Address);
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in [
            "escpos+tcp://10.0.0.20:9100",
            "escpos+tcp://[fe80::1]:9100",
            "escpos+tcp://bar",
            "acme+tcp://[fe80::1]?speed=2",
            "escpos+usb://04b8:0e15/SERIAL",
            "escpos+usb://04b8:0e15",
            "escpos+serial:///dev/ttyUSB0?baud=38400",
            "escpos+serial://COM3",
            "escpos+ble://AA:BB:CC:DD:EE:FF",
            "star+spp://AA:BB:CC:DD:EE:FF",
            "opi+tcp://10.0.0.31:20002?listen=20007",
            "scanner+hid://05e0:1900",
            "scanner+evdev://05e0:1200/S%20123?grab=false",
            "camera+v4l2:///dev/video0",
            "nexo+https://10.0.0.9",
            "nexo+https://[fe80::1]:8443?key=shop&passphrase=a%26b",
            "camera+https://10.0.0.40/stream?fps=5",
            "camera+http://10.0.0.40/stream?fps=5",
            "camera+rtsp://10.0.0.41/live",
            "camera+file:///var/my%20frames",
            "zvt+replay:///tmp/declined.capture",
            "zvt+tcp://t:20007?password=a%26b%3Dc",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(address.to_string().parse::<Address>().expect(text), address);
        }
    }

    #[test]
    fn fills_in_the_usual_port() {
        let with = |text: &str| text.parse::<Address>().expect(text).or_port(9100).to_string();
        assert_eq!(with("escpos+tcp://bar"), "escpos+tcp://bar:9100");
        assert_eq!(with("escpos+tcp://[fe80::1]"), "escpos+tcp://[fe80::1]:9100");
        assert_eq!(with("escpos+tcp://bar:9101"), "escpos+tcp://bar:9101");
        assert_eq!(with("escpos+serial:///dev/ttyS0"), "escpos+serial:///dev/ttyS0");
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("10.0.0.20:9100", "no `://`"),
            ("tcp://10.0.0.20", "the link is missing"),
            ("escpos+ftp://x", "unknown link `ftp`; expected one of tcp"),
            ("escpos+tcp://", "expected a place after"),
            ("escpos+tcp://x:0", "invalid port `0`"),
            ("escpos+tcp://fe80::1", "in [brackets]"),
            ("escpos+usb://4b8:e15", "four hex digits"),
            ("scanner+evdev:///dev/input/event5", "VVVV:PPPP"),
            ("star+spp://AA:BB", "Bluetooth address"),
            ("escpos+serial:///dev/x?baud", "has no value"),
            ("escpos+serial:///dev/x?a=1&a=2", "twice"),
            ("+tcp://x:1", "invalid protocol name"),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert_eq!(error.kind(), Kind::Address);
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.to_string().contains(&without_secrets(text)), "{error}");
        }
    }

    #[test]
    fn passwords_stay_out_of_messages() {
        let address: Address = "zvt+tcp://t:1?password=424242".parse().expect("terminal");
        assert!(!format!("{address:?} {}", address.label()).contains("424242"));
        let error = address.check_options(&["baud"]).expect_err("unknown");
        assert!(error.to_string().contains("unknown option `password`; expected one of baud"));
        assert!(!"zvt+tcp://?password=424242".parse::<Address>().expect_err("no host").to_string().contains("424242"));
    }

    #[test]
    fn credentials_of_urls_stay_out_of_messages() {
        let text = "camera+rtsp://admin:geheim@10.0.0.41:554/live?token=geheim2&n=1";
        let camera: Address = text.parse().expect("a camera");
        assert_eq!(camera.to_string(), text, "Display prints what is read");
        assert_eq!(camera.label(), "camera+rtsp://10.0.0.41:554/live");
        for shown in [
            format!("{camera:?}"),
            format!("{:?}", camera.link()),
            camera.check_options(&[]).err().map_or_else(String::new, |e| e.to_string()),
        ] {
            assert!(!shown.contains("geheim") && !shown.contains("admin"), "{shown}");
        }
        // A mistyped scheme or link, a password with reserved letters, an option that lost its name.
        for wrong in [
            "camera+http+x://admin:geheim@10.0.0.1/x",
            "camera-http://admin:geheim@10.0.0.1/x",
            "admin:geheim@10.0.0.1",
            "escpos+tcp://admin:geheim@10.0.0.1:9100",
            "escpos+usb://admin:geheim@10.0.0.1",
            "scanner+ble://admin:geheim@10.0.0.1",
            "camera+admin:geheim@http://10.0.0.1/x",
            "camera+htp://admin:ge?heim/geheim@10.0.0.1/x",
            "zvt+tcp://t:1?password=ab&geheim",
            "zvt+tcp://t:1?password=geheim%ff",
        ] {
            let error = wrong.parse::<Address>().expect_err(wrong);
            let shown = format!("{error:#} {error:?}");
            assert!(!shown.contains("geheim") && !shown.contains("heim") && !shown.contains("admin"), "{shown}");
        }
    }

    #[test]
    fn an_option_that_is_refused_is_named_as_data() {
        let address: Address = "escpos+tcp://p?connect-timeout=soon&spped=1".parse().expect("an address");
        assert_eq!(address.option_as::<f64>("connect-timeout").expect_err("soon").option(), Some("connect-timeout"));
        assert_eq!(address.check_options(&["connect-timeout"]).expect_err("unknown").option(), Some("spped"));
        assert_eq!("escpos+tcp://p?a=1&a=2".parse::<Address>().expect_err("twice").option(), Some("a"));
    }
}
