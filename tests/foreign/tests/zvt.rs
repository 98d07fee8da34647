//! Another project's till, the crate `zvt`, at our simulated terminal, over TCP.

use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tresen_hal::sim::{Shared, tcp};
use tresen_payment::zvt::sim::{Misbehaviour, Profile, Simulator};
use zvt::packets::{self, tlv};
use zvt::sequences::{
    AuthorizationResponse, EndOfDay, EndOfDayResponse, Registration, RegistrationResponse, Reservation, Sequence,
};

#[tokio::test]
async fn registers_reserves_and_closes_the_day() {
    let sim = Shared::new(Simulator::new(Profile::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (_server, at) = tcp(listener, sim.clone()).expect("served");
    let mut till = TcpStream::connect(at).await.expect("connects");

    // Without TLV: the terminal must not send any, and prints line by line.
    let registration =
        packets::Registration { password: 0, config_byte: 0xde, currency: Some(978), tlv: None::<tlv::Registration> };
    let answers: Vec<_> = Registration::into_stream(&registration, &mut till).collect().await;
    let [Ok(RegistrationResponse::CompletionData(done))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((done.terminal_id, done.currency), (Some(60_000_001), Some(978)));

    let reservation = packets::Reservation { amount: Some(2500), currency: Some(978), ..Default::default() };
    let answers: Vec<_> = Reservation::into_stream(&reservation, &mut till).collect().await;
    let answers: Vec<_> = answers.into_iter().map(|a| a.expect("they read what we say")).collect();
    let mut lines = 0;
    let mut result = None;
    for answer in &answers {
        match answer {
            AuthorizationResponse::StatusInformation(info) => result = Some(info),
            AuthorizationResponse::PrintLine(_) => lines += 1,
            _ => {}
        }
    }
    let result = result.expect("a result");
    assert_eq!((result.result_code, result.amount, result.receipt_no), (Some(0), Some(2500), Some(417)));
    assert_eq!((result.trace_number, result.card_name.as_deref()), (Some(417), Some("girocard")));
    assert_eq!(lines, 14, "two slips of seven lines");
    assert!(matches!(answers.last(), Some(AuthorizationResponse::CompletionData(_))));
    assert_eq!(sim.with(|s| s.ledger().stored().count()), 1);

    sim.with(|s| s.misbehave(Misbehaviour::Decline(0x78)));
    let answers: Vec<_> = Reservation::into_stream(&reservation, &mut till).collect().await;
    assert!(matches!(answers.last(), Some(Ok(AuthorizationResponse::Abort(packets::Abort { error: 0x78 })))));

    let closing = packets::EndOfDay { password: 0 };
    let answers: Vec<_> = EndOfDay::into_stream(&closing, &mut till).collect().await;
    let total = answers.iter().find_map(|a| match a {
        Ok(EndOfDayResponse::StatusInformation(info)) => info.amount,
        _ => None,
    });
    assert_eq!(total, Some(0), "what is reserved is no turnover");
    assert!(matches!(answers.last(), Some(Ok(EndOfDayResponse::CompletionData(_)))));
}
