//! QR codes and barcodes on virtual paper: `GS ( k` and `GS k`.

use tresen_hal::barcode::check_digit;

use super::interpreter::{Interpreter, Step, done};
use super::paper::{Look, Piece, lettering};
use crate::bitmap::Bitmap;
use crate::document::{Correction, Symbology, draw_qr};
use crate::symbols;

/// Line spacing of human-readable text, in dots.
const SPACING: u32 = 30;
/// The maximum number of characters before the NUL of `GS k` function A.
const LONGEST: usize = 255;

/// The symbol memory of two-dimensional codes, and the settings of QR codes.
#[derive(Debug, Clone)]
pub(super) struct Symbol {
    data: Vec<u8>,
    size: u32,
    correction: Correction,
    model: u8,
    /// The drawn QR code, until something of it changes.
    drawn: Option<Bitmap>,
    /// Data of the other symbologies, from PDF417 (48) to DataMatrix (54).
    others: [Vec<u8>; 7],
}

impl Default for Symbol {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            size: 3,
            correction: Correction::Low,
            model: 50,
            drawn: None,
            others: Default::default(),
        }
    }
}

impl Interpreter {
    /// GS ( k
    pub(super) fn symbol(&mut self, cn: u8, function: u8, rest: &[u8], whole: &[u8]) -> Step {
        let name = match cn {
            49 => return self.qr(function, rest, whole),
            48 => "PDF417",
            50 => "MaxiCode",
            51 => "GS1 DataBar",
            52 => "Composite",
            53 => "Aztec",
            54 => "DataMatrix",
            _ => return self.unknown(whole),
        };
        let stored = &mut self.symbol.others[usize::from(cn - 48)];
        match (function, rest) {
            (80, [0x30, data @ ..]) => *stored = data.to_vec(),
            (81, _) => {
                let label = format!("[{name} {}]", readable(stored));
                return self.name(label, whole);
            }
            (82, _) => return self.skipped("GS ( k: the size of a code", whole),
            _ => {}
        }
        done(whole.len())
    }

    /// GS ( k, cn 49
    fn qr(&mut self, function: u8, rest: &[u8], whole: &[u8]) -> Step {
        let symbol = &mut self.symbol;
        if function != 81 {
            symbol.drawn = None;
        }
        match (function, rest) {
            (65, [model, ..]) => symbol.model = *model,
            (67, [size, ..]) => symbol.size = u32::from(*size).clamp(1, 16),
            (69, [level, ..]) => {
                symbol.correction = match level {
                    49 => Correction::Medium,
                    50 => Correction::Quartile,
                    51 => Correction::High,
                    _ => Correction::Low,
                };
            }
            (80, [0x30, data @ ..]) => symbol.data = data.to_vec(),
            (81, _) => return self.print_qr(whole),
            (82, _) => return self.skipped("GS ( k: the size of a code", whole),
            _ => return self.unknown(whole),
        }
        done(whole.len())
    }

    fn print_qr(&mut self, whole: &[u8]) -> Step {
        if self.symbol.data.is_empty() {
            return self.skipped("a QR code without data, which is not printed", whole);
        }
        if self.symbol.model == 51 {
            let label = format!("[Micro QR {}]", readable(&self.symbol.data));
            return self.name(label, whole);
        }
        // Nothing is drawn past the end of the sheet.
        if self.sheet.is_full() {
            return done(whole.len());
        }
        let size = self.symbol.size;
        let map = match self.symbol.drawn.take() {
            Some(map) => map,
            None => {
                let Some((width, dark)) = draw_qr(&self.symbol.data, self.symbol.correction) else {
                    let count = self.symbol.data.len();
                    return self.skipped(format!("a QR code of {count} bytes, too many to be printed"), whole);
                };
                let side = width as u32 * size;
                // As on a real printer, a code wider than the paper is not printed.
                if side > self.area() {
                    let area = self.area();
                    return self.skipped(format!("a QR code of {side} dots on {area}, too wide to be printed"), whole);
                }
                let mut map = Bitmap::new(side, side);
                for (i, _) in dark.iter().enumerate().filter(|(_, dark)| **dark) {
                    let (x, y) = ((i % width) as u32 * size, (i / width) as u32 * size);
                    (y..y + size).for_each(|y| map.set_run(x, y, size));
                }
                map
            }
        };
        if map.width() > self.area() {
            let (side, area) = (map.width(), self.area());
            self.symbol.drawn = Some(map);
            return self.skipped(format!("a QR code of {side} dots on {area}, too wide to be printed"), whole);
        }
        self.symbol.drawn = Some(map.clone());
        let label = format!("[QR {}]", readable(&self.symbol.data));
        self.image(map, label);
        if self.symbol.model == 49 {
            return self.skipped("a QR code of model 1, drawn as model 2", whole);
        }
        done(whole.len())
    }

    /// Names a code that a real printer would draw.
    fn name(&mut self, label: String, whole: &[u8]) -> Step {
        let kind = label[1..].split(' ').next().unwrap_or_default().to_owned();
        let area = self.area();
        let wide = (label.chars().count() as u32 * 12).min(area);
        self.image(lettering(&label, wide), label);
        self.skipped(format!("a {kind} code, named instead of drawn"), whole)
    }

    /// GS k, both forms
    pub(super) fn barcode(&mut self, bytes: &[u8]) -> Step {
        let Some(&system) = bytes.get(2) else { return Step::More };
        let (start, length) = match system {
            0..=6 => {
                // Function A ends with NUL. A character outside the symbology ends the command, too, and is printed as
                // ordinary data.
                let data = &bytes[3..bytes.len().min(4 + LONGEST)];
                match data.iter().position(|&b| !holds(system, b)) {
                    Some(end) if data[end] == 0 => (3, end),
                    Some(end) => return self.skipped("GS k: a barcode without its NUL", &bytes[..3 + end]),
                    None if data.len() > LONGEST => {
                        return self.skipped("GS k: a barcode without its NUL", &bytes[..3 + LONGEST]);
                    }
                    None => return Step::More,
                }
            }
            65..=79 => {
                let Some(&n) = bytes.get(3) else { return Step::More };
                (4, usize::from(n))
            }
            _ => return self.unknown(&bytes[..3]),
        };
        let end = start + length + usize::from(start == 3);
        let Some(whole) = bytes.get(..end) else { return Step::More };
        let data = &bytes[start..start + length];
        self.draw_barcode(system, data, whole)
    }

    fn draw_barcode(&mut self, system: u8, data: &[u8], whole: &[u8]) -> Step {
        if self.sheet.is_full() {
            return done(whole.len());
        }
        let module = self.set.module;
        let drawn = |symbology: Symbology, data: Vec<u8>| {
            (symbols::elements(symbology, &data, module), String::from_utf8_lossy(&data).into_owned())
        };
        let named = |kind: &str| format!("[{kind} {}]", readable(data));
        let (widths, text) = match system {
            0 | 65 => drawn(Symbology::UpcA, with_check(data, 12)),
            2 | 67 => drawn(Symbology::Ean13, with_check(data, 13)),
            3 | 68 => drawn(Symbology::Ean8, with_check(data, 8)),
            4 | 69 => drawn(Symbology::Code39, data.to_vec()),
            5 | 70 => drawn(Symbology::Itf, data.to_vec()),
            73 => symbols::code128_escaped(data, module).unwrap_or_default(),
            79 if data.is_ascii() => drawn(Symbology::Code128, data.to_vec()),
            1 | 66 => return self.name(named("UPC-E"), whole),
            6 | 71 => return self.name(named("Codabar"), whole),
            72 => return self.name(named("Code-93"), whole),
            74 => return self.name(named("GS1-128"), whole),
            75..=78 => return self.name(named("DataBar"), whole),
            _ => return self.name(named("Code-128"), whole),
        };
        let width: u32 = widths.iter().sum();
        if width == 0 {
            return self.skipped("a barcode with data outside its symbology, which is not printed", whole);
        }
        if width > self.area() {
            let area = self.area();
            return self.skipped(format!("a barcode of {width} dots on {area}, too wide to be printed"), whole);
        }
        self.draw_bars(&widths, width, &text);
        done(whole.len())
    }

    fn draw_bars(&mut self, widths: &[u32], width: u32, text: &str) {
        let mut map = Bitmap::new(width, self.set.bar_height);
        let mut x = 0;
        for (i, &run) in widths.iter().enumerate() {
            if i % 2 == 0 {
                (0..self.set.bar_height).for_each(|y| map.set_run(x, y, run));
            }
            x += run;
        }
        if self.set.hri & 1 != 0 {
            self.readable_line(text, width);
        }
        self.image(map, format!("[barcode {text}]"));
        if self.set.hri & 2 != 0 {
            self.readable_line(text, width);
        }
    }

    /// The text of a barcode, centred on its bars.
    fn readable_line(&mut self, text: &str, width: u32) {
        let look = Look { font: self.set.hri_font, ..Look::default() };
        let cell = look.cell().0;
        let long = text.chars().count() as u32 * cell;
        let first = width.saturating_sub(long) / 2;
        let pieces: Vec<Piece> =
            text.chars().enumerate().map(|(i, c)| Piece::Char { c, x: first + i as u32 * cell, look }).collect();
        self.put(&pieces, width.max(long), SPACING);
    }
}

/// Whether a barcode of function A holds the character (Epson, GS k, ranges of d).
fn holds(system: u8, byte: u8) -> bool {
    match system {
        4 => matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b' ' | b'$' | b'%' | b'*' | b'+' | b'-' | b'.' | b'/'),
        6 => matches!(byte, b'0'..=b'9' | b'A'..=b'D' | b'a'..=b'd' | b'$' | b'+' | b'-' | b'.' | b'/' | b':'),
        _ => byte.is_ascii_digit(),
    }
}

/// Data of `count` digits; a printer adds a missing check digit.
fn with_check(data: &[u8], count: usize) -> Vec<u8> {
    let mut data = data.to_vec();
    if data.len() + 1 == count && data.iter().all(u8::is_ascii_digit) {
        data.push(b'0' + check_digit(&data));
    }
    data
}

/// A code's data as text: UTF-8, or else Latin-1.
fn readable(data: &[u8]) -> String {
    match str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) => data.iter().map(|&b| char::from(b)).collect(),
    }
}
