//! A till that is served on loopback, with a clock that the test moves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tresen::remote::{Invitation, Invited};
use tresen::{AuditEntry, Clock, Config, Result, Runtime, SystemClock, SystemRuntime, Tresen};
use tresen_remote::server::{Options, Server};
use tresen_remote::trust::{self, Credentials, Trust};

use crate::https::{self, Answer, Ask};

/// The page that may call.
pub(crate) const KIOSK: &str = "https://kiosk.example";
/// Another page that may call.
pub(crate) const OTHER: &str = "https://other.example";

pub(crate) struct Served {
    pub(crate) dir: TempDir,
    pub(crate) clock: Moved,
    pub(crate) till: Tresen,
    pub(crate) trust: Arc<Trust>,
    pub(crate) at: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) server: Server,
}

impl Served {
    pub(crate) async fn start() -> Result<Self> {
        let clock = Moved::default();
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.till.store = dir.path().join("till.db");
        config.till.socket = false;
        let runtime = SystemRuntime::with_clock(Arc::new(clock.clone()));
        let till = Tresen::builder().runtime(Arc::new(runtime)).with(config).await?;
        let trust = Trust::open(&till, &[]).await?;
        let listen = || async { TcpListener::bind("127.0.0.1:0").await.expect("a port") };
        let options = Options {
            tls: Some((listen().await, trust.tls())),
            plain: Some(listen().await),
            origins: vec![KIOSK.into(), OTHER.into()],
            routes: trust::routes(trust.clone()),
            ..Options::default()
        };
        let server = Server::start(&till, Arc::new(trust.gate()), options)?;
        let (at, plain) = (server.tls().expect("TLS"), server.plain().expect("plain"));
        Ok(Self { dir, clock, till, trust, at, plain, server })
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://{}", self.at)
    }

    /// The origin of its own pages.
    pub(crate) fn own(&self) -> String {
        format!("https://{}", self.at)
    }

    pub(crate) fn runtime(&self) -> Arc<dyn Runtime> {
        self.till.runtime().clone()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("till.db.remote").join(name)
    }

    /// The next second: another attempt is allowed.
    pub(crate) fn next(&self) {
        self.clock.advance(Duration::from_secs(1));
    }

    pub(crate) async fn invite(&self, name: &str, rights: &str) -> Result<Invited> {
        self.till.invite_client(Invitation::new(name, rights.parse()?)).await
    }

    /// Enrols a client.
    pub(crate) async fn enrol(&self, name: &str, rights: &str) -> Result<Credentials> {
        self.next();
        let code = self.invite(name, rights).await?.code;
        trust::join(&self.url(), &code, &self.runtime()).await
    }

    /// A token for a page.
    pub(crate) async fn token(&self, name: &str, rights: &str, origin: &str) -> Result<String> {
        self.next();
        let code = self.till.invite_session(Invitation::new(name, rights.parse()?), None).await?.code;
        let body = serde_json::json!({ "code": code }).to_string();
        let answer = self.send(None, Ask("POST", "/v1/session", &[("Origin", origin)], &body)).await.expect("answered");
        assert_eq!(answer.status, 200, "{answer:?}");
        Ok(answer.json()["token"].as_str().expect("a token").to_owned())
    }

    pub(crate) async fn send(&self, client: Option<(&str, &str)>, ask: Ask<'_>) -> std::io::Result<Answer> {
        https::send(self.at, https::tls(client), ask).await
    }

    /// Asks with a token, from a page.
    pub(crate) async fn ask(&self, token: &str, origin: Option<&str>) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        self.send(None, Ask("POST", "/v1/till.info", &headers, "")).await.expect("answered")
    }

    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        self.till.audit(None, 1000).await.expect("read")
    }
}

/// The system's clock, which a test moves ahead or stops: the client's side of TLS has the system's time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moved(Arc<Mutex<(Duration, Stopped)>>);

/// When it was stopped, as both clocks said.
type Stopped = Option<(Instant, Timestamp)>;

impl Moved {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.lock().expect("whole").0 += by;
    }

    /// From now on time stands still, except for [`Moved::advance`].
    pub(crate) fn stop(&self) {
        self.0.lock().expect("whole").1 = Some((SystemClock.now(), SystemClock.wall()));
    }

    fn read(&self) -> (Instant, Timestamp) {
        let (ahead, stopped) = *self.0.lock().expect("whole");
        let (now, wall) = stopped.unwrap_or_else(|| (SystemClock.now(), SystemClock.wall()));
        (now + ahead, wall + ahead)
    }
}

impl Clock for Moved {
    fn now(&self) -> Instant {
        self.read().0
    }

    fn wall(&self) -> Timestamp {
        self.read().1
    }
}

/// Certificate and key of a client (PEM), as in its folder.
pub(crate) fn pair(credentials: &Credentials) -> (String, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("client");
    credentials.save(&folder).expect("saved");
    let both = std::fs::read_to_string(folder.join("client.pem")).expect("there");
    let at = both.find("-----BEGIN CERTIFICATE").expect("a certificate");
    (both[at..].to_owned(), both[..at].to_owned())
}
