//! Pictures drawn by the demo: the shop's logo, and a camera's view of a voucher.

use std::path::Path;

use tresen::{Error, Kind, Result};

/// A greyscale picture: one byte per pixel, row by row, 0 is black.
pub(super) struct Picture {
    width: u32,
    height: u32,
    pub(super) pixels: Vec<u8>,
}

impl Picture {
    fn from_fn(width: u32, height: u32, pixel: impl Fn(u32, u32) -> u8) -> Self {
        let pixels = (0..width * height).map(|i| pixel(i % width, i / width)).collect();
        Self { width, height, pixels }
    }
}

/// Size of the logo in dots.
pub(super) const LOGO: (u32, u32) = (360, 150);

/// A cup on a counter, with soft shadows to exercise dithering. 0 is black.
pub(super) fn logo() -> Picture {
    Picture::from_fn(LOGO.0, LOGO.1, |x, y| {
        let (x, y) = (x as f32 - 180.0, y as f32);
        (shade(x, y) * 255.0) as u8
    })
}

/// From 0, black, to 1, white.
fn shade(x: f32, y: f32) -> f32 {
    // The counter, lighter towards its ends.
    if (124.0..132.0).contains(&y) && x.abs() < 176.0 {
        return (x.abs() / 176.0).powi(2) * 0.8;
    }
    // The cup: a half circle lit from the left.
    let (cx, cy) = (x, y - 52.0);
    if cy >= 0.0 && cx * cx + cy * cy < 68.0 * 68.0 {
        return 0.15 + 0.7 * ((60.0 - cx) / 128.0).clamp(0.0, 1.0);
    }
    // Its handle: a ring.
    let ring = ((x - 72.0).powi(2) + (y - 72.0).powi(2)).sqrt();
    if (16.0..26.0).contains(&ring) && x > 60.0 {
        return 0.35;
    }
    // Three wisps of steam that fade as they rise.
    for at in [-30.0, 0.0, 30.0] {
        let sway = at + 6.0 * (y / 9.0).sin();
        if y < 44.0 && (x - sway).abs() < 3.5 {
            return 0.2 + 0.8 * (1.0 - y / 44.0);
        }
    }
    1.0
}

/// The camera's view: a grey table, a white voucher on it, a QR code of `text` on the voucher.
pub(super) fn frame(text: &str) -> Result<Picture> {
    const MODULE: u32 = 7;
    let code = qrcode::QrCode::new(text)
        .map_err(|e| Error::new(Kind::Input, format!("`{text}` does not fit into a QR code")).because(e))?;
    let width = code.width() as u32;
    let (left, top) = ((640 - width * MODULE) / 2, (480 - width * MODULE) / 2);
    let colors = code.to_colors();
    Ok(Picture::from_fn(640, 480, |x, y| {
        let (column, row) = ((x.wrapping_sub(left)) / MODULE, (y.wrapping_sub(top)) / MODULE);
        let grain = ((x * 31 + y * 17) % 13) as u8;
        let inside = column < width && row < width;
        if inside && colors[(row * width + column) as usize] == qrcode::Color::Dark {
            return 30 + grain;
        }
        let on_voucher = x + 5 * MODULE > left
            && x < left + (width + 5) * MODULE
            && y + 5 * MODULE > top
            && y < top + (width + 5) * MODULE;
        if inside || on_voucher { 225 + grain } else { 120 + grain }
    }))
}

/// Writes a picture as PNG.
pub(super) fn save(picture: &Picture, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    let encoded = png::Encoder::new(&mut bytes, picture.width, picture.height)
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&picture.pixels));
    encoded.map_err(std::io::Error::from).and_then(|()| std::fs::write(path, bytes)).map_err(|e| Error::file(path, e))
}
