//! One-bit bitmaps: dithering, scaling down, PNG.

use crate::document::{Dither, Image};

/// A one-bit image: 1 is black, eight dots to a byte, the leftmost in the most significant bit; each row starts a new
/// byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl Bitmap {
    /// A white bitmap.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, bytes: vec![0; stride(width) * height as usize] }
    }

    /// Dithers an image, scaled down to `max_width` if it is wider.
    pub fn from_image(image: &Image, max_width: u32) -> Self {
        if image.width() <= max_width {
            return dither(image.pixels(), image.width(), image.height(), image.dithering());
        }
        let (pixels, height) = scale_down(image, max_width.max(1));
        dither(&pixels, max_width.max(1), height, image.dithering())
    }

    /// Width in dots.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in dots.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes per row.
    pub fn stride(&self) -> usize {
        stride(self.width)
    }

    /// All rows, top to bottom.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the dot is black; dots outside the bitmap are white.
    pub fn is_black(&self, x: u32, y: u32) -> bool {
        x < self.width && y < self.height && self.bytes[self.at(x, y)] & (0x80 >> (x % 8)) != 0
    }

    /// Makes a dot black; dots outside the bitmap are ignored.
    pub fn set(&mut self, x: u32, y: u32) {
        if x < self.width && y < self.height {
            let at = self.at(x, y);
            self.bytes[at] |= 0x80 >> (x % 8);
        }
    }

    /// Makes the dots `x` to `x + count` of a row black.
    pub(crate) fn set_run(&mut self, x: u32, y: u32, count: u32) {
        (x..x.saturating_add(count).min(self.width)).for_each(|x| self.set(x, y));
    }

    /// Copies rows of `from` bytes each, clipped to this bitmap.
    pub(crate) fn copy_rows(&mut self, data: &[u8], from: usize) {
        let stride = self.stride();
        if stride == 0 || from == 0 {
            return;
        }
        let padding = 0xffu8 << ((8 - self.width % 8) % 8);
        for (to, row) in self.bytes.chunks_exact_mut(stride).zip(data.chunks_exact(from)) {
            to.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            to[stride - 1] &= padding;
        }
    }

    /// Blackens up to 25 dots starting at `x`, one for each set bit, most significant first.
    pub(crate) fn or_bits(&mut self, x: u32, y: u32, bits: u32) {
        if y >= self.height || bits == 0 {
            return;
        }
        let (row, at) = (y as usize * self.stride(), x as usize / 8);
        let end = row + self.stride();
        for (to, from) in self.bytes[(row + at).min(end)..end].iter_mut().zip((bits >> (x % 8)).to_be_bytes()) {
            *to |= from;
        }
    }

    /// Inverts a rectangle.
    pub(crate) fn invert(&mut self, x: u32, y: u32, width: u32, height: u32) {
        for y in y..y.saturating_add(height).min(self.height) {
            for x in x..x.saturating_add(width).min(self.width) {
                let at = self.at(x, y);
                self.bytes[at] ^= 0x80 >> (x % 8);
            }
        }
    }

    /// Appends white rows until the bitmap is at least `height` rows high.
    pub(crate) fn grow(&mut self, height: u32) {
        if height > self.height {
            self.height = height;
            self.bytes.resize(self.stride() * height as usize, 0);
        }
    }

    /// Draws `other`'s black dots with its top left corner at `x`, `y`.
    pub(crate) fn paint(&mut self, other: &Self, x: u32, y: u32) {
        for row in 0..other.height.min(self.height.saturating_sub(y)) {
            let line = &other.bytes[row as usize * other.stride()..][..other.stride()];
            if x.is_multiple_of(8) && x + other.width <= self.width {
                let at = self.at(x, y + row);
                for (to, from) in self.bytes[at..].iter_mut().zip(line) {
                    *to |= from;
                }
                continue;
            }
            for (i, &byte) in line.iter().enumerate().filter(|(_, b)| **b != 0) {
                let left = x + 8 * i as u32;
                (0..8).filter(|bit| byte & (0x80 >> bit) != 0).for_each(|bit| self.set(left + bit, y + row));
            }
        }
    }

    /// A PNG of one bit per dot with a white margin of `margin` dots.
    pub fn to_png(&self, margin: u32) -> Vec<u8> {
        let mut paper = Self::new(self.width + 2 * margin, self.height + 2 * margin);
        paper.paint(self, margin, margin);
        // In a greyscale PNG, 1 is white.
        paper.bytes.iter_mut().for_each(|b| *b = !*b);
        encode_png(paper.width.max(1), paper.height.max(1), png::BitDepth::One, &paper.bytes)
    }

    fn at(&self, x: u32, y: u32) -> usize {
        y as usize * self.stride() + x as usize / 8
    }
}

fn stride(width: u32) -> usize {
    width.div_ceil(8) as usize
}

pub(crate) fn encode_png(width: u32, height: u32, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut w| {
        // An empty bitmap is shown as one white dot.
        if data.is_empty() { w.write_image_data(&[0xff]) } else { w.write_image_data(data) }
    });
    written.expect("the size fits the data and a Vec takes all of it");
    out
}

/// Dithers grey pixels to dots.
pub fn dither(pixels: &[u8], width: u32, height: u32, how: Dither) -> Bitmap {
    let mut map = Bitmap::new(width, height);
    if width == 0 || height == 0 {
        return map;
    }
    match how {
        Dither::Threshold => ordered(&mut map, pixels, &[[0x80; 8]; 8]),
        Dither::Bayer => ordered(&mut map, pixels, &BAYER),
        Dither::FloydSteinberg => floyd_steinberg(&mut map, pixels),
    }
    map
}

/// Bayer's 8×8 matrix, scaled to 2 to 254: a pixel darker than its threshold is black.
const BAYER: [[u8; 8]; 8] = bayer();

const fn bayer() -> [[u8; 8]; 8] {
    let mut matrix = [[0; 8]; 8];
    let mut y = 0;
    while y < 8 {
        let mut x = 0;
        while x < 8 {
            // Bit-interleave x ^ y and y, lowest bits first.
            let (a, b) = (x ^ y, y);
            let mut rank = 0;
            let mut bit = 0;
            while bit < 3 {
                rank = rank << 2 | (a >> bit & 1) << 1 | b >> bit & 1;
                bit += 1;
            }
            matrix[y][x] = (rank * 4 + 2) as u8;
            x += 1;
        }
        y += 1;
    }
    matrix
}

fn ordered(map: &mut Bitmap, pixels: &[u8], matrix: &[[u8; 8]; 8]) {
    let (width, stride) = (map.width as usize, map.stride());
    for (y, (row, out)) in pixels.chunks_exact(width).zip(map.bytes.chunks_exact_mut(stride)).enumerate() {
        let limits = u64::from_be_bytes(matrix[y % 8]);
        let (eights, rest) = row.as_chunks::<8>();
        for (eight, out) in eights.iter().zip(out.iter_mut()) {
            *out = darker(u64::from_be_bytes(*eight), limits);
        }
        if !rest.is_empty() {
            let mut last = [0xff; 8];
            last[..rest.len()].copy_from_slice(rest);
            out[stride - 1] = darker(u64::from_be_bytes(last), limits);
        }
    }
}

/// Compares eight bytes at once: bit 7 of the result is set if the first byte is below its limit, and so on.
fn darker(pixels: u64, limits: u64) -> u8 {
    const TOP: u64 = 0x8080_8080_8080_8080;
    let low = (pixels | TOP) - (limits & !TOP);
    pack((((!pixels & limits) | (!(pixels ^ limits) & !low)) & TOP) >> 7)
}

/// Packs eight bytes of 0 or 1 into one byte, the first byte in the most significant bit.
fn pack(ones: u64) -> u8 {
    (ones.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// Error diffusion, two rows at a time. Each pixel depends on the one before it, so a single row leaves the processor
/// idle; the lower row follows two pixels behind, as close as the errors from above allow.
fn floyd_steinberg(map: &mut Bitmap, pixels: &[u8]) {
    let (width, stride) = (map.width as usize, map.stride());
    // The errors of a row, padded by one on either side; and its dots, as bytes.
    let mut above = vec![0i16; width + 2];
    let mut upper = Lane::new(width, stride);
    let mut lower = Lane::new(width, stride);
    let (rows, outs) = (pixels.chunks_exact(2 * width), map.bytes.chunks_exact_mut(2 * stride));
    let single = rows.remainder();
    for (two, out) in rows.zip(outs) {
        let (first, second) = two.split_at(width);
        upper.left = 0;
        lower.left = 0;
        for x in 0..width.min(2) {
            upper.step(x, first, &above);
        }
        both(width, first, second, &above, &mut upper, &mut lower);
        for x in width.saturating_sub(2)..width {
            lower.step(x, second, &upper.errors);
        }
        let (first, second) = out.split_at_mut(stride);
        upper.pack(first);
        lower.pack(second);
        std::mem::swap(&mut above, &mut lower.errors);
    }
    if !single.is_empty() {
        upper.left = 0;
        (0..width).for_each(|x| upper.step(x, single, &above));
        let at = map.bytes.len() - stride;
        upper.pack(&mut map.bytes[at..]);
    }
}

fn both(width: usize, first: &[u8], second: &[u8], above: &[i16], upper: &mut Lane, lower: &mut Lane) {
    let (first, second, above) = (&first[..width], &second[..width], &above[..width + 2]);
    let (upper_errors, upper_dots) = (&mut upper.errors[..width + 2], &mut upper.dots[..width]);
    let (lower_errors, lower_dots) = (&mut lower.errors[..width + 2], &mut lower.dots[..width]);
    let (mut left, mut low_left) = (upper.left, lower.left);
    for x in 2..width {
        let from_above = i32::from(above[x]) + 5 * i32::from(above[x + 1]) + 3 * i32::from(above[x + 2]);
        let (black, error) = decide(first[x], from_above, left);
        left = error;
        upper_errors[x + 1] = error as i16;
        upper_dots[x] = black;
        let x = x - 2;
        let from_above =
            i32::from(upper_errors[x]) + 5 * i32::from(upper_errors[x + 1]) + 3 * i32::from(upper_errors[x + 2]);
        let (black, error) = decide(second[x], from_above, low_left);
        low_left = error;
        lower_errors[x + 1] = error as i16;
        lower_dots[x] = black;
    }
    (upper.left, lower.left) = (left, low_left);
}

/// The state of one row: 7/16 of the last error goes right; 3/16, 5/16 and 1/16 go down.
struct Lane {
    left: i32,
    errors: Vec<i16>,
    dots: Vec<u8>,
}

impl Lane {
    fn new(width: usize, stride: usize) -> Self {
        Self { left: 0, errors: vec![0; width + 2], dots: vec![0; stride * 8] }
    }

    fn step(&mut self, x: usize, pixels: &[u8], above: &[i16]) {
        let from_above = i32::from(above[x]) + 5 * i32::from(above[x + 1]) + 3 * i32::from(above[x + 2]);
        let (black, error) = decide(pixels[x], from_above, self.left);
        self.left = error;
        self.errors[x + 1] = error as i16;
        self.dots[x] = black;
    }

    fn pack(&self, out: &mut [u8]) {
        for (eight, out) in self.dots.as_chunks::<8>().0.iter().zip(out) {
            *out = pack(u64::from_be_bytes(*eight));
        }
    }
}

#[inline(always)]
fn decide(pixel: u8, from_above: i32, left: i32) -> (u8, i32) {
    let wanted = i32::from(pixel) + ((from_above + 7 * left + 8) >> 4);
    let white = i32::from(wanted >= 128);
    (1 - white as u8, wanted - 255 * white)
}

/// Scales down by averaging the pixels that fall on each dot.
fn scale_down(image: &Image, width: u32) -> (Vec<u8>, u32) {
    let (from_width, from_height) = (image.width() as usize, image.height() as usize);
    let height = ((from_height as u64 * u64::from(width)).div_ceil(from_width as u64)).max(1) as usize;
    let width = width as usize;
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        let top = y * from_height / height;
        let bottom = ((y + 1) * from_height / height).max(top + 1);
        for x in 0..width {
            let left = x * from_width / width;
            let right = ((x + 1) * from_width / width).max(left + 1);
            let mut sum = 0u64;
            for row in top..bottom {
                sum += image.pixels()[row * from_width..][left..right].iter().map(|&p| u64::from(p)).sum::<u64>();
            }
            pixels.push((sum / ((bottom - top) * (right - left)) as u64) as u8);
        }
    }
    (pixels, height as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn black(map: &Bitmap) -> u32 {
        map.bytes().iter().map(|b| b.count_ones()).sum()
    }

    /// The textbook loop: 7/16 right, 3/16, 5/16, 1/16 below, rounded as ours.
    fn plain_floyd_steinberg(pixels: &[u8], width: usize, height: usize) -> Bitmap {
        let mut map = Bitmap::new(width as u32, height as u32);
        let mut sixteenths = vec![vec![0i32; width + 2]; height + 1];
        for y in 0..height {
            for x in 0..width {
                let wanted = i32::from(pixels[y * width + x]) + ((sixteenths[y][x + 1] + 8) >> 4);
                let error = if wanted >= 128 { wanted - 255 } else { wanted };
                if wanted < 128 {
                    map.set(x as u32, y as u32);
                }
                sixteenths[y][x + 2] += 7 * error;
                sixteenths[y + 1][x] += 3 * error;
                sixteenths[y + 1][x + 1] += 5 * error;
                sixteenths[y + 1][x + 2] += error;
            }
        }
        map
    }

    #[test]
    fn two_rows_at_once_are_the_textbook_error_diffusion() {
        for (width, height) in [(1, 1), (1, 5), (2, 3), (3, 2), (7, 9), (8, 4), (61, 17)] {
            let pixels: Vec<u8> = (0..width * height).map(|i| (i * 7919 % 251) as u8).collect();
            let fast = dither(&pixels, width as u32, height as u32, Dither::FloydSteinberg);
            assert_eq!(fast, plain_floyd_steinberg(&pixels, width, height), "{width} × {height}");
        }
    }

    #[test]
    fn every_dither_keeps_black_white_and_the_mean() {
        for how in [Dither::Threshold, Dither::FloydSteinberg, Dither::Bayer] {
            assert_eq!(black(&dither(&[0; 20 * 10], 20, 10, how)), 200, "{how:?}");
            assert_eq!(black(&dither(&[255; 20 * 10], 20, 10, how)), 0, "{how:?}");
        }
        for how in [Dither::FloydSteinberg, Dither::Bayer] {
            let quarter = black(&dither(&[191; 64 * 64], 64, 64, how));
            assert!((960..1090).contains(&quarter), "{how:?}: {quarter} of 4096");
        }
    }

    /// Each of the 64 ranks comes once (Bayer 1973).
    #[test]
    fn the_matrix_has_every_rank_once() {
        let mut ranks: Vec<u8> = BAYER.concat();
        ranks.sort_unstable();
        assert_eq!(ranks, (0..64).map(|r| r * 4 + 2).collect::<Vec<u8>>());
        assert_eq!(&BAYER[0][..2], &[2, 130]);
    }

    #[test]
    fn the_leftmost_dot_is_the_highest_bit_and_rows_begin_bytes() {
        let map = dither(&[0, 255, 255, 0, 255, 255, 255, 255, 255, 0], 5, 2, Dither::Threshold);
        assert_eq!(map.bytes(), [0b1001_0000, 0b0000_1000]);
        assert!(map.is_black(3, 0) && !map.is_black(1, 0) && !map.is_black(9, 9));
    }

    #[test]
    fn scales_down_what_is_too_wide() {
        let image = Image::grey(4, 2, vec![0, 0, 255, 255, 0, 0, 255, 255]).expect("eight").dither(Dither::Threshold);
        let map = Bitmap::from_image(&image, 2);
        assert_eq!((map.width(), map.height(), map.bytes()), (2, 1, &[0b1000_0000][..]));
    }
}
