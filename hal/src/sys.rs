//! What only unsafe code reaches on Linux, all of it: feature reports of hidraw, which the system offers
//! through ioctl(2) alone (`HIDIOCSFEATURE` and `HIDIOCGFEATURE` of linux/hidraw.h), and tokio's registration of a
//! descriptor.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits for input on a non-blocking descriptor.
pub(crate) fn readable<T: Owned>(inner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the implementors of `Owned` keep one and the same descriptor open until they are dropped,
    // which the AsyncFd does after deregistering it.
    Ok(unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE) }?)
}

/// Types that own a descriptor and neither close nor change it while they live.
pub(crate) trait Owned: AsRawFd + private::Sealed {}
impl<T: AsRawFd + private::Sealed> Owned for T {}

mod private {
    pub(crate) trait Sealed {}
    impl Sealed for super::Arc<super::File> {}
    impl Sealed for super::OwnedFd {}
}

/// `_IOC(_IOC_WRITE|_IOC_READ, 'H', number, length)` of linux/ioctl.h.
fn request(number: u32, length: usize) -> u32 {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x3fff;
    3 << 30 | length << 16 | u32::from(b'H') << 8 | number
}

/// Sends a feature report; its first byte is the report's number, 0 if there is only one.
pub(crate) fn set_feature(file: &File, report: &mut [u8]) -> io::Result<usize> {
    call(file, 0x06, report)
}

/// Reads the feature report whose number is in the first byte; returns its length, number included.
pub(crate) fn feature(file: &File, report: &mut [u8]) -> io::Result<usize> {
    call(file, 0x07, report)
}

fn call(file: &File, number: u32, report: &mut [u8]) -> io::Result<usize> {
    // The request carries the length in 14 bits.
    if report.len() > 0x3fff {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let request = request(number, report.len());
    // SAFETY: the descriptor is open for as long as `file` is borrowed; the kernel reads and writes at most
    // as many bytes as the request announces, and `report` is exactly that long and borrowed mutably.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), request as _, report.as_mut_ptr()) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    // linux/hidraw.h: HIDIOCSFEATURE(len) _IOC(_IOC_WRITE|_IOC_READ, 'H', 0x06, len)
    #[test]
    fn the_request_carries_number_and_length() {
        assert_eq!(request(0x06, 5), 0xc005_4806);
        assert_eq!(request(0x07, 64), 0xc040_4807);
    }

    #[test]
    fn another_kind_of_file_refuses() {
        let file = File::open("/dev/null").expect("there on every Unix");
        assert!(feature(&file, &mut [0; 8]).is_err());
        assert!(set_feature(&file, &mut [0; 0x4000]).is_err());
    }
}
