//! Scanners in keyboard mode: no bytes may panic the decoder, and how events are split changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_scanners::serial::Framing;
use tresen_scanners::wedge::{Decoder, KeyReport, Layout, Source};

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (at, layout, bytes) = input;
    let at = usize::from(at).min(bytes.len());
    let layout = Layout::ALL[usize::from(layout) % Layout::ALL.len()];
    let now = std::time::Instant::now();
    let lines = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::new(Source::Evdev, layout, Framing::default());
        pieces.iter().for_each(|piece| decoder.feed(piece, now));
        std::iter::from_fn(|| decoder.next_line()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[bytes]), lines(&[&bytes[..at], &bytes[at..]]));
    let mut decoder = Decoder::new(Source::Reports(KeyReport::BOOT), layout, Framing::default());
    decoder.feed(bytes, now);
});
