//! Greyscale images and how they are dithered.

use std::fmt;
use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind, Result};

use super::Align;

/// The maximum width and height in pixels, more than any paper or receipt has.
const MAX_SIDE: u32 = 16_384;
/// The maximum number of pixels.
const MAX_PIXELS: usize = 16 << 20;

/// How grey is turned into black and white.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Dither {
    /// Black below mid-grey: for line art and text.
    Threshold,
    /// Error diffusion after Floyd and Steinberg: for photographs.
    #[default]
    FloydSteinberg,
    /// Bayer's ordered 8×8 pattern: fast, for even areas.
    Bayer,
}

/// An image of 8-bit grey pixels. Clones are cheap.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Image {
    width: u32,
    height: u32,
    pixels: Arc<[u8]>,
    dither: Dither,
    align: Align,
}

impl Image {
    /// An image of `width` × `height` pixels, row by row from the top left, 0 black to 255 white.
    ///
    /// # Errors
    /// [`Kind::Input`]: no pixels, not `width` × `height` of them, or too many.
    pub fn grey(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self> {
        let bad = |what: String| Err(Error::new(Kind::Input, what));
        if width == 0 || height == 0 {
            return bad("an image needs pixels".into());
        }
        if width > MAX_SIDE || height > MAX_SIDE || width as usize * height as usize > MAX_PIXELS {
            return bad(format!("an image of {width} × {height} pixels is too large"));
        }
        if pixels.len() != width as usize * height as usize {
            return bad(format!("expected {width} × {height} pixels, not {}", pixels.len()));
        }
        Ok(Self { width, height, pixels: pixels.into(), dither: Dither::default(), align: super::centred() })
    }

    /// Reads a PNG; transparency becomes white.
    ///
    /// # Errors
    /// [`Kind::Input`]: not a PNG, or too large.
    pub fn png(bytes: &[u8]) -> Result<Self> {
        let bad = |e: png::DecodingError| Error::new(Kind::Input, "the PNG cannot be read").because(e);
        let mut decoder =
            png::Decoder::new_with_limits(std::io::Cursor::new(bytes), png::Limits { bytes: 4 * MAX_PIXELS });
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(bad)?;
        let (width, height) = (reader.info().width, reader.info().height);
        let size = reader.output_buffer_size().filter(|_| width as usize * height as usize <= MAX_PIXELS);
        let Some(size) = size else {
            return Err(Error::new(Kind::Input, format!("an image of {width} × {height} pixels is too large")));
        };
        let mut data = vec![0; size];
        let info = reader.next_frame(&mut data).map_err(bad)?;
        data.truncate(info.buffer_size());
        let over_white = |grey: u8, alpha: u8| (255 - (u32::from(255 - grey) * u32::from(alpha) + 127) / 255) as u8;
        let pixels = match info.color_type {
            png::ColorType::Grayscale => data,
            png::ColorType::GrayscaleAlpha => data.chunks_exact(2).map(|p| over_white(p[0], p[1])).collect(),
            png::ColorType::Rgba => data.chunks_exact(4).map(|p| over_white(luma(p), p[3])).collect(),
            _ => data.chunks_exact(3).map(luma).collect(),
        };
        Self::grey(info.width, info.height, pixels)
    }

    /// With another dithering.
    #[must_use]
    pub fn dither(mut self, dither: Dither) -> Self {
        self.dither = dither;
        self
    }

    /// With another alignment.
    #[must_use]
    pub fn align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Its dithering.
    pub fn dithering(&self) -> Dither {
        self.dither
    }

    /// Its alignment.
    pub fn alignment(&self) -> Align {
        self.align
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({} × {}, {:?}, {:?})", self.width, self.height, self.dither, self.align)
    }
}

/// ITU-R BT.601 luma.
fn luma(rgb: &[u8]) -> u8 {
    ((u32::from(rgb[0]) * 299 + u32::from(rgb[1]) * 587 + u32::from(rgb[2]) * 114 + 500) / 1000) as u8
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Raw {
    /// A grey PNG in base64.
    png: String,
    /// How grey is turned into black and white.
    #[serde(default)]
    dither: Dither,
    /// Alignment; default in the centre.
    #[serde(default = "super::centred")]
    align: Align,
}

impl TryFrom<Raw> for Image {
    type Error = Error;
    fn try_from(raw: Raw) -> Result<Self> {
        let bytes = STANDARD
            .decode(&raw.png)
            .map_err(|e| Error::new(Kind::Input, "the image is not valid base64").because(e))?;
        Ok(Self::png(&bytes)?.dither(raw.dither).align(raw.align))
    }
}

impl From<Image> for Raw {
    fn from(image: Image) -> Self {
        let png = crate::bitmap::encode_png(image.width, image.height, png::BitDepth::Eight, &image.pixels);
        Self { png: STANDARD.encode(png), dither: image.dither, align: image.align }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png_of(color: png::ColorType, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().expect("header").write_image_data(data).expect("data");
        out
    }

    #[test]
    fn reads_png_of_every_colour() {
        let grey = |color, data: &[u8]| Image::png(&png_of(color, data)).expect("a PNG").pixels().to_vec();
        assert_eq!(grey(png::ColorType::Grayscale, &[0, 200]), [0, 200]);
        assert_eq!(grey(png::ColorType::GrayscaleAlpha, &[0, 0, 0, 255]), [255, 0]);
        assert_eq!(grey(png::ColorType::Rgb, &[255, 255, 255, 255, 0, 0]), [255, 76]);
        assert_eq!(grey(png::ColorType::Rgba, &[0, 0, 0, 0, 0, 255, 0, 255]), [255, 150]);
    }

    #[test]
    fn refuses_what_is_no_picture() {
        for bad in [Image::grey(0, 1, vec![]), Image::grey(2, 2, vec![0; 3]), Image::grey(1 << 20, 1, vec![0; 1 << 20])]
        {
            assert_eq!(bad.expect_err("no picture").kind(), Kind::Input);
        }
        assert_eq!(Image::png(b"GIF89a").expect_err("no PNG").kind(), Kind::Input);
    }
}
