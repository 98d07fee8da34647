//! The print spool: a job is on disk before it is sent, and what came of it is on disk before the
//! caller hears of it.
//!
//! One worker per route takes the oldest job and tries the route's printers in order. It goes to the
//! next printer only when nothing came out of the one before. What may be on paper is parked, and a
//! person decides: [`crate::Printer::reprint`] prints it marked as a copy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tresen_hal::{Effect, Error, Kind, Result};
use tresen_printers as printers;
use tresen_printers::document::{Item, Style};
use tresen_printers::{Job, Proof, Receipt};

use crate::event::What;
use crate::manager::{After, AnyPrinter, Bus, Owned, Phase};
use crate::store::{JobState, SpooledJob, Store};

/// How often a waiting job is tried again, if no printer becomes ready before.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Drivers bound their own waiting; this only keeps a defect from holding the spool for ever.
const PRINT_TIMEOUT: Duration = Duration::from_secs(600);

/// How a print stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Print {
    /// On paper, and the printer proved it.
    Printed {
        /// The printer.
        on: String,
        /// Its proof.
        proof: Proof,
    },
    /// Taken by a printer that cannot prove it.
    Accepted {
        /// The printer.
        on: String,
    },
    /// It waits for a printer and will be printed; nothing came out so far.
    Waiting {
        /// Its id.
        job: String,
        /// Why it waits.
        why: String,
    },
    /// It may be on paper or not; it is not printed again before a person decides.
    Unknown {
        /// Its id.
        job: String,
        /// What happened.
        why: String,
    },
    /// A person gave it up.
    Cancelled,
}

/// One route: its printers in order.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) printers: Vec<Owned<AnyPrinter>>,
}

/// The spool; clones share it.
#[derive(Clone)]
pub(crate) struct Spool {
    store: Store,
    bus: Bus,
    wake: Arc<Wakes>,
    /// Counts changes of any job, so that those who wait look again.
    changed: watch::Sender<u64>,
}

/// What wakes each route's worker.
struct Wakes(HashMap<String, Arc<Notify>>);

impl Drop for Wakes {
    /// The workers look up, see that nobody is left, and let the printers go.
    fn drop(&mut self) {
        self.0.values().for_each(|wake| wake.notify_one());
    }
}

impl Spool {
    /// Parks what a crash interrupted and starts a worker per route.
    pub(crate) async fn start(store: Store, bus: Bus, routes: Vec<Route>) -> Result<Self> {
        for job in store.park_interrupted_jobs().await? {
            bus.tell("spool", What::PrintUnknown { job, why: "the till stopped while it was printing".into() });
        }
        let wake = routes.iter().map(|r| (r.name.clone(), Arc::new(Notify::new()))).collect();
        let spool = Self { store, bus, wake: Arc::new(Wakes(wake)), changed: watch::Sender::new(0) };
        for route in routes {
            let wake = spool.wake.0[&route.name].clone();
            let worker = Worker {
                store: spool.store.clone(),
                bus: spool.bus.clone(),
                changed: spool.changed.clone(),
                route,
                open: Arc::downgrade(&spool.wake),
            };
            tokio::spawn(worker.run(wake));
        }
        Ok(spool)
    }

    /// Queues a job and waits, `patience` at most, until it is printed or parked.
    pub(crate) async fn print(&self, id: &str, route: &str, receipt: &Receipt, patience: Duration) -> Result<Print> {
        self.store.queue_job(id, route, receipt).await?;
        self.wake(route);
        self.outcome(id, patience).await
    }

    /// Prints a parked job again, marked as a copy.
    pub(crate) async fn reprint(&self, id: &str, patience: Duration) -> Result<Print> {
        let job = self.store.job(id).await?.ok_or_else(|| no_job(id))?;
        if !self.store.decide_job(id, JobState::Unknown, JobState::Queued, true).await? {
            return Err(Error::new(Kind::Input, format!("print job `{id}` is not parked but {:?}", job.state)));
        }
        self.wake(&job.route);
        self.outcome(id, patience).await
    }

    /// Gives a waiting or parked job up.
    pub(crate) async fn cancel(&self, id: &str) -> Result<()> {
        let job = self.store.job(id).await?.ok_or_else(|| no_job(id))?;
        for from in [JobState::Queued, JobState::Unknown] {
            if self.store.decide_job(id, from, JobState::Cancelled, job.copy).await? {
                self.changed.send_modify(|n| *n += 1);
                return Ok(());
            }
        }
        Err(Error::new(Kind::Input, format!("print job `{id}` cannot be cancelled, it is {:?}", job.state)))
    }

    fn wake(&self, route: &str) {
        if let Some(wake) = self.wake.0.get(route) {
            wake.notify_one();
        }
    }

    async fn outcome(&self, id: &str, patience: Duration) -> Result<Print> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut changed = self.changed.subscribe();
        loop {
            let job = self.store.job(id).await?.ok_or_else(|| no_job(id))?;
            let on = || job.printer.clone().unwrap_or_default();
            let why = || job.error.clone().unwrap_or_else(|| "it is being printed".into());
            match (job.state, job.proof.clone()) {
                (JobState::Printed, Some(proof)) => return Ok(Print::Printed { on: on(), proof }),
                (JobState::Printed | JobState::Accepted, _) => return Ok(Print::Accepted { on: on() }),
                (JobState::Unknown, _) => return Ok(Print::Unknown { job: job.id.clone(), why: why() }),
                (JobState::Cancelled, _) => return Ok(Print::Cancelled),
                (JobState::Queued | JobState::Printing, _) => {}
            }
            match tokio::time::timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(Print::Waiting { job: job.id.clone(), why: why() }),
            }
        }
    }
}

fn no_job(id: &str) -> Error {
    Error::new(Kind::Input, format!("there is no print job `{id}`"))
}

struct Worker {
    store: Store,
    bus: Bus,
    changed: watch::Sender<u64>,
    route: Route,
    /// Gone when the last handle to the spool is.
    open: std::sync::Weak<Wakes>,
}

/// What came of trying a job.
enum Tried {
    Done,
    /// Nothing came out anywhere; it stays queued.
    Waits(String),
}

impl Worker {
    async fn run(self, wake: Arc<Notify>) {
        while self.open.strong_count() > 0 {
            let tried = match self.store.next_job(&self.route.name).await {
                Ok(Some(job)) => self.print(&job).await,
                Ok(None) => {
                    tokio::time::timeout(TRY_AGAIN, wake.notified()).await.ok();
                    continue;
                }
                Err(error) => Err(error),
            };
            self.changed.send_modify(|n| *n += 1);
            match tried {
                Ok(Tried::Done) => {}
                Ok(Tried::Waits(why)) => {
                    tracing::debug!(route = %self.route.name, %why, "waits");
                    self.until_something_changes(&wake).await;
                }
                Err(error) => {
                    tracing::error!(route = %self.route.name, %error, "the spool cannot be used");
                    self.until_something_changes(&wake).await;
                }
            }
        }
    }

    /// Tries the route's printers in order.
    async fn print(&self, job: &SpooledJob) -> Result<Tried> {
        let mut why = Vec::new();
        let meant_for = self.route.printers.first().map_or("", |p| p.name());
        for printer in &self.route.printers {
            let on = printer.name();
            if !self.store.begin_job(&job.id, on).await? {
                // Cancelled since it was read, or taken by another till on the same database.
                return Ok(Tried::Done);
            }
            self.changed.send_modify(|n| *n += 1);
            let instead_of = (on != meant_for).then(|| meant_for.to_owned());
            let receipt = match &instead_of {
                Some(meant_for) => noted(&format!("Printed on {on} instead of {meant_for}"), &job.receipt),
                None => job.receipt.clone(),
            };
            let receipt = if job.copy { without_drawer(&receipt) } else { receipt };
            match send(printer, Job { id: job.id.clone(), receipt, copy: job.copy }).await {
                printers::Outcome::Printed(proof) => {
                    self.store.mark_job(&job.id, JobState::Printed, None, Some(&proof), None).await?;
                    self.bus.tell(on, What::Printed { job: job.id.clone(), instead_of });
                    return Ok(Tried::Done);
                }
                printers::Outcome::Accepted => {
                    self.store.mark_job(&job.id, JobState::Accepted, None, None, None).await?;
                    self.bus.tell(on, What::Printed { job: job.id.clone(), instead_of });
                    return Ok(Tried::Done);
                }
                printers::Outcome::Failed { error, safe_to_retry: true } => {
                    why.push(error.to_string());
                    self.store.mark_job(&job.id, JobState::Queued, None, None, Some(&why.join("; "))).await?;
                }
                printers::Outcome::Unknown(error) | printers::Outcome::Failed { error, safe_to_retry: false } => {
                    let error = error.to_string();
                    self.store.mark_job(&job.id, JobState::Unknown, None, None, Some(&error)).await?;
                    self.bus.tell(on, What::PrintUnknown { job: job.id.clone(), why: error });
                    return Ok(Tried::Done);
                }
                other => {
                    let error = format!("an outcome this version does not know: {other:?}");
                    self.store.mark_job(&job.id, JobState::Unknown, None, None, Some(&error)).await?;
                    return Ok(Tried::Done);
                }
            }
        }
        let why = why.join("; ");
        self.bus.tell(&self.route.name, What::PrintWaits { job: job.id.clone(), why: why.clone() });
        Ok(Tried::Waits(why))
    }

    /// A printer becoming ready, a new job or a decision, or some time.
    async fn until_something_changes(&self, wake: &Notify) {
        let ready = self.route.printers.iter().map(|printer| {
            let mut phase = printer.phase();
            phase.mark_unchanged();
            Box::pin(async move {
                while phase.changed().await.is_ok() {
                    if *phase.borrow_and_update() == Phase::Ready {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            })
        });
        let ready: Vec<_> = ready.collect();
        tokio::select! {
            () = any(ready) => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}

/// The receipt with a remark above it.
fn noted(remark: &str, receipt: &Receipt) -> Receipt {
    Receipt::new().styled(remark, Style::new().bold().centre()).append(receipt.clone())
}

/// A copy is paper only: the drawer was opened, or not, by the first attempt.
fn without_drawer(receipt: &Receipt) -> Receipt {
    let paper = receipt.items().iter().filter(|item| !matches!(item, Item::Drawer(_)));
    paper.fold(Receipt::new(), |receipt, item| receipt.item(item.clone()))
}

/// The first of several futures.
async fn any<F: Future<Output = ()> + Unpin>(mut futures: Vec<F>) {
    std::future::poll_fn(|cx| {
        let done = futures.iter_mut().any(|f| std::pin::Pin::new(f).poll(cx).is_ready());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Sends one job to one printer; not being able to reach it is safe to retry.
async fn send(printer: &Owned<AnyPrinter>, job: Job) -> printers::Outcome {
    let sent = printer.call(PRINT_TIMEOUT, move |driver| {
        Box::pin(async move {
            let outcome = driver.print(&job).await;
            let after = match &outcome {
                printers::Outcome::Unknown(error) | printers::Outcome::Failed { error, .. } => After::of(error),
                _ => After::Keep,
            };
            (outcome, after)
        })
    });
    match sent.await {
        Ok(printers::Outcome::Unknown(error)) => printers::Outcome::Unknown(error.at(printer.name())),
        Ok(printers::Outcome::Failed { error, safe_to_retry }) => {
            printers::Outcome::Failed { error: error.at(printer.name()), safe_to_retry }
        }
        Ok(outcome) => outcome,
        Err(error) if error.effect() == Effect::None => printers::Outcome::Failed { error, safe_to_retry: true },
        Err(error) => printers::Outcome::Unknown(error),
    }
}
