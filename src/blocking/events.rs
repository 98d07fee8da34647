//! The till's events.

use std::time::Duration;

use super::On;
use crate::event::Event;

/// Events, as [`crate::Events`]; the iterator ends when the till closes.
pub struct Events(pub(super) On<crate::Events>);

impl Events {
    /// The next event, or `None` after `within` or because the till has closed.
    pub fn next_within(&mut self, within: Duration) -> Option<Event> {
        let threads = self.0.threads.clone();
        threads.block_on(async { tokio::time::timeout(within, self.0.inner.next()).await.ok().flatten() })
    }

    /// The next queued event, if any.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.inner.try_next()
    }
}

impl Iterator for Events {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        let threads = self.0.threads.clone();
        threads.block_on(self.0.inner.next())
    }
}
