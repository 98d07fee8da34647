//! ZVT: 05 01 (PA00P015, chapter "Status-Enquiry").

use tresen_hal::probe::{Heard, Probe, Question, Sighting};

use crate::zvt::commands::enquiry::State;
use crate::zvt::{codes, wire};

/// Recognises ZVT terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zvt;

impl Probe for Zvt {
    fn question(&self, _: &str) -> Question {
        Question::new([0x05, 0x01, 0x00])
    }

    fn hear(&self, heard: &[u8]) -> Heard {
        let mut rest = heard;
        let (mut sighting, mut replies, mut over) = (None, Vec::new(), false);
        while !rest.is_empty() && !over {
            if !may_begin(rest) {
                // What comes after a message is not judged: it may be cut by a device that leaves.
                match sighting {
                    None => return Heard::Other,
                    Some(_) => break,
                }
            }
            let Some((header, length)) = wire::measure(rest) else { break };
            let Some(data) = rest.get(header..header + length) else { break };
            let told: &mut Sighting = sighting.get_or_insert_with(|| Sighting::certain("it speaks ZVT"));
            match [rest[0], rest[1]] {
                [0x80, _] => {}
                [0x84, 0x00] => {}
                [0x84, code] => {
                    told.evidence.push(format!("status enquiry refused: {}", codes::result(code)));
                    over = true;
                }
                [0x06, 0x0f] => {
                    let state = State::parse(data);
                    told.evidence.extend(state.software.map(|software| format!("software {software}")));
                    told.evidence.extend(state.status.map(|status| format!("status: {}", codes::result(status))));
                    over = true;
                }
                [0x06, 0x1e] => {
                    let code = data.first().copied().unwrap_or(0xff);
                    told.evidence.push(format!("status enquiry aborted: {}", codes::result(code)));
                    over = true;
                }
                _ => {}
            }
            if !matches!(rest[0], 0x80 | 0x84) {
                replies.extend(wire::ACK);
            }
            rest = &rest[header + length..];
        }
        match sighting {
            Some(sighting) => Heard::Answer { sighting, replies, over },
            None => Heard::Part,
        }
    }
}

/// Whether bytes may begin what a terminal says outside of a payment: an acknowledgement without data, a refusal with
/// little, a completion, an abort, a state.
fn may_begin(bytes: &[u8]) -> bool {
    match *bytes {
        [0x80, instr, length, ..] => instr == 0 && length == 0,
        [0x84, _, length, ..] => length < 0x10,
        [0x06, instr, ..] => matches!(instr, 0x0f | 0x1e),
        [0x04, instr, ..] => matches!(instr, 0x0f | 0xff),
        [0x80, instr] => instr == 0,
        [0x80 | 0x84 | 0x06 | 0x04] | [0x84, _] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(heard: &[u8]) -> (Vec<String>, Vec<u8>, bool) {
        match Zvt.hear(heard) {
            Heard::Answer { sighting, replies, over } => (sighting.evidence, replies, over),
            other => panic!("{other:?}"),
        }
    }

    /// PA00P015: 80 00 00, then 06 0F with `LLLVAR version, status`, which the till acknowledges.
    #[test]
    fn the_dialogue_is_followed_and_acknowledged_however_it_is_split() {
        let answer = [&[0x80, 0, 0][..], &[0x04, 0xff, 1, 0x0e], &[0x06, 0x0f, 8, 0xf0, 0xf0, 0xf4], b"V1.2", &[0x9c]];
        let answer = answer.concat();
        for end in 0..answer.len() {
            match Zvt.hear(&answer[..end]) {
                Heard::Part => assert!(end < 3, "{end}"),
                Heard::Answer { over, replies, .. } => {
                    assert!(!over && end >= 3, "{end}");
                    assert_eq!(replies, if end < 7 { vec![] } else { vec![0x80, 0, 0] }, "{end}");
                }
                other => panic!("{end}: {other:?}"),
            }
        }
        let (evidence, replies, over) = seen(&answer);
        assert_eq!((evidence[1].as_str(), evidence[2].as_str()), ("software V1.2", "status: the terminal is busy"));
        assert_eq!((replies, over), (vec![0x80, 0, 0, 0x80, 0, 0], true));
    }

    #[test]
    fn refusals_are_answers_too() {
        // `84 1E 01 7D` comes from CCV's IM30: Portalum.Zvt issue 49.
        for refusal in [&[0x84, 0x83, 0x00][..], &[0x84, 0x9c, 0x00], &[0x84, 0x1e, 0x01, 0x7d]] {
            let (evidence, replies, over) = seen(refusal);
            assert!(evidence[1].contains("refused") && replies.is_empty() && over, "{evidence:?}");
        }
    }

    #[test]
    fn what_others_say_is_none() {
        for other in [
            &b"HTTP/1.1 400"[..],
            b"{\"HeartbeatRequest\":{}}\n",
            &[0x12],
            &[0x15, 0x03, 0x69],
            &[0x15, 0x03, 0x03, 0, 2],
            &[0, 0, 0, 0x40, b'<'],
            &[0x80, 0x00, 0x01],
            &[0x06, 0x15],
        ] {
            assert_eq!(Zvt.hear(other), Heard::Other, "{other:02x?}");
        }
    }
}
