//! HID scanners: no descriptor and no reports may panic the decoder, and what it gives out is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_scanners::hid::{Decoder, Layout, MAX};
use tresen_scanners::wedge::KeyReport;

fuzz_target!(|input: (&[u8], Vec<Vec<u8>>)| {
    let (descriptor, reports) = input;
    let now = std::time::Instant::now();
    _ = KeyReport::from_descriptor(descriptor);
    let layouts = [
        Layout::from_descriptor(descriptor).ok(),
        Some(Layout::standard()),
        Some(Layout::zebra()),
        Some(Layout::newland()),
    ];
    for layout in layouts.into_iter().flatten() {
        let mut decoder = Decoder::new(layout);
        for report in &reports {
            decoder.feed(report, now);
            while let Some(code) = decoder.next_code() {
                assert!(!code.data.is_empty() && code.data.len() <= MAX);
            }
        }
    }
});
