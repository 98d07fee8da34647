//! The till's side of a ZVT dialogue, sans-IO (PA00P015, chapters 1 and "Timeouts").
//!
//! It takes and gives whole APDUs; a [`transport`](super::transport) carries them, and tells which have arrived. Feed it
//! with [`Session::handle_input`] and [`Session::handle_timeout`], send what [`Session::poll_transmit`] gives,
//! handle what [`Session::poll_event`] gives, and come back at [`Session::poll_timeout`].
//!
//! A status information (04 0F) and a print command are acknowledged only after
//! [`Session::confirm`], so that what they say can be made durable first. Whether and how they are
//! acknowledged does not depend on what can be read in them.
//!
//! ZVT numbers no message: which command an answer belongs to follows from their order alone. So the
//! session counts the answers that are owed, across commands, and starts nothing that moves money
//! while one is owed ([`Session::owes`]).

mod event;
mod incoming;
mod timeouts;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::framing::Invalid;
use super::wire::{self, Apdu};

pub use event::{Data, Event, Failure, Flow};
pub use timeouts::Timeouts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A command was sent; T3 runs.
    Acknowledgement(Flow),
    /// The terminal is master; T4 runs.
    Running(Flow),
    /// The terminal waits for us; no timer of ours runs.
    Confirmation {
        /// What runs on afterwards.
        running: Option<Flow>,
    },
    Spent,
}

/// What comes from the link.
#[derive(Debug)]
enum Input {
    /// A whole APDU: class and instruction, and its data.
    Apdu(u16, Data),
    /// From here on nothing can be read.
    Invalid(Invalid),
}

/// One dialogue over one connection.
#[derive(Debug)]
pub struct Session {
    timeouts: Timeouts,
    /// How long the transport takes at most to know whether a message has arrived.
    delivery: Duration,
    /// Class and instruction of the command that was started last.
    command: u16,
    /// T4 as it is now.
    t4: Duration,
    /// What came and waits for a confirmation of what came before.
    inbox: VecDeque<Input>,
    phase: Phase,
    deadline: Option<Instant>,
    /// When the running command has to be over, whatever comes.
    limit: Option<Instant>,
    /// Answers that have not come: to the command that was sent last, to aborts, to enquiries that were
    /// given up.
    owed: u8,
    /// One of them is to an abort, sent at this time.
    abort_sent: Option<Instant>,
    /// An answer came since the last command was sent, and others were owed then.
    ambiguous: bool,
    doubtful: bool,
    misses_end: bool,
    hurried: bool,
    /// When something came last.
    heard: Option<Instant>,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session on a fresh connection.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            delivery: Duration::ZERO,
            command: 0,
            t4: timeouts.t4,
            inbox: VecDeque::new(),
            phase: Phase::Idle,
            deadline: None,
            limit: None,
            owed: 0,
            abort_sent: None,
            ambiguous: false,
            doubtful: false,
            misses_end: false,
            hurried: false,
            heard: None,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The same over a transport that takes this long at most to know whether a message has arrived, and says so:
    /// [`Session::handle_delivered`], [`Session::handle_undelivered`].
    #[must_use]
    pub fn with_delivery(mut self, delivery: Duration) -> Self {
        self.delivery = delivery;
        self
    }

    /// No command runs.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// It failed and can do nothing any more.
    pub fn is_spent(&self) -> bool {
        self.phase == Phase::Spent
    }

    /// An answer is owed, so that only enquiries can be started.
    pub fn owes(&self) -> bool {
        self.owed > 0
    }

    /// Answers came late or twice on this connection, so a refusal, or an end without a result, may belong to
    /// an earlier command.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// An enquiry was taken and its 06 0F never came: one that comes now may be that one.
    pub fn misses_end(&self) -> bool {
        self.misses_end
    }

    /// Gives up waiting for answers to enquiries, after a later one was answered in full. The session
    /// is [doubtful](Session::is_doubtful) from then on. An abort's answer is not given up.
    pub fn forgive(&mut self) {
        if self.is_idle() && self.abort_sent.is_none() && self.owed > 0 {
            self.owed = 0;
            self.doubtful = true;
        }
    }

    /// The answer to an abort is owed, so that nothing can be started. [`Session::poll_timeout`] says
    /// until when it is waited for.
    pub fn owes_abort(&self) -> bool {
        self.abort_sent.is_some()
    }

    /// Sends a command, an APDU. Does nothing and returns `false` unless idle, while the answer to an
    /// abort is owed, and, but for an enquiry, while any answer is owed.
    #[must_use]
    pub fn start(&mut self, command: Vec<u8>, flow: Flow, now: Instant) -> bool {
        if !self.is_idle() || self.owes_abort() || (self.owes() && flow != Flow::Enquiry) {
            return false;
        }
        self.command = command.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
        self.transmit.push_back(command);
        self.phase = Phase::Acknowledgement(flow);
        self.t4 = if flow == Flow::Enquiry { self.timeouts.enquiry + self.delivery } else { self.timeouts.t4 };
        self.limit = Some(
            now + self.timeouts.limit.min(match flow {
                Flow::Enquiry => Timeouts::ENQUIRY_LIMIT,
                Flow::Completed | Flow::Acknowledged => Duration::MAX,
            }),
        );
        self.owed = self.owed.saturating_add(1);
        (self.ambiguous, self.hurried) = (false, false);
        self.deadline = Some(now + self.delivery + self.t3());
        true
    }

    /// Asks the terminal to end the running command. Does nothing and returns `false` when none runs, or
    /// while it has not answered an earlier abort.
    pub fn abort(&mut self, now: Instant) -> bool {
        let can = matches!(self.phase, Phase::Running(_)) && self.abort_sent.is_none();
        if can {
            let mut command = Vec::new();
            super::commands::admin::abort(&mut command);
            self.transmit.push_back(command);
            self.owed = self.owed.saturating_add(1);
            self.abort_sent = Some(now);
        }
        can
    }

    /// From now on silence of T3, not T4, ends the running command; a terminal that still talks is
    /// heard out.
    pub fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        self.t4 = self.t3();
        if let Phase::Running(_) = self.phase {
            self.deadline = Some(self.heard.unwrap_or(now) + self.t4);
        }
    }

    /// Acknowledges the 04 0F or print command that was last given as an event.
    pub fn confirm(&mut self, now: Instant) {
        self.answer(wire::ACK.to_vec(), now);
    }

    /// Acknowledges what was last given as an event and sends data along.
    pub fn reply(&mut self, data: &[u8], now: Instant) {
        let mut answer = Vec::new();
        wire::encode(&mut answer, 0x80, 0x00, |out| out.extend(data));
        self.answer(answer, now);
    }

    /// Refuses it with `84 code`. For a 04 0F the terminal then takes the payment back.
    pub fn refuse(&mut self, code: u8, now: Instant) {
        self.answer(wire::nak(code).to_vec(), now);
    }

    fn answer(&mut self, answer: Vec<u8>, now: Instant) {
        if let Phase::Confirmation { running } = self.phase {
            self.transmit.push_back(answer);
            self.phase = running.map_or(Phase::Idle, Phase::Running);
            self.deadline = running.map(|_| now + self.t4);
            self.work(now);
        }
    }

    /// T3, and the time that the answer takes.
    fn t3(&self) -> Duration {
        self.timeouts.t3 + self.delivery
    }

    /// A message that begins with `code` has arrived: T3 of a command runs from here on.
    pub fn handle_delivered(&mut self, code: u16, now: Instant) {
        if code == self.command && matches!(self.phase, Phase::Acknowledgement(_)) {
            self.deadline = Some(now + self.t3());
        }
    }

    /// Nobody knows whether a message that begins with `code` has arrived. A command that it may have started is in
    /// doubt; an answer that did not arrive ends the dialogue. An abort is answered or not.
    pub fn handle_undelivered(&mut self, code: u16) {
        match self.phase {
            Phase::Acknowledgement(Flow::Enquiry) if code == self.command => self.give_up(),
            Phase::Acknowledgement(_) if code == self.command => self.fail(Failure::Undelivered),
            Phase::Running(_) | Phase::Confirmation { .. } if wire::is_answer(code) => self.fail(Failure::Undelivered),
            _ => tracing::debug!(code = format_args!("{code:04x}"), "nobody knows whether a message has arrived"),
        }
    }

    /// Takes in an APDU from the link. While a confirmation is awaited it is kept for later, so feed no more
    /// of them than one read of the link gives before handling the events.
    pub fn handle_input(&mut self, apdu: Apdu<'_>, now: Instant) {
        self.take(Input::Apdu(apdu.code(), Data(apdu.data.to_vec())), now);
    }

    /// The link's bytes are no APDUs from here on: the dialogue fails once everything before is handled.
    pub fn handle_invalid(&mut self, invalid: Invalid, now: Instant) {
        self.take(Input::Invalid(invalid), now);
    }

    fn take(&mut self, input: Input, now: Instant) {
        if self.is_spent() {
            return;
        }
        self.heard = Some(now);
        // With a terminal that never pauses, no timer would fire.
        if self.is_overdue(now) {
            self.handle_timeout(now);
        }
        self.inbox.push_back(input);
        self.work(now);
    }

    /// A time has passed that nothing the terminal says can prolong.
    fn is_overdue(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Idle => self.poll_timeout().is_some_and(|at| at <= now),
            _ => self.limit.is_some_and(|at| at <= now),
        }
    }

    /// Handles deadlines that have passed by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        match self.phase {
            // What comes of it later still counts as owed, or is ignored while nothing runs.
            Phase::Acknowledgement(Flow::Enquiry) => self.give_up(),
            Phase::Running(Flow::Enquiry) => {
                (self.doubtful, self.misses_end) = (true, true);
                self.give_up();
            }
            Phase::Acknowledgement(_) => self.fail(Failure::NotAcknowledged),
            Phase::Running(_) if self.is_overdue(now) => self.fail(Failure::Endless),
            Phase::Running(_) => self.fail(Failure::Silent),
            Phase::Idle => self.fail(Failure::Owing),
            Phase::Confirmation { .. } | Phase::Spent => self.deadline = None,
        }
    }

    fn give_up(&mut self) {
        self.events.push_back(Event::Unanswered);
        (self.phase, self.deadline) = (Phase::Idle, None);
    }

    /// The next APDU to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => self.abort_sent.map(|at| at + self.delivery + self.t3()),
            _ => self.deadline.map(|at| self.limit.map_or(at, |limit| at.min(limit))),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.events.push_back(Event::Failed(failure));
        (self.phase, self.deadline) = (Phase::Spent, None);
    }
}

#[cfg(test)]
mod tests;
