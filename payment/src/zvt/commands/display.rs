//! What is to be shown and asked: 06 E0 display text, 06 E1 with function key, 06 E2 with numeric input, 04 0D input
//! request (PA00P015 13.13, chapter 14).
//!
//! The till sends 06 E0 and 06 E2 to have a text shown at the terminal; terminals send the same to have one shown at the
//! till. The bitmaps are those of chapter 13: F0 duration in seconds, F1 to F8 lines, E0 and E9 least and greatest
//! length of the input, EA echo, FB confirmation. Older terminals write the duration without its id.
//!
//! Unproven, since no source that we have shows it: how an input is answered. We send the digits in tag 1F3C inside
//! the container 32 with the acknowledgement, as the names of these tags say; and of a terminal's answer we read that
//! tag, digits in an LLVAR, or nothing but digits. Left out: menus (04 0E, 06 D0), images, PIN verification (06 E3).

use std::time::Duration;

use super::super::text::Charset;
use super::super::{bmp, tlv, wire};
use crate::host::Length;

/// What is to be shown, its lines joined by spaces; `None` if `code` is another command or no text
/// can be read.
pub fn text(code: u16, data: &[u8], charset: Charset) -> Option<String> {
    if !matches!(code, 0x040d | 0x06e0..=0x06e2) {
        return None;
    }
    let mut lines = Vec::new();
    for field in fields(data) {
        match field.id {
            0xf1..=0xf8 => lines.push(charset.decode(field.data)),
            0x06 => {
                let container = tlv::find(field.data, 0x24).unwrap_or_default();
                lines.extend(tlv::tags(container).filter(|t| t.tag == 0x07).map(|t| charset.decode(t.value)));
            }
            _ => {}
        }
    }
    let text = lines.iter().map(|l| l.trim()).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

/// The bitmaps, with or without a duration before them.
fn fields(data: &[u8]) -> bmp::Fields<'_> {
    match data {
        [0x06 | 0xe0..=0xfd, ..] => bmp::fields(data),
        _ => bmp::fields(data.get(1..).unwrap_or_default()),
    }
}

/// What an input may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt {
    /// Digits only: 06 E2. Else any text.
    pub digits: bool,
    /// How long it has to be.
    pub length: Length,
    /// How long the terminal waits for it, if it says so: tag 1F39, in seconds.
    pub within: Option<Duration>,
}

impl Prompt {
    /// Reads what 06 E2 or 04 0D asks for; `None` for another command.
    pub fn parse(code: u16, data: &[u8]) -> Option<Self> {
        if !matches!(code, 0x040d | 0x06e2) {
            return None;
        }
        let byte = |id| fields(data).find(|field| field.id == id).and_then(|field| field.data.first().copied());
        let max = usize::from(byte(0xe9).unwrap_or(LONGEST)).min(LONGEST.into());
        let mut length = Length::new(usize::from(byte(0xe0).unwrap_or(0)).min(max), max);
        // 00 shows nothing, and what is typed shall not be shown.
        length.masked = byte(0xea) == Some(0x00);
        let container = fields(data).find(|field| field.id == 0x06).map(|field| field.data);
        let seconds = container.and_then(|c| tlv::find(c, 0x1f39)).and_then(|digits| bmp::Bcd(digits).number());
        let within = seconds.filter(|seconds| (1..=600).contains(seconds)).map(Duration::from_secs);
        Some(Self { digits: code == 0x06e2, length, within })
    }
}

/// The data of the acknowledgement with an input.
pub fn answer(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    tlv::encode_container(&mut out, |out| {
        tlv::encode(out, 0x32, |out| tlv::encode(out, 0x1f3c, |out| out.extend(input)));
    });
    out
}

/// The input in an answer: tag 1F3C or 1F3D, an LLVAR, or nothing but digits. `None` if there is none.
pub fn entered(data: &[u8]) -> Option<String> {
    let container = bmp::fields(data).find(|field| field.id == 0x06).map(|field| field.data);
    let tag = |tag| tlv::find(container?, tag);
    let input = match data {
        _ if container.is_some() => tag(0x1f3c).or_else(|| tag(0x1f3d))?,
        [a @ 0xf0..=0xf9, b @ 0xf0..=0xf9, rest @ ..] => {
            let length = usize::from(a & 0xf) * 10 + usize::from(b & 0xf);
            (rest.len() == length).then_some(rest)?
        }
        _ => data,
    };
    let digits = !input.is_empty() && input.iter().all(u8::is_ascii_digit);
    digits.then(|| input.iter().map(|byte| char::from(*byte)).collect())
}

/// Appends 06 E0: the terminal shows a text for so long; zero is for ever. Beyond eight lines of 99 bytes it is cut off.
pub fn show(out: &mut Vec<u8>, text: &str, within: Duration, charset: Charset) {
    wire::encode(out, 0x06, 0xe0, |out| lines(out, text, within, charset));
}

/// Appends 06 E2: the terminal shows a text and takes digits, to be confirmed by a key.
pub fn ask(out: &mut Vec<u8>, text: &str, length: Length, within: Duration, charset: Charset) {
    let byte = |length: usize| u8::try_from(length).unwrap_or(u8::MAX).min(LONGEST);
    wire::encode(out, 0x06, 0xe2, |out| {
        lines(out, text, within, charset);
        out.extend([0xe0, byte(length.min), 0xe9, byte(length.max)]);
        if length.masked {
            out.extend([0xea, 0x00]);
        }
        out.extend([0xfb, 0x01]);
    });
}

fn lines(out: &mut Vec<u8>, text: &str, within: Duration, charset: Charset) {
    // A part of a second is one, so that nothing is shown for ever by rounding.
    let seconds = within.as_secs().saturating_add(u64::from(within.subsec_nanos() > 0));
    out.extend([0xf0, u8::try_from(seconds).unwrap_or(u8::MAX)]);
    for (id, line) in (0xf1..=0xf8).zip(text.lines()) {
        bmp::encode_ll(out, id, &charset.encode(line));
    }
}

/// The longest input where none is named: what an LLVAR holds.
const LONGEST: u8 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    // Bitmaps as chapter 13 lists them: duration 30 s, two lines, four to six digits, echoed, to be confirmed.
    fn numeric() -> Vec<u8> {
        let lines = [&[0xf0, 0x1e, 0xf1, 0xf0, 0xf5][..], b"Bitte", &[0xf2, 0xf0, 0xf3], b"PLZ"].concat();
        [&lines[..], &[0xe0, 0x04, 0xe9, 0x06, 0xea, 0x01, 0xfb, 0x01]].concat()
    }

    #[test]
    fn reads_the_lines_of_a_display_text() {
        let data = [&[0x0a, 0xf1, 0xf0, 0xf5][..], b"Bitte", &[0xf2, 0xf0, 0xf6], b"warten"].concat();
        assert_eq!(text(0x06e0, &data, Charset::Cp437).as_deref(), Some("Bitte warten"));
        assert_eq!(text(0x06e1, &data, Charset::Cp437).as_deref(), Some("Bitte warten"));
        assert_eq!(text(0x06e0, &data[1..], Charset::Cp437).as_deref(), Some("Bitte warten"), "without a duration");
        let with_id = [&[0xf0], &data[..]].concat();
        assert_eq!(text(0x06e0, &with_id, Charset::Cp437).as_deref(), Some("Bitte warten"));
        assert_eq!(text(0x06d1, &data, Charset::Cp437), None);
        for end in 0..data.len() {
            text(0x06e0, &data[..end], Charset::Cp437);
        }
    }

    #[test]
    fn reads_what_a_numeric_input_may_be() {
        let prompt = Prompt::parse(0x06e2, &numeric()).expect("it asks");
        assert_eq!((prompt.digits, prompt.length, prompt.within), (true, Length::new(4, 6), None));
        assert_eq!(text(0x06e2, &numeric(), Charset::Cp437).as_deref(), Some("Bitte PLZ"));
        let bare = Prompt::parse(0x06e2, &[]).expect("it asks");
        assert_eq!(bare.length, Length::new(0, 99));
        // A least length above the greatest, and an echo that is switched off.
        let odd = Prompt::parse(0x06e2, &[0xe0, 0x09, 0xe9, 0x04, 0xea, 0x00]).expect("it asks").length;
        assert_eq!((odd.min, odd.max, odd.masked), (4, 4, true));
        assert_eq!(Prompt::parse(0x06e0, &numeric()), None);
        for end in 0..numeric().len() {
            Prompt::parse(0x06e2, &numeric()[..end]);
        }
    }

    #[test]
    fn reads_an_input_request() {
        // 06 TLV: 24 { 07 "Tisch?" }, 32 { 1F39 20 s }.
        let data =
            [&[0x06, 0x0f, 0x24, 0x08, 0x07, 0x06][..], b"Tisch?", &[0x32, 0x04, 0x1f, 0x39, 0x01, 0x20]].concat();
        let data = [&[0x06, (data.len() - 2) as u8], &data[2..]].concat();
        let prompt = Prompt::parse(0x040d, &data).expect("it asks");
        assert_eq!((prompt.digits, prompt.within), (false, Some(Duration::from_secs(20))));
        assert_eq!(text(0x040d, &data, Charset::Cp437).as_deref(), Some("Tisch?"));
    }

    #[test]
    fn writes_the_bitmaps_of_texts_and_inputs() {
        let mut out = Vec::new();
        show(&mut out, "Bitte\nPLZ", Duration::from_millis(29_500), Charset::Cp437);
        assert_eq!(out, [&[0x06, 0xe0, 0x10][..], &numeric()[..16]].concat());
        out.clear();
        ask(&mut out, "Bitte\nPLZ", Length::new(4, 6), Duration::from_secs(30), Charset::Cp437);
        let without_echo = [&numeric()[..20], &[0xfb, 0x01]].concat();
        assert_eq!(out, [&[0x06, 0xe2, 0x16][..], &without_echo].concat());
        // Nine lines, and one that is too long.
        out.clear();
        show(&mut out, &format!("{}\n{}", "x".repeat(200), "a\n".repeat(8)), Duration::MAX, Charset::Cp437);
        let lengths: Vec<_> = bmp::fields(&out[3..]).map(|field| (field.id, field.data.len())).collect();
        assert_eq!(lengths[..3], [(0xf0, 1), (0xf1, 99), (0xf2, 1)]);
        assert_eq!((lengths.len(), out[4]), (9, 0xff));
    }

    #[test]
    fn an_input_goes_there_and_back() {
        assert_eq!(answer(b"12345"), [&[0x06, 0x0a, 0x32, 0x08, 0x1f, 0x3c, 0x05][..], b"12345"].concat());
        assert_eq!(entered(&answer(b"12345")).as_deref(), Some("12345"));
        for (data, read) in [
            (&b"0815"[..], Some("0815")),
            (b"\xf0\xf40815", Some("0815")),
            (b"\xf0\xf30815", None),
            (b"08a5", None),
            (b"", None),
            (&[0x06, 0x00], None),
        ] {
            assert_eq!(entered(data).as_deref(), read, "{data:02x?}");
        }
    }
}
