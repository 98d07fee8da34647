//! A simulated scanner in keyboard mode, with faults on request.

use std::collections::VecDeque;
use std::time::Instant;

use tresen_hal::sim::{Action, Device};

use super::keys::usage;
use super::layout::{Layout, Level, Stroke};
use super::wire::code;
use crate::Symbology;

/// The format that a simulated scanner sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Linux input events as in [`super::Source::Evdev`], up to and including SYN_REPORT.
    #[default]
    Evdev,
    /// Reports of a boot keyboard: HID 1.11, appendix B.1.
    Reports,
}

/// What it types after a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Enter.
    #[default]
    Enter,
    /// Tab.
    Tab,
    /// Nothing.
    None,
}

/// How a simulated scanner is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The format that it sends.
    pub form: Form,
    /// Its keyboard layout.
    pub layout: Layout,
    /// Whether it types every byte as an Alt code; otherwise only those that its layout lacks.
    pub alt: bool,
    /// Whether it sends AIM identifiers.
    pub aim: bool,
    /// What it types after a code.
    pub end: End,
}

/// A fault that happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The code's Enter or Tab is missing.
    MissingEnter,
    /// Keys in the middle of the code are lost. Events report that (SYN_DROPPED), HID reports do not.
    Lost,
    /// Each key repeats while it is held.
    Repeated,
    /// The last key of the code stays down until the end of the next code, which hides its presses there.
    NeverReleased,
}

/// A simulated scanner in keyboard mode. Each [`Action::Send`] is one key press or release.
#[derive(Debug, Default)]
pub struct Simulator {
    settings: Settings,
    chunks: VecDeque<Vec<u8>>,
    fault: Option<Fault>,
    modifiers: u8,
    stuck: Option<u8>,
}

impl Simulator {
    /// A scanner with no code in front of it yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// A scanner with default settings that sends keyboard reports, as behind a real HID interface.
    pub fn reports() -> Self {
        Self::new(Settings { form: Form::Reports, ..Settings::default() })
    }

    /// Applies a fault to the next code.
    pub fn fault_next(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Holds a code in front of it, which it types in turn.
    pub fn scan(&mut self, data: impl AsRef<[u8]>, symbology: Symbology) {
        let fault = self.fault.take();
        let aim = symbology.aim().filter(|_| self.settings.aim).map(|aim| aim.to_string());
        let data = [aim.unwrap_or_default().as_bytes(), data.as_ref()].concat();
        let before = self.chunks.len();
        self.data(&data, fault);
        if fault == Some(Fault::Lost) {
            self.lose(before);
        }
        let was_stuck = self.stuck;
        let end = match self.settings.end {
            End::Enter => Some(usage::ENTER),
            End::Tab => Some(usage::TAB),
            End::None => None,
        };
        if let Some(end) = end.filter(|_| fault != Some(Fault::MissingEnter)) {
            self.press(end, fault);
        }
        if let Some(stuck) = was_stuck {
            self.stuck = None;
            self.send(stuck, false);
        }
    }

    fn data(&mut self, data: &[u8], fault: Option<Fault>) {
        for chunk in data.utf8_chunks() {
            for character in chunk.valid().chars() {
                self.character(character, fault);
            }
            chunk.invalid().iter().for_each(|byte| self.alt(*byte, fault));
        }
    }

    fn character(&mut self, character: char, fault: Option<Fault>) {
        let control = match character {
            // With function key mapping off: the keys of the US layout.
            '\t' => Some(None),
            '\x01'..='\x1a' => Some(Some(self.letter(character))),
            '\x1b' => Some(Some((0x2f, Level::Plain))),
            '\x1c' => Some(Some((0x31, Level::Plain))),
            '\x1d' => Some(Some((0x30, Level::Plain))),
            '\x1e' => Some(Some((0x23, Level::Plain))),
            '\x1f' => Some(Some((0x2d, Level::Plain))),
            _ => None,
        };
        match (self.settings.alt, control, self.settings.layout.stroke(character)) {
            (false, Some(Some(stroke)), _) => {
                self.send(usage::LEFT_CONTROL, true);
                self.stroke(stroke, fault);
                self.send(usage::LEFT_CONTROL, false);
            }
            (false, Some(None), _) => self.press(usage::TAB, fault),
            (false, _, _) if character == ' ' => self.press(usage::SPACE, fault),
            (false, _, Some(stroke)) => {
                self.stroke(stroke, fault);
                if self.settings.layout.is_dead(stroke) {
                    self.press(usage::SPACE, fault);
                }
            }
            _ => {
                let bytes = character.to_string().into_bytes();
                bytes.into_iter().for_each(|byte| self.alt(byte, fault));
            }
        }
    }

    /// The key of a control character's letter, such as A for 0x01.
    fn letter(&self, control: char) -> Stroke {
        let letter = char::from(control as u8 + b'a' - 1);
        self.settings.layout.stroke(letter).expect("every layout has the letters of ASCII")
    }

    fn stroke(&mut self, (key, level): Stroke, fault: Option<Fault>) {
        let modifier = match level {
            Level::Plain => None,
            Level::Shift => Some(usage::LEFT_SHIFT),
            Level::AltGr => Some(usage::RIGHT_ALT),
        };
        modifier.into_iter().for_each(|m| self.send(m, true));
        self.press(key, fault);
        modifier.into_iter().for_each(|m| self.send(m, false));
    }

    /// Alt with 0 and three digits of the keypad.
    fn alt(&mut self, byte: u8, fault: Option<Fault>) {
        self.send(usage::LEFT_ALT, true);
        for digit in format!("0{byte:03}").bytes() {
            let key = if digit == b'0' { usage::KEYPAD_0 } else { usage::KEYPAD_1 + digit - b'1' };
            self.press(key, fault);
        }
        self.send(usage::LEFT_ALT, false);
    }

    fn press(&mut self, key: u8, fault: Option<Fault>) {
        if self.stuck == Some(key) {
            return;
        }
        self.send(key, true);
        if fault == Some(Fault::Repeated) {
            self.repeat(key);
        }
        let last = [usage::ENTER, usage::TAB].contains(&key);
        if last && fault == Some(Fault::NeverReleased) {
            self.stuck = Some(key);
        } else {
            self.send(key, false);
        }
    }

    /// Sends a key press or release.
    fn send(&mut self, key: u8, down: bool) {
        let chunk = match self.settings.form {
            Form::Evdev => {
                let code = code(key).expect("every key that is typed here has a code");
                let scan = event(4, 4, 0x70000 | i32::from(key));
                [scan, event(1, code, i32::from(down)), event(0, 0, 0)].concat()
            }
            Form::Reports => {
                let mut keys = [0; 6];
                match key {
                    0xe0..=0xe7 if down => self.modifiers |= 1 << (key - 0xe0),
                    0xe0..=0xe7 => self.modifiers &= !(1 << (key - 0xe0)),
                    _ if down => keys[1] = key,
                    _ => {}
                }
                keys[0] = self.stuck.unwrap_or(0);
                [&[self.modifiers, 0], &keys[..]].concat()
            }
        };
        self.chunks.push_back(chunk);
    }

    fn repeat(&mut self, key: u8) {
        let again = match (self.settings.form, code(key)) {
            (Form::Evdev, Some(code)) => [event(1, code, 2), event(0, 0, 1)].concat(),
            _ => self.chunks.back().cloned().unwrap_or_default(),
        };
        self.chunks.extend([again.clone(), again]);
    }

    /// Removes the middle one of the chunks from `first` on.
    fn lose(&mut self, first: usize) {
        // Presses are at even places, each followed by its release.
        let middle = first + (self.chunks.len() - first) / 4 * 2;
        self.chunks.drain(middle..(middle + 2).min(self.chunks.len()));
        if self.settings.form == Form::Evdev {
            self.chunks.insert(middle, [event(0, 3, 0), event(0, 0, 0)].concat());
        }
    }
}

fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &code.to_le_bytes(), &value.to_le_bytes()].concat()
}

impl Device for Simulator {
    /// Ignores reports for the keyboard's lights, which it does not have.
    fn input(&mut self, _: &[u8], _: Instant) {}

    fn next_action(&mut self) -> Option<Action> {
        self.chunks.pop_front().map(Action::Send)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wedge::wire::tests::event;

    fn sent(settings: Settings, code: &str) -> Vec<Vec<u8>> {
        let mut sim = Simulator::new(settings);
        sim.scan(code, Symbology::Ean13);
        std::iter::from_fn(|| sim.next_action())
            .map(|action| match action {
                Action::Send(bytes) => bytes,
                Action::HangUp => panic!("scanners do not hang up"),
            })
            .collect()
    }

    /// Codes of linux/input-event-codes.h: KEY_LEFTSHIFT 42, KEY_Y 21, KEY_2 3, KEY_ENTER 28.
    #[test]
    fn types_events() {
        let settings = Settings { layout: Layout::De, ..Settings::default() };
        let key =
            |usage: i32, code, value| [event(4, 4, 0x70000 + usage), event(1, code, value), event(0, 0, 0)].concat();
        let expected = [
            key(0xe1, 42, 1),
            key(0x1c, 21, 1),
            key(0x1c, 21, 0),
            key(0xe1, 42, 0),
            key(0x1f, 3, 1),
            key(0x1f, 3, 0),
            key(0x28, 28, 1),
            key(0x28, 28, 0),
        ];
        assert_eq!(sent(settings, "Z2"), expected);
    }

    /// Usages of HID Usage Tables, page 0x07: 30 is ], 08 is e, 62 and 59 to 61 the keypad's digits.
    #[test]
    fn types_reports() {
        let settings = Settings { form: Form::Reports, aim: true, end: End::None, ..Settings::default() };
        let report = |modifiers, key| vec![modifiers, 0, 0, key, 0, 0, 0, 0];
        let expected = [
            report(0, 0x30),
            report(0, 0),
            report(2, 0),
            report(2, 0x08),
            report(2, 0),
            report(0, 0),
            report(0, 0x27),
            report(0, 0),
            report(1, 0),
            report(1, 0x30),
            report(1, 0),
            report(0, 0),
        ];
        assert_eq!(sent(settings.clone(), "\x1d"), expected);
        let alt = Settings { alt: true, aim: false, ..settings };
        let keys: Vec<u8> = sent(alt, "A").iter().map(|r| r[3]).filter(|key| *key != 0).collect();
        assert_eq!(keys, [0x62, 0x62, 0x5e, 0x5d], "0065");
        assert_eq!(Simulator::reports().settings, Settings { form: Form::Reports, ..Settings::default() });
    }
}
