use proptest::prelude::*;
use tresen_hal::link::record::{Direction, Redactor as _};

use super::super::framing::frame;
use super::super::wire::Message;
use super::*;

const PAN: &str = "6805330010086784747";
/// The answer of `wire_tests`, with a track and a name in fields that no example has.
const ANSWER: &str = r#"<?xml version="1.0" encoding="UTF-8"?><CardServiceResponse xmlns="http://www.nrf-arts.org/IXRetail/namespace" RequestType="CardPayment" WorkstationID="1" RequestID="20544" OverallResult="Success"><Terminal TerminalID="68276185" STAN="021601"/><Tender><TotalAmount Currency="EUR">39.50</TotalAmount><Authorisation CardCircuit="girocard" CardPAN="6805330010086784747" TimeStamp="2024-02-09T09:36:28-00:00"/></Tender><Track2>6805330010086784747D2812</Track2><Holder Name="MUSTER/MAX"/><PrivateData>MUSTER 6805 3300<ErrorCode>1002700</ErrorCode></PrivateData><CardValue><ExpiryDate>1227</ExpiryDate></CardValue></CardServiceResponse>"#;

#[test]
fn what_is_held_back_is_not_shown() {
    let mut redactor = Redactor::default();
    let out = redactor.feed(Direction::Received, b"\x00\x00\x01\x00<A CardPAN=\"4111111111111111");
    assert!(out.is_empty(), "it may go on");
    let shown = format!("{redactor:?}");
    assert!(shown.contains("32 bytes") && !shown.contains("52, 49, 49") && !shown.contains("4111"), "{shown}");
}

fn masked(text: &str) -> String {
    shown(text.as_bytes())
}

#[test]
fn keeps_the_protocol_and_hides_the_card() {
    let shown = masked(ANSWER);
    assert_eq!(shown.len(), ANSWER.len());
    for secret in [PAN, "6805", "MUSTER", "1227", "D2812"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    for open in ["RequestID=\"20544\"", "STAN=\"021601\"", ">39.50<", "girocard", "2024-02-09T09:36:28", ">1002700<"] {
        assert!(shown.contains(open), "{open}: {shown}");
    }
    assert!(matches!(Message::parse(shown.as_bytes()), Ok(Message::Response(_))), "it still parses");
}

#[test]
fn a_card_number_may_run_over_lines_hide_in_references_and_stand_in_open_fields() {
    let lines = "<DeviceRequest><Output><TextLine Row='0'>Karte 6805 3300</TextLine><TextLine Row='1'>1008 6784 747</TextLine><TextLine>Summe 12,50</TextLine></Output></DeviceRequest>";
    let shown = masked(lines);
    assert!(!shown.contains("6805") && !shown.contains("6784") && shown.contains("Summe 12,50"), "{shown}");
    assert!(!masked("<a><TextLine>&#54;805330010086784747</TextLine></a>").contains("330010"));
    assert!(!masked("<a ReceiptNumber='6805330010086784747'/>").contains("330010"));
    assert!(
        !masked("<a><!-- 6805330010086784747 --><TextLine><![CDATA[6805330010086784747]]></TextLine></a>")
            .contains("330010")
    );
}

#[test]
fn what_cannot_be_followed_is_hidden_to_its_end() {
    for broken in [
        "6805330010086784747",
        "<a b=6805330010086784747>",
        "<TextLine>x</TextLine 6805330010086784747",
        "<a b='6805330010086784747",
    ] {
        assert!(!masked(broken).contains("330010"), "{broken}: {}", masked(broken));
    }
    let mut redactor = Redactor::default();
    assert_eq!(redactor.feed(Direction::Received, b"HTTP/1.1"), b"********");
    assert_eq!(redactor.feed(Direction::Received, b"4111"), b"****");
}

proptest! {
    #[test]
    fn no_chunking_lets_a_marked_number_through(cuts in proptest::collection::vec(0usize..1400, 0..8), twice in any::<bool>()) {
        let mut stream = frame(ANSWER.as_bytes());
        if twice {
            stream.extend(frame(ANSWER.as_bytes()));
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let mut redactor = Redactor::default();
        let mut out = Vec::new();
        for pair in cuts.windows(2) {
            out.extend(redactor.feed(Direction::Received, &stream[pair[0]..pair[1]]));
        }
        out.extend(redactor.finish(Direction::Received));
        prop_assert_eq!(out.len(), stream.len());
        let text = String::from_utf8_lossy(&out);
        prop_assert!(!text.contains("330010") && !text.contains("MUSTER"), "{}", text);
    }

    #[test]
    fn anything_is_masked_without_panic_and_keeps_its_length(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut message = bytes.clone();
        mask(&mut message);
        prop_assert_eq!(message.len(), bytes.len());
    }
}
