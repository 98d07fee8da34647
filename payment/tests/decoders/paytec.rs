//! PayTec's lines and frames: no bytes may panic framing, JSON, session, simulator or masking, and what is read is written
//! and read again.

use std::time::{Duration, Instant};

use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::sim::Device as _;
use tresen_payment::paytec::Redactor;
use tresen_payment::paytec::framing::Framing;
use tresen_payment::paytec::serial::{BAUD, End, Frames, frame};
use tresen_payment::paytec::session::Session;
use tresen_payment::paytec::sim::{Profile, Simulator};
use tresen_payment::paytec::wire::Message;

/// Reads, writes, answers and masks the bytes.
pub(crate) fn decode(bytes: &[u8]) {
    let now = Instant::now();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(message) = Message::from_line(line) {
            let again = Message::from_line(message.to_line().trim_ascii_end());
            assert_eq!(again.as_ref(), Ok(&message), "what is written can be read");
        }
    }
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for mut framing in [Framing::lines(), Framing::serial(Frames::new(End::Till, BAUD))] {
        let mut session = Session::new(now);
        let _ = session.request(Message::StatusRequest {}, now + Duration::from_secs(30));
        for piece in [first, second] {
            framing.feed(piece);
            while let Ok(Some(line)) = framing.next_line() {
                session.handle_line(&line, now);
            }
            while framing.poll_transmit(now).is_some() {}
        }
        session.handle_timeout(now + Duration::from_secs(60));
        while session.poll_event().is_some() {}
    }
    for serial in [false, true] {
        let mut sim = Simulator::new(Profile { serial, ..Profile::default() });
        sim.connected(now);
        sim.input(bytes, now);
        sim.input(&frame(1, 0x11, bytes), now);
        sim.timeout(now + Duration::from_secs(60));
        sim.disconnected(now);
    }
    // However it is split, the masked stream has the length of the other.
    let mut redactor = Redactor::default();
    let mut masked = redactor.feed(Direction::Received, first);
    masked.extend(redactor.feed(Direction::Received, second));
    masked.extend(redactor.finish(Direction::Received));
    assert_eq!(masked.len(), bytes.len());
}
