//! The till's side of a ZVT dialogue, sans-IO (PA00P015, chapters 1 and "Timeouts").
//!
//! Feed it with [`Session::handle_input`] and [`Session::handle_timeout`], send what
//! [`Session::poll_transmit`] gives, handle what [`Session::poll_event`] gives, and come back at
//! [`Session::poll_timeout`].
//!
//! A status information (04 0F) and a print command are acknowledged only after
//! [`Session::confirm`], so that what they say can be made durable first. Whether and how they are
//! acknowledged does not depend on what can be read in them.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::commands::intermediate::Intermediate;
use super::wire::{self, Apdu, Decoder};

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// T3: for the acknowledgement of a command. 5 s.
    pub t3: Duration,
    /// T4: for the next command of the terminal. 180 s; the terminal can change it.
    pub t4: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { t3: Duration::from_secs(5), t4: Duration::from_secs(180) }
    }
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// With its acknowledgement: log-off.
    Acknowledged,
    /// With 06 0F or 06 1E.
    Completed,
}

/// The data of a message. `Debug` shows its length only: it may hold a card number.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(pub Vec<u8>);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The terminal took the command: `80 00 00` or `84 00`.
    Accepted,
    /// The terminal refused the command: `84 xx`.
    Refused {
        /// The result code.
        code: u8,
        /// What came with it.
        data: Data,
    },
    /// Whether the terminal took the wish to abort. No outcome either way.
    AbortAnswered(bool),
    /// 04 FF.
    Intermediate(Data),
    /// 04 0F; waits for [`Session::confirm`] or [`Session::refuse`].
    Result(Data),
    /// 06 D1; waits for [`Session::confirm`].
    PrintLine(Data),
    /// 06 D3; waits for [`Session::confirm`].
    PrintBlock(Data),
    /// 06 0F: the command ended well.
    Completed(Data),
    /// 06 1E: the command ended without success.
    Aborted(Data),
    /// Another command of the terminal, and whether it was acknowledged.
    Other {
        /// Class and instruction.
        code: u16,
        /// `80 00 00`, else `84 83`.
        acknowledged: bool,
        /// What came with it.
        data: Data,
    },
    /// The dialogue is over; this session is spent.
    Failed(Failure),
}

/// Why a dialogue is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// T3: the command was not acknowledged.
    NotAcknowledged,
    /// T4: nothing came any more.
    Silent,
    /// Bytes that are not ZVT.
    Invalid(wire::Invalid),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAcknowledged => f.write_str("the terminal did not acknowledge the command"),
            Self::Silent => f.write_str("the terminal fell silent"),
            Self::Invalid(at) => write!(f, "what came is not ZVT: byte {:02x} at offset {}", at.byte, at.offset),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A command was sent; T3 runs.
    Acknowledgement(Flow),
    /// The terminal is master; T4 runs.
    Running,
    /// The terminal waits for us; no timer of ours runs.
    Confirmation {
        running: bool,
    },
    Spent,
}

/// One dialogue over one connection.
#[derive(Debug)]
pub struct Session {
    timeouts: Timeouts,
    /// T4 as it is now.
    t4: Duration,
    decoder: Decoder,
    phase: Phase,
    deadline: Option<Instant>,
    abort_open: bool,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session on a fresh connection.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            t4: timeouts.t4,
            decoder: Decoder::default(),
            phase: Phase::Idle,
            deadline: None,
            abort_open: false,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// No command runs, and one can be started.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// It failed and can do nothing any more.
    pub fn is_spent(&self) -> bool {
        self.phase == Phase::Spent
    }

    /// Sends a command, an APDU. Does nothing and returns `false` unless idle.
    #[must_use]
    pub fn start(&mut self, command: Vec<u8>, flow: Flow, now: Instant) -> bool {
        if !self.is_idle() {
            return false;
        }
        self.transmit.push_back(command);
        self.phase = Phase::Acknowledgement(flow);
        self.t4 = self.timeouts.t4;
        self.abort_open = false;
        self.deadline = Some(now + self.timeouts.t3);
        true
    }

    /// Asks the terminal to end the running command. Does nothing and returns `false` when none runs or it
    /// was asked already.
    pub fn abort(&mut self) -> bool {
        let can = self.phase == Phase::Running && !self.abort_open;
        if can {
            let mut command = Vec::new();
            super::commands::admin::abort(&mut command);
            self.transmit.push_back(command);
            self.abort_open = true;
        }
        can
    }

    /// Acknowledges the 04 0F or print command that was last given as an event.
    pub fn confirm(&mut self, now: Instant) {
        self.answer(wire::ACK, now);
    }

    /// Refuses it with `84 code`. For a 04 0F the terminal then takes the payment back.
    pub fn refuse(&mut self, code: u8, now: Instant) {
        self.answer(wire::nak(code), now);
    }

    fn answer(&mut self, answer: [u8; 3], now: Instant) {
        if let Phase::Confirmation { running } = self.phase {
            self.transmit.push_back(answer.to_vec());
            self.phase = if running { Phase::Running } else { Phase::Idle };
            self.deadline = running.then(|| now + self.t4);
            self.work(now);
        }
    }

    /// Takes in what came from the link.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if self.is_spent() {
            return;
        }
        self.decoder.feed(bytes);
        self.work(now);
    }

    /// Tells that `now` has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|at| at <= now) {
            match self.phase {
                Phase::Acknowledgement(_) => self.fail(Failure::NotAcknowledged),
                Phase::Running => self.fail(Failure::Silent),
                _ => self.deadline = None,
            }
        }
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Handles whole APDUs until one needs a confirmation. What comes after that waits.
    fn work(&mut self, now: Instant) {
        while !matches!(self.phase, Phase::Confirmation { .. } | Phase::Spent) {
            let mut decoder = std::mem::take(&mut self.decoder);
            let next = decoder.next_apdu();
            let done = match next {
                Ok(Some(apdu)) => {
                    self.handle(apdu, now);
                    false
                }
                Ok(None) => true,
                Err(invalid) => {
                    self.fail(Failure::Invalid(invalid));
                    true
                }
            };
            self.decoder = decoder;
            if done {
                return;
            }
        }
    }

    fn handle(&mut self, apdu: Apdu<'_>, now: Instant) {
        match self.phase {
            _ if apdu.is_answer() => self.handle_answer(apdu, now),
            // The terminal has not taken our command yet: this belongs to something before it. It must
            // not be acknowledged, for an acknowledged 04 0F is a payment that stands.
            Phase::Acknowledgement(_) => tracing::debug!(?apdu, "ignored before the acknowledgement"),
            Phase::Running => {
                self.deadline = Some(now + self.t4);
                self.handle_command(apdu, now);
            }
            Phase::Idle => match apdu.code() {
                0x040f => tracing::warn!("a result came that nobody waits for; it is not acknowledged"),
                0x060f | 0x061e => self.acknowledge(),
                _ => self.handle_command(apdu, now),
            },
            Phase::Confirmation { .. } | Phase::Spent => {}
        }
    }

    fn handle_answer(&mut self, apdu: Apdu<'_>, now: Instant) {
        let positive = apdu.class == 0x80 || apdu.instr == 0x00;
        match self.phase {
            Phase::Acknowledgement(flow) => {
                let (phase, deadline) = match flow {
                    Flow::Completed if positive => (Phase::Running, Some(now + self.t4)),
                    _ => (Phase::Idle, None),
                };
                (self.phase, self.deadline) = (phase, deadline);
                let event = match positive {
                    true => Event::Accepted,
                    false => Event::Refused { code: apdu.instr, data: Data(apdu.data.to_vec()) },
                };
                self.events.push_back(event);
            }
            _ if self.abort_open => {
                self.abort_open = false;
                self.events.push_back(Event::AbortAnswered(positive));
            }
            _ => tracing::debug!(?apdu, "ignored, nothing was asked"),
        }
    }

    fn handle_command(&mut self, apdu: Apdu<'_>, now: Instant) {
        let running = self.phase == Phase::Running;
        let data = Data(apdu.data.to_vec());
        match apdu.code() {
            0x04ff => {
                if let Some(timeout) = Intermediate::parse(apdu.data).timeout.filter(|_| running) {
                    self.t4 = timeout;
                    self.deadline = Some(now + timeout);
                }
                self.acknowledge();
                self.events.push_back(Event::Intermediate(data));
            }
            0x040f => self.wait(Event::Result(data), running),
            0x06d1 => self.wait(Event::PrintLine(data), running),
            0x06d3 => self.wait(Event::PrintBlock(data), running),
            0x060f => self.end(Event::Completed(data)),
            0x061e => self.end(Event::Aborted(data)),
            code => {
                // Set clock, display text: nothing is asked of us. Anything else wants an answer.
                let acknowledged = matches!(code, 0x0401 | 0x06e0 | 0x06e1);
                let answer = if acknowledged { wire::ACK } else { wire::nak(0x83) };
                self.transmit.push_back(answer.to_vec());
                self.events.push_back(Event::Other { code, acknowledged, data });
            }
        }
    }

    fn wait(&mut self, event: Event, running: bool) {
        self.events.push_back(event);
        self.phase = Phase::Confirmation { running };
        self.deadline = None;
    }

    fn end(&mut self, event: Event) {
        self.acknowledge();
        self.events.push_back(event);
        (self.phase, self.deadline) = (Phase::Idle, None);
    }

    fn acknowledge(&mut self) {
        self.transmit.push_back(wire::ACK.to_vec());
    }

    fn fail(&mut self, failure: Failure) {
        self.events.push_back(Event::Failed(failure));
        (self.phase, self.deadline) = (Phase::Spent, None);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
