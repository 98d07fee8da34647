//! What a call sends behind its preamble: a job or raw bytes, handed out in pieces that share its memory.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes handed to the link at a time. Taking a piece is progress.
const PIECE: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Body {
    /// Not handed out yet; none is empty.
    parts: VecDeque<Bytes>,
    begun: bool,
}

impl Body {
    /// Appends `part` without copying it.
    pub(super) fn push(&mut self, part: impl Into<Bytes>) {
        let part = part.into();
        if !part.is_empty() {
            self.parts.push_back(part);
        }
    }

    /// The next piece, at most 4096 bytes.
    pub(super) fn next_piece(&mut self) -> Option<Bytes> {
        let part = self.parts.front_mut()?;
        self.begun = true;
        if part.len() > PIECE {
            return Some(part.split_to(PIECE));
        }
        self.parts.pop_front()
    }

    /// Nothing is left to hand out.
    pub(super) fn is_done(&self) -> bool {
        self.parts.is_empty()
    }

    /// Some was handed out, and some is left.
    pub(super) fn is_unfinished(&self) -> bool {
        self.begun && !self.is_done()
    }

    /// Forgets what is left.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{Call, Session};
    use super::*;
    use crate::escpos::{Options, Overrides};
    use crate::{Content, Job, Raw};

    /// A printer that is not asked anything: all that is sent is the call's.
    fn session(now: Instant) -> Session {
        let overrides = Overrides { status: Some(false), ..Overrides::default() };
        let mut session = Session::new(Options { overrides, ..Options::default() }, 0, now);
        session.begin(Call::Open, now);
        session
    }

    #[test]
    fn a_large_raw_job_is_sent_whole_and_not_copied() {
        let now = Instant::now();
        let raw = Bytes::from(vec![b'x'; 10_000]);
        let content = Content::Raw(Raw { language: "escpos".into(), bytes: raw.clone() });
        let mut session = session(now);
        session.begin(Call::Print(&Job::new("ticket-1", content)), now);
        let mut sent = Vec::new();
        let mut shared = 0;
        while let Some(piece) = session.poll_transmit(now) {
            assert!(piece.len() <= PIECE);
            if raw.as_ptr_range().contains(&piece.as_ptr()) {
                shared += piece.len();
            }
            sent.extend_from_slice(&piece);
            session.handle_sent(now);
        }
        assert_eq!(shared, raw.len(), "all of it is the caller's memory");
        // ESC @ and ESC R 0, then the job as it is.
        assert_eq!(sent, [b"\x1b@\x1bR\x00", &raw[..]].concat());
    }

    #[test]
    fn pieces_are_bounded_and_whatever_is_left_shows() {
        let mut body = Body::default();
        assert!(body.is_done() && !body.is_unfinished() && body.next_piece().is_none());
        body.push(Vec::new());
        assert!(body.is_done(), "nothing is no piece");
        body.push(vec![0; PIECE + 1]);
        body.push(vec![0; 2]);
        assert!(!body.is_done() && !body.is_unfinished());
        let lengths: Vec<_> =
            std::iter::from_fn(|| body.next_piece().map(|p| (p.len(), body.is_unfinished()))).collect();
        assert_eq!(lengths, [(PIECE, true), (1, true), (2, false)]);
    }
}
