//! Virtual paper: dots and text of one sheet, and the pile of finished ones.

use std::sync::OnceLock;

use super::font::Font;
use crate::bitmap::Bitmap;
use crate::document::Align;

/// White margin of the PNG, in dots: paper is wider than its printable area.
const MARGIN: u32 = 32;
/// Maximum length of a sheet, in dots: 8 m at 203 dpi. The rest is not drawn.
pub(super) const LONGEST: u32 = 65_536;
/// Maximum text of a sheet, in bytes.
const LONGEST_TEXT: usize = 1 << 20;
/// Columns of the text view.
const WIDEST_TEXT: usize = 256;

/// One sheet, from cut to cut.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// The rows down to the lowest that was printed on.
    ink: Bitmap,
    /// All rows, once requested.
    whole: OnceLock<Bitmap>,
    /// Where the next line begins.
    y: u32,
    text: String,
}

/// Something on a line, `x` dots from its beginning.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Char { c: char, x: u32, look: Look },
    Image { map: Bitmap, x: u32, label: String },
}

/// How a character looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) font: Font,
    pub(super) wide: u32,
    pub(super) high: u32,
    pub(super) bold: bool,
    pub(super) underline: u32,
    pub(super) invert: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { font: Font::A, wide: 1, high: 1, bold: false, underline: 0, invert: false }
    }
}

impl Look {
    pub(super) fn cell(&self) -> (u32, u32) {
        let (width, height) = self.font.cell();
        (width * self.wide, height * self.high)
    }
}

impl Piece {
    fn x(&self) -> u32 {
        match self {
            Self::Char { x, .. } | Self::Image { x, .. } => *x,
        }
    }

    fn height(&self) -> u32 {
        match self {
            Self::Char { look, .. } => look.cell().1,
            Self::Image { map, .. } => map.height(),
        }
    }
}

impl PartialEq for Sheet {
    fn eq(&self, other: &Self) -> bool {
        (self.y, &self.text, &self.ink) == (other.y, &other.text, &other.ink)
    }
}

impl Eq for Sheet {}

impl Sheet {
    pub(super) fn new(width: u32) -> Self {
        Self { ink: Bitmap::new(width, 0), ..Self::default() }
    }

    /// The dots. A sheet longer than 8 m (65,536 rows) ends there.
    pub fn dots(&self) -> &Bitmap {
        if self.ink.height() == self.y {
            return &self.ink;
        }
        self.whole.get_or_init(|| {
            let mut whole = self.ink.clone();
            whole.grow(self.y);
            whole
        })
    }

    /// Its text, one line for each printed line, from left to right; codes and images are named in brackets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A PNG of one bit per dot, with the paper's margins.
    pub fn to_png(&self) -> Vec<u8> {
        self.dots().to_png(MARGIN)
    }

    /// Whether nothing was printed or fed.
    pub fn is_empty(&self) -> bool {
        self.y == 0 && self.text.is_empty()
    }

    /// Whether it has reached its maximum length.
    pub(super) fn is_full(&self) -> bool {
        self.y >= LONGEST || self.text.len() >= LONGEST_TEXT
    }

    pub(super) fn feed(&mut self, dots: u32) {
        self.y = self.y.saturating_add(dots).min(LONGEST);
        self.whole.take();
    }

    /// Adds an empty line to the text.
    pub(super) fn skip_line(&mut self) {
        if !self.is_full() {
            self.text.push('\n');
        }
    }

    /// Prints a line of `width` dots, aligned within `area` dots from `left`, and feeds at least
    /// `spacing`.
    pub(super) fn line(&mut self, pieces: &[Piece], width: u32, left: u32, area: u32, align: Align, spacing: u32) {
        if self.is_full() {
            return;
        }
        let free = area.saturating_sub(width);
        let start = left
            + match align {
                Align::Left => 0,
                Align::Centre => free / 2,
                Align::Right => free,
            };
        let height = pieces.iter().map(Piece::height).max().unwrap_or(0);
        let top = self.y;
        self.feed(spacing.max(height));
        if top + height <= LONGEST {
            self.ink.grow(top + height);
            for piece in pieces {
                let top = top + height - piece.height();
                match piece {
                    Piece::Char { c, x, look } => draw(&mut self.ink, look.font.glyph(*c), start + x, top, look),
                    Piece::Image { map, x, .. } => self.ink.paint(map, start + x, top),
                }
            }
        }
        if pieces.is_sorted_by_key(Piece::x) {
            return self.write(pieces.iter(), start);
        }
        let mut sorted: Vec<&Piece> = pieces.iter().collect();
        sorted.sort_by_key(|p| p.x());
        self.write(sorted.into_iter(), start);
    }

    /// Places the line's characters in columns of font A.
    fn write<'a>(&mut self, pieces: impl Iterator<Item = &'a Piece>, start: u32) {
        let mut line = String::new();
        let mut column = 0;
        for piece in pieces {
            let wanted = ((start + piece.x()) / 12) as usize;
            let wanted = if wanted < WIDEST_TEXT { wanted } else { column };
            match piece {
                Piece::Char { c: ' ', .. } => continue,
                // The bands of one image are one image.
                Piece::Image { label, .. }
                    if label.starts_with("[image") && self.text.ends_with(&format!("{label}\n")) =>
                {
                    return;
                }
                _ => {}
            }
            line.extend(std::iter::repeat_n(' ', wanted.saturating_sub(column)));
            column = column.max(wanted);
            match piece {
                Piece::Char { c, .. } => {
                    line.push(*c);
                    column += 1;
                }
                Piece::Image { label, .. } => {
                    line.push_str(label);
                    column += label.chars().count();
                }
            }
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Appends another sheet, up to the maximum length.
    pub(super) fn append(&mut self, other: &Self) {
        let top = self.y;
        self.feed(other.y);
        self.ink.grow((top + other.ink.height()).min(self.y));
        self.ink.paint(&other.ink, 0, top);
        self.text.push_str(&other.text);
    }
}

/// Finished sheets, the latest ones: at most 1,000, and at most 32 m of paper.
#[derive(Debug, Default)]
pub(super) struct Pile {
    sheets: Vec<Sheet>,
    /// Sheets before this index are discarded, but still take up an entry.
    first: usize,
    weight: usize,
    discarded: u64,
}

/// Sheets that are kept.
const SHEETS: usize = 1000;
/// Rows of them at 203 dpi: 32 m. 64 bytes of text count as a row.
const ROWS: usize = 1 << 18;

impl Pile {
    pub(super) fn push(&mut self, sheet: Sheet) {
        self.weight += weight(&sheet);
        self.sheets.push(sheet);
        while self.weight > ROWS || self.sheets.len() - self.first > SHEETS {
            self.weight -= weight(&std::mem::take(&mut self.sheets[self.first]));
            self.first += 1;
            self.discarded += 1;
        }
        if self.first >= SHEETS {
            self.sheets.drain(..self.first);
            self.first = 0;
        }
    }

    pub(super) fn sheets(&self) -> &[Sheet] {
        &self.sheets[self.first..]
    }

    pub(super) fn take(&mut self) -> Vec<Sheet> {
        self.weight = 0;
        let first = std::mem::take(&mut self.first);
        std::mem::take(&mut self.sheets).split_off(first)
    }

    /// How many finished sheets were discarded before anyone took them.
    pub(super) fn discarded(&self) -> u64 {
        self.discarded
    }
}

fn weight(sheet: &Sheet) -> usize {
    sheet.y as usize + sheet.text.len() / 64
}

/// A line of text as a bitmap, clipped at `width` dots.
pub(super) fn lettering(words: &str, width: u32) -> Bitmap {
    let look = Look::default();
    let (across, down) = look.cell();
    let mut map = Bitmap::new(width, down);
    for (i, c) in words.chars().take((width / across) as usize).enumerate() {
        draw(&mut map, look.font.glyph(c), i as u32 * across, 0, &look);
    }
    map
}

fn draw(dots: &mut Bitmap, glyph: &[u16], x: u32, y: u32, look: &Look) {
    let (cell, height) = look.font.cell();
    for (row, &bits) in glyph.iter().enumerate() {
        let bits = if look.bold { bits | bits >> 1 } else { bits };
        for high in 0..look.high {
            let y = y + row as u32 * look.high + high;
            if look.wide == 1 {
                dots.or_bits(x, y, u32::from(bits) << (32 - cell));
                continue;
            }
            let mut left = u32::from(bits) << (32 - cell);
            while left != 0 {
                let at = left.leading_zeros();
                dots.set_run(x + at * look.wide, y, look.wide);
                left &= !(0x8000_0000 >> at);
            }
        }
    }
    for line in 0..look.underline {
        let y = y + height * look.high - 1 - line;
        dots.set_run(x, y, cell * look.wide);
    }
    if look.invert {
        dots.invert(x, y, cell * look.wide, height * look.high);
    }
}
