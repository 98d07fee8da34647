//! The worker of one lane of a route: decides which job goes to which printer, and when.
//!
//! | the first printer | the job |
//! |---|---|
//! | is free | goes there |
//! | is printing other jobs, of whichever route | waits, at most the route's `stall` |
//! | has been printing one other job for longer, or reports that it cannot print | goes to the next printer |
//! | is away, or failed without printing anything | goes to the next printer |
//! | is back, but the route does not fail back yet | goes to the next printer, if that can print |
//! | is being opened for the first time | waits, at most 5 s, then goes to the next printer |
//!
//! A job that no printer can take waits, and nothing is written for it unless the reason changes. It is marked as
//! printing once the printer's driver is available, and its outcome is kept in memory until it could be written.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tresen_hal::Language;
use tresen_printers::{Content, Status};

use super::attempt::{Ended, PRINT_TIMEOUT, PrintTask, paper};
use super::desk::{Claim, Desks, Place};
use super::fail_back::{Held, Takeover};
use super::route::Lane;
use super::{Routes, Signal, Spool};
use crate::event::{Bus, EventKind, Source};
use crate::manager::{Phase, hindrance};
use crate::store::{SpooledJob, Store};

pub(super) struct Worker {
    store: Store,
    bus: Bus,
    changed: watch::Sender<u64>,
    language: Language,
    lane: Lane,
    desks: Desks,
    /// Cannot be upgraded once the last handle to the spool is dropped.
    routes: Weak<Routes>,
    /// Each printer, as last seen.
    seen: Vec<Seen>,
    takeover: Takeover,
    /// Queued jobs read so far, oldest first.
    waiting: Vec<Waiting>,
    /// The job of this lane that each printer is printing.
    under_way: Vec<Option<String>>,
}

/// What is known of a printer.
struct Seen {
    phase: watch::Receiver<Phase>,
    /// Since when it has been seen being opened.
    opening: Option<Instant>,
    status: watch::Receiver<Option<Status>>,
    /// Since when it has been busy with a job of any route.
    busy: watch::Receiver<Option<Instant>>,
}

/// A job that waits for a printer.
struct Waiting {
    job: SpooledJob,
    content: Content,
    /// The failed attempts, by printer.
    failures: Vec<Option<FailedAttempt>>,
    /// The reason reported last.
    reported: Option<String>,
    /// Its place before a printer that is busy.
    place: Option<Place>,
}

/// A failed attempt at a printer that printed nothing.
#[derive(Clone)]
struct FailedAttempt {
    why: String,
    times: u32,
    /// When to retry; `None` if this printer can never print it.
    again: Option<Instant>,
}

/// The result of an attempt.
struct Attempt {
    printer: usize,
    waiting: Waiting,
    ended: Ended,
}

impl Worker {
    pub(super) fn new(spool: &Spool, lane: Lane) -> Self {
        let seen = lane.printers.iter().map(|p| Seen {
            phase: p.phase(),
            opening: None,
            status: p.last_status(),
            busy: spool.desks.watch(p.name()),
        });
        let seen: Vec<_> = seen.collect();
        let takeover = Takeover::new(lane.rules.fail_back, seen.len());
        let under_way = seen.iter().map(|_| None).collect();
        Self {
            store: spool.store.clone(),
            bus: spool.bus.clone(),
            changed: spool.changed.clone(),
            language: spool.language,
            lane,
            desks: spool.desks.clone(),
            routes: Arc::downgrade(&spool.routes),
            seen,
            takeover,
            waiting: Vec::new(),
            under_way,
        }
    }

    pub(super) async fn run(mut self, signal: Arc<Signal>) {
        let mut attempts = JoinSet::new();
        let (mut look, mut storage_failed) = (true, false);
        loop {
            let gone = || self.routes.upgrade().is_none_or(|routes| routes.closing.load(Ordering::Acquire));
            let closing = signal.ended.load(Ordering::Acquire) || gone();
            if closing && attempts.is_empty() {
                return;
            }
            let mut due = None;
            if closing {
                // Other routes do not wait behind jobs that are not begun here.
                self.waiting.clear();
            } else {
                if std::mem::take(&mut look) {
                    match self.look().await {
                        Ok(()) => storage_failed = false,
                        Err(error) => {
                            look = true;
                            due = Some(Instant::now() + TRY_AGAIN);
                            if !std::mem::replace(&mut storage_failed, true) {
                                self.publish(EventKind::StorageFailed { why: error.to_string() });
                            }
                        }
                    }
                }
                match self.begin(&mut attempts).await {
                    // Later jobs may go to the next printer.
                    Next::Look => {
                        look = true;
                        continue;
                    }
                    Next::At(at) => due = due.into_iter().chain(at).min(),
                }
            }
            tokio::select! {
                biased;
                Some(ended) = attempts.join_next() => {
                    match ended {
                        Ok(attempt) => self.ended(attempt, signal.ended.load(Ordering::Acquire)),
                        Err(error) => tracing::error!(route = %self.lane.route, %error, "an attempt panicked"),
                    }
                    self.changed.send_modify(|n| *n += 1);
                    look = true;
                }
                () = signal.wake.notified() => look = true,
                (printer, may_print) = changed(&mut self.seen) => if may_print { self.try_again(printer) },
                () = until(due) => {}
            }
        }
    }

    /// Reads the next waiting job.
    async fn look(&mut self) -> tresen_hal::Result<()> {
        let (mut before, mut after) = (std::mem::take(&mut self.waiting), 0);
        loop {
            let next = self.store.next_job(&self.lane.route, &self.lane.jobs, after).await?;
            for (job, why) in next.unreadable {
                self.changed.send_modify(|n| *n += 1);
                self.publish(EventKind::PrintUnreadable { job, why });
            }
            let Some((job, content)) = next.job else {
                if self.waiting.is_empty() && self.under_way.iter().all(Option::is_none) {
                    self.takeover.emptied();
                }
                return Ok(());
            };
            after = job.seq;
            if self.under_way.iter().flatten().any(|id| *id == job.id) {
                continue;
            }
            let known = before.iter().position(|w| w.job.id == job.id).map(|at| before.swap_remove(at));
            let waiting = match known {
                Some(known) => Waiting { job, content, ..known },
                None => Waiting { job, content, failures: vec![None; self.seen.len()], reported: None, place: None },
            };
            let keeps_others = !waiting.never();
            self.waiting.push(waiting);
            if keeps_others {
                return Ok(());
            }
        }
    }

    /// Hands the next job to a printer, if one can take it.
    async fn begin(&mut self, attempts: &mut JoinSet<Attempt>) -> Next {
        let now = Instant::now();
        for (printer, seen) in self.seen.iter_mut().enumerate() {
            let since = *seen.opening.get_or_insert(now);
            seen.opening = (*seen.phase.borrow() == Phase::Opening).then_some(since);
            self.takeover.note(printer, seen.is_good(now, self.lane.rules.stall), now);
        }
        let Some(at) = self.waiting.iter().position(|w| !w.never()) else { return Next::At(None) };
        match self.choose(at) {
            Choice::Printer { printer, ask_first, claim } => {
                let mut waiting = self.waiting.remove(at);
                waiting.place = None;
                self.under_way[printer] = Some(waiting.job.id.clone());
                self.takeover.took(printer);
                attempts.spawn(self.attempt(printer, waiting, ask_first, claim));
                Next::Look
            }
            Choice::Later { why, at: due, behind } => {
                self.queue(at, behind);
                if let Some(why) = why {
                    self.note(at, why).await;
                }
                Next::At(due)
            }
        }
    }

    /// The printer that takes a job now. A printer that is held back takes it if no other one can.
    fn choose(&self, waiting: usize) -> Choice {
        let now = Instant::now();
        let waiting = &self.waiting[waiting];
        match self.choose_from(waiting, now, true) {
            Choice::Later { why: Some(_), .. } => self.choose_from(waiting, now, false),
            choice => choice,
        }
    }

    fn choose_from(&self, waiting: &Waiting, now: Instant, hold_back: bool) -> Choice {
        let (mut reasons, mut due) = (Vec::new(), None);
        let mut later = |at: Instant| due = Some(due.map_or(at, |due: Instant| due.min(at)));
        for (printer, device) in self.lane.printers.iter().enumerate() {
            let seen = &self.seen[printer];
            let (hindered, name) = (seen.hindered(), device.name());
            if hold_back {
                match self.takeover.held(printer, now) {
                    Held::No => {}
                    Held::Until(due) => {
                        later(due);
                        continue;
                    }
                    Held::WhileJobsWait => continue,
                }
            }
            let queued = waiting.place.as_ref().filter(|place| place.printer() == printer).map(Place::since);
            if let Some(busy) = *seen.busy.borrow() {
                // With one job for too long, or with so many that this one does not get its turn.
                let stalled = queued.map_or(busy, |queued| queued.min(busy)) + self.lane.rules.stall;
                if hindered.is_none() && now < stalled {
                    later(stalled);
                    return Choice::Later { why: None, at: due, behind: Some(printer) };
                }
                let why = hindered.unwrap_or("it is busy with another print job");
                reasons.push(format!("{name}: {why}"));
                continue;
            }
            if let Some(why) = seen.phase.borrow().why() {
                reasons.push(format!("{name}: not connected: {why}"));
                continue;
            }
            if let Some(since) = seen.opening {
                // The next printer does not print what this one can in a moment, nor waits until it has been given up.
                let opened_by = since + OPENING;
                if now < opened_by {
                    later(opened_by);
                    return Choice::Later { why: None, at: due, behind: None };
                }
                reasons.push(format!("{name}: it is still being opened"));
                continue;
            }
            match &waiting.failures[printer] {
                Some(FailedAttempt { again: Some(again), .. }) if *again <= now => {}
                Some(failed) => {
                    reasons.push(failed.why.clone());
                    failed.again.into_iter().for_each(&mut later);
                    continue;
                }
                None => {}
            }
            // An older job of another route waits for it; this worker is told when that has been printed.
            let Some(claim) = self.desks.claim(name, waiting.job.seq) else {
                return Choice::Later { why: None, at: due, behind: Some(printer) };
            };
            // A printer that could not print is queried before anything is written.
            let ask_first = hindered.is_some() || waiting.failures[printer].is_some();
            return Choice::Printer { printer, ask_first, claim };
        }
        if self.lane.printers.is_empty() {
            reasons.push("no printer of the route is attached".to_owned());
        }
        Choice::Later { why: Some(reasons.join("; ")), at: due, behind: None }
    }

    /// Has a job wait for its turn at a printer, or at none.
    fn queue(&mut self, at: usize, behind: Option<usize>) {
        let waiting = &mut self.waiting[at];
        if waiting.place.as_ref().map(Place::printer) != behind {
            let place = |index: usize| self.desks.wait(self.lane.printers[index].name(), index, waiting.job.seq);
            waiting.place = behind.map(place);
        }
    }

    /// Records and reports why a job waits, if the reason is new.
    async fn note(&mut self, at: usize, why: String) {
        let waiting = &mut self.waiting[at];
        if waiting.reported.as_ref() == Some(&why) {
            return;
        }
        if let Err(error) = self.store.note_waiting(&waiting.job, &why).await {
            tracing::warn!(route = %self.lane.route, %error, "the reason why a job is waiting could not be written");
        }
        waiting.job.error = Some(why.clone());
        waiting.reported = Some(why.clone());
        let job = waiting.job.id.clone();
        self.changed.send_modify(|n| *n += 1);
        self.publish(EventKind::PrintWaits { job, why });
    }

    fn ended(&mut self, attempt: Attempt, route_ended: bool) {
        self.under_way[attempt.printer] = None;
        let mut waiting = attempt.waiting;
        let Ended::Failed { why, never } = attempt.ended else { return };
        if route_ended {
            self.hand_over(waiting.job.id);
            return;
        }
        let times = waiting.failures[attempt.printer].as_ref().map_or(0, |t| t.times);
        let delay = (TRY_AGAIN * 2u32.saturating_pow(times)).min(TRY_AT_LEAST_EVERY);
        let again = (!never).then(|| Instant::now() + delay);
        waiting.failures[attempt.printer] = Some(FailedAttempt { why, times: times + 1, again });
        // Its row is read again; the failed attempts are kept.
        self.waiting.insert(0, waiting);
    }

    /// A job is back in the queue of a route that this worker has left: it is the affair of the route's next worker, if
    /// there is one.
    fn hand_over(&self, job: String) {
        if let Some(routes) = self.routes.upgrade()
            && !routes.wake(&self.lane.route)
        {
            super::stranded(&self.bus, &self.lane.route, job);
        }
    }

    /// Something changed at a printer: what it could not print, it may print now.
    fn try_again(&mut self, printer: usize) {
        for failed in self.waiting.iter_mut().filter_map(|w| w.failures[printer].as_mut()) {
            failed.again = failed.again.map(|_| Instant::now());
        }
    }

    /// One attempt at one printer, as a separate task.
    fn attempt(
        &self,
        printer: usize,
        waiting: Waiting,
        ask_first: bool,
        claim: Claim,
    ) -> impl Future<Output = Attempt> + use<> {
        let device = self.lane.printers[printer].clone();
        let intended = self.lane.printers[0].name();
        let instead_of = (printer != 0).then(|| intended.to_owned());
        let paper = paper(&waiting.job, &waiting.content, instead_of.as_deref(), device.name(), self.language);
        // A single printer has no alternative: wait as long as a print may take.
        let begin_within = if self.lane.printers.len() > 1 { self.lane.rules.stall } else { PRINT_TIMEOUT };
        let task = PrintTask {
            store: self.store.clone(),
            changed: self.changed.clone(),
            device,
            route: self.lane.route.clone(),
            bus: self.bus.clone(),
        };
        async move {
            let ended = task.print(&waiting.job, paper, instead_of, ask_first, begin_within).await;
            drop(claim);
            Attempt { printer, waiting, ended }
        }
    }

    fn publish(&self, kind: EventKind) {
        self.bus.publish(Source::Route(self.lane.route.clone()), kind);
    }
}

impl Seen {
    /// Why it reports that it cannot print.
    fn hindered(&self) -> Option<&'static str> {
        self.status.borrow().as_ref().and_then(hindrance)
    }

    /// Whether it is able to print, or does.
    fn is_good(&self, now: Instant, stall: Duration) -> bool {
        let stalled = self.busy.borrow().is_some_and(|since| since + stall <= now);
        self.phase.borrow().is_ready() && self.hindered().is_none() && !stalled
    }
}

impl Waiting {
    /// No printer of the route can ever print it: it must not block other jobs.
    fn never(&self) -> bool {
        let refused = |failed: &Option<FailedAttempt>| failed.as_ref().is_some_and(|t| t.again.is_none());
        !self.failures.is_empty() && self.failures.iter().all(refused)
    }
}

enum Next {
    Look,
    At(Option<Instant>),
}

enum Choice {
    Printer {
        printer: usize,
        ask_first: bool,
        claim: Claim,
    },
    /// Until something changes, or until that time, with the reason unless it only waits for its turn `behind` other jobs
    /// at a printer.
    Later {
        why: Option<String>,
        at: Option<Instant>,
        behind: Option<usize>,
    },
}

/// Waits until the phase or status of a printer changes, or whether it is busy; returns its index, and whether it may be
/// able to print what it could not. Changes since the last read count.
async fn changed(seen: &mut [Seen]) -> (usize, bool) {
    let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::with_capacity(3 * seen.len());
    for Seen { phase, status, busy, .. } in seen {
        changes.push(Box::pin(change(phase)));
        changes.push(Box::pin(change(status)));
        changes.push(Box::pin(change(busy)));
    }
    poll_fn(|cx| {
        let changed = changes.iter_mut().position(|change| change.as_mut().poll(cx).is_ready());
        changed.map_or(Poll::Pending, |at| Poll::Ready((at / 3, at % 3 != 2)))
    })
    .await
}

async fn change<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        // The owner has ended: nothing changes any more.
        std::future::pending::<()>().await;
    }
}

/// Waits until a time, if there is one.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How long a job waits for a printer that is being opened for the first time, or after a reset.
const OPENING: Duration = Duration::from_secs(5);
/// Initial delay before a job is retried at a printer that could not print it and whose state has not changed; doubled
/// each time.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Maximum delay.
pub(super) const TRY_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
