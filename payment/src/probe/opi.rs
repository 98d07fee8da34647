//! OPI: `RepeatLastMessage` of the service channel.

use tresen_hal::probe::{Heard, Probe, Question, Sighting};

use crate::opi::dialect;
use crate::opi::framing::MAX_MESSAGE;
use crate::opi::wire::{Family, Header, Request};
use crate::opi::xml::{Element, Encoding};

/// Recognises OPI terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opi;

impl Probe for Opi {
    fn question(&self, _: &str) -> Question {
        let mut request = Request::new(Family::Service, "RepeatLastMessage", "1");
        request.header = Header {
            workstation: Some("1".into()),
            pop: Some("001".into()),
            sender: Some("tresen".into()),
            ..request.header
        };
        let message = request.to_bytes(Encoding::Utf8);
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        Question::new([&length.to_be_bytes()[..], &message].concat()).printable()
    }

    fn hear(&self, heard: &[u8]) -> Heard {
        let Some((length, rest)) = heard.split_first_chunk::<4>() else {
            // A message has less than 16 MiB.
            return if heard.first().is_none_or(|first| *first == 0) { Heard::Part } else { Heard::Other };
        };
        let length = u32::from_be_bytes(*length) as usize;
        let xml = rest.trim_ascii_start();
        let begins = xml.is_empty() || xml[0] == b'<' || b"\xef\xbb\xbf<".starts_with(&xml[..xml.len().min(4)]);
        if length == 0 || length > MAX_MESSAGE || !begins {
            return Heard::Other;
        }
        let Some(message) = rest.get(..length) else { return Heard::Part };
        match Element::parse(message) {
            Ok(root) if NAMES.iter().any(|name| root.is(name)) => {
                Heard::Answer { sighting: told(&root), replies: Vec::new(), over: true }
            }
            _ => Heard::Other,
        }
    }

    /// The dialect with this usual port, and a listener for what the terminal prints and asks.
    fn options_at(&self, port: u16) -> Vec<(&'static str, String)> {
        let usual = Some(dialect::SWISS).filter(|dialect| dialect.port == port);
        let named = usual.map(|dialect| ("dialect", dialect.name.to_owned()));
        named.into_iter().chain([("listen", "usual".to_owned())]).collect()
    }
}

fn told(root: &Element) -> Sighting {
    let mut sighting = Sighting::certain("it speaks OPI");
    let terminal = root.child("Terminal").and_then(|t| t.value("TerminalID")).or_else(|| root.value("TerminalID"));
    let results =
        root.value("OverallResult").map(|result| format!("answers the question for its last message: {result}"));
    let id = terminal.map(|id| format!("terminal {id}"));
    let short = |text: &String| text.len() <= 80 && !text.contains(char::is_control);
    sighting.evidence.extend(results.into_iter().chain(id).filter(short));
    sighting
}

/// What a terminal may send, on either channel.
const NAMES: [&str; 3] = ["ServiceResponse", "CardServiceResponse", "DeviceRequest"];

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(xml: &str) -> Vec<u8> {
        [&(xml.len() as u32).to_be_bytes()[..], xml.as_bytes()].concat()
    }

    #[test]
    fn an_answer_is_known_when_it_is_complete() {
        // Shape of docs and captures: a response with its result; unknown services are answered with an error.
        let answer = framed(
            "<?xml version=\"1.0\"?><ServiceResponse RequestType=\"RepeatLastMessage\" RequestID=\"1\" \
             OverallResult=\"NotSupported\" xmlns=\"http://www.nrf-arts.org/IXRetail/namespace\">\
             <Terminal TerminalID=\"60000001\"/></ServiceResponse>",
        );
        for end in 0..answer.len() {
            assert_eq!(Opi.hear(&answer[..end]), Heard::Part, "{end}");
        }
        let Heard::Answer { sighting, over: true, .. } = Opi.hear(&answer) else { panic!("an answer") };
        assert!(sighting.certain);
        assert!(sighting.evidence[1].contains("NotSupported") && sighting.evidence[2].contains("60000001"));
    }

    #[test]
    fn what_others_say_is_none() {
        for other in [
            &b"HTTP/1.1 400"[..],
            &[0x80, 0, 0],
            &[0x00, 0x00, 0x00, 0x3e, b'V'],
            &[0x7f, 0xff, 0xff, 0xff],
            &framed("<html>no terminal</html>"),
            &framed("<ServiceResponse"),
        ] {
            assert_eq!(Opi.hear(other), Heard::Other, "{other:02x?}");
        }
    }

    #[test]
    fn the_question_is_one_message_that_names_no_transaction() {
        let question = Opi.question("10.0.0.9");
        let (length, xml) = question.bytes.split_first_chunk::<4>().expect("a length");
        assert_eq!(u32::from_be_bytes(*length) as usize, xml.len());
        let root = Element::parse(xml).expect("XML");
        assert!(root.is("ServiceRequest") && root.value("RequestType") == Some("RepeatLastMessage"));
        assert!(question.printable && !String::from_utf8_lossy(xml).contains("Amount"));
    }
}
