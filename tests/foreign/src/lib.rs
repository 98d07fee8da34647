//! What tests and benchmarks against other people's software share.
//!
//! One file per protocol in `tests`, one benchmark per task in `benches`: `tests/escpos.rs` has ESC/POS.

pub use rxing::BarcodeFormat;
use tresen_printers::bitmap::Bitmap;

/// White dots around a picture: a scanner wants a quiet zone.
const QUIET: u32 = 40;

/// What a scanner reads in a picture of `width` × `height` dots.
pub fn scan(width: u32, height: u32, black: impl Fn(u32, u32) -> bool, format: BarcodeFormat) -> Option<String> {
    let (w, h) = (width + 2 * QUIET, height + 2 * QUIET);
    let luma = (0..w * h)
        .map(|i| {
            let (x, y) = (i % w, i / w);
            let inside = x >= QUIET && y >= QUIET && x < width + QUIET && y < height + QUIET;
            if inside && black(x - QUIET, y - QUIET) { 0 } else { 255 }
        })
        .collect();
    rxing::helpers::detect_in_luma(luma, w, h, Some(format)).ok().map(|r| r.getText().to_owned())
}

/// What a scanner reads on our paper.
pub fn scan_map(map: &Bitmap, format: BarcodeFormat) -> Option<String> {
    scan(map.width(), map.height(), |x, y| map.is_black(x, y), format)
}
