//! One request on a connection of its own, while the terminal asks on channel 1.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;
use tresen_hal::link::Connect;
use tresen_hal::{BoxFuture, Effect, Error, Kind, Link, Result, Runtime};

use super::super::host::{Decision, Wish};
use super::super::listener::Asked;
use super::super::recovery::clean;
use super::super::redact;
use super::super::session::{Event, Session};
use super::super::wire::device::DeviceResponse;
use super::super::wire::{Request, Response};
use super::Terminal;
use crate::host::{Answer, Host, Pending, Progress};
use crate::slips::Slips;
use crate::waiting::{abort_wanted, reached};

/// A running request and what has come with it.
#[derive(Default)]
pub(super) struct Task {
    pub(super) host: Option<Host>,
    /// The terminal's question that waits for its answer.
    open: Option<Open>,
    /// How often the caller has asked to abort.
    aborts_wanted: u32,
    /// An answer to something else ends it: nobody's money depends on it.
    pub(super) enquiry: bool,
    pub(super) slips: Slips,
}

/// A question of the terminal that somebody is answering.
struct Open {
    pending: Pending,
    decision: Decision,
    to: To,
}

/// Where the answer to a request of the terminal goes.
enum To {
    /// To the listener's connection.
    Listener(oneshot::Sender<DeviceResponse>),
    /// To the connection of the running request.
    Connection,
}

/// How a request ended.
pub(super) enum End {
    Answered(Box<Response>),
    /// Its answer was not heard, and why; and the last answer to something else, if there was one.
    Unheard(String, Option<Box<Response>>),
}

impl Task {
    pub(super) fn of(host: Host) -> Self {
        Self { host: Some(host), ..Self::default() }
    }

    fn tell(&self, progress: Progress) {
        if let Some(host) = &self.host {
            host.tell(progress);
        }
    }

    /// Does what the terminal wishes.
    fn fulfil(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Show(text) => self.tell(Progress::Display(clean(&text))),
                Wish::Print { slip, text, ends } => {
                    self.slips.line(Some(slip), text);
                    if ends {
                        self.end_slips();
                    }
                }
            }
        }
    }

    /// Nothing more will be printed on this receipt.
    fn end_slips(&mut self) {
        self.slips.end();
        for receipt in self.slips.tell() {
            self.tell(receipt);
        }
    }

    /// Does what the terminal asks, and answers it, unless somebody has to answer a question first.
    fn serve(&mut self, decision: Decision, to: To, aborts_input: bool, connection: Option<&mut Session>) {
        let mut decision = decision;
        self.fulfil(std::mem::take(&mut decision.wishes));
        let mut connection = connection;
        if aborts_input && let Some(mut open) = self.open.take() {
            open.decision.abort();
            reply(open.decision.response, open.to, connection.as_deref_mut());
        }
        match (&decision.question, &self.host) {
            // Only one question at a time: the default of a second one stands.
            (Some(question), Some(host)) if self.open.is_none() => {
                let pending = host.ask(question.clone());
                self.open = Some(Open { pending, decision, to });
            }
            _ => reply(decision.response, to, connection),
        }
    }

    /// Answers the open question.
    fn answer(&mut self, answer: &Answer, connection: Option<&mut Session>) {
        if let Some(mut open) = self.open.take() {
            open.decision.enter(answer);
            reply(open.decision.response, open.to, connection);
        }
    }

    /// Leaves the open question with its default.
    fn close_question(&mut self, connection: Option<&mut Session>) {
        if let Some(open) = &self.open {
            let default = open.pending.default().clone();
            self.answer(&default, connection);
        }
    }
}

fn reply(response: DeviceResponse, to: To, connection: Option<&mut Session>) {
    match (to, connection) {
        // A terminal that has left needs no answer.
        (To::Listener(answer), _) => _ = answer.send(response),
        (To::Connection, Some(session)) => session.answer(&response),
        (To::Connection, None) => {}
    }
}

/// The answer to the open question.
async fn answered(open: &mut Option<Open>) -> Answer {
    match open {
        Some(open) => open.pending.answer().await,
        None => std::future::pending().await,
    }
}

impl Terminal {
    /// A new connection of channel 0.
    pub(super) async fn dial(&self) -> Result<Box<dyn Link>> {
        let link = self.connect.connect().await;
        link.map_err(|e| e.with_effect(Effect::None).at(&self.options.name))
    }

    /// Asks on a connection of its own what moves no money.
    pub(super) async fn ask(&mut self, request: &Request, within: Duration, task: &mut Task) -> Result<Response> {
        let link = self.dial().await?;
        task.enquiry = true;
        let end = self.exchange(&*link, request, within, task).await;
        leave(link);
        match end {
            End::Answered(response) => Ok(*response),
            End::Unheard(why, _) => {
                let what = format!("{} was not answered: {why}", request.header.request_type);
                Err(Error::new(Kind::Timeout, what).with_effect(Effect::None).at(&self.options.name))
            }
        }
    }

    /// Sends a request over `link` and sees it through.
    pub(super) async fn exchange(
        &mut self,
        link: &dyn Link,
        request: &Request,
        within: Duration,
        task: &mut Task,
    ) -> End {
        if let Some(device) = &self.device {
            device.runs(&request.header.request_id);
        }
        let mut session = Session::new(request, self.options.dialect.encoding, within, self.now());
        let mut aborting: Option<BoxFuture<'static, ()>> = None;
        let mut doubt = None;
        let mut foreign = None;
        let answer = loop {
            if let Err(error) = flush(&mut session, link).await {
                break Err(error.to_string());
            }
            let now = self.now();
            session.handle_timeout(now);
            match session.poll_event() {
                Some(Event::Answer(response)) => break Ok(response),
                Some(Event::Foreign(response)) => {
                    doubt = Some("the terminal answered something else");
                    foreign = Some(response);
                    if task.enquiry {
                        break Err("the terminal answered something else".into());
                    }
                    continue;
                }
                Some(Event::Device(request)) => {
                    let aborts = request.header.is("AbortInput");
                    task.serve(self.decide(&request), To::Connection, aborts, Some(&mut session));
                    continue;
                }
                Some(Event::AbortAnswered(response)) => {
                    tracing::info!(result = %response.result, "the request to abort was answered");
                    continue;
                }
                Some(Event::Other(name)) => {
                    tracing::debug!(name = clean(&name), "the terminal sent something else");
                    continue;
                }
                Some(Event::Unreadable(invalid)) => {
                    tracing::warn!(%invalid, "a message of the terminal cannot be read");
                    doubt = Some("a message of the terminal cannot be read");
                    continue;
                }
                Some(Event::NoOpi(_)) => break Err("what answers there speaks no OPI".into()),
                Some(Event::TimedOut) => break Err("no complete answer in time".into()),
                None => {}
            }
            let mut input = Vec::new();
            let deadline = session.poll_timeout();
            tokio::select! {
                biased;
                () = abort_wanted(&mut task.host, task.aborts_wanted) => {
                    task.aborts_wanted += 1;
                    if task.aborts_wanted >= LEAVE {
                        session.hurry(LEAVE_WITHIN, self.runtime.now());
                    } else {
                        aborting = self.abort(&mut session).or(aborting);
                    }
                }
                asked = next(&mut self.device) => self.serve(asked, task, Some(&mut session)),
                answer = answered(&mut task.open) => task.answer(&answer, Some(&mut session)),
                () = running(&mut aborting) => aborting = None,
                got = link.recv(&mut input) => match got {
                    Ok(_) => {
                        trace("received", &input);
                        session.handle_input(&input, self.runtime.now());
                    }
                    Err(error) => break Err(error.to_string()),
                },
                _ = reached(deadline) => {}
            }
        };
        // What the terminal has asked before it answered.
        while let Some(asked) = self.device.as_mut().and_then(|device| device.try_next()) {
            self.serve(asked, task, None);
        }
        task.close_question(None);
        task.end_slips();
        match answer {
            Ok(response) => {
                self.learn(&response);
                End::Answered(response)
            }
            Err(why) => End::Unheard(doubt.map_or(why.clone(), |doubt| format!("{doubt}; {why}")), foreign),
        }
    }

    /// Asks the terminal to end what runs: over the same connection, or over a second one.
    fn abort(&self, session: &mut Session) -> Option<BoxFuture<'static, ()>> {
        let abort = self.options.dialect.abort;
        let request = self.message(abort.family, "AbortRequest");
        if abort.same_connection {
            session.abort(&request);
            return None;
        }
        let session = Session::new(&request, self.options.dialect.encoding, ABORT_WITHIN, self.now());
        Some(Box::pin(abort_beside(self.connect.clone(), self.runtime.clone(), session)))
    }

    /// Receipts that may still come after the answer.
    pub(super) async fn linger(&mut self, task: &mut Task) {
        let until = self.now() + self.options.linger;
        while self.device.is_some() && self.now() < until {
            tokio::select! {
                biased;
                asked = next(&mut self.device) => self.serve(asked, task, None),
                answer = answered(&mut task.open) => task.answer(&answer, None),
                _ = reached(Some(until)) => {}
            }
        }
        task.close_question(None);
        task.end_slips();
    }

    fn serve(&mut self, asked: Asked, task: &mut Task, connection: Option<&mut Session>) {
        let aborts = asked.request.header.is("AbortInput");
        task.serve(self.decide(&asked.request), To::Listener(asked.answer), aborts, connection);
    }

    pub(super) fn now(&self) -> Instant {
        self.runtime.now()
    }
}

/// Ends a connection without waiting for the terminal.
pub(super) fn leave(link: Box<dyn Link>) {
    tokio::spawn(async move { link.close().await });
}

/// The next request of the terminal; never without a listener.
async fn next(device: &mut Option<super::Attached>) -> Asked {
    match device {
        Some(device) => device.next().await,
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
        trace("sent", &bytes);
        let late = |_| Error::new(Kind::Timeout, "the terminal takes no bytes");
        timeout(SEND_WITHIN, link.send(&bytes)).await.map_err(late)??;
    }
    Ok(())
}

/// The request to abort on its own connection. Its answer decides nothing, so its failure does not, either.
async fn abort_beside(connect: Arc<dyn Connect>, runtime: Arc<dyn Runtime>, mut session: Session) {
    let ended = async {
        let link = connect.connect().await?;
        flush(&mut session, &*link).await?;
        let mut input = Vec::new();
        loop {
            match session.poll_event() {
                Some(Event::Answer(response)) => {
                    tracing::info!(result = %response.result, "the request to abort was answered");
                    break;
                }
                Some(_) => {}
                None => {
                    link.recv(&mut input).await?;
                    // The time limit is that around all of this.
                    session.handle_input(&std::mem::take(&mut input), runtime.now());
                }
            }
        }
        leave(link);
        Ok::<(), Error>(())
    };
    match timeout(ABORT_WITHIN, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the terminal was not asked to abort"),
        Err(_) => tracing::warn!("the request to abort was not answered"),
    }
}

fn trace(direction: &str, bytes: &[u8]) {
    // Chunks are no messages; only what is sent is whole.
    match bytes.get(4..).filter(|_| direction == "sent") {
        Some(message) => tracing::trace!(message = %redact::shown(message), "sent"),
        None => tracing::trace!(bytes = bytes.len(), direction, "chunk"),
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
