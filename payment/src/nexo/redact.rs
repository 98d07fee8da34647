//! Masks card data and sealed messages in captures, byte by byte, without changing a length.
//!
//! Of an HTTP head the known fields stay, of a JSON body the keys, and the values that are known to hold nothing secret;
//! a card number is masked in those, too. Everything else is masked as a whole. What cannot be followed is masked from
//! there to its end. Chunking does not matter: a value is held back until it ends.

use std::fmt;

use tresen_hal::link::record::{BothWays, Mask};

use super::http::MAX_HEAD;
use crate::pan;

/// Masks one connection's stream.
pub type Redactor = BothWays<Stream>;

/// One direction.
#[derive(Default)]
pub struct Stream {
    place: Place,
    /// Bytes of the head, or of the text or number at hand.
    held: Vec<u8>,
    /// The objects (true) and arrays around.
    depth: Vec<bool>,
    /// A key comes next.
    key_next: bool,
    /// The values of the last key stay.
    open: bool,
}

/// What is held back is not masked yet, and not shown.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} bytes held)", self.held.len())
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    /// Before the body's first brace: sizes of chunks.
    Before,
    Between,
    Text {
        escaped: bool,
    },
    /// In a text that is longer than any that stays.
    Skipped {
        escaped: bool,
    },
    Number,
    /// Nothing tells what anything means.
    Lost,
}

impl Mask for Stream {
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        bytes.iter().for_each(|byte| self.byte(*byte, &mut out));
        out
    }

    fn finish(&mut self) -> Vec<u8> {
        self.place = Place::Lost;
        vec![MASK; std::mem::take(&mut self.held).len()]
    }
}

impl Stream {
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.place {
            Place::Lost => out.push(MASK),
            Place::Head => {
                self.held.push(byte);
                if self.held.ends_with(b"\r\n\r\n") {
                    out.extend(head(&std::mem::take(&mut self.held)));
                    self.place = Place::Before;
                } else if self.held.len() > MAX_HEAD {
                    out.extend(self.finish());
                }
            }
            Place::Before => match byte {
                b'{' => self.between(byte, out),
                b'\r' | b'\n' => out.push(byte),
                _ => out.push(MASK),
            },
            Place::Between => self.between(byte, out),
            Place::Text { escaped } => {
                self.held.push(byte);
                match byte {
                    b'\\' => self.place = Place::Text { escaped: !escaped },
                    b'"' if !escaped => self.text(out),
                    _ => self.place = Place::Text { escaped: false },
                }
                if let Place::Text { escaped } = self.place
                    && self.held.len() > LONGEST
                {
                    out.push(b'"');
                    out.extend(vec![MASK; std::mem::take(&mut self.held).len() - 1]);
                    self.open = self.open && !self.key_next;
                    self.place = Place::Skipped { escaped };
                }
            }
            Place::Skipped { escaped } => match byte {
                b'"' if !escaped => {
                    self.place = Place::Between;
                    out.push(byte);
                }
                _ => {
                    self.place = Place::Skipped { escaped: byte == b'\\' && !escaped };
                    out.push(MASK);
                }
            },
            Place::Number => match byte {
                b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E' => {
                    self.held.push(byte);
                    if self.held.len() > LONGEST {
                        out.extend(self.finish());
                    }
                }
                _ => {
                    let number = std::mem::take(&mut self.held);
                    out.extend(if self.open { value(&number) } else { vec![b'0'; number.len()] });
                    self.place = Place::Between;
                    self.between(byte, out);
                }
            },
        }
    }

    /// Between keys and values.
    fn between(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.place = Place::Between;
        match byte {
            b'{' | b'[' if self.depth.len() < DEEPEST => {
                self.depth.push(byte == b'{');
                self.key_next = byte == b'{';
            }
            b'}' | b']' if self.depth.pop() == Some(byte == b'}') => self.key_next = false,
            b',' => self.key_next = self.depth.last() == Some(&true),
            b':' => self.key_next = false,
            b'"' => {
                self.place = Place::Text { escaped: false };
                return self.held.push(byte);
            }
            b'0'..=b'9' | b'-' => {
                self.place = Place::Number;
                return self.held.push(byte);
            }
            // Of `true`, `false` and `null`.
            b' ' | b'\t' | b'\r' | b'\n' | b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' => {}
            _ => {
                self.place = Place::Lost;
                return out.push(MASK);
            }
        }
        out.push(byte);
    }

    /// A text has ended.
    fn text(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.held);
        self.place = Place::Between;
        let inner = text.get(1..text.len() - 1).unwrap_or_default();
        let keeps = if self.key_next {
            self.open = OPEN.iter().any(|name| name.as_bytes() == inner);
            // A key may hide a number, too; a key that is not known is none of the protocol.
            inner.iter().all(u8::is_ascii_alphabetic)
        } else {
            self.open && !inner.contains(&b'\\')
        };
        if keeps {
            out.extend(value(&text));
        } else {
            out.push(b'"');
            out.extend(vec![MASK; inner.len()]);
            out.push(b'"');
        }
    }
}

/// A value that stays, without card numbers.
fn value(bytes: &[u8]) -> Vec<u8> {
    let masked = std::str::from_utf8(bytes).ok().map(|text| pan::mask_line(text, &[]).into_bytes());
    // Only ASCII digits are replaced, so the length stays.
    masked.filter(|masked| masked.len() == bytes.len()).unwrap_or_else(|| vec![MASK; bytes.len()])
}

/// The lines of a head: the first and those of known fields stay.
fn head(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
        let known = at == 0 || FIELDS.iter().any(|field| field.as_bytes() == name);
        if known {
            let end = line.trim_ascii_end().len();
            out.extend(value(&line[..end]));
            out.extend_from_slice(&line[end..]);
        } else {
            out.extend(line.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { *byte } else { MASK }));
        }
    }
    out
}

const MASK: u8 = b'x';
/// Bytes of a text that stays.
const LONGEST: usize = 256;
/// Objects within each other.
const DEEPEST: usize = 64;
/// Fields of heads, in lower case.
const FIELDS: &[&str] =
    &["host", "content-type", "accept", "connection", "content-length", "transfer-encoding", "server", "date"];
/// Keys whose values stay.
const OPEN: &[&str] = &[
    "ProtocolVersion",
    "MessageClass",
    "MessageCategory",
    "MessageType",
    "SaleID",
    "ServiceID",
    "POIID",
    "KeyIdentifier",
    "KeyVersion",
    "AdyenCryptoVersion",
    "Result",
    "ErrorCondition",
    "Currency",
    "RequestedAmount",
    "AuthorizedAmount",
    "ReversedAmount",
    "TipAmount",
    "TransactionID",
    "TimeStamp",
    "ReversalReason",
    "AbortReason",
    "PaymentType",
    "PaymentBrand",
    "DocumentQualifier",
    "GlobalStatus",
    "PrinterStatus",
    "EventToNotify",
];

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
