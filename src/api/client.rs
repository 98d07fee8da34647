//! A client of a running till's socket.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tresen_hal::{Effect, Error, Kind, Result, Retry};

use super::Command;
use super::line::{Line, Lines, line, write};
use super::serve::{LINE, PROTOCOL};
use crate::event::Event;
use crate::lease::Key;
use crate::manager::lock;
use crate::tresen::Snapshot;

/// A connection to a running till. Calls may run concurrently.
///
/// ```no_run
/// # async fn look() -> tresen::Result<()> {
/// use tresen::api::{Client, printer, socket};
///
/// let till = Client::connect(&socket::path("till.db".as_ref())).await?;
/// let printed = till.call(printer::Reprint { job: "receipt-17".into(), within: None }).await?;
/// # Ok(())
/// # }
/// ```
pub struct Client {
    path: PathBuf,
    /// Lines for the till. A task writes each line whole, even if the caller is dropped.
    to: mpsc::Sender<Vec<u8>>,
    waiting: Waiting,
    next: AtomicU64,
    caller: Option<String>,
    leases: Vec<Key>,
    reading: JoinHandle<()>,
}

/// A till's events, and the state of its devices before the first event: [`Client::follow`].
#[derive(Debug)]
pub struct Following {
    /// The devices.
    pub snapshot: Snapshot,
    lines: Lines<BufReader<ReadHalf<Stream>>>,
    _to: WriteHalf<Stream>,
}

#[cfg(unix)]
type Stream = tokio::net::UnixStream;
/// Stub for platforms without Unix sockets: connecting fails.
#[cfg(not(unix))]
type Stream = tokio::io::DuplexStream;

/// Pending calls by id; `None` once the connection has closed.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Result<Value>>>>>>;

#[derive(Serialize)]
struct Request<'a, C> {
    id: u64,
    command: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<&'a C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Key]>::is_empty")]
    leases: &'a [Key],
}

#[derive(Deserialize)]
struct Greeting {
    protocol: u32,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    reply: Value,
    #[serde(default)]
    error: Option<Error>,
    #[serde(default)]
    event: Option<Event>,
}

impl Client {
    /// Connects to the socket at `path`: [`path`](super::socket::path) of the till's database.
    ///
    /// # Errors
    /// [`Kind::NotFound`]: no till is running here. [`Kind::Permission`]: the socket belongs to another user.
    /// [`Kind::Busy`]: the till has reached its limit of clients. [`Kind::Unsupported`]: the till uses another version
    /// of the protocol, or this platform has no Unix sockets. [`Kind::Timeout`]: no answer within 5 s.
    pub async fn connect(path: &Path) -> Result<Self> {
        let (lines, to) = open(path).await?;
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let reading = tokio::spawn(read(lines, waiting.clone()));
        let (sender, queue) = mpsc::channel(1);
        tokio::spawn(writer(to, queue));
        let (path, next) = (path.to_owned(), AtomicU64::new(1));
        Ok(Self { path, to: sender, waiting, next, caller: None, leases: Vec::new(), reading })
    }

    /// Makes calls on behalf of `caller`: [`Tresen::on_behalf_of`](crate::Tresen::on_behalf_of).
    #[must_use]
    pub fn on_behalf_of(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Makes calls that depend on a lease: [`Tresen::with_lease`](crate::Tresen::with_lease).
    #[must_use]
    pub fn with_lease(mut self, key: Key) -> Self {
        self.leases.retain(|other| other.target != key.target);
        self.leases.push(key);
        self
    }

    /// Sends a command and waits for its reply, without a time limit. Dropping the future discards the reply; the
    /// command still runs.
    ///
    /// # Errors
    /// The till's own. [`Kind::Closed`]: the connection was lost before the reply; with [`Effect::None`] the command
    /// was not sent, otherwise repeat it with the same key.
    pub async fn call<C: Command>(&self, command: C) -> Result<C::Reply> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (caller, leases) = (self.caller.as_deref(), self.leases.as_slice());
        let request = Request { id, command: C::NAME, with: Some(&command), caller, leases };
        let line = line(&request).map_err(unwritable)?;
        if line.len() > LINE {
            return Err(Error::new(Kind::Input, format!("`{}`: a request is limited to {LINE} bytes", C::NAME)));
        }
        let (sender, reply) = oneshot::channel();
        match &mut *lock(&self.waiting) {
            Some(waiting) => _ = waiting.insert(id, sender),
            None => return Err(disconnected(Effect::None).at(self.path.display())),
        }
        self.to.send(line).await.map_err(|_| disconnected(Effect::None).at(self.path.display()))?;
        let reply = reply.await.map_err(|_| disconnected(Effect::Unknown).at(self.path.display()))??;
        serde_json::from_value(reply).map_err(unreadable)
    }

    /// The current state of the till's devices and its events from then on, over a separate connection.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn follow(&self) -> Result<Following> {
        let (mut lines, mut to) = open(&self.path).await?;
        let request: Request<'_, ()> = Request { id: 0, command: "follow", with: None, caller: None, leases: &[] };
        let line = line(&request).map_err(unwritable)?;
        write(&mut to, &line).await.map_err(|e| disconnected(Effect::None).because(e))?;
        let answer = answer(&mut lines).await?;
        if let Some(error) = answer.error {
            return Err(error);
        }
        let snapshot = serde_json::from_value(answer.reply).map_err(unreadable)?;
        Ok(Following { snapshot, lines, _to: to })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.path).finish()
    }
}

impl Following {
    /// The next event; `None` when the till has closed. Cancel-safe.
    ///
    /// # Errors
    /// [`Kind::Protocol`]: the till sent something that this version does not understand.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        match answer(&mut self.lines).await {
            Ok(answer) => Ok(answer.event),
            Err(error) if error.kind() == Kind::Closed => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Connects and reads the greeting.
async fn open(path: &Path) -> Result<(Lines<BufReader<ReadHalf<Stream>>>, WriteHalf<Stream>)> {
    let connected = async {
        let (from, to) = tokio::io::split(connect(path).await?);
        let mut lines = Lines::new(BufReader::new(from), ANSWER);
        let text = next(&mut lines).await?;
        if let Ok(Answer { error: Some(error), .. }) = serde_json::from_slice(&text) {
            return Err(error);
        }
        let Greeting { protocol } = serde_json::from_slice(&text).map_err(unreadable)?;
        if protocol != PROTOCOL {
            let what = format!("the till uses protocol version {protocol}, this program version {PROTOCOL}");
            return Err(Error::new(Kind::Unsupported, what));
        }
        Ok((lines, to))
    };
    let late = |_| Error::new(Kind::Timeout, "the till does not answer").with_effect(Effect::None);
    tokio::time::timeout(GREETING, connected).await.map_err(late)?.map_err(|error| error.at(path.display()))
}

#[cfg(unix)]
async fn connect(path: &Path) -> Result<Stream> {
    use std::io::ErrorKind as K;
    Stream::connect(path).await.map_err(|error| match error.kind() {
        K::NotFound | K::ConnectionRefused => Error::new(Kind::NotFound, "no till is running here").because(error),
        K::PermissionDenied => Error::new(Kind::Permission, "the till belongs to another user").because(error),
        _ => Error::from(error).with_effect(Effect::None),
    })
}

#[cfg(not(unix))]
async fn connect(_: &Path) -> Result<Stream> {
    Err(Error::new(Kind::Unsupported, "this platform has no Unix sockets"))
}

async fn writer(mut to: WriteHalf<Stream>, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if write(&mut to, &line).await.is_err() {
            return;
        }
    }
}

/// Dispatches replies to pending calls until the connection closes.
async fn read<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>, waiting: Waiting) {
    while let Ok(answer) = answer(&mut lines).await {
        let Some(id) = answer.id else { continue };
        let who = lock(&waiting).as_mut().and_then(|waiting| waiting.remove(&id));
        if let Some(who) = who {
            who.send(answer.error.map_or(Ok(answer.reply), Err)).ok();
        }
    }
    *lock(&waiting) = None;
}

async fn answer<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> Result<Answer> {
    serde_json::from_slice(&next(lines).await?).map_err(unreadable)
}

async fn next<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> Result<Vec<u8>> {
    match lines.next().await {
        Ok(Line::Whole(line)) => Ok(line),
        Ok(Line::TooLong) => Err(Error::new(Kind::Protocol, format!("a reply exceeds {ANSWER} bytes"))),
        Ok(Line::End) => Err(disconnected(Effect::Unknown)),
        Err(error) => Err(disconnected(Effect::Unknown).because(error)),
    }
}

fn disconnected(effect: Effect) -> Error {
    Error::new(Kind::Closed, "the connection to the till was lost")
        .with_effect(effect)
        .with_retry(Retry::AfterReconnect)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(Kind::Input, "cannot be written as JSON").because(error)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(Kind::Protocol, "the till's reply cannot be read; is it another version?").because(error)
}

const GREETING: Duration = Duration::from_secs(5);
/// Maximum length of a reply, in bytes: listings are longer than requests.
const ANSWER: usize = 64 << 20;
