//! What cameras are shown: a QR code, 640 pixels wide and 480 high.

/// Width and height.
const SIDE: (usize, usize) = (640, 480);

/// A QR code in the middle of a white picture, one byte a pixel, row by row.
fn picture(text: &str) -> Vec<u8> {
    let code = qrcode::QrCode::new(text).expect("short enough");
    let (modules, wide) = (code.to_colors(), code.width());
    let scale = 8;
    let (left, top) = ((SIDE.0 - scale * wide) / 2, (SIDE.1 - scale * wide) / 2);
    let pixel = |x: usize, y: usize| {
        let (column, row) = (x.wrapping_sub(left) / scale, y.wrapping_sub(top) / scale);
        let is_dark = column < wide && row < wide && modules[row * wide + column] == qrcode::Color::Dark;
        if is_dark { 16 } else { 235 }
    };
    (0..SIDE.0 * SIDE.1).map(|i| pixel(i % SIDE.0, i / SIDE.0)).collect()
}

/// The picture as Y0 U Y1 V.
pub fn yuyv(text: &str) -> Vec<u8> {
    picture(text).iter().flat_map(|grey| [*grey, 128]).collect()
}

/// The picture as a JPEG without Huffman tables, as USB cameras send it.
pub fn jpeg(text: &str) -> Vec<u8> {
    let (mut whole, mut bare, mut at) = (Vec::new(), vec![0xff, 0xd8], 2);
    jpeg_encoder::Encoder::new(&mut whole, 80)
        .encode(&picture(text), SIDE.0 as u16, SIDE.1 as u16, jpeg_encoder::ColorType::Luma)
        .expect("encodes");
    // ITU-T T.81, B.1.1: FF, a marker, a length that counts its own two bytes. C4 is DHT, DA the scan.
    while whole[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        if whole[at + 1] != 0xc4 {
            bare.extend_from_slice(&whole[at..end]);
        }
        at = end;
    }
    bare.extend_from_slice(&whole[at..]);
    bare
}
