//! The connection of a client: made, used, lost, and made again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tresen::api::till::Snapshot;
use tresen::api::{Command, FOLLOW, PATIENCE, PROTOCOL, Request};
use tresen_hal::{Backoff, Effect, Error, Kind, Result, Retry};

use super::calls::{Again, Calls, Waits};
use super::dial::{Dial, Stream};
use super::following::{Follower, Following};
use super::{Connection, Options};
use crate::attach::Port;
use crate::trust::{Identity, RENEW};
use crate::wire::{Answer, DEAD, Follow, Followed, HELLO, Hello, QUEUED, Welcome, text};

/// What handles ask of the task.
pub(super) enum Ask {
    Call {
        id: u64,
        text: String,
        again: Again,
        waits: Waits,
    },
    /// The caller of a call that only waits has left.
    Leave {
        id: u64,
        text: String,
    },
    Follow {
        done: oneshot::Sender<Result<Following>>,
    },
}

type Socket = WebSocketStream<Box<dyn Stream>>;

struct Task {
    options: Options,
    asks: mpsc::Receiver<Ask>,
    calls: Calls<Waits>,
    follower: Option<Follower>,
    /// The certificate to be renewed in time.
    identity: Option<Arc<Identity>>,
}

/// Serves the handles of a client until the last of them is gone.
pub(super) async fn run(
    dial: Arc<dyn Dial>,
    options: Options,
    asks: mpsc::Receiver<Ask>,
    state: watch::Sender<Connection>,
) {
    let mut backoff = Backoff::new(options.runtime.random());
    let calls = Calls::new(options.patience, options.runtime.now());
    let identity = dial.identity();
    let mut task = Task { options, asks, calls, follower: None, identity };
    loop {
        let token = task.options.token.clone();
        let Some(connected) = task.meanwhile(connect(&*dial, token)).await else { return };
        let why = match connected {
            Ok((socket, welcome)) => {
                backoff = Backoff::new(task.options.runtime.random());
                let welcome = Arc::new(welcome);
                state.send_replace(Connection::Connected(welcome.clone()));
                match task.serve(socket, &welcome).await {
                    Some(why) => why,
                    None => return,
                }
            }
            Err(why) => why,
        };
        task.calls.lost(task.options.runtime.now());
        if matches!(why.kind(), Kind::Permission | Kind::Unsupported) {
            fail(task.calls.refused(&why));
        }
        tracing::debug!(%why, "the till is away");
        state.send_replace(Connection::Away { why });
        let delay = tokio::time::sleep(backoff.next_delay());
        if task.meanwhile(delay).await.is_none() {
            return;
        }
    }
}

impl Task {
    /// Takes calls, and ends those that have waited too long, until `work` is done. `None`: all handles are gone.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let due = self.calls.poll_timeout();
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = at(due) => fail(self.calls.expired(self.options.runtime.now())),
                ask = self.asks.recv() => {
                    self.take(ask?);
                }
            }
        }
    }

    /// Takes in what a handle asks; returns the message to be sent, if the till is there.
    fn take(&mut self, ask: Ask) -> Option<String> {
        match ask {
            Ask::Call { id, text, again, waits } => {
                let now = self.options.runtime.now();
                self.calls.add(now, id, text, again, waits).map(str::to_owned)
            }
            // A call that was not sent yet is not sent any more. The till ends others with the connection.
            Ask::Leave { id, text } => self.calls.left(id).then_some(text),
            Ask::Follow { done } => {
                if self.follower.as_ref().is_some_and(|follower| !follower.is_gone()) {
                    done.send(Err(Error::new(Kind::Busy, "this client already follows"))).ok();
                    return None;
                }
                // The connection follows on if it did for the one who has left: only the state is missing.
                let goes_on = self.follower.is_some();
                let (follower, following) = Follower::new();
                self.follower = Some(follower);
                done.send(Ok(following)).ok();
                Some(if goes_on { text(&Request::new(FOLLOWS, Snapshot::NAME, Value::Null)) } else { self.follow() })
            }
        }
    }

    fn follow(&self) -> String {
        let seen = self.follower.as_ref().and_then(|follower| follower.seen.clone());
        let (since, run) = seen.map_or((None, None), |(since, run)| (Some(since), Some(run)));
        text(&Request::new(FOLLOWS, FOLLOW, serde_json::json!(Follow { since, run })))
    }

    /// Uses a connection until it is lost. `None`: all handles are gone.
    async fn serve(&mut self, socket: Socket, welcome: &Welcome) -> Option<Error> {
        let (sink, mut frames) = socket.split();
        let (queue, queued) = mpsc::channel(QUEUED);
        let writer = Writer(tokio::spawn(write(sink, queued)));
        let (again, failed) = self.calls.connected(&welcome.run);
        fail(failed);
        let mut waiting: std::collections::VecDeque<String> = again.into();
        if self.follower.as_ref().is_some_and(|follower| !follower.is_gone()) {
            waiting.push_front(self.follow());
        } else {
            self.follower = None;
        }
        let mut port = self.options.offer.as_ref().map(|offer| offer.connect(welcome));
        let mut heard = Instant::now();
        let mut look = heard;
        let lost = loop {
            tokio::select! {
                biased;
                frame = frames.next() => {
                    heard = Instant::now();
                    let text = match frame {
                        Some(Ok(Frame::Text(text))) => text,
                        Some(Ok(Frame::Close(_))) | None => break lost("the till closed the connection"),
                        Some(Ok(_)) => continue,
                        Some(Err(error)) => break lost("the connection to the till was lost").because(error),
                    };
                    match self.answer(&text, welcome, port.as_ref()) {
                        Ok(None) => {}
                        Ok(Some(closing)) => break closing,
                        Err(error) => break error,
                    }
                }
                () = sleep_until(heard + DEAD) => break lost("nothing was heard of the till"),
                permit = queue.reserve(), if !waiting.is_empty() => match (permit, waiting.pop_front()) {
                    (Ok(permit), Some(text)) => permit.send(Frame::Text(text.into())),
                    _ => break lost("the till does not read"),
                },
                () = queue.closed(), if waiting.is_empty() => break lost("the till does not read"),
                () = sleep_until(look), if self.identity.is_some() => {
                    look += DAILY;
                    waiting.extend(self.renewal());
                }
                ask = self.asks.recv() => waiting.extend(self.take(ask?)),
                Some(message) = offered(&mut port), if waiting.is_empty() => waiting.push_back(message),
            }
        };
        drop(writer);
        Some(lost)
    }

    /// The request for another certificate, if it is time for that.
    fn renewal(&self) -> Option<String> {
        match self.identity.as_ref()?.due(self.options.runtime.wall()) {
            Ok(due) => Some(text(&Request::new(RENEWS, RENEW, due?))),
            Err(error) => {
                tracing::error!(%error, "the client's certificate cannot be renewed");
                None
            }
        }
    }

    /// The till has answered the request for another certificate.
    fn renewed(&self, reply: Result<Value>) {
        let (identity, runtime) = (self.identity.clone(), self.options.runtime.clone());
        tokio::spawn(async move {
            let renewed = async {
                let (Some(identity), reply) = (identity, reply?) else { return Ok(()) };
                runtime.run_blocking(move || identity.renewed(&reply)).await?
            };
            if let Err(error) = renewed.await {
                tracing::error!(%error, "the client's certificate was not renewed; it is tried again in a day");
            }
        });
    }

    /// Takes in a message; returns why the till ends the connection, if it does.
    fn answer(&mut self, message: &str, welcome: &Welcome, port: Option<&Port>) -> Result<Option<Error>> {
        let done = match Answer::decode(message)? {
            Answer::Reply { id: FOLLOWS, reply } => {
                let state: Followed = serde_json::from_value(reply).map_err(|e| {
                    Error::new(Kind::Protocol, "the till's devices cannot be read; is it another version?").because(e)
                })?;
                if let Some(follower) = &mut self.follower {
                    follower.state(state, &welcome.run);
                }
                return Ok(None);
            }
            Answer::Reply { id: RENEWS, reply } => {
                self.renewed(Ok(reply));
                return Ok(None);
            }
            Answer::Error { id: RENEWS, error } => {
                self.renewed(Err(error));
                return Ok(None);
            }
            Answer::Error { id: FOLLOWS, error } => {
                tracing::warn!(%error, "the till does not let this client follow its events");
                self.follower = None;
                return Ok(None);
            }
            Answer::Reply { id, reply } => (id, Ok(reply)),
            Answer::Error { id, error } => (id, Err(error)),
            Answer::Fatal(error) => return Ok(Some(error)),
            Answer::Closing(closing) => return Ok(Some(lost(closing.why))),
            Answer::Attach(message) => {
                if let Some(port) = port {
                    port.take(*message);
                }
                return Ok(None);
            }
            Answer::Event(event) => {
                if let Some(follower) = &mut self.follower {
                    follower.event(*event);
                }
                return Ok(None);
            }
            Answer::Missed(missed) => {
                if let Some(follower) = &mut self.follower {
                    follower.missed(missed);
                }
                return Ok(None);
            }
            Answer::Welcome(_) => return Err(Error::new(Kind::Protocol, "the till greets twice")),
        };
        if let Some(waits) = self.calls.answered(done.0) {
            waits.send(done.1).ok();
        }
        Ok(None)
    }
}

/// Connects, and waits until the till has let the client in.
async fn connect(dial: &dyn Dial, token: Option<String>) -> Result<(Socket, Welcome)> {
    let connecting = async {
        let stream = dial.dial().await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(ANSWER))
            .max_frame_size(Some(ANSWER));
        // TLS, if any, is below.
        let address = format!("ws://{}/v1/ws", dial.host());
        let failed = |e| Error::new(Kind::Refused, "this is not a till that serves").because(e);
        let (mut socket, _) = client_async_with_config(address, stream, Some(config)).await.map_err(failed)?;
        let hello = serde_json::json!({ "hello": Hello::new(token) }).to_string();
        let gone = |e| lost("the connection to the till was lost").because(e);
        socket.send(Frame::Text(hello.into())).await.map_err(gone)?;
        loop {
            let text = match socket.next().await {
                Some(Ok(Frame::Text(text))) => text,
                Some(Ok(Frame::Close(_))) | None => return Err(lost("the till closed the connection")),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(gone(error)),
            };
            return match Answer::decode(&text)? {
                Answer::Welcome(welcome) if welcome.protocol == PROTOCOL => Ok((socket, *welcome)),
                Answer::Welcome(welcome) => {
                    let (theirs, ours) = (welcome.protocol, PROTOCOL);
                    let what = format!("the till uses protocol version {theirs}, this program version {ours}");
                    Err(Error::new(Kind::Unsupported, what))
                }
                Answer::Fatal(error) => Err(error),
                Answer::Closing(closing) => Err(lost(closing.why)),
                _ => Err(Error::new(Kind::Protocol, "the till did not greet")),
            };
        }
    };
    let late = |_| Error::new(Kind::Timeout, "the till does not answer").with_effect(Effect::None);
    timeout(HELLO, connecting).await.map_err(late)?.map_err(|error| error.at(dial.host()))
}

/// Ends with the connection.
struct Writer(tokio::task::JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write(mut sink: SplitSink<Socket, Frame>, mut queued: mpsc::Receiver<Frame>) {
    while let Some(frame) = queued.recv().await {
        if !matches!(timeout(PATIENCE, sink.send(frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next message about a device of this program.
async fn offered(port: &mut Option<Port>) -> Option<String> {
    match port {
        Some(port) => port.next().await,
        None => std::future::pending().await,
    }
}

fn fail(failed: Vec<(Waits, Error)>) {
    for (waits, error) in failed {
        waits.send(Err(error)).ok();
    }
}

fn lost(why: impl Into<String>) -> Error {
    Error::new(Kind::Closed, why).with_effect(Effect::None).with_retry(Retry::AfterReconnect)
}

async fn at(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(Instant::from_std(due)).await,
        None => std::future::pending().await,
    }
}

/// The number of the request that follows; calls have others.
const FOLLOWS: u64 = 0;
/// The number of the request that renews the certificate.
const RENEWS: u64 = (1 << 53) - 1;
/// How often it is looked whether the certificate has to be renewed.
const DAILY: Duration = Duration::from_secs(24 * 3600);
/// Maximum length of a message of the till, in bytes: listings are longer than requests.
const ANSWER: usize = 64 << 20;
/// Bytes read at once.
const BUFFER: usize = 16 << 10;
