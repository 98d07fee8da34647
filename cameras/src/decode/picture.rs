//! Pictures in files: PNG, JPEG and WebP.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;
use std::time::Duration;

use image::{DynamicImage, ImageReader, Limits};
use tresen_hal::{Clock, Error, Kind, Result, SystemClock};

use super::{Code, Hints, best, undisputed};
use crate::frame::{Frame, MAX_SIDE, PixelFormat};

/// The largest file.
const MAX_FILE: u64 = 64 << 20;
/// How long one picture of a file may take.
const BUDGET: Duration = Duration::from_secs(2);

/// All codes of a picture file, of any format; of articles' codes those that are [`undisputed`].
///
/// # Errors
/// The file is missing or cannot be read, is no picture that we know, or is too large; each names it.
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
    load_inner(path, clock).map_err(|e| e.at(path.display()))
}

fn load_inner(path: &Path, clock: &dyn Clock) -> Result<Frame> {
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
    let bad = |e: image::ImageError| match e {
        image::ImageError::Limits(_) => {
            Error::new(Kind::Input, format!("is larger than {MAX_SIDE} pixels a side or 256 MiB in memory"))
        }
        image::ImageError::Unsupported(_) => {
            Error::new(Kind::Input, "is no picture that can be read here").hint("PNG, JPEG and WebP can")
        }
        e => Error::new(Kind::Input, "is damaged or no picture").because(e),
    };
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(256 << 20);
    reader.limits(limits);
    let picture = reader.decode().map_err(bad)?;
    let (width, height) = (picture.width(), picture.height());
    let (format, data) = match picture {
        DynamicImage::ImageLuma8(grey) => (PixelFormat::Grey8, grey.into_raw()),
        picture if picture.color().has_alpha() => (PixelFormat::Rgb8, on_white(&picture)),
        picture => (PixelFormat::Rgb8, picture.into_rgb8().into_raw()),
    };
    Frame::new(format, width, height, data, clock)
}

fn on_white(picture: &DynamicImage) -> Vec<u8> {
    let mix = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        ((value * alpha + 255 * (255 - alpha)) / 255) as u8
    };
    picture.to_rgba8().pixels().flat_map(|p| [0, 1, 2].map(|i| mix(p[i], p[3]))).collect()
}

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

    /// The header of a PNG of 65535 x 65535 pixels.
    #[test]
    fn refuses_what_is_too_large_before_reading_it() {
        let mut header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0".to_vec();
        header.extend(0xb8c5_2a7b_u32.to_be_bytes());
        let error = failure("huge.png", &header);
        assert_eq!(error.kind(), Kind::Input);
    }

    #[test]
    fn transparent_is_white() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("clear.png");
        image::RgbaImage::from_pixel(2, 1, image::Rgba([0, 0, 0, 0])).save(&path).expect("saved");
        let frame = load(&path, &SystemClock).expect("good");
        assert_eq!(frame.data(), [255; 6]);
    }
}
