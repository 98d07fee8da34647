//! Lines of serial scanners: no bytes may panic the decoder, and how they are split changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_scanners::serial::{Decoder, Framing};

fuzz_target!(|input: (u16, &[u8])| {
    let (at, bytes) = input;
    let at = usize::from(at).min(bytes.len());
    let now = std::time::Instant::now();
    let lines = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::new(Framing::default());
        pieces.iter().for_each(|piece| decoder.feed(piece, now));
        std::iter::from_fn(|| decoder.next_line()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[bytes]), lines(&[&bytes[..at], &bytes[at..]]));
});
