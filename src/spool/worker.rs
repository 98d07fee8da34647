//! The worker of one route: decides which job goes to which printer, and when.
//!
//! | the first printer | the job |
//! |---|---|
//! | is free | goes there |
//! | is printing another job of this route | waits, at most [`STALL`] |
//! | has been printing another job for longer, or reports that it cannot print | goes to the next printer |
//! | is away, or failed without printing anything | goes to the next printer |
//!
//! A job that no printer can take waits, and nothing is written for it unless the reason changes. It is marked as
//! printing once the printer's driver is available, and its outcome is kept in memory until it could be written.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tresen_hal::{Error, Kind, Retry};
use tresen_printers as printers;
use tresen_printers::document::Item;
use tresen_printers::{Content, Job, Receipt, Status};

use super::{Route, Routes, Signal, Spool};
use crate::event::{Bus, EventKind, Source};
use crate::manager::printer::PrinterDevice;
use crate::manager::{After, Failure, Phase, Terms, hindrance};
use crate::sale::Language;
use crate::store::{JobEnd, SpooledJob, Store};

pub(super) struct Worker {
    store: Store,
    bus: Bus,
    changed: watch::Sender<u64>,
    language: Language,
    route: Route,
    /// Cannot be upgraded once the last handle to the spool is dropped.
    routes: Weak<Routes>,
    /// Phase and status of each printer, as last seen.
    seen: Vec<(watch::Receiver<Phase>, watch::Receiver<Option<Status>>)>,
    /// Queued jobs read so far, oldest first.
    waiting: Vec<Waiting>,
    /// The job that each printer is printing for this route, and since when.
    under_way: Vec<Option<(String, Instant)>>,
}

/// A job that waits for a printer.
struct Waiting {
    job: SpooledJob,
    content: Content,
    /// The failed attempts, by printer.
    failures: Vec<Option<FailedAttempt>>,
    /// The reason reported last.
    reported: Option<String>,
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

enum Ended {
    /// It is printed or parked, or no longer this worker's.
    Done,
    /// Nothing was printed.
    Failed { why: String, never: bool },
}

impl Worker {
    pub(super) fn new(spool: &Spool, route: Route) -> Self {
        let seen = route.printers.iter().map(|p| (p.phase(), p.last_status())).collect();
        let under_way = route.printers.iter().map(|_| None).collect();
        Self {
            store: spool.store.clone(),
            bus: spool.bus.clone(),
            changed: spool.changed.clone(),
            language: spool.language,
            route,
            routes: Arc::downgrade(&spool.routes),
            seen,
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
            if !closing {
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
                        Err(error) => tracing::error!(route = %self.route.name, %error, "an attempt panicked"),
                    }
                    self.changed.send_modify(|n| *n += 1);
                    look = true;
                }
                () = signal.wake.notified() => look = true,
                printer = changed(&mut self.seen) => self.try_again(printer),
                () = until(due) => {}
            }
        }
    }

    /// Reads the next waiting job.
    async fn look(&mut self) -> tresen_hal::Result<()> {
        let (mut before, mut after) = (std::mem::take(&mut self.waiting), 0);
        loop {
            let next = self.store.next_job(&self.route.name, after).await?;
            for (job, why) in next.unreadable {
                self.changed.send_modify(|n| *n += 1);
                self.publish(EventKind::PrintUnreadable { job, why });
            }
            let Some((job, content)) = next.job else { return Ok(()) };
            after = job.seq;
            if self.under_way.iter().flatten().any(|(id, _)| *id == job.id) {
                continue;
            }
            let known = before.iter().position(|w| w.job.id == job.id).map(|at| before.swap_remove(at));
            let (failures, reported) =
                known.map_or_else(|| (vec![None; self.seen.len()], None), |w| (w.failures, w.reported));
            let waiting = Waiting { job, content, failures, reported };
            let keeps_others = !waiting.never();
            self.waiting.push(waiting);
            if keeps_others {
                return Ok(());
            }
        }
    }

    /// Hands the next job to a printer, if one can take it.
    async fn begin(&mut self, attempts: &mut JoinSet<Attempt>) -> Next {
        let Some(at) = self.waiting.iter().position(|w| !w.never()) else { return Next::At(None) };
        match self.choose(&self.waiting[at]) {
            Choice::Printer { printer, ask_first } => {
                let waiting = self.waiting.remove(at);
                self.under_way[printer] = Some((waiting.job.id.clone(), Instant::now()));
                attempts.spawn(self.attempt(printer, waiting, ask_first));
                Next::Look
            }
            Choice::Later { why, at: due } => {
                if let Some(why) = why {
                    self.note(at, why).await;
                }
                Next::At(due)
            }
        }
    }

    fn choose(&self, waiting: &Waiting) -> Choice {
        let (mut reasons, mut due) = (Vec::new(), None);
        let mut later = |at: Instant| due = Some(due.map_or(at, |due: Instant| due.min(at)));
        for (printer, device) in self.route.printers.iter().enumerate() {
            let (phase, status) = &self.seen[printer];
            let hindered = status.borrow().as_ref().and_then(hindrance);
            let name = device.name();
            if let Some((_, since)) = &self.under_way[printer] {
                let stalled = *since + STALL;
                if hindered.is_none() && Instant::now() < stalled {
                    return Choice::Later { why: None, at: Some(stalled) };
                }
                let why = hindered.unwrap_or("it is busy with another print job");
                reasons.push(format!("{name}: {why}"));
                continue;
            }
            if let Some(why) = phase.borrow().why() {
                reasons.push(format!("{name}: not connected: {why}"));
                continue;
            }
            match &waiting.failures[printer] {
                Some(FailedAttempt { again: Some(again), .. }) if *again <= Instant::now() => {}
                Some(failed) => {
                    reasons.push(failed.why.clone());
                    failed.again.into_iter().for_each(&mut later);
                    continue;
                }
                None => {}
            }
            // A printer that could not print is queried before anything is written.
            let ask_first = hindered.is_some() || waiting.failures[printer].is_some();
            return Choice::Printer { printer, ask_first };
        }
        Choice::Later { why: Some(reasons.join("; ")), at: due }
    }

    /// Records and reports why a job waits, if the reason is new.
    async fn note(&mut self, at: usize, why: String) {
        let waiting = &mut self.waiting[at];
        if waiting.reported.as_ref() == Some(&why) {
            return;
        }
        if let Err(error) = self.store.note_waiting(&waiting.job, &why).await {
            tracing::warn!(route = %self.route.name, %error, "the reason why a job is waiting could not be written");
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
            && !routes.wake(&self.route.name)
        {
            super::stranded(&self.bus, &self.route.name, job);
        }
    }

    /// Something changed at a printer: what it could not print, it may print now.
    fn try_again(&mut self, printer: usize) {
        for failed in self.waiting.iter_mut().filter_map(|w| w.failures[printer].as_mut()) {
            failed.again = failed.again.map(|_| Instant::now());
        }
    }

    /// One attempt at one printer, as a separate task.
    fn attempt(&self, printer: usize, waiting: Waiting, ask_first: bool) -> impl Future<Output = Attempt> + use<> {
        let device = self.route.printers[printer].clone();
        let intended = self.route.printers[0].name();
        let instead_of = (printer != 0).then(|| intended.to_owned());
        let paper = paper(&waiting, instead_of.as_deref(), device.name(), self.language);
        // A single printer has no alternative: wait as long as a print may take.
        let begin_within = if self.route.printers.len() > 1 { STALL } else { PRINT_TIMEOUT };
        let task = PrintTask {
            store: self.store.clone(),
            changed: self.changed.clone(),
            device,
            route: self.route.name.clone(),
            bus: self.bus.clone(),
        };
        async move {
            let ended = task.print(&waiting.job, paper, instead_of, ask_first, begin_within).await;
            Attempt { printer, waiting, ended }
        }
    }

    fn publish(&self, kind: EventKind) {
        self.bus.publish(Source::Route(self.route.name.clone()), kind);
    }
}

impl Waiting {
    /// No printer of the route can ever print it: it must not block other jobs.
    fn never(&self) -> bool {
        self.failures.iter().all(|failed| failed.as_ref().is_some_and(|t| t.again.is_none()))
    }
}

enum Next {
    Look,
    At(Option<Instant>),
}

enum Choice {
    Printer { printer: usize, ask_first: bool },
    Later { why: Option<String>, at: Option<Instant> },
}

/// The context of one attempt.
struct PrintTask {
    store: Store,
    changed: watch::Sender<u64>,
    device: PrinterDevice,
    route: String,
    bus: Bus,
}

/// The result of a call to the printer.
enum Sent {
    Outcome(printers::Outcome),
    /// The printer reported that it cannot print; nothing was begun.
    Hindered(&'static str),
    /// The job was cancelled or moved meanwhile.
    NotQueued,
    /// It could not be marked as printing, so nothing was sent.
    NotMarked(Error),
}

impl PrintTask {
    async fn print(
        &self,
        job: &SpooledJob,
        paper: Job,
        instead_of: Option<String>,
        ask_first: bool,
        begin_within: Duration,
    ) -> Ended {
        let name = self.device.name();
        let marked = Arc::new(AtomicBool::new(false));
        let sent = {
            let (store, changed, marked, name) =
                (self.store.clone(), self.changed.clone(), marked.clone(), name.to_owned());
            let row = job.clone();
            let terms = Terms { begin_within, ..Terms::normal("a print job", PRINT_TIMEOUT) };
            self.device.owned.call(terms, move |driver| {
                Box::pin(async move {
                    if ask_first
                        && let Ok(status) = driver.status().await
                        && let Some(why) = hindrance(&status)
                    {
                        return (Sent::Hindered(why), After::Keep);
                    }
                    match store.begin_job(&row, &name).await {
                        Ok(true) => {}
                        Ok(false) => return (Sent::NotQueued, After::Keep),
                        Err(error) => return (Sent::NotMarked(error), After::Keep),
                    }
                    marked.store(true, Ordering::Release);
                    changed.send_modify(|n| *n += 1);
                    let outcome = driver.print(&paper).await;
                    let after = match &outcome {
                        printers::Outcome::Unknown(error) | printers::Outcome::Failed { error, .. } => After::of(error),
                        _ => After::Keep,
                    };
                    (Sent::Outcome(outcome), after)
                })
            })
        };
        let unknown = |error: Error| JobEnd::Unknown(error.at(name).to_string());
        let failed = |error: Error| {
            let never = error.retry() == Retry::Never && matches!(error.kind(), Kind::Input | Kind::Unsupported);
            Ended::Failed { why: error.at(name).to_string(), never }
        };
        let (end, ended) = match sent.await {
            Ok(Sent::Hindered(why)) => return Ended::Failed { why: format!("{name}: {why}"), never: false },
            Ok(Sent::NotQueued) => return Ended::Done,
            Ok(Sent::Outcome(printers::Outcome::Printed(proof))) => (JobEnd::Printed(proof), Ended::Done),
            Ok(Sent::Outcome(printers::Outcome::Accepted)) => (JobEnd::Accepted, Ended::Done),
            Ok(Sent::Outcome(printers::Outcome::Failed { error, safe_to_retry: true })) => {
                let ended = failed(error);
                let why = if let Ended::Failed { why, .. } = &ended { why.clone() } else { String::new() };
                (JobEnd::Waits(why), ended)
            }
            Ok(Sent::Outcome(printers::Outcome::Unknown(error) | printers::Outcome::Failed { error, .. })) => {
                (unknown(error), Ended::Done)
            }
            Ok(Sent::Outcome(other)) => (JobEnd::Unknown(format!("{name}: unknown outcome: {other:?}")), Ended::Done),
            Err(Failure::NotBegun(error)) if error.kind() == Kind::Busy => {
                return Ended::Failed { why: format!("{name}: it is busy with another print job"), never: false };
            }
            Err(Failure::NotBegun(error)) => return failed(error),
            // The mark may have been written despite the error: it is reverted.
            Ok(Sent::NotMarked(error)) => {
                let why = format!("{name}: it could not be marked as being printed: {error}");
                (JobEnd::Waits(why.clone()), Ended::Failed { why, never: false })
            }
            Err(Failure::Ended(error) | Failure::Running(error)) if !marked.load(Ordering::Acquire) => {
                let why = error.at(name).to_string();
                (JobEnd::Waits(why.clone()), Ended::Failed { why, never: false })
            }
            Err(Failure::Ended(error) | Failure::Running(error)) => (unknown(error), Ended::Done),
        };
        self.mark(job, &end).await;
        match end {
            JobEnd::Printed(_) | JobEnd::Accepted => {
                self.device.publish(EventKind::Printed { job: job.id.clone(), instead_of });
            }
            JobEnd::Unknown(why) => self.device.publish(EventKind::PrintUnknown { job: job.id.clone(), why }),
            JobEnd::Waits(_) => {}
        }
        ended
    }

    /// Records the outcome of the attempt, however long that takes: until then this printer gets no other job of the
    /// route.
    async fn mark(&self, job: &SpooledJob, end: &JobEnd) {
        let mut delay = MARK_AGAIN;
        let mut reported = false;
        loop {
            match self.store.end_job(&job.id, job.attempt + 1, end).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(route = %self.route, job = job.id, %error, "an outcome could not be written");
                    if !std::mem::replace(&mut reported, true) {
                        let kind = EventKind::StorageFailed { why: error.to_string() };
                        self.bus.publish(Source::Route(self.route.clone()), kind);
                    }
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(TRY_AT_LEAST_EVERY);
        }
    }
}

/// The job as printed: with a notice at the top if another printer than intended prints it, and without opening a
/// drawer there; a copy opens none either. Raw bytes are sent unchanged.
fn paper(waiting: &Waiting, instead_of: Option<&str>, on: &str, language: Language) -> Job {
    let content = match &waiting.content {
        Content::Receipt(receipt) if waiting.job.copy || instead_of.is_some() => without_drawer(receipt).into(),
        content => content.clone(),
    };
    let mut job = Job::new(&waiting.job.id, content);
    job.copy = waiting.job.copy;
    job.remark = instead_of.map(|intended| match language {
        Language::German => format!("Gedruckt auf {on} statt auf {intended}"),
        _ => format!("Printed on {on} instead of {intended}"),
    });
    job
}

/// The receipt without opening a drawer.
pub(crate) fn without_drawer(receipt: &Receipt) -> Receipt {
    let paper = receipt.items().iter().filter(|item| !matches!(item, Item::Drawer(_)));
    paper.fold(Receipt::new(), |receipt, item| receipt.item(item.clone()))
}

/// Waits until the phase or status of a printer changes; returns its index. Changes since the last read count.
async fn changed(seen: &mut [(watch::Receiver<Phase>, watch::Receiver<Option<Status>>)]) -> usize {
    let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::with_capacity(2 * seen.len());
    for (phase, status) in seen {
        changes.push(Box::pin(change(phase)));
        changes.push(Box::pin(change(status)));
    }
    poll_fn(|cx| {
        let changed = changes.iter_mut().position(|change| change.as_mut().poll(cx).is_ready());
        changed.map_or(Poll::Pending, |at| Poll::Ready(at / 2))
    })
    .await
}

async fn change<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        // The owner has ended: nothing changes any more.
        std::future::pending::<()>().await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How long jobs wait behind an unfinished one before they go to the next printer.
const STALL: Duration = Duration::from_secs(15);
/// Initial delay before a job is retried at a printer that could not print it and whose state has not changed; doubled
/// each time.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Maximum delay.
const TRY_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// Initial delay before an outcome that could not be written is retried; doubled each time.
const MARK_AGAIN: Duration = Duration::from_millis(250);
/// A backstop: drivers bound their own waiting.
const PRINT_TIMEOUT: Duration = Duration::from_secs(660);
