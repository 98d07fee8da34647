//! Frames as cameras deliver them, and their grey values as decoders want them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tresen_hal::{Clock, Error, Kind, Result};

use crate::jpeg;

/// The longest side of a frame, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The most pixels of a frame: 64 million.
pub const MAX_PIXELS: u64 = 1 << 26;

/// How the bytes of a frame are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum PixelFormat {
    /// One byte a pixel, 0 is black.
    Grey8,
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
    /// Four bytes for two pixels: Y0 U Y1 V (YUY2).
    Yuyv,
    /// One JPEG image; USB cameras leave out its Huffman tables.
    Mjpeg,
}

impl PixelFormat {
    /// How many bytes a row of `width` pixels has; none for compressed formats.
    fn row(self, width: u32) -> Option<usize> {
        let width = width as usize;
        match self {
            Self::Grey8 => Some(width),
            Self::Rgb8 => Some(3 * width),
            Self::Yuyv => Some(4 * width.div_ceil(2)),
            Self::Mjpeg => None,
        }
    }
}

/// One picture. Clones share its bytes, and there are always as many as size and format need.
#[derive(Clone)]
pub struct Frame {
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: usize,
    data: Arc<Vec<u8>>,
    sequence: u64,
    is_still: bool,
    captured: Instant,
    at: Timestamp,
}

impl Frame {
    /// A frame whose rows follow each other without padding, taken now by `clock`. `width` and `height` of a JPEG are those
    /// that the camera announced; the decoder trusts the picture.
    ///
    /// # Errors
    /// [`Kind::Input`]: a side is 0 or above [`MAX_SIDE`], more than [`MAX_PIXELS`], or too few bytes.
    pub fn new(format: PixelFormat, width: u32, height: u32, data: Vec<u8>, clock: &dyn Clock) -> Result<Self> {
        Self::with_stride(format, width, height, format.row(width).unwrap_or(0), data, clock)
    }

    /// A frame whose rows begin `stride` bytes apart, taken now by `clock`.
    ///
    /// # Errors
    /// As [`Frame::new`]; also a stride that is shorter than a row.
    pub fn with_stride(
        format: PixelFormat,
        width: u32,
        height: u32,
        stride: usize,
        data: Vec<u8>,
        clock: &dyn Clock,
    ) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Input, format!("a frame of {width}x{height}, {format:?}: {why}"));
        check_size(width, height).map_err(&bad)?;
        if let Some(row) = format.row(width) {
            if stride < row {
                return Err(bad(format!("its stride of {stride} bytes is shorter than a row of {row}")));
            }
            let needed = stride.checked_mul(height as usize - 1).and_then(|n| n.checked_add(row));
            if needed.is_none_or(|needed| data.len() < needed) {
                return Err(bad(format!("{} bytes are too few", data.len())));
            }
        } else if data.is_empty() {
            return Err(bad("it is empty".into()));
        }
        let (captured, at) = (clock.now(), clock.wall());
        Ok(Self { format, width, height, stride, data: Arc::new(data), sequence: 0, is_still: false, captured, at })
    }

    /// The same frame with its number in the camera's stream.
    #[must_use]
    pub fn numbered(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// Marks the frame as a still picture: a second identical frame proves nothing.
    #[must_use]
    pub fn still(mut self) -> Self {
        self.is_still = true;
        self
    }

    /// Whether it is a still picture, such as a file's.
    pub fn is_still(&self) -> bool {
        self.is_still
    }

    /// How its bytes are laid out.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes from one row to the next; 0 for a JPEG.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Its bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Its number in the camera's stream; a gap means that frames were skipped.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was taken, monotonic.
    pub fn captured(&self) -> Instant {
        self.captured
    }

    /// When it was taken, date and time.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Its grey values; `scratch` holds them where the frame itself cannot.
    ///
    /// # Errors
    /// [`Kind::Input`]: a JPEG that cannot be decoded, or one that is too large.
    pub fn grey<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<GreyView<'a>> {
        let (width, height) = (self.width as usize, self.height as usize);
        let rows = |bytes: usize| self.data.chunks(self.stride).take(height).map(move |row| &row[..bytes]);
        scratch.clear();
        if !matches!(self.format, PixelFormat::Grey8 | PixelFormat::Mjpeg) {
            scratch.resize(width * height, 0);
        }
        match self.format {
            PixelFormat::Grey8 => return GreyView::new(&self.data, width, height, self.stride),
            PixelFormat::Rgb8 => {
                for (out, row) in scratch.chunks_exact_mut(width).zip(rows(3 * width)) {
                    for (grey, p) in out.iter_mut().zip(row.chunks_exact(3)) {
                        // ITU-R BT.601 weights, in 256ths.
                        *grey = ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2])) >> 8) as u8;
                    }
                }
            }
            PixelFormat::Yuyv => {
                for (out, row) in scratch.chunks_exact_mut(width).zip(rows(2 * width)) {
                    for (grey, p) in out.iter_mut().zip(row.chunks_exact(2)) {
                        *grey = p[0];
                    }
                }
            }
            PixelFormat::Mjpeg => {
                let (width, height) = jpeg::grey(&self.data, scratch)?;
                return GreyView::new(scratch, width, height, width);
            }
        }
        GreyView::new(scratch, width, height, width)
    }

    /// The picture as a JPEG that any viewer shows. That of a USB camera which leaves out the Huffman tables is encoded
    /// again; another JPEG is returned as it is. Encoding takes tens of milliseconds for a megapixel.
    ///
    /// # Errors
    /// [`Kind::Input`]: a JPEG of a camera that cannot be decoded.
    pub fn jpeg(&self) -> Result<Vec<u8>> {
        let (width, height) = (self.width as usize, self.height as usize);
        let rows = |bytes: usize| self.data.chunks(self.stride).take(height).map(move |row| &row[..bytes]);
        let (is_grey, data) = match self.format {
            PixelFormat::Mjpeg if !jpeg::lacks_tables(&self.data) => return Ok(self.data.to_vec()),
            PixelFormat::Mjpeg => {
                let decoded = jpeg::colours(&self.data)?;
                return jpeg::encode(&decoded.data, decoded.width, decoded.height, decoded.channels == 1);
            }
            PixelFormat::Grey8 => (true, rows(width).flatten().copied().collect()),
            PixelFormat::Rgb8 => (false, rows(3 * width).flatten().copied().collect::<Vec<_>>()),
            PixelFormat::Yuyv => {
                let mut rgb = Vec::with_capacity(3 * width * height);
                for row in rows(4 * width.div_ceil(2)) {
                    let pixels = row.chunks_exact(4).flat_map(|p| [[p[0], p[1], p[3]], [p[2], p[1], p[3]]]);
                    rgb.extend(pixels.take(width).flat_map(colour));
                }
                (false, rgb)
            }
        };
        jpeg::encode(&data, self.width, self.height, is_grey)
    }
}

/// Red, green and blue of Y, U and V: ITU-T T.871 (JFIF), 7, in 65536ths.
fn colour([y, u, v]: [u8; 3]) -> [u8; 3] {
    let (y, u, v) = (i32::from(y) << 16, i32::from(u) - 128, i32::from(v) - 128);
    let byte = |value: i32| ((value + (1 << 15)) >> 16).clamp(0, 255) as u8;
    [byte(y + 91_881 * v), byte(y - 22_554 * u - 46_802 * v), byte(y + 116_130 * u)]
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame {} of {}x{} {:?}", self.sequence, self.width, self.height, self.format)
    }
}

/// Grey values of a picture, borrowed: one byte a pixel, 0 is black.
#[derive(Clone, Copy)]
pub struct GreyView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> GreyView<'a> {
    /// A view of `data` whose rows begin `stride` bytes apart.
    ///
    /// # Errors
    /// [`Kind::Input`]: a size that is out of bounds, or too few bytes.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Input, format!("a picture of {width}x{height}: {why}"));
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        check_size(side(width), side(height)).map_err(&bad)?;
        let needed = stride.checked_mul(height - 1).and_then(|n| n.checked_add(width));
        if stride < width || needed.is_none_or(|needed| data.len() < needed) {
            return Err(bad(format!("{} bytes in rows of {stride} are too few", data.len())));
        }
        Ok(Self { data, width, height, stride })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// One row. Panics if `y` is out of range.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width]
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        let view = *self;
        (0..self.height).map(move |y| view.row(y))
    }

    /// The rows one after the other, without padding; borrowed where they are so already.
    pub fn packed(&self) -> std::borrow::Cow<'a, [u8]> {
        if self.stride == self.width {
            self.data[..self.width * self.height].into()
        } else {
            self.rows().flatten().copied().collect::<Vec<_>>().into()
        }
    }
}

impl fmt::Debug for GreyView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GreyView of {}x{}", self.width, self.height)
    }
}

pub(crate) fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 {
        Err("it has no pixels".into())
    } else if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        Err(format!("larger than {MAX_SIDE} pixels a side or {MAX_PIXELS} in all"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::lacks_tables;
    use jpeg_encoder::ColorType;
    use tresen_hal::ManualClock;

    fn frame(format: PixelFormat, width: u32, height: u32, data: &[u8]) -> Result<Frame> {
        let clock = ManualClock::at("2026-01-02T08:00:00Z".parse().expect("a timestamp"));
        Frame::new(format, width, height, data.to_vec(), &clock)
    }

    fn jpeg<const N: usize>(color: ColorType, w: u16, h: u16, pixel: impl Fn(u16, u16) -> [u8; N]) -> Vec<u8> {
        let pixels: Vec<u8> = (0..h).flat_map(|y| (0..w).flat_map(|x| pixel(x, y)).collect::<Vec<_>>()).collect();
        let mut file = Vec::new();
        jpeg_encoder::Encoder::new(&mut file, 80).encode(&pixels, w, h, color).expect("encodes");
        file
    }

    #[test]
    fn each_format_becomes_a_jpeg_of_its_colours() {
        let (w, h) = (16, 8);
        let near = |a: u8, b: u8| a.abs_diff(b) <= 6;
        // Red in Y, U, V: ITU-T T.871, 7.
        let yuyv = [76, 85, 76, 255].repeat(8 * 8);
        let bare = |jpeg: Vec<u8>| {
            // Without the segments DHT (ITU-T T.81, B.2.4.2), as USB cameras send it.
            let (mut kept, mut at) = (jpeg[..2].to_vec(), 2);
            while jpeg[at + 1] != 0xda {
                let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
                if jpeg[at + 1] != 0xc4 {
                    kept.extend(&jpeg[at..at + length]);
                }
                at += length;
            }
            kept.extend(&jpeg[at..]);
            kept
        };
        let file = jpeg(ColorType::Rgb, 16, 8, |_, _| [254, 0, 0]);
        for (format, data, red) in [
            (PixelFormat::Grey8, [76].repeat(128), [76, 76, 76]),
            (PixelFormat::Rgb8, [254, 0, 0].repeat(128), [254, 0, 0]),
            (PixelFormat::Yuyv, yuyv, [254, 0, 0]),
            (PixelFormat::Mjpeg, bare(file.clone()), [254, 0, 0]),
        ] {
            let jpeg = frame(format, w, h, &data).and_then(|frame| frame.jpeg()).expect("encoded");
            assert!(!lacks_tables(&jpeg), "{format:?}");
            let shown = crate::jpeg::colours(&jpeg).expect("decodes");
            assert_eq!((shown.width, shown.height), (w, h), "{format:?}");
            for pixel in shown.data.chunks(shown.channels) {
                assert!((0..3).all(|n| near(pixel[n.min(shown.channels - 1)], red[n])), "{format:?}: {pixel:?}");
            }
        }
        assert_eq!(frame(PixelFormat::Mjpeg, w, h, &file).and_then(|frame| frame.jpeg()).expect("whole"), file);
    }

    fn grey(frame: &Frame) -> Vec<u8> {
        frame.grey(&mut Vec::new()).expect("grey").packed().into_owned()
    }

    #[test]
    fn every_format_has_grey_values() {
        let got = frame(PixelFormat::Grey8, 2, 2, &[1, 2, 3, 4]).expect("good");
        assert_eq!(grey(&got), [1, 2, 3, 4]);
        let got = frame(PixelFormat::Yuyv, 3, 1, &[10, 128, 20, 128, 30, 128, 0, 128]).expect("good");
        assert_eq!(grey(&got), [10, 20, 30]);
        let got = frame(PixelFormat::Rgb8, 4, 1, &[255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]).expect("good");
        assert_eq!(grey(&got), [255, 76, 149, 28], "BT.601: 0.299, 0.587, 0.114");
        assert_eq!(got.at().to_string(), "2026-01-02T08:00:00Z");
    }

    #[test]
    fn a_stride_is_no_picture() {
        let clock = tresen_hal::SystemClock;
        let data = vec![1, 2, 99, 3, 4];
        let padded = Frame::with_stride(PixelFormat::Grey8, 2, 2, 3, data.clone(), &clock).expect("good");
        assert_eq!(grey(&padded), [1, 2, 3, 4]);
        assert!(Frame::with_stride(PixelFormat::Grey8, 2, 2, 1, data.clone(), &clock).is_err());
        assert!(Frame::with_stride(PixelFormat::Grey8, 2, 2, usize::MAX, data, &clock).is_err());
    }

    #[test]
    fn refuses_what_is_too_small_or_large() {
        for (format, width, height, len, why) in [
            (PixelFormat::Grey8, 2, 2, 3, "too few"),
            (PixelFormat::Rgb8, 2, 1, 5, "too few"),
            (PixelFormat::Yuyv, 3, 1, 6, "too few"),
            (PixelFormat::Grey8, 0, 2, 8, "no pixels"),
            (PixelFormat::Mjpeg, 2, 2, 0, "empty"),
            (PixelFormat::Grey8, MAX_SIDE + 1, 1, 8, "larger"),
            (PixelFormat::Rgb8, MAX_SIDE, MAX_SIDE, 8, "larger"),
        ] {
            let error = frame(format, width, height, &vec![0; len]).expect_err(why);
            assert!(error.kind() == Kind::Input && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn decodes_jpeg_to_grey() {
        let file = jpeg(ColorType::Luma, 64, 32, |x, _| [if x < 32 { 0 } else { 255 }]);
        let got = frame(PixelFormat::Mjpeg, 640, 480, &file).expect("announced sizes may be wrong");
        let mut scratch = Vec::new();
        let view = got.grey(&mut scratch).expect("decodes");
        assert_eq!((view.width(), view.height()), (64, 32));
        assert!(view.row(16)[4] < 16 && view.row(16)[60] > 240);
        let error = frame(PixelFormat::Mjpeg, 64, 32, b"no picture").expect("unseen").grey(&mut scratch).map(|_| ());
        assert_eq!(error.expect_err("bad").kind(), Kind::Input);
    }

    // USB Device Class Definition for Video Devices: Motion-JPEG Payload: the tables may be left out.
    #[test]
    fn decodes_jpeg_without_huffman_tables() {
        let whole = jpeg(ColorType::Rgb, 64, 32, |x, _| if x < 32 { [0, 0, 0] } else { [255, 255, 0] });
        assert!(!lacks_tables(&whole));
        let (mut bare, mut at) = (whole[..2].to_vec(), 2);
        while whole[at + 1] != 0xda {
            let end = at + 2 + usize::from(whole[at + 2]) * 256 + usize::from(whole[at + 3]);
            if whole[at + 1] != 0xc4 {
                bare.extend_from_slice(&whole[at..end]);
            }
            at = end;
        }
        bare.extend_from_slice(&whole[at..]);
        assert!(lacks_tables(&bare) && bare.len() < whole.len());
        let got = frame(PixelFormat::Mjpeg, 64, 32, &bare).expect("unseen");
        let full = frame(PixelFormat::Mjpeg, 64, 32, &whole).expect("unseen");
        assert_eq!(grey(&got), grey(&full));
        assert_eq!(got.data(), bare, "as it came");
        for cut in 0..bare.len() {
            lacks_tables(&bare[..cut]);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(at in 0..2000usize, byte: u8, cut in 0..2000usize) {
            let mut bytes = jpeg(ColorType::Rgb, 24, 24, |x, y| [(x * 9) as u8, (y * 9) as u8, 99]);
            let (at, cut) = (at % bytes.len(), 1 + cut % bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut);
            let got = frame(PixelFormat::Mjpeg, 24, 24, &bytes).expect("unseen");
            let _ = got.grey(&mut Vec::new());
        }
    }
}
