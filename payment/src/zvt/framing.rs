//! How APDUs follow each other on a stream, sans-IO: bytes of the link to whole APDUs and back.
//!
//! Over TCP an APDU frames itself: class, instruction, length, data (PA00P015, chapter 1). A serial line has frames of
//! its own: [`serial`](super::serial).

use std::fmt;

use super::wire::{self, Apdu};

/// One end of a link: cuts what comes into APDUs and frames what goes.
///
/// What it holds is bounded: one incomplete APDU, [`wire::MAX_APDU`] bytes at most, and the bytes fed
/// last.
#[derive(Default)]
pub struct Framing {
    held: Vec<u8>,
    start: usize,
    passed: u64,
}

/// Bytes that are no APDU. There is no way back into step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// Counted from the first byte ever fed.
    pub offset: u64,
    /// The byte that is no class byte.
    pub byte: u8,
}

impl Framing {
    /// The framing of a TCP connection, with nothing received yet.
    pub fn tcp() -> Self {
        Self::default()
    }

    /// Takes in bytes from the link, split or coalesced in any way.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.drain(..self.start);
        self.start = 0;
        self.held.extend_from_slice(bytes);
    }

    /// The next whole APDU; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What comes next is no APDU. A stream that is invalid once stays so; [`Framing::pending`] counts the
    /// bytes from that place on.
    pub fn next_apdu(&mut self) -> Result<Option<Apdu<'_>>, Invalid> {
        let held = &self.held[self.start..];
        let Some(&class) = held.first() else { return Ok(None) };
        if !wire::is_class(class) {
            return Err(Invalid { offset: self.passed, byte: class });
        }
        let Some((header, length)) = wire::measure(held) else { return Ok(None) };
        if held.len() < header + length {
            return Ok(None);
        }
        let at = self.start;
        self.start += header + length;
        self.passed += (header + length) as u64;
        let bytes = &self.held[at..self.start];
        Ok(Some(Apdu { class, instr: bytes[1], data: &bytes[header..], bytes }))
    }

    /// Appends `apdu`, a whole APDU, as it goes over the link.
    pub fn encode(&self, out: &mut Vec<u8>, apdu: &[u8]) {
        out.extend_from_slice(apdu);
    }

    /// Bytes that were fed and have not been handed out.
    pub fn pending(&self) -> usize {
        self.held.len() - self.start
    }
}

/// Shows no bytes: they may hold a card number.
impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing").field("pending", &self.pending()).field("passed", &self.passed).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::ACK;
    use super::*;

    fn all(framing: &mut Framing) -> Vec<(u16, Vec<u8>)> {
        let mut got = Vec::new();
        while let Some(apdu) = framing.next_apdu().expect("valid") {
            got.push((apdu.code(), apdu.data.to_vec()));
        }
        got
    }

    #[test]
    fn cuts_coalesced_and_split_input_at_every_byte() {
        // `84 1E 01 7D` is a refusal with data, as seen in the field.
        let stream =
            [&ACK[..], &[0x84, 0x1e, 0x01, 0x7d], &[0x06, 0x0f, 0x00], &[0x04, 0xff, 0xff, 2, 0, 0x0a, 1]].concat();
        let want = vec![(0x8000, vec![]), (0x841e, vec![0x7d]), (0x060f, vec![]), (0x04ff, vec![0x0a, 1])];
        for at in 0..=stream.len() {
            let mut framing = Framing::tcp();
            framing.feed(&stream[..at]);
            let mut got = all(&mut framing);
            framing.feed(&stream[at..]);
            got.extend(all(&mut framing));
            assert_eq!(got, want, "split at {at}");
            assert_eq!(framing.pending(), 0);
        }
    }

    #[test]
    fn an_apdu_goes_over_the_link_as_it_came() {
        // The same length in the long form and in the short one.
        for apdu in [&[0x04, 0xff, 0xff, 2, 0, 0x0a, 1][..], &[0x04, 0xff, 2, 0x0a, 1]] {
            let mut framing = Framing::tcp();
            framing.feed(apdu);
            let bytes = framing.next_apdu().expect("valid").expect("whole").bytes.to_vec();
            let mut out = Vec::new();
            framing.encode(&mut out, &bytes);
            assert_eq!(out, apdu);
        }
    }

    #[test]
    fn holds_one_apdu_and_what_was_fed_last() {
        let mut framing = Framing::tcp();
        let longest = [&[0x06, 0xd3, 0xff, 0xff, 0xff][..], &[0; 0xffff]].concat();
        assert_eq!(longest.len(), wire::MAX_APDU);
        for _ in 0..3 {
            for chunk in longest.chunks(1000) {
                framing.feed(chunk);
                assert!(framing.held.len() <= wire::MAX_APDU + 1000);
                all(&mut framing);
            }
            assert_eq!(framing.pending(), 0);
        }
    }

    #[test]
    fn names_the_place_where_it_stops_being_zvt() {
        let mut framing = Framing::tcp();
        framing.feed(&ACK);
        framing.feed(b"HTTP/1.1");
        assert!(framing.next_apdu().expect("the answer").is_some());
        assert_eq!(framing.next_apdu(), Err(Invalid { offset: 3, byte: b'H' }));
        assert_eq!(framing.next_apdu(), Err(Invalid { offset: 3, byte: b'H' }));
        assert_eq!(framing.pending(), 8);
    }
}
