//! One request on a connection of its own, and the abort that may go beside it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tresen_hal::link::Connect;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Link, Result, Runtime};

use super::super::listener::{Attached, Told};
use super::super::session::{Event, Session, Unusable};
use super::super::wire::{Abort, Body, Category, Fault, Header, Message, MessageReference};
use super::Terminal;
use crate::host::{Host, Progress};
use crate::terminal::Notice;
use crate::waiting::{abort_wanted, reached};

impl Terminal {
    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Box<dyn Link>> {
        let link = self.connect.connect().await;
        link.map_err(|e| e.with_effect(Effect::None).at(&self.options.name))
    }

    /// Asks what moves no money.
    pub(super) async fn ask(&mut self, request: &Message) -> Result<Message> {
        let link = self.dial().await?;
        let event = self.exchange(&*link, request, self.options.answer, &mut None).await;
        leave(link);
        match event {
            Event::Answer(message) => Ok(*message),
            other => Err(self.unanswered(&other)),
        }
    }

    /// The error of a question without an answer.
    pub(super) fn unanswered(&self, event: &Event) -> Error {
        let key = "are key, version and passphrase those of the terminal, and is it set to encrypt?";
        let (kind, hint) = match event {
            Event::TimedOut => (Kind::Timeout, "is the terminal on?"),
            Event::Unusable(Unusable::Closed) => (Kind::Closed, "is the terminal on?"),
            Event::Rejected(_) | Event::Status(400..=403) => (Kind::Refused, key),
            Event::Unusable(Unusable::Message(Fault::NoKey)) => {
                (Kind::Refused, "give its key: key=NAME&version=1&passphrase=…")
            }
            Event::Unusable(Unusable::Message(Fault::Sealed(_) | Fault::NotSealed)) => (Kind::Refused, key),
            Event::Unusable(Unusable::Foreign) => (Kind::Refused, "is `poi` its model and serial number?"),
            _ => (Kind::Protocol, "is this a terminal that speaks nexo there, at /nexo?"),
        };
        Error::new(kind, event.text()).with_effect(Effect::None).at(&self.options.name).hint(hint)
    }

    /// Sends a request over `link` and waits for its end.
    pub(super) async fn exchange(
        &mut self,
        link: &dyn Link,
        request: &Message,
        within: Duration,
        host: &mut Option<Host>,
    ) -> Event {
        let mut session = Session::new(request, self.seal(), &self.options.host, within, self.now());
        if let Err(error) = flush(&mut session, link).await {
            tracing::info!(%error, "the request was not sent as a whole");
            session.handle_end();
        }
        let mut aborts = 0;
        let mut aborting: Option<BoxFuture<'static, ()>> = None;
        loop {
            session.handle_timeout(self.now());
            if let Some(event) = session.poll_event() {
                return event;
            }
            let mut input = Vec::new();
            tokio::select! {
                biased;
                () = abort_wanted(host, aborts) => {
                    aborts += 1;
                    if aborts >= LEAVE {
                        session.hurry(LEAVE_WITHIN, self.now());
                    } else {
                        aborting = Some(self.abort(&request.header));
                    }
                }
                () = running(&mut aborting) => aborting = None,
                told = told(&mut self.listener) => match (host.as_ref(), told.service_id) {
                    (Some(host), id) if id == request.header.service_id => host.tell(Progress::Display(told.text)),
                    _ => self.notices.push_back(Notice::Text(told.text)),
                },
                got = link.recv(&mut input) => match got {
                    Ok(_) => {
                        tracing::trace!(bytes = input.len(), "received");
                        session.handle_input(&input);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the connection has ended");
                        session.handle_end();
                    }
                },
                _ = reached(session.poll_timeout()) => {}
            }
        }
    }

    /// Asks the terminal on another connection to end what runs. Its answer decides nothing.
    fn abort(&self, of: &Header) -> BoxFuture<'static, ()> {
        let about = MessageReference {
            category: Some(of.category),
            sale_id: of.sale_id.clone(),
            service_id: of.service_id.clone(),
            poi_id: None,
        };
        let body = Body::Abort(Abort { abort_reason: "MerchantAbort".into(), message_reference: about });
        let request = self.message(Category::Abort, None, body);
        let session = Session::new(&request, self.seal(), &self.options.host, ABORT_WITHIN, self.now());
        Box::pin(abort_beside(self.connect.clone(), self.runtime.clone(), session))
    }
}

/// Ends a connection without waiting for the terminal.
pub(super) fn leave(link: Box<dyn Link>) {
    tokio::spawn(async move { link.close().await });
}

/// The next that the terminal tells; nothing where the till does not listen.
pub(super) async fn told(listener: &mut Option<Attached>) -> Told {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

async fn running(task: &mut Option<BoxFuture<'static, ()>>) {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

async fn flush(session: &mut Session, link: &dyn Link) -> Result<()> {
    while let Some(bytes) = session.poll_transmit() {
        tracing::trace!(bytes = bytes.len(), "sent");
        let late = |_| Error::new(Kind::Timeout, "the terminal takes no bytes");
        timeout(SEND_WITHIN, link.send(&bytes)).await.map_err(late)??;
    }
    Ok(())
}

async fn abort_beside(connect: Arc<dyn Connect>, runtime: Arc<dyn Runtime>, mut session: Session) {
    let ended = async {
        let link = connect.connect().await?;
        flush(&mut session, &*link).await?;
        let event = loop {
            session.handle_timeout(runtime.now());
            if let Some(event) = session.poll_event() {
                break event;
            }
            let mut input = Vec::new();
            match link.recv(&mut input).await {
                Ok(_) => session.handle_input(&input),
                Err(_) => session.handle_end(),
            }
        };
        leave(link);
        Ok::<_, Error>(event)
    };
    match timeout(ABORT_WITHIN, ended).await {
        Ok(Ok(event)) => tracing::info!(answer = event.text(), "the terminal was asked to abort"),
        Ok(Err(error)) => tracing::warn!(%error, "the terminal was not asked to abort"),
        Err(_) => tracing::warn!("the request to abort was not answered"),
    }
}

/// How long a message may take to be sent: they are short, and a working link takes one at once.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long the answer to a request to abort is waited for.
const ABORT_WITHIN: Duration = Duration::from_secs(10);
/// From this many wishes to abort on, a terminal that has fallen silent is left.
const LEAVE: u32 = 3;
/// How long it then still has to answer.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
