//! One job: its bytes, and the proof that they are on paper.
//!
//! The best proof is the job's own number (`GS ( H`). An answer to `GS r`, queued behind the job, proves that
//! the buffer was worked off; since that answer is one byte like any other, it counts only if this job
//! asked, nothing came that nobody asked for, and the printer, asked in real time afterwards, is not
//! stopped.

use std::time::{Duration, Instant};

use tresen_hal::{Effect, Error, Kind, Known};

use super::steps::Step;
use super::{Event, Ladder, Session, calls};
use crate::content::Content;
use crate::document::{Receipt, Style};
use crate::escpos::status::Fault;
use crate::escpos::wire;
use crate::printer::{Job, Outcome, Proof};

/// How many process ids there are: four characters of 94 kinds.
pub(super) const TICKETS: u32 = 94 * 94 * 94 * 94;
/// A number that stays away so long after the printer fell silent is asked after with `GS r`.
const ENQUIRE: Duration = Duration::from_secs(2);
/// The number may come so much later than the answer to a `GS r` behind it: the paper still moves.
const AFTER_BUFFER: Duration = Duration::from_secs(3);

/// A job whose body has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobState {
    pub(super) id: [u8; 4],
    /// What its questions are noted under.
    pub(super) tag: u32,
    /// Its number came back.
    pub(super) done: bool,
    /// Its `GS r` was answered.
    pub(super) buffer_done: Option<Instant>,
    /// The printer was asked how it is since.
    checked: bool,
    /// `GS r` was asked.
    enquired: bool,
    /// When it began, no answer to anybody else was to come.
    pub(super) clean: bool,
}

impl Session {
    pub(super) fn prepare_job(&mut self, job: &Job) {
        self.pending = Some(job.clone());
    }

    pub(super) fn send_body(&mut self) {
        let Some(job) = self.pending.take() else { return };
        self.jobs = self.jobs.wrapping_add(1).max(1);
        let (id, tag) = (self.next_ticket(), self.jobs);
        if let Content::Raw(raw) = &job.content {
            self.unsettled |= calls::may_ask(&raw.bytes);
        }
        let clean = !self.unsettled && self.owed.is_empty();
        let enquired = self.ladder == Ladder::BufferDone;
        self.job = Some(JobState { id, tag, done: false, buffer_done: None, checked: false, enquired, clean });
        let mut tail = self.encode(&job);
        match self.ladder {
            Ladder::ProcessId => wire::process_id(id, &mut tail),
            Ladder::BufferDone => {
                wire::transmit_status(1, &mut tail);
                self.owed.push_back(tag);
            }
            Ladder::None => {}
        }
        self.body.push(tail);
        self.job_begun();
    }

    /// Encodes a job. Its raw bytes go into the body as they are; what has to follow is returned.
    fn encode(&mut self, job: &Job) -> Vec<u8> {
        let mark = job.copy.then_some(self.options.copy_mark.as_str());
        let style = Style::new().bold().centre();
        let head = job.remark.as_ref().map(|remark| Receipt::new().styled(remark, style));
        let (profile, mut out) = (&self.profile, Vec::with_capacity(4096));
        match &job.content {
            Content::Receipt(receipt) => match head {
                Some(head) => wire::encode_into(&head.append(receipt.clone()), profile, mark, &mut out),
                None => wire::encode_into(receipt, profile, mark, &mut out),
            },
            Content::Raw(raw) => {
                if head.is_some() || mark.is_some() {
                    wire::encode_into(&head.unwrap_or_default(), profile, mark, &mut out);
                    // The copy looks as the original did: code page and style begin anew.
                    wire::initialize(profile, &mut out);
                }
                self.body.push(std::mem::take(&mut out));
                self.body.push(raw.bytes.clone());
                if self.capabilities.status.is_yes() {
                    // They may hold ESC @, which switches automatic status off.
                    wire::automatic_status(true, &mut out);
                }
            }
        }
        out
    }

    /// Four characters that name one attempt of one job.
    pub(super) fn next_ticket(&mut self) -> [u8; 4] {
        self.ticket = (self.ticket + 1) % TICKETS;
        let mut left = self.ticket;
        std::array::from_fn(|_| {
            let digit = (left % 94) as u8;
            left /= 94;
            b'!' + digit
        })
    }

    /// Whether waiting for the proof has come to an end.
    pub(super) fn prove(&mut self, now: Instant) -> bool {
        let Some(mut job) = self.job else { return true };
        let fault = self.condition.fault;
        if job.done {
            let id = job.id.iter().map(|&b| char::from(b)).collect();
            self.finish(Event::Printed(Outcome::Printed(Proof::ProcessId(id))));
            return true;
        }
        if !self.capabilities.status.is_yes() {
            self.finish(Event::Printed(Outcome::Accepted));
            return true;
        }
        if self.ladder == Ladder::None {
            return self.instead(&[Step::Condition, Step::Unproven]);
        }
        if self.doubt && self.asked_at.is_none_or(|at| now >= at + self.options.timing.answer) {
            (job.buffer_done, job.checked, job.enquired) = (None, false, false);
            self.job = Some(job);
            return self.instead(&[Step::Condition, Step::Prove]);
        }
        if let Some(at) = job.buffer_done
            && (self.ladder == Ladder::BufferDone || (fault.is_none() && now >= at + AFTER_BUFFER))
        {
            if !job.checked {
                job.checked = true;
                self.job = Some(job);
                return self.instead(&[Step::Condition, Step::Prove]);
            }
            if fault.is_none() && !self.doubt && self.answered {
                if self.ladder == Ladder::ProcessId {
                    tracing::info!(printer = %self.options.label, "confirms no job numbers: using its buffer status");
                    self.ladder = Ladder::BufferDone;
                    self.capabilities.process_id = Known::No;
                }
                self.finish(Event::Printed(Outcome::Printed(Proof::BufferDone)));
                return true;
            }
            // Asked again when the printer goes on.
            (job.buffer_done, job.checked, job.enquired) = (None, false, false);
            self.job = Some(job);
        }
        if fault.is_some() {
            let over = self.fault_since.is_some_and(|at| now >= at + self.options.timing.operator);
            return over && self.instead(&[Step::Condition, Step::GiveUp]);
        }
        let sign = self.sign_of_life();
        if !job.enquired && (self.ladder == Ladder::BufferDone || now >= sign + ENQUIRE) {
            job.enquired = true;
            self.job = Some(job);
            self.owed.push_back(job.tag);
            self.send(|out| wire::transmit_status(1, out));
            return false;
        }
        now >= sign + self.options.timing.proof && self.instead(&[Step::Condition, Step::Unproven])
    }

    /// When [`Session::prove`] wants to look again.
    pub(super) fn proof_deadline(&self) -> Option<Instant> {
        let job = self.job?;
        let timing = &self.options.timing;
        let doubt = self.asked_at.filter(|_| self.doubt).map(|at| at + timing.answer);
        let wait = match self.fault_since {
            Some(at) => at + timing.operator,
            None => {
                let sign = self.sign_of_life();
                match job.buffer_done {
                    Some(at) if self.ladder == Ladder::ProcessId => at + AFTER_BUFFER,
                    _ if !job.enquired => sign + ENQUIRE,
                    _ => sign + timing.proof,
                }
            }
        };
        Some(doubt.map_or(wait, |at| at.min(wait)))
    }

    /// The proof stays away, and the printer was asked how it is.
    pub(super) fn unproven(&mut self, now: Instant) {
        if !self.answered {
            return self.fail(
                Error::new(Kind::Timeout, "the printer took the job and does not answer any more")
                    .hint("look at the paper"),
            );
        }
        let operator = self.options.timing.operator;
        match self.fault_since {
            None => self.finish(Event::Printed(Outcome::Accepted)),
            Some(at) if self.ladder == Ladder::None && now < at + operator => {
                let pause = Step::Pause(self.options.timing.answer);
                self.first(&[pause, Step::Condition, Step::Unproven]);
            }
            Some(_) if self.ladder == Ladder::None => self.first(&[Step::GiveUp]),
            Some(_) => self.first(&[Step::Prove]),
        }
    }

    /// The job hangs in the printer and nobody came: has the rest discarded.
    pub(super) fn give_up(&mut self) {
        match self.condition.fault {
            Some(fault) => self.first(&[Step::Discard, Step::Discarded(fault)]),
            None if self.ladder == Ladder::None => self.first(&[Step::Unproven]),
            None => self.first(&[Step::Prove]),
        }
    }

    pub(super) fn discarded(&mut self, fault: Fault) {
        let error = calls::stopped(fault).at(&self.options.label);
        let outcome = if self.heard.cleared {
            Outcome::Failed { error: error.with_effect(Effect::Partial), safe_to_retry: false }
        } else {
            Outcome::Unknown(error.with_effect(Effect::Unknown))
        };
        self.finish(Event::Printed(outcome));
    }

    fn sign_of_life(&self) -> Instant {
        let from = self.since.max(self.sent_at);
        self.heard.latest.map_or(from, |at| at.max(from))
    }

    fn instead(&mut self, steps: &[Step]) -> bool {
        self.active = None;
        self.first(steps);
        true
    }
}
