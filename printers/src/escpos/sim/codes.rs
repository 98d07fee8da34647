//! QR codes and barcodes on virtual paper: `GS ( k` and `GS k`.

use super::interpreter::{Interpreter, Settings, Step, done};
use super::paper::Piece;
use crate::bitmap::Bitmap;
use crate::document::{Correction, Symbology, draw_qr};
use crate::symbols;

/// Dots from line to line of readable text.
const SPACING: u32 = 30;

/// The QR code in the symbol memory and how it is to look.
#[derive(Debug, Clone)]
pub(super) struct Symbol {
    data: Vec<u8>,
    size: u32,
    correction: Correction,
}

impl Default for Symbol {
    fn default() -> Self {
        Self { data: Vec::new(), size: 3, correction: Correction::Low }
    }
}

impl Interpreter {
    /// GS ( k, cn 49
    pub(super) fn qr(&mut self, function: u8, rest: &[u8]) {
        match (function, rest) {
            (67, [size, ..]) => self.symbol.size = u32::from(*size).clamp(1, 16),
            (69, [level, ..]) => {
                self.symbol.correction = match level {
                    49 => Correction::Medium,
                    50 => Correction::Quartile,
                    51 => Correction::High,
                    _ => Correction::Low,
                };
            }
            (80, [0x30, data @ ..]) => self.symbol.data = data.to_vec(),
            (81, _) => {
                let Some((width, dark)) = draw_qr(&self.symbol.data, self.symbol.correction) else { return };
                let size = self.symbol.size;
                let side = width as u32 * size;
                // As a real one: what is wider than the paper is not printed.
                if side > self.area() {
                    return;
                }
                let mut map = Bitmap::new(side, side);
                for (i, _) in dark.iter().enumerate().filter(|(_, dark)| **dark) {
                    let (x, y) = ((i % width) as u32 * size, (i / width) as u32 * size);
                    (y..y + size).for_each(|y| map.set_run(x, y, size));
                }
                let label = format!("[QR {}]", String::from_utf8_lossy(&self.symbol.data));
                self.image(map, label);
            }
            _ => {}
        }
    }

    /// GS k, both forms
    pub(super) fn barcode(&mut self, bytes: &[u8]) -> Step {
        let Some(&system) = bytes.get(2) else { return Step::More };
        let (data, length) = match system {
            0..=6 => match bytes.iter().skip(3).position(|b| *b == 0) {
                Some(end) => (&bytes[3..3 + end], 4 + end),
                None if bytes.len() > 260 => return self.unknown(&bytes[..3]),
                None => return Step::More,
            },
            65..=79 => {
                let Some(&n) = bytes.get(3) else { return Step::More };
                let end = 4 + usize::from(n);
                match bytes.get(4..end) {
                    Some(data) => (data, end),
                    None => return Step::More,
                }
            }
            _ => return self.unknown(&bytes[..3]),
        };
        let module = self.set.module;
        let with_check = |count: usize| {
            let mut data = data.to_vec();
            if data.len() + 1 == count && data.iter().all(u8::is_ascii_digit) {
                let sum: u32 = data.iter().rev().zip([3, 1].iter().cycle()).map(|(d, w)| u32::from(d - b'0') * w).sum();
                data.push(b'0' + ((10 - sum % 10) % 10) as u8);
            }
            data
        };
        let drawn = |symbology: Symbology, data: Vec<u8>| {
            (symbols::elements(symbology, &data, module), String::from_utf8_lossy(&data).into_owned())
        };
        let (widths, text) = match system {
            0 | 65 => drawn(Symbology::UpcA, with_check(12)),
            2 | 67 => drawn(Symbology::Ean13, with_check(13)),
            3 | 68 => drawn(Symbology::Ean8, with_check(8)),
            4 | 69 => drawn(Symbology::Code39, data.to_vec()),
            5 | 70 => drawn(Symbology::Itf, data.to_vec()),
            73 => symbols::code128_escaped(data, module).unwrap_or_default(),
            _ => Default::default(),
        };
        let width: u32 = widths.iter().sum();
        if width == 0 || width > self.area() {
            return self.unknown(&bytes[..length]);
        }
        self.draw_bars(&widths, width, &text);
        done(length)
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
            self.readable(text, width);
        }
        self.image(map, format!("[barcode {text}]"));
        if self.set.hri & 2 != 0 {
            self.readable(text, width);
        }
    }

    /// The text of a barcode, centred on its bars.
    fn readable(&mut self, text: &str, width: u32) {
        let look = Settings::default().look;
        let long = text.chars().count() as u32 * 12;
        let first = width.saturating_sub(long) / 2;
        let pieces: Vec<Piece> =
            text.chars().enumerate().map(|(i, c)| Piece::Char { c, x: first + i as u32 * 12, look }).collect();
        self.sheet.line(&pieces, width.max(long), self.set.left, self.area(), self.set.align, SPACING);
    }
}
