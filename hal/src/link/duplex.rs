//! Both directions of a stream at the same time, for streams whose methods take `&mut self`.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::{Error, Result};

/// The most bytes that one [`Duplex::recv`] reads.
const CHUNK: usize = 4096;

/// Locks the stream for one poll at a time, which never blocks. A reader and a writer may use one each; the stream
/// keeps a waker per direction.
pub(super) struct Duplex<'a, S>(pub(super) &'a Mutex<S>);

impl<S: Unpin> Duplex<'_, S> {
    fn poll<T>(&self, poll: impl FnOnce(Pin<&mut S>) -> Poll<T>) -> Poll<T> {
        poll(Pin::new(&mut *self.0.lock().expect("no holder of this lock panics")))
    }
}

impl<S: AsyncRead + Unpin> Duplex<'_, S> {
    /// Appends one chunk to `into` and returns its length. Cancel-safe.
    ///
    /// # Errors
    /// `closed()` at the end of the stream, `lost(…)` for a fault.
    pub(super) async fn recv(
        mut self,
        into: &mut Vec<u8>,
        closed: impl FnOnce() -> Error,
        lost: impl FnOnce(io::Error) -> Error,
    ) -> Result<usize> {
        into.reserve(CHUNK);
        match self.read_buf(into).await {
            Ok(0) => Err(closed()),
            Ok(n) => Ok(n),
            Err(e) => Err(lost(e)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Duplex<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll(|s| s.poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Duplex<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(|s| s.poll_write(cx, buf))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|s| s.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|s| s.poll_shutdown(cx))
    }
}
