//! The serial line of the terminal, by hand: frames, checksum, ACK and NAK, repetitions (ZVT specification, chapter
//! "Transport protocol").

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::timeout;

use crate::Channel;

const DLE: u8 = 0x10;

/// `10 02`, the message with each 10 doubled, `10 03`, the checksum.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = vec![DLE, 0x02];
    for byte in message {
        out.extend(if *byte == DLE { vec![DLE, DLE] } else { vec![*byte] });
    }
    let sum = checksum(message);
    out.extend([DLE, 0x03, (sum % 256) as u8, (sum / 256) as u8]);
    out
}

/// Bit by bit: shifted to the right, with 8408 wherever a one falls out; the 03 counts, doubled 10s count once.
pub fn checksum(message: &[u8]) -> u16 {
    let mut sum = 0_u16;
    for byte in message.iter().chain(&[0x03]) {
        for bit in 0..8 {
            let out = (sum & 1 == 1) != (byte >> bit & 1 == 1);
            sum >>= 1;
            if out {
                sum ^= 0x8408;
            }
        }
    }
    sum
}

/// What stands at the beginning of a line's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// 06.
    Ack,
    /// 15.
    Nak,
    /// A message whose checksum is right.
    Message(Vec<u8>),
    /// A frame that is none.
    Bad,
}

/// Takes the first thing out of `raw`; `None` if more is needed.
pub fn take(raw: &mut Vec<u8>) -> Option<Heard> {
    match raw.first()? {
        0x06 => {
            raw.remove(0);
            return Some(Heard::Ack);
        }
        0x15 => {
            raw.remove(0);
            return Some(Heard::Nak);
        }
        _ => {}
    }
    let Some(start) = raw.windows(2).position(|w| w == [DLE, 0x02]) else {
        // Not a frame so far; a last 10 may begin one.
        let keep = usize::from(raw.last() == Some(&DLE));
        raw.drain(..raw.len() - keep);
        return None;
    };
    raw.drain(..start);
    let (mut message, mut at) = (Vec::new(), 2);
    loop {
        match (raw.get(at)?, raw.get(at + 1)) {
            (&DLE, None) => return None,
            (&DLE, Some(&DLE)) => {
                message.push(DLE);
                at += 2;
            }
            (&DLE, Some(0x03)) => {
                let (low, high) = (*raw.get(at + 2)?, *raw.get(at + 3)?);
                raw.drain(..at + 4);
                let right = checksum(&message) == u16::from(high) * 256 + u16::from(low);
                return Some(if right { Heard::Message(message) } else { Heard::Bad });
            }
            (&DLE, Some(_)) => {
                raw.clear();
                return Some(Heard::Bad);
            }
            (byte, _) => {
                message.push(*byte);
                at += 1;
            }
        }
    }
}

/// A byte channel with frames of the serial line on it; the terminal above hears and says whole messages.
#[derive(Debug)]
pub struct SerialLine<C> {
    inner: C,
    raw: Vec<u8>,
    /// The beginning of a message that the terminal has not said to its end.
    saying: Vec<u8>,
    inbox: VecDeque<Vec<u8>>,
    /// The message heard last, unless something that was said since has arrived.
    last: Option<Vec<u8>>,
}

impl<C: Channel> SerialLine<C> {
    /// The line over `inner`.
    pub fn new(inner: C) -> Self {
        Self { inner, raw: Vec::new(), saying: Vec::new(), inbox: VecDeque::new(), last: None }
    }

    async fn hears(&mut self, message: Vec<u8>) -> bool {
        if self.last.as_ref() != Some(&message) {
            self.inbox.push_back(message.clone());
            self.last = Some(message);
        }
        self.inner.send(&[0x06]).await
    }

    /// More bytes; false at the end of the link. Half a frame waits 200 ms for its rest.
    async fn read(&mut self) -> bool {
        let more = match self.raw.is_empty() {
            true => self.inner.recv().await,
            false => match timeout(Duration::from_millis(200), self.inner.recv()).await {
                Ok(more) => more,
                Err(_) => {
                    let begun = self.raw.starts_with(&[DLE, 0x02]);
                    self.raw.clear();
                    return !begun || self.inner.send(&[0x15]).await;
                }
            },
        };
        more.map(|more| self.raw.extend(more)).is_some()
    }

    /// Says one message, three times at most.
    async fn say(&mut self, message: &[u8]) -> bool {
        let frame = frame(message);
        for _ in 0..3 {
            if !self.inner.send(&frame).await {
                return false;
            }
            match timeout(Duration::from_secs(5), self.answer()).await {
                Ok(None) => return false,
                Ok(Some(true)) => {
                    self.last = None;
                    return true;
                }
                Ok(Some(false)) | Err(_) => {}
            }
        }
        // Nobody hears it.
        true
    }

    /// The answer to a frame: whether it has arrived. Another message says so, too.
    async fn answer(&mut self) -> Option<bool> {
        loop {
            match take(&mut self.raw) {
                Some(Heard::Ack) => return Some(true),
                Some(Heard::Nak) => return Some(false),
                Some(Heard::Message(message)) => {
                    let again = self.last.as_ref() == Some(&message);
                    if !self.hears(message).await {
                        return None;
                    }
                    if !again {
                        return Some(true);
                    }
                }
                Some(Heard::Bad) => {
                    if !self.inner.send(&[0x15]).await {
                        return None;
                    }
                }
                None => {
                    if !self.read().await {
                        return None;
                    }
                }
            }
        }
    }
}

impl<C: Channel> Channel for SerialLine<C> {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Some(message);
            }
            match take(&mut self.raw) {
                Some(Heard::Message(message)) => {
                    self.hears(message).await;
                }
                Some(Heard::Bad) => {
                    self.inner.send(&[0x15]).await;
                }
                Some(Heard::Ack | Heard::Nak) => {}
                None => {
                    if !self.read().await {
                        return None;
                    }
                }
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.saying.extend(bytes);
        while let Some(message) = super::bytes::take(&mut self.saying) {
            if !self.say(&message).await {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification, and of the tests of `ecrterm`: an answer, a refusal, a payment with a 10 in its amount.
    const KNOWN: [&[u8]; 3] = [
        &[0x10, 0x02, 0x80, 0x00, 0x00, 0x10, 0x03, 0xf5, 0x1f],
        &[0x10, 0x02, 0x84, 0x9c, 0x00, 0x10, 0x03, 0xc3, 0x41],
        &[
            0x10, 0x02, 0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x01, 0x10, 0x10, 0x00, 0x49, 0x09, 0x78, 0x10, 0x03,
            0xf2, 0xff,
        ],
    ];

    #[test]
    fn frames_are_as_published() {
        for known in KNOWN {
            let mut raw = known.to_vec();
            let Some(Heard::Message(message)) = take(&mut raw) else { panic!("{known:02x?}") };
            assert!(raw.is_empty());
            assert_eq!(frame(&message), known);
            let mut wrong = known.to_vec();
            wrong[3] ^= 0x20;
            assert_eq!(take(&mut wrong), Some(Heard::Bad));
        }
    }
}
