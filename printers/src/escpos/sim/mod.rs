//! A receipt printer without hardware: it prints to PNG and text, answers as a real one does, and
//! misbehaves on request.
//!
//! Serve a [`Simulator`] with [`tresen_hal::sim`] over TCP, a pseudo-terminal or memory, or
//! [`render`] a file of bytes, or [`preview`] a receipt. Glyphs are those of the Spleen fonts; QR codes and barcodes are really
//! drawn, so that a scanner reads them from the picture.

mod charset;
mod codes;
mod esc;
mod font;
mod gs;
mod images;
mod interpreter;
mod paper;
mod unsupported;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen_hal::sim::{Action, Device};

use interpreter::{Ask, Interpreter, Step};
pub use paper::Sheet;
pub use unsupported::Unsupported;

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
    /// Sheet by sheet, cut by cut: the latest 1,000, and at most 32 m of them.
    pub sheets: Vec<Sheet>,
    /// How many sheets before them are not kept.
    pub discarded: u64,
    /// Drawer pulses, also those in real time (`DLE DC4`); the first 1,000.
    pub kicks: Vec<Kick>,
    /// What was not printed as a real printer would print it: the first 1,000.
    pub unsupported: Vec<Unsupported>,
    /// How many more there were.
    pub unlisted: u64,
}

impl Rendered {
    /// All sheets on one piece of paper, as far as 8 m go.
    pub fn roll(&self) -> Sheet {
        roll(&self.sheets)
    }
}

/// Prints bytes onto virtual paper.
///
/// A real-time command to clear the buffers (`DLE DC4` function 8) is listed and not done: what it
/// clears depends on when it arrives.
pub fn render(bytes: &[u8], profile: &Profile) -> Rendered {
    let mut interpreter = Interpreter::new(profile.clone());
    let mut pulses = bytes.windows(5).enumerate().filter_map(|(at, w)| Some((at + w.len(), pulse(w)?))).peekable();
    let mut at = 0;
    while let Step::Done(count, _) = interpreter.step(&bytes[at..]) {
        at += count;
        // A printer obeys them wherever they stand, even in the data of another command.
        while let Some((_, kick)) = pulses.next_if(|(end, _)| *end <= at) {
            interpreter.kick(kick.pin, kick.on_ms, kick.off_ms);
        }
    }
    pulses.for_each(|(_, kick)| interpreter.kick(kick.pin, kick.on_ms, kick.off_ms));
    interpreter.finish(&bytes[at..]);
    Rendered {
        discarded: interpreter.pile.discarded(),
        sheets: interpreter.pile.take(),
        kicks: interpreter.kicks,
        unlisted: interpreter.unsupported.unlisted(),
        unsupported: interpreter.unsupported.take(),
    }
}

/// A receipt on virtual paper: what a printer of that profile would print.
pub fn preview(receipt: &Receipt, profile: &Profile) -> Rendered {
    render(&wire::encode(receipt, profile), profile)
}

fn roll(sheets: &[Sheet]) -> Sheet {
    let width = sheets.first().map_or(0, |s| s.dots().width());
    sheets.iter().fold(Sheet::new(width), |mut roll, sheet| {
        roll.append(sheet);
        roll
    })
}

/// DLE DC4, function 1: the drawer's pulse in real time, on and off for `t` times 100 ms.
fn pulse(command: &[u8]) -> Option<Kick> {
    let &[0x10, 0x14, 1, pin @ (0 | 1), t @ 1..=8] = command else { return None };
    let pin = if pin == 0 { DrawerPin::Two } else { DrawerPin::Five };
    let ms = 100 * u16::from(t);
    Some(Kick { pin, on_ms: ms, off_ms: ms })
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
    /// What happens to the next things that it says, one after the other; `None` is nothing.
    pub mishaps: VecDeque<Option<Mishap>>,
    /// It serves somebody else: it takes the connection, reads nothing and says nothing.
    pub held: bool,
    /// How it is reached: this many bytes a second, through a buffer before the printer, as behind a serial
    /// server or on Bluetooth.
    pub line: Option<Line>,
}

/// What happens to one thing that a virtual printer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mishap {
    /// It comes later, and so does everything behind it.
    Late(Duration),
    /// It comes later, and what is said meanwhile overtakes it.
    Overtaken(Duration),
    /// Its first byte is lost.
    FirstByteLost,
    /// All of it is lost.
    Lost,
    /// Something else comes instead.
    Instead(Vec<u8>),
}

/// A slow line before a virtual printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// 960 is a serial port of 9600 baud.
    pub bytes_per_second: u32,
    /// Bytes that are taken from the host before they have passed the line.
    pub buffer: usize,
}

/// A printer without hardware.
#[derive(Debug)]
pub struct Simulator {
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
    /// What is said later, the earliest first, and whether it lets others pass.
    delayed: VecDeque<(Instant, Vec<u8>, bool)>,
    /// What is still on a slow line, and when its first byte was due.
    on_line: VecDeque<u8>,
    line_since: Option<Instant>,
    now: Option<Instant>,
    connection_bytes: usize,
    /// How long it must be silent until a sheet without a cut is taken to be finished.
    silence: Option<Duration>,
    heard: Option<Instant>,
    /// The connection ended within a command, and that is listed.
    cut_short: bool,
    /// The level of the sense pin at which the attached drawer is open.
    drawer: Option<bool>,
}

#[derive(Debug, Default)]
struct State {
    paper_out: bool,
    near_end: bool,
    cover_open: bool,
    cutter_jam: bool,
    drawer_high: bool,
}

impl Simulator {
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
            on_line: VecDeque::new(),
            line_since: None,
            now: None,
            connection_bytes: 0,
            silence: None,
            heard: None,
            cut_short: false,
            drawer: None,
        }
    }

    /// A printer without a cutter, or for hosts that do not cut: a sheet also ends after this much
    /// silence, and when the host disconnects.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// A printer that misbehaves from the start.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The sheets cut off so far: the latest 1,000, and at most 32 m of them.
    pub fn sheets(&self) -> &[Sheet] {
        self.interpreter.pile.sheets()
    }

    /// Takes the sheets that were cut off, as a person does.
    pub fn take_sheets(&mut self) -> Vec<Sheet> {
        self.interpreter.pile.take()
    }

    /// What has been printed since the last cut.
    pub fn uncut(&self) -> &Sheet {
        &self.interpreter.sheet
    }

    /// All paper as one piece.
    pub fn roll(&self) -> Sheet {
        let mut all = roll(self.interpreter.pile.sheets());
        if all.dots().width() == 0 {
            return self.interpreter.sheet.clone();
        }
        all.append(&self.interpreter.sheet);
        all
    }

    /// How many drawer pulses there were.
    pub fn kicked(&self) -> u64 {
        self.interpreter.kicked
    }

    /// Drawer pulses so far, the first 1,000 of them.
    pub fn kicks(&self) -> &[Kick] {
        &self.interpreter.kicks
    }

    /// What it did not do as a real printer would: the first 1,000 since they were last taken.
    pub fn unsupported(&self) -> &[Unsupported] {
        self.interpreter.unsupported.entries()
    }

    /// How many more there were than it lists.
    pub fn unlisted(&self) -> u64 {
        self.interpreter.unsupported.unlisted()
    }

    /// Takes the list, so that it has room again.
    pub fn take_unsupported(&mut self) -> Vec<Unsupported> {
        self.interpreter.unsupported.take()
    }

    /// How many sheets are neither kept nor taken.
    pub fn discarded(&self) -> u64 {
        self.interpreter.pile.discarded()
    }

    /// Ends the sheet as a person does who tears it off. What is on an unfinished line stays in the
    /// printer.
    pub fn tear_off(&mut self) {
        self.interpreter.end_sheet();
    }

    /// Nothing more will come: prints what is on the line, ends the sheet, and lists a command of which
    /// the end is missing.
    pub fn finish(&mut self) {
        self.lose_buffer();
        self.buffer.clear();
        self.interpreter.finish(&[]);
    }

    /// Switches it off and on again: settings, unfinished lines and commands are gone; what was
    /// buffered is listed as lost. The sheet stays in the printer.
    pub fn power_cycle(&mut self) {
        self.lose_buffer();
        self.interpreter.lose_line();
        self.clear();
        self.interpreter.reset();
        self.tail.clear();
        self.automatic = 0;
        self.cut_short = false;
        self.delayed.clear();
        self.actions.push_back(Action::HangUp);
    }

    /// Attaches a drawer to the connector. A pulse opens it, and its sense pin then has the level
    /// `open_is_high`; [`Self::close_drawer`] closes it.
    pub fn attach_drawer(&mut self, open_is_high: bool) {
        self.drawer = Some(open_is_high);
        self.drawer_pin(!open_is_high);
    }

    /// Opens the attached drawer, as its key does.
    pub fn open_drawer(&mut self) {
        if let Some(open_is_high) = self.drawer {
            self.state.drawer_high = open_is_high;
            self.report();
        }
    }

    /// Closes the attached drawer.
    pub fn close_drawer(&mut self) {
        if let Some(open_is_high) = self.drawer {
            self.drawer_pin(!open_is_high);
        }
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
            let (before, kicked) = (self.interpreter.lines, self.interpreter.kicked);
            let Step::Done(count, ask) = self.interpreter.step(&self.buffer[at..]) else { break };
            at += count;
            if self.interpreter.kicked > kicked {
                self.open_drawer();
            }
            if let Some(ask) = ask {
                let command = self.buffer[at - count..at].to_vec();
                self.answer(ask, &command);
            }
            if let Some(left) = &mut self.faults.paper_out_after_lines {
                *left = left.saturating_sub(self.interpreter.lines - before);
                self.state.paper_out = *left == 0;
                self.report();
            }
        }
        self.buffer.drain(..at);
    }

    fn answer(&mut self, ask: Ask, command: &[u8]) {
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
            Ask::Status(1 | 2 | 49 | 50) => {}
            Ask::Status(_) => _ = self.interpreter.undone("GS r: a status that is not known", command),
            Ask::PaperSensor => self.say(vec![self.automatic_status()[2]]),
            Ask::Peripheral => self.say(vec![self.state.drawer_high.into()]),
            Ask::Id(n) if !self.faults.no_identity => match n {
                1 | 49 => self.say(vec![0x20]),
                2 | 50 => self.say(vec![0x02]),
                3 | 51 => self.say(vec![0x01]),
                65 => self.say_text(2),
                66 => self.say_text(0),
                67 => self.say_text(1),
                68 => self.say_text(3),
                _ => _ = self.interpreter.undone("GS I: an identity that is not known", command),
            },
            _ => {}
        }
    }

    fn say_text(&mut self, which: usize) {
        let text = [b"_", self.identity[which].as_bytes(), b"\0"].concat();
        self.say(text);
    }

    fn say(&mut self, mut bytes: Vec<u8>) {
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
        // Behind what is to come before it, unless that is overtaken.
        let behind = self.delayed.iter().filter(|(.., overtaken)| !overtaken).map(|(at, ..)| *at).max();
        let at = behind.map_or(now + late, |behind| behind.max(now + late));
        let place = self.delayed.partition_point(|(other, ..)| *other <= at);
        self.delayed.insert(place, (at, bytes, overtaken));
        self.speak(now);
    }

    /// Says what is due.
    fn speak(&mut self, now: Instant) {
        while let Some((_, bytes, _)) = self.delayed.pop_front_if(|(at, ..)| *at <= now) {
            self.actions.push_back(Action::Send(bytes));
        }
    }

    /// Takes from the slow line what has passed it.
    fn take_line(&mut self, now: Instant) {
        let (Some(line), Some(since)) = (self.faults.line, self.line_since) else {
            let all: Vec<u8> = self.on_line.drain(..).collect();
            return self.take(&all);
        };
        let passed = now.saturating_duration_since(since).as_micros() * u128::from(line.bytes_per_second) / 1_000_000;
        let count = usize::try_from(passed).unwrap_or(usize::MAX).min(self.on_line.len());
        if count == 0 {
            return;
        }
        let bytes: Vec<u8> = self.on_line.drain(..count).collect();
        let took = Duration::from_secs(count as u64) / line.bytes_per_second;
        self.line_since = (!self.on_line.is_empty()).then(|| since + took);
        self.take(&bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.buffer.push(byte);
            self.real_time(byte);
        }
        self.print();
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
            // Epson, DLE DC4 (fn = 1): "ignored in error status".
            [.., 0x10, 0x14, 1, 0 | 1, 1..=8] if !self.state.cutter_jam => {
                if let Some(kick) = pulse(&self.tail[self.tail.len() - 5..]) {
                    self.interpreter.kick(kick.pin, kick.on_ms, kick.off_ms);
                    self.open_drawer();
                }
            }
            [.., 0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8] if !self.faults.no_clear => {
                self.clear();
                self.say(vec![0x37, 0x25, 0]);
            }
            _ => {}
        }
    }

    /// Lists what was received and will not be printed.
    fn lose_buffer(&mut self) {
        if self.blocked() && !self.buffer.is_empty() {
            self.interpreter.undone("what was waiting to be printed is lost", &self.buffer);
        } else if !self.buffer.is_empty() && !self.cut_short {
            self.interpreter.cut_off(&self.buffer);
        }
    }

    /// When a sheet without a cut is taken to be finished.
    fn silent_at(&self) -> Option<Instant> {
        let waits = !self.interpreter.sheet.is_empty() && !self.blocked();
        self.heard.filter(|_| waits).zip(self.silence).map(|(heard, silence)| heard + silence)
    }

    fn clear(&mut self) {
        self.interpreter.skip(self.buffer.len());
        self.buffer.clear();
    }
}

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
        self.heard = Some(now);
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
        self.speak(now);
        if !self.on_line.is_empty() {
            self.take_line(now);
        }
    }

    fn disconnected(&mut self, now: Instant) {
        self.now = Some(now);
        self.actions.clear();
        self.delayed.clear();
        // As in a real one, half a command waits for the rest and takes the next job for it.
        if !self.buffer.is_empty() && !self.blocked() && !self.cut_short {
            self.cut_short = true;
            self.interpreter.cut_off(&self.buffer);
        }
        if self.silence.is_some() && !self.blocked() {
            self.interpreter.end_sheet();
        }
    }
}
