//! The till's side of the dialogue with an ESC/POS printer, sans-IO.
//!
//! Start a call with [`Session::begin`]. Then, until [`Session::poll_event`] returns its end: send what
//! [`Session::poll_transmit`] returns and report with [`Session::handle_sent`] when the link has taken it; feed input to
//! [`Session::handle_input`]; call [`Session::handle_timeout`] at [`Session::poll_timeout`]. Input is also expected while
//! a piece is being sent: a printer that runs out of paper stops reading, and reports why.
//!
//! A call is an agenda of `Step`s. Replies are kept as facts; a step looks at them and ends, waits, or puts further
//! steps in front of the agenda. Replies are matched with requests in `realtime` for `DLE EOT`, and in `replies` for
//! everything that the printer answers in the order of its buffer.

mod body;
mod calls;
mod ending;
mod handshake;
mod job;
mod realtime;
mod replies;
mod steps;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tresen_hal::{Effect, Error, Kind, Known, Result};

use super::options::{Options, ProofBy};
use super::status::{Condition, Decoder, Fault};
use crate::printer::{Capabilities, DrawerPin, Identity, Job, Outcome, Status};
use crate::profile::Profile;
use body::Body;
use job::JobState;
use realtime::Realtime;
use replies::Received;
use steps::Step;

/// A call.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Call<'a> {
    /// Open the printer on a fresh link. Must be the first call; ends with [`Event::Done`].
    Open,
    /// Request the status. Ends with [`Event::Done`]; see [`Session::status`].
    Status,
    /// Request the status, but of a printer that is stopped only whether it still is: while a printer is stopped it reads
    /// nothing, and requests fill its buffer. Ends with [`Event::Done`]; see [`Session::status`].
    Recheck,
    /// Request the identity. Ends with [`Event::Done`]; see [`Session::identity`].
    Identity,
    /// Print a job. Ends with [`Event::Printed`].
    Print(&'a Job),
    /// Open the drawer. Ends with [`Event::Done`].
    Kick(DrawerPin),
    /// Discard buffered data and return to a known state. Ends with [`Event::Done`].
    Reset,
    /// Send bytes unchanged. Ends with [`Event::Done`] when the link has taken them.
    Raw(&'a [u8]),
}

/// An event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The printer's status has changed.
    Status(Status),
    /// The call is over.
    Done(Result<()>),
    /// The job is over.
    Printed(Outcome),
}

/// A running call.
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
    /// A job; true once its first byte may have been sent.
    Job(bool),
}

/// One connection to one printer.
#[derive(Debug)]
pub struct Session {
    options: Options,
    profile: Profile,
    capabilities: Capabilities,
    identity: Identity,
    /// Maker, model and way of proof are known, or were asked for often enough.
    recognised: bool,
    recognition_attempts: u8,
    /// Firmware and serial number were asked for.
    details: bool,
    /// How jobs are proven here; `None` until that is known.
    proof_by: ProofBy,

    decoder: Decoder,
    condition: Condition,
    fault_since: Option<Instant>,
    /// When the last fault ended.
    fault_ended: Instant,
    realtime: Realtime,
    /// The `GS r` requests not yet answered, by the job that sent them; 0 is none.
    unanswered: VecDeque<u32>,
    /// There were, or may be, answers to requests of others: none proves a job until in sync again.
    out_of_sync: bool,
    /// Something came that answers no request: the status has to be requested.
    recheck: bool,
    /// When the last round of statuses ended.
    asked_at: Option<Instant>,
    /// Whether the printer answered that round.
    answered: bool,

    running: Option<Running>,
    agenda: VecDeque<Step>,
    active: Option<Step>,
    /// When the active step began, and what was received since.
    since: Instant,
    received: Received,
    /// When the round of statuses continues.
    wait_until: Option<Instant>,
    /// A job of which nothing has been sent.
    pending: Option<Job>,
    job: Option<JobState>,
    jobs: u32,
    process_id: u32,

    out: VecDeque<Bytes>,
    body: Body,
    in_flight: Option<Instant>,
    sent_at: Instant,
    /// Sending ended inside a piece or a job: the printer's state is unknown.
    broken: bool,

    events: VecDeque<Event>,
    reported: Status,
}

impl Session {
    /// A session on a fresh connection. `salt` is a random number that keeps the process ids of this connection apart
    /// from those of earlier ones, whose jobs may still be printed.
    pub fn new(options: Options, salt: u64, now: Instant) -> Self {
        let profile = options.apply(options.profile.clone().unwrap_or_default());
        Self {
            capabilities: profile.capabilities(),
            profile,
            options,
            identity: Identity::default(),
            recognised: false,
            recognition_attempts: 0,
            details: false,
            proof_by: ProofBy::None,
            decoder: Decoder::default(),
            condition: Condition::default(),
            fault_since: None,
            fault_ended: now,
            realtime: Realtime::default(),
            unanswered: VecDeque::new(),
            out_of_sync: false,
            recheck: false,
            asked_at: None,
            answered: false,
            running: None,
            agenda: VecDeque::new(),
            active: None,
            since: now,
            received: Received::default(),
            wait_until: None,
            pending: None,
            job: None,
            jobs: 0,
            process_id: (salt % u64::from(job::PROCESS_IDS)) as u32,
            out: VecDeque::new(),
            body: Body::default(),
            in_flight: None,
            sent_at: now,
            broken: false,
            events: VecDeque::new(),
            reported: Status::default(),
        }
    }

    /// The printer's profile, as far as known.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The printer's capabilities, as far as known.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The identity that the printer has reported.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The status, as last reported.
    pub fn status(&self) -> Status {
        self.condition.status
    }

    /// Begins a call. One that was still running is abandoned: its result is lost, what it sent is not undone.
    pub fn begin(&mut self, call: Call<'_>, now: Instant) {
        self.abandon();
        let limit = match call {
            Call::Print(_) | Call::Raw(_) => self.options.timing.job,
            _ => self.options.timing.call,
        };
        let purpose = if matches!(call, Call::Print(_)) { Purpose::Job(false) } else { Purpose::Call };
        self.running = Some(Running { purpose, since: now, limit });
        if self.broken {
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

    /// Opens the drawer while a call is running, with a real-time command.
    ///
    /// # Errors
    /// [`Kind::Busy`]: the printer has no such command, or a job is still being sent. [`Kind::Operator`]: the printer is
    /// stopped and reads nothing, or reports an error, in which it ignores the command. [`Kind::Unsupported`]: it has no
    /// drawer port.
    pub fn kick_now(&mut self, pin: DrawerPin) -> Result<()> {
        if self.capabilities.drawer == Known::No {
            return Err(calls::no_drawer());
        }
        if self.profile.urgent_drawer != Known::Yes {
            return Err(Error::new(Kind::Busy, "the printer is busy and cannot open the drawer in real time"));
        }
        if let Some(fault) = self.condition.fault.filter(|_| self.in_error()) {
            return Err(calls::drawer_stays_shut(fault));
        }
        if self.broken || self.is_sending() {
            // Inside a job it could become part of an image.
            return Err(match self.condition.fault {
                Some(fault) => calls::stopped(fault),
                None => Error::new(Kind::Busy, "a job is being sent to the printer"),
            });
        }
        self.out.push_back(calls::urgent_pulse(pin).into());
        Ok(())
    }

    /// Handles bytes from the link.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.decoder.feed(bytes);
        while let Some(reply) = self.decoder.next_reply() {
            tracing::trace!(?reply, "received");
            self.reply(reply, now);
        }
        self.run(now);
        // A printer that never stops sending must not keep a call alive.
        self.expire(now);
    }

    /// The link has taken the piece that [`Session::poll_transmit`] returned last.
    pub fn handle_sent(&mut self, now: Instant) {
        self.in_flight = None;
        self.sent_at = now;
        self.realtime.sent(now);
        self.run(now);
    }

    /// The link has failed. A running call ends with this error; otherwise the error is returned.
    pub fn handle_lost(&mut self, error: Error) -> Option<Error> {
        if self.running.is_none() {
            return Some(error);
        }
        self.fail(error);
        None
    }

    /// Handles the deadlines that have passed at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.expire(now) {
            self.run(now);
        }
    }

    /// The next bytes to send, at most 4096; `None` until the link has taken the previous ones.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.in_flight.is_some() {
            return None;
        }
        let piece = self.out.pop_front().or_else(|| self.body.next_piece())?;
        self.in_flight = Some(now);
        Some(piece)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.reported != self.condition.status {
            self.reported = self.condition.status;
            return Some(Event::Status(self.reported));
        }
        self.events.pop_front()
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Nothing more happens on a broken connection; a deadline that stays in the past would keep its caller busy.
        if self.broken && self.running.is_none() {
            return None;
        }
        let limit = self.running.map(|r| r.since + r.limit);
        let step = if self.is_sending() { self.stalled() } else { self.deadline() };
        [limit, step].into_iter().flatten().min()
    }

    /// Sending was cut short: this connection is unusable.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    fn is_sending(&self) -> bool {
        self.in_flight.is_some() || !self.out.is_empty() || !self.body.is_done()
    }

    /// Whether the printer reports an error (cutter, head, voltage), in which it ignores `DLE DC4`. Paper out and an open
    /// cover are no errors.
    fn in_error(&self) -> bool {
        self.condition.status.error.is_yes()
    }

    fn set_condition(&mut self, condition: Condition, now: Instant) {
        if condition.fault != self.condition.fault {
            self.fault_since = condition.fault.map(|_: Fault| now);
            self.fault_ended = now;
        }
        self.condition = condition;
    }
}
