//! The kernel's and udevd's announcements of devices that come and go: netlink, NETLINK_KOBJECT_UEVENT.
//!
//! What they say is only taken as a reason to look, so nothing depends on who sent it. Where udevd runs,
//! its own announcements count, because they come after it has set permissions and made links.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with};
use tokio::io::unix::AsyncFd;

use super::Source;
use crate::sys;

/// Multicast groups.
const KERNEL: u32 = 1;
const UDEV: u32 = 2;
/// Subsystems whose devices are listed.
const SUBSYSTEMS: [&str; 5] = ["usb", "tty", "hidraw", "video4linux", "usbmisc"];

#[derive(Debug)]
pub(super) struct Uevents {
    socket: AsyncFd<OwnedFd>,
}

/// Opens whichever announcements this system has.
///
/// # Errors
/// Says why there are none.
pub(super) fn open() -> Result<(Uevents, Source), String> {
    // The kernel announces devices in the first user namespace only.
    let namespace = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !namespace.is_empty() && !is_first_namespace(&namespace) {
        return Err("a container without the host's user namespace hears of no devices".to_owned());
    }
    let udev = Path::new("/run/udev/control").exists();
    let open = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, if udev { UDEV } else { KERNEL }))?;
        sys::readable(socket)
    };
    let socket = open().map_err(|e| format!("the kernel's announcements cannot be heard ({e})"))?;
    Ok((Uevents { socket }, if udev { Source::Udev } else { Source::Kernel }))
}

impl Uevents {
    /// Waits until a device may have come or gone, and takes in all that was announced so far.
    pub(super) async fn changed(&self) {
        loop {
            let Ok(mut ready) = self.socket.readable().await else { return std::future::pending().await };
            let mut relevant = false;
            let mut buffer = [MaybeUninit::uninit(); 8192];
            loop {
                let got = ready.try_io(|fd| {
                    let ((bytes, _), ..) = recvfrom(fd.get_ref(), &mut buffer, RecvFlags::DONTWAIT)?;
                    Ok(concerns_us(bytes))
                });
                match got {
                    Ok(Ok(concerns)) => relevant |= concerns,
                    // ENOBUFS: more was announced than the socket holds.
                    Ok(Err(_)) => return,
                    Err(_would_block) => break,
                }
            }
            if relevant {
                return;
            }
        }
    }
}

/// Properties end with 0, in both kinds of announcement.
fn concerns_us(announcement: &[u8]) -> bool {
    announcement.split(|byte| *byte == 0).any(|property| {
        property.strip_prefix(b"SUBSYSTEM=").is_some_and(|name| SUBSYSTEMS.iter().any(|s| s.as_bytes() == name))
    })
}

/// `0 0 4294967295`: every user id means itself.
fn is_first_namespace(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_of_buses_that_carry_devices() {
        let usb = b"add@/devices/usb1/1-1\0ACTION=add\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0";
        assert!(concerns_us(usb));
        assert!(concerns_us(b"libudev\0\xfe\xed\xca\xfe\0\0\0\x28ACTION=add\0SUBSYSTEM=hidraw\0"));
        assert!(!concerns_us(b"change@/devices/x\0ACTION=change\0SUBSYSTEM=block\0"));
        assert!(!concerns_us(b"SUBSYSTEM=usbb"));
        assert!(!concerns_us(b""));
    }

    #[test]
    fn knows_a_user_namespace() {
        assert!(is_first_namespace("         0          0 4294967295\n"));
        assert!(!is_first_namespace("         0       1000          1\n"));
    }
}
