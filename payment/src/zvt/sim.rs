//! A ZVT terminal, simulated: with a ledger of its own, and misbehaving on request.
//!
//! Sans-IO like all simulators; serve it with [`tresen_hal::sim`]. It takes any till that speaks ZVT
//! over TCP, with or without TLV, BMPs in any order. Reservations (06 22) are taken like payments.
//! Left out: everything a till can do without money and receipts, such as card reading and menus.

mod fault;
mod ledger;
mod messages;
mod profile;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use tresen_hal::link::record::Direction;
use tresen_hal::sim::{Action, Device};
use tresen_hal::{Amount, Currency};

use super::commands::registration::Registration;
use super::commands::transaction::Asked;
pub use super::recovery::Commit;
use super::wire::{self, Apdu, Decoder};
use fault::{Delivery, Faults};
pub use fault::{Misbehaviour, Side};
pub use ledger::{Kind, Ledger, State, Transaction};
pub use profile::{OnAbort, Profile, Repeats};

/// One message that passed, without card data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// [`Direction::Received`] came from the till.
    pub direction: Direction,
    /// The APDU.
    pub bytes: Vec<u8>,
}

/// The terminal.
pub struct Simulator {
    profile: Profile,
    ledger: Ledger,
    faults: Faults,
    log: VecDeque<Logged>,
    decoder: Decoder,
    registration: Option<Registration>,
    dialog: Option<Job>,
    /// What goes on without a till. While it does, the terminal is busy.
    alone: Option<Job>,
    out: VecDeque<Action>,
    late: Vec<(Instant, Vec<u8>)>,
    muted: bool,
    hung_up: bool,
    started: Option<Instant>,
}

/// How many messages the log keeps.
const LOG: usize = 10_000;
/// How long it waits for the till's answer: T3 of its side.
const ANSWER: Duration = Duration::from_secs(5);

/// A command that runs.
struct Job {
    steps: VecDeque<Step>,
    due: Instant,
    /// The till owes an answer until then.
    answer_due: Option<Instant>,
    /// The answer that is owed decides about this approval.
    deciding: bool,
    transaction: Option<usize>,
}

enum Step {
    Tell(Vec<u8>),
    TellResult(Vec<u8>),
    Authorise { kind: Kind, amount: Amount, decline: Option<u8> },
    Store,
    Undo,
}

impl Simulator {
    /// A terminal with an empty ledger.
    pub fn new(profile: Profile) -> Self {
        let ledger = Ledger::starting_after(profile.receipts_from);
        Self {
            profile,
            ledger,
            faults: Faults::default(),
            log: VecDeque::new(),
            decoder: Decoder::default(),
            registration: None,
            dialog: None,
            alone: None,
            out: VecDeque::new(),
            late: Vec::new(),
            muted: false,
            hung_up: false,
            started: None,
        }
    }

    /// What it has stored.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The messages that passed, oldest first; the last ten thousand.
    pub fn log(&self) -> impl Iterator<Item = &Logged> {
        self.log.iter()
    }

    /// How many commands with this code came from a till: `received(0x0601)` counts authorisations.
    pub fn received(&self, code: u16) -> usize {
        let code = code.to_be_bytes();
        self.log.iter().filter(|l| l.direction == Direction::Received && l.bytes.starts_with(&code)).count()
    }

    /// Something goes wrong, once.
    pub fn misbehave(&mut self, how: Misbehaviour) {
        self.faults.plan(how);
    }

    /// Forgets what should still go wrong.
    pub fn behave(&mut self) {
        self.faults.clear();
    }

    /// A till is registered.
    pub fn is_registered(&self) -> bool {
        self.registration.is_some()
    }

    /// Changes how it is, from the next command on. The ledger stays.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.profile
    }

    fn handle(&mut self, apdu: Apdu<'_>, now: Instant) {
        if apdu.is_answer() {
            return self.answered(apdu.class == 0x80 || apdu.instr == 0, now);
        }
        if apdu.code() == 0x06b0 {
            return self.asked_to_abort(now);
        }
        if self.dialog.is_some() {
            return self.send(wire::nak(0x9c).to_vec(), now);
        }
        let data = apdu.data;
        let after_password = data.get(3..).unwrap_or_default();
        match apdu.code() {
            0x0600 => self.register(data, now),
            0x0602 => {
                self.registration = None;
                self.send(wire::ACK.to_vec(), now);
            }
            0x0501 => {
                let status = if self.alone.is_some() { 0x9c } else { 0x00 };
                self.begin([Step::Tell(messages::state(&self.profile, status))], now);
            }
            0x0670 => self.begin([Step::Tell(messages::intermediate(0xd2)), Step::Tell(messages::done())], now),
            0x06d1 | 0x06d3 | 0x06e0 => self.begin([Step::Tell(messages::done())], now),
            0x0601 | 0x0622 | 0x0620 | 0x0630 | 0x0631 | 0x0650 if self.alone.is_some() => {
                self.send(wire::nak(0x9c).to_vec(), now);
            }
            0x0620 => self.repeat(after_password, now),
            0x0650 => self.close_day(now),
            0x0601 | 0x0622 => self.transact(Asked::parse(data), |_| Ok(Kind::Payment), now),
            0x0631 => self.transact(Asked::parse(after_password), |_| Ok(Kind::Refund), now),
            0x0630 => {
                let asked = Asked::parse(after_password);
                let payment = asked.receipt.and_then(|r| self.ledger.payment(r));
                self.transact(asked, |sim| sim.reversible(payment).map(Kind::Reversal), now);
            }
            _ => self.send(wire::nak(0x83).to_vec(), now),
        }
    }

    fn register(&mut self, data: &[u8], now: Instant) {
        let wanted = self.profile.password;
        match Registration::parse(data).filter(|r| wanted.is_none_or(|p| p == r.password)) {
            Some(registration) => {
                let done = messages::registered(&self.profile, &registration);
                self.registration = Some(registration);
                self.begin([Step::Tell(done)], now);
            }
            None => self.send(wire::nak(0x83).to_vec(), now),
        }
    }

    fn reversible(&self, payment: Option<usize>) -> Result<usize, u8> {
        match payment {
            Some(at) if self.ledger.entries()[at].state == State::Stored => Ok(at),
            Some(at) if self.ledger.entries()[at].state == State::Reversed => Err(0xb4),
            _ => Err(0xb5),
        }
    }

    fn transact(&mut self, asked: Asked, kind: impl Fn(&Self) -> Result<Kind, u8>, now: Instant) {
        if self.registration.is_none() {
            return self.send(wire::nak(0x6b).to_vec(), now);
        }
        if self.faults.once(Misbehaviour::Busy) {
            return self.send(wire::nak(0x9c).to_vec(), now);
        }
        self.mirror(&asked);
        let kind = match kind(self) {
            Ok(kind) => kind,
            Err(code) => return self.begin([Step::Tell(messages::abort(code))], now),
        };
        let minor = match kind {
            Kind::Reversal(of) => Some(self.ledger.entries()[of].amount.minor()),
            _ => asked.amount.and_then(|a| i64::try_from(a).ok()).filter(|a| *a > 0),
        };
        let Some(minor) = minor else { return self.send(wire::nak(0x83).to_vec(), now) };
        let registered = self.registration.as_ref().and_then(|r| r.currency);
        let amount = Amount::new(minor, asked.currency.or(registered).unwrap_or(Currency::EUR));
        let steps = if self.has(0x08) { &[0x0a, 0x01, 0x04][..] } else { &[] };
        let mut steps: Vec<_> = steps.iter().map(|code| Step::Tell(messages::intermediate(*code))).collect();
        steps.push(Step::Authorise { kind, amount, decline: self.faults.decline() });
        self.begin(steps, now);
    }

    /// Tag 1F1F: a till that is one behind has not heard of the last transaction.
    fn mirror(&mut self, asked: &Asked) {
        let Some(Some(number)) = asked.mirror.filter(|_| self.profile.mirrors) else { return };
        let (last, before) = {
            let mut stored = self.ledger.stored().rev().map(|t| t.receipt);
            (stored.next(), stored.next())
        };
        if last.is_some_and(|l| l != number) && before.unwrap_or(self.profile.receipts_from) == number {
            let last = self.ledger.last_stored().expect("one is stored");
            self.ledger.undo(last);
        }
    }

    fn repeat(&mut self, data: &[u8], now: Instant) {
        let service = super::bmp::fields(data).find(|f| f.id == 0x03).map_or(0, |f| f.data[0]);
        let shown = match self.profile.repeats {
            Repeats::Stored => self.ledger.last_stored(),
            Repeats::Any => self.ledger.entries().len().checked_sub(1),
        };
        let shown = shown.map(|at| self.ledger.entries()[at].clone());
        let Some(shown) = shown.or_else(|| self.profile.used_before.then(|| self.before())) else {
            return self.begin([Step::Tell(messages::abort(self.profile.nothing_stored))], now);
        };
        let mut steps = Vec::new();
        if service & 0x01 != 0 {
            steps.push(Step::Tell(self.result(&shown, now)));
        }
        if service & 0x02 == 0 {
            steps.extend(self.slips(&shown).into_iter().map(Step::Tell));
        }
        steps.push(Step::Tell(messages::done()));
        self.begin(steps, now);
    }

    fn before(&self) -> Transaction {
        Transaction {
            kind: Kind::Payment,
            amount: Amount::eur(9_99),
            receipt: self.profile.receipts_from,
            trace: u32::from(self.profile.receipts_from),
            state: State::Stored,
            code: 0,
            closed: true,
        }
    }

    fn close_day(&mut self, now: Instant) {
        let (count, total) = (self.ledger.stored().filter(|t| !t.closed).count(), self.ledger.turnover());
        self.ledger.close_day();
        let mut steps = vec![Step::Tell(messages::totals(total))];
        if self.has(0x04) {
            let lines = messages::day_receipt(&self.profile, count, total);
            let slip = super::commands::print::Slip::Admin;
            steps.extend(messages::slip(self.registration.as_ref(), slip, &lines).into_iter().map(Step::Tell));
        }
        steps.push(Step::Tell(messages::done()));
        self.begin(steps, now);
    }

    fn has(&self, bits: u8) -> bool {
        self.registration.as_ref().is_some_and(|r| r.config.has(bits))
    }

    fn result(&mut self, transaction: &Transaction, now: Instant) -> Vec<u8> {
        let time = self.profile.time.map(|t| t + (now - *self.started.get_or_insert(now)));
        let mut fields = messages::result(&self.profile, transaction, time);
        if self.faults.once(Misbehaviour::UnknownField { first: true }) {
            fields.splice(0..0, [0x77, 0x01, 0x02]);
        }
        if self.faults.once(Misbehaviour::UnknownField { first: false }) {
            fields.extend([0x77, 0x01, 0x02]);
        }
        if self.faults.once(Misbehaviour::UnknownTag) {
            fields.extend([0x06, 0x05, 0x1f, 0x7e, 0x02, 0xca, 0xfe]);
        }
        let mut out = Vec::new();
        wire::encode(&mut out, 0x04, 0x0f, |out| out.extend(fields));
        out
    }

    fn slips(&self, transaction: &Transaction) -> Vec<Vec<u8>> {
        if !self.has(0x02) {
            return Vec::new();
        }
        messages::receipts(&self.profile, self.registration.as_ref(), transaction)
    }

    /// Acknowledges a command and starts on it.
    fn begin(&mut self, steps: impl IntoIterator<Item = Step>, now: Instant) {
        self.send(wire::ACK.to_vec(), now);
        self.dialog = Some(Job {
            steps: steps.into_iter().collect(),
            due: now + self.profile.pace,
            answer_due: None,
            deciding: false,
            transaction: None,
        });
        self.advance(now);
    }

    fn answered(&mut self, positive: bool, now: Instant) {
        let Some(job) = &mut self.dialog else { return };
        if job.answer_due.take().is_none() {
            return;
        }
        if job.deciding && !positive {
            job.steps = [Step::Undo, Step::Tell(messages::abort(0x6c))].into();
        }
        job.deciding = false;
        if job.steps.is_empty() {
            self.dialog = None;
            return;
        }
        // The commit point is the acknowledgement, not the moment after it.
        let commits = matches!(job.steps.front(), Some(Step::Store | Step::Undo));
        job.due = if commits { now } else { now + self.profile.pace };
        self.advance(now);
    }

    fn asked_to_abort(&mut self, now: Instant) {
        let before_approval =
            self.dialog.as_ref().is_some_and(|j| j.steps.iter().any(|s| matches!(s, Step::Authorise { .. })));
        match self.profile.on_abort {
            OnAbort::Ends if before_approval => {
                self.send(wire::ACK.to_vec(), now);
                let job = self.dialog.as_mut().expect("a job was found");
                job.steps = [Step::Tell(messages::declined(0x6c)), Step::Tell(messages::abort(0x6c))].into();
            }
            OnAbort::GoesOn if self.dialog.is_some() => self.send(wire::ACK.to_vec(), now),
            _ => self.send(wire::nak(0x83).to_vec(), now),
        }
        self.advance(now);
    }

    /// Does what is due.
    fn advance(&mut self, now: Instant) {
        while let Some(mut job) = self.dialog.take_if(|j| j.answer_due.is_none() && j.due <= now) {
            let Some(step) = job.steps.pop_front() else { continue };
            match step {
                Step::Tell(message) => self.tell(&mut job, message, now),
                Step::TellResult(message) => {
                    self.tell(&mut job, message, now);
                    job.deciding = true;
                    if self.faults.once(Misbehaviour::MuteAfterApproval) {
                        self.muted = true;
                    }
                    if self.faults.once(Misbehaviour::HangUpAfterApproval) {
                        self.hang_up();
                    }
                }
                step => self.book(&mut job, step, false, now),
            }
            if !(job.steps.is_empty() && job.answer_due.is_none()) {
                self.dialog = Some(job);
            }
        }
        while let Some(mut job) = self.alone.take_if(|j| j.due <= now) {
            let Some(step) = job.steps.pop_front() else { continue };
            self.book(&mut job, step, true, now);
            job.due = now + self.profile.pace;
            if !job.steps.is_empty() {
                self.alone = Some(job);
            }
        }
    }

    fn tell(&mut self, job: &mut Job, message: Vec<u8>, now: Instant) {
        self.send(message, now);
        job.answer_due = Some(now + ANSWER);
    }

    fn book(&mut self, job: &mut Job, step: Step, alone: bool, now: Instant) {
        match step {
            Step::Tell(_) | Step::TellResult(_) => {}
            Step::Store => job.transaction.into_iter().for_each(|at| self.ledger.store(at)),
            Step::Undo => job.transaction.into_iter().for_each(|at| self.ledger.undo(at)),
            Step::Authorise { kind, amount, decline } => {
                let at = self.ledger.add(kind, amount, decline);
                let transaction = self.ledger.entries()[at].clone();
                let result = self.result(&transaction, now);
                job.steps = match decline {
                    Some(code) => [Step::Tell(result), Step::Tell(messages::abort(code))].into(),
                    None => {
                        job.transaction = Some(at);
                        let slips = self.slips(&transaction).into_iter().map(Step::Tell);
                        let end = [Step::Store, Step::Tell(messages::done())];
                        std::iter::once(Step::TellResult(result)).chain(slips).chain(end).collect()
                    }
                };
                if alone {
                    job.steps = job.transaction.map(|_| self.without_till()).into_iter().collect();
                }
            }
        }
        job.due = now;
    }

    fn without_till(&self) -> Step {
        match self.profile.commit {
            Commit::Reverses => Step::Undo,
            Commit::Keeps => Step::Store,
        }
    }

    /// The till is gone or does not answer.
    fn lose_till(&mut self, now: Instant) {
        let Some(mut job) = self.dialog.take() else { return };
        let undecided = job.transaction.filter(|at| self.ledger.entries()[*at].state == State::Authorised);
        if undecided.is_some() {
            job.steps = [self.without_till()].into();
        } else if self.profile.finishes_alone {
            job.steps.retain(|s| matches!(s, Step::Authorise { .. }));
        } else {
            job.steps.clear();
        }
        if !job.steps.is_empty() {
            job.answer_due = None;
            job.due = now + self.profile.pace;
            self.alone = Some(job);
        }
        self.advance(now);
    }

    fn send(&mut self, mut message: Vec<u8>, now: Instant) {
        if self.muted || self.hung_up {
            return;
        }
        match self.faults.on_send() {
            Delivery::Normal => {}
            Delivery::Nothing => return,
            Delivery::Late(by) => return self.late.push((now + by, message)),
            Delivery::Garbage => message = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Delivery::WrongLength => message[2] = message[2].wrapping_add(1),
            Delivery::HangUp { after } => {
                if after {
                    self.deliver(message);
                }
                return self.hang_up();
            }
        }
        self.deliver(message);
    }

    fn deliver(&mut self, message: Vec<u8>) {
        self.note(Direction::Sent, message.clone());
        self.out.push_back(Action::Send(message));
    }

    fn hang_up(&mut self) {
        self.hung_up = true;
        self.out.push_back(Action::HangUp);
    }

    fn note(&mut self, direction: Direction, mut bytes: Vec<u8>) {
        super::redact(direction, &mut bytes);
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(Logged { direction, bytes });
    }
}

impl Device for Simulator {
    fn connected(&mut self, now: Instant) {
        self.started.get_or_insert(now);
        self.decoder = Decoder::default();
        self.out.clear();
        self.late.clear();
        (self.muted, self.hung_up) = (false, false);
        self.advance(now);
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.decoder.feed(bytes);
        while !self.hung_up {
            let mut decoder = std::mem::take(&mut self.decoder);
            match decoder.next_apdu() {
                Ok(Some(apdu)) => {
                    let mut bytes = Vec::new();
                    wire::encode(&mut bytes, apdu.class, apdu.instr, |out| out.extend(apdu.data));
                    self.note(Direction::Received, bytes);
                    match self.faults.on_receive() {
                        None => self.handle(apdu, now),
                        Some(after) => {
                            self.hang_up();
                            if after {
                                self.handle(apdu, now);
                            }
                        }
                    }
                }
                Ok(None) => {
                    self.decoder = decoder;
                    return;
                }
                // Whoever talks is no till.
                Err(_) => self.hang_up(),
            }
            self.decoder = decoder;
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let dialog = self.dialog.as_ref().map(|j| j.answer_due.unwrap_or(j.due));
        let alone = self.alone.as_ref().map(|j| j.due);
        self.late.iter().map(|(at, _)| *at).chain(dialog).chain(alone).min()
    }

    fn timeout(&mut self, now: Instant) {
        while let Some(at) = self.late.iter().position(|(at, _)| *at <= now) {
            let (_, message) = self.late.remove(at);
            self.deliver(message);
        }
        if self.dialog.as_ref().is_some_and(|j| j.answer_due.is_some_and(|at| at <= now)) {
            self.lose_till(now);
        }
        self.advance(now);
    }

    fn disconnected(&mut self, now: Instant) {
        self.hung_up = true;
        self.registration = None;
        self.out.clear();
        self.late.clear();
        self.lose_till(now);
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("profile", &self.profile)
            .field("ledger", &self.ledger)
            .field("registered", &self.registration.is_some())
            .finish_non_exhaustive()
    }
}
