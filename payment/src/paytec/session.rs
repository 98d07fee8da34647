//! The till's side of a connection, sans-IO: one request at a time, heartbeats, and what the terminal tells by itself.
//!
//! It takes and gives whole messages; [`framing`](super::framing) cuts them from a link's bytes. No message bears a number:
//! an answer belongs to the request whose name it has. One that nothing was asked for makes the session
//! [doubtful](Session::is_doubtful): it may answer something that was given up.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::framing::TooLong;
use super::wire::{Message, Unreadable};

/// How long a silent terminal is let alone before a heartbeat asks for it, and how long its answer may take. As
/// in the vendor's library: 10 s each.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The answer to the request that ran.
    Answer(Message),
    /// The request that ran was not answered in time. Its answer may still come.
    Unanswered,
    /// What the terminal tells without being asked: its status, a receipt, a text, an error.
    Told(Message),
    /// An answer that nothing was asked for.
    Stray(Message),
    /// A message that is not known here, or cannot be read, while a request runs that it may answer.
    Unreadable(Unreadable),
    /// The connection is over; this session is spent.
    Failed(Failure),
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing came for twice [`HEARTBEAT`].
    Silent,
    /// Nothing on the serial line was acknowledged.
    Unacknowledged,
    /// What came is not of this protocol.
    NotJson,
    /// A line has no end.
    TooLong(TooLong),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("the terminal fell silent"),
            Self::Unacknowledged => f.write_str("the terminal acknowledges nothing on the serial line"),
            Self::NotJson => f.write_str("what came is not PayTec's protocol: no JSON object"),
            Self::TooLong(why) => write!(f, "what came is not PayTec's protocol: {why}"),
        }
    }
}

/// A request that runs.
#[derive(Debug)]
struct Pending {
    answer: &'static str,
    deadline: Instant,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    pending: Option<Pending>,
    heard: Instant,
    /// When a heartbeat was sent that nothing has come after.
    asked: Option<Instant>,
    /// Answers that were given up and may still come.
    owed: Vec<&'static str>,
    /// One has come that nothing was asked for.
    strayed: bool,
    spent: bool,
    transmit: VecDeque<Message>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session on a fresh connection.
    pub fn new(now: Instant) -> Self {
        Self {
            pending: None,
            heard: now,
            asked: None,
            owed: Vec::new(),
            strayed: false,
            spent: false,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// It failed and can do nothing any more.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// Answers came late or twice, or may still come: they could be taken for those of another request.
    pub fn is_doubtful(&self) -> bool {
        self.strayed || !self.owed.is_empty()
    }

    /// One has come that nothing was asked for, or that was given up.
    pub fn has_strayed(&self) -> bool {
        self.strayed
    }

    /// A request runs.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// Sends a request whose answer is waited for until `deadline`. Does nothing and returns `false` while another one
    /// runs, or if it is no request.
    #[must_use]
    pub fn request(&mut self, message: Message, deadline: Instant) -> bool {
        let Some(answer) = message.answered_by().filter(|_| self.pending.is_none() && !self.spent) else {
            return false;
        };
        self.transmit.push_back(message);
        self.pending = Some(Pending { answer, deadline });
        true
    }

    /// Waits once more for an answer of this name: what came was another's, or nothing came.
    pub fn await_again(&mut self, answer: &'static str, deadline: Instant) {
        if self.pending.is_none() && !self.spent {
            self.owed.retain(|owed| *owed != answer);
            self.pending = Some(Pending { answer, deadline });
        }
    }

    /// Asks the terminal to end the running request. No outcome: the answer to the request tells.
    pub fn abort(&mut self) {
        if self.pending.is_some() {
            self.transmit.push_back(Message::AbortTransactionRequest {});
        }
    }

    /// From now on the running request has until `deadline` at most.
    pub fn hurry(&mut self, deadline: Instant) {
        if let Some(pending) = &mut self.pending {
            pending.deadline = pending.deadline.min(deadline);
        }
    }

    /// Gives up the running request; its answer may still come.
    pub fn give_up(&mut self) {
        self.owed.extend(self.pending.take().map(|pending| pending.answer));
    }

    /// The terminal has refused the running request: no answer to it will come.
    pub fn refused(&mut self) {
        self.pending = None;
    }

    /// Takes in a line.
    pub fn handle_line(&mut self, line: &[u8], now: Instant) {
        if self.spent {
            return;
        }
        self.heard(now);
        match Message::from_line(line) {
            Ok(message) => self.handle(message),
            Err(Unreadable::NotJson) => self.fail(Failure::NotJson),
            Err(unreadable) => {
                tracing::warn!(%unreadable, "from the terminal");
                let answers = |pending: &Pending| unreadable == Unreadable::Bad(pending.answer);
                if self.pending.as_ref().is_some_and(answers) {
                    self.give_up();
                    self.events.push_back(Event::Unreadable(unreadable));
                }
            }
        }
    }

    /// The bytes from here on are no lines.
    pub fn handle_too_long(&mut self, why: TooLong) {
        self.fail(Failure::TooLong(why));
    }

    /// The link below has given up.
    pub fn handle_lost(&mut self) {
        self.fail(Failure::Unacknowledged);
    }

    fn handle(&mut self, message: Message) {
        if self.pending.as_ref().is_some_and(|pending| pending.answer == message.name()) {
            self.pending = None;
            return self.events.push_back(Event::Answer(message));
        }
        match message {
            Message::HeartbeatRequest {} => self.transmit.push_back(Message::HeartbeatResponse {}),
            Message::HeartbeatResponse {} => {}
            Message::StatusResponse(_)
            | Message::ReceiptResponse(_)
            | Message::ReportResponse(_)
            | Message::DisplayNotification { .. }
            | Message::AbortTransactionResponse {}
            | Message::ErrorNotification(_) => self.events.push_back(Event::Told(message)),
            _ => {
                self.owed.retain(|owed| *owed != message.name());
                self.strayed = true;
                self.events.push_back(Event::Stray(message));
            }
        }
    }

    fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
        self.asked = None;
    }

    /// Handles deadlines that have passed by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.spent {
            return;
        }
        if self.pending.as_ref().is_some_and(|pending| pending.deadline <= now) {
            self.give_up();
            self.events.push_back(Event::Unanswered);
        }
        match self.asked {
            Some(at) if at + HEARTBEAT <= now => self.fail(Failure::Silent),
            None if self.heard + HEARTBEAT <= now => {
                self.asked = Some(now);
                self.transmit.push_back(Message::HeartbeatRequest {});
            }
            _ => {}
        }
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Message> {
        self.transmit.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.spent {
            return None;
        }
        let alive = self.asked.unwrap_or(self.heard) + HEARTBEAT;
        Some(self.pending.as_ref().map_or(alive, |pending| pending.deadline.min(alive)))
    }

    fn fail(&mut self, failure: Failure) {
        if !self.spent {
            (self.spent, self.pending) = (true, None);
            self.events.push_back(Event::Failed(failure));
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
