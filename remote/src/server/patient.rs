//! A stream whose peer has to read: a write that makes no progress for [`PATIENCE`] fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tresen::api::PATIENCE;

/// Such a stream. It stands directly above the transport, below TLS: there each byte that the peer takes counts.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    write: Stall,
    flush: Stall,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, write: Stall::default(), flush: Stall::default() }
    }
}

/// Since when something has waited.
#[derive(Debug, Default)]
struct Stall(Option<Pin<Box<Sleep>>>);

impl Stall {
    /// What `polled` says, or an error if it has been pending for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.0 = None;
            return polled;
        }
        ready!(self.0.get_or_insert_with(|| Box::pin(sleep(PATIENCE))).as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, write, .. } = self.get_mut();
        let polled = Pin::new(stream).poll_write(context, bytes);
        write.watch(context, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, write, .. } = self.get_mut();
        let polled = Pin::new(stream).poll_write_vectored(context, bytes);
        write.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, flush, .. } = self.get_mut();
        let polled = Pin::new(stream).poll_flush(context);
        flush.watch(context, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, flush, .. } = self.get_mut();
        let polled = Pin::new(stream).poll_shutdown(context);
        flush.watch(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_slowly_is_served_and_whoever_stops_is_not() {
        let (near, mut far) = duplex(16);
        let mut near = Patient::new(near);
        let writing = tokio::spawn(async move {
            let written = near.write_all(&[7; 160]).await;
            (written.map_err(|error| error.kind()), Instant::now())
        });
        let start = Instant::now();
        // 16 bytes fit at once; five times somebody reads just in time.
        for _ in 0..5 {
            tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
            far.read_exact(&mut [0; 16]).await.expect("there");
            tokio::task::yield_now().await;
        }
        let (written, at) = writing.await.expect("ran");
        assert_eq!(written, Err(io::ErrorKind::TimedOut));
        let expected = 6 * PATIENCE - Duration::from_millis(5);
        assert!((expected..=expected + Duration::from_millis(10)).contains(&(at - start)), "{:?}", at - start);
    }
}
