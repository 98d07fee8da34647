//! JPEG pictures, and those of USB cameras, which leave out the Huffman tables.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tresen_hal::{Error, Kind, Result};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::frame::{MAX_SIDE, check_size};

/// Decodes the grey part of a JPEG and returns its size.
///
/// # Errors
/// [`Kind::Input`]: it is damaged or too large.
pub(crate) fn grey(data: &[u8], into: &mut Vec<u8>) -> Result<(usize, usize)> {
    let header = |decoder: &mut Decoder<'_>| {
        decoder.set_options(options().jpeg_set_out_colorspace(ColorSpace::Luma));
    };
    let (width, height) = decode(data, into, header)?;
    Ok((width.into(), height.into()))
}

/// A JPEG in its colours.
pub(crate) struct Colours {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bytes a pixel: 1 of a grey picture, else 3, red, green, blue.
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

/// Decodes a JPEG in its colours.
///
/// # Errors
/// As [`grey`].
pub(crate) fn colours(data: &[u8]) -> Result<Colours> {
    let (mut pixels, mut channels) = (Vec::new(), 3);
    let header = |decoder: &mut Decoder<'_>| {
        let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let space = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
        channels = space.num_components();
        decoder.set_options(options().jpeg_set_out_colorspace(space));
    };
    let (width, height) = decode(data, &mut pixels, header)?;
    Ok(Colours { width: width.into(), height: height.into(), channels, data: pixels })
}

/// Encodes grey or red, green and blue, 8 bits each.
///
/// # Errors
/// [`Kind::Input`]: the size does not fit the data.
pub(crate) fn encode(data: &[u8], width: u32, height: u32, is_grey: bool) -> Result<Vec<u8>> {
    let bad = |e: image::ImageError| Error::new(Kind::Input, "the picture cannot be written as JPEG").because(e);
    let colour = if is_grey { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(data, width, height, colour)
        .map_err(bad)?;
    Ok(jpeg)
}

type Decoder<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

fn options() -> DecoderOptions {
    DecoderOptions::default().set_max_width(MAX_SIDE as usize).set_max_height(MAX_SIDE as usize)
}

/// Decodes a JPEG; `header` is called once its header has been read, to say in which colours.
fn decode(data: &[u8], into: &mut Vec<u8>, header: impl FnOnce(&mut Decoder<'_>)) -> Result<(u16, u16)> {
    let bad = |why: &dyn fmt::Display| Error::new(Kind::Input, format!("a JPEG that cannot be decoded: {why}"));
    let marked = lacks_tables(data).then(|| [&data[..2], MOTION_JPEG, &data[2..]].concat());
    let data = marked.as_deref().unwrap_or(data);
    // The decoder should not panic, but bytes of a device must not depend on that.
    catch_unwind(AssertUnwindSafe(|| {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options());
        decoder.decode_headers().map_err(|e| bad(&e))?;
        let info = decoder.info().ok_or_else(|| bad(&"it has no header"))?;
        check_size(info.width.into(), info.height.into()).map_err(|why| bad(&why))?;
        header(&mut decoder);
        into.resize(decoder.output_buffer_size().unwrap_or(0), 0);
        decoder.decode_into(into).map_err(|e| bad(&e))?;
        Ok((info.width, info.height))
    }))
    .unwrap_or_else(|_| Err(bad(&"the decoder failed")))
}

/// Of JPEGs that are made here, 1 to 100.
const QUALITY: u8 = 80;
/// The segment APP0 of Motion-JPEG in AVI files: it tells the decoder to use the usual Huffman tables, those
/// of ITU-T T.81, annex K.3.3.
const MOTION_JPEG: &[u8] = b"\xff\xe0\x00\x07AVI1\x00";

/// Whether a JPEG has no Huffman tables before its picture, as most USB cameras leave them out.
pub(crate) fn lacks_tables(data: &[u8]) -> bool {
    // T.81, B.1.1: markers SOI, DHT, SOS; a segment's length counts its own two bytes.
    const START: [u8; 2] = [0xff, 0xd8];
    const HUFFMAN_TABLES: u8 = 0xc4;
    const SCAN: u8 = 0xda;
    let Some(mut rest) = data.strip_prefix(&START) else { return false };
    loop {
        match rest {
            [0xff, HUFFMAN_TABLES, ..] => return false,
            [0xff, SCAN, ..] => return true,
            // Fill bytes.
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, _, high, low, ..] => {
                let length = 2 + usize::from(u16::from_be_bytes([*high, *low]));
                let Some(next) = rest.get(length..) else { return false };
                rest = next;
            }
            _ => return false,
        }
    }
}
