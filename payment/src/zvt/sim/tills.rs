//! The connections of a simulated terminal: over TCP any number of tills, on a serial line one.
//!
//! One transaction runs at a time; while it does, other tills are answered `84 9C`. A till that only stays connected
//! holds up nobody. A registration is kept for the host that it came from until log-off, for tills that connect anew for
//! each command, unless [`Profile::keeps_registration`](super::Profile::keeps_registration) says otherwise.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::net::TcpListener;
use tresen_hal::Result;
use tresen_hal::link::Listen;
use tresen_hal::link::record::Direction;
use tresen_hal::sim::{self as hal, Shared};

use super::super::commands::registration::Registration;
use super::super::transport::{Event, Transport};
use super::super::wire::Apdu;
use super::fault::{Delivery, LineFault};
use super::{Action, Conn, Simulator};
use crate::serving::{self, Server};

/// Serves the terminal at `listener`.
///
/// # Errors
/// The listener has no address.
pub fn tcp(listener: TcpListener, device: Shared<Simulator>) -> Result<(Server, SocketAddr)> {
    let at = listener.local_addr()?;
    Ok((over(Box::new(listener), device), at))
}

/// Serves the terminal on the links that `listener` accepts, such as those of TLS.
pub fn over(listener: Box<dyn Listen>, device: Shared<Simulator>) -> Server {
    Server::new(listener, None, device)
}

/// The connection of a [`hal::Device`], which has one link at a time.
const LINE: Conn = Conn(0);

/// A connected till.
#[derive(Debug, Default)]
pub(super) struct Till {
    transport: Transport,
    from: Option<IpAddr>,
    registration: Option<Registration>,
    late: Vec<(Instant, Vec<u8>)>,
    /// Until then what is late holds back what follows it, unless the till begins anew with a registration.
    held: Option<Instant>,
    /// Messages that wait until this many others have been sent.
    behind: Vec<(usize, Vec<u8>)>,
    muted: bool,
    hung_up: bool,
}

impl Till {
    /// Sends a message at `at`.
    fn hold(&mut self, at: Instant, message: Vec<u8>) {
        self.held = self.held.max(Some(at));
        self.late.push((at, message));
    }
}

impl Simulator {
    fn connect(&mut self, conn: Conn, from: Option<IpAddr>) {
        let transport = Transport::new(self.profile.framing);
        let registration = self.known.get(&from).cloned();
        tracing::debug!(?from, "host connected");
        self.tills.insert(conn, Till { transport, from, registration, ..Till::default() });
    }

    /// The registration of the till in front.
    pub(super) fn registration(&self) -> Option<&Registration> {
        self.tills.get(&self.front)?.registration.as_ref()
    }

    /// The till in front is registered, or logs off.
    pub(super) fn set_registration(&mut self, registration: Option<Registration>) {
        let Some(till) = self.tills.get_mut(&self.front) else { return };
        till.registration.clone_from(&registration);
        match registration {
            Some(registration) => _ = self.known.insert(till.from, registration),
            None => _ = self.known.remove(&till.from),
        }
    }

    fn take_in(&mut self, conn: Conn, bytes: &[u8], now: Instant) {
        self.started.get_or_insert(now);
        let Some(till) = self.tills.get_mut(&conn).filter(|till| !till.hung_up) else { return };
        till.transport.handle_input(bytes, now);
        self.hear(conn, now);
    }

    /// Handles what the transport of a till has.
    fn hear(&mut self, conn: Conn, now: Instant) {
        loop {
            self.pump(conn);
            let Some(till) = self.tills.get_mut(&conn).filter(|till| !till.hung_up) else { return };
            let apdu = match till.transport.poll_event() {
                None => return,
                Some(Event::Apdu(apdu)) => apdu.bytes.to_vec(),
                Some(Event::Delivered(_)) => continue,
                // Whether it does not answer or cannot be reached.
                Some(Event::Undelivered(_)) => {
                    self.lose(conn, now);
                    continue;
                }
                // This is no till. A line stays.
                Some(Event::Invalid(_)) => {
                    if self.profile.framing.delivery().is_zero() {
                        self.hang_up_on(conn);
                    }
                    continue;
                }
            };
            self.note(Direction::Received, &apdu);
            let apdu = Apdu::whole(&apdu).expect("the transport gives whole ones");
            self.front = conn;
            if apdu.code() == 0x0600
                && let Some(till) = self.tills.get_mut(&conn)
            {
                till.held = None;
            }
            match self.faults.on_receive() {
                None => self.handle(apdu, now),
                Some(after) => {
                    self.hang_up_on(conn);
                    if after {
                        self.handle(apdu, now);
                    }
                }
            }
        }
    }

    /// Sends a message to the till in front, unless something happens to it.
    pub(super) fn send(&mut self, mut message: Vec<u8>, now: Instant) {
        let conn = self.front;
        let Some(till) = self.tills.get_mut(&conn).filter(|till| !till.muted && !till.hung_up) else { return };
        match self.faults.on_send() {
            Delivery::Normal => {
                if let Some(until) = till.held.filter(|until| *until > now) {
                    return till.hold(until, message);
                }
            }
            Delivery::Nothing => return,
            Delivery::Late(by) => return till.hold(now + by, message),
            Delivery::Behind(others) => return till.behind.push((others, message)),
            Delivery::Twice => self.deliver(conn, message.clone(), now),
            Delivery::Garbage => {
                return self.out.push_back(Action::Send(conn, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
            }
            Delivery::WrongLength => message[2] = message[2].wrapping_add(1),
            Delivery::HangUp { after } => {
                if after {
                    self.deliver(conn, message, now);
                }
                return self.hang_up_on(conn);
            }
        }
        self.deliver(conn, message, now);
    }

    /// Sends the till in front something after `others` further messages.
    pub(super) fn send_behind(&mut self, others: usize, message: Vec<u8>) {
        if let Some(till) = self.tills.get_mut(&self.front) {
            till.behind.push((others, message));
        }
    }

    /// Sends the till in front something at `at`.
    pub(super) fn send_late(&mut self, at: Instant, message: Vec<u8>) {
        if let Some(till) = self.tills.get_mut(&self.front) {
            till.hold(at, message);
        }
    }

    fn deliver(&mut self, conn: Conn, message: Vec<u8>, now: Instant) {
        self.put(conn, message, now);
        let Some(till) = self.tills.get_mut(&conn) else { return };
        till.behind.iter_mut().for_each(|(others, _)| *others = others.saturating_sub(1));
        let (due, behind) = std::mem::take(&mut till.behind).into_iter().partition(|(others, _)| *others == 0);
        till.behind = behind;
        for (_, message) in due {
            self.put(conn, message, now);
        }
    }

    fn put(&mut self, conn: Conn, message: Vec<u8>, now: Instant) {
        self.note(Direction::Sent, &message);
        if let Some(till) = self.tills.get_mut(&conn) {
            till.transport.send(message, now);
        }
        self.pump(conn);
    }

    /// Hands over what the transport of a till wants sent.
    fn pump(&mut self, conn: Conn) {
        while let Some(mut bytes) = self.tills.get_mut(&conn).and_then(|till| till.transport.poll_transmit()) {
            match self.faults.on_piece() {
                Some(LineFault::Lose) => continue,
                Some(LineFault::Corrupt) => bytes.iter_mut().rev().take(1).for_each(|byte| *byte ^= 0x40),
                Some(LineFault::Twice) => self.out.push_back(Action::Send(conn, bytes.clone())),
                None => {}
            }
            self.out.push_back(Action::Send(conn, bytes));
        }
    }

    /// Nothing is sent any more to the till in front.
    pub(super) fn mute(&mut self) {
        if let Some(till) = self.tills.get_mut(&self.front) {
            till.muted = true;
        }
    }

    /// Ends the connection of the till in front.
    pub(super) fn hang_up(&mut self) {
        self.hang_up_on(self.front);
    }

    fn hang_up_on(&mut self, conn: Conn) {
        if let Some(till) = self.tills.get_mut(&conn) {
            till.hung_up = true;
            self.out.push_back(Action::HangUp(conn));
        }
    }

    /// A connection has ended.
    fn disconnect(&mut self, conn: Conn, now: Instant) {
        let Some(till) = self.tills.remove(&conn) else { return };
        tracing::debug!(from = ?till.from, "host disconnected");
        if !self.profile.keeps_registration {
            self.known.remove(&till.from);
        }
        self.out.retain(|action| !matches!(action, Action::Send(to, _) | Action::HangUp(to) if *to == conn));
        self.lose(conn, now);
    }

    /// What runs for this till goes on without it.
    fn lose(&mut self, conn: Conn, now: Instant) {
        if self.dialog.as_ref().is_some_and(|job| job.till == conn) {
            self.lose_till(now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let dialog = self.dialog.as_ref().map(|job| job.answer_due.unwrap_or(job.due));
        let alone = self.alone.as_ref().map(|job| job.due);
        let tills = self.tills.values();
        let tills = tills.flat_map(|till| till.late.iter().map(|(at, _)| *at).chain(till.transport.poll_timeout()));
        tills.chain(dialog).chain(alone).min()
    }

    fn pass_time(&mut self, now: Instant) {
        let conns: Vec<Conn> = self.tills.keys().copied().collect();
        for conn in conns {
            while let Some(till) = self.tills.get_mut(&conn)
                && let Some(at) = till.late.iter().position(|(at, _)| *at <= now)
            {
                let (_, message) = till.late.remove(at);
                self.deliver(conn, message, now);
            }
            if let Some(till) = self.tills.get_mut(&conn) {
                till.transport.handle_timeout(now);
            }
            self.hear(conn, now);
        }
        if self.dialog.as_ref().is_some_and(|job| job.answer_due.is_some_and(|at| at <= now)) {
            self.lose_till(now);
        }
        self.advance(now);
    }
}

impl serving::Device for Simulator {
    fn accepted(&mut self) -> Conn {
        self.accepted_from(None)
    }

    fn accepted_from(&mut self, from: Option<IpAddr>) -> Conn {
        self.conns_made += 1;
        let conn = Conn(self.conns_made);
        self.connect(conn, from);
        conn
    }

    fn input(&mut self, conn: Conn, bytes: &[u8], now: Instant) {
        self.take_in(conn, bytes, now);
    }

    fn gone(&mut self, conn: Conn, now: Instant) {
        self.disconnect(conn, now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn timeout(&mut self, now: Instant) {
        self.pass_time(now);
    }

    fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }
}

impl hal::Device for Simulator {
    fn connected(&mut self, now: Instant) {
        self.started.get_or_insert(now);
        self.out.clear();
        self.connect(LINE, None);
        self.advance(now);
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.take_in(LINE, bytes, now);
    }

    fn next_action(&mut self) -> Option<hal::Action> {
        self.out.pop_front().map(|action| match action {
            Action::Send(_, bytes) => hal::Action::Send(bytes),
            Action::HangUp(_) | Action::Dial(_) => hal::Action::HangUp,
        })
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn timeout(&mut self, now: Instant) {
        self.pass_time(now);
    }

    fn disconnected(&mut self, now: Instant) {
        self.disconnect(LINE, now);
    }
}
