//! What can be used while a printer is busy.
//!
//! A job that waits for paper occupies its printer for minutes. Meanwhile the printer's [`Panel`] gives its latest
//! status, and opens the drawer if the printer has a real-time command for that.

use tokio::sync::{mpsc, oneshot, watch};
use tresen_hal::{Effect, Error, Kind, Result};

use crate::printer::{DrawerPin, Status};

/// A handle to a printer that can be used while a call is running on it. Clones are cheap. It may outlive the driver;
/// calls then fail with [`Kind::Cancelled`].
#[derive(Debug, Clone)]
pub struct Panel {
    status: watch::Receiver<Status>,
    urgent: mpsc::Sender<Urgent>,
}

/// The driver's end of a [`Panel`].
#[derive(Debug)]
pub struct PanelSide {
    /// Where the driver publishes the status.
    pub status: watch::Sender<Status>,
    /// Requests; the driver serves them whenever it waits for the link.
    pub urgent: mpsc::Receiver<Urgent>,
}

/// A request made while a call is running.
#[derive(Debug)]
#[non_exhaustive]
pub enum Urgent {
    /// Open the drawer at this pin.
    Kick(DrawerPin, oneshot::Sender<Result<()>>),
}

/// Creates both ends of a panel.
pub fn panel() -> (Panel, PanelSide) {
    let (status, seen) = watch::channel(Status::default());
    let (wanted, urgent) = mpsc::channel(8);
    (Panel { status: seen, urgent: wanted }, PanelSide { status, urgent })
}

impl Panel {
    /// The latest status; known once the printer is open. Sends nothing and never waits.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// The status as a channel whose changes can be awaited.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Opens the drawer now, even while a job waits for paper. Returns when the link has taken the command. A driver
    /// that is not being polled serves the request when it is polled again, so set a deadline.
    ///
    /// # Errors
    /// [`Kind::Busy`]: this printer cannot, or a job is being sent; nothing happened, use
    /// [`crate::Printer::kick_drawer`] when it is the caller's turn. [`Kind::Operator`]: the printer is stopped and reads
    /// nothing. [`Kind::Unsupported`]: no drawer port. [`Kind::Cancelled`]: the driver has ended.
    pub async fn kick_drawer(&self, pin: DrawerPin) -> Result<()> {
        let ended = |effect| Error::new(Kind::Cancelled, "the printer's driver has ended").with_effect(effect);
        let (answer, answered) = oneshot::channel();
        self.urgent.send(Urgent::Kick(pin, answer)).await.map_err(|_| ended(Effect::None))?;
        answered.await.unwrap_or_else(|_| Err(ended(Effect::Unknown)))
    }
}
