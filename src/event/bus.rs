//! Publishes events, and queues them for those who listen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, broadcast};
use tresen_hal::Clock;

use super::{Event, EventKind, Source};
use crate::class::{Class, DeviceId};
use crate::health::Activity;
use crate::manager::lock;

/// A listener's queue of events.
#[derive(Debug)]
pub struct Events {
    early: VecDeque<Event>,
    live: broadcast::Receiver<Event>,
    /// Counts the listeners of the application; `None` for the till's own.
    _follower: Option<Arc<()>>,
}

impl Events {
    /// The next event; `None` when the till has closed.
    ///
    /// A listener that falls behind by more than 256 events loses the oldest; [`Event::seq`] shows the gap.
    /// Cancel-safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.early.pop_front() {
            return Some(event);
        }
        loop {
            match self.live.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next queued event, if any.
    pub fn try_next(&mut self) -> Option<Event> {
        if let Some(event) = self.early.pop_front() {
            return Some(event);
        }
        loop {
            match self.live.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

/// The event bus; clones share it.
#[derive(Clone)]
pub(crate) struct Bus {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<Event>,
    clock: Arc<dyn Clock>,
    /// Notified when a write has failed.
    storage_failed: Arc<Notify>,
}

struct State {
    seq: u64,
    /// Events from before there was a listener; delivered to the first one.
    early: Option<VecDeque<Event>>,
    /// The last events, but for scans and progress.
    recent: VecDeque<Event>,
    /// Held once more by each listener of the application.
    followers: Arc<()>,
}

impl Bus {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { seq: 0, early: Some(VecDeque::new()), recent: VecDeque::new(), followers: Arc::new(()) };
        let (state, events, storage_failed) =
            (Arc::new(Mutex::new(state)), broadcast::Sender::new(KEPT), Arc::default());
        Self { state, events, clock, storage_failed }
    }

    /// Publishes an event to all listeners; there may be none.
    pub(crate) fn publish(&self, source: Source, kind: EventKind) {
        tracing::debug!(%source, event = kind.name(), why = kind.why(), "event");
        let mut state = lock(&self.state);
        state.seq += 1;
        let event = Event { seq: state.seq, at: self.clock.wall(), source, kind };
        if let Some(early) = &mut state.early {
            if early.len() >= KEPT {
                let dispensable = early.iter().position(|e| !e.kind.needs_a_person()).unwrap_or(0);
                early.remove(dispensable);
            }
            early.push_back(event.clone());
        }
        if !matches!(event.kind, EventKind::Scanned(_) | EventKind::ScanLost(_) | EventKind::Payment(_)) {
            if state.recent.len() >= KEPT {
                state.recent.pop_front();
            }
            state.recent.push_back(event.clone());
        }
        if matches!(event.kind, EventKind::StorageFailed { .. }) {
            self.storage_failed.notify_one();
        }
        // Under the lock, so that events are sent in the order of their numbers.
        self.events.send(event).ok();
    }

    /// The last events, oldest first.
    pub(crate) fn recent(&self) -> Vec<Event> {
        lock(&self.state).recent.iter().cloned().collect()
    }

    /// Notified when a write to the database has failed.
    pub(crate) fn storage_failed(&self) -> Arc<Notify> {
        self.storage_failed.clone()
    }

    /// The number of the last event so far, and a listener for those after it.
    pub(crate) fn follow(&self) -> (u64, Events) {
        let state = lock(&self.state);
        let follower = Some(state.followers.clone());
        (state.seq, Events { early: VecDeque::new(), live: self.events.subscribe(), _follower: follower })
    }

    /// The number of the last event so far, and a listener for those after it that passes them on: it does not count
    /// as one of the application.
    pub(crate) fn relay(&self) -> (u64, Events) {
        let state = lock(&self.state);
        (state.seq, self.overhear())
    }

    /// A listener of the till's own: nobody sits behind it.
    pub(crate) fn overhear(&self) -> Events {
        Events { early: VecDeque::new(), live: self.events.subscribe(), _follower: None }
    }

    /// Whether the application follows the events.
    fn is_followed(&self) -> bool {
        Arc::strong_count(&lock(&self.state).followers) > 1
    }

    pub(crate) fn listen(&self) -> Events {
        let mut state = lock(&self.state);
        let follower = Some(state.followers.clone());
        Events { early: state.early.take().unwrap_or_default(), live: self.events.subscribe(), _follower: follower }
    }
}

/// Publishes the events of one device.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) device: DeviceId,
    pub(crate) activity: Arc<Activity>,
    bus: Bus,
}

impl Reporter {
    /// Events of the device `name` of the till `till`.
    pub(crate) fn new(class: Class, name: &str, till: Arc<str>, bus: Bus) -> Self {
        Self { device: DeviceId::new(class, name), activity: Arc::new(Activity::new(class, name, till)), bus }
    }
    pub(crate) fn publish(&self, kind: EventKind) {
        self.activity.heard(&kind, self.bus.clock.wall());
        self.bus.publish(Source::Device(self.device.clone()), kind);
    }
    /// Somebody follows the till's events.
    pub(crate) fn is_followed(&self) -> bool {
        self.bus.is_followed()
    }
    pub(crate) fn connected(&self, address: &str) {
        self.publish(EventKind::Connected { address: address.to_owned() });
    }
    pub(crate) fn lost(&self, error: &tresen_hal::Error) {
        self.publish(EventKind::Disconnected { why: error.to_string() });
    }
    pub(crate) fn ended(&self, why: &str) {
        self.publish(EventKind::Ended { why: why.to_owned() });
    }
    pub(crate) fn faulted(&self, why: &str) {
        self.publish(EventKind::Faulted { why: why.to_owned() });
    }
}

/// Number of events kept for a slow listener, or for the first one.
const KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::SystemClock;

    fn bus() -> Bus {
        Bus::new(Arc::new(SystemClock))
    }

    #[test]
    fn the_first_listener_hears_what_happened_before_it_came() {
        let bus = bus();
        bus.publish(Source::Till, EventKind::PrintUnknown { job: "a".into(), why: "stopped".into() });
        for n in 0..2 * KEPT {
            bus.publish(Source::Route("bar".into()), EventKind::Notice(n.to_string()));
        }
        let mut first = bus.listen();
        let mut second = bus.listen();
        bus.publish(Source::Till, EventKind::PrintStranded { job: "b".into() });
        let heard: Vec<_> = std::iter::from_fn(|| first.try_next()).collect();
        assert_eq!(heard.len(), KEPT + 1);
        assert_eq!((heard[0].seq, heard[0].kind.name()), (1, "print-unknown"), "what needs a person outlives the rest");
        assert!(heard.is_sorted_by_key(|e| e.seq));
        let heard: Vec<_> = std::iter::from_fn(|| second.try_next()).collect();
        assert_eq!(heard.len(), 1, "only the first listener hears the past");
        assert_eq!(heard[0].seq, 2 * KEPT as u64 + 2);
    }

    #[test]
    fn an_event_names_its_device_with_its_class_and_serialises() {
        let bus = bus();
        let mut events = bus.listen();
        Reporter::new(Class::Scanner, "counter", "Till".into(), bus.clone()).connected("scanner+tcp://10.0.0.9:4000");
        Reporter::new(Class::Terminal, "counter", "Till".into(), bus.clone()).connected("zvt+tcp://10.0.0.30:20007");
        let scanner = events.try_next().expect("told");
        let terminal = events.try_next().expect("told");
        assert_ne!(scanner.source, terminal.source, "one name in two classes");
        let text = serde_json::to_string(&scanner).expect("serialises");
        assert!(text.contains(r#""source":{"device":{"class":"scanner","name":"counter"}}"#), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("reads back"), scanner);
    }
}
