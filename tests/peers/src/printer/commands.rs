//! Commands in the order in which they stand in the buffer.

use super::Printer;

impl Printer {
    /// How long the first command of the buffer is; `None` until all of it has arrived.
    pub(super) fn command_length(&self) -> Option<usize> {
        let at = |n: usize| self.buffer.get(n).copied();
        let pair = |n: usize| Some(usize::from(u16::from_le_bytes([at(n)?, at(n + 1)?])));
        let until_nul = |from: usize| self.buffer.iter().skip(from).position(|b| *b == 0).map(|n| from + n + 1);
        let length = match [at(0)?, at(1).unwrap_or(0)] {
            [0x1b | 0x1c | 0x1d | 0x10, _] if at(1).is_none() => return None,
            [0x1b, b'@' | b'2'] => 2,
            [0x1b, b'p'] => 5,
            [0x1b, b'$' | b'\\' | b'c'] => 4,
            [0x1b, b'*'] => {
                let bytes = if at(2)? < 32 { 1 } else { 3 };
                5 + pair(3)? * bytes
            }
            [0x1b, b'D'] => until_nul(2)?,
            [0x1b, b'B'] => 4,
            [0x1b, b'i' | b'm'] => 2,
            [0x1b, b'('] | [0x1d, b'('] => 5 + pair(3)?,
            [0x1b, _] => 3,
            [0x1c, b'.' | b'&'] => 2,
            [0x1c, b'('] => 5 + pair(3)?,
            [0x1c, _] => 3,
            [0x1d, b'8'] => {
                let four = [at(3)?, at(4)?, at(5)?, at(6)?];
                7 + usize::try_from(u32::from_le_bytes(four)).ok()?
            }
            [0x1d, b'V'] => {
                if at(2)? < 65 {
                    3
                } else {
                    4
                }
            }
            [0x1d, b'v'] => 8 + pair(4)? * pair(6)?,
            [0x1d, b'k'] => match at(2)? {
                0..=6 => until_nul(3)?,
                _ => 4 + usize::from(at(3)?),
            },
            [0x1d, b'L' | b'W' | b'P' | b'$' | b'\\'] => 4,
            [0x1d, _] => 3,
            _ => 1,
        };
        (self.buffer.len() >= length).then_some(length)
    }

    pub(super) fn execute(&mut self, command: &[u8], now: u64) {
        match *command {
            [0x0a] => self.feed(1),
            [0x1b, b'@'] => {
                self.line.clear();
                (self.asb, self.reported) = (0, None);
            }
            [0x1b, b'd', n] => self.feed(usize::from(n).max(1)),
            [0x1b, b'p', drawer, ..] => self.kicks.push((now, drawer & 1)),
            [0x1d, b'V', ..] | [0x1b, b'i' | b'm'] => {
                if !self.line.is_empty() {
                    self.feed(1);
                }
                self.cuts.push(self.lines.len());
            }
            [0x1d, b'a', n] => (self.asb, self.reported) = (n, None),
            [0x1d, b'r', n] if self.habits.tells_status => {
                let out = if self.habits.paper == 0 { 0x0c } else { 0 };
                let near = if self.near_end || self.habits.paper == 0 { 0x03 } else { 0 };
                match n {
                    1 | 49 => self.say_status(out | near, now),
                    2 | 50 => self.say_status(u8::from(self.drawer_pin), now),
                    _ => {}
                }
            }
            [0x1d, b'I', n] if self.habits.tells_identity => {
                let answer: &[u8] = match n {
                    1 | 49 => &[0x20],
                    2 | 50 => &[0x02],
                    3 | 51 => &[0x01],
                    65 => b"\x5f1.00 ESC/POS\0",
                    66 => b"\x5fEPSON\0",
                    67 => b"\x5fTM-T20III\0",
                    68 => b"\x5fX7AB012345\0",
                    _ => return,
                };
                self.out.push_back((now, answer.to_vec()));
            }
            // GS ( H, function 48: said when all before it is on paper.
            [0x1d, b'(', b'H', 6, 0, 48, 48, a, b, c, d] if self.habits.proves => {
                self.out.push_back((now, vec![0x37, 0x22, a, b, c, d, 0x00]));
            }
            [byte] if byte >= 0x20 => self.line.push(byte),
            _ => {}
        }
    }

    /// Ends the line and feeds `n` lines of paper.
    fn feed(&mut self, n: usize) {
        let line = std::mem::take(&mut self.line);
        self.lines.push(line.iter().map(|&b| if b < 0x80 { char::from(b) } else { '?' }).collect());
        self.lines.extend(std::iter::repeat_n(String::new(), n - 1));
        if self.habits.paper != usize::MAX {
            self.habits.paper = self.habits.paper.saturating_sub(n);
        }
    }
}
