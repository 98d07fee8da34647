//! Many clients, over real sockets.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tresen_remote::server::{Limits, Options};

use super::frames::Peer;
use super::shop::Shop;

#[tokio::test]
async fn over_a_real_socket_the_till_answers_and_refuses_an_address_that_others_reach() {
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let shop = Shop::with(Options { plain: Some(plain), ..Options::default() }).await;
    let address = shop.server.plain().expect("listens");
    let mut peer = Peer::welcomed(TcpStream::connect(address).await.expect("connects"), "anna").await;
    peer.text("{\"id\":1,\"command\":\"till.info\"}").await;
    assert_eq!(peer.json().await["reply"]["name"], "Corner shop");
    let open = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let refused = tresen_remote::Server::start(
        &shop.till,
        shop.gate.clone(),
        Options { plain: Some(open), ..Options::default() },
    );
    assert_eq!(refused.expect_err("reachable").kind(), tresen_hal::Kind::Config);
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_refused_and_the_others_stay() {
    let mut limits = Limits::default();
    limits.connections = 3;
    let shop = Shop::with(Options { limits, ..Options::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(Peer::welcomed(shop.stream(), "anna").await);
    }
    let error = shop.server.serve(tokio::io::duplex(1).1, "memory", None).expect_err("full");
    assert_eq!(error.kind(), tresen_hal::Kind::Busy);
    idle[2].text("{\"id\":1,\"command\":\"till.info\"}").await;
    assert_eq!(idle[2].json().await["reply"]["name"], "Corner shop");
    drop(idle);
    tokio::time::sleep(Duration::from_millis(10)).await;
    Peer::welcomed(shop.stream(), "anna").await;
}
