//! The simulated terminal: no till may panic it, nor make it store what it did not authorise.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use tresen_hal::sim::Device;
use tresen_payment::zvt::sim::{Profile, Simulator};

fuzz_target!(|chunks: Vec<Vec<u8>>| {
    let now = Instant::now();
    let mut terminal = Simulator::new(Profile::default());
    terminal.connected(now);
    for chunk in &chunks {
        terminal.input(chunk, now);
        for _ in 0..1000 {
            if terminal.next_action().is_none() {
                break;
            }
        }
        if let Some(at) = terminal.deadline() {
            terminal.timeout(at);
        }
    }
    terminal.disconnected(now);
    assert!(terminal.ledger().stored().count() <= terminal.ledger().entries().len());
});
