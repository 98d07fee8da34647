//! The worker of one route: which job goes to which printer, and when.
//!
//! | the first printer | the job |
//! |---|---|
//! | is free | goes there |
//! | works on another job of this route | waits, for [`STALL`] at most |
//! | has worked on another job for longer, or says that it cannot print | goes to the next printer |
//! | is away, or could not print it and nothing came out | goes to the next printer |
//!
//! A job that no printer can take waits, and nothing is written for it unless the reason changes. It is marked as
//! being printed once the printer's driver is in hand, and its outcome is kept until it could be written.

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
    /// Gone when the last handle to the spool is.
    routes: Weak<Routes>,
    /// Phase and status of each printer, as last seen.
    seen: Vec<(watch::Receiver<Phase>, watch::Receiver<Option<Status>>)>,
    /// Queued jobs as far as they were looked at, oldest first.
    waiting: Vec<Waiting>,
    /// The job that each printer works on for this route, and since when.
    under_way: Vec<Option<(String, Instant)>>,
}

/// A job that waits for a printer.
struct Waiting {
    job: SpooledJob,
    content: Content,
    /// What came of trying it, by printer.
    tried: Vec<Option<Tried>>,
    /// The reason that was told last.
    told: Option<String>,
}

/// A printer could not print a job, and nothing came out.
#[derive(Clone)]
struct Tried {
    why: String,
    times: u32,
    /// None if this printer will never print it.
    again: Option<Instant>,
}

/// What came of an attempt.
struct Attempt {
    printer: usize,
    waiting: Waiting,
    ended: Ended,
}

enum Ended {
    /// It is printed, parked, or someone else's affair.
    Done,
    /// Nothing came out.
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
                                self.tell(EventKind::StorageFailed { why: error.to_string() });
                            }
                        }
                    }
                }
                match self.begin(&mut attempts).await {
                    // Whoever comes next may go to the next printer.
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

    /// Reads which job is the next to wait.
    async fn look(&mut self) -> tresen_hal::Result<()> {
        let (mut before, mut after) = (std::mem::take(&mut self.waiting), 0);
        loop {
            let next = self.store.next_job(&self.route.name, after).await?;
            for (job, why) in next.unreadable {
                self.changed.send_modify(|n| *n += 1);
                self.tell(EventKind::PrintUnreadable { job, why });
            }
            let Some((job, content)) = next.job else { return Ok(()) };
            after = job.seq;
            if self.under_way.iter().flatten().any(|(id, _)| *id == job.id) {
                continue;
            }
            let known = before.iter().position(|w| w.job.id == job.id).map(|at| before.swap_remove(at));
            let (tried, told) = known.map_or_else(|| (vec![None; self.seen.len()], None), |w| (w.tried, w.told));
            let waiting = Waiting { job, content, tried, told };
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
            match &waiting.tried[printer] {
                Some(Tried { again: Some(again), .. }) if *again <= Instant::now() => {}
                Some(tried) => {
                    reasons.push(tried.why.clone());
                    tried.again.into_iter().for_each(&mut later);
                    continue;
                }
                None => {}
            }
            // One that could not print is asked how it is before anything is written.
            let ask_first = hindered.is_some() || waiting.tried[printer].is_some();
            return Choice::Printer { printer, ask_first };
        }
        Choice::Later { why: Some(reasons.join("; ")), at: due }
    }

    /// Writes and tells why a job waits, if that is news.
    async fn note(&mut self, at: usize, why: String) {
        let waiting = &mut self.waiting[at];
        if waiting.told.as_ref() == Some(&why) {
            return;
        }
        if let Err(error) = self.store.note_waiting(&waiting.job, &why).await {
            tracing::warn!(route = %self.route.name, %error, "why a job waits could not be written");
        }
        waiting.job.error = Some(why.clone());
        waiting.told = Some(why.clone());
        let job = waiting.job.id.clone();
        self.changed.send_modify(|n| *n += 1);
        self.tell(EventKind::PrintWaits { job, why });
    }

    fn ended(&mut self, attempt: Attempt, route_ended: bool) {
        self.under_way[attempt.printer] = None;
        let mut waiting = attempt.waiting;
        let Ended::Failed { why, never } = attempt.ended else { return };
        if route_ended {
            self.hand_over(waiting.job.id);
            return;
        }
        let times = waiting.tried[attempt.printer].as_ref().map_or(0, |t| t.times);
        let delay = (TRY_AGAIN * 2u32.saturating_pow(times)).min(TRY_AT_LEAST_EVERY);
        let again = (!never).then(|| Instant::now() + delay);
        waiting.tried[attempt.printer] = Some(Tried { why, times: times + 1, again });
        // Its row is read again; what was tried is kept.
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
        for tried in self.waiting.iter_mut().filter_map(|w| w.tried[printer].as_mut()) {
            tried.again = tried.again.map(|_| Instant::now());
        }
    }

    /// One attempt at one printer, as a task of its own.
    fn attempt(&self, printer: usize, waiting: Waiting, ask_first: bool) -> impl Future<Output = Attempt> + use<> {
        let device = self.route.printers[printer].clone();
        let intended = self.route.printers[0].name();
        let instead_of = (printer != 0).then(|| intended.to_owned());
        let paper = paper(&waiting, instead_of.as_deref(), device.name(), self.language);
        // The last hope waits for its turn, whatever takes it.
        let begin_within = if self.route.printers.len() > 1 { STALL } else { PRINT_TIMEOUT };
        let press = Press {
            store: self.store.clone(),
            changed: self.changed.clone(),
            device,
            route: self.route.name.clone(),
            bus: self.bus.clone(),
        };
        async move {
            let ended = press.print(&waiting.job, paper, instead_of, ask_first, begin_within).await;
            Attempt { printer, waiting, ended }
        }
    }

    fn tell(&self, kind: EventKind) {
        self.bus.tell(Source::Route(self.route.name.clone()), kind);
    }
}

impl Waiting {
    /// No printer of the route will ever print it: it does not keep the others waiting.
    fn never(&self) -> bool {
        self.tried.iter().all(|tried| tried.as_ref().is_some_and(|t| t.again.is_none()))
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

/// What one attempt needs.
struct Press {
    store: Store,
    changed: watch::Sender<u64>,
    device: PrinterDevice,
    route: String,
    bus: Bus,
}

/// What came of a call to the printer.
enum Sent {
    Outcome(printers::Outcome),
    /// It said that it cannot print; nothing was begun.
    Hindered(&'static str),
    /// Someone else has it: it was cancelled or moved.
    Gone,
    /// It could not be marked as begun, so nothing was sent.
    NotMarked(Error),
}

impl Press {
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
                        Ok(false) => return (Sent::Gone, After::Keep),
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
            Ok(Sent::Gone) => return Ended::Done,
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
            Ok(Sent::Outcome(other)) => {
                (JobEnd::Unknown(format!("{name}: an outcome this version does not know: {other:?}")), Ended::Done)
            }
            Err(Failure::NotBegun(error)) if error.kind() == Kind::Busy => {
                return Ended::Failed { why: format!("{name}: it is busy with another print job"), never: false };
            }
            Err(Failure::NotBegun(error)) => return failed(error),
            // The mark may have been written although we heard otherwise: it is taken back.
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
                self.device.tell(EventKind::Printed { job: job.id.clone(), instead_of });
            }
            JobEnd::Unknown(why) => self.device.tell(EventKind::PrintUnknown { job: job.id.clone(), why }),
            JobEnd::Waits(_) => {}
        }
        ended
    }

    /// Writes how the attempt ended, however long that takes: until then this printer gets no other job of the route.
    async fn mark(&self, job: &SpooledJob, end: &JobEnd) {
        let mut delay = MARK_AGAIN;
        let mut told = false;
        loop {
            match self.store.end_job(&job.id, job.attempt + 1, end).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(route = %self.route, job = job.id, %error, "an outcome could not be written");
                    if !std::mem::replace(&mut told, true) {
                        let kind = EventKind::StorageFailed { why: error.to_string() };
                        self.bus.tell(Source::Route(self.route.clone()), kind);
                    }
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(TRY_AT_LEAST_EVERY);
        }
    }
}

/// What goes on paper: with a remark above it at another printer than the intended one, and without opening a drawer
/// there; a copy opens none either. Raw bytes are sent whole.
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

fn without_drawer(receipt: &Receipt) -> Receipt {
    let paper = receipt.items().iter().filter(|item| !matches!(item, Item::Drawer(_)));
    paper.fold(Receipt::new(), |receipt, item| receipt.item(item.clone()))
}

/// Waits until phase or status of a printer changes; which printer. Changes since the last look count.
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

/// How long jobs wait behind one that its printer does not finish, before they go to the next printer.
const STALL: Duration = Duration::from_secs(15);
/// How long a job waits before it is tried again at a printer that could not print it and whose state did not change;
/// doubled each time.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// No delay is longer.
const TRY_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// How long an outcome that could not be written waits before it is tried again, at first; doubled each time.
const MARK_AGAIN: Duration = Duration::from_millis(250);
/// A backstop: drivers bound their own waiting.
const PRINT_TIMEOUT: Duration = Duration::from_secs(660);
