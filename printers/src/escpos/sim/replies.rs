//! What a simulated printer answers and reports.

use std::time::Instant;

use tresen_hal::sim::Action;

use super::interpreter::Ask;
use super::render::pulse;
use super::{Mishap, Simulator};

impl Simulator {
    pub(super) fn answer(&mut self, ask: Ask, command: &[u8]) {
        match ask {
            Ask::Initialize => self.automatic = 0,
            Ask::Automatic(mask) => {
                self.automatic = mask;
                self.reported = None;
                self.report();
            }
            Ask::ProcessId([a, b, c, d]) if !self.faults.no_process_id => self.reply(vec![0x37, 0x22, a, b, c, d, 0]),
            Ask::Status(1 | 49) if !self.faults.no_transmit_status => self.reply(vec![self.automatic_status()[2]]),
            Ask::Status(2 | 50) if !self.faults.no_transmit_status => self.reply(vec![self.state.drawer_high.into()]),
            Ask::Status(1 | 2 | 49 | 50) => {}
            Ask::Status(_) => _ = self.interpreter.skipped("GS r: a status that is not known", command),
            Ask::PaperSensor => self.reply(vec![self.automatic_status()[2]]),
            Ask::Peripheral => self.reply(vec![self.state.drawer_high.into()]),
            Ask::Id(n) if !self.faults.no_identity => match n {
                1 | 49 => self.reply(vec![0x20]),
                2 | 50 => self.reply(vec![0x02]),
                3 | 51 => self.reply(vec![0x01]),
                65 => self.reply_text(2),
                66 => self.reply_text(0),
                67 => self.reply_text(1),
                68 => self.reply_text(3),
                _ => _ = self.interpreter.skipped("GS I: an identity that is not known", command),
            },
            _ => {}
        }
    }

    fn reply_text(&mut self, which: usize) {
        let text = [b"_", self.identity[which].as_bytes(), b"\0"].concat();
        self.reply(text);
    }

    pub(super) fn reply(&mut self, mut bytes: Vec<u8>) {
        if self.faults.mute || self.faults.held {
            return;
        }
        let (mut late, mut overtaken) = (self.faults.late, false);
        match self.faults.mishaps.pop_front().flatten() {
            None => {}
            Some(Mishap::Late(by)) => late += by,
            Some(Mishap::Overtaken(by)) => (late, overtaken) = (late + by, true),
            Some(Mishap::FirstByteLost) => _ = bytes.remove(0),
            Some(Mishap::Lost) => return,
            Some(Mishap::Instead(other)) => bytes = other,
        }
        let Some(now) = self.now.filter(|_| !late.is_zero() || !self.delayed.is_empty()) else {
            return self.actions.push_back(Action::Send(bytes));
        };
        // Behind earlier replies, unless they may be overtaken.
        let behind = self.delayed.iter().filter(|(.., overtaken)| !overtaken).map(|(at, ..)| *at).max();
        let at = behind.map_or(now + late, |behind| behind.max(now + late));
        let place = self.delayed.partition_point(|(other, ..)| *other <= at);
        self.delayed.insert(place, (at, bytes, overtaken));
        self.send_due(now);
    }

    /// Sends the delayed replies that are due.
    pub(super) fn send_due(&mut self, now: Instant) {
        while let Some((_, bytes, _)) = self.delayed.pop_front_if(|(at, ..)| *at <= now) {
            self.actions.push_back(Action::Send(bytes));
        }
    }

    /// Sends Automatic Status Back, if enabled and something has changed.
    pub(super) fn report(&mut self) {
        let status = self.automatic_status();
        if self.automatic != 0 && !self.faults.no_automatic_status && self.reported != Some(status) {
            self.reported = Some(status);
            self.reply(status.to_vec());
        }
    }

    /// Epson, GS a: bit 4 of the first byte is always set.
    fn automatic_status(&self) -> [u8; 4] {
        let s = &self.state;
        let bit = |on: bool, bit: u8| u8::from(on) << bit;
        [
            0x10 | bit(s.drawer_high, 2) | bit(self.blocked(), 3) | bit(s.cover_open, 5),
            bit(s.cutter_jam, 3),
            bit(s.near_end || s.paper_out, 0)
                | bit(s.near_end || s.paper_out, 1)
                | bit(s.paper_out, 2)
                | bit(s.paper_out, 3),
            0,
        ]
    }

    /// Executes real-time commands on arrival, wherever they occur.
    pub(super) fn real_time(&mut self, byte: u8) {
        self.tail.push(byte);
        if self.tail.len() > 64 {
            self.tail.drain(..48);
        }
        match self.tail[..] {
            [.., 0x10, 0x04, 2 | 3] if self.faults.few_statuses => {}
            [.., 0x10, 0x04, n @ 1..=4] => {
                let s = &self.state;
                let bit = |on: bool, bit: u8| u8::from(on) << bit;
                self.reply(vec![
                    0x12 | match n {
                        1 => bit(s.drawer_high, 2) | bit(self.blocked(), 3),
                        2 => bit(s.cover_open, 2) | bit(s.paper_out, 5) | bit(s.cutter_jam, 6),
                        3 => bit(s.cutter_jam, 3),
                        _ => (if s.near_end || s.paper_out { 0x0c } else { 0 }) | (if s.paper_out { 0x60 } else { 0 }),
                    },
                ]);
            }
            // DLE ENQ recovers only from an error.
            [.., 0x10, 0x05, n @ (1 | 2)] if self.state.cutter_jam => {
                self.state.cutter_jam = false;
                if n == 2 {
                    self.clear();
                }
                self.changed();
            }
            // Epson, DLE DC4 (fn = 1): "ignored in error status".
            [.., 0x10, 0x14, 1, 0 | 1, 1..=8] if !self.state.cutter_jam => {
                if let Some(kick) = pulse(&self.tail[self.tail.len() - 5..]) {
                    self.interpreter.kick(kick.pin, kick.on_ms, kick.off_ms);
                    self.open_drawer();
                }
            }
            [.., 0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8] if !self.faults.no_clear => {
                self.clear();
                self.reply(vec![0x37, 0x25, 0]);
            }
            _ => {}
        }
    }
}
