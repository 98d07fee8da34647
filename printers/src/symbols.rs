//! The bars of one-dimensional barcodes: EAN/UPC (GS1 General Specifications 5.2), Code 39
//! (ISO/IEC 16388), Code 128 (ISO/IEC 15417), interleaved 2 of 5 (ISO/IEC 16390).
//!
//! For paper that we draw ourselves; printers draw their own. Left out: UPC-E, Codabar, Code 93.

use crate::document::Symbology;
use crate::gs1;

/// Widths in dots, bar and space in turn, beginning and ending with a bar. Empty if the symbology
/// does not hold `data`. Wide elements of two-width codes are 2.5 times the narrow ones, as on Epson.
pub(crate) fn elements(symbology: Symbology, data: &[u8], module: u32) -> Vec<u32> {
    let wide = (module * 5).div_ceil(2);
    let two = |pattern: &[bool]| pattern.iter().map(|&w| if w { wide } else { module }).collect();
    let many = |widths: Vec<u8>| widths.into_iter().map(|w| u32::from(w) * module).collect();
    let bars = match symbology {
        Symbology::Ean13 => ean13(data).map(many),
        Symbology::UpcA => ean13(&[b"0", data].concat()).map(many),
        Symbology::Ean8 => ean8(data).map(many),
        Symbology::Code39 => code39_pattern(data).map(|p| two(&p)),
        Symbology::Itf => itf(data).map(|p| two(&p)),
        Symbology::Code128 => code128_data(data).and_then(|d| code128_escaped(&d, module)).map(|(widths, _)| widths),
        Symbology::Gs1128 => code128_data(&gs1::elements(data)).and_then(|d| code128_escaped(&d, module)).map(|d| d.0),
    };
    bars.unwrap_or_default()
}

/// Widths of set A, space bar space bar; set C has the same widths, set B them reversed.
const EAN: [[u8; 4]; 10] = [
    [3, 2, 1, 1],
    [2, 2, 2, 1],
    [2, 1, 2, 2],
    [1, 4, 1, 1],
    [1, 1, 3, 2],
    [1, 2, 3, 1],
    [1, 1, 1, 4],
    [1, 3, 1, 2],
    [1, 2, 1, 3],
    [3, 1, 1, 2],
];

/// Which of the six left digits are of set B (bit 5 the first), by the first digit.
const PARITY: [u8; 10] =
    [0b000000, 0b001011, 0b001101, 0b001110, 0b010011, 0b011001, 0b011100, 0b010101, 0b010110, 0b011010];

fn digits(data: &[u8], count: usize) -> Option<Vec<usize>> {
    (data.len() == count && data.iter().all(u8::is_ascii_digit))
        .then(|| data.iter().map(|b| usize::from(b - b'0')).collect())
}

fn ean13(data: &[u8]) -> Option<Vec<u8>> {
    let digits = digits(data, 13)?;
    Some(ean(&digits[1..7], &digits[7..], PARITY[digits[0]]))
}

fn ean8(data: &[u8]) -> Option<Vec<u8>> {
    let digits = digits(data, 8)?;
    Some(ean(&digits[..4], &digits[4..], 0))
}

fn ean(left: &[usize], right: &[usize], parity: u8) -> Vec<u8> {
    let mut widths = vec![1, 1, 1];
    for (i, &digit) in left.iter().enumerate() {
        let mut pattern = EAN[digit];
        if parity & (0b100000 >> i) != 0 {
            pattern.reverse();
        }
        widths.extend(pattern);
    }
    widths.extend([1; 5]);
    right.iter().for_each(|&digit| widths.extend(EAN[digit]));
    widths.extend([1; 3]);
    widths
}

const CODE39: &[u8; 44] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%*";
/// Nine elements each, bar first, 1 for wide.
const CODE39_BITS: [u16; 44] = [
    0b000110100,
    0b100100001,
    0b001100001,
    0b101100000,
    0b000110001,
    0b100110000,
    0b001110000,
    0b000100101,
    0b100100100,
    0b001100100,
    0b100001001,
    0b001001001,
    0b101001000,
    0b000011001,
    0b100011000,
    0b001011000,
    0b000001101,
    0b100001100,
    0b001001100,
    0b000011100,
    0b100000011,
    0b001000011,
    0b101000010,
    0b000010011,
    0b100010010,
    0b001010010,
    0b000000111,
    0b100000110,
    0b001000110,
    0b000010110,
    0b110000001,
    0b011000001,
    0b111000000,
    0b010010001,
    0b110010000,
    0b011010000,
    0b010000101,
    0b110000100,
    0b011000100,
    0b010101000,
    0b010100010,
    0b010001010,
    0b000101010,
    0b010010100,
];

/// The place of a data character in Code 39; the start and stop character is none.
pub(crate) fn code39(byte: u8) -> Option<usize> {
    CODE39[..43].iter().position(|&b| b == byte)
}

fn code39_pattern(data: &[u8]) -> Option<Vec<bool>> {
    let mut widths = Vec::new();
    // Some hosts send the start and stop characters themselves.
    let data = data.strip_prefix(b"*").and_then(|d| d.strip_suffix(b"*")).unwrap_or(data);
    let places: Option<Vec<usize>> = data.iter().map(|&b| code39(b)).collect();
    for place in [43].into_iter().chain(places?).chain([43]) {
        if !widths.is_empty() {
            widths.push(false);
        }
        widths.extend((0..9).map(|i| CODE39_BITS[place] & (0b100000000 >> i) != 0));
    }
    Some(widths)
}

/// Five elements each, 1 for wide.
const ITF: [u8; 10] = [0b00110, 0b10001, 0b01001, 0b11000, 0b00101, 0b10100, 0b01100, 0b00011, 0b10010, 0b01010];

fn itf(data: &[u8]) -> Option<Vec<bool>> {
    let digits = digits(data, data.len() & !1)?;
    let mut widths = vec![false; 4];
    for pair in digits.chunks_exact(2) {
        for i in 0..5 {
            widths.extend(pair.iter().map(|&d| ITF[d] & (0b10000 >> i) != 0));
        }
    }
    widths.extend([true, false, false]);
    Some(widths)
}

/// Widths of the 106 code characters, six digits each, bar first.
const CODE128: [u32; 106] = [
    212222, 222122, 222221, 121223, 121322, 131222, 122213, 122312, 132212, 221213, 221312, 231212, 112232, 122132,
    122231, 113222, 123122, 123221, 223211, 221132, 221231, 213212, 223112, 312131, 311222, 321122, 321221, 312212,
    322112, 322211, 212123, 212321, 232121, 111323, 131123, 131321, 112313, 132113, 132311, 211313, 231113, 231311,
    112133, 112331, 132131, 113123, 113321, 133121, 313121, 211331, 231131, 213113, 213311, 213131, 311123, 311321,
    331121, 312113, 312311, 332111, 314111, 221411, 431111, 111224, 111422, 121124, 121421, 141122, 141221, 112214,
    112412, 122114, 122411, 142112, 142211, 241211, 221114, 413111, 241112, 134111, 111242, 121142, 121241, 114212,
    124112, 124211, 411212, 421112, 421211, 212141, 214121, 412121, 111143, 111341, 131141, 114113, 114311, 411113,
    411311, 113141, 114131, 311141, 411131, 211412, 211214, 211232,
];
const START_A: u8 = 103;
const START_B: u8 = 104;
const START_C: u8 = 105;

/// Stands for FNC1 in what [`code128_data`] takes.
pub(crate) const FNC1: u8 = 0xf1;

/// ASCII and [`FNC1`] as `GS k 73` wants it, in the code sets that make the shortest barcode: `{C` packs
/// two digits into one character, `{A` has control characters, `{S` borrows one. `None` if there is
/// anything else in `data`.
///
/// Two pairs of digits in set C can be the bytes of a real-time command, such as 16 04: they are kept
/// apart.
pub(crate) fn code128_data(data: &[u8]) -> Option<Vec<u8>> {
    let costs = Costs::new(data);
    let mut set =
        (A..=C).filter(|&set| costs.at[0][set] < NEVER).min_by_key(|&set| (costs.at[0][set], PREFERRED[set]))?;
    let mut out = vec![b'{', b"ABC"[set]];
    let mut at = 0;
    while at < data.len() {
        let step = costs.best(at, set)?;
        match step {
            Step::Change(to) => {
                out.extend([b'{', b"ABC"[to]]);
                set = to;
                continue;
            }
            Step::Fnc1 => out.extend(b"{1"),
            Step::Pair(value) => {
                out.push(value);
                set = if value == DLE { AFTER_DLE } else { C };
                at += 2;
                continue;
            }
            Step::Shift => out.extend([b'{', b'S']),
            Step::Same => {}
        }
        if !matches!(step, Step::Fnc1) {
            if data[at] == b'{' {
                out.push(b'{');
            }
            out.push(data[at]);
        }
        set = set.min(C);
        at += 1;
    }
    Some(out)
}

/// Code sets as the index of a table; the last one is set C just after the byte 10h.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const AFTER_DLE: usize = 3;
/// Which set to begin with where it makes no difference.
const PREFERRED: [u8; 3] = [2, 0, 1];
const DLE: u8 = 0x10;
const NEVER: u32 = u32::MAX / 2;

/// What comes next in a Code 128.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A character of the current set.
    Same,
    /// A character of the other set, borrowed.
    Shift,
    /// Two digits.
    Pair(u8),
    Fnc1,
    Change(usize),
}

/// For each place in the data and each set, how many code characters the rest takes.
struct Costs<'a> {
    data: &'a [u8],
    at: Vec<[u32; 4]>,
}

impl<'a> Costs<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut costs = Self { data, at: vec![[0; 4]; data.len() + 3] };
        for at in (0..data.len()).rev() {
            // First without changes of the set, then with one.
            costs.at[at] = [NEVER; 4];
            let stay = [A, B, C, AFTER_DLE].map(|set| costs.stay(at, set).map_or(NEVER, |(cost, _)| cost));
            costs.at[at] = [A, B, C, AFTER_DLE].map(|set| {
                let change = (A..=C).filter(|&to| to != set.min(C)).map(|to| stay[to] + 1).min().unwrap_or(NEVER);
                stay[set].min(change)
            });
        }
        costs
    }

    /// The cheapest way on without changing the set.
    fn stay(&self, at: usize, set: usize) -> Option<(u32, Step)> {
        let digit = |at: usize| self.data.get(at).filter(|b| b.is_ascii_digit()).map(|b| b - b'0');
        let byte = self.data[at];
        let after = |count: usize, set: usize| self.at[at + count][set];
        let (in_a, in_b) = (byte < 0x60, (0x20..0x80).contains(&byte));
        match set {
            _ if byte == FNC1 => Some((1 + after(1, set.min(C)), Step::Fnc1)),
            A if in_a && byte != b'{' => Some((1 + after(1, A), Step::Same)),
            B if in_b => Some((1 + after(1, B), Step::Same)),
            // The brace needs an escape, which only set B has.
            A if in_b && byte != b'{' => Some((2 + after(1, A), Step::Shift)),
            B if in_a => Some((2 + after(1, B), Step::Shift)),
            C | AFTER_DLE => {
                let value = digit(at)? * 10 + digit(at + 1)?;
                if set == AFTER_DLE && matches!(value, 4 | 5 | 20) {
                    return None;
                }
                Some((1 + after(2, if value == DLE { AFTER_DLE } else { C }), Step::Pair(value)))
            }
            _ => None,
        }
    }

    fn best(&self, at: usize, set: usize) -> Option<Step> {
        let stay = self.stay(at, set).filter(|(cost, _)| *cost < NEVER);
        let change = (A..=C)
            .filter(|&to| to != set.min(C))
            .filter_map(|to| self.stay(at, to).map(|(cost, _)| (cost + 1, Step::Change(to), PREFERRED[to])))
            .filter(|(cost, ..)| *cost < NEVER)
            .min_by_key(|&(cost, _, preferred)| (cost, preferred));
        match (stay, change) {
            (Some((stay, _)), Some((cost, step, _))) if cost < stay => Some(step),
            (Some((_, step)), _) => Some(step),
            (None, change) => change.map(|(_, step, _)| step),
        }
    }
}

/// Start and data code characters to widths; the check character and stop are added here.
fn code128(codes: &[u8]) -> Vec<u8> {
    let weighted = codes.iter().enumerate().map(|(i, &c)| i.max(1) as u32 * u32::from(c));
    let check = (weighted.sum::<u32>() % 103) as u8;
    let mut widths = Vec::new();
    for &code in codes.iter().chain([&check]) {
        let pattern = CODE128[usize::from(code)];
        widths.extend((0..6).rev().map(|i| (pattern / 10u32.pow(i) % 10) as u8));
    }
    widths.extend([2, 3, 3, 1, 1, 1, 2]);
    widths
}

/// The bars and the readable text of Code 128 as `GS k 73` gets it: `{A`, `{B`, `{C` choose a code
/// set, `{S` shifts, `{1` to `{4` are functions, `{{` is a brace. `None` if that makes no barcode.
pub(crate) fn code128_escaped(data: &[u8], module: u32) -> Option<(Vec<u32>, String)> {
    let (mut codes, mut text, mut set, mut shift) = (Vec::new(), String::new(), 0u8, false);
    let mut bytes = data.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'{' {
            let escape = bytes.next()?;
            let code = match (escape, set) {
                (b'A', 0) => START_A,
                (b'B', 0) => START_B,
                (b'C', 0) => START_C,
                (_, 0) => return None,
                (b'A', b'B' | b'C') => 101,
                (b'B', b'A' | b'C') => 100,
                (b'C', b'A' | b'B') => 99,
                (b'S', b'A' | b'B') => {
                    shift = true;
                    98
                }
                (b'1', _) => 102,
                (b'2', b'A' | b'B') => 97,
                (b'3', b'A' | b'B') => 96,
                (b'4', b'A') => 101,
                (b'4', b'B') => 100,
                (b'{', b'B') => {
                    text.push('{');
                    91
                }
                _ => return None,
            };
            codes.push(code);
            if (b'A'..=b'C').contains(&escape) {
                set = escape;
            }
            continue;
        }
        let current = match (set, std::mem::take(&mut shift)) {
            (b'A', true) => b'B',
            (b'B', true) => b'A',
            (set, _) => set,
        };
        let code = match (current, byte) {
            (b'A', 0x20..0x60) | (b'B', 0x20..0x80) => byte - 0x20,
            (b'A', 0..0x20) => byte + 64,
            (b'C', 0..100) => byte,
            _ => return None,
        };
        match current {
            b'C' => text.push_str(&format!("{byte:02}")),
            _ => text.push(if byte < 0x20 || byte == 0x7f { ' ' } else { byte as char }),
        }
        codes.push(code);
    }
    (codes.len() > 1).then(|| (code128(&codes).into_iter().map(|w| u32::from(w) * module).collect(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(symbology: Symbology, data: &str) -> String {
        let widths = elements(symbology, data.as_bytes(), 2);
        widths.iter().enumerate().map(|(i, w)| if i % 2 == 0 { "1" } else { "0" }.repeat(*w as usize / 2)).collect()
    }

    /// Widely published drawings of 4006381333931 (set sequence ABAABB for 4) and 73513537.
    #[test]
    fn draws_ean() {
        assert_eq!(
            bits(Symbology::Ean13, "4006381333931"),
            "10100011010100111010111101111010001001011001101010100001010000101000010111010010000101100110101"
        );
        assert_eq!(
            bits(Symbology::Ean8, "73513537"),
            "1010111011011110101100010011001010101000010100111010000101000100101"
        );
        assert_eq!(bits(Symbology::UpcA, "036000291452"), bits(Symbology::Ean13, "0036000291452"));
    }

    /// Every Code 128 character is 11 modules wide and has an even number of black ones.
    #[test]
    fn code_tables_keep_their_invariants() {
        for pattern in CODE128 {
            let widths: Vec<u32> = (0..6).rev().map(|i| pattern / 10u32.pow(i) % 10).collect();
            assert_eq!(widths.iter().sum::<u32>(), 11, "{pattern}");
            assert_eq!(widths.iter().step_by(2).sum::<u32>() % 2, 0, "{pattern}");
        }
        assert!(CODE39_BITS.iter().all(|b| b.count_ones() == 3 || (39..=42).any(|i| CODE39_BITS[i] == *b)));
        assert!(ITF.iter().all(|b| b.count_ones() == 2));
    }

    #[test]
    fn reads_code_128_escapes() {
        assert_eq!(code128_escaped(b"{BNo.{C\x0c\x22\x38", 2).expect("the manual's example").1, "No.123456");
        assert_eq!(code128_escaped(b"{Ba{{b", 1).expect("a brace").1, "a{b");
        for bad in [&b"12"[..], b"{X1", b"{", b"{C\xff", b"{B", b""] {
            assert!(code128_escaped(bad, 2).is_none(), "{bad:?}");
        }
    }
}
