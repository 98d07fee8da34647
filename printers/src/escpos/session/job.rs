//! One job: its bytes, and the proof that they are on paper.
//!
//! The best proof is the job's own number (`GS ( H`). The answer to a `GS r` queued behind the job proves that the buffer
//! was processed. Since that answer is a byte like any other, it counts only if this job requested it, nothing came
//! that was not requested, and the printer, asked in real time afterwards, is not stopped.

use std::time::{Duration, Instant};

use tresen_hal::{Effect, Error, Kind, Known};

use super::steps::Step;
use super::{Event, Session, calls};
use crate::content::Content;
use crate::document::{Receipt, Style};
use crate::escpos::ProofBy;
use crate::escpos::status::Fault;
use crate::escpos::wire;
use crate::printer::{Job, Outcome, Proof};

/// The number of process ids: four characters of 94 kinds.
pub(super) const PROCESS_IDS: u32 = 94 * 94 * 94 * 94;
/// If the job's number is missing for this long after the last reply, `GS r` is sent.
const ENQUIRE: Duration = Duration::from_secs(2);
/// The number may come this much later than the answer to a `GS r` behind it, while the paper still moves.
const AFTER_BUFFER: Duration = Duration::from_secs(3);

/// A job that is being sent or proven.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobState {
    pub(super) id: [u8; 4],
    /// Identifies its requests.
    pub(super) tag: u32,
    /// Its number came back.
    pub(super) done: bool,
    /// Its `GS r` was answered.
    pub(super) buffer_done: Option<Instant>,
    /// The status was requested since.
    checked: bool,
    /// `GS r` was sent.
    enquired: bool,
    /// When it began, no other answer was outstanding.
    pub(super) clean: bool,
}

impl Session {
    pub(super) fn prepare_job(&mut self, job: &Job) {
        self.pending = Some(job.clone());
    }

    pub(super) fn send_body(&mut self) {
        let Some(job) = self.pending.take() else { return };
        self.jobs = self.jobs.wrapping_add(1).max(1);
        let (id, tag) = (self.next_process_id(), self.jobs);
        if let Content::Raw(raw) = &job.content {
            self.out_of_sync |= calls::may_ask(&raw.bytes);
        }
        let clean = !self.out_of_sync && self.unanswered.is_empty();
        let enquired = self.proof_by == ProofBy::Buffer;
        self.job = Some(JobState { id, tag, done: false, buffer_done: None, checked: false, enquired, clean });
        let mut tail = self.encode(&job);
        match self.proof_by {
            ProofBy::Number => wire::process_id(id, &mut tail),
            ProofBy::Buffer => {
                wire::transmit_status(1, &mut tail);
                self.unanswered.push_back(tag);
            }
            ProofBy::None => {}
        }
        self.body.push(tail);
        self.job_begun();
    }

    /// Encodes a job. Raw bytes are appended to the body unchanged; what follows them is returned.
    fn encode(&mut self, job: &Job) -> Vec<u8> {
        let mark = job.copy.then_some(self.options.copy_mark.as_str());
        let style = Style::new().bold().centre();
        let head = job.remark.as_ref().map(|remark| Receipt::new().styled(remark, style));
        let (profile, mut out) = (&self.profile, Vec::with_capacity(4096));
        if job.fresh_sheet {
            wire::encode_into(&Receipt::new().cut(), profile, None, &mut out);
        }
        match &job.content {
            Content::Receipt(receipt) => match head {
                Some(head) => wire::encode_into(&head.append(receipt.clone()), profile, mark, &mut out),
                None => wire::encode_into(receipt, profile, mark, &mut out),
            },
            Content::Raw(raw) => {
                if head.is_some() || mark.is_some() {
                    wire::encode_into(&head.unwrap_or_default(), profile, mark, &mut out);
                    // So that the copy looks like the original: code page and style are reset.
                    wire::initialize(profile, &mut out);
                }
                self.body.push(std::mem::take(&mut out));
                self.body.push(raw.bytes.clone());
                if self.capabilities.status.is_yes() {
                    // They may contain ESC @, which switches automatic status off.
                    wire::automatic_status(true, &mut out);
                }
            }
        }
        out
    }

    /// Four characters that identify one attempt of one job.
    pub(super) fn next_process_id(&mut self) -> [u8; 4] {
        self.process_id = (self.process_id + 1) % PROCESS_IDS;
        let mut left = self.process_id;
        std::array::from_fn(|_| {
            let digit = (left % 94) as u8;
            left /= 94;
            b'!' + digit
        })
    }

    /// Whether waiting for the proof is over.
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
        if self.proof_by == ProofBy::None {
            return self.instead(&[Step::Condition, Step::Unproven]);
        }
        if self.recheck && self.asked_at.is_none_or(|at| now >= at + self.options.timing.answer) {
            (job.buffer_done, job.checked, job.enquired) = (None, false, false);
            self.job = Some(job);
            return self.instead(&[Step::Condition, Step::Prove]);
        }
        if let Some(at) = job.buffer_done
            && (self.proof_by == ProofBy::Buffer || (fault.is_none() && now >= at + AFTER_BUFFER))
        {
            if !job.checked {
                job.checked = true;
                self.job = Some(job);
                return self.instead(&[Step::Condition, Step::Prove]);
            }
            if fault.is_none() && !self.recheck && self.answered {
                if self.proof_by == ProofBy::Number {
                    tracing::info!(printer = %self.options.label, "does not confirm job numbers; using its buffer status");
                    self.proof_by = ProofBy::Buffer;
                    self.capabilities.process_id = Known::No;
                }
                self.finish(Event::Printed(Outcome::Printed(Proof::BufferDone)));
                return true;
            }
            // Requested again when the printer continues.
            (job.buffer_done, job.checked, job.enquired) = (None, false, false);
            self.job = Some(job);
        }
        if fault.is_some() {
            let over = self.fault_since.is_some_and(|at| now >= at + self.options.timing.operator);
            return over && self.instead(&[Step::Condition, Step::GiveUp]);
        }
        let sign = self.sign_of_life();
        if !job.enquired && (self.proof_by == ProofBy::Buffer || now >= sign + ENQUIRE) {
            job.enquired = true;
            self.job = Some(job);
            self.unanswered.push_back(job.tag);
            self.send(|out| wire::transmit_status(1, out));
            return false;
        }
        now >= sign + self.options.timing.proof && self.instead(&[Step::Condition, Step::Unproven])
    }

    /// When [`Session::prove`] is due again.
    pub(super) fn proof_deadline(&self) -> Option<Instant> {
        let job = self.job?;
        let timing = &self.options.timing;
        let recheck = self.asked_at.filter(|_| self.recheck).map(|at| at + timing.answer);
        let wait = match self.fault_since {
            Some(at) => at + timing.operator,
            None => {
                let sign = self.sign_of_life();
                match job.buffer_done {
                    Some(at) if self.proof_by == ProofBy::Number => at + AFTER_BUFFER,
                    _ if !job.enquired => sign + ENQUIRE,
                    _ => sign + timing.proof,
                }
            }
        };
        Some(recheck.map_or(wait, |at| at.min(wait)))
    }

    /// The proof is missing, and the status was requested.
    pub(super) fn unproven(&mut self, now: Instant) {
        if !self.answered {
            return self.fail(
                Error::new(Kind::Timeout, "the printer took the job and no longer answers").hint("look at the paper"),
            );
        }
        let operator = self.options.timing.operator;
        match self.fault_since {
            None => self.finish(Event::Printed(Outcome::Accepted)),
            Some(at) if self.proof_by == ProofBy::None && now < at + operator => {
                let pause = Step::Pause(self.options.timing.answer);
                self.first(&[pause, Step::Condition, Step::Unproven]);
            }
            Some(_) if self.proof_by == ProofBy::None => self.first(&[Step::GiveUp]),
            Some(_) => self.first(&[Step::Prove]),
        }
    }

    /// The job is stuck in the printer and nobody attended to it: discards the rest.
    pub(super) fn give_up(&mut self) {
        match self.condition.fault {
            Some(fault) => self.first(&[Step::Discard, Step::Discarded(fault)]),
            None if self.proof_by == ProofBy::None => self.first(&[Step::Unproven]),
            None => self.first(&[Step::Prove]),
        }
    }

    pub(super) fn discarded(&mut self, fault: Fault) {
        let error = calls::stopped(fault).at(&self.options.label);
        let outcome = if self.received.cleared {
            Outcome::Failed { error: error.with_effect(Effect::Partial), safe_to_retry: false }
        } else {
            Outcome::Unknown(error.with_effect(Effect::Unknown))
        };
        self.finish(Event::Printed(outcome));
    }

    fn sign_of_life(&self) -> Instant {
        let from = self.since.max(self.sent_at);
        self.received.latest.map_or(from, |at| at.max(from))
    }

    fn instead(&mut self, steps: &[Step]) -> bool {
        self.active = None;
        self.first(steps);
        true
    }
}
