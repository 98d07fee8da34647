//! GS1 element strings as they are written for people: `(01)09501101530003(10)AB-123`.
//!
//! After the GS1 General Specifications, 5.4.7 (GS1-128). Which application identifiers there are and what their data
//! may be is [`tresen_hal::barcode::gs1`]; the data of one that its table lacks is printed as it is.

use tresen_hal::barcode::gs1::{ApplicationIdentifier, ai_digits, predefined_length, split_bracketed};
use tresen_hal::{Error, Kind, Result};

use crate::symbols::FNC1;

/// Checks that `text` is a GS1 element string with its identifiers in brackets.
///
/// # Errors
/// [`Kind::Input`]: not in that form, or data that its identifier does not allow: its length, a character, its check
/// digit, a date.
pub(crate) fn check(text: &str) -> Result<()> {
    let bad = |what: String| Err(Error::new(Kind::Input, what));
    let Some(fields) = split_bracketed(text) else {
        return bad(format!(
            "GS1-128 needs application identifiers of 2 to 4 digits in brackets, such as (01)09501101530003, not `{text}`"
        ));
    };
    for (ai, value) in fields {
        // A scanner splits it at that length, whatever the brackets say.
        if ai_digits(ai.as_bytes()) != Some(ai.len()) {
            return bad(format!("({ai}) is not an application identifier"));
        }
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
            return bad(format!("({ai}) needs a value of letters, digits and signs, not `{value}`"));
        }
        if let Some(length) = predefined_length(ai.as_bytes()) {
            let length = length - ai.len();
            if value.len() != length || !value.bytes().all(|b| b.is_ascii_digit()) {
                return bad(format!("({ai}) needs {length} digits, not `{value}`"));
            }
        }
        if let Some(known) = ApplicationIdentifier::of(ai)
            && let Err(why) = known.check(value)
        {
            return bad(format!("({ai}) `{value}`: {why}"));
        }
    }
    Ok(())
}

/// The characters of the symbol: FNC1 first, and after each element whose length is not fixed unless it
/// is the last.
pub(crate) fn elements(text: &[u8]) -> Vec<u8> {
    let mut out = vec![FNC1];
    let fields = str::from_utf8(text).ok().and_then(split_bracketed).unwrap_or_default();
    for (i, (ai, value)) in fields.iter().enumerate() {
        out.extend(ai.bytes().chain(value.bytes()));
        if predefined_length(ai.as_bytes()).is_none() && i + 1 < fields.len() {
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
            ("(01)09501101530004", "should be 3"),
            ("(01)123", "14 digits"),
            ("(x1)123", "2 to 4 digits"),
            ("(10)", "needs a value"),
            ("(11)26010", "6 digits"),
            ("(17)261301", "not a date"),
            ("(10)A^B", "'^' is not allowed"),
            ("(414)9501101530004", "should be 3"),
            ("(010)9501101530003", "(010) is not an application identifier"),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.to_string().contains(why), "{bad}: {error}");
        }
    }
}
