//! Reads printed paper without the library that printed it: codes by the cameras' decoder, text by
//! comparing dots with the glyphs of the Spleen font, 12 × 24 dots.

use std::collections::HashMap;
use std::path::Path;

use tresen::cameras::decode::{self, Effort, Format, Hints};
use tresen::cameras::frame::GreyView;

/// A picture of paper.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Paper {
    width: u32,
    height: u32,
    /// Row by row.
    black: Vec<bool>,
}

/// A line of text as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Of double height.
    pub(crate) tall: bool,
    pub(crate) bold: bool,
}

/// White border of the picture: paper is wider than what is printed on it.
const MARGIN: u32 = 32;
const CELL: (u32, u32) = (12, 24);

/// The dots of one character.
type Glyph = [u16; CELL.1 as usize];

impl Paper {
    pub(crate) fn read(path: &Path) -> Self {
        let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut grey = vec![0; reader.output_buffer_size().expect("it fits")];
        let shown = reader.next_frame(&mut grey).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(shown.color_type, png::ColorType::Grayscale, "{}", path.display());
        let black = grey.iter().map(|grey| *grey < 128).collect();
        Self { width: shown.width, height: shown.height, black }
    }

    /// What a scanner reads.
    pub(crate) fn qr(&self) -> Option<String> {
        let luma: Vec<u8> = self.black.iter().map(|b| if *b { 0 } else { 255 }).collect();
        let (width, height) = (self.width as usize, self.height as usize);
        let picture = GreyView::new(&luma, width, height, width).expect("a picture");
        let codes = decode::best()
            .decode(&picture, &Hints::new(&[Format::Qr]).with_effort(Effort::Fast), &tresen::SystemClock)
            .expect("the decoder works");
        codes.into_iter().find(|code| code.format == Format::Qr).map(|code| code.text)
    }

    /// All lines of text that begin at the left edge.
    pub(crate) fn lines(&self) -> Vec<Text> {
        let alphabet = alphabet();
        let mut lines = Vec::new();
        let mut y = 0;
        while y < self.height {
            match [1, 2].into_iter().find_map(|high| self.line(&alphabet, y, high)) {
                Some(line) => {
                    y += CELL.1 * if line.tall { 2 } else { 1 };
                    lines.push(line);
                }
                None => y += 1,
            }
        }
        lines
    }

    /// The line whose top is at `y`: every cell of it must be a character.
    fn line(&self, alphabet: &HashMap<Glyph, (char, bool)>, y: u32, high: u32) -> Option<Text> {
        if y + CELL.1 * high > self.height {
            return None;
        }
        let (mut text, mut bold) = (String::new(), false);
        for column in 0..(self.width - 2 * MARGIN) / CELL.0 {
            let (c, heavy) = alphabet.get(&self.cell(MARGIN + column * CELL.0, y, high)?)?;
            text.push(*c);
            bold |= *heavy && *c != ' ';
        }
        let text = text.trim_end().to_owned();
        (!text.is_empty()).then_some(Text { text, tall: high == 2, bold })
    }

    /// The dots of a cell; none if the rows of a double-height cell are not doubled.
    fn cell(&self, x: u32, y: u32, high: u32) -> Option<Glyph> {
        let row = |y: u32| {
            (x..x + CELL.0).fold(0, |bits, x| bits << 1 | u16::from(self.black[(y * self.width + x) as usize]))
        };
        let mut glyph = [0; CELL.1 as usize];
        for (at, bits) in (0..).zip(&mut glyph) {
            *bits = row(y + at * high);
            if high == 2 && row(y + at * high + 1) != *bits {
                return None;
            }
        }
        Some(glyph)
    }

    /// Whether `text` stands anywhere, bold and of normal size: centred lines begin between cells.
    pub(crate) fn shows(&self, text: &str) -> bool {
        let glyphs: Vec<Glyph> = text.chars().map(|c| heavy(glyph(c))).collect();
        let wide = glyphs.len() as u32 * CELL.0;
        (0..=self.height.saturating_sub(CELL.1)).any(|y| {
            (0..=self.width.saturating_sub(wide))
                .any(|x| (0..).zip(&glyphs).all(|(at, glyph)| self.cell(x + at * CELL.0, y, 1).as_ref() == Some(glyph)))
        })
    }
}

/// All that may stand on the demo's receipt, light and bold.
fn alphabet() -> HashMap<Glyph, (char, bool)> {
    let all: Vec<_> = (' '..='~').chain("äöüßé€".chars()).collect();
    let bold = all.iter().map(|&c| (heavy(glyph(c)), (c, true)));
    // What looks the same in both weights counts as light.
    bold.chain(all.iter().map(|&c| (glyph(c), (c, false)))).collect()
}

fn glyph(c: char) -> Glyph {
    let mut font = spleen_font::PSF2Font::new(spleen_font::FONT_12X24).expect("a font");
    let rows = font.glyph_for_utf8(c.encode_utf8(&mut [0; 4]).as_bytes()).unwrap_or_else(|| panic!("no glyph `{c}`"));
    let mut glyph = [0; CELL.1 as usize];
    for (row, bits) in rows.zip(&mut glyph) {
        *bits = row.take(CELL.0 as usize).fold(0, |bits, dot| bits << 1 | u16::from(dot));
    }
    glyph
}

/// Struck twice, one dot apart.
fn heavy(glyph: Glyph) -> Glyph {
    glyph.map(|bits| bits | bits >> 1)
}
