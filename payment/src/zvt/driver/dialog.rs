//! One command from its sending to its end: the session bound to the link, and approvals to the journal.

use std::time::Instant;

use tresen_hal::link::record::Direction;
use tresen_hal::{Effect, Error, Kind, Result};

use super::super::codes;
use super::super::commands::completion::Abort;
use super::super::commands::intermediate::Intermediate;
use super::super::commands::print::{Block, Line};
use super::super::commands::status_info::StatusInfo;
use super::super::session::{Event, Failure, Flow};
use super::super::slips::Slips;
use super::Terminal;
use crate::journal::Intent;
use crate::outcome::Charge;
use crate::terminal::{Progress, Watch};

/// What runs, and what came of it so far.
#[derive(Default)]
pub(super) struct Task {
    pub(super) intent: Option<Intent>,
    pub(super) watch: Option<Watch>,
    pub(super) abort_wanted: bool,
    pub(super) abort_sent: bool,
    /// The last 04 0F.
    pub(super) result: Option<Vec<u8>>,
    pub(super) approved: Option<Charge>,
    /// The code of a 04 0F that did not approve, and the terminal's words.
    pub(super) declined: Option<(u8, Option<String>)>,
    /// A 04 0F came whose result could not be read: it may have been an approval.
    pub(super) unclear: bool,
    pub(super) slips: Slips,
}

/// How a command ended.
pub(super) enum End {
    Acknowledged,
    Completed(Vec<u8>),
    Aborted { code: Option<u8>, text: Option<String> },
    Refused(u8),
}

impl Task {
    fn tell(&self, progress: Progress) {
        if let Some(watch) = &self.watch {
            // Nobody needs to listen.
            watch.progress.send(progress).ok();
        }
    }
}

impl Terminal {
    /// Sends one command and sees it through. When this fails or is dropped the driver is spent.
    pub(super) async fn exchange(&mut self, command: Vec<u8>, flow: Flow, task: &mut Task) -> Result<End> {
        self.usable()?;
        if !self.session.start(command, flow, now()) {
            return Err(Error::new(Kind::Busy, "the terminal is in the middle of something"));
        }
        self.spent = true;
        let end = self.run(flow, task).await?;
        // The last acknowledgement changes nothing any more.
        self.spent = self.flush().await.is_err();
        Ok(end)
    }

    pub(super) fn usable(&self) -> Result<()> {
        if self.spent || self.session.is_spent() {
            return Err(Error::new(Kind::Closed, "the connection to the terminal ended in the middle of a dialogue")
                .with_effect(Effect::None)
                .at(&self.settings.name)
                .hint("open it again and recover"));
        }
        Ok(())
    }

    async fn run(&mut self, flow: Flow, task: &mut Task) -> Result<End> {
        let mut input = Vec::new();
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
            if task.abort_wanted && !task.abort_sent && task.approved.is_none() && self.session.abort() {
                task.abort_sent = true;
                continue;
            }
            let deadline = self.session.poll_timeout();
            tokio::select! {
                biased;
                got = self.link.recv(&mut input) => {
                    got.map_err(|e| e.at(&self.settings.name))?;
                    trace(Direction::Received, &input);
                    self.session.handle_input(&input, now());
                    input.clear();
                }
                () = sleep_until(deadline) => self.session.handle_timeout(now()),
                () = abort_wanted(&mut task.watch), if !task.abort_wanted => task.abort_wanted = true,
            }
        }
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        while let Some(bytes) = self.session.poll_transmit() {
            trace(Direction::Sent, &bytes);
            self.link.send(&bytes).await.map_err(|e| e.at(&self.settings.name))?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event, task: &mut Task) -> Result<Option<End>> {
        match event {
            Event::Accepted | Event::AbortAnswered(_) => {}
            Event::Refused { code, .. } => return Ok(Some(End::Refused(code))),
            Event::Intermediate(data) => {
                let status = Intermediate::parse(&data.0);
                task.tell(Progress::Status { code: status.status, text: status.text(self.charset) });
            }
            Event::Result(data) => {
                self.take_result(&data.0, task).await?;
                task.result = Some(data.0);
                self.session.confirm(now());
            }
            Event::PrintLine(data) => {
                let line = Line::parse(&data.0);
                for text in line.lines(self.charset) {
                    task.tell(Progress::ReceiptLine(text.clone()));
                    task.slips.line(text);
                }
                if line.is_last() {
                    task.slips.end();
                    self.keep_slips(task).await?;
                }
                self.session.confirm(now());
            }
            Event::PrintBlock(data) => {
                let block = Block::parse(&data.0);
                let lines: Vec<String> = block.lines(self.charset).collect();
                for text in &lines {
                    task.tell(Progress::ReceiptLine(text.clone()));
                }
                task.slips.block(block.slip, lines);
                self.keep_slips(task).await?;
                self.session.confirm(now());
            }
            Event::Other { code, acknowledged, .. } => {
                tracing::debug!(code = format_args!("{code:04x}"), acknowledged, "a command not known here");
            }
            Event::Completed(data) => return Ok(Some(End::Completed(data.0))),
            Event::Aborted(data) => {
                let abort = Abort::parse(&data.0);
                return Ok(Some(End::Aborted { code: abort.code, text: abort.text(self.charset) }));
            }
            Event::Failed(failure) => return Err(failed(failure).at(&self.settings.name)),
        }
        Ok(None)
    }

    /// Makes an approval durable; only then it is acknowledged.
    async fn take_result(&mut self, data: &[u8], task: &mut Task) -> Result<()> {
        let Some(intent) = &task.intent else { return Ok(()) };
        let info = StatusInfo::parse(data);
        if let Some((offset, rest)) = info.rest() {
            tracing::warn!(offset, length = rest.len(), "a part of the result cannot be read; it is kept unread");
        }
        match info.result {
            Some(0) => {
                let charge = self.reading().charge(&intent.id, intent.amount, &info);
                self.journal.approve(&intent.id, &charge).await?;
                task.approved = Some(charge);
                task.tell(Progress::Approved);
            }
            Some(code) => task.declined = Some((code, info.text(self.charset))),
            None => task.unclear = true,
        }
        Ok(())
    }

    async fn keep_slips(&mut self, task: &mut Task) -> Result<()> {
        if let (Some(intent), Some(charge)) = (&task.intent, &mut task.approved) {
            task.slips.fill(charge);
            self.journal.approve(&intent.id, charge).await?;
        }
        Ok(())
    }
}

pub(super) fn refused(what: &str, end: &End) -> Error {
    let why = match end {
        End::Refused(code) | End::Aborted { code: Some(code), text: None } => codes::result(*code),
        End::Aborted { text: Some(text), .. } => text.clone().into(),
        _ => "without a reason".into(),
    };
    Error::new(Kind::Refused, format!("the terminal refused {what}: {why}"))
}

pub(super) fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Invalid(_) => Error::new(Kind::Protocol, failure.to_string())
            .hint("is this the terminal's ZVT port? often it is 20007 or 22000"),
        _ => Error::new(Kind::Timeout, failure.to_string()).hint("is the terminal switched on and idle?"),
    }
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn abort_wanted(watch: &mut Option<Watch>) {
    if let Some(watch) = watch
        && watch.abort.wait_for(|wanted| *wanted).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

pub(super) fn trace(direction: Direction, bytes: &[u8]) {
    if tracing::enabled!(tracing::Level::TRACE) {
        let mut bytes = bytes.to_vec();
        super::super::redact(direction, &mut bytes);
        tracing::trace!(?direction, bytes = format_args!("{bytes:02x?}"), "frame");
    }
}
