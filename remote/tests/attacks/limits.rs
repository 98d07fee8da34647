//! Strangers and callers that hold connections, over real TLS.

use std::sync::Arc;

use tokio::net::{TcpSocket, TcpStream};
use tresen::remote::Invitation;
use tresen::{Config, Drivers, Result, SystemRuntime, Tresen};
use tresen_remote::client::{Connection, Options};
use tresen_remote::server::{STRANGERS, STRANGERS_OF_ONE_ADDRESS};
use tresen_remote::{Client, serve, trust};

use crate::https::{self, post};
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

#[tokio::test]
async fn the_configuration_says_how_many_connections_a_caller_has() -> Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "[till]\nsocket = false\n[remote]\nlisten = '127.0.0.1:0'\nconnections-of-one-caller = 1\n";
    let mut config = Config::parse(text, "till.toml", &Drivers::standard())?;
    config.till.store = dir.path().join("till.db");
    let till = Tresen::with(config).await?;
    let serving = serve(&till).await?;
    let (url, at) = (&serving.addresses()[0], serving.server().tls().expect("TLS"));
    let code = till.invite_client(Invitation::new("handheld 7", "watch".parse()?)).await?.code;
    let credentials = trust::join(url, &code, till.runtime()).await?;
    let (certificate, key) = pair(&credentials);
    let client = Client::connect(credentials.dial(url)?, Options::new(Arc::new(SystemRuntime::new()))).await?;
    assert!(matches!(*client.state().borrow(), Connection::Connected(_)));
    let asked = https::send(at, https::tls(Some((&certificate, &key))), post("/v1/till.info", ""));
    let answer = asked.await.expect("answered");
    assert_eq!((answer.status, &answer.json()["kind"]), (429, &"busy".into()), "{answer:?}");
    Ok(())
}
