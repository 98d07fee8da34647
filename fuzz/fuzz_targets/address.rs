//! Addresses: what parses prints as something that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_hal::Address;

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        let printed = address.to_string();
        assert_eq!(printed.parse::<Address>().expect("what we print parses"), address, "{printed}");
    }
});
