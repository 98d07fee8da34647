//! Simulators are the device's side of a protocol, sans-IO; this module serves them over real
//! links, so that other people's software can be tested with them.

mod serve;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

#[cfg(all(unix, feature = "serial"))]
pub use serve::{Pty, pty};
pub use serve::{Server, link, tcp};

/// The device's side of one protocol. It does no IO, reads no clock and spawns nothing.
///
/// The server calls `connected`, then feeds what comes in and sends what goes out, until either
/// side hangs up. State outlives a connection: a printer keeps its paper, a terminal its ledger.
pub trait Device: Send {
    /// A host has connected.
    fn connected(&mut self, now: Instant) {
        let _ = now;
    }

    /// Bytes from the host, split anywhere.
    fn input(&mut self, bytes: &[u8], now: Instant);

    /// What the device does next; `None` when there is nothing to do until something happens.
    fn next_action(&mut self) -> Option<Action>;

    /// Whether the device takes input now. A printer whose buffer is full does not, and the
    /// host's send waits.
    fn is_ready(&self) -> bool {
        true
    }

    /// When [`Device::timeout`] wants to be called.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The connection has ended, whoever ended it.
    fn disconnected(&mut self, now: Instant) {
        let _ = now;
    }
}

/// One thing that a simulated device does to its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes.
    Send(Vec<u8>),
    /// End the connection. What is unsent is lost.
    HangUp,
}

/// A device that is being served, shared with whoever operates it: a test that takes the paper out,
/// a demo that looks at what was printed.
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

    /// Looks at or operates the device; its server sees at once what changed.
    pub fn with<T>(&self, operate: impl FnOnce(&mut D) -> T) -> T {
        let result = operate(&mut self.0.device.lock().expect("no operator of a simulator panics while holding it"));
        self.0.touched.notify_one();
        result
    }
}

impl<D> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
