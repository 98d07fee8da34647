//! How a transaction runs on the simulated terminal, step by step, with and without a till.

use std::collections::VecDeque;
use std::time::Instant;

use tresen_hal::Amount;

use super::super::results::OverallResult;
use super::super::wire::device::{DeviceRequest, DeviceResponse, Input, Line, Output, Target};
use super::super::wire::{Header, Request, Response};
use super::fault::Misbehaviour;
use super::profile::{OnLoss, When};
use super::{ANSWER, Action, Conn, Kind, Simulator};

/// A request that runs.
pub(super) struct Job {
    /// Who waits for the answer; nobody once the till is lost.
    conn: Option<Conn>,
    request: Request,
    steps: VecDeque<Step>,
    due: Instant,
    /// The till owes an answer on channel 1 until then, to the request of this sequence.
    asked: Option<(Instant, String, bool)>,
    /// The entry of the ledger, once it is decided.
    entry: Option<usize>,
    refused: bool,
}

/// A step of a job.
pub(super) enum Step {
    /// Ask the till on channel 1, and wait for its answer or not.
    Device {
        outputs: Vec<Output>,
        question: bool,
        waits: bool,
    },
    /// The customer takes the profile's time.
    Customer,
    Decide {
        kind: Kind,
        amount: Amount,
    },
    /// The answer about what was decided.
    Tell,
    Answer(Box<Response>),
}

impl Step {
    pub(super) fn print(lines: Vec<String>) -> Self {
        let line = |text: &String| Line { text: text.clone(), cut: false };
        let mut lines: Vec<Line> = lines.iter().map(line).collect();
        lines.extend(lines.last().is_some().then(|| Line { text: String::new(), cut: true }));
        Self::Device { outputs: vec![Output { target: Target::PrinterReceipt, lines }], question: false, waits: true }
    }

    fn show(text: &str) -> Self {
        let lines = vec![Line { text: text.to_owned(), cut: false }];
        Self::Device { outputs: vec![Output { target: Target::CashierDisplay, lines }], question: false, waits: true }
    }

    fn decides(&self) -> bool {
        matches!(self, Self::Decide { .. })
    }
}

impl Job {
    pub(super) fn new(conn: Conn, request: Request, steps: VecDeque<Step>, now: Instant) -> Self {
        Self { conn: Some(conn), request, steps, due: now, asked: None, entry: None, refused: false }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.asked.as_ref().map_or(self.due, |(until, ..)| *until))
    }

    /// Money has not moved yet.
    pub(super) fn is_undecided(&self) -> bool {
        self.steps.iter().any(Step::decides)
    }
}

impl Simulator {
    /// The steps of a transaction.
    pub(super) fn transaction(&mut self, kind: Kind, amount: Amount) -> VecDeque<Step> {
        let mut steps = VecDeque::new();
        if self.profile.shows {
            steps.push_back(Step::show("Bitte Karte"));
        }
        steps.push_back(Step::Customer);
        if let Some(question) = self.profile.asks.clone() {
            let Step::Device { outputs, .. } = Step::show(&question) else { unreachable!("it shows") };
            steps.push_back(Step::Device { outputs, question: true, waits: true });
        }
        steps.push_back(Step::Decide { kind, amount });
        steps.push_back(Step::Tell);
        steps
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(mut job) = self.job.take() {
            if let Some((until, ..)) = &job.asked {
                if *until > now {
                    self.job = Some(job);
                    return;
                }
                job.refused |= job.asked.take().is_some_and(|(_, _, question)| question);
            }
            if job.due > now {
                self.job = Some(job);
                return;
            }
            let Some(step) = job.steps.pop_front() else { return };
            self.job = Some(job);
            self.take(step, now);
        }
    }

    fn take(&mut self, step: Step, now: Instant) {
        match step {
            Step::Device { outputs, question, waits } => self.ask(outputs, question, waits, now),
            Step::Customer => {
                if let Some(job) = &mut self.job {
                    job.due = now + self.profile.pace;
                }
            }
            Step::Decide { kind, amount } => {
                let refused = self.job.as_ref().is_some_and(|job| job.refused);
                let declined = self.faults.once(Misbehaviour::Decline) || refused;
                let amount = match kind {
                    Kind::Payment => self
                        .faults
                        .take(|m| if let Misbehaviour::Part(amount) = m { Some(amount) } else { None })
                        .unwrap_or(amount),
                    _ => amount,
                };
                let at = self.ledger.add(kind, amount, declined.then_some(5));
                if !declined {
                    self.ledger.store(at);
                }
                self.print_after(at);
            }
            Step::Tell => {
                let Some(job) = &self.job else { return };
                let (Some(at), conn) = (job.entry, job.conn) else { return };
                let response = self.approval(job.request.header.clone(), at, self.profile.approves);
                self.answer(conn, response, now);
            }
            Step::Answer(response) => {
                let conn = self.job.as_ref().and_then(|job| job.conn);
                self.answer(conn, *response, now);
            }
        }
    }

    fn answer(&mut self, conn: Option<Conn>, response: Response, now: Instant) {
        match conn {
            Some(conn) => self.reply(conn, response, now),
            None => self.remember(response),
        }
    }

    /// The receipts, before, after or beside the answer.
    fn print_after(&mut self, at: usize) {
        let entry = self.ledger.entries()[at].clone();
        let lines = |head: &str| -> Vec<Line> {
            let texts = [
                head.to_owned(),
                format!("{:?}", entry.kind),
                format!("Betrag {:>12}", entry.amount.number(',')),
                format!("TA-Nr. {:06}", entry.trace),
            ];
            texts
                .into_iter()
                .map(|text| Line { text, cut: false })
                .chain([Line { text: String::new(), cut: true }])
                .collect()
        };
        let when = self.profile.receipts;
        let print = |target, head: &str| Step::Device {
            outputs: vec![Output { target, lines: lines(head) }],
            question: false,
            waits: when != Some(When::Crossing),
        };
        let both = [print(Target::Printer, "Händlerbeleg"), print(Target::PrinterReceipt, "Kundenbeleg")];
        self.receipt = lines("Kundenbeleg").into_iter().map(|line| line.text).filter(|text| !text.is_empty()).collect();
        let Some(job) = &mut self.job else { return };
        job.entry = Some(at);
        match when {
            Some(When::Before | When::Crossing) => both.into_iter().rev().for_each(|step| job.steps.push_front(step)),
            Some(When::After) => job.steps.extend(both),
            None => {}
        }
    }

    /// Asks the till on channel 1.
    fn ask(&mut self, outputs: Vec<Output>, question: bool, waits: bool, now: Instant) {
        let encoding = self.encoding();
        let Some(job) = &mut self.job else { return };
        self.asked += 1;
        let sequence = self.asked.to_string();
        let asked = &job.request.header;
        let request_type = if question { "Input" } else { "Output" };
        let request = DeviceRequest {
            header: Header {
                workstation: asked.workstation.clone(),
                pop: asked.pop.clone(),
                ..Header::new(request_type, &asked.request_id)
            },
            sequence: Some(sequence.clone()),
            terminal_id: Some(self.profile.terminal_id.clone()),
            outputs,
            input: question.then(|| Input { target: "CashierKeyboard".into(), command: "GetConfirmation".into() }),
        };
        if waits {
            job.asked = Some((now + ANSWER, sequence, question));
        }
        let bytes = request.to_bytes(encoding);
        match &mut self.device {
            Some((_, Some(waiting))) => waiting.push(bytes),
            Some((conn, None)) => {
                let conn = *conn;
                self.send(conn, &bytes, now);
            }
            None => {
                let conn = self.new_conn();
                self.device = Some((conn, Some(vec![bytes])));
                self.out.push_back(Action::Dial(conn));
            }
        }
    }

    pub(super) fn device_answered(&mut self, conn: Conn, response: &DeviceResponse, now: Instant) {
        let Some((_, _, question)) = self.job.as_mut().and_then(|job| job.asked.take()) else { return };
        let yes = response.input.as_ref().and_then(|input| input.yes) == Some(true);
        if let Some(job) = &mut self.job {
            job.refused |= question && !yes;
        }
        let more = self.job.as_ref().is_some_and(|job| job.steps.iter().any(|s| matches!(s, Step::Device { .. })));
        if !self.profile.keeps_device_link && !more {
            self.hang_up(conn, now);
        }
    }

    /// The till cannot be asked: a question is not answered with yes, paper is not printed.
    pub(super) fn device_is_gone(&mut self, _now: Instant) {
        if let Some(job) = &mut self.job {
            job.refused |= job.asked.take().is_some_and(|(_, _, question)| question);
        }
    }

    pub(super) fn till_is_gone(&mut self, conn: Conn, now: Instant) {
        let Some(job) = self.job.as_mut().filter(|job| job.conn == Some(conn)) else { return };
        job.conn = None;
        if !job.is_undecided() {
            return;
        }
        match self.profile.on_loss {
            OnLoss::GoesOn => {}
            OnLoss::Forgets => self.job = None,
            OnLoss::Cancels => self.end_job(OverallResult::Aborted, now),
        }
    }

    /// Ends what runs before money has moved.
    pub(super) fn end_job(&mut self, result: OverallResult, now: Instant) {
        let Some(job) = self.job.take() else { return };
        let response = self.response(&job.request, result);
        self.answer(job.conn, response, now);
    }

    /// Power is lost: what was decided is stored, and its answer can be repeated.
    pub(super) fn lose_job(&mut self) {
        let Some(job) = self.job.take() else { return };
        if let Some(at) = job.entry {
            let response = self.approval(job.request.header, at, self.profile.approves);
            self.remember(response);
        }
    }
}
