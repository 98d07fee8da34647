//! The virtual printer: what it prints, what it says, and that nothing breaks it.

use std::time::Instant;

use proptest::prelude::*;
use tresen_hal::sim::{Action, Device};
use tresen_printers::document::{Dither, Image, Receipt};
use tresen_printers::escpos::sim::{Faults, Sheet, Simulator, render};
use tresen_printers::{DrawerPin, Profile, escpos};

const PYTHON_ESCPOS: &[u8] = include_bytes!("../testdata/python-escpos-3.1-tm-t88v.bin");

fn printer() -> Simulator {
    Simulator::new(Profile::epson_tm_t88())
}

fn input(printer: &mut Simulator, bytes: &[u8]) -> Vec<u8> {
    printer.input(bytes, Instant::now());
    std::iter::from_fn(|| printer.next_action())
        .flat_map(|action| match action {
            Action::Send(bytes) => bytes,
            Action::HangUp => b"<hung up>".to_vec(),
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    render(bytes, &Profile::epson_tm_t88()).roll().text().to_owned()
}

#[test]
fn another_encoders_receipt_prints() {
    let printed = render(PYTHON_ESCPOS, &Profile::epson_tm_t88());
    assert_eq!(printed.unsupported, []);
    assert_eq!((printed.sheets.len(), printed.kicks.len()), (2, 1));
    assert_eq!(printed.kicks[0].pin, DrawerPin::Two);
    assert_eq!(printed.sheets[1].text().trim(), "second sheet");
    let sheet = &printed.sheets[0];
    for part in ["C a f é   G r ö ß e   €", "2 Flat white    7,60", "inverted", "[image 64]", "[QR python-escpos QR]"]
    {
        assert!(sheet.text().contains(part), "{part} in\n{}", sheet.text());
    }
    // Raster, graphics and column mode print the same board, one below the other.
    let dots = sheet.dots();
    let board =
        |top: u32| (0..3 * 48).all(|y| (0..64).all(|x| dots.is_black(x, top + y) == ((x / 8 + y / 8) % 2 == 0)));
    assert_eq!((0..dots.height()).filter(|&top| board(top)).count(), 1);
}

#[test]
fn it_does_not_matter_how_the_bytes_are_split() {
    let whole = {
        let mut printer = printer();
        input(&mut printer, PYTHON_ESCPOS);
        (printer.roll(), printer.kicks().to_vec())
    };
    for at in (0..PYTHON_ESCPOS.len()).step_by(7) {
        let mut printer = printer();
        input(&mut printer, &PYTHON_ESCPOS[..at]);
        input(&mut printer, &PYTHON_ESCPOS[at..]);
        assert_eq!((printer.roll(), printer.kicks().to_vec()), whole, "split at {at}");
    }
    let mut printer = printer();
    PYTHON_ESCPOS.iter().for_each(|b| _ = input(&mut printer, &[*b]));
    assert_eq!((printer.roll(), printer.kicks().to_vec()), whole, "byte by byte");
}

/// Epson: HT goes to every eighth column, ESC D sets others, ESC $ is in dots here (180 dpi), ESC a
/// moves whole lines, GS ! 0x10 doubles the width, ESC M 1 is font B (9 dots wide).
#[test]
fn moves_as_the_manual_says() {
    assert_eq!(text(b"a\tb\n"), "a       b\n");
    assert_eq!(text(b"\x1bD\x04\x0a\x00a\tb\tc\n"), "a   b     c\n");
    assert_eq!(text(b"a\x1b$\x78\x00b\n"), "a         b\n");
    assert_eq!(text(b"\x1ba\x02right\n"), format!("{:>42}\n", "right"));
    assert_eq!(text(b"\x1d!\x10AB\n"), "A B\n");
    assert_eq!(text(&[b'x'; 50]), format!("{}\n{}\n", "x".repeat(42), "x".repeat(8)));
    assert_eq!(text(b"a\x1bd\x03b\n"), "a\n\n\nb\n");
    assert_eq!(text(b"\x1bM\x01abc\n"), "abc\n");
    assert_eq!(text(b"\x1bt\x02\x84\x1bt\x13\xd5\n"), "ä€\n");
}

/// Font A is 24 dots high on lines of 30; ESC 3 changes that, ESC J feeds dots, and what is higher
/// than the line makes it higher.
#[test]
fn feeds_as_the_manual_says() {
    let height = |bytes: &[u8]| render(bytes, &Profile::epson_tm_t88()).roll().dots().height();
    assert_eq!(height(b"a\n"), 30);
    assert_eq!(height(b"\x1b3\x28a\n\n"), 80);
    assert_eq!(height(b"\x1b3\x28\x1b2a\n"), 30);
    assert_eq!(height(b"a\x1bJ\x64"), 100);
    assert_eq!(height(b"\x1d!\x03a\n"), 96);
    assert_eq!(height(b"\x1bd\x02"), 60);
}

#[test]
fn keeps_what_it_does_not_know_and_prints_on() {
    let printed = render(b"ab\x1b\x7fcd\x1d(Z\x02\x00xyef\n", &Profile::generic_80());
    assert_eq!(printed.roll().text(), "abcdef\n");
    let unknown: Vec<_> = printed.unsupported.iter().map(|u| (u.offset, &u.bytes[..])).collect();
    assert_eq!(unknown, [(2, &b"\x1b\x7f"[..]), (6, &b"\x1d(Z\x02\x00xy"[..])]);
}

/// Epson: DLE EOT 1–4 answer `0xx1xx10`, GS r 1 `0`, GS I `5F … 00`, GS ( H `37 22 id 00`, GS a at
/// once with the status; ESC @ ends automatic status.
#[test]
fn answers_as_the_manual_says() {
    let mut p = printer();
    assert_eq!(input(&mut p, b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04"), [0x12; 4]);
    assert_eq!(input(&mut p, b"\x1dr\x01"), [0]);
    assert_eq!(input(&mut p, b"\x1dIC"), b"_TM-T88\0");
    assert_eq!(input(&mut p, b"x\n\x1d(H\x06\x00\x30\x30Ab12"), b"\x37\x22Ab12\0");
    assert_eq!(input(&mut p, b"\x1da\x0f"), [0x10, 0, 0, 0]);
    p.cover(true);
    assert_eq!(input(&mut p, b""), [0x38, 0, 0, 0]);
    assert_eq!(input(&mut p, b"\x10\x04\x01\x10\x04\x02"), [0x1a, 0x16]);
    p.cover(false);
    assert_eq!(input(&mut p, b"\x1b@"), [0x10, 0, 0, 0]);
    p.near_end(true);
    assert_eq!(input(&mut p, b"\x10\x04\x04"), [0x1e], "and no automatic status any more");
}

/// The hazard that our safety scan is for.
#[test]
fn a_real_time_command_inside_an_image_is_executed() {
    let mut p = printer();
    assert_eq!(input(&mut p, b"\x1dv0\x00\x03\x00\x01\x00\x10\x04\x01"), [0x12]);
    assert_eq!(p.unsupported(), []);
    let hazard = [0x10, 0x04, 0x01, 0x10, 0x05, 0x02, 0x10, 0x14, 0x08];
    let pixels = hazard.iter().flat_map(|b| (0..8).map(move |i| if b & (0x80 >> i) != 0 { 0 } else { 255 })).collect();
    let image = Image::grey(72, 1, pixels).expect("72 pixels").dither(Dither::Threshold);
    let bytes = escpos::encode(&Receipt::new().image(image), &Profile::epson_tm_t88());
    assert_eq!(input(&mut p, &bytes), b"", "ours says nothing by accident");
}

#[test]
fn stops_reading_without_paper_and_goes_on_with_a_new_roll() {
    let mut p = printer();
    p.faults.paper_out_after_lines = Some(2);
    assert_eq!(input(&mut p, b"\x1da\x0f"), [0x10, 0, 0, 0]);
    assert_eq!(input(&mut p, b"1\n2\n3\n4\n"), [0x18, 0, 0x0f, 0]);
    assert_eq!(p.uncut().text(), "1\n2\n");
    assert!(p.is_ready(), "its buffer has room");
    input(&mut p, &[b'x'; 5000]);
    assert!(!p.is_ready());
    p.load_paper();
    assert!(p.is_ready());
    assert_eq!(input(&mut p, b""), [0x10, 0, 0, 0]);
    assert!(p.uncut().text().starts_with("1\n2\n3\n4\nxxx"));
}

#[test]
fn misbehaves_on_request() {
    let mut p = printer();
    p.faults.hang_up_after_bytes = Some(3);
    p.connected(Instant::now());
    assert_eq!(input(&mut p, b"ab"), b"");
    assert_eq!(input(&mut p, b"cd"), b"<hung up>");
    assert_eq!(p.raw(), b"abc");
    let mut faults = Faults::default();
    (faults.mute, faults.no_process_id) = (true, true);
    let mut p = printer().with_faults(faults);
    assert_eq!(input(&mut p, b"\x10\x04\x01\x1dr\x01\x1d(H\x06\x00\x30\x30abcd"), b"");
}

/// PNG: IHDR at byte 16; paper is as wide as the print and its margins.
#[test]
fn paper_becomes_a_picture() {
    let png = render(b"Hello\n", &Profile::epson_tm_t88()).roll().to_png();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(u32::from_be_bytes(png[16..20].try_into().expect("four")), 512 + 64);
    assert_eq!(u32::from_be_bytes(png[20..24].try_into().expect("four")), 30 + 64);
    let back = Image::png(&png).expect("a PNG");
    assert!(back.pixels().iter().filter(|&&p| p == 0).count() > 100);
    assert!(!Sheet::default().to_png().is_empty());
}

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let lead = prop::sample::select(vec![0x1bu8, 0x1d, 0x1c, 0x10]);
    let part = prop_oneof![
        (lead, prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(l, rest)| [vec![l], rest].concat()),
        prop::collection::vec(any::<u8>(), 0..30),
        Just(b"\x1d(k\x08\x00\x31\x50\x30hello\x1d(k\x03\x00\x31\x51\x30".to_vec()),
        Just(b"\x1dkI\x04{B12".to_vec()),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn no_bytes_break_it(bytes in commands(), at in any::<prop::sample::Index>()) {
        let at = at.index(bytes.len() + 1);
        let mut p = printer();
        input(&mut p, &bytes[..at]);
        p.remove_paper();
        input(&mut p, &bytes[at..]);
        p.load_paper();
        input(&mut p, b"\n");
        p.roll();
        render(&bytes, &Profile::generic_58());
    }
}
