//! The virtual printer: no bytes may panic it, and how they are split changes neither the paper nor
//! what is listed as not done.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tresen_printers::Profile;
use tresen_printers::escpos::sim::{Simulator, render};

fuzz_target!(|input: (u16, &[u8])| {
    use tresen_hal::sim::Device;
    let (at, bytes) = input;
    let profile = Profile::epson_tm_t88();
    let at = usize::from(at).min(bytes.len());
    let now = std::time::Instant::now();
    let print = |pieces: &[&[u8]]| {
        let mut printer = Simulator::new(profile.clone());
        // Clearing depends on when it arrives.
        printer.faults.no_clear = true;
        pieces.iter().for_each(|piece| printer.input(piece, now));
        (printer.roll(), printer.unsupported().to_vec(), printer.kicks().to_vec())
    };
    assert!(print(&[bytes]) == print(&[&bytes[..at], &bytes[at..]]));
    render(bytes, &profile);
});
