//! How a command runs, step by step, with and without the till.

use std::collections::VecDeque;

use super::bytes::{self, Shown, Style};
use super::{Event, Kind, State, Terminal, Unheard, What};

/// Between two messages of a flood, and between two of the largest.
pub(super) const FLOOD: u64 = 200;
const LARGE_FLOOD: u64 = 1_000;

/// A running command.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) steps: VecDeque<Step>,
    /// An acknowledgement is due until then.
    pub(super) waiting: Option<(u64, About)>,
    /// Nothing happens before this time.
    pub(super) until: u64,
    /// The payment that runs: whose it is, and its place in the ledger once the host has answered.
    pub(super) payment: Option<(String, Option<usize>)>,
    /// What kind it is.
    pub(super) kind: Kind,
}

/// What an acknowledgement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Result,
    Print,
    Other,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Says something that is not acknowledged.
    Say(Vec<u8>),
    /// Says something and waits for the acknowledgement.
    Ask(Vec<u8>, About),
    Wait(u64),
    /// The host approves.
    Approve(u64, u16),
    /// The host declines.
    Decline((u64, u16), u8),
    /// 04 0F of the payment that runs.
    Result,
    /// All prints were handed over.
    Printed,
    /// The same message without end.
    Flood(Vec<u8>),
    Stray(What),
    /// The payment is over.
    Over,
}

impl Run {
    pub(super) fn pays(&self) -> bool {
        self.payment.is_some() && !self.ended()
    }

    pub(super) fn ended(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_none()
    }

    pub(super) fn wakes(&self) -> Option<u64> {
        match self.waiting {
            Some((deadline, _)) => Some(deadline),
            None => (!self.steps.is_empty()).then_some(self.until),
        }
    }

    pub(super) fn transaction(&self) -> Option<usize> {
        self.payment.as_ref().and_then(|(_, index)| *index)
    }
}

impl Terminal {
    /// Does what is due by `now`.
    pub(super) fn advance(&mut self, now: u64) {
        if let Some(run) = self.alone.take() {
            let run = self.run(run, now, false);
            if run.ended() {
                self.events(run.until.min(now));
            } else {
                self.alone = Some(run);
            }
        }
        let run = std::mem::take(&mut self.front);
        self.front = self.run(run, now, true);
    }

    fn run(&mut self, mut run: Run, now: u64, talks: bool) -> Run {
        loop {
            if let Some((deadline, about)) = run.waiting {
                if now < deadline {
                    return run;
                }
                (run.waiting, run.until) = (None, deadline);
                self.unanswered(&mut run, about, talks);
            } else if now < run.until {
                return run;
            } else if let Some(step) = run.steps.pop_front() {
                self.step(&mut run, step, talks);
            } else {
                return run;
            }
        }
    }

    fn step(&mut self, run: &mut Run, step: Step, talks: bool) {
        let now = run.until;
        let ask = |about| Some((now + self.quirks.patience + self.quirks.slow, about));
        match step {
            Step::Wait(time) => run.until += time,
            Step::Approve(amount, currency) => {
                if let Some((whose, index)) = &mut run.payment {
                    *index = Some(self.ledger.enter(run.kind, State::Approved, (amount, currency), whose, now));
                }
            }
            Step::Decline(sum, code) => {
                if let Some((whose, index)) = &mut run.payment {
                    let entered = self.ledger.enter(run.kind, State::Declined, sum, whose, now);
                    self.ledger.decline(entered, code);
                    *index = Some(entered);
                }
            }
            Step::Printed => {
                if self.quirks.commit_after_prints {
                    self.stand(run);
                }
            }
            Step::Over => self.busy_until = now + self.quirks.busy_after,
            Step::Result if !talks => self.unanswered(run, About::Result, talks),
            Step::Ask(_, about) if !talks => self.unanswered(run, about, talks),
            Step::Say(_) | Step::Stray(_) | Step::Flood(_) if !talks => {}
            Step::Say(bytes) => self.emit(&bytes, now),
            Step::Ask(bytes, about) => {
                run.waiting = ask(about);
                self.emit(&bytes, now);
            }
            Step::Result => {
                run.waiting = ask(About::Result);
                let bytes =
                    self.result(run.transaction().expect("a result has a transaction"), self.quirks.style, None);
                self.emit(&bytes, now);
                self.last_result = bytes;
            }
            Step::Stray(what) => {
                let bytes = match what {
                    What::LastResult => self.last_result.clone(),
                    What::Bytes(bytes) => bytes,
                };
                if !bytes.is_empty() {
                    run.waiting = ask(About::Other);
                    self.emit(&bytes, now);
                }
            }
            Step::Flood(bytes) => {
                run.waiting = ask(About::Other);
                self.emit(&bytes, now);
                let pace = if bytes.len() > 1000 { LARGE_FLOOD } else { FLOOD };
                run.steps.push_front(Step::Flood(bytes));
                run.steps.push_front(Step::Wait(pace));
            }
        }
    }

    /// An acknowledgement did not come.
    fn unanswered(&mut self, run: &mut Run, about: About, talks: bool) {
        let matters = match about {
            About::Result => true,
            About::Print => self.quirks.commit_after_prints,
            About::Other => false,
        };
        if !matters || !self.unheard(run) {
            return;
        }
        run.steps.clear();
        if talks {
            run.steps.push_back(Step::Ask(bytes::aborted(0x6c), About::Other));
        }
        run.steps.push_back(Step::Over);
    }

    /// An approval was not heard. True if that took it back.
    fn unheard(&mut self, run: &Run) -> bool {
        let Some(index) = run.transaction() else { return false };
        if self.ledger.all()[index].state != State::Approved {
            return false;
        }
        match self.quirks.unheard {
            Unheard::Keeps => self.ledger.store(index),
            Unheard::Reverses => self.ledger.take_back(index),
            Unheard::ReversesWithReceipt => {
                self.ledger.reverse(index, run.until);
            }
        }
        self.quirks.unheard != Unheard::Keeps
    }

    pub(super) fn stand(&mut self, run: &Run) {
        if let Some(index) = run.transaction()
            && self.ledger.all()[index].state == State::Approved
        {
            self.ledger.store(index);
        }
    }

    /// The link is gone: what runs ends, or goes on alone.
    pub(super) fn hung_up(&mut self, now: u64) {
        let mut run = std::mem::take(&mut self.front);
        let pays = run.pays();
        if pays {
            run.until = run.until.max(now);
            if run.transaction().is_some() {
                self.unheard(&run);
                self.busy_until = now + self.quirks.busy_after;
            } else if self.quirks.finishes_alone {
                run.waiting = None;
                self.alone = Some(run);
                return;
            }
        }
        self.events(now);
    }

    fn events(&mut self, now: u64) {
        if self.asked.is_empty() || self.lost_once {
            return;
        }
        self.lost_once = true;
        for event in self.quirks.when_lost.clone() {
            match event {
                Event::OtherTill(amount) => {
                    self.ledger.enter(Kind::Payment, State::Stored, (amount, 978), "other till", now);
                }
                Event::Reversal(whose) => {
                    if let Some(index) = self.ledger.last_of(&whose) {
                        self.ledger.reverse(index, now);
                    }
                }
                Event::EndOfDay => self.ledger.close(),
                Event::Swap(id, amount) => {
                    self.quirks.terminal = id;
                    self.ledger.swap(88, 2088);
                    self.ledger.enter(Kind::Payment, State::Stored, (amount, 978), "elsewhere", 0);
                }
            }
        }
    }

    fn result(&self, index: usize, style: Style, trace: Option<u32>) -> Vec<u8> {
        self.shown(index, trace).apdu(style)
    }

    pub(super) fn shown(&self, index: usize, trace: Option<u32>) -> Shown {
        let t = &self.ledger.all()[index];
        Shown {
            code: t.code,
            // Nothing remains of what was released: so a real terminal tells it.
            amount: if matches!(t.kind, Kind::Release(_)) { 0 } else { t.amount },
            currency: t.currency,
            receipt: Some(t.receipt),
            trace: trace.unwrap_or(t.trace),
            original: match t.kind {
                Kind::Reversal(of) if self.quirks.names_original => Some(of),
                Kind::Booking(of) | Kind::Release(of) | Kind::Tip(of) if self.quirks.names_original => {
                    Some(self.ledger.all()[of].trace)
                }
                _ => None,
            },
            terminal: self.quirks.terminal,
            at: self.date(t.at),
        }
    }

    /// Month, day, hour, minute, second, by a clock that may be wrong.
    fn date(&self, at: u64) -> [u8; 5] {
        const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (month, day, second) = self.clock;
        let seconds = second + at / 1000;
        let before: i64 = DAYS[..usize::from(month) - 1].iter().sum();
        let mut of_year = before + i64::from(day) - 1 + i64::from(self.quirks.clock_days);
        of_year = (of_year + i64::try_from(seconds / 86_400).expect("not an age")).rem_euclid(365);
        let mut month = 0;
        while of_year >= DAYS[month] {
            of_year -= DAYS[month];
            month += 1;
        }
        let second = seconds % 86_400;
        [month as u8 + 1, of_year as u8 + 1, (second / 3600) as u8, (second / 60 % 60) as u8, (second % 60) as u8]
    }
}
