//! Removes what must not leave the shop: passwords, card numbers and tracks, and bytes that could spell them.
//!
//! The sections of a bundle only contain what is known to be harmless. This runs over the whole text afterwards, for
//! what error messages, keys and names may contain all the same.

use std::collections::BTreeSet;

use tresen::Config;

/// What stands for a removed value.
pub(super) const REMOVED: &str = "[removed]";

/// Parts of names of keys and options whose values are secret.
const SECRET: [&str; 8] = ["pass", "secret", "token", "credential", "auth", "apikey", "api-key", "api_key"];
/// The same, for whole names.
const SECRET_NAMES: [&str; 4] = ["pin", "key", "pwd", "user"];
/// A learned secret that is shorter is removed where it is assigned, but not wherever it occurs.
const LEAST: usize = 4;

/// Whether the value of a key or option of this name is secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET.iter().any(|part| name.contains(part)) || SECRET_NAMES.contains(&name.as_str())
}

/// Knows the secrets of one till.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: BTreeSet<String>,
}

impl Redactor {
    /// Learns the secrets of a configuration's text, which may be invalid.
    pub(super) fn learn_text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('=') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            let name = before.rsplit(|c: char| c.is_whitespace() || "?&{,[".contains(c)).find(|word| !word.is_empty());
            let name = name.unwrap_or_default().trim_matches(['"', '\'']);
            if is_secret(name.rsplit('.').next().unwrap_or_default()) {
                self.learn(&value(after));
            }
            rest = after;
        }
        for (user, password) in text.split("://").skip(1).filter_map(credentials) {
            self.learn(user);
            self.learn(password);
        }
    }

    /// Learns the secrets of a configuration as it was read.
    pub(super) fn learn_config(&mut self, config: &Config) {
        for device in config.devices.values() {
            for (name, value) in device.options.iter().filter(|(name, _)| is_secret(name)) {
                tracing::trace!(name, "a secret of the configuration");
                self.learn(&value.to_string());
            }
            for address in device.addresses() {
                address.options().filter(|(name, _)| is_secret(name)).for_each(|(_, value)| self.learn(value));
                self.learn_text(&address.to_string());
            }
        }
    }

    fn learn(&mut self, secret: &str) {
        if secret.chars().count() >= LEAST {
            self.secrets.insert(secret.to_owned());
        }
    }

    /// The text without secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        // The longest first: one may be a part of another.
        let mut secrets: Vec<_> = self.secrets.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let text = secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), REMOVED));
        text.split_inclusive('\n').map(line).collect()
    }
}

/// The value after an equals sign: of TOML, or of an address.
fn value(text: &str) -> String {
    let text = text.trim_start_matches([' ', '\t']);
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or_default().trim_matches('\n').to_owned();
        }
    }
    text.split(|c: char| c.is_whitespace() || "&,}]\"'#".contains(c)).next().unwrap_or_default().to_owned()
}

/// `user` and `password` of what follows `://`.
fn credentials(rest: &str) -> Option<(&str, &str)> {
    let end = rest.find(|c: char| c.is_whitespace() || "/?\"'".contains(c)).unwrap_or(rest.len());
    rest[..end].rsplit_once('@')?.0.split_once(':')
}

/// One line without assigned secrets, credentials, tracks, long numbers and bytes in hexadecimal.
fn line(line: &str) -> String {
    let mut text = tracks(&without_credentials(line));
    let mut from = 0;
    while let Some(at) = text[from..].find('=').map(|at| from + at) {
        let name = text[..at].rsplit(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).next().unwrap_or_default();
        let secret = value(&text[at + 1..]);
        let start = at + 1 + text[at + 1..].find(secret.as_str()).unwrap_or_default();
        from = at + 1;
        if is_secret(name) && !secret.is_empty() && secret != REMOVED {
            text.replace_range(start..start + secret.len(), REMOVED);
        }
    }
    numbers(&text)
}

fn without_credentials(line: &str) -> String {
    let mut parts = line.split("://");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        text += "://";
        match credentials(rest) {
            Some((user, password)) => {
                text += REMOVED;
                text += &rest[user.len() + 1 + password.len()..];
            }
            None => text += rest,
        }
    }
    text
}

/// ISO/IEC 7813: track 1 is `%B…?`, track 2 `;…=…?`.
fn tracks(line: &str) -> String {
    let mut text = line.to_owned();
    for (start, within) in [("%B", '^'), (";", '=')] {
        let mut from = 0;
        while let Some(at) = text[from..].find(start).map(|at| from + at) {
            let track = &text[at..];
            let body = &track[start.len()..];
            let begins = body.starts_with(|c: char| c.is_ascii_digit());
            match body.find('?').filter(|end| begins && body[..*end].contains(within)) {
                Some(end) => text.replace_range(at..at + start.len() + end + 1, REMOVED),
                None => from = at + start.len(),
            }
        }
    }
    text
}

/// Removes runs of 12 digits and more, also masked ones and ones in groups, and bytes in hexadecimal. Ids (UUIDs) stay.
fn numbers(line: &str) -> String {
    let bytes = line.as_bytes();
    let (mut text, mut at) = (String::with_capacity(line.len()), 0);
    while at < bytes.len() {
        let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if begins && is_uuid(&bytes[at..]) {
            text += &line[at..at + UUID];
            at += UUID;
            continue;
        }
        let long = if begins { hex_pairs(&bytes[at..]) } else { 0 };
        let long = long.max(digits(&bytes[at..]));
        if long > 0 {
            text += REMOVED;
            at += long;
            continue;
        }
        // A run that stays is passed as a whole, so that no part of it is looked at again.
        let word = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count().max(1);
        let end = (at + word..=line.len()).find(|end| line.is_char_boundary(*end)).unwrap_or(line.len());
        text += &line[at..end];
        at = end;
    }
    text
}

/// The length of a number that could be a card's: 12 to 19 digits, or masked ones, in one piece or in groups of four and
/// more; longer runs as well. 0 if there is none.
fn digits(bytes: &[u8]) -> usize {
    let is_digit = |b: &u8| b.is_ascii_digit() || *b == b'*';
    if !bytes.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    let run = bytes.iter().take_while(|b| is_digit(b)).count();
    if run >= 12 {
        return run;
    }
    let (mut end, mut count, mut group) = (run, run, run);
    while group >= 4 && matches!(bytes.get(end), Some(b' ' | b'-')) {
        group = bytes[end + 1..].iter().take_while(|b| is_digit(b)).count();
        if group == 0 {
            break;
        }
        (end, count) = (end + 1 + group, count + group);
    }
    if count >= 12 { end } else { 0 }
}

/// The length of four and more pairs of hexadecimal digits with a space in between: bytes that were received. 0 if there
/// are none.
fn hex_pairs(bytes: &[u8]) -> usize {
    let is_pair = |at: usize| {
        let pair = bytes.get(at..at + 2).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        pair && bytes.get(at + 2).is_none_or(|b| !b.is_ascii_alphanumeric())
    };
    let mut pairs = 0;
    while is_pair(3 * pairs) && (pairs == 0 || bytes[3 * pairs - 1] == b' ') {
        pairs += 1;
    }
    if pairs >= 4 { 3 * pairs - 1 } else { 0 }
}

/// RFC 9562: 8-4-4-4-12 hexadecimal digits.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.get(..UUID).is_some_and(|id| {
        id.iter()
            .enumerate()
            .all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() })
    }) && bytes.get(UUID).is_none_or(|b| !b.is_ascii_alphanumeric())
}

const UUID: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_learned_from_a_text_and_removed_wherever_they_occur() {
        let mut redactor = Redactor::default();
        redactor.learn_text(
            "[terminals.a]\naddress = 'zvt+tcp://10.0.0.30?password=739154&x=1'\n[b]\npassword = \"h u n t e r\"\n\
             PIN = 4711\napi_token='''multi\nline'''\n[server]\nurl = \"postgres://till:s3cr3t-db@db.example/pos\"\n\
             c = { secret = \"inl!ne\" }\n",
        );
        let dirty = "739154, h u n t e r, 4711, inl!ne, s3cr3t-db, name";
        let clean = redactor.clean(dirty);
        assert_eq!(clean, format!("{}name", "[removed], ".repeat(5)), "{clean}");
        assert_eq!(redactor.clean("baud = 9600\n"), "baud = 9600\n");
    }

    #[test]
    fn what_nobody_has_told_of_is_removed_by_its_form() {
        let clean = |text: &str| Redactor::default().clean(text);
        for (dirty, wanted) in [
            ("zvt+tcp://h?password=000000&tls=true", "zvt+tcp://h?password=[removed]&tls=true"),
            ("password = \"12\" # x", "password = \"[removed]\" # x"),
            ("http://anna:geheim@10.0.0.40/stream", "http://[removed]@10.0.0.40/stream"),
            ("card 4111111111111111 declined", "card [removed] declined"),
            ("card 4111 1111 1111 1111", "card [removed]"),
            ("card 5500-0000-0000-0004.", "card [removed]."),
            ("card 411111******1111", "card [removed]"),
            ("%B4111111111111111^MUSTERMANN/MAX^2512101?", "[removed]"),
            (";4111111111111111=25121010000012300000?", "[removed]"),
            ("not text: 34 31 31 31 31 ff", "not text: [removed]"),
            ("track 41111111111111112512", "track [removed]"),
        ] {
            assert_eq!(clean(dirty), wanted);
        }
    }

    #[test]
    fn times_ids_addresses_and_amounts_stay() {
        for text in [
            "2026-01-02T08:15:00Z  0198f3a2-7c11-7abc-8def-001122334455",
            "12345678-1234-7123-8123-123456789012",
            "10.0.0.20:9100, process 4711, 2026-01-02 08:15:00, 12.50 EUR",
            "escpos+usb://04b8:0e15/SERIAL at /dev/ttyUSB0?baud=115200",
            "said ff 00 fe; Grüße, ½ €",
            "receipt-17; 1; 2; 3 = 4?",
        ] {
            assert_eq!(Redactor::default().clean(text), text);
        }
    }
}
