//! Glyphs: Spleen by Frederic Cambus (BSD 2-Clause), in the sizes closest to a receipt printer's fonts A (12 × 24) and
//! B (9 × 17).

use std::collections::HashMap;
use std::sync::LazyLock;

/// A printer font.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Font {
    #[default]
    A,
    B,
}

impl Font {
    /// Dots of a character's cell, across and down.
    pub(super) fn cell(self) -> (u32, u32) {
        match self {
            Self::A => (12, 24),
            Self::B => (9, 17),
        }
    }

    /// Rows of dots, the leftmost in the highest of the cell's bits; a hollow box for a character that
    /// the font does not have.
    pub(super) fn glyph(self, c: char) -> &'static [u16] {
        self.find(c).unwrap_or(&self.glyphs().missing)
    }

    /// Whether it has the character or a stand-in for it.
    pub(super) fn has(self, c: char) -> bool {
        c.is_ascii() || self.find(c).is_some()
    }

    fn glyphs(self) -> &'static Glyphs {
        match self {
            Self::A => &FONT_A,
            Self::B => &FONT_B,
        }
    }

    fn find(self, c: char) -> Option<&'static [u16]> {
        let glyphs = self.glyphs();
        let stand_in = match c {
            '—' => '─',
            '‗' => '═',
            '‚' => ',',
            '„' => '"',
            'ƒ' => 'f',
            _ => '\u{fffd}',
        };
        glyphs.map.get(&c).or_else(|| glyphs.map.get(&stand_in)).map(Vec::as_slice)
    }
}

struct Glyphs {
    map: HashMap<char, Vec<u16>>,
    /// A hollow box.
    missing: Vec<u16>,
}

static FONT_A: LazyLock<Glyphs> = LazyLock::new(|| Glyphs::new(psf2(spleen_font::FONT_12X24), Font::A));
static FONT_B: LazyLock<Glyphs> = LazyLock::new(|| Glyphs::new(psf1(spleen_font::FONT_8X16), Font::B));

impl Glyphs {
    fn new(map: HashMap<char, Vec<u16>>, font: Font) -> Self {
        let (width, height) = font.cell();
        let (full, sides) = ((1u16 << (width - 2)) - 2, (1u16 << (width - 3)) | 2);
        let missing = (0..height)
            .map(|y| match y {
                2 => full,
                y if y == height - 4 => full,
                y if y > 2 && y < height - 4 => sides,
                _ => 0,
            })
            .collect();
        Self { map, missing }
    }
}

/// PC Screen Font 2: 32-byte header of little-endian words, glyphs, and for each the UTF-8 characters
/// it shows, ended by FF; after FE come combinations.
fn psf2(data: &[u8]) -> HashMap<char, Vec<u16>> {
    let word = |i: usize| u32::from_le_bytes(data[4 * i..4 * i + 4].try_into().expect("four bytes")) as usize;
    let (start, count, size, width) = (word(2), word(4), word(5), word(7));
    let row = width.div_ceil(8);
    let tables = data[start + count * size..].split(|b| *b == 0xff);
    let mut map = HashMap::new();
    for (glyph, table) in data[start..].chunks_exact(size).zip(tables) {
        let rows: Vec<u16> = glyph
            .chunks_exact(row)
            .map(|r| r.iter().fold(0u16, |bits, b| bits << 8 | u16::from(*b)) >> (row * 8 - width))
            .collect();
        let single = table.split(|b| *b == 0xfe).next().unwrap_or_default();
        String::from_utf8_lossy(single).chars().for_each(|c| _ = map.insert(c, rows.clone()));
    }
    map
}

/// PC Screen Font 1: 4-byte header, 8 dots a row, and 16-bit characters, ended by FFFF. Shifted one
/// dot to the right into its 9-dot cell.
fn psf1(data: &[u8]) -> HashMap<char, Vec<u16>> {
    let (count, size) = (if data[2] & 1 != 0 { 512 } else { 256 }, usize::from(data[3]));
    let words = data[4 + count * size..].as_chunks::<2>().0.iter().map(|w| u16::from_le_bytes(*w));
    let mut map = HashMap::new();
    let mut glyphs = data[4..].chunks_exact(size);
    let mut glyph = glyphs.next();
    for word in words {
        match (word, glyph) {
            (0xffff, _) => glyph = glyphs.next(),
            (word, Some(rows)) => {
                if let Some(c) = char::from_u32(word.into()) {
                    map.insert(c, rows.iter().map(|&r| u16::from(r)).collect());
                }
            }
            (_, None) => break,
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_what_receipts_need() {
        for font in [Font::A, Font::B] {
            let (width, height) = font.cell();
            for c in "AZaz09äöüßéçñ€£─│╔═█½".chars() {
                let glyph = font.glyph(c);
                assert_ne!(glyph, font.glyph('漢'), "{font:?} {c}");
                assert!(glyph.iter().any(|&r| r != 0), "{font:?} {c}");
                assert!(glyph.iter().all(|&r| r < 1 << width) && glyph.len() <= height as usize, "{font:?} {c}");
            }
            assert!(font.glyph(' ').iter().all(|&r| r == 0));
        }
    }
}
