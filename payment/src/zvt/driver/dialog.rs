//! One command from its sending to its end: the session bound to the link, and approvals to the journal.

use std::time::{Duration, Instant};

use tresen_hal::link::record::{Direction, Redactor as _};
use tresen_hal::{Effect, Error, Kind, Result};

use super::super::codes;
use super::super::commands::completion::Abort;
use super::super::commands::display;
use super::super::commands::intermediate::Intermediate;
use super::super::commands::print::{Block, Line};
use super::super::commands::reservation::Open;
use super::super::commands::status_info::StatusInfo;
use super::super::recovery::{self, Last, Objection};
use super::super::redact::Frames;
use super::super::reference::name;
use super::super::session::{Event, Failure, Flow};
use super::super::transport::{self, Framed};
use super::super::wire::Hex;
use super::Terminal;
use crate::host::{Host, Progress};
use crate::journal::Intent;
use crate::outcome::Charge;
use crate::slips::Slips;
use crate::waiting::{abort_wanted, reached};

/// A running command and its results so far.
#[derive(Default)]
pub(super) struct Task {
    pub(super) intent: Option<Intent>,
    /// When the intent was written.
    pub(super) begun: Option<Instant>,
    pub(super) host: Option<Host>,
    /// The transaction before this one is known, not only the last one that the journal has.
    pub(super) certain_before: bool,
    /// How often the caller has asked to abort.
    pub(super) aborts_wanted: u32,
    pub(super) aborts_sent: u32,
    /// The last 04 0F.
    pub(super) result: Option<Vec<u8>>,
    /// How many different ones there were in a row.
    pub(super) results: u32,
    pub(super) approved: Option<Charge>,
    /// The code of a 04 0F that did not approve, and the terminal's words.
    pub(super) declined: Option<(u8, Option<String>)>,
    /// Why the results cannot be trusted, so that the terminal has to be asked.
    pub(super) unclear: Option<String>,
    pub(super) slips: Slips,
}

/// How a command ended.
pub(super) enum End {
    Acknowledged,
    Completed(Vec<u8>),
    Aborted {
        code: Option<u8>,
        text: Option<String>,
        /// What it says of open reservations.
        open: Option<Open>,
    },
    Refused(u8),
    /// An enquiry that was not answered to its end.
    Unanswered,
}

impl Task {
    pub(super) fn tell(&self, progress: Progress) {
        if let Some(host) = &self.host {
            host.tell(progress);
        }
    }

    /// Tells the receipts that are complete.
    fn tell_slips(&mut self) {
        for receipt in self.slips.tell() {
            self.tell(receipt);
        }
    }

    /// Nothing more will be printed.
    fn end_slips(&mut self) {
        self.slips.end();
        self.tell_slips();
    }

    fn doubt(&mut self, why: String) {
        tracing::warn!(why, "the terminal will be asked");
        self.unclear.get_or_insert(why);
    }
}

impl Terminal {
    /// Sends one command and sees it through. When this fails or is dropped the driver is spent.
    pub(super) async fn exchange(&mut self, command: Vec<u8>, flow: Flow, task: &mut Task) -> Result<End> {
        self.usable()?;
        self.hear_abort_answered().await?;
        let now = self.now();
        if !self.session.start(command, flow, now) {
            return Err(Error::new(Kind::Busy, "the terminal is in the middle of something"));
        }
        self.spent = true;
        let end = self.run(flow, task).await?;
        // The last acknowledgement changes nothing any more.
        self.spent = self.flush().await.is_err();
        self.silent |= matches!(end, End::Unanswered);
        Ok(end)
    }

    pub(super) fn usable(&self) -> Result<()> {
        if self.spent || self.session.is_spent() {
            return Err(Error::new(Kind::Closed, "the connection to the terminal ended in the middle of a dialogue")
                .with_effect(Effect::None)
                .at(&self.options.name)
                .hint("open it again and recover"));
        }
        Ok(())
    }

    /// Waits for the answer to an abort, so that it cannot be taken for another command's. If it stays
    /// away for T3 the connection ends.
    async fn hear_abort_answered(&mut self) -> Result<()> {
        if !self.session.owes_abort() {
            return Ok(());
        }
        self.spent = true;
        while self.session.owes_abort() {
            self.receive().await?;
            while let Some(event) = self.session.poll_event() {
                if let Event::Failed(failure) = event {
                    return Err(failed(failure).with_effect(Effect::None).at(&self.options.name));
                }
                self.confirm();
            }
            self.flush().await?;
        }
        self.spent = false;
        Ok(())
    }

    /// Before money moves: after an enquiry that was not answered in full the terminal has to answer a
    /// registration, and the missing answer is given up.
    pub(super) async fn owe_nothing(&mut self) -> Result<()> {
        self.usable()?;
        self.hear_abort_answered().await?;
        if !self.session.owes() && !self.silent {
            return Ok(());
        }
        let probe = self.registration();
        if let End::Unanswered = self.exchange(probe, Flow::Enquiry, &mut Task::default()).await? {
            self.spent = true;
            return Err(Error::new(Kind::Timeout, "the terminal does not answer any more")
                .with_effect(Effect::None)
                .at(&self.options.name)
                .hint("is the terminal switched on and idle?"));
        }
        self.silent = false;
        self.session.forgive();
        Ok(())
    }

    async fn run(&mut self, flow: Flow, task: &mut Task) -> Result<End> {
        loop {
            self.flush().await?;
            if let Some(event) = self.session.poll_event() {
                if event == Event::Accepted && flow == Flow::Acknowledged {
                    return Ok(End::Acknowledged);
                }
                if let Some(end) = self.handle(event, task).await? {
                    return Ok(end);
                }
                continue;
            }
            let now = self.now();
            if task.aborts_wanted > task.aborts_sent && task.approved.is_none() && self.session.abort(now) {
                task.aborts_sent = task.aborts_wanted;
                continue;
            }
            tokio::select! {
                biased;
                // First, so that a terminal that never pauses does not keep it from being heard.
                () = abort_wanted(&mut task.host, task.aborts_wanted) => {
                    task.aborts_wanted += 1;
                    if task.aborts_wanted >= LEAVE {
                        let now = self.now();
                        self.session.hurry(now);
                    }
                }
                received = self.receive() => received?,
            }
        }
    }

    /// Feeds the session with what comes next: bytes of the link, or a deadline. What has arrived goes
    /// first. Dropping this loses nothing.
    pub(super) async fn receive(&mut self) -> Result<()> {
        let mut input = Vec::new();
        let deadline = self.session.poll_timeout().into_iter().chain(self.transport.poll_timeout()).min();
        tokio::select! {
            biased;
            got = self.link.recv(&mut input) => {
                got.map_err(|e| e.at(&self.options.name))?;
                trace(&mut self.frames, Direction::Received, &input);
                let now = self.now();
                self.transport.handle_input(&input, now);
                self.hear(now);
                // Noise on a serial line is no message: with a line that never pauses, no timer would fire.
                if let Framed::Serial(_) = self.options.framing {
                    self.expire(now);
                }
            }
            at = reached(deadline) => {
                self.expire(self.now().max(at));
            }
        }
        Ok(())
    }

    /// Handles deadlines that have passed by `now`.
    fn expire(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        self.hear(now);
        self.session.handle_timeout(now);
    }

    /// Hands on what the transport has for the session.
    fn hear(&mut self, now: Instant) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                transport::Event::Apdu(apdu) => self.session.handle_input(apdu, now),
                transport::Event::Invalid(invalid) => self.session.handle_invalid(invalid, now),
                transport::Event::Delivered(code) => self.session.handle_delivered(code, now),
                transport::Event::Undelivered(code) => self.session.handle_undelivered(code),
            }
        }
    }

    /// Acknowledges what the session waits with.
    pub(super) fn confirm(&mut self) {
        let now = self.now();
        self.session.confirm(now);
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Sends what the session wants sent.
    ///
    /// # Errors
    /// The link is lost, or takes nothing for [`SEND_WITHIN`]; some of it may have been sent.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let now = self.now();
        while let Some(apdu) = self.session.poll_transmit() {
            self.transport.send(apdu, now);
        }
        while let Some(bytes) = self.transport.poll_transmit() {
            trace(&mut self.frames, Direction::Sent, &bytes);
            let stuck = |_| Err(Error::new(Kind::Timeout, format!("the link took nothing for {SEND_WITHIN:?}")));
            let sent = tokio::time::timeout(SEND_WITHIN, self.link.send(&bytes)).await;
            sent.unwrap_or_else(stuck).map_err(|e| e.at(&self.options.name))?;
        }
        let now = self.now();
        self.hear(now);
        Ok(())
    }

    async fn handle(&mut self, event: Event, task: &mut Task) -> Result<Option<End>> {
        match event {
            Event::Accepted | Event::AbortAnswered(_) => {}
            Event::Refused { code, data } => return Ok(Some(End::Refused(refusal(code, &data.0)))),
            Event::Unanswered => return Ok(Some(End::Unanswered)),
            Event::Intermediate(data) => {
                let status = Intermediate::parse(&data.0);
                task.tell(Progress::Status { code: status.status, text: status.text(self.charset, self.language()) });
            }
            Event::Result(data) => {
                task.results += u32::from(task.result.as_ref() != Some(&data.0));
                if task.results > MOST_RESULTS {
                    let what =
                        format!("the terminal told more than {MOST_RESULTS} different results of one transaction");
                    return Err(Error::new(Kind::Protocol, what).at(&self.options.name));
                }
                self.take_result(&data.0, task).await?;
                task.result = Some(data.0);
                self.confirm();
            }
            Event::PrintLine(data) => {
                let line = Line::parse(&data.0);
                for text in line.lines(self.charset) {
                    task.slips.line(line.slip, text);
                }
                if line.is_last() {
                    task.slips.end();
                }
                task.tell_slips();
                self.confirm();
            }
            Event::PrintBlock(data) => {
                let block = Block::parse(&data.0);
                task.slips.block(block.slip, block.lines(self.charset));
                task.tell_slips();
                self.confirm();
            }
            Event::Asked { code, data } => self.pass_on(code, &data.0, task).await,
            Event::Other { code, acknowledged, data } => match display::text(code, &data.0, self.charset) {
                Some(text) => task.tell(Progress::Display(text)),
                None => tracing::debug!(code = format_args!("{code:04x}"), acknowledged, "a command not known here"),
            },
            Event::Completed(data) => {
                task.end_slips();
                return Ok(Some(End::Completed(data.0)));
            }
            Event::Aborted(data) => {
                task.end_slips();
                let abort = Abort::parse(&data.0);
                let (text, open) = (abort.text(self.charset), Open::parse(&data.0));
                return Ok(Some(End::Aborted { code: abort.code, text, open }));
            }
            Event::Failed(failure) => return Err(failed(failure).at(&self.options.name)),
        }
        Ok(None)
    }

    /// Holds a result against what was asked and makes an approval durable; only then it is
    /// acknowledged. One that is another transaction's is acknowledged, too: it was one before.
    async fn take_result(&mut self, data: &[u8], task: &mut Task) -> Result<()> {
        let Some(intent) = &task.intent else { return Ok(()) };
        let info = StatusInfo::parse(data);
        if let Some((offset, rest)) = info.rest() {
            tracing::warn!(offset, length = rest.len(), "a part of the result cannot be read; it is kept unread");
        }
        let charge = recovery::as_meant(intent, &info, self.charge(&intent.id, intent.amount, &info));
        // The same bytes as before the payment: the previous transaction.
        let repeated = matches!(&self.last, Some(Last::Shown(before)) if before.0 == data);
        let objection = match recovery::objection(intent, &charge, &info, self.options.partial) {
            None if repeated => Some(Objection::Another("the terminal repeated the transaction before".into())),
            objection => objection,
        };
        match (info.result, objection) {
            (_, Some(Objection::Another(why))) => task.doubt(why),
            (Some(0), objection) => self.take_approval(charge, objection, task).await?,
            (Some(code), _) => task.declined = Some((code, info.text(self.charset))),
            (None, _) => task.doubt("a result came that cannot be read".into()),
        }
        Ok(())
    }

    async fn take_approval(&mut self, charge: Charge, objection: Option<Objection>, task: &mut Task) -> Result<()> {
        let id = charge.intent.clone();
        if let Some(reference) = &charge.reference
            && let Some(other) = self.journal.holder(&self.options.name, reference).await?.filter(|other| *other != id)
        {
            task.doubt(format!("the terminal told of {}, which is the payment `{}`", name(reference), other.0));
            return Ok(());
        }
        if let Some(first) = &task.approved {
            // Said twice is fine.
            if first.reference != charge.reference || first.amount != charge.amount {
                let (first, second) = (recovery::evidence(first), recovery::evidence(&charge));
                task.doubt(format!("the terminal approved {first} and then {second}"));
            }
            return Ok(());
        }
        self.journal.approve(&id, &charge).await?;
        task.slips.know(charge.merchant_id.clone());
        task.approved = Some(charge);
        match objection {
            Some(Objection::Different(why) | Objection::Another(why)) => task.doubt(why),
            None => task.tell(Progress::Approved),
        }
        Ok(())
    }
}

/// Why a command was refused. `84 1E 01 7D`, as seen in the field, carries the reason as data.
fn refusal(code: u8, data: &[u8]) -> u8 {
    match (code, data) {
        (0x1e, [reason, ..]) => *reason,
        _ => code,
    }
}

pub(super) fn refused(what: &str, end: &End) -> Error {
    let why = match end {
        End::Refused(code) | End::Aborted { code: Some(code), text: None, .. } => codes::result(*code),
        End::Aborted { text: Some(text), .. } => text.clone().into(),
        _ => "without a reason".into(),
    };
    Error::new(Kind::Refused, format!("the terminal refused {what}: {why}"))
}

pub(super) fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Invalid(_) => Error::new(Kind::Protocol, failure.to_string())
            .hint("is this the terminal's ZVT port? often it is 20007 or 22000"),
        Failure::Undelivered => Error::new(Kind::Timeout, failure.to_string())
            .hint("is the cable in order, and does the terminal use the same baud rate and the serial protocol?"),
        _ => Error::new(Kind::Timeout, failure.to_string()).hint("is the terminal switched on and idle?"),
    }
}

/// Traces what passes, masked. Everything goes through the redactor even while tracing is off, so that it stays in step
/// with the APDUs.
fn trace(frames: &mut Frames, direction: Direction, bytes: &[u8]) {
    let masked = frames.feed(direction, bytes);
    if !masked.is_empty() {
        tracing::trace!(?direction, bytes = %Hex(&masked), "frame");
    }
}

/// Different results of one command. One is right.
const MOST_RESULTS: u32 = 32;
/// How long a message may take to be sent: they are short, and a working link takes one at once.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// From this many wishes to abort on, a terminal that has fallen silent is left.
const LEAVE: u32 = 3;
