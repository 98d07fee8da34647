//! PayTec's ECR interface: lines of JSON (github.com/PayTecAG/ecritf).

use std::time::Duration;

use serde_json::Value;
use tresen_hal::probe::{Heard, Probe, Question, Sighting};

/// Recognises PayTec terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct PayTec;

/// Terminals on a local network send a heartbeat about every 10 s, says PayTec's documentation of the interface.
const HEARTBEAT: Duration = Duration::from_secs(12);

impl Probe for PayTec {
    fn question(&self, _: &str) -> Question {
        // With blanks, to tell an echo from a terminal's own heartbeat.
        let question = Question::new("{ \"HeartbeatRequest\": {} }\n").printable();
        Question { speaks_within: Some(HEARTBEAT), ..question }
    }

    fn hear(&self, heard: &[u8]) -> Heard {
        let (mut sighting, mut replies) = (None, Vec::new());
        let mut lines = heard.split_inclusive(|b| *b == b'\n');
        let part = loop {
            match lines.next() {
                None => break false,
                Some(line) if !line.ends_with(b"\n") => break true,
                Some(line) if line.trim_ascii().is_empty() => {}
                Some(line) => {
                    let Some(name) = message(line) else { break false };
                    sighting.get_or_insert_with(|| Sighting::certain(format!("it speaks PayTec: {name}")));
                    if name == "HeartbeatRequest" {
                        replies.extend(b"{\"HeartbeatResponse\":{}}\n");
                    }
                }
            }
        };
        let begins = heard.trim_ascii_start().first().is_none_or(|first| *first == b'{');
        match sighting {
            Some(sighting) => Heard::Answer { sighting, replies, over: true },
            None if (part || heard.is_empty()) && begins => Heard::Part,
            None => Heard::Other,
        }
    }
}

/// The name of the message in a line, if it is one that a terminal sends.
fn message(line: &[u8]) -> Option<String> {
    let Value::Object(fields) = serde_json::from_slice(line).ok()? else { return None };
    fields.keys().find(|name| SENT.contains(&name.as_str())).cloned()
}

/// What a terminal may send outside of a payment.
const SENT: [&str; 9] = [
    "HeartbeatRequest",
    "HeartbeatResponse",
    "StatusResponse",
    "ConnectResponse",
    "ErrorNotification",
    "ReceiptResponse",
    "EFTHello",
    "DisplayNotification",
    "RFIDStatusNotification",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_answered() {
        let heard = b"{\"HeartbeatResponse\":{}}\n{\"HeartbeatRequest\":{}}\n";
        for end in 0..24 {
            assert_eq!(PayTec.hear(&heard[..end]), Heard::Part, "{end}");
        }
        let Heard::Answer { sighting, replies, over: true } = PayTec.hear(heard) else { panic!("an answer") };
        assert!(sighting.certain && replies == b"{\"HeartbeatResponse\":{}}\n");
    }

    #[test]
    fn what_others_say_is_none() {
        for other in [&b"{\"hello\":1}\n"[..], b"HTTP/1.1 400\r\n", b"[1]\n", b"\x80\0\0", b"{}\n", b"{\"Heart\n"] {
            assert_eq!(PayTec.hear(other), Heard::Other, "{}", String::from_utf8_lossy(other));
        }
    }
}
