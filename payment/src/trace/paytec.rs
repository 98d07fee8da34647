//! PayTec's JSON lines in words, also from the frames of a serial line.

use serde_json::Value;
use tresen_hal::Language;
use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::trace::{Told, Tracer};

use super::{incomplete, veiled};
use crate::paytec::{Redactor, is_open};

/// Makes words of PayTec's lines.
#[derive(Debug, Default)]
pub struct PayTec {
    language: Language,
    redactor: Redactor,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl PayTec {
    /// In this language.
    pub fn new(language: Language) -> Self {
        Self { language, ..Self::default() }
    }

    fn side(&mut self, direction: Direction) -> &mut Vec<u8> {
        if direction == Direction::Sent { &mut self.sent } else { &mut self.received }
    }
}

impl Tracer for PayTec {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        let language = self.language;
        let masked = self.redactor.feed(direction, bytes);
        let held = self.side(direction);
        held.extend_from_slice(&masked);
        let mut all = Vec::new();
        while let Some(end) = held.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            if !line.trim_ascii().is_empty() {
                all.push(veiled(line_in_words(&line, language)));
            }
        }
        if held.len() > LONGEST {
            held.clear();
            all.push(Told::new(language.pick("a line that is too long", "eine zu lange Zeile")));
        }
        all
    }

    fn finish(&mut self, direction: Direction) -> Vec<Told> {
        let (language, held) = (self.language, self.redactor.finish(direction).len());
        incomplete(std::mem::take(self.side(direction)).len() + held, language)
    }
}

fn line_in_words(line: &[u8], language: Language) -> Told {
    let no_message = || {
        let told = language.pick("a line that is no message", "eine Zeile, die keine Nachricht ist");
        Told::new(format!("{told}, {} bytes", line.len()))
    };
    let Ok(Value::Object(fields)) = serde_json::from_slice(unframed(line)) else { return no_message() };
    // The message is the one with fields; links add texts beside it.
    let Some((name, body)) = fields.iter().find(|(_, value)| value.is_object()) else { return no_message() };
    let known = name.len() <= 48 && name.bytes().all(|b| b.is_ascii_alphabetic());
    if !known {
        return no_message();
    }
    let word = WORDS.iter().find(|(known, ..)| known == name);
    let word = word.map_or(String::new(), |&(_, english, german)| format!(" ({})", language.pick(english, german)));
    let mut details = Vec::new();
    fields_in_words(body, "", &mut details);
    Told { title: format!("{name}{word}"), details }
}

/// The message of a line that came in a frame of a serial line, whose head it follows. A line in two frames is not read.
fn unframed(line: &[u8]) -> &[u8] {
    match line.iter().position(|b| *b == b'{') {
        Some(at) if line[..at].contains(&DLE) => &line[at..],
        _ => line,
    }
}

fn fields_in_words(value: &Value, indent: &str, details: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let open = is_open(name);
        let name = if name.bytes().all(|b| b.is_ascii_alphanumeric()) { name } else { "…" };
        match value {
            Value::Object(_) => {
                details.push(format!("{indent}{name}"));
                fields_in_words(value, &format!("{indent}  "), details);
            }
            Value::Array(items) => {
                details.push(format!("{indent}{name}: {} ×", items.len()));
                items.iter().for_each(|item| fields_in_words(item, &format!("{indent}  "), details));
            }
            Value::String(text) if open => details.push(format!("{indent}{name}: {text}")),
            Value::Number(number) if open => details.push(format!("{indent}{name}: {number}")),
            Value::Bool(_) | Value::Null => details.push(format!("{indent}{name}: {value}")),
            _ => details.push(format!("{indent}{name}: •••")),
        }
    }
}

/// Data link escape, with which frames begin and end.
const DLE: u8 = 0x10;
/// Bytes of a line at most: a receipt with a picture.
const LONGEST: usize = 256 * 1024;

const WORDS: &[(&str, &str, &str)] = &[
    ("ConnectRequest", "set up the connection", "Verbindung einrichten"),
    ("ConnectResponse", "connection set up", "Verbindung eingerichtet"),
    ("StatusRequest", "status?", "Status?"),
    ("StatusResponse", "status", "Status"),
    ("ActivationRequest", "open the shift", "Schicht öffnen"),
    ("ActivationResponse", "shift open", "Schicht offen"),
    ("DeactivationRequest", "close the shift", "Schicht schließen"),
    ("TransactionRequest", "transaction", "Transaktion"),
    ("TransactionResponse", "end of the transaction", "Ende der Transaktion"),
    ("TransactionConfirmationRequest", "confirm or roll back", "bestätigen oder zurücknehmen"),
    ("TransactionConfirmationResponse", "confirmed or rolled back", "bestätigt oder zurückgenommen"),
    ("AbortTransactionRequest", "abort", "Abbruch"),
    ("BalanceRequest", "end of day", "Tagesabschluss"),
    ("ReceiptRequest", "receipt?", "Beleg?"),
    ("ReceiptResponse", "receipt", "Beleg"),
    ("HeartbeatRequest", "are you there?", "bist du da?"),
    ("HeartbeatResponse", "yes", "ja"),
    ("ErrorNotification", "error", "Fehler"),
    ("DisplayNotification", "display", "Anzeige"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of a recorded approval (shared facts of the interface, own values).
    #[test]
    fn lines_are_told_without_card_data() {
        let line =
            b"{\"TransactionResponse\":{\"TrxResult\":0,\"TrxSeqCnt\":42,\"AmtAuth\":1290,\"AppPAN\":\"QRERERERERE=\",\
                     \"AppPANPrtCardholder\":\"XXXXXXXXXXXX1234\",\"Brand\":\"Visa\"}}\n";
        for at in 0..line.len() {
            let mut tracer = PayTec::new(Language::German);
            let mut told = tracer.feed(Direction::Received, &line[..at]);
            told.extend(tracer.feed(Direction::Received, &line[at..]));
            assert_eq!(told[0].title, "TransactionResponse (Ende der Transaktion)");
            let all = told[0].details.join("\n");
            assert!(all.contains("AmtAuth: 1290") && all.contains("AppPAN: •••") && !all.contains("1234"), "{all}");
        }
    }

    /// Frames of a serial line: `10 00 | seq | type | line | CRC | 10 FF`, and `10 11` for arrived.
    #[test]
    fn frames_of_a_serial_line_are_read() {
        let frame = |line: &[u8]| [&[0x10, 0x00, 0x01, 0x91], line, &[0x12, 0x34, 0x10, 0xff, 0x10, 0x11]].concat();
        let stream = [frame(b"{\"HeartbeatRequest\":{}}\n"), frame(b"{\"StatusRequest\":{}}\n")].concat();
        let told = PayTec::new(Language::English).feed(Direction::Received, &stream);
        let titles: Vec<_> = told.iter().map(|told| told.title.as_str()).collect();
        assert_eq!(titles, ["HeartbeatRequest (are you there?)", "StatusRequest (status?)"]);
    }

    #[test]
    fn other_lines_are_said_to_be_none() {
        let mut tracer = PayTec::new(Language::English);
        let told = tracer.feed(Direction::Sent, b"hello 4111111111111111\n{\"a\":1}\n\n{\"x");
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|told| told.title.starts_with("a line that is no message")), "{told:?}");
        assert_eq!(tracer.finish(Direction::Sent).len(), 1);
    }
}
