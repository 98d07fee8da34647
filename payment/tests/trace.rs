//! A card number in any field, at any split, in any protocol: no trace shows it, nor the half of it that hex could hide.

use proptest::prelude::*;
use tresen_hal::Language;
use tresen_hal::link::record::Direction;
use tresen_hal::trace::{Told, Tracer};
use tresen_payment::trace;

/// Passes the check digit, as a card number does.
const CARD: &str = "4532015112830366";

fn told(tracer: &mut dyn Tracer, stream: &[u8], cuts: &[usize]) -> Vec<Told> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([0, stream.len()]).collect();
    cuts.sort_unstable();
    let mut all = Vec::new();
    for direction in [Direction::Sent, Direction::Received] {
        for pair in cuts.windows(2) {
            all.extend(tracer.feed(direction, &stream[pair[0]..pair[1]]));
        }
        all.extend(tracer.finish(direction));
    }
    all
}

#[track_caller]
fn shows_no_card(all: &[Told], stream: &[u8]) {
    let text: String = all.iter().flat_map(|told| [&told.title].into_iter().chain(&told.details)).cloned().collect();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let hex: String = CARD.bytes().map(|b| format!("{b:02x}")).collect();
    assert!(!digits.contains(CARD) && !digits.contains(&hex), "{text}\nof {}", String::from_utf8_lossy(stream));
    assert!(!text.contains("MARKED"), "a name shows: {text}");
}

fn bcd(digits: &str) -> Vec<u8> {
    digits.as_bytes().chunks(2).map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0')).collect()
}

/// One field with the card number: as BCD and as text, in known fields and in unknown ones.
fn zvt_field() -> impl Strategy<Value = Vec<u8>> {
    let ll = |id: u8, data: Vec<u8>| {
        [&[id, 0xf0 | (data.len() / 10) as u8, 0xf0 | (data.len() % 10) as u8], &data[..]].concat()
    };
    let lll = |id: u8, data: Vec<u8>| {
        [&[id, 0xf0, 0xf0 | (data.len() / 10) as u8, 0xf0 | (data.len() % 10) as u8], &data[..]].concat()
    };
    let tlv = |tag: &[u8], data: Vec<u8>| {
        let inner = [tag, &[data.len() as u8], &data].concat();
        [&[0x06, inner.len() as u8], &inner[..]].concat()
    };
    prop_oneof![
        Just(ll(0x22, bcd(CARD))),
        Just(ll(0x23, bcd(CARD))),
        Just(ll(0x8b, CARD.into())),
        Just(ll(0xf1, CARD.into())),
        Just(lll(0x3c, format!("card {CARD}").into())),
        Just(lll(0x24, bcd(CARD))),
        Just([&[0x2a][..], &CARD.as_bytes()[..15]].concat()),
        Just(tlv(&[0x07], CARD.into())),
        Just(tlv(&[0x1f, 0x17], CARD.into())),
        Just(tlv(&[0x43], bcd(CARD))),
        Just(tlv(&[0x5f, 0x7f], CARD.into())),
        Just(tlv(&[0x1f, 0x2b], bcd(CARD))),
        Just([&[0xcc][..], CARD.as_bytes()].concat()),
        Just(CARD.as_bytes().to_vec()),
        Just(bcd(CARD)),
    ]
}

fn xml_field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!("<Authorisation CardPAN=\"{CARD}\"/>")),
        Just(format!("<TextLine>Karte {CARD}</TextLine>")),
        Just(format!("<TextLine>{}</TextLine><TextLine>{}</TextLine>", &CARD[..8], &CARD[8..])),
        Just(format!("<Terminal TerminalID=\"{CARD}\"/>")),
        Just("<PrivateData><ErrorText>4532 0151 1283 0366</ErrorText></PrivateData>".to_owned()),
        Just(format!("<Holder Name=\"MARKED/{CARD}\"/>")),
        Just(format!("<X{CARD}/>")),
        Just(format!("<!-- {CARD} -->")),
        Just(format!("<a><![CDATA[{CARD}]]></a>")),
    ]
}

fn json_field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!("\"MaskedPan\":\"{CARD}\"")),
        Just(format!("\"TransactionID\":\"{CARD}\"")),
        Just(format!("\"SaleID\":\"{CARD}\"")),
        Just(format!("\"AdditionalResponse\":\"cardHolderName=MARKED&pan={CARD}\"")),
        Just(format!("\"{CARD}\":1")),
        Just(format!("\"RequestedAmount\":{CARD}")),
        Just(format!("\"AppPAN\":\"{CARD}\"")),
        Just(format!("\"Brand\":\"{CARD}\"")),
        Just("\"POSID\":\"4532 0151 1283 0366\"".to_owned()),
        Just(format!("\"TrxSeqCnt\":{CARD}")),
        Just(format!("\"ReceiptText\":\"MARKED {CARD}\"")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn zvt(code in prop_oneof![
            Just([0x04, 0x0f]), Just([0x06, 0x01]), Just([0x06, 0xd1]), Just([0x06, 0xd3]), Just([0x06, 0x1e]),
            Just([0x06, 0x0f]), Just([0x04, 0xff]), Just([0x06, 0xc0]), Just([0x84, 0x1e]), Just([0x06, 0x00]),
            Just([0x05, 0x01]), Just([0x0f, 0x42]), Just([0x06, 0xe0]), Just([0x80, 0x00]), Just([0x4e, 0x4f])],
        fields in proptest::collection::vec(zvt_field(), 1..4),
        german in any::<bool>(),
        cuts in proptest::collection::vec(0..1000usize, 0..6),
    ) {
        let data: Vec<u8> = fields.concat();
        let stream = [&code[..], &[data.len() as u8], &data].concat();
        let language = if german { Language::German } else { Language::English };
        shows_no_card(&told(&mut trace::Zvt::new(language), &stream, &cuts), &stream);
    }

    #[test]
    fn opi(fields in proptest::collection::vec(xml_field(), 1..4), whole in any::<bool>(),
        cuts in proptest::collection::vec(0..1000usize, 0..6)) {
        let end = if whole { "</CardServiceResponse>" } else { "" };
        let xml = format!("<CardServiceResponse RequestType=\"CardPayment\" RequestID=\"2\">{}{end}", fields.concat());
        let stream = [&(xml.len() as u32).to_be_bytes()[..], xml.as_bytes()].concat();
        shows_no_card(&told(&mut trace::Opi::new(Language::German), &stream, &cuts), &stream);
    }

    #[test]
    fn nexo(fields in proptest::collection::vec(json_field(), 1..4), whole in any::<bool>(),
        cuts in proptest::collection::vec(0..1000usize, 0..6)) {
        let end = if whole { "}}" } else { "" };
        let body = format!("{{\"SaleToPOIResponse\":{{{}{end}", fields.join(","));
        let head = format!("HTTP/1.1 200 OK\r\nx-card: {CARD}\r\ncontent-length: {}\r\n\r\n", body.len());
        let stream = [head.as_bytes(), body.as_bytes()].concat();
        shows_no_card(&told(&mut trace::Nexo::new(Language::English), &stream, &cuts), &stream);
    }

    #[test]
    fn paytec(fields in proptest::collection::vec(json_field(), 1..4), whole in any::<bool>(),
        cuts in proptest::collection::vec(0..1000usize, 0..6)) {
        let end = if whole { "}}" } else { "" };
        let stream = format!("{{\"TransactionResponse\":{{{}{end}\n", fields.join(",")).into_bytes();
        shows_no_card(&told(&mut trace::PayTec::new(Language::German), &stream, &cuts), &stream);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(0..200usize, 0..4)) {
        let tracers: [Box<dyn Tracer>; 4] = [
            Box::new(trace::Zvt::new(Language::English)),
            Box::new(trace::Opi::new(Language::English)),
            Box::new(trace::Nexo::new(Language::English)),
            Box::new(trace::PayTec::new(Language::English)),
        ];
        for mut tracer in tracers {
            told(&mut *tracer, &bytes, &cuts);
        }
    }
}
