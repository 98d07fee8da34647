//! Finds card numbers in what a terminal writes for people: receipts, displays, reasons.
//!
//! Terminals should mask them and some do not. A card number has 13 to 19 digits (ISO/IEC 7812-1), may be written
//! in groups with blanks, dashes or dots between them, and may run on in the next line. Of each only the last four
//! digits are kept, as receipts show it.

use std::ops::Range;

/// Masks the card numbers in one line. `known` are numbers that are none, such as the merchant's.
pub(crate) fn mask_line(line: &str, known: &[String]) -> String {
    mask_lines(&[line.to_owned()], known).swap_remove(0)
}

/// Whether a text holds no card number.
pub(crate) fn is_without(text: &str) -> bool {
    mask_line(text, &[]) == text
}

/// Masks the card numbers in the lines of one receipt, also those that run over several lines.
pub(crate) fn mask_lines(lines: &[String], known: &[String]) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let mut text = Text::new(lines);
    for number in text.numbers(known) {
        let digits: Vec<usize> = number.flat_map(|group| text.groups[group].clone()).collect();
        for &at in &digits[..digits.len().saturating_sub(KEPT)] {
            text.chars[at] = '*';
        }
    }
    text.chars.split(|c| *c == '\n').map(|line| line.iter().collect()).collect()
}

/// The digit groups of a receipt.
struct Text {
    /// The lines with `\n` between them.
    chars: Vec<char>,
    groups: Vec<Range<usize>>,
    /// What stands between each group and the next.
    gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// One character, such as a blank.
    Separator(char),
    /// Several blanks and the like.
    Wide,
    /// The end of a line, perhaps with blanks around it.
    Line,
    /// Anything else: the groups do not belong together.
    Apart,
}

impl Text {
    fn new(lines: &[String]) -> Self {
        // A line end inside a line would make more lines than there were.
        let clean = |c: char| if c == '\n' { ' ' } else { c };
        let mut chars: Vec<char> = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                chars.push('\n');
            }
            chars.extend(line.chars().map(clean));
        }
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (at, _) in chars.iter().enumerate().filter(|(_, c)| c.is_ascii_digit()) {
            match groups.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => groups.push(at..at + 1),
            }
        }
        let gaps = groups.windows(2).map(|pair| gap(&chars[pair[0].end..pair[1].start])).collect();
        Self { chars, groups, gaps }
    }

    /// The card numbers: ranges of groups that do not overlap.
    fn numbers(&self, known: &[String]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut first = 0;
        while first < self.groups.len() {
            if let Some(end) = self.iban(first) {
                first = end;
                continue;
            }
            let numbers = || self.candidates(first).filter(|all| self.is_number(all) && !self.is_known(all, known));
            // What stands behind a number, such as its expiry, spoils the check digit.
            match numbers().filter(|all| self.luhn(all)).last().or_else(|| numbers().last()) {
                Some(number) => {
                    first = number.end;
                    found.push(number);
                }
                None => first += 1,
            }
        }
        found
    }

    /// Ranges of groups from `first` on with as many digits as a card number has; a single group may be longer,
    /// as it may be a number with something behind it.
    fn candidates(&self, first: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let apart = self.gaps[first.min(self.gaps.len())..].iter().position(|gap| *gap == Gap::Apart);
        let last = apart.map_or(self.groups.len(), |n| first + n + 1);
        (first + 1..=last.min(first + MOST)).map(move |end| first..end).filter(|all| {
            let digits = self.digits(all).count();
            digits >= LEAST && (digits <= MOST || all.len() == 1)
        })
    }

    fn digits(&self, groups: &Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let places = self.groups[groups.clone()].iter().cloned().flatten();
        places.filter_map(|at| self.chars[at].to_digit(10))
    }

    fn is_number(&self, all: &Range<usize>) -> bool {
        let gaps = &self.gaps[all.start..all.end - 1];
        let inside: Vec<Gap> = gaps.iter().copied().filter(|gap| *gap != Gap::Line).collect();
        let uniform = inside.windows(2).all(|pair| pair[0] == pair[1]) && !inside.contains(&Gap::Wide);
        let over_lines = inside.len() < gaps.len();
        // Issuers' numbers begin with 1 to 9; what begins with 0 is an application id, a reference, or padded.
        let begins = self.digits(all).next() != Some(0);
        if over_lines {
            // Dates are written with dots and strokes.
            let plain = !inside.iter().any(|gap| matches!(gap, Gap::Separator('.' | '/')));
            return uniform && plain && (self.luhn(all) || begins && self.fills_a_line(all));
        }
        self.luhn(all) || begins && uniform && self.is_grouped_like_a_card(all)
    }

    /// The check digit of card numbers: ISO/IEC 7812-1, annex B.
    fn luhn(&self, all: &Range<usize>) -> bool {
        let digits: Vec<u32> = self.digits(all).collect();
        let weighed = digits.iter().rev().enumerate().map(|(i, digit)| match digit * (1 + i as u32 % 2) {
            two @ 10.. => two - 9,
            one => one,
        });
        digits.len() <= MOST && weighed.sum::<u32>() % 10 == 0
    }

    /// In one piece, in equal groups of which the last may be shorter, or 4-6-5 and 4-6-4.
    fn is_grouped_like_a_card(&self, all: &Range<usize>) -> bool {
        let lengths: Vec<usize> = self.groups[all.clone()].iter().map(Range::len).collect();
        let (last, equal) = lengths.split_last().expect("a candidate has groups");
        equal.iter().all(|length| *length == lengths[0] && last <= length)
            || matches!(lengths[..], [4, 6, 5] | [4, 6, 4] | [6, 13])
    }

    /// Of the lines that it touches, one holds nothing else.
    fn fills_a_line(&self, all: &Range<usize>) -> bool {
        let (from, to) = (self.groups[all.start].start, self.groups[all.end - 1].end);
        let start = self.chars[..from].iter().rposition(|c| *c == '\n').map_or(0, |at| at + 1);
        let end = self.chars[to..].iter().position(|c| *c == '\n').map_or(self.chars.len(), |at| to + at);
        let only = |line: &[char]| line.iter().all(|c| c.is_ascii_digit() || is_separator(*c));
        self.chars[start..end].split(|c| *c == '\n').any(only)
    }

    /// A number that the till knows as another.
    fn is_known(&self, all: &Range<usize>, known: &[String]) -> bool {
        let digits: String = self.digits(all).filter_map(|digit| char::from_digit(digit, 10)).collect();
        known.contains(&digits)
    }

    /// Where a bank account's number ends that begins with the group `first`: two letters and up to 30 digits whose
    /// remainder by 97 is 1 (ISO 13616). German and Austrian ones have digits only.
    fn iban(&self, first: usize) -> Option<usize> {
        let start = self.groups[first].start;
        let [a, b] = self.chars[start.checked_sub(2)?..start] else { return None };
        let letter = |c: char| c.is_ascii_uppercase().then(|| c as u32 - 'A' as u32 + 10);
        let (a, b) = (letter(a)?, letter(b)?);
        let blanks = self.gaps[first..].iter().take_while(|gap| **gap == Gap::Separator(' ')).count();
        (first + 1..=first + 1 + blanks).find(|&end| {
            let digits: Vec<u32> = self.digits(&(first..end)).collect();
            let Some((check, account)) = digits.split_at_checked(2) else { return false };
            let places = account.iter().copied().chain([a / 10, a % 10, b / 10, b % 10]).chain(check.iter().copied());
            (13..=32).contains(&digits.len()) && places.fold(0, |rest, digit| (rest * 10 + digit) % 97) == 1
        })
    }
}

fn gap(between: &[char]) -> Gap {
    let (lines, others) = between.iter().fold((0, 0), |(lines, others), c| match c {
        '\n' => (lines + 1, others),
        c if is_separator(*c) => (lines, others),
        _ => (lines, others + 1),
    });
    match (between, lines, others) {
        ([one], 0, 0) => Gap::Separator(*one),
        (_, 0, 0) if between.len() <= WIDEST => Gap::Wide,
        (_, 1, 0) => Gap::Line,
        _ => Gap::Apart,
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '/' | '\u{a0}' | '\u{2013}')
}

/// Digits that a card number has.
const LEAST: usize = 13;
const MOST: usize = 19;
/// Digits of it that stay.
const KEPT: usize = 4;
/// Blanks between groups that may belong together.
const WIDEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str) -> String {
        mask_line(line, &[])
    }

    #[test]
    fn keeps_the_last_four_digits_of_a_card_number_however_it_is_written() {
        for (written, shown) in [
            ("Karte 4111111111111111", "Karte ************1111"),
            ("4111 1111 1111 1111 12/28", "**** **** **** 1111 12/28"),
            ("PAN: 4111-1111-1111-1111", "PAN: ****-****-****-1111"),
            ("4111.1111.1111.1111", "****.****.****.1111"),
            // No check digit that fits: terminals in tests, and cards of other schemes.
            ("6725 9012 3456 7890 123", "**** **** **** ***0 123"),
            ("3782 822463 10005", "**** ****** *0005"),
            ("B4111111111111111^MUSTER/MAX^2812", "B************1111^MUSTER/MAX^2812"),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "* * * * * * * * * * * * 1 1 1 1"),
            ("EUR 4111  1111 1111  1111", "EUR ****  **** ****  1111"),
        ] {
            assert_eq!(masked(written), shown);
        }
    }

    #[test]
    fn leaves_what_is_no_card_number() {
        for line in [
            "21.11.2026 17:21:59",
            "Terminal-ID 60000001  TA-Nr. 000123",
            "000123 0417 60000001",
            "AID A0000000041010",
            "TVR 0000008000  TSI E800",
            "IBAN DE89 3704 0044 0532 0130 00",
            "IBAN DE89370400440532013000",
            "************1111",
            "4111 11** **** 1111",
            "EUR 1.234,50",
            "",
        ] {
            assert_eq!(masked(line), line);
        }
        let merchant = "455600012345678".to_owned();
        assert_eq!(mask_line("VU-Nr. 455600012345678", std::slice::from_ref(&merchant)), "VU-Nr. 455600012345678");
        assert_ne!(masked("VU-Nr. 455600012345678"), "VU-Nr. 455600012345678");
    }

    #[test]
    fn a_card_number_may_run_over_lines() {
        let masked = |lines: &[&str]| mask_lines(&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>(), &[]);
        assert_eq!(masked(&["Karte 4111 1111", "1111 1111 OK"]), ["Karte **** ****", "**** 1111 OK"]);
        assert_eq!(masked(&["Karte 41111234  ", "  56781111"]), ["Karte ********  ", "  ****1111"]);
        assert_eq!(masked(&["41111", "234567", "81111"]), ["*****", "******", "*1111"]);
        let fine = ["Terminal-ID 60000001", "21.11.2026 17:21", "Beleg 0417", "", "12,50"];
        assert_eq!(masked(&fine), fine);
    }
}
