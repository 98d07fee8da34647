//! What an ESC/POS printer does with its bytes: a lenient interpreter, wider than our encoder, so
//! that other people's output prints too.
//!
//! It takes one command at a time from a buffer and says when it needs more. Unknown commands are
//! kept with their place and do not stop printing. Left out: page mode, user-defined characters,
//! Kanji, upside-down and rotated printing, and codes other than QR, EAN, UPC-A, Code 39, Code 128
//! and ITF, which are named in the text but not drawn.

use super::codes::Symbol;
use super::font::Font;
use super::paper::{Look, Piece, Sheet};
use crate::bitmap::Bitmap;
use crate::document::{Align, Cut, Kick};
use crate::printer::DrawerPin;
use crate::profile::Profile;
use crate::text::CodePage;

/// Dots from line to line, unless told otherwise.
const SPACING: u32 = 30;
/// Largest image or data block that is waited for.
const LARGEST: usize = 8 << 20;
/// Rows of finished sheets that are kept: 32 m at 203 dpi.
const KEPT: u32 = 1 << 18;
/// Unknown commands and pulses that are kept.
const LISTED: usize = 1000;

/// Bytes that the interpreter did not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where, counted from the first byte ever received.
    pub offset: u64,
    /// What it skipped.
    pub bytes: Vec<u8>,
}

/// What the printer has to answer, or to do besides printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Id(u8),
    Status(u8),
    Automatic(u8),
    ProcessId([u8; 4]),
    Initialize,
}

/// What came of one step.
pub(super) enum Step {
    /// The command is incomplete.
    More,
    /// So many bytes are done.
    Done(usize, Option<Ask>),
}

#[derive(Debug)]
pub(super) struct Interpreter {
    profile: Profile,
    pub(super) sheets: Vec<Sheet>,
    pub(super) sheet: Sheet,
    pub(super) kicks: Vec<Kick>,
    pub(super) unknown: Vec<Unknown>,
    /// Lines of text height printed since the beginning.
    pub(super) lines: u32,
    offset: u64,
    line: Vec<Piece>,
    cursor: u32,
    pub(super) set: Settings,
    pub(super) symbol: Symbol,
    graphics: Option<Bitmap>,
}

/// What `ESC @` resets.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) page: Option<CodePage>,
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page: Some(CodePage::Cp437),
            look: Look { font: Font::A, wide: 1, high: 1, bold: false, underline: 0, invert: false },
            align: Align::Left,
            spacing: SPACING,
            gap: 0,
            left: 0,
            area: None,
            tabs: (1..=8).map(|i| i * 8).collect(),
            bar_height: 162,
            module: 3,
            hri: 0,
        }
    }
}

impl Interpreter {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            sheet: Sheet::new(profile.width.0, profile.columns),
            profile,
            sheets: Vec::new(),
            kicks: Vec::new(),
            unknown: Vec::new(),
            lines: 0,
            offset: 0,
            line: Vec::new(),
            cursor: 0,
            set: Settings::default(),
            symbol: Symbol::default(),
            graphics: None,
        }
    }

    /// Does the first command in `bytes`.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let step = self.execute(bytes);
        if let Step::Done(count, _) = step {
            self.offset += count as u64;
        }
        step
    }

    /// Bytes that will never be interpreted: cleared from the buffer.
    pub(super) fn skip(&mut self, count: usize) {
        self.offset += count as u64;
        self.line.clear();
        self.cursor = 0;
    }

    /// What is on the line when the power goes, or the file ends, is printed by nobody; here it is.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.print_line();
        }
        if !self.sheet.is_empty() {
            self.end_sheet();
        }
    }

    fn execute(&mut self, bytes: &[u8]) -> Step {
        let Some(&first) = bytes.first() else { return Step::More };
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
            0x01..0x20 => self.unknown(&bytes[..1]),
            _ => {
                let end = bytes.iter().position(|b| *b < 0x20).unwrap_or(bytes.len());
                bytes[..end].iter().for_each(|&b| self.character(b));
                done(end)
            }
        }
    }

    fn character(&mut self, byte: u8) {
        let c = match self.set.page {
            Some(page) => page.decode(byte),
            None if byte < 0x80 => byte.into(),
            None => char::REPLACEMENT_CHARACTER,
        };
        let look = self.set.look;
        let width = look.cell().0;
        self.make_room(width);
        self.line.push(Piece::Char { c, x: self.cursor, look });
        self.cursor += width + self.set.gap;
    }

    /// Prints the line if `width` more dots do not fit on it.
    fn make_room(&mut self, width: u32) {
        if self.cursor > 0 && self.cursor + width > self.area() {
            self.print_line();
        }
    }

    pub(super) fn area(&self) -> u32 {
        let rest = self.profile.width.0.saturating_sub(self.set.left);
        self.set.area.map_or(rest, |a| a.min(rest)).max(12)
    }

    fn print_line(&mut self) {
        self.print_line_and_feed(self.set.spacing);
    }

    fn print_line_and_feed(&mut self, dots: u32) {
        let pieces = std::mem::take(&mut self.line);
        let width = std::mem::take(&mut self.cursor);
        self.sheet.line(&pieces, width, self.set.left, self.area(), self.set.align, dots);
        self.line = pieces;
        self.line.clear();
        self.lines += 1;
    }

    pub(super) fn image(&mut self, map: Bitmap, label: String) {
        if self.cursor > 0 {
            self.print_line();
        }
        let width = map.width();
        self.lines += map.height() / 24;
        self.sheet.line(&[Piece::Image { map, x: 0, label }], width, self.set.left, self.area(), self.set.align, 0);
    }

    fn tab(&mut self) {
        let cell = 12 * self.set.look.wide + self.set.gap;
        if let Some(next) = self.set.tabs.iter().map(|t| t * cell).find(|&x| x > self.cursor) {
            self.cursor = next.min(self.area());
        }
    }

    fn end_sheet(&mut self) {
        let next = Sheet::new(self.profile.width.0, self.profile.columns);
        self.sheets.push(std::mem::replace(&mut self.sheet, next));
        let mut kept: u32 = self.sheets.iter().map(|s| s.dots().height()).sum();
        while kept > KEPT || self.sheets.len() > LISTED {
            kept -= self.sheets.remove(0).dots().height();
        }
    }

    pub(super) fn unknown(&mut self, bytes: &[u8]) -> Step {
        if self.unknown.len() < LISTED {
            self.unknown.push(Unknown { offset: self.offset, bytes: bytes.to_vec() });
        }
        done(bytes.len())
    }

    fn dle(&mut self, bytes: &[u8]) -> Step {
        // Executed when they arrived; here they only take up room.
        let length = match bytes {
            [_] | [_, 0x14] => return Step::More,
            [_, 0x04, 7 | 8, ..] => 4,
            [_, 0x04 | 0x05, ..] => 3,
            [_, 0x14, 8, ..] => 10,
            [_, 0x14, ..] => 5,
            _ => return self.unknown(&bytes[..1]),
        };
        if bytes.len() < length { Step::More } else { done(length) }
    }

    fn fs(&mut self, bytes: &[u8]) -> Step {
        let length = match bytes.get(1) {
            None => return Step::More,
            Some(b'.' | b'&') => 2,
            Some(b'!' | b'-' | b'C' | b'W') => 3,
            Some(b'S' | b'p') => 4,
            Some(b'(') => return self.parenthesis(bytes),
            Some(_) => return self.unknown(&bytes[..2]),
        };
        if bytes.len() < length {
            return Step::More;
        }
        // Printing a stored image needs the image.
        if bytes[1] == b'p' { self.unknown(&bytes[..length]) } else { done(length) }
    }

    fn esc(&mut self, bytes: &[u8]) -> Step {
        let Some(&command) = bytes.get(1) else { return Step::More };
        let need = match command {
            b'@' | b'2' | b'i' | b'm' | b'<' | b'S' | b'L' | 0x0c => 2,
            b'$' | b'\\' | b'c' => 4,
            b'p' => 5,
            b'W' => 10,
            b'*' => return self.column_image(bytes),
            b'D' => return self.set_tabs(bytes),
            b' ' | b'!' | b'-' | b'3' | b'E' | b'G' | b'J' | b'M' | b'R' | b'T' | b'U' | b'V' | b'a' | b'd' | b'e'
            | b'K' | b'r' | b't' | b'u' | b'v' | b'{' | b'=' | b'%' | b'?' | b'B' => 3,
            _ => return self.unknown(&bytes[..2]),
        };
        if bytes.len() < need {
            return Step::More;
        }
        let n = bytes.get(2).copied().unwrap_or(0);
        let on = n & 1 == 1;
        let set = &mut self.set;
        match command {
            b'@' => {
                self.set = Settings::default();
                self.line.clear();
                self.cursor = 0;
                self.symbol = Symbol::default();
                return Step::Done(2, Some(Ask::Initialize));
            }
            b'!' => {
                set.look.font = if on { Font::B } else { Font::A };
                set.look.bold = n & 0x08 != 0;
                set.look.high = if n & 0x10 != 0 { 2 } else { 1 };
                set.look.wide = if n & 0x20 != 0 { 2 } else { 1 };
                set.look.underline = u32::from(n >> 7);
            }
            b'M' => set.look.font = if on { Font::B } else { Font::A },
            b'E' | b'G' => set.look.bold = on,
            b'-' => set.look.underline = u32::from(n & 3).min(2),
            b' ' => set.gap = n.into(),
            b'2' => set.spacing = SPACING,
            b'3' => set.spacing = n.into(),
            b't' => set.page = self.profile.page(n),
            // Alignment holds from the beginning of a line.
            b'a' if self.line.is_empty() => {
                set.align = match n & 3 {
                    1 => Align::Centre,
                    2 => Align::Right,
                    _ => Align::Left,
                };
            }
            b'J' => self.print_line_and_feed(n.into()),
            b'd' => {
                if n > 0 {
                    self.print_line();
                }
                for _ in 1..n {
                    self.sheet.feed(self.set.spacing);
                    self.sheet.skip_line();
                    self.lines += 1;
                }
            }
            b'$' => self.cursor = u32::from(u16::from_le_bytes([n, bytes[3]])),
            b'\\' => {
                let by = i16::from_le_bytes([n, bytes[3]]);
                self.cursor = self.cursor.saturating_add_signed(by.into()).min(u16::MAX.into());
            }
            b'p' => {
                let pin = if on { DrawerPin::Five } else { DrawerPin::Two };
                self.kick(pin, bytes[3], bytes[4]);
            }
            b'i' | b'm' => self.cut(Cut::Partial),
            b'S' | b'L' | b'W' | 0x0c => return self.unknown(&bytes[..need]),
            _ => {}
        }
        done(need)
    }

    pub(super) fn kick(&mut self, pin: DrawerPin, on: u8, off: u8) {
        if self.kicks.len() < LISTED {
            self.kicks.push(Kick { pin, on_ms: 2 * u16::from(on), off_ms: 2 * u16::from(off) });
        }
    }

    fn cut(&mut self, _: Cut) {
        if !self.line.is_empty() {
            self.print_line();
        }
        self.end_sheet();
    }

    /// ESC D n1…nk NUL
    fn set_tabs(&mut self, bytes: &[u8]) -> Step {
        let Some(end) = bytes.iter().skip(2).position(|b| *b == 0) else {
            // At most 32 positions.
            return if bytes.len() > 35 { self.unknown(&bytes[..2]) } else { Step::More };
        };
        self.set.tabs = bytes[2..2 + end].iter().map(|&b| b.into()).collect();
        done(end + 3)
    }

    /// ESC * m nL nH d1…dk
    fn column_image(&mut self, bytes: &[u8]) -> Step {
        let &[_, _, mode, low, high, ..] = bytes else { return Step::More };
        let columns = usize::from(u16::from_le_bytes([low, high]));
        let (tall, across, down) = match mode {
            0 => (1, 2, 3),
            1 => (1, 1, 3),
            32 => (3, 2, 1),
            33 => (3, 1, 1),
            _ => return self.unknown(&bytes[..5]),
        };
        let Some(data) = bytes.get(5..5 + columns * tall) else { return Step::More };
        let width = columns as u32 * across;
        let mut map = Bitmap::new(width.min(self.profile.width.0), tall as u32 * 8 * down);
        for (i, column) in data.chunks_exact(tall).enumerate() {
            for y in (0..tall * 8).filter(|y| column[y / 8] & (0x80 >> (y % 8)) != 0) {
                (0..down).for_each(|d| map.set_run(i as u32 * across, y as u32 * down + d, across));
            }
        }
        self.make_room(width.min(self.area()));
        self.line.push(Piece::Image { map, x: self.cursor, label: format!("[image {columns}]") });
        self.cursor += width;
        done(5 + columns * tall)
    }

    fn gs(&mut self, bytes: &[u8]) -> Step {
        let Some(&command) = bytes.get(1) else { return Step::More };
        let need = match command {
            b'!' | b'B' | b'H' | b'h' | b'w' | b'f' | b'a' | b'r' | b'I' | b'b' | b'T' | b'j' | b'E' | b'/' => 3,
            b'L' | b'W' | b'P' | b'$' | b'\\' => 4,
            b'V' => match bytes.get(2) {
                None => return Step::More,
                Some(65 | 66 | 97 | 98 | 103 | 104) => 4,
                Some(_) => 3,
            },
            b'(' => return self.parenthesis(bytes),
            b'8' => return self.long_graphics(bytes),
            b'v' => return self.raster(bytes),
            b'k' => return self.barcode(bytes),
            b'*' => {
                let &[_, _, x, y, ..] = bytes else { return Step::More };
                let length = 4 + usize::from(x) * usize::from(y) * 8;
                return if bytes.len() < length { Step::More } else { self.unknown(&bytes[..length]) };
            }
            _ => return self.unknown(&bytes[..2]),
        };
        if bytes.len() < need {
            return Step::More;
        }
        let n = bytes[2];
        let set = &mut self.set;
        let wide = |high: u8| u32::from(u16::from_le_bytes([n, high]));
        match command {
            b'!' => {
                set.look.wide = u32::from(n >> 4 & 7) + 1;
                set.look.high = u32::from(n & 7) + 1;
            }
            b'B' => set.look.invert = n & 1 == 1,
            b'H' => set.hri = n & 3,
            b'h' => set.bar_height = u32::from(n).max(1),
            b'w' => set.module = u32::from(n).clamp(1, 6),
            b'L' => set.left = wide(bytes[3]).min(self.profile.width.0),
            b'W' => set.area = Some(wide(bytes[3])),
            b'V' => self.cut(if n & 1 == 0 { Cut::Full } else { Cut::Partial }),
            b'a' => return Step::Done(need, Some(Ask::Automatic(n))),
            b'r' => return Step::Done(need, Some(Ask::Status(n))),
            b'I' => return Step::Done(need, Some(Ask::Id(n))),
            b'/' => return self.unknown(&bytes[..need]),
            _ => {}
        }
        done(need)
    }

    /// GS v 0 m xL xH yL yH d1…dk
    fn raster(&mut self, bytes: &[u8]) -> Step {
        let &[_, _, zero, mode, xl, xh, yl, yh, ..] = bytes else { return Step::More };
        let (stride, rows) = (usize::from(u16::from_le_bytes([xl, xh])), usize::from(u16::from_le_bytes([yl, yh])));
        if zero != b'0' || stride * rows > LARGEST {
            return self.unknown(&bytes[..8]);
        }
        let Some(data) = bytes.get(8..8 + stride * rows) else { return Step::More };
        let (across, down) = (u32::from(mode & 1) + 1, u32::from(mode >> 1 & 1) + 1);
        let map = self.map(data, stride, rows, across, down);
        self.image(map, format!("[image {}]", stride * 8));
        done(8 + stride * rows)
    }

    /// Raster data as dots, cut off at the paper's edge.
    fn map(&self, data: &[u8], stride: usize, rows: usize, across: u32, down: u32) -> Bitmap {
        let width = (stride as u32 * 8 * across).min(self.profile.width.0);
        let mut map = Bitmap::new(width, rows as u32 * down);
        if across == 1 && down == 1 {
            map.copy_rows(data, stride);
            return map;
        }
        for (y, row) in data.chunks_exact(stride.max(1)).enumerate() {
            for x in (0..stride as u32 * 8).filter(|x| row[(x / 8) as usize] & (0x80 >> (x % 8)) != 0) {
                (0..down).for_each(|d| map.set_run(x * across, y as u32 * down + d, across));
            }
        }
        map
    }

    /// GS ( x pL pH …, FS ( x pL pH …
    fn parenthesis(&mut self, bytes: &[u8]) -> Step {
        let &[lead, _, kind, low, high, ..] = bytes else { return Step::More };
        let length = 5 + usize::from(u16::from_le_bytes([low, high]));
        let Some(body) = bytes.get(5..length) else { return Step::More };
        match (lead, kind, body) {
            (0x1d, b'k', [b'1', function, rest @ ..]) => self.qr(*function, rest),
            (0x1d, b'L', body) => self.graphics(body),
            (0x1d, b'H', [0x30, 0x30, a, b, c, d]) => {
                return Step::Done(length, Some(Ask::ProcessId([*a, *b, *c, *d])));
            }
            // Settings that change nothing on virtual paper.
            (0x1d, b'A' | b'D' | b'E' | b'K' | b'N' | b'H', _) => {}
            _ => return self.unknown(&bytes[..length]),
        }
        done(length)
    }

    /// GS 8 L p1 p2 p3 p4 …
    fn long_graphics(&mut self, bytes: &[u8]) -> Step {
        let &[_, _, kind, a, b, c, d, ..] = bytes else { return Step::More };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if kind != b'L' || length > LARGEST {
            return self.unknown(&bytes[..7]);
        }
        let Some(body) = bytes.get(7..7 + length) else { return Step::More };
        self.graphics(body);
        done(7 + length)
    }

    /// GS ( L functions 112 (store raster) and 50 (print); densities change nothing.
    fn graphics(&mut self, body: &[u8]) {
        match body {
            [0x30, 0x70, _tone, bx, by, _colour, xl, xh, yl, yh, data @ ..] => {
                let (width, rows) = (u16::from_le_bytes([*xl, *xh]), usize::from(u16::from_le_bytes([*yl, *yh])));
                let stride = usize::from(width.div_ceil(8));
                if data.len() >= stride * rows && stride > 0 {
                    let (across, down) = (u32::from(*bx).clamp(1, 2), u32::from(*by).clamp(1, 2));
                    self.graphics = Some(self.map(&data[..stride * rows], stride, rows, across, down));
                }
            }
            [0x30, 2 | 50, ..] => {
                if let Some(map) = self.graphics.take() {
                    let label = format!("[image {}]", map.width());
                    self.image(map, label);
                }
            }
            [0x30, 49 | 1 | 51 | 52, ..] => {}
            _ => _ = self.unknown(&[&b"\x1d(L"[..], &body[..body.len().min(16)]].concat()),
        }
    }
}

pub(super) fn done(count: usize) -> Step {
    Step::Done(count, None)
}
