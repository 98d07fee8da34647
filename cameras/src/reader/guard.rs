//! Which decoded codes are accepted. Sans-IO.
//!
//! A misread EAN can have a right check digit, and a decoder that enlarges and sharpens a bad picture misreads more
//! often. So an article's code must be seen in several frames, and where two different ones are read at the same
//! place, neither is believed.

use std::time::{Duration, Instant};

use crate::decode::{Code, Format, is_same_place, undisputed};

/// Codes at one place that differ within this time dispute each other. Long enough for a few frames, and shorter
/// than a cashier needs to put the next article there.
const DISPUTE: Duration = Duration::from_millis(300);

/// Believes an article's code (EAN, UPC, DataBar) only when several frames agree on it.
#[derive(Debug)]
pub struct Agreement {
    frames: u8,
    window: Duration,
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    format: Format,
    text: String,
    corners: Vec<(f32, f32)>,
    count: u8,
    last: Instant,
    disputed: Option<Instant>,
}

impl Agreement {
    /// A code is believed in the `frames`th frame that shows it, each within `window` of the one before; one more is
    /// needed if it was read in an enhanced picture only.
    pub fn new(frames: u8, window: Duration) -> Self {
        Self { frames, window, seen: Vec::new() }
    }

    /// The codes of one frame, taken at `now`, that are believed.
    pub fn admit(&mut self, codes: Vec<Code>, now: Instant) -> Vec<Code> {
        self.seen.retain(|seen| now.saturating_duration_since(seen.last) <= self.window);
        for code in codes.iter().filter(|c| c.format.is_article()) {
            self.count(code, now);
        }
        codes.into_iter().filter(|code| !code.format.is_article() || self.is_believed(code, now)).collect()
    }

    /// The codes of a picture that does not change: frames of it prove no more than the first, so what was read in
    /// an enhanced picture only is not believed at all.
    pub fn admit_still(&self, codes: Vec<Code>) -> Vec<Code> {
        undisputed(codes)
    }

    fn count(&mut self, code: &Code, now: Instant) {
        let is_this = |seen: &Seen| seen.format == code.format && seen.text == code.text;
        let mut disputed = None;
        for other in self.seen.iter_mut().filter(|s| !is_this(s)) {
            let is_recent = now.saturating_duration_since(other.last) <= DISPUTE;
            if is_recent && is_same_place(&other.corners, &code.corners) {
                (other.count, other.disputed) = (0, Some(now));
                disputed = Some(now);
            }
        }
        let seen = match self.seen.iter_mut().find(|s| is_this(s)) {
            Some(seen) => seen,
            None => {
                let (format, text) = (code.format, code.text.clone());
                self.seen.push(Seen { format, text, corners: Vec::new(), count: 0, last: now, disputed: None });
                self.seen.last_mut().expect("pushed above")
            }
        };
        // The same frame again does not count twice.
        if seen.last != now || seen.count == 0 {
            seen.count = seen.count.saturating_add(1);
        }
        (seen.last, seen.corners) = (now, code.corners.clone());
        if disputed.is_some() {
            (seen.count, seen.disputed) = (0, disputed);
        }
    }

    fn is_believed(&self, code: &Code, now: Instant) -> bool {
        let needed = self.frames.saturating_add(u8::from(code.enhanced && self.frames > 1));
        self.seen.iter().any(|seen| {
            let is_disputed = seen.disputed.is_some_and(|at| now.saturating_duration_since(at) <= DISPUTE);
            seen.format == code.format && seen.text == code.text && seen.count >= needed && !is_disputed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::code_for_tests as code;

    fn ean(text: &str) -> Code {
        code(Format::Ean13, text)
    }

    fn at_place(text: &str, x: f32) -> Code {
        Code { corners: vec![(x, 0.0), (x + 100.0, 0.0), (x + 100.0, 50.0), (x, 50.0)], ..ean(text) }
    }

    fn texts(codes: Vec<Code>) -> Vec<String> {
        codes.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn two_frames_must_agree_on_an_ean() {
        let mut guard = Agreement::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(texts(guard.admit(vec![ean("a"), code(Format::Qr, "q"), ean("a")], at(0))), ["q"]);
        assert_eq!(texts(guard.admit(vec![ean("b")], at(100))), [""; 0]);
        assert_eq!(texts(guard.admit(vec![ean("a")], at(200))), ["a"]);
        assert_eq!(texts(guard.admit(vec![ean("a")], at(300))), ["a"], "believed as long as it stays");
        assert_eq!(texts(guard.admit(vec![ean("a"), ean("b")], at(1301))), [""; 0], "out of the window");
        let mut off = Agreement::new(1, Duration::from_secs(1));
        assert_eq!(texts(off.admit(vec![ean("a")], at(0))), ["a"]);
    }

    #[test]
    fn what_was_read_in_an_enhanced_picture_needs_a_third_frame() {
        let mut guard = Agreement::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let enhanced = || vec![Code { enhanced: true, ..ean("a") }];
        let got: Vec<_> =
            (0..3).map(|n| guard.admit(enhanced(), start + n * Duration::from_millis(40)).len()).collect();
        assert_eq!(got, [0, 0, 1]);
        assert_eq!(texts(guard.admit_still(enhanced())), [""; 0]);
        assert_eq!(texts(guard.admit_still(vec![ean("a")])), ["a"]);
    }

    #[test]
    fn two_texts_at_one_place_are_both_disbelieved() {
        let mut guard = Agreement::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // Alternately right and wrong, as a decoder reads one bad picture; another article lies beside it.
        for n in 0..20 {
            let text = if n % 3 == 0 { "wrong" } else { "right" };
            let got = texts(guard.admit(vec![at_place(text, 0.0), at_place("beside", 200.0)], at(40 * n)));
            assert!(got.iter().all(|t| t == "beside"), "{n}: {got:?}");
        }
        // Once it is clear, the code is believed.
        let got: Vec<_> = (20..40).flat_map(|n| texts(guard.admit(vec![at_place("right", 0.0)], at(40 * n)))).collect();
        assert!(got.contains(&"right".to_owned()));
        assert_eq!(texts(guard.admit_still(vec![at_place("a", 0.0), at_place("b", 5.0)])), [""; 0]);
    }
}
