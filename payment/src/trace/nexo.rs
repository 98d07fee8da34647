//! nexo in words.

use serde_json::Value;
use tresen_hal::Language;
use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::trace::{Told, Tracer};

use super::{incomplete, veiled};
use crate::nexo::Redactor;
use crate::nexo::crypto::{Key, Sealed};
use crate::nexo::http::{Message, Reader, Start};

/// Makes words of nexo. What is sealed is opened only with its key.
#[derive(Debug)]
pub struct Nexo {
    language: Language,
    passphrase: Option<String>,
    sent: Side,
    received: Side,
}

#[derive(Debug)]
struct Side {
    reader: Reader,
    /// Bytes that no message has been made of.
    pending: usize,
    lost: bool,
}

impl Side {
    fn new(reader: Reader) -> Self {
        Self { reader, pending: 0, lost: false }
    }
}

impl Nexo {
    /// In this language.
    pub fn new(language: Language) -> Self {
        let (sent, received) = (Side::new(Reader::of_requests()), Side::new(Reader::of_responses()));
        Self { language, passphrase: None, sent, received }
    }

    /// The same with the passphrase of the key that seals the messages. Recordings of this library hold no sealed
    /// content; those of others may.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: impl Into<String>) -> Self {
        self.passphrase = Some(passphrase.into());
        self
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        if direction == Direction::Sent { &mut self.sent } else { &mut self.received }
    }

    fn told(&self, message: &Message) -> Told {
        let mut title = match &message.start {
            Start::Request { method, target } => format!("{method} {target}"),
            Start::Response(status) => format!("HTTP {status}"),
        };
        let mut details = Vec::new();
        if !message.body.is_empty() {
            let opened = self.opened(&message.body);
            let sealed = opened.is_none() && is_sealed(&message.body);
            let clear = opened.as_deref().unwrap_or(&message.body);
            match serde_json::from_slice::<Value>(&masked(clear)) {
                Ok(body) => {
                    title += &envelope(&body, self.language);
                    if sealed {
                        details.push(sealed_by(&body, self.language));
                    } else {
                        leaves(&body, "", &mut details);
                    }
                }
                Err(_) => {
                    let told = self.language.pick("a body that is no JSON", "ein Inhalt, der kein JSON ist");
                    details.push(format!("{told}, {} bytes", message.body.len()));
                }
            }
        }
        veiled(Told { title, details })
    }

    /// What a sealed body holds, if its key is known.
    fn opened(&self, body: &[u8]) -> Option<Vec<u8>> {
        let passphrase = self.passphrase.as_ref()?;
        let outer: Value = serde_json::from_slice(body).ok()?;
        let inner = outer.as_object()?.values().next()?;
        let sealed = Sealed {
            blob: inner.get("NexoBlob")?.as_str()?.to_owned(),
            trailer: serde_json::from_value(inner.get("SecurityTrailer")?.clone()).ok()?,
        };
        let trailer = inner.get("SecurityTrailer")?;
        let version = trailer.get("KeyVersion")?.as_u64()?.try_into().ok()?;
        let key = Key::derive(trailer.get("KeyIdentifier")?.as_str()?, version, passphrase).ok()?;
        key.open(&sealed).ok()
    }
}

impl Tracer for Nexo {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        let language = self.language;
        let side = self.side(direction);
        if side.lost {
            return Vec::new();
        }
        side.reader.feed(bytes);
        side.pending += bytes.len();
        let mut messages = Vec::new();
        let invalid = loop {
            match side.reader.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if !messages.is_empty() {
            side.pending = 0;
        }
        side.lost = invalid;
        let mut all: Vec<Told> = messages.iter().map(|message| self.told(message)).collect();
        if invalid {
            all.push(Told::new(language.pick("no HTTP any more", "ab hier kein HTTP mehr")));
        }
        all
    }

    fn finish(&mut self, direction: Direction) -> Vec<Told> {
        let language = self.language;
        let side = self.side(direction);
        if side.lost {
            return Vec::new();
        }
        match side.reader.end() {
            Ok(Some(message)) => vec![self.told(&message)],
            Ok(None) => Vec::new(),
            Err(_) => {
                let pending = side.pending;
                incomplete(pending, language)
            }
        }
    }
}

/// A body without card data.
fn masked(body: &[u8]) -> Vec<u8> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    let mut redactor = Redactor::default();
    let mut out = redactor.feed(Direction::Received, &[HEAD, body].concat());
    out.extend(redactor.finish(Direction::Received));
    out.split_off(HEAD.len().min(out.len()))
}

fn is_sealed(body: &[u8]) -> bool {
    body.windows(10).any(|window| window == b"\"NexoBlob\"")
}

/// ` SaleToPOIRequest: Payment from till-1, number 12`
fn envelope(body: &Value, language: Language) -> String {
    let Some((name, inner)) = body.as_object().and_then(|outer| outer.iter().next()) else { return String::new() };
    let header = &inner["MessageHeader"];
    let text = |field: &str| header[field].as_str().unwrap_or_default().to_owned();
    let category = text("MessageCategory");
    let word = CATEGORIES.iter().find(|(known, ..)| *known == category);
    let word = word.map_or(String::new(), |&(_, english, german)| format!(" ({})", language.pick(english, german)));
    format!(" {name} {category}{word}, {} → {}, #{}", text("SaleID"), text("POIID"), text("ServiceID"))
}

fn sealed_by(body: &Value, language: Language) -> String {
    let trailer = body.as_object().and_then(|outer| outer.values().next()).map(|inner| &inner["SecurityTrailer"]);
    let key = trailer.and_then(|trailer| trailer["KeyIdentifier"].as_str()).unwrap_or("?").to_owned();
    let version = trailer.map_or(Value::Null, |trailer| trailer["KeyVersion"].clone());
    match language {
        Language::German => format!("verschlüsselt mit dem Schlüssel `{key}`, Version {version}"),
        _ => format!("sealed with the key `{key}`, version {version}"),
    }
}

/// Every value with its place, but the header, which stands in the title.
fn leaves(value: &Value, place: &str, details: &mut Vec<String>) {
    let join = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "MessageHeader") {
                // The outermost name stands in the title.
                let inner = if name.starts_with("SaleToPOI") { String::new() } else { join(name) };
                leaves(value, &inner, details);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, place, details)),
        Value::String(text) => details.push(format!("{place}: {text}")),
        other => details.push(format!("{place}: {other}")),
    }
}

const CATEGORIES: &[(&str, &str, &str)] = &[
    ("Payment", "payment", "Zahlung"),
    ("Reversal", "reversal", "Storno"),
    ("TransactionStatus", "what became of a transaction", "Verbleib einer Transaktion"),
    ("Abort", "abort", "Abbruch"),
    ("Diagnosis", "diagnosis", "Diagnose"),
    ("Event", "notice", "Mitteilung"),
    ("Display", "display", "Anzeige"),
    ("Input", "input", "Eingabe"),
    ("Print", "print", "Druck"),
    ("Reconciliation", "totals", "Summen"),
    ("CardAcquisition", "read card", "Karte lesen"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nexo::http::request;

    const REQUEST: &str = "{\"SaleToPOIRequest\":{\"MessageHeader\":{\"ProtocolVersion\":\"3.0\",\
        \"MessageClass\":\"Service\",\"MessageCategory\":\"Payment\",\"MessageType\":\"Request\",\"SaleID\":\"till\",\
        \"ServiceID\":\"12\",\"POIID\":\"V400m-1\"},\"PaymentRequest\":{\"PaymentTransaction\":{\"AmountsReq\":\
        {\"Currency\":\"EUR\",\"RequestedAmount\":10.99}}}}}";

    #[test]
    fn a_request_in_clear_is_told() {
        let bytes = request("10.0.0.9", REQUEST);
        for at in 0..bytes.len() {
            let mut tracer = Nexo::new(Language::German);
            let mut told = tracer.feed(Direction::Sent, &bytes[..at]);
            told.extend(tracer.feed(Direction::Sent, &bytes[at..]));
            assert_eq!(told[0].title, "POST /nexo SaleToPOIRequest Payment (Zahlung), till → V400m-1, #12");
            assert!(
                told[0].details.contains(&"PaymentRequest.PaymentTransaction.AmountsReq.RequestedAmount: 10.99".into())
            );
        }
    }

    #[test]
    fn what_is_sealed_is_opened_with_its_passphrase_alone() {
        let key = Key::derive("shop", 1, "test123").expect("a key");
        let sealed = key.seal(REQUEST.as_bytes(), [7; 16]);
        let header: Value = serde_json::from_str(REQUEST).expect("JSON");
        let outer = serde_json::json!({"SaleToPOIRequest": {
            "MessageHeader": header["SaleToPOIRequest"]["MessageHeader"],
            "NexoBlob": sealed.blob, "SecurityTrailer": sealed.trailer,
        }});
        let bytes = request("10.0.0.9", &outer.to_string());
        let told = Nexo::new(Language::English).feed(Direction::Sent, &bytes);
        assert_eq!(told[0].details, ["sealed with the key `shop`, version 1"]);
        let told = Nexo::new(Language::English).with_passphrase("test123").feed(Direction::Sent, &bytes);
        assert!(told[0].details.iter().any(|line| line.ends_with("RequestedAmount: 10.99")), "{told:?}");
        let told = Nexo::new(Language::English).with_passphrase("wrong").feed(Direction::Sent, &bytes);
        assert_eq!(told[0].details, ["sealed with the key `shop`, version 1"]);
    }

    #[test]
    fn what_is_cut_or_foreign_is_said() {
        let mut tracer = Nexo::new(Language::English);
        assert!(tracer.feed(Direction::Received, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").is_empty());
        assert!(tracer.finish(Direction::Received)[0].title.contains("not complete"));
        let told = Nexo::new(Language::English).feed(Direction::Received, b"\x06\x0f\x00\xff\r\n\r\n");
        assert_eq!(told[0].title, "no HTTP any more");
    }
}
