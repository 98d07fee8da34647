//! Tells a person about paper that has waited too long.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::worker::until;
use super::{Routes, Spool};
use crate::event::{Bus, EventKind, Source};
use crate::health::{Alert, Alerts};
use crate::manager::lock;
use crate::store::{JobState, SpooledJob, Store};

/// Paper that has waited longer than its route's `warn-after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OverduePaper {
    /// The job.
    pub job: String,
    /// Its route.
    pub route: String,
    /// When it was queued.
    pub since: Timestamp,
    /// Why it is not on paper yet.
    pub why: String,
}

/// Looks for such paper. A job that is queued after a look is not due before the shortest limit has passed, so it looks
/// that often, and whenever a known job is due.
pub(super) struct Watcher {
    store: Store,
    bus: Bus,
    alerts: Arc<Alerts>,
    routes: Weak<Routes>,
    woken: Arc<Notify>,
    changed: watch::Receiver<u64>,
    /// When each waiting job is overdue.
    due: BTreeMap<String, Instant>,
    /// When it last looked, also by the clock on the wall.
    looked: Option<(Instant, Timestamp)>,
}

impl Watcher {
    pub(super) fn new(spool: &Spool) -> Self {
        Self {
            store: spool.store.clone(),
            bus: spool.bus.clone(),
            alerts: spool.alerts.clone(),
            routes: Arc::downgrade(&spool.routes),
            woken: spool.routes.watcher.clone(),
            changed: spool.changed.subscribe(),
            due: BTreeMap::new(),
            looked: None,
        }
    }

    /// Ends when the spool is closed or dropped.
    pub(super) async fn run(mut self) {
        loop {
            let Some(routes) = self.routes.upgrade() else { return };
            if routes.closing.load(Ordering::Acquire) {
                return;
            }
            let again = self.look(&routes).await;
            let has_overdue = !lock(&routes.overdue).is_empty();
            drop(routes);
            tokio::select! {
                biased;
                () = self.woken.notified() => {}
                Ok(()) = self.changed.changed(), if has_overdue => {}
                () = until(again) => {}
            }
        }
    }

    /// Reports what is overdue; returns when to look again, if at all.
    async fn look(&mut self, routes: &Routes) -> Option<Instant> {
        let limits = routes.limits();
        let Some(often) = limits.values().min().copied() else {
            lock(&routes.overdue).clear();
            self.alerts.keep(Alert::PaperOverdue, &[], self.store.time());
            return None;
        };
        self.changed.borrow_and_update();
        let waiting = match self.store.waiting_papers().await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "the print jobs that wait cannot be read");
                return Some(Instant::now() + often.min(TRY_AGAIN));
            }
        };
        let (now, wall) = (Instant::now(), self.store.time());
        let at_most = self.looked.replace((now, wall)).map_or(Duration::MAX, |looked| age_at_most(looked, (now, wall)));
        let mut due = BTreeMap::new();
        let mut overdue = lock(&routes.overdue);
        let before = std::mem::take(&mut *overdue);
        for job in waiting {
            let Some(limit) = limits.get(&job.route) else { continue };
            let age = || Duration::try_from(wall.duration_since(job.queued_at)).unwrap_or_default().min(at_most);
            let at = self.due.get(&job.id).copied().unwrap_or_else(|| now + limit.saturating_sub(age()));
            due.insert(job.id.clone(), at);
            if at > now {
                continue;
            }
            let why = why(&job);
            if !before.contains_key(&job.id) {
                let kind = EventKind::PaperOverdue { job: job.id.clone(), since: job.queued_at, why: why.clone() };
                self.bus.publish(Source::Route(job.route.clone()), kind);
            }
            overdue.insert(job.id.clone(), OverduePaper { job: job.id, route: job.route, since: job.queued_at, why });
        }
        self.alert(overdue.values(), wall);
        self.due = due;
        self.due.values().filter(|at| **at > now).copied().chain([now + often]).min()
    }
}

impl Watcher {
    /// Raises an alert for each route with overdue paper, and clears those of the others.
    fn alert<'a>(&self, overdue: impl Iterator<Item = &'a OverduePaper>, now: Timestamp) {
        let mut routes: BTreeMap<&str, (usize, &OverduePaper)> = BTreeMap::new();
        for paper in overdue {
            let (jobs, oldest) = routes.entry(&paper.route).or_insert((0, paper));
            *jobs += 1;
            if paper.since < oldest.since {
                *oldest = paper;
            }
        }
        let concerned: Vec<_> = routes.keys().map(|route| Source::Route((*route).to_owned())).collect();
        for (source, (jobs, oldest)) in concerned.iter().zip(routes.values()) {
            let jobs = if *jobs == 1 { "1 print job waits".to_owned() } else { format!("{jobs} print jobs wait") };
            let why = format!("{jobs}, the oldest, {}, since {:.0}: {}", oldest.job, oldest.since, oldest.why);
            self.alerts.set(source, Alert::PaperOverdue, Some(why), now);
        }
        self.alerts.keep(Alert::PaperOverdue, &concerned, now);
    }
}

/// The greatest age of a job that was not there at the last look. If the clock on the wall has jumped since, ages are not
/// known, and the job counts as new: a person is rather told late than of paper that has not waited.
fn age_at_most(looked: (Instant, Timestamp), now: (Instant, Timestamp)) -> Duration {
    let elapsed = now.0 - looked.0;
    let by_the_wall = now.1.duration_since(looked.1);
    let drift = SignedDuration::try_from(elapsed).map_or(SignedDuration::MAX, |elapsed| by_the_wall - elapsed);
    if drift.abs() > JUMP { Duration::ZERO } else { elapsed }
}

fn why(job: &SpooledJob) -> String {
    match (job.state, &job.printer, &job.error) {
        (JobState::Printing, Some(printer), _) => format!("{printer} has not finished printing it"),
        (_, _, Some(why)) => why.clone(),
        _ => "it waits for its turn".to_owned(),
    }
}

/// A clock that differs by more has been set.
const JUMP: SignedDuration = SignedDuration::from_secs(5);
/// Delay before a look that failed is repeated, at most.
const TRY_AGAIN: Duration = Duration::from_secs(60);
