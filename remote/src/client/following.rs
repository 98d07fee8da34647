//! A till's events at its client.

use tokio::sync::mpsc;
use tresen::Event;

use crate::wire::{Followed, Missed};

/// What a client that follows learns.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum News {
    /// The state of the devices: at first, and again after each lost connection. It names what was missed.
    State(Box<Followed>),
    /// An event.
    Event(Box<Event>),
    /// Events that were left out, because the client read too slowly.
    Missed(Missed),
}

/// A till's events: [`Client::follow`](super::Client::follow).
#[derive(Debug)]
pub struct Following {
    pub(super) news: mpsc::Receiver<News>,
}

impl Following {
    /// The next; `None` when the client was closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

/// Passes events on to who follows.
#[derive(Debug)]
pub(super) struct Follower {
    to: mpsc::Sender<News>,
    /// The last event seen, and the run of the server.
    pub(super) seen: Option<(u64, String)>,
    /// The last event that came before the first state.
    early: u64,
    /// Left out for want of room.
    missed: Option<Missed>,
}

impl Follower {
    pub(super) fn new() -> (Self, Following) {
        let (to, news) = mpsc::channel(ROOM);
        (Self { to, seen: None, early: 0, missed: None }, Following { news })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.to.is_closed()
    }

    pub(super) fn state(&mut self, state: Followed, run: &str) {
        // With `since`, the events between it and the state are sent again and follow.
        let resumed = self.seen.take().filter(|(_, of)| of == run).map(|(seq, _)| seq);
        let seq = match (resumed, &state.missed) {
            (Some(_), Some(missed)) => missed.to,
            (Some(seq), None) => seq,
            (None, _) => state.snapshot.seq.max(std::mem::take(&mut self.early)),
        };
        self.seen = Some((seq, run.to_owned()));
        self.pass(News::State(Box::new(state)), None);
    }

    pub(super) fn event(&mut self, event: Event) {
        let seq = event.seq;
        self.saw(seq);
        self.pass(News::Event(Box::new(event)), Some(Missed { from: seq, to: seq }));
    }

    pub(super) fn missed(&mut self, missed: Missed) {
        self.saw(missed.to);
        self.pass(News::Missed(missed), Some(missed));
    }

    fn saw(&mut self, seq: u64) {
        let seen = self.seen.as_mut().map_or(&mut self.early, |(seen, _)| seen);
        *seen = (*seen).max(seq);
    }

    /// Passes news on, after what was left out; without room, they are left out as well.
    fn pass(&mut self, news: News, numbers: Option<Missed>) {
        if let Some(missed) = self.missed.take()
            && self.to.try_send(News::Missed(missed)).is_err()
        {
            self.missed = Some(missed);
        }
        if self.missed.is_none() && self.to.try_send(news).is_ok() {
            return;
        }
        if let Some(Missed { from, to }) = numbers {
            let from = self.missed.map_or(from, |missed| missed.from);
            self.missed = Some(Missed { from, to });
        }
    }
}

/// How many news wait for a client that is busy.
const ROOM: usize = 1_024;
