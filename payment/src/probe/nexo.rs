//! nexo: `GET /nexo`, and the names of certificates.

use tresen_hal::probe::{Heard, Probe, Question, Sighting};

/// Recognises nexo terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nexo;

impl Probe for Nexo {
    fn question(&self, host: &str) -> Question {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Question::new(format!("GET /nexo HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).printable()
    }

    fn hear(&self, heard: &[u8]) -> Heard {
        const STATUS: &[u8] = b"HTTP/1.";
        let answer = |sighting| Heard::Answer { sighting, replies: Vec::new(), over: true };
        if heard.len() < STATUS.len() {
            return if STATUS.starts_with(heard) { Heard::Part } else { Heard::Other };
        }
        if !heard.starts_with(STATUS) {
            return Heard::Other;
        }
        if find(heard, b"SaleToPOI").is_some() {
            return answer(needed(Sighting::certain("it answers with a message of nexo")));
        }
        let Some(end) = find(heard, b"\r\n\r\n") else { return Heard::Part };
        let status = heard.split(|b| *b == b' ').nth(1).unwrap_or_default();
        // RFC 9110, 15.5.6: there is something, and it is not for GET.
        if status == b"405" {
            return answer(needed(Sighting::likely("`/nexo` is there, and takes no GET: HTTP status 405")));
        }
        // A body that announces its length may hold a message of nexo.
        let head = heard[..end].to_ascii_lowercase();
        let announced = find(&head, b"content-length:").and_then(|at| {
            let digits = head[at + 15..].trim_ascii_start();
            let digits = &digits[..digits.iter().take_while(|b| b.is_ascii_digit()).count()];
            std::str::from_utf8(digits).ok()?.parse::<usize>().ok()
        });
        match announced {
            Some(length) if heard.len() < end + 4 + length.min(LOOKED_AT) => Heard::Part,
            _ => Heard::Ask,
        }
    }

    /// docs.adyen.com, "Protect with your own code", validate the terminal certificate: `POIID.test.terminal.adyen.com`,
    /// `legacy-terminal-certificate.test.terminal.adyen.com`, or the same with `live`.
    fn certificate(&self, common_name: &str) -> Option<Sighting> {
        let name = common_name.to_ascii_lowercase();
        let poi = [".test.terminal.adyen.com", ".live.terminal.adyen.com"].iter().find_map(|end| {
            let poi = name.strip_suffix(end)?;
            common_name.get(..poi.len())
        })?;
        let sighting = Sighting::certain(format!("its certificate is that of one of Adyen's terminals: {common_name}"));
        let poi = if poi.eq_ignore_ascii_case("legacy-terminal-certificate") { "…" } else { poi };
        Some(keys(sighting.option("poi", poi)))
    }
}

fn needed(sighting: Sighting) -> Sighting {
    keys(sighting.option("poi", "…"))
}

/// What only the one who set the terminal up knows.
fn keys(sighting: Sighting) -> Sighting {
    sighting.option("key", "…").option("passphrase", "…")
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Bytes of a body that are looked at.
const LOOKED_AT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_refuses_get_and_other_servers_do_not_know_the_path() {
        let refused = b"HTTP/1.1 405 Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        for end in 0..refused.len() {
            assert_eq!(Nexo.hear(&refused[..end]), Heard::Part, "{end}");
        }
        let Heard::Answer { sighting, .. } = Nexo.hear(refused) else { panic!("an answer") };
        assert!(!sighting.certain);
        assert_eq!(Nexo.hear(b"HTTP/1.1 404 Not Found\r\n\r\n"), Heard::Ask);
        assert_eq!(Nexo.hear(b"SSH-2.0-x"), Heard::Other);
        let page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html";
        assert_eq!(Nexo.hear(&page[..page.len() - 1]), Heard::Part);
        assert_eq!(Nexo.hear(page), Heard::Ask);
        let event = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"SaleToPOIRequest\":{\"MessageHeader\":";
        assert!(matches!(Nexo.hear(event), Heard::Answer { sighting, .. } if sighting.certain));
    }

    #[test]
    fn certificates_of_terminals_name_the_terminal() {
        let seen = Nexo.certificate("V400m-346403161.test.terminal.adyen.com").expect("a terminal's");
        assert_eq!(seen.options[0], ("poi", "V400m-346403161".to_owned()));
        let old = Nexo.certificate("legacy-terminal-certificate.live.terminal.adyen.com").expect("a terminal's");
        assert_eq!(old.options[0], ("poi", "…".to_owned()));
        assert_eq!(Nexo.certificate("terminal.adyen.com.example"), None);
        assert_eq!(Nexo.certificate("printer.local"), None);
    }
}
