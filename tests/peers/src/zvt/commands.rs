//! What the terminal does on each command of the till.

use std::collections::VecDeque;

use super::bytes::{self, ACK, COMPLETION, INSERT_CARD, PLEASE_WAIT};
use super::fields::Fields;
use super::program::{About, FLOOD, Run, Step};
use super::{Abort, End, Enquiry, Fate, Intrusion, Kind, Moment, Registration, Repeat, Slips, Terminal};

impl Terminal {
    /// A message of the till, whole.
    pub(super) fn hear(&mut self, message: &[u8], now: u64) {
        if let Some((left, answer)) = self.owed.take() {
            match left {
                0 | 1 => self.emit(&answer, now),
                more => self.owed = Some((more - 1, answer)),
            }
        }
        let body = bytes::body(message);
        let command = !matches!(message[0], 0x80 | 0x84) && message[..2] != [0x06, 0xb0];
        if command && !self.front.ended() && !self.front.pays() {
            match self.quirks.intrusion {
                Intrusion::Ignored => return,
                Intrusion::Queued => {
                    self.queued = Some(message.to_vec());
                    return;
                }
                Intrusion::Replaces => {}
            }
        }
        match [message[0], message[1]] {
            [0x80, _] => self.answered(None, now),
            [0x84, code] => self.answered(Some(code).filter(|c| *c != 0), now),
            [0x06, 0x00] => self.register(body, now),
            [0x06, 0xb0] => self.abort(now),
            [0x05, 0x01] => self.enquire(now),
            [0x06, 0x01 | 0x09 | 0x0c | 0x20 | 0x22..=0x25 | 0x50 | 0x30 | 0x31 | 0xc0]
                if self.registered.is_none() =>
            {
                self.emit(&bytes::refused(0x6b), now);
            }
            [0x06, 0x20] => self.repeat(body, now),
            [0x06, 0x01 | 0x09 | 0x0c | 0x22..=0x25 | 0x50 | 0xc0] if self.busy(now) => {
                self.emit(&bytes::refused(0x9c), now);
            }
            [0x06, 0x01] => self.pay(body, now),
            [0x06, 0x50] => {
                self.ledger.close();
                self.start([Step::Say(ACK.into()), Step::Ask(COMPLETION.into(), About::Other)], now);
            }
            [0x06, 0x02] => {
                self.registered = None;
                self.emit(&ACK, now);
            }
            code if self.hear_of_held(code, body, now) => {}
            _ => self.emit(&bytes::refused(0x83), now),
        }
        self.advance(now);
    }

    fn answered(&mut self, refusal: Option<u8>, now: u64) {
        let Some((_, about)) = self.front.waiting.take() else { return };
        self.front.until = self.front.until.max(now);
        if about != About::Result {
            return;
        }
        let mut run = std::mem::take(&mut self.front);
        match refusal {
            None if self.quirks.commit_after_prints => {}
            None => self.stand(&run),
            Some(0x9c) => {
                run.steps.push_front(Step::Result);
                run.steps.push_front(Step::Wait(AGAIN));
            }
            Some(_) => {
                if let Some(index) = run.transaction() {
                    self.ledger.take_back(index);
                }
                run.steps = [Step::Ask(bytes::aborted(0x6c), About::Other), Step::Over].into();
            }
        }
        self.front = run;
    }

    pub(super) fn start(&mut self, steps: impl IntoIterator<Item = Step>, now: u64) {
        self.front = Run { steps: steps.into_iter().collect(), until: now, ..Run::default() };
    }

    /// 06 00: password, configuration, currency, service byte (BMP 03), TLV.
    fn register(&mut self, body: &[u8], now: u64) {
        let busy_first = match self.quirks.registration {
            Registration::BusyFirst(n) if n > 0 => {
                self.quirks.registration = Registration::BusyFirst(n - 1);
                true
            }
            _ => false,
        };
        if busy_first || self.quirks.admits_busy && self.busy(now) {
            return self.emit(&bytes::refused(0x9c), now);
        }
        let Some(&config) = body.get(3) else { return self.emit(&bytes::refused(0x83), now) };
        // Tag 26 lists what the till allows, each command as tag 0A.
        let blocks = body.windows(4).any(|w| w == [0x0a, 0x02, 0x06, 0xd3]);
        self.registered = Some((config, blocks));
        let completion = match self.quirks.registration {
            Registration::Empty => COMPLETION.to_vec(),
            _ => bytes::registered(self.quirks.terminal),
        };
        let mut steps = vec![Step::Say(ACK.into()), Step::Ask(completion, About::Other)];
        steps.extend(self.strays(Moment::Registered, self.registrations));
        self.registrations += 1;
        self.start(steps, now);
    }

    /// 06 01: amount (BMP 04), currency (49), in any order among others.
    fn pay(&mut self, body: &[u8], now: u64) {
        let fields = Fields::read(body);
        match fields.amount.map(|amount| (amount, fields.currency)) {
            Some(sum) => self.transact(Kind::Payment, sum, now),
            None => {
                self.asked.push(self.customer.clone());
                self.emit(&bytes::refused(0x83), now);
            }
        }
    }

    pub(super) fn transact(&mut self, kind: Kind, (amount, currency): (u64, u16), now: u64) {
        let nth = self.asked.len();
        self.asked.push(self.customer.clone());
        let fate = self.quirks.fates.get(nth).unwrap_or(&self.quirks.fate_after).clone();
        let mut steps: Vec<_> = self.strays(Moment::BeforeAnswer, nth);
        if let End::Refused(code) = fate.end {
            steps.push(Step::Say(bytes::refused(code)));
            return self.start(steps, now);
        }
        steps.push(Step::Say(ACK.into()));
        let after = self.strays(Moment::AfterAnswer, nth);
        if !after.is_empty() {
            steps.push(Step::Wait(60));
            steps.extend(after);
        }
        if self.registered.is_some_and(|(config, _)| config & 0x08 != 0) {
            for n in 0..fate.statuses {
                let status: &[u8] = if n % 2 == 0 { &INSERT_CARD } else { &PLEASE_WAIT };
                steps.extend([Step::Ask(status.into(), About::Other), Step::Wait(fate.pace)]);
            }
        }
        steps.push(Step::Wait(fate.customer / 2));
        steps.extend(self.strays(Moment::WithCustomer, nth));
        steps.push(Step::Wait(fate.customer - fate.customer / 2));
        steps.extend(self.ending(&fate, (amount, currency)));
        steps.extend(self.strays(Moment::AfterEnd, nth));
        steps.push(Step::Over);
        self.start(steps, now);
        self.front.payment = Some((self.customer.clone(), None));
        self.front.kind = kind;
    }

    fn ending(&self, fate: &Fate, sum: (u64, u16)) -> Vec<Step> {
        let other = |bytes: &[u8]| Step::Ask(bytes.into(), About::Other);
        match fate.end {
            End::Approved => self.approval(sum),
            End::ApprovedAs(amount, currency) => self.approval((amount, currency)),
            End::Declined(code) => vec![Step::Decline(sum, code), Step::Result, other(&bytes::aborted(code))],
            End::DeclinedCompleted(code) => vec![Step::Decline(sum, code), Step::Result, other(&COMPLETION)],
            End::Aborted(code) => vec![other(&bytes::aborted(code))],
            End::Refused(code) => vec![Step::Say(bytes::refused(code))],
            End::CompletedEmpty => vec![other(&COMPLETION)],
            End::FloodsStatus => vec![Step::Flood(PLEASE_WAIT.into())],
            End::FloodsPrints => {
                let mut line = vec![0x00];
                line.resize(0xffff, b'x');
                vec![Step::Flood(bytes::apdu(0x06, 0xd1, &line, true))]
            }
            End::FloodsResults => {
                // As often as a till may listen to it.
                let mut steps = vec![Step::Approve(sum.0, sum.1)];
                for _ in 0..10_000 {
                    steps.extend([Step::Result, Step::Wait(FLOOD)]);
                }
                steps
            }
        }
    }

    fn approval(&self, (amount, currency): (u64, u16)) -> Vec<Step> {
        let mut steps = vec![Step::Approve(amount, currency), Step::Result];
        if self.registered.is_some_and(|(config, _)| config & 0x02 != 0) {
            steps.extend(self.slips(amount));
        }
        steps.extend([Step::Printed, Step::Ask(COMPLETION.into(), About::Other)]);
        steps
    }

    /// Both slips, the merchant's first unless a quirk says otherwise.
    fn slips(&self, amount: u64) -> Vec<Step> {
        let line = format!("EUR {}.{:02}", amount / 100, amount % 100);
        let allowed = self.registered.is_some_and(|(_, blocks)| blocks);
        let slip = |customer| match self.quirks.slips {
            Slips::Blocks if allowed => vec![bytes::block(customer, &line)],
            Slips::Untagged => bytes::lines(customer, &line, false),
            _ => bytes::lines(customer, &line, true),
        };
        let both = match self.quirks.slips {
            Slips::None => vec![],
            Slips::CustomerFirst => [slip(true), slip(false)].concat(),
            Slips::MerchantOnly => slip(false),
            _ => [slip(false), slip(true)].concat(),
        };
        both.into_iter().map(|bytes| Step::Ask(bytes, About::Print)).collect()
    }

    /// 06 20: password, service byte (BMP 03): bit 0 wants the 04 0F, bit 1 no prints.
    fn repeat(&mut self, body: &[u8], now: u64) {
        let served = self.asked.len();
        let how = match served {
            0 => self.quirks.repeat_before,
            n if n >= self.quirks.repeat_honest_from => Repeat::Honest,
            _ => self.quirks.repeat_after,
        };
        if self.quirks.admits_busy && self.busy(now) {
            return self.emit(&bytes::refused(0x9c), now);
        }
        let service = if body.get(3) == Some(&0x03) { body.get(4).copied().unwrap_or(0) } else { 0 };
        let last = self.ledger.last(self.quirks.shows_declined).cloned();
        let mut steps = vec![Step::Say(ACK.into())];
        let completed = Step::Ask(COMPLETION.into(), About::Other);
        let prints = |steps: &mut Vec<Step>| {
            if let Some(last) = &last {
                steps.extend(self.slips(last.amount));
            }
        };
        match how {
            Repeat::Dead => return,
            Repeat::Silent => {}
            Repeat::Refused(code) => steps = vec![Step::Say(bytes::refused(code))],
            Repeat::Aborted(code) => steps.push(Step::Ask(bytes::aborted(code), About::Other)),
            Repeat::Empty => steps.push(completed),
            Repeat::PrintsOnly => {
                prints(&mut steps);
                steps.push(completed);
            }
            Repeat::Honest | Repeat::Unnumbered => {
                let shown = self.ledger.all().iter().rposition(|t| Some(t) == last.as_ref());
                let Some(index) = shown else {
                    steps.push(Step::Ask(bytes::aborted(0x66), About::Other));
                    return self.start(steps, now);
                };
                if service & 1 != 0 {
                    let unnumbered = how == Repeat::Unnumbered;
                    let trace = self.quirks.counts_repeats.then(|| self.ledger.count_trace());
                    let mut shown = self.shown(index, trace);
                    shown.receipt = shown.receipt.filter(|_| !unnumbered);
                    let bytes = shown.apdu(self.quirks.style);
                    self.last_result.clone_from(&bytes);
                    steps.push(Step::Ask(bytes, About::Other));
                }
                if service & 2 == 0 {
                    let amount = self.ledger.all()[index].amount;
                    steps.extend(self.slips(amount));
                }
                steps.push(completed);
            }
        }
        self.start(steps, now);
    }

    fn enquire(&mut self, now: u64) {
        let status = if self.quirks.admits_busy && self.busy(now) { 0x9c } else { 0x00 };
        let completion = match self.quirks.enquiry {
            Enquiry::Silent => return,
            Enquiry::Refused => return self.emit(&bytes::refused(0x83), now),
            Enquiry::Status => bytes::enquired(status),
            Enquiry::Bare => vec![0x06, 0x0f, 0x01, status],
            Enquiry::Empty => COMPLETION.to_vec(),
        };
        if self.front.pays() {
            return self.emit(&bytes::refused(0x9c), now);
        }
        self.start([Step::Say(ACK.into()), Step::Ask(completion, About::Other)], now);
    }

    fn abort(&mut self, now: u64) {
        if !self.front.pays() || self.front.transaction().is_some() {
            return self.emit(&bytes::refused(0x83), now);
        }
        let ends = [Step::Ask(bytes::aborted(0x6c), About::Other), Step::Over];
        match self.quirks.abort {
            Abort::Refuses => self.emit(&bytes::refused(0x83), now),
            Abort::GoesOn => self.emit(&ACK, now),
            Abort::Ignores => {}
            Abort::Obeys => {
                self.emit(&ACK, now);
                self.hurry(ends.into(), now);
            }
            Abort::Crosses { approves, late, accepts } => {
                let answer = if accepts { ACK.to_vec() } else { bytes::refused(0x83) };
                let approval = self.front.steps.iter().position(|s| matches!(s, Step::Approve(..)));
                let steps = match approval {
                    Some(at) if approves => self.front.steps.split_off(at),
                    _ => ends.into(),
                };
                self.hurry(steps, now);
                self.advance(now);
                if late == 0 {
                    self.emit(&answer, now);
                } else {
                    self.owed = Some((late, answer));
                }
            }
        }
    }

    /// The payment goes on with these steps, at once.
    fn hurry(&mut self, steps: VecDeque<Step>, now: u64) {
        (self.front.steps, self.front.waiting, self.front.until) = (steps, None, now);
    }

    fn strays(&mut self, when: Moment, nth: usize) -> Vec<Step> {
        let of = self.quirks.strays.iter().filter(|s| s.when == when && s.nth == nth);
        of.map(|s| Step::Stray(s.what.clone())).collect()
    }
}

/// How long a busy terminal answers 84 9C to a till that asks it to say its result again.
const AGAIN: u64 = 2_000;
