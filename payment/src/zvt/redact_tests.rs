use proptest::prelude::*;
use tresen_hal::link::record::{Direction, Redactor as _};

use super::super::wire;
use super::*;

const PAN: [u8; 11] = [0x22, 0xf0, 0xf8, 0x41, 0x11, 0x12, 0x34, 0x56, 0x78, 0x11, 0x11];

fn redacted(bytes: &[u8]) -> Vec<u8> {
    messages(bytes)
}

/// What passes in one direction in these chunks.
fn in_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut redactor = Redactor::default();
    let mut masked: Vec<u8> = chunks.into_iter().flat_map(|chunk| redactor.feed(Direction::Received, chunk)).collect();
    masked.extend(redactor.finish(Direction::Received));
    masked
}

fn apdu(class: u8, instr: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(&mut bytes, class, instr, |out| out.extend(data));
    bytes
}

fn message() -> Vec<u8> {
    let mut bytes = wire::ACK.to_vec();
    wire::encode(&mut bytes, 0x04, 0x0f, |out| {
        out.extend([0x27, 0x00]);
        out.extend(PAN);
        out.extend([0x23, 0xf0, 0xf3, 0x34, 0x56, 0x78, 0x06, 0x07, 0x5a, 0x02, 0x34, 0x56, 0x0a, 0x01, 0x07]);
    });
    bytes
}

#[test]
fn masks_card_number_track_and_chip_data() {
    let got = redacted(&message());
    assert_eq!(got.len(), message().len());
    assert_eq!(got[..14], message()[..14], "up to the issuer's number");
    assert_eq!(got[14..17], [MASK; 3]);
    assert_eq!(got[17..19], [0x11, 0x11]);
    assert_eq!(got[22..25], [MASK; 3], "track 2");
    assert_eq!(got[29..31], [MASK; 2], "tag 5A");
    assert_eq!(got[31..], [0x0a, 0x01, 0x07]);
}

#[test]
fn no_split_lets_a_digit_through() {
    let whole = message();
    for at in 0..whole.len() {
        let parts = in_chunks([&whole[..at], &whole[at..]]);
        assert_eq!(parts, redacted(&whole), "split at {at}");
        for secret in [[0x34, 0x56], [0x56, 0x78]] {
            assert!(!parts.windows(2).any(|w| w == secret), "split at {at}: {parts:02x?}");
        }
    }
}

#[test]
fn a_split_before_what_looks_like_a_header_lets_nothing_through() {
    // 4111 1184 3456 7811, cut before `84 34`, which would begin a refusal with 0x56 bytes; and other such pairs.
    for pair in [[0x84, 0x34], [0x80, 0x00], [0x05, 0x01], [0x06, 0x00], [0x06, 0x0f], [0x04, 0xff], [0x84, 0x11]] {
        let data = [&[0x27, 0x00, 0x22, 0xf0, 0xf8, 0x41, 0x11, 0x11][..], &pair, &[0x56, 0x78, 0x11]].concat();
        let whole = apdu(0x04, 0x0f, &data);
        let secret = 11..14;
        let masked = in_chunks([&whole[..11], &whole[11..]]);
        assert_eq!(masked.len(), whole.len());
        assert_eq!(masked[secret.clone()], [MASK; 3], "{pair:02x?}: {masked:02x?}");
    }
}

#[test]
fn a_stream_that_ends_or_breaks_inside_an_apdu_shows_nothing_of_it() {
    let whole = apdu(0x06, 0x01, &PAN);
    for end in 1..whole.len() {
        assert_eq!(in_chunks([&whole[..end]]), vec![MASK; end]);
    }
    // Once it is not ZVT, nothing tells where the next APDU begins.
    let broken = in_chunks([&b"HTTP"[..], &[0x80, 0x00, 0x00], &PAN]);
    assert_eq!(broken, vec![MASK; 4 + 3 + PAN.len()]);
    let mut redactor = Redactor::default();
    redactor.finish(Direction::Sent);
    assert_eq!(redactor.feed(Direction::Sent, &wire::ACK), [MASK; 3], "after the end");
    assert_eq!(redactor.feed(Direction::Received, &wire::ACK), wire::ACK, "the other direction goes on");
}

#[test]
fn masks_long_digit_runs_on_receipts() {
    let mut bytes = Vec::new();
    wire::encode(&mut bytes, 0x06, 0xd1, |out| out.extend(b"\x004111 1111 1111 1111  TA 60000001"));
    let got = redacted(&bytes);
    assert!(!got.windows(4).any(|w| w == b"4111" || w == b"1111"));
    assert!(got.ends_with(b"TA 60000001"));
}

#[test]
fn masks_a_card_number_that_runs_over_printed_lines() {
    let line = |text: &[u8]| apdu(0x06, 0xd1, &[&[0x00], text].concat());
    let stream = [line(b"Karte 4111 1111"), line(b"1111 1111 OK"), line(b"EUR 12,50")].concat();
    let got = redacted(&stream);
    assert!(!got.windows(4).any(|w| w == b"4111" || w == b"1111"), "{}", got.escape_ascii());
    assert!(got.ends_with(b"EUR 12,50"));
    // What may be a terminal's id stays; what follows from it does not.
    let got = redacted(&[line(b"41111234"), line(b"56781111")].concat());
    assert!(!got.windows(4).any(|w| w == b"5678" || w == b"8111"), "{}", got.escape_ascii());
    let fine = [line(b"Terminal-ID  60000001"), line(b"TA-Nr. 000123 BNr 0417"), line(b"21.11.2026 17:21")].concat();
    assert_eq!(redacted(&fine), fine);
}

#[test]
fn a_masked_block_keeps_its_lengths() {
    // `07 30`: a line of 48 characters, whose length is the digit 0, between digits of its neighbours.
    let text = [&[0x07, 0x0c][..], b"4111 1111 11", &[0x07, 0x30], &b"11 1111".repeat(7)[..48], &[0x09, 0x01, 0x81]];
    let lines = text.concat();
    let data = [&[0x06, 0x81, lines.len() as u8 + 6, 0x1f, 0x07, 0x01, 0x02, 0x25, lines.len() as u8][..], &lines];
    let block = apdu(0x06, 0xd3, &data.concat());
    let masked = redacted(&block);
    let texts = |bytes: &[u8]| {
        let block = super::super::commands::print::Block::parse(&bytes[3..]);
        block.lines(super::super::text::Charset::Cp437).map(|line| line.len()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&masked), [12, 48], "{masked:02x?}");
    assert_eq!(texts(&masked), texts(&block));
    assert!(
        !masked[12..].iter().any(u8::is_ascii_digit) || masked[12..].windows(2).all(|w| w != b"11"),
        "{masked:02x?}"
    );
}

#[test]
fn a_password_is_in_no_command() {
    const PASSWORD: [u8; 3] = [0x12, 0x34, 0x56];
    // Field capture of a registration: 06 00 10 123456 BE 0978 03 01 06 06 26 04 0A 02 06 D3.
    let registration = [0x12, 0x34, 0x56, 0xbe, 0x09, 0x78, 0x03, 0x01, 0x06, 0x06, 0x26, 0x04, 0x0a, 0x02, 0x06, 0xd3];
    let masked = redacted(&apdu(0x06, 0x00, &registration));
    assert_eq!(masked[3..6], [0; 3]);
    assert_eq!(masked[6..], registration[3..], "and the rest is as it was");
    for (class, instr) in [
        (0x05, 0x01),
        (0x06, 0x00),
        (0x06, 0x0c),
        (0x06, 0x10),
        (0x06, 0x12),
        (0x06, 0x1b),
        (0x06, 0x20),
        (0x06, 0x23),
        (0x06, 0x24),
        (0x06, 0x25),
        (0x06, 0x30),
        (0x06, 0x31),
        (0x06, 0x50),
        (0x06, 0x93),
    ] {
        for rest in [&[][..], &[0x03, 0x03], &[0x87, 0x04, 0x17, 0x04, 0, 0, 0, 0, 0x12, 0]] {
            let masked = redacted(&apdu(class, instr, &[&PASSWORD, rest].concat()));
            assert!(!masked.windows(2).any(|w| w == [0x12, 0x34] || w == [0x34, 0x56]), "{masked:02x?}");
        }
    }
    let field = redacted(&apdu(0x06, 0x01, &[0x3d, 0x12, 0x34, 0x56, 0x49, 0x09, 0x78]));
    assert_eq!(field[3..], [0x3d, 0, 0, 0, 0x49, 0x09, 0x78], "BMP 3D");
    // 06 23 without a password: the open reservation 0417.
    let open = apdu(0x06, 0x23, &[0x87, 0x04, 0x17]);
    assert_eq!(redacted(&open), open);
}

#[test]
fn masks_every_field_and_tag_that_tells_of_the_card_or_its_holder() {
    let fields: &[&[u8]] = &[
        &[0x0e, 0x28, 0x12],
        &[0x23, 0xf0, 0xf3, 0x41, 0x11, 0x1d],
        &[0x24, 0xf0, 0xf0, 0xf3, 0x41, 0x11, 0x1d],
        &[0x2d, 0xf0, 0xf3, b'B', b'4', b'1'],
        &[0x3a, 0x01, 0x23],
        &[0xd1, 0xf0, 0xf2, 0x12, 0x34],
        &[0xa7, 0xf0, 0xf2, 0x12, 0x34],
    ];
    for field in fields {
        let header = field.len() - bmp::fields(field).next().expect("a field").data.len();
        let masked = redacted(&apdu(0x04, 0x0f, &[&[0x27, 0x00], *field, &[0x87, 0x04, 0x17]].concat()));
        assert_eq!(masked[3 + 2..3 + 2 + header], field[..header]);
        assert!(masked[5 + header..5 + field.len()].iter().all(|b| *b == MASK), "{masked:02x?}");
        assert!(masked.ends_with(&[0x87, 0x04, 0x17]));
    }
    let tags: &[&[u8]] = &[
        &[0x5a],
        &[0x57],
        &[0x56],
        &[0x4c],
        &[0x9f, 0x6b],
        &[0x5f, 0x20],
        &[0x5f, 0x24],
        &[0x1f, 0x45],
        &[0x9f, 0x0b],
        &[0xdf, 0x01],
        // Tracks, a card number to be compared, a prepaid PIN, an IBAN.
        &[0x1f, 0x08],
        &[0x1f, 0x09],
        &[0x1f, 0x0a],
        &[0x1f, 0x1a],
        &[0x1f, 0x5e],
        &[0x80],
        &[0x1f, 0x80, 0x7f],
    ];
    for tag in tags {
        let one = [*tag, &[0x03, b'M', b'A', b'X']].concat();
        // By itself, and in an application's container 60.
        for inner in [one.clone(), [&[0x60, one.len() as u8], &one[..]].concat()] {
            let container = [&[0x06, inner.len() as u8], &inner[..]].concat();
            let masked = redacted(&apdu(0x04, 0x0f, &container));
            assert!(masked.ends_with(&[&one[..tag.len() + 1], &[MASK; 3]].concat()), "{tag:02x?}: {masked:02x?}");
        }
    }
}

#[test]
fn what_is_not_known_is_masked() {
    let unknown = redacted(&apdu(0x04, 0x0f, &[0x27, 0x00, 0x77, 0x41, 0x11]));
    assert_eq!(unknown[3..], [0x27, 0x00, MASK, MASK, MASK]);
    for (class, instr) in [(0x04, 0x0d), (0x06, 0xc1), (0x08, 0x14), (0x0f, 0xa1)] {
        assert_eq!(redacted(&apdu(class, instr, &[1, 2, 3]))[3..], [MASK; 3]);
    }
}

#[test]
fn what_tells_nothing_stays_readable() {
    let enquiry = [0xf0, 0xf0, 0xf3, b'1', b'.', b'2', 0x9c, 0x06, 0x03, 0x14, 0x01, 0xfe];
    let registered = [0x19, 0x02, 0x29, 0x60, 0, 0, 0x01, 0x49, 0x09, 0x78, 0x06, 0x03, 0x14, 0x01, 0xfe];
    // Field captures: a refusal with its reason, an approval of EUR 25.00, no open reservation.
    let approved = [0x27, 0, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 9, 0x78, 0x0c, 0x22, 0x55, 0x58, 0x0d, 0x04, 0x05];
    for bytes in [
        apdu(0x84, 0x1e, &[0x7d]),
        apdu(0x04, 0x0f, &approved),
        apdu(0x06, 0x1e, &[0xb8, 0x87, 0xff, 0xff]),
        apdu(0x06, 0x1e, &[0x6c]),
        apdu(0x06, 0x0f, &enquiry),
        apdu(0x06, 0x0f, &registered),
        apdu(0x06, 0x0f, &[0x9c]),
        apdu(0x06, 0x0f, &[]),
        apdu(0x04, 0xff, &[0x0a, 0x02, 0x06, 0x07, 0x24, 0x05, 0x07, 0x03, b'H', b'e', b'y']),
    ] {
        assert_eq!(redacted(&bytes), bytes, "{bytes:02x?}");
    }
}

/// A message in pieces, and which of them are secret.
fn conversation(pan: &str) -> Vec<(Vec<u8>, bool)> {
    let packed: Vec<u8> = pan.as_bytes().chunks(2).map(|two| two.iter().fold(0, |n, d| n << 4 | (d - b'0'))).collect();
    let open = |bytes: &[u8]| (bytes.to_vec(), false);
    let secret = |bytes: &[u8]| (bytes.to_vec(), true);
    let ll = |n: usize| [0xf0 | (n / 10) as u8, 0xf0 | (n % 10) as u8];
    let n = packed.len();
    let field = vec![
        open(&[&[0x27, 0x00, 0x22], &ll(n)[..], &packed[..3]].concat()),
        secret(&packed[3..n - 2]),
        open(&packed[n - 2..]),
        open(&[&[0x23], &ll(n)[..]].concat()),
        secret(&packed),
        open(&[0x06, 2 * (n as u8 + 3) - 1, 0x5a, n as u8]),
        secret(&packed),
        open(&[0x9f, 0x6b, n as u8]),
        secret(&packed),
    ];
    let text = |class: u8, instr: u8, head: &[u8], tail: &[u8]| {
        let length = head.len() + pan.len() + tail.len();
        vec![open(&[&[class, instr, length as u8], head].concat()), secret(pan.as_bytes()), open(tail)]
    };
    let body: usize = field.iter().map(|(bytes, _)| bytes.len()).sum();
    let mut all = vec![open(&wire::ACK), open(&[0x04, 0x0f, body as u8])];
    all.extend(field);
    all.extend(text(0x06, 0xd1, b"\0Karte ", b""));
    all.extend(text(0x06, 0xd1, b"\0", b" ok"));
    let p = pan.len() as u8;
    all.extend(text(0x06, 0xd3, &[0x06, p + 8, 0x25, p + 2, 0x07, p], &[0x1f, 0x07, 0x01, 0x02]));
    all.extend(text(0x04, 0x0f, &[&[0x27, 0x6c, 0x3c, 0xf0], &ll(pan.len())[..]].concat(), &[]));
    all.push(open(&[0x06, 0x0f, 0x00]));
    all
}

fn shape(bytes: &[u8]) -> Vec<(u16, usize, Vec<u8>)> {
    let mut framing = Framing::tcp();
    framing.feed(bytes);
    let mut shape = Vec::new();
    while let Some(apdu) = framing.next_apdu().expect("ZVT") {
        shape.push((apdu.code(), apdu.data.len(), bmp::fields(apdu.data).map(|f| f.id).collect()));
    }
    assert_eq!(framing.pending(), 0);
    shape
}

proptest! {
    #[test]
    fn no_card_number_passes_however_the_stream_is_split(
        pan in "[3-6][0-9]{15}([0-9]{2})?",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let pieces = conversation(&pan);
        let whole: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let secret: Vec<bool> = pieces.iter().flat_map(|(bytes, secret)| vec![*secret; bytes.len()]).collect();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).chain([0, whole.len()]).collect();
        ends.sort_unstable();
        let masked = in_chunks(ends.windows(2).map(|w| &whole[w[0]..w[1]]));
        prop_assert_eq!(masked.len(), whole.len());
        for (at, byte) in masked.iter().enumerate() {
            if secret[at] {
                prop_assert!([MASK, b'*'].contains(byte), "byte {} of {:02x?}", at, masked);
            } else {
                prop_assert_eq!(*byte, whole[at], "byte {}", at);
            }
        }
        prop_assert_eq!(shape(&masked), shape(&whole));
    }

    #[test]
    fn every_single_split_masks_the_same(pan in "[3-6][0-9]{15}") {
        let whole: Vec<u8> = conversation(&pan).into_iter().flat_map(|(bytes, _)| bytes).collect();
        let once = redacted(&whole);
        for at in 0..whole.len() {
            prop_assert_eq!(&in_chunks([&whole[..at], &whole[at..]]), &once);
        }
    }

    #[test]
    fn no_bytes_panic_and_the_length_stays(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(bytes.len() + 1);
        prop_assert_eq!(in_chunks([&bytes[..at], &bytes[at..]]).len(), bytes.len());
    }
}

/// The frames of a line as a redactor leaves them, in chunks of this size.
fn on_line(stream: &[u8], size: usize) -> Vec<u8> {
    let mut redactor = crate::zvt::redactor(Framed::Serial(crate::zvt::serial::Timing::default()));
    let mut masked: Vec<u8> = stream.chunks(size).flat_map(|c| redactor.feed(Direction::Received, c)).collect();
    masked.extend(redactor.finish(Direction::Received));
    masked
}

fn items(bytes: &[u8]) -> Vec<Item> {
    let mut decoder = Decoder::default();
    bytes.iter().filter_map(|byte| decoder.feed(*byte)).collect()
}

#[test]
fn a_frame_of_a_line_is_masked_and_still_a_frame() {
    // A card number with DLE, STX, ETX and ACK in it.
    let pan = [0x22, 0xf0, 0xf8, 0x41, 0x11, 0x12, 0x10, 0x02, 0x10, 0x03, 0x06];
    let status = apdu(0x04, 0x0f, &[&[0x27, 0x00][..], &pan, &[0x87, 0x10, 0x10]].concat());
    let stream = [&[frame::ACK][..], &frame::encode(&status), &[frame::NAK], &frame::encode(&wire::ACK)].concat();
    let masked = on_line(&stream, stream.len());
    assert_eq!(masked.len(), stream.len(), "a capture has the length of the stream");
    let Some(Item::Frame(shown)) = items(&masked).into_iter().nth(1) else { panic!("{masked:02x?}") };
    assert_eq!(shown, messages(&status), "the checksum is the masked one's");
    assert!(shown.ends_with(&[0x87, 0x10, 0x10]) && !shown.windows(2).any(|w| w == [0x10, 0x02]));
    assert_eq!(items(&masked).len(), 4);
    for size in 1..stream.len() {
        assert_eq!(on_line(&stream, size), masked, "{size}");
    }
}

#[test]
fn a_password_on_a_line_is_masked() {
    // As `ecrterm` has it in its tests: password 123456.
    let registration = [0x10, 0x02, 0x06, 0x00, 0x06, 0x12, 0x34, 0x56, 0xba, 0x09, 0x78, 0x10, 0x03, 0x24, 0xc3];
    let masked = on_line(&registration, 4);
    assert_eq!(items(&masked), [Item::Frame(vec![0x06, 0x00, 0x06, 0, 0, 0, 0xba, 0x09, 0x78])]);
    assert_ne!(masked[13..], registration[13..], "the checksum of the password is gone, too");
}

#[test]
fn nothing_of_a_frame_that_cannot_be_read_is_shown() {
    let status = frame::encode(&apdu(0x04, 0x0f, &PAN));
    let mut broken = status.clone();
    broken[9] ^= 0x01;
    assert_eq!(on_line(&broken, 5), vec![MASK; broken.len()]);
    for end in 1..status.len() {
        assert_eq!(on_line(&status[..end], 3), vec![MASK; end], "{end}");
    }
    // What stands before a frame may be the rest of another one.
    let noisy = [&[0x41, 0x11, frame::ACK, 0x12][..], &frame::encode(&wire::ACK)].concat();
    assert_eq!(on_line(&noisy, 2), [&[MASK; 4][..], &frame::encode(&wire::ACK)].concat());
}

proptest! {
    #[test]
    fn no_digit_of_a_card_passes_a_line(number in prop::collection::vec(any::<u8>(), 8..10), size in 1_usize..9,
        noise in prop::collection::vec(any::<u8>(), 0..6)) {
        let mut field = vec![0x23, 0xf0, 0xf0 | number.len() as u8];
        field.extend(&number);
        let stream = [&noise[..], &frame::encode(&apdu(0x04, 0x0f, &field)), &frame::encode(&wire::ACK)].concat();
        let masked = on_line(&stream, size);
        prop_assert_eq!(masked.len(), stream.len());
        let plain = number.windows(3).filter(|w| w.iter().all(|b| *b != MASK && *b != frame::DLE));
        for digits in plain {
            let framed = frame::encode(&apdu(0x04, 0x0f, &vec![MASK; field.len()]));
            let inside = masked.windows(3).any(|w| w == digits) && !framed.windows(3).any(|w| w == digits);
            // Three bytes of a header or an end may stand in the number by chance.
            let ends = frame::encode(&wire::ACK);
            prop_assert!(!inside || ends.windows(3).any(|w| w == digits) || digits.contains(&0x04), "{:02x?}", masked);
        }
    }
}
