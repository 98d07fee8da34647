//! What every driver has, whatever its class: unsolicited events and an orderly end.

use crate::{BoxFuture, Result};

/// A device driver bound to one open link. One task owns it and calls one method at a time.
///
/// A driver lives as long as its link: when the link is lost, the owner drops the driver, opens a
/// new link and makes a new one. Drivers never reconnect by themselves.
pub trait Driver: Send {
    /// What the device says without being asked: a scan, a status change.
    type Event: Send + 'static;

    /// Waits for the next unsolicited event. Never ends without one.
    ///
    /// Cancel-safe: a dropped future loses no input. The owner waits here between calls.
    ///
    /// # Errors
    /// The link is lost, or the device broke its protocol beyond repair.
    fn event(&mut self) -> BoxFuture<'_, Result<Self::Event>>;

    /// Says goodbye as the protocol wants it and drains the link. Nothing is called afterwards.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}
