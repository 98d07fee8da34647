//! A serial line: no characters may panic it or its redactor, and money is sent again after a NAK only.

use std::time::{Duration, Instant};

use tresen_hal::link::record::Direction;
use tresen_payment::zvt::serial::{Line, Timing, frame};
use tresen_payment::zvt::{Framed, redactor};

/// The frame of an APDU.
pub(crate) fn framed(apdu: &[u8]) -> Vec<u8> {
    frame::encode(apdu)
}

/// Lets a line hear the bytes while a payment is on its way, and lets time pass in between.
pub(crate) fn decode(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut line = Line::new(Timing::default());
    let payment = vec![0x06, 0x01, 0x0a, 0x04, 0, 0, 0, 0, 0x03, 0x50, 0x49, 0x09, 0x78];
    let money = frame::encode(&payment);
    line.send(payment, now);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let (mut sent, mut naks) = (0, 0);
    let mut shown = redactor(Framed::Serial(Timing::default()));
    let mut masked = 0;
    for (piece, silence) in [(first, 150), (second, 5_100)] {
        naks += piece.iter().filter(|byte| **byte == frame::NAK).count();
        line.handle_input(piece, now);
        masked += shown.feed(Direction::Received, piece).len();
        for _ in 0..2 {
            while let Some(piece) = line.poll_transmit() {
                sent += usize::from(piece == money);
            }
            while line.poll_event().is_some() {}
            now += Duration::from_millis(silence);
            line.handle_timeout(now);
        }
    }
    masked += shown.finish(Direction::Received).len();
    assert_eq!(masked, bytes.len());
    assert!(sent <= 1 + naks, "money was sent {sent} times after {naks} NAK");
}
