//! Stubs for platforms without hidraw.

use super::{Description, Settings};
use crate::address::UsbId;
use crate::{BoxFuture, Error, Kind, Link, Result};

/// An open HID device; none exist on this platform.
#[derive(Debug)]
pub enum Hid {}

/// HID is supported on Linux only.
///
/// # Errors
/// [`Kind::Unsupported`], always.
pub async fn open(_: &UsbId, _: &Settings) -> Result<Hid> {
    Err(unsupported())
}

/// HID is supported on Linux only.
///
/// # Errors
/// [`Kind::Unsupported`], always.
pub async fn describe(_: &UsbId, _: &Settings) -> Result<Description> {
    Err(unsupported())
}

fn unsupported() -> Error {
    Error::new(Kind::Unsupported, "`hid` links are supported on Linux only")
        .hint("set the device to serial (COM port) mode, if it has one")
}

impl Link for Hid {
    fn send<'a>(&'a self, _: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        match *self {}
    }
    fn recv<'a>(&'a self, _: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        match *self {}
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        match *self {}
    }
}
