//! GS1 element strings as they are written for people: `(01)09501101530003(10)AB-123`.
//!
//! After the GS1 General Specifications, 5.4.7 (GS1-128) and 7.8 (processing). Left out: which
//! characters each application identifier allows.

use tresen_hal::{Error, Kind, Result};

use crate::symbols::FNC1;

/// Digits of an element whose length its first two digits fix, identifier included (GS1 General
/// Specifications, figure 7.8.5-2).
fn fixed(identifier: &str) -> Option<usize> {
    let prefix: u8 = identifier.get(..2)?.parse().ok()?;
    match prefix {
        0 => Some(20),
        1..=3 => Some(16),
        4 => Some(18),
        11..=19 => Some(8),
        20 => Some(4),
        31..=36 => Some(10),
        41 => Some(16),
        _ => None,
    }
}

/// Splits `(01)…(10)…` into identifiers and values.
fn split(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.strip_prefix('(')?;
    let mut parts = Vec::new();
    loop {
        let (identifier, after) = rest.split_once(')')?;
        // A value may have brackets of its own; an identifier is two to four digits.
        let next = after.match_indices('(').find(|(at, _)| {
            let digits = after[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
            (2..=4).contains(&digits) && after[at + 1 + digits..].starts_with(')')
        });
        let value = next.map_or(after, |(at, _)| &after[..at]);
        parts.push((identifier, value));
        match next {
            Some((at, _)) => rest = &after[at + 1..],
            None => return Some(parts),
        }
    }
}

/// Checks that `text` is a GS1 element string with its identifiers in brackets.
///
/// # Errors
/// [`Kind::Input`]: not in that form, a value of the wrong length, or a wrong check digit.
pub(crate) fn check(text: &str) -> Result<()> {
    let bad = |what: String| Err(Error::new(Kind::Input, what));
    let Some(parts) = split(text) else {
        return bad(format!(
            "GS1-128 needs application identifiers in brackets, such as (01)09501101530003, not `{text}`"
        ));
    };
    for (identifier, value) in parts {
        if !(2..=4).contains(&identifier.len()) || !identifier.bytes().all(|b| b.is_ascii_digit()) {
            return bad(format!("`{identifier}` is not an application identifier: those have 2 to 4 digits"));
        }
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
            return bad(format!("({identifier}) needs a value of letters, digits and signs, not `{value}`"));
        }
        if let Some(length) = fixed(identifier) {
            let length = length - identifier.len();
            if value.len() != length || !value.bytes().all(|b| b.is_ascii_digit()) {
                return bad(format!("({identifier}) needs {length} digits, not `{value}`"));
            }
        }
        if matches!(identifier, "00" | "01" | "02" | "03") {
            let (digits, last) = value.split_at(value.len() - 1);
            let check = crate::document::check_digit(digits.as_bytes());
            if !last.starts_with(check) {
                return bad(format!("({identifier}){value} has a wrong check digit; it should end in {check}"));
            }
        }
    }
    Ok(())
}

/// The characters of the symbol: FNC1 first, and after each element whose length is not fixed unless it
/// is the last.
pub(crate) fn elements(text: &[u8]) -> Vec<u8> {
    let mut out = vec![FNC1];
    let parts = str::from_utf8(text).ok().and_then(split).unwrap_or_default();
    for (i, (identifier, value)) in parts.iter().enumerate() {
        out.extend(identifier.bytes().chain(value.bytes()));
        if fixed(identifier).is_none() && i + 1 < parts.len() {
            out.push(FNC1);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GS1 General Specifications 5.4.7.5: FNC1 separates a batch number from what follows it; a GTIN
    /// has a fixed length.
    #[test]
    fn separates_what_has_no_fixed_length() {
        let expected = [&[FNC1][..], b"0109501101530003", b"10AB-123", &[FNC1], b"17260101"].concat();
        assert_eq!(elements(b"(01)09501101530003(10)AB-123(17)260101"), expected);
        assert_eq!(elements(b"(10)A(B)"), [&[FNC1][..], b"10A(B)"].concat());
    }

    #[test]
    fn refuses_what_is_not_an_element_string() {
        check("(01)09501101530003(10)AB-123").expect("the usual example");
        for (bad, why) in [
            ("0109501101530003", "brackets"),
            ("(01)09501101530004", "end in 3"),
            ("(01)123", "14 digits"),
            ("(x1)123", "2 to 4 digits"),
            ("(10)", "needs a value"),
            ("(11)26010", "6 digits"),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.to_string().contains(why), "{bad}: {error}");
        }
    }
}
