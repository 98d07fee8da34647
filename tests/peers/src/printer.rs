//! An ESC/POS printer, after Epson's command reference: text to lines, real-time
//! status, automatic status, identity, and proof of printing. Images, codes and styles are read over.
//!
//! Its faults are data: [`Habits`] and the methods of [`Printer`].

mod commands;

use std::collections::VecDeque;

use crate::{Do, Peer};

/// How a printer is.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Answers DLE EOT 1 to 4, GS r and GS a.
    pub tells_status: bool,
    /// Answers GS I.
    pub tells_identity: bool,
    /// Answers GS ( H function 48 (process id).
    pub proves: bool,
    /// Bytes printed per second; `None` prints at once.
    pub speed: Option<u64>,
    /// Bytes it takes before it stops reading.
    pub buffer: usize,
    /// Loses the first byte of this automatic status, counted from 0.
    pub loses_first_byte_of: Option<usize>,
    /// Answers this status request so many milliseconds late, counted from 0.
    pub late_status: Option<(usize, u64)>,
    /// Paper for so many lines.
    pub paper: usize,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            tells_status: true,
            tells_identity: true,
            proves: true,
            speed: None,
            buffer: 4096,
            loses_first_byte_of: None,
            late_status: None,
            paper: usize::MAX,
        }
    }
}

/// A printer.
#[derive(Debug)]
pub struct Printer {
    habits: Habits,
    cover_open: bool,
    near_end: bool,
    cutter_jammed: bool,
    drawer_pin: bool,
    /// `GS a n`: what is reported by itself.
    asb: u8,
    reported: Option<[u8; 4]>,
    buffer: VecDeque<u8>,
    /// Bytes that are part of a real-time command, which are taken out before the buffer.
    real_time: Vec<u8>,
    /// When the byte that is printed now has been printed, in microseconds.
    printing_until: u64,
    line: Vec<u8>,
    lines: Vec<String>,
    cuts: Vec<usize>,
    kicks: Vec<(u64, u8)>,
    out: VecDeque<(u64, Vec<u8>)>,
    statuses: usize,
    automatic: usize,
    hosts: usize,
}

impl Printer {
    /// One with this much paper and these habits.
    pub fn new(habits: Habits) -> Self {
        Self {
            habits,
            cover_open: false,
            near_end: false,
            cutter_jammed: false,
            drawer_pin: false,
            asb: 0,
            reported: None,
            buffer: VecDeque::new(),
            real_time: Vec::new(),
            printing_until: 0,
            line: Vec::new(),
            lines: Vec::new(),
            cuts: Vec::new(),
            kicks: Vec::new(),
            out: VecDeque::new(),
            statuses: 0,
            automatic: 0,
            hosts: 0,
        }
    }

    /// What is on the paper.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// After how many lines it was cut, each time.
    pub fn cuts(&self) -> &[usize] {
        &self.cuts
    }

    /// When the drawer was kicked, in milliseconds, and which (0 or 1).
    pub fn kicks(&self) -> &[(u64, u8)] {
        &self.kicks
    }

    /// How many hosts have been served.
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// Bytes that wait to be printed.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Opens or closes the cover.
    pub fn cover(&mut self, open: bool) {
        self.cover_open = open;
    }

    /// Puts in a roll for so many lines.
    pub fn load(&mut self, lines: usize) {
        self.habits.paper = lines;
    }

    /// The roll is nearly at its end, or not.
    pub fn near_end(&mut self, near: bool) {
        self.near_end = near;
    }

    /// The cutter jams (a recoverable error), or is freed by hand.
    pub fn jam(&mut self, jammed: bool) {
        self.cutter_jammed = jammed;
    }

    /// The level at pin 3 of the drawer's connector.
    pub fn drawer(&mut self, high: bool) {
        self.drawer_pin = high;
    }

    fn stopped(&self) -> bool {
        self.cover_open || self.cutter_jammed || self.habits.paper == 0
    }

    /// DLE EOT n and GS r answers (`& 0x93 == 0x12`), bit by bit.
    fn status(&self, n: u8) -> u8 {
        let bits = |all: &[(bool, u8)]| all.iter().filter(|(on, _)| *on).fold(0x12, |b, (_, bit)| b | bit);
        let out = self.habits.paper == 0;
        match n {
            1 => bits(&[(self.drawer_pin, 0x04), (self.stopped(), 0x08)]),
            2 => bits(&[(self.cover_open, 0x04), (out, 0x20), (self.cutter_jammed, 0x40)]),
            3 => bits(&[(self.cutter_jammed, 0x08)]),
            _ => bits(&[(self.near_end || out, 0x0c), (out, 0x60)]),
        }
    }

    /// Automatic status: first byte `& 0x93 == 0x10`, the others `& 0x90 == 0`.
    fn automatic_status(&self) -> [u8; 4] {
        let bit = |on: bool, bits: u8| if on { bits } else { 0 };
        let out = self.habits.paper == 0;
        [
            0x10 | bit(self.drawer_pin, 0x04) | bit(self.stopped(), 0x08) | bit(self.cover_open, 0x20),
            bit(self.cutter_jammed, 0x08),
            bit(self.near_end || out, 0x03) | bit(out, 0x0c),
            0x00,
        ]
    }

    /// Says what has changed, if the host wants to know.
    fn report(&mut self, now: u64) {
        let status = self.automatic_status();
        if self.asb == 0 || !self.habits.tells_status || self.reported == Some(status) {
            return;
        }
        self.reported = Some(status);
        let lost = self.habits.loses_first_byte_of == Some(self.automatic);
        self.automatic += 1;
        self.out.push_back((now, status[usize::from(lost)..].to_vec()));
    }

    /// One status byte, which may come late.
    fn say_status(&mut self, byte: u8, now: u64) {
        let late = self.habits.late_status.filter(|(n, _)| *n == self.statuses).map_or(0, |(_, by)| by);
        self.statuses += 1;
        self.out.push_back((now + late, vec![byte]));
    }

    /// Takes real-time commands out of what arrives; all else goes to the buffer.
    fn take(&mut self, byte: u8, now: u64) {
        self.real_time.push(byte);
        match self.real_time[..] {
            [0x10] | [0x10, 0x04 | 0x05 | 0x14] => {}
            [0x10, 0x04, n @ 1..=4] => {
                self.real_time.clear();
                if self.habits.tells_status {
                    self.say_status(self.status(n), now);
                }
            }
            [0x10, 0x05, n @ 1..=2] => {
                self.real_time.clear();
                // 1 prints on, 2 prints on with nothing left of what has arrived.
                self.cutter_jammed = false;
                if n == 2 {
                    self.buffer.clear();
                    self.line.clear();
                }
            }
            // Pulse: fn 1, drawer, time.
            [0x10, 0x14, 1] | [0x10, 0x14, 1, _] => {}
            [0x10, 0x14, 1, drawer, _] => {
                self.real_time.clear();
                if !self.stopped() {
                    self.kicks.push((now, drawer));
                }
            }
            // Clear the buffer: fn 8 and its seven fixed parameters.
            [0x10, 0x14, 8, ref rest @ ..] if rest.len() < 7 => {}
            [0x10, 0x14, 8, ..] => {
                let right = self.real_time[3..] == [1, 3, 20, 1, 6, 2, 8];
                self.real_time.clear();
                if right {
                    self.buffer.clear();
                    self.line.clear();
                    self.out.push_back((now, vec![0x37, 0x25, 0x00]));
                }
            }
            _ => self.buffer.extend(std::mem::take(&mut self.real_time)),
        }
    }

    /// Prints what there was time for.
    fn print(&mut self, now: u64) {
        loop {
            if self.stopped() || self.command_length().is_none() {
                // Time in which nothing is printed is lost.
                self.printing_until = self.printing_until.max(now * 1000);
                return;
            }
            let due = self.printing_until.div_ceil(1000);
            if self.habits.speed.is_some() && due > now {
                return;
            }
            let Some(length) = self.command_length() else { return };
            let command: Vec<u8> = self.buffer.drain(..length).collect();
            if let Some(speed) = self.habits.speed {
                self.printing_until += length as u64 * 1_000_000 / speed.max(1);
            }
            self.execute(&command, now);
        }
    }
}

impl Peer for Printer {
    fn connected(&mut self, _now: u64) {
        self.hosts += 1;
        // What the host before wanted to be told is forgotten with its connection.
        (self.asb, self.reported) = (0, None);
        self.out.clear();
    }

    fn received(&mut self, bytes: &[u8], now: u64) {
        self.print(now);
        for &byte in bytes {
            self.take(byte, now);
        }
        self.print(now);
    }

    fn lost(&mut self, _now: u64) {
        self.out.clear();
    }

    fn next(&mut self, now: u64) -> Do {
        self.print(now);
        self.report(now);
        match self.out.front() {
            Some((at, _)) if *at <= now => return Do::Send(self.out.pop_front().expect("one is due").1),
            _ => {}
        }
        let printed = (self.habits.speed.is_some() && !self.stopped() && !self.buffer.is_empty())
            .then(|| self.printing_until.div_ceil(1000).max(now + 1));
        let said = self.out.front().map(|(at, _)| *at);
        let until = [printed, said].into_iter().flatten().min();
        // Real-time commands get through only while something is read: a full buffer is deaf.
        match (self.buffer.len() >= self.habits.buffer, until) {
            (true, until) => Do::Deaf(until.unwrap_or(u64::MAX / 4)),
            (false, Some(until)) => Do::Wait(until),
            (false, None) => Do::Idle,
        }
    }
}

#[cfg(test)]
mod tests;
