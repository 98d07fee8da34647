//! What the simulated terminal answers to each request of the till.

use std::time::Instant;

use tresen_hal::{Amount, Currency};

use super::super::results::OverallResult;
use super::super::wire::{Authorisation, Family, Header, OriginalHeader, Request, Response, Total};
use super::fault::Misbehaviour;
use super::profile::{OnAbort, OnRepeat};
use super::run::{Job, Step};
use super::{Conn, Kind, Simulator, State};

impl Simulator {
    pub(super) fn request(&mut self, conn: Conn, request: Request, now: Instant) {
        let is = |name: &str| request.header.is(name);
        let dialect = self.profile.dialect;
        if is("AbortRequest") {
            return self.asked_to_abort(conn, &request, now);
        }
        if is("RepeatLastMessage") {
            return self.asked_to_repeat(conn, &request, now);
        }
        let result = match request.family {
            Family::Service if is(dialect.login) => {
                self.logged_in = true;
                OverallResult::Success
            }
            Family::Service if is(dialect.logoff) => {
                self.logged_in = false;
                OverallResult::Success
            }
            _ if self.profile.needs_login && !self.logged_in => OverallResult::LoggedOut,
            _ if self.job.is_some() || self.faults.once(Misbehaviour::Busy) => OverallResult::Busy,
            Family::Service if is(dialect.status) => OverallResult::Success,
            Family::Service if is(dialect.end_of_day) => return self.tell_totals(conn, &request, true, now),
            Family::Service if dialect.totals.is_some_and(is) => return self.tell_totals(conn, &request, false, now),
            Family::Service if dialect.initialisation.is_some_and(is) => OverallResult::Success,
            Family::Card if is("CardPayment") => return self.begin(conn, request, Kind::Payment, now),
            Family::Card if is("PaymentRefund") => return self.begin(conn, request, Kind::Refund, now),
            Family::Card if is("CardPreAuthorisation") => return self.begin(conn, request, Kind::Reservation, now),
            Family::Card if is("PaymentReversal") => match self.reversed(&request) {
                Some(kind) => return self.begin(conn, request, kind, now),
                None => OverallResult::Failure,
            },
            Family::Card if is("CardFinancialAdvice") => match self.held(&request) {
                Some((at, held)) if request.amount.is_some_and(|amount| amount.minor() <= held.minor()) => {
                    return self.begin(conn, request, Kind::Booking(at), now);
                }
                _ => OverallResult::Failure,
            },
            Family::Card if is("PreAuthReversal") => match self.held(&request) {
                Some((at, _)) => return self.begin(conn, request, Kind::Release(at), now),
                None => OverallResult::Failure,
            },
            Family::Card if is("TicketReprint") => {
                let lines = self.receipt.clone();
                let answer = self.response(&request, OverallResult::Success);
                let steps = [Step::print(lines), Step::Answer(Box::new(answer))];
                self.job = Some(Job::new(conn, request, steps.into(), now));
                return self.advance(now);
            }
            _ => OverallResult::NotSupported,
        };
        let answer = self.response(&request, result);
        self.reply(conn, answer, now);
    }

    /// Sends an answer and remembers it as the last message of its kind.
    pub(super) fn reply(&mut self, conn: Conn, response: Response, now: Instant) {
        let bytes = response.to_bytes(self.encoding());
        self.remember(response);
        self.send(conn, &bytes, now);
    }

    /// A till that is refused has no message that could be repeated.
    pub(super) fn remember(&mut self, response: Response) {
        if !matches!(response.result, OverallResult::Busy | OverallResult::LoggedOut) {
            self.last.insert(response.family == Family::Card, response);
        }
    }

    pub(super) fn response(&self, request: &Request, result: OverallResult) -> Response {
        let header = Header { sender: None, ..request.header.clone() };
        let mut response = Response::new(request.family, header, result);
        response.terminal_id = Some(self.profile.terminal_id.clone());
        response
    }

    /// The answer about an entry of the ledger.
    pub(super) fn approval(&self, header: Header, at: usize, approves: Option<Amount>) -> Response {
        let entry = &self.ledger.entries()[at];
        let result = if entry.state == State::Declined { OverallResult::Failure } else { OverallResult::Success };
        let mut response = Response::new(Family::Card, Header { sender: None, ..header }, result);
        response.terminal_id = Some(self.profile.terminal_id.clone());
        response.stan = Some(format!("{:06}", entry.trace));
        response.batch = Some("0000000001".into());
        if entry.state == State::Declined {
            response.error_text = Some("declined by the issuer".into());
            return response;
        }
        response.total = Some(Total::of(approves.unwrap_or(entry.amount)));
        response.authorisation = Authorisation {
            circuit: Some(self.profile.card_name.clone()),
            pan: Some(self.profile.card_number.clone()),
            merchant: Some("VU-123456789017".into()),
            receipt: Some(format!("{:04}", entry.receipt)),
            approval: None,
            at: self.profile.time.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S-00:00").to_string()),
        };
        response
    }

    /// The payment that a reversal names, if it stands.
    fn reversed(&self, request: &Request) -> Option<Kind> {
        self.standing(request, charged).map(Kind::Reversal)
    }

    /// The open reservation that a request names, and what it holds.
    fn held(&self, request: &Request) -> Option<(usize, Amount)> {
        let at = self.standing(request, |kind| kind == Kind::Reservation)?;
        Some((at, self.ledger.entries()[at].amount))
    }

    /// The transaction of this kind that a request names, if it stands.
    fn standing(&self, request: &Request, of: impl Fn(Kind) -> bool) -> Option<usize> {
        let stan: u32 = request.original.as_ref()?.stan.parse().ok()?;
        let stands = |t: &super::Transaction| t.trace == stan && of(t.kind) && t.state == State::Stored;
        self.ledger.entries().iter().rposition(stands)
    }

    fn tell_totals(&mut self, conn: Conn, request: &Request, closes: bool, now: Instant) {
        let mut answer = self.response(request, OverallResult::Success);
        let payments: Vec<Amount> =
            self.ledger.stored().filter(|t| charged(t.kind) && !t.closed).map(|t| t.amount).collect();
        let currency = payments.first().map_or(Currency::EUR, |amount| amount.currency());
        let sum = payments.iter().try_fold(Amount::zero(currency), |sum, next| sum.checked_add(*next));
        if let Some(sum) = sum {
            let number = u32::try_from(payments.len()).ok();
            let circuit = Some(self.profile.card_name.clone());
            answer.totals = vec![Total { number, payment_type: Some("Debit".into()), circuit, ..Total::of(sum) }];
        }
        if closes {
            self.ledger.close_day();
        }
        self.reply(conn, answer, now);
    }

    fn asked_to_abort(&mut self, conn: Conn, request: &Request, now: Instant) {
        let open = self.job.as_ref().is_some_and(Job::is_undecided);
        let result = match self.profile.on_abort {
            OnAbort::Ends if open => {
                self.end_job(OverallResult::Aborted, now);
                OverallResult::Success
            }
            OnAbort::GoesOn if open => OverallResult::Success,
            _ => OverallResult::Failure,
        };
        let answer = self.response(request, result);
        // It is no message that is repeated.
        let bytes = answer.to_bytes(self.encoding());
        self.send(conn, &bytes, now);
        self.advance(now);
    }

    fn asked_to_repeat(&mut self, conn: Conn, request: &Request, now: Instant) {
        if self.profile.needs_login && !self.logged_in {
            let answer = self.response(request, OverallResult::LoggedOut);
            return self.send(conn, &answer.to_bytes(self.encoding()), now);
        }
        if self.job.is_some() && !self.profile.lies_idle {
            let answer = self.response(request, OverallResult::Busy);
            return self.send(conn, &answer.to_bytes(self.encoding()), now);
        }
        let last = self.last.get(&(request.family == Family::Card)).cloned();
        let answer = match (self.profile.repeat, last) {
            (OnRepeat::Silent, _) => return,
            (OnRepeat::NotSupported, _) => self.response(request, OverallResult::NotSupported),
            (_, None) => self.response(request, OverallResult::Failure),
            (OnRepeat::Verbatim, Some(last)) => last,
            (repeat, Some(last)) => {
                let original = OriginalHeader {
                    request_type: last.header.request_type.clone(),
                    request_id: last.header.request_id.clone(),
                    result: last.result.clone(),
                };
                let mut answer = last;
                answer.header = Header { sender: None, ..request.header.clone() };
                answer.result = OverallResult::Success;
                answer.original = (repeat == OnRepeat::Header).then_some(original);
                answer
            }
        };
        self.send(conn, &answer.to_bytes(self.encoding()), now);
    }

    fn begin(&mut self, conn: Conn, request: Request, kind: Kind, now: Instant) {
        let amount = match kind {
            Kind::Reversal(of) | Kind::Release(of) => Some(self.ledger.entries()[of].amount),
            _ => request.amount,
        };
        let Some(amount) = amount.filter(|amount| amount.minor() > 0) else {
            let answer = self.response(&request, OverallResult::MissingMandatoryData);
            return self.reply(conn, answer, now);
        };
        let steps = self.transaction(kind, amount);
        self.job = Some(Job::new(conn, request, steps, now));
        self.advance(now);
    }
}

/// It is turnover.
fn charged(kind: Kind) -> bool {
    matches!(kind, Kind::Payment | Kind::Booking(_))
}
