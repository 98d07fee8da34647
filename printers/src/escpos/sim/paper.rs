//! Virtual paper: dots and text of one sheet.

use super::font::Font;
use crate::bitmap::Bitmap;
use crate::document::Align;

/// White border of the PNG, in dots: paper is wider than what is printed on it.
const MARGIN: u32 = 32;
/// Longest sheet, in dots: 8 m at 203 dpi. What comes after it is not drawn.
const LONGEST: u32 = 65_536;

/// One sheet, from cut to cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    dots: Bitmap,
    /// Where the next line begins.
    y: u32,
    text: String,
    columns: usize,
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

impl Look {
    pub(super) fn cell(&self) -> (u32, u32) {
        let (width, height) = self.font.cell();
        (width * self.wide, height * self.high)
    }
}

impl Sheet {
    pub(super) fn new(width: u32, columns: usize) -> Self {
        Self { dots: Bitmap::new(width, 0), columns, ..Self::default() }
    }

    /// The dots.
    pub fn dots(&self) -> &Bitmap {
        &self.dots
    }

    /// What is written on it, a line of text for each printed line; codes and images are named in
    /// brackets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A PNG of one bit per dot, with the paper's margins.
    pub fn to_png(&self) -> Vec<u8> {
        self.dots.to_png(MARGIN)
    }

    /// Whether nothing was printed or fed.
    pub fn is_empty(&self) -> bool {
        self.y == 0
    }

    pub(super) fn feed(&mut self, dots: u32) {
        self.y = (self.y + dots).min(LONGEST);
        self.dots.grow(self.y);
    }

    /// Adds an empty line to the text.
    pub(super) fn skip_line(&mut self) {
        self.text.push('\n');
    }

    /// Prints a line of `width` dots, aligned within `area` dots from `left`, and feeds at least
    /// `spacing`.
    pub(super) fn line(&mut self, pieces: &[Piece], width: u32, left: u32, area: u32, align: Align, spacing: u32) {
        let free = area.saturating_sub(width);
        let start = left
            + match align {
                Align::Left => 0,
                Align::Centre => free / 2,
                Align::Right => free,
            };
        let height = pieces
            .iter()
            .map(|p| match p {
                Piece::Char { look, .. } => look.cell().1,
                Piece::Image { map, .. } => map.height(),
            })
            .max()
            .unwrap_or(0);
        let top = self.y;
        self.feed(spacing.max(height));
        if top + height <= LONGEST {
            for piece in pieces {
                match piece {
                    Piece::Char { c, x, look } => {
                        let bottom = top + height - look.cell().1;
                        draw(&mut self.dots, look.font.glyph(*c), start + x, bottom, look);
                    }
                    Piece::Image { map, x, .. } => self.dots.paint(map, start + x, top + height - map.height()),
                }
            }
        }
        self.write(pieces, start);
    }

    /// Puts the line's characters where they stand, in columns of font A.
    fn write(&mut self, pieces: &[Piece], start: u32) {
        let mut line = String::new();
        let mut column = 0;
        for piece in pieces {
            let (x, c) = match piece {
                Piece::Char { c, x, .. } => (start + x, Some(*c)),
                Piece::Image { x, .. } => (start + x, None),
            };
            let wanted = (x / 12) as usize;
            if c != Some(' ') && column < wanted.min(256) {
                line.extend(std::iter::repeat_n(' ', wanted - column));
                column = wanted;
            }
            match (c, piece) {
                (Some(' '), _) | (None, Piece::Char { .. }) => {}
                (Some(c), _) => {
                    line.push(c);
                    column += 1;
                }
                (None, Piece::Image { label, .. }) => {
                    // The bands of one image are one image.
                    if !self.text.ends_with(&format!("{label}\n")) || !label.starts_with("[image") {
                        line.push_str(label);
                        column += label.chars().count();
                    } else {
                        return;
                    }
                }
            }
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Adds another sheet below.
    pub(super) fn append(&mut self, other: &Self) {
        let top = self.y;
        self.feed(other.y);
        self.dots.paint(&other.dots, 0, top);
        self.text.push_str(&other.text);
    }
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
