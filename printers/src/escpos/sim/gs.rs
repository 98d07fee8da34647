//! Commands that begin with GS, and those of all leads that tell their length (`GS ( k`).

use super::font::Font;
use super::interpreter::{Ask, Interpreter, LARGEST, Step, done};

impl Interpreter {
    pub(super) fn gs(&mut self, bytes: &[u8]) -> Step {
        let Some(&command) = bytes.get(1) else { return Step::More };
        let need = match command {
            b':' | b'c' => 2,
            b'!' | b'B' | b'H' | b'h' | b'w' | b'f' | b'a' | b'r' | b'I' | b'b' | b'T' | b'j' | b'E' | b'/' => 3,
            b'L' | b'W' | b'P' | b'$' | b'\\' => 4,
            b'^' | b'z' => 5,
            b'g' => 6,
            b'V' => match bytes.get(2) {
                None => return Step::More,
                Some(65 | 66 | 97 | 98 | 103 | 104) => 4,
                Some(_) => 3,
            },
            b'C' => match bytes.get(2) {
                None => return Step::More,
                Some(0 | b'0' | 2 | b'2') => 5,
                Some(1 | b'1') => 9,
                Some(_) => return self.unknown(&bytes[..2]),
            },
            b'(' => return self.parenthesis(bytes),
            b'8' => return self.long_graphics(bytes),
            b'v' => return self.raster(bytes),
            b'k' => return self.barcode(bytes),
            b'*' => {
                let &[_, _, x, y, ..] = bytes else { return Step::More };
                return self.swallow("GS *: a downloaded image", bytes, 4, usize::from(x) * usize::from(y) * 8);
            }
            b'Q' => {
                let &[_, _, _, _, xl, xh, yl, yh, ..] = bytes else { return Step::More };
                let count = usize::from(u16::from_le_bytes([xl, xh])) * usize::from(u16::from_le_bytes([yl, yh]));
                return self.swallow("GS Q: an image in columns", bytes, 8, count);
            }
            _ => return self.unknown_pair(bytes),
        };
        let Some(whole) = bytes.get(..need) else { return Step::More };
        let n = whole.get(2).copied().unwrap_or(0);
        let set = &mut self.set;
        let wide = |high: u8| u32::from(u16::from_le_bytes([n, high]));
        match command {
            b'!' => {
                set.look.wide = u32::from(n >> 4 & 7) + 1;
                set.look.high = u32::from(n & 7) + 1;
            }
            b'B' => set.look.invert = n & 1 == 1,
            b'H' => set.hri = n & 3,
            b'f' => {
                set.hri_font = if n & 1 == 1 { Font::B } else { Font::A };
                if !matches!(n, 0 | 1 | 48 | 49) {
                    return self.skipped(format!("GS f: font {n} is not known"), whole);
                }
            }
            b'h' => set.bar_height = u32::from(n).max(1),
            b'w' => set.module = u32::from(n).clamp(1, 6),
            b'L' => set.left = wide(bytes[3]).min(self.profile.width.0),
            b'W' => set.area = Some(wide(bytes[3])),
            b'V' if matches!(n, 0 | 1 | 48 | 49 | 65 | 66 | 97 | 98 | 103 | 104) => self.cut(),
            b'V' => return self.unknown(whole),
            b'a' => return Step::Done(need, Some(Ask::Automatic(n))),
            b'r' => return Step::Done(need, Some(Ask::Status(n))),
            b'I' => return Step::Done(need, Some(Ask::Id(n))),
            b'T' => {
                // Set print position to the beginning of the line: 0 discards what is on it, 1 prints it.
                if n & 1 == 1 && !self.line.is_empty() {
                    self.print_line();
                }
                self.line.clear();
                self.cursor = 0;
            }
            b'P' if whole[2..] != [0, 0] => return self.skipped("GS P: motion units, which stay dots", whole),
            b'b' if n & 1 == 1 => return self.skipped("GS b: smoothing", whole),
            b'/' => return self.skipped("GS /: a downloaded image", whole),
            b':' | b'^' => return self.skipped("a macro", whole),
            b'c' | b'C' => return self.skipped("a serial number counter", whole),
            b'g' => return self.skipped("GS g: the maintenance counter", whole),
            // The second colour's ink, speed, and page mode's positions.
            _ => {}
        }
        done(need)
    }

    /// A command of `count` data bytes after its `head`, which is not done.
    fn swallow(&mut self, name: &'static str, bytes: &[u8], head: usize, count: usize) -> Step {
        if count > LARGEST {
            return self.unknown(&bytes[..head]);
        }
        match bytes.get(..head + count) {
            Some(whole) => self.skipped(name, whole),
            None => Step::More,
        }
    }

    /// ESC ( x pL pH …, FS ( x pL pH …, GS ( x pL pH …
    pub(super) fn parenthesis(&mut self, bytes: &[u8]) -> Step {
        let &[lead, _, kind, low, high, ..] = bytes else { return Step::More };
        let length = 5 + usize::from(u16::from_le_bytes([low, high]));
        let Some(whole) = bytes.get(..length) else { return Step::More };
        match (lead, kind, &whole[5..]) {
            (0x1d, b'k', [cn, function, rest @ ..]) => return self.symbol(*cn, *function, rest, whole),
            (0x1d, b'L', body) => return self.graphics(body, whole),
            (0x1d, b'H', [0x30, 0x30, a, b, c, d]) => {
                return Step::Done(length, Some(Ask::ProcessId([*a, *b, *c, *d])));
            }
            (0x1d, b'A', _) => return self.skipped("GS ( A: a test print", whole),
            (0x1d, b'N', [48, colour, ..]) if *colour > 49 => {
                return self.skipped("GS ( N: another colour", whole);
            }
            (0x1c, b'C', _) => return self.skipped("FS ( C: another character encoding", whole),
            // Settings that change nothing on virtual paper: set-up, density, colours, the buzzer
            // (ESC ( A), Kanji fonts (FS ( A).
            (0x1d, b'D' | b'E' | b'K' | b'N' | b'H', _) | (0x1b | 0x1c, b'A', _) => {}
            _ => return self.unknown(whole),
        }
        done(length)
    }
}
