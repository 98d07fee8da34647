//! A simulated printer on a link.

use std::time::{Duration, Instant};

use tresen_hal::sim::{Action, Device};

use super::{CAPACITY, KEPT, Simulator};

impl Device for Simulator {
    fn connected(&mut self, now: Instant) {
        self.now = Some(now);
        self.connection_bytes = 0;
        self.actions.clear();
        self.delayed.clear();
        self.report();
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.now = Some(now);
        self.last_input = Some(now);
        self.cut_short = false;
        let mut bytes = bytes;
        let left = self.faults.hang_up_after_bytes.map(|n| n.saturating_sub(self.connection_bytes));
        let hang_up = left.is_some_and(|left| bytes.len() > left);
        if let Some(left) = left.filter(|_| hang_up) {
            bytes = &bytes[..left];
        }
        self.connection_bytes += bytes.len();
        self.raw.extend_from_slice(bytes);
        if self.raw.len() > KEPT {
            self.raw.drain(..self.raw.len() - KEPT);
        }
        if self.faults.line.is_none() && self.on_line.is_empty() {
            self.take(bytes);
        } else {
            self.line_since.get_or_insert(now);
            self.on_line.extend(bytes);
        }
        if hang_up {
            self.actions.push_back(Action::HangUp);
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn is_ready(&self) -> bool {
        let full = self.blocked() && self.buffer.len() >= CAPACITY;
        !full && !self.faults.held && self.faults.line.is_none_or(|line| self.on_line.len() < line.buffer)
    }

    fn deadline(&self) -> Option<Instant> {
        // A slow line moves every 10 ms.
        let full = self.blocked() && self.buffer.len() >= CAPACITY;
        let line = self.now.filter(|_| !self.on_line.is_empty() && !full).map(|now| now + Duration::from_millis(10));
        let late = self.delayed.front().map(|(at, ..)| *at);
        [line, late, self.silent_at()].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        self.now = Some(now);
        if self.silent_at().is_some_and(|at| at <= now) {
            self.interpreter.end_sheet();
        }
        self.send_due(now);
        if !self.on_line.is_empty() {
            self.take_line(now);
        }
    }

    fn disconnected(&mut self, now: Instant) {
        self.now = Some(now);
        self.actions.clear();
        self.delayed.clear();
        // As in a real printer, half a command waits for its rest and takes the next job for it.
        if !self.buffer.is_empty() && !self.blocked() && !self.cut_short {
            self.cut_short = true;
            self.interpreter.cut_off(&self.buffer);
        }
        if self.silence.is_some() && !self.blocked() {
            self.interpreter.end_sheet();
        }
    }
}
