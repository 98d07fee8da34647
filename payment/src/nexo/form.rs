//! Form-encoded texts, as receipts and additional data have them: `name=Total&value=10%2C99`.

use std::borrow::Cow;

/// The value of a key, decoded. `None` if it has none.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<Cow<'a, str>> {
    let found = text.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key));
    found.map(|(_, value)| decode(value))
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = bytes.clone().take(2).collect();
                let whole = digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit);
                let code = std::str::from_utf8(&digits).ok().filter(|_| whole);
                match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                    Some(byte) => {
                        bytes.nth(1);
                        byte
                    }
                    None => b'%',
                }
            }
            other => other,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_broken_ones_kept() {
        let text = "name=Kn%C3%B6del+%26+K&value=%2&key=totalAmount&empty=";
        for (key, found) in [
            ("name", Some("Knödel & K")),
            ("value", Some("%2")),
            ("key", Some("totalAmount")),
            ("empty", Some("")),
            ("nam", None),
        ] {
            assert_eq!(value(text, key).as_deref(), found, "{key}");
        }
        assert_eq!(value("a=%zz%41%+1%", "a").as_deref(), Some("%zzA% 1%"));
        assert_eq!(value("a=%C3", "a").as_deref(), Some("\u{fffd}"));
    }
}
