//! The state of a keyboard, which turns key presses into bytes.

use super::layout::{Layout, Level};

/// Keys used by other modules: HID Usage Tables, Keyboard/Keypad page (0x07).
pub(super) mod usage {
    pub(in super::super) const ENTER: u8 = 0x28;
    pub(in super::super) const TAB: u8 = 0x2b;
    pub(in super::super) const SPACE: u8 = 0x2c;
    pub(in super::super) const KEYPAD_1: u8 = 0x59;
    pub(in super::super) const KEYPAD_0: u8 = 0x62;
    pub(in super::super) const LEFT_CONTROL: u8 = 0xe0;
    pub(in super::super) const LEFT_SHIFT: u8 = 0xe1;
    pub(in super::super) const LEFT_ALT: u8 = 0xe2;
    pub(in super::super) const RIGHT_ALT: u8 = 0xe6;
}

const CAPS_LOCK: u8 = 0x39;

/// Bits of the modifiers, in the order of their usages from 0xE0 and of byte 0 of a boot report: HID 1.11, section 8.3.
mod held {
    pub(super) const CONTROL: u8 = 0x11;
    pub(super) const LEFT_CONTROL: u8 = 0x01;
    pub(super) const SHIFT: u8 = 0x22;
    pub(super) const LEFT_ALT: u8 = 0x04;
    pub(super) const RIGHT_ALT: u8 = 0x40;
    pub(super) const GUI: u8 = 0x88;
}

/// The state of a keyboard.
#[derive(Debug)]
pub(super) struct Keys {
    layout: Layout,
    held: u8,
    caps: bool,
    /// Digits typed while Alt is held: how many, and the number they form.
    alt: (u8, u32),
    /// The last key was a dead key.
    dead: bool,
    /// The last key was Enter.
    entered: bool,
    /// Presses that type no character.
    pub(super) unknown: u64,
}

impl Keys {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, held: 0, caps: false, alt: (0, 0), dead: false, entered: false, unknown: 0 }
    }

    /// Forgets which keys are held, after presses and releases were lost.
    pub(super) fn reset(&mut self) {
        *self = Self { caps: self.caps, unknown: self.unknown, ..Self::new(self.layout) };
    }

    /// Handles a key press or release, and appends what it types.
    pub(super) fn key(&mut self, usage: u8, down: bool, into: &mut Vec<u8>) {
        if let 0xe0..=0xe7 = usage {
            self.modifier(1 << (usage - 0xe0), down, into);
        } else if down {
            self.press(usage, into);
        }
    }

    fn modifier(&mut self, bit: u8, down: bool, into: &mut Vec<u8>) {
        let before = self.held;
        self.held = if down { before | bit } else { before & !bit };
        if bit != held::LEFT_ALT || before == self.held {
            return;
        }
        let (digits, number) = std::mem::take(&mut self.alt);
        if down || digits == 0 {
            return;
        }
        // A scanner types the value of a byte; a host would look it up in its code page. Larger values can only be
        // Unicode.
        self.entered = false;
        match (u8::try_from(number), char::from_u32(number)) {
            (Ok(byte), _) => into.push(byte),
            (_, Some(character)) => push(character, into),
            (_, None) => self.unknown += 1,
        }
    }

    fn press(&mut self, usage: u8, into: &mut Vec<u8>) {
        let alt_gr = self.held & held::RIGHT_ALT != 0
            || (self.held & held::LEFT_ALT != 0 && self.held & held::LEFT_CONTROL != 0);
        if self.held & held::LEFT_ALT != 0 && !alt_gr {
            return self.alt_digit(usage);
        }
        if self.held & held::GUI != 0 {
            self.unknown += 1;
            return;
        }
        let (dead, entered) = (std::mem::take(&mut self.dead), std::mem::take(&mut self.entered));
        match usage {
            CAPS_LOCK => self.caps = !self.caps,
            usage::ENTER | 0x58 => {
                into.push(b'\r');
                self.entered = true;
            }
            usage::TAB => into.push(b'\t'),
            // Space after a dead key types the accent itself, on every system.
            usage::SPACE if dead => {}
            usage::SPACE => into.push(b' '),
            0x29 => into.push(0x1b),
            0x2a => into.push(0x08),
            0x54..=0x57 => into.push(b"/*-+"[usize::from(usage - 0x54)]),
            usage::KEYPAD_1..=0x61 => into.push(b'1' + usage - usage::KEYPAD_1),
            usage::KEYPAD_0 => into.push(b'0'),
            0x63 => push(self.layout.decimal(), into),
            _ => self.character(usage, alt_gr, entered, into),
        }
    }

    fn character(&mut self, usage: u8, alt_gr: bool, entered: bool, into: &mut Vec<u8>) {
        let shift = (self.held & held::SHIFT != 0) ^ (self.caps && self.layout.has_case(usage));
        let level = match (alt_gr, shift) {
            (true, _) => Level::AltGr,
            (false, true) => Level::Shift,
            (false, false) => Level::Plain,
        };
        let character = self.layout.character((usage, level));
        // Left Ctrl with left Alt is AltGr.
        let control = match alt_gr && self.held & held::RIGHT_ALT == 0 {
            true => self.held & held::CONTROL & !held::LEFT_CONTROL != 0,
            false => self.held & held::CONTROL != 0,
        };
        if control {
            match control_character(usage, character) {
                // The second half of a CR LF.
                Some(b'\n') if entered => {}
                Some(byte) => into.push(byte),
                None => self.unknown += 1,
            }
            return;
        }
        match character {
            Some(character) => {
                push(character, into);
                self.dead = self.layout.is_dead((usage, level));
            }
            None => {
                self.unknown += 1;
                tracing::debug!(usage, "ignored a key that types nothing");
            }
        }
    }

    fn alt_digit(&mut self, usage: u8) {
        let digit = match usage {
            usage::KEYPAD_1..=0x61 => u32::from(usage - usage::KEYPAD_1) + 1,
            usage::KEYPAD_0 => 0,
            _ => {
                self.unknown += 1;
                return;
            }
        };
        let (digits, number) = self.alt;
        self.alt = (digits.saturating_add(1), number.saturating_mul(10).saturating_add(digit));
    }
}

/// The ASCII control character of Ctrl with a key, as on terminals and Windows. For punctuation the key's position on
/// the US layout decides, whatever the layout.
fn control_character(usage: u8, character: Option<char>) -> Option<u8> {
    match (usage, character) {
        (0x2f, _) => Some(0x1b),
        (0x30, _) => Some(0x1d),
        (0x31 | 0x32, _) => Some(0x1c),
        (_, Some(c @ ('@'..='_' | 'a'..='z'))) => Some(c as u8 & 0x1f),
        (0x23, _) => Some(0x1e),
        (0x2d, _) => Some(0x1f),
        _ => None,
    }
}

fn push(character: char, into: &mut Vec<u8>) {
    into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::usage::{KEYPAD_0, LEFT_ALT, LEFT_CONTROL, LEFT_SHIFT, RIGHT_ALT, SPACE};
    use super::*;

    /// What a keyboard types; a usage with bit 8 set is a release.
    fn typed(layout: Layout, keys: &[u16]) -> (String, u64) {
        let (mut state, mut bytes) = (Keys::new(layout), Vec::new());
        keys.iter().for_each(|key| state.key(*key as u8, key & 0x100 == 0, &mut bytes));
        (bytes.iter().map(|b| char::from(*b)).collect(), state.unknown)
    }

    fn text(layout: Layout, keys: &[u16]) -> String {
        let (text, unknown) = typed(layout, keys);
        assert_eq!(unknown, 0, "{text}");
        text
    }

    const SHIFT: u16 = LEFT_SHIFT as u16;
    const CONTROL: u16 = LEFT_CONTROL as u16;
    const ALT: u16 = LEFT_ALT as u16;
    const ALT_GR: u16 = RIGHT_ALT as u16;
    const UP: u16 = 0x100;

    #[test]
    fn modifiers_hold_until_released() {
        // a A A a, Enter on both keys.
        assert_eq!(text(Layout::Us, &[4, SHIFT, 4, 4, SHIFT | UP, 4, 0x28, 0x58]), "aAAa\r\r");
        assert_eq!(text(Layout::De, &[ALT_GR, 0x14, ALT_GR | UP, 0x14]), "@q");
        assert_eq!(text(Layout::De, &[CONTROL, ALT, 0x14, ALT | UP, CONTROL | UP]), "@", "Ctrl and Alt are AltGr");
    }

    #[test]
    fn caps_lock_swaps_letters_only() {
        assert_eq!(text(Layout::De, &[0x39, 4, SHIFT, 4, SHIFT | UP, 0x1e, 0x39, 4]), "Aa1a");
    }

    /// Zebra's manuals: A is Alt, 065 or 0065 on the keypad, Alt released.
    #[test]
    fn alt_codes_are_bytes() {
        let keypad = |digits: &str| -> Vec<u16> {
            let digit = |b: u8| u16::from(if b == b'0' { KEYPAD_0 } else { 0x58 + b - b'0' });
            [vec![ALT], digits.bytes().map(digit).collect(), vec![ALT | UP]].concat()
        };
        let codes: Vec<u16> = ["065", "0065", "029", "0252", "252", "65"].iter().flat_map(|d| keypad(d)).collect();
        assert_eq!(text(Layout::Us, &codes), "AA\x1d\u{fc}\u{fc}A");
        assert_eq!(text(Layout::Us, &keypad("8364")), "\u{e2}\u{82}\u{ac}", "the euro sign in UTF-8");
        assert_eq!(typed(Layout::Us, &keypad("99999999999999")), (String::new(), 1));
        assert_eq!(text(Layout::Us, &[ALT, ALT | UP]), "");
        assert_eq!(text(Layout::Us, &[0x59, 0x62]), "10", "without Alt they are digits");
    }

    #[test]
    fn control_makes_control_characters() {
        for layout in Layout::ALL {
            // Ctrl with the key that is ] on US keyboards is GS on every layout.
            assert_eq!(text(layout, &[CONTROL, 0x30, CONTROL | UP]), "\x1d", "{layout}");
            assert_eq!(text(layout, &[CONTROL, 0x2f, 0x31]), "\x1b\x1c", "{layout}");
        }
        assert_eq!(text(Layout::Us, &[CONTROL, 0x05, 0x23, 0x2d]), "\x02\x1e\x1f");
        assert_eq!(text(Layout::De, &[CONTROL, ALT_GR, 0x26]), "\x1d", "AltGr 9 is ]");
        assert_eq!(text(Layout::Us, &[0x28, CONTROL, 0x0d, 0x0d]), "\r\n", "CR LF is one end");
    }

    #[test]
    fn a_dead_key_is_its_accent() {
        let space = u16::from(SPACE);
        assert_eq!(text(Layout::De, &[0x35, space, 4, space, 4]), "^a a");
        assert_eq!(text(Layout::De, &[0x35, 4, 0x35, 0x35, space]), "^a^^");
    }

    #[test]
    fn keys_that_type_nothing_are_counted() {
        // F1, an arrow, Alt with a letter, GUI with a letter.
        assert_eq!(typed(Layout::Us, &[0x3a, 0x4f, ALT, 4, ALT | UP, 0xe3, 4, 0x1e3, 4]), ("a".into(), 4));
    }

    #[test]
    fn a_reset_releases_what_is_held() {
        let (mut state, mut bytes) = (Keys::new(Layout::Us), Vec::new());
        for key in [0x39, LEFT_SHIFT, LEFT_ALT, 0x59] {
            state.key(key, true, &mut bytes);
        }
        state.reset();
        state.key(4, true, &mut bytes);
        assert_eq!(bytes, b"A", "Caps Lock is no key that is held");
    }
}
