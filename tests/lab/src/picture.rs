//! What cameras are shown: a QR code, 640 pixels wide and 480 high.

/// Width and height.
const SIDE: (usize, usize) = (640, 480);

/// A QR code in the middle of a white picture, one byte a pixel.
fn picture(text: &str) -> image::GrayImage {
    let code = qrcode::QrCode::new(text).expect("short enough");
    let (modules, wide) = (code.to_colors(), code.width() as u32);
    let scale = 8;
    let (left, top) = ((SIDE.0 as u32 - scale * wide) / 2, (SIDE.1 as u32 - scale * wide) / 2);
    image::GrayImage::from_fn(SIDE.0 as u32, SIDE.1 as u32, |x, y| {
        let (column, row) = (x.wrapping_sub(left) / scale, y.wrapping_sub(top) / scale);
        let is_dark = column < wide && row < wide && modules[(row * wide + column) as usize] == qrcode::Color::Dark;
        image::Luma([if is_dark { 16 } else { 235 }])
    })
}

/// The picture as Y0 U Y1 V.
pub fn yuyv(text: &str) -> Vec<u8> {
    picture(text).into_raw().iter().flat_map(|grey| [*grey, 128]).collect()
}

/// The picture as a JPEG without Huffman tables, as USB cameras send it.
pub fn jpeg(text: &str) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture(text).write_to(&mut file, image::ImageFormat::Jpeg).expect("encodes");
    let (whole, mut bare, mut at) = (file.into_inner(), vec![0xff, 0xd8], 2);
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
