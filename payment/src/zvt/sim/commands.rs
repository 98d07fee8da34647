//! What the simulated terminal does on each command of the till.

use std::time::Instant;

use tresen_hal::{Amount, Currency};

use super::super::bmp::{self, encode_bcd};
use super::super::commands::display;
use super::super::commands::print::Slip;
use super::super::commands::registration::Registration;
use super::super::commands::reservation::{self, Open};
use super::super::commands::transaction::Asked;
use super::super::text::Charset;
use super::super::wire::{self, Apdu};
use super::fault::Misbehaviour;
use super::profile::{OnRepeat, Repeats};
use super::{Kind, State, Transaction};
use super::{Simulator, Step, messages};

/// What a command means to the ledger, with its amount in minor units; or the code with which it is refused.
type Meant = Result<(Kind, Option<u64>), u8>;

impl Simulator {
    pub(super) fn handle(&mut self, apdu: Apdu<'_>, now: Instant) {
        if apdu.is_answer() {
            return self.answered(apdu.class == 0x80 || apdu.instr == 0, apdu.data, now);
        }
        let of_another = self.dialog.as_ref().is_some_and(|job| job.till != self.front);
        if apdu.code() == 0x06b0 && !of_another {
            return self.asked_to_abort(now);
        }
        if self.dialog.is_some() {
            return self.send(wire::nak(0x9c).to_vec(), now);
        }
        let data = apdu.data;
        let after_password = data.get(3..).unwrap_or_default();
        // Some terminals' manuals have a password in these, others have none: any till is served.
        let named = bmp::fields(data).any(|field| field.id == 0x87);
        let of_reservation = if named { data } else { after_password };
        if let Some(time) = self.faults.busy_for() {
            self.busy_until = Some(now + time);
        }
        if apdu.code() != 0x0600 && self.busy_until.is_some_and(|until| now < until) {
            return self.send(wire::nak(0x9c).to_vec(), now);
        }
        if apdu.code() != 0x0600 && self.faults.once(Misbehaviour::HangAfterAcknowledgement) {
            self.send(wire::ACK.to_vec(), now);
            self.mute();
            return;
        }
        let with_password =
            matches!(apdu.code(), 0x0501 | 0x060c | 0x0610 | 0x0620 | 0x0630 | 0x0631 | 0x0650 | 0x0693);
        if with_password && self.profile.password.is_some_and(|p| data.get(..3) != Some(&p.bytes()[..])) {
            return self.send(wire::nak(0x83).to_vec(), now);
        }
        let engaged = self.alone.is_some() && !self.profile.lies_idle;
        match apdu.code() {
            0x0600 => self.register(data, now),
            0x0602 => {
                self.set_registration(None);
                self.send(wire::ACK.to_vec(), now);
            }
            0x0501 => {
                if !self.profile.answers_enquiry {
                    return;
                }
                let status = if engaged { 0x9c } else { 0x00 };
                self.begin([Step::Tell(messages::state(&self.profile, status))], now);
            }
            0x0610 if self.alone.is_none() => self.tell_totals(now),
            0x0693 => self.begin([Step::Tell(messages::intermediate(0xd2)), Step::Tell(messages::done())], now),
            0x0670 => self.begin([Step::Tell(messages::intermediate(0xd2)), Step::Tell(messages::done())], now),
            0x06e0 => {
                self.shown.extend(display::text(0x06e0, data, Charset::default()));
                self.begin([Step::Tell(messages::done())], now);
            }
            0x06d1 | 0x06d3 => self.begin([Step::Tell(messages::done())], now),
            0x06e2 => {
                let end = self.profile.enters.as_deref().map_or(messages::abort(0x6c), messages::input);
                self.begin([Step::Tell(end)], now);
            }
            0x0620 if !engaged => self.repeat(after_password, now),
            0x0601 | 0x0609 | 0x060c | 0x0610 | 0x0620 | 0x0622..=0x0625 | 0x0630 | 0x0631 | 0x0650 | 0x06c0
                if self.alone.is_some() =>
            {
                self.send(wire::nak(0x9c).to_vec(), now);
            }
            0x0650 => self.close_day(now),
            0x0601 => self.transact(Asked::parse(data), |_, asked| Ok((Kind::Payment, asked.amount)), now),
            // The prepaid card's id and the mode of payment come first.
            0x0609 => self.transact(Asked::parse(after_password), |_, asked| Ok((Kind::TopUp, asked.amount)), now),
            0x0622 => self.transact(Asked::parse(data), |_, asked| Ok((Kind::Reservation, asked.amount)), now),
            0x0623 if reservation::asks_for_open(of_reservation) => {
                let open = self.open_reservations();
                self.begin([Step::Tell(open)], now);
            }
            // What is released, or what is booked.
            0x0623 => self.transact(
                Asked::parse(of_reservation),
                |sim, asked| sim.books(asked, |held, told| held - told),
                now,
            ),
            0x0624 => self.transact(Asked::parse(of_reservation), |sim, asked| sim.books(asked, |_, told| told), now),
            0x0625 => self.transact(Asked::parse(of_reservation), Self::releases, now),
            0x0631 => self.transact(Asked::parse(after_password), |_, asked| Ok((Kind::Refund, asked.amount)), now),
            0x0630 => self.transact(Asked::parse(after_password), Self::reverses, now),
            0x060c => self.transact(Asked::parse(after_password), Self::tips, now),
            0x06c0 => self.read_card(now),
            _ => self.send(wire::nak(0x83).to_vec(), now),
        }
    }

    fn register(&mut self, data: &[u8], now: Instant) {
        let wanted = self.profile.password;
        match Registration::parse(data).filter(|r| wanted.is_none_or(|p| p == r.password)) {
            Some(registration) => {
                let done = messages::registered(&self.profile, &registration);
                self.set_registration(Some(registration));
                self.begin([Step::Tell(done)], now);
            }
            None => self.send(wire::nak(0x83).to_vec(), now),
        }
    }

    /// The payment that is asked about, if it stands.
    fn stands(&self, asked: &Asked) -> Result<(usize, u64), u8> {
        let at = asked.receipt.and_then(|receipt| self.ledger.payment(receipt)).ok_or(0xb5)?;
        match self.ledger.entries()[at].state {
            State::Stored => Ok((at, self.minor(at))),
            State::Reversed => Err(0xb4),
            _ => Err(0xb5),
        }
    }

    /// The reservation that is asked about, if it is open.
    fn held(&self, asked: &Asked) -> Result<(usize, u64), u8> {
        let at = asked.receipt.and_then(|receipt| self.ledger.open_reservation(receipt)).ok_or(0xb8)?;
        Ok((at, self.minor(at)))
    }

    fn minor(&self, at: usize) -> u64 {
        self.ledger.entries()[at].amount.minor().unsigned_abs()
    }

    fn reverses(&self, asked: &Asked) -> Meant {
        self.stands(asked).map(|(at, paid)| (Kind::Reversal(at), Some(paid)))
    }

    fn tips(&self, asked: &Asked) -> Meant {
        self.stands(asked).map(|(at, _)| (Kind::Tip(at), asked.amount))
    }

    fn releases(&self, asked: &Asked) -> Meant {
        self.held(asked).map(|(at, held)| (Kind::Release(at), Some(held)))
    }

    fn books(&self, asked: &Asked, booked: impl Fn(u64, u64) -> u64) -> Meant {
        let (at, held) = self.held(asked)?;
        // At most what is held, whether booked or released.
        let told = asked.amount.filter(|told| *told <= held).ok_or(0xb7)?;
        Ok((Kind::Booking(at), Some(booked(held, told))))
    }

    fn open_reservations(&self) -> Vec<u8> {
        let first = self.ledger.open_reservations().next();
        let mut out = Vec::new();
        reservation::open(&mut out, first.map_or(Open::None, |first| Open::AtLeast(first.receipt)));
        out
    }

    /// 06 C0. The customer presents the card of the profile at once, unless the next transaction is to be declined.
    fn read_card(&mut self, now: Instant) {
        let steps = match self.faults.decline() {
            Some(code) => [Step::Tell(messages::declined(code)), Step::Tell(messages::abort(code))],
            None => [Step::Tell(messages::card(&self.profile)), Step::Tell(messages::done())],
        };
        self.begin(steps, now);
    }

    fn transact(&mut self, asked: Asked, meant: impl Fn(&Self, &Asked) -> Meant, now: Instant) {
        if self.registration().is_none() {
            return self.send(wire::nak(0x6b).to_vec(), now);
        }
        if self.faults.once(Misbehaviour::Busy) {
            return self.send(wire::nak(0x9c).to_vec(), now);
        }
        self.mirror(&asked);
        let (kind, minor) = match meant(self, &asked) {
            Ok(meant) => meant,
            // It says which reservations are open.
            Err(0xb8) => return self.begin([Step::Tell(self.open_reservations())], now),
            Err(code) => return self.begin([Step::Tell(messages::abort(code))], now),
        };
        let minor = minor.and_then(|minor| i64::try_from(minor).ok()).filter(|minor| *minor > 0);
        let Some(minor) = minor else { return self.send(wire::nak(0x83).to_vec(), now) };
        let registered = self.registration().and_then(|r| r.currency);
        let amount = Amount::new(minor, asked.currency.or(registered).unwrap_or(Currency::EUR));
        let amount = self.profile.approves.unwrap_or(amount);
        let part = if kind == Kind::Payment { self.faults.part() } else { None };
        let amount = part.filter(|part| part.minor() < amount.minor()).unwrap_or(amount);
        let steps = if self.has(0x08) { &[0x0a, 0x01, 0x04][..] } else { &[] };
        let mut steps: Vec<_> = steps.iter().map(|code| Step::Tell(messages::intermediate(*code))).collect();
        steps.extend(self.profile.shows.as_deref().map(|text| Step::Tell(messages::shown(text))));
        steps.extend(self.profile.asks.as_ref().map(|asks| Step::Ask(messages::asked(asks))));
        if self.faults.once(Misbehaviour::StrayAbort) {
            steps.insert(0, Step::Tell(messages::abort(0x6c)));
        }
        if self.faults.once(Misbehaviour::RepeatResult) {
            steps.splice(0..0, self.repeated.clone().map(Step::Tell));
        }
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
        match self.profile.repeat {
            OnRepeat::Shows | OnRepeat::PrintsOnly => {}
            OnRepeat::Refuses(code) => return self.send(wire::nak(code).to_vec(), now),
            OnRepeat::Aborts(code) => return self.begin([Step::Tell(messages::abort(code))], now),
            OnRepeat::Silent => return,
            OnRepeat::Hangs => return self.send(wire::ACK.to_vec(), now),
        }
        let service = bmp::fields(data).find(|f| f.id == 0x03).map_or(0, |f| f.data[0]);
        let shown = match self.profile.repeats {
            Repeats::Stored => self.ledger.last_stored(),
            Repeats::Any => self.ledger.entries().len().checked_sub(1),
        };
        let shown = shown.map(|at| self.ledger.entries()[at].clone());
        let Some(shown) = shown.or_else(|| self.profile.used_before.then(|| self.before())) else {
            return self.begin([Step::Tell(messages::abort(self.profile.nothing_stored))], now);
        };
        let mut steps = Vec::new();
        let only_prints = self.profile.repeat == OnRepeat::PrintsOnly;
        if service & 0x01 != 0 && !only_prints {
            let result = self.result(&shown, now);
            self.repeated = Some(result.clone());
            steps.push(Step::Tell(result));
        }
        if service & 0x02 == 0 || only_prints {
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
        let mut steps = vec![Step::Tell(messages::totals(total, &[]))];
        if self.has(0x04) {
            let lines = messages::day_receipt(&self.profile, count, total);
            let slip = Slip::Admin;
            steps.extend(messages::slip(self.registration(), slip, &lines).into_iter().map(Step::Tell));
        }
        steps.push(Step::Tell(messages::done()));
        self.begin(steps, now);
    }

    /// 06 10: the turnover so far, by kind of card. All cards are girocards here.
    fn tell_totals(&mut self, now: Instant) {
        let open: Vec<_> = self.ledger.stored().filter(|t| !t.closed).map(|t| t.receipt).collect();
        let total = self.ledger.turnover();
        let mut amounts = Vec::new();
        for receipt in [open.first(), open.last()] {
            encode_bcd(&mut amounts, u64::from(receipt.copied().unwrap_or_default()), 2);
        }
        for kind in 0..7 {
            let (count, sum) = if kind == 0 { (open.len(), total) } else { (0, 0) };
            amounts.push(u8::try_from(count).unwrap_or(u8::MAX));
            encode_bcd(&mut amounts, u64::try_from(sum).unwrap_or_default(), 6);
        }
        let told = messages::totals(total, &amounts);
        self.begin([Step::Tell(told), Step::Tell(messages::done())], now);
    }

    fn has(&self, bits: u8) -> bool {
        self.registration().is_some_and(|r| r.config.has(bits))
    }

    pub(super) fn result(&mut self, transaction: &Transaction, now: Instant) -> Vec<u8> {
        let time = self.profile.time.map(|t| t + (now - *self.started.get_or_insert(now)));
        let original = transaction.kind.of().and_then(|of| self.ledger.entries().get(of));
        let trace = original.map(|original| original.trace);
        // What a real terminal told of a release: what remains.
        let told = match (transaction.kind, original) {
            (Kind::Release(_), _) => Amount::zero(transaction.amount.currency()),
            (Kind::Booking(_), Some(held)) if self.profile.tells_released => {
                Amount::new(held.amount.minor() - transaction.amount.minor(), transaction.amount.currency())
            }
            _ => transaction.amount,
        };
        let mut fields =
            messages::result(&self.profile, &Transaction { amount: told, ..transaction.clone() }, trace, time);
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

    pub(super) fn slips(&self, transaction: &Transaction) -> Vec<Vec<u8>> {
        if !self.has(0x02) {
            return Vec::new();
        }
        messages::receipts(&self.profile, self.registration(), transaction)
    }
}
