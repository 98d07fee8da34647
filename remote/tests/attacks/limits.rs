//! Strangers that hold connections, over real TLS.

use std::sync::Arc;

use tokio::net::{TcpSocket, TcpStream};
use tresen::{Result, SystemRuntime};
use tresen_remote::Client;
use tresen_remote::client::{Connection, Options};
use tresen_remote::server::{STRANGERS, STRANGERS_OF_ONE_ADDRESS};

use crate::https::post;
use crate::served::{Served, pair};

/// A connection from another address of this machine, which says nothing.
async fn silent(till: &Served, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, from], 0).into()).expect("an address of this machine");
    socket.connect(till.at).await.expect("accepted")
}

/// Linux has all of 127.0.0.0/8.
#[tokio::test]
async fn strangers_that_fill_their_places_keep_nobody_out_who_is_enrolled() -> Result<()> {
    let till = Served::start().await?;
    let credentials = till.enrol("handheld 7", "watch").await?;
    let (certificate, key) = pair(&credentials);
    let mut strangers = Vec::new();
    for n in 0..STRANGERS {
        strangers.push(silent(&till, 10 + (n / STRANGERS_OF_ONE_ADDRESS) as u8).await);
    }
    let connect =
        async || Client::connect(credentials.dial(&till.url())?, Options::new(Arc::new(SystemRuntime::new()))).await;
    // More than strangers of one address may have: each leaves their number with its handshake.
    let mut clients = Vec::new();
    for _ in 0..2 * STRANGERS_OF_ONE_ADDRESS {
        clients.push(connect().await?);
    }
    let answer = till.send(Some((&certificate, &key)), post("/v1/till.info", "")).await.expect("answered");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(clients.iter().all(|client| matches!(*client.state().borrow(), Connection::Connected(_))));
    Ok(())
}
