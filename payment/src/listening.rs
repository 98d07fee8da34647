//! Ports at which terminals connect to the till, shared by all terminals that are told to connect to one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tresen_hal::link::{Incoming, Listen, tcp};
use tresen_hal::{Kind, Result};

/// Takes the connections at one port.
pub trait Listener: Sized {
    /// Serves what comes in, in a task of its own; `holds` goes when the port has been given back.
    fn serve(listen: Box<dyn Listen>, holds: watch::Sender<()>) -> Arc<Self>;
}

/// The open listeners of a program, by the place where they listen. Clones share them. Each is closed when the last
/// terminal at it has gone.
pub struct Listeners<L>(Arc<Mutex<BTreeMap<String, Slot<L>>>>);

struct Slot<L> {
    listener: Weak<L>,
    /// Ends with the task that holds the port.
    ended: watch::Receiver<()>,
}

impl<L> Clone for Listeners<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L> Default for Listeners<L> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<L> fmt::Debug for Listeners<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}

impl<L: Listener> Listeners<L> {
    /// The listener at `HOST:PORT`; opened if it is not yet.
    ///
    /// # Errors
    /// The port cannot be taken.
    pub async fn at(&self, place: &str) -> Result<Arc<L>> {
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
        let listener = L::serve(Box::new(socket), holds);
        open.insert(place.to_owned(), Slot { listener: Arc::downgrade(&listener), ended });
        Ok(listener)
    }
}

/// The terminals at one port.
#[derive(Debug)]
pub(crate) struct Members<M>(std::sync::Mutex<Vec<Arc<M>>>);

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self(std::sync::Mutex::default())
    }
}

impl<M> Members<M> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Arc<M>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(&self, member: M) -> Arc<M> {
        let member = Arc::new(member);
        self.lock().push(member.clone());
        member
    }

    pub(crate) fn leave(&self, member: &Arc<M>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, member));
    }
}

/// Accepts for as long as it is not aborted, and serves each connection in a task. `_holds` goes after the port has been
/// given back.
pub(crate) async fn accept<S: Future<Output = ()> + Send + 'static>(
    listen: Box<dyn Listen>,
    _holds: watch::Sender<()>,
    serve: impl Fn(Incoming) -> S,
) {
    let listen = listen;
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = links.join_next(), if !links.is_empty() => {}
            accepted = listen.accept() => match accepted {
                Ok(incoming) if links.len() < MOST_LINKS => _ = links.spawn(serve(incoming)),
                Ok(incoming) => tracing::warn!(from = ?incoming.from, "too many connections of terminals; one is refused"),
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
