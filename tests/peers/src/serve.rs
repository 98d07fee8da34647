//! Serves a [`Peer`] over TCP or over any byte channel.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Do, Peer};

/// Longest wait without looking at the peer again: a test may have changed it.
const FAR: Duration = Duration::from_secs(86_400);

/// The device's end of a link.
pub trait Channel: Send {
    /// The next bytes from the host, or `None` at the end of the link. Must lose nothing when dropped.
    fn recv(&mut self) -> impl Future<Output = Option<Vec<u8>>> + Send;
    /// Sends all of `bytes`; false if the link has ended.
    fn send(&mut self, bytes: &[u8]) -> impl Future<Output = bool> + Send;
    /// Makes the end of the link, which follows, a reset. Does nothing where there is no such thing.
    fn reset(&mut self) {}
}

/// A peer that is served and looked into at the same time. Clones share it.
#[derive(Debug)]
pub struct Shared<P>(Arc<Inner<P>>);

#[derive(Debug)]
struct Inner<P> {
    peer: Mutex<P>,
    began: Instant,
    changed: Notify,
    sent: watch::Sender<usize>,
}

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Peer> Shared<P> {
    /// Its time begins now. Needs a tokio runtime, whose clock it follows.
    pub fn new(peer: P) -> Self {
        let (sent, changed) = (watch::Sender::new(0), Notify::new());
        Self(Arc::new(Inner { peer: Mutex::new(peer), began: Instant::now(), changed, sent }))
    }

    /// Looks into the peer or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut P) -> T) -> T {
        let result = self.step(act);
        self.0.changed.notify_one();
        result
    }

    /// Milliseconds since the peer was made.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).expect("less than an age")
    }

    /// How many pieces the peer has sent so far; can be waited for.
    pub fn sent(&self) -> watch::Receiver<usize> {
        self.0.sent.subscribe()
    }

    /// Serves one link until it ends.
    pub async fn over<C: Channel>(&self, mut channel: C) {
        self.step(|p| p.connected(self.now()));
        while self.serve_step(&mut channel).await {}
        self.step(|p| p.lost(self.now()));
    }

    /// Accepts connections one after the other. Further hosts connect, and then wait in the backlog
    /// until the one before has left, as on a real device.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn listen(&self, listener: TcpListener) -> io::Result<Server> {
        let at = listener.local_addr()?;
        let peer = self.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                peer.over(stream).await;
            }
        });
        Ok(Server { at, task })
    }

    fn step<T>(&self, act: impl FnOnce(&mut P) -> T) -> T {
        act(&mut self.0.peer.lock().expect("no holder of this lock panics"))
    }

    async fn serve_step<C: Channel>(&self, channel: &mut C) -> bool {
        let (until, hears) = match self.step(|p| p.next(self.now())) {
            Do::Send(bytes) => {
                let sent = channel.send(&bytes).await;
                self.0.sent.send_modify(|n| *n += 1);
                return sent;
            }
            Do::HangUp => return false,
            Do::Reset => {
                channel.reset();
                return false;
            }
            Do::Wait(until) => (Duration::from_millis(until), true),
            Do::Deaf(until) => (Duration::from_millis(until), false),
            Do::Idle => (self.0.began.elapsed() + FAR, true),
        };
        tokio::select! {
            biased;
            chunk = channel.recv(), if hears => match chunk {
                Some(chunk) => self.step(|p| p.received(&chunk, self.now())),
                None => return false,
            },
            () = self.0.changed.notified() => {}
            () = tokio::time::sleep_until(self.0.began + until) => {}
        }
        true
    }
}

/// A peer that listens on a TCP port, until dropped.
#[derive(Debug)]
pub struct Server {
    at: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Channel for TcpStream {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        let mut chunk = vec![0; 4096];
        match self.read(&mut chunk).await {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                chunk.truncate(n);
                Some(chunk)
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.write_all(bytes).await.is_ok()
    }

    fn reset(&mut self) {
        self.set_zero_linger().ok();
    }
}
