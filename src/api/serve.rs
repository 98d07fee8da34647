//! Serves one client of the till's socket, over any stream.

use std::sync::Weak;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{mpsc, watch};
use tresen_hal::{Error, Kind, Result};

use super::call::Call;
use super::dispatch::{Dispatch, InFlight};
use super::line::{Line, Lines, line, write};
use super::message::{Message, Request};
use crate::event::Events;
use crate::tresen::{Caller, Inner, Snapshot, Tresen};

/// The protocol version; incremented when old clients would misunderstand.
pub const PROTOCOL: u32 = 1;
/// Maximum length of a client's line: 1 MiB.
pub const LINE: usize = 1 << 20;
/// Maximum number of clients.
pub const CLIENTS: usize = 16;
/// Maximum number of pending requests per client.
pub const IN_FLIGHT: usize = 64;
/// How long a client may leave a reply unread before it is disconnected: 10 s.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a client until it disconnects, or until `ended` becomes true or its sender is dropped. Replies to commands
/// still running are then sent as well, as far as the client reads them.
pub(super) async fn client<S>(stream: S, till: Weak<Inner>, mut ended: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (from, to) = tokio::io::split(stream);
    let (answers, lines) = mpsc::channel(ANSWERS);
    let writer = tokio::spawn(writer(to, lines));
    let (open, here) = (InFlight::up_to(IN_FLIGHT), watch::Sender::new(()));
    let connection = Connection { till, answers, here, open, follows: false };
    let told = ended.clone();
    tokio::select! {
        biased;
        _ = ended.wait_for(|ended| *ended) => {}
        () = connection.serve(Lines::new(BufReader::new(from), LINE), told) => {}
    }
    // Finishes with the last reply, or when the client stops reading.
    writer.await.ok();
}

/// Refuses a client with an error.
pub(super) async fn refuse(mut stream: impl AsyncWrite + Unpin, why: &Error) {
    if let Ok(line) = line(&Message::Error { id: None, error: why }) {
        tokio::time::timeout(PATIENCE, write(&mut stream, &line)).await.ok();
    }
}

/// Writes lines until the channel closes or the client stops reading.
async fn writer(mut to: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        match tokio::time::timeout(PATIENCE, write(&mut to, &line)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::warn!("a client of the till's socket does not read its replies");
                return;
            }
        }
    }
}

struct Connection {
    till: Weak<Inner>,
    /// Closed when the client has stopped reading.
    answers: mpsc::Sender<Vec<u8>>,
    /// Dropped when the client has stopped writing; commands that only wait on its behalf then end.
    here: watch::Sender<()>,
    open: InFlight,
    follows: bool,
}

impl Connection {
    async fn serve<R: AsyncRead + Unpin>(mut self, mut lines: Lines<BufReader<R>>, ended: watch::Receiver<bool>) {
        if !self.greet().await {
            return;
        }
        loop {
            let next = tokio::select! {
                biased;
                () = self.answers.closed() => return,
                next = lines.next() => next,
            };
            let text = match next {
                Ok(Line::Whole(text)) => text,
                Ok(Line::TooLong) => {
                    let what = format!("a request is limited to {LINE} bytes");
                    return self.send(&Message::Error { id: None, error: &Error::new(Kind::Input, what) }).await;
                }
                Ok(Line::End) | Err(_) => return,
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match Request::decode(&text) {
                Ok(request) => self.begin(request, &ended).await,
                Err((id, error)) => self.send(&Message::Error { id, error: &error }).await,
            }
        }
    }

    /// False if the till has closed.
    async fn greet(&self) -> bool {
        let Some(till) = self.till() else { return false };
        let (config, id) = (till.config(), till.store().till().to_owned());
        drop(till);
        let tresen = env!("CARGO_PKG_VERSION");
        self.send(&Message::Greeting { tresen, protocol: PROTOCOL, till: &id, name: &config.till.name }).await;
        true
    }

    async fn begin(&mut self, request: Request, ended: &watch::Receiver<bool>) {
        let id = request.id;
        if let Err(error) = self.try_begin(request, ended).await {
            self.send(&Message::Error { id: Some(id), error: &error }).await;
        }
    }

    async fn try_begin(&mut self, request: Request, ended: &watch::Receiver<bool>) -> Result<()> {
        let Request { id, command, with, caller, leases, key } = request;
        if key.is_some() {
            let error = Error::new(Kind::Input, "calls over the local socket have no `key`");
            return Err(error.hint("put the key of a payment or a print job into its `with`"));
        }
        let till = self.till().ok_or_else(|| Error::new(Kind::Cancelled, "the till was closed"))?;
        if command == FOLLOW {
            return self.follow(id, &till, ended.clone()).await;
        }
        let mut call = Dispatch::new(&till, Call::read(&command, with)?);
        if let Some(caller) = caller {
            call = call.on_behalf_of(caller.as_str());
        }
        let call = call.with_leases(&leases).until(self.here.subscribe());
        let (place, answers) = (self.open.place()?, self.answers.clone());
        tokio::spawn(async move {
            let Some(done) = call.run().await else { return };
            let message = line(&Message::answer(id, &done));
            // The place is held until there is room: a client that does not read cannot ask for more.
            let room = answers.reserve().await;
            drop(place);
            match (room, message) {
                (Ok(room), Ok(message)) => room.send(message),
                (Ok(_), Err(error)) => tracing::error!(%error, "a reply cannot be written as JSON"),
                (Err(_), _) => {}
            }
        });
        Ok(())
    }

    /// Replies with the current state of the devices and sends each event from then on.
    async fn follow(&mut self, id: u64, till: &Tresen, mut ended: watch::Receiver<bool>) -> Result<()> {
        if self.follows {
            return Err(Error::new(Kind::Busy, "this connection already follows"));
        }
        let (snapshot, mut events): (Snapshot, Events) = till.follow();
        let reply = serde_json::to_value(snapshot)
            .map_err(|e| Error::new(Kind::Protocol, "the devices cannot be written as JSON").because(e))?;
        self.follows = true;
        self.send(&Message::Reply { id, reply: &reply }).await;
        let (answers, mut left) = (self.answers.clone(), self.here.subscribe());
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    biased;
                    _ = ended.wait_for(|ended| *ended) => return,
                    // Nothing is ever sent on it; resolves when the sender is dropped.
                    _ = left.changed() => return,
                    event = events.next() => event,
                };
                let Some(event) = event else { return };
                send(&answers, line(&Message::Event { event: &event })).await;
            }
        });
        Ok(())
    }

    /// The till, unless it has closed.
    fn till(&self) -> Option<Tresen> {
        Some(Tresen(self.till.upgrade()?, Caller::default()))
    }

    async fn send(&self, message: &Message<'_>) {
        send(&self.answers, line(message)).await;
    }
}

/// Queues a line for the writer; discarded if the client has disconnected.
async fn send(answers: &mpsc::Sender<Vec<u8>>, line: serde_json::Result<Vec<u8>>) {
    match line {
        Ok(line) => _ = answers.send(line).await,
        Err(error) => tracing::error!(%error, "a reply cannot be written as JSON"),
    }
}

/// The command with a continuing reply.
pub const FOLLOW: &str = "follow";
/// Maximum number of lines queued for a client.
const ANSWERS: usize = 64;

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
