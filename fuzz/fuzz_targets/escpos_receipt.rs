//! A receipt from JSON: whatever reads back encodes, and no real-time command hides in its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_printers::{Profile, Receipt, escpos};

fuzz_target!(|json: &[u8]| {
    let Ok(receipt) = serde_json::from_slice::<Receipt>(json) else { return };
    for profile in [Profile::generic_58(), Profile::epson_tm_t88()] {
        let bytes = escpos::encode(&receipt, &profile);
        assert!(!bytes.windows(2).any(|w| matches!(w, [0x10, 0x04 | 0x05 | 0x14])));
    }
});
