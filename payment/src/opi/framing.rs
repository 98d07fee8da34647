//! Messages on a stream: four bytes of length, big-endian, counting bytes, then the XML.

use std::time::{Duration, Instant};

/// Bytes of one message; receipts of ten pages fit.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// A message that has begun must be complete within this time.
pub const MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// A stream's bytes, cut into messages.
#[derive(Debug, Default)]
pub struct Framing {
    buffer: Vec<u8>,
    /// When the message that is not complete began.
    since: Option<Instant>,
    /// When the last bytes came.
    fed: Option<Instant>,
}

/// The stream announces a message that is too long: this is no OPI, or nothing tells where the next message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong(
    /// The announced length.
    pub u32,
);

impl Framing {
    /// Takes what has arrived, split anywhere.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) {
        if !bytes.is_empty() {
            self.since.get_or_insert(now);
            self.fed = Some(now);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message without its length. Empty ones are skipped.
    ///
    /// # Errors
    /// The stream cannot be read on.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        while let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
            let announced = u32::from_be_bytes(*length);
            let length = usize::try_from(announced).unwrap_or(usize::MAX);
            if length > MAX_MESSAGE {
                return Err(TooLong(announced));
            }
            if rest.len() < length {
                return Ok(None);
            }
            let message = rest[..length].to_vec();
            self.buffer.drain(..4 + length);
            // What follows came with the last bytes.
            self.since = self.fed.filter(|_| !self.buffer.is_empty());
            if !message.is_empty() {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// When the message that has begun must be complete.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.filter(|_| !self.buffer.is_empty()).map(|since| since + MESSAGE_WITHIN)
    }

    /// How many bytes wait for the rest of their message.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

/// Adds the length before a message.
///
/// # Panics
/// The message is longer than [`MAX_MESSAGE`], which no message of this crate is.
pub fn frame(message: &[u8]) -> Vec<u8> {
    assert!(message.len() <= MAX_MESSAGE, "messages of a till are short");
    let mut framed = u32::try_from(message.len()).expect("checked").to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_bytes_and_takes_any_split() {
        // The umlaut is two bytes: a length in characters would be 10.
        let stream = b"\x00\x00\x00\x0b<a>\xc3\xa4</a>\n\n\x00\x00\x00\x00\x00\x00\x00\x04<b/>";
        for split in 0..=stream.len() {
            let now = Instant::now();
            let mut framing = Framing::default();
            let mut messages = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                framing.feed(part, now);
                while let Some(message) = framing.next_message().expect("short") {
                    messages.push(message);
                }
            }
            assert_eq!(messages, [&b"<a>\xc3\xa4</a>\n\n"[..], b"<b/>"], "split at {split}");
            assert_eq!((framing.pending(), framing.deadline()), (0, None));
        }
    }

    #[test]
    fn an_http_answer_is_too_long_and_half_a_message_has_a_deadline() {
        let now = Instant::now();
        let mut framing = Framing::default();
        framing.feed(b"HTTP/1.1 400", now);
        assert_eq!(framing.next_message(), Err(TooLong(0x4854_5450)));
        let mut framing = Framing::default();
        framing.feed(&[0, 0], now);
        assert_eq!((framing.next_message(), framing.deadline()), (Ok(None), Some(now + MESSAGE_WITHIN)));
    }
}
