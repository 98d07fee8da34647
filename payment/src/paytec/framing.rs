//! Bytes of a link to lines and back: lines alone over TCP, lines in frames over a serial line.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::serial::Frames;

/// The longest line: a receipt with a picture has 20 KB.
pub const LONGEST: usize = 256 * 1024;

/// From here on the bytes are no lines: one is longer than [`LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line of more than {LONGEST} bytes")
    }
}

/// Cuts a stream into lines. Line ends are `\n` or `\r\n`; empty lines are skipped. `Debug` shows lengths only.
#[derive(Default)]
pub struct Lines {
    held: Vec<u8>,
    /// How much of `held` has no line end.
    searched: usize,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} bytes)", self.held.len())
    }
}

impl Lines {
    /// Takes in what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    /// The line is too long; nothing after it can be read.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let Some(at) = self.held[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.held.len();
                return if self.held.len() > LONGEST { Err(TooLong) } else { Ok(None) };
            };
            let end = self.searched + at;
            let rest = self.held.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.held, rest);
            self.searched = 0;
            if line.len() > LONGEST + 1 {
                return Err(TooLong);
            }
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

/// One end of a link: lines in and out, whatever carries them. Sans-IO. `Debug` shows lengths only.
pub struct Framing {
    lines: Lines,
    frames: Option<Box<Frames>>,
    out: VecDeque<Vec<u8>>,
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing").field("lines", &self.lines).field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Framing {
    /// Lines as they are, as over TCP.
    pub fn lines() -> Self {
        Self { lines: Lines::default(), frames: None, out: VecDeque::new() }
    }

    /// Lines in the frames of a serial line.
    pub fn serial(frames: Frames) -> Self {
        Self { frames: Some(Box::new(frames)), ..Self::lines() }
    }

    /// Takes in bytes of the link.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.frames {
            None => self.lines.feed(bytes),
            Some(frames) => {
                frames.feed(bytes);
                while let Some(payload) = frames.next_payload() {
                    self.lines.feed(&payload);
                }
            }
        }
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    /// The line is too long; nothing after it can be read.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        self.lines.next_line()
    }

    /// Sends a line. One that must not arrive `twice` is repeated only when the other end says that it was damaged.
    pub fn send(&mut self, line: Vec<u8>, twice: bool) {
        match &mut self.frames {
            None => self.out.push_back(line),
            Some(frames) => frames.send(line, twice),
        }
    }

    /// The next bytes for the link.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        match &mut self.frames {
            None => self.out.pop_front(),
            Some(frames) => frames.poll_transmit(now),
        }
    }

    /// When [`Framing::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.frames.as_ref().and_then(|frames| frames.poll_timeout())
    }

    /// Handles deadlines that have passed by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(frames) = &mut self.frames {
            frames.handle_timeout(now);
        }
    }

    /// The other end acknowledges nothing any more.
    pub fn is_lost(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.is_lost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_split() {
        let stream = b"{\"a\":1}\n\r\n\n{\"b\":2}\r\n{\"c\"";
        for size in 1..stream.len() {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for piece in stream.chunks(size) {
                lines.feed(piece);
                while let Some(line) = lines.next_line().expect("short") {
                    got.push(line);
                }
            }
            assert_eq!(got, [b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_bounded() {
        for ended in [false, true] {
            let mut lines = Lines::default();
            lines.feed(&vec![b'x'; LONGEST]);
            assert_eq!(lines.next_line(), Ok(None));
            lines.feed(if ended { b"xx\n" } else { b"xx" });
            assert_eq!(lines.next_line(), Err(TooLong));
        }
    }
}
