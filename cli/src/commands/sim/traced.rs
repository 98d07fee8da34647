//! A simulated device whose traffic is logged at `-vv`, masked as in recordings.

use std::time::Instant;

use tresen::Address;
use tresen::hal::link::record::{Direction, Redactor};
use tresen::hal::sim::{Action, Device};

use crate::commands::diagnose::hex;
use crate::devices;

/// A device with traced traffic.
pub(super) struct Traced<D> {
    pub(super) device: D,
    address: Address,
    redactor: Box<dyn Redactor>,
}

impl<D> Traced<D> {
    /// `address` names the protocol, which determines what is masked.
    pub(super) fn new(device: D, address: Address) -> Self {
        Self { device, redactor: devices::drivers().redactor(&address), address }
    }

    /// Directions are the host's, as in recordings: what the device receives is `Sent`.
    fn trace(&mut self, direction: Direction, bytes: &[u8]) {
        if tracing::enabled!(tracing::Level::TRACE) {
            let shown = self.redactor.feed(direction, bytes);
            let from = if direction == Direction::Sent { "host" } else { "device" };
            tracing::trace!(from, bytes = %hex(&shown), "frame");
        }
    }
}

impl<D: Device> Device for Traced<D> {
    fn connected(&mut self, now: Instant) {
        tracing::debug!("host connected");
        self.redactor = devices::drivers().redactor(&self.address);
        self.device.connected(now);
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.trace(Direction::Sent, bytes);
        self.device.input(bytes, now);
    }

    fn next_action(&mut self) -> Option<Action> {
        let action = self.device.next_action();
        if let Some(Action::Send(bytes)) = &action {
            self.trace(Direction::Received, bytes);
        }
        action
    }

    fn is_ready(&self) -> bool {
        self.device.is_ready()
    }

    fn deadline(&self) -> Option<Instant> {
        self.device.deadline()
    }

    fn timeout(&mut self, now: Instant) {
        self.device.timeout(now);
    }

    fn disconnected(&mut self, now: Instant) {
        tracing::debug!("host disconnected");
        self.device.disconnected(now);
    }
}
