//! ZVT messages: no bytes may panic framing, any decoder of a message's data, TLV or masking.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../payment/tests/decoders/zvt.rs"]
mod decoders;

fuzz_target!(|bytes: &[u8]| decoders::decode(bytes));
