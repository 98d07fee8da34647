//! ZVT messages: no bytes may panic framing, status information, TLV or masking.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_hal::link::record::Direction;
use tresen_payment::zvt::commands::status_info::StatusInfo;
use tresen_payment::zvt::{redact, tlv, wire::Decoder};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    while let Ok(Some(apdu)) = decoder.next_apdu() {
        let info = StatusInfo::parse(apdu.data);
        info.fields().for_each(drop);
        (info.minor(), info.currency(), info.masked_pan());
        tlv::tags(apdu.data).for_each(drop);
    }
    let mut masked = bytes.to_vec();
    redact(Direction::Received, &mut masked);
    assert_eq!(masked.len(), bytes.len());
});
