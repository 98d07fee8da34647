//! Two ends in one process. Chunks keep their borders.

use tokio::sync::{Mutex, mpsc};

use crate::{BoxFuture, Error, Kind, Link, Result};

/// One end of a pair; dropping or closing it ends the other end's `recv`.
#[derive(Debug)]
pub struct Memory {
    to: std::sync::Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    from: Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
}

/// Both ends of a new link.
pub fn pair() -> (Memory, Memory) {
    let (to_b, from_a) = mpsc::unbounded_channel();
    let (to_a, from_b) = mpsc::unbounded_channel();
    (Memory::new(to_b, from_b), Memory::new(to_a, from_a))
}

impl Memory {
    fn new(to: mpsc::UnboundedSender<Vec<u8>>, from: mpsc::UnboundedReceiver<Vec<u8>>) -> Self {
        Self { to: std::sync::Mutex::new(Some(to)), from: Mutex::new(from) }
    }
}

impl Link for Memory {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if bytes.is_empty() {
                return Ok(());
            }
            let to = self.to.lock().expect("no holder of this lock panics");
            let sent = to.as_ref().is_some_and(|to| to.send(bytes.to_vec()).is_ok());
            if sent { Ok(()) } else { Err(closed()) }
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let chunk = self.from.lock().await.recv().await.ok_or_else(closed)?;
            into.extend_from_slice(&chunk);
            Ok(chunk.len())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.to.lock().expect("no holder of this lock panics").take();
        })
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the other end closed the link")
}

#[cfg(test)]
mod tests {
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
}
