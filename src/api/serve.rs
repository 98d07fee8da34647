//! One client of the till's socket, over whatever stream.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{Semaphore, mpsc, watch};
use tresen_hal::{Error, Kind, Result};

use super::line::{Line, Lines, line, write};
use super::row;
use crate::event::Events;
use crate::tresen::{Caller, Inner, Snapshot, Tresen};

/// The version of the protocol: it rises when old clients would misunderstand.
pub const PROTOCOL: u32 = 1;
/// How long a line of a client may be, in bytes: 1 MiB.
pub const LINE: usize = 1 << 20;
/// How many clients there may be at a time.
pub const CLIENTS: usize = 16;
/// How many requests of one client may be open at a time.
pub const IN_FLIGHT: usize = 64;
/// How long a client may leave an answer unread before it is let go: 10 s.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A request, as a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    id: u64,
    command: String,
    #[serde(default)]
    with: Value,
    #[serde(default)]
    caller: Option<String>,
}

/// What the till writes, as a line.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Said<'a> {
    Greeting { tresen: &'a str, protocol: u32, till: &'a str, name: &'a str },
    Reply { id: u64, reply: &'a Value },
    Error { id: Option<u64>, error: &'a Error },
    Event { event: &'a crate::Event },
}

/// Serves a client until it leaves, or until `ended` says so or its sender is gone. Answers of what is still running
/// then are written all the same, as far as the client reads them.
pub(super) async fn client<S>(stream: S, till: Weak<Inner>, mut ended: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (from, to) = tokio::io::split(stream);
    let (answers, lines) = mpsc::channel(ANSWERS);
    let writer = tokio::spawn(writer(to, lines));
    let (open, here) = (Arc::new(Semaphore::new(IN_FLIGHT)), watch::Sender::new(()));
    let connection = Connection { till, answers, here, open, follows: false };
    let told = ended.clone();
    tokio::select! {
        biased;
        _ = ended.wait_for(|ended| *ended) => {}
        () = connection.serve(Lines::new(BufReader::new(from), LINE), told) => {}
    }
    // It ends with the last answer, or when the client does not read it.
    writer.await.ok();
}

/// Refuses a client.
pub(super) async fn refuse(mut stream: impl AsyncWrite + Unpin, why: &Error) {
    if let Ok(line) = line(&Said::Error { id: None, error: why }) {
        tokio::time::timeout(PATIENCE, write(&mut stream, &line)).await.ok();
    }
}

/// Writes lines until there are no more, or until the client does not read them.
async fn writer(mut to: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        match tokio::time::timeout(PATIENCE, write(&mut to, &line)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::warn!("a client of the till's socket does not read its answers");
                return;
            }
        }
    }
}

struct Connection {
    till: Weak<Inner>,
    /// Closed when the client does not read any more.
    answers: mpsc::Sender<Vec<u8>>,
    /// Gone when the client does not write any more: whatever only waits on its behalf ends.
    here: watch::Sender<()>,
    open: Arc<Semaphore>,
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
                    let what = format!("a request may have {LINE} bytes");
                    return self.say(&Said::Error { id: None, error: &Error::new(Kind::Input, what) }).await;
                }
                Ok(Line::End) | Err(_) => return,
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match request(&text) {
                Ok(request) => self.begin(request, &ended).await,
                Err((id, error)) => self.say(&Said::Error { id, error: &error }).await,
            }
        }
    }

    /// False if the till has ended.
    async fn greet(&self) -> bool {
        let Some(till) = self.till() else { return false };
        let (config, id) = (till.config(), till.store().till().to_owned());
        drop(till);
        let tresen = env!("CARGO_PKG_VERSION");
        self.say(&Said::Greeting { tresen, protocol: PROTOCOL, till: &id, name: &config.till.name }).await;
        true
    }

    async fn begin(&mut self, request: Request, ended: &watch::Receiver<bool>) {
        let id = request.id;
        if let Err(error) = self.try_begin(request, ended).await {
            self.say(&Said::Error { id: Some(id), error: &error }).await;
        }
    }

    async fn try_begin(&mut self, request: Request, ended: &watch::Receiver<bool>) -> Result<()> {
        let Request { id, command, with, caller } = request;
        let till = self.till().ok_or_else(|| Error::new(Kind::Cancelled, "the till was closed"))?;
        let till = caller.map_or_else(|| till.clone(), |caller| till.on_behalf_of(&caller));
        if command == FOLLOW {
            return self.follow(id, &till, ended.clone()).await;
        }
        let row = row(&command)?;
        let busy = || Error::new(Kind::Busy, format!("{IN_FLIGHT} requests of this connection are open"));
        let permit = self.open.clone().try_acquire_owned().map_err(|_| busy())?;
        let (answers, left) = (self.answers.clone(), self.here.subscribe());
        let work = (row.run)(till, with);
        let waits = row.waits;
        tokio::spawn(async move {
            let done = if waits {
                tokio::select! {
                    biased;
                    done = work => done,
                    () = gone(&answers, left) => return,
                }
            } else {
                work.await
            };
            let said = match &done {
                Ok(reply) => line(&Said::Reply { id, reply }),
                Err(error) => line(&Said::Error { id: Some(id), error }),
            };
            drop(permit);
            say(&answers, said).await;
        });
        Ok(())
    }

    /// Answers with the devices as they are, and sends each event from then on.
    async fn follow(&mut self, id: u64, till: &Tresen, mut ended: watch::Receiver<bool>) -> Result<()> {
        if self.follows {
            return Err(Error::new(Kind::Busy, "this connection follows already"));
        }
        let (snapshot, mut events): (Snapshot, Events) = till.follow();
        let reply = serde_json::to_value(snapshot)
            .map_err(|e| Error::new(Kind::Protocol, "the devices cannot be written as JSON").because(e))?;
        self.follows = true;
        self.say(&Said::Reply { id, reply: &reply }).await;
        let (answers, left) = (self.answers.clone(), self.here.subscribe());
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    biased;
                    _ = ended.wait_for(|ended| *ended) => return,
                    () = gone(&answers, left.clone()) => return,
                    event = events.next() => event,
                };
                let Some(event) = event else { return };
                say(&answers, line(&Said::Event { event: &event })).await;
            }
        });
        Ok(())
    }

    /// The till, unless it has ended.
    fn till(&self) -> Option<Tresen> {
        Some(Tresen(self.till.upgrade()?, Caller::default()))
    }

    async fn say(&self, said: &Said<'_>) {
        say(&self.answers, line(said)).await;
    }
}

/// Waits until the client does not write or does not read any more.
async fn gone(answers: &mpsc::Sender<Vec<u8>>, mut left: watch::Receiver<()>) {
    tokio::select! {
        biased;
        // Nothing is ever sent: its sender goes.
        _ = left.changed() => {}
        () = answers.closed() => {}
    }
}

/// Hands a line to the writer; nobody hears it if the client has left.
async fn say(answers: &mpsc::Sender<Vec<u8>>, line: serde_json::Result<Vec<u8>>) {
    match line {
        Ok(line) => _ = answers.send(line).await,
        Err(error) => tracing::error!(%error, "an answer cannot be written as JSON"),
    }
}

/// A line as a request; else its id, if it has one, and what is wrong.
fn request(text: &[u8]) -> Result<Request, (Option<u64>, Error)> {
    let wrong = |error: &dyn std::fmt::Display| Error::new(Kind::Input, format!("not a request: {error}"));
    let value: Value = serde_json::from_slice(text).map_err(|error| (None, wrong(&error)))?;
    let id = value["id"].as_u64();
    serde_path_to_error::deserialize(value).map_err(|error| (id, wrong(&error)))
}

/// The command that is not answered once, but goes on.
const FOLLOW: &str = "follow";
/// Lines that wait for a client to read them.
const ANSWERS: usize = 64;

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
