//! UPC-E: six digits that stand for a UPC-A with many zeros (GS1 General Specifications 5.2.2.4).

use super::check_digit;

/// The 12 digits of the UPC-A for which `six` digits stand in this number system, `0` or `1`. None for another number
/// system, or if `six` is not six digits.
pub fn expand(number_system: char, six: &str) -> Option<String> {
    if !matches!(number_system, '0' | '1') || six.len() != 6 || !six.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (maker, item) = match &six[5..] {
        n @ ("0" | "1" | "2") => (format!("{}{n}00", &six[..2]), format!("00{}", &six[2..5])),
        "3" => (format!("{}00", &six[..3]), format!("000{}", &six[3..5])),
        "4" => (format!("{}0", &six[..4]), format!("0000{}", &six[4..5])),
        n => (six[..5].to_owned(), format!("0000{n}")),
    };
    let body = format!("{number_system}{maker}{item}");
    let check = check_digit(body.as_bytes());
    Some(format!("{body}{check}"))
}

/// The eight digits of the UPC-E, with number system and check digit, that stands for the 12 digits of a UPC-A. None
/// if there is none. The check digit is taken over unchecked.
pub fn shorten(upc_a: &str) -> Option<String> {
    if upc_a.len() != 12 || !upc_a.bytes().all(|b| b.is_ascii_digit()) || !upc_a.starts_with(['0', '1']) {
        return None;
    }
    let (system, maker, item, check) = (&upc_a[..1], &upc_a[1..6], &upc_a[6..11], &upc_a[11..]);
    let six = if matches!(&maker[2..], "000" | "100" | "200") && item.starts_with("00") {
        format!("{}{}{}", &maker[..2], &item[2..], &maker[2..3])
    } else if maker.ends_with("00") && item.starts_with("000") {
        format!("{}{}3", &maker[..3], &item[3..])
    } else if maker.ends_with('0') && item.starts_with("0000") {
        format!("{}{}4", &maker[..4], &item[4..])
    } else if matches!(item, "00005" | "00006" | "00007" | "00008" | "00009") {
        format!("{maker}{}", &item[4..])
    } else {
        return None;
    };
    Some(format!("{system}{six}{check}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of zxing-cpp's UPC-E samples; the first pair is the usual textbook one, the last two follow from the
    /// rule.
    #[test]
    fn expands_and_shortens() {
        for (short, long) in [
            ("06543217", "065100004327"),
            ("01234565", "012345000065"),
            ("05096893", "050968000093"),
            ("04963406", "049000006346"),
            ("01264904", "012000006494"),
            ("01234514", "012100003454"),
            ("01234543", "012340000053"),
        ] {
            assert_eq!(expand('0', &short[1..7]).as_deref(), Some(long));
            assert_eq!(shorten(long).as_deref(), Some(short));
        }
        for none in ["036000291452", "212345000065", "01234500006", "01234500006x", ""] {
            assert_eq!(shorten(none), None, "{none}");
        }
        for (system, six) in [('2', "123456"), ('0', "12345"), ('0', "12345x"), ('0', "1234é")] {
            assert_eq!(expand(system, six), None, "{system} {six}");
        }
    }

    proptest::proptest! {
        #[test]
        fn survives_the_round_trip(system in "[01]", six in "[0-9]{6}") {
            let long = expand(system.chars().next().expect("one"), &six).expect("six digits");
            let short = shorten(&long).expect("it has a short form");
            proptest::prop_assert_eq!(expand(system.chars().next().expect("one"), &short[1..7]), Some(long));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (expand('0', &text), shorten(&text));
        }
    }
}
