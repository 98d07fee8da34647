//! What the owner of a device has seen since the till was opened: connections, errors, calls and their times.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tresen_hal::{Error, Kind};

use super::histogram::Histogram;
use super::metrics;
use super::time::micros;
use crate::class::{Class, DeviceId};
use crate::event::EventKind;
use crate::manager::lock;

/// What is known of one device's past. A call costs one uncontended lock.
pub(crate) struct Activity {
    device: DeviceId,
    /// The name of the till, for metrics.
    till: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connected_since: Option<Timestamp>,
    connections: u64,
    attempts: u64,
    errors: VecDeque<PastError>,
    calls: BTreeMap<&'static str, Calls>,
    printed: u64,
    parked: u64,
    scans: u64,
    last_scan: Option<Timestamp>,
    clock: Option<ClockOffset>,
}

#[derive(Default)]
struct Calls {
    failed: u64,
    times: Histogram,
}

/// A copy of what is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    pub(crate) connected_since: Option<Timestamp>,
    pub(crate) connections: u64,
    pub(crate) attempts: u64,
    pub(crate) errors: Vec<PastError>,
    pub(crate) calls: Vec<CallHealth>,
    pub(crate) printed: u64,
    pub(crate) parked: u64,
    pub(crate) scans: u64,
    pub(crate) last_scan: Option<Timestamp>,
    pub(crate) clock: Option<ClockOffset>,
}

/// An error of a device. Equal errors in a row are counted, not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PastError {
    /// When it happened for the last time.
    pub at: Timestamp,
    /// What kind of error.
    pub kind: Kind,
    /// In words.
    pub what: String,
    /// The next step for a person.
    pub hint: Option<String>,
    /// How often it happened in a row.
    pub times: u64,
}

/// The calls of one kind to a device, and how long the device took for them. A decline is not a failure.
///
/// The times begin when the device begins with the call, without waiting for its turn. In JSON they are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CallHealth {
    /// What it was: `print job`, `payment`, `status request`.
    pub call: String,
    /// How often it was made.
    pub count: u64,
    /// How often it failed.
    pub failed: u64,
    /// The last one.
    #[serde(rename = "last_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub last: Duration,
    /// On average.
    #[serde(rename = "mean_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub mean: Duration,
    /// What half of them did not exceed.
    #[serde(rename = "p50_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub p50: Duration,
    /// What 99 % of them did not exceed.
    #[serde(rename = "p99_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub p99: Duration,
    /// The longest.
    #[serde(rename = "max_us", with = "micros")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub max: Duration,
}

/// How far another clock is from that of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ClockOffset {
    /// Seconds that the other clock is ahead; negative if it is behind. Terminals tell whole seconds, and tell them late
    /// by the time that the approval took.
    pub seconds: i64,
    /// When they were compared.
    pub at: Timestamp,
}

impl ClockOffset {
    /// The offset of a clock that showed `there` when this machine's showed `here`; both are local time.
    pub fn between(there: DateTime, here: Timestamp) -> Self {
        let local = here.to_zoned(TimeZone::system()).datetime();
        let ahead = there.duration_since(local);
        Self { seconds: ahead.as_secs(), at: here }
    }

    /// Its amount, in whichever direction.
    pub fn distance(&self) -> Duration {
        Duration::from_secs(self.seconds.unsigned_abs())
    }
}

impl Activity {
    pub(crate) fn new(class: Class, name: &str, till: Arc<str>) -> Self {
        Self { device: DeviceId::new(class, name), till, state: Mutex::default() }
    }

    /// The device is being opened.
    pub(crate) fn attempt(&self) {
        lock(&self.state).attempts += 1;
        metrics::attempt(&self.till, &self.device);
    }

    /// It is connected, until [`Activity::ended`].
    pub(crate) fn connected(&self, at: Timestamp) {
        {
            let mut state = lock(&self.state);
            state.connections += 1;
            state.connected_since = Some(at);
        }
        metrics::connected(&self.till, &self.device, true);
    }

    /// The connection is no more, for whatever reason.
    pub(crate) fn ended(&self) {
        lock(&self.state).connected_since = None;
        metrics::connected(&self.till, &self.device, false);
    }

    /// It cannot be reached, was lost, or a call failed.
    pub(crate) fn failed(&self, error: &Error, at: Timestamp) {
        metrics::error(&self.till, &self.device, error.kind());
        let what = error.what();
        let mut state = lock(&self.state);
        if let Some(last) = state.errors.back_mut()
            && last.kind == error.kind()
            && last.what == what
        {
            (last.at, last.times) = (at, last.times + 1);
            return;
        }
        if state.errors.len() >= ERRORS {
            state.errors.pop_front();
        }
        let what = what.chars().take(LONGEST).collect();
        let hint = error.next_step().map(str::to_owned);
        state.errors.push_back(PastError { at, kind: error.kind(), what, hint, times: 1 });
    }

    /// A call has ended after `took`.
    pub(crate) fn called(&self, what: &'static str, took: Duration, failed: bool) {
        let what = what.strip_prefix("a ").or_else(|| what.strip_prefix("an ")).unwrap_or(what);
        {
            let mut state = lock(&self.state);
            let calls = state.calls.entry(what).or_default();
            calls.times.add(took);
            calls.failed += u64::from(failed);
        }
        metrics::called(&self.till, &self.device, what, took, failed);
    }

    /// Counts what an event of the device tells.
    pub(crate) fn heard(&self, event: &EventKind, at: Timestamp) {
        metrics::event(&self.till, event.name());
        match event {
            EventKind::Printed { .. } => lock(&self.state).printed += 1,
            EventKind::PrintUnknown { .. } => lock(&self.state).parked += 1,
            EventKind::Scanned(_) => {
                let mut state = lock(&self.state);
                state.scans += 1;
                state.last_scan = Some(at);
            }
            _ => {}
        }
    }

    /// The device has told the time.
    pub(crate) fn clock(&self, offset: ClockOffset) {
        lock(&self.state).clock = Some(offset);
        metrics::clock(&self.till, &self.device, offset.seconds);
    }

    pub(crate) fn past(&self) -> Past {
        let state = lock(&self.state);
        let calls = state.calls.iter().map(|(what, calls)| {
            let times = &calls.times;
            CallHealth {
                call: (*what).to_owned(),
                count: times.count(),
                failed: calls.failed,
                last: times.last(),
                mean: times.mean(),
                p50: times.quantile(50),
                p99: times.quantile(99),
                max: times.max(),
            }
        });
        Past {
            connected_since: state.connected_since,
            connections: state.connections,
            attempts: state.attempts,
            errors: state.errors.iter().cloned().collect(),
            calls: calls.collect(),
            printed: state.printed,
            parked: state.parked,
            scans: state.scans,
            last_scan: state.last_scan,
            clock: state.clock,
        }
    }
}

/// How many different errors of a device are kept: the newest.
const ERRORS: usize = 8;
/// How many characters of an error are kept.
const LONGEST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_340_800 + second).expect("a time")
    }

    fn activity() -> Activity {
        Activity::new(Class::Printer, "bar", "Till 1".into())
    }

    #[test]
    fn equal_errors_in_a_row_are_counted_and_only_the_newest_are_kept() {
        let bar = activity();
        let error = |n: u32| Error::new(Kind::Timeout, format!("no answer to {n}")).hint("is it on?");
        for n in 0..20 {
            bar.failed(&error(n), at(n.into()));
        }
        for n in 0..1000 {
            bar.failed(&error(19), at(100 + n));
        }
        let errors = bar.past().errors;
        assert_eq!(errors.len(), ERRORS);
        let last = errors.last().expect("the newest");
        assert_eq!((last.times, last.at, last.what.as_str()), (1001, at(1099), "no answer to 19"));
        assert_eq!(last.hint.as_deref(), Some("is it on?"));
        bar.failed(&Error::new(Kind::Io, "x".repeat(10_000)), at(0));
        assert_eq!(bar.past().errors.last().map(|e| e.what.len()), Some(LONGEST), "one error cannot take the memory");
    }

    #[test]
    fn a_connection_is_counted_and_a_call_is_named_without_its_article() {
        let bar = activity();
        bar.attempt();
        bar.attempt();
        bar.connected(at(1));
        bar.called("a print job", Duration::from_millis(40), false);
        bar.called("an identity request", Duration::from_millis(2), true);
        let past = bar.past();
        assert_eq!((past.attempts, past.connections, past.connected_since), (2, 1, Some(at(1))));
        let names: Vec<_> = past.calls.iter().map(|c| (c.call.as_str(), c.count, c.failed)).collect();
        assert_eq!(names, [("identity request", 1, 1), ("print job", 1, 0)]);
        bar.ended();
        assert_eq!(bar.past().connected_since, None);
    }

    #[test]
    fn a_clock_that_is_ahead_is_positive() {
        let here = at(0);
        let local = here.to_zoned(TimeZone::system()).datetime();
        let there = local.checked_add(jiff::SignedDuration::from_secs(90)).expect("a time");
        assert_eq!(ClockOffset::between(there, here).seconds, 90);
        let there = local.checked_sub(jiff::SignedDuration::from_hours(1)).expect("a time");
        let behind = ClockOffset::between(there, here);
        assert_eq!((behind.seconds, behind.distance()), (-3600, Duration::from_secs(3600)));
    }
}
