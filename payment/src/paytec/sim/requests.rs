//! What the simulated terminal does with each request.

use std::time::Instant;

use tresen_hal::link::record::Direction;
use tresen_hal::{Amount, Currency};

use super::super::codes::{function, status as bits};
use super::super::wire::{Confirmation, Confirmed, Message, ReceiptRequest, TransactionRequest};
use super::fault::{Fault, Misbehaviour, Side, at};
use super::{Kind, Phase, Simulator, State, messages};

impl Simulator {
    pub(super) fn take_line(&mut self, line: &[u8], now: Instant) {
        self.note(Direction::Received, line);
        let message = match Message::from_line(line) {
            Ok(Message::HeartbeatRequest {}) => {
                if self.profile.answers_heartbeats {
                    self.deliver(&Message::HeartbeatResponse {}, now);
                }
                return;
            }
            Ok(Message::HeartbeatResponse {}) => return,
            Ok(message) => message,
            Err(unreadable) => return self.send(messages::error(&unreadable.to_string()), now),
        };
        match self.faults.on_receive(at(Side::FromTill)) {
            None => self.handle(message, now),
            Some(Fault::Drop) => {}
            Some(Fault::Restart) => self.restart(now),
            Some(Fault::HangUpAfter) => {
                self.hang_up();
                self.handle(message, now);
            }
            Some(_) => self.hang_up(),
        }
    }

    fn handle(&mut self, message: Message, now: Instant) {
        match message {
            Message::ConnectRequest(till) => {
                // A till that introduces itself knows nothing of what runs.
                self.lose_till(now);
                self.till = Some(till);
                self.send(messages::connected(self), now);
            }
            _ if self.till.is_none() => self.send(messages::error("not connected"), now),
            Message::StatusRequest {} => self.send(messages::status(self.status_bits(now)), now),
            Message::ActivationRequest(_) => self.activate(now),
            Message::TransactionRequest(request) => self.begin(request, now),
            Message::TransactionConfirmationRequest(decision) => self.decide(&decision, now),
            Message::AbortTransactionRequest {} => self.asked_to_abort(now),
            Message::ReceiptRequest(request) => self.tell_receipt(&request, now),
            Message::ReportRequest(request) => {
                for part in messages::report(&self.profile, &self.ledger, request.report_type.unwrap_or(1)) {
                    self.send(part, now);
                }
            }
            _ if self.is_occupied(now) => self.send(messages::error("busy"), now),
            Message::DeactivationRequest {} => {
                self.send(Message::DeactivationResponse {}, now);
                if std::mem::take(&mut self.shift_open) {
                    self.tell_admin(13, "SCHICHT GESCHLOSSEN", now);
                }
            }
            Message::BalanceRequest {} if self.shift_open => self.send(messages::error("a shift is open"), now),
            Message::BalanceRequest {} => {
                self.send(Message::BalanceResponse {}, now);
                self.tell_admin(21, "TAGESABSCHLUSS", now);
                self.ledger.close_day();
                self.balanced = true;
            }
            Message::ConfigurationRequest {} => {
                self.send(Message::ConfigurationResponse {}, now);
                self.tell_admin(41, "KONFIGURATION", now);
            }
            Message::InitializationRequest {} => {
                self.send(Message::InitializationResponse {}, now);
                self.tell_admin(43, "INITIALISIERUNG", now);
            }
            _ => self.send(messages::error("not a request"), now),
        }
    }

    pub(super) fn status_bits(&self, now: Instant) -> i64 {
        let open = if self.shift_open { bits::SHIFT_OPEN } else { 0 };
        if self.is_occupied(now) && !(self.profile.lies_idle && self.job.as_ref().is_some_and(|job| !job.till)) {
            return open | bits::BUSY;
        }
        if self.profile.card_first { open | bits::CARD | bits::WAITS_FOR_TRANSACTION } else { open }
    }

    pub(super) fn is_occupied(&self, now: Instant) -> bool {
        self.job.is_some() || self.busy_until.is_some_and(|until| until > now)
    }

    fn activate(&mut self, now: Instant) {
        let lies = self.profile.lies_idle && self.job.as_ref().is_some_and(|job| !job.till);
        if self.is_occupied(now) && !lies {
            return self.send(messages::error("busy"), now);
        }
        let opens = !std::mem::replace(&mut self.shift_open, true);
        if opens {
            self.shift += 1;
            self.period += i64::from(std::mem::take(&mut self.balanced));
        }
        self.send(messages::activated(self), now);
        if opens {
            self.tell_admin(11, "SCHICHT OFFEN", now);
            self.send(messages::status(self.status_bits(now)), now);
        }
    }

    fn begin(&mut self, request: TransactionRequest, now: Instant) {
        if let Some(time) = self.faults.take(|m| if let Misbehaviour::BusyFor(time) = m { Some(time) } else { None }) {
            self.busy_until = Some(now + time);
        }
        if self.faults.once(Misbehaviour::Refuse) || self.is_occupied(now) || !self.shift_open {
            return self.send(messages::error("not ready"), now);
        }
        let wanted = request.trx_function.unwrap_or(0);
        if self.profile.functions & wanted == 0 {
            return self.send(messages::error("no such function"), now);
        }
        let currency = request.trx_curr_c.filter(|number| self.profile.currencies.contains(number));
        let currency = currency.and_then(|number| u16::try_from(number).ok()).and_then(Currency::from_number);
        let amount = request.amt_auth.filter(|minor| *minor > 0).zip(currency);
        let amount = amount.map(|(minor, currency)| Amount::new(minor, currency));
        let (kind, amount) = match (wanted, amount) {
            (function::PURCHASE, Some(amount)) => (Kind::Payment, amount),
            (function::CREDIT, Some(amount)) => (Kind::Refund, amount),
            (function::RESERVATION, Some(amount)) => (Kind::Reservation, amount),
            (function::PURCHASE_RESERVATION | function::CANCEL_RESERVATION, _) => {
                let held = self.reservation(&request).map(|of| (of, self.ledger.entries()[of].amount));
                match (held, amount) {
                    (Some((of, held)), _) if wanted == function::CANCEL_RESERVATION => (Kind::Release(of), held),
                    (Some((of, held)), Some(amount)) if amount.minor() <= held.minor() => (Kind::Booking(of), amount),
                    _ => return self.send(messages::error("no such reservation"), now),
                }
            }
            (function::REVERSAL, _) => match self.original(request.trx_seq_cnt_ori) {
                Some(of) => (Kind::Reversal(of), self.ledger.entries()[of].amount),
                None => return self.send(messages::error("no such transaction"), now),
            },
            _ => return self.send(messages::error("amount or currency is missing"), now),
        };
        if self.faults.once(Misbehaviour::RepeatLast)
            && let Some(last) = self.last.clone()
        {
            self.send(last, now);
        }
        self.start(request, kind, amount, now);
    }

    /// The payment or refund with this number, or the last one, that stands in this period.
    fn original(&self, number: Option<i64>) -> Option<usize> {
        self.ledger.entries().iter().rposition(|entry| {
            entry.state == State::Stored
                && !entry.closed
                && matches!(entry.kind, Kind::Payment | Kind::Refund | Kind::Booking(_))
                && number.is_none_or(|number| number == i64::from(entry.trace))
        })
    }

    /// The open reservation that is named by its acquirer and its number there.
    fn reservation(&self, request: &TransactionRequest) -> Option<usize> {
        let (number, acquirer) = (request.trx_ref_num.as_deref()?, request.acq_id?);
        self.ledger.entries().iter().rposition(|entry| {
            let named = messages::number_at_acquirer(entry) == number && acquirer == messages::ACQUIRER;
            named && entry.kind == Kind::Reservation && entry.state == State::Stored
        })
    }

    fn decide(&mut self, decision: &Confirmation, now: Instant) {
        let waits = |job: &mut super::Job| job.phase == Phase::Confirmation && job.till;
        let Some(at) = self.job.take_if(waits).and_then(|job| job.entry) else {
            return self.send(messages::error("nothing to confirm"), now);
        };
        let keep = decision.confirm == Some(1);
        if keep {
            self.ledger.store(at);
        } else {
            self.ledger.undo(at);
        }
        let words = (!keep).then(|| "zurückgesetzt".to_owned());
        self.send(
            Message::TransactionConfirmationResponse(Confirmed { attendant_text: words, ..Confirmed::default() }),
            now,
        );
        let by_itself = self.till.as_ref().is_some_and(|till| till.unsolicited_receipts == Some(1));
        if keep && self.profile.receipts && by_itself && self.profile.software >= UNSOLICITED {
            let entry = self.ledger.entries()[at].clone();
            for part in messages::receipts(&self.profile, &entry) {
                self.send(part, now);
            }
        }
        self.send(messages::status(self.status_bits(now)), now);
    }

    fn tell_receipt(&mut self, request: &ReceiptRequest, now: Instant) {
        let kind = request.receipt_type.unwrap_or(1);
        let number = request.receipt_id_numeric;
        let entry = self.ledger.entries().iter().rfind(|entry| {
            entry.state != State::Declined && number.is_none_or(|number| number == i64::from(entry.trace))
        });
        let Some(entry) = entry.cloned().filter(|_| self.profile.receipts) else {
            return self.send(messages::error("no such receipt"), now);
        };
        let text = messages::receipt_text(&self.profile, kind, &entry);
        let mut parts = messages::receipt(&self.profile, kind, &text);
        if self.profile.software < UNSOLICITED {
            // One part for each request.
            let part = self.told_parts.take().filter(|(of, _)| of == request).map_or(0, |(_, part)| part);
            let last = part + 1 == parts.len();
            self.told_parts = (!last).then(|| (request.clone(), part + 1));
            parts = vec![parts.swap_remove(part)];
        }
        for part in parts {
            self.send(part, now);
        }
    }

    fn tell_admin(&mut self, kind: i64, title: &str, now: Instant) {
        let text = format!("{title}\nTrm-Id: {}\nAct-Id: {}\n", self.profile.terminal_id, self.shift);
        for part in messages::receipt(&self.profile, kind, &text) {
            self.send(part, now);
        }
    }
}

/// From this software on receipts come by themselves, and their parts as well.
const UNSOLICITED: i64 = 170_005;
