//! Masks card data and passwords in captures and traces, APDU by APDU, without changing a length.
//!
//! A stream is cut into APDUs by the same framing that the driver uses, so that it does not matter how it was split; an
//! APDU is held back until it is complete. What is known to hold nothing secret stays; card numbers, tracks, expiry, names, chip
//! data and passwords are masked; what is not known is masked, too. A masked APDU still parses.
//!
//! Bytes are masked with `EE`, which in a card number means a masked digit (PA00P015, BMP 22), digits in texts with
//! `*`, and a password becomes `000000`, the one that terminals come with.

use std::ops::Range;

use tresen_hal::link::record::{self, BothWays, Direction, Mask as _};

use super::framing::Framing;
use super::serial::frame::{self, Decoder, Item};
use super::tables::{self, Sensitivity};
use super::transport::Framed;
use super::wire::Apdu;
use super::{bmp, tlv};

/// Masks one connection's stream over TCP.
pub type Redactor = BothWays<Stream>;

/// Masks what passes over a link on which APDUs are framed so.
pub fn redactor(framed: Framed) -> Box<dyn record::Redactor> {
    Box::new(Frames::new(framed))
}

/// Masks one connection's stream, whatever its frames.
#[derive(Debug)]
pub(crate) enum Frames {
    ByLength(Redactor),
    Serial(BothWays<SerialStream>),
}

impl Default for Frames {
    fn default() -> Self {
        Self::new(Framed::ByLength)
    }
}

impl Frames {
    pub(crate) fn new(framed: Framed) -> Self {
        match framed {
            Framed::ByLength => Self::ByLength(BothWays::default()),
            Framed::Serial(_) => Self::Serial(BothWays::default()),
        }
    }
}

impl record::Redactor for Frames {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::ByLength(redactor) => redactor.feed(direction, bytes),
            Self::Serial(redactor) => redactor.feed(direction, bytes),
        }
    }

    fn finish(&mut self, direction: Direction) -> Vec<u8> {
        match self {
            Self::ByLength(redactor) => redactor.finish(direction),
            Self::Serial(redactor) => redactor.finish(direction),
        }
    }
}

/// Whole messages, masked.
pub(super) fn messages(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Stream::default();
    let mut masked = stream.feed(bytes);
    masked.extend(stream.finish());
    masked
}

/// One direction.
#[derive(Debug, Default)]
pub struct Stream {
    framing: Framing,
    /// What came is not ZVT, or the stream has ended: nothing tells where the next APDU begins.
    lost: bool,
    mask: Mask,
}

/// What masking an APDU has to know of those before.
#[derive(Debug, Default)]
struct Mask {
    /// How many digits the last printed line ended with that may be a card number's.
    carried: usize,
}

impl record::Mask for Stream {
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.lost {
            return vec![MASK; bytes.len()];
        }
        self.framing.feed(bytes);
        let mut out = Vec::new();
        loop {
            let masked = match self.framing.next_apdu() {
                Ok(Some(apdu)) => {
                    let header = apdu.bytes.len() - apdu.data.len();
                    let mut masked = apdu.bytes.to_vec();
                    self.mask.apdu(apdu.code(), &mut masked[header..]);
                    masked
                }
                Ok(None) => return out,
                Err(_) => {
                    out.extend(self.finish());
                    return out;
                }
            };
            self.framing.encode(&mut out, &masked);
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        self.lost = true;
        vec![MASK; std::mem::take(&mut self.framing).pending()]
    }
}

/// One direction of a serial line. What stands in its frames is masked, and they are written anew: with doubled DLEs
/// and a checksum of their own, which would tell of masked digits. A frame that gets shorter so follows bytes that
/// every reader skips. Everything else but ACK and NAK is masked.
#[derive(Debug, Default)]
pub(crate) struct SerialStream {
    decoder: Decoder,
    /// How many characters the frame that has begun has so far.
    held: usize,
    lost: bool,
    mask: Mask,
}

impl record::Mask for SerialStream {
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.lost {
            return vec![MASK; bytes.len()];
        }
        let mut out = Vec::new();
        for byte in bytes {
            self.held += 1;
            let item = self.decoder.feed(*byte);
            let known = match &item {
                Some(Item::Frame(apdu)) => self.frame(apdu),
                Some(Item::Ack | Item::Nak) => vec![*byte],
                Some(Item::Broken) => Vec::new(),
                None if self.decoder.is_skipping() => Vec::new(),
                None => continue,
            };
            out.resize(out.len() + std::mem::take(&mut self.held) - known.len(), MASK);
            out.extend(known);
        }
        out
    }

    fn finish(&mut self) -> Vec<u8> {
        self.lost = true;
        vec![MASK; std::mem::take(&mut self.held)]
    }
}

impl SerialStream {
    fn frame(&mut self, apdu: &[u8]) -> Vec<u8> {
        let mut masked = apdu.to_vec();
        match Apdu::whole(apdu) {
            Some(whole) => {
                let header = apdu.len() - whole.data.len();
                self.mask.apdu(whole.code(), &mut masked[header..]);
            }
            None => masked.fill(MASK),
        }
        frame::encode(&masked)
    }
}

impl Mask {
    /// Masks the data of one APDU.
    fn apdu(&mut self, code: u16, data: &mut [u8]) {
        match (code, &*data) {
            // Answers: nothing, a reason, or fields.
            (0x8000 | 0x8400..=0x84ff, [] | [_]) => {}
            (0x8000 | 0x8400..=0x84ff, _) => mask_fields(data),
            // The prepaid card's id and the mode of payment come first.
            (0x0609, [a, b, _, 0x04, ..]) if [*a, *b].iter().all(|byte| byte & 0x0f < 10 && byte >> 4 < 10) => {
                mask_fields(&mut data[3..]);
            }
            (0x040f | 0x0401 | 0x0601 | 0x0604 | 0x0609 | 0x0621 | 0x0622 | 0x0670 | 0x06e0..=0x06e2, _) => {
                mask_fields(data);
            }
            // A code, and in 04 FF a time, before the fields.
            (0x061e | 0x06c0, [_, ..]) => mask_fields(&mut data[1..]),
            (0x04ff, [_] | [_, _]) => {}
            (0x04ff, [_, _, ..]) => mask_fields(&mut data[2..]),
            (0x060f, _) => mask_completion(data),
            // A password before everything else; at registration configuration byte and currency follow.
            (0x0600, _) => {
                let rest = mask_password(data);
                let rest = rest.split_first_mut().map_or(&mut [][..], |(_config, rest)| rest);
                match rest {
                    [0x06, length, ..] if usize::from(*length) + 2 == rest.len() => mask_fields(rest),
                    [_, _, fields @ ..] => mask_fields(fields),
                    _ => {}
                }
            }
            (0x0501 | 0x060c | 0x0610 | 0x0612 | 0x061b | 0x0620 | 0x0630 | 0x0631 | 0x0650 | 0x0693, _) => {
                mask_fields(mask_password(data));
            }
            // With a password in some terminals' manuals, without in others.
            (0x0623..=0x0625, _) if begins_with_password(data) => mask_fields(mask_password(data)),
            (0x0623..=0x0625, _) => mask_fields(data),
            (0x06d1, [_, ..]) => self.line(&mut data[1..]),
            (0x06d3, _) => mask_fields(data),
            _ => data.fill(MASK),
        }
        if matches!(code, 0x060f | 0x061e) {
            self.carried = 0;
        }
    }

    /// The text of 06 D1, perhaps with BMP 06 behind it. Digits at its end may be the first of a card number that
    /// goes on in the next line, which is not there yet: more than [`HALF`] are masked at once, fewer stay, and the
    /// rest of the number is masked when it comes.
    fn line(&mut self, data: &mut [u8]) {
        let end = data.len() - super::commands::print::container_behind(data).map_or(0, <[u8]>::len);
        let (text, container) = data.split_at_mut(end);
        mask_fields(container);
        let carried = if begins_with_date(text) { 0 } else { self.carried };
        let runs = runs(text, std::iter::once(0..text.len()));
        let touches = |from: usize, to: usize| text[from..to].iter().all(|b| is_separator(*b));
        let (mut masked, mut carry) = (Vec::new(), 0);
        for run in runs {
            let (Some(&first), Some(&last)) = (run.first(), run.last()) else { continue };
            let before = if touches(0, first) { carried } else { 0 };
            let open = touches(last + 1, text.len());
            let id = before == 0 && run.len() == HALF && last - first + 1 == HALF;
            if before + run.len() >= LEAST || before + run.len() >= HALF && (open || before > 0) && !id {
                masked.extend(run.iter().copied());
            }
            if open {
                carry = before + run.len();
            }
        }
        masked.into_iter().for_each(|at| text[at] = b'*');
        self.carried = carry;
    }
}

/// `21.11.2026`, which does not go on with the number in the line before.
fn begins_with_date(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start(), [d, a, b'.' | b'/', m, n, b'.' | b'/', ..]
        if [d, a, m, n].iter().all(|b| b.is_ascii_digit()))
}

/// Masks the password and returns what follows it.
fn mask_password(data: &mut [u8]) -> &mut [u8] {
    let (password, rest) = data.split_at_mut(data.len().min(3));
    password.fill(0);
    rest
}

/// Whether reservations begin with a password: what follows it walks to the end as fields, the whole does not.
fn begins_with_password(data: &[u8]) -> bool {
    let whole = |data: &[u8]| {
        let mut fields = bmp::fields(data);
        let mut ids: Vec<u8> = fields.by_ref().map(|field| field.id).collect();
        ids.sort_unstable();
        fields.rest().is_none() && ids.windows(2).all(|pair| pair[0] != pair[1])
    };
    !whole(data) || data.len() > 3 && whole(&data[3..]) && data[0] != 0x87
}

/// 06 0F: fields, or the answer to 05 01, `[LLLVAR software] status [06 TLV]`.
fn mask_completion(data: &mut [u8]) {
    let version = data.get(..3).and_then(bmp::digits).filter(|length| data.len() >= 3 + length);
    match (version, &*data) {
        (Some(length), _) => {
            let (text, rest) = data.split_at_mut(3 + length);
            mask_text(&mut text[3..]);
            if let [_status, fields @ ..] = rest {
                mask_fields(fields);
            }
        }
        (None, [_status]) => {}
        (None, [_status, 0x06, ..]) if bmp::format(data[0]).is_none() => mask_fields(&mut data[1..]),
        _ => mask_fields(data),
    }
}

/// What may be shown of a field.
fn field(id: u8) -> Sensitivity {
    tables::bmp(id).map_or(Sensitivity::Secret, |entry| entry.sensitivity)
}

/// What may be shown of a tag. What is inside a container is looked at by itself, known or not.
fn tag(tag: &tlv::Tlv<'_>) -> Sensitivity {
    match tag.constructed {
        true => Sensitivity::Tags,
        false => tables::tag(tag.tag).map_or(Sensitivity::Secret, |entry| entry.sensitivity),
    }
}

fn mask_fields(data: &mut [u8]) {
    let mut parts = Parts::default();
    let mut fields = bmp::fields(data);
    while let Some(one) = fields.next() {
        let end = fields.rest().map_or(data.len(), |(offset, _)| offset);
        let value = end - one.data.len()..end;
        match field(one.id) {
            Sensitivity::Tags => parts.tags(one.data, value.start, tlv::MAX_DEPTH),
            content => parts.add(content, value),
        }
    }
    if let Some((offset, _)) = fields.rest() {
        parts.secrets.push(offset..data.len());
    }
    parts.mask(data);
}

fn mask_text(text: &mut [u8]) {
    let all = 0..text.len();
    let mut parts = Parts::default();
    parts.texts.push(all);
    parts.mask(text);
}

/// What is to be masked, by its place.
#[derive(Default)]
struct Parts {
    secrets: Vec<Range<usize>>,
    passwords: Vec<Range<usize>>,
    /// In the order in which they are read: a card number may run on from one to the next.
    texts: Vec<Range<usize>>,
}

impl Parts {
    fn add(&mut self, content: Sensitivity, at: Range<usize>) {
        match content {
            Sensitivity::Open => {}
            Sensitivity::Text => self.texts.push(at),
            Sensitivity::Password => self.passwords.push(at),
            Sensitivity::Number if at.len() >= 7 => self.secrets.push(at.start + 3..at.end - 2),
            Sensitivity::Number | Sensitivity::Secret | Sensitivity::Tags => self.secrets.push(at),
        }
    }

    fn tags(&mut self, bytes: &[u8], base: usize, depth: usize) {
        let mut tags = tlv::tags(bytes);
        while let Some(one) = tags.next() {
            let end = tags.rest().map_or(bytes.len(), |(offset, _)| offset);
            let start = end - one.value.len();
            match tag(&one) {
                Sensitivity::Tags if depth > 1 => self.tags(one.value, base + start, depth - 1),
                content => self.add(content, base + start..base + end),
            }
        }
        if let Some((offset, _)) = tags.rest() {
            self.secrets.push(base + offset..base + bytes.len());
        }
    }

    fn mask(self, data: &mut [u8]) {
        for run in runs(data, self.texts.into_iter()) {
            if run.len() >= LEAST {
                run.into_iter().for_each(|at| data[at] = b'*');
            }
        }
        self.secrets.into_iter().for_each(|at| data[at].fill(MASK));
        self.passwords.into_iter().for_each(|at| data[at].fill(0));
    }
}

/// The places of digits that stand together, with nothing but separators and the ends of texts between them. A text
/// without anything in it parts them.
fn runs(data: &[u8], texts: impl Iterator<Item = Range<usize>>) -> Vec<Vec<usize>> {
    let mut runs = vec![Vec::new()];
    let mut part = |place: Option<usize>| match (place, runs.last_mut()) {
        (Some(at), Some(run)) => run.push(at),
        (None, Some(run)) if run.is_empty() => {}
        _ => runs.push(Vec::new()),
    };
    for text in texts {
        if data[text.clone()].iter().all(|b| is_separator(*b)) {
            part(None);
        }
        for at in text {
            match data[at] {
                b'0'..=b'9' => part(Some(at)),
                b if is_separator(b) => {}
                _ => part(None),
            }
        }
    }
    runs
}

/// Also the blanks that keep words together: FF in code page 437, A0 in ISO 8859, C2 A0 in UTF-8.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'/' | b'_' | 0xa0 | 0xc2 | 0xff) || byte.is_ascii_control()
}

const MASK: u8 = 0xee;
/// Digits that a card number has at least.
const LEAST: usize = 13;
/// So many digits at the end of a line may be a terminal's id, or half of a card number.
const HALF: usize = 8;

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
