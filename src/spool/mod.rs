//! The print spool: a job is on disk before it is sent, and its outcome is on disk before it is reported.
//!
//! Each route has a worker, and one more for each station that has a printer of its own. It hands the oldest jobs to
//! the printers in order; a printer prints one job at a time, whichever routes share it. A job goes to the next printer
//! only if the previous one printed nothing. A job that may be on paper is parked, and a person decides:
//! [`crate::Printer::reprint`] prints it marked as a copy.

mod attempt;
mod desk;
mod fail_back;
mod overdue;
mod route;
mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tresen_hal::{Error, Kind, Language, Result, Retry};
use tresen_printers::{Content, Proof};

use crate::event::{Bus, EventKind, Source};
use crate::health::Alerts;
use crate::manager::printer::PrinterDevice;
use crate::manager::{after, lock};
use crate::registry::to_its_end;
use crate::store::{JobState, NewJob, Origin, SpooledJob, Store, no_job};
pub(crate) use attempt::{PRINT_TIMEOUT, without_drawer};
use desk::Desks;
pub use overdue::OverduePaper;
use overdue::Watcher;
pub(crate) use route::{Jobs, Route, Rules};
use worker::Worker;

/// The state of a print job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PrintOutcome"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Print {
    /// On paper, and the printer proved it.
    Printed {
        /// The printer.
        on: String,
        /// Its proof.
        proof: Proof,
    },
    /// Accepted by a printer that cannot prove it.
    Accepted {
        /// The printer.
        on: String,
    },
    /// Waiting for a printer; it will be printed, and nothing was printed so far.
    Waiting {
        /// Its id.
        job: String,
        /// Why it waits.
        why: String,
    },
    /// Being printed: part of it may be on paper already. The printer may be waiting for paper.
    Printing {
        /// Its id.
        job: String,
        /// The printer.
        on: String,
    },
    /// It may or may not be on paper; it is not printed again before a person decides.
    Unknown {
        /// Its id.
        job: String,
        /// What happened.
        why: String,
    },
    /// It cannot be printed, because another version of the library wrote it. Nothing was printed.
    Unreadable {
        /// Its id.
        job: String,
        /// Why.
        why: String,
    },
    /// Cancelled by a person.
    Cancelled,
}

impl Print {
    /// Whether it is on paper, or was accepted by a printer that cannot prove it.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Printed { .. } | Self::Accepted { .. })
    }
}

/// A handle to a queued print job. Dropping it does not stop the job.
#[derive(Clone)]
pub struct PrintJob {
    id: String,
    spool: Spool,
}

impl PrintJob {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until it is printed, parked or cancelled, at most `patience`, and returns its state.
    ///
    /// # Errors
    /// [`Kind::Storage`]: the database cannot be read.
    pub async fn outcome(&self, patience: Duration) -> Result<Print> {
        self.spool.outcome(&self.id, patience).await
    }

    /// Its current state.
    ///
    /// # Errors
    /// [`Kind::Storage`]: the database cannot be read.
    pub async fn now(&self) -> Result<Print> {
        self.outcome(Duration::ZERO).await
    }
}

impl std::fmt::Debug for PrintJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PrintJob").field(&self.id).finish()
    }
}

/// The spool; clones share it.
#[derive(Clone)]
pub(crate) struct Spool {
    store: Store,
    bus: Bus,
    alerts: Arc<Alerts>,
    language: Language,
    routes: Arc<Routes>,
    desks: Desks,
    /// Counts changes of any job, so that waiters check again.
    changed: watch::Sender<u64>,
    /// Number of workers that have not ended.
    running: watch::Sender<usize>,
}

/// The current routes.
struct Routes {
    routes: Mutex<BTreeMap<String, Running>>,
    closing: AtomicBool,
    /// Paper that has waited too long, by job.
    overdue: Mutex<BTreeMap<String, OverduePaper>>,
    /// Wakes the watcher of paper that waits.
    watcher: Arc<Notify>,
    /// Has the workers look at what is queued, whoever has queued it.
    told: Mutex<Option<AbortHandle>>,
}

/// A route and the signals to the workers of its lanes.
struct Running {
    route: Route,
    /// Which of the devices of that name each of them was: another one may print what this one could not.
    lives: Vec<u64>,
    signals: Vec<Arc<Signal>>,
}

/// The control signal of a worker.
#[derive(Default)]
struct Signal {
    wake: Notify,
    /// The route was removed or changed: running jobs are finished, and none is begun.
    ended: AtomicBool,
}

impl Routes {
    fn wake_all(&self) {
        lock(&self.routes).values().for_each(Running::wake);
        self.watcher.notify_one();
    }

    fn has(&self, route: &str) -> bool {
        lock(&self.routes).contains_key(route)
    }

    /// Has the workers of a route look at its jobs; false if there is no such route.
    fn wake(&self, route: &str) -> bool {
        lock(&self.routes).get(route).map(Running::wake).is_some()
    }

    /// How long paper may wait, by route.
    fn limits(&self) -> BTreeMap<String, Duration> {
        let routes = lock(&self.routes);
        routes.iter().filter_map(|(name, run)| Some((name.clone(), run.route.rules.warn_after?))).collect()
    }
}

impl Drop for Routes {
    /// Wakes the workers so that they notice and exit.
    fn drop(&mut self) {
        if let Some(told) = lock(&self.told).take() {
            told.abort();
        }
        self.wake_all();
    }
}

impl Spool {
    /// Parks jobs interrupted by a crash, starts a worker per route, and reports jobs without a route.
    pub(crate) async fn start(
        store: Store,
        bus: Bus,
        alerts: Arc<Alerts>,
        routes: Vec<Route>,
        language: Language,
    ) -> Result<Self> {
        for job in store.park_interrupted_jobs().await? {
            let why = "the till stopped while it was printing".to_owned();
            bus.publish(Source::Till, EventKind::PrintUnknown { job, why });
        }
        let spool = Self {
            store,
            bus,
            alerts,
            language,
            routes: Arc::new(Routes {
                routes: Mutex::default(),
                closing: AtomicBool::new(false),
                overdue: Mutex::default(),
                watcher: Arc::default(),
                told: Mutex::default(),
            }),
            desks: Desks::default(),
            changed: watch::Sender::new(0),
            running: watch::Sender::new(0),
        };
        spool.set_routes(routes).await?;
        tokio::spawn(Watcher::new(&spool).run());
        let (queued, routes) = (spool.store.queued_jobs()?, Arc::downgrade(&spool.routes));
        let told = tokio::spawn(async move {
            loop {
                let new = queued.next().await;
                let Some(routes) = routes.upgrade() else { return };
                new.iter().for_each(|route| _ = routes.wake(route));
            }
        });
        *lock(&spool.routes.told) = Some(told.abort_handle());
        Ok(spool)
    }

    /// Replaces the routes, and reports jobs that no longer have a route. An unchanged route is left alone; running
    /// jobs of a changed one are finished where they are.
    pub(crate) async fn set_routes(&self, routes: Vec<Route>) -> Result<()> {
        {
            let mut running = lock(&self.routes.routes);
            let mut before = std::mem::take(&mut *running);
            for route in routes {
                let name = route.name.clone();
                let run = match before.remove(&name) {
                    Some(run) if run.serves(&route) => run,
                    Some(run) => {
                        run.end();
                        self.run(route)
                    }
                    None => self.run(route),
                };
                running.insert(name, run);
            }
            before.values().for_each(Running::end);
        }
        self.routes.watcher.notify_one();
        for (route, _) in self.store.waiting_jobs().await? {
            if !self.routes.has(&route) {
                self.strand(&route).await?;
            }
        }
        Ok(())
    }

    /// Starts the workers of a route.
    fn run(&self, route: Route) -> Running {
        let signals = route.lanes().into_iter().map(|lane| {
            let signal = Arc::new(Signal::default());
            let (worker, running) = (Worker::new(self, lane), self.running.clone());
            running.send_modify(|n| *n += 1);
            let told = signal.clone();
            tokio::spawn(async move {
                worker.run(told).await;
                running.send_modify(|n| *n -= 1);
            });
            signal
        });
        let signals = signals.collect();
        Running { lives: route.lives(), route, signals }
    }

    /// The printer of a route that is tried first for the jobs of a station, if there is such a route.
    pub(crate) fn first(&self, route: &str, station: Option<&str>) -> Option<PrinterDevice> {
        lock(&self.routes.routes).get(route)?.route.printers_for(station).into_iter().next()
    }

    /// The number of copies that a route prints of each job.
    pub(crate) fn copies(&self, route: &str) -> u8 {
        lock(&self.routes.routes).get(route).map_or(1, |run| run.route.rules.copies)
    }

    /// Paper that has waited longer than its route allows, by job.
    pub(crate) fn overdue(&self) -> Vec<OverduePaper> {
        lock(&self.routes.overdue).values().cloned().collect()
    }

    /// The printers of a route, in the order they are tried for the jobs of a station.
    pub(crate) fn printers(&self, route: &str, station: Option<&str>) -> Vec<PrinterDevice> {
        lock(&self.routes.routes).get(route).map(|run| run.route.printers_for(station)).unwrap_or_default()
    }

    /// The names of all routes.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.routes.routes).keys().cloned().collect()
    }

    /// Reports the jobs that wait for a route that is not configured.
    async fn strand(&self, route: &str) -> Result<()> {
        let mut after = 0;
        let all = Jobs::all();
        while let Some((job, _)) = self.store.next_job(route, &all, after).await?.job {
            after = job.seq;
            stranded(&self.bus, route, job.id);
        }
        Ok(())
    }

    /// Queues a job and returns at once.
    pub(crate) async fn submit(&self, id: &str, route: &str, content: &Content, origin: &Origin) -> Result<PrintJob> {
        let job = NewJob::new(id, route, content, self.copies(route), origin)?;
        self.store.queue(job).await?;
        Ok(self.queued(id, route))
    }

    /// A handle to a job that the caller has queued.
    pub(crate) fn queued(&self, id: &str, route: &str) -> PrintJob {
        if !self.routes.wake(route) {
            stranded(&self.bus, route, id.to_owned());
        }
        self.follow(id)
    }

    /// A handle to a job queued earlier.
    pub(crate) fn follow(&self, id: &str) -> PrintJob {
        PrintJob { id: id.to_owned(), spool: self.clone() }
    }

    /// Queues a parked job again, marked as a copy.
    pub(crate) async fn reprint(&self, id: &str) -> Result<PrintJob> {
        let job = self.store.job(id).await?.ok_or_else(|| no_job(id))?;
        if !self.routes.has(&job.route) {
            let what = format!("print job `{id}` belongs to the route `{}`, which is not configured", job.route);
            return Err(Error::new(Kind::Config, what)
                .with_retry(Retry::AfterOperator)
                .hint("move it to a printer or route that is, then reprint it"));
        }
        let (spool, job) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let job = spool.store.reprint_job(&job).await?;
            spool.routes.wake(&job.route);
            Ok(())
        })
        .await?;
        Ok(self.follow(id))
    }

    /// Moves a waiting or parked job to another route.
    pub(crate) async fn adopt(&self, id: &str, route: &str) -> Result<PrintJob> {
        let job = self.store.job(id).await?.ok_or_else(|| no_job(id))?;
        let (spool, route) = (self.clone(), route.to_owned());
        to_its_end(async move {
            if job.route != route && !spool.store.move_job(&job, &route).await? {
                let what = format!("print job `{}` cannot be moved, it is {:?}", job.id, job.state);
                return Err(Error::new(Kind::Input, what));
            }
            spool.routes.wake(&job.route);
            Ok(spool.queued(&job.id, &route))
        })
        .await
    }

    /// What a job prints.
    pub(crate) async fn content(&self, id: &str) -> Result<Content> {
        self.store.job_content(id).await?.ok_or_else(|| no_job(id))
    }

    /// Cancels a waiting or parked job.
    pub(crate) async fn cancel(&self, id: &str) -> Result<()> {
        let (spool, id) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let job = spool.store.cancel_job(&id).await?;
            spool.changed.send_modify(|n| *n += 1);
            spool.routes.wake(&job.route);
            Ok(())
        })
        .await
    }

    /// Stops beginning jobs, and waits until the outcomes of running ones are recorded, at most until `deadline`.
    pub(crate) async fn close(&self, deadline: Instant) {
        self.routes.closing.store(true, Ordering::Release);
        self.routes.wake_all();
        let mut running = self.running.subscribe();
        let ended = running.wait_for(|n| *n == 0);
        tokio::time::timeout_at(deadline, ended).await.ok();
    }

    async fn outcome(&self, id: &str, patience: Duration) -> Result<Print> {
        self.wait(id, patience, patience).await
    }

    /// The state of a job once it is known whether paper comes soon: waits at most `patience` while it is being printed
    /// or about to be, and not much longer than it takes to find out that no printer can print it.
    pub(crate) async fn prospect(&self, id: &str, patience: Duration) -> Result<Print> {
        self.wait(id, patience, PROSPECT).await
    }

    /// Waits at most `patience`, of which at most `hindered` while no printer can print it.
    async fn wait(&self, id: &str, patience: Duration, hindered: Duration) -> Result<Print> {
        let mut deadline = after(patience);
        let mut changed = self.changed.subscribe();
        let mut was_hindered = false;
        loop {
            let job = self.store.job(id).await?.ok_or_else(|| no_job(id))?;
            if let Some(ended) = ended(&job) {
                return Ok(ended);
            }
            let is_hindered = job.state == JobState::Queued && job.error.is_some();
            if is_hindered && !was_hindered {
                deadline = deadline.min(after(hindered));
                was_hindered = true;
            }
            match tokio::time::timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                _ if job.state == JobState::Printing => {
                    return Ok(Print::Printing { job: job.id, on: job.printer.unwrap_or_default() });
                }
                _ if !self.routes.has(&job.route) => {
                    let why = format!("the route `{}` is not configured", job.route);
                    return Ok(Print::Waiting { job: job.id, why });
                }
                _ => {
                    let why = job.error.unwrap_or_else(|| "it waits for its turn".to_owned());
                    return Ok(Print::Waiting { job: job.id, why });
                }
            }
        }
    }
}

/// The state of a job that neither waits nor is being printed.
fn ended(job: &SpooledJob) -> Option<Print> {
    let (id, on) = (job.id.clone(), || job.printer.clone().unwrap_or_default());
    let why = || job.error.clone().unwrap_or_else(|| "no reason given".to_owned());
    Some(match (job.state, job.proof.clone()) {
        (JobState::Printed, Some(proof)) => Print::Printed { on: on(), proof },
        (JobState::Printed | JobState::Accepted, _) => Print::Accepted { on: on() },
        (JobState::Unknown, _) => Print::Unknown { job: id, why: why() },
        (JobState::Unreadable, _) => Print::Unreadable { job: id, why: why() },
        (JobState::Cancelled, _) => Print::Cancelled,
        (JobState::Queued | JobState::Printing, _) => return None,
    })
}

impl Running {
    /// Whether this is the route, and none of its printers was replaced.
    fn serves(&self, route: &Route) -> bool {
        self.route.is_same(route) && self.lives == route.lives()
    }

    fn wake(&self) {
        self.signals.iter().for_each(|signal| signal.wake.notify_one());
    }

    fn end(&self) {
        self.signals.iter().for_each(|signal| signal.ended.store(true, Ordering::Release));
        self.wake();
    }
}

/// Tells that a job waits for a route that is not there.
fn stranded(bus: &Bus, route: &str, job: String) {
    bus.publish(Source::Route(route.to_owned()), EventKind::PrintStranded { job });
}

/// How long [`Spool::prospect`] waits for a printer to come back.
const PROSPECT: Duration = Duration::from_secs(1);
