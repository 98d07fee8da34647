//! A link between two ends in one process. Chunks arrive whole, unless one is larger than the link's capacity.
//!
//! Like a real link it buffers a limited number of bytes; beyond that, `send` waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, mpsc};

use super::connect::{Connect, Incoming, Listen};
use crate::{BoxFuture, Effect, Error, Kind, Link, Result};

/// One end of a pair. Dropping or closing it ends the other end's `recv`, after that has received everything sent.
#[derive(Debug)]
pub struct Memory {
    to: Arc<Pipe>,
    from: Arc<Pipe>,
}

/// Both ends of a new link that holds [`CAPACITY`] bytes in each direction.
pub fn pair() -> (Memory, Memory) {
    pair_with(CAPACITY)
}

/// Both ends of a new link that holds `capacity` bytes in each direction, at least one.
pub fn pair_with(capacity: usize) -> (Memory, Memory) {
    let pipe = || Arc::new(Pipe { capacity: capacity.max(1), ..Pipe::default() });
    let (there, back) = (pipe(), pipe());
    (Memory { to: there.clone(), from: back.clone() }, Memory { to: back, from: there })
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    capacity: usize,
    state: Mutex<State>,
    /// Bytes were added, or the sender has ended.
    came: Notify,
    /// Bytes were removed, or the receiver has ended.
    went: Notify,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    sender_ended: bool,
    receiver_ended: bool,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn end(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.came.notify_waiters();
        self.went.notify_waiters();
    }

    /// Waits until `ready` returns a value; `changed` is notified whenever it may.
    async fn when<T>(&self, changed: &Notify, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut change = std::pin::pin!(changed.notified());
            // From here on no change is missed.
            change.as_mut().enable();
            if let Some(answer) = ready(&mut self.state()) {
                return answer;
            }
            change.await;
        }
    }

    /// Waits until there is room for a piece of `bytes`, and returns how much was queued.
    async fn put(&self, bytes: &[u8]) -> Result<usize> {
        let put = self.when(&self.went, |state| {
            if state.sender_ended || state.receiver_ended {
                return Some(Err(closed()));
            }
            let room = self.capacity - state.bytes;
            // A chunk is kept whole if it fits at all.
            let take = if bytes.len() <= room {
                bytes.len()
            } else if bytes.len() > self.capacity {
                room
            } else {
                0
            };
            (take > 0).then(|| {
                state.chunks.push_back(bytes[..take].to_vec());
                state.bytes += take;
                Ok(take)
            })
        });
        let taken = put.await?;
        self.came.notify_waiters();
        Ok(taken)
    }

    async fn take(&self) -> Result<Vec<u8>> {
        let taken = self.when(&self.came, |state| match state.chunks.pop_front() {
            Some(chunk) => {
                state.bytes -= chunk.len();
                Some(Ok(chunk))
            }
            None => state.sender_ended.then(|| Err(closed())),
        });
        let chunk = taken.await?;
        self.went.notify_waiters();
        Ok(chunk)
    }
}

impl Link for Memory {
    fn send<'a>(&'a self, mut bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while !bytes.is_empty() {
                let sent = self.to.put(bytes).await?;
                bytes = &bytes[sent..];
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let chunk = self.from.take().await?;
            into.extend_from_slice(&chunk);
            Ok(chunk.len())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.to.end(|state| state.sender_ended = true) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.to.end(|state| state.sender_ended = true);
        self.from.end(|state| state.receiver_ended = true);
    }
}

/// A port in this process and how it is reached: each link that the [`Dialer`] opens comes out of the [`Port`].
pub fn port() -> (Dialer, Port) {
    let (to, links) = mpsc::unbounded_channel();
    (Dialer { to }, Port { links: tokio::sync::Mutex::new(links) })
}

/// Opens links to a [`Port`]. Clones reach the same one.
#[derive(Debug, Clone)]
pub struct Dialer {
    to: mpsc::UnboundedSender<Memory>,
}

/// Where the links of a [`Dialer`] arrive.
#[derive(Debug)]
pub struct Port {
    links: tokio::sync::Mutex<mpsc::UnboundedReceiver<Memory>>,
}

impl Connect for Dialer {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Link>>> {
        Box::pin(async move {
            let (near, far) = pair();
            let refused = |_| Error::new(Kind::Refused, "nobody listens there").with_effect(Effect::None);
            self.to.send(far).map_err(refused)?;
            Ok(Box::new(near) as Box<dyn Link>)
        })
    }
}

impl Listen for Port {
    fn accept(&self) -> BoxFuture<'_, Result<Incoming>> {
        Box::pin(async move {
            let link = self.links.lock().await.recv().await;
            let link = link.ok_or_else(|| Error::new(Kind::Closed, "everybody who could connect is gone"))?;
            Ok(Incoming { link: Box::new(link), from: None })
        })
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the other end closed the link")
}

/// The capacity of [`pair`] in each direction: 256 KiB, about that of the two sockets of a local TCP connection.
pub const CAPACITY: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn carries_chunks_both_ways_and_ends() {
        let (a, b) = pair();
        a.send(b"one").await.expect("open");
        a.send(b"").await.expect("nothing is nothing");
        a.send(b"two").await.expect("open");
        let mut got = Vec::new();
        assert_eq!(b.recv(&mut got).await.expect("first"), 3);
        assert_eq!(b.recv(&mut got).await.expect("second"), 3);
        assert_eq!(got, b"onetwo");
        a.close().await;
        assert_eq!(b.recv(&mut got).await.expect_err("ended").kind(), Kind::Closed);
        drop(a);
        assert_eq!(b.send(b"x").await.expect_err("ended").kind(), Kind::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_waits_for_room() {
        let (a, b) = pair_with(4);
        a.send(b"one").await.expect("room");
        let waits = timeout(Duration::from_secs(600), a.send(b"two")).await;
        assert!(waits.is_err(), "three and three bytes do not fit into four");
        let mut got = Vec::new();
        let (sent, received) = tokio::join!(a.send(b"six"), async {
            b.recv(&mut got).await.expect("the first");
            b.recv(&mut got).await
        });
        sent.expect("room again");
        assert_eq!((received.expect("whole"), &got[..]), (3, &b"onesix"[..]), "chunks keep their borders");
        // The other direction has its own capacity.
        b.send(b"back").await.expect("room");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_link_arrives_in_pieces() {
        let (a, b) = pair_with(4);
        let mut got = Vec::new();
        let (sent, ()) = tokio::join!(a.send(b"0123456789"), async {
            while got.len() < 10 {
                assert!(b.recv(&mut got).await.expect("open") <= 4);
            }
        });
        sent.expect("open");
        assert_eq!(got, b"0123456789");
    }

    #[tokio::test]
    async fn each_link_that_is_dialled_comes_out_of_the_port() {
        let (dialer, port) = port();
        let near = dialer.connect().await.expect("somebody listens");
        let far = port.accept().await.expect("a link");
        near.send(b"hello").await.expect("open");
        let mut got = Vec::new();
        far.link.recv(&mut got).await.expect("open");
        assert_eq!((got.as_slice(), far.from), (&b"hello"[..], None));
        drop(port);
        let refused = dialer.connect().await.expect_err("nobody listens");
        assert_eq!((refused.kind(), refused.effect()), (Kind::Refused, Effect::None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_sender_and_a_waiting_receiver_see_the_end() {
        let (a, b) = pair_with(1);
        a.send(b"x").await.expect("room");
        let (sent, ()) = tokio::join!(a.send(b"y"), async { drop(b) });
        assert_eq!(sent.expect_err("ended").kind(), Kind::Closed);
        let (a, b) = pair();
        let mut got = Vec::new();
        let (received, ()) = tokio::join!(b.recv(&mut got), async { drop(a) });
        assert_eq!(received.expect_err("ended").kind(), Kind::Closed);
        let (a, b) = pair_with(1);
        a.send(b"x").await.expect("room");
        let (sent, ()) = tokio::join!(a.send(b"y"), a.close());
        assert_eq!(sent.expect_err("closed").kind(), Kind::Closed);
        assert_eq!(b.recv(&mut got).await.expect("what was sent before"), 1);
        assert_eq!(b.recv(&mut got).await.expect_err("ended").kind(), Kind::Closed);
    }
}
