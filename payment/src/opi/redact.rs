//! Masks card data in captures and traces, message by message, without changing a length.
//!
//! Bytes are held back until their message is complete, so it does not matter how the stream was split. Attributes and
//! elements that are known to hold nothing secret stay; in texts for people, runs of digits that may be a card number
//! are masked, also those that go on in the next line; everything else is masked as a whole. A masked message still
//! parses.

use std::fmt;
use std::ops::Range;

use tresen_hal::link::record::{BothWays, Mask};

use super::framing::MAX_MESSAGE;

/// Masks one connection's stream.
pub type Redactor = BothWays<Stream>;

/// A message as it may be shown.
pub(super) fn shown(message: &[u8]) -> String {
    let mut masked = message.to_vec();
    mask(&mut masked);
    String::from_utf8_lossy(&masked).into_owned()
}

/// One direction.
#[derive(Default)]
pub struct Stream {
    held: Vec<u8>,
    /// What came is not OPI: nothing tells where the next message begins.
    lost: bool,
}

/// What is held back is not masked yet, and not shown.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} bytes held)", self.held.len())
    }
}

impl Mask for Stream {
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.lost {
            return vec![MASK; bytes.len()];
        }
        self.held.extend_from_slice(bytes);
        let mut out = Vec::new();
        while let Some((length, rest)) = self.held.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > MAX_MESSAGE {
                out.extend(self.finish());
                return out;
            }
            if rest.len() < length {
                return out;
            }
            let mut message: Vec<u8> = self.held.drain(..4 + length).collect();
            mask(&mut message[4..]);
            out.extend(message);
        }
        out
    }

    fn finish(&mut self) -> Vec<u8> {
        self.lost = true;
        vec![MASK; std::mem::take(&mut self.held).len()]
    }
}

/// What an attribute or the text of an element can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Words and numbers of the protocol; a card number in them is masked all the same.
    Open,
    /// A line that people read; the next may go on with it.
    Line,
    /// Card data, or not known.
    Secret,
}

/// Names of attributes, and of elements whose text is meant. Compared without case and prefix.
const OPEN: &[&str] = &[
    "RequestType",
    "RequestID",
    "WorkstationID",
    "POPID",
    "ApplicationSender",
    "OverallResult",
    "SequenceID",
    "ReferenceNumber",
    "TerminalID",
    "TerminalBatch",
    "STAN",
    "Currency",
    "NumberPayments",
    "PaymentType",
    "PaymentAmount",
    "CardCircuit",
    "AuthorisationType",
    "ReceiptNumber",
    "LastReceiptNumber",
    "ActionCode",
    "TimeStamp",
    "AcquirerID",
    "AcquirerBatch",
    "ApprovalCode",
    "Merchant",
    "OutDeviceTarget",
    "InDeviceTarget",
    "OutResult",
    "InResult",
    "Column",
    "Row",
    "Erase",
    "Category",
    "Code",
    "Height",
    "Width",
    "CharStyle1",
    "CharStyle2",
    "Alignment",
    "PaperCut",
    "Length",
    "MinLength",
    "MaxLength",
    "MinTime",
    "MaxTime",
    "LanguageCode",
    "TicketType",
    "PrinterStatus",
    "Command",
    "InBoolean",
    "TotalAmount",
    "POSTimeStamp",
    "TransactionNumber",
    "ErrorCode",
    "CardTechnologyType",
    "CardVerificationMethod",
    "xmlns",
    "schemaLocation",
    "noNamespaceSchemaLocation",
    "version",
    "encoding",
    "standalone",
    "type",
];
const LINES: &[&str] = &["TextLine", "ErrorText"];

fn content(name: &[u8], prefix: &[u8]) -> Content {
    let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(name);
    match () {
        () if prefix == b"xmlns" || OPEN.iter().any(is) => Content::Open,
        () if LINES.iter().any(is) => Content::Line,
        () => Content::Secret,
    }
}

/// Masks one message in place. What cannot be followed is masked to its end.
fn mask(message: &mut [u8]) {
    let mut parts = Parts::default();
    let followed = parts.read(message);
    for run in parts.runs(message) {
        if run.len() >= LEAST {
            run.into_iter().for_each(|at| message[at] = MASK);
        }
    }
    for range in parts.secrets {
        hide(&mut message[range]);
    }
    hide(&mut message[followed..]);
}

/// Everything but blanks.
fn hide(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|b| !b.is_ascii_whitespace()).for_each(|b| *b = MASK);
}

/// The places of values in a message.
#[derive(Debug, Default)]
struct Parts {
    secrets: Vec<Range<usize>>,
    /// Each by itself.
    open: Vec<Range<usize>>,
    /// In the order in which they are read: a card number may run on from one to the next.
    lines: Vec<Range<usize>>,
}

impl Parts {
    /// Finds the values. Returns up to where the message could be followed.
    fn read(&mut self, message: &[u8]) -> usize {
        let mut open: Vec<Content> = Vec::new();
        let mut at = 0;
        while at < message.len() {
            let text_end = find(message, at, b"<").unwrap_or(message.len());
            let text = open.last().copied().unwrap_or(Content::Secret);
            self.add(text, at..text_end, message);
            at = text_end;
            let rest = &message[at..];
            let end = if rest.starts_with(b"<?") {
                find(message, at, b"?>").map(|end| end + 2)
            } else if rest.starts_with(b"</") {
                open.pop();
                find(message, at, b">").map(|end| end + 1)
            } else if rest.starts_with(b"<!--") {
                let end = find(message, at + 4, b"-->");
                end.inspect(|end| self.secrets.push(at + 4..*end)).map(|end| end + 3)
            } else if rest.starts_with(b"<![CDATA[") {
                let end = find(message, at, b"]]>");
                end.inspect(|end| self.secrets.push(at + 9..*end)).map(|end| end + 3)
            } else if rest.is_empty() {
                Some(at)
            } else {
                self.tag(message, at, &mut open)
            };
            match end {
                Some(end) if open.len() <= DEEPEST => at = end,
                _ => return text_end,
            }
            if rest.is_empty() {
                break;
            }
        }
        message.len()
    }

    /// A start tag at `at`: its attributes; returns where it ends.
    fn tag(&mut self, message: &[u8], at: usize, open: &mut Vec<Content>) -> Option<usize> {
        let name = at + 1..name_end(message, at + 1);
        if name.is_empty() {
            return None;
        }
        let (local, prefix) = split(&message[name.clone()]);
        let own = content(local, prefix);
        let mut next = name.end;
        loop {
            next += message[next..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            match message.get(next)? {
                b'>' => {
                    open.push(own);
                    return Some(next + 1);
                }
                b'/' => return (message.get(next + 1)? == &b'>').then_some(next + 2),
                _ => {
                    let key = next..name_end(message, next);
                    let equals = key.end + message[key.end..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                    if key.is_empty() || message.get(equals)? != &b'=' {
                        return None;
                    }
                    let quoted = equals + 1;
                    let quote = quoted + message[quoted..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                    let mark = *message.get(quote).filter(|b| matches!(b, b'"' | b'\''))?;
                    let end = find(message, quote + 1, &[mark])?;
                    let (local, prefix) = split(&message[key]);
                    let kind = match content(local, prefix) {
                        Content::Line => Content::Secret,
                        kind => kind,
                    };
                    self.add(kind, quote + 1..end, message);
                    next = end + 1;
                }
            }
        }
    }

    fn add(&mut self, content: Content, at: Range<usize>, message: &[u8]) {
        // Characters may be written as references, so that no run of digits shows.
        let referenced = message[at.clone()].windows(2).any(|pair| pair == b"&#");
        match content {
            _ if at.is_empty() => {}
            Content::Secret => self.secrets.push(at),
            _ if referenced => self.secrets.push(at),
            Content::Open => self.open.push(at),
            Content::Line => self.lines.push(at),
        }
    }

    /// The places of digits that stand together, with nothing but separators and the ends of lines between them.
    fn runs(&self, message: &[u8]) -> Vec<Vec<usize>> {
        let mut runs = Vec::new();
        for alone in &self.open {
            runs.extend(digits(message, std::iter::once(alone.clone())));
        }
        runs.extend(digits(message, self.lines.iter().cloned()));
        runs
    }
}

fn digits(message: &[u8], texts: impl Iterator<Item = Range<usize>>) -> Vec<Vec<usize>> {
    let mut runs = vec![Vec::new()];
    for at in texts.flatten() {
        match (message[at], runs.last_mut()) {
            (b'0'..=b'9', Some(run)) => run.push(at),
            (b, _) if is_separator(b) => {}
            (_, Some(run)) if run.is_empty() => {}
            _ => runs.push(Vec::new()),
        }
    }
    runs
}

/// Also the blanks that keep words together: A0 in ISO 8859-1, C2 A0 in UTF-8.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'/' | b'_' | 0xa0 | 0xc2) || byte.is_ascii_control()
}

fn name_end(message: &[u8], from: usize) -> usize {
    let is_name = |b: &&u8| !b.is_ascii_whitespace() && !matches!(b, b'=' | b'>' | b'/' | b'<' | b'"' | b'\'');
    from + message[from..].iter().take_while(is_name).count()
}

/// Local name and prefix.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|b| *b == b':') {
        Some(colon) => (&name[colon + 1..], &name[..colon]),
        None => (name, b""),
    }
}

fn find(message: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    message.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

const MASK: u8 = b'*';
/// Digits that a card number has at least.
const LEAST: usize = 13;
/// Elements that may stand in each other.
const DEEPEST: usize = 64;

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
