//! 04 FF intermediate status information (PA00P015, chapter of that name): `status [timeout] [06 TLV]`.

use std::time::Duration;

use tresen_hal::Language;

use super::super::text::Charset;
use super::super::{bmp, codes, tlv, wire};

/// What the terminal is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intermediate<'a> {
    /// The status byte.
    pub status: u8,
    /// How long the till should wait from now on; given in minutes.
    pub timeout: Option<Duration>,
    texts: Option<&'a [u8]>,
}

impl<'a> Intermediate<'a> {
    /// Reads the data of 04 FF. An empty one is status FF, "working".
    pub fn parse(data: &'a [u8]) -> Self {
        let (status, rest) = data.split_first().map_or((0xff, data), |(s, rest)| (*s, rest));
        let minutes = rest.first().and_then(|_| bmp::Bcd(&rest[..1]).number());
        let timeout = minutes.filter(|m| *m > 0).map(|m| Duration::from_secs(m * 60));
        let texts = rest.get(1..).and_then(|r| bmp::fields(r).find(|f| f.id == 0x06)).map(|f| f.data);
        Self { status, timeout, texts }
    }

    /// What to show: the terminal's own lines (tag 24, 07) if it sent any, else the code in words.
    pub fn text(&self, charset: Charset, language: Language) -> String {
        let container = self.texts.and_then(|t| tlv::find(t, 0x24)).unwrap_or_default();
        let lines: Vec<_> = tlv::tags(container).filter(|t| t.tag == 0x07).map(|t| charset.shown(t.value)).collect();
        match lines.is_empty() {
            true => codes::intermediate(self.status, language).into_owned(),
            false => lines.join(" ").trim().to_owned(),
        }
    }
}

/// Appends 04 FF.
pub fn encode(out: &mut Vec<u8>, status: u8, minutes: Option<u8>) {
    wire::encode(out, 0x04, 0xff, |out| {
        out.push(status);
        if let Some(minutes) = minutes {
            bmp::encode_bcd(out, u64::from(minutes), 1);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_is_in_bcd_minutes() {
        assert_eq!(Intermediate::parse(&[0x0a, 0x12]).timeout, Some(Duration::from_secs(12 * 60)));
        assert_eq!(Intermediate::parse(&[0x0a]).timeout, None);
        assert_eq!(Intermediate::parse(&[0x0a, 0xff]).timeout, None, "not decimal");
        assert_eq!(Intermediate::parse(&[]).status, 0xff);
        let mut out = Vec::new();
        encode(&mut out, 0x0a, Some(12));
        assert_eq!(out, [0x04, 0xff, 0x02, 0x0a, 0x12]);
    }

    #[test]
    fn shows_the_terminals_own_words_first() {
        let own = [0x0a, 0x01, 0x06, 0x07, 0x24, 0x05, 0x07, 0x03, b'H', b'e', b'y'];
        assert_eq!(Intermediate::parse(&own).text(Charset::Cp437, Language::German), "Hey");
        assert_eq!(Intermediate::parse(&own[..1]).text(Charset::Cp437, Language::English), "insert the card");
        assert_eq!(Intermediate::parse(&own[..1]).text(Charset::Cp437, Language::German), "Karte einstecken");
    }
}
