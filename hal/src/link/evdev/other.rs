//! Stubs for platforms without evdev.

use super::Settings;
use crate::address::UsbId;
use crate::{BoxFuture, Error, Kind, Link, Result};

/// An open keyboard scanner; none exist on this platform.
#[derive(Debug)]
pub enum Evdev {}

/// Keyboard scanners are supported on Linux only.
///
/// # Errors
/// [`Kind::Unsupported`], always.
pub async fn open(_: &UsbId, _: &Settings) -> Result<Evdev> {
    Err(Error::new(Kind::Unsupported, "`evdev` links are supported on Linux only")
        .hint("set the scanner to serial (COM port) mode, by the code in its manual"))
}

impl Link for Evdev {
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
