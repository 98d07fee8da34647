//! The decoder of input events and keyboard reports, sans-IO.

use std::ops::Range;
use std::time::Instant;

use tresen_hal::{Error, Kind, Result};

use super::keys::Keys;
use super::layout::Layout;
use crate::hid::descriptor::{self, Descriptor, Direction, Field};
use crate::serial::{self, Framing, Line};

/// The format that the link carries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Linux input events, 8 bytes each, little-endian: type and code of 16 bits, value of 32 bits. That is
    /// `struct input_event` of linux/input.h without its time.
    Evdev,
    /// Reports of an HID keyboard.
    Reports(KeyReport),
}

/// Byte offsets in a keyboard's reports, including the report number, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    number: Option<u8>,
    size: usize,
    modifiers: usize,
    keys: Range<usize>,
}

impl KeyReport {
    /// The boot keyboard: modifiers, a reserved byte, six keys. HID 1.11, appendix B.1.
    pub const BOOT: Self = Self { number: None, size: 8, modifiers: 0, keys: 2..8 };

    /// Reads a report descriptor.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: the descriptor is broken. [`Kind::Unsupported`]: it has no array of keys as a boot
    /// keyboard has, but a bit for each key, say.
    pub fn from_descriptor(descriptor: &[u8]) -> Result<Self> {
        Self::read(&descriptor::parse(descriptor)?)
    }

    pub(crate) fn read(descriptor: &Descriptor) -> Result<Self> {
        let input = || descriptor.fields.iter().filter(|f| f.direction == Direction::Input && f.application == (1, 6));
        let whole =
            |f: &&Field| !f.variable && !f.constant && f.size == 8 && f.start.is_multiple_of(8) && f.has_page(7);
        let found = input().find(whole).and_then(|keys| {
            let modifiers = input().find(|f| f.report == keys.report && f.values(7, 0xe0) == Some(0..1))?;
            let fits = modifiers.size == 1 && modifiers.count == 8 && modifiers.start.is_multiple_of(8);
            fits.then(|| Self {
                number: keys.report,
                size: descriptor.report_size(Direction::Input, keys.report),
                modifiers: modifiers.start / 8,
                keys: keys.start / 8..keys.bit(keys.count) / 8,
            })
        });
        found.ok_or_else(|| {
            Error::new(Kind::Unsupported, "it has no array of keys as a boot keyboard has")
                .hint("set the scanner to HID POS or serial mode by the code in its manual")
        })
    }
}

/// How much was discarded, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Complete codes.
    pub codes: serial::Counters,
    /// Codes interrupted by lost key events, because the link was not read in time.
    pub interrupted: u64,
    /// Keys that type nothing.
    pub keys: u64,
    /// Reports that are cut off, of another kind, or say that too many keys are pressed.
    pub reports: u64,
}

/// Turns keys into codes.
#[derive(Debug)]
pub struct Decoder {
    source: Source,
    keys: Keys,
    lines: serial::Decoder,
    /// The bytes of an incomplete event.
    partial: Vec<u8>,
    /// After SYN_DROPPED, events are void until the next SYN_REPORT.
    lost: bool,
    /// Modifiers and keys of the previous HID report.
    before: (u8, Vec<u8>),
    counters: Counters,
}

impl Decoder {
    /// A decoder that has received nothing yet. Enter is CR and Tab is TAB in `framing`.
    pub fn new(source: Source, layout: Layout, framing: Framing) -> Self {
        Self {
            source,
            keys: Keys::new(layout),
            lines: serial::Decoder::new(framing).typed(),
            partial: Vec::new(),
            lost: false,
            before: (0, Vec::new()),
            counters: Counters::default(),
        }
    }

    /// Takes bytes that arrived at `now`.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) {
        self.lines.timeout(now);
        match self.source.clone() {
            Source::Evdev => self.events(bytes, now),
            Source::Reports(report) => self.reports(&report, bytes, now),
        }
    }

    /// The next code.
    pub fn next_line(&mut self) -> Option<Line> {
        self.lines.next_line()
    }

    /// When [`Decoder::timeout`] is due; `None` if no code is pending.
    pub fn deadline(&self) -> Option<Instant> {
        self.lines.deadline()
    }

    /// Completes or discards the pending code if no key has come for long enough by `now`.
    pub fn timeout(&mut self, now: Instant) {
        self.lines.timeout(now);
    }

    /// The link has ended: completes a pending code that has its suffix, discards any other.
    pub(crate) fn close(&mut self) {
        self.lines.close();
    }

    /// Discards all complete codes, and the rest of a pending one.
    pub fn discard(&mut self) {
        self.lines.discard();
    }

    /// How much was discarded so far.
    pub fn counters(&self) -> Counters {
        Counters { codes: self.lines.counters(), keys: self.keys.unknown, ..self.counters }
    }

    fn events(&mut self, bytes: &[u8], now: Instant) {
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let (events, rest) = partial.as_chunks::<8>();
        self.partial.extend_from_slice(rest);
        let mut typed = Vec::new();
        for [t0, t1, c0, c1, value @ ..] in events {
            let event = (u16::from_le_bytes([*t0, *t1]), u16::from_le_bytes([*c0, *c1]), i32::from_le_bytes(*value));
            match event {
                (EV_SYN, SYN_REPORT, _) => self.lost = false,
                (EV_SYN, SYN_DROPPED, _) => {
                    self.lines.feed(&std::mem::take(&mut typed), now);
                    self.interrupt(now);
                    self.lost = true;
                }
                _ if self.lost => {}
                // Value 2 is autorepeat, which is not part of a code.
                (EV_KEY, code, 0 | 1) => match usage(code) {
                    Some(usage) => self.keys.key(usage, event.2 == 1, &mut typed),
                    None => self.keys.unknown += u64::from(event.2 == 1),
                },
                _ => {}
            }
        }
        self.type_in(&typed, now);
    }

    fn reports(&mut self, layout: &KeyReport, bytes: &[u8], now: Instant) {
        let mut typed = Vec::new();
        for report in bytes.chunks(layout.size.max(1)) {
            let fits = report.len() == layout.size && layout.number.is_none_or(|number| report[0] == number);
            let (Some(modifiers), Some(keys), true) =
                (report.get(layout.modifiers), report.get(layout.keys.clone()), fits)
            else {
                self.counters.reports += 1;
                continue;
            };
            // Usages 1 to 3 are errors, such as ErrorRollOver: HID Usage Tables, page 0x07.
            if keys.iter().any(|key| (1..=3).contains(key)) {
                self.counters.reports += 1;
                continue;
            }
            let before = std::mem::replace(&mut self.before, (*modifiers, keys.to_vec()));
            for bit in (0..8).filter(|bit| (before.0 ^ modifiers) >> bit & 1 == 1) {
                self.keys.key(0xe0 + bit, modifiers >> bit & 1 == 1, &mut typed);
            }
            for (n, key) in keys.iter().enumerate() {
                if *key != 0 && !before.1.contains(key) && !keys[..n].contains(key) {
                    self.keys.key(*key, true, &mut typed);
                }
            }
        }
        self.type_in(&typed, now);
    }

    fn type_in(&mut self, typed: &[u8], now: Instant) {
        // A key that types nothing does not extend the gap.
        if !typed.is_empty() {
            self.lines.feed(typed, now);
        }
    }

    /// Keys were lost, so the pending or next code is incomplete.
    fn interrupt(&mut self, now: Instant) {
        self.counters.interrupted += 1;
        tracing::warn!("discarded a code because the kernel dropped key events");
        self.keys.reset();
        self.lines.interrupt(now);
    }
}

// linux/input-event-codes.h.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const SYN_REPORT: u16 = 0;
const SYN_DROPPED: u16 = 3;

/// Usages of page 0x07, indexed by the key codes of linux/input-event-codes.h, from KEY_RESERVED (0) to KEY_RIGHTMETA
/// (126).
#[rustfmt::skip]
static USAGES: [u8; 127] = [
    // 0 reserved, Esc, 1 to 0, - = Backspace, Tab
    0x00, 0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b,
    // 16 Q W E R T Y U I O P [ ] Enter, left Ctrl, A S
    0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16,
    // 32 D F G H J K L ; ' ` left Shift, \ Z X C V
    0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19,
    // 48 B N M , . / right Shift, keypad *, left Alt, Space, Caps Lock, F1 to F5
    0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e,
    // 64 F6 to F10, Num Lock, Scroll Lock, keypad 7 8 9 - 4 5 6 + 1
    0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59,
    // 80 keypad 2 3 0 ., none, Zenkaku, the key left of Z, F11, F12, Ro, Katakana, Hiragana, Henkan, …
    0x5a, 0x5b, 0x62, 0x63, 0x00, 0x94, 0x64, 0x44, 0x45, 0x87, 0x92, 0x93, 0x8a, 0x88, 0x8b, 0x8c,
    // 96 keypad Enter, right Ctrl, keypad /, SysRq, right Alt, line feed, Home, Up, PgUp, Left, Right, End, Down, …
    0x58, 0xe4, 0x54, 0x46, 0xe6, 0x00, 0x4a, 0x52, 0x4b, 0x50, 0x4f, 0x4d, 0x51, 0x4e, 0x49, 0x4c,
    // 112 macro, mute, volume, power, keypad =, none, Pause, scale, keypad comma, Hangul, Hanja, Yen, GUI keys
    0x00, 0x7f, 0x81, 0x80, 0x66, 0x67, 0x00, 0x48, 0x00, 0x85, 0x90, 0x91, 0x89, 0xe3, 0xe7,
];

/// The usage of a Linux key code; `None` if common keyboards do not have the key.
pub(super) fn usage(code: u16) -> Option<u8> {
    USAGES.get(usize::from(code)).copied().filter(|usage| *usage != 0)
}

/// The Linux key code of a usage.
pub(super) fn code(usage: u8) -> Option<u16> {
    USAGES.iter().position(|u| *u == usage && usage != 0).map(|code| code as u16)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::serial::Suffix;
    use std::time::Duration;

    pub(in super::super) fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &code.to_le_bytes(), &value.to_le_bytes()].concat()
    }

    /// Presses and releases by their codes in linux/input-event-codes.h, as the kernel groups them; a code with
    /// bit 15 set is a release, any other a press with its release unless it is a modifier.
    fn typed(codes: &[u16]) -> Vec<u8> {
        const MODIFIERS: [u16; 7] = [29, 42, 54, 56, 97, 100, 125];
        let mut bytes = Vec::new();
        for &code in codes {
            let (key, up) = (code & 0x7fff, code & 0x8000 != 0);
            bytes.extend([event(4, 4, 0x70000), event(EV_KEY, key, i32::from(!up)), event(0, 0, 0)].concat());
            if !up && !MODIFIERS.contains(&key) {
                bytes.extend([event(EV_KEY, key, 0), event(0, 0, 0)].concat());
            }
        }
        bytes
    }

    const UP: u16 = 0x8000;
    /// KEY_4 KEY_0 KEY_0 KEY_6 KEY_ENTER
    const CODE: [u16; 5] = [5, 11, 11, 7, 28];

    fn framing() -> Framing {
        Framing {
            suffix: Suffix::Bytes(b"\r".into()),
            quiet: Duration::ZERO,
            gap: Some(Duration::from_millis(300)),
            ..Framing::default()
        }
    }

    fn evdev(layout: Layout) -> Decoder {
        Decoder::new(Source::Evdev, layout, framing())
    }

    /// What events type, fed in one piece and split at every byte.
    fn lines(layout: Layout, bytes: &[u8]) -> Vec<String> {
        let now = Instant::now();
        let run = |pieces: &[&[u8]]| -> Vec<String> {
            let mut decoder = evdev(layout);
            pieces.iter().for_each(|piece| decoder.feed(piece, now));
            std::iter::from_fn(|| decoder.next_line())
                .map(|l| format!("{}{}", l.aim.map(|a| a.to_string()).unwrap_or_default(), l.data.escape_ascii()))
                .collect()
        };
        let whole = run(&[bytes]);
        for at in 0..=bytes.len() {
            assert_eq!(run(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        whole
    }

    #[test]
    fn events_become_codes() {
        assert_eq!(lines(Layout::Us, &typed(&[CODE, CODE].concat())), ["4006", "4006"]);
        // Left Shift, KEY_Y; then KEY_Y: a German keyboard has Z there.
        let letters = [42, 21, 42 | UP, 21, 28];
        assert_eq!(lines(Layout::Us, &typed(&letters)), ["Yy"]);
        assert_eq!(lines(Layout::De, &typed(&letters)), ["Zz"]);
        // ]C1 10 GS 21 on a US keyboard: KEY_RIGHTBRACE, Shift C, 1; left Ctrl with KEY_RIGHTBRACE is GS.
        let gs1 = [27, 42, 46, 42 | UP, 2, 2, 11, 29, 27, 29 | UP, 3, 2, 28];
        assert_eq!(lines(Layout::Us, &typed(&gs1)), [r"]C110\x1d21"]);
        // Alt with 0, 2, 9 of the keypad: GS. Keypad Enter.
        assert_eq!(lines(Layout::De, &typed(&[56, 82, 80, 73, 56 | UP, 2, 96])), [r"\x1d1"]);
    }

    /// A capture in the form of `evtest` with a scanner's two keys: MSC_SCAN, key, report; as bytes.
    #[test]
    fn reads_events_byte_by_byte() {
        let bytes = [
            4, 0, 4, 0, 0x22, 0, 7, 0, 1, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // KEY_5 down
            4, 0, 4, 0, 0x22, 0, 7, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // KEY_5 up
            4, 0, 4, 0, 0x28, 0, 7, 0, 1, 0, 28, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // KEY_ENTER down
        ];
        assert_eq!(lines(Layout::Us, &bytes), ["5"]);
    }

    #[test]
    fn repeats_and_other_events_are_passed_over() {
        // KEY_4 down, two repeats, up; EV_LED, EV_REL, a media key, a button.
        let mut bytes = [event(1, 5, 1), event(1, 5, 2), event(0, 0, 1), event(1, 5, 2), event(1, 5, 0)].concat();
        bytes.extend([event(17, 1, 1), event(2, 0, 5), event(1, 163, 1), event(1, 0x110, 1), event(1, 28, 1)].concat());
        assert_eq!(lines(Layout::Us, &bytes), ["4"]);
        let mut decoder = evdev(Layout::Us);
        decoder.feed(&bytes, Instant::now());
        assert_eq!(decoder.counters().keys, 2);
    }

    #[test]
    fn lost_keys_lose_their_code_only() {
        let dropped = event(EV_SYN, SYN_DROPPED, 0);
        // A code; half of one, during which Shift is down and events are lost; Shift in what is void; the rest; a code.
        let void = [event(1, 42, 1), event(0, 0, 0)].concat();
        let bytes = [typed(&CODE), typed(&[42, 5, 11]), dropped.clone(), void, typed(&[7, 28]), typed(&CODE)].concat();
        assert_eq!(lines(Layout::Us, &bytes), ["4006", "4006"]);
        // The beginning of a code is lost, so its rest is discarded. Without Enter it ends with the gap.
        let mut decoder = evdev(Layout::Us);
        let now = Instant::now();
        decoder.feed(&[dropped, event(0, 0, 0), typed(&[7, 8])].concat(), now);
        let end = decoder.deadline().expect("a code is pending");
        decoder.feed(&typed(&CODE), end);
        assert_eq!(decoder.next_line().map(|l| l.data), Some(b"4006".to_vec()));
        assert_eq!((decoder.next_line(), decoder.counters().interrupted), (None, 1));
    }

    #[test]
    fn a_missing_enter_ends_with_the_gap() {
        let mut decoder = evdev(Layout::Us);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        decoder.feed(&typed(&[5, 11]), at(0));
        decoder.feed(&typed(&[11]), at(100));
        // Shift types nothing, so it does not extend the gap.
        decoder.feed(&typed(&[42, 42 | UP]), at(200));
        assert_eq!(decoder.deadline(), Some(at(400)));
        decoder.timeout(at(400));
        assert_eq!(decoder.next_line().map(|l| l.data), Some(b"400".to_vec()));
    }

    /// HID 1.11, appendix B.1; usages of HID Usage Tables, page 0x07: 21 is 4, 27 is 0, 04 is a, 28 is Enter.
    #[test]
    fn reports_become_codes() {
        let run = |reports: &[[u8; 8]]| {
            let mut decoder = Decoder::new(Source::Reports(KeyReport::BOOT), Layout::Us, framing());
            reports.iter().for_each(|r| decoder.feed(r, Instant::now()));
            let lines: Vec<_> = std::iter::from_fn(|| decoder.next_line()).map(|l| l.data).collect();
            (lines, decoder.counters())
        };
        let none = [0; 8];
        let (codes, counters) = run(&[
            [0, 0, 0x21, 0, 0, 0, 0, 0],
            none,
            [0, 0, 0x27, 0, 0, 0, 0, 0],
            [0, 0, 0x27, 0, 0, 0, 0, 0], // the same report again is no new press
            none,
            [0, 0, 0x27, 0, 0, 0, 0, 0],
            [0, 0, 0x27, 0x04, 0, 0, 0, 0], // a key with another still down
            [2, 0, 0x27, 0, 0, 0, 0, 0],
            [2, 0, 0x27, 0x04, 0x04, 0, 0, 0],
            [0, 0, 1, 1, 1, 1, 1, 1], // too many keys: nothing changes
            none,
            [0, 0, 0x28, 0, 0, 0, 0, 0],
        ]);
        assert_eq!((codes, counters.reports), (vec![b"400aA".to_vec()], 1));
        let (codes, _) = run(&[[1, 0, 0x30, 0, 0, 0, 0, 0], none, [0, 0, 0x28, 0, 0, 0, 0, 0]]);
        assert_eq!(codes, [[0x1d]], "left Ctrl with the key of ]");
    }

    #[test]
    fn a_report_may_have_a_number() {
        let descriptor = [
            0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x85, 0x03, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x75, 0x01, 0x95, 0x08,
            0x81, 0x02, 0x95, 0x06, 0x75, 0x08, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
        ];
        let report = KeyReport::from_descriptor(&descriptor).expect("good");
        assert_eq!(report, KeyReport { number: Some(3), size: 8, modifiers: 1, keys: 2..8 });
        let mut decoder = Decoder::new(Source::Reports(report), Layout::Us, framing());
        let now = Instant::now();
        for bytes in
            [&[3, 0, 0x04, 0, 0, 0, 0, 0][..], &[1, 0, 0x05, 0, 0, 0, 0, 0], &[3, 0], &[3, 0, 0x28, 0, 0, 0, 0, 0]]
        {
            decoder.feed(bytes, now);
        }
        assert_eq!(decoder.next_line().map(|l| l.data), Some(b"a".to_vec()));
        assert_eq!(decoder.counters().reports, 2, "another report, and one cut off");
        let bits = [
            0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0x04, 0x29, 0x65, 0x75, 0x01, 0x95, 0x62, 0x81, 0x02,
            0xc0,
        ];
        let error = KeyReport::from_descriptor(&bits).expect_err("a bit for each key");
        assert_eq!(error.kind(), Kind::Unsupported);
    }

    /// Codes of linux/input-event-codes.h beside usages of HID Usage Tables, page 0x07.
    #[test]
    fn codes_have_their_usages() {
        for (key, expected) in [
            (1, 0x29),   // KEY_ESC
            (11, 0x27),  // KEY_0
            (13, 0x2e),  // KEY_EQUAL
            (30, 0x04),  // KEY_A
            (44, 0x1d),  // KEY_Z
            (53, 0x38),  // KEY_SLASH
            (58, 0x39),  // KEY_CAPSLOCK
            (69, 0x53),  // KEY_NUMLOCK
            (79, 0x59),  // KEY_KP1
            (82, 0x62),  // KEY_KP0
            (83, 0x63),  // KEY_KPDOT
            (86, 0x64),  // KEY_102ND
            (88, 0x45),  // KEY_F12
            (96, 0x58),  // KEY_KPENTER
            (97, 0xe4),  // KEY_RIGHTCTRL
            (98, 0x54),  // KEY_KPSLASH
            (100, 0xe6), // KEY_RIGHTALT
            (103, 0x52), // KEY_UP
            (111, 0x4c), // KEY_DELETE
            (117, 0x67), // KEY_KPEQUAL
            (126, 0xe7), // KEY_RIGHTMETA
        ] {
            assert_eq!((usage(key), code(expected)), (Some(expected), Some(key)), "key {key}");
        }
        for (n, usage) in USAGES.iter().enumerate().filter(|(_, usage)| **usage != 0) {
            assert_eq!(code(*usage), Some(n as u16), "usage {usage:x} stands there once");
        }
        assert_eq!((usage(0), usage(84), usage(0x110), code(0)), (None, None, None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            for source in [Source::Evdev, Source::Reports(KeyReport::BOOT)] {
                for layout in Layout::ALL {
                    let mut decoder = Decoder::new(source.clone(), layout, framing());
                    for piece in bytes.chunks(7) {
                        decoder.feed(piece, Instant::now());
                        proptest::prop_assert!(decoder.partial.len() < 8);
                    }
                }
            }
        }

        #[test]
        fn no_keys_panic(
            events in proptest::collection::vec((0..5_u16, 0..130_u16, 0..3_i32), 0..200), layout in 0..5_usize,
        ) {
            let mut decoder = Decoder::new(Source::Evdev, Layout::ALL[layout], framing());
            for (kind, code, value) in events {
                decoder.feed(&event(kind, code, value), Instant::now());
            }
            while let Some(line) = decoder.next_line() {
                proptest::prop_assert!(!line.data.is_empty());
            }
        }
    }
}
