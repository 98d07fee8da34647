//! OPI in words.

use tresen_hal::Language;
use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::trace::{Told, Tracer};

use super::{incomplete, veiled};
use crate::opi::Redactor;
use crate::opi::framing::MAX_MESSAGE;
use crate::opi::xml::Element;

/// Makes words of OPI, on either channel.
#[derive(Debug, Default)]
pub struct Opi {
    language: Language,
    redactor: Redactor,
    sent: Side,
    received: Side,
}

#[derive(Debug, Default)]
struct Side {
    held: Vec<u8>,
    /// Nothing tells where the next message begins.
    lost: bool,
}

impl Opi {
    /// In this language.
    pub fn new(language: Language) -> Self {
        Self { language, ..Self::default() }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        if direction == Direction::Sent { &mut self.sent } else { &mut self.received }
    }
}

impl Tracer for Opi {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        let masked = self.redactor.feed(direction, bytes);
        let language = self.language;
        let side = self.side(direction);
        side.held.extend(masked);
        let mut all = Vec::new();
        while let Some((length, rest)) = side.held.split_first_chunk::<4>().filter(|_| !side.lost) {
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_MESSAGE {
                side.lost = true;
                all.push(Told::new(language.pick("no OPI any more", "ab hier kein OPI mehr")));
                break;
            }
            if rest.len() < length {
                break;
            }
            let message: Vec<u8> = side.held.drain(..4 + length).skip(4).collect();
            if !message.is_empty() {
                all.push(veiled(message_in_words(&message, language)));
            }
        }
        all
    }

    fn finish(&mut self, direction: Direction) -> Vec<Told> {
        let rest = self.redactor.finish(direction).len();
        let language = self.language;
        let side = self.side(direction);
        if side.lost { Vec::new() } else { incomplete(side.held.len() + rest, language) }
    }
}

fn message_in_words(message: &[u8], language: Language) -> Told {
    let root = match Element::parse(message) {
        Ok(root) => root,
        Err(why) => {
            let told = language.pick("a message that is no XML", "eine Nachricht, die kein XML ist");
            return Told::new(format!("{told}: {why}"));
        }
    };
    let kind = root.value("RequestType").unwrap_or_default();
    let named = request(kind, language).map_or(String::new(), |word| format!(" ({word})"));
    let id = root.value("RequestID").map_or(String::new(), |id| format!(" #{id}"));
    let result = root.value("OverallResult").map_or(String::new(), |result| format!(": {}", ended(result, language)));
    let mut details = Vec::new();
    let rest = root.attributes.iter().filter(|(name, _)| !in_title(name));
    details.extend(rest.map(|(name, value)| format!("{name} {value}")));
    root.children.iter().for_each(|child| element(child, 0, &mut details));
    Told { title: format!("{} {kind}{named}{id}{result}", root.name), details }
}

fn in_title(name: &str) -> bool {
    ["RequestType", "RequestID", "OverallResult", "ApplicationSender"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn element(element: &Element, depth: usize, details: &mut Vec<String>) {
    let mut line = format!("{}{}", "  ".repeat(depth), element.name);
    for (name, value) in &element.attributes {
        line += &format!(" {name}={value}");
    }
    let text = element.text.trim();
    if !text.is_empty() {
        line += &format!(": {text}");
    }
    details.push(line);
    element.children.iter().for_each(|child| self::element(child, depth + 1, details));
}

fn request(kind: &str, language: Language) -> Option<&'static str> {
    let known = WORDS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(kind));
    known.map(|&(_, english, german)| language.pick(english, german))
}

fn ended(result: &str, language: Language) -> String {
    let known = RESULTS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(result));
    known.map_or(result.to_owned(), |&(name, english, german)| format!("{name}, {}", language.pick(english, german)))
}

/// Requests in words.
const WORDS: &[(&str, &str, &str)] = &[
    ("CardPayment", "payment", "Zahlung"),
    ("CardPreAuthorisation", "reservation", "Reservierung"),
    ("CardFinancialAdvice", "booking of a reservation", "Buchung einer Reservierung"),
    ("PreAuthReversal", "reversal of a reservation", "Storno einer Reservierung"),
    ("PaymentReversal", "reversal", "Storno"),
    ("PaymentRefund", "refund", "Gutschrift"),
    ("TicketReprint", "reprint", "Belegkopie"),
    ("RepeatLastMessage", "last message once more", "letzte Nachricht noch einmal"),
    ("AbortRequest", "abort", "Abbruch"),
    ("CardSwipe", "read card", "Karte lesen"),
    ("CardBalanceQuery", "balance", "Guthaben"),
    ("Login", "log-in", "Anmeldung"),
    ("Logoff", "log-off", "Abmeldung"),
    ("ActivateTerminal", "log-in", "Anmeldung"),
    ("DeactivateTerminal", "log-off", "Abmeldung"),
    ("Diagnosis", "diagnosis", "Diagnose"),
    ("GetStatus", "status", "Status"),
    ("Reconciliation", "totals", "Summen"),
    ("ReconciliationWithClosure", "end of day", "Kassenschnitt"),
    ("CloseDay", "end of day", "Kassenschnitt"),
    ("Initialisation", "initialisation", "Initialisierung"),
    ("Output", "output", "Ausgabe"),
    ("Input", "input", "Eingabe"),
    ("AbortInput", "end of an input", "Ende einer Eingabe"),
];

/// Results in words.
const RESULTS: &[(&str, &str, &str)] = &[
    ("Success", "done", "ausgeführt"),
    ("PartialFailure", "a part of it failed", "teilweise fehlgeschlagen"),
    ("Failure", "not done", "nicht ausgeführt"),
    ("DeviceUnavailable", "a device is away", "ein Gerät fehlt"),
    ("Busy", "busy", "beschäftigt"),
    ("LoggedOut", "no session", "nicht angemeldet"),
    ("Aborted", "aborted", "abgebrochen"),
    ("TimedOut", "too late", "Zeit überschritten"),
    ("CommunicationError", "no connection to the host", "keine Verbindung zum Host"),
    ("FormatError", "the message is malformed", "Nachricht fehlerhaft"),
    ("ParsingError", "the message cannot be read", "Nachricht nicht lesbar"),
    ("ValidationError", "the message is not valid", "Nachricht ungültig"),
    ("MissingMandatoryData", "something is missing", "Angaben fehlen"),
    ("UnknownCard", "unknown card", "unbekannte Karte"),
    ("NotSupported", "not supported", "nicht unterstützt"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_told_in_both_languages() {
        let xml = "<CardServiceRequest RequestType=\"CardPayment\" WorkstationID=\"1\" RequestID=\"2\">\
                   <TotalAmount Currency=\"EUR\">39.50</TotalAmount></CardServiceRequest>";
        let message = [&(xml.len() as u32).to_be_bytes()[..], xml.as_bytes()].concat();
        for at in 0..message.len() {
            let mut tracer = Opi::new(Language::German);
            let mut told = tracer.feed(Direction::Sent, &message[..at]);
            told.extend(tracer.feed(Direction::Sent, &message[at..]));
            assert_eq!(told[0].title, "CardServiceRequest CardPayment (Zahlung) #2");
            assert_eq!(told[0].details, ["WorkstationID 1", "TotalAmount Currency=EUR: 39.50"]);
        }
        let answer = "<CardServiceResponse RequestType=\"CardPayment\" OverallResult=\"Failure\"/>";
        let answer = [&(answer.len() as u32).to_be_bytes()[..], answer.as_bytes()].concat();
        let told = Opi::new(Language::English).feed(Direction::Received, &answer);
        assert_eq!(told[0].title, "CardServiceResponse CardPayment (payment): Failure, not done");
    }

    #[test]
    fn what_is_cut_or_foreign_is_said() {
        let mut tracer = Opi::new(Language::English);
        assert!(tracer.feed(Direction::Sent, &[0, 0, 0, 9, b'<']).is_empty());
        assert_eq!(tracer.finish(Direction::Sent)[0].title, "5 bytes of a message that is not complete");
        let told = Opi::new(Language::English).feed(Direction::Sent, &[0xff; 8]);
        assert_eq!(told.len(), 1);
    }
}
