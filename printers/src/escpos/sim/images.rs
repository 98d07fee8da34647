//! Images on virtual paper: `ESC *`, `GS v 0`, `GS ( L` and `GS 8 L`.

use super::interpreter::{Interpreter, LARGEST, Step, done};
use super::paper::Piece;
use crate::bitmap::Bitmap;

impl Interpreter {
    /// ESC * m nL nH d1…dk
    pub(super) fn column_image(&mut self, bytes: &[u8]) -> Step {
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
        self.too_wide(width);
        self.make_room(width.min(self.area()));
        self.push(Piece::Image { map, x: self.cursor, label: format!("[image {columns}]") });
        self.cursor += width;
        done(5 + columns * tall)
    }

    /// GS v 0 m xL xH yL yH d1…dk
    pub(super) fn raster(&mut self, bytes: &[u8]) -> Step {
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
    fn map(&mut self, data: &[u8], stride: usize, rows: usize, across: u32, down: u32) -> Bitmap {
        let width = stride as u32 * 8 * across;
        let mut map = Bitmap::new(width.min(self.profile.width.0), rows as u32 * down);
        if across == 1 && down == 1 {
            map.copy_rows(data, stride);
        } else {
            for (y, row) in data.chunks_exact(stride.max(1)).enumerate() {
                for x in (0..stride as u32 * 8).filter(|x| row[(x / 8) as usize] & (0x80 >> (x % 8)) != 0) {
                    (0..down).for_each(|d| map.set_run(x * across, y as u32 * down + d, across));
                }
            }
        }
        // Listed only if black dots are cut off.
        let edge = self.profile.width.0;
        if width > edge && data.chunks_exact(stride.max(1)).any(|row| inked(row, edge / across)) {
            self.too_wide(width);
        }
        map
    }

    fn too_wide(&mut self, width: u32) {
        let edge = self.profile.width.0;
        if width > edge {
            self.skipped(format!("an image of {width} dots, cut off at the paper's edge ({edge})"), &[]);
        }
    }

    /// GS 8 L p1 p2 p3 p4 …
    pub(super) fn long_graphics(&mut self, bytes: &[u8]) -> Step {
        let &[_, _, kind, a, b, c, d, ..] = bytes else { return Step::More };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if kind != b'L' || length > LARGEST {
            return self.unknown(&bytes[..7]);
        }
        match bytes.get(..7 + length) {
            Some(whole) => self.graphics(&whole[7..], whole),
            None => Step::More,
        }
    }

    /// GS ( L functions 112 (store raster) and 50 (print); densities change nothing.
    pub(super) fn graphics(&mut self, body: &[u8], whole: &[u8]) -> Step {
        match body {
            [0x30, 0x70, _tone, bx, by, _colour, xl, xh, yl, yh, data @ ..] => {
                let (width, rows) = (u16::from_le_bytes([*xl, *xh]), usize::from(u16::from_le_bytes([*yl, *yh])));
                let stride = usize::from(width.div_ceil(8));
                if data.len() < stride * rows || stride == 0 {
                    return self.skipped("GS ( L: an image with too few bytes", whole);
                }
                let (across, down) = (u32::from(*bx).clamp(1, 2), u32::from(*by).clamp(1, 2));
                self.graphics = Some(self.map(&data[..stride * rows], stride, rows, across, down));
            }
            [0x30, 2 | 50, ..] => match self.graphics.take() {
                Some(map) => {
                    let label = format!("[image {}]", map.width());
                    self.image(map, label);
                }
                None => return self.skipped("GS ( L: no image is stored", whole),
            },
            [0x30, 49 | 1, ..] => {}
            [0x30, 48 | 51 | 52 | 0 | 3 | 4, ..] => return self.skipped("GS ( L: a question about memory", whole),
            [0x30, 64..=69, ..] | [0x30, 80..=85, ..] => return self.skipped("GS ( L: a stored image", whole),
            [0x30, 113, ..] => return self.skipped("GS ( L: an image in columns", whole),
            _ => return self.unknown(whole),
        }
        done(whole.len())
    }
}

/// Whether a row has black dots from `edge` on.
fn inked(row: &[u8], edge: u32) -> bool {
    let (at, bit) = (edge as usize / 8, edge % 8);
    row.get(at..).is_some_and(|rest| {
        rest.iter().enumerate().any(|(i, &byte)| (if i == 0 { byte & (0xff >> bit) } else { byte }) != 0)
    })
}
