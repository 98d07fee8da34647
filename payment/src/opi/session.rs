//! One request of the till and its answer: the dialogue of one connection of channel 0, sans-IO.
//!
//! Order of use: [`Session::new`], then whenever something happens one of the `handle_` methods, then `poll_transmit` and
//! `poll_event` until both return `None`, then wait until `poll_timeout`.
//!
//! An answer belongs to the request if it repeats its type and id. Any other is told as foreign: on a connection that
//! carries one request this is an answer to something else, or a terminal that does not repeat ids.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::framing::{Framing, TooLong, frame};
use super::wire::device::{DeviceRequest, DeviceResponse};
use super::wire::{Header, Message, Request, Response};
use super::xml::{Encoding, Invalid};

/// The dialogue of one connection.
#[derive(Debug)]
pub struct Session {
    framing: Framing,
    encoding: Encoding,
    asked: Header,
    /// The request to abort that was sent over the same connection.
    abort: Option<Header>,
    deadline: Option<Instant>,
    ended: bool,
    out: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// What came of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The answer. Nothing follows it.
    Answer(Box<Response>),
    /// An answer to something else.
    Foreign(Box<Response>),
    /// The answer to [`Session::abort`], which decides nothing.
    AbortAnswered(Box<Response>),
    /// The terminal asks something on this connection, not on its own.
    Device(Box<DeviceRequest>),
    /// A message that is none of these; its name.
    Other(String),
    /// A message that cannot be read. The next one can.
    Unreadable(Invalid),
    /// The connection cannot be read on: this is no OPI. Nothing follows.
    NoOpi(TooLong),
    /// The time is over. Nothing follows.
    TimedOut,
}

impl Session {
    /// Sends `request` and waits for its answer for this long.
    pub fn new(request: &Request, encoding: Encoding, within: Duration, now: Instant) -> Self {
        Self {
            framing: Framing::default(),
            encoding,
            asked: request.header.clone(),
            abort: None,
            deadline: Some(now + within),
            ended: false,
            out: [frame(&request.to_bytes(encoding))].into(),
            events: VecDeque::new(),
        }
    }

    /// Sends a request to abort behind it.
    pub fn abort(&mut self, request: &Request) {
        if !self.ended {
            self.abort = Some(request.header.clone());
            self.out.push_back(frame(&request.to_bytes(self.encoding)));
        }
    }

    /// Waits no longer than this from now on.
    pub fn hurry(&mut self, within: Duration, now: Instant) {
        self.deadline = self.deadline.map(|at| at.min(now + within));
    }

    /// Answers what the terminal asked on this connection.
    pub fn answer(&mut self, response: &DeviceResponse) {
        if !self.ended {
            self.out.push_back(frame(&response.to_bytes(self.encoding)));
        }
    }

    /// Takes bytes from the terminal, split anywhere.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.framing.feed(bytes, now);
        while !self.ended {
            match self.framing.next_message() {
                Ok(Some(message)) => self.message(&message),
                Ok(None) => return,
                Err(too_long) => self.end(Event::NoOpi(too_long)),
            }
        }
    }

    /// The time that [`Session::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.ended && self.poll_timeout().is_some_and(|at| at <= now) {
            self.end(Event::TimedOut);
        }
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let limit = self.deadline.into_iter().chain(self.framing.deadline()).min();
        limit.filter(|_| !self.ended)
    }

    fn message(&mut self, bytes: &[u8]) {
        let event = match Message::parse(bytes) {
            Ok(Message::Response(response)) => {
                let header = &response.header;
                let to = |asked: &Header| header.request_id == asked.request_id && header.is(&asked.request_type);
                if to(&self.asked) {
                    return self.end(Event::Answer(response));
                }
                match &self.abort {
                    Some(abort) if to(abort) => Event::AbortAnswered(response),
                    _ => Event::Foreign(response),
                }
            }
            Ok(Message::DeviceRequest(request)) => Event::Device(Box::new(request)),
            Ok(Message::Request(request)) => Event::Other(request.header.request_type),
            Ok(Message::DeviceResponse(response)) => Event::Other(response.header.request_type),
            Ok(Message::Unknown(name)) => Event::Other(name),
            Err(invalid) => Event::Unreadable(invalid),
        };
        self.events.push_back(event);
    }

    fn end(&mut self, event: Event) {
        self.ended = true;
        self.out.clear();
        self.events.push_back(event);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
