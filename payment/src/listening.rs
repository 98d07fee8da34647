//! Ports at which terminals connect to the till, shared by all terminals that are told to connect to one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinSet};
use tresen_hal::link::{Incoming, Listen, tcp};
use tresen_hal::{BoxFuture, Kind, Result};

/// What is known of one terminal at a port.
pub trait Member: Send + Sync + Sized + 'static {
    /// Serves one connection of any of the terminals, until it ends.
    fn serve(incoming: Incoming, members: Arc<Members<Self>>) -> BoxFuture<'static, ()>;
}

/// Takes the connections of terminals at one port, for the drivers of all of them.
pub struct Listener<M> {
    members: Arc<Members<M>>,
    task: AbortHandle,
}

impl<M> Drop for Listener<M> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<M> fmt::Debug for Listener<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl<M: Member> Listener<M> {
    /// Serves what comes in at `listen`, in a task of its own. Call it within a tokio runtime.
    pub fn new(listen: Box<dyn Listen>) -> Arc<Self> {
        Self::holding(listen, watch::channel(()).0)
    }

    /// The same; `holds` goes when the port has been given back.
    fn holding(listen: Box<dyn Listen>, holds: watch::Sender<()>) -> Arc<Self> {
        let members = Arc::new(Members::default());
        let accepting = accept(listen, holds, members.clone());
        Arc::new(Self { members, task: tokio::spawn(accepting).abort_handle() })
    }

    /// From now on connections are served for this terminal, too, until what is returned is dropped.
    pub(crate) fn join(self: &Arc<Self>, member: M) -> Joined<M> {
        Joined { listener: self.clone(), member: self.members.join(member) }
    }
}

/// One terminal's place at a listener.
#[derive(Debug)]
pub(crate) struct Joined<M> {
    listener: Arc<Listener<M>>,
    member: Arc<M>,
}

impl<M> Drop for Joined<M> {
    fn drop(&mut self) {
        self.listener.members.leave(&self.member);
    }
}

impl<M> Deref for Joined<M> {
    type Target = M;
    fn deref(&self) -> &M {
        &self.member
    }
}

/// The open listeners of a program, by the place where they listen. Clones share them. Each is closed when the last
/// terminal at it has gone.
pub struct Listeners<M>(Arc<Mutex<BTreeMap<String, Slot<M>>>>);

struct Slot<M> {
    listener: Weak<Listener<M>>,
    /// Ends with the task that holds the port.
    ended: watch::Receiver<()>,
}

impl<M> Clone for Listeners<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Default for Listeners<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M> fmt::Debug for Listeners<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}

impl<M: Member> Listeners<M> {
    /// The listener at `HOST:PORT`; opened if it is not yet.
    ///
    /// # Errors
    /// The port cannot be taken.
    pub async fn at(&self, place: &str) -> Result<Arc<Listener<M>>> {
        let mut open = self.0.lock().await;
        if let Some(slot) = open.get_mut(place) {
            if let Some(listener) = slot.listener.upgrade() {
                return Ok(listener);
            }
            // The last terminal has just gone: its task gives the port back.
            while slot.ended.changed().await.is_ok() {}
        }
        let socket = tcp::listen(place).await?;
        let (holds, ended) = watch::channel(());
        let listener = Listener::holding(Box::new(socket), holds);
        open.insert(place.to_owned(), Slot { listener: Arc::downgrade(&listener), ended });
        Ok(listener)
    }
}

/// The terminals at one port.
#[derive(Debug)]
pub struct Members<M>(std::sync::Mutex<Vec<Arc<M>>>);

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self(std::sync::Mutex::default())
    }
}

impl<M> Members<M> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Arc<M>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, member: M) -> Arc<M> {
        let member = Arc::new(member);
        self.lock().push(member.clone());
        member
    }

    fn leave(&self, member: &Arc<M>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, member));
    }
}

/// Accepts for as long as it is not aborted, and serves each connection in a task. `_holds` goes after the port has been
/// given back.
async fn accept<M: Member>(listen: Box<dyn Listen>, _holds: watch::Sender<()>, members: Arc<Members<M>>) {
    let listen = listen;
    let mut links = JoinSet::new();
    let mut open: Vec<(Option<IpAddr>, AbortHandle)> = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = links.join_next(), if !links.is_empty() => {}
            accepted = listen.accept() => match accepted {
                Ok(incoming) => {
                    open.retain(|(_, link)| !link.is_finished());
                    if open.len() >= MOST_LINKS {
                        make_room(&mut open);
                    }
                    open.push((incoming.from, links.spawn(M::serve(incoming, members.clone()))));
                }
                Err(error) if error.kind() == Kind::Closed => break,
                Err(error) => {
                    tracing::warn!(%error, "a terminal's connection could not be taken");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
    while links.join_next().await.is_some() {}
}

/// Ends the oldest connection of the address that has the most: whoever takes all connections has the oldest of them closed.
fn make_room(open: &mut Vec<(Option<IpAddr>, AbortHandle)>) {
    let mut held: BTreeMap<Option<IpAddr>, usize> = BTreeMap::new();
    open.iter().for_each(|(from, _)| *held.entry(*from).or_default() += 1);
    let most = held.into_iter().max_by_key(|(_, links)| *links).map(|(from, _)| from);
    if let Some(at) = open.iter().position(|(from, _)| Some(*from) == most) {
        let (from, link) = open.remove(at);
        tracing::warn!(
            ?from,
            "too many connections of terminals; the oldest of the address that has the most is ended"
        );
        link.abort();
    }
}

/// A place to listen at as an option says it: `HOST:PORT`, or a port of all interfaces.
pub(crate) fn place(text: &str) -> Option<String> {
    match (text.parse::<u16>(), text.rsplit_once(':')) {
        (Ok(port), _) => Some(format!("0.0.0.0:{port}")),
        (_, Some((host, port))) if !host.is_empty() && port.parse::<u16>().is_ok() => Some(text.to_owned()),
        _ => None,
    }
}

/// Connections of terminals at the same time.
const MOST_LINKS: usize = 64;
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
