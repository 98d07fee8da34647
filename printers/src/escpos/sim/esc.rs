//! Commands that begin with ESC, FS and DLE.

use super::charset;
use super::font::Font;
use super::interpreter::{Ask, Interpreter, LARGEST, SPACING, Step, done};
use crate::document::Align;
use crate::printer::DrawerPin;

/// Tab positions that `ESC D` sets at most.
const TABS: usize = 32;

impl Interpreter {
    pub(super) fn esc(&mut self, bytes: &[u8]) -> Step {
        let Some(&command) = bytes.get(1) else { return Step::More };
        let need = match command {
            b'@' | b'2' | b'i' | b'm' | b'<' | b'S' | b'L' | b'v' | 0x0c => 2,
            b'$' | b'\\' | b'c' | b'B' => 4,
            b'p' => 5,
            b'W' => 10,
            b'*' => return self.column_image(bytes),
            b'D' => return self.set_tabs(bytes),
            b'(' => return self.parenthesis(bytes),
            b'&' => return self.define_characters(bytes),
            b' ' | b'!' | b'-' | b'3' | b'E' | b'G' | b'J' | b'M' | b'R' | b'T' | b'U' | b'V' | b'a' | b'd' | b'e'
            | b'K' | b'r' | b't' | b'u' | b'{' | b'=' | b'%' | b'?' => 3,
            _ => return self.unknown_pair(bytes),
        };
        let Some(whole) = bytes.get(..need) else { return Step::More };
        let n = whole.get(2).copied().unwrap_or(0);
        let on = n & 1 == 1;
        let set = &mut self.set;
        match command {
            b'@' => {
                self.reset();
                return Step::Done(need, Some(Ask::Initialize));
            }
            b'!' => {
                set.look.font = if on { Font::B } else { Font::A };
                set.look.bold = n & 0x08 != 0;
                set.look.high = if n & 0x10 != 0 { 2 } else { 1 };
                set.look.wide = if n & 0x20 != 0 { 2 } else { 1 };
                set.look.underline = u32::from(n >> 7);
            }
            b'M' => {
                set.look.font = if on { Font::B } else { Font::A };
                if !matches!(n, 0 | 1 | 48 | 49) {
                    return self.skipped(format!("ESC M: font {n} is not known"), whole);
                }
            }
            b'E' | b'G' => set.look.bold = on,
            b'-' => set.look.underline = u32::from(n & 3).min(2),
            b' ' => set.gap = n.into(),
            b'2' => set.spacing = SPACING,
            b'3' => set.spacing = n.into(),
            b't' => {
                set.page = self.profile.page(n);
                if set.page.is_none() {
                    return self.skipped(format!("ESC t: code page {n} is not known"), whole);
                }
            }
            b'R' if charset::is_known(n) => set.international = n,
            b'R' => return self.skipped(format!("ESC R: international character set {n} is not known"), whole),
            // Alignment takes effect at the beginning of a line.
            b'a' if self.line.is_empty() => {
                set.align = match n & 3 {
                    1 => Align::Centre,
                    2 => Align::Right,
                    _ => Align::Left,
                };
            }
            b'J' => self.print_line_and_feed(n.into()),
            b'd' if n > 0 => {
                self.print_line();
                self.feed_lines(u32::from(n) - 1);
            }
            b'$' => self.cursor = u32::from(u16::from_le_bytes([n, bytes[3]])),
            b'\\' => {
                let by = i16::from_le_bytes([n, bytes[3]]);
                self.cursor = self.cursor.saturating_add_signed(by.into()).min(u16::MAX.into());
            }
            b'p' => {
                let pin = if on { DrawerPin::Five } else { DrawerPin::Two };
                self.kick(pin, 2 * u16::from(bytes[3]), 2 * u16::from(bytes[4]));
            }
            b'i' | b'm' => self.cut(),
            b'=' => set.peripheral = n,
            b'v' => return Step::Done(need, Some(Ask::PaperSensor)),
            b'u' => return Step::Done(need, Some(Ask::Peripheral)),
            b'{' if on => return self.skipped("ESC {: upside-down printing", whole),
            b'V' if matches!(n, 1 | 2 | 49 | 50) => return self.skipped("ESC V: printing turned by 90°", whole),
            b'%' if on => return self.skipped("ESC %: user-defined characters", whole),
            b'r' if on => return self.skipped("ESC r: the second colour", whole),
            b'e' | b'K' if n > 0 => return self.skipped("reverse feed", whole),
            b'L' => return self.skipped("ESC L: page mode; its content is printed line by line", whole),
            b'S' | b'W' | b'T' | 0x0c => return self.skipped("a command of page mode", whole),
            // Double strike is bold. The rest does not affect the paper: the buzzer (ESC B of many clones), sensors,
            // buttons, print direction, the print head's home position.
            _ => {}
        }
        done(need)
    }

    /// ESC D n1…nk NUL, set horizontal tab positions. They ascend, and there are at most 32; after
    /// anything else the list has ended and ordinary data follow.
    fn set_tabs(&mut self, bytes: &[u8]) -> Step {
        let mut tabs = Vec::new();
        let mut at = 2;
        let ended = loop {
            let Some(&position) = bytes.get(at) else {
                if tabs.len() == TABS {
                    break true;
                }
                return Step::More;
            };
            if position == 0 {
                at += 1;
                break true;
            }
            let position = u32::from(position);
            if tabs.len() == TABS || tabs.last().is_some_and(|&last| position <= last) {
                break tabs.len() == TABS;
            }
            tabs.push(position);
            at += 1;
        };
        self.set.tabs = tabs;
        if ended {
            return done(at);
        }
        self.skipped("ESC D: tab positions that do not ascend; what follows is taken for text", &bytes[..at])
    }

    /// ESC & y c1 c2 [x d1…d(y·x)]…, define user-defined characters
    fn define_characters(&mut self, bytes: &[u8]) -> Step {
        let &[_, _, rows, first, last, ..] = bytes else { return Step::More };
        if !(1..=3).contains(&rows) || first < 0x20 || last < first || last > 0x7e {
            return self.unknown(&bytes[..5]);
        }
        let mut at = 5;
        for _ in first..=last {
            let Some(&wide) = bytes.get(at) else { return Step::More };
            at += 1 + usize::from(rows) * usize::from(wide);
        }
        match bytes.get(..at) {
            Some(whole) => self.skipped("ESC &: user-defined characters", whole),
            None => Step::More,
        }
    }

    pub(super) fn fs(&mut self, bytes: &[u8]) -> Step {
        let (need, name) = match bytes.get(1) {
            None => return Step::More,
            Some(b'.' | b'&') => (2, ""),
            Some(b'!' | b'-' | b'C' | b'W') => (3, ""),
            Some(b'S' | b'?') => (4, ""),
            Some(b'p') => (4, "FS p: a stored image"),
            // 24 × 24 dots.
            Some(b'2') => (4 + 72, "FS 2: user-defined Kanji"),
            Some(b'q') => return self.define_images(bytes),
            Some(b'g') => match bytes.get(2) {
                None => return Step::More,
                Some(b'1' | 1) => {
                    let &[.., low, high] = bytes.get(..10).unwrap_or(&[]) else { return Step::More };
                    (10 + usize::from(u16::from_le_bytes([low, high])), "FS g 1: user memory")
                }
                Some(_) => (10, "FS g 2: user memory"),
            },
            Some(b'(') => return self.parenthesis(bytes),
            Some(_) => return self.unknown_pair(bytes),
        };
        let Some(whole) = bytes.get(..need) else { return Step::More };
        match bytes[1] {
            b'.' => self.set.kanji = false,
            b'&' => {
                self.set.kanji = true;
                return self.skipped("FS &: Kanji mode", whole);
            }
            _ => {}
        }
        // The rest is how Kanji look.
        if name.is_empty() { done(need) } else { self.skipped(name, whole) }
    }

    /// FS q n [xL xH yL yH d1…dk]…, define stored images
    fn define_images(&mut self, bytes: &[u8]) -> Step {
        let Some(&count) = bytes.get(2) else { return Step::More };
        let mut at = 3;
        for _ in 0..count {
            let Some(&[xl, xh, yl, yh]) = bytes.get(at..at + 4) else { return Step::More };
            at += 4 + 8 * usize::from(u16::from_le_bytes([xl, xh])) * usize::from(u16::from_le_bytes([yl, yh]));
            if at > LARGEST {
                return self.unknown(&bytes[..3]);
            }
        }
        match bytes.get(..at) {
            Some(whole) => self.skipped("FS q: stored images", whole),
            None => Step::More,
        }
    }

    /// Real-time commands were executed on arrival; here they are only skipped.
    pub(super) fn dle(&mut self, bytes: &[u8]) -> Step {
        let (need, name) = match bytes {
            [_] | [_, 0x04 | 0x05 | 0x14] => return Step::More,
            [_, 0x04, 7, ..] => (4, "DLE EOT 7: the state of the ink"),
            [_, 0x04, 8, ..] => (4, "DLE EOT 8: the state of the MICR reader"),
            [_, 0x04, 1..=4, ..] | [_, 0x05, 1..=2, ..] => (3, ""),
            [_, 0x04, ..] => (3, "DLE EOT: an unknown status"),
            [_, 0x05, ..] => (3, "DLE ENQ: an unknown request"),
            [_, 0x14, 1, ..] => (5, ""),
            [_, 0x14, 2, ..] => (5, "DLE DC4 2: power off"),
            // The buzzer.
            [_, 0x14, 3, ..] => (8, ""),
            [_, 0x14, 7, ..] => (4, "DLE DC4 7: a status in real time"),
            [_, 0x14, 8, ..] => (10, "DLE DC4 8: clearing the buffers, which depends on when it arrives"),
            [_, 0x14, ..] => (3, "DLE DC4: an unknown function"),
            _ => return self.unknown(&bytes[..1]),
        };
        let Some(whole) = bytes.get(..need) else { return Step::More };
        if name.is_empty() { done(need) } else { self.skipped(name, whole) }
    }
}
