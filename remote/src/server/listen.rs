//! Accepts connections: TLS, then HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Peer;
use super::hub::Hub;
use super::patient::Patient;
use super::places::Places;
use crate::wire::HELLO;

/// What a new connection needs.
#[derive(Clone)]
pub(super) struct Doorway {
    pub(super) router: Router,
    pub(super) hub: Arc<Hub>,
    pub(super) places: Arc<Places>,
    pub(super) closing: watch::Receiver<Option<String>>,
}

/// Accepts connections until it is aborted.
pub(super) async fn listen(listener: TcpListener, tls: Option<watch::Receiver<Arc<ServerConfig>>>, doorway: Doorway) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely out of file descriptors: accept would fail again immediately.
                tracing::warn!(%error, "a remote client cannot be accepted");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let address = address.to_string();
        let Ok(place) = doorway.places.take(doorway.hub.now(), &address) else {
            tracing::warn!(%address, "too many remote clients: refused");
            continue;
        };
        stream.set_nodelay(true).ok();
        let peer = Peer { address, certificate: None, secure: false, place: Arc::new(place) };
        let (doorway, tls) = (doorway.clone(), tls.as_ref().map(|tls| tls.borrow().clone()));
        tokio::spawn(async move {
            match tls {
                None => http(Patient::new(stream), peer, &doorway).await,
                Some(config) => secure(stream, peer, config, &doorway).await,
            }
        });
    }
}

async fn secure(stream: TcpStream, peer: Peer, config: Arc<ServerConfig>, doorway: &Doorway) {
    let place = peer.place.clone();
    let handshake = tokio::select! {
        biased;
        () = place.displaced() => return,
        handshake = timeout(HELLO, TlsAcceptor::from(config).accept(Patient::new(stream))) => handshake,
    };
    drop(place);
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(address = peer.address, %error, "a TLS handshake has failed"),
        Err(_) => return tracing::info!(address = peer.address, "a TLS handshake took too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.map(|certificate| Arc::from(certificate.as_ref()));
    http(stream, Peer { certificate, secure: true, ..peer }, doorway).await;
}

/// Serves HTTP/1.1 on a stream until it ends, the server closes, or another stranger needs its place.
pub(super) async fn http(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer, doorway: &Doorway) {
    let (mut closing, place) = (doorway.closing.clone(), peer.place.clone());
    tokio::select! {
        biased;
        () = place.displaced() => return,
        () = doorway.hub.recognise(&peer) => {}
    }
    let service = TowerToHyperService::new(doorway.router.clone().layer(axum::Extension(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HELLO)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = async { _ = closing.wait_for(Option::is_some).await } => {
            connection.as_mut().graceful_shutdown();
            timeout(HELLO, connection).await.unwrap_or(Ok(()))
        }
        () = place.displaced() => {
            connection.as_mut().graceful_shutdown();
            match place.may_finish() {
                true => timeout(FINISH, connection).await.unwrap_or(Ok(())),
                false => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a remote connection has ended");
    }
}

/// Maximum length of a request's headers, in bytes.
const HEADERS: usize = 16 << 10;
/// How long a displaced connection may take to finish its request: 1 s.
const FINISH: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(1);
