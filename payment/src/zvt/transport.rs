//! What carries APDUs: a stream that delimits them by their length, or a serial line with frames of its own.
//!
//! The session above sees whole APDUs, and whether what it sent has arrived; it does not know which transport it uses.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::framing::{Framing, Invalid};
use super::serial::{self, Line, Timing};
use super::wire::Apdu;

/// How APDUs are framed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framed {
    /// By their length alone, as over TCP (PA00P015, chapter 1).
    #[default]
    ByLength,
    /// DLE STX … DLE ETX CRC, as over a serial line.
    Serial(Timing),
}

/// One end of a connection.
#[derive(Debug)]
pub struct Transport(Way);

#[derive(Debug)]
enum Way {
    Stream { framing: Framing, failed: bool, out: VecDeque<Vec<u8>>, sent: VecDeque<u16> },
    Serial { line: Box<Line>, received: Vec<u8>, passed: u64 },
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// An APDU came.
    Apdu(Apdu<'a>),
    /// What came is no APDU.
    Invalid(Invalid),
    /// The message that began with this class and instruction has arrived, as far as the transport can tell.
    Delivered(u16),
    /// Nobody knows whether it has arrived.
    Undelivered(u16),
}

impl Default for Transport {
    fn default() -> Self {
        Self::new(Framed::ByLength)
    }
}

impl Transport {
    /// A transport over which nothing has passed.
    pub fn new(framed: Framed) -> Self {
        Self(match framed {
            Framed::ByLength => {
                Way::Stream { framing: Framing::tcp(), failed: false, out: VecDeque::new(), sent: VecDeque::new() }
            }
            Framed::Serial(timing) => {
                Way::Serial { line: Box::new(Line::new(timing)), received: Vec::new(), passed: 0 }
            }
        })
    }

    /// Sends a whole APDU.
    pub fn send(&mut self, apdu: Vec<u8>, now: Instant) {
        match &mut self.0 {
            Way::Stream { framing, out, sent, .. } => {
                let code = apdu.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                let mut bytes = Vec::with_capacity(apdu.len());
                framing.encode(&mut bytes, &apdu);
                out.push_back(bytes);
                sent.push_back(code);
            }
            Way::Serial { line, .. } => line.send(apdu, now),
        }
    }

    /// Takes in bytes from the link, split or coalesced in any way.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        match &mut self.0 {
            Way::Stream { framing, .. } => framing.feed(bytes),
            Way::Serial { line, .. } => line.handle_input(bytes, now),
        }
    }

    /// Handles deadlines that have passed by `now`. First take in what has arrived.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Way::Serial { line, .. } = &mut self.0 {
            line.handle_timeout(now);
        }
    }

    /// When [`Transport::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.0 {
            Way::Stream { .. } => None,
            Way::Serial { line, .. } => line.poll_timeout(),
        }
    }

    /// The bytes to send next over the link.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        match &mut self.0 {
            Way::Stream { out, .. } => out.pop_front(),
            Way::Serial { line, .. } => line.poll_transmit(),
        }
    }

    /// What happened next. After [`Event::Invalid`] a stream has no more events.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        match &mut self.0 {
            Way::Stream { failed, framing, sent, .. } => {
                if let Some(code) = sent.pop_front() {
                    return Some(Event::Delivered(code));
                }
                if *failed {
                    return None;
                }
                match framing.next_apdu() {
                    Ok(apdu) => apdu.map(Event::Apdu),
                    Err(invalid) => {
                        *failed = true;
                        Some(Event::Invalid(invalid))
                    }
                }
            }
            Way::Serial { line, received, passed } => Some(match line.poll_event()? {
                serial::Event::Delivered(code) => Event::Delivered(code),
                serial::Event::Undelivered(code) => Event::Undelivered(code),
                serial::Event::Received(bytes) => {
                    let offset = *passed;
                    *passed += bytes.len() as u64;
                    *received = bytes;
                    match Apdu::whole(received) {
                        Some(apdu) => Event::Apdu(apdu),
                        None => Event::Invalid(Invalid { offset, byte: received.first().copied().unwrap_or_default() }),
                    }
                }
            }),
        }
    }
}

impl Framed {
    /// How long it takes at most to know whether a message has arrived; none where nothing tells.
    pub fn delivery(self) -> Duration {
        match self {
            Self::ByLength => Duration::ZERO,
            Self::Serial(timing) => timing.delivery(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_one_whole_apdu() {
        let now = Instant::now();
        for (bytes, whole) in [
            (&[0x80, 0x00, 0x00][..], true),
            (&[0x04, 0xff, 0xff, 2, 0, 0x0a, 1], true),
            (&[0x04, 0x0f, 0x03, 0x27, 0x00], false),
            (&[0x80, 0x00, 0x00, 0x80], false),
            (&[0x80, 0x00], false),
            (&[], false),
            (&[0x41, 0x00, 0x00], false),
        ] {
            let mut transport = Transport::new(Framed::Serial(Timing::default()));
            transport.handle_input(&serial::frame::encode(bytes), now);
            match transport.poll_event().expect("it came") {
                Event::Apdu(apdu) => assert!(whole && apdu.bytes == bytes, "{bytes:02x?}"),
                Event::Invalid(_) => assert!(!whole, "{bytes:02x?}"),
                other => panic!("{other:?}"),
            }
            assert_eq!(transport.poll_transmit(), Some(vec![0x06]), "a frame that can be read is acknowledged");
        }
    }

    #[test]
    fn a_stream_that_is_no_zvt_says_so_once() {
        let mut transport = Transport::default();
        transport.handle_input(b"HTTP", Instant::now());
        assert!(matches!(transport.poll_event(), Some(Event::Invalid(Invalid { offset: 0, byte: b'H' }))));
        assert_eq!(transport.poll_event(), None);
    }
}
