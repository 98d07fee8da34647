//! A connection that ends before the till has let the client in.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tresen_hal::{Effect, Error, Kind};
use tresen_remote::client::{Dial, Tls};

/// How a connection fails whose other end answers the first message of TLS with `answer` and is gone.
async fn failure(answer: &[u8], reset: bool) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("wss://{}", listener.local_addr().expect("bound"));
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let dial = Tls::named(&url, "till.example", Arc::new(config)).expect("an address");
    let other = async {
        let (mut stream, _) = listener.accept().await.expect("connected");
        let hello = stream.read(&mut [0; 16 << 10]).await.expect("read");
        assert!(hello > 0, "the client says hello first");
        stream.write_all(answer).await.expect("sent");
        if reset {
            stream.set_zero_linger().expect("TCP");
        }
    };
    let (dialled, ()) = tokio::join!(dial.dial(), other);
    dialled.err().expect("there is no till")
}

#[tokio::test]
async fn a_link_that_is_lost_during_the_handshake_is_no_refusal() {
    for reset in [true, false] {
        let error = failure(&[], reset).await;
        assert_eq!((error.kind(), error.effect()), (Kind::Closed, Effect::None), "{error:#}");
    }
    // RFC 8446, 6.2: a fatal alert, access_denied.
    let error = failure(&[21, 3, 3, 0, 2, 2, 49], false).await;
    assert_eq!((error.kind(), error.effect()), (Kind::Permission, Effect::None), "{error:#}");
}
