//! A serial line: no characters may panic it, and money is sent again after a NAK only.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tresen_hal::link::record::Direction;
use tresen_payment::zvt::serial::{Line, Timing, frame};
use tresen_payment::zvt::{Framed, redactor};

fuzz_target!(|chunks: Vec<(u8, Vec<u8>)>| {
    let mut now = Instant::now();
    let mut line = Line::new(Timing::default());
    let payment = vec![0x06, 0x01, 0x0a, 0x04, 0, 0, 0, 0, 0x03, 0x50, 0x49, 0x09, 0x78];
    let framed = frame::encode(&payment);
    line.send(payment, now);
    let (mut sent, mut naks) = (0, 0);
    let mut shown = redactor(Framed::Serial(Timing::default()));
    for (what, bytes) in &chunks {
        match what % 4 {
            0 => {
                now += Duration::from_millis(u64::from(*what) * 50);
                line.handle_timeout(now);
            }
            1 => line.send(bytes.clone(), now),
            _ => {
                naks += bytes.iter().filter(|byte| **byte == frame::NAK).count();
                line.handle_input(bytes, now);
                let mut masked = shown.feed(Direction::Received, bytes).len();
                masked += shown.finish(Direction::Received).len();
                assert_eq!(masked, bytes.len());
                shown = redactor(Framed::Serial(Timing::default()));
            }
        }
        while let Some(piece) = line.poll_transmit() {
            sent += usize::from(piece == framed && what % 4 != 1);
        }
        while line.poll_event().is_some() {}
    }
    assert!(sent <= 1 + naks);
});
