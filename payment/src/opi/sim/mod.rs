//! An OPI terminal, simulated: both channels, a ledger, and misbehaving on request.
//!
//! Sans-IO: [`serve()`] gives it connections. It takes any till that speaks OPI over TCP. Left out: everything a till can do
//! without money and receipts.

mod fault;
mod profile;
mod requests;
mod run;
mod serve;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use tresen_hal::Amount;

use super::framing::{Framing, frame};
use super::redact;
use super::results::OverallResult;
use super::wire::{Family, Header, Message, Response};
use super::xml::Encoding;
pub use crate::ledger::{Kind, Ledger, State, Transaction};
pub use crate::serving::{Action, Conn};
use fault::{Delivery, Faults};
pub use fault::{Misbehaviour, Side};
pub use profile::{OnAbort, OnLoss, OnRepeat, Profile, When};
use run::Job;
pub use serve::{Server, serve, tcp};

/// The terminal.
pub struct Simulator {
    profile: Profile,
    ledger: Ledger,
    faults: Faults,
    conns: BTreeMap<Conn, Framing>,
    conns_made: u64,
    /// The connection of channel 1, and what waits until it is open.
    device: Option<(Conn, Option<Vec<Vec<u8>>>)>,
    job: Option<Job>,
    logged_in: bool,
    /// The last answer to a `CardServiceRequest` and to a `ServiceRequest`.
    last: BTreeMap<bool, Response>,
    /// The lines of the last receipt.
    receipt: Vec<String>,
    received: BTreeMap<String, usize>,
    answers: Vec<super::wire::device::DeviceResponse>,
    asked: u64,
    out: VecDeque<Action>,
    late: Vec<(Instant, Conn, Vec<u8>)>,
    /// Messages that wait until this many others have been sent.
    behind: Vec<(usize, Conn, Vec<u8>)>,
    /// Sent together with the next message of its connection.
    merged: BTreeMap<Conn, Vec<u8>>,
}

impl Simulator {
    /// A terminal with an empty ledger.
    pub fn new(profile: Profile) -> Self {
        let ledger = Ledger::starting_after(profile.traces_from);
        let mut sim = Self {
            profile,
            ledger,
            faults: Faults::default(),
            conns: BTreeMap::new(),
            conns_made: 0,
            device: None,
            job: None,
            logged_in: false,
            last: BTreeMap::new(),
            receipt: Vec::new(),
            received: BTreeMap::new(),
            answers: Vec::new(),
            asked: 0,
            out: VecDeque::new(),
            late: Vec::new(),
            behind: Vec::new(),
            merged: BTreeMap::new(),
        };
        if sim.profile.used_before {
            let header = Header::new("CardPayment", "41");
            let mut response = Response::new(Family::Card, header, OverallResult::Success);
            response.stan = Some(format!("{:06}", sim.profile.traces_from));
            response.terminal_id = Some(sim.profile.terminal_id.clone());
            sim.last.insert(true, response);
        }
        sim
    }

    /// What it has stored.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How many requests of this type came from a till: `received("CardPayment")`.
    pub fn received(&self, request_type: &str) -> usize {
        self.received.get(request_type).copied().unwrap_or(0)
    }

    /// What the till has answered on channel 1, oldest first.
    pub fn answers(&self) -> &[super::wire::device::DeviceResponse] {
        &self.answers
    }

    /// A transaction runs.
    pub fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// Something goes wrong, once.
    pub fn misbehave(&mut self, how: Misbehaviour) {
        self.faults.plan(how);
    }

    /// Forgets what should still go wrong.
    pub fn behave(&mut self) {
        self.faults.clear();
    }

    /// A transaction of which the connected till knows nothing: typed in at the terminal, or by another till. It stands
    /// at once, and the terminal's last message is that of `request_id`.
    pub fn by_hand(&mut self, kind: Kind, amount: Amount, request_id: &str) {
        let at = self.ledger.add(kind, amount, None);
        self.ledger.store(at);
        let request_type = if kind == Kind::Refund { "PaymentRefund" } else { "CardPayment" };
        let header = Header::new(request_type, request_id);
        let response = self.approval(header, at, None);
        self.last.insert(true, response);
    }

    /// Changes how it is, from the next request on. The ledger stays.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.profile
    }

    /// A till has connected to channel 0.
    pub fn accepted(&mut self) -> Conn {
        let conn = self.new_conn();
        self.conns.insert(conn, Framing::default());
        conn
    }

    /// Whether [`Action::Dial`] has reached the till.
    pub fn dialled(&mut self, conn: Conn, reached: bool, now: Instant) {
        if self.device.as_ref().is_none_or(|(device, _)| *device != conn) {
            self.out.push_back(Action::HangUp(conn));
        } else if reached {
            self.conns.insert(conn, Framing::default());
            let waiting = self.device.as_mut().and_then(|(_, waiting)| waiting.take()).unwrap_or_default();
            waiting.into_iter().for_each(|message| self.send(conn, &message, now));
        } else {
            self.device = None;
            self.device_is_gone(now);
        }
        self.advance(now);
    }

    /// Bytes from the till, split anywhere.
    pub fn input(&mut self, conn: Conn, bytes: &[u8], now: Instant) {
        let Some(framing) = self.conns.get_mut(&conn) else { return };
        framing.feed(bytes, now);
        while let Some(framing) = self.conns.get_mut(&conn) {
            match framing.next_message() {
                Ok(Some(message)) => {
                    note("from till", &message);
                    match self.faults.on_receive(fault::received).unwrap_or(Delivery::Normal) {
                        Delivery::HangUp { after } => {
                            if after {
                                self.handle(conn, &message, now);
                            }
                            self.hang_up(conn, now);
                        }
                        Delivery::Restart => self.restart(),
                        _ => self.handle(conn, &message, now),
                    }
                }
                Ok(None) => break,
                // This is no till.
                Err(_) => self.hang_up(conn, now),
            }
        }
        self.advance(now);
    }

    /// The connection has ended.
    pub fn gone(&mut self, conn: Conn, now: Instant) {
        if self.conns.remove(&conn).is_some() {
            self.forget(conn, now);
        }
        self.advance(now);
    }

    /// The next action.
    pub fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// When [`Simulator::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.late.iter().map(|(at, ..)| *at).chain(self.job.as_ref().and_then(Job::due)).min()
    }

    /// The deadline has passed.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(at) = self.late.iter().position(|(at, ..)| *at <= now) {
            let (_, conn, message) = self.late.remove(at);
            self.deliver(conn, message);
        }
        self.advance(now);
    }

    fn new_conn(&mut self) -> Conn {
        self.conns_made += 1;
        Conn(self.conns_made)
    }

    fn handle(&mut self, conn: Conn, message: &[u8], now: Instant) {
        match Message::parse(message) {
            Ok(Message::Request(request)) => {
                *self.received.entry(request.header.request_type.clone()).or_default() += 1;
                self.request(conn, request, now);
            }
            Ok(Message::DeviceResponse(response)) => {
                self.answers.push(response.clone());
                if self.answers.len() > MOST_ANSWERS {
                    self.answers.remove(0);
                }
                self.device_answered(conn, &response, now);
            }
            Ok(_) => {}
            Err(_) => {
                let header = Header::new("", "");
                let refusal = Response::new(Family::Service, header, OverallResult::ParsingError);
                self.send(conn, &refusal.to_bytes(self.encoding()), now);
            }
        }
    }

    fn encoding(&self) -> Encoding {
        self.profile.dialect.encoding
    }

    fn send(&mut self, conn: Conn, message: &[u8], now: Instant) {
        if !self.conns.contains_key(&conn) {
            return;
        }
        let mut framed = frame(message);
        match self.faults.on_send(fault::sent).unwrap_or(Delivery::Normal) {
            // What waits holds back what follows it on its connection, as on a slow line.
            Delivery::Normal => {
                if let Some(until) = self.late.iter().filter(|(_, to, _)| *to == conn).map(|(at, ..)| *at).max() {
                    return self.late.push((until, conn, framed));
                }
            }
            Delivery::Nothing => return,
            Delivery::Late(by) => return self.late.push((now + by, conn, framed)),
            Delivery::Behind(others) => return self.behind.push((others, conn, framed)),
            Delivery::Twice => self.deliver(conn, framed.clone()),
            Delivery::Split => {
                note("to till", message);
                return self.out.extend(framed.into_iter().map(|byte| Action::Send(conn, vec![byte])));
            }
            Delivery::Merge => return self.merged.entry(conn).or_default().extend(framed),
            Delivery::Garbage => framed = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Delivery::WrongLength => framed[3] = framed[3].wrapping_add(1),
            Delivery::HangUp { after } => {
                if after {
                    self.deliver(conn, framed);
                }
                return self.hang_up(conn, now);
            }
            Delivery::Restart => return self.restart(),
        }
        self.deliver(conn, framed);
    }

    fn deliver(&mut self, conn: Conn, framed: Vec<u8>) {
        self.put(conn, framed);
        self.behind.iter_mut().for_each(|(others, ..)| *others = others.saturating_sub(1));
        while let Some(at) = self.behind.iter().position(|(others, ..)| *others == 0) {
            let (_, conn, message) = self.behind.remove(at);
            self.put(conn, message);
        }
    }

    fn put(&mut self, conn: Conn, framed: Vec<u8>) {
        if !self.conns.contains_key(&conn) {
            return;
        }
        note("to till", framed.get(4..).unwrap_or_default());
        let mut all = self.merged.remove(&conn).unwrap_or_default();
        all.extend(framed);
        self.out.push_back(Action::Send(conn, all));
    }

    fn hang_up(&mut self, conn: Conn, now: Instant) {
        if self.conns.remove(&conn).is_some() {
            self.out.push_back(Action::HangUp(conn));
            self.forget(conn, now);
        }
    }

    /// What depended on a connection.
    fn forget(&mut self, conn: Conn, now: Instant) {
        self.merged.remove(&conn);
        self.late.retain(|(_, c, _)| *c != conn);
        self.behind.retain(|(_, c, _)| *c != conn);
        if self.device.as_ref().is_some_and(|(device, _)| *device == conn) {
            self.device = None;
            self.device_is_gone(now);
        }
        self.till_is_gone(conn, now);
    }

    /// Power off and on.
    fn restart(&mut self) {
        for conn in std::mem::take(&mut self.conns).into_keys() {
            self.out.push_back(Action::HangUp(conn));
        }
        (self.device, self.logged_in) = (None, false);
        self.late.clear();
        self.behind.clear();
        self.merged.clear();
        self.lose_job();
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("profile", &self.profile)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

fn note(direction: &str, message: &[u8]) {
    if tracing::enabled!(tracing::Level::TRACE) {
        tracing::trace!(direction, message = %redact::shown(message), "frame");
    }
}

/// Answers of the till that are kept.
const MOST_ANSWERS: usize = 1000;
/// How long it waits for the till on channel 1.
const ANSWER: Duration = Duration::from_secs(15);
