//! A nexo terminal, simulated: its web server, its encryption, a ledger, and misbehaving on request.
//!
//! Sans-IO: [`serve()`] gives it connections, with TLS or without. It takes any till that speaks nexo as Adyen has it.
//! It shows and prints what the till wants, asks the customer, and tells the till how a transaction goes.

mod device;
mod fault;
mod profile;
mod run;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tresen_hal::Result;
use tresen_hal::link::{Connect, Listen};
use tresen_hal::sim::Shared;

use super::http::{self, Reader, Start};
use super::wire::{Body, Category, Class, Direction, EventNotification, Header, Message};
pub use crate::ledger::{Kind, Ledger, State, Transaction};
use crate::serving::{self, Device};
pub use crate::serving::{Action, Conn, Server};
pub use fault::{Fault, Misbehaviour, Side};
use fault::{Faults, at};
pub use profile::{Enters, OnAbort, OnLoss, OnStatus, Profile};
use run::{Ended, Job};

/// The terminal.
pub struct Simulator {
    profile: Profile,
    ledger: Ledger,
    faults: Faults,
    conns: BTreeMap<Conn, Reader>,
    conns_made: u64,
    job: Option<Job>,
    /// How transactions ended, by `SaleID` and `ServiceID`.
    ended: BTreeMap<(String, String), Ended>,
    last: Option<(String, String)>,
    received: BTreeMap<String, usize>,
    /// Requests that move money and have the numbers of an earlier one.
    repeats: usize,
    began: Option<Instant>,
    nonces: u128,
    /// What it has shown and printed for the till.
    shown: Vec<String>,
    printed: Vec<String>,
    /// What the till is to be told, once it is reached.
    posts: BTreeMap<Conn, Vec<u8>>,
    told: usize,
    out: VecDeque<Action>,
    late: Vec<(Instant, Conn, Vec<u8>)>,
}

impl Simulator {
    /// A terminal with an empty ledger.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            ledger: Ledger::starting_after(416),
            faults: Faults::default(),
            conns: BTreeMap::new(),
            conns_made: 0,
            job: None,
            ended: BTreeMap::new(),
            last: None,
            received: BTreeMap::new(),
            repeats: 0,
            began: None,
            nonces: 0,
            shown: Vec::new(),
            printed: Vec::new(),
            posts: BTreeMap::new(),
            told: 0,
            out: VecDeque::new(),
            late: Vec::new(),
        }
    }

    /// What it has stored.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The texts that it has shown for the till, questions among them.
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// The lines that it has printed for the till.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// How often it has told the till something unasked.
    pub fn told(&self) -> usize {
        self.told
    }

    /// How many requests of this category came from a till: `received("Payment")`.
    pub fn received(&self, category: &str) -> usize {
        self.received.get(category).copied().unwrap_or(0)
    }

    /// How many requests that move money had the numbers of an earlier one. They were rejected.
    pub fn repeats(&self) -> usize {
        self.repeats
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

    /// Changes how it is, from the next request on. The ledger stays.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.profile
    }

    /// Power off and on.
    pub fn restart(&mut self) {
        for conn in std::mem::take(&mut self.conns).into_keys() {
            self.out.push_back(Action::HangUp(conn));
        }
        self.late.clear();
        self.job = None;
    }

    /// A till has connected.
    pub fn accepted(&mut self) -> Conn {
        self.conns_made += 1;
        let conn = Conn(self.conns_made);
        self.conns.insert(conn, Reader::of_requests());
        conn
    }

    /// Bytes from a till, split anywhere.
    pub fn input(&mut self, conn: Conn, bytes: &[u8], now: Instant) {
        self.began.get_or_insert(now);
        let Some(reader) = self.conns.get_mut(&conn) else { return };
        reader.feed(bytes);
        while let Some(reader) = self.conns.get_mut(&conn) {
            match reader.next_message() {
                Ok(Some(request)) => self.receive(conn, &request, now),
                Ok(None) => break,
                Err(_) => {
                    self.put(conn, http::response(400, ""));
                    self.hang_up(conn, now);
                }
            }
        }
        self.advance(now);
    }

    /// A connection has ended.
    pub fn gone(&mut self, conn: Conn, now: Instant) {
        if self.conns.remove(&conn).is_some() {
            self.till_is_gone(conn, now);
        }
        self.advance(now);
    }

    /// When [`Simulator::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.late.iter().map(|(at, ..)| *at).chain(self.job.as_ref().map(|job| job.due)).min()
    }

    /// The deadline has passed.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(at) = self.late.iter().position(|(due, ..)| *due <= now) {
            let (_, conn, bytes) = self.late.remove(at);
            self.put(conn, bytes);
            self.hang_up(conn, now);
        }
        self.advance(now);
    }

    /// What it wants done next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    fn receive(&mut self, conn: Conn, request: &http::Message, now: Instant) {
        match self.faults.on_receive(at(Side::FromTill)) {
            Some(Fault::HangUp) => return self.hang_up(conn, now),
            Some(Fault::Drop) => return,
            Some(Fault::Restart) => return self.restart(),
            Some(Fault::HangUpAfter) => {
                self.handle(conn, request, now);
                return self.hang_up(conn, now);
            }
            _ => {}
        }
        self.handle(conn, request, now);
    }

    fn handle(&mut self, conn: Conn, request: &http::Message, now: Instant) {
        let Start::Request { method, target } = &request.start else { return };
        let refused = match (&**method, &**target) {
            // The vendor's own library posts to the second.
            ("POST", "/nexo" | "/nexo/") => None,
            (_, "/nexo" | "/nexo/") => Some(405),
            _ => Some(404),
        };
        if let Some(status) = refused {
            self.put(conn, http::response(status, ""));
            return self.hang_up(conn, now);
        }
        match Message::from_json(&request.body, self.profile.key.as_ref()) {
            Ok(message) if message.header.poi_id.as_ref() == Some(&self.profile.poi) => {
                *self.received.entry(format!("{:?}", message.header.category)).or_default() += 1;
                tracing::trace!(?message, "from till");
                self.request(conn, message, now);
            }
            Ok(_) => self.reject(conn, "Wrong POIID", now),
            Err(fault) => {
                tracing::debug!(%fault, "a request is rejected");
                self.put(conn, http::response(401, ""));
                self.hang_up(conn, now);
            }
        }
    }

    /// Sends a response in the way that the next fault wants.
    fn send(&mut self, conn: Conn, message: &Message, now: Instant) {
        tracing::trace!(?message, "to till");
        let bytes = http::response(200, &self.sealed(message));
        match self.faults.on_send(at(Side::ToTill)) {
            None => self.put(conn, bytes),
            Some(Fault::Drop) => return,
            Some(Fault::HangUp) => {}
            Some(Fault::HangUpAfter) => self.put(conn, bytes),
            Some(Fault::Restart) => return self.restart(),
            Some(Fault::Late(by)) => return self.late.push((now + by, conn, bytes)),
            Some(Fault::Split) => bytes.into_iter().for_each(|byte| self.put(conn, vec![byte])),
            Some(Fault::Half) => self.put(conn, bytes[..bytes.len() / 2].to_vec()),
            Some(Fault::Garbage) => self.put(conn, b"\x06\x0f\x00\xff".to_vec()),
            Some(Fault::Status(status)) => {
                let page = http::response(status, "<html>4111111111111111</html>");
                self.put(conn, page);
            }
            Some(Fault::Chunked) => {
                let body = self.sealed(message);
                let (first, rest) = body.split_at(body.len() / 3);
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
                self.put(conn, format!("{head}{}{}0\r\n\r\n", chunk(first), chunk(rest)).into_bytes());
            }
            Some(Fault::Unsealed) => {
                let body = if self.profile.key.is_some() { message.to_json(None) } else { "{\"NexoBlob\":1}".into() };
                self.put(conn, http::response(200, &body));
            }
            Some(Fault::OtherKey) => {
                let other = self.profile.key.as_ref().map(|key| key.with_other_secret());
                let body = message.to_json(other.as_ref().map(|key| (key, [9; 16])));
                self.put(conn, http::response(200, &body.replace("Success", "Succes5")));
            }
            Some(Fault::OtherHeader) => {
                let poi = self.profile.poi.clone();
                let body = self.sealed(message).replacen(&poi, "V400m-000000001", 1);
                self.put(conn, http::response(200, &body));
            }
            Some(Fault::Foreign) => {
                let mut other = message.clone();
                other.header.service_id = Some("FOREIGN".into());
                let body = self.sealed(&other);
                self.put(conn, http::response(200, &body));
            }
            Some(Fault::Reject) => return self.reject(conn, "Something went wrong", now),
        }
        self.hang_up(conn, now);
    }

    /// A notice instead of an answer, in clear.
    fn reject(&mut self, conn: Conn, why: &str, now: Instant) {
        let header = Header {
            protocol_version: Some("3.0".into()),
            class: Class::Event,
            category: Category::Event,
            direction: Direction::Notification,
            sale_id: None,
            service_id: None,
            poi_id: Some(self.profile.poi.clone()),
        };
        let event = EventNotification {
            event_to_notify: Some("Reject".into()),
            event_details: Some(format!("message={}", why.replace(' ', "+"))),
        };
        let notice = Message { header, body: Body::Event(event) };
        self.put(conn, http::response(200, &notice.to_json(None)));
        self.hang_up(conn, now);
    }

    fn sealed(&mut self, message: &Message) -> String {
        self.nonces += 1;
        message.to_json(self.profile.key.as_ref().map(|key| (key, self.nonces.to_be_bytes())))
    }

    fn put(&mut self, conn: Conn, bytes: Vec<u8>) {
        if self.conns.contains_key(&conn) {
            self.out.push_back(Action::Send(conn, bytes));
        }
    }

    fn hang_up(&mut self, conn: Conn, now: Instant) {
        if self.conns.remove(&conn).is_some() {
            self.out.push_back(Action::HangUp(conn));
            self.till_is_gone(conn, now);
        }
    }

    /// Its date and time.
    fn wall(&self, now: Instant) -> Timestamp {
        let since = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        self.profile.time.saturating_add(SignedDuration::try_from(since).unwrap_or_default()).unwrap_or_default()
    }
}

/// Serves `device` on `listener`, over plain HTTP.
///
/// # Errors
/// The listener has no local address.
pub fn tcp(listener: TcpListener, device: Shared<Simulator>) -> Result<(Server, SocketAddr)> {
    let at = listener.local_addr()?;
    Ok((over(Box::new(listener), None, device), at))
}

/// Serves `device` on a listener of any kind, such as one with TLS, in a task of its own. What it tells unasked goes to
/// `till`.
pub fn over(listen: Box<dyn Listen>, till: Option<Arc<dyn Connect>>, device: Shared<Simulator>) -> Server {
    Server::new(listen, till, device)
}

/// Serves `device` until nobody can connect any more. What it tells unasked goes to `till`.
pub async fn serve(listen: Box<dyn Listen>, till: Option<Arc<dyn Connect>>, device: Shared<Simulator>) {
    serving::serve(listen, till, device).await;
}

impl Device for Simulator {
    fn accepted(&mut self) -> Conn {
        Self::accepted(self)
    }
    fn dialled(&mut self, conn: Conn, reached: bool, _: Instant) {
        Self::dialled(self, conn, reached);
    }
    fn input(&mut self, conn: Conn, bytes: &[u8], now: Instant) {
        Self::input(self, conn, bytes, now);
    }
    fn gone(&mut self, conn: Conn, now: Instant) {
        Self::gone(self, conn, now);
    }
    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }
    fn timeout(&mut self, now: Instant) {
        Self::timeout(self, now);
    }
    fn next_action(&mut self) -> Option<Action> {
        Self::next_action(self)
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
