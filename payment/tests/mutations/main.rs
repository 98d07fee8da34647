//! Messages of captures and documentation, damaged in a few places: no decoder, session or simulator may panic.
//!
//! `TRESEN_INPUTS=10000000 cargo test --release -p tresen-payment --test mutations` tries as many for each protocol; the
//! seed makes each run the same.

mod damage;

#[path = "../decoders/mod.rs"]
mod decoders;

use damage::{lines, mutate};
use decoders::{nexo, opi, paytec, zvt, zvt_serial};

fn captures() -> Vec<Vec<u8>> {
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    let message = |line: &str| {
        let hex = line.split_once(' ').expect("a number and hex digits").1;
        (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect()
    };
    lines(include_str!("../../testdata/zvt/captures.txt")).map(message).collect()
}

/// Messages in text, one a line.
fn texts(file: &'static str) -> Vec<Vec<u8>> {
    lines(file).map(|line| line.as_bytes().to_vec()).collect()
}

/// Lengths, ids of bitmaps and tags, classes.
const SPECIAL: [u8; 24] = [
    0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x0f, 0x1f, 0x22, 0x24, 0x25, 0x27, 0x32, 0x60, 0x7f, 0x80, 0x81, 0x82, 0x83,
    0x84, 0xf0, 0xf9, 0xfe, 0xff,
];

#[test]
fn messages_of_zvt() {
    mutate("zvt", &captures(), &SPECIAL, zvt::decode);
}

/// The captured messages in frames, with the characters that control the line.
#[test]
fn frames_of_zvt_on_a_serial_line() {
    let mut frames: Vec<_> = captures().iter().map(|apdu| zvt_serial::framed(apdu)).collect();
    frames.extend([vec![0x06], vec![0x15], vec![0x10, 0x02, 0x80, 0x00, 0x00, 0x10, 0x03, 0xf5, 0x1f]]);
    let control = [0x02, 0x03, 0x06, 0x10, 0x15, 0x00, 0x80, 0x84, 0xff];
    mutate("zvt, serial", &frames, &control, zvt_serial::decode);
}

#[test]
fn messages_of_opi() {
    let marks = b"<>&;\"'/=!?-[] :.0123456789\x00\xc3\xa4\xff";
    mutate("opi", &texts(include_str!("../../testdata/opi/messages.txt")), marks, opi::decode);
}

#[test]
fn messages_of_nexo() {
    let marks = b"{}[]\",:.-+eE0123456789\\ntu%&=\r\n\x00\xc3\xa4\xff";
    mutate("nexo", &texts(include_str!("../../testdata/nexo/messages.txt")), marks, nexo::decode);
}

#[test]
fn messages_of_paytec() {
    let marks = b"{}[]\",:.-0123456789\\\n\x02\x03\x06\x10\x15\xff";
    mutate("paytec", &texts(include_str!("../../testdata/paytec/messages.txt")), marks, paytec::decode);
}
