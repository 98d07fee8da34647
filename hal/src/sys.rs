//! All unsafe code: four ioctls of Linux and `AsyncFd`. The ioctls are the feature reports of hidraw
//! (`HIDIOCSFEATURE` and `HIDIOCGFEATURE` of linux/hidraw.h) and the grab and the pressed keys of an input device
//! (`EVIOCGRAB` and `EVIOCGKEY` of linux/input.h).
#![allow(unsafe_code, reason = "ioctls; the only unsafe code of the crate")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a non-blocking descriptor for input.
pub(crate) fn readable<T: Owned>(inner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the implementors of `Owned` keep one and the same descriptor open until they are dropped,
    // which the AsyncFd does after deregistering it.
    Ok(unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE) }?)
}

/// Types that own a descriptor and keep it open and unchanged until they are dropped.
pub(crate) trait Owned: AsRawFd + private::Sealed {}
impl<T: AsRawFd + private::Sealed> Owned for T {}

mod private {
    pub(crate) trait Sealed {}
    impl Sealed for super::Arc<super::File> {}
    impl Sealed for super::OwnedFd {}
}

/// `_IOC_WRITE` and `_IOC_READ` of linux/ioctl.h: the program writes to the driver, or reads from it.
const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC(direction, group, number, length)` of linux/ioctl.h.
fn request(direction: u32, group: u8, number: u32, length: usize) -> u32 {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x3fff;
    direction << 30 | length << 16 | u32::from(group) << 8 | number
}

/// Sends a feature report; its first byte is the report's number, 0 if there is only one.
pub(crate) fn set_feature(file: &File, report: &mut [u8]) -> io::Result<usize> {
    call(file, WRITE | READ, b'H', 0x06, report)
}

/// Reads the feature report whose number is in the first byte; returns its length, number included.
pub(crate) fn feature(file: &File, report: &mut [u8]) -> io::Result<usize> {
    call(file, WRITE | READ, b'H', 0x07, report)
}

/// Grabs or releases an input device. EBUSY if another program has grabbed it.
pub(crate) fn grab(file: &File, on: bool) -> io::Result<()> {
    let request = request(WRITE, b'E', 0x90, size_of::<libc::c_int>());
    // SAFETY: the descriptor is open for as long as `file` is borrowed; EVIOCGRAB takes its argument by value
    // and touches no memory of ours.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), request as _, libc::c_ulong::from(on)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether any key of an input device is down.
pub(crate) fn any_key_down(file: &File) -> io::Result<bool> {
    // A bit for every key: KEY_MAX of linux/input-event-codes.h is 0x2ff.
    let mut keys = [0; 0x300 / 8];
    call(file, READ, b'E', 0x18, &mut keys)?;
    Ok(keys.iter().any(|byte| *byte != 0))
}

/// An ioctl that reads or writes `buffer`.
fn call(file: &File, direction: u32, group: u8, number: u32, buffer: &mut [u8]) -> io::Result<usize> {
    // The request carries the length in 14 bits.
    if buffer.len() > 0x3fff {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let request = request(direction, group, number, buffer.len());
    // SAFETY: the descriptor is open for as long as `file` is borrowed; the kernel reads and writes at most
    // as many bytes as the request announces, and `buffer` is exactly that long and borrowed mutably.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), request as _, buffer.as_mut_ptr()) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    // linux/hidraw.h: HIDIOCSFEATURE(len) _IOC(_IOC_WRITE|_IOC_READ, 'H', 0x06, len)
    // linux/input.h: EVIOCGRAB _IOW('E', 0x90, int), EVIOCGKEY(len) _IOC(_IOC_READ, 'E', 0x18, len)
    #[test]
    fn the_request_carries_direction_number_and_length() {
        assert_eq!(request(WRITE | READ, b'H', 0x06, 5), 0xc005_4806);
        assert_eq!(request(WRITE | READ, b'H', 0x07, 64), 0xc040_4807);
        assert_eq!(request(WRITE, b'E', 0x90, 4), 0x4004_4590);
        assert_eq!(request(READ, b'E', 0x18, 96), 0x8060_4518);
    }

    #[test]
    fn another_kind_of_file_refuses() {
        let file = File::open("/dev/null").expect("there on every Unix");
        assert!(feature(&file, &mut [0; 8]).is_err());
        assert!(set_feature(&file, &mut [0; 0x4000]).is_err());
        assert!(grab(&file, true).is_err() && any_key_down(&file).is_err());
    }
}
