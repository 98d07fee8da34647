//! Masks card data in captures without changing a length, in lines and in the frames of a serial line.
//!
//! The names of fields stay, and the values of those that are known to hold nothing secret; a card number is masked in
//! those, too. All other values are masked as a whole. What cannot be followed is masked to the end of its line. A line
//! is held back until it ends, and a frame as well, so chunking does not matter. The check sum of a frame that was masked
//! is made anew, so that a recording can be played.

use std::fmt;

use tresen_hal::link::record::{BothWays, Mask};

use super::framing;
use super::serial;
use crate::pan;

/// Masks one connection's stream.
pub type Redactor = BothWays<Stream>;

/// One direction.
#[derive(Default)]
pub struct Stream {
    kind: Stand,
    /// The line or the frame at hand.
    held: Vec<u8>,
    /// The byte before was 10h, and begins a sequence.
    escaped: bool,
    /// The line at hand was masked in part; the rest follows.
    goes_on: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Nothing has come yet.
    #[default]
    Fresh,
    Lines,
    /// Between frames.
    Between,
    Frame,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({:?}, {} bytes)", self.kind, self.held.len())
    }
}

impl Mask for Stream {
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.kind == Stand::Fresh {
                self.kind = if *byte == DLE { Stand::Between } else { Stand::Lines };
            }
            match self.kind {
                Stand::Lines | Stand::Fresh => self.line(*byte, &mut out),
                Stand::Between | Stand::Frame => self.framed(*byte, &mut out),
            }
        }
        out
    }

    fn finish(&mut self) -> Vec<u8> {
        vec![MASK; std::mem::take(&mut self.held).len()]
    }
}

impl Stream {
    fn line(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.held.push(byte);
        if byte == b'\n' || self.held.len() > framing::LONGEST {
            let mut text = std::mem::take(&mut self.held);
            self.text(&mut text);
            out.extend(text);
        }
    }

    fn framed(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.held.push(byte);
        let escaped = std::mem::take(&mut self.escaped);
        match (self.kind, escaped, byte) {
            (_, false, DLE) => self.escaped = true,
            (_, true, START) => {
                // What came before of a frame without an end.
                let kept = self.held.len() - 2;
                out.extend(vec![MASK; kept]);
                self.held.drain(..kept);
                self.kind = Stand::Frame;
            }
            (Stand::Frame, true, END) => {
                let mut frame = std::mem::take(&mut self.held);
                self.frame(&mut frame);
                out.extend(frame);
                self.kind = Stand::Between;
            }
            (Stand::Between, true, _) => out.append(&mut self.held),
            (Stand::Between, false, _) => {
                self.held.clear();
                out.push(MASK);
            }
            _ if self.held.len() > 2 * serial::LONGEST + 16 => {
                out.extend(vec![MASK; std::mem::take(&mut self.held).len()]);
                self.kind = Stand::Between;
            }
            _ => {}
        }
    }

    /// Masks the payload of a whole frame.
    fn frame(&mut self, raw: &mut [u8]) {
        // Where each byte of the content stands, without what was doubled and inserted.
        let mut places = Vec::new();
        let (mut at, end) = (2, raw.len() - 2);
        while at < end {
            let inserted = raw[at] == DLE && at + 1 < end && raw[at + 1] != DLE;
            if !inserted {
                places.push(at);
            }
            at += if raw[at] == DLE { 2 } else { 1 };
        }
        let Some(crc_at) = places.len().checked_sub(2).filter(|at| *at >= 2) else { return };
        let content: Vec<u8> = places[..crc_at].iter().map(|at| raw[*at]).collect();
        let mut payload = content[2..].to_vec();
        for part in payload.split_inclusive_mut(|byte| *byte == b'\n') {
            self.text(part);
        }
        if payload == content[2..] {
            return;
        }
        for (at, byte) in places[2..crc_at].iter().zip(&payload) {
            if raw[*at] != DLE {
                raw[*at] = *byte;
            }
        }
        let masked: Vec<u8> = places[..crc_at].iter().map(|at| raw[*at]).collect();
        let new = serial::crc(&masked).to_be_bytes();
        for (at, byte) in places[crc_at..].iter().zip(new) {
            // A check sum of another length would change that of the stream.
            if raw[*at] != DLE {
                raw[*at] = if byte == DLE { MASK } else { byte };
            }
        }
    }

    /// Masks a line or a part of one.
    fn text(&mut self, text: &mut [u8]) {
        let ends = text.last() == Some(&b'\n');
        if self.goes_on || !ends {
            let length = text.len() - usize::from(ends);
            text[..length].fill(MASK);
        } else {
            mask(text);
        }
        self.goes_on = !ends;
    }
}

/// Whether the values of this field stay.
pub(crate) fn is_open(name: &str) -> bool {
    OPEN.contains(&name)
}

/// Masks a whole line.
fn mask(line: &mut [u8]) {
    let (mut at, mut open) = (0, false);
    let end = line.trim_ascii_end().len();
    while at < end {
        match line[at] {
            b'"' => {
                let Some(length) = text_length(&line[at + 1..end]) else { return line[at..end].fill(MASK) };
                let inner = at + 1..at + 1 + length;
                at = inner.end + 1;
                let is_key = line[at..end].trim_ascii_start().first() == Some(&b':');
                if is_key {
                    open = std::str::from_utf8(&line[inner.clone()]).is_ok_and(is_open);
                    if !is_name(&line[inner.clone()]) {
                        line[inner].fill(MASK);
                    }
                } else if open && !line[inner.clone()].contains(&b'\\') {
                    without_cards(&mut line[inner]);
                } else {
                    line[inner].fill(MASK);
                }
            }
            b'0'..=b'9' | b'-' => {
                let rest = &line[at..end];
                let number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
                let length = rest.iter().position(|byte| !number(byte)).unwrap_or(rest.len());
                let value = &mut line[at..at + length];
                if open {
                    without_cards(value);
                } else {
                    value.fill(b'0');
                    value[0] = b'1';
                }
                at += length;
            }
            // Also of `true`, `false` and `null`.
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's'
            | b't' | b'u' => at += 1,
            _ => return line[at..end].fill(MASK),
        }
    }
}

/// Bytes up to the quote that ends a text.
fn text_length(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    rest.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

/// Names of fields are words with few digits: `Track2Data`.
fn is_name(key: &[u8]) -> bool {
    key.len() <= 40
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && key.iter().filter(|byte| byte.is_ascii_digit()).count() < 3
}

/// Masks card numbers in a value that stays.
fn without_cards(value: &mut [u8]) {
    let masked = std::str::from_utf8(value).ok().map(|text| pan::mask_line(text, &[]).into_bytes());
    // Only ASCII digits are replaced, so the length stays.
    match masked.filter(|masked| masked.len() == value.len()) {
        Some(masked) => value.copy_from_slice(&masked),
        None => value.fill(MASK),
    }
}

const MASK: u8 = b'x';
const DLE: u8 = 0x10;
const START: u8 = 0x00;
const END: u8 = 0xff;
/// Fields whose values stay.
pub(super) const OPEN: &[&str] = &[
    "AcqID",
    "ActSeqCnt",
    "AmtAuth",
    "AmtOther",
    "AmtRemaining",
    "ARC",
    "AuthC",
    "AuthReslt",
    "Brand",
    "Brands",
    "Confirm",
    "Currencies",
    "DisplayName",
    "ErrorCode",
    "ErrorDescription",
    "ErrorSource",
    "ESigInd",
    "FinancialCounterType",
    "IFDSerialNum",
    "MctID",
    "NextRun",
    "OrderID",
    "PartialApprovalCap",
    "PeSeqCnt",
    "POSEntryMode",
    "POSID",
    "PrinterWidth",
    "ReceiptFlags",
    "ReceiptIDNumeric",
    "ReceiptType",
    "ReportFlags",
    "ReportType",
    "SoftwareVersion",
    "TaskName",
    "TipAmt",
    "TotalAmount",
    "TrmID",
    "TrmLng",
    "TrmStatus",
    "TrmType",
    "TrxAmt",
    "TrxCount",
    "TrxCurrC",
    "TrxDate",
    "TrxFunction",
    "TrxFunctions",
    "TrxRefNum",
    "TrxResult",
    "TrxResultExtended",
    "TrxSeqCnt",
    "TrxSeqCntOri",
    "TrxTime",
    "UnsolicitedReceipts",
    "UseExternalDisplay",
];

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
