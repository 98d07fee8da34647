//! The printer handle: print through the spool, query the printer, open the drawer.

mod shared;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tresen_hal::{Error, Kind, Result};
use tresen_printers::{Capabilities, Content, DrawerPin, Identity, Job, Outcome, Panel, Preview, Receipt, Status};

use super::device::{Device, DeviceClass};
use super::phase::Phase;
use super::state::DeviceCapabilities;
use super::{After, AnyPrinter, Failure, Terms, lock};
use crate::class::Class;
use crate::event::EventKind;
use crate::lease::Asker;
use crate::spool::{PRINT_TIMEOUT, Print, PrintJob, Spool};
use crate::store::Origin;

use shared::SharedPrinter;

/// One printer; [`Printer`] may be a route of several.
pub(crate) type PrinterDevice = Device<Printers>;

/// Receipt printers.
#[derive(Debug, Clone, Copy)]
pub struct Printers;

impl DeviceClass for Printers {
    const CLASS: Class = Class::Printer;
    type Driver = AnyPrinter;
    type Shared = SharedPrinter;
}

impl PrinterDevice {
    /// The last reported status; `None` while the printer is away or does not report any.
    pub(crate) fn last_status(&self) -> watch::Receiver<Option<Status>> {
        self.shared.status.status.subscribe()
    }

    pub(crate) fn publish(&self, kind: EventKind) {
        self.shared.common.reporter.publish(kind);
    }

    /// The panel while the printer is busy; `None` if it is idle and can be queried normally.
    fn panel_while_busy(&self) -> Option<Panel> {
        self.owned.busy_with()?;
        lock(&self.shared.panel).clone()
    }

    fn capabilities(&self) -> Option<Capabilities> {
        match self.shared.common.capabilities() {
            Some(DeviceCapabilities::Printer(capabilities)) => Some(capabilities),
            _ => None,
        }
    }
}

/// A printer, or a route of printers, by its logical name. Clones are cheap.
#[derive(Clone)]
pub struct Printer {
    name: String,
    /// The first printer when this handle was created.
    device: PrinterDevice,
    spool: Spool,
    patience: Duration,
    origin: Origin,
    asker: Asker,
}

impl Printer {
    /// Time limit of [`Printer::status`], [`Printer::identity`] and [`Printer::kick_drawer`]: 15 s. All are refused at
    /// once while the printer is away, and wait while it is opened.
    pub const ANSWER: Duration = Duration::from_secs(15);

    pub(crate) fn new(name: &str, device: PrinterDevice, spool: Spool, patience: Duration) -> Self {
        Self { name: name.to_owned(), device, spool, patience, origin: Origin::new(), asker: Asker::default() }
    }

    /// Its logical name, or that of the route.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The (first) printer in the current configuration: on a route with `own`, that of the calling station.
    fn device(&self) -> PrinterDevice {
        let first = self.spool.first(&self.name, self.origin.station.as_deref());
        let device = first.unwrap_or_else(|| self.device.clone());
        device.on_behalf_of(self.origin.clone()).asked_by(self.asker.clone())
    }

    /// The same printer with calls that wait up to `patience` for the paper. The job is printed anyway, however long
    /// that takes.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same printer for calls on behalf of `origin`, a handheld or a cashier: jobs are stored with it, and errors
    /// of calls waiting behind them name it.
    #[must_use]
    pub fn on_behalf_of(mut self, origin: impl Into<Origin>) -> Self {
        self.origin = origin.into();
        self.asker = self.asker.named(&self.origin);
        self
    }

    /// The same printer for calls of this caller.
    pub(crate) fn asked_by(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// How long it waits for paper.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Queues `receipt` under a new id and returns at once with a handle to the job.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub async fn submit(&self, receipt: &Receipt) -> Result<PrintJob> {
        self.submit_as(&self.device.till.runtime.new_id(), receipt).await
    }

    /// Queues `receipt` under the caller's id and returns at once. The same id is the same job: calling again prints
    /// nothing more.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used with other content.
    pub async fn submit_as(&self, id: &str, receipt: &Receipt) -> Result<PrintJob> {
        self.submit_content_as(id, receipt).await
    }

    /// Queues a receipt or raw bytes under a new id and returns at once with a handle to the job.
    ///
    /// ```no_run
    /// # async fn label(kitchen: tresen::Printer) -> tresen::Result<()> {
    /// let job = kitchen.submit_content(tresen::Content::escpos(*b"Table 4\n\x1dV\x00")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed. Raw bytes in a language that none of the route's printers
    /// supports are stored, and wait with that reason until they are cancelled; later jobs are printed.
    pub async fn submit_content(&self, content: impl Into<Content>) -> Result<PrintJob> {
        self.submit_content_as(&self.device.till.runtime.new_id(), content).await
    }

    /// Queues a receipt or raw bytes under the caller's id and returns at once. The same id is the same job: calling
    /// again prints nothing more.
    ///
    /// # Errors
    /// As [`Printer::submit_content`]; or the id was used with other content.
    pub async fn submit_content_as(&self, id: &str, content: impl Into<Content>) -> Result<PrintJob> {
        self.spool.submit(id, &self.name, &content.into(), &self.origin).await
    }

    /// Prints `receipt` through the spool, under a new id, and waits until it is on paper, at most the
    /// till's `patience`, 60 s unless configured. Dropping the future does not stop the job. Of several copies that a
    /// route prints it waits for the first; each further one is a job of its own.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub async fn print(&self, receipt: &Receipt) -> Result<Print> {
        self.print_as(&self.device.till.runtime.new_id(), receipt).await
    }

    /// Prints `receipt` through the spool under the caller's id. Calling again with the same id prints nothing more and
    /// returns the job's state. Dropping the future does not stop the job.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used with other content.
    pub async fn print_as(&self, id: &str, receipt: &Receipt) -> Result<Print> {
        self.submit_as(id, receipt).await?.outcome(self.patience).await
    }

    /// A handle to a job that was just queued in the database.
    pub(crate) fn follow(&self, id: &str) -> PrintJob {
        self.spool.queued(id, &self.name)
    }

    /// Whether a job that is already queued comes soon: see [`Spool::prospect`].
    pub(crate) async fn prospect(&self, id: &str, patience: Duration) -> Result<Print> {
        self.spool.queued(id, &self.name);
        self.spool.prospect(id, patience).await
    }

    /// Reprints a parked job, marked as a copy, on its route.
    ///
    /// # Errors
    /// Unknown job, the job is not parked, or its route is not configured: see [`Printer::adopt`].
    pub async fn reprint(&self, id: &str) -> Result<Print> {
        self.spool.reprint(id).await?.outcome(self.patience).await
    }

    /// Moves a waiting or parked job to this printer or route. A parked job stays parked until it is reprinted.
    ///
    /// # Errors
    /// Unknown job, or it is printing, printed or cancelled.
    pub async fn adopt(&self, id: &str) -> Result<PrintJob> {
        self.spool.adopt(id, &self.name).await
    }

    /// Cancels a waiting or parked job.
    ///
    /// # Errors
    /// Unknown job, or it is already printed.
    pub async fn cancel(&self, id: &str) -> Result<()> {
        self.spool.cancel(id).await
    }

    /// What `content` would look like on the (first) printer. Nothing is sent; a printer that was not connected yet
    /// counts as one for 80 mm paper.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: raw bytes in a language other than ESC/POS.
    pub async fn preview(&self, content: impl Into<Content>) -> Result<Preview> {
        let (content, capabilities) = (content.into(), self.capabilities());
        let work = move || tresen_printers::preview(&content, capabilities.as_ref());
        self.device.till.runtime.run_blocking(work).await?
    }

    /// What a stored job looks like on the (first) printer; the mark of a copy is left out.
    ///
    /// # Errors
    /// As [`Printer::preview`]; or unknown job.
    pub async fn picture(&self, id: &str) -> Result<Preview> {
        let content = self.spool.content(id).await?;
        self.preview(content).await
    }

    /// Prints `job` now and past the spool, and returns how it ended: for programs that keep their jobs elsewhere, such as
    /// a till that prints at another till's printer. It waits for its turn at the (first) printer, and takes at most
    /// 11 minutes. Nothing is stored, and nothing is tried again.
    ///
    /// Dropping the future abandons the answer, not the job, unless it has not begun.
    pub async fn print_job(&self, job: Job) -> Outcome {
        let not_begun = |error: Error| Outcome::Failed { error, safe_to_retry: true };
        let device = self.device();
        if let Err(error) = device.gate().pass() {
            return not_begun(error);
        }
        let printed = device.owned.call(Terms::normal("a print job", PRINT_TIMEOUT), move |driver| {
            Box::pin(async move {
                let outcome = driver.print(&job).await;
                let after = match &outcome {
                    Outcome::Unknown(error) | Outcome::Failed { error, .. } => After::of(error),
                    _ => After::Keep,
                };
                (outcome, after)
            })
        });
        match printed.await {
            Ok(outcome) => outcome,
            Err(Failure::NotBegun(error)) => not_begun(error),
            Err(Failure::Ended(error) | Failure::Running(error)) => Outcome::Unknown(error.at(device.name())),
        }
    }

    /// Queries the (first) printer's status. During a print job, returns the last reported status.
    ///
    /// # Errors
    /// It cannot be reached or does not answer within [`Printer::ANSWER`].
    pub async fn status(&self) -> Result<Status> {
        let device = self.device();
        device.gate().pass()?;
        if let Some(panel) = device.panel_while_busy() {
            return Ok(panel.status());
        }
        device.ask(Terms::urgent("a status request", Self::ANSWER), |driver| driver.status()).await
    }

    /// Queries the (first) printer's identity.
    ///
    /// # Errors
    /// It cannot be reached or does not answer within [`Printer::ANSWER`].
    pub async fn identity(&self) -> Result<Identity> {
        self.device().ask(Terms::urgent("an identity request", Self::ANSWER), |driver| driver.identity()).await
    }

    /// Opens the drawer at the (first) printer; also while a job waits for paper, if the printer has a command for
    /// that, otherwise as soon as the running job ends. Does not wait behind jobs that have not begun.
    ///
    /// # Errors
    /// The printer cannot be reached, has no drawer, or cannot open it within [`Printer::ANSWER`]. With
    /// [`Effect::None`](crate::Effect::None) the drawer stays closed, and will not open later.
    pub async fn kick_drawer(&self, pin: DrawerPin) -> Result<()> {
        let device = self.device();
        device.gate().pass()?;
        if let Some(panel) = device.panel_while_busy() {
            match timeout(Self::ANSWER, panel.kick_drawer(pin)).await {
                Ok(Ok(())) => return Ok(()),
                // No effect yet: queue it like other calls.
                Ok(Err(error)) if matches!(error.kind(), Kind::Busy | Kind::Cancelled) && nothing(&error) => {}
                Ok(Err(error)) => return Err(error.at(device.name())),
                Err(_) => {
                    return Err(Error::new(Kind::Timeout, "the drawer did not open in time").at(device.name()));
                }
            }
        }
        let kick = Terms::urgent("a drawer kick", Self::ANSWER);
        device.ask(kick, move |driver| driver.kick_drawer(pin)).await
    }

    /// The (first) printer's capabilities; `None` until first connected, kept while it is away.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.device().capabilities()
    }

    /// Reopens the (first) printer at once: also if it is away, if its driver is faulted, or if a call hangs. An
    /// aborted print job may be on paper: it is parked.
    ///
    /// # Errors
    /// The till was closed.
    pub async fn reset(&self) -> Result<()> {
        self.device().owned.reset()
    }

    /// The state of the (first) printer; changes can be awaited.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.device().owned.phase()
    }
}

fn nothing(error: &Error) -> bool {
    error.effect() == tresen_hal::Effect::None
}
