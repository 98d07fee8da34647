//! Printers and their jobs.

use std::time::Duration;

use tresen_hal::Result;
use tresen_printers::{Capabilities, Content, DrawerPin, Identity, Preview, Receipt, Status};

use super::On;
use crate::api::printer;
use crate::manager::Phase;
use crate::spool::Print;
use crate::store::Origin;

/// A printer or route, as [`crate::Printer`].
#[derive(Clone)]
pub struct Printer(pub(super) On<crate::Printer>);

/// A print job, as [`crate::PrintJob`].
#[derive(Clone)]
pub struct PrintJob(pub(super) On<crate::PrintJob>);

impl Printer {
    /// Its logical name, or that of the route.
    pub fn name(&self) -> &str {
        self.0.inner.name()
    }

    /// The same printer with calls that wait up to `patience` for the paper.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        let inner = self.0.inner.clone().with_patience(patience);
        Self(self.0.beside(inner))
    }

    /// The same printer for calls on behalf of `caller`.
    #[must_use]
    pub fn on_behalf_of(&self, origin: impl Into<Origin>) -> Self {
        let origin = origin.into();
        let inner = self.0.inner.clone().on_behalf_of(origin.clone());
        Self(self.0.on_behalf_of(origin, inner))
    }

    /// Queues a receipt and returns at once with a handle to the job.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub fn submit(&self, receipt: &Receipt) -> Result<PrintJob> {
        self.queue(None, receipt.into())
    }

    /// Queues a receipt under the caller's id, once, and returns at once.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used with other content.
    pub fn submit_as(&self, id: &str, receipt: &Receipt) -> Result<PrintJob> {
        self.queue(Some(id), receipt.into())
    }

    /// Queues a receipt or raw bytes and returns at once with a handle to the job.
    ///
    /// # Errors
    /// As [`crate::Printer::submit_content`].
    pub fn submit_content(&self, content: impl Into<Content>) -> Result<PrintJob> {
        self.queue(None, content.into())
    }

    /// Queues a receipt or raw bytes under the caller's id, once, and returns at once.
    ///
    /// # Errors
    /// As [`crate::Printer::submit_content_as`].
    pub fn submit_content_as(&self, id: &str, content: impl Into<Content>) -> Result<PrintJob> {
        self.queue(Some(id), content.into())
    }

    fn queue(&self, id: Option<&str>, content: Content) -> Result<PrintJob> {
        let submit = printer::Submit { printer: self.printer(), content, id: id.map(str::to_owned) };
        Ok(self.job(&self.0.ask(submit)?.job))
    }

    fn job(&self, id: &str) -> PrintJob {
        PrintJob(self.0.beside(self.0.till.0.spool.follow(id)))
    }

    fn printer(&self) -> String {
        self.name().to_owned()
    }

    /// Prints a receipt through the spool and waits for it, by default at most 60 s.
    ///
    /// # Errors
    /// The job could not be stored; then nothing is printed.
    pub fn print(&self, receipt: &Receipt) -> Result<Print> {
        self.put(None, receipt)
    }

    /// Prints a receipt under the caller's id, once.
    ///
    /// # Errors
    /// The job could not be stored, or the id was used with other content.
    pub fn print_as(&self, id: &str, receipt: &Receipt) -> Result<Print> {
        self.put(Some(id), receipt)
    }

    fn put(&self, id: Option<&str>, receipt: &Receipt) -> Result<Print> {
        let (content, id) = (receipt.into(), id.map(str::to_owned));
        self.0.ask(printer::Print { printer: self.printer(), content, id, within: Some(self.0.inner.patience()) })
    }

    /// Reprints a parked job, marked as a copy.
    ///
    /// # Errors
    /// As [`crate::Printer::reprint`].
    pub fn reprint(&self, id: &str) -> Result<Print> {
        self.0.ask(printer::Reprint { job: id.to_owned(), within: Some(self.0.inner.patience()) })
    }

    /// Moves a waiting or parked job to this printer or route.
    ///
    /// # Errors
    /// As [`crate::Printer::adopt`].
    pub fn adopt(&self, id: &str) -> Result<PrintJob> {
        let adopt = printer::Adopt { printer: self.printer(), job: id.to_owned() };
        Ok(self.job(&self.0.ask(adopt)?.job))
    }

    /// Cancels a waiting or parked job.
    ///
    /// # Errors
    /// As [`crate::Printer::cancel`].
    pub fn cancel(&self, id: &str) -> Result<()> {
        self.0.ask(printer::Cancel { job: id.to_owned() })
    }

    /// What `content` would look like on the printer.
    ///
    /// # Errors
    /// As [`crate::Printer::preview`].
    pub fn preview(&self, content: impl Into<Content>) -> Result<Preview> {
        self.0.ask(printer::Preview { printer: self.printer(), content: content.into() })
    }

    /// What a stored job looks like.
    ///
    /// # Errors
    /// As [`crate::Printer::picture`].
    pub fn picture(&self, id: &str) -> Result<Preview> {
        self.0.ask(printer::Picture { job: id.to_owned(), printer: Some(self.printer()) })
    }

    /// Queries the printer's status.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn status(&self) -> Result<Status> {
        self.0.ask(printer::Status { printer: self.printer() })
    }

    /// Queries the printer's identity.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn identity(&self) -> Result<Identity> {
        self.0.ask(printer::Identity { printer: self.printer() })
    }

    /// Opens the drawer.
    ///
    /// # Errors
    /// The printer cannot be reached or has no drawer.
    pub fn kick_drawer(&self, pin: DrawerPin) -> Result<()> {
        self.0.ask(printer::KickDrawer { printer: self.printer(), pin })
    }

    /// The printer's capabilities; `None` until first connected.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.0.inner.capabilities()
    }

    /// The current state of the printer.
    pub fn phase(&self) -> Phase {
        self.0.inner.phase().borrow().clone()
    }

    /// Reopens the printer at once.
    ///
    /// # Errors
    /// The till was closed.
    pub fn reset(&self) -> Result<()> {
        self.0.ask(printer::Reset { printer: self.printer() })
    }
}

impl PrintJob {
    /// Its id.
    pub fn id(&self) -> &str {
        self.0.inner.id()
    }

    /// Waits until it is printed, parked or cancelled, at most `patience`, and returns its state.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn outcome(&self, patience: Duration) -> Result<Print> {
        self.0.ask(printer::Outcome { job: self.id().to_owned(), within: Some(patience) })
    }

    /// Its current state.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn now(&self) -> Result<Print> {
        self.outcome(Duration::ZERO)
    }
}
