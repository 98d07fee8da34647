//! OPI messages: no bytes may panic framing, XML, messages or masking, and what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../payment/tests/decoders/opi.rs"]
mod decoders;

fuzz_target!(|bytes: &[u8]| decoders::decode(bytes));
