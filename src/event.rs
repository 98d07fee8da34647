//! Events of the till and its devices.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast};
use tresen_hal::{Amount, Clock};
use tresen_payment::{IntentId, Progress, Settled};
use tresen_printers::Status;
use tresen_scanners::Scan;

use crate::class::{Class, DeviceId};
use crate::health::{Activity, Alert};
use crate::lease::{End, Target};
use crate::manager::{OpenQuestion, lock};
use crate::sync::SyncState;

/// An event and its source.
///
/// Events are telemetry: a listener that is too slow loses the oldest, and [`Event::seq`] shows the gap. Anything that
/// must not be lost is in the journal and the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Event {
    /// Its number; starts at 1 when the till is opened and grows by one.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Where it happened.
    pub source: Source,
    /// What happened.
    pub kind: EventKind,
}

/// The source of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "EventSource"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A device.
    Device(DeviceId),
    /// A print route, or a printer acting as its own route; its name.
    Route(String),
    /// The till itself.
    Till,
}

impl Source {
    /// The logical name of the device or route; `till` for the till itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Device(device) => &device.name,
            Self::Route(route) => route,
            Self::Till => "till",
        }
    }

    /// The device, if the source is one.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(device) => Some(device),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => device.fmt(f),
            Self::Route(route) => write!(f, "route {route}"),
            Self::Till => f.write_str("till"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The device was added while the till was running.
    Attached,
    /// The device was removed while the till was running.
    Detached,
    /// The device is connected and ready.
    Connected {
        /// The address at which it was found, without options.
        address: String,
    },
    /// The device cannot be reached, or was lost; it is retried. Reported once per reason, not per attempt.
    Disconnected {
        /// Why.
        why: String,
    },
    /// A recording that stands in for the device was played to its end.
    Ended {
        /// How it ended.
        why: String,
    },
    /// The driver failed too often; it is not retried until its handle's `reset`.
    Faulted {
        /// Why.
        why: String,
    },
    /// The printer's status: on connecting, and whenever it changes.
    Printer(Status),
    /// A code was scanned. Every listener receives every scan, whether or not it is taken with `next`.
    Scanned(Box<Scan>),
    /// A scan queued for `next` was dropped: it was too old, or too many followed it.
    ScanLost(Box<Scan>),
    /// A transaction made progress.
    Payment(Progress),
    /// The terminal asks something, and a customer waits:
    /// [`Terminal::answer`](crate::Terminal::answer).
    Question(Box<OpenQuestion>),
    /// A question is not open any more: it was answered, its time is over, or the terminal withdrew it.
    QuestionClosed {
        /// Its id.
        id: String,
    },
    /// A transaction is waiting for the terminal, which is serving another one.
    PaymentWaits {
        /// The waiting transaction.
        intent: IntentId,
        /// The transaction being served.
        behind: IntentId,
    },
    /// A message for the cashier.
    Notice(String),
    /// An open payment was settled: as charged or as not charged.
    Settled(Box<Settled>),
    /// Payments stay open: recovery failed and is retried, or the terminal cannot tell the outcome of a payment and a
    /// person has to settle it.
    Unsettled {
        /// The payment, if it concerns a single one.
        intent: Option<IntentId>,
        /// Why.
        why: String,
    },
    /// A payment has been undecided for longer than the configured time ([`Till::tell_after`](crate::config::Till::tell_after)):
    /// a person has to look at the terminal and [settle](crate::Tresen::settle) it. Reported once per payment, and again
    /// after a restart. The terminal is asked on.
    PaymentInDoubt {
        /// The payment.
        intent: IntentId,
        /// The sale it belongs to, if any.
        sale: Option<String>,
        /// The amount.
        amount: Amount,
        /// When it began.
        since: Timestamp,
        /// What is known.
        why: String,
    },
    /// The payments of an open sale that were undecided are decided now. If nothing is due, it can be
    /// [closed](crate::sale::Checkout::close).
    SaleSettled {
        /// The sale.
        sale: String,
        /// The amount still to be paid; negative where the customer gets money back.
        due: Amount,
    },
    /// What the till can do now has changed: [`Tresen::capabilities`](crate::Tresen::capabilities).
    CapabilitiesChanged,
    /// A print job is on paper, or was accepted by the printer.
    Printed {
        /// The job.
        job: String,
        /// The intended printer, if another one took over.
        instead_of: Option<String>,
    },
    /// A print job is waiting for a printer. Reported once per reason.
    PrintWaits {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// Paper has waited for longer than its route's `warn-after`. Reported once per job.
    PaperOverdue {
        /// The job.
        job: String,
        /// When it was queued.
        since: Timestamp,
        /// Why it is not on paper yet.
        why: String,
    },
    /// A print job may or may not be on paper; a person decides.
    PrintUnknown {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// A print job cannot be read, because another version of the library wrote it; it is skipped.
    PrintUnreadable {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// A print job belongs to a route that is not configured (any more): it is not printed until it is moved to another
    /// route or cancelled.
    PrintStranded {
        /// The job.
        job: String,
    },
    /// A device or an open sale was leased by name.
    Leased {
        /// The target.
        target: Target,
        /// Who has it now.
        holder: String,
    },
    /// A lease was passed on to the first who waited for it.
    LeaseGranted {
        /// The target.
        target: Target,
        /// Who has it now.
        holder: String,
    },
    /// A lease ended.
    LeaseEnded {
        /// The target.
        target: Target,
        /// Who had it.
        holder: String,
        /// How it ended.
        why: End,
    },
    /// A lease ends as soon as the running transaction has.
    LeaseEnding {
        /// The target.
        target: Target,
        /// Who has it until then.
        holder: String,
        /// Why it ends.
        why: End,
    },
    /// Somebody asks the holder of a lease to let go.
    LeaseWanted {
        /// The target.
        target: Target,
        /// Who has it.
        holder: String,
        /// Who asks.
        by: String,
        /// The reason given.
        why: String,
    },
    /// The till connected to its server or lost it: connected and local mode.
    Server(SyncState),
    /// The server has another journal line under the key of this till's: this one is in quarantine there, and a person
    /// has to find out whose is right.
    Quarantined {
        /// The epoch.
        epoch: i64,
        /// The line's sequence number.
        seq: i64,
    },
    /// The server has lines of this till that this database does not have: a backup was restored without saying so, or
    /// the database was copied. What was written here since has a new epoch.
    RestoreFound {
        /// The new epoch.
        epoch: i64,
        /// The last line that both have.
        after: i64,
    },
    /// The server was set back and lacks lines that this till has removed since: a newer backup of the server supplies
    /// them, or a person [accepts the gap](crate::Tresen::accept_gap).
    ServerLacks {
        /// The last line that the server has.
        after: i64,
        /// The first line that this till has.
        before: i64,
    },
    /// A tender was taken from an account in local mode, and the balance did not suffice: `Tresen::unbooked`.
    AccountUnbooked {
        /// The account.
        account: String,
        /// The amount.
        amount: Amount,
        /// Why.
        why: String,
    },
    /// The till's socket could not be opened: other programs cannot send commands. Everything else works.
    SocketFailed {
        /// Why.
        why: String,
    },
    /// The database cannot be used; pending writes are kept and retried.
    StorageFailed {
        /// Why.
        why: String,
    },
    /// A condition that a person should know of has come up; reported once, until it is cleared. Of overdue paper and of
    /// payments in doubt [`EventKind::PaperOverdue`] and [`EventKind::PaymentInDoubt`] tell instead, one by one.
    AlertRaised {
        /// Which one.
        alert: Alert,
        /// The reason.
        why: String,
    },
    /// The condition is gone, for all jobs of the route, or all payments of the terminal, that it concerned.
    AlertCleared {
        /// Which one.
        alert: Alert,
    },
}

impl EventKind {
    /// Its name, as serialised: `print-waits`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Detached => "detached",
            Self::Connected { .. } => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::Ended { .. } => "ended",
            Self::Faulted { .. } => "faulted",
            Self::Printer(_) => "printer",
            Self::Scanned(_) => "scanned",
            Self::ScanLost(_) => "scan-lost",
            Self::Payment(_) => "payment",
            Self::Question(_) => "question",
            Self::QuestionClosed { .. } => "question-closed",
            Self::PaymentWaits { .. } => "payment-waits",
            Self::Notice(_) => "notice",
            Self::Settled(_) => "settled",
            Self::Unsettled { .. } => "unsettled",
            Self::PaymentInDoubt { .. } => "payment-in-doubt",
            Self::SaleSettled { .. } => "sale-settled",
            Self::CapabilitiesChanged => "capabilities-changed",
            Self::Printed { .. } => "printed",
            Self::PrintWaits { .. } => "print-waits",
            Self::PaperOverdue { .. } => "paper-overdue",
            Self::PrintUnknown { .. } => "print-unknown",
            Self::PrintUnreadable { .. } => "print-unreadable",
            Self::PrintStranded { .. } => "print-stranded",
            Self::Leased { .. } => "leased",
            Self::LeaseGranted { .. } => "lease-granted",
            Self::LeaseEnded { .. } => "lease-ended",
            Self::LeaseEnding { .. } => "lease-ending",
            Self::LeaseWanted { .. } => "lease-wanted",
            Self::Server(_) => "server",
            Self::Quarantined { .. } => "quarantined",
            Self::RestoreFound { .. } => "restore-found",
            Self::ServerLacks { .. } => "server-lacks",
            Self::AccountUnbooked { .. } => "account-unbooked",
            Self::SocketFailed { .. } => "socket-failed",
            Self::StorageFailed { .. } => "storage-failed",
            Self::AlertRaised { .. } => "alert-raised",
            Self::AlertCleared { .. } => "alert-cleared",
        }
    }

    /// Whether it requires a person's attention.
    fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::PrintUnknown { .. }
                | Self::PaperOverdue { .. }
                | Self::PrintUnreadable { .. }
                | Self::PrintStranded { .. }
                | Self::Unsettled { .. }
                | Self::PaymentInDoubt { .. }
                | Self::Faulted { .. }
                | Self::AlertRaised { .. }
                | Self::Quarantined { .. }
                | Self::RestoreFound { .. }
                | Self::ServerLacks { .. }
                | Self::AccountUnbooked { .. }
        )
    }

    /// The reason, if there is one. Never contains scanned data or the content of a slip.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Disconnected { why }
            | Self::Ended { why }
            | Self::Faulted { why }
            | Self::Unsettled { why, .. }
            | Self::PaymentInDoubt { why, .. }
            | Self::PrintWaits { why, .. }
            | Self::PaperOverdue { why, .. }
            | Self::PrintUnknown { why, .. }
            | Self::PrintUnreadable { why, .. }
            | Self::LeaseWanted { why, .. }
            | Self::Server(SyncState::Local { why, .. })
            | Self::AccountUnbooked { why, .. }
            | Self::SocketFailed { why }
            | Self::StorageFailed { why }
            | Self::AlertRaised { why, .. } => Some(why),
            _ => None,
        }
    }
}

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
