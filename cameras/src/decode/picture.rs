//! Pictures in files: PNG, JPEG and WebP.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Duration;

use image_webp::{DecodingError, WebPDecoder};
use tresen_hal::{Clock, Error, Kind, Result, SystemClock};

use super::{Code, Hints, best, undisputed};
use crate::frame::{Frame, MAX_PIXELS, MAX_SIDE, PixelFormat, check_size};
use crate::jpeg;

/// All codes of a picture file, of any format; of articles' codes those that are [`undisputed`].
///
/// # Errors
/// The file is missing or unreadable, not a PNG, JPEG or WebP, damaged, or too large. The error names the file.
///
/// ```
/// let error = tresen_cameras::decode_file("no-such.png").unwrap_err();
/// assert_eq!(error.kind(), tresen_hal::Kind::NotFound);
/// assert!(error.to_string().starts_with("no-such.png: "));
/// ```
pub fn decode_file(path: impl AsRef<Path>) -> Result<Vec<Code>> {
    let path = path.as_ref();
    let frame = load(path, &SystemClock)?;
    let mut scratch = Vec::new();
    let hints = Hints::all().with_budget(BUDGET);
    let decoded = frame.grey(&mut scratch).and_then(|view| best().decode(&view, &hints, &SystemClock));
    decoded.map(undisputed).map_err(|e| e.at(path.display()))
}

/// Reads a picture file; what is transparent becomes white.
///
/// # Errors
/// As [`decode_file`].
pub fn load(path: &Path, clock: &dyn Clock) -> Result<Frame> {
    read(path).and_then(|bytes| frame(&bytes, clock)).map_err(|e| e.at(path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| match Error::from(e) {
        e if e.kind() == Kind::NotFound => e.hint("check the path"),
        e => e,
    })?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Error::new(Kind::Input, "is a folder, not a picture").hint("name a file in it"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::new(Kind::Input, format!("is larger than {} MiB", MAX_FILE >> 20)));
    }
    if bytes.is_empty() {
        return Err(Error::new(Kind::Input, "is empty"));
    }
    Ok(bytes)
}

fn frame(bytes: &[u8], clock: &dyn Clock) -> Result<Frame> {
    // The decoders should not panic, but somebody else's file must not depend on that.
    let picture = catch_unwind(|| match bytes {
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [0xff, 0xd8, ..] => jpeg(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(bytes),
        _ => Err(Error::new(Kind::Input, "is not a picture that can be read here").hint("PNG, JPEG and WebP can")),
    })
    .unwrap_or_else(|_| Err(damaged("its decoder panicked")))?;
    let (format, data) = match picture.channels {
        1 => (PixelFormat::Grey8, picture.data),
        2 => (PixelFormat::Grey8, on_white::<1>(&picture.data)),
        3 => (PixelFormat::Rgb8, picture.data),
        _ => (PixelFormat::Rgb8, on_white::<3>(&picture.data)),
    };
    Frame::new(format, picture.width, picture.height, data, clock)
}

/// A decoded picture.
struct Picture {
    width: u32,
    height: u32,
    /// Bytes a pixel: grey, grey and alpha, RGB, or RGB and alpha.
    channels: usize,
    data: Vec<u8>,
}

fn png(bytes: &[u8]) -> Result<Picture> {
    let bad = |e: png::DecodingError| match e {
        png::DecodingError::LimitsExceeded => too_large(),
        e => damaged(e),
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_MEMORY });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(bad)?;
    check_size(header.width, header.height).map_err(|_| too_large())?;
    let mut reader = decoder.read_info().map_err(bad)?;
    let mut data = buffer(reader.output_buffer_size())?;
    let shown = reader.next_frame(&mut data).map_err(bad)?;
    data.truncate(shown.buffer_size());
    Ok(Picture { width: shown.width, height: shown.height, channels: shown.color_type.samples(), data })
}

fn jpeg(bytes: &[u8]) -> Result<Picture> {
    let jpeg::Colours { width, height, channels, data } = jpeg::colours(bytes).map_err(|e| damaged(e.what()))?;
    Ok(Picture { width, height, channels, data })
}

fn webp(bytes: &[u8]) -> Result<Picture> {
    let bad = |e: DecodingError| match e {
        DecodingError::ImageTooLarge | DecodingError::MemoryLimitExceeded => too_large(),
        e => damaged(e),
    };
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(bad)?;
    decoder.set_memory_limit(MAX_MEMORY);
    let (width, height) = decoder.dimensions();
    check_size(width, height).map_err(|_| too_large())?;
    let mut data = buffer(decoder.output_buffer_size())?;
    decoder.read_image(&mut data).map_err(bad)?;
    Ok(Picture { width, height, channels: if decoder.has_alpha() { 4 } else { 3 }, data })
}

fn buffer(size: Option<usize>) -> Result<Vec<u8>> {
    size.filter(|size| *size <= MAX_MEMORY).map(|size| vec![0; size]).ok_or_else(too_large)
}

fn too_large() -> Error {
    let memory = MAX_MEMORY >> 20;
    Error::new(
        Kind::Input,
        format!("is larger than {MAX_SIDE} pixels a side, {MAX_PIXELS} in all or {memory} MiB in memory"),
    )
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Input, "is damaged or not a picture").because(why)
}

/// Drops the alpha that follows each `N` bytes.
fn on_white<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let mix = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        ((value * alpha + 255 * (255 - alpha)) / 255) as u8
    };
    pixels.chunks_exact(N + 1).flat_map(|p| (0..N).map(move |i| mix(p[i], p[N]))).collect()
}

/// The largest file.
const MAX_FILE: u64 = 64 << 20;
/// The most memory that a decoder may take.
const MAX_MEMORY: usize = 256 << 20;
/// How long one picture of a file may take.
const BUDGET: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &str, bytes: &[u8]) -> Error {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let error = decode_file(&path).expect_err(name);
        assert!(error.to_string().contains(name), "{error}");
        error
    }

    #[test]
    fn every_failure_names_file_and_reason() {
        assert!(failure("empty.png", b"").to_string().contains("is empty"));
        assert!(failure("text.png", b"not a picture").to_string().contains("PNG, JPEG and WebP"));
        assert!(failure("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").to_string().contains("damaged"));
        let folder = tempfile::tempdir().expect("a folder");
        assert!(decode_file(folder.path()).expect_err("a folder").to_string().contains("is a folder"));
        assert_eq!(decode_file("/no/such/file.png").expect_err("missing").kind(), Kind::NotFound);
    }

    /// The header of a PNG of 65535 x 65535 pixels, with its CRC as zlib counts it.
    #[test]
    fn refuses_what_is_too_large_before_reading_it() {
        let mut header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0".to_vec();
        header.extend(0x936e_868c_u32.to_be_bytes());
        let error = failure("huge.png", &header);
        assert!(error.kind() == Kind::Input && error.to_string().contains("16384 pixels a side"), "{error}");
    }

    /// A PNG of these samples, 2 pixels wide.
    fn png_of(color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().and_then(|mut writer| writer.write_image_data(data)).expect("written");
        out
    }

    fn webp_of(color: image_webp::ColorType, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        image_webp::WebPEncoder::new(&mut out).encode(data, 2, 1, color).expect("written");
        out
    }

    fn jpeg_of(color: jpeg_encoder::ColorType, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        jpeg_encoder::Encoder::new(&mut out, 100).encode(data, 2, 1, color).expect("written");
        out
    }

    #[test]
    fn every_kind_of_picture_is_grey_or_coloured_and_what_is_transparent_is_white() {
        use PixelFormat::{Grey8, Rgb8};
        use png::{BitDepth, ColorType};
        let (eight, sixteen) = (BitDepth::Eight, BitDepth::Sixteen);
        for (bytes, format, data) in [
            (png_of(ColorType::Grayscale, eight, &[7, 200]), Grey8, vec![7, 200]),
            (png_of(ColorType::Grayscale, BitDepth::One, &[0b0100_0000]), Grey8, vec![0, 255]),
            (png_of(ColorType::Grayscale, sixteen, &[7, 0, 200, 0]), Grey8, vec![7, 200]),
            (png_of(ColorType::GrayscaleAlpha, eight, &[7, 255, 0, 0]), Grey8, vec![7, 255]),
            (png_of(ColorType::Rgb, eight, &[1, 2, 3, 4, 5, 6]), Rgb8, vec![1, 2, 3, 4, 5, 6]),
            (png_of(ColorType::Rgba, eight, &[1, 2, 3, 255, 0, 0, 0, 0]), Rgb8, vec![1, 2, 3, 255, 255, 255]),
            (webp_of(image_webp::ColorType::Rgb8, &[1, 2, 3, 4, 5, 6]), Rgb8, vec![1, 2, 3, 4, 5, 6]),
            (webp_of(image_webp::ColorType::Rgba8, &[1, 2, 3, 255, 0, 0, 0, 0]), Rgb8, vec![1, 2, 3, 255, 255, 255]),
            (jpeg_of(jpeg_encoder::ColorType::Luma, &[90, 90]), Grey8, vec![90, 90]),
        ] {
            let frame = frame(&bytes, &SystemClock).expect("good");
            assert_eq!((frame.format(), frame.data()), (format, data.as_slice()));
        }
        let red = jpeg_of(jpeg_encoder::ColorType::Rgb, &[250, 10, 10, 250, 10, 10]);
        let red = frame(&red, &SystemClock).expect("good");
        assert_eq!(red.format(), Rgb8);
        assert!(red.data()[0] > 230 && red.data()[1] < 30 && red.data()[2] < 30, "{:?}", red.data());
    }

    #[test]
    fn a_picture_cut_anywhere_is_an_error_or_a_picture_of_its_size() {
        for whole in [
            png_of(png::ColorType::Rgb, png::BitDepth::Eight, &[1, 2, 3, 4, 5, 6]),
            webp_of(image_webp::ColorType::Rgb8, &[1, 2, 3, 4, 5, 6]),
            jpeg_of(jpeg_encoder::ColorType::Rgb, &[1, 2, 3, 4, 5, 6]),
        ] {
            for cut in 1..whole.len() {
                match frame(&whole[..cut], &SystemClock) {
                    Ok(frame) => assert_eq!((frame.width(), frame.height()), (2, 1), "cut at {cut}"),
                    Err(error) => assert_eq!(error.kind(), Kind::Input, "cut at {cut}: {error}"),
                }
            }
        }
    }
}
