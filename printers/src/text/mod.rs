//! Encodes text in code pages.
//!
//! Receipt printers do not support Unicode: a byte is a character of the page selected by `ESC t`. The [`Writer`] stays
//! on the current page as long as it can and otherwise selects the first of the profile's pages that has the
//! character, at one table look-up per character. Characters that no page has are first replaced by substitutes
//! ([`printable`]); the rest print as `?` and are listed by [`unmappable`]. Left out: multi-byte (Kanji) modes and
//! right-to-left text.

mod tables;

use std::borrow::Cow;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// A code page of 256 characters whose lower half is ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodePage {
    /// US, with box drawing.
    Cp437,
    /// Western European.
    Cp850,
    /// Western European with the euro sign.
    Cp858,
    /// Windows Western European.
    Cp1252,
    /// ISO 8859-15, Western European with the euro sign.
    Latin9,
    /// Central European.
    Cp852,
    /// Portuguese.
    Cp860,
    /// Canadian French.
    Cp863,
    /// Nordic.
    Cp865,
    /// Cyrillic.
    Cp866,
    /// Greek.
    Cp737,
    /// Turkish.
    Cp857,
    /// Windows Central European.
    Cp1250,
    /// Windows Cyrillic.
    Cp1251,
    /// Windows Greek.
    Cp1253,
    /// Windows Turkish.
    Cp1254,
    /// Windows Baltic.
    Cp1257,
    /// ISO 8859-7, Greek.
    Iso7,
}

/// A code page and its number on a printer (`ESC t n`).
pub type Slot = (CodePage, u8);

/// Printed in place of an unmappable character.
pub const REPLACEMENT: u8 = b'?';

impl CodePage {
    /// All pages.
    pub const ALL: [Self; 18] = [
        Self::Cp437,
        Self::Cp850,
        Self::Cp858,
        Self::Cp1252,
        Self::Latin9,
        Self::Cp852,
        Self::Cp860,
        Self::Cp863,
        Self::Cp865,
        Self::Cp866,
        Self::Cp737,
        Self::Cp857,
        Self::Cp1250,
        Self::Cp1251,
        Self::Cp1253,
        Self::Cp1254,
        Self::Cp1257,
        Self::Iso7,
    ];

    /// The byte for `c`, if this page has it.
    pub fn encode(self, c: char) -> Option<u8> {
        if is_plain(c) {
            return Some(c as u8);
        }
        Some(TABLES.bytes(c)[self as usize]).filter(|&b| b != 0)
    }

    /// The character for `byte`; U+FFFD if the page has none.
    pub fn decode(self, byte: u8) -> char {
        if byte < 0x80 { byte as char } else { TABLES.upper[self as usize][usize::from(byte - 0x80)] }
    }
}

/// Whether `c` is printable ASCII, which is the same on every page.
pub(crate) fn is_plain(c: char) -> bool {
    (' '..='~').contains(&c)
}

/// How many bytes of printable ASCII `text` begins with. Looks at eight bytes at once.
fn plain_prefix(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOP: u64 = 0x80 * ONES;
    let (eights, rest) = text.as_chunks::<8>();
    for (i, eight) in eights.iter().enumerate() {
        let bytes = u64::from_le_bytes(*eight);
        // The top bit of each byte from 80h on, of 7Fh, and of those below 20h. Carries only reach bytes behind the
        // first of these.
        let others = (bytes | bytes.wrapping_add(ONES) | (bytes.wrapping_sub(0x20 * ONES) & !bytes)) & TOP;
        if others != 0 {
            return 8 * i + others.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().position(|b| !(0x20..0x7f).contains(b)).unwrap_or(rest.len());
    text.len() - rest.len() + plain
}

/// Writes text as bytes, switching pages as needed.
#[derive(Debug)]
pub struct Writer<'a> {
    slots: &'a [Slot],
    current: Option<Slot>,
}

impl<'a> Writer<'a> {
    /// A writer for a printer's pages, the preferred one first.
    pub fn new(slots: &'a [Slot]) -> Self {
        Self { slots, current: None }
    }

    /// Selects the preferred page: which page a printer starts on is unknown.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        if let Some(&first) = self.slots.first() {
            self.select(first, out);
        }
    }

    /// Appends `text`. Control characters are never sent: they would be commands.
    pub fn write(&mut self, text: &str, out: &mut Vec<u8>) {
        // Printable ASCII, which most text is, is copied as it is.
        let mut rest = text;
        loop {
            let plain = plain_prefix(rest.as_bytes());
            out.extend_from_slice(&rest.as_bytes()[..plain]);
            let mut chars = rest[plain..].chars();
            let Some(c) = chars.next() else { return };
            self.write_char(c, out);
            rest = chars.as_str();
        }
    }

    fn write_char(&mut self, c: char, out: &mut Vec<u8>) {
        let c = simplify(c);
        if is_plain(c) {
            out.push(c as u8);
            return;
        }
        let bytes = TABLES.bytes(c);
        let has = |&(page, _): &Slot| bytes[page as usize] != 0;
        let slot = self.current.filter(has).or_else(|| self.slots.iter().copied().find(|s| has(s)));
        let Some(slot) = slot else {
            out.push(REPLACEMENT);
            return;
        };
        if self.current != Some(slot) {
            self.select(slot, out);
        }
        out.push(bytes[slot.0 as usize]);
    }

    /// ESC t, select character code table
    fn select(&mut self, slot: Slot, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x1b, b't', slot.1]);
        self.current = Some(slot);
    }
}

/// The characters of `text` that print as `?`, because no page has them and [`printable`] has no substitute: each once,
/// in order of appearance.
pub fn unmappable(text: &str, slots: &[Slot]) -> Vec<char> {
    let mut missing = Vec::new();
    for c in printable(text, slots).chars().filter(|&c| c != '\n' && c != '\r') {
        if !has(c, slots) && !missing.contains(&c) {
            missing.push(c);
        }
    }
    missing
}

/// `text` as these pages can print it: letters and their combining marks are composed (u + U+0308 becomes ü), and
/// characters that no page has are replaced by substitutes (`ș` by `ş`, `ẞ` by `SS`, `→` by `->`). Nothing else changes.
pub fn printable<'a>(text: &'a str, slots: &[Slot]) -> Cow<'a, str> {
    let other =
        |c: char| (!has(c, slots)).then(|| stand_in(c)).flatten().filter(|other| other.chars().all(|c| has(c, slots)));
    let is_combining = |c: char| matches!(c, '\u{300}'..='\u{36f}' | '\u{1100}'..='\u{11ff}');
    let (mut composes, mut replaces) = (false, false);
    let mut chars = text[plain_prefix(text.as_bytes())..].chars();
    while let Some(c) = chars.next() {
        if !c.is_ascii() {
            composes |= is_combining(c);
            replaces |= other(c).is_some();
        }
        let rest = chars.as_str();
        chars = rest[plain_prefix(rest.as_bytes())..].chars();
    }
    if !composes && !replaces {
        return Cow::Borrowed(text);
    }
    let composed = if composes { Cow::Owned(text.nfc().collect()) } else { Cow::Borrowed(text) };
    let mut out = String::with_capacity(composed.len());
    for c in composed.chars() {
        match other(c) {
            Some(other) => out.push_str(other),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn has(c: char, slots: &[Slot]) -> bool {
    let bytes = TABLES.bytes(c);
    is_plain(c) || slots.iter().any(|(page, _)| bytes[*page as usize] != 0) || is_plain(simplify(c))
}

/// A substitute for a character that a printer may lack.
fn stand_in(c: char) -> Option<&'static str> {
    Some(match c {
        // Romanian: the cedilla stood for the comma before Unicode 3.0, and still does on code pages.
        'ș' => "ş",
        'Ș' => "Ş",
        'ț' => "ţ",
        'Ț' => "Ţ",
        'ẞ' => "SS",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        '‘' | '’' | '‛' | '′' | 'ʼ' | '‹' | '›' => "'",
        '“' | '”' | '„' | '‟' | '″' => "\"",
        '‚' => ",",
        '–' | '—' | '―' | '─' | '━' => "-",
        '═' => "=",
        '│' | '┃' | '║' => "|",
        '…' => "...",
        '•' | '‣' | '●' => "*",
        '→' => "->",
        '←' => "<-",
        '↔' => "<->",
        '⇒' => "=>",
        '×' | '✕' => "x",
        '⁄' | '∕' => "/",
        '≠' => "!=",
        '≤' => "<=",
        '≥' => ">=",
        '≈' => "~",
        '✓' | '✔' => "v",
        '€' => "EUR",
        '₺' => "TL",
        '₽' => "RUB",
        '₴' => "UAH",
        '₹' => "Rs",
        '₿' => "BTC",
        '™' => "(TM)",
        '©' => "(C)",
        '®' => "(R)",
        '№' => "No.",
        // Invisible: zero-width characters and soft hyphens.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "",
        _ => return None,
    })
}

/// Maps characters to others that look the same on paper.
fn simplify(c: char) -> char {
    match c {
        '\t' | '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' => ' ',
        '\u{2010}'..='\u{2012}' | '\u{2212}' => '-',
        c => c,
    }
}

const PAGES: usize = CodePage::ALL.len();
type Bytes = [u8; PAGES];

/// For each character up to U+FFFF, its byte on each page, 0 for none. Two levels, so that one look-up covers all pages.
struct Tables {
    block: [u8; 256],
    blocks: Vec<[Bytes; 256]>,
    upper: Vec<[char; 128]>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

impl Tables {
    fn new() -> Self {
        let mut tables = Self { block: [0; 256], blocks: vec![[[0; PAGES]; 256]], upper: Vec::new() };
        for (page, upper) in tables::UPPER.iter().enumerate() {
            let mut chars = [char::REPLACEMENT_CHARACTER; 128];
            for (i, c) in upper.chars().enumerate() {
                chars[i] = c;
                // IBM added the euro sign to page 857 later (CCSID 9049). Older printers print nothing there, so it is
                // decoded but never written.
                let is_late = page == CodePage::Cp857 as usize && c == '€';
                if c == char::REPLACEMENT_CHARACTER || is_late {
                    continue;
                }
                let code = c as usize;
                if tables.block[code >> 8] == 0 {
                    tables.block[code >> 8] = tables.blocks.len() as u8;
                    tables.blocks.push([[0; PAGES]; 256]);
                }
                tables.blocks[usize::from(tables.block[code >> 8])][code & 0xff][page] = 0x80 + i as u8;
            }
            tables.upper.push(chars);
        }
        tables
    }

    /// The byte of `c` on each page, 0 where a page lacks it.
    fn bytes(&self, c: char) -> &Bytes {
        let code = c as usize;
        // Block 0 is empty.
        match self.block.get(code >> 8) {
            Some(&block) => &self.blocks[usize::from(block)][code & 0xff],
            None => &self.blocks[0][0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: &[Slot] = &[(CodePage::Cp858, 19), (CodePage::Cp437, 0), (CodePage::Cp866, 17)];

    fn written(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(SLOTS);
        writer.start(&mut out);
        writer.write(text, &mut out);
        out
    }

    /// unicode.org VENDORS/MICSFT/PC/CP850.TXT, WINDOWS/CP1252.TXT; the euro replaces dotless i in 858.
    #[test]
    fn pages_are_those_of_unicode_org() {
        for (page, c, byte) in [
            (CodePage::Cp437, 'ß', 0xe1),
            (CodePage::Cp437, 'é', 0x82),
            (CodePage::Cp437, '─', 0xc4),
            (CodePage::Cp850, 'ı', 0xd5),
            (CodePage::Cp850, 'Ø', 0x9d),
            (CodePage::Cp858, '€', 0xd5),
            (CodePage::Cp858, 'ü', 0x81),
            (CodePage::Cp1252, '€', 0x80),
            (CodePage::Cp1252, '–', 0x96),
            (CodePage::Latin9, '€', 0xa4),
            (CodePage::Cp866, 'Я', 0x9f),
            (CodePage::Cp852, 'ł', 0x88),
            (CodePage::Cp1251, 'я', 0xff),
        ] {
            assert_eq!(page.encode(c), Some(byte), "{page:?} {c}");
            assert_eq!(page.decode(byte), c, "{page:?} {byte:#x}");
        }
        assert_eq!(CodePage::Cp437.encode('€'), None);
        assert_eq!(CodePage::Cp1252.decode(0x81), '\u{fffd}');
        for (i, upper) in tables::UPPER.iter().enumerate() {
            assert_eq!(upper.chars().count(), 128, "{:?}", CodePage::ALL[i]);
            assert_eq!(CodePage::ALL[i] as usize, i);
        }
    }

    #[test]
    fn plain_text_ends_where_its_first_other_byte_stands() {
        for other in (0..=255).filter(|b| !(0x20..0x7f).contains(b)) {
            for at in 0..20 {
                for behind in [0x00, b'a', 0x7f, 0xff] {
                    let mut text = [b'~'; 20];
                    text[at] = other;
                    text[at + 1..].fill(behind);
                    assert_eq!(plain_prefix(&text), at, "{other:#x}");
                }
            }
        }
        let plain: Vec<u8> = (b' '..=b'~').collect();
        assert_eq!(plain_prefix(&plain), plain.len());
    }

    #[test]
    fn the_page_is_forced_first_and_changed_when_needed() {
        assert_eq!(written("Grüße 5€"), b"\x1b\x74\x13Gr\x81\xe1e 5\xd5");
        // σ is on 437 only, ä on both: no change back until one is needed.
        assert_eq!(written("äσä€"), b"\x1b\x74\x13\x84\x1b\x74\x00\xe5\x84\x1b\x74\x13\xd5");
        assert_eq!(written("Да"), b"\x1b\x74\x13\x1b\x74\x11\x84\xa0");
    }

    #[test]
    fn what_no_page_has_is_replaced_and_listed() {
        assert_eq!(written("a漢b"), b"\x1b\x74\x13a?b");
        assert_eq!(unmappable("漢a漢字€\n", SLOTS), ['漢', '字']);
        assert_eq!(unmappable("Grüße\u{a0}5\u{202f}€", SLOTS), []);
        assert_eq!(unmappable("ẞ → ș 漢", SLOTS), ['ș', '漢'], "this printer has no ş either");
    }

    #[test]
    fn what_no_page_has_is_written_in_another_way() {
        let slots = [SLOTS, &[(CodePage::Cp852, 18)]].concat();
        for (text, printed) in [
            ("u\u{308}ber Cafe\u{301}", "über Café"),
            ("Bucureș\u{163}i, Țară", "Bucureşţi, Ţară"),
            ("STRAẞE", "STRASSE"),
            ("5′ 10″ → ≠ … −5", "5' 10\" -> != ... −5"),
            ("Grüße 5 €", "Grüße 5 €"),
            ("plain", "plain"),
            ("漢 ₪", "漢 ₪"),
            ("soft\u{200b} space", "soft space"),
        ] {
            assert_eq!(printable(text, &slots), printed);
        }
        assert_eq!(printable("5 €", &[(CodePage::Cp437, 0)]), "5 EUR");
        let euro = printable("5 €", SLOTS);
        assert!(matches!(euro, Cow::Borrowed(_)), "no copy where nothing changes");
    }

    #[test]
    fn no_command_gets_through_text() {
        assert_eq!(written("\x1b@\x10\x04\x01"), b"\x1b\x74\x13?@???");
        assert_eq!(unmappable("\x1b", SLOTS), ['\x1b']);
    }
}
