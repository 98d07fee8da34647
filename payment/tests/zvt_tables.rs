//! The tables of ZVT against messages that others captured: which bitmaps and tags a capture shows, and which none does.
//!
//! The messages stand in `testdata/zvt/captures.txt`, each with its source.

use std::collections::BTreeSet;

use tresen_payment::zvt::commands::enquiry::State;
use tresen_payment::zvt::commands::intermediate::Intermediate;
use tresen_payment::zvt::commands::print::{Block, Slip};
use tresen_payment::zvt::commands::status_info::StatusInfo;
use tresen_payment::zvt::framing::Framing;
use tresen_payment::zvt::tables::{self, BMPS, TAGS};
use tresen_payment::zvt::{Charset, bmp, codes, tlv};
use tresen_payment::{CardEntry, Cvm, Language};

/// Bitmaps that no capture shows: that they exist, and their lengths, rest on what [`tables`] names as their source.
const UNPROVEN_BMPS: &[u8] = &[
    0x01, 0x05, 0x23, 0x24, 0x2d, 0x2e, 0x37, 0x3a, 0x3d, 0x4c, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x92, 0x9a,
    0xa7, 0xaa, 0xaf, 0xba, 0xd0, 0xd1, 0xd2, 0xd3, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xeb, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfd,
];

/// Tags that a capture shows. All others rest on what [`tables`] names as their source.
const PROVEN_TAGS: &[u32] = &[
    0x07, 0x09, 0x0a, 0x10, 0x12, 0x14, 0x15, 0x1a, 0x24, 0x25, 0x26, 0x27, 0x28, 0x2f, 0x34, 0x40, 0x41, 0x42, 0x43,
    0x44, 0x49, 0x4c, 0x60, 0xe4, 0xe9, 0x1f04, 0x1f05, 0x1f07, 0x1f0e, 0x1f0f, 0x1f10, 0x1f11, 0x1f12, 0x1f15, 0x1f2b,
    0x1f40, 0x1f41, 0x1f42, 0x1f43, 0x1f44, 0x1f45, 0x1f4c, 0x1f4d, 0x1f4f, 0x1f50, 0x1f60, 0x1f62, 0x1f63,
];

/// Each message with the number of bytes before its bitmaps.
fn captures() -> Vec<(usize, Vec<u8>)> {
    let lines = include_str!("../testdata/zvt/captures.txt").lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (before, hex) = line.split_once(' ').expect("a number and hex digits");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
        (before.parse().expect("a number"), (0..hex.len()).step_by(2).map(byte).collect())
    };
    lines.map(read).collect()
}

/// The data of the message that begins so.
fn captured(beginning: &[u8]) -> Vec<u8> {
    let found: Vec<_> = captures().into_iter().filter(|(_, bytes)| bytes.starts_with(beginning)).collect();
    assert_eq!(found.len(), 1, "{beginning:02x?}");
    let header = if found[0].1[2] == 0xff { 5 } else { 3 };
    found[0].1[header..].to_vec()
}

fn collect(bytes: &[u8], tags: &mut BTreeSet<u32>) {
    let mut all = tlv::tags(bytes);
    for tag in all.by_ref() {
        tags.insert(tag.tag);
        if tag.constructed {
            collect(tag.value, tags);
        }
    }
    assert_eq!(all.rest(), None, "{bytes:02x?}");
}

#[test]
fn every_captured_message_is_read_to_its_end_and_shows_what_is_called_proven() {
    let (mut ids, mut tags) = (BTreeSet::new(), BTreeSet::new());
    for (before, bytes) in captures() {
        // Split at every byte it is the same message.
        for at in 0..bytes.len() {
            let mut framing = Framing::tcp();
            framing.feed(&bytes[..at]);
            assert!(framing.next_apdu().expect("valid").is_none());
            framing.feed(&bytes[at..]);
            assert!(framing.next_apdu().expect("valid").is_some_and(|apdu| apdu.bytes == bytes));
        }
        let header = if bytes[2] == 0xff { 5 } else { 3 };
        let mut fields = bmp::fields(&bytes[header + before..]);
        for field in fields.by_ref() {
            ids.insert(field.id);
            if field.id == 0x06 {
                collect(field.data, &mut tags);
            }
        }
        assert_eq!(fields.rest(), None, "{bytes:02x?}");
    }
    let listed: BTreeSet<u8> = BMPS.iter().map(|entry| entry.id).collect();
    let unproven: BTreeSet<u8> = UNPROVEN_BMPS.iter().copied().collect();
    assert_eq!(listed.difference(&ids).copied().collect::<BTreeSet<_>>(), unproven, "unproven bitmaps");
    let known: BTreeSet<u32> = TAGS.iter().map(|entry| entry.tag).collect();
    assert!(tags.is_subset(&known), "{:x?}", tags.difference(&known));
    assert_eq!(tags, PROVEN_TAGS.iter().copied().collect::<BTreeSet<_>>(), "proven tags");
}

#[test]
fn what_a_status_information_tells_of_the_card_is_read() {
    // Contactless, without cardholder authentication, with a long trace number.
    let tapped = captured(&[0x04, 0x0f, 0x65]);
    let info = StatusInfo::parse(&tapped);
    assert_eq!((info.entry(), info.cvm()), (Some(CardEntry::Contactless), Some(Cvm::None)));
    assert_eq!(info.aid().as_deref(), Some("A0000000041010"));
    assert_eq!(info.trace().map(|t| t.to_string()).as_deref(), Some("10015008"));
    assert_eq!((info.card_kind(), info.host_result), (Some(6), Some(0x01)));
    // Inserted, with a PIN checked by the chip.
    let inserted = captured(&[0x04, 0x0f, 0x6c]);
    let info = StatusInfo::parse(&inserted);
    assert_eq!((info.entry(), info.cvm()), (Some(CardEntry::Chip), Some(Cvm::EncryptedOfflinePin)));
    // Tag 41 names the kind of card, tag 49 the network operator's.
    let visa = captured(&[0x04, 0x0f, 0xce]);
    let info = StatusInfo::parse(&visa);
    assert_eq!((info.card_kind(), info.network_card_type()), (Some(10), Some(3)));
    assert_eq!((info.entry(), info.cvm()), (Some(CardEntry::Contactless), Some(Cvm::None)));
    assert_eq!(info.aid().as_deref(), Some("A0000000031010"));
    assert_eq!(tables::card_type(10), Some("Visa"));
    // Turnover number, BMP 88, and text with line ends, BMP 3C.
    let maestro = captured(&[0x04, 0x0f, 0x77]);
    let info = StatusInfo::parse(&maestro);
    assert_eq!(info.turnover.map(|t| t.to_string()).as_deref(), Some("000470"));
    assert_eq!((info.card_kind(), tables::card_type(0x2e)), (Some(0x2e), Some("Maestro")));
    let reversed = captured(&[0x04, 0x0f, 0xa4]);
    let text = StatusInfo::parse(&reversed).text(Charset::Cp437).expect("a text");
    assert_eq!(text, "AS-Proc-Code= 00 076 06 Capt.-Ref.= 0099 AID59= 081520 DAUER   7 TAGE");
    // A card that was read and charged with nothing: UID, ATS and an application.
    let read = captured(&[0x04, 0x0f, 0x35]);
    let info = StatusInfo::parse(&read);
    assert_eq!(info.aid().as_deref(), Some("A0000000041010"));
    let container = info.container.expect("it has one");
    assert_eq!(tlv::find(container, 0x1f45), Some(&[0x05, 0x78, 0x80, 0x70, 0x02][..]));
    assert_eq!(tlv::find(container, 0x4c).map(<[u8]>::len), Some(10));
}

#[test]
fn what_a_status_enquiry_tells_of_the_device_is_read() {
    let state = State::parse(&captured(&[0x06, 0x0f, 0x89]));
    assert_eq!((state.status, state.software.as_deref()), (Some(0), Some("GER-APP-v2.0.9;cS02.01.01-10.10-2-2;CC26")));
    assert_eq!(state.terminal_id.as_deref(), Some("52523535"));
    assert_eq!(state.device.as_deref(), Some("cVEND plug"));
    assert_eq!(state.serial_number.as_deref(), Some("17fd1e3c"));
    assert_eq!(state.at.map(|at| at.to_string()).as_deref(), Some("2023-04-05T22:56:55"));
}

#[test]
fn a_captured_slip_is_read_line_by_line() {
    let block = captured(&[0x06, 0xd3]);
    let lines: Vec<String> = Block::parse(&block).lines(Charset::Cp437).collect();
    assert_eq!(Block::parse(&block).slip, Some(Slip::Customer));
    assert_eq!((lines.len(), lines.iter().filter(|line| !line.is_empty()).count()), (33, 26));
    let terminal = lines.iter().find(|line| line.starts_with("Terminal-Id:")).expect("it stands there");
    assert_eq!(terminal.split_whitespace().last(), Some("52523535"));
}

#[test]
fn an_intermediate_status_has_its_own_words() {
    let told = captured(&[0x04, 0xff, 0x1e, 0xff]);
    assert_eq!(Intermediate::parse(&told).text(Charset::Cp437, Language::English), "EUR 1.23 Bitte warten");
    let told = captured(&[0x04, 0x0f, 0x1e]);
    let info = StatusInfo::parse(&told);
    assert_eq!((info.result, info.text(Charset::Cp437).as_deref()), (Some(0x6c), Some("Abbruch durch Kunde")));
    assert_eq!(codes::reason(0x6c), tresen_payment::Reason::Aborted);
}
