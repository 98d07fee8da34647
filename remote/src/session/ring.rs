//! The last events, for those who come back.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use tresen::Event;
use tresen::api::Message;

use crate::wire::{Follow, Missed, text};

/// The last events of one run of the server.
#[derive(Debug)]
pub struct Ring {
    run: String,
    /// The number of the last event before those kept.
    before: u64,
    kept: VecDeque<Arc<Kept>>,
    /// The length of all messages that are kept.
    bytes: usize,
}

/// An event, and its message: written once for all who follow.
#[derive(Debug)]
pub struct Kept {
    /// The event.
    pub event: Event,
    /// Its message.
    pub text: Utf8Bytes,
}

impl Ring {
    /// Of a server's `run`, which sees the events after number `seq`.
    pub fn new(run: impl Into<String>, seq: u64) -> Self {
        Self { run: run.into(), before: seq, kept: VecDeque::new(), bytes: 0 }
    }

    /// Keeps an event; the oldest make room, never this one. Their numbers grow; gaps are kept as such.
    pub fn push(&mut self, event: Event) {
        let text: Utf8Bytes = text(&Message::Event { event: &event }).into();
        self.bytes += text.len();
        while self.kept.len() >= EVENTS || self.bytes > BYTES {
            let Some(old) = self.kept.pop_front() else { break };
            self.bytes -= old.text.len();
            self.before = old.event.seq;
        }
        self.kept.push_back(Arc::new(Kept { event, text }));
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.kept.back().map_or(self.before, |kept| kept.event.seq)
    }

    /// After which event to send, and what is missing before that, for a client that has seen what `follow` says. `last`
    /// is the number of the till's last event; this ring may see it a little later.
    pub fn resume(&self, follow: &Follow, last: u64) -> (u64, Option<Missed>) {
        let last = last.max(self.last());
        match (follow.since, follow.run.as_deref()) {
            (None, _) => (last, None),
            (Some(_), Some(run)) if run != self.run => (last, Some(Missed { from: 0, to: last })),
            // A number that this run has not reached yet is of another one.
            (Some(since), _) if since > last => (last, Some(Missed { from: 0, to: last })),
            (Some(since), _) => {
                (since.max(self.before), (since < self.before).then_some(Missed { from: since + 1, to: self.before }))
            }
        }
    }

    /// The next event after number `seen`, and what is missing in between.
    pub fn after(&self, seen: u64) -> Option<(Option<Missed>, Arc<Kept>)> {
        let at = self.kept.partition_point(|kept| kept.event.seq <= seen);
        let kept = self.kept.get(at)?.clone();
        let seq = kept.event.seq;
        let missed = (seq > seen + 1).then(|| Missed { from: seen + 1, to: seq - 1 });
        Some((missed, kept))
    }
}

/// How many events are kept.
pub const EVENTS: usize = 1_024;
/// How long their messages are together, at most, in bytes: 4 MiB. The last event is kept however long it is.
pub const BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(seq: u64) -> Event {
        let json = json!({ "seq": seq, "at": "2026-01-02T08:00:00Z", "source": "till", "kind": { "notice": "x" } });
        serde_json::from_value(json).expect("an event")
    }

    fn since(seq: u64, run: &str) -> Follow {
        Follow { since: Some(seq), run: Some(run.into()) }
    }

    #[test]
    fn whoever_comes_back_gets_what_is_kept_and_is_told_what_is_not() {
        let mut ring = Ring::new("r", 10);
        assert_eq!(ring.last(), 10);
        for seq in 11..=10 + EVENTS as u64 + 5 {
            ring.push(event(seq));
        }
        // 11 to 15 have made room.
        let last = 15 + EVENTS as u64;
        assert_eq!(ring.resume(&Follow::default(), 0), (last, None));
        assert_eq!(ring.resume(&since(20, "r"), 0), (20, None));
        assert_eq!(ring.resume(&since(15, "r"), 0), (15, None));
        assert_eq!(ring.resume(&since(12, "r"), 0), (15, Some(Missed { from: 13, to: 15 })));
        assert_eq!(ring.resume(&since(last, "r"), 0), (last, None));
        assert_eq!(ring.resume(&since(last + 1, "r"), 0), (last, Some(Missed { from: 0, to: last })));
        assert_eq!(ring.resume(&since(20, "other"), 0), (last, Some(Missed { from: 0, to: last })));
        let after = |seen| ring.after(seen).map(|(missed, kept)| (missed, kept.event.seq));
        assert_eq!(after(15), Some((None, 16)));
        assert_eq!(after(12), Some((Some(Missed { from: 13, to: 15 }), 16)), "too slow");
        assert_eq!(after(last), None);
    }

    #[test]
    fn long_events_make_room_by_their_length_and_the_last_one_stays() {
        let mut ring = Ring::new("r", 0);
        let long = |seq: u64, length: usize| {
            let notice = "x".repeat(length);
            let at = "2026-01-02T08:00:00Z";
            let json = json!({ "seq": seq, "at": at, "source": "till", "kind": { "notice": notice } });
            serde_json::from_value(json).expect("an event")
        };
        for seq in 1..=10 {
            ring.push(long(seq, 1 << 20));
        }
        // Each message is a little longer than its text: three of them fit.
        let held: usize = ring.kept.iter().map(|kept| kept.text.len()).sum();
        assert_eq!((ring.kept.len(), ring.bytes), (3, held));
        assert_eq!(ring.resume(&since(2, "r"), 0), (7, Some(Missed { from: 3, to: 7 })));
        ring.push(long(11, 5 << 20));
        assert_eq!(
            ring.after(7).map(|(missed, kept)| (missed, kept.event.seq)),
            Some((Some(Missed { from: 8, to: 10 }), 11))
        );
        ring.push(event(12));
        assert_eq!((ring.kept.len(), ring.after(11).map(|(_, kept)| kept.event.seq)), (1, Some(12)));
        assert_eq!(ring.bytes, ring.kept[0].text.len());
    }

    #[test]
    fn a_gap_in_the_numbers_is_told() {
        let mut ring = Ring::new("r", 0);
        ring.push(event(1));
        ring.push(event(4));
        let told = ring.after(1).map(|(missed, kept)| (missed, kept.event.seq));
        assert_eq!(told, Some((Some(Missed { from: 2, to: 3 }), 4)));
    }
}
