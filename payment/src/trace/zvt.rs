//! ZVT in words.

use tresen_hal::Amount;
use tresen_hal::Language;
use tresen_hal::link::record::{Direction, Redactor};
use tresen_hal::trace::{Told, Tracer};

use super::{incomplete, shown, veiled, zvt_words as words};
use crate::zvt::bmp::{self, Bcd};
use crate::zvt::commands::enquiry::State;
use crate::zvt::commands::{currency, intermediate::Intermediate};
use crate::zvt::framing::Framing;
use crate::zvt::serial::Timing;
use crate::zvt::serial::frame::{Decoder, Item};
use crate::zvt::tables::{self, Encoding, Sensitivity};
use crate::zvt::wire::Apdu;
use crate::zvt::{Charset, Config, Framed, codes, redactor, tlv};

/// Makes words of ZVT.
pub struct Zvt {
    language: Language,
    redactor: Box<dyn Redactor>,
    sent: Side,
    received: Side,
    /// The terminal answers a status enquiry, whose completion has a form of its own.
    enquired: bool,
}

/// One direction.
enum Side {
    Stream {
        framing: Framing,
        /// Nothing tells where the next APDU begins.
        lost: bool,
    },
    Serial {
        decoder: Decoder,
        /// Characters of a frame that has begun.
        held: usize,
    },
}

/// What a side has to say.
enum Piece {
    Apdu(Vec<u8>),
    Ack,
    Nak,
    Broken,
    Lost(u64),
}

impl Zvt {
    /// In this language, of a TCP connection.
    pub fn new(language: Language) -> Self {
        let side = || Side::Stream { framing: Framing::tcp(), lost: false };
        Self { language, redactor: redactor(Framed::ByLength), sent: side(), received: side(), enquired: false }
    }

    /// In this language, of a serial line with its frames.
    pub fn of_serial(language: Language) -> Self {
        let side = || Side::Serial { decoder: Decoder::default(), held: 0 };
        let redactor = redactor(Framed::Serial(Timing::default()));
        Self { language, redactor, sent: side(), received: side(), enquired: false }
    }

    fn told(&mut self, piece: Piece) -> Option<Told> {
        let language = self.language;
        Some(match piece {
            Piece::Apdu(bytes) => {
                let mut framing = Framing::tcp();
                framing.feed(&bytes);
                let Ok(Some(apdu)) = framing.next_apdu() else {
                    return Some(Told::new(language.pick("a frame without a message", "ein Rahmen ohne Nachricht")));
                };
                match apdu.code() {
                    0x0501 => self.enquired = true,
                    0x0600..=0x060e | 0x0610..=0x061d | 0x061f..=0x06ff => self.enquired = false,
                    _ => {}
                }
                veiled(apdu_in_words(&apdu, self.enquired, language))
            }
            Piece::Ack => Told::new(language.pick("ACK, arrived", "ACK, angekommen")),
            Piece::Nak => Told::new(language.pick("NAK, once more", "NAK, noch einmal")),
            Piece::Broken => Told::new(language.pick("a frame that cannot be read", "ein nicht lesbarer Rahmen")),
            Piece::Lost(at) => Told::new(match language {
                Language::German => format!("ab Byte {at} kein ZVT mehr"),
                Language::English => format!("no ZVT any more from byte {at} on"),
            }),
        })
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        if direction == Direction::Sent { &mut self.sent } else { &mut self.received }
    }
}

impl Side {
    fn feed(&mut self, masked: &[u8]) -> Vec<Piece> {
        let mut all = Vec::new();
        match self {
            Self::Stream { lost: true, .. } => {}
            Self::Stream { framing, lost } => {
                framing.feed(masked);
                loop {
                    match framing.next_apdu() {
                        Ok(Some(apdu)) => all.push(Piece::Apdu(apdu.bytes.to_vec())),
                        Ok(None) => break,
                        Err(invalid) => {
                            *lost = true;
                            all.push(Piece::Lost(invalid.offset));
                            break;
                        }
                    }
                }
            }
            Self::Serial { decoder, held } => {
                for byte in masked {
                    *held += 1;
                    all.extend(decoder.feed(*byte).map(|item| {
                        *held = 0;
                        match item {
                            Item::Frame(apdu) => Piece::Apdu(apdu),
                            Item::Ack => Piece::Ack,
                            Item::Nak => Piece::Nak,
                            Item::Broken => Piece::Broken,
                        }
                    }));
                    if !decoder.is_open() {
                        *held = 0;
                    }
                }
            }
        }
        all
    }

    /// Bytes of a message that is not complete.
    fn pending(&self) -> Option<usize> {
        match self {
            Self::Stream { lost: true, .. } => None,
            Self::Stream { framing, .. } => Some(framing.pending()),
            Self::Serial { held, .. } => Some(*held),
        }
    }
}

impl std::fmt::Debug for Zvt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zvt").field("language", &self.language).finish_non_exhaustive()
    }
}

impl Tracer for Zvt {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        let masked = self.redactor.feed(direction, bytes);
        let pieces = self.side(direction).feed(&masked);
        pieces.into_iter().filter_map(|piece| self.told(piece)).collect()
    }

    fn finish(&mut self, direction: Direction) -> Vec<Told> {
        let rest = self.redactor.finish(direction).len();
        let language = self.language;
        self.side(direction).pending().map_or_else(Vec::new, |held| incomplete(held + rest, language))
    }
}

fn apdu_in_words(apdu: &Apdu<'_>, enquired: bool, language: Language) -> Told {
    let (class, instr) = (apdu.class, apdu.instr);
    let data = apdu.data;
    let title = match apdu.code() {
        0x8000 | 0x8400 => language.pick("positive answer", "positive Antwort").to_owned(),
        0x849c => language.pick("repeat the status information", "Statusinformation wiederholen").to_owned(),
        0x849d => language.pick("another amount", "anderer Betrag").to_owned(),
        code @ 0x8401..=0x84ff => {
            format!("{}: {}", language.pick("refused", "abgelehnt"), codes::words(code as u8, language))
        }
        code => words::command(code, language)
            .unwrap_or(language.pick("unknown command", "unbekanntes Kommando"))
            .to_owned(),
    };
    let mut details = Vec::new();
    match (apdu.code(), data) {
        (0x0600, [_, _, _, config, rest @ ..]) => {
            details.push(password(language));
            details.push(format!(
                "{} {config:02X}: {}",
                language.pick("config byte", "Konfigurationsbyte"),
                settings(*config, language)
            ));
            match rest {
                [a, b, fields @ ..] if currency(&[*a, *b]).is_some() => {
                    details.push(format!("{} {}", language.pick("currency", "Währung"), currency_text(&[*a, *b])));
                    fields_in_words(fields, language, &mut details);
                }
                fields => fields_in_words(fields, language, &mut details),
            }
        }
        (
            0x0501 | 0x060c | 0x0610 | 0x0612 | 0x061b | 0x0620 | 0x0630 | 0x0631 | 0x0650 | 0x0693,
            [_, _, _, rest @ ..],
        ) => {
            details.push(password(language));
            fields_in_words(rest, language, &mut details);
        }
        (0x04ff, _) => {
            let state = Intermediate::parse(data);
            details.push(format!("{:02X}: {}", state.status, codes::intermediate(state.status, language)));
            details.extend(
                state
                    .timeout
                    .map(|time| format!("{} {} min", language.pick("timeout", "Zeitlimit"), time.as_secs() / 60)),
            );
            fields_in_words(data.get(2..).unwrap_or_default(), language, &mut details);
        }
        (0x061e, [code, rest @ ..]) => {
            details.push(format!("{code:02X}: {}", codes::words(*code, language)));
            fields_in_words(rest, language, &mut details);
        }
        (0x060f, _) if enquired && !data.is_empty() => {
            let state = State::parse(data);
            details.extend(state.software.map(|software| format!("Software {software}")));
            details
                .extend(state.status.map(|status| format!("Status {status:02X}: {}", codes::words(status, language))));
        }
        (0x06d1, [attribute, text @ ..]) => {
            details.push(format!("{attribute:02X} | {}", Charset::default().shown(text)));
        }
        (0x06b0 | 0x0602, _) => {}
        (0x06c0, [timeout, rest @ ..]) => {
            details.push(format!("{} {timeout:02X}", language.pick("timeout", "Zeitlimit")));
            fields_in_words(rest, language, &mut details);
        }
        (0x8000 | 0x8400..=0x84ff, [_]) => details.push(shown(data)),
        _ => fields_in_words(data, language, &mut details),
    }
    Told { title: format!("{class:02X} {instr:02X} {title}"), details }
}

fn password(language: Language) -> String {
    language.pick("password ••••••", "Passwort ••••••").to_owned()
}

/// PA00P015, "Registration", config byte.
fn settings(config: u8, language: Language) -> String {
    let bits = [
        (Config::PAYMENT_RECEIPTS, "the till prints payments", "die Kasse druckt Zahlungen"),
        (Config::ADMIN_RECEIPTS, "the till prints administration", "die Kasse druckt Verwaltung"),
        (Config::INTERMEDIATE_STATUS, "intermediate status", "Zwischenstatus"),
        (Config::AMOUNT_LOCKED, "no amounts at the terminal", "keine Beträge am Terminal"),
        (Config::ADMIN_LOCKED, "no administration at the terminal", "keine Verwaltung am Terminal"),
        (Config::PRINT_LINES, "finished receipts", "fertige Belege"),
    ];
    let set = bits.iter().filter(|(bit, ..)| config & bit != 0);
    set.map(|&(_, english, german)| language.pick(english, german)).collect::<Vec<_>>().join(", ")
}

fn fields_in_words(data: &[u8], language: Language, details: &mut Vec<String>) {
    let mut fields = bmp::fields(data);
    let money = bmp::fields(data).find(|field| field.id == 0x49).and_then(|field| currency(field.data));
    for field in fields.by_ref() {
        let name = words::field(field.id, language);
        let value = match field.id {
            0x06 => {
                details.push(format!("06 {name}"));
                tags_in_words(field.data, 1, language, details);
                continue;
            }
            0x04 => {
                let minor = Bcd(field.data).number().and_then(|n| i64::try_from(n).ok());
                match (minor, money) {
                    (Some(minor), Some(currency)) => Amount::new(minor, currency).to_string(),
                    _ => Bcd(field.data).to_string(),
                }
            }
            0x49 => currency_text(field.data),
            0x27 => field
                .data
                .first()
                .map_or(String::new(), |code| format!("{code:02X}: {}", codes::words(*code, language))),
            0x0c => grouped(field.data, ':'),
            0x0d => grouped(field.data, '-'),
            id => match tables::bmp(id).map(|entry| (entry.encoding, entry.sensitivity)) {
                Some((_, Sensitivity::Password)) => "••••••".to_owned(),
                Some((_, Sensitivity::Number | Sensitivity::Secret)) => hidden(field.data),
                Some((Encoding::Bcd, _)) => Bcd(field.data).to_string(),
                Some((Encoding::Text, _)) => Charset::default().shown(field.data),
                _ => shown(field.data),
            },
        };
        details.push(format!("{:02X} {name}: {value}", field.id));
    }
    if let Some((_, rest)) = fields.rest() {
        details.push(format!("{}: {}", language.pick("unknown", "unbekannt"), shown(rest)));
    }
}

/// Masked digits as they stand.
fn hidden(data: &[u8]) -> String {
    Bcd(data).to_string().chars().map(|c| if c.is_ascii_digit() { c } else { '*' }).collect()
}

/// `12:30:05`
fn grouped(data: &[u8], mark: char) -> String {
    data.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(&mark.to_string())
}

fn currency_text(data: &[u8]) -> String {
    currency(data).map_or_else(|| Bcd(data).to_string(), |currency| currency.code().to_owned())
}

fn tags_in_words(data: &[u8], depth: usize, language: Language, details: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut tags = tlv::tags(data);
    for tag in tags.by_ref() {
        let name = words::tag(tag.tag, language);
        if tag.constructed && depth < tlv::MAX_DEPTH {
            details.push(format!("{indent}{:02X} {name}", tag.tag));
            tags_in_words(tag.value, depth + 1, language, details);
            continue;
        }
        let value = match (tag.tag, tag.value) {
            (0x1f07, [kind]) => match kind {
                1 => language.pick("merchant's", "Händlerbeleg").to_owned(),
                2 => language.pick("customer's", "Kundenbeleg").to_owned(),
                3 => language.pick("administration", "Verwaltung").to_owned(),
                other => format!("{other:02X}"),
            },
            (0x0a, [class, instr]) => {
                let code = u16::from_be_bytes([*class, *instr]);
                format!("{class:02X} {instr:02X} {}", words::command(code, language).unwrap_or_default())
            }
            (id, value) => match tables::tag(id).map(|entry| (entry.encoding, entry.sensitivity)) {
                Some((_, Sensitivity::Number | Sensitivity::Secret | Sensitivity::Password)) => hidden(value),
                Some((Encoding::Text, _)) => Charset::default().shown(value),
                Some((Encoding::Bcd, _)) => Bcd(value).to_string(),
                _ => shown(value),
            },
        };
        details.push(format!("{indent}{:02X} {name}: {value}", tag.tag));
    }
    if let Some((_, rest)) = tags.rest() {
        details.push(format!("{indent}{}: {}", language.pick("unknown", "unbekannt"), shown(rest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(language: Language, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        Zvt::new(language).feed(direction, bytes)
    }

    /// A registration seen in the field, and a status information that a Worldline VALINA sent (Portalum.Zvt issue 11,
    /// with its numbers replaced).
    #[test]
    fn a_dialogue_is_told_in_both_languages() {
        let registration = [
            0x06, 0x00, 0x10, 0x12, 0x34, 0x56, 0xbe, 0x09, 0x78, 0x03, 0x01, 0x06, 0x06, 0x26, 0x04, 0x0a, 0x02, 0x06,
            0xd3,
        ];
        let english = told(Language::English, Direction::Sent, &registration);
        assert_eq!(english[0].title, "06 00 registration");
        let all = english[0].details.join("\n");
        for part in
            ["password ••••••", "config byte BE: the till prints payments", "currency EUR", "03 service byte: 01"]
        {
            assert!(all.contains(part), "{all} lacks {part}");
        }
        assert!(all.contains("    0A command: 06 D3 print text block") && !all.contains("123456"), "{all}");
        let german = told(Language::German, Direction::Sent, &registration);
        assert_eq!(german[0].title, "06 00 Anmeldung");
        assert!(german[0].details.join("\n").contains("Textblock drucken"));
        let status = [
            0x04, 0x0f, 0x1c, 0x27, 0x00, 0x04, 0, 0, 0, 0, 0x01, 0x54, 0x0c, 0x22, 0x51, 0x47, 0x0d, 0x04, 0x16, 0x49,
            0x09, 0x78, 0x87, 0x00, 0x87, 0x8b, 0xf0, 0xf4, b'V', b'I', b'S', b'A',
        ];
        let mut status = status.to_vec();
        status[2] = (status.len() - 3) as u8;
        let all = told(Language::English, Direction::Received, &status)[0].details.join("\n");
        for part in [
            "27 result code: 00: no error",
            "1.54 EUR",
            "time, HHMMSS: 22:51:47",
            "date, MMDD: 04-16",
            "8B card name: VISA",
        ] {
            assert!(all.contains(part), "{all} lacks {part}");
        }
    }

    /// PA00P015, "Transport protocol": `10 02 80 00 00 10 03 F5 1F` is 80 00 00 in its frame.
    #[test]
    fn a_serial_line_is_told_with_its_acknowledgements() {
        let stream = [0x10, 0x02, 0x80, 0x00, 0x00, 0x10, 0x03, 0xf5, 0x1f, 0x06, 0x15, 0x10, 0x02, 0x80];
        for at in 0..stream.len() {
            let mut tracer = Zvt::of_serial(Language::English);
            let mut told = tracer.feed(Direction::Received, &stream[..at]);
            told.extend(tracer.feed(Direction::Received, &stream[at..]));
            let titles: Vec<_> = told.iter().map(|told| told.title.as_str()).collect();
            assert_eq!(titles, ["80 00 positive answer", "ACK, arrived", "NAK, once more"], "split at {at}");
            assert_eq!(tracer.finish(Direction::Received)[0].title, "3 bytes of a message that is not complete");
        }
    }

    #[test]
    fn the_split_does_not_matter_and_garbage_is_told_once() {
        let stream = [0x80, 0, 0, 0x04, 0xff, 1, 0x0a, 0x84, 0x9c, 0, 0x06, 0x1e, 1, 0x6c, 0x48, 0x54];
        let whole = told(Language::English, Direction::Received, &stream);
        let titles: Vec<_> = whole.iter().map(|told| told.title.as_str()).collect();
        assert_eq!(titles[..2], ["80 00 positive answer", "04 FF intermediate status"]);
        assert_eq!(titles[3..], ["06 1E abort by the terminal", "no ZVT any more from byte 14 on"]);
        for at in 0..stream.len() {
            let mut tracer = Zvt::new(Language::English);
            let mut split = tracer.feed(Direction::Received, &stream[..at]);
            split.extend(tracer.feed(Direction::Received, &stream[at..]));
            assert_eq!(split, whole, "split at {at}");
        }
        let mut tracer = Zvt::new(Language::English);
        assert!(tracer.feed(Direction::Received, &[0x04, 0x0f, 9, 1]).is_empty());
        assert_eq!(tracer.finish(Direction::Received)[0].title, "4 bytes of a message that is not complete");
    }
}
