//! Simulated devices whose traffic is logged at `-vv`, masked as in recordings, and told in words.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tresen::hal::link::record::{Direction, Redactor};
use tresen::hal::link::{Connect, Incoming, Listen};
use tresen::hal::sim::{Action, Device};
use tresen::hal::{BoxFuture, Link};
use tresen::{Address, Result};

use crate::commands::diagnose::hex;
use crate::commands::trace::Words;
use crate::devices;
use crate::out::Out;

/// A device with traced traffic.
pub(super) struct Traced<D> {
    pub(super) device: D,
    address: Address,
    redactor: Box<dyn Redactor>,
    teller: Option<Teller>,
    told: Option<Telling>,
}

impl<D> Traced<D> {
    /// `address` names the protocol, which determines what is masked.
    pub(super) fn new(device: D, address: Address) -> Self {
        Self { device, redactor: devices::drivers().redactor(&address), address, teller: None, told: None }
    }

    /// The same, told in words.
    pub(super) fn told_by(self, teller: Option<Teller>) -> Self {
        Self { teller, ..self }
    }

    /// Directions are the host's, as in recordings: what the device receives is `Sent`.
    fn trace(&mut self, direction: Direction, bytes: &[u8]) {
        if let Some(told) = &self.told {
            told.chunk(direction, bytes);
        }
        if tracing::enabled!(tracing::Level::TRACE) {
            let shown = self.redactor.feed(direction, bytes);
            let from = if direction == Direction::Sent { "host" } else { "device" };
            tracing::trace!(from, bytes = %hex(&shown), "frame");
        }
    }
}

impl<D: Device> Device for Traced<D> {
    fn connected(&mut self, now: Instant) {
        tracing::debug!("host connected");
        self.redactor = devices::drivers().redactor(&self.address);
        self.told = self.teller.as_ref().map(Teller::connection);
        self.device.connected(now);
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.trace(Direction::Sent, bytes);
        self.device.input(bytes, now);
    }

    fn next_action(&mut self) -> Option<Action> {
        let action = self.device.next_action();
        if let Some(Action::Send(bytes)) = &action {
            self.trace(Direction::Received, bytes);
        }
        action
    }

    fn is_ready(&self) -> bool {
        self.device.is_ready()
    }

    fn deadline(&self) -> Option<Instant> {
        self.device.deadline()
    }

    fn timeout(&mut self, now: Instant) {
        self.device.timeout(now);
    }

    fn disconnected(&mut self, now: Instant) {
        tracing::debug!("host disconnected");
        self.told = None;
        self.device.disconnected(now);
    }
}

/// Tells the traffic of all connections of a simulator in words.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    label: String,
    began: Instant,
    out: Out,
}

impl Teller {
    /// `label` is the address, which names the protocol.
    pub(super) fn new(label: impl Into<String>, out: Out) -> Self {
        Self { label: label.into(), began: Instant::now(), out }
    }

    fn connection(&self) -> Telling {
        let words = Arc::new(Mutex::new(Words::of(&self.label, self.out)));
        Telling { words, began: self.began }
    }
}

/// One connection that is told.
#[derive(Debug, Clone)]
struct Telling {
    words: Arc<Mutex<Words>>,
    began: Instant,
}

impl Telling {
    fn chunk(&self, direction: Direction, bytes: &[u8]) {
        self.words().chunk(self.began.elapsed(), direction, bytes);
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if Arc::strong_count(&self.words) == 1 {
            self.words().end(Some(self.began.elapsed()));
        }
    }
}

/// Where tills connect, or a till to connect to, with every connection told.
#[derive(Debug)]
pub(super) struct Told<T> {
    pub(super) inner: T,
    pub(super) teller: Option<Teller>,
}

impl<T> Told<T> {
    /// Whoever dials: at the till, the directions of a channel that the device opens are the till's as well.
    fn link(&self, link: Box<dyn Link>) -> Box<dyn Link> {
        match &self.teller {
            Some(teller) => Box::new(ToldLink { link, told: teller.connection() }),
            None => link,
        }
    }
}

impl<T: Listen> Listen for Told<T> {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async move {
            let incoming = self.inner.accept().await?;
            Ok(Incoming { link: self.link(incoming.link), ..incoming })
        })
    }
}

impl<T: Connect> Connect for Told<T> {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move { Ok(self.link(self.inner.connect().await?)) })
    }
}

/// The device's end of a link.
#[derive(Debug)]
struct ToldLink {
    link: Box<dyn Link>,
    told: Telling,
}

impl Link for ToldLink {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        self.told.chunk(Direction::Received, bytes);
        self.link.send(bytes)
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let got = self.link.recv(into).await?;
            self.told.chunk(Direction::Sent, &into[into.len() - got..]);
            Ok(got)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.link.close()
    }
}
