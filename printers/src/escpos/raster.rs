//! Raster images.
//!
//! Tall images are sent in bands: cheap printers overflow on tall ones, and all start printing sooner. A printer executes
//! real-time commands (`DLE EOT`, `DLE ENQ`, `DLE DC4`) wherever their bytes occur, even inside an image (Epson, notes to
//! `DLE EOT` and `GS v 0`), so [`make_safe`] moves a dot where they would.

use crate::bitmap::Bitmap;
use crate::profile::{Profile, Raster};

const DLE: u8 = 0x10;
const EOT: u8 = 0x04;
const ENQ: u8 = 0x05;
const DC4: u8 = 0x14;

/// Appends the commands that print `map` with the current alignment. A row must not exceed 65535 bytes;
/// [`Bitmap::from_image`] scales to the paper.
pub fn encode(map: &Bitmap, profile: &Profile, out: &mut Vec<u8>) {
    let band = usize::from(profile.band.clamp(1, 256));
    let stride = map.stride();
    if stride == 0 {
        return;
    }
    let mut rows = map.bytes();
    while !rows.is_empty() {
        let most = band.min(rows.len() / stride);
        let (raster, count) = harmless(profile.raster, map.width(), stride, most);
        let (now, later) = rows.split_at(count * stride);
        header(raster, map.width(), stride, count, out);
        let start = out.len();
        out.extend_from_slice(now);
        // Starting at the last byte of the header.
        make_safe(&mut out[start - 1..]);
        if raster == Raster::Graphics {
            // GS ( L, function 50: print the stored graphics
            out.extend_from_slice(b"\x1d(L\x02\x00\x30\x32");
        }
        rows = later;
    }
}

/// The command, and the greatest number of rows, whose header does not contain a real-time command. Width and length
/// are part of the header, so fewer rows, or else the other command, change its bytes.
fn harmless(wanted: Raster, width: u32, stride: usize, most: usize) -> (Raster, usize) {
    let other = if wanted == Raster::GsV0 { Raster::Graphics } else { Raster::GsV0 };
    let reads_as_command = |raster, count| {
        let mut bytes = Vec::new();
        header(raster, width, stride, count, &mut bytes);
        bytes.windows(2).any(is_command)
    };
    let choices = [wanted, other].into_iter().flat_map(|raster| (1..=most).rev().map(move |count| (raster, count)));
    choices.into_iter().find(|&(raster, count)| !reads_as_command(raster, count)).unwrap_or((wanted, most))
}

fn header(raster: Raster, width: u32, stride: usize, rows: usize, out: &mut Vec<u8>) {
    match raster {
        Raster::GsV0 => gs_v_0(stride, rows, out),
        Raster::Graphics => store_graphics(width, stride, rows, out),
    }
}

/// GS v 0, print raster bit image, normal size
fn gs_v_0(stride: usize, rows: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1dv0\x00");
    out.extend_from_slice(&(stride as u16).to_le_bytes());
    out.extend_from_slice(&(rows as u16).to_le_bytes());
}

/// GS ( L or, beyond 65535 parameter bytes, GS 8 L, function 112: store raster graphics, one colour,
/// normal size
fn store_graphics(width: u32, stride: usize, rows: usize, out: &mut Vec<u8>) {
    let count = stride * rows + 10;
    match u16::try_from(count) {
        Ok(count) => {
            out.extend_from_slice(b"\x1d(L");
            out.extend_from_slice(&count.to_le_bytes());
        }
        Err(_) => {
            out.extend_from_slice(b"\x1d8L");
            out.extend_from_slice(&length(count));
        }
    }
    out.extend_from_slice(&[0x30, 0x70, 0x30, 1, 1, 0x31]);
    out.extend_from_slice(&(width as u16).to_le_bytes());
    out.extend_from_slice(&(rows as u16).to_le_bytes());
}

fn length(count: usize) -> [u8; 4] {
    (count as u32).to_le_bytes()
}

/// Whether two bytes begin a real-time command.
pub(crate) fn is_command(two: &[u8]) -> bool {
    matches!(two, [DLE, EOT | ENQ | DC4])
}

/// Breaks up real-time commands in raster data by moving the single dot of their DLE one place to the right. The first
/// byte belongs to the header and is not changed.
pub fn make_safe(data: &mut [u8]) {
    for i in 1..data.len().saturating_sub(1) {
        if data[i] == DLE && is_command(&data[i..i + 2]) {
            data[i] = DLE >> 1;
        }
    }
    // The header's last byte is the high half of a height up to 256, so it is never DLE.
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::{Dither, Image};

    fn map(width: u32, height: u32, pixel: impl Fn(u32) -> u8) -> Bitmap {
        let pixels = (0..width * height).map(pixel).collect();
        let image = Image::grey(width, height, pixels).expect("pixels").dither(Dither::Threshold);
        Bitmap::from_image(&image, width)
    }

    /// Epson GS v 0: 1D 76 30 m xL xH yL yH d1…dk, x in bytes, y in dots.
    #[test]
    fn gs_v_0_as_the_manual_has_it() {
        let mut out = Vec::new();
        encode(&map(16, 2, |i| if i % 2 == 0 { 0 } else { 255 }), &Profile::generic_80(), &mut out);
        assert_eq!(out, b"\x1d\x76\x30\x00\x02\x00\x02\x00\xaa\xaa\xaa\xaa");
    }

    /// Epson GS ( L fn 112: 1D 28 4C pL pH 30 70 a bx by c xL xH yL yH d1…dk with x in dots and
    /// p = k + 10, then fn 50: 1D 28 4C 02 00 30 32.
    #[test]
    fn gs_l_as_the_manual_has_it() {
        let mut out = Vec::new();
        encode(&map(12, 1, |_| 0), &Profile::epson_tm_m30(), &mut out);
        assert_eq!(
            out,
            b"\x1d\x28\x4c\x0c\x00\x30\x70\x30\x01\x01\x31\x0c\x00\x01\x00\xff\xf0\x1d\x28\x4c\x02\x00\x30\x32"
        );
    }

    #[test]
    fn long_bands_use_gs_8_l_and_tall_images_come_in_bands() {
        let wide = Profile { band: 256, ..Profile::epson_tm_m30() };
        let mut out = Vec::new();
        encode(&map(4096, 256, |_| 255), &wide, &mut out);
        // 512 bytes × 256 rows + 10 = 0x2000a
        assert_eq!(&out[..13], b"\x1d\x38\x4c\x0a\x00\x02\x00\x30\x70\x30\x01\x01\x31");
        let mut out = Vec::new();
        encode(&map(8, 300, |_| 255), &Profile::generic_80(), &mut out);
        let headers: Vec<&[u8]> = out.windows(8).filter(|w| w.starts_with(b"\x1dv0\x00\x01\x00")).collect();
        assert_eq!(headers.iter().map(|h| h[6]).collect::<Vec<u8>>(), [128, 128, 44]);
    }

    #[test]
    fn a_length_that_reads_as_a_command_is_avoided() {
        // 103 rows of 10 bytes and 10 more are 0x0410.
        let mut out = Vec::new();
        encode(&map(80, 103, |_| 255), &Profile::epson_tm_m30(), &mut out);
        assert!(!out.windows(2).any(is_command));
        // So is a width of 1040 dots, 0x0410.
        let mut out = Vec::new();
        encode(&map(1040, 2, |_| 255), &Profile::epson_tm_m30(), &mut out);
        assert_eq!(out[..8], *b"\x1d\x76\x30\x00\x82\x00\x02\x00");
    }

    /// With GS ( L, 4096 dots are 00 10 and 4 rows 04 00, one behind the other.
    #[test]
    fn a_width_and_a_height_that_together_read_as_a_command_are_avoided() {
        for rows in [4, 5, 20] {
            let mut out = Vec::new();
            encode(&map(4096, rows, |_| 255), &Profile::epson_tm_m30(), &mut out);
            assert!(!out.windows(2).any(is_command), "{rows} rows");
        }
    }

    proptest! {
        #[test]
        fn no_raster_holds_a_real_time_command(
            width in 1u32..80,
            bytes in prop::collection::vec(prop::sample::select(vec![0x10u8, 0x04, 0x05, 0x14, 0, 0xff]), 1..400),
            graphics: bool,
            band in 1u16..20,
        ) {
            let stride = width.div_ceil(8) as usize;
            let rows = (bytes.len() / stride) as u32;
            let mut map = Bitmap::new(width, rows);
            for (y, row) in bytes.chunks_exact(stride).enumerate() {
                for (i, byte) in row.iter().enumerate() {
                    (0..8).filter(|b| byte & (0x80 >> b) != 0).for_each(|b| map.set(i as u32 * 8 + b, y as u32));
                }
            }
            let raster = if graphics { Raster::Graphics } else { Raster::GsV0 };
            let mut out = Vec::new();
            encode(&map, &Profile { raster, band, ..Profile::generic_80() }, &mut out);
            prop_assert!(!out.windows(2).any(is_command));
            // Only single dots moved: as many as before.
            let dots = |b: &[u8]| b.iter().map(|b| b.count_ones()).sum::<u32>();
            if !graphics && rows > 0 && u32::from(band) >= rows {
                prop_assert_eq!(dots(&out[8..]), dots(map.bytes()));
            }
        }
    }
}
