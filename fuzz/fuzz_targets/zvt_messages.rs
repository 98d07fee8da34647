//! ZVT messages: no bytes may panic framing, status information, TLV or masking.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_payment::zvt::commands::status_info::StatusInfo;
use tresen_payment::zvt::{Redactor, framing::Framing, tlv};

fuzz_target!(|bytes: &[u8]| {
    let mut framing = Framing::tcp();
    framing.feed(bytes);
    while let Ok(Some(apdu)) = framing.next_apdu() {
        let info = StatusInfo::parse(apdu.data);
        info.fields().for_each(drop);
        (info.minor(), info.currency(), info.masked_pan());
        tlv::tags(apdu.data).for_each(drop);
    }
    // However it is split, the masked stream has the length of the other.
    let mut redactor = Redactor::default();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut masked = redactor.feed(Direction::Received, first);
    masked.extend(redactor.feed(Direction::Received, second));
    masked.extend(redactor.finish(Direction::Received));
    assert_eq!(masked.len(), bytes.len());
});
