//! Serves simulators, which are the device's side of a protocol, over real links, so that other software can be tested
//! with them.

mod serve;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

#[cfg(all(unix, feature = "serial"))]
pub use serve::{Pty, pty};
pub use serve::{Server, link, over, tcp};

/// The device's side of one protocol. It does no IO, reads no clock and spawns nothing.
///
/// The server calls `connected`, then passes on input and sends output until either side hangs up. State outlives a
/// connection: a printer keeps its paper, a terminal its ledger.
pub trait Device: Send {
    /// A host has connected.
    fn connected(&mut self, now: Instant) {
        let _ = now;
    }

    /// Bytes from the host, split anywhere.
    fn input(&mut self, bytes: &[u8], now: Instant);

    /// The next action of the device; `None` if it has nothing to do for now.
    fn next_action(&mut self) -> Option<Action>;

    /// Whether the device accepts input now. A printer with a full buffer does not, and the host's send waits.
    fn is_ready(&self) -> bool {
        true
    }

    /// When [`Device::timeout`] is due.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The connection has ended, from either side.
    fn disconnected(&mut self, now: Instant) {
        let _ = now;
    }
}

/// An action of a simulated device on its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes.
    Send(Vec<u8>),
    /// End the connection. Unsent bytes are lost.
    HangUp,
}

/// A served device, shared with its operator: a test that removes the paper, a demo that shows what was printed.
#[derive(Debug)]
pub struct Shared<D>(Arc<Inner<D>>);

#[derive(Debug)]
struct Inner<D> {
    device: Mutex<D>,
    touched: Notify,
}

impl<D> Shared<D> {
    /// Makes `device` shareable.
    pub fn new(device: D) -> Self {
        Self(Arc::new(Inner { device: Mutex::new(device), touched: Notify::new() }))
    }

    /// Inspects or operates the device. The server notices changes at once.
    pub fn with<T>(&self, operate: impl FnOnce(&mut D) -> T) -> T {
        let result = operate(&mut self.0.device.lock().expect("no operator of a simulator panics while holding it"));
        self.0.touched.notify_one();
        result
    }

    /// As [`Shared::with`], for what serves the device: it does not wake itself.
    pub fn serve<T>(&self, operate: impl FnOnce(&mut D) -> T) -> T {
        operate(&mut self.0.device.lock().expect("no operator of a simulator panics while holding it"))
    }

    /// Waits until the device has been operated. Cancel-safe.
    pub async fn operated(&self) {
        self.0.touched.notified().await;
    }
}

impl<D> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
