//! Gives a [`Simulator`] connections: accepts tills on channel 0, and connects to one on channel 1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tresen_hal::link::{Connect, Listen, Reached};
use tresen_hal::sim::Shared;
use tresen_hal::{Address, Clock as _, Kind, Link, Result, SystemClock};

use super::{Action, Conn, Simulator};
use crate::waiting::reached;

/// A served simulator. Dropping this ends the service and all connections.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `device` on `listener`; its channel 1 goes to the till at `till`, `HOST:PORT`, if there is one.
///
/// # Errors
/// The listener has no local address, or `till` is none.
pub fn tcp(listener: TcpListener, till: Option<&str>, device: Shared<Simulator>) -> Result<(Server, SocketAddr)> {
    let at = listener.local_addr()?;
    let address = till.map(|till| format!("opi+tcp://{till}").parse::<Address>()).transpose()?;
    let till = address.map(|address| Arc::new(Reached::new(address)) as Arc<dyn Connect>);
    let task = tokio::spawn(serve(Box::new(listener), till, device));
    Ok((Server { task }, at))
}

/// What happened at a connection.
enum Event {
    Came(Conn, Vec<u8>),
    Gone(Conn),
    Dialled(Conn, Option<Box<dyn Link>>),
}

/// Serves `device` until nobody can connect any more.
pub async fn serve(listen: Box<dyn Listen>, till: Option<Arc<dyn Connect>>, device: Shared<Simulator>) {
    let now = || SystemClock.now();
    let (to, mut events) = mpsc::unbounded_channel();
    let mut writers: BTreeMap<Conn, mpsc::UnboundedSender<Vec<u8>>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut listening = true;
    loop {
        while let Some(action) = device.serve(Simulator::next_action) {
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
                    let conn = device.serve(Simulator::accepted);
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
