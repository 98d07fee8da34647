//! Keyboard layouts: the character of each key. Keys are usages of HID Usage Tables, Keyboard/Keypad page (0x07).
//!
//! Those of Windows, which scanners are made for (learn.microsoft.com/globalization/keyboards: kbdus, kbdgr, kbdfr,
//! kbduk, kbdsg), compared with xkeyboard-config 2.35. Where they differ, Windows wins.

use std::fmt;
use std::str::FromStr;

use tresen_hal::{Error, Kind};

/// The keyboard layout that a scanner is set to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// United States, the factory setting of scanners.
    #[default]
    Us,
    /// Germany and Austria.
    De,
    /// France.
    Fr,
    /// United Kingdom.
    Gb,
    /// Switzerland (German).
    Ch,
}

/// The shift level of a character on its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Plain,
    Shift,
    AltGr,
}

/// A key with its shift level.
pub(super) type Stroke = (u8, Level);

/// The keys of the third string in each level of a [`Table`], by their US characters: - = [ ] \ ; ' ` , . / and the key
/// between left Shift and Z, which US keyboards lack.
const MARKS: [u8; 12] = [0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x64];

/// One layout. A space stands for a key without character.
struct Table {
    /// Letters A to Z, digits 1 to 0, and [`MARKS`]; likewise for the other levels.
    plain: [&'static str; 3],
    shift: [&'static str; 3],
    altgr: [&'static str; 3],
    /// Dead keys. A scanner types a space after them to get the accent itself.
    dead: &'static [Stroke],
    /// The character of the keypad's decimal key.
    decimal: char,
}

const NO_LETTERS: &str = "                          ";
const NO_DIGITS: &str = "          ";
const NO_MARKS: &str = "            ";

static US: Table = Table {
    plain: ["abcdefghijklmnopqrstuvwxyz", "1234567890", r"-=[]\;'`,./\"],
    shift: ["ABCDEFGHIJKLMNOPQRSTUVWXYZ", "!@#$%^&*()", "_+{}|:\"~<>?|"],
    altgr: [NO_LETTERS, NO_DIGITS, NO_MARKS],
    dead: &[],
    decimal: '.',
};

static DE: Table = Table {
    plain: ["abcdefghijklmnopqrstuvwxzy", "1234567890", "ß´ü+#öä^,.-<"],
    shift: ["ABCDEFGHIJKLMNOPQRSTUVWXZY", "!\"§$%&/()=", "?`Ü*'ÖÄ°;:_>"],
    altgr: ["    €       µ   @         ", " ²³   {[]}", "\\  ~       |"],
    dead: &[(0x35, Level::Plain), (0x2e, Level::Plain), (0x2e, Level::Shift)],
    decimal: ',',
};

static FR: Table = Table {
    plain: ["qbcdefghijkl,noparstuvzxyw", "&é\"'(-è_çà", ")=^$*mù²;:!<"],
    shift: ["QBCDEFGHIJKL?NOPARSTUVZXYW", "1234567890", "°+¨£µM% ./§>"],
    altgr: ["    €                     ", " ~#{[|`\\^@", "]} ¤        "],
    dead: &[(0x2f, Level::Plain), (0x2f, Level::Shift), (0x1f, Level::AltGr), (0x24, Level::AltGr)],
    decimal: '.',
};

static GB: Table = Table {
    plain: ["abcdefghijklmnopqrstuvwxyz", "1234567890", r"-=[]#;'`,./\"],
    shift: ["ABCDEFGHIJKLMNOPQRSTUVWXYZ", "!\"£$%^&*()", "_+{}~:@¬<>?|"],
    altgr: ["á   é   í     ó     ú     ", "   €      ", "       ¦    "],
    dead: &[],
    decimal: '.',
};

static CH: Table = Table {
    plain: ["abcdefghijklmnopqrstuvwxzy", "1234567890", "'^ü¨$öä§,.-<"],
    shift: ["ABCDEFGHIJKLMNOPQRSTUVWXZY", "+\"*ç%&/()=", "?`è!£éà°;:_>"],
    altgr: ["    €                     ", "¦@#°§¬|¢  ", "´~[]} {    \\"],
    dead: &[
        (0x2e, Level::Plain),
        (0x2e, Level::Shift),
        (0x2e, Level::AltGr),
        (0x2d, Level::AltGr),
        (0x30, Level::Plain),
    ],
    decimal: '.',
};

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 5] = [Self::Us, Self::De, Self::Fr, Self::Gb, Self::Ch];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Gb => "gb",
            Self::Ch => "ch",
        }
    }

    fn table(self) -> &'static Table {
        match self {
            Self::Us => &US,
            Self::De => &DE,
            Self::Fr => &FR,
            Self::Gb => &GB,
            Self::Ch => &CH,
        }
    }

    /// The character of a key; `None` if it has none at that level. A dead key has its accent.
    pub(super) fn character(self, (usage, level): Stroke) -> Option<char> {
        let (row, at) = match usage {
            0x04..=0x1d => (0, usage - 0x04),
            0x1e..=0x27 => (1, usage - 0x1e),
            // Key 0x32 of European keyboards is key 0x31 of US ones.
            0x32 => (2, 4),
            _ => (2, MARKS.iter().position(|mark| *mark == usage)? as u8),
        };
        let table = self.table();
        let rows = match level {
            Level::Plain => &table.plain,
            Level::Shift => &table.shift,
            Level::AltGr => &table.altgr,
        };
        rows[row].chars().nth(at.into()).filter(|c| *c != ' ')
    }

    /// Whether it is a dead key.
    pub(super) fn is_dead(self, stroke: Stroke) -> bool {
        self.table().dead.contains(&stroke)
    }

    /// The character of the keypad's decimal key.
    pub(super) fn decimal(self) -> char {
        self.table().decimal
    }

    /// Whether Caps Lock swaps the levels of this key, because they are a letter and its upper case.
    pub(super) fn has_case(self, usage: u8) -> bool {
        let of = |level| self.character((usage, level));
        match (of(Level::Plain), of(Level::Shift)) {
            (Some(plain), Some(shift)) => plain != shift && plain.to_uppercase().eq([shift]),
            _ => false,
        }
    }

    /// The key that types a character, for simulators; preferably not a dead key.
    pub(super) fn stroke(self, character: char) -> Option<Stroke> {
        let levels = [Level::Plain, Level::Shift, Level::AltGr];
        let strokes = || (0x04..=0x64).flat_map(move |usage| levels.map(|level| (usage, level)));
        let mut typing = strokes().filter(|s| s.0 != 0x32 && self.character(*s) == Some(character));
        let first = typing.clone().next();
        typing.find(|s| !self.is_dead(*s)).or(first)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|layout| layout.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::new(Kind::Input, format!("`{text}` is no layout; layouts are {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{AltGr, Plain, Shift};

    #[test]
    fn tables_are_whole() {
        for layout in Layout::ALL {
            let table = layout.table();
            for rows in [&table.plain, &table.shift, &table.altgr] {
                assert_eq!(rows.map(|row| row.chars().count()), [26, 10, 12], "{layout}");
            }
            for &stroke in table.dead {
                assert!(layout.character(stroke).is_some(), "{layout} {stroke:x?}");
            }
            assert_eq!(layout.name().parse::<Layout>().expect("its own name"), layout);
        }
        assert!("xx".parse::<Layout>().expect_err("none").to_string().contains("us, de, fr, gb, ch"));
    }

    /// Keys as the layouts' pictures show them; positions from HID Usage Tables, page 0x07.
    #[test]
    fn keys_have_their_characters() {
        for (layout, usage, level, expected) in [
            (Layout::Us, 0x1c, Plain, 'y'),
            (Layout::Us, 0x1f, Shift, '@'),
            (Layout::Us, 0x30, Plain, ']'),
            (Layout::De, 0x1c, Plain, 'z'),
            (Layout::De, 0x1d, Shift, 'Y'),
            (Layout::De, 0x14, AltGr, '@'),
            (Layout::De, 0x2d, Plain, 'ß'),
            (Layout::De, 0x2d, AltGr, '\\'),
            (Layout::De, 0x26, AltGr, ']'),
            (Layout::De, 0x38, Plain, '-'),
            (Layout::De, 0x64, AltGr, '|'),
            (Layout::De, 0x32, Shift, '\''),
            (Layout::Fr, 0x14, Plain, 'a'),
            (Layout::Fr, 0x1e, Shift, '1'),
            (Layout::Fr, 0x33, Plain, 'm'),
            (Layout::Fr, 0x10, Plain, ','),
            (Layout::Fr, 0x22, AltGr, '['),
            (Layout::Fr, 0x25, Plain, '_'),
            (Layout::Gb, 0x1f, Shift, '"'),
            (Layout::Gb, 0x34, Shift, '@'),
            (Layout::Gb, 0x31, Plain, '#'),
            (Layout::Ch, 0x1f, AltGr, '@'),
            (Layout::Ch, 0x2f, Shift, 'è'),
            (Layout::Ch, 0x34, AltGr, '{'),
            (Layout::Ch, 0x31, AltGr, '}'),
        ] {
            assert_eq!(layout.character((usage, level)), Some(expected), "{layout} {usage:x} {level:?}");
        }
        assert_eq!(Layout::Us.character((0x14, AltGr)), None);
        assert_eq!(Layout::Us.character((0x28, Plain)), None);
    }

    /// Every layout can type the characters of retail codes.
    #[test]
    fn every_layout_has_printable_ascii() {
        for layout in Layout::ALL {
            for byte in 0x21..0x7f_u8 {
                let stroke = layout.stroke(byte.into());
                assert_eq!(stroke.and_then(|s| layout.character(s)), Some(byte.into()), "{layout} {}", byte as char);
            }
        }
    }

    /// Dead keys such as ^; another key with the same character is not dead.
    #[test]
    fn some_keys_are_dead() {
        for (layout, usage, level, dead) in [
            (Layout::Us, 0x35, Plain, false),
            (Layout::De, 0x35, Plain, true),
            (Layout::De, 0x2e, Shift, true),
            (Layout::De, 0x30, AltGr, false),
            (Layout::Fr, 0x2f, Plain, true),
            (Layout::Fr, 0x2f, Shift, true),
            (Layout::Fr, 0x1f, AltGr, true),
            (Layout::Fr, 0x26, AltGr, false),
            (Layout::Ch, 0x2e, AltGr, true),
            (Layout::Ch, 0x30, Plain, true),
        ] {
            assert_eq!(layout.is_dead((usage, level)), dead, "{layout} {usage:x} {level:?}");
        }
    }

    #[test]
    fn caps_lock_is_for_letters() {
        assert!(Layout::De.has_case(0x04) && Layout::De.has_case(0x33));
        assert!(!Layout::De.has_case(0x1e) && !Layout::De.has_case(0x2d) && !Layout::Ch.has_case(0x2f));
    }
}
