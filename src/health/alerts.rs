//! Conditions of a till that a person should know of: raised once, and cleared once.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Bus, EventKind, Source};
use crate::manager::lock;

/// A condition that a person should know of before it becomes a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Alert {
    /// The disk of the database is nearly full.
    DiskLow,
    /// The clock of a terminal or of the server differs from that of this machine.
    ClockOff,
    /// Paper of a route has been waiting for longer than its `warn-after`. [`EventKind::PaperOverdue`] tells of each job
    /// as it comes; no other event does.
    PaperOverdue,
    /// Payments of a terminal have been undecided for longer than
    /// [`tell_after`](crate::config::Till::tell_after). [`EventKind::PaymentInDoubt`] tells of each payment as it comes;
    /// no other event does.
    PaymentInDoubt,
    /// The server was set back and lacks entries that this till has removed since: [`EventKind::ServerLacks`].
    ServerLacks,
}

impl Alert {
    /// What a person should do.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::DiskLow => "free some space on that disk",
            Self::ClockOff => "set the clock that is wrong",
            Self::ServerLacks => {
                "restore a newer backup of the server; if there is none, `tresen server accept-gap` goes on without them"
            }
            Self::PaperOverdue => {
                "look after the printers of the route; `tresen jobs` lists what waits, `tresen cancel` gives a job up"
            }
            Self::PaymentInDoubt => {
                "look at the slips of the terminal; `tresen payments --open` lists the payments, `tresen settle` decides"
            }
        }
    }

    /// Whether another event tells when it comes up.
    fn is_told_by_item(self) -> bool {
        matches!(self, Self::PaperOverdue | Self::PaymentInDoubt | Self::ServerLacks)
    }
}

/// An alert that was raised and is not cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ActiveAlert {
    /// What it concerns.
    pub source: Source,
    /// Which one.
    pub alert: Alert,
    /// Since when.
    pub since: Timestamp,
    /// The latest reason, in words.
    pub why: String,
}

impl ActiveAlert {
    /// A new alert.
    pub fn new(source: Source, alert: Alert, since: Timestamp, why: impl Into<String>) -> Self {
        Self { source, alert, since, why: why.into() }
    }
}

/// When alerts are raised: the section `[health]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Below this many bytes the disk is nearly full; 500 MB.
    pub disk_low: u64,
    /// From this difference on a clock is off; 2 min.
    pub clock_off: Duration,
    /// How often disk, queues and payments are looked at; 60 s.
    pub look_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { disk_low: 500_000_000, clock_off: Duration::from_secs(120), look_every: Duration::from_secs(60) }
    }
}

/// The alerts of a till.
pub(crate) struct Alerts {
    bus: Bus,
    state: Mutex<State>,
}

struct State {
    limits: Limits,
    active: Vec<ActiveAlert>,
}

impl Alerts {
    pub(crate) fn new(bus: Bus, limits: Limits) -> Self {
        Self { bus, state: Mutex::new(State { limits, active: Vec::new() }) }
    }

    pub(crate) fn limits(&self) -> Limits {
        lock(&self.state).limits
    }

    pub(crate) fn limit(&self, limits: Limits) {
        lock(&self.state).limits = limits;
    }

    pub(crate) fn active(&self) -> Vec<ActiveAlert> {
        lock(&self.state).active.clone()
    }

    /// Raises an alert, or clears it if there is no reason any more. An event tells of a change only, and of what comes
    /// up only if no other event does.
    pub(crate) fn set(&self, source: &Source, alert: Alert, why: Option<String>, now: Timestamp) {
        let event = {
            let mut state = lock(&self.state);
            let at = state.active.iter().position(|active| active.alert == alert && active.source == *source);
            match (at, why) {
                (None, None) => return,
                (Some(at), Some(why)) => {
                    state.active[at].why = why;
                    return;
                }
                (None, Some(why)) => {
                    state.active.push(ActiveAlert { source: source.clone(), alert, since: now, why: why.clone() });
                    if alert.is_told_by_item() {
                        return;
                    }
                    EventKind::AlertRaised { alert, why }
                }
                (Some(at), None) => {
                    state.active.remove(at);
                    EventKind::AlertCleared { alert }
                }
            }
        };
        self.bus.publish(source.clone(), event);
    }

    /// Clears the alerts of this kind whose source is no longer concerned.
    pub(crate) fn keep(&self, alert: Alert, concerned: &[Source], now: Timestamp) {
        let gone: Vec<_> = lock(&self.state)
            .active
            .iter()
            .filter(|active| active.alert == alert && !concerned.contains(&active.source))
            .map(|active| active.source.clone())
            .collect();
        gone.iter().for_each(|source| self.set(source, alert, None, now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tresen_hal::SystemClock;

    use super::*;

    #[test]
    fn an_alert_is_told_when_it_comes_and_when_it_goes() {
        let bus = Bus::new(Arc::new(SystemClock));
        let mut events = bus.listen();
        let alerts = Alerts::new(bus, Limits::default());
        let (bar, now) = (Source::Route("bar".into()), Timestamp::UNIX_EPOCH);
        for alert in [Alert::PaperOverdue, Alert::ClockOff] {
            alerts.set(&bar, alert, None, now);
            for minutes in 5..50 {
                alerts.set(&bar, alert, Some(format!("for {minutes} min")), now);
            }
        }
        alerts.set(&Source::Till, Alert::DiskLow, Some("12 MB left".into()), now);
        assert_eq!(alerts.active()[0].why, "for 49 min", "the reason is current");
        for alert in [Alert::PaperOverdue, Alert::ClockOff] {
            alerts.keep(alert, &[], now);
            alerts.keep(alert, &[], now);
        }
        let told = std::iter::from_fn(|| events.try_next()).map(|e| match e.kind {
            EventKind::AlertRaised { alert, .. } => (e.source, alert, true),
            EventKind::AlertCleared { alert } => (e.source, alert, false),
            other => panic!("{other:?}"),
        });
        let wanted = [
            (bar.clone(), Alert::ClockOff, true),
            (Source::Till, Alert::DiskLow, true),
            (bar.clone(), Alert::PaperOverdue, false),
            (bar, Alert::ClockOff, false),
        ];
        assert_eq!(told.collect::<Vec<_>>(), wanted, "each job told that it was overdue");
        assert_eq!(alerts.active().len(), 1);
    }
}
