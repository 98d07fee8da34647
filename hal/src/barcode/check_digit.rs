//! The check digit of GS1's numbers: GTIN and UPC, SSCC, GLN and the others (GS1 General Specifications 7.9.1).

/// The check digit, 0 to 9, that follows the ASCII digits of `body`: weights 3 and 1 from the right, modulo 10.
/// A byte that is not a digit counts as 0.
///
/// ```
/// assert_eq!(tresen_hal::barcode::check_digit(b"400638133393"), 1);
/// ```
pub fn check_digit(body: &[u8]) -> u8 {
    let digit = |byte: &u8| usize::from(byte.is_ascii_digit()) * usize::from(byte.wrapping_sub(b'0'));
    let sum: usize = body.iter().rev().enumerate().map(|(i, b)| digit(b) * if i % 2 == 0 { 3 } else { 1 }).sum();
    ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GTIN-8, -12, -13 and -14, an SSCC and a GLN, as GS1's samples print them.
    #[test]
    fn agrees_with_published_numbers() {
        for number in
            ["96385074", "036000291452", "4006381333931", "9506000134352", "10614141543219", "006141411234567890"]
        {
            let (body, last) = number.split_at(number.len() - 1);
            assert_eq!(check_digit(body.as_bytes()).to_string(), last, "{number}");
        }
        assert_eq!(check_digit(b""), 0);
    }
}
