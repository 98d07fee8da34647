//! A link that writes down what passes.

use std::sync::{Arc, Mutex};

use tresen_hal::link::record::Direction;
use tresen_hal::{BoxFuture, Link, Result};

/// What passed, piece by piece.
pub(crate) type Passed = Arc<Mutex<Vec<(Direction, Vec<u8>)>>>;

#[derive(Debug)]
pub(crate) struct Tap<L> {
    pub(crate) inner: L,
    pub(crate) passed: Passed,
}

impl<L: Link> Link for Tap<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.passed.lock().expect("whole").push((Direction::Sent, bytes.to_vec()));
            self.inner.send(bytes).await
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let length = self.inner.recv(into).await?;
            let piece = into[into.len() - length..].to_vec();
            self.passed.lock().expect("whole").push((Direction::Received, piece));
            Ok(length)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
