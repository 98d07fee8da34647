//! The C++ decoder, zxing-cpp: the better one on hard pictures. What it throws is an error here.
//!
//! Linear codes that it does not find at once are looked for again in the enlarged and sharpened picture,
//! as long as the budget allows.

use tresen_hal::barcode::{gs1, upc_e};
use tresen_hal::{Clock, Error, Kind, Result};
use zxingcpp::{Barcode, BarcodeFormat, ImageFormat, ImageView, PointI, TextMode};

use super::enhance::{enlarged, sharpen_rows};
use super::{Code, Decoder, Effort, Format, Hints, reading};
use crate::frame::GreyView;

/// The zxing-cpp decoder. It reads all formats.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ZxingCpp {}

/// Pictures above this many pixels are not enlarged.
const ENLARGE_BELOW: usize = 400_000;

impl Decoder for ZxingCpp {
    fn decode(&mut self, picture: &GreyView<'_>, hints: &Hints, clock: &dyn Clock) -> Result<Vec<Code>> {
        let deadline = clock.now() + hints.budget;
        let (width, height) = (picture.width(), picture.height());
        let pixels = picture.packed();
        let all: Vec<_> = hints.formats.iter().map(|f| to_zxing(*f)).collect();
        let codes = read(&pixels, width, height, &all, hints, 1)?;
        let linear: Vec<_> = hints.formats.iter().filter(|f| f.is_linear()).map(|f| to_zxing(*f)).collect();
        let is_done = !codes.is_empty() || linear.is_empty() || width * height > ENLARGE_BELOW;
        if is_done || hints.effort == Effort::Fast {
            return Ok(codes);
        }
        let mut unconfirmed: Vec<Code> = Vec::new();
        for (factor, sharpen) in [(2, false), (2, true), (3, true)] {
            if clock.now() >= deadline {
                break;
            }
            let (mut big, w, h) = enlarged(&pixels, width, height, factor);
            if sharpen {
                sharpen_rows(&mut big, w);
            }
            let (mut confirmed, earlier) = (Vec::new(), unconfirmed.len());
            for mut code in read(&big, w, h, &linear, hints, factor)? {
                let is_this = |other: &Code| other.format == code.format && other.text == code.text;
                if !code.format.is_article() || unconfirmed[..earlier].iter().any(is_this) {
                    confirmed.push(code);
                } else {
                    code.enhanced = true;
                    unconfirmed.push(code);
                }
            }
            if !confirmed.is_empty() {
                unconfirmed.retain(|c| !confirmed.iter().any(|other| other.text == c.text && other.format == c.format));
                return Ok(confirmed.into_iter().chain(unconfirmed).collect());
            }
        }
        Ok(unconfirmed)
    }
}

fn read(
    pixels: &[u8],
    width: usize,
    height: usize,
    formats: &[BarcodeFormat],
    hints: &Hints,
    factor: usize,
) -> Result<Vec<Code>> {
    // An empty list means all of them to zxing-cpp.
    if formats.is_empty() || hints.most == 0 {
        return Ok(Vec::new());
    }
    let failed = |e: zxingcpp::Error| Error::new(Kind::Input, "the barcode decoder failed on this picture").because(e);
    let view = ImageView::from_slice(pixels, width as u32, height as u32, ImageFormat::Lum).map_err(failed)?;
    let is_full = hints.effort == Effort::Full;
    let found = zxingcpp::read()
        .formats(formats)
        .try_harder(is_full)
        .try_rotate(is_full)
        .try_invert(is_full)
        .text_mode(TextMode::Plain)
        .max_number_of_symbols(hints.most.min(255) as i32)
        .from(view)
        .map_err(failed)?;
    Ok(found.iter().filter_map(|barcode| code(barcode, hints, factor as f32)).collect())
}

fn code(barcode: &Barcode, hints: &Hints, factor: f32) -> Option<Code> {
    let format = hints
        .formats
        .iter()
        .copied()
        .find(|f| to_zxing(*f) == barcode.format())
        .or_else(|| from_symbology(barcode.symbology()))?;
    if format.is_linear() && (barcode.line_count() as usize) < hints.lines(format) {
        return None;
    }
    let reported = barcode.symbology_identifier();
    let aim = if reported.len() == 3 { reported } else { reading::usual_aim(format) };
    let at = |p: PointI| (p.x as f32 / factor, p.y as f32 / factor);
    let place = barcode.position();
    let corners = [place.top_left, place.top_right, place.bottom_right, place.bottom_left].map(at).to_vec();
    let text = barcode.text();
    // A UPC-A is an EAN-13 with a zero in front, and zxing-cpp prefers to call it that.
    let (format, text) = match (format, text.strip_prefix('0')) {
        (Format::Ean13, Some(upc)) if text.len() == 13 && hints.formats.contains(&Format::UpcA) => (Format::UpcA, upc),
        (Format::UpcA, Some(upc)) if text.len() == 13 => (format, upc),
        _ => (format, text.as_str()),
    };
    // It prints a UPC-E as its EAN-13; a scanner sends the eight digits of the symbol.
    let short = text.strip_prefix('0').filter(|_| format == Format::UpcE).and_then(upc_e::shorten);
    // Its bytes are those of the symbol, whatever text they are, and its text ends at the first NUL.
    let bytes = barcode.bytes();
    let whole = (!format.is_ean_upc() && bytes.contains(&0)).then(|| match std::str::from_utf8(&bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    });
    let mut code = reading::code(format, aim, whole.as_deref().or(short.as_deref()).unwrap_or(text), corners)?;
    if !format.is_ean_upc() && !bytes.is_empty() {
        let is_led = reading::is_gs1(&code.aim) && bytes[0] == gs1::GS;
        code.bytes = bytes[usize::from(is_led)..].to_vec();
    }
    Some(code)
}

fn to_zxing(format: Format) -> BarcodeFormat {
    match format {
        Format::Ean13 => BarcodeFormat::EAN13,
        Format::Ean8 => BarcodeFormat::EAN8,
        Format::UpcA => BarcodeFormat::UPCA,
        Format::UpcE => BarcodeFormat::UPCE,
        Format::Code128 => BarcodeFormat::Code128,
        Format::Code39 => BarcodeFormat::Code39,
        Format::Code93 => BarcodeFormat::Code93,
        Format::Codabar => BarcodeFormat::Codabar,
        Format::Itf => BarcodeFormat::ITF,
        Format::DataBar => BarcodeFormat::DataBar,
        Format::DataBarLimited => BarcodeFormat::DataBarLtd,
        Format::DataBarExpanded => BarcodeFormat::DataBarExp,
        Format::Qr => BarcodeFormat::QRCode,
        Format::MicroQr => BarcodeFormat::MicroQRCode,
        Format::DataMatrix => BarcodeFormat::DataMatrix,
        Format::Aztec => BarcodeFormat::Aztec,
        Format::Pdf417 => BarcodeFormat::PDF417,
        Format::MaxiCode => BarcodeFormat::MaxiCode,
    }
}

/// For formats that zxing-cpp names more finely than we ask for.
fn from_symbology(symbology: BarcodeFormat) -> Option<Format> {
    Some(match symbology {
        BarcodeFormat::Code128 => Format::Code128,
        BarcodeFormat::Code39 => Format::Code39,
        BarcodeFormat::ITF => Format::Itf,
        BarcodeFormat::DataBar => Format::DataBar,
        BarcodeFormat::QRCode => Format::Qr,
        BarcodeFormat::Aztec => Format::Aztec,
        BarcodeFormat::PDF417 => Format::Pdf417,
        BarcodeFormat::DataMatrix => Format::DataMatrix,
        _ => return None,
    })
}
