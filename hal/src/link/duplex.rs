//! Both directions of one stream at the same time, for streams that ask for `&mut`.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Locks the stream for one poll at a time, none of which waits. A reader and a writer may use one
/// each; the stream keeps a waker per direction.
pub(super) struct Duplex<'a, S>(pub(super) &'a Mutex<S>);

impl<S: Unpin> Duplex<'_, S> {
    fn poll<T>(&self, poll: impl FnOnce(Pin<&mut S>) -> Poll<T>) -> Poll<T> {
        poll(Pin::new(&mut *self.0.lock().expect("no holder of this lock panics")))
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
