//! The simplest device behind a gadget: keeps what it gets, answers a status request.

use std::time::Instant;

use tresen_hal::sim::{Action, Device};

/// Keeps all bytes; answers DLE EOT n (ESC/POS real-time status) with 0x12, which is "all well" of n = 1.
#[derive(Debug, Default)]
pub struct Paper {
    /// What came, in order.
    pub printed: Vec<u8>,
    /// What to say unasked, or in answer.
    pub actions: Vec<Action>,
    /// Takes nothing while set.
    pub busy: bool,
    asked: usize,
}

impl Device for Paper {
    fn input(&mut self, bytes: &[u8], _: Instant) {
        // Whoever operates it may have emptied it.
        self.asked = self.asked.min(self.printed.len());
        self.printed.extend_from_slice(bytes);
        while let Some(at) = self.printed[self.asked..].windows(3).position(|w| w[..2] == [0x10, 0x04]) {
            self.asked += at + 3;
            self.actions.push(Action::Send(vec![0x12]));
        }
        self.asked = self.asked.max(self.printed.len().saturating_sub(2));
    }

    fn next_action(&mut self) -> Option<Action> {
        (!self.actions.is_empty()).then(|| self.actions.remove(0))
    }

    fn is_ready(&self) -> bool {
        !self.busy
    }
}
