//! Other people's streams on virtual paper: what a printer does with them, and that whatever the
//! virtual one does not do is listed with its place and its name. Bytes as Epson's command reference
//! has them.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tresen_hal::Known;
use tresen_hal::sim::{Action, Device};
use tresen_printers::document::{Barcode, Qr, Receipt};
use tresen_printers::escpos::sim::{Rendered, Simulator, Unsupported, render};
use tresen_printers::{Profile, escpos};

fn paper(bytes: &[u8]) -> Rendered {
    render(bytes, &Profile::epson_tm_t88())
}

fn text(bytes: &[u8]) -> String {
    let printed = paper(bytes);
    assert_eq!(printed.unsupported, [], "{bytes:x?}");
    printed.roll().text().to_owned()
}

/// Offset and name of all that is listed.
fn listed(bytes: &[u8]) -> Vec<(u64, String)> {
    paper(bytes).unsupported.into_iter().map(|u| (u.offset, u.name.into_owned())).collect()
}

fn said(printer: &mut Simulator) -> Vec<u8> {
    std::iter::from_fn(|| printer.next_action())
        .flat_map(|action| match action {
            Action::Send(bytes) => bytes,
            Action::HangUp => b"<hung up>".to_vec(),
        })
        .collect()
}

fn input(printer: &mut Simulator, bytes: &[u8]) -> Vec<u8> {
    printer.input(bytes, Instant::now());
    said(printer)
}

/// What `bytes` come to in one piece, and byte by byte.
fn however_split(bytes: &[u8]) -> String {
    let print = |pieces: Vec<&[u8]>| {
        let mut printer = Simulator::new(Profile::epson_tm_t88());
        pieces.into_iter().for_each(|piece| _ = input(&mut printer, piece));
        (printer.roll().text().to_owned(), printer.unsupported().to_vec())
    };
    let whole = print(vec![bytes]);
    assert_eq!(whole, print(bytes.chunks(1).collect()), "byte by byte");
    assert_eq!(whole, print(bytes.chunks(7).collect()), "in sevens");
    whole.0
}

#[test]
fn page_857_has_the_euro_sign() {
    assert_eq!(text(b"\x1b\x74\x0d\xd5\x0a"), "€\n");
}

/// DLE DC4, function 1: t from 1 to 8, times 100 ms; ESC p in steps of 2 ms.
#[test]
fn a_pulse_in_real_time_lasts_as_long_as_it_says() {
    let mut printer = Simulator::new(Profile::epson_tm_t88());
    input(&mut printer, b"\x10\x14\x01\x00\x06\x10\x14\x01\x01\x08\x1b\x70\x00\x19\xfa");
    let pulses = |kicks: &[tresen_printers::document::Kick]| -> Vec<_> {
        kicks.iter().map(|k| (k.pin.number(), k.on_ms, k.off_ms)).collect()
    };
    assert_eq!(pulses(printer.kicks()), [(2, 600, 600), (5, 800, 800), (2, 50, 500)]);
    let rendered = paper(b"x\n\x10\x14\x01\x00\x06\x1b\x70\x00\x19\xfa");
    assert_eq!(pulses(&rendered.kicks), [(2, 600, 600), (2, 50, 500)], "a file, too");
}

/// ESC D: positions ascend; one that does not ends the list, and data go on.
#[test]
fn a_broken_list_of_tabs_swallows_nothing() {
    let bytes = b"\x1b\x44\x08\x10Item 1\nTotal 5.00\n\x1b\x61\x00x\n";
    assert_eq!(however_split(bytes), "em 1\nTotal 5.00\nx\n");
    assert_eq!(listed(bytes).len(), 1, "{:?}", listed(bytes));
    assert_eq!(paper(bytes).unsupported[0].bytes, b"\x1b\x44\x08\x10It");
    let full: Vec<u8> = [&b"\x1b\x44"[..], &(1..=32).collect::<Vec<u8>>(), b"\0a\n"].concat();
    assert_eq!(however_split(&full), "a\n");
    assert_eq!(listed(&full), []);
}

/// GS k, function A: a character that the symbology does not have ends the command.
#[test]
fn a_barcode_without_its_end_swallows_nothing() {
    let bytes = b"\x1d\x6b\x04ABC\nItem 1\nTotal 5.00\n\x1b\x61\x00x\n";
    assert_eq!(however_split(bytes), "\nItem 1\nTotal 5.00\nx\n");
    assert_eq!(listed(bytes), [(0, "GS k: a barcode without its NUL".into())]);
    assert_eq!(paper(b"\x1d\x6b\x04ABC\x00").roll().text(), "[barcode ABC]\n");
}

#[test]
fn text_stands_in_the_order_of_the_paper() {
    assert_eq!(text(b"\x1b\x24\xf4\x01B\x1b\x24\x00\x00A\n"), format!("A{}B\n", " ".repeat(40)));
    // A frame first, its content afterwards.
    assert_eq!(text(b"[\x1b\x24\xf0\x00]\x1b\x24\x0c\x00BEER\x1b\x24\xa8\x0013.00\n"), "[BEER         13.00 ]\n");
}

#[test]
fn codes_that_are_not_drawn_are_named_in_the_text() {
    let two = |cn: u8, data: &[u8]| {
        let store = [&b"\x1d\x28\x6b"[..], &[data.len() as u8 + 3, 0, cn, 0x50, 0x30], data].concat();
        [store, vec![0x1d, 0x28, 0x6b, 3, 0, cn, 0x51, 0x30], b"after\n".to_vec()].concat()
    };
    for (bytes, label) in [
        (two(0x30, b"ABCD"), "[PDF417 ABCD]"),
        (two(0x32, b"ABCD"), "[MaxiCode ABCD]"),
        (two(0x33, b"0123"), "[GS1 DataBar 0123]"),
        (two(0x35, b"ABCD"), "[Aztec ABCD]"),
        (two(0x36, b"ABCD"), "[DataMatrix ABCD]"),
        (b"\x1d\x6b\x42\x080123456\x35after\n".to_vec(), "[UPC-E 01234565]"),
        (b"\x1d\x6b\x06A12B\x00after\n".to_vec(), "[Codabar A12B]"),
        (b"\x1d\x6b\x48\x04CODEafter\n".to_vec(), "[Code-93 CODE]"),
        (b"\x1d\x6b\x4a\x04CODEafter\n".to_vec(), "[GS1-128 CODE]"),
    ] {
        let printed = paper(&bytes);
        assert_eq!(printed.roll().text(), format!("{label}\nafter\n"));
        assert_eq!(printed.unsupported.len(), 1, "{label}");
        assert!(printed.unsupported[0].name.contains("named instead of drawn"), "{label}");
    }
}

/// ESC R, table of the international character sets.
#[test]
fn international_sets_replace_twelve_characters() {
    let all = b"#$@[\\]^`{|}~\n";
    for (n, shown) in [
        (0, "#$@[\\]^`{|}~\n"),
        (1, "#$à°ç§^`éùè¨\n"),
        (2, "#$§ÄÖÜ^`äöüß\n"),
        (3, "£$@[\\]^`{|}~\n"),
        (5, "#¤ÉÄÖÅÜéäöåü\n"),
        (11, "#$á¡Ñ¿é`íñóú\n"),
    ] {
        assert_eq!(text(&[&[0x1b, 0x52, n][..], all].concat()), shown, "ESC R {n}");
    }
    assert_eq!(text(b"\x1b\x52\x02[\n\x1b\x40[\n"), "Ä\n[\n", "ESC @ ends it");
}

#[test]
fn modes_that_are_not_done_are_listed() {
    for (bytes, offset, name) in [
        (&b"a\x1b\x74\x3b\x91\x0a"[..], 1, "ESC t: code page 59 is not known"),
        (b"\x1c\x26\x0a", 0, "FS &: Kanji mode"),
        (b"\x1b\x52\x42", 0, "ESC R: international character set 66 is not known"),
        (b"\x1b\x7b\x01", 0, "ESC {: upside-down printing"),
        (b"\x1b\x56\x01", 0, "ESC V: printing turned by 90°"),
        (b"ab\x1b\x4c", 2, "ESC L: page mode; its content is printed line by line"),
        (b"\x1c\x70\x01\x00", 0, "FS p: a stored image"),
        (b"\x1b\x25\x01", 0, "ESC %: user-defined characters"),
    ] {
        let names = listed(bytes);
        assert_eq!(names.first(), Some(&(offset, name.to_owned())), "{names:?}");
    }
    for silent in [&b"\x1b\x7b\x00\x1b\x56\x00\x1c\x2e\x1b\x74\x00\x1b\x25\x00"[..], b"\x1c\x28\x41\x02\x00\x30\x00"] {
        assert_eq!(listed(silent), [], "nothing is lost by {silent:x?}");
    }
    // A line of characters of an unknown page is one entry.
    let entries = paper(b"\x1b\x74\x3b\x91\x92\x93\x0a\x94\x0a").unsupported;
    let runs: Vec<_> = entries[1..].iter().map(|u| (u.offset, u.length, &u.bytes[..])).collect();
    assert_eq!(runs, [(3, 3, &b"\x91\x92\x93"[..]), (7, 1, &b"\x94"[..])]);
}

fn qr(size: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 3).to_le_bytes();
    [
        &[0x1d, 0x28, 0x6b, 3, 0, 0x31, 0x43, size, 0x1d, 0x28, 0x6b, length[0], length[1], 0x31, 0x50, 0x30],
        data,
        b"\x1d\x28\x6b\x03\x00\x31\x51\x30\n",
    ]
    .concat()
}

#[test]
fn qr_codes_that_do_not_fit_are_listed() {
    let printed = render(&qr(16, &[b'a'; 60]), &Profile::generic_58());
    assert_eq!(printed.roll().text(), "\n");
    assert_eq!(printed.unsupported[0].name, "a QR code of 528 dots on 384, too wide to be printed");
    let printed = paper(&qr(1, &[b'a'; 2954]));
    assert_eq!(printed.unsupported[0].name, "a QR code of 2954 bytes, too many to be printed");
    assert_eq!(listed(b"\x1d\x28\x6b\x03\x00\x31\x51\x30").len(), 1, "one without data");
    let barcode = [&b"\x1dw\x03\x1dkI\x22{B"[..], &[b'x'; 32]].concat();
    assert_eq!(listed(&barcode)[0].1, "a barcode of 1161 dots on 512, too wide to be printed");
}

/// ISO/IEC 18004, table 7: version 40-L holds 7,089 digits, 4,296 capitals; 1-L holds 41 digits and 25
/// capitals in 21 modules, and 17 bytes.
#[test]
fn digits_and_capitals_are_packed() {
    let side = |data: &[u8]| {
        let printed = paper(&qr(1, data));
        assert_eq!(printed.unsupported, [], "{} characters", data.len());
        printed.roll().dots().height() - 30
    };
    assert_eq!([side(&[b'7'; 41]), side(&[b'7'; 42])], [21, 25]);
    assert_eq!([side(&[b'A'; 25]), side(&[b'A'; 26])], [21, 25]);
    assert_eq!([side(&[b'a'; 17]), side(&[b'a'; 18])], [21, 25]);
    assert_eq!([side(&[b'7'; 7089]), side(&[b'A'; 4296])], [177, 177]);
}

#[test]
fn what_is_cut_off_at_the_end_is_listed() {
    let bytes = [&b"text before\n\x1d\x76\x30\x00\x48\x00\xff\x00"[..], &[0; 100], b"\nTotal 5.00\n"].concat();
    let printed = paper(&bytes);
    assert_eq!(printed.roll().text(), "text before\n");
    let [Unsupported { offset: 12, length: 120, name, .. }] = &printed.unsupported[..] else {
        panic!("{:?}", printed.unsupported)
    };
    assert_eq!(name, "the data end in the middle of GS v");
}

#[test]
fn parameters_are_never_printed() {
    for bytes in [
        &b"\x1b\x28\x41\x04\x00\x30\x33\x01\x03after\n"[..],
        b"\x1d\x67\x32\x00\x14\x00after\n",
        b"\x1c\x71\x01\x01\x00\x01\x00ABCDEFGHafter\n",
        &[&b"\x1c\x32\x77\x21"[..], &[b'Z'; 72], b"after\n"].concat(),
        b"\x1b\x26\x03\x41\x42\x01ABC\x02DEFGHIafter\n",
        b"\x1d\x51\x30\x00\x02\x00\x03\x00ABCDEFafter\n",
        b"\x1b\x42\x09\x09after\n",
        b"\x1b\x76after\n",
        b"\x1b\x75\x00after\n",
        b"\x10\x14\x03\x00\x01\x01\x41\x41after\n",
        b"\x10\x14\x07\x01after\n",
    ] {
        assert_eq!(however_split(bytes), "after\n", "{bytes:x?}");
    }
    assert_eq!(text(b"A\x1b\x42\x09\x09x\n"), "Ax\n", "ESC B n t, the buzzer of many clones");
    assert_eq!(however_split(b"\x1c\x1b\x74\x00x\n"), "x\n", "FS does not eat the ESC that follows");
}

/// ESC v: bits 0 and 1 near the end, 2 and 3 at the end; ESC u: bit 0 the sense pin.
#[test]
fn sensors_are_asked_in_the_old_way_too() {
    let mut printer = Simulator::new(Profile::epson_tm_t88());
    assert_eq!(input(&mut printer, b"\x1b\x76\x1b\x75\x00AB\n"), [0, 0]);
    printer.near_end(true);
    printer.drawer_pin(true);
    assert_eq!(input(&mut printer, b"\x1b\x76\x1b\x75\x00"), [3, 1]);
    assert_eq!(printer.uncut().text(), "AB\n");
    // What it does not answer is listed.
    assert_eq!(input(&mut printer, b"\x1d\x72\x04\x10\x04\x07\x01\x10\x04\x08\x01\x1d\x49\x45"), b"");
    let names: Vec<_> = printer.take_unsupported().into_iter().map(|u| u.name.into_owned()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[0].starts_with("GS r") && names[3].starts_with("GS I"), "{names:?}");
    assert_eq!(input(&mut printer, b"\x1d\x49\x03").len(), 1);
}

#[test]
fn what_is_for_the_customer_display_is_not_on_paper() {
    let bytes = b"\x1b\x3d\x02Total 5.00\x1b\x3d\x01paper\n";
    assert_eq!(however_split(bytes), "paper\n");
    let [entry] = &paper(bytes).unsupported[..] else { panic!("one entry") };
    assert_eq!((entry.name.as_ref(), &entry.bytes[..]), ("ESC = 2: for the customer display", &b"Total 5.00"[..]));
}

#[test]
fn a_label_of_other_bytes_than_utf_8_is_latin_1() {
    assert_eq!(paper(&qr(3, b"Gr\xfc\xdfe")).roll().text(), "[QR Grüße]\n\n");
}

#[test]
fn a_sheet_without_a_cut_ends_after_silence_and_with_the_connection() {
    let start = Instant::now();
    let silence = Duration::from_secs(2);
    let mut printer = Simulator::new(Profile::generic_58()).with_silence(silence);
    printer.connected(start);
    assert_eq!(printer.deadline(), None, "nothing is on paper");
    printer.input(b"first\n", start);
    assert_eq!(printer.deadline(), Some(start + silence));
    printer.input(b"first, too\nunfinished", start + silence / 2);
    printer.timeout(start + silence);
    assert_eq!(printer.sheets().len(), 0);
    printer.timeout(start + silence * 3 / 2);
    assert_eq!(printer.take_sheets()[0].text(), "first\nfirst, too\n");
    printer.input(b" line\n", start + silence * 2);
    printer.disconnected(start + silence * 2);
    assert_eq!(printer.take_sheets()[0].text(), "unfinished line\n");
    printer.connected(start);
    printer.input(b"cut\n\x1d\x56\x00", start);
    assert_eq!((printer.take_sheets().len(), printer.deadline()), (1, None));
    // A printer waits for its host unless it was told not to.
    let mut printer = Simulator::new(Profile::generic_58());
    printer.input(b"first\n", start);
    printer.disconnected(start);
    assert_eq!((printer.sheets().len(), printer.deadline()), (0, None));
}

#[test]
fn half_an_image_swallows_the_next_job_until_somebody_switches_it_off() {
    let now = Instant::now();
    let mut printer = Simulator::new(Profile::generic_80());
    let header = b"\x1b\x21\x30\x1d\x76\x30\x00\x48\x00\xff\x00";
    printer.connected(now);
    printer.input(header, now);
    printer.disconnected(now);
    let [entry] = &printer.take_unsupported()[..] else { panic!("it is said once") };
    assert_eq!((entry.offset, entry.name.as_ref()), (3, "the data end in the middle of GS v"));
    printer.connected(now);
    printer.input(b"job\n", now);
    assert_eq!(printer.uncut().text(), "", "as in a real one");
    printer.power_cycle();
    assert_eq!(said(&mut printer), b"<hung up>");
    printer.connected(now);
    printer.input(b"job\n", now);
    assert_eq!(printer.uncut().text(), "job\n", "and of normal size again");
}

/// Epson GS a: bit 2 of the first byte is the level of the sense pin.
#[test]
fn a_pulse_opens_the_drawer_and_its_sensor_says_so() {
    let mut printer = Simulator::new(Profile::epson_tm_t88());
    printer.attach_drawer(true);
    assert_eq!(input(&mut printer, b"\x1da\x0f"), [0x10, 0, 0, 0]);
    assert_eq!(input(&mut printer, b"\x1b\x70\x00\x19\xfa"), [0x14, 0, 0, 0]);
    printer.close_drawer();
    assert_eq!(said(&mut printer), [0x10, 0, 0, 0]);
    assert_eq!(input(&mut printer, b"\x10\x14\x01\x00\x01"), [0x14, 0, 0, 0], "in real time, too");
    printer.attach_drawer(false);
    assert_eq!(said(&mut printer), b"", "closed is high here");
}

#[test]
fn floods_stay_small() {
    // 255 line ends for three bytes.
    let printed = paper(&b"\x1b\x64\xff".repeat(100_000));
    assert!(printed.roll().text().len() <= 1 << 20);
    assert_eq!(printed.unsupported.len(), 1);
    assert!(printed.unsupported[0].name.contains("longer than 65536 dots"));
    let printed = paper(&b"\x1b3\x00\x1b\x64\xff".repeat(100_000));
    assert!(printed.roll().text().len() <= (1 << 20) + 1, "with no line spacing either");
    let printed = paper(&b"x\n\x1d\x56\x00".repeat(2500));
    assert_eq!((printed.sheets.len(), printed.discarded), (1000, 1500));
    let mut printer = Simulator::new(Profile::epson_tm_t88());
    input(&mut printer, &b"x\n\x1d\x56\x00".repeat(2500));
    assert_eq!((printer.sheets().len(), printer.discarded()), (1000, 1500));
    assert_eq!((printer.take_sheets().len(), printer.sheets().len()), (1000, 0));
    let printed = paper(&b"\x02".repeat(2500));
    assert_eq!((printed.unsupported.len(), printed.unlisted), (1000, 1500));
    let line = paper(&b"A\x1b\x5c\xf4\xff".repeat(30_000));
    assert_eq!(line.unsupported.len(), 2, "a line is not endless");
}

fn bars(data: &str) -> Vec<u8> {
    let code = Barcode::code128(data).expect("ASCII");
    let bytes = escpos::encode(&Receipt::new().barcode(code), &Profile::epson_tm_m30());
    let at = bytes.windows(3).position(|w| w == b"\x1dkI").expect("GS k 73");
    bytes[at + 4..][..usize::from(bytes[at + 3])].to_vec()
}

/// Epson GS k 73: `{A`, `{B`, `{C` select a code set, two digits are one byte in C.
#[test]
fn code_128_takes_the_shortest_sets() {
    assert_eq!(bars("123456"), b"{C\x0c\x22\x38");
    assert_eq!(bars("12345").len(), 7, "five characters with the set's change, wherever it stands");
    assert_eq!(bars("No.123456"), b"{BNo.{C\x0c\x22\x38");
    assert_eq!(bars("AB\r\nCD"), b"{AAB\r\nCD");
    assert_eq!(bars("ab\rcd"), b"{Bab{S\rcd");
    assert_eq!(bars("a12b"), b"{Ba12b");
    // 16 04 would be DLE EOT.
    let apart = bars("16041605162012");
    assert!(!apart.windows(2).any(|w| matches!(w, [0x10, 4 | 5 | 20])), "{apart:x?}");
    let code = Barcode::gs1_128("(10)AB(17)260101").expect("an element string");
    let bytes = escpos::encode(&Receipt::new().barcode(code), &Profile::epson_tm_m30());
    let expected = b"{B{110AB{1{C\x11\x1a\x01\x01";
    assert!(bytes.windows(expected.len()).any(|w| w == expected), "{bytes:x?}");
}

#[test]
fn long_numbers_fit_on_narrow_paper() {
    let code = Barcode::code128("123456789012345678901234").expect("digits");
    let receipt = Receipt::new().barcode(code);
    assert_eq!(receipt.check(&Profile::generic_58()), [], "334 dots");
    let printed = render(&escpos::encode(&receipt, &Profile::generic_58()), &Profile::generic_58());
    assert!(printed.roll().text().contains("[barcode 123456789012345678901234]"));
}

#[test]
fn a_qr_code_of_many_digits_prints() {
    for qr in [Known::Yes, Known::No] {
        let mut profile = Profile::epson_tm_t20();
        profile.qr = qr;
        let receipt = Receipt::new().qr(Qr::new("7".repeat(4000)).expect("40-M holds 5,596 digits"));
        let printed = render(&escpos::encode(&receipt, &profile), &profile);
        assert_eq!(printed.unsupported, []);
        assert!(printed.roll().dots().bytes().iter().any(|b| *b != 0));
    }
}

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let lead = prop::sample::select(vec![0x1bu8, 0x1d, 0x1c, 0x10]);
    let known = prop::sample::select(b"@!MEG- 23tRaJd$\\pimD&=vu{V%LB*(gVkQCPTbqp2.".to_vec());
    let part = prop_oneof![
        (lead, known, prop::collection::vec(0u8..40, 0..8)).prop_map(|(l, k, rest)| [vec![l, k], rest].concat()),
        prop::collection::vec(any::<u8>(), 0..30),
        Just(b"\x1b=\x02to the display\x1b=\x01".to_vec()),
        Just(b"\x1dk\x04ABC\0\x1b\x44\x08\x10\0".to_vec()),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// What is printed, and what is listed.
    #[test]
    fn splitting_changes_nothing(bytes in commands(), at in any::<prop::sample::Index>()) {
        let at = at.index(bytes.len() + 1);
        let print = |pieces: &[&[u8]]| {
            let mut printer = Simulator::new(Profile::generic_58());
            printer.faults.no_clear = true;
            pieces.iter().for_each(|piece| _ = input(&mut printer, piece));
            (printer.roll(), printer.unsupported().to_vec(), printer.kicks().to_vec())
        };
        prop_assert_eq!(print(&[&bytes]), print(&[&bytes[..at], &bytes[at..]]));
    }
}
