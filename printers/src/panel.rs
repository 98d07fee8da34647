//! What works while a printer is busy.
//!
//! A job that waits for paper occupies its printer for minutes. Its [`Panel`] tells meanwhile how the
//! printer is, and opens the drawer where the printer has a command for that.

use tokio::sync::{mpsc, oneshot, watch};
use tresen_hal::{Effect, Error, Kind, Result};

use crate::printer::{DrawerPin, Status};

/// A handle to a printer that can be used while a call runs on it. Clones are cheap; it outlives its
/// driver, and then says so.
#[derive(Debug, Clone)]
pub struct Panel {
    status: watch::Receiver<Status>,
    urgent: mpsc::Sender<Urgent>,
}

/// The driver's end of a [`Panel`].
#[derive(Debug)]
pub struct PanelSide {
    /// Where the driver puts what it hears.
    pub status: watch::Sender<Status>,
    /// What is wanted meanwhile; the driver serves it whenever it waits.
    pub urgent: mpsc::Receiver<Urgent>,
}

/// Something that is wanted while a call runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Urgent {
    /// Open the drawer at this pin.
    Kick(DrawerPin, oneshot::Sender<Result<()>>),
}

/// Both ends of a panel.
pub fn panel() -> (Panel, PanelSide) {
    let (status, seen) = watch::channel(Status::default());
    let (wanted, urgent) = mpsc::channel(8);
    (Panel { status: seen, urgent: wanted }, PanelSide { status, urgent })
}

impl Panel {
    /// How the printer is, as it said last; known from its opening on. Asks nothing, never waits.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Its status as a channel whose changes can be awaited.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Opens the drawer now, also while a job waits for paper. Done when the printer's link took it. A
    /// driver that nobody runs at the moment serves it when it is run again; callers set a deadline.
    ///
    /// # Errors
    /// [`Kind::Busy`]: not on this printer, or not while a job is being sent; nothing happened, use
    /// [`crate::Printer::kick_drawer`] when it is the caller's turn. [`Kind::Operator`]: it is stopped and reads nothing.
    /// [`Kind::Unsupported`]: no drawer port. [`Kind::Cancelled`]: the driver has ended.
    pub async fn kick_drawer(&self, pin: DrawerPin) -> Result<()> {
        let ended = |effect| Error::new(Kind::Cancelled, "the printer's driver has ended").with_effect(effect);
        let (answer, answered) = oneshot::channel();
        self.urgent.send(Urgent::Kick(pin, answer)).await.map_err(|_| ended(Effect::None))?;
        answered.await.unwrap_or_else(|_| Err(ended(Effect::Unknown)))
    }
}
