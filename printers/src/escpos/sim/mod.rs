//! A simulated receipt printer: it prints to PNG and text, answers as a real one does, and misbehaves on request.
//!
//! Serve a [`Simulator`] with [`tresen_hal::sim`] over TCP, a pseudo-terminal or memory, [`render`] a file of bytes, or
//! [`preview`] a receipt. Glyphs are those of the Spleen fonts; QR codes and barcodes are drawn, so that a scanner can
//! read them from the picture.

mod charset;
mod codes;
mod device;
mod esc;
mod faults;
mod font;
mod gs;
mod images;
mod interpreter;
mod paper;
mod render;
mod replies;
mod unsupported;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen_hal::sim::Action;

pub use faults::{Faults, Line, Mishap};
use interpreter::{Interpreter, Step};
pub use paper::Sheet;
use render::roll;
pub use render::{Rendered, preview, render};
pub use unsupported::Unsupported;

use crate::document::Kick;
use crate::profile::Profile;

/// Bytes buffered while the printer is stopped; then it stops reading.
const CAPACITY: usize = 4096;
/// How many received bytes are kept, the latest.
const KEPT: usize = 16 << 20;

/// A simulated printer.
#[derive(Debug)]
pub struct Simulator {
    /// How it misbehaves.
    pub faults: Faults,
    /// The identity it reports: maker, model, firmware, serial number.
    pub identity: [String; 4],
    interpreter: Interpreter,
    /// Received, not yet printed.
    buffer: Vec<u8>,
    raw: Vec<u8>,
    /// The last bytes received, searched for real-time commands.
    tail: Vec<u8>,
    state: State,
    automatic: u8,
    reported: Option<[u8; 4]>,
    actions: VecDeque<Action>,
    /// Delayed replies, the earliest first, and whether others may overtake them.
    delayed: VecDeque<(Instant, Vec<u8>, bool)>,
    /// Bytes still on a slow line, and since when the first of them.
    on_line: VecDeque<u8>,
    line_since: Option<Instant>,
    now: Option<Instant>,
    connection_bytes: usize,
    /// A sheet without a cut is finished after this much silence.
    silence: Option<Duration>,
    last_input: Option<Instant>,
    /// The connection ended inside a command, and that is listed.
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
    /// A working printer of this profile.
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
            last_input: None,
            cut_short: false,
            drawer: None,
        }
    }

    /// For printers without a cutter and hosts that do not cut: a sheet also ends after this much silence, and when the
    /// host disconnects.
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

    /// Takes the finished sheets.
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

    /// What it did not do as a real printer would: the first 1,000 entries since they were last taken.
    pub fn unsupported(&self) -> &[Unsupported] {
        self.interpreter.unsupported.entries()
    }

    /// How many more entries there were.
    pub fn unlisted(&self) -> u64 {
        self.interpreter.unsupported.unlisted()
    }

    /// Takes the list, which makes room for further entries.
    pub fn take_unsupported(&mut self) -> Vec<Unsupported> {
        self.interpreter.unsupported.take()
    }

    /// How many finished sheets were discarded before anyone took them.
    pub fn discarded(&self) -> u64 {
        self.interpreter.pile.discarded()
    }

    /// Ends the sheet, as if torn off. An unfinished line stays in the printer.
    pub fn tear_off(&mut self) {
        self.interpreter.end_sheet();
    }

    /// Ends the input: prints the unfinished line, ends the sheet, and lists an incomplete command.
    pub fn finish(&mut self) {
        self.lose_buffer();
        self.buffer.clear();
        self.interpreter.finish(&[]);
    }

    /// Switches it off and on: settings, unfinished lines and commands are lost, and buffered data is listed as lost. The
    /// sheet stays in the printer.
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
    pub fn remove_paper(&mut self) {
        self.state.paper_out = true;
        self.changed();
    }

    /// Puts in a new roll; printing continues.
    pub fn load_paper(&mut self) {
        self.state.paper_out = false;
        self.state.near_end = false;
        self.faults.paper_out_after_lines = None;
        self.changed();
    }

    /// Sets the near-end sensor.
    pub fn near_end(&mut self, near: bool) {
        self.state.near_end = near;
        self.changed();
    }

    /// Opens or closes the cover; nothing is printed while it is open.
    pub fn cover(&mut self, open: bool) {
        self.state.cover_open = open;
        self.changed();
    }

    /// Jams or frees the cutter; `DLE ENQ` from the host frees it, too.
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

    /// Receives what has passed the slow line.
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

    /// Lists buffered data that will not be printed.
    fn lose_buffer(&mut self) {
        if self.blocked() && !self.buffer.is_empty() {
            self.interpreter.skipped("buffered data is lost", &self.buffer);
        } else if !self.buffer.is_empty() && !self.cut_short {
            self.interpreter.cut_off(&self.buffer);
        }
    }

    /// When silence ends the sheet.
    fn silent_at(&self) -> Option<Instant> {
        let waits = !self.interpreter.sheet.is_empty() && !self.blocked();
        self.last_input.filter(|_| waits).zip(self.silence).map(|(at, silence)| at + silence)
    }

    fn clear(&mut self) {
        self.interpreter.discard(self.buffer.len());
        self.buffer.clear();
    }
}
