//! One connection of a caller, and the calls of all callers by their keys. Sans-IO: time is an argument.
//!
//! # Keys
//! A command that changes something needs a key, chosen by the caller and unique among its calls. Under the same key:
//!
//! | and the same content | |
//! |---|---|
//! | it is still running | the new request joins it: both get its reply |
//! | it is done | its reply is given again, for [`KEPT`] and the last [`CALLS`] calls of a caller |
//! | it is done, and its outcome was open: a payment not known, paper that waits | it is asked again under its durable key |
//! | it failed, and nothing happened in the world ([`Effect::None`]) | it runs again |
//! | it was aborted before it began | it stays aborted, as long as a reply is kept |
//! | a right that it needs was withdrawn since | refused, and its outcome is not told: the effect is unknown |
//! | **other content** | refused |
//!
//! `rev` and `by` are no part of the content of a call with a durable key. A call is under its key as soon as its message
//! is read, so that an abort in the next message finds it.
//!
//! Keys are kept in memory, and are valid for one `run` of the server. Payments, print jobs, the opening of sales and those
//! steps of sales that add something or move money also have a durable key of their own, which is filled in from this one:
//! they are recognised after a restart as well. Other steps of sales are not: with the `rev` that the caller knows, a step
//! that was taken is refused instead of taken twice.
//!
//! A call that is refused before it begins has had no effect. Under a durable key it may have been made before, by a run of
//! which this one knows nothing: where the till has something stored under the key, or cannot tell, the effect of the
//! refusal is [`Effect::Unknown`]. A till that stops gives what it knows of such a call again.
//!
//! A call goes on when its connection is lost, except for one that only waits, such as `scanner.next`: it ends when the
//! last connection that waits for it is gone, and consumes nothing. A reply that was lost on its way is given again under
//! the key, so that no scan is lost with it.

mod check;
mod keys;
mod ring;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tresen::api::{FOLLOW, IN_FLIGHT, InFlight, PROTOCOL, Place, Request, Right};
use tresen_hal::{Effect, Error, Kind, Result};

use crate::attach::wire::FromHandheld;
use crate::trust::Principal;
use crate::wire::{
    ABORT, ALIVE, Abort, Code, DEAD, FIRST, Follow, FromClient, HELLO, MESSAGE, PING, Ping, fields, required,
};

pub use check::{Checked, Keyed, check, owns, visible};
pub use keys::{Asked, CALLS, KEPT, Keys};
pub use ring::{BYTES, EVENTS, Kept, Ring};

/// One connection: what comes in, and what has to be done about it.
#[derive(Debug)]
pub struct Session {
    state: State,
    in_flight: InFlight,
    /// When it was made.
    began: Instant,
    /// When the last frame came.
    heard: Instant,
    /// When the last ping was sent.
    pinged: Instant,
}

#[derive(Debug)]
enum State {
    /// Waits for the first message.
    New,
    /// Waits for the gate.
    Asking,
    Open {
        principal: Arc<Principal>,
        follows: bool,
        until: Option<Instant>,
    },
    Closed,
}

/// What came from the peer.
#[derive(Debug)]
pub enum Input<'a> {
    /// A text message.
    Text(&'a str),
    /// A message that is not text.
    Binary,
    /// A message, or a frame of one, that exceeds [`MESSAGE`].
    TooLong,
    /// Bytes that are not WebSocket frames, as the reader of frames says.
    Malformed(String),
    /// A ping or pong.
    Alive,
}

/// What has to be done.
#[derive(Debug)]
pub enum Step {
    /// Ask the gate about this token, or about the certificate of the connection; then [`Session::admit`].
    Admit {
        /// The token; `None` for the certificate.
        token: Option<String>,
    },
    /// Run a call, and send its answer; the place is held until then.
    Run(Box<Checked>, Place),
    /// Answer with the state of the devices, and send events from then on.
    Follow {
        /// The request's number.
        id: u64,
        /// What the client has seen.
        follow: Follow,
    },
    /// Abort the transaction under this key of the caller, and answer whether there is one.
    Abort {
        /// The request's number.
        id: u64,
        /// The key.
        key: String,
    },
    /// Answer that the connection is alive.
    Alive {
        /// The request's number.
        id: u64,
    },
    /// Ask the gate for a command of its own: [`Gate::command`](crate::trust::Gate::command).
    Gate {
        /// The request's number.
        id: u64,
        /// The command.
        command: String,
        /// Its fields.
        with: Value,
        /// Held until it is answered.
        place: Place,
    },
    /// Take in a message about a device of the client itself.
    Attach(Box<FromHandheld>),
    /// Answer with an error; the connection stays open.
    Refuse {
        /// The request's number, if it has one.
        id: Option<u64>,
        /// Why.
        error: Error,
    },
    /// Send the error as the last message, if it is not late for that, and close.
    Close {
        /// Why; `None` if the peer does not listen any more.
        error: Option<Error>,
        /// How.
        code: Code,
    },
    /// Send a ping.
    Ping,
}

impl Session {
    /// A new connection, made at `now`.
    pub fn new(now: Instant) -> Self {
        Self { state: State::New, in_flight: InFlight::up_to(IN_FLIGHT), began: now, heard: now, pinged: now }
    }

    /// The caller, once it was let in.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.state {
            State::Open { principal, .. } => Some(principal),
            _ => None,
        }
    }

    /// Takes in what came.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Option<Step> {
        self.heard = now;
        let text = match input {
            Input::Text(text) => text,
            Input::Alive => return None,
            Input::Binary => {
                return self.close(Code::NotAMessage, Error::new(Kind::Input, "messages are text, not binary"));
            }
            Input::TooLong => {
                let what = format!("a message is limited to {MESSAGE} bytes");
                return self.close(Code::TooLong, Error::new(Kind::Input, what));
            }
            Input::Malformed(why) => {
                let what = format!("not a WebSocket message: {why}");
                return self.close(Code::NotAMessage, Error::new(Kind::Input, what));
            }
        };
        let (principal, follows) = match &mut self.state {
            State::Closed => return None,
            State::New => return self.first(text),
            State::Asking => {
                let error = Error::new(Kind::Input, "a message came before the caller was let in");
                return self.close(Code::NotAllowed, error.hint("wait for the answer to `hello`"));
            }
            State::Open { principal, follows, .. } => (principal, follows),
        };
        match FromClient::decode(text) {
            Ok(FromClient::Hello(_)) => {
                let error = Error::new(Kind::Input, "`hello` came twice");
                Some(Step::Refuse { id: None, error })
            }
            Ok(FromClient::Attach(message)) => Some(Step::Attach(message)),
            Ok(FromClient::Request(request)) => {
                let id = request.id;
                let step = begin(principal, follows, &self.in_flight, *request);
                Some(step.unwrap_or_else(|error| Step::Refuse { id: Some(id), error }))
            }
            Err((id, error)) => Some(Step::Refuse { id, error }),
        }
    }

    /// Takes in the first message: somebody who was not let in yet has little of the till's time.
    fn first(&mut self, text: &str) -> Option<Step> {
        if text.len() > FIRST {
            let what = format!("the first message is limited to {FIRST} bytes");
            return self.close(Code::TooLong, Error::new(Kind::Input, what));
        }
        match FromClient::decode(text) {
            Ok(FromClient::Hello(hello)) if hello.protocol == PROTOCOL => {
                self.state = State::Asking;
                Some(Step::Admit { token: hello.token })
            }
            Ok(FromClient::Hello(hello)) => {
                let what = format!("the client uses protocol version {}, this till version {PROTOCOL}", hello.protocol);
                self.close(Code::NotAllowed, Error::new(Kind::Unsupported, what))
            }
            _ => {
                let error = Error::new(Kind::Input, "the first message is not a hello");
                self.close(Code::NotAllowed, error.hint("send {\"hello\":{\"protocol\":1}} first"))
            }
        }
    }

    /// The gate has let `principal` in; `until` is the time at which that ends.
    pub fn admit(&mut self, principal: Arc<Principal>, until: Option<Instant>) {
        let follows = matches!(self.state, State::Open { follows: true, .. });
        self.state = State::Open { principal, follows, until };
    }

    /// Closes the connection; `None` if it is closed already.
    pub fn close(&mut self, code: Code, error: Error) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => None,
            _ => Some(Step::Close { error: Some(error), code }),
        }
    }

    /// When [`Session::handle_timeout`] is due; `None` once it is closed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            // Before the caller is let in, pings do not prolong its time.
            State::New | State::Asking => Some(self.began + HELLO),
            State::Open { until, .. } => {
                let due = (self.heard + DEAD).min(self.pinged + PING);
                Some(until.map_or(due, |until| until.min(due)))
            }
            State::Closed => None,
        }
    }

    /// Takes in that time has passed. Call it again while it returns something.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        match &self.state {
            State::New | State::Asking => {
                let what = format!("no hello within {} s", HELLO.as_secs());
                self.close(Code::NotAllowed, Error::new(Kind::Timeout, what))
            }
            State::Open { until, .. } if until.is_some_and(|until| now >= until) => {
                let error = Error::new(Kind::Permission, "the caller's certificate or token has expired");
                self.close(Code::NotAllowed, error)
            }
            State::Open { .. } if now >= self.heard + DEAD => {
                self.state = State::Closed;
                Some(Step::Close { error: None, code: Code::GoingAway })
            }
            State::Open { .. } => {
                self.pinged = now;
                Some(Step::Ping)
            }
            State::Closed => None,
        }
    }
}

fn begin(principal: &Principal, follows: &mut bool, in_flight: &InFlight, request: Request) -> Result<Step> {
    let id = request.id;
    match request.command.as_str() {
        FOLLOW => {
            let follow: Follow = fields(FOLLOW, request.with)?;
            if *follows {
                return Err(Error::new(Kind::Busy, "this connection already follows"));
            }
            if !principal.grants.some(Right::Watch) {
                let what = format!("`{FOLLOW}` needs the right `{}`", Right::Watch);
                return Err(Error::new(Kind::Permission, what).hint("whoever runs the till can grant it"));
            }
            *follows = true;
            Ok(Step::Follow { id, follow })
        }
        ABORT => {
            let Abort { key } = required(ABORT, request.with)?;
            Ok(Step::Abort { id, key })
        }
        ALIVE => {
            let Ping {} = fields(ALIVE, request.with)?;
            Ok(Step::Alive { id })
        }
        command if command.starts_with(GATE) => {
            Ok(Step::Gate { id, command: request.command, with: request.with, place: in_flight.place()? })
        }
        _ => {
            let checked = check(principal, request)?;
            // It may have been made before under its key, which was not looked up.
            let may_be_made = checked.key.is_some() && checked.call.info().changes;
            let place = in_flight.place().map_err(|full| match may_be_made {
                true => full.with_effect(Effect::Unknown).hint("ask again under the same key, when others have ended"),
                false => full,
            })?;
            Ok(Step::Run(Box::new(checked), place))
        }
    }
}

/// How the names of the gate's own commands begin.
pub const GATE: &str = "session.";
/// How often replies that are too old are dropped.
pub const SWEEP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
