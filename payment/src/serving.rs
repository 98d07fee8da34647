//! Gives a simulated terminal its connections: accepts tills, and connects to one where the protocol has that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tresen_hal::link::{Connect, Listen};
use tresen_hal::sim::Shared;
use tresen_hal::{Clock as _, Kind, Link, SystemClock};

use crate::waiting::reached;

/// A connection of a simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(pub(crate) u64);

/// What a simulator wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes.
    Send(Conn, Vec<u8>),
    /// End the connection.
    HangUp(Conn),
    /// Connect to the till: channel 1 of OPI.
    Dial(Conn),
}

/// A simulated terminal with many connections. Sans-IO.
pub(crate) trait Device: Send + 'static {
    /// A till has connected.
    fn accepted(&mut self) -> Conn;
    /// The same, from this host of a network.
    fn accepted_from(&mut self, from: Option<IpAddr>) -> Conn {
        let _ = from;
        self.accepted()
    }
    /// Whether [`Action::Dial`] has reached the till.
    fn dialled(&mut self, conn: Conn, reached: bool, now: Instant) {
        let _ = (conn, reached, now);
    }
    /// Bytes from a till, split anywhere.
    fn input(&mut self, conn: Conn, bytes: &[u8], now: Instant);
    /// A connection has ended.
    fn gone(&mut self, conn: Conn, now: Instant);
    /// When [`Device::timeout`] is due.
    fn deadline(&self) -> Option<Instant>;
    /// The deadline has passed, or an operator has changed something.
    fn timeout(&mut self, now: Instant);
    /// What it wants done next.
    fn next_action(&mut self) -> Option<Action>;
}

/// A served simulator. Dropping this ends the service and all connections.
#[derive(Debug)]
pub struct Server(JoinHandle<()>);

impl Server {
    pub(crate) fn new<D: Device>(listen: Box<dyn Listen>, till: Option<Arc<dyn Connect>>, device: Shared<D>) -> Self {
        Self(tokio::spawn(serve(listen, till, device)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What happened at a connection.
enum Event {
    Came(Conn, Vec<u8>),
    Gone(Conn),
    Dialled(Conn, Option<Box<dyn Link>>),
}

/// Serves `device` until nobody can connect any more.
pub(crate) async fn serve<D: Device>(listen: Box<dyn Listen>, till: Option<Arc<dyn Connect>>, device: Shared<D>) {
    let now = || SystemClock.now();
    let (to, mut events) = mpsc::unbounded_channel();
    let mut writers: BTreeMap<Conn, mpsc::UnboundedSender<Vec<u8>>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut listening = true;
    loop {
        while let Some(action) = device.serve(D::next_action) {
            match action {
                // A connection that has ended takes nothing more.
                Action::Send(conn, bytes) => _ = writers.get(&conn).map(|writer| writer.send(bytes)),
                Action::HangUp(conn) => drop(writers.remove(&conn)),
                Action::Dial(conn) => {
                    let (to, till) = (to.clone(), till.clone());
                    tasks.spawn(async move {
                        let link = match till {
                            Some(till) => till.connect().await.ok(),
                            None => None,
                        };
                        to.send(Event::Dialled(conn, link)).ok();
                    });
                }
            }
        }
        if !listening && tasks.is_empty() {
            return;
        }
        let deadline: Option<Instant> = device.serve(|d| d.deadline());
        let mut open = |conn: Conn, link: Box<dyn Link>, tasks: &mut JoinSet<()>| {
            let (writer, out) = mpsc::unbounded_channel();
            writers.insert(conn, writer);
            tasks.spawn(connection(conn, link, out, to.clone()));
        };
        tokio::select! {
            biased;
            Some(event) = events.recv() => match event {
                Event::Came(conn, bytes) => device.serve(|d| d.input(conn, &bytes, now())),
                Event::Gone(conn) => {
                    device.serve(|d| d.gone(conn, now()));
                    writers.remove(&conn);
                }
                Event::Dialled(conn, link) => {
                    let reached = link.is_some();
                    if let Some(link) = link {
                        open(conn, link, &mut tasks);
                    }
                    device.serve(|d| d.dialled(conn, reached, now()));
                }
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listen.accept(), if listening => match accepted {
                Ok(incoming) => {
                    let conn = device.serve(|d| d.accepted_from(incoming.from));
                    open(conn, incoming.link, &mut tasks);
                }
                Err(error) if error.kind() == Kind::Closed => listening = false,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = device.operated() => {}
            _ = reached(deadline) => device.serve(|d| d.timeout(now())),
        }
    }
}

/// Moves the bytes of one connection until either side ends it.
async fn connection(
    conn: Conn,
    link: Box<dyn Link>,
    mut out: mpsc::UnboundedReceiver<Vec<u8>>,
    to: mpsc::UnboundedSender<Event>,
) {
    let mut input = Vec::new();
    loop {
        tokio::select! {
            biased;
            bytes = out.recv() => match bytes {
                Some(bytes) => {
                    if link.send(&bytes).await.is_err() {
                        break;
                    }
                }
                None => return link.close().await,
            },
            got = link.recv(&mut input) => {
                if got.is_err() {
                    break;
                }
                to.send(Event::Came(conn, std::mem::take(&mut input))).ok();
            }
        }
    }
    to.send(Event::Gone(conn)).ok();
}
