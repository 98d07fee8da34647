//! ZVT in words.

use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::trace::{Told, Tracer};
use tresen_hal::{Amount, Language};

use super::{incomplete, shown, veiled, zvt_words as words};
use crate::zvt::bmp::{self, Bcd};
use crate::zvt::commands::enquiry::State;
use crate::zvt::commands::{currency, intermediate::Intermediate};
use crate::zvt::framing::Framing;
use crate::zvt::wire::Apdu;
use crate::zvt::{Charset, Config, Redactor, codes, tlv};

/// Makes words of ZVT.
#[derive(Debug, Default)]
pub struct Zvt {
    language: Language,
    redactor: Redactor,
    sent: Side,
    received: Side,
    /// The terminal answers a status enquiry, whose completion has a form of its own.
    enquired: bool,
}

#[derive(Debug, Default)]
struct Side {
    framing: Framing,
    /// Nothing tells where the next APDU begins.
    lost: bool,
}

impl Zvt {
    /// In this language.
    pub fn new(language: Language) -> Self {
        Self { language, ..Self::default() }
    }

    fn read(&mut self, direction: Direction, masked: &[u8]) -> Vec<Told> {
        let Self { language, sent, received, enquired, .. } = self;
        let side = if direction == Direction::Sent { sent } else { received };
        let mut all = Vec::new();
        if side.lost {
            return all;
        }
        side.framing.feed(masked);
        loop {
            match side.framing.next_apdu() {
                Ok(Some(apdu)) => {
                    match apdu.code() {
                        0x0501 => *enquired = true,
                        0x0600..=0x060e | 0x0610..=0x061d | 0x061f..=0x06ff => *enquired = false,
                        _ => {}
                    }
                    all.push(veiled(apdu_in_words(&apdu, *enquired, *language)));
                }
                Ok(None) => return all,
                Err(invalid) => {
                    side.lost = true;
                    let told = match language {
                        Language::German => format!("ab Byte {} kein ZVT mehr", invalid.offset),
                        _ => format!("no ZVT any more from byte {} on", invalid.offset),
                    };
                    all.push(Told::new(told));
                    return all;
                }
            }
        }
    }
}

impl Tracer for Zvt {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Told> {
        let masked = self.redactor.feed(direction, bytes);
        self.read(direction, &masked)
    }

    fn finish(&mut self, direction: Direction) -> Vec<Told> {
        let rest = self.redactor.finish(direction);
        let side = if direction == Direction::Sent { &self.sent } else { &self.received };
        if side.lost { Vec::new() } else { incomplete(side.framing.pending() + rest.len(), self.language) }
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
    set.map(|(_, english, german)| language.pick(*english, *german)).collect::<Vec<_>>().join(", ")
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
            0x22 | 0x23 | 0x24 | 0x2d | 0x2e => hidden(field.data),
            0x0b | 0x17 | 0x29 | 0x37 | 0x87 | 0x88 | 0xaa => Bcd(field.data).to_string(),
            0x3d => "••••••".to_owned(),
            0x2a | 0x3b | 0x3c | 0x8b | 0xf1..=0xf8 => Charset::default().shown(field.data),
            _ => shown(field.data),
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
            (0x07 | 0x1f17, text) => Charset::default().shown(text),
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
            (_, value) => shown(value),
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
        for part in ["27 result: 00: no error", "1.54 EUR", "0C time: 22:51:47", "0D date: 04-16", "8B card name: VISA"]
        {
            assert!(all.contains(part), "{all} lacks {part}");
        }
    }

    #[test]
    fn the_split_does_not_matter_and_garbage_is_told_once() {
        let stream = [0x80, 0, 0, 0x04, 0xff, 1, 0x0a, 0x84, 0x9c, 0, 0x06, 0x1e, 1, 0x6c, 0x48, 0x54];
        let whole = told(Language::English, Direction::Received, &stream);
        let titles: Vec<_> = whole.iter().map(|told| told.title.as_str()).collect();
        assert_eq!(titles[..2], ["80 00 positive answer", "04 FF intermediate status"]);
        assert_eq!(titles[3..], ["06 1E abort", "no ZVT any more from byte 14 on"]);
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
