//! Where a device is, however its address is written.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use tresen_hal::address::LinkKind;

/// The place that a link leads to, in one spelling; two devices cannot be open at one place. `None` for files,
/// recordings and streams, which can be opened repeatedly.
///
/// Host names are compared as written, without regard to case, not resolved; a serial port is followed through its
/// symbolic links, such as `/dev/serial/by-id/…`, if it is plugged in.
pub(crate) fn place(link: &LinkKind) -> Option<LinkKind> {
    Some(match link {
        LinkKind::File { .. } | LinkKind::Replay { .. } | LinkKind::Url(_) => return None,
        // With TLS or without, it is one place.
        LinkKind::Tcp { host, port } | LinkKind::Https { host, port } | LinkKind::Tls { host, port } => {
            LinkKind::Tcp { host: name(host), port: *port }
        }
        LinkKind::Serial { path } => LinkKind::Serial { path: port(path) },
        LinkKind::V4l2 { path } => LinkKind::V4l2 { path: file(path) },
        LinkKind::Ble { device } => LinkKind::Ble { device: bluetooth(device) },
        LinkKind::Spp { device } => LinkKind::Spp { device: bluetooth(device) },
        other => other.clone(),
    })
}

fn name(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) if host == "localhost" => "127.0.0.1".to_owned(),
        Err(_) => host,
    }
}

fn port(path: &str) -> String {
    // Windows: `COM3`, `com3` and `\\.\COM3` are one port.
    let short = path.strip_prefix(r"\\.\").unwrap_or(path).to_ascii_uppercase();
    if short.strip_prefix("COM").is_some_and(|number| number.parse::<u16>().is_ok()) {
        return short;
    }
    file(Path::new(path)).to_string_lossy().into_owned()
}

/// The file behind all links; of one that is not there, the path without `.` and doubled slashes.
fn file(path: &Path) -> PathBuf {
    let tidy = || path.components().filter(|part| *part != Component::CurDir).collect();
    std::fs::canonicalize(path).unwrap_or_else(|_| tidy())
}

fn bluetooth(device: &str) -> String {
    device.to_ascii_uppercase().replace('-', ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::Address;

    fn at(address: &str) -> Option<LinkKind> {
        place(address.parse::<Address>().expect(address).link())
    }

    #[test]
    fn one_place_in_several_spellings() {
        for (a, b) in [
            ("escpos+tcp://Printer.Shop.:9100", "escpos+tcp://printer.shop:9100"),
            ("escpos+tcp://localhost:9100", "escpos+tcp://127.0.0.1:9100"),
            ("escpos+tcp://[2001:DB8:0:0::1]:9100", "escpos+tcp://[2001:db8::1]:9100"),
            ("escpos+tcp://[::ffff:10.0.0.20]:9100", "escpos+tcp://10.0.0.20:9100"),
            ("escpos+serial://COM3", "escpos+serial://com3"),
            ("escpos+serial:///dev/no-such-port", "escpos+serial:///dev//./no-such-port"),
            ("escpos+ble://aa:bb:cc:dd:ee:ff", "escpos+ble://AA:BB:CC:DD:EE:FF"),
        ] {
            assert_eq!(at(a), at(b), "{a} and {b}");
            assert!(at(a).is_some(), "{a}");
        }
        for (a, b) in [
            ("escpos+tcp://10.0.0.20:9100", "escpos+tcp://10.0.0.20:9101"),
            ("escpos+tcp://printer:9100", "escpos+tcp://printer.shop:9100"),
            ("escpos+serial:///dev/ttyUSB0", "escpos+serial:///dev/ttyUSB1"),
            ("escpos+ble://AA:BB:CC:DD:EE:FF", "escpos+spp://AA:BB:CC:DD:EE:FF"),
        ] {
            assert_ne!(at(a), at(b), "{a} and {b}");
        }
        assert_eq!(at("camera+file:///tmp"), None, "a folder can be read twice");
    }

    #[cfg(unix)]
    #[test]
    fn a_port_is_the_same_by_its_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let (port, link) = (dir.path().join("ttyUSB0"), dir.path().join("by-id"));
        std::fs::write(&port, b"").expect("made");
        std::os::unix::fs::symlink(&port, &link).expect("linked");
        let serial = |path: &Path| place(&LinkKind::Serial { path: path.to_str().expect("text").to_owned() });
        assert_eq!(serial(&link), serial(&port));
    }
}
