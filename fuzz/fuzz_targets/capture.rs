//! Captures: no text may panic the reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_hal::link::replay::Capture;

fuzz_target!(|text: &str| {
    if let Ok(capture) = Capture::parse(text) {
        assert!(capture.chunks.iter().all(|(_, bytes)| !bytes.is_empty()));
    }
});
