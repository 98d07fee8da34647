//! One request and its answer, sans-IO: an HTTP connection carries no more.
//!
//! The body decides, whatever the answer's content type: a message that was opened with the key is the terminal's. Only
//! the response to this very request is an answer: its category, `SaleID`, `ServiceID` and `POIID` are compared.

use std::time::{Duration, Instant};

use super::crypto::Key;
use super::http::{self, Start};
use super::wire::{Body, Direction, Fault, Header, Message};
use crate::pan;

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Session {
    out: Option<Vec<u8>>,
    expects: Header,
    key: Option<Key>,
    reader: http::Reader,
    deadline: Instant,
    event: Option<Event>,
    ended: bool,
}

/// How a request ended. There is one, once.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The response to the request.
    Answer(Box<Message>),
    /// It was taken, and there is nothing to answer: an abort.
    Taken,
    /// The terminal has rejected the message, and says why.
    Rejected(String),
    /// The web server answered with this status.
    Status(u16),
    /// Something else came, and what; nothing in it counts.
    Unusable(Unusable),
    /// Nothing came in time.
    TimedOut,
}

/// Why what came is no answer.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// The connection ended before anything came.
    Closed,
    /// It is no HTTP.
    Http(http::Invalid),
    /// It is no message, or not the terminal's.
    Message(Fault),
    /// It answers something else.
    Foreign,
}

impl Session {
    /// The request `message`, sealed with `key` and `nonce` if there is one, to the terminal at `host`. Its answer has
    /// to come within `within`.
    pub fn new(message: &Message, key: Option<(&Key, [u8; 16])>, host: &str, within: Duration, now: Instant) -> Self {
        Self {
            out: Some(http::request(host, &message.to_json(key))),
            expects: message.header.clone(),
            key: key.map(|(key, _)| key.clone()),
            reader: http::Reader::of_responses(),
            deadline: now + within,
            event: None,
            ended: false,
        }
    }

    /// The bytes to send, once.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.take()
    }

    /// Bytes of the terminal, split anywhere.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        self.reader.feed(bytes);
        match self.reader.next_message() {
            Ok(Some(message)) => self.end(|this| this.judge(&message)),
            Ok(None) => {}
            Err(why) => self.end(|_| Event::Unusable(Unusable::Http(why))),
        }
    }

    /// The connection has ended.
    pub fn handle_end(&mut self) {
        let event = match self.reader.end() {
            Ok(Some(message)) => self.judge(&message),
            Ok(None) => Event::Unusable(Unusable::Closed),
            Err(why) => Event::Unusable(Unusable::Http(why)),
        };
        self.end(|_| event);
    }

    /// The time is now.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.deadline {
            self.end(|_| Event::TimedOut);
        }
    }

    /// The answer has to come within `within` from now, if that is sooner.
    pub fn hurry(&mut self, within: Duration, now: Instant) {
        self.deadline = self.deadline.min(now + within);
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.ended).then_some(self.deadline)
    }

    /// How it ended.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    fn end(&mut self, event: impl FnOnce(&Self) -> Event) {
        if !self.ended {
            self.event = Some(event(self));
            self.ended = true;
        }
    }

    fn judge(&self, response: &http::Message) -> Event {
        let Start::Response(status) = response.start else { return Event::Unusable(Unusable::Closed) };
        if !(200..300).contains(&status) {
            return Event::Status(status);
        }
        if response.body.trim_ascii().is_empty() || response.body.eq_ignore_ascii_case(b"ok") {
            return Event::Taken;
        }
        match Message::from_json(&response.body, self.key.as_ref()) {
            Ok(Message { body: Body::Event(event), .. }) => Event::Rejected(event.text()),
            Ok(message) if self.is_answer(&message.header) => Event::Answer(Box::new(message)),
            Ok(_) => Event::Unusable(Unusable::Foreign),
            // Notices of a rejected message come in clear. They say why and settle nothing.
            Err(Fault::NotSealed) => match Message::from_json(&response.body, None) {
                Ok(Message { body: Body::Event(event), .. }) => Event::Rejected(event.text()),
                _ => Event::Unusable(Unusable::Message(Fault::NotSealed)),
            },
            Err(fault) => Event::Unusable(Unusable::Message(fault)),
        }
    }

    fn is_answer(&self, header: &Header) -> bool {
        let asked = &self.expects;
        header.direction == Direction::Response
            && header.category == asked.category
            && header.sale_id == asked.sale_id
            && header.service_id == asked.service_id
            && header.poi_id == asked.poi_id
    }
}

impl Event {
    /// Why this is no answer, in words.
    pub fn text(&self) -> String {
        match self {
            Self::Answer(_) => "it was answered".into(),
            Self::Taken => "the terminal answered with nothing".into(),
            Self::Rejected(why) => format!("the terminal rejected the message: {}", clean(why)),
            Self::Status(status) => format!("the terminal answered with HTTP status {status}"),
            Self::Unusable(Unusable::Closed) => "the connection ended before an answer came".into(),
            Self::Unusable(Unusable::Http(why)) => why.to_string(),
            Self::Unusable(Unusable::Message(fault)) => fault.to_string(),
            Self::Unusable(Unusable::Foreign) => "the terminal answered something else".into(),
            Self::TimedOut => "no complete answer in time".into(),
        }
    }
}

/// A text of the terminal without card numbers, and of bounded length.
pub(super) fn clean(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    pan::mask_line(&line.chars().take(LONGEST).collect::<String>(), &[])
}

/// Characters that are kept of a text for people.
const LONGEST: usize = 200;
