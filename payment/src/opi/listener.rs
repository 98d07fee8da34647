//! The till's side of channel 1: one listener for all terminals that are told to connect to one port.
//!
//! A request is given to the terminal that it names: by the id of the request that runs there, the terminal's id,
//! `POPID` and `WorkstationID`. Where it came from decides only between equals, since several terminals may sit behind one
//! address and one terminal may have two. A request that could be two terminals' is answered
//! `DeviceUnavailable`: no receipt is put with another customer's.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tresen_hal::link::Incoming;
use tresen_hal::{BoxFuture, Clock, Link, SystemClock};

use super::framing::{Framing, frame};
use super::host::unavailable;
use super::options::Options;
use super::redact;
use super::results::OverallResult;
use super::wire::device::{DeviceRequest, DeviceResponse};
use super::wire::{Message, OriginalHeader};
use super::xml::Encoding;
use crate::listening::{self, Joined};
use crate::waiting::reached;

/// The open listeners of channel 1.
pub type Listeners = listening::Listeners<Member>;

/// Takes the connections of terminals and gives their requests to the drivers.
pub type Listener = listening::Listener<Member>;

/// Has requests of the terminal with these options go to the returned end. It leaves when it is dropped.
pub(super) fn attach(listener: &Arc<Listener>, options: &Options) -> Attached {
    let (to, asked) = mpsc::channel(WAITING);
    let member = listener.join(Member {
        workstation: options.workstation.clone(),
        pop: options.pop.clone(),
        from: options.from,
        encoding: options.dialect.encoding,
        to,
        state: Mutex::default(),
    });
    Attached { member, asked }
}

impl listening::Member for Member {
    fn serve(incoming: Incoming, members: Arc<Members>) -> BoxFuture<'static, ()> {
        Box::pin(serve(incoming, members))
    }
}

/// One terminal's end of a listener.
#[derive(Debug)]
pub(super) struct Attached {
    member: Joined<Member>,
    asked: mpsc::Receiver<Asked>,
}

/// A request of a terminal that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: DeviceRequest,
    pub(super) answer: oneshot::Sender<DeviceResponse>,
}

impl Attached {
    /// The next request. Cancel-safe.
    pub(super) async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }

    /// A request that has arrived already.
    pub(super) fn try_next(&mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }

    /// The id of the request that runs at this terminal: its device requests bear it.
    pub(super) fn runs(&self, request_id: &str) {
        self.member.state().runs = Some(request_id.to_owned());
    }

    /// The terminal's own id, as it has told it.
    pub(super) fn is_terminal(&self, terminal_id: &str) {
        self.member.state().terminal_id = Some(terminal_id.to_owned());
    }
}

/// The terminals at one listener.
type Members = listening::Members<Member>;

/// One terminal.
#[derive(Debug)]
pub struct Member {
    workstation: String,
    pop: String,
    from: Option<IpAddr>,
    encoding: Encoding,
    to: mpsc::Sender<Asked>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    runs: Option<String>,
    terminal_id: Option<String>,
    /// The last request that was answered, and how: for repeated ones and for `RepeatLastMessage`.
    last: Option<(DeviceRequest, DeviceResponse)>,
}

/// Whose request this is; `None` if it could be two terminals' or nobody's.
fn find(members: &Members, request: &DeviceRequest, from: Option<IpAddr>) -> Option<Arc<Member>> {
    let members = members.lock();
    let rated = members.iter().filter_map(|member| Some((member.rate(request, from)?, member)));
    let best = rated.clone().map(|(rating, _)| rating).max()?;
    let mut all = rated.filter(|(rating, _)| *rating == best);
    let (_, found) = all.next()?;
    all.next().is_none().then(|| found.clone())
}

impl Member {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How well a request fits this terminal: the id of the request that runs, what both name, where it comes from.
    /// `None` if it is another's.
    fn rate(&self, request: &DeviceRequest, from: Option<IpAddr>) -> Option<(bool, u8, bool)> {
        let state = self.state();
        let runs = state.runs.as_deref() == Some(request.header.request_id.as_str());
        let mut named = 0;
        for (ours, theirs) in [
            (state.terminal_id.as_deref(), request.terminal_id.as_deref()),
            (Some(self.pop.as_str()), request.header.pop.as_deref()),
            (Some(self.workstation.as_str()), request.header.workstation.as_deref()),
        ] {
            match (ours, theirs) {
                (Some(ours), Some(theirs)) if ours == theirs => named += 1,
                (Some(ours), Some(_)) if !ours.is_empty() => return None,
                _ => {}
            }
        }
        Some((runs, named, from.is_some() && from == self.from))
    }
}

/// Serves one connection of a terminal until it ends, says nonsense, or is idle for too long.
async fn serve(incoming: Incoming, members: Arc<Members>) {
    let Incoming { link, from } = incoming;
    let mut framing = Framing::default();
    let mut input = Vec::new();
    let now = || SystemClock.now();
    loop {
        let message = match framing.next_message() {
            Ok(Some(message)) => message,
            Ok(None) => {
                let begun = framing.deadline();
                let until = begun.unwrap_or_else(|| now() + IDLE);
                tokio::select! {
                    biased;
                    got = link.recv(&mut input) => if got.is_err() { return },
                    _ = reached(Some(until)) => {
                        tracing::debug!(?from, in_message = begun.is_some(), "a terminal's connection is left");
                        return link.close().await;
                    }
                }
                framing.feed(&std::mem::take(&mut input), now());
                continue;
            }
            Err(error) => {
                tracing::warn!(?from, announced = error.0, "what connects to the till speaks no OPI");
                return link.close().await;
            }
        };
        tracing::trace!(?from, message = %redact::shown(&message), "asked by a terminal");
        match Message::parse(&message) {
            Ok(Message::DeviceRequest(request)) => {
                let (response, encoding) = answer(request, from, &members).await;
                let bytes = frame(&response.to_bytes(encoding));
                if !matches!(timeout(SEND_WITHIN, link.send(&bytes)).await, Ok(Ok(()))) {
                    return;
                }
            }
            Ok(other) => tracing::warn!(?from, ?other, "a terminal sent something else than a device request"),
            Err(invalid) => tracing::warn!(?from, %invalid, "a terminal's request cannot be read"),
        }
    }
}

async fn answer(request: DeviceRequest, from: Option<IpAddr>, members: &Members) -> (DeviceResponse, Encoding) {
    let Some(member) = find(members, &request, from) else {
        tracing::warn!(?from, header = ?request.header, "no terminal of this till is certainly meant; do `pop` and `workstation` differ?");
        return (unavailable(&request), Encoding::Utf8);
    };
    if request.header.is("RepeatLastMessage") {
        return (repeated(&request, &member), member.encoding);
    }
    {
        let state = member.state();
        let again = |(last, _): &&(DeviceRequest, DeviceResponse)| last.sequence.is_some() && *last == request;
        if let Some((_, response)) = state.last.as_ref().filter(again) {
            return (response.clone(), member.encoding);
        }
    }
    let (answer, answered) = oneshot::channel();
    let given = async {
        member.to.send(Asked { request: request.clone(), answer }).await.ok()?;
        answered.await.ok()
    };
    let Ok(Some(response)) = timeout(ANSWER_WITHIN, given).await else {
        return (unavailable(&request), member.encoding);
    };
    member.state().last = Some((request, response.clone()));
    (response, member.encoding)
}

fn repeated(request: &DeviceRequest, member: &Member) -> DeviceResponse {
    let mut response = unavailable(request);
    response.result = OverallResult::Failure;
    if let Some((asked, last)) = &member.state().last {
        response.outputs.clone_from(&last.outputs);
        response.input.clone_from(&last.input);
        response.result = OverallResult::Success;
        response.original = Some(OriginalHeader {
            request_type: asked.header.request_type.clone(),
            request_id: asked.header.request_id.clone(),
            result: last.result.clone(),
        });
    }
    response
}

/// Requests of one terminal that may wait.
const WAITING: usize = 16;
/// A connection on which nothing is asked is left after this time.
const IDLE: Duration = Duration::from_secs(3600);
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long a driver may take to answer: it writes to the journal in between.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
