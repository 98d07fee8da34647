//! One request from its sending to its end: the session bound to the link.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::{Effect, Error, Kind, Result};

use super::super::codes::{self, status};
use super::super::recovery::clean;
use super::super::redact::Redactor;
use super::super::session::{Event, Failure};
use super::super::wire::{ErrorNotification, Int, Message, Report};
use super::Terminal;
use crate::host::{Host, Progress};
use crate::slips::Slips;
use crate::waiting::{abort_wanted, reached};

/// A running request and what has come with it.
#[derive(Default)]
pub(super) struct Task {
    pub(super) host: Option<Host>,
    /// The caller may abort it.
    pub(super) abortable: bool,
    /// An error ends it: nobody's money depends on it, or nothing more can be told of it.
    pub(super) enquiry: bool,
    /// How often the caller has asked to abort.
    pub(super) aborts_wanted: u32,
    pub(super) aborts_sent: u32,
    /// The terminal has taken a wish to abort.
    pub(super) aborted: bool,
    /// What the terminal said went wrong.
    pub(super) error: Option<String>,
    /// The terminal has said that it is not busy any more.
    pub(super) rests: bool,
    pub(super) slips: Slips,
    /// Parts of receipts, by type.
    pub(super) parts: BTreeMap<Int, String>,
    /// Types of the receipts that are whole.
    pub(super) whole: Vec<Int>,
    /// Parts of reports.
    pub(super) reports: Vec<Report>,
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum End {
    Answered(Message),
    /// The terminal refused it, and why.
    Refused(String),
    Unanswered,
    /// The answer cannot be read, and why.
    Unreadable(String),
}

impl Task {
    /// Something that moves no money.
    pub(super) fn enquiry() -> Self {
        Self { enquiry: true, ..Self::default() }
    }

    /// The same, followed by `host`.
    pub(super) fn followed(host: Host) -> Self {
        Self { host: Some(host), ..Self::enquiry() }
    }

    pub(super) fn tell(&self, progress: Progress) {
        if let Some(host) = &self.host {
            host.tell(progress);
        }
    }
}

impl Terminal {
    /// Sends a request and sees it through. When this fails or is dropped the driver is spent.
    pub(super) async fn exchange(&mut self, request: Message, within: Duration, task: &mut Task) -> Result<End> {
        self.connected()?;
        let deadline = self.now() + within;
        if !self.session.request(request, deadline) {
            return Err(Error::new(Kind::Busy, "the terminal is in the middle of something").at(&self.options.name));
        }
        self.see_through(task).await
    }

    /// Waits once more for an answer to the request before.
    pub(super) async fn wait_again(&mut self, answer: &'static str, until: Instant, task: &mut Task) -> Result<End> {
        self.connected()?;
        self.session.await_again(answer, until);
        self.see_through(task).await
    }

    async fn see_through(&mut self, task: &mut Task) -> Result<End> {
        self.spent = true;
        let end = self.run(task).await?;
        self.flush().await?;
        self.spent = false;
        Ok(end)
    }

    /// The link holds.
    fn connected(&self) -> Result<()> {
        if self.spent || self.session.is_spent() {
            return Err(Error::new(Kind::Closed, "the connection to the terminal ended in the middle of a dialogue")
                .with_effect(Effect::None)
                .at(&self.options.name)
                .hint("open it again and recover"));
        }
        Ok(())
    }

    /// The link holds, and nothing of an earlier request can be taken for the next one's.
    pub(super) fn usable(&self) -> Result<()> {
        self.connected()?;
        if self.engaged || self.session.is_doubtful() {
            return Err(Error::new(Kind::Closed, "the terminal's answers are missing or came late on this connection")
                .with_effect(Effect::None)
                .at(&self.options.name)
                .hint("open it again and recover"));
        }
        Ok(())
    }

    async fn run(&mut self, task: &mut Task) -> Result<End> {
        loop {
            self.flush().await?;
            if let Some(event) = self.session.poll_event() {
                match event {
                    Event::Answer(message) => return Ok(End::Answered(message)),
                    Event::Unanswered => return Ok(End::Unanswered),
                    Event::Unreadable(why) => return Ok(End::Unreadable(why.to_string())),
                    Event::Told(message) => {
                        if let Some(end) = self.told(message, task) {
                            return Ok(end);
                        }
                    }
                    Event::Stray(message) => tracing::warn!(message = message.name(), "an answer to nothing"),
                    Event::Failed(failure) => return Err(failed(&failure).at(&self.options.name)),
                }
                continue;
            }
            if task.abortable && task.aborts_wanted > task.aborts_sent {
                task.aborts_sent = task.aborts_wanted;
                self.session.abort();
                continue;
            }
            tokio::select! {
                biased;
                // First, so that a terminal that never pauses does not keep it from being heard.
                () = abort_wanted(&mut task.host, task.aborts_wanted) => {
                    task.aborts_wanted += 1;
                    if task.abortable && task.aborts_wanted >= LEAVE {
                        let until = self.now() + SOON;
                        self.session.hurry(until);
                    }
                }
                received = self.receive(None) => drop(received?),
            }
        }
    }

    /// Takes in what the terminal tells by itself. `Some` if that ends the running request.
    pub(super) fn told(&mut self, message: Message, task: &mut Task) -> Option<End> {
        match message {
            Message::StatusResponse(now) => {
                let bits = now.trm_status.unwrap_or(0);
                if now != self.status {
                    let code = u8::try_from(bits & 0xff).expect("masked");
                    task.tell(Progress::Status { code, text: codes::status_text(bits).into_owned() });
                }
                self.status = now;
                task.rests = bits & status::BUSY == 0;
                if task.rests && task.aborted {
                    // It has ended without a word; if it has not, the answer is on its way.
                    let until = self.now() + SOON;
                    self.session.hurry(until);
                }
            }
            Message::ReceiptResponse(receipt) => self.take_receipt(&receipt, task),
            Message::ReportResponse(report) => task.reports.push(report),
            Message::DisplayNotification { cardholder_text: Some(text) } => task.tell(Progress::Display(clean(&text))),
            Message::AbortTransactionResponse {} => task.aborted = true,
            Message::ErrorNotification(error) => {
                let words = in_words(&error);
                tracing::warn!(words, "the terminal tells of an error");
                if task.enquiry {
                    self.session.refused();
                    return Some(End::Refused(words));
                }
                // It does not say what has failed. As the vendor's library does: the transaction is aborted; but an
                // answer to it that still comes counts.
                if task.error.is_none() && self.session.is_busy() {
                    self.session.abort();
                    let until = self.now() + self.options.answer;
                    self.session.hurry(until);
                }
                task.error.get_or_insert(words);
            }
            _ => {}
        }
        None
    }

    /// Feeds the session with what comes next: bytes of the link, or a deadline. What has arrived goes first. Dropping
    /// this loses nothing. False if nothing came `until` then.
    pub(super) async fn receive(&mut self, until: Option<Instant>) -> Result<bool> {
        let mut input = Vec::new();
        let own = [self.session.poll_timeout(), self.framing.poll_timeout(), until];
        tokio::select! {
            biased;
            got = self.link.recv(&mut input) => drop(got.map_err(|e| e.at(&self.options.name))?),
            at = reached(own.into_iter().flatten().min()) => {
                let now = self.now().max(at);
                self.session.handle_timeout(now);
                self.framing.handle_timeout(now);
                if self.framing.is_lost() {
                    self.session.handle_lost();
                }
                return Ok(until.is_none_or(|until| now < until));
            }
        }
        trace(&mut self.frames, Direction::Received, &input);
        let now = self.now();
        self.framing.feed(&input);
        loop {
            match self.framing.next_line() {
                Ok(Some(line)) => self.session.handle_line(&line, now),
                Ok(None) => break,
                Err(why) => {
                    self.session.handle_too_long(why);
                    break;
                }
            }
        }
        // With a terminal that never pauses, no timer would fire.
        self.session.handle_timeout(now);
        Ok(true)
    }

    /// Sends what is to be sent.
    ///
    /// # Errors
    /// The link is lost, or takes nothing for [`SEND_WITHIN`]; some of it may have been sent.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while let Some(message) = self.session.poll_transmit() {
            self.framing.send(message.to_line(), !message.moves_money());
        }
        loop {
            let now = self.now();
            let Some(bytes) = self.framing.poll_transmit(now) else { return Ok(()) };
            trace(&mut self.frames, Direction::Sent, &bytes);
            let stuck = |_| Err(Error::new(Kind::Timeout, format!("the link took nothing for {SEND_WITHIN:?}")));
            let sent = tokio::time::timeout(SEND_WITHIN, self.link.send(&bytes)).await;
            sent.unwrap_or_else(stuck).map_err(|e| e.at(&self.options.name))?;
        }
    }
}

/// The error of a request that moves no money and did not end well.
pub(super) fn refused(what: &str, end: &End) -> Error {
    match end {
        End::Refused(words) => Error::new(Kind::Refused, format!("the terminal refused {what}: {words}")),
        End::Unanswered => Error::new(Kind::Timeout, format!("the terminal did not answer {what}"))
            .hint("is the terminal switched on and idle?"),
        End::Unreadable(why) => Error::new(Kind::Protocol, format!("the terminal answered {what} with {why}")),
        End::Answered(other) => {
            Error::new(Kind::Protocol, format!("the terminal answered {what} with a {}", other.name()))
        }
    }
}

pub(super) fn failed(failure: &Failure) -> Error {
    match failure {
        Failure::Silent | Failure::Unacknowledged => {
            Error::new(Kind::Timeout, failure.to_string()).hint("is the terminal switched on and reachable?")
        }
        _ => Error::new(Kind::Protocol, failure.to_string())
            .hint("is this the terminal's port for tills? usually it is 8307, with the integration set to KIT"),
    }
}

fn in_words(error: &ErrorNotification) -> String {
    let words = error.error_description.as_deref().or(error.error_source.as_deref()).map(clean);
    match (words, error.error_code) {
        (Some(words), Some(code)) => format!("{words} ({code})"),
        (Some(words), None) => words,
        (None, Some(code)) => format!("error {code}"),
        (None, None) => "an error without words".into(),
    }
}

/// Traces what passes, masked. Everything goes through the redactor even while tracing is off, so that it stays in step
/// with the lines.
fn trace(frames: &mut Redactor, direction: Direction, bytes: &[u8]) {
    let masked = frames.feed(direction, bytes);
    if !masked.is_empty() {
        tracing::trace!(?direction, bytes = %masked.escape_ascii(), "frame");
    }
}

/// How long a message may take to be sent: they are short, and a working link takes one at once.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may still take that should have come.
const SOON: Duration = Duration::from_secs(5);
/// From this many wishes to abort on, a terminal that has fallen silent is left.
const LEAVE: u32 = 3;
