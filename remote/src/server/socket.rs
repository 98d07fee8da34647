//! A WebSocket: frames to the session, and its steps done.

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Error as WireError;
use tresen::api::{Message, PATIENCE};
use tresen_hal::{Error, Kind};

use super::Peer;
use super::hub::{Hub, lock};
use crate::attach::Attachment;
use crate::attach::wire::FromHandheld;
use crate::session::{Input, Session, Step, visible};
use crate::trust::{Audit, OFFER, Principal};
use crate::wire::{Closing, Code, Follow, Followed, HELLO, Notice, QUEUED, text};

/// Serves a client until it, the till or the gate ends the connection. `origin` is the page that it belongs to.
pub(super) async fn serve(hub: Arc<Hub>, socket: WebSocket, peer: Peer, origin: Option<String>) {
    let (sink, frames) = socket.split();
    let (queue, queued) = mpsc::channel(QUEUED);
    let writer = tokio::spawn(write(sink, queued));
    let (here, _) = watch::channel(());
    let session = Session::new(hub.now());
    let connection = Connection { hub, peer, origin, token: None, session, attached: None, queue, here };
    let frames = connection.run(frames).await;
    // Ends with the last message, or when the client stops reading.
    writer.await.ok();
    if let Some(frames) = frames {
        drain(frames).await;
    }
}

/// Lets the peer read the last message: closing a socket with unread input would discard it.
async fn drain(mut frames: SplitStream<WebSocket>) {
    let rest = async { while let Some(Ok(_)) = frames.next().await {} };
    timeout(HELLO, rest).await.ok();
}

/// Writes messages until a close frame, the end of the channel, or a message that the client leaves unread.
async fn write(mut sink: SplitSink<WebSocket, Frame>, mut queued: mpsc::Receiver<Frame>) {
    while let Some(frame) = queued.recv().await {
        let last = matches!(frame, Frame::Close(_));
        match timeout(PATIENCE, sink.send(frame)).await {
            Ok(Ok(())) if !last => {}
            Ok(_) => return,
            Err(_) => {
                tracing::warn!("a remote client does not read its messages");
                return;
            }
        }
    }
}

struct Connection {
    hub: Arc<Hub>,
    peer: Peer,
    origin: Option<String>,
    /// The token by which the caller was let in.
    token: Option<String>,
    session: Session,
    /// The devices that the client offers.
    attached: Option<Attachment>,
    /// Closed when the client has stopped reading.
    queue: mpsc::Sender<Frame>,
    /// Dropped when the connection ends: calls that only wait then end.
    here: watch::Sender<()>,
}

enum Next {
    Closing(String),
    Unread,
    Displaced,
    AskAgain,
    Time,
    Frame(Option<Result<Frame, axum::Error>>),
}

impl Connection {
    /// Returns the frames to be drained, if the peer may still read.
    async fn run(mut self, mut frames: SplitStream<WebSocket>) -> Option<SplitStream<WebSocket>> {
        let mut closing = self.hub.closing.subscribe();
        // Before the gate is asked for the first time, so that no change is lost.
        let mut changes = self.hub.gate.revoked();
        let place = self.peer.place.clone();
        loop {
            let due = self.session.poll_timeout()?;
            let next = tokio::select! {
                biased;
                why = closing.wait_for(Option::is_some) => {
                    Next::Closing(why.ok().and_then(|why| why.clone()).unwrap_or_else(|| "the till stops".into()))
                }
                () = self.queue.closed() => Next::Unread,
                () = place.displaced() => Next::Displaced,
                Ok(()) = changes.changed() => Next::AskAgain,
                () = sleep_until(Instant::from_std(due)) => Next::Time,
                frame = frames.next() => Next::Frame(frame),
            };
            let step = match next {
                Next::Unread | Next::Displaced => return None,
                Next::Closing(why) => {
                    self.send(text(&Notice::Closing(&Closing { why }))).await;
                    self.close(Code::GoingAway, "the till stops").await;
                    return Some(frames);
                }
                Next::AskAgain => self.ask_again().await,
                Next::Time => self.session.handle_timeout(self.hub.now()),
                Next::Frame(None | Some(Ok(Frame::Close(_)))) => return None,
                Next::Frame(Some(Ok(frame))) => self.take(&frame),
                Next::Frame(Some(Err(error))) => match unreadable(error) {
                    Some(input) => self.session.handle(self.hub.now(), input),
                    None => return None,
                },
            };
            if let Some(step) = step
                && !self.act(step).await
            {
                return Some(frames);
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> Option<Step> {
        let input = match frame {
            Frame::Text(text) => Input::Text(text),
            Frame::Binary(_) => Input::Binary,
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => Input::Alive,
        };
        self.session.handle(self.hub.now(), input)
    }

    /// Does what the session says; false if the connection is closed.
    async fn act(&mut self, step: Step) -> bool {
        match step {
            Step::Admit { token } => {
                let deadline = Instant::from_std(self.session.poll_timeout().unwrap_or_else(|| self.hub.now()));
                let admit = self.hub.admit(&self.peer, token.as_deref(), self.origin.as_deref());
                let late = || Error::new(Kind::Timeout, "the caller could not be checked in time");
                match timeout_at(deadline, admit).await.unwrap_or_else(|_| Err(late())) {
                    Ok(principal) => {
                        self.token = token;
                        self.send(text(&self.hub.welcome(&principal))).await;
                        self.admit(principal);
                    }
                    Err(error) => {
                        let code = match error.kind() {
                            Kind::Busy => Code::TryLater,
                            _ => Code::NotAllowed,
                        };
                        if let Some(step) = self.session.close(code, error) {
                            return Box::pin(self.act(step)).await;
                        }
                    }
                }
            }
            Step::Run(checked, place) => {
                let Some(principal) = self.session.principal().cloned() else { return true };
                let (hub, queue, mut left) = (self.hub.clone(), self.queue.clone(), self.here.subscribe());
                let id = checked.id;
                // Before the next message is looked at, which may be its abort.
                let taken = hub.take(&principal, &self.peer, *checked);
                tokio::spawn(async move {
                    // Nothing is ever sent on it; resolves when the sender is dropped.
                    let gone = async { _ = left.changed().await };
                    let Some(done) = hub.reply(taken, gone).await else { return };
                    let message = done.answer(id);
                    // The place is held until there is room: a client that does not read cannot ask for more.
                    let room = queue.reserve().await;
                    drop(place);
                    if let Ok(room) = room {
                        room.send(Frame::Text(message.into()));
                    }
                });
            }
            Step::Follow { id, follow } => self.follow(id, &follow).await,
            Step::Abort { id, key } => {
                let caller = self.session.principal().map(|principal| principal.owner()).unwrap_or_default();
                let running = self.hub.abort(&caller, &key);
                self.send(text(&Message::Reply { id, reply: &running.into() })).await;
            }
            Step::Alive { id } => self.send(text(&Message::Reply { id, reply: &serde_json::Value::Null })).await,
            Step::Gate { id, command, with, place } => {
                self.gate(id, &command, &with).await;
                drop(place);
            }
            Step::Attach(message) => self.attach(*message).await,
            Step::Refuse { id, error } => {
                self.send(text(&Message::Error { id, error: &error })).await;
                if error.kind() == Kind::Permission {
                    let principal = self.session.principal().cloned();
                    self.hub.refused(&self.peer, principal.as_deref(), "follow", &error).await;
                }
            }
            Step::Close { error, code } => {
                let Some(error) = error else { return false };
                self.send(text(&Message::Error { id: None, error: &error })).await;
                self.close(code, error.what()).await;
                return false;
            }
            // Without waiting: a full queue means that the client is about to be cut off.
            Step::Ping => _ = self.queue.try_send(Frame::Ping(Bytes::new())),
        }
        true
    }

    fn admit(&mut self, principal: Principal) {
        let until = self.hub.until(&principal);
        self.session.admit(Arc::new(principal), until);
    }

    /// Rights were withdrawn or changed: perhaps this caller's.
    async fn ask_again(&mut self) -> Option<Step> {
        let before = self.session.principal()?.clone();
        match self.hub.admit_again(&self.peer, self.token.as_deref(), self.origin.as_deref()).await {
            Ok(principal) if is_same(&principal, &before) => {
                self.admit(principal);
                None
            }
            // What runs and follows was let in with other rights.
            Ok(_) => {
                let error = Error::new(Kind::Closed, "the caller's rights were changed").hint("connect again");
                self.session.close(Code::GoingAway, error)
            }
            Err(error) => self.session.close(Code::NotAllowed, error),
        }
    }

    async fn gate(&mut self, id: u64, command: &str, with: &serde_json::Value) {
        let Some(principal) = self.session.principal().cloned() else { return };
        let unknown = || Error::new(Kind::Unsupported, format!("unknown command `{command}`"));
        let done = match self.hub.gate.command(&principal, command, with) {
            Some(answer) => answer.await,
            None => Err(unknown()),
        };
        let done = match done {
            Ok(answered) => {
                if answered.token.is_some() && self.token.is_some() {
                    self.token = answered.token;
                    match self.hub.admit_again(&self.peer, self.token.as_deref(), self.origin.as_deref()).await {
                        Ok(principal) => {
                            self.admit(principal);
                            Ok(answered.reply)
                        }
                        Err(error) => Err(error),
                    }
                } else {
                    Ok(answered.reply)
                }
            }
            Err(error) => Err(error),
        };
        self.send(text(&Message::answer(id, &done))).await;
    }

    /// Takes in a message about a device of the client.
    async fn attach(&mut self, message: FromHandheld) {
        let Some(principal) = self.session.principal().cloned() else { return };
        let offers = match &message {
            FromHandheld::Offer(offered) => Some(offered.ids()),
            _ => None,
        };
        let attached = self.attached.get_or_insert_with(|| {
            let (out, mut messages) = mpsc::channel::<String>(QUEUED);
            let queue = self.queue.clone();
            tokio::spawn(async move {
                while let Some(message) = messages.recv().await {
                    if queue.send(Frame::Text(message.into())).await.is_err() {
                        return;
                    }
                }
            });
            self.hub.attach.connect((*principal).clone(), out)
        });
        let done = attached.take(message);
        if let Err(error) = &done {
            self.send(text(&Message::Error { id: None, error })).await;
        }
        let Some(devices) = offers else { return };
        let refused = done.err().map(|error| error.what().to_owned());
        let (principal, address) = (Some(principal.name.clone()), self.peer.address.clone());
        let devices: Vec<_> = devices.iter().map(ToString::to_string).collect();
        let device = (!devices.is_empty()).then(|| devices.join(", "));
        let note = Audit { principal, address, action: OFFER.into(), device, key: None, refused };
        self.hub.gate.note(note).await;
    }

    /// Replies with the state of the devices, and sends events from then on.
    async fn follow(&mut self, id: u64, follow: &Follow) {
        let Some(principal) = self.session.principal().cloned() else { return };
        // Holding it counts as somebody who listens.
        let (mut snapshot, listening) = self.hub.till.follow();
        let (mut seen, missed) = lock(&self.hub.ring).resume(follow, snapshot.seq);
        snapshot.devices.retain(|device| principal.grants.allow(tresen::api::Right::Watch, Some(&device.id.name)));
        let followed = serde_json::to_value(Followed { snapshot, missed });
        let followed =
            followed.map_err(|e| Error::new(Kind::Protocol, "the devices cannot be written as JSON").because(e));
        self.send(text(&Message::answer(id, &followed))).await;
        let (hub, queue) = (self.hub.clone(), self.queue.clone());
        let (mut latest, mut left) = (hub.latest.subscribe(), self.here.subscribe());
        tokio::spawn(async move {
            let _listening = listening;
            loop {
                let after = lock(&hub.ring).after(seen);
                let Some((missed, kept)) = after else {
                    tokio::select! {
                        biased;
                        // Nothing is ever sent on it; resolves when the sender is dropped.
                        _ = left.changed() => return,
                        news = latest.wait_for(|latest| *latest > seen) => if news.is_err() { return },
                    }
                    continue;
                };
                seen = kept.event.seq;
                let missed = missed.map(|missed| Utf8Bytes::from(text(&Notice::Missed(missed))));
                let event = visible(&principal.grants, &kept.event).then(|| kept.text.clone());
                for message in missed.into_iter().chain(event) {
                    if until(&mut left, queue.send(Frame::Text(message))).await.is_none_or(|sent| sent.is_err()) {
                        return;
                    }
                }
            }
        });
    }

    async fn send(&self, message: String) {
        self.queue.send(Frame::Text(message.into())).await.ok();
    }

    async fn close(&self, code: Code, why: &str) {
        // A control frame holds up to 125 bytes, two of them for the code: RFC 6455, section 5.5.
        let reason = &why[..why.floor_char_boundary(REASON)];
        let frame = CloseFrame { code: code.number(), reason: reason.into() };
        self.queue.send(Frame::Close(Some(frame))).await.ok();
    }
}

/// Whether a caller may do the same as before.
fn is_same(now: &Principal, before: &Principal) -> bool {
    (&now.name, &now.station, &now.grants) == (&before.name, &before.station, &before.grants)
}

/// What `work` returns, unless the connection ends before.
async fn until<T>(left: &mut watch::Receiver<()>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = left.changed() => None,
        done = work => Some(done),
    }
}

/// What an error of the frame reader is to the session; `None` if the peer is gone.
fn unreadable(error: axum::Error) -> Option<Input<'static>> {
    match *error.into_inner().downcast::<WireError>().ok()? {
        WireError::Capacity(_) => Some(Input::TooLong),
        WireError::Utf8(_) => Some(Input::Malformed("the text is not UTF-8".into())),
        WireError::Protocol(error) if error.to_string().contains("without closing handshake") => None,
        WireError::Protocol(error) => Some(Input::Malformed(error.to_string())),
        _ => None,
    }
}

/// Maximum length of the reason in a close frame.
const REASON: usize = 123;
