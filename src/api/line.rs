//! Lines of JSON: bounded when read, written whole.

use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its terminator.
    Whole(Vec<u8>),
    /// The line exceeds the limit.
    TooLong,
    /// The peer has closed; an incomplete line is dropped.
    End,
}

/// Reads lines of at most `limit` bytes, however the stream splits them.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    limit: usize,
    begun: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(from: R, limit: usize) -> Self {
        Self { from, limit, begun: Vec::new() }
    }

    /// The next line. Cancel-safe: a partly read line is kept.
    pub(super) async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            let some = self.from.fill_buf().await?;
            if some.is_empty() {
                return Ok(Line::End);
            }
            let end = some.iter().position(|byte| *byte == b'\n');
            let part = &some[..end.unwrap_or(some.len())];
            if self.begun.len() + part.len() > self.limit {
                return Ok(Line::TooLong);
            }
            self.begun.extend_from_slice(part);
            let taken = part.len() + usize::from(end.is_some());
            self.from.consume(taken);
            if end.is_some() {
                return Ok(Line::Whole(std::mem::take(&mut self.begun)));
            }
        }
    }
}

/// A value as a line.
pub(super) fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes a line.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), line: &[u8]) -> std::io::Result<()> {
    to.write_all(line).await?;
    to.flush().await
}
