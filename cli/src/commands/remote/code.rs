//! Shows a one-time code: in groups of four, and as a QR code for a device with a camera.

use std::path::Path;

use qrcode::{Color, EcLevel, QrCode};
use serde_json::json;
use tresen::api::Client;
use tresen::remote::Invited;
use tresen::{Error, Kind, Result};

use super::super::running;
use crate::out::Out;

/// The running till that `file` names.
///
/// # Errors
/// No till is running.
pub(super) async fn till(file: &Path) -> Result<Client> {
    let store = running::store(file)?;
    running::till(&store).await?.ok_or_else(|| {
        let error = Error::new(Kind::NotFound, "no till is running").at(file.display());
        error.hint(format!("start it with `tresen serve {}`", file.display()))
    })
}

/// Prints a code and what to do with it; `next` has `{at}` and `{code}` in the places of address and code.
pub(super) fn show(out: &Out, invited: &Invited, next: &str) {
    let at = invited.at.first().map_or("wss://TILL:7443", String::as_str);
    let code = invited.code.to_string();
    let mut lines = format!("One-time code for {}: {code}\n", invited.name);
    lines += &format!("It is good once, until {:.0}, and for five attempts.\n", invited.expires);
    lines += &next.replace("{at}", at).replace("{code}", &code);
    let scanned = format!("{at}/#{code}");
    if let Some(picture) = picture(&scanned) {
        lines += &format!("\n\n{picture}\n{scanned}");
    }
    for other in invited.at.iter().skip(1) {
        lines += &format!("\nalso at {other}");
    }
    lines += &format!("\nSHA-256 of the till's authority: {}", invited.authority);
    let value = json!({
        "name": invited.name,
        "code": invited.code,
        "expires": invited.expires,
        "at": invited.at,
        "authority": invited.authority,
    });
    out.answer(&value, lines);
}

/// A QR code of half blocks, light on dark with a quiet zone: two modules a character, one above the other.
fn picture(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, colors) = (code.width() as isize, code.to_colors());
    let light = |x: isize, y: isize| {
        let inside = (0..width).contains(&x) && (0..width).contains(&y);
        !inside || colors[(y * width + x) as usize] == Color::Light
    };
    let mut picture = String::new();
    for y in (-QUIET..width + QUIET).step_by(2) {
        for x in -QUIET..width + QUIET {
            picture.push(match (light(x, y), light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        picture.push('\n');
    }
    Some(picture)
}

/// Modules around the code. The standard wants four; on a screen two are enough.
const QUIET: isize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Decoded by the cameras' decoder, which shares no code with the one that draws.
    #[test]
    fn the_picture_reads_as_the_address_with_the_code() {
        let text = "wss://192.0.2.10:7443/#K7QF-02ZM-9XTA";
        let picture = picture(text).expect("short enough");
        let rows: Vec<Vec<char>> = picture.lines().map(|line| line.chars().collect()).collect();
        let (width, height) = (rows[0].len(), rows.len() * 2);
        let scale = 4;
        let mut pixels = Vec::with_capacity(width * height * scale * scale);
        for y in 0..height * scale {
            for x in 0..width * scale {
                let upper = (y / scale) % 2 == 0;
                let light = match rows[y / scale / 2][x / scale] {
                    '█' => true,
                    '▀' => upper,
                    '▄' => !upper,
                    _ => false,
                };
                pixels.push(if light { 255 } else { 0 });
            }
        }
        use tresen::cameras::decode::{Hints, best};
        use tresen::cameras::{Frame, PixelFormat};
        let (clock, [width, height]) = (tresen::SystemClock, [width, height].map(|side| (side * scale) as u32));
        let frame = Frame::new(PixelFormat::Grey8, width, height, pixels, &clock).expect("a frame");
        let mut scratch = Vec::new();
        let view = frame.grey(&mut scratch).expect("grey");
        let read = best().decode(&view, &Hints::all(), &clock).expect("decoded");
        assert!(read.iter().any(|code| code.text == text), "{picture}");
    }
}
