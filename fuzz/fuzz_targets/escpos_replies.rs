//! What a printer says: no bytes may panic the decoder or make it hold more than a block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_printers::escpos::status::Decoder;

fuzz_target!(|chunks: Vec<Vec<u8>>| {
    let mut decoder = Decoder::default();
    for chunk in &chunks {
        decoder.feed(chunk);
        while decoder.next_reply().is_some() {}
        assert!(decoder.held() <= 128);
    }
});
