//! The till as a server: one port with TLS, and one on this machine without.
//!
//! Each connection is HTTP/1.1. `GET /v1/ws` becomes a WebSocket ([`wire`](crate::wire)); `POST /v1/COMMAND` is one call:
//! the body is the command's fields, `Idempotency-Key` its key, `Authorization: Bearer TOKEN` or a client certificate say
//! who calls. The reply is the command's; an error is a [`tresen_hal::Error`] with status 400 (input, configuration), 401
//! (not let in), 403 (a right is missing, or the page's origin), 404 (unknown), 409 (busy), 413, 421 (another host), 429,
//! 502 (the device failed), 503 (closed), 504.
//!
//! `GET` of `/v1/schema`, `/v1/jobs/JOB/picture.png` and `/v1/cameras/CAMERA/frame.jpg` are documents; the latter two are
//! the commands `printer.picture` and `camera.frame`.
//!
//! [`Limits`]: [`CONNECTIONS`], of them [`STRANGERS`] and [`CONNECTIONS_OF_ONE_CALLER`]; [`IN_FLIGHT`](tresen::api::IN_FLIGHT)
//! calls of one connection, 1 MiB a message, 5 s for the handshake and the headers of a request, 10 s for its body, and 10 s
//! without progress for the reply.

mod calls;
mod documents;
mod http;
mod hub;
mod listen;
mod origin;
mod patient;
mod places;
mod socket;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tresen::Tresen;
use tresen::config::Remote;
use tresen_hal::{Error, Kind, Result};

use self::hub::Hub;
pub(crate) use self::hub::lock;
use self::origin::Origins;
use self::patient::Patient;
pub(crate) use self::places::host;
pub use self::places::{GRACE, Limits};
use self::places::{Place, Places};
use crate::trust::{Gate, Principal};

/// Where and how a server listens.
#[derive(Default)]
pub struct Options {
    /// Where to listen for TLS, and with which certificate. It is watched, so that a renewed certificate serves the next
    /// connection. It should ask for client certificates without requiring them: browsers have none.
    pub tls: Option<(TcpListener, watch::Receiver<Arc<ServerConfig>>)>,
    /// Where to listen for plain HTTP: on loopback addresses only.
    pub plain: Option<TcpListener>,
    /// The origins of pages that may call, besides the till's own.
    pub origins: Vec<String>,
    /// The till's names, besides its addresses and `localhost`.
    pub names: Vec<String>,
    /// Further routes. Those that need a caller ask [`Door::admit`], which is among the extensions of each request, like
    /// [`Peer`].
    pub routes: Router,
    /// How many connections it has at a time.
    pub limits: Limits,
}

/// Who is at the other end of a connection, as far as it shows without asking the gate.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address, for the record.
    pub address: String,
    /// The client certificate (DER) that the TLS handshake has verified.
    pub certificate: Option<Arc<[u8]>>,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Its place among the connections.
    place: Arc<Place>,
}

/// Lets callers in, for further routes.
#[derive(Clone)]
pub struct Door(Arc<Hub>);

impl Door {
    /// Who sends a request, by its certificate or its `Authorization: Bearer TOKEN`. A refusal is recorded.
    ///
    /// # Errors
    /// [`Kind::Permission`]: not let in; answer it with status 401. [`Kind::Busy`]: the caller has too many connections;
    /// answer it with 429.
    pub async fn admit(&self, peer: &Peer, headers: &axum::http::HeaderMap) -> Result<Principal> {
        http::admit(&self.0, peer, headers).await
    }

    /// The till.
    pub fn till(&self) -> &Tresen {
        &self.0.till
    }

    /// Records that a caller lacks a right.
    pub async fn refused(&self, peer: &Peer, principal: &Principal, action: &str, why: &Error) {
        self.0.refused(peer, Some(principal), action, why).await;
    }
}

/// A running server. Dropping it ends it without waiting; [`Server::close`] ends it in an orderly way.
pub struct Server {
    hub: Arc<Hub>,
    router: Router,
    places: Arc<Places>,
    listening: Mutex<Vec<JoinHandle<()>>>,
    tls: Option<SocketAddr>,
    plain: Option<SocketAddr>,
}

impl Server {
    /// Serves `till` to whom `gate` lets in.
    ///
    /// # Errors
    /// [`Kind::Config`]: plain HTTP on an address that other machines can reach.
    pub fn start(till: &Tresen, gate: Arc<dyn Gate>, options: Options) -> Result<Self> {
        let Options { tls, plain, origins, names, routes, limits } = options;
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|e| Error::new(Kind::Io, "the listener has no address").because(e))
        };
        let tls_at = tls.as_ref().map(|(listener, _)| address(listener)).transpose()?;
        let plain_at = plain.as_ref().map(address).transpose()?;
        if let Some(at) = plain_at.filter(|at| !at.ip().is_loopback()) {
            let what = format!("plain HTTP on {at} is reachable from other machines, and is not encrypted");
            return Err(Error::new(Kind::Config, what).hint("listen on a loopback address, such as 127.0.0.1:7480"));
        }
        let hub = Hub::new(till, gate);
        let origins = Origins { listed: origins.into(), names: names.into() };
        let router = Router::new()
            .route("/v1/ws", get(http::upgrade))
            .route("/v1/{command}", post(http::post))
            .route("/v1/schema", get(documents::schema))
            .route("/v1/jobs/{job}/picture.png", get(documents::picture))
            .route("/v1/cameras/{camera}/frame.jpg", get(documents::frame))
            .with_state(hub.clone())
            .merge(routes)
            .layer(axum::Extension(Door(hub.clone())))
            .layer(axum::middleware::from_fn_with_state(origins, origin::guard));
        let places = Places::new(limits);
        let server = Self { hub, router, places, listening: Mutex::default(), tls: tls_at, plain: plain_at };
        let mut listening = Vec::new();
        if let Some((listener, config)) = tls {
            listening.push(tokio::spawn(listen::listen(listener, Some(config), server.doorway())));
        }
        if let Some(listener) = plain {
            listening.push(tokio::spawn(listen::listen(listener, None, server.doorway())));
        }
        *lock(&server.listening) = listening;
        Ok(server)
    }

    /// Where it listens for TLS.
    pub fn tls(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Where it listens for plain HTTP.
    pub fn plain(&self) -> Option<SocketAddr> {
        self.plain
    }

    /// The id of this run.
    pub fn run(&self) -> &str {
        &self.hub.run
    }

    /// Serves one connection over any stream, for transports of one's own. `certificate` (DER) is the peer's, if the
    /// transport has verified it; without one, the stream counts as plain HTTP on this machine.
    ///
    /// # Errors
    /// [`Kind::Busy`]: [`Limits::connections`] are open.
    pub fn serve<S>(&self, stream: S, address: impl Into<String>, certificate: Option<&[u8]>) -> Result<JoinHandle<()>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (doorway, address) = (self.doorway(), address.into());
        let place = Arc::new(doorway.places.take(doorway.hub.now(), &address)?);
        let certificate = certificate.map(Arc::from);
        let secure = certificate.is_some();
        let peer = Peer { address, certificate, secure, place };
        Ok(tokio::spawn(async move { listen::http(Patient::new(stream), peer, &doorway).await }))
    }

    /// Ends in an orderly way, within about `within`: nobody is let in any more, calls that only wait end, running ones
    /// are finished; then each client is told, and its connection is closed. What still runs when the time is over goes on
    /// at the till: [`Tresen::close`] finishes or parks it.
    pub async fn close(&self, within: Duration) {
        let deadline = Instant::now() + within;
        for listening in lock(&self.listening).drain(..) {
            listening.abort();
        }
        if !self.hub.drain(deadline).await {
            tracing::warn!("calls of remote clients are still running; they go on at the till");
        }
        self.hub.closing.send_replace(Some("the till stops".into()));
        // Every connection has told its client and is gone.
        tokio::time::timeout(FAREWELL, self.places.empty()).await.ok();
        self.hub.gate.close().await;
    }

    fn doorway(&self) -> listen::Doorway {
        let (router, hub, places) = (self.router.clone(), self.hub.clone(), self.places.clone());
        listen::Doorway { router, closing: hub.closing.subscribe(), hub, places }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for listening in lock(&self.listening).drain(..) {
            listening.abort();
        }
        self.hub.closing.send_replace(Some("the till stops".into()));
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("tls", &self.tls).field("plain", &self.plain).finish_non_exhaustive()
    }
}

/// Maximum number of connections, by default.
pub const CONNECTIONS: usize = Remote::CONNECTIONS;
/// Maximum number of connections whose callers were not let in yet, by default.
pub const STRANGERS: usize = Remote::STRANGERS;
/// Of them, the maximum number from one address; of IPv6, from one network of 64 bits. Those of the last [`GRACE`] may be
/// more.
pub const STRANGERS_OF_ONE_ADDRESS: usize = Remote::STRANGERS_OF_ONE_ADDRESS;
/// Maximum number of connections of one caller, by default.
pub const CONNECTIONS_OF_ONE_CALLER: usize = Remote::CONNECTIONS_OF_ONE_CALLER;
/// How long clients may take to let go when the server ends.
const FAREWELL: Duration = Duration::from_secs(6);
