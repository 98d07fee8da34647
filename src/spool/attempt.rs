//! One attempt at one printer: marked before it is sent, and again with its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tresen_hal::{Error, Kind, Language, Retry};
use tresen_printers as printers;
use tresen_printers::document::{Item, Style};
use tresen_printers::{Content, Job, Receipt};

use super::worker::TRY_AT_LEAST_EVERY;
use crate::event::{Bus, EventKind, Source};
use crate::language::Printed;
use crate::manager::printer::PrinterDevice;
use crate::manager::{After, Failure, Terms, hindrance};
use crate::store::{JobEnd, SpooledJob, Store};

/// How an attempt ended.
pub(super) enum Ended {
    /// It is printed or parked, or no longer this worker's.
    Done,
    /// Nothing was printed.
    Failed { why: String, never: bool },
}

/// The context of one attempt.
pub(super) struct PrintTask {
    pub(super) store: Store,
    pub(super) changed: watch::Sender<u64>,
    pub(super) device: PrinterDevice,
    pub(super) route: String,
    pub(super) bus: Bus,
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
    pub(super) async fn print(
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
                        && let Ok(status) = driver.recheck().await
                        && let Some(why) = hindrance(&status)
                    {
                        return (Sent::Hindered(why), After::Keep);
                    }
                    let mut paper = paper;
                    match store.begin_job(&row, &name).await {
                        Ok(Some(begun)) => paper.fresh_sheet = begun.fresh_sheet,
                        Ok(None) => return (Sent::NotQueued, After::Keep),
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

    /// Records the outcome of the attempt, however long that takes: until then this printer gets no other
    /// job.
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
/// drawer there; a copy opens none either. Each of several copies says which it is. Raw bytes are sent unchanged.
pub(super) fn paper(
    job: &SpooledJob,
    content: &Content,
    instead_of: Option<&str>,
    on: &str,
    language: Language,
) -> Job {
    let content = match content {
        Content::Receipt(receipt) => {
            let opens_no_drawer = job.copy || job.sheet > 1 || instead_of.is_some();
            let receipt = if opens_no_drawer { without_drawer(receipt) } else { receipt.clone() };
            match job.sheets {
                1 => receipt,
                sheets => Receipt::new()
                    .styled(language.sheet(job.sheet, sheets), Style::new().bold().centre())
                    .append(receipt),
            }
            .into()
        }
        content => content.clone(),
    };
    let mut paper = Job::new(&job.id, content);
    paper.copy = job.copy;
    paper.remark = instead_of.map(|intended| language.instead_of(on, intended));
    paper
}

pub(crate) fn without_drawer(receipt: &Receipt) -> Receipt {
    let paper = receipt.items().iter().filter(|item| !matches!(item, Item::Drawer(_)));
    paper.fold(Receipt::new(), |receipt, item| receipt.item(item.clone()))
}

/// Initial delay before an outcome that could not be written is retried; doubled each time.
const MARK_AGAIN: Duration = Duration::from_millis(250);
/// A backstop: drivers bound their own waiting.
pub(crate) const PRINT_TIMEOUT: Duration = Duration::from_secs(660);
