//! PayTec's JSON lines in words, from a network or in the frames of a serial line.

use serde_json::Value;
use tresen_hal::Language;
use tresen_hal::link::record::Direction;
use tresen_hal::trace::{Told, Tracer};

use super::{incomplete, veiled};
use crate::paytec::serial::{BAUD, End, Frames};

/// Makes words of PayTec's lines.
#[derive(Debug, Default)]
pub struct PayTec {
    language: Language,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// On a serial line: both directions' frames.
    frames: Option<Box<[Frames; 2]>>,
}

impl PayTec {
    /// In this language.
    pub fn new(language: Language) -> Self {
        Self { language, ..Self::default() }
    }

    /// The same for the frames of a serial line; acknowledgements and damaged frames are left out.
    pub fn serial(language: Language) -> Self {
        // What the till sends is what the terminal reads.
        let frames = [End::Terminal, End::Till].map(|end| Frames::new(end, BAUD));
        Self { frames: Some(Box::new(frames)), ..Self::new(language) }
    }

    /// The bytes of lines in these bytes of the link.
    fn lines(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        let Some(frames) = &mut self.frames else { return bytes.to_vec() };
        let frames = &mut frames[usize::from(direction == Direction::Received)];
        frames.feed(bytes);
        std::iter::from_fn(|| frames.next_payload()).flatten().collect()
    }

    fn side(&mut self, direction: Direction) -> &mut Vec<u8> {
        if direction == Direction::Sent { &mut self.sent } else { &mut self.received }
    }
}

impl Tracer for PayTec {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        let language = self.language;
        let lines = self.lines(direction, bytes);
        let held = self.side(direction);
        held.extend(lines);
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
        let language = self.language;
        incomplete(std::mem::take(self.side(direction)).len(), language)
    }
}

fn line_in_words(line: &[u8], language: Language) -> Told {
    let no_message = || {
        let told = language.pick("a line that is no message", "eine Zeile, die keine Nachricht ist");
        Told::new(format!("{told}, {} bytes", line.len()))
    };
    let Ok(Value::Object(fields)) = serde_json::from_slice(line) else { return no_message() };
    // The message is the one with fields; links add texts beside it.
    let Some((name, body)) = fields.iter().find(|(_, value)| value.is_object()) else { return no_message() };
    let known = name.len() <= 48 && name.bytes().all(|b| b.is_ascii_alphabetic());
    if !known {
        return no_message();
    }
    let word = WORDS.iter().find(|(known, ..)| known == name);
    let word = word.map_or(String::new(), |(_, english, german)| format!(" ({})", language.pick(*english, *german)));
    let mut details = Vec::new();
    fields_in_words(body, "", &mut details);
    Told { title: format!("{name}{word}"), details }
}

fn fields_in_words(value: &Value, indent: &str, details: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let open = OPEN.contains(&name.as_str());
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

/// Bytes of a line at most: a receipt with a picture.
const LONGEST: usize = 256 * 1024;

/// Fields that hold no card data.
const OPEN: &[&str] = &[
    "TrmLng",
    "PrinterWidth",
    "UnsolicitedReceipts",
    "SuppressScheduledTasks",
    "UseExternalDisplay",
    "POSID",
    "IFDSerialNum",
    "SoftwareVersion",
    "PeSeqCnt",
    "ActSeqCnt",
    "TrmID",
    "TrmStatus",
    "TrmType",
    "ESigInd",
    "TrxSeqCnt",
    "TrxSeqCntOri",
    "TrxFunction",
    "TrxFunctions",
    "TrxResult",
    "TrxResultExtended",
    "TrxCurrC",
    "TrxDate",
    "TrxTime",
    "TrxAmt",
    "TipAmt",
    "AmtAuth",
    "AmtOther",
    "AmtRemaining",
    "AuthReslt",
    "AcqID",
    "Brand",
    "Confirm",
    "Seconds",
    "ReceiptType",
    "ReceiptFlags",
    "PrinterStatus",
    "ErrorCode",
    "ErrorSource",
    "DeviceCommandCode",
    "TaskName",
    "NextRun",
    "LastRun",
];

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

    #[test]
    fn frames_of_a_serial_line_are_told_as_lines() {
        // As the vendor's library frames it; computed with Python's `binascii.crc_hqx`.
        let frame = b"\x10\x00\x01\x11{\"HeartbeatRequest\":{}}\n\x71\x9b\x10\xff";
        for at in 0..frame.len() {
            let mut tracer = PayTec::serial(Language::English);
            assert!(tracer.feed(Direction::Received, b"\x10\x11").is_empty());
            let mut told = tracer.feed(Direction::Sent, &frame[..at]);
            told.extend(tracer.feed(Direction::Sent, &frame[at..]));
            assert!(told.len() == 1 && told[0].title.starts_with("HeartbeatRequest"), "{told:?}");
        }
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
