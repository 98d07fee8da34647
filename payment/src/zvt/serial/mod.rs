//! ZVT over a serial line, sans-IO (PA00P015, chapter "Transport protocol"): frames with a checksum, each of which the
//! other side answers with ACK or NAK before the next one is sent.
//!
//! | timer | is |
//! |---|---|
//! | T1, 200 ms | between two characters of a frame; then the frame is answered NAK |
//! | T2, 5 s | for the answer to a frame; then it is sent again, twice at most |
//!
//! **Money.** A command that moves money is sent again after a NAK only: the terminal has said that it could not read
//! it. Where T2 passes without an answer it may have arrived, so [`Line`] gives up and says so. What may be sent again
//! is listed; everything else is taken for money.
//!
//! **Frames that come twice.** ZVT does not number its frames. Sender and receiver take turns, so a frame is a
//! repetition if it is the last one once more, and nothing that was sent since has been acknowledged. It is
//! acknowledged and not handed out.
//!
//! **An acknowledgement that was lost.** The answer of the other side (80 00 00, 84 xx) to a command proves that the
//! command has arrived; any further message proves that the answer before it has.

mod crc;
pub mod frame;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::wire;
use frame::{ACK, Decoder, Item, NAK};

/// The timers of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// T1: between two characters of a frame. 200 ms.
    pub t1: Duration,
    /// T2: for the answer to a frame, counted from its last character. 5 s.
    pub t2: Duration,
    /// How often a frame is sent again. 2.
    pub repeats: u8,
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(200), t2: Duration::from_secs(5), repeats: 2 }
    }
}

impl Timing {
    /// For a converter that carries the line over a network: T1 is 1 s, since networks deliver in bursts.
    pub fn over_network() -> Self {
        Self { t1: Duration::from_secs(1), ..Self::default() }
    }

    /// How long it takes at most to know whether a short frame has arrived.
    pub fn delivery(&self) -> Duration {
        self.t2 * (u32::from(self.repeats) + 1)
    }
}

/// What happened on the line.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// What stood in a frame.
    Received(Vec<u8>),
    /// The other side has this message, which begins with this class and instruction.
    Delivered(u16),
    /// Nobody knows whether the other side has this message.
    Undelivered(u16),
}

/// Shows no bytes: they may hold a card number.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(apdu) => write!(f, "Received({} bytes)", apdu.len()),
            Self::Delivered(code) => write!(f, "Delivered({code:04x})"),
            Self::Undelivered(code) => write!(f, "Undelivered({code:04x})"),
        }
    }
}

/// One end of a line.
pub struct Line {
    timing: Timing,
    decoder: Decoder,
    /// When the last character came.
    heard: Option<Instant>,
    waiting: VecDeque<Vec<u8>>,
    flight: Option<Flight>,
    last: Option<Accepted>,
    out: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// A frame that was sent and has not been answered.
struct Flight {
    code: u16,
    frame: Vec<u8>,
    left: u8,
    until: Instant,
    /// It was sent after the last frame was accepted.
    after_last: bool,
}

/// The frame that was accepted last.
struct Accepted {
    apdu: Vec<u8>,
    at: Instant,
    /// Something that was sent since has arrived: the same bytes would be a new message.
    answered: bool,
}

impl Line {
    /// A line on which nothing has passed.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            decoder: Decoder::default(),
            heard: None,
            waiting: VecDeque::new(),
            flight: None,
            last: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Sends `apdu` once everything before it was answered.
    pub fn send(&mut self, apdu: Vec<u8>, now: Instant) {
        self.waiting.push_back(apdu);
        self.send_next(now);
    }

    /// Takes in characters from the line.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.heard = Some(now);
        for byte in bytes {
            if let Some(item) = self.decoder.feed(*byte) {
                self.handle(item, now);
            }
        }
    }

    /// Handles deadlines that have passed by `now`. First take in what has arrived.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.t1_ends().is_some_and(|at| at <= now)
            && let Some(item) = self.decoder.silence()
        {
            self.handle(item, now);
        }
        if let Some(flight) = self.flight.take_if(|flight| flight.until <= now) {
            let again = may_be_sent_again(flight.code);
            self.send_again(flight, again, now);
        }
    }

    /// When [`Line::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.t1_ends().into_iter().chain(self.flight.as_ref().map(|flight| flight.until)).min()
    }

    /// What is to be sent next: a frame, an ACK or a NAK.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn t1_ends(&self) -> Option<Instant> {
        self.heard.filter(|_| self.decoder.is_open()).map(|at| at + self.timing.t1)
    }

    fn handle(&mut self, item: Item, now: Instant) {
        match item {
            Item::Ack => self.delivered(now),
            Item::Nak => {
                if let Some(flight) = self.flight.take() {
                    self.send_again(flight, true, now);
                }
            }
            Item::Broken => self.out.push_back(vec![NAK]),
            Item::Frame(apdu) => {
                self.out.push_back(vec![ACK]);
                self.accept(apdu, now);
            }
        }
    }

    fn accept(&mut self, apdu: Vec<u8>, now: Instant) {
        // The last repetition is sent after so many T2.
        let within = self.timing.t2 * u32::from(self.timing.repeats) + self.timing.t2 / 2 + sending(apdu.len());
        let again =
            self.last.as_ref().is_some_and(|last| !last.answered && last.apdu == apdu && now < last.at + within);
        if again {
            tracing::debug!(length = apdu.len(), "a frame came again");
            return;
        }
        let answers = |flight: &Flight| wire::is_answer(code(&apdu)) || wire::is_answer(flight.code);
        if self.flight.as_ref().is_some_and(answers) {
            self.delivered(now);
        }
        self.last = Some(Accepted { apdu: apdu.clone(), at: now, answered: false });
        if let Some(flight) = &mut self.flight {
            flight.after_last = false;
        }
        self.events.push_back(Event::Received(apdu));
    }

    fn delivered(&mut self, now: Instant) {
        let Some(flight) = self.flight.take() else { return };
        if let Some(last) = self.last.as_mut().filter(|_| flight.after_last) {
            last.answered = true;
        }
        self.events.push_back(Event::Delivered(flight.code));
        self.send_next(now);
    }

    fn send_again(&mut self, mut flight: Flight, may: bool, now: Instant) {
        if may && flight.left > 0 {
            flight.left -= 1;
            flight.until = now + self.timing.t2 + sending(flight.frame.len());
            self.out.push_back(flight.frame.clone());
            self.flight = Some(flight);
            return;
        }
        self.events.push_back(Event::Undelivered(flight.code));
        // The turn is over: whatever comes now begins a new one.
        self.last = None;
        // Commands that were to follow depend on it; answers do not.
        for apdu in std::mem::take(&mut self.waiting) {
            match code(&apdu) {
                code if wire::is_answer(code) => self.waiting.push_back(apdu),
                code => self.events.push_back(Event::Undelivered(code)),
            }
        }
        self.send_next(now);
    }

    fn send_next(&mut self, now: Instant) {
        if self.flight.is_some() {
            return;
        }
        let Some(apdu) = self.waiting.pop_front() else { return };
        let frame = frame::encode(&apdu);
        self.out.push_back(frame.clone());
        let until = now + self.timing.t2 + sending(frame.len());
        self.flight = Some(Flight { code: code(&apdu), frame, left: self.timing.repeats, until, after_last: true });
    }
}

/// Shows no bytes: they may hold a card number.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("timing", &self.timing)
            .field("decoder", &self.decoder)
            .field("waiting", &self.waiting.len())
            .field("unanswered", &self.flight.as_ref().map(|flight| flight.code))
            .finish_non_exhaustive()
    }
}

/// Whether a message does no harm if it arrives twice: answers, enquiries, texts, and all that the terminal tells.
fn may_be_sent_again(code: u16) -> bool {
    wire::is_answer(code)
        || matches!(code, 0x0401 | 0x040c | 0x040d | 0x040f | 0x04ff | 0x0501)
        || matches!(code, 0x0600 | 0x0602 | 0x060f | 0x0610 | 0x0612 | 0x061a | 0x061b | 0x061e | 0x0620)
        || matches!(code, 0x0670 | 0x0693 | 0x06b0 | 0x06c0 | 0x06d0..=0x06d3 | 0x06e0..=0x06e8 | 0x0830)
}

fn code(apdu: &[u8]) -> u16 {
    match apdu {
        [class, instr, ..] => u16::from_be_bytes([*class, *instr]),
        _ => 0,
    }
}

/// How long `length` characters take: 11 bits each at 9600 baud, the slowest that ZVT is used with.
fn sending(length: usize) -> Duration {
    Duration::from_micros(1146) * u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
