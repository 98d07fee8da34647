//! A recording that replaces the device: it answers as recorded, provided that the same bytes are sent.
//!
//! Chunk boundaries of sent bytes do not matter, only the bytes and their order.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::hex::unhex;
use super::record::Direction;
use crate::{BoxFuture, Error, Kind, Link, Result};

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The address or description in the first line.
    pub label: String,
    /// Chunks in order.
    pub chunks: Vec<(Direction, Vec<u8>)>,
}

impl Capture {
    /// Reads the capture in a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a capture; the error names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        Self::parse(&text).map_err(|e| e.at(path.display()))
    }

    /// Reads a capture as [`super::record`] writes it.
    ///
    /// # Errors
    /// [`Kind::Input`] names the line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |line: usize, why: &str| Error::new(Kind::Input, format!("line {}: {why}", line + 1)).at("capture");
        let mut lines = text.lines().enumerate();
        let label = lines.next().and_then(|(_, line)| Entry::label(line)).ok_or_else(|| bad(0, NO_CAPTURE))?.to_owned();
        let mut chunks = Vec::new();
        for (at, line) in lines.filter(|(_, l)| !l.trim().is_empty()) {
            match Entry::parse(line).map_err(|why| bad(at, why))? {
                Entry::Chunk { direction, bytes, .. } => chunks.push((direction, bytes)),
                Entry::End { .. } => break,
            }
        }
        Ok(Self { label, chunks })
    }
}

/// A line of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Bytes, and when they passed, since the start.
    Chunk {
        /// When.
        at: Duration,
        /// Which way.
        direction: Direction,
        /// What.
        bytes: Vec<u8>,
    },
    /// The end of the link.
    End {
        /// When.
        at: Duration,
    },
}

impl Entry {
    /// The address or description in the first line of a capture; `None` if this is none.
    pub fn label(first: &str) -> Option<&str> {
        first.strip_prefix("tresen-capture 1 ")
    }

    /// Reads one of the further lines.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split(' ');
        let at = words.next().and_then(|seconds| seconds.parse().ok());
        let at = at.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or("expected seconds")?;
        let direction = match words.next() {
            Some(">") => Direction::Sent,
            Some("<") => Direction::Received,
            Some("!") => return Ok(Self::End { at }),
            _ => return Err("expected `>`, `<` or `!` after the time"),
        };
        let bytes = words.next().and_then(unhex).ok_or("expected bytes as pairs of hex digits")?;
        Ok(Self::Chunk { at, direction, bytes })
    }
}

/// What is wrong with a file that is no capture.
const NO_CAPTURE: &str = "does not begin with `tresen-capture 1`";

/// A link that replays a [`Capture`].
#[derive(Debug)]
pub struct Replay {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<(Direction, VecDeque<u8>)>,
    /// How many chunks at the front [`Link::send`] may skip: they were received, or are used up.
    skip: usize,
    sent: usize,
}

impl Replay {
    /// Plays the capture in a file from its beginning.
    ///
    /// # Errors
    /// The file cannot be read, or is not a capture; the error names the line.
    pub fn open(path: &Path) -> Result<Self> {
        Capture::read(path).map(Self::new)
    }

    /// Plays `capture` from its beginning.
    pub fn new(capture: Capture) -> Self {
        let chunks = capture.chunks.into_iter().map(|(direction, bytes)| (direction, bytes.into())).collect();
        Self { state: Mutex::new(State { chunks, skip: 0, sent: 0 }), moved: Notify::new() }
    }
}

impl Link for Replay {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut state = self.state.lock().await;
            let State { chunks, skip, sent } = &mut *state;
            for &byte in bytes {
                // Answers recorded before this byte may not have been received yet; skip them.
                while chunks.get(*skip).is_some_and(|(d, chunk)| *d == Direction::Received || chunk.is_empty()) {
                    *skip += 1;
                }
                let next = chunks.get_mut(*skip).map(|(_, chunk)| chunk);
                let recorded = next.as_ref().and_then(|chunk| chunk.front().copied());
                if recorded != Some(byte) {
                    let recorded = recorded.map_or("ends there".to_owned(), |recorded| format!("has {recorded:02x}"));
                    let why = format!("sent byte {sent} is {byte:02x}, but the recording {recorded}");
                    return Err(Error::new(Kind::Protocol, why).at("replay"));
                }
                next.map(VecDeque::pop_front);
                *sent += 1;
            }
            drop(state);
            self.moved.notify_waiters();
            self.moved.notify_one();
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            loop {
                let moved = self.moved.notified();
                {
                    let mut state = self.state.lock().await;
                    while state.chunks.front().is_some_and(|(d, c)| *d == Direction::Sent && c.is_empty()) {
                        state.chunks.pop_front();
                        state.skip = state.skip.saturating_sub(1);
                    }
                    match state.chunks.front() {
                        None => return Err(Error::new(Kind::Closed, "the recording ends here").at("replay")),
                        Some((Direction::Received, _)) => {
                            let (_, chunk) = state.chunks.pop_front().expect("there is a front");
                            state.skip = state.skip.saturating_sub(1);
                            into.extend(&chunk);
                            return Ok(chunk.len());
                        }
                        Some((Direction::Sent, _)) => {}
                    }
                }
                moved.await;
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory;
    use crate::link::record::{Record, Redactor};

    const CAPTURE: &str = "tresen-capture 1 escpos+tcp://p:9100\n0.0 > 1004\n0.0 > 01\n0.1 < 12\n0.2 > 1b40\n0.3 !\n";

    #[tokio::test]
    async fn answers_as_recorded_whatever_the_chunks() {
        let link = Replay::new(Capture::parse(CAPTURE).expect("a capture"));
        for byte in [0x10, 0x04, 0x01] {
            link.send(&[byte]).await.expect("as recorded");
        }
        let mut got = Vec::new();
        assert_eq!(link.recv(&mut got).await.expect("the answer"), 1);
        assert_eq!(got, [0x12]);
        let error = link.send(&[0x1b, 0x41]).await.expect_err("not as recorded");
        assert!(error.to_string().contains("sent byte 4 is 41, but the recording has 40"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_waits_for_its_question() {
        let link = Replay::new(Capture::parse(CAPTURE).expect("a capture"));
        let mut got = Vec::new();
        let (answer, ()) =
            tokio::join!(link.recv(&mut got), async { link.send(&[0x10, 0x04, 0x01]).await.expect("ok") });
        assert_eq!(answer.expect("the answer"), 1);
    }

    /// Masks all that is received.
    struct Zeros;

    impl Redactor for Zeros {
        fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
            if direction == Direction::Received { vec![0; bytes.len()] } else { bytes.to_vec() }
        }
    }

    #[tokio::test]
    async fn what_is_recorded_can_be_replayed() {
        #[derive(Clone, Default)]
        struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("lock").write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (near, far) = memory::pair();
        let out = Shared::default();
        let link = Record::new(near, Box::new(out.clone()), "test", Box::new(Zeros)).expect("writable");
        link.send(&[1, 2]).await.expect("open");
        far.send(&[9]).await.expect("open");
        let mut got = Vec::new();
        link.recv(&mut got).await.expect("open");
        link.close().await;
        assert_eq!(got, [9], "the caller sees what came");
        let text = String::from_utf8(out.0.lock().expect("lock").clone()).expect("text");
        let capture = Capture::parse(&text).expect("a capture");
        assert_eq!(capture.chunks, [(Direction::Sent, vec![1, 2]), (Direction::Received, vec![0])]);
    }

    #[test]
    fn names_the_bad_line() {
        for (text, part) in [
            ("hello", "line 1"),
            ("tresen-capture 1 x\n0.0 ? 00", "line 2: expected `>`"),
            ("tresen-capture 1 x\n\n0.0 > 0", "line 3: expected bytes"),
        ] {
            let error = Capture::parse(text).expect_err(text);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
