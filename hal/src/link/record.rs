//! Records the traffic of a link, as text that a person can read and [`super::replay`] can play back.
//!
//! ```text
//! tresen-capture 1 escpos+tcp://10.0.0.20:9100
//! 0.000000 > 1b40
//! 0.004211 < 12
//! 9.120333 !
//! ```
//! Seconds since the start, `>` to the device, `<` from the device, `!` the end. A protocol that carries card
//! data or passwords supplies a [`Redactor`] that masks them. Bytes that a redactor holds back are recorded
//! with the time of their release.
//!
//! The file is readable by its owner only. A separate thread writes it, so that a slow disk does not block a sale; it
//! is complete once [`Link::close`] has returned or the link has been dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::hex::hex;
use crate::{BoxFuture, Effect, Error, Kind, Link, Result};

/// The direction of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the device.
    Sent,
    /// From the device.
    Received,
}

/// Masks secrets in the stream of one link. Each link has its own.
///
/// It keeps state per direction, because a secret may be split over chunks: it may hold bytes back until it knows what
/// they are, and release them in a later `feed` or in `finish`. In total it releases as many bytes as were fed in that
/// direction, so that the capture has the length of the stream.
pub trait Redactor: Send {
    /// Takes a chunk and returns the bytes that may be recorded now, if any.
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8>;

    /// The stream has ended: returns the rest of one direction, masked unless known to be harmless.
    fn finish(&mut self, direction: Direction) -> Vec<u8> {
        let _ = direction;
        Vec::new()
    }
}

/// Masks secrets in one direction of a stream; [`BothWays`] makes a [`Redactor`] of two.
pub trait Mask: Send {
    /// Takes a chunk and returns the bytes that may be recorded now, if any.
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8>;

    /// The stream has ended: returns the rest, masked unless known to be harmless.
    fn finish(&mut self) -> Vec<u8>;
}

/// Masks both directions of a stream alike, each by itself.
#[derive(Debug, Clone, Default)]
pub struct BothWays<M> {
    sent: M,
    received: M,
}

impl<M> BothWays<M> {
    fn of(&mut self, direction: Direction) -> &mut M {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }
}

impl<M: Mask> Redactor for BothWays<M> {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        self.of(direction).feed(bytes)
    }

    fn finish(&mut self, direction: Direction) -> Vec<u8> {
        self.of(direction).finish()
    }
}

/// For protocols without secrets: masks nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Redactor for Plain {
    fn feed(&mut self, _: Direction, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

/// A function that masks each chunk by itself.
impl<F: FnMut(Direction, &[u8]) -> Vec<u8> + Send> Redactor for F {
    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        self(direction, bytes)
    }
}

/// A link that records its traffic.
pub struct Record<L> {
    inner: L,
    log: Mutex<Log>,
}

struct Log {
    redactor: Box<dyn Redactor>,
    start: Instant,
    /// The end has been recorded.
    ended: bool,
    /// `None` once the link is dropped.
    writer: Option<SyncSender<Job>>,
    /// Disconnected when the writer has ended.
    done: mpsc::Receiver<()>,
}

enum Job {
    Line(String),
    /// Answered once everything before it is written.
    Flush(mpsc::Sender<()>),
}

impl<L: Link> Record<L> {
    /// Records `inner` into `out`, with `label` as the description of the link.
    ///
    /// # Errors
    /// `out` cannot be written, or the system cannot start another thread.
    pub fn new(inner: L, out: Box<dyn Write + Send>, label: &str, redactor: Box<dyn Redactor>) -> Result<Self> {
        let failed = |e| Error::new(Kind::Storage, "the capture cannot be written").because(e);
        let mut out = BufWriter::new(out);
        writeln!(out, "tresen-capture 1 {label}").and_then(|()| out.flush()).map_err(failed)?;
        let (writer, jobs) = mpsc::sync_channel(QUEUE);
        let (alive, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("capture".into());
        thread
            .spawn(move || {
                let _alive: mpsc::Sender<()> = alive;
                write(&jobs, out);
            })
            .map_err(failed)?;
        let log = Log { redactor, start: Instant::now(), ended: false, writer: Some(writer), done };
        Ok(Self { inner, log: Mutex::new(log) })
    }

    /// Records `inner` into a [new file](new_file) at `path`. Making the file blocks on the disk.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn to_file(inner: L, path: &Path, label: &str, redactor: Box<dyn Redactor>) -> Result<Self> {
        let file = new_file(path)?;
        Self::new(inner, Box::new(file), label, redactor).map_err(|e| e.at(path.display()))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no holder of this lock panics")
    }
}

/// Creates a new file at `path`, readable by its owner only. If it exists, `path.2`, `path.3` and so on, one above the
/// highest present, so that a reconnect overwrites nothing. Blocks on the disk.
///
/// # Errors
/// The file cannot be made, or the numbers are used up.
pub fn new_file(path: &Path) -> Result<File> {
    let failed = |at: &Path, e| Error::file(at, e).with_effect(Effect::None);
    match create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.map_err(|e| failed(path, e)),
    }
    let mut number = last_number(path).map_err(|e| failed(path, e))?;
    while let Some(next) = number.checked_add(1) {
        number = next;
        let mut numbered = path.as_os_str().to_owned();
        numbered.push(format!(".{number}"));
        let numbered = Path::new(&numbered);
        match create(numbered) {
            // Another program created it first.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map_err(|e| failed(numbered, e)),
        }
    }
    Err(Error::new(Kind::Input, "there are too many recordings of this name")
        .at(path.display())
        .hint("move the old recordings away"))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The highest number among the recordings of `path`; 1 is `path` itself.
fn last_number(path: &Path) -> io::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return Ok(1) };
    let name = name.to_string_lossy();
    let mut last = 1;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let entry = entry.to_string_lossy();
        let number = entry.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('.'));
        last = last.max(number.and_then(|number| number.parse().ok()).unwrap_or(1));
    }
    Ok(last)
}

/// The writer's thread: writes queued lines, and flushes when the queue is empty.
fn write(jobs: &mpsc::Receiver<Job>, mut out: impl Write) {
    let mut failed = false;
    let mut note = |result: io::Result<()>| {
        if let Err(error) = result
            && !std::mem::replace(&mut failed, true)
        {
            tracing::warn!(%error, "the capture cannot be written");
        }
    };
    while let Ok(first) = jobs.recv() {
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            match job {
                Job::Line(line) => note(writeln!(out, "{line}")),
                Job::Flush(written) => {
                    note(out.flush());
                    written.send(()).ok();
                }
            }
        }
        note(out.flush());
    }
}

impl Log {
    /// A capture that cannot be written must not stop a sale: failures are logged, not returned.
    fn note(&mut self, direction: Direction, bytes: &[u8]) {
        let masked = self.redactor.feed(direction, bytes);
        self.line(direction, &masked);
    }

    fn line(&mut self, direction: Direction, masked: &[u8]) {
        let mark = match direction {
            Direction::Sent => '>',
            Direction::Received => '<',
        };
        if !masked.is_empty() {
            self.write(format_args!("{mark} {}", hex(masked)));
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            for direction in [Direction::Sent, Direction::Received] {
                let rest = self.redactor.finish(direction);
                self.line(direction, &rest);
            }
            self.write(format_args!("!"));
        }
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        let at = self.start.elapsed().as_secs_f64();
        let Some(writer) = &self.writer else { return };
        if let Err(TrySendError::Full(_)) = writer.try_send(Job::Line(format!("{at:.6} {what}"))) {
            tracing::warn!("the disk is too slow for the capture; lost a line");
        }
    }
}

impl<L: Link> Link for Record<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.log().note(Direction::Sent, bytes);
            self.inner.send(bytes).await
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let got = self.inner.recv(into).await;
            match &got {
                Ok(n) => self.log().note(Direction::Received, &into[into.len() - n..]),
                Err(_) => self.log().end(),
            }
            got
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.inner.close().await;
            let (written, all) = mpsc::channel();
            let writer = {
                let mut log = self.log();
                log.end();
                log.writer.clone()
            };
            // Even if the queue is full: the thread may block, the runtime may not.
            let flushed = tokio::task::spawn_blocking(move || {
                if writer.is_some_and(|writer| writer.send(Job::Flush(written)).is_ok()) {
                    all.recv_timeout(FLUSH).ok();
                }
            });
            flushed.await.ok();
        })
    }
}

impl<L> Drop for Record<L> {
    fn drop(&mut self) {
        let Ok(log) = self.log.get_mut() else { return };
        if !log.ended {
            for direction in [Direction::Sent, Direction::Received] {
                let rest = log.redactor.finish(direction);
                log.line(direction, &rest);
            }
        }
        log.writer = None;
        if log.done.recv_timeout(FLUSH) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the disk is slow; the end of the capture is still being written");
        }
    }
}

impl<L: std::fmt::Debug> std::fmt::Debug for Record<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Record").field(&self.inner).finish()
    }
}

/// The most queued lines; further ones are dropped with a warning. With chunks of 16 KiB they take 32 MiB.
const QUEUE: usize = 1024;
/// The longest wait for the disk when closing or dropping.
const FLUSH: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).expect("a capture")
    }

    #[tokio::test]
    async fn overwrites_no_earlier_recording() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("job.capture");
        for text in ["first", "second"] {
            let (near, _far) = memory::pair();
            let link = Record::to_file(near, &path, "test", Box::new(Plain)).expect("writable");
            link.send(text.as_bytes()).await.expect("open");
        }
        assert!(read(&path).contains("> 6669727374"));
        assert!(read(&dir.path().join("job.capture.2")).contains("> 7365636f6e64"));
        let (near, _far) = memory::pair();
        let folder = dir.path().join("no/folder");
        let error = Record::to_file(near, &folder, "test", Box::new(Plain)).expect_err("no folder");
        assert!(error.to_string().contains("no/folder"), "{error}");
        assert_eq!((error.effect(), error.retry()), (Effect::None, crate::Retry::AfterOperator));
    }

    #[test]
    fn the_next_number_follows_the_highest() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(dir.path())
                .expect("a folder")
                .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect();
            names.sort_unstable();
            names
        };
        for name in ["a", "a.7", "a.x", "ab.99", "a.08"] {
            std::fs::write(dir.path().join(name), "").expect("writable");
        }
        new_file(&path).expect("made");
        assert!(names().contains(&"a.9".to_owned()), "{:?}", names());
        std::fs::write(dir.path().join(format!("a.{}", u64::MAX)), "").expect("writable");
        let error = new_file(&path).expect_err("no number is left");
        assert_eq!(error.kind(), Kind::Input);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_a_capture() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            let made = new_file(&dir.path().join("a")).expect("made");
            assert_eq!(made.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        }
    }

    /// A disk that blocks until it is released.
    struct Stuck(std::sync::Arc<(Mutex<bool>, std::sync::Condvar)>, std::sync::Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.starts_with(b"tresen-capture") {
                let mut free = self.0.0.lock().expect("lock");
                while !*free {
                    free = self.0.1.wait(free).expect("lock");
                }
            }
            self.1.lock().expect("lock").extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_holds_up_no_byte() {
        let gate = std::sync::Arc::new((Mutex::new(false), std::sync::Condvar::new()));
        let disk = std::sync::Arc::new(Mutex::new(Vec::new()));
        let (near, far) = memory::pair();
        let out = Box::new(Stuck(gate.clone(), disk.clone()));
        let link = Record::new(near, out, "test", Box::new(Plain)).expect("writable");
        let mut got = Vec::new();
        for n in 0..100u8 {
            link.send(&[n]).await.expect("open");
            far.recv(&mut got).await.expect("passed on while the disk hangs");
        }
        assert_eq!(got.len(), 100);
        *gate.0.lock().expect("lock") = true;
        gate.1.notify_all();
        link.close().await;
        let text = String::from_utf8(disk.lock().expect("lock").clone()).expect("text");
        assert_eq!((text.matches(" > ").count(), text.matches(" !").count()), (100, 1), "{text}");
    }

    /// Releases nothing before the end.
    #[derive(Default)]
    struct Miser(Vec<u8>);

    impl Redactor for Miser {
        fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
            assert_eq!(direction, Direction::Sent);
            self.0.extend(bytes);
            Vec::new()
        }
        fn finish(&mut self, direction: Direction) -> Vec<u8> {
            if direction == Direction::Sent { std::mem::take(&mut self.0) } else { Vec::new() }
        }
    }

    #[tokio::test]
    async fn what_a_redactor_held_back_is_written_at_the_end() {
        let dir = tempfile::tempdir().expect("a folder");
        for close in [true, false] {
            let path = dir.path().join(close.to_string());
            let (near, _far) = memory::pair();
            let link = Record::to_file(near, &path, "test", Box::<Miser>::default()).expect("writable");
            link.send(&[1]).await.expect("open");
            link.send(&[2]).await.expect("open");
            if close {
                link.close().await;
            }
            drop(link);
            assert!(read(&path).contains("> 0102"), "{}", read(&path));
        }
    }
}
