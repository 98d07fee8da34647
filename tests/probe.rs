//! Devices on real sockets are recognised: our simulators, and devices written by hand that share no code with us.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tresen::Drivers;
use tresen::hal::sim;
use tresen::payment::{nexo, opi, zvt};
use tresen::probe::{Answer, Limits, Probed};
use tresen_peers::zvt::{Quirks, Terminal};
use tresen_peers::{Shared, printer};

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

async fn probed(at: SocketAddr) -> Probed {
    let mut all =
        Drivers::standard().probe("127.0.0.1", Some(at.port()), Limits::short(), |_| {}).await.expect("known");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[track_caller]
fn is(probed: &Probed, wanted: &str) {
    match &probed.answer {
        Answer::Device { protocol, .. } => assert_eq!(protocol, wanted, "{probed:?}"),
        other => panic!("{other:?} instead of {wanted}"),
    }
}

#[tokio::test]
async fn our_simulators() {
    let terminal = sim::Shared::new(zvt::sim::Simulator::new(zvt::sim::Profile::default()));
    let (_server, at) = sim::tcp(listener().await, terminal.clone()).expect("bound");
    is(&probed(at).await, "zvt");
    assert!(terminal.with(|t| t.ledger().entries().is_empty()));

    let terminal = sim::Shared::new(opi::sim::Simulator::new(opi::sim::Profile::default()));
    let (_server, at) = opi::sim::tcp(listener().await, None, terminal.clone()).expect("bound");
    is(&probed(at).await, "opi");
    assert!(terminal.with(|t| t.ledger().entries().is_empty()));

    let terminal = sim::Shared::new(nexo::sim::Simulator::new(nexo::sim::Profile::default()));
    let (_server, at) = nexo::sim::tcp(listener().await, terminal.clone()).expect("bound");
    is(&probed(at).await, "nexo");
    assert!(terminal.with(|t| t.ledger().entries().is_empty()));
}

#[tokio::test]
async fn a_terminal_by_hand_hears_a_status_enquiry_and_is_left_as_it_was() {
    let peer = Shared::new(Terminal::new(Quirks::default(), 417));
    let server = peer.listen(listener().await).expect("bound");
    is(&probed(server.at()).await, "zvt");
    // 05 01, and the answer that ends its dialogue; before that perhaps a printer's question, which is no message.
    let told = peer.with(|p| p.log().iter().filter(|m| m.from_till).map(|m| m.bytes.clone()).collect::<Vec<_>>());
    assert_eq!(told, [vec![0x05, 0x01, 0x00], vec![0x80, 0x00, 0x00]]);
}

#[tokio::test]
async fn an_opi_terminal_by_hand() {
    let peer = tresen_peers::opi::Terminal::listen(listener().await, None).expect("bound");
    is(&probed(peer.at()).await, "opi");
    assert_eq!(peer.requests(), ["RepeatLastMessage"]);
    assert!(peer.ledger().is_empty());
}

/// Without its certificate it is a web server that does not know the path for GET.
#[tokio::test]
async fn a_nexo_terminal_by_hand_in_clear_is_no_other_device() {
    let peer = tresen_peers::nexo::Terminal::listen(listener().await, "V400m-1", "shop", "test123").expect("bound");
    let probed = probed(peer.at()).await;
    assert!(matches!(probed.answer, Answer::Web { .. }), "{probed:?}");
    assert!(peer.requests().is_empty() && peer.ledger().is_empty());
}

#[tokio::test]
async fn a_printer_by_hand_prints_nothing() {
    let peer = Shared::new(printer::Printer::new(printer::Habits::default()));
    let server = peer.listen(listener().await).expect("bound");
    is(&probed(server.at()).await, "escpos");
    peer.with(|p| assert!(p.lines().is_empty() && p.kicks().is_empty(), "{:?}", p.lines()));
}

#[tokio::test]
async fn nobody_is_at_a_free_port_and_names_must_resolve() {
    let at = listener().await.local_addr().expect("bound");
    assert!(matches!(probed(at).await.answer, Answer::Nobody { .. }));
    // RFC 6761, 6.4: names under `invalid` never resolve.
    let unknown = Drivers::standard().probe("printer.invalid", None, Limits::short(), |_| {}).await;
    assert!(unknown.expect_err("unknown").to_string().contains("printer.invalid"));
}
