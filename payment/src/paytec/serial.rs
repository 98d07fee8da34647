//! The frames of a serial line, sans-IO: `10 00`, sequence number, type, payload, CRC, `10 FF`; each 10h between is
//! doubled.
//!
//! The receiver of a frame answers `10 11` if it is whole and `10 12` if it is not. One frame is on its way at a time; it
//! is repeated after a negative answer, and after 350 ms without one, three times in all. A frame that repeats the one
//! before is answered and dropped. That is not relied upon where money moves: a terminal that starts anew in between
//! knows no frame before. Such a frame is repeated after a negative answer only; without one its outcome is found
//! by asking.
//!
//! Source: the vendor's library (PayTecAG/ecritf @05c5394). What follows sequence number 255 is not known; here it is 0.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// The longest frame, before 10h is doubled.
pub const LONGEST: usize = 20_480;
/// The speed of the line.
pub const BAUD: u32 = 115_200;

const DLE: u8 = 0x10;
const START: u8 = 0x00;
const END: u8 = 0xff;
const ACK: u8 = 0x11;
const NAK: u8 = 0x12;
/// How long the answer to a frame may take, besides the time that the bytes take.
const ANSWER: Duration = Duration::from_millis(350);
/// How often a frame is sent in all.
const TRIES: u8 = 3;

/// Whose frames these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Type 11h goes out, 91h comes in.
    Till,
    /// The other way round.
    Terminal,
}

impl End {
    fn sends(self) -> u8 {
        match self {
            Self::Till => 0x11,
            Self::Terminal => 0x91,
        }
    }

    fn receives(self) -> u8 {
        match self {
            Self::Till => 0x91,
            Self::Terminal => 0x11,
        }
    }
}

/// One end of a serial line. `Debug` does not show what passes.
pub struct Frames {
    end: End,
    baud: u32,
    reader: Reader,
    /// Number and content of the frame that came last.
    last: Option<Vec<u8>>,
    payloads: VecDeque<Vec<u8>>,
    answers: VecDeque<u8>,
    queue: VecDeque<(Vec<u8>, bool)>,
    current: Option<Current>,
    sequence: u8,
    lost: bool,
}

/// The frame that is on its way.
struct Current {
    bytes: Vec<u8>,
    /// It may arrive twice.
    twice: bool,
    tries: u8,
    /// To be sent now.
    due: bool,
    deadline: Option<Instant>,
}

#[derive(Default)]
struct Reader {
    /// Sequence number, type, payload and CRC so far; `None` outside of a frame.
    content: Option<Vec<u8>>,
    escaped: bool,
}

enum Read {
    Nothing,
    Frame(Vec<u8>),
    Damaged,
    Ack,
    Nak,
}

impl Reader {
    fn byte(&mut self, byte: u8) -> Read {
        if !std::mem::take(&mut self.escaped) {
            if byte == DLE {
                self.escaped = true;
                return Read::Nothing;
            }
            return self.content(byte);
        }
        match byte {
            START => self.content = Some(Vec::new()),
            END => {
                return match self.content.take() {
                    Some(content) => whole(content).map_or(Read::Damaged, Read::Frame),
                    None => Read::Nothing,
                };
            }
            ACK => return Read::Ack,
            NAK => return Read::Nak,
            DLE => return self.content(byte),
            // No such sequence: the frame is damaged, and its sender repeats it.
            _ => self.content = None,
        }
        Read::Nothing
    }

    fn content(&mut self, byte: u8) -> Read {
        if let Some(content) = &mut self.content {
            content.push(byte);
            if content.len() > LONGEST {
                self.content = None;
                return Read::Damaged;
            }
        }
        Read::Nothing
    }
}

/// Sequence number, type and payload, if the CRC fits.
fn whole(mut content: Vec<u8>) -> Option<Vec<u8>> {
    let at = content.len().checked_sub(2).filter(|at| *at >= 2)?;
    let sent = u16::from_be_bytes([content[at], content[at + 1]]);
    content.truncate(at);
    (crc(&content) == sent).then_some(content)
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { end, sequence, lost, .. } = self;
        f.debug_struct("Frames")
            .field("end", end)
            .field("sequence", sequence)
            .field("lost", lost)
            .finish_non_exhaustive()
    }
}

impl Frames {
    /// This end of a fresh line.
    pub fn new(end: End, baud: u32) -> Self {
        Self {
            end,
            baud: baud.max(50),
            reader: Reader::default(),
            last: None,
            payloads: VecDeque::new(),
            answers: VecDeque::new(),
            queue: VecDeque::new(),
            current: None,
            sequence: 0,
            lost: false,
        }
    }

    /// Takes in bytes of the line.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.reader.byte(*byte) {
                Read::Nothing => {}
                Read::Frame(content) => self.received(content),
                Read::Damaged => self.answers.push_back(NAK),
                Read::Ack => self.current = self.current.take().filter(|current| current.due),
                Read::Nak => self.again(true),
            }
        }
    }

    fn received(&mut self, content: Vec<u8>) {
        // An echo of this end's own frames, or a type that is not known.
        if content[1] != self.end.receives() {
            return;
        }
        match &self.last {
            Some(last) if *last == content => self.answers.push_back(ACK),
            Some(last) if last[0] == content[0] => self.answers.push_back(NAK),
            _ => {
                self.answers.push_back(ACK);
                self.payloads.push_back(content[2..].to_vec());
                self.last = Some(content);
            }
        }
    }

    /// Payload of the next frame.
    pub fn next_payload(&mut self) -> Option<Vec<u8>> {
        self.payloads.pop_front()
    }

    /// Sends `payload`, in as many frames as it needs. If it must not arrive `twice` it is repeated only when the other
    /// end says that it was damaged.
    pub fn send(&mut self, payload: Vec<u8>, twice: bool) {
        for part in payload.chunks(LONGEST - 4) {
            self.queue.push_back((part.to_vec(), twice));
        }
    }

    /// The next bytes for the line.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(vec![DLE, answer]);
        }
        if self.lost {
            return None;
        }
        if self.current.is_none()
            && let Some((payload, twice)) = self.queue.pop_front()
        {
            self.sequence = self.sequence.wrapping_add(1);
            let bytes = frame(self.sequence, self.end.sends(), &payload);
            self.current = Some(Current { bytes, twice, tries: 0, due: true, deadline: None });
        }
        let current = self.current.as_mut().filter(|current| current.due)?;
        (current.due, current.tries) = (false, current.tries + 1);
        // Ten bits a byte.
        let bits = u32::try_from(current.bytes.len()).unwrap_or(u32::MAX).saturating_mul(10);
        current.deadline = Some(now + ANSWER + Duration::from_secs(1) * bits / self.baud);
        Some(current.bytes.clone())
    }

    /// When [`Frames::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.current.as_ref().and_then(|current| current.deadline)
    }

    /// Handles deadlines that have passed by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.again(false);
        }
    }

    /// The other end has answered nothing, three times.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The frame was damaged, or not answered.
    fn again(&mut self, damaged: bool) {
        let Some(current) = self.current.as_mut().filter(|current| !current.due) else { return };
        if !damaged && !current.twice {
            // It may have arrived. What comes of it is waited for elsewhere.
            self.current = None;
        } else if current.tries < TRIES {
            (current.due, current.deadline) = (true, None);
        } else {
            self.lost = true;
            self.current = None;
        }
    }
}

/// A frame as it goes over the line.
pub fn frame(sequence: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut content = vec![sequence, kind];
    content.extend_from_slice(payload);
    content.extend(crc(&content).to_be_bytes());
    let mut out = vec![DLE, START];
    for byte in content {
        out.push(byte);
        if byte == DLE {
            out.push(DLE);
        }
    }
    out.extend([DLE, END]);
    out
}

/// CRC-16/XMODEM: polynomial 1021h, initially 0.
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
#[path = "serial_tests.rs"]
mod tests;
