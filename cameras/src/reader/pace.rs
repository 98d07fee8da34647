//! When to decode a frame: an unchanged picture is decoded a few times and then less and less often, and decoding
//! without a result takes at most half of the time. Sans-IO.

use std::time::{Duration, Instant};

use crate::frame::GreyView;

/// Decides which frames are looked at.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Vec<i32>,
    looks: u32,
    looked: Option<Instant>,
    changed: Option<Instant>,
    is_calm: bool,
    found: bool,
    rest_until: Option<Instant>,
}

impl Pace {
    /// Whether to look at a frame that was taken at `now`.
    pub(super) fn is_due(&mut self, picture: &GreyView<'_>, now: Instant) -> bool {
        let cells = cells(picture);
        if cells.len() != self.last.len() || self.last.iter().zip(&cells).any(|(a, b)| (a - b).abs() > CHANGE) {
            (self.last, self.looks, self.changed) = (cells, 0, Some(now));
        }
        self.is_calm = self.changed.is_some_and(|at| now.saturating_duration_since(at) >= CALM);
        let since = self.looked.map(|at| now.saturating_duration_since(at));
        let pause = match self.looks {
            0..LOOKS => Duration::ZERO,
            _ if self.found => HOLDING,
            looks => IDLE * (1 << (looks - LOOKS).min(DOUBLINGS)),
        };
        since.is_none_or(|since| since >= pause) && self.rest_until.is_none_or(|until| now >= until)
    }

    /// The least time until the next frame is wanted.
    pub(super) fn interval(&self) -> Duration {
        if self.is_calm { ASLEEP } else { Duration::ZERO }
    }

    /// Whether this unchanged picture deserves one longer look.
    pub(super) fn deserves_longer_look(&self) -> bool {
        self.looks + 1 == LOOKS && !self.found
    }

    /// A look at the frame taken at `now` took this long.
    pub(super) fn looked(&mut self, now: Instant, took: Duration, found: bool) {
        self.looks = self.looks.saturating_add(1);
        (self.looked, self.found) = (Some(now), found);
        self.rest_until = if found { None } else { Some(now + 2 * took) };
    }
}

/// The brightness of the picture's cells, scaled to a mean of 128, so that drifting exposure does not count as a change.
fn cells(picture: &GreyView<'_>) -> Vec<i32> {
    let (across, down) = CELLS;
    let (width, height) = (picture.width(), picture.height());
    let mut cells = Vec::with_capacity(across * down);
    for y in 0..down {
        for x in 0..across {
            let mut sum = 0;
            for dy in 0..SAMPLES {
                let row = picture.row(height * (y * SAMPLES + dy) / (down * SAMPLES));
                sum +=
                    (0..SAMPLES).map(|dx| i32::from(row[width * (x * SAMPLES + dx) / (across * SAMPLES)])).sum::<i32>();
            }
            cells.push(sum / (SAMPLES * SAMPLES) as i32);
        }
    }
    let mean = (cells.iter().sum::<i32>() / cells.len() as i32).max(1);
    cells.iter_mut().for_each(|cell| *cell = *cell * 128 / mean);
    cells
}

/// Looks at an unchanged picture without a pause: a thorough and a quick one, twice.
const LOOKS: u32 = 4;
/// Between looks at an unchanged picture without a code, at first; the pause doubles with each of [`DOUBLINGS`] looks.
const IDLE: Duration = Duration::from_secs(1);
const DOUBLINGS: u32 = 3;
/// Between looks at an unchanged picture with codes: its owner has to learn that they are still there.
const HOLDING: Duration = Duration::from_millis(250);
/// After this long without a change, one frame every [`ASLEEP`] is enough.
const CALM: Duration = Duration::from_secs(2);
/// The interval between frames while nothing changes: how long it takes at most to notice a change.
const ASLEEP: Duration = Duration::from_millis(200);
/// Cells across and down in which changes are looked for.
const CELLS: (usize, usize) = (32, 24);
/// Pixels of a cell that count, across and down.
const SAMPLES: usize = 4;
/// By how many grey values a cell differs that has changed; noise of a camera moves the mean of its pixels by less.
const CHANGE: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `frames` pictures, 30 a second, are looked at, each in `took`.
    fn looks(frames: u32, took: Duration, found: bool, mut picture: impl FnMut(u32) -> Vec<u8>) -> u32 {
        let (mut pace, start) = (Pace::default(), Instant::now());
        (0..frames)
            .filter(|n| {
                let (pixels, now) = (picture(*n), start + *n * Duration::from_millis(33));
                let view = GreyView::new(&pixels, 64, 48, 64).expect("a view");
                let due = pace.is_due(&view, now);
                if due {
                    pace.looked(now, took, found);
                }
                due
            })
            .count() as u32
    }

    #[test]
    fn an_unchanged_picture_is_looked_at_now_and_then() {
        let grey = |_: u32| vec![100; 64 * 48];
        // Four looks, then after 1, 2 and 4 s, then every 8 s: 100 s have 4 + 3 + 11.
        assert_eq!(looks(300, Duration::ZERO, false, grey), 4 + 3);
        assert_eq!(looks(3000, Duration::ZERO, false, grey), 4 + 3 + 11);
        assert!((20..=50).contains(&looks(300, Duration::ZERO, true, grey)));
        // Noise and a slow drift of the exposure are no change.
        let mut seed = 7_u32;
        let noisy = move |n: u32| {
            (0..64 * 48)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (100 + n / 30 + (seed >> 24) % 9) as u8
                })
                .collect()
        };
        assert_eq!(looks(300, Duration::ZERO, false, noisy), 4 + 3);
    }

    #[test]
    fn a_changing_picture_takes_half_of_the_time_at_most() {
        let moving = |n: u32| (0..64 * 48).map(|i| if (i + 7 * n) % 64 < 32 { 30 } else { 220 }).collect();
        assert_eq!(looks(300, Duration::ZERO, false, moving), 300);
        let busy = looks(300, Duration::from_millis(80), false, moving);
        assert!(busy * 80 <= 300 * 33 * 6 / 10, "{busy} looks of 80 ms in 10 s");
        assert_eq!(looks(300, Duration::from_millis(80), true, moving), 300, "a code is followed");
    }

    #[test]
    fn what_comes_into_view_is_looked_at_at_once() {
        let mut seen = 0;
        let mut pace = Pace::default();
        let start = Instant::now();
        for n in 0..100 {
            let mut pixels = vec![100; 64 * 48];
            if n >= 90 {
                pixels.chunks_mut(64).skip(10).take(20).for_each(|row| row[20..44].fill(10));
            }
            let now = start + n * Duration::from_millis(33);
            if pace.is_due(&GreyView::new(&pixels, 64, 48, 64).expect("a view"), now) {
                pace.looked(now, Duration::from_millis(10), false);
                seen += u32::from(n == 90);
            }
        }
        assert_eq!(seen, 1);
    }
}
