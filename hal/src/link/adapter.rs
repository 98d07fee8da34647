//! Adapters between links and embedded-io 0.7, both blocking and async, in both directions.
//!
//! | from | to | by |
//! |---|---|---|
//! | `embedded_io_async::{Read, Write}` | [`Link`] | [`link`] |
//! | `embedded_io::{Read, Write}` | [`Link`] | [`link_blocking`] |
//! | [`Link`] | `embedded_io_async::{Read, Write}` | [`Io`] |
//! | [`Link`] | `embedded_io::{Read, Write}` | [`Blocking`] |
//!
//! A link works in both directions at once, so it needs a separate reader and writer; most serial port drivers can be
//! split. Left out: `ReadReady`, `WriteReady`, `BufRead`.

use embedded_io::ErrorKind;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{BoxFuture, Error, Kind, Link, Result};

const CHUNK: usize = 4096;
/// How many received chunks are buffered before reading pauses.
const QUEUE: usize = 16;

/// A link over a reader and a writer; made by [`link`] and [`link_blocking`].
#[derive(Debug)]
pub struct Adapted {
    jobs: std::sync::Mutex<Option<mpsc::Sender<Job>>>,
    chunks: Mutex<mpsc::Receiver<Result<Vec<u8>>>>,
}

#[derive(Debug)]
struct Job {
    bytes: Vec<u8>,
    done: oneshot::Sender<Result<()>>,
}

/// A link from an asynchronous reader and writer. Embedded futures need not be `Send`, so both run on a thread of their
/// own, which ends when the link is dropped.
///
/// ```
/// use tresen_hal::{Link, link::adapter};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tresen_hal::Error> {
/// // Slices and vectors are embedded readers and writers, too.
/// let scanner = adapter::link(&b"4006381333931\r"[..], Vec::new())?;
/// let mut scan = Vec::new();
/// scanner.recv(&mut scan).await?;
/// assert_eq!(scan, b"4006381333931\r");
/// # Ok(()) }
/// ```
///
/// # Errors
/// The system cannot start another thread.
pub fn link<R, W>(reader: R, writer: W) -> Result<Adapted>
where
    R: embedded_io_async::Read + Send + 'static,
    W: embedded_io_async::Write + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (adapted, jobs, chunks) = Adapted::new();
    spawn("embedded link", move || {
        runtime.block_on(async { tokio::join!(read(reader, chunks), write(writer, jobs)) });
    })?;
    Ok(adapted)
}

/// A link from a blocking reader and writer, each on a thread of its own. After the link is dropped, the reader's
/// thread ends with its next byte, error or end of file.
///
/// # Errors
/// The system cannot start another thread.
pub fn link_blocking<R, W>(mut reader: R, mut writer: W) -> Result<Adapted>
where
    R: embedded_io::Read + Send + 'static,
    W: embedded_io::Write + Send + 'static,
{
    let (adapted, mut jobs, chunks) = Adapted::new();
    spawn("embedded reader", move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let chunk = match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => Ok(buffer[..n].to_vec()),
                Err(e) => Err(fault(&e)),
            };
            let ended = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || ended {
                return;
            }
        }
    })?;
    spawn("embedded writer", move || {
        while let Some(job) = jobs.blocking_recv() {
            let written = writer.write_all(&job.bytes).and_then(|()| writer.flush());
            job.done.send(written.map_err(|e| fault(&e))).ok();
        }
    })?;
    Ok(adapted)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work)?;
    Ok(())
}

async fn read<R: embedded_io_async::Read>(mut reader: R, chunks: mpsc::Sender<Result<Vec<u8>>>) {
    let reading = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let chunk = match reader.read(&mut buffer).await {
                Ok(0) => return,
                Ok(n) => Ok(buffer[..n].to_vec()),
                Err(e) => Err(fault(&e)),
            };
            let ended = chunk.is_err();
            if chunks.send(chunk).await.is_err() || ended {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = chunks.closed() => {}
        () = reading => {}
    }
}

async fn write<W: embedded_io_async::Write>(mut writer: W, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        let written = match writer.write_all(&job.bytes).await {
            Ok(()) => writer.flush().await,
            Err(e) => Err(e),
        };
        job.done.send(written.map_err(|e| fault(&e))).ok();
    }
}

impl Adapted {
    fn new() -> (Self, mpsc::Receiver<Job>, mpsc::Sender<Result<Vec<u8>>>) {
        let (job, jobs) = mpsc::channel(1);
        let (chunk, chunks) = mpsc::channel(QUEUE);
        (Self { jobs: std::sync::Mutex::new(Some(job)), chunks: Mutex::new(chunks) }, jobs, chunk)
    }
}

impl Link for Adapted {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let jobs = self.jobs.lock().expect("no holder of this lock panics").clone().ok_or_else(closed)?;
            if bytes.is_empty() {
                return Ok(());
            }
            let (done, written) = oneshot::channel();
            jobs.send(Job { bytes: bytes.to_vec(), done }).await.map_err(|_| closed())?;
            written.await.map_err(|_| closed())?
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let chunk = self.chunks.lock().await.recv().await.ok_or_else(closed)??;
            into.extend_from_slice(&chunk);
            Ok(chunk.len())
        })
    }

    // Each send has flushed the writer already.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.jobs.lock().expect("no holder of this lock panics").take();
        })
    }
}

/// Lets async embedded code read and write a link. At the end of the link, `read` returns 0. For both directions at
/// once, wrap `&link` twice.
///
/// ```
/// use embedded_io_async::{Read, Write};
/// use tresen_hal::link::{adapter::Io, memory};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tresen_hal::Error> {
/// let (near, far) = memory::pair();
/// let (mut near, mut far) = (Io::new(near), Io::new(far));
/// near.write_all(b"hello").await?;
/// let mut five = [0; 5];
/// far.read_exact(&mut five).await.expect("all five");
/// assert_eq!(&five, b"hello");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Io<L> {
    link: L,
    held: Vec<u8>,
    read: usize,
}

impl<L: Link> Io<L> {
    /// Wraps `link`.
    pub fn new(link: L) -> Self {
        Self { link, held: Vec::new(), read: 0 }
    }

    /// The link, and bytes that were received and not read yet.
    pub fn into_parts(mut self) -> (L, Vec<u8>) {
        self.held.drain(..self.read);
        (self.link, self.held)
    }
}

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        match Error::kind(self) {
            Kind::NotFound => ErrorKind::NotFound,
            Kind::Permission => ErrorKind::PermissionDenied,
            Kind::Refused => ErrorKind::ConnectionRefused,
            Kind::Closed => ErrorKind::NotConnected,
            Kind::Busy => ErrorKind::AddrInUse,
            Kind::Timeout => ErrorKind::TimedOut,
            Kind::Protocol => ErrorKind::InvalidData,
            Kind::Input | Kind::Address | Kind::Config => ErrorKind::InvalidInput,
            Kind::Unsupported => ErrorKind::Unsupported,
            Kind::Cancelled => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        }
    }
}

impl<L> embedded_io::ErrorType for Io<L> {
    type Error = Error;
}

impl<L: Link> embedded_io_async::Read for Io<L> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.read == self.held.len() {
            self.held.clear();
            self.read = 0;
            match self.link.recv(&mut self.held).await {
                Err(e) if e.kind() == Kind::Closed => return Ok(0),
                received => received?,
            };
        }
        let n = into.len().min(self.held.len() - self.read);
        into[..n].copy_from_slice(&self.held[self.read..][..n]);
        self.read += n;
        Ok(n)
    }
}

impl<L: Link> embedded_io_async::Write for Io<L> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.link.send(bytes).await.map(|()| bytes.len())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Lets blocking embedded code read and write a link, from a thread outside the runtime.
#[derive(Debug)]
pub struct Blocking<L> {
    io: Io<L>,
    runtime: Handle,
}

impl<L: Link> Blocking<L> {
    /// Wraps `link`, which runs on `runtime`.
    pub fn new(link: L, runtime: Handle) -> Self {
        Self { io: Io::new(link), runtime }
    }
}

impl<L> embedded_io::ErrorType for Blocking<L> {
    type Error = Error;
}

impl<L: Link> embedded_io::Read for Blocking<L> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        self.runtime.block_on(embedded_io_async::Read::read(&mut self.io, into))
    }
}

impl<L: Link> embedded_io::Write for Blocking<L> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.runtime.block_on(embedded_io_async::Write::write(&mut self.io, bytes))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the other end closed the link")
}

fn fault(error: &impl embedded_io::Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::PermissionDenied => Kind::Permission,
        ErrorKind::ConnectionRefused => Kind::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::BrokenPipe
        | ErrorKind::WriteZero => Kind::Closed,
        ErrorKind::TimedOut => Kind::Timeout,
        ErrorKind::Unsupported => Kind::Unsupported,
        _ => Kind::Io,
    };
    Error::new(kind, error.to_string()).with_effect(crate::Effect::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory;

    /// A link, seen through both adapters: embedded-io in the middle.
    fn through(link: memory::Memory) -> Adapted {
        let link: &'static memory::Memory = Box::leak(Box::new(link));
        super::link(Io::new(link), Io::new(link)).expect("a thread")
    }

    async fn take(link: &impl Link, n: usize) -> Vec<u8> {
        let mut got = Vec::new();
        while got.len() < n {
            link.recv(&mut got).await.expect("open");
        }
        got
    }

    #[tokio::test]
    async fn carries_bytes_both_ways_at_once() {
        let (near, far) = memory::pair();
        let near = through(near);
        let job: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let (sent, got) = tokio::join!(near.send(&job), take(&far, job.len()));
        sent.expect("open");
        assert!(got == job);
        // A receiver waits while the sender sends.
        let ((), got) = tokio::join!(
            async {
                near.send(b"ask").await.expect("open");
                assert_eq!(take(&far, 3).await, b"ask");
                far.send(b"answer").await.expect("open");
            },
            take(&near, 6)
        );
        assert_eq!(got, b"answer");
    }

    #[tokio::test]
    async fn the_end_is_an_end() {
        let (near, far) = memory::pair();
        let near = through(near);
        far.send(b"last words").await.expect("open");
        far.close().await;
        assert_eq!(take(&near, 10).await, b"last words");
        assert_eq!(near.recv(&mut Vec::new()).await.expect_err("ended").kind(), Kind::Closed);
        near.close().await;
        assert_eq!(near.send(b"x").await.expect_err("closed").kind(), Kind::Closed);
    }

    #[tokio::test]
    async fn a_fault_keeps_its_kind_and_its_words() {
        struct Broken;
        impl embedded_io::ErrorType for Broken {
            type Error = ErrorKind;
        }
        impl embedded_io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> Result<usize, ErrorKind> {
                Err(ErrorKind::PermissionDenied)
            }
        }
        impl embedded_io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> Result<usize, ErrorKind> {
                Err(ErrorKind::BrokenPipe)
            }
            fn flush(&mut self) -> Result<(), ErrorKind> {
                Ok(())
            }
        }
        let link = link_blocking(Broken, Broken).expect("threads");
        assert_eq!(link.recv(&mut Vec::new()).await.expect_err("broken").kind(), Kind::Permission);
        let error = link.send(b"x").await.expect_err("broken");
        assert_eq!((error.kind(), error.effect()), (Kind::Closed, crate::Effect::Unknown));
    }

    #[tokio::test]
    async fn embedded_code_reads_in_pieces_and_sees_the_end() {
        use embedded_io_async::{Read, Write};
        let (near, far) = memory::pair();
        let mut io = Io::new(near);
        far.send(b"abcdef").await.expect("open");
        let mut four = [0; 4];
        assert_eq!(io.read(&mut four).await.expect("open"), 4);
        assert_eq!(io.read(&mut []).await.expect("nothing"), 0);
        assert_eq!(io.read(&mut four).await.expect("open"), 2);
        assert_eq!(&four, b"efcd");
        io.write_all(b"xyz").await.expect("open");
        assert_eq!(take(&far, 3).await, b"xyz");
        far.send(b"rest").await.expect("open");
        io.read(&mut four[..1]).await.expect("open");
        let (near, rest) = io.into_parts();
        assert_eq!(rest, b"est");
        drop(far);
        assert_eq!(Io::new(near).read(&mut four).await.expect("the end"), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn blocking_code_talks_over_a_link_and_a_link_over_blocking_code() {
        let (near, far) = memory::pair();
        let near: &'static memory::Memory = Box::leak(Box::new(near));
        let runtime = Handle::current();
        // Link → blocking embedded-io → link again.
        let link = link_blocking(Blocking::new(near, runtime.clone()), Blocking::new(near, runtime)).expect("threads");
        link.send(b"one").await.expect("open");
        assert_eq!(take(&far, 3).await, b"one");
        far.send(b"two").await.expect("open");
        assert_eq!(take(&link, 3).await, b"two");
        far.close().await;
        assert_eq!(link.recv(&mut Vec::new()).await.expect_err("ended").kind(), Kind::Closed);
    }
}
