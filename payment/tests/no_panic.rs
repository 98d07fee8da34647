//! No input makes a decoder, the session or the simulator panic, and none makes a session acknowledge
//! a result by itself.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::sim::{Action, Device};
use tresen_payment::Language;
use tresen_payment::zvt::commands::completion::{Abort, Registered};
use tresen_payment::zvt::commands::enquiry::State;
use tresen_payment::zvt::commands::intermediate::Intermediate;
use tresen_payment::zvt::commands::print::{Block, Line};
use tresen_payment::zvt::commands::registration::Registration;
use tresen_payment::zvt::commands::status_info::StatusInfo;
use tresen_payment::zvt::commands::transaction::Asked;
use tresen_payment::zvt::framing::Framing;
use tresen_payment::zvt::session::{Event, Flow, Session, Timeouts};
use tresen_payment::zvt::sim::{Commit, Misbehaviour, Profile, Side, Simulator};
use tresen_payment::zvt::wire;
use tresen_payment::zvt::{Charset, Redactor, bmp, tlv};

/// Bytes that look like ZVT more often than chance would have it.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let code = prop::sample::select(vec![
        [0x80, 0x00],
        [0x84, 0x9c],
        [0x84, 0x00],
        [0x04, 0x0f],
        [0x04, 0xff],
        [0x06, 0x0f],
        [0x06, 0x1e],
        [0x06, 0xd1],
        [0x06, 0xd3],
        [0x06, 0x00],
        [0x06, 0x01],
        [0x06, 0x20],
        [0x06, 0x30],
        [0x06, 0x31],
        [0x06, 0x50],
        [0x05, 0x01],
        [0x06, 0xb0],
        [0x06, 0x22],
        [0x04, 0x0d],
        [0x06, 0x02],
        [0x06, 0x70],
    ]);
    let field = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        Just(vec![0x27, 0x00]),
        Just(vec![0x04, 0, 0, 0, 0, 0x25, 0]),
        Just(vec![0x87, 0x04, 0x17]),
        Just(vec![0x49, 0x09, 0x78]),
        Just(vec![0, 0, 0, 0xbe, 0x09, 0x78]),
        Just(vec![0x06, 0x06, 0x26, 0x04, 0x0a, 0x02, 0x06, 0xd3]),
    ];
    let apdu = (code, prop::collection::vec(field, 0..5)).prop_map(|(code, fields)| {
        let mut out = Vec::new();
        wire::encode(&mut out, code[0], code[1], |out| out.extend(fields.concat()));
        out
    });
    let chunk = prop_oneof![6 => apdu, 1 => prop::collection::vec(any::<u8>(), 0..20)];
    prop::collection::vec(chunk, 0..10).prop_map(|chunks| chunks.concat())
}

fn fault() -> impl Strategy<Value = Misbehaviour> {
    let message = 0usize..6;
    prop_oneof![
        any::<u8>().prop_map(Misbehaviour::Decline),
        Just(Misbehaviour::Busy),
        Just(Misbehaviour::MuteAfterApproval),
        Just(Misbehaviour::UnknownTag),
        any::<bool>().prop_map(|first| Misbehaviour::UnknownField { first }),
        message.clone().prop_map(|message| Misbehaviour::NoAnswer { message }),
        message.clone().prop_map(|message| Misbehaviour::WrongLength { message }),
        message.clone().prop_map(|message| Misbehaviour::Late { message, by: Duration::from_secs(7) }),
        (message, any::<bool>(), any::<bool>()).prop_map(|(message, after, from)| Misbehaviour::HangUp {
            side: if from { Side::FromTill } else { Side::ToTill },
            message,
            after
        }),
    ]
}

/// What the driver does with what it receives.
fn feed(framing: &mut Framing, session: &mut Session, bytes: &[u8], now: Instant) {
    framing.feed(bytes);
    loop {
        match framing.next_apdu() {
            Ok(Some(apdu)) => session.handle_input(apdu, now),
            Ok(None) => return,
            Err(invalid) => return session.handle_invalid(invalid, now),
        }
    }
}

proptest! {
    #[test]
    fn decoders(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), likely()]) {
        let info = StatusInfo::parse(&bytes);
        let read = bytes.len() - info.rest().map_or(0, |(_, rest)| rest.len());
        prop_assert!(info.fields().map(|f| f.data.len() + 1).sum::<usize>() <= read);
        for charset in [Charset::Cp437, Charset::Utf8, Charset::Iso8859(15)] {
            let _ = (info.card_name(charset), info.text(charset), info.masked_pan(), info.trace(), info.currency());
            let _ = (info.merchant_id(), info.authorisation(), info.at(jiff::civil::date(2024, 2, 29)), format!("{info:?}"));
            let _ = Block::parse(&bytes).lines(charset).count();
            let _ = (Line::parse(&bytes).lines(charset), Intermediate::parse(&bytes).text(charset, Language::German));
            let _ = (Abort::parse(&bytes).text(charset), Registered::parse(&bytes), State::parse(&bytes));
        }
        let _ = (Registration::parse(&bytes), Asked::parse(&bytes), tlv::find(&bytes, 0x1f07));
        let _ = (tlv::tags(&bytes).count(), bmp::fields(&bytes).count());
        let mut redactor = Redactor::default();
        let mut masked = redactor.feed(Direction::Received, &bytes);
        masked.extend(redactor.finish(Direction::Received));
        prop_assert_eq!(masked.len(), bytes.len());
    }

    #[test]
    fn framing_does_not_depend_on_how_it_is_split(bytes in likely(), cut in any::<prop::sample::Index>()) {
        let all = |pieces: &[&[u8]]| {
            let (mut framing, mut got) = (Framing::tcp(), Vec::new());
            for piece in pieces {
                framing.feed(piece);
                loop {
                    match framing.next_apdu() {
                        Ok(Some(apdu)) => got.push(Ok((apdu.code(), apdu.data.to_vec()))),
                        Ok(None) => break,
                        Err(invalid) => {
                            got.push(Err(invalid));
                            return got;
                        }
                    }
                }
            }
            got
        };
        let at = cut.index(bytes.len() + 1);
        prop_assert_eq!(all(&[&bytes]), all(&[&bytes[..at], &bytes[at..]]));
    }

    #[test]
    fn the_session_answers_no_result_by_itself(
        inputs in prop::collection::vec((likely(), 0u64..200, any::<u8>()), 0..8)
    ) {
        let mut now = Instant::now();
        let (mut framing, mut session) = (Framing::tcp(), Session::new(Timeouts::default()));
        for (bytes, seconds, choice) in inputs {
            match choice % 4 {
                0 => drop(session.start(vec![0x06, 0x01, 0x00], Flow::Completed, now)),
                1 => drop(session.abort(now)),
                _ => {}
            }
            while session.poll_transmit().is_some() {}
            feed(&mut framing, &mut session, &bytes, now);
            let mut waits = false;
            while let Some(event) = session.poll_event() {
                prop_assert!(!waits, "nothing happens while a confirmation is awaited");
                waits = matches!(event, Event::Result(_) | Event::PrintLine(_) | Event::PrintBlock(_));
            }
            if waits {
                while session.poll_transmit().is_some() {}
                feed(&mut framing, &mut session, &bytes, now);
                prop_assert_eq!(session.poll_transmit(), None);
                if choice & 0x80 == 0 { session.confirm(now) } else { session.refuse(choice, now) }
                prop_assert!(session.poll_transmit().is_some());
            }
            now += Duration::from_secs(seconds);
            session.handle_timeout(now);
        }
    }

    #[test]
    fn the_simulator_takes_anything(
        inputs in prop::collection::vec((likely(), 0u64..10, any::<u8>(), fault()), 0..12),
        keeps in any::<bool>(), alone in any::<bool>(), pace in 0u64..2,
    ) {
        let mut now = Instant::now();
        let commit = if keeps { Commit::Keeps } else { Commit::Reverses };
        let pace = Duration::from_secs(pace);
        let mut sim = Simulator::new(Profile { commit, finishes_alone: alone, pace, ..Profile::default() });
        sim.connected(now);
        for (bytes, seconds, choice, fault) in inputs {
            if choice & 1 == 0 {
                sim.misbehave(fault);
            }
            sim.input(&bytes, now);
            while let Some(action) = sim.next_action() {
                if action == Action::HangUp {
                    sim.disconnected(now);
                    sim.connected(now);
                }
            }
            now += Duration::from_secs(seconds);
            if sim.deadline().is_some_and(|at| at <= now) {
                sim.timeout(now);
            }
        }
        sim.disconnected(now);
        for _ in 0..10 {
            now += Duration::from_secs(10);
            sim.timeout(now);
        }
        let undecided = tresen_payment::zvt::sim::State::Authorised;
        prop_assert!(sim.ledger().entries().iter().all(|t| t.state != undecided));
    }
}
