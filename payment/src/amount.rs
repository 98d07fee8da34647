//! Amounts in messages: exact decimals, never floats.

use tresen_hal::{Amount, Currency};

/// The amount that `text` says: `39.50`, `39.5`, `39`, `3.95E1`. More decimals than the currency has must be zeros.
/// `None` if it is none, or too large.
pub(crate) fn parse(text: &str, currency: Currency) -> Option<Amount> {
    let text = text.trim();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok().filter(|e| e.abs() <= 30)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && part.is_empty() || !all_digits(whole) || !all_digits(part) || part.len() > 30 {
        return None;
    }
    let number: i128 = format!("{whole}{part}").trim_start_matches('0').parse().ok().or_else(|| {
        // Nothing but zeros.
        digits.bytes().all(|b| matches!(b, b'0' | b'.')).then_some(0)
    })?;
    let shift = exponent + i32::from(currency.digits()) - i32::try_from(part.len()).ok()?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let minor = if shift >= 0 {
        number.checked_mul(power)?
    } else if number % power == 0 {
        number / power
    } else {
        return None;
    };
    let minor = i64::try_from(minor).ok()?;
    Some(Amount::new(if negative { -minor } else { minor }, currency))
}

/// A currency by its letters or its ISO number.
pub(crate) fn currency(text: &str) -> Option<Currency> {
    match text.parse::<u16>() {
        Ok(number) => Currency::from_number(number),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, minor) in [
            ("39.50", 39_50),
            ("39.5", 39_50),
            ("123", 123_00),
            ("0.07", 7),
            (".5", 50),
            ("3.95E1", 39_50),
            ("395e-1", 39_50),
            ("39.5000", 39_50),
            ("-5.00", -5_00),
            (" 1.00 ", 1_00),
            ("0", 0),
            ("0.00", 0),
            ("90071992547409.93", 9_007_199_254_740_993),
        ] {
            assert_eq!(parse(text, Currency::EUR).map(Amount::minor), Some(minor), "{text}");
        }
        let of = |code: &str| currency(code).expect("known");
        assert_eq!(parse("1200", of("JPY")), Some(Amount::new(1200, of("JPY"))));
        assert_eq!(parse("1.234", of("KWD")), Some(Amount::new(1234, of("414"))));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in
            ["", ".", "1,50", "1.005", "12.50 EUR", "1e", "1e99", "0x10", "--1", "1.2.3", "NaN", "9999999999999999999"]
        {
            assert_eq!(parse(text, Currency::EUR), None, "{text}");
        }
        assert_eq!(parse("1.5", currency("JPY").expect("yen")), None);
        assert_eq!((currency("Mark"), currency("0"), currency("978")), (None, None, Some(Currency::EUR)));
    }
}
