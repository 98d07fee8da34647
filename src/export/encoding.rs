//! Encodings of exported text.

use std::borrow::Cow;
use std::fmt;

use tresen_printers::text::CodePage;

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// Little-endian, as spreadsheets call Unicode text.
    Utf16,
    Ascii,
    /// ISO 8859-1: the first 256 characters of Unicode.
    Latin1,
    /// A page whose lower half is ASCII.
    Page(CodePage),
}

impl Encoding {
    /// The encoding of this name; case does not matter.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, encoding)| *encoding)
    }

    /// All names.
    pub(super) fn names() -> Vec<&'static str> {
        NAMES.iter().map(|(name, _)| *name).collect()
    }

    /// Whether it has a character.
    pub(super) fn has(self, c: char) -> bool {
        c.is_ascii() || self.byte(c).is_some() || matches!(self, Self::Utf8 | Self::Utf16)
    }

    /// Encodes a text all of whose characters it has.
    pub(super) fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(text.as_bytes()),
            Self::Utf16 => text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().into(),
            _ if text.is_ascii() => Cow::Borrowed(text.as_bytes()),
            _ => text.chars().map(|c| self.byte(c).unwrap_or(b'?')).collect::<Vec<_>>().into(),
        }
    }

    /// The byte order mark, for encodings of Unicode.
    pub(super) fn bom(self) -> &'static [u8] {
        match self {
            Self::Utf8 => b"\xef\xbb\xbf",
            Self::Utf16 => b"\xff\xfe",
            _ => b"",
        }
    }

    /// The byte of a character, for encodings of one byte per character.
    fn byte(self, c: char) -> Option<u8> {
        match self {
            Self::Utf8 | Self::Utf16 => None,
            // Control characters are the same everywhere.
            _ if c.is_ascii() => Some(c as u8),
            Self::Ascii => None,
            Self::Latin1 => u8::try_from(u32::from(c)).ok(),
            Self::Page(page) => page.encode(c),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, known)| known == self).map_or("", |(name, _)| name))
    }
}

/// The names of the WHATWG and IANA registries.
const NAMES: [(&str, Encoding); 21] = [
    ("utf-8", Encoding::Utf8),
    ("utf-16le", Encoding::Utf16),
    ("us-ascii", Encoding::Ascii),
    ("iso-8859-1", Encoding::Latin1),
    ("iso-8859-7", Encoding::Page(CodePage::Iso7)),
    ("iso-8859-15", Encoding::Page(CodePage::Latin9)),
    ("windows-1250", Encoding::Page(CodePage::Cp1250)),
    ("windows-1251", Encoding::Page(CodePage::Cp1251)),
    ("windows-1252", Encoding::Page(CodePage::Cp1252)),
    ("windows-1253", Encoding::Page(CodePage::Cp1253)),
    ("windows-1254", Encoding::Page(CodePage::Cp1254)),
    ("windows-1257", Encoding::Page(CodePage::Cp1257)),
    ("ibm437", Encoding::Page(CodePage::Cp437)),
    ("ibm850", Encoding::Page(CodePage::Cp850)),
    ("ibm858", Encoding::Page(CodePage::Cp858)),
    ("ibm852", Encoding::Page(CodePage::Cp852)),
    ("ibm857", Encoding::Page(CodePage::Cp857)),
    ("ibm860", Encoding::Page(CodePage::Cp860)),
    ("ibm863", Encoding::Page(CodePage::Cp863)),
    ("ibm865", Encoding::Page(CodePage::Cp865)),
    ("ibm866", Encoding::Page(CodePage::Cp866)),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `encoding_rs` implements the WHATWG standard; the pages of DOS but one are not in it.
    #[test]
    fn agrees_with_the_encoding_standard() {
        let mut compared = 0;
        for (name, ours) in NAMES {
            let Some(theirs) = encoding_rs::Encoding::for_label(name.as_bytes()) else { continue };
            // To the standard these two are windows-1252.
            if ["us-ascii", "iso-8859-1"].contains(&name) || ours == Encoding::Utf16 {
                continue;
            }
            compared += 1;
            for c in (0x20..0x2_0000).filter_map(char::from_u32) {
                let text = c.to_string();
                let (bytes, _, lacks) = theirs.encode(&text);
                // The standard maps the unassigned bytes 80 to 9F to the control characters.
                if (0x7f..0xa0).contains(&u32::from(c)) {
                    continue;
                }
                assert_eq!(ours.has(c), !lacks, "{name}: {c:?}");
                if !lacks {
                    assert_eq!(ours.encode(&text), bytes, "{name}: {c:?}");
                }
            }
        }
        assert_eq!(compared, 10);
        let umlauts = [0xc4, 0xe4, 0xdf];
        assert_eq!(Encoding::Latin1.encode("Ääß").as_ref(), umlauts);
        assert!(!Encoding::Latin1.has('€') && !Encoding::Ascii.has('ä') && Encoding::Utf16.has('€'));
        assert_eq!(Encoding::Utf16.encode("€A").as_ref(), [0xac, 0x20, 0x41, 0x00]);
        // The manual of DOS 6.22, appendix D: code page 850.
        assert_eq!(Encoding::named("IBM850").expect("known").encode("Äß").as_ref(), [0x8e, 0xe1]);
    }
}
