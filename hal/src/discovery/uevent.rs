//! The kernel's and udevd's announcements of devices that come and go: netlink, NETLINK_KOBJECT_UEVENT.
//!
//! An announcement only triggers a new listing, so it does not matter who sent it. If udevd runs, its announcements are
//! used, because they follow after it has set permissions and created links.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with};
use tokio::io::unix::AsyncFd;

use super::{Buses, Source};
use crate::sys;

/// Multicast groups.
const KERNEL: u32 = 1;
const UDEV: u32 = 2;
/// Subsystems, and the buses that list their devices.
const SUBSYSTEMS: [(&str, Buses); 6] = [
    ("usb", Buses::USB),
    ("usbmisc", Buses::USB),
    ("tty", Buses::SERIAL),
    ("hidraw", Buses::HID),
    ("input", Buses::HID),
    ("video4linux", Buses::CAMERAS),
];

#[derive(Debug)]
pub(super) struct Uevents {
    socket: AsyncFd<OwnedFd>,
}

/// Subscribes to the announcements that this system has.
///
/// # Errors
/// Why there are none.
pub(super) fn open() -> Result<(Uevents, Source), String> {
    // The kernel announces devices in the first user namespace only.
    let namespace = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !namespace.is_empty() && !is_first_namespace(&namespace) {
        return Err("a container without the host's user namespace receives no device announcements".to_owned());
    }
    let udev = Path::new("/run/udev/control").exists();
    let open = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, if udev { UDEV } else { KERNEL }))?;
        sys::readable(socket)
    };
    let socket = open().map_err(|e| format!("the kernel's announcements cannot be received ({e})"))?;
    Ok((Uevents { socket }, if udev { Source::Udev } else { Source::Kernel }))
}

impl Uevents {
    /// Waits until a device may have come or gone, consumes all pending announcements, and returns the buses to search.
    pub(super) async fn changed(&self) -> Buses {
        loop {
            let Ok(mut ready) = self.socket.readable().await else { return std::future::pending().await };
            let mut buses = Buses::NONE;
            let mut buffer = [MaybeUninit::uninit(); 8192];
            loop {
                let got = ready.try_io(|fd| {
                    let ((bytes, _), ..) = recvfrom(fd.get_ref(), &mut buffer, RecvFlags::DONTWAIT)?;
                    Ok(concerned(bytes))
                });
                match got {
                    Ok(Ok(bus)) => buses |= bus,
                    // ENOBUFS: the socket's buffer overflowed.
                    Ok(Err(_)) => return Buses::ALL,
                    Err(_would_block) => break,
                }
            }
            if buses != Buses::NONE {
                return buses;
            }
        }
    }
}

/// The bus that lists the announced device. Properties are NUL-terminated in both kinds of announcement.
fn concerned(announcement: &[u8]) -> Buses {
    let properties = announcement.split(|byte| *byte == 0);
    let subsystem = properties.filter_map(|property| property.strip_prefix(b"SUBSYSTEM=")).next();
    let known = SUBSYSTEMS.iter().find(|(name, _)| subsystem == Some(name.as_bytes()));
    known.map_or(Buses::NONE, |(_, bus)| *bus)
}

/// `0 0 4294967295`: every user id maps to itself.
fn is_first_namespace(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_of_buses_that_carry_devices() {
        let usb = b"add@/devices/usb1/1-1\0ACTION=add\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0";
        assert_eq!(concerned(usb), Buses::USB);
        assert_eq!(concerned(b"libudev\0\xfe\xed\xca\xfe\0\0\0\x28ACTION=add\0SUBSYSTEM=hidraw\0"), Buses::HID);
        assert_eq!(concerned(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=input\0DEVNAME=input/event5\0"), Buses::HID);
        for other in [&b"change@/devices/x\0ACTION=change\0SUBSYSTEM=block\0"[..], b"SUBSYSTEM=usbb", b""] {
            assert_eq!(concerned(other), Buses::NONE);
        }
    }

    #[test]
    fn knows_a_user_namespace() {
        assert!(is_first_namespace("         0          0 4294967295\n"));
        assert!(!is_first_namespace("         0       1000          1\n"));
    }
}
