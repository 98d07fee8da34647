//! A client of a till that serves: its commands and events over the network.
//!
//! A [`Client`] keeps one connection and makes a new one when it is lost, under growing delays. Calls that are not
//! answered then are sent again under the same key, so that each is done once. A till that is away fails a call after
//! [`Options::patience`]; the error's [`Effect`] says whether it may have been done.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use tresen::api::terminal;
//! use tresen::{Amount, Runtime, SystemRuntime};
//! use tresen_remote::client::{Client, Options, Plain};
//!
//! # async fn sell() -> tresen::Result<()> {
//! let dial = Plain::new("ws://127.0.0.1:7480")?;
//! let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::new());
//! let till = Client::connect(dial, Options::new(runtime).token("…")).await?;
//! let pay = terminal::Pay { terminal: "counter".into(), amount: Amount::eur(12_50), key: None };
//! let payment = till.call_as("sale-17/card", pay).await?;
//! # Ok(())
//! # }
//! ```

mod calls;
mod dial;
mod following;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tresen::api::{self, Call, Command, IN_FLIGHT, Request};
use tresen::lease::Key;
use tresen_hal::{Effect, Error, Kind, Result, Runtime};

use crate::attach::Offer;
use crate::wire::{ABORT, Abort, Welcome, text};

pub use calls::{Again, Calls};
pub use dial::{Dial, Plain, Stream, Tls};
pub use following::{Following, News};

/// How a client connects.
#[derive(Clone)]
pub struct Options {
    /// The source of time, ids and randomness.
    pub runtime: Arc<dyn Runtime>,
    /// The token, for clients without a certificate.
    pub token: Option<String>,
    /// How long a call waits for a till that is away; default 30 s.
    pub patience: Duration,
    /// Devices of this program for the till. One client at a time has them.
    pub offer: Option<Offer>,
}

impl Options {
    /// Without token.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, token: None, patience: PATIENCE, offer: None }
    }

    /// With devices of this program for the till.
    #[must_use]
    pub fn offer(self, offer: Offer) -> Self {
        Self { offer: Some(offer), ..self }
    }

    /// With a token.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }
}

/// Whether the till is there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Connection {
    /// The client is connected.
    Connected(Arc<Welcome>),
    /// The till is away, and tried again.
    Away {
        /// Why.
        why: Error,
    },
}

/// A client of a till. Clones are cheap and share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Client {
    to: mpsc::Sender<task::Ask>,
    state: watch::Receiver<Connection>,
    next: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    runtime: Arc<dyn Runtime>,
    leases: Arc<[Key]>,
    /// Reserves what it offers.
    _offers: Option<Arc<()>>,
}

impl Client {
    /// Connects to a till, and waits until it has let the client in.
    ///
    /// # Errors
    /// [`Kind::Permission`]: the till does not let it in. [`Kind::Unsupported`]: it uses another version of the protocol.
    /// [`Kind::Input`]: another client offers these devices. Otherwise the till cannot be reached. [`Client::lazy`]
    /// connects in the background instead.
    pub async fn connect(dial: impl Dial, options: Options) -> Result<Self> {
        let client = Self::lazy(dial, options)?;
        let mut state = client.state.clone();
        let first = |state: &Connection| match state {
            Connection::Connected(_) => true,
            // That before the first attempt.
            Connection::Away { why } => why.kind() != Kind::Busy,
        };
        let state = state.wait_for(first).await.map(|state| state.clone());
        match state {
            Ok(Connection::Connected(_)) => Ok(client),
            Ok(Connection::Away { why }) => Err(why),
            Err(_) => Err(calls::unreachable(Effect::None)),
        }
    }

    /// Connects in the background: calls wait for the till. Where `dial` has an [`Identity`](crate::trust::Identity), its
    /// certificate is renewed in time.
    ///
    /// # Errors
    /// [`Kind::Input`]: another client offers these devices.
    pub fn lazy(dial: impl Dial, options: Options) -> Result<Self> {
        let offers = options.offer.as_ref().map(Offer::claim).transpose()?;
        let runtime = options.runtime.clone();
        let (to, asks) = mpsc::channel(IN_FLIGHT);
        let (told, state) = watch::channel(Connection::Away { why: Error::new(Kind::Busy, "not yet connected") });
        tokio::spawn(task::run(Arc::new(dial), options, asks, told));
        let (next, places) = (Arc::new(AtomicU64::new(1)), Arc::new(Semaphore::new(IN_FLIGHT)));
        Ok(Self { to, state, next, places, runtime, leases: Arc::default(), _offers: offers })
    }

    /// Makes calls that are refused once one of these leases has ended.
    #[must_use]
    pub fn with_leases(&self, leases: impl Into<Arc<[Key]>>) -> Self {
        Self { leases: leases.into(), ..self.clone() }
    }

    /// Whether the till is there; changes can be awaited.
    pub fn state(&self) -> watch::Receiver<Connection> {
        self.state.clone()
    }

    /// Makes a call under a new key. A call that may have to be repeated by the program, such as a payment, is better made
    /// under a key of its own: [`Client::call_as`].
    ///
    /// # Errors
    /// As the command; or [`Kind::Closed`]: the till is away, and the error's effect says whether it may have been done.
    pub async fn call<C: Command>(&self, command: C) -> Result<C::Reply> {
        self.call_as(&self.runtime.new_id(), command).await
    }

    /// Makes a call under `key`: the same key with the same command is the same call. Dropping the future abandons the
    /// reply, not the call; one that only waits, such as `scanner.next`, ends.
    ///
    /// # Errors
    /// As [`Client::call`]. [`Kind::Input`]: the key belongs to another call.
    pub async fn call_as<C: Command>(&self, key: &str, command: C) -> Result<C::Reply> {
        let with = serde_json::to_value(command)
            .map_err(|e| Error::new(Kind::Input, "the command cannot be written as JSON").because(e))?;
        let reply = self.call_json(key, C::NAME, with).await?;
        serde_json::from_value(reply).map_err(|e| {
            Error::new(Kind::Protocol, "the till's reply cannot be read; is it another version?").because(e)
        })
    }

    /// Makes a call by name with its fields as JSON.
    ///
    /// # Errors
    /// As [`Client::call_as`].
    pub async fn call_json(&self, key: &str, command: &str, with: Value) -> Result<Value> {
        let mut request = Request::new(self.next.fetch_add(1, Ordering::Relaxed), command, with);
        request.leases = self.leases.to_vec();
        let again = again(&mut request, key);
        let waits = api::command(command).is_some_and(|info| info.waits);
        let mut leave = Leave { client: self, id: request.id, key: waits.then_some(key) };
        let done = self.ask(request, again).await;
        leave.key = None;
        done
    }

    /// Requests the transaction that runs under a key of this client to abort; whether it is running. Its outcome is the
    /// reply to its own call.
    ///
    /// # Errors
    /// [`Kind::Closed`]: the till is away.
    pub async fn abort(&self, key: &str) -> Result<bool> {
        let with = serde_json::json!(Abort { key: key.to_owned() });
        let request = Request::new(self.next.fetch_add(1, Ordering::Relaxed), ABORT, with);
        Ok(self.ask(request, Again::Always).await? == Value::Bool(true))
    }

    /// The state of the till's devices, and its events from then on, also after a lost connection.
    ///
    /// # Errors
    /// [`Kind::Busy`]: this client follows already. [`Kind::Permission`]: the right `watch` is missing.
    pub async fn follow(&self) -> Result<Following> {
        let (done, following) = oneshot::channel();
        self.to.send(task::Ask::Follow { done }).await.map_err(|_| calls::unreachable(Effect::None))?;
        following.await.unwrap_or_else(|_| Err(calls::unreachable(Effect::None)))
    }

    async fn ask(&self, request: Request, again: Again) -> Result<Value> {
        // More would be refused.
        let _place = self.places.acquire().await.map_err(|_| calls::unreachable(Effect::None))?;
        let (waits, answer) = oneshot::channel();
        let ask = task::Ask::Call { id: request.id, text: text(&request), again, waits };
        self.to.send(ask).await.map_err(|_| calls::unreachable(Effect::None))?;
        answer.await.unwrap_or_else(|_| Err(calls::unreachable(Effect::Unknown)))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// Tells the till when the caller of a call that only waits leaves before its end: a scan is not taken for nobody.
struct Leave<'a> {
    client: &'a Client,
    id: u64,
    /// `None` once it has ended, and for calls that do more than wait.
    key: Option<&'a str>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let with = serde_json::json!(Abort { key: key.to_owned() });
        let text = text(&Request::new(self.client.next.fetch_add(1, Ordering::Relaxed), ABORT, with));
        // Without room, the call ends at its own time.
        self.client.to.try_send(task::Ask::Leave { id: self.id, text }).ok();
    }
}

/// Whether a call may be sent again; gives it its key.
fn again(request: &mut Request, key: &str) -> Again {
    let known = Call::read(&request.command, request.with.clone());
    // What this version does not know, the till may.
    let Ok(mut call) = known else {
        request.key = Some(key.to_owned());
        return Again::SameRun;
    };
    if !call.info().changes && !call.info().waits {
        return Again::Always;
    }
    request.key = Some(key.to_owned());
    if call.key_slot().is_some() { Again::Durable } else { Again::SameRun }
}

/// Default of [`Options::patience`].
const PATIENCE: Duration = Duration::from_secs(30);
