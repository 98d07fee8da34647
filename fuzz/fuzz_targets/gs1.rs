//! GS1 element strings and in-store labels: no bytes may panic their readers.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tresen_scanners::instore::Templates;
use tresen_scanners::{AimId, Scan};

fuzz_target!(|input: (&str, &[u8])| {
    let (aim, bytes) = input;
    let templates = Templates::from(vec!["28PPPPXWWWWWC".parse().expect("a template")]);
    let scan = match aim.parse::<AimId>() {
        Ok(aim) => Scan::reported(aim, bytes, Timestamp::UNIX_EPOCH),
        Err(_) => Scan::plain(bytes, Timestamp::UNIX_EPOCH),
    };
    scan.code(&templates).ok();
});
