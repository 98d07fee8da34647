//! The interpreter of ESC/POS: lenient, and wider than our encoder, so that other software's output prints, too.
//!
//! It takes one command at a time from a buffer and reports when it needs more, so it does not matter how the bytes
//! arrive. What it does not support is listed as [`Unsupported`](super::Unsupported) and does not stop printing: page
//! mode, user-defined characters, Kanji, upside-down and rotated printing, stored images, macros. Codes other than QR,
//! EAN, UPC-A, Code 39, Code 128 and ITF are named on the paper and in the text instead of being drawn; those that a real
//! printer would not print either (too wide, not encodable) are only listed. QR codes of model 1 are drawn as model 2.
//! Smoothing, colours, and motion units other than dots have no effect.
//!
//! This file has the state, the text and the paper; the commands are in [`super::esc`], [`super::gs`],
//! [`super::images`] and [`super::codes`].

use super::charset;
use super::codes::Symbol;
use super::font::Font;
use super::paper::{LONGEST, Look, Piece, Pile, Sheet};
use super::unsupported::List;
use crate::bitmap::Bitmap;
use crate::document::{Align, Kick};
use crate::printer::DrawerPin;
use crate::profile::Profile;
use crate::text::CodePage;

/// Default line spacing in dots.
pub(super) const SPACING: u32 = 30;
/// The largest image or data block that is accepted, in bytes.
pub(super) const LARGEST: usize = 8 << 20;
/// Pulses that are kept.
const KICKS: usize = 1000;
/// The maximum number of characters and images on a line; a host can overprint.
const PIECES: usize = 10_000;

/// A request from the host, or a change of state besides printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// GS I n
    Id(u8),
    /// GS r n
    Status(u8),
    /// ESC v
    PaperSensor,
    /// ESC u n
    Peripheral,
    /// GS a n
    Automatic(u8),
    /// GS ( H, function 48
    ProcessId([u8; 4]),
    /// ESC @
    Initialize,
}

/// The result of a step.
pub(super) enum Step {
    /// The command is incomplete.
    More,
    /// This many bytes were processed.
    Done(usize, Option<Ask>),
}

#[derive(Debug)]
pub(super) struct Interpreter {
    pub(super) profile: Profile,
    pub(super) pile: Pile,
    pub(super) sheet: Sheet,
    pub(super) kicks: Vec<Kick>,
    /// All pulses since the beginning.
    pub(super) kicked: u64,
    pub(super) unsupported: List,
    /// Lines of text printed since the beginning.
    pub(super) lines: u32,
    /// Bytes processed since the beginning.
    offset: u64,
    /// The offset of the current command or character.
    at: u64,
    pub(super) line: Vec<Piece>,
    pub(super) cursor: u32,
    pub(super) set: Settings,
    pub(super) symbol: Symbol,
    pub(super) graphics: Option<Bitmap>,
    /// The sheet is full, and that is listed.
    overflowed: bool,
}

/// What `ESC @` resets.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) page: Option<CodePage>,
    pub(super) international: u8,
    pub(super) kanji: bool,
    /// ESC =: bit 0 the printer, bit 1 the customer display.
    pub(super) peripheral: u8,
    pub(super) look: Look,
    pub(super) align: Align,
    pub(super) spacing: u32,
    pub(super) gap: u32,
    pub(super) left: u32,
    pub(super) area: Option<u32>,
    pub(super) tabs: Vec<u32>,
    pub(super) bar_height: u32,
    pub(super) module: u32,
    pub(super) hri: u8,
    pub(super) hri_font: Font,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page: Some(CodePage::Cp437),
            international: 0,
            kanji: false,
            peripheral: 1,
            look: Look::default(),
            align: Align::Left,
            spacing: SPACING,
            gap: 0,
            left: 0,
            area: None,
            tabs: (1..=8).map(|i| i * 8).collect(),
            bar_height: 162,
            module: 3,
            hri: 0,
            hri_font: Font::A,
        }
    }
}

impl Interpreter {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            sheet: Sheet::new(profile.width.0),
            profile,
            pile: Pile::default(),
            kicks: Vec::new(),
            kicked: 0,
            unsupported: List::default(),
            lines: 0,
            offset: 0,
            at: 0,
            line: Vec::new(),
            cursor: 0,
            set: Settings::default(),
            symbol: Symbol::default(),
            graphics: None,
            overflowed: false,
        }
    }

    /// Executes the first command in `bytes`.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        self.at = self.offset;
        let step = self.execute(bytes);
        if let Step::Done(count, _) = step {
            self.offset += count as u64;
        }
        step
    }

    /// Skips bytes that were cleared from the buffer.
    pub(super) fn discard(&mut self, count: usize) {
        self.offset += count as u64;
        self.line.clear();
        self.cursor = 0;
    }

    /// Ends the input, inside a command if there is a `rest`. Prints the unfinished line (a real printer would keep it)
    /// and ends the sheet.
    pub(super) fn finish(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.cut_off(rest);
        }
        if !self.line.is_empty() {
            self.print_line();
        }
        self.end_sheet();
    }

    /// Lists an incomplete command.
    pub(super) fn cut_off(&mut self, rest: &[u8]) {
        let name = format!("the data end in the middle of {}", head(rest));
        self.unsupported.add(self.offset, name, rest);
    }

    /// Lists an unfinished line that will not be printed.
    pub(super) fn lose_line(&mut self) {
        if !self.line.is_empty() {
            let count = self.line.len();
            self.unsupported.add(self.offset, format!("an unfinished line of {count} characters is lost"), &[]);
        }
    }

    /// Resets settings and buffers, as when switched off.
    pub(super) fn reset(&mut self) {
        self.set = Settings::default();
        self.symbol = Symbol::default();
        self.graphics = None;
        self.line.clear();
        self.cursor = 0;
    }

    /// Ends the sheet if there is anything on it.
    pub(super) fn end_sheet(&mut self) {
        if self.sheet.is_empty() {
            return;
        }
        self.overflowed = false;
        let next = Sheet::new(self.profile.width.0);
        self.pile.push(std::mem::replace(&mut self.sheet, next));
    }

    fn execute(&mut self, bytes: &[u8]) -> Step {
        let Some(&first) = bytes.first() else { return Step::More };
        if self.set.peripheral & 1 == 0 {
            return self.elsewhere(bytes);
        }
        match first {
            0x1b => self.esc(bytes),
            0x1d => self.gs(bytes),
            0x1c => self.fs(bytes),
            0x10 => self.dle(bytes),
            b'\n' => {
                self.print_line();
                done(1)
            }
            b'\t' => {
                self.tab();
                done(1)
            }
            b'\r' | 0 | 0x0c | 0x18 => done(1),
            0x01..0x20 => self.skipped("control character", &bytes[..1]),
            _ => {
                let end = bytes.iter().position(|b| *b < 0x20).unwrap_or(bytes.len());
                for (i, &byte) in bytes[..end].iter().enumerate() {
                    self.at = self.offset + i as u64;
                    self.character(byte);
                }
                done(end)
            }
        }
    }

    /// ESC = has deselected the printer: only ESC = is executed.
    fn elsewhere(&mut self, bytes: &[u8]) -> Step {
        let end = match bytes {
            [0x1b] | [0x1b, b'='] => return Step::More,
            [0x1b, b'=', n, ..] => {
                self.set.peripheral = *n;
                return done(3);
            }
            [_, rest @ ..] => 1 + rest.iter().position(|b| *b == 0x1b).unwrap_or(rest.len()),
            [] => return Step::More,
        };
        let name = if self.set.peripheral & 2 != 0 {
            "ESC = 2: for the customer display"
        } else {
            "ESC = 0: the printer is turned off"
        };
        self.unsupported.extend(self.at, name, &bytes[..end]);
        done(end)
    }

    fn character(&mut self, byte: u8) {
        const MISSING: char = char::REPLACEMENT_CHARACTER;
        let mut lacks = |name| {
            self.unsupported.extend(self.at, name, &[byte]);
            MISSING
        };
        let c = match self.set.page {
            _ if byte < 0x80 => charset::character(self.set.international, byte),
            _ if self.set.kanji => lacks("Kanji characters"),
            None => lacks("characters of a code page that is not known"),
            Some(page) => match page.decode(byte) {
                MISSING => lacks("characters that the code page does not have"),
                c => c,
            },
        };
        let look = self.set.look;
        if c != MISSING && !look.font.has(c) {
            self.unsupported.extend(self.at, "characters without a glyph, drawn as a box", &[byte]);
        }
        let width = look.cell().0;
        self.make_room(width);
        self.push(Piece::Char { c, x: self.cursor, look });
        self.cursor += width + self.set.gap;
    }

    /// Prints the line if `width` more dots do not fit on it.
    pub(super) fn make_room(&mut self, width: u32) {
        if self.cursor > 0 && self.cursor + width > self.area() {
            self.print_line();
        }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        if self.line.len() >= PIECES {
            self.unsupported.add(self.at, format!("a line of more than {PIECES} characters, which is printed"), &[]);
            let cursor = self.cursor;
            self.print_line();
            self.cursor = cursor;
        }
        self.line.push(piece);
    }

    pub(super) fn area(&self) -> u32 {
        let rest = self.profile.width.0.saturating_sub(self.set.left);
        self.set.area.map_or(rest, |a| a.min(rest)).max(12)
    }

    pub(super) fn print_line(&mut self) {
        self.print_line_and_feed(self.set.spacing);
    }

    pub(super) fn print_line_and_feed(&mut self, dots: u32) {
        let pieces = std::mem::take(&mut self.line);
        let width = std::mem::take(&mut self.cursor);
        self.put(&pieces, width, dots);
        self.line = pieces;
        self.line.clear();
        self.lines = self.lines.saturating_add(1);
    }

    /// Feeds `count` empty lines.
    pub(super) fn feed_lines(&mut self, count: u32) {
        for _ in 0..count {
            self.sheet.feed(self.set.spacing);
            self.sheet.skip_line();
        }
        self.lines = self.lines.saturating_add(count);
        self.look_at_the_end();
    }

    /// Prints an image on a line of its own.
    pub(super) fn image(&mut self, map: Bitmap, label: String) {
        if self.cursor > 0 {
            self.print_line();
        }
        let width = map.width();
        self.lines = self.lines.saturating_add(map.height() / 24);
        self.put(&[Piece::Image { map, x: 0, label }], width, 0);
    }

    /// Prints pieces `width` dots wide, and feeds at least `dots`.
    pub(super) fn put(&mut self, pieces: &[Piece], width: u32, dots: u32) {
        self.sheet.line(pieces, width, self.set.left, self.area(), self.set.align, dots);
        self.look_at_the_end();
    }

    fn look_at_the_end(&mut self) {
        if self.sheet.is_full() && !self.overflowed {
            self.overflowed = true;
            let name = format!("the sheet is longer than {LONGEST} dots; its rest is not drawn");
            self.unsupported.add(self.at, name, &[]);
        }
    }

    fn tab(&mut self) {
        let cell = 12 * self.set.look.wide + self.set.gap;
        if let Some(next) = self.set.tabs.iter().map(|t| t * cell).find(|&x| x > self.cursor) {
            self.cursor = next.min(self.area());
        }
    }

    pub(super) fn kick(&mut self, pin: DrawerPin, on_ms: u16, off_ms: u16) {
        self.kicked += 1;
        if self.kicks.len() < KICKS {
            self.kicks.push(Kick { pin, on_ms, off_ms });
        }
    }

    pub(super) fn cut(&mut self) {
        if !self.line.is_empty() {
            self.print_line();
        }
        self.end_sheet();
    }

    /// Lists a command that is skipped or done differently.
    pub(super) fn skipped(&mut self, name: impl Into<std::borrow::Cow<'static, str>>, bytes: &[u8]) -> Step {
        self.unsupported.add(self.at, name, bytes);
        done(bytes.len())
    }

    /// Lists an unknown command, at its presumed length.
    pub(super) fn unknown(&mut self, bytes: &[u8]) -> Step {
        self.skipped(format!("{} is not known", head(bytes)), bytes)
    }

    /// Lists a lead byte and the byte behind it, unless that is a control character, which may lead the next command.
    pub(super) fn unknown_pair(&mut self, bytes: &[u8]) -> Step {
        let count = if bytes[1] < 0x20 { 1 } else { 2 };
        self.unknown(&bytes[..count])
    }
}

pub(super) fn done(count: usize) -> Step {
    Step::Done(count, None)
}

/// A command's name as in manuals, from its first bytes: `GS ( k`.
fn head(bytes: &[u8]) -> String {
    let byte = |b: &u8| if b.is_ascii_graphic() { char::from(*b).to_string() } else { format!("{b:02X}") };
    let (lead, rest) = match bytes {
        [0x10, 0x04, ..] => return "DLE EOT".into(),
        [0x10, 0x05, ..] => return "DLE ENQ".into(),
        [0x10, 0x14, ..] => return "DLE DC4".into(),
        [0x10, rest @ ..] => ("DLE", rest),
        [0x1b, rest @ ..] => ("ESC", rest),
        [0x1c, rest @ ..] => ("FS", rest),
        [0x1d, rest @ ..] => ("GS", rest),
        [first, ..] => return byte(first),
        [] => return "nothing".into(),
    };
    match rest {
        [] => lead.into(),
        [b @ b'(', kind, ..] | [b @ b'8', kind, ..] if kind.is_ascii_graphic() => {
            format!("{lead} {} {}", byte(b), byte(kind))
        }
        [b, ..] => format!("{lead} {}", byte(b)),
    }
}
