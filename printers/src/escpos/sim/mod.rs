//! A receipt printer without hardware: it prints to PNG and text, answers as a real one does, and
//! misbehaves on request.
//!
//! Serve a [`VirtualPrinter`] with [`tresen_hal::sim`] over TCP, a pseudo-terminal or memory, or
//! [`render`] a file of bytes, or [`preview`] a receipt. Glyphs are those of the Spleen fonts; QR codes and barcodes are really
//! drawn, so that a scanner reads them from the picture.

mod codes;
mod font;
mod interpreter;
mod paper;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen_hal::sim::{Action, Device};

pub use interpreter::Unknown;
use interpreter::{Ask, Interpreter, Step};
pub use paper::Sheet;

use super::wire;
use crate::document::{Kick, Receipt};
use crate::printer::DrawerPin;
use crate::profile::Profile;

/// Bytes taken while nothing is printed; then the printer stops reading.
const CAPACITY: usize = 4096;
/// The latest received bytes that are kept.
const KEPT: usize = 16 << 20;

/// What a file of bytes prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// Sheet by sheet, cut by cut.
    pub sheets: Vec<Sheet>,
    /// Drawer pulses.
    pub kicks: Vec<Kick>,
    /// What the interpreter did not understand.
    pub unknown: Vec<Unknown>,
}

impl Rendered {
    /// All sheets on one piece of paper.
    pub fn roll(&self) -> Sheet {
        roll(&self.sheets)
    }
}

/// Prints bytes onto virtual paper.
pub fn render(bytes: &[u8], profile: &Profile) -> Rendered {
    let mut interpreter = Interpreter::new(profile.clone());
    let mut rest = bytes;
    while let Step::Done(count, _) = interpreter.step(rest) {
        rest = &rest[count..];
    }
    interpreter.finish();
    Rendered { sheets: interpreter.sheets, kicks: interpreter.kicks, unknown: interpreter.unknown }
}

/// A receipt on virtual paper: what a printer of that profile would print.
pub fn preview(receipt: &Receipt, profile: &Profile) -> Rendered {
    render(&wire::encode(receipt, profile), profile)
}

fn roll(sheets: &[Sheet]) -> Sheet {
    let width = sheets.first().map_or(0, |s| s.dots().width());
    sheets.iter().fold(Sheet::new(width, 0), |mut roll, sheet| {
        roll.append(sheet);
        roll
    })
}

/// How a virtual printer misbehaves. Change it at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// The paper ends after so many more lines (24 dots of an image are a line).
    pub paper_out_after_lines: Option<u32>,
    /// The connection ends after so many bytes of it.
    pub hang_up_after_bytes: Option<usize>,
    /// It answers nothing and reports nothing.
    pub mute: bool,
    /// It does not return process ids.
    pub no_process_id: bool,
    /// It does not answer `GS r`.
    pub no_transmit_status: bool,
    /// It answers only the first and the fourth real-time status, as cheap ones do.
    pub few_statuses: bool,
    /// It does not report by itself.
    pub no_automatic_status: bool,
    /// It does not know `DLE DC4` function 8.
    pub no_clear: bool,
    /// It does not say who it is.
    pub no_identity: bool,
    /// Its answers come this much later.
    pub late: Duration,
}

/// A printer without hardware.
#[derive(Debug)]
pub struct VirtualPrinter {
    /// How it misbehaves.
    pub faults: Faults,
    /// What it calls itself: maker, model, firmware, serial number.
    pub identity: [String; 4],
    interpreter: Interpreter,
    /// Received, not yet printed.
    buffer: Vec<u8>,
    raw: Vec<u8>,
    /// The latest bytes, in which real-time commands are found.
    tail: Vec<u8>,
    state: State,
    automatic: u8,
    reported: Option<[u8; 4]>,
    actions: VecDeque<Action>,
    delayed: VecDeque<(Instant, Vec<u8>)>,
    now: Option<Instant>,
    connection_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    paper_out: bool,
    near_end: bool,
    cover_open: bool,
    cutter_jam: bool,
    drawer_high: bool,
}

impl VirtualPrinter {
    /// A printer of that profile that works.
    pub fn new(profile: Profile) -> Self {
        let model = profile.name.strip_prefix("epson-").map_or("VIRTUAL".into(), str::to_uppercase);
        Self {
            faults: Faults::default(),
            identity: ["TRESEN".into(), model, "1.0".into(), "V0001".into()],
            interpreter: Interpreter::new(profile),
            buffer: Vec::new(),
            raw: Vec::new(),
            tail: Vec::new(),
            state: State::default(),
            automatic: 0,
            reported: None,
            actions: VecDeque::new(),
            delayed: VecDeque::new(),
            now: None,
            connection_bytes: 0,
        }
    }

    /// A printer that misbehaves from the start.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The sheets cut off so far, the latest 32 m of them.
    pub fn sheets(&self) -> &[Sheet] {
        &self.interpreter.sheets
    }

    /// Takes the sheets that were cut off, as a person does.
    pub fn take_sheets(&mut self) -> Vec<Sheet> {
        std::mem::take(&mut self.interpreter.sheets)
    }

    /// What has been printed since the last cut.
    pub fn uncut(&self) -> &Sheet {
        &self.interpreter.sheet
    }

    /// All paper as one piece.
    pub fn roll(&self) -> Sheet {
        let mut all = roll(&self.interpreter.sheets);
        if all.dots().width() == 0 {
            return self.interpreter.sheet.clone();
        }
        all.append(&self.interpreter.sheet);
        all
    }

    /// Drawer pulses so far.
    pub fn kicks(&self) -> &[Kick] {
        &self.interpreter.kicks
    }

    /// What the printer did not understand.
    pub fn unknown(&self) -> &[Unknown] {
        &self.interpreter.unknown
    }

    /// The latest 16 MB that it received.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Takes the paper out.
    pub fn take_paper(&mut self) {
        self.state.paper_out = true;
        self.changed();
    }

    /// Puts in a new roll; printing goes on.
    pub fn put_paper(&mut self) {
        self.state.paper_out = false;
        self.state.near_end = false;
        self.faults.paper_out_after_lines = None;
        self.changed();
    }

    /// The near-end sensor sees the roll's end, or does not.
    pub fn near_end(&mut self, near: bool) {
        self.state.near_end = near;
        self.changed();
    }

    /// Opens or closes the cover; with an open one nothing prints.
    pub fn cover(&mut self, open: bool) {
        self.state.cover_open = open;
        self.changed();
    }

    /// Jams the cutter, until somebody frees it or the host sends `DLE ENQ`.
    pub fn jam_cutter(&mut self, jammed: bool) {
        self.state.cutter_jam = jammed;
        self.changed();
    }

    /// Sets the level of the drawer's sense pin.
    pub fn drawer_pin(&mut self, high: bool) {
        self.state.drawer_high = high;
        self.changed();
    }

    fn changed(&mut self) {
        self.print();
        self.report();
    }

    fn blocked(&self) -> bool {
        self.state.paper_out || self.state.cover_open || self.state.cutter_jam
    }

    /// Prints what can be printed.
    fn print(&mut self) {
        let mut at = 0;
        while !self.blocked() {
            let before = self.interpreter.lines;
            let Step::Done(count, ask) = self.interpreter.step(&self.buffer[at..]) else { break };
            at += count;
            if let Some(ask) = ask {
                self.answer(ask);
            }
            if let Some(left) = &mut self.faults.paper_out_after_lines {
                *left = left.saturating_sub(self.interpreter.lines - before);
                self.state.paper_out = *left == 0;
                self.report();
            }
        }
        self.buffer.drain(..at);
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Initialize => self.automatic = 0,
            Ask::Automatic(mask) => {
                self.automatic = mask;
                self.reported = None;
                self.report();
            }
            Ask::ProcessId([a, b, c, d]) if !self.faults.no_process_id => self.say(vec![0x37, 0x22, a, b, c, d, 0]),
            Ask::Status(1 | 49) if !self.faults.no_transmit_status => self.say(vec![self.automatic_status()[2]]),
            Ask::Status(2 | 50) if !self.faults.no_transmit_status => self.say(vec![self.state.drawer_high.into()]),
            Ask::Id(n) if !self.faults.no_identity => match n {
                1 | 49 => self.say(vec![0x20]),
                2 | 50 => self.say(vec![0x02]),
                65 => self.say_text(2),
                66 => self.say_text(0),
                67 => self.say_text(1),
                68 => self.say_text(3),
                _ => {}
            },
            _ => {}
        }
    }

    fn say_text(&mut self, which: usize) {
        let text = [b"_", self.identity[which].as_bytes(), b"\0"].concat();
        self.say(text);
    }

    fn say(&mut self, bytes: Vec<u8>) {
        if self.faults.mute {
            return;
        }
        match self.now.filter(|_| !self.faults.late.is_zero() || !self.delayed.is_empty()) {
            Some(now) => self.delayed.push_back((now + self.faults.late, bytes)),
            None => self.actions.push_back(Action::Send(bytes)),
        }
    }

    /// Automatic Status Back, if it is on and something changed.
    fn report(&mut self) {
        let status = self.automatic_status();
        if self.automatic != 0 && !self.faults.no_automatic_status && self.reported != Some(status) {
            self.reported = Some(status);
            self.say(status.to_vec());
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

    /// Real-time commands are executed when they arrive, wherever they stand.
    fn real_time(&mut self, byte: u8) {
        self.tail.push(byte);
        if self.tail.len() > 64 {
            self.tail.drain(..48);
        }
        match self.tail[..] {
            [.., 0x10, 0x04, 2 | 3] if self.faults.few_statuses => {}
            [.., 0x10, 0x04, n @ 1..=4] => {
                let s = &self.state;
                let bit = |on: bool, bit: u8| u8::from(on) << bit;
                self.say(vec![
                    0x12 | match n {
                        1 => bit(s.drawer_high, 2) | bit(self.blocked(), 3),
                        2 => bit(s.cover_open, 2) | bit(s.paper_out, 5) | bit(s.cutter_jam, 6),
                        3 => bit(s.cutter_jam, 3),
                        _ => (if s.near_end || s.paper_out { 0x0c } else { 0 }) | (if s.paper_out { 0x60 } else { 0 }),
                    },
                ]);
            }
            // Only an error state is recovered from.
            [.., 0x10, 0x05, n @ (1 | 2)] if self.state.cutter_jam => {
                self.state.cutter_jam = false;
                if n == 2 {
                    self.clear();
                }
                self.changed();
            }
            [.., 0x10, 0x14, 1, pin @ (0 | 1), time @ 1..=8] => {
                let pin = if pin == 0 { DrawerPin::Two } else { DrawerPin::Five };
                self.interpreter.kick(pin, time * 50, time * 50);
            }
            [.., 0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8] if !self.faults.no_clear => {
                self.clear();
                self.say(vec![0x37, 0x25, 0]);
            }
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.interpreter.skip(self.buffer.len());
        self.buffer.clear();
    }
}

impl Device for VirtualPrinter {
    fn connected(&mut self, now: Instant) {
        self.now = Some(now);
        self.connection_bytes = 0;
        self.actions.clear();
        self.delayed.clear();
        self.report();
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.now = Some(now);
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
        for &byte in bytes {
            self.buffer.push(byte);
            self.real_time(byte);
        }
        self.print();
        if hang_up {
            self.actions.push_back(Action::HangUp);
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn is_ready(&self) -> bool {
        !(self.blocked() && self.buffer.len() >= CAPACITY)
    }

    fn deadline(&self) -> Option<Instant> {
        self.delayed.front().map(|(at, _)| *at)
    }

    fn timeout(&mut self, now: Instant) {
        self.now = Some(now);
        while let Some((at, _)) = self.delayed.front() {
            if *at > now {
                return;
            }
            let (_, bytes) = self.delayed.pop_front().expect("there is a first");
            self.actions.push_back(Action::Send(bytes));
        }
    }

    fn disconnected(&mut self, now: Instant) {
        self.now = Some(now);
        self.actions.clear();
        self.delayed.clear();
    }
}
