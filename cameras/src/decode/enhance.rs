//! Pictures made easier to read.

/// Half as wide and high, four pixels averaged.
pub(super) fn halved(pixels: &[u8], width: usize, height: usize) -> (Vec<u8>, usize, usize) {
    let (w, h) = (width / 2, height / 2);
    let at = |x: usize, y: usize| u16::from(pixels[y * width + x]);
    let half = (0..w * h)
        .map(|i| {
            let (x, y) = (2 * (i % w), 2 * (i / w));
            ((at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4) as u8
        })
        .collect();
    (half, w, h)
}

/// Enlarged by a whole factor: linear between pixels of a row, rows repeated.
pub(super) fn enlarged(pixels: &[u8], width: usize, height: usize, factor: usize) -> (Vec<u8>, usize, usize) {
    let (w, h) = (width * factor, height * factor);
    let mut big = Vec::with_capacity(w * h);
    for row in pixels.chunks_exact(width) {
        let start = big.len();
        for (x, &here) in row.iter().enumerate() {
            let next = row.get(x + 1).copied().unwrap_or(here);
            big.extend(
                (0..factor).map(|i| ((usize::from(here) * (factor - i) + usize::from(next) * i) / factor) as u8),
            );
        }
        for _ in 1..factor {
            big.extend_from_within(start..start + w);
        }
    }
    (big, w, h)
}

/// Sharpens along the rows, where the bars of a blurred linear code lie: the pixel plus what it differs
/// from the mean of its neighbours two away, doubled.
pub(super) fn sharpen_rows(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(width) {
        let old = row.to_vec();
        for (new, window) in row.iter_mut().skip(2).zip(old.windows(5)) {
            let at = |i: usize| i32::from(window[i]);
            *new = (3 * at(2) - at(0) - at(4)).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_enlarges() {
        let pixels = [0, 100, 200, 40, 60, 0];
        assert_eq!(halved(&pixels, 3, 2), (vec![50], 1, 1));
        assert_eq!(enlarged(&[0, 100], 2, 1, 2), (vec![0, 50, 100, 100, 0, 50, 100, 100], 4, 2));
    }

    #[test]
    fn sharpening_widens_a_dip_and_keeps_the_level() {
        let mut row = [200, 200, 200, 200, 150, 200, 200, 200, 200];
        sharpen_rows(&mut row, 9);
        assert_eq!(row, [200, 200, 250, 200, 50, 200, 250, 200, 200]);
        sharpen_rows(&mut [1, 2], 2);
    }
}
