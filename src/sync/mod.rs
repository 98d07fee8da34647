//! Local and connected mode: what the till writes goes up to a server, once; reference tables and balances come down.
//!
//! The journal is the outbox. Everything a server must learn is a journal line, written in the transaction that makes
//! it true; closed and voided sales are in it whole. Nothing waits for the server: a till sells the same without it.
//!
//! A line's key is the till's id, the epoch and the sequence number. Its hash covers the whole journal before it, so
//! till and server notice when their histories differ: a restored backup, a copied database. Then the lines after the
//! last common one get a new epoch and go up under it, and a person is told. The server keeps what it has.
//!
//! [`SyncState`] tells the mode, as an event on each change; switching needs neither a restart nor a person.
//!
//! The server is PostgreSQL (feature `postgres`, `[server]` in the configuration), or a vendor's own [`Upstream`]
//! (`Builder::server`). [`sim::Server`] is one in memory, for tests.

mod accounts;
mod gap;
#[cfg(feature = "postgres")]
pub mod postgres;
mod reference;
pub mod sim;
mod task;
mod till;
mod timeline;
mod upstream;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tresen_hal::{Amount, Effect, Error, Kind, Result, Retry};

use crate::config::Server;
use crate::event::Bus;
use crate::health::ClockOffset;
use crate::manager::lock;
use crate::store::Store;

pub use accounts::Accounts;
pub use gap::Gap;
pub use reference::Refreshed;
pub use upstream::{Ack, Balance, Booked, Booking, Hello, Pushed, Reserved, Table, Upstream, Welcome};

/// Whether the till is connected to its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SyncState {
    /// No server is configured.
    Off,
    /// Connected mode: the server has everything, or gets it within moments.
    Connected,
    /// Connected again; what was written in the meantime is on its way.
    CatchingUp {
        /// How many journal lines the server did not have when the till connected.
        behind: i64,
    },
    /// Local mode: the server cannot be reached or cannot be used. It is tried again by itself.
    Local {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: String,
    },
}

impl SyncState {
    /// Its name, as serialised: `catching-up`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connected => "connected",
            Self::CatchingUp { .. } => "catching-up",
            Self::Local { .. } => "local",
        }
    }

    /// Whether the server can be asked.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected | Self::CatchingUp { .. })
    }
}

/// The state of the exchange with the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SyncStatus {
    /// The mode.
    pub state: SyncState,
    /// The last line of the journal that the server has, with all before it.
    pub acknowledged: i64,
    /// The last line of the journal.
    pub end: i64,
    /// How many lines the server does not have yet.
    pub behind: i64,
    /// Tenders that were taken in local mode and did not fit the balance afterwards.
    pub unbooked: u32,
    /// Entries that the server lacks, because it was set back, and that this till has removed since: a person decides
    /// with [`Tresen::accept_gap`](crate::Tresen::accept_gap).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Gap>,
}

/// The exchange with the server. Dropping it ends the task.
pub(crate) struct Exchange {
    upstream: Arc<dyn Upstream>,
    state: watch::Sender<SyncState>,
    heard: Arc<Mutex<Heard>>,
    account_limit: Option<Amount>,
    wishes: mpsc::Sender<Wish>,
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What was last heard of the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// When it last acknowledged an entry.
    pub(crate) acknowledged_at: Option<Timestamp>,
    pub(crate) clock: Option<ClockOffset>,
    /// What the server lacks and cannot get any more.
    pub(crate) lacks: Option<Gap>,
}

/// Asks the task to refresh tables and balances; answered when that is done or the server cannot be reached.
type Wish = oneshot::Sender<()>;

impl Exchange {
    /// Starts the exchange.
    pub(crate) async fn start(
        upstream: Arc<dyn Upstream>,
        settings: &Server,
        name: &str,
        store: &Store,
        bus: &Bus,
    ) -> Result<Self> {
        store.doubt_asked().await?;
        let since = store.time();
        let state = watch::Sender::new(SyncState::Local { since, why: "not connected yet".into() });
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (wishes, wished) = mpsc::channel(16);
        let closing = watch::Sender::new(false);
        let task = task::Task {
            upstream: upstream.clone(),
            store: store.clone(),
            bus: bus.clone(),
            name: name.to_owned(),
            tables: settings.reference.clone(),
            balances: settings.account_limit.is_some(),
            state: state.clone(),
            heard: heard.clone(),
            end: store.journal_end()?,
            wishes: wished,
            waiting: Vec::new(),
            closing: closing.subscribe(),
            told: Default::default(),
            gap: None,
            sent: 0,
        };
        let task = Mutex::new(Some(tokio::spawn(task.run())));
        Ok(Self { upstream, state, heard, account_limit: settings.account_limit, wishes, closing, task })
    }

    /// The mode; changes can be awaited.
    pub(crate) fn state(&self) -> watch::Receiver<SyncState> {
        self.state.subscribe()
    }

    /// What was last heard of the server.
    pub(crate) fn heard(&self) -> Heard {
        lock(&self.heard).clone()
    }

    /// Asks for the tables and balances, and waits until they are there or it is clear that they do not come.
    pub(crate) async fn refresh(&self) {
        let (wish, done) = oneshot::channel();
        if self.wishes.send(wish).await.is_ok() {
            tokio::time::timeout(REFRESH, done).await.ok();
        }
    }

    pub(crate) fn accounts(&self, store: &Store) -> Accounts {
        Accounts::new(self.upstream.clone(), self.state.subscribe(), self.account_limit, store.clone())
    }

    /// Sends what is left while the server answers, until `deadline`, and ends the task.
    pub(crate) async fn close(&self, deadline: Instant) {
        self.closing.send_replace(true);
        let task = lock(&self.task).take();
        if let Some(mut task) = task
            && tokio::time::timeout_at(deadline, &mut task).await.is_err()
        {
            task.abort();
            task.await.ok();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// Waits for the server, at most `within`.
async fn bounded<T>(within: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(within, unpanicked(call)).await.unwrap_or_else(|_| {
        let error = Error::new(Kind::Timeout, format!("the server did not answer within {within:?}"));
        Err(error.with_effect(Effect::Unknown).with_retry(Retry::Now))
    })
}

/// An error instead of a panic: a vendor's server must not end the exchange.
async fn unpanicked<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let mut call = pin!(call);
    let caught = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            let error = Error::new(Kind::Protocol, "the call of the server panicked").with_effect(Effect::Unknown);
            Poll::Ready(Err(error.hint("this is a defect, please report it")))
        })
    });
    caught.await
}

/// The server to use: the program's own, or the one that is configured.
pub(crate) fn choose(own: Option<Arc<dyn Upstream>>, configured: Option<&Server>) -> Result<Option<Arc<dyn Upstream>>> {
    match (own, configured) {
        (Some(own), _) => Ok(Some(own)),
        (None, None) => Ok(None),
        (None, Some(server)) => configured_server(server).map(Some),
    }
}

#[cfg(feature = "postgres")]
fn configured_server(server: &Server) -> Result<Arc<dyn Upstream>> {
    Ok(Arc::new(postgres::Postgres::new(server)?))
}

#[cfg(not(feature = "postgres"))]
fn configured_server(_: &Server) -> Result<Arc<dyn Upstream>> {
    Err(without_postgres())
}

/// Checks the URL of a server; `ca` whether its authorities are configured.
#[cfg(feature = "postgres")]
pub(crate) fn check_url(url: &str, ca: bool) -> Result<()> {
    postgres::check_url(url, ca)
}

/// Checks the URL of a server; `ca` whether its authorities are configured.
#[cfg(not(feature = "postgres"))]
pub(crate) fn check_url(_url: &str, _ca: bool) -> Result<()> {
    Err(without_postgres())
}

#[cfg(not(feature = "postgres"))]
fn without_postgres() -> Error {
    let error = Error::new(Kind::Config, "this program was built without the feature `postgres`");
    error.hint("install the command with `cargo install tresen-cli --features postgres`, or remove `[server]`")
}

/// The error for what needs a server.
pub(crate) fn no_server() -> Error {
    Error::new(Kind::Config, "no server is configured").hint("add `[server]` with its `url` to the configuration")
}

/// Longest wait for refreshed tables.
const REFRESH: Duration = Duration::from_secs(15);
