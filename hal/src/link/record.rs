//! Writes down what passes over a link, as text that a person can read and [`super::replay`] can
//! play back.
//!
//! ```text
//! tresen-capture 1 escpos+tcp://10.0.0.20:9100
//! 0.000000 > 1b40
//! 0.004211 < 12
//! 9.120333 !
//! ```
//! Seconds since the start, `>` to the device, `<` from the device, `!` the end. A protocol that
//! carries card data hands in a function that masks it.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use tokio::time::Instant;

use super::hex::hex;
use crate::{BoxFuture, Effect, Error, Link, Result};

/// Which way a chunk went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the device.
    Sent,
    /// From the device.
    Received,
}

/// Masks what must not be written down. Same length in and out.
pub type Redact = fn(Direction, &mut [u8]);

/// A link that writes down what passes.
pub struct Record<L> {
    inner: L,
    log: Mutex<Log>,
    redact: Redact,
}

struct Log {
    out: Box<dyn Write + Send>,
    start: Instant,
}

impl<L: Link> Record<L> {
    /// Records `inner` into `out`; `label` says what it was.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn new(inner: L, mut out: Box<dyn Write + Send>, label: &str, redact: Redact) -> Result<Self> {
        writeln!(out, "tresen-capture 1 {label}")?;
        Ok(Self { inner, log: Mutex::new(Log { out, start: Instant::now() }), redact })
    }

    /// Records `inner` into a new file at `path`; where there is one, into `path.2`, `path.3`, …, so that a
    /// reconnect overwrites nothing.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn to_file(inner: L, path: &Path, label: &str, redact: Redact) -> Result<Self> {
        let mut at = path.to_owned();
        for number in 2.. {
            match std::fs::File::create_new(&at) {
                Ok(file) => return Self::new(inner, Box::new(file), label, redact).map_err(|e| e.at(at.display())),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    at = path.as_os_str().to_owned().into();
                    at.as_mut_os_string().push(format!(".{number}"));
                }
                Err(e) => return Err(Error::from(e).at(at.display()).with_effect(Effect::None)),
            }
        }
        unreachable!("numbers do not end")
    }

    /// A capture that cannot be written must not stop a sale: failures are logged, not returned.
    fn note(&self, direction: Option<Direction>, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if let Some(direction) = direction {
            (self.redact)(direction, &mut bytes);
        }
        let mark = match direction {
            Some(Direction::Sent) => '>',
            Some(Direction::Received) => '<',
            None => '!',
        };
        let hex = hex(&bytes);
        let mut log = self.log.lock().expect("no holder of this lock panics");
        let at = log.start.elapsed().as_secs_f64();
        if let Err(error) = writeln!(log.out, "{at:.6} {mark} {hex}").and_then(|()| log.out.flush()) {
            tracing::warn!(%error, "the capture cannot be written");
        }
    }
}

impl<L: Link> Link for Record<L> {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.note(Some(Direction::Sent), bytes);
            self.inner.send(bytes).await
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let got = self.inner.recv(into).await;
            match &got {
                Ok(n) => self.note(Some(Direction::Received), &into[into.len() - n..]),
                Err(_) => self.note(None, &[]),
            }
            got
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.inner.close().await;
            self.note(None, &[]);
        })
    }
}

impl<L: std::fmt::Debug> std::fmt::Debug for Record<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Record").field(&self.inner).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory;

    #[tokio::test]
    async fn overwrites_no_earlier_recording() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("job.capture");
        for text in ["first", "second"] {
            let (near, _far) = memory::pair();
            let link = Record::to_file(near, &path, "test", |_, _| {}).expect("writable");
            link.send(text.as_bytes()).await.expect("open");
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect(name);
        assert!(read("job.capture").contains("> 6669727374"));
        assert!(read("job.capture.2").contains("> 7365636f6e64"));
        let (near, _far) = memory::pair();
        let error = Record::to_file(near, &dir.path().join("no/folder"), "test", |_, _| {}).expect_err("no folder");
        assert!(error.to_string().contains("no/folder"), "{error}");
    }
}
