//! Character sets of texts on receipts and displays (PA00P015, tag 14).
//!
//! Code page 437 is the default; a setting names another, and the one with which the terminal answers the
//! registration outranks it. Some terminals send ISO 8859-1 unasked, which only the setting can tell. Of ISO 8859 the parts 1 and
//! 15 are decoded; other parts keep their ASCII.

use std::str::FromStr;

use tresen_hal::{Error, Kind};

/// A character set by its number in tag 14.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Charset {
    /// `00`: 7-bit ASCII.
    Ascii,
    /// `01` to `10`: ISO 8859, that part.
    Iso8859(u8),
    /// `FE`: UTF-8.
    Utf8,
    /// `FF`: code page 437.
    #[default]
    Cp437,
}

impl Charset {
    /// The set with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x00 => Self::Ascii,
            0x01..=0x10 => Self::Iso8859(code),
            0xfe => Self::Utf8,
            0xff => Self::Cp437,
            _ => return None,
        })
    }

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ascii => 0x00,
            Self::Iso8859(part) => part,
            Self::Utf8 => 0xfe,
            Self::Cp437 => 0xff,
        }
    }

    /// Bytes as text. What the set does not have becomes U+FFFD; NUL and other controls are left out.
    pub fn decode(self, bytes: &[u8]) -> String {
        if self == Self::Utf8 {
            return String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect();
        }
        bytes.iter().filter(|b| **b >= 0x20 && **b != 0x7f).map(|b| self.decode_byte(*b)).collect()
    }

    /// Bytes as a text to show to a person: line ends become blanks, so that words do not run together, and card
    /// numbers are masked. Trimmed.
    pub fn shown(self, bytes: &[u8]) -> String {
        let lines = bytes.split(|b| matches!(b, b'\r' | b'\n')).map(|line| self.decode(line).trim().to_owned());
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        crate::pan::mask_lines(&lines, &[]).join(" ")
    }

    /// Text as bytes; `?` for what the set does not have.
    pub fn encode(self, text: &str) -> Vec<u8> {
        if self == Self::Utf8 {
            return text.as_bytes().to_vec();
        }
        let encode = |c: char| match c {
            '\0'..='\x7f' => c as u8,
            '\u{fffd}' => b'?',
            _ => (0x80..=0xff).find(|b| self.decode_byte(*b) == c).unwrap_or(b'?'),
        };
        text.chars().map(encode).collect()
    }

    fn decode_byte(self, byte: u8) -> char {
        match (self, byte) {
            (_, 0..=0x7f) => char::from(byte),
            (Self::Cp437, _) => CP437[usize::from(byte - 0x80)],
            (Self::Iso8859(0x0f), _) => match byte {
                0xa4 => '€',
                0xa6 => 'Š',
                0xa8 => 'š',
                0xb4 => 'Ž',
                0xb8 => 'ž',
                0xbc => 'Œ',
                0xbd => 'œ',
                0xbe => 'Ÿ',
                _ => char::from(byte),
            },
            (Self::Iso8859(1), _) => char::from(byte),
            _ => '\u{fffd}',
        }
    }
}

/// As an option of an address writes it: `ascii`, `cp437`, `utf-8`, `iso-8859-1`, `iso-8859-15`.
impl FromStr for Charset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "ascii" => Self::Ascii,
            "cp437" => Self::Cp437,
            "utf-8" => Self::Utf8,
            "iso-8859-1" => Self::Iso8859(1),
            "iso-8859-15" => Self::Iso8859(15),
            _ => {
                let what = format!("unknown character set `{text}`");
                let known = "expected one of ascii, cp437, utf-8, iso-8859-1, iso-8859-15";
                return Err(Error::new(Kind::Config, format!("{what}; {known}")));
            }
        })
    }
}

/// Code page 437, upper half, as IBM registered it (CDRA code page 00437).
#[rustfmt::skip]
static CP437: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å',
    'É', 'æ', 'Æ', 'ô', 'ö', 'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ',
    'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡', '«', '»',
    '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐',
    '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧',
    '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐', '▀',
    'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩',
    '≡', '±', '≥', '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_umlauts_of_each_set() {
        // Ä ö ü ß in CP437 are 8E 94 81 E1; in ISO 8859-1 C4 F6 FC DF.
        assert_eq!(Charset::Cp437.decode(&[0x8e, 0x94, 0x81, 0xe1]), "Äöüß");
        assert_eq!(Charset::Iso8859(1).decode(&[0xc4, 0xf6, 0xfc, 0xdf]), "Äöüß");
        assert_eq!(Charset::Iso8859(15).decode(&[0xa4]), "€");
        assert_eq!(Charset::Utf8.decode("Äöüß €".as_bytes()), "Äöüß €");
        assert_eq!(Charset::Ascii.decode(&[b'a', 0xc4, 0x00]), "a\u{fffd}");
    }

    #[test]
    fn shows_lines_as_words_and_no_card_number() {
        // BMP 3C as a terminal sent it: `076 06` CR `Capt.-Ref.`
        assert_eq!(Charset::Cp437.shown(b"076 06\rCapt.-Ref.\r\n= 0001 "), "076 06 Capt.-Ref. = 0001");
        assert_eq!(Charset::Cp437.shown(b"Karte 4111-1111-1111-1111"), "Karte ****-****-****-1111");
        assert_eq!(Charset::Cp437.shown(b"4111 1111\r1111 1111"), "**** **** **** 1111");
        assert_eq!(Charset::Cp437.shown(b"\r\n"), "");
    }

    #[test]
    fn is_named_in_settings() {
        let set: Charset = "ISO-8859-1".parse().expect("known");
        // What a terminal sends unasked: `H─NDLERBELEG` in code page 437.
        assert_eq!(set.decode(b"H\xc4NDLERBELEG"), "HÄNDLERBELEG");
        for name in ["ascii", "cp437", "utf-8", "iso-8859-15"] {
            name.parse::<Charset>().expect(name);
        }
        assert!("latin1".parse::<Charset>().expect_err("unknown").to_string().contains("iso-8859-1"));
    }

    #[test]
    fn encodes_what_it_decodes() {
        for set in [Charset::Cp437, Charset::Iso8859(1), Charset::Iso8859(15), Charset::Utf8] {
            assert_eq!(set.decode(&set.encode("Äöüß x")), "Äöüß x", "{set:?}");
            assert_eq!(Charset::from_code(set.code()), Some(set));
        }
        assert_eq!(Charset::Cp437.encode("€"), b"?");
    }
}
