//! The till's side of the dialogue with an ESC/POS printer, sans-IO.
//!
//! Begin a call with [`Session::begin`]; feed what comes with [`Session::handle_input`] and
//! [`Session::handle_timeout`]; send what [`Session::poll_transmit`] gives and say when the link took
//! it with [`Session::handle_sent`]; handle what [`Session::poll_event`] gives; come back at
//! [`Session::poll_timeout`]. Input is welcome while a piece is being sent: a printer without paper
//! stops reading, and says so.
//!
//! A call is an agenda of `Step`s. What the printer says is kept as facts; a step looks at the facts
//! and ends, waits, or puts further steps in front. Which answer belongs to which question is decided
//! in `realtime` for `DLE EOT` and in `replies` for everything that the printer answers in the
//! order of its buffer.

mod body;
mod calls;
mod ending;
mod hello;
mod job;
mod realtime;
mod replies;
mod steps;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tresen_hal::{Effect, Error, Kind, Known, Result};

use super::options::Options;
use super::status::{Condition, Decoder, Fault};
use crate::printer::{Capabilities, DrawerPin, Identity, Job, Outcome, Status};
use crate::profile::Profile;
use body::Body;
use job::JobState;
use realtime::Realtime;
use replies::Heard;
use steps::Step;

/// What is asked of the printer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Call<'a> {
    /// Say hello on a fresh link. The first call; [`Event::Done`].
    Open,
    /// Ask how it is; [`Event::Done`], then see [`Session::status`].
    Status,
    /// Ask who it is; [`Event::Done`], then see [`Session::identity`].
    Identity,
    /// Print; [`Event::Printed`].
    Print(&'a Job),
    /// Open the drawer; [`Event::Done`].
    Kick(DrawerPin),
    /// Discard what is buffered and return to a known state; [`Event::Done`].
    Reset,
    /// Send bytes as they are; [`Event::Done`] when the link took them.
    Raw(&'a [u8]),
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The printer's status is another one now.
    Status(Status),
    /// The call is over.
    Done(Result<()>),
    /// The job is over.
    Printed(Outcome),
}

/// How a job is proven on this printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ladder {
    ProcessId,
    BufferDone,
    None,
}

/// A call that runs.
#[derive(Debug, Clone, Copy)]
struct Running {
    purpose: Purpose,
    since: Instant,
    limit: Duration,
}

/// What to report at the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Call,
    /// A job; true once its first byte may have left.
    Job(bool),
}

/// One connection to one printer.
#[derive(Debug)]
pub struct Session {
    options: Options,
    profile: Profile,
    capabilities: Capabilities,
    identity: Identity,
    /// Maker, model and proof have been asked for.
    introduced: bool,
    introductions: u8,
    /// Firmware and serial number have been asked for.
    details: bool,
    ladder: Ladder,

    decoder: Decoder,
    condition: Condition,
    fault_since: Option<Instant>,
    /// When the latest fault ended.
    went_on: Instant,
    realtime: Realtime,
    /// Questions `GS r` without an answer, by the job that asked; 0 is none.
    owed: VecDeque<u32>,
    /// More or other answers came, or may come, than were asked for: none proves a job until settled.
    unsettled: bool,
    /// Something came that fits no question: the status is to be asked for.
    doubt: bool,
    /// When the latest round of statuses was over.
    asked_at: Option<Instant>,
    /// Whether the printer answered it.
    answered: bool,

    running: Option<Running>,
    agenda: VecDeque<Step>,
    active: Option<Step>,
    /// When the active step began, and what was heard since.
    since: Instant,
    heard: Heard,
    /// When a round of statuses wants to go on.
    wait_until: Option<Instant>,
    /// A job whose body has not begun.
    pending: Option<Job>,
    job: Option<JobState>,
    jobs: u32,
    ticket: u32,

    out: VecDeque<Bytes>,
    body: Body,
    in_flight: Option<Instant>,
    sent_at: Instant,
    /// Sending ended inside a piece or a job: nobody knows where the printer stands.
    spoiled: bool,

    events: VecDeque<Event>,
    told: Status,
}

impl Session {
    /// A session on a fresh connection. `salt` is a random number: it keeps the process ids of this
    /// connection apart from those of the connections before it, whose jobs may still come out.
    pub fn new(options: Options, salt: u64, now: Instant) -> Self {
        let profile = options.apply(options.profile.clone().unwrap_or_default());
        Self {
            capabilities: profile.capabilities(),
            profile,
            options,
            identity: Identity::default(),
            introduced: false,
            introductions: 0,
            details: false,
            ladder: Ladder::None,
            decoder: Decoder::default(),
            condition: Condition::default(),
            fault_since: None,
            went_on: now,
            realtime: Realtime::default(),
            owed: VecDeque::new(),
            unsettled: false,
            doubt: false,
            asked_at: None,
            answered: false,
            running: None,
            agenda: VecDeque::new(),
            active: None,
            since: now,
            heard: Heard::default(),
            wait_until: None,
            pending: None,
            job: None,
            jobs: 0,
            ticket: (salt % u64::from(job::TICKETS)) as u32,
            out: VecDeque::new(),
            body: Body::default(),
            in_flight: None,
            sent_at: now,
            spoiled: false,
            events: VecDeque::new(),
            told: Status::default(),
        }
    }

    /// What kind of printer it is, as far as is known now.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What it can do, as far as is known now.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Who it said it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How it is, as it said last.
    pub fn status(&self) -> Status {
        self.condition.status
    }

    /// Begins a call. One that still ran is abandoned: its answer is lost, what it sent is not.
    pub fn begin(&mut self, call: Call<'_>, now: Instant) {
        self.abandon();
        let limit = match call {
            Call::Print(_) | Call::Raw(_) => self.options.timing.job,
            _ => self.options.timing.call,
        };
        let purpose = if matches!(call, Call::Print(_)) { Purpose::Job(false) } else { Purpose::Call };
        self.running = Some(Running { purpose, since: now, limit });
        if self.spoiled {
            self.fail(
                Error::new(Kind::Closed, "sending was cut short on this connection")
                    .with_effect(Effect::None)
                    .hint("open the printer again"),
            );
            return;
        }
        self.plan(call);
        self.run(now);
    }

    /// Opens the drawer while a call runs, by a command that the printer executes as it arrives.
    ///
    /// # Errors
    /// [`Kind::Busy`]: this printer opens drawers in turn only, or a job is still being sent to it.
    /// [`Kind::Operator`]: the printer is stopped and reads nothing, or reports an error, in which it ignores
    /// the command. [`Kind::Unsupported`]: it has no
    /// drawer port.
    pub fn kick_now(&mut self, pin: DrawerPin) -> Result<()> {
        if self.capabilities.drawer == Known::No {
            return Err(calls::no_drawer());
        }
        if self.profile.urgent_drawer != Known::Yes {
            return Err(Error::new(Kind::Busy, "this printer opens the drawer only when it is its turn"));
        }
        if let Some(fault) = self.condition.fault.filter(|_| self.in_error()) {
            return Err(calls::drawer_stays_shut(fault));
        }
        if self.spoiled || self.is_sending() {
            // In the midst of a job it would become part of an image.
            return Err(match self.condition.fault {
                Some(fault) => calls::stopped(fault),
                None => Error::new(Kind::Busy, "a job is being sent to the printer"),
            });
        }
        self.out.push_back(calls::urgent_pulse(pin).into());
        Ok(())
    }

    /// Takes in what came from the link.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.decoder.feed(bytes);
        while let Some(reply) = self.decoder.next_reply() {
            tracing::trace!(?reply, "heard");
            self.reply(reply, now);
        }
        self.run(now);
        // A printer that never stops talking must not keep a call alive.
        self.expire(now);
    }

    /// The link took the piece that [`Session::poll_transmit`] gave last.
    pub fn handle_sent(&mut self, now: Instant) {
        self.in_flight = None;
        self.sent_at = now;
        self.realtime.sent(now);
        self.run(now);
    }

    /// The link failed. Gives the error back if no call was running that ends with it.
    pub fn handle_lost(&mut self, error: Error) -> Option<Error> {
        if self.running.is_none() {
            return Some(error);
        }
        self.fail(error);
        None
    }

    /// Tells that `now` has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.expire(now) {
            self.run(now);
        }
    }

    /// The next bytes to send, at most 4096; `None` while the link has not taken those before.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.in_flight.is_some() {
            return None;
        }
        let piece = self.out.pop_front().or_else(|| self.body.next_piece())?;
        self.in_flight = Some(now);
        Some(piece)
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.told != self.condition.status {
            self.told = self.condition.status;
            return Some(Event::Status(self.told));
        }
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let limit = self.running.map(|r| r.since + r.limit);
        let step = if self.is_sending() { self.stalled() } else { self.deadline() };
        [limit, step].into_iter().flatten().min()
    }

    /// Sending was cut short: this connection is of no use any more.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    fn is_sending(&self) -> bool {
        self.in_flight.is_some() || !self.out.is_empty() || !self.body.is_done()
    }

    /// The printer reports an error (cutter, head, voltage), in which it ignores `DLE DC4`; paper out and an
    /// open cover are none.
    fn in_error(&self) -> bool {
        self.condition.status.error.is_yes()
    }

    fn set_condition(&mut self, condition: Condition, now: Instant) {
        if condition.fault != self.condition.fault {
            self.fault_since = condition.fault.map(|_: Fault| now);
            self.went_on = now;
        }
        self.condition = condition;
    }
}
