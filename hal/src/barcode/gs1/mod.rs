//! GS1 application identifiers (AI): the digits in front of each field of an element string that say what it holds,
//! such as `01` for a GTIN (GS1 General Specifications 3.2 and 7.8).
//!
//! The table is a part of the GS1 Barcode Syntax Dictionary, what a shop meets, in that notation. Left out: the rest
//! of the dictionary and its rules on which AIs need or exclude each other.

mod iso;

use jiff::civil::Date;

use super::check_digit;
use crate::{Error, Kind, Result};

/// The separator between fields as scanners transmit it, for the character FNC1 of the symbol.
pub const GS: u8 = 0x1d;

/// An application identifier that the table knows.
#[derive(Debug)]
pub struct ApplicationIdentifier {
    /// Its digits, with `n` for a digit from 0 to `last`.
    pattern: &'static str,
    last: u8,
    /// What its data may be, such as `N3,iso4217 N..15` or `N13,csum [X..17]`.
    spec: &'static str,
    title: &'static str,
}

impl ApplicationIdentifier {
    /// The AI with which `data` begins; none if the table has none.
    pub fn at_start_of(data: &[u8]) -> Option<&'static Self> {
        TABLE.iter().find(|ai| ai.is_at_start_of(data))
    }

    /// The AI of exactly these digits; none if the table does not know it.
    pub fn of(digits: &str) -> Option<&'static Self> {
        Self::at_start_of(digits.as_bytes()).filter(|ai| ai.pattern.len() == digits.len())
    }

    /// How many digits it has: 2 to 4.
    pub fn digits(&self) -> usize {
        self.pattern.len()
    }

    /// Its data title: `BATCH/LOT`.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Checks its data: length, characters, check digit, date, time, currency and country.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that names the AI and the value.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if let Some(c) = value.chars().find(|c| !c.is_ascii()) {
            return Err(format!("{c:?} is not allowed"));
        }
        let mut rest = value;
        for component in self.spec.split_whitespace() {
            let optional = component.starts_with('[');
            if optional && rest.is_empty() {
                break;
            }
            let mut parts = component.split(',');
            let format = parts.next().unwrap_or_default().trim_matches(['[', ']']);
            let (kind, length) = format.split_at(1);
            let (least, most) = match length.strip_prefix("..") {
                Some(most) => (1, most.parse().unwrap_or(0)),
                None => (length.parse().unwrap_or(0), length.parse().unwrap_or(0)),
            };
            let take = rest.len().min(most);
            let (part, after) = rest.split_at(take);
            if part.len() < least {
                return Err(format!("{} characters are too few", value.len()));
            }
            if let Some(c) = part.chars().find(|c| !allowed(kind, *c)) {
                return Err(format!("{c:?} is not allowed"));
            }
            parts.try_for_each(|linter| lint(linter, part))?;
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("{} characters are too many", value.len())) }
    }

    fn is_at_start_of(&self, data: &[u8]) -> bool {
        data.len() >= self.pattern.len()
            && self.pattern.bytes().zip(data).all(|(want, got)| match want {
                b'n' => (b'0'..=self.last).contains(got),
                _ => want == *got,
            })
    }
}

/// How many digits the AI has with which `data` begins: by the table, or else by its first two digits, as far as GS1
/// has allocated them. None if `data` does not begin with two digits.
pub fn ai_digits(data: &[u8]) -> Option<usize> {
    if let Some(ai) = ApplicationIdentifier::at_start_of(data) {
        return Some(ai.digits());
    }
    let two = data.first_chunk::<2>().filter(|t| t.iter().all(u8::is_ascii_digit))?;
    Some(match two {
        b"23" | b"24" | b"25" | [b'4', b'0'..=b'2'] | b"71" => 3,
        [b'3', b'1'..=b'6' | b'9'] | b"43" | b"70" | b"72" | [b'8', b'0'..=b'2'] => 4,
        _ => 2,
    })
}

/// The length of AI and data together, for the AIs whose fields need no separator behind them, allocated or not:
/// GS1 General Specifications, figure 7.8.5-2. None for all others.
pub fn predefined_length(ai: &[u8]) -> Option<usize> {
    Some(match ai.first_chunk::<2>()? {
        b"00" => 20,
        b"01" | b"02" | b"03" => 16,
        b"04" => 18,
        [b'1', b'1'..=b'9'] => 8,
        b"20" => 4,
        [b'3', b'1'..=b'6'] => 10,
        b"41" => 16,
        _ => return None,
    })
}

/// Splits an element string as it is printed for people, `(01)09501101530003(10)AB-123`, into AIs and values. A value
/// may contain brackets of its own, as long as no two to four digits stand in them. None if `text` has another form;
/// values are not checked, and may be empty.
pub fn split_bracketed(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.strip_prefix('(')?;
    let mut fields = Vec::new();
    loop {
        let (ai, after) = rest.split_once(')').filter(|(ai, _)| is_ai(ai))?;
        let next = after
            .match_indices('(')
            .map(|(at, _)| at)
            .find(|at| after[at + 1..].split_once(')').is_some_and(|(ai, _)| is_ai(ai)));
        fields.push((ai, &after[..next.unwrap_or(after.len())]));
        match next {
            Some(at) => rest = &after[at + 1..],
            None => return Some(fields),
        }
    }
}

/// Reads a date YYMMDD, in the century that puts its year at most 50 years ahead of the current `year` and at most 49
/// behind it (GS1 General Specifications 7.12). Day 00 is the last day of the month.
///
/// # Errors
/// [`Kind::Input`]: there is no such date.
pub fn date(text: &str, year: i16) -> Result<Date> {
    let bad = || Error::new(Kind::Input, format!("`{text}` is not a date YYMMDD"));
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let number = |from: usize| text[from..from + 2].parse::<i8>().map_err(|_| bad());
    let (yy, month, day) = (number(0)?, number(2)?, number(4)?);
    let century = year - year % 100;
    let year = match i16::from(yy) - year % 100 {
        51..=99 => century - 100 + i16::from(yy),
        -99..=-50 => century + 100 + i16::from(yy),
        _ => century + i16::from(yy),
    };
    let first = Date::new(year, month, 1).map_err(|_| bad())?;
    if day == 0 { Ok(first.last_of_month()) } else { Date::new(year, month, day).map_err(|_| bad()) }
}

fn is_ai(text: &str) -> bool {
    (2..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Character sets of the dictionary.
fn allowed(set: &str, c: char) -> bool {
    match set {
        "N" => c.is_ascii_digit(),
        "Y" => c.is_ascii_digit() || c.is_ascii_uppercase() || "#-/".contains(c),
        // CSET 82
        _ => c.is_ascii_alphanumeric() || "!\"%&'()*+,-./_:;<=>?".contains(c),
    }
}

/// The linters of the dictionary that this table uses.
fn lint(linter: &str, part: &str) -> Result<(), String> {
    match linter {
        "csum" => {
            let (body, last) = part.split_at(part.len() - 1);
            let should = check_digit(body.as_bytes());
            let is = last.as_bytes()[0].wrapping_sub(b'0');
            if is == should { Ok(()) } else { Err(format!("the check digit is {is}, but should be {should}")) }
        }
        "iso4217" if !part.parse().is_ok_and(iso::is_currency) => Err(format!("no currency has the number {part}")),
        "iso3166" if !part.parse().is_ok_and(iso::is_country) => Err(format!("no country has the number {part}")),
        "hh" if part > "23" => Err(format!("{part} is not an hour")),
        "mi" | "ss" if part > "59" => Err(format!("{part} is not a minute or second")),
        "yymmdd" if part.ends_with("00") => Err("it needs a day".into()),
        "yymmd0" | "yymmdd" => date(part, 2000).map(drop).map_err(|e| e.what().to_owned()),
        _ => Ok(()),
    }
}

const fn row(ai: &'static str, spec: &'static str, title: &'static str) -> ApplicationIdentifier {
    ApplicationIdentifier { pattern: ai, last: b'0', spec, title }
}

const fn range(ai: &'static str, last: u8, spec: &'static str, title: &'static str) -> ApplicationIdentifier {
    ApplicationIdentifier { pattern: ai, last, spec, title }
}

/// From the GS1 Barcode Syntax Dictionary (GS1 AISBL, Apache-2.0).
const TABLE: [ApplicationIdentifier; 54] = [
    row("00", "N18,csum", "SSCC"),
    row("01", "N14,csum", "GTIN"),
    row("02", "N14,csum", "CONTENT"),
    row("10", "X..20", "BATCH/LOT"),
    row("11", "N6,yymmd0", "PROD DATE"),
    row("12", "N6,yymmd0", "DUE DATE"),
    row("13", "N6,yymmd0", "PACK DATE"),
    row("15", "N6,yymmd0", "BEST BEFORE or BEST BY"),
    row("16", "N6,yymmd0", "SELL BY"),
    row("17", "N6,yymmd0", "USE BY or EXPIRY"),
    row("20", "N2", "VARIANT"),
    row("21", "X..20", "SERIAL"),
    row("22", "X..20", "CPV"),
    row("240", "X..30", "ADDITIONAL ID"),
    row("241", "X..30", "CUST. PART No."),
    row("250", "X..30", "SECONDARY SERIAL"),
    row("254", "X..20", "GLN EXTENSION COMPONENT"),
    row("255", "N13,csum [N..12]", "GCN"),
    row("30", "N..8", "VAR. COUNT"),
    range("310n", b'5', "N6", "NET WEIGHT (kg)"),
    range("311n", b'5', "N6", "LENGTH (m)"),
    range("312n", b'5', "N6", "WIDTH (m)"),
    range("313n", b'5', "N6", "HEIGHT (m)"),
    range("314n", b'5', "N6", "AREA (m²)"),
    range("315n", b'5', "N6", "NET VOLUME (l)"),
    range("316n", b'5', "N6", "NET VOLUME (m³)"),
    range("320n", b'5', "N6", "NET WEIGHT (lb)"),
    range("330n", b'5', "N6", "GROSS WEIGHT (kg)"),
    range("356n", b'5', "N6", "NET WEIGHT (tr oz)"),
    range("357n", b'5', "N6", "NET VOLUME (oz)"),
    row("37", "N..8", "COUNT"),
    range("390n", b'9', "N..15", "AMOUNT"),
    range("391n", b'9', "N3,iso4217 N..15", "AMOUNT"),
    range("392n", b'9', "N..15", "PRICE"),
    range("393n", b'9', "N3,iso4217 N..15", "PRICE"),
    range("394n", b'3', "N4", "PRCNT OFF"),
    row("400", "X..30", "ORDER NUMBER"),
    row("401", "X..30", "GINC"),
    row("402", "N17,csum", "GSIN"),
    row("403", "X..30", "ROUTE"),
    row("410", "N13,csum", "SHIP TO LOC"),
    row("411", "N13,csum", "BILL TO"),
    row("412", "N13,csum", "PURCHASE FROM"),
    row("413", "N13,csum", "SHIP FOR LOC"),
    row("414", "N13,csum", "LOC No."),
    row("415", "N13,csum", "PAY TO"),
    row("416", "N13,csum", "PROD/SERV LOC"),
    row("417", "N13,csum", "PARTY"),
    row("420", "X..20", "SHIP TO POST"),
    row("422", "N3,iso3166", "ORIGIN"),
    row("8005", "N6", "PRICE PER UNIT"),
    row("8008", "N6,yymmdd N2,hh [N2],mi [N2],ss", "PROD TIME"),
    row("8020", "X..25", "REF No."),
    row("8200", "X..70", "PRODUCT URL"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_can_be_read() {
        for ai in TABLE {
            assert_eq!(ai_digits(ai.pattern.replace('n', "0").as_bytes()), Some(ai.digits()), "{}", ai.pattern);
            for component in ai.spec.split_whitespace() {
                let format = component.trim_start_matches('[').split([',', ']']).next().expect("a format");
                let length = format[1..].trim_start_matches("..");
                assert!("NXY".contains(&format[..1]) && length.parse::<usize>().is_ok_and(|n| n > 0), "{component}");
            }
            if let (Some(all), false) = (predefined_length(ai.pattern.as_bytes()), ai.spec.contains(' ')) {
                let format = ai.spec.split(',').next().expect("a format");
                assert_eq!(format, format!("N{}", all - ai.digits()), "{}", ai.pattern);
            }
        }
    }

    /// Numbers of GS1's samples, and cases of the dictionary's linters.
    #[test]
    fn checks_the_data_of_an_identifier() {
        for (ai, value, why) in [
            ("01", "09506000134352", None),
            ("01", "09506000134353", Some("should be 2")),
            ("01", "0950600013435", Some("too few")),
            ("10", "AB-123", None),
            ("10", "AB 123", Some("' ' is not allowed")),
            ("10", "é", Some("'é' is not allowed")),
            ("17", "260230", Some("not a date")),
            ("255", "9501101530003", None),
            ("255", "95011015300031234567890123", Some("too many")),
            ("3932", "000100", Some("no currency")),
        ] {
            let checked = ApplicationIdentifier::of(ai).expect(ai).check(value);
            match why {
                None => assert_eq!(checked, Ok(()), "({ai}){value}"),
                Some(why) => assert!(checked.as_ref().is_err_and(|e| e.contains(why)), "({ai}){value}: {checked:?}"),
            }
        }
        assert!(ApplicationIdentifier::of("0109").is_none() && ApplicationIdentifier::of("3106").is_none());
    }

    #[test]
    fn splits_what_is_printed_for_people() {
        let fields = |text| split_bracketed(text).unwrap_or_default();
        assert_eq!(fields("(01)09501101530003(10)AB-123"), [("01", "09501101530003"), ("10", "AB-123")]);
        assert_eq!(fields("(10)A(B)(21)C"), [("10", "A(B)"), ("21", "C")]);
        assert_eq!(fields("(10)"), [("10", "")]);
        for other in ["0109501101530003", "(x1)1", "(0", "(12345)1", "(1)1", ""] {
            assert_eq!(split_bracketed(other), None, "{other}");
        }
    }

    /// The sliding window of GS1 General Specifications 7.12.
    #[test]
    fn dates_are_of_the_nearest_century() {
        for (text, expected) in [("000200", "2000-02-29"), ("260100", "2026-01-31"), ("761231", "2076-12-31")] {
            assert_eq!(date(text, 2026).expect(text).to_string(), expected);
        }
        assert_eq!(date("770101", 2026).expect("a date").year(), 1977);
        assert!(date("261301", 2026).is_err() && date("é1301", 2026).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[()0-9A\u{1d}é]{0,30}") {
            let _ = (split_bracketed(&text), ai_digits(text.as_bytes()), predefined_length(text.as_bytes()));
            for ai in TABLE {
                _ = ai.check(&text);
            }
        }
    }
}
