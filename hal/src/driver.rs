//! The common part of all drivers: unsolicited events and closing.

use crate::{BoxFuture, Result};

/// A device driver on one open link. One task owns it and calls one method at a time.
///
/// A driver lives as long as its link: when the link is lost, the owner drops the driver, opens a new link and creates
/// a new driver. Drivers never reconnect by themselves.
pub trait Driver: Send {
    /// An unsolicited event: a scan, a status change.
    type Event: Send + 'static;

    /// Waits for the next unsolicited event.
    ///
    /// Cancel-safe: a dropped future loses no input. The owner waits here between calls.
    ///
    /// # Errors
    /// The link is lost, or the device violated its protocol irrecoverably.
    fn event(&mut self) -> BoxFuture<'_, Result<Self::Event>>;

    /// Ends the protocol's session and drains the link. No other method may be called afterwards.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}
