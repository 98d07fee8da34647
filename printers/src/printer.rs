//! What a vendor codes against: any receipt printer.

use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Dots, Driver, Effect, Error, Kind, Known, Result};

use crate::content::Content;
use crate::panel::Panel;

/// A receipt printer, whatever its protocol and link.
///
/// Events are changes of its [`Status`], as far as the printer reports them by itself.
///
/// A driver of your own needs [`Printer::capabilities`] and [`Printer::print`]; the other methods say by default that
/// this printer cannot do that, or does not tell.
pub trait Printer: Driver<Event = Status> {
    /// What this printer can do; known after opening.
    fn capabilities(&self) -> &Capabilities;

    /// Asks the printer how it is.
    ///
    /// # Errors
    /// The link is lost or the printer does not answer. Paper out is a status, not an error.
    fn status(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async { Ok(Status::default()) })
    }

    /// Who it is: maker, model, firmware, serial number, as far as it says.
    ///
    /// # Errors
    /// The link is lost.
    fn identity(&mut self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async { Ok(Identity::default()) })
    }

    /// What can be used while a call runs: the latest status, known from the opening on, and the drawer.
    fn panel(&self) -> Panel {
        crate::panel::panel().0
    }

    /// Prints one job and waits for the best proof that this printer can give. Raw bytes of a language that
    /// it does not speak fail with [`tresen_hal::Kind::Unsupported`], and nothing is sent.
    fn print<'a>(&'a mut self, job: &'a Job) -> BoxFuture<'a, Outcome>;

    /// Opens the drawer at `pin`, now or not at all: a pulse never waits in the printer for paper.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Operator`]: the printer is stopped, and has no command that opens the drawer all the same; the drawer
    /// stays shut. The link is lost, the printer does not answer, or it has no drawer port.
    fn kick_drawer(&mut self, pin: DrawerPin) -> BoxFuture<'_, Result<()>> {
        let _ = pin;
        cannot("this printer has no drawer port")
    }

    /// Discards what is buffered and returns to a known state.
    ///
    /// # Errors
    /// The link is lost or the printer needs a person.
    fn reset(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Sends bytes as they are: for what this library does not know.
    ///
    /// # Errors
    /// The link is lost; any prefix may have been sent.
    fn send_raw<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        let _ = bytes;
        cannot("this printer takes no raw bytes")
    }
}

fn cannot<'a>(what: &'static str) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { Err(Error::new(Kind::Unsupported, what).with_effect(Effect::None)) })
}

/// One thing to print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Job {
    /// The caller's key: the same key is the same piece of paper.
    pub id: String,
    /// What to print.
    pub content: Content,
    /// Set when an earlier attempt may have printed: the paper then says so, above everything else.
    pub copy: bool,
    /// A line above the content, such as that it was meant for another printer.
    pub remark: Option<String>,
}

impl Job {
    /// A job that is not a copy and has no remark.
    pub fn new(id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self { id: id.into(), content: content.into(), copy: false, remark: None }
    }

    /// The same, marked as a copy.
    #[must_use]
    pub fn as_copy(self) -> Self {
        Self { copy: true, ..self }
    }
}

/// How a print ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is on paper, and the printer said so.
    Printed(Proof),
    /// The printer took all of it; this printer cannot say more.
    Accepted,
    /// It may be on paper, wholly or in part, or not. Never retried silently.
    Unknown(Error),
    /// It is not on paper as it should be.
    Failed {
        /// Why.
        error: Error,
        /// Nothing came out: the job may go to another printer, or here again.
        safe_to_retry: bool,
    },
}

/// What the printer said to prove that a job is on paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The job's own number came back after printing: ESC/POS GS ( H, function 48.
    ProcessId(String),
    /// The printer answered a status request queued behind the job: ESC/POS GS r. It proves that
    /// the buffer was worked off.
    BufferDone,
}

/// What a printer can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Printable width.
    pub width: Dots,
    /// Characters of font A on a line.
    pub columns: usize,
    /// Cuts paper. If that is not known, it is told to cut: printers without a cutter ignore it.
    pub cutter: Known,
    /// Has a drawer port. If that is not known, it is sent the pulse.
    pub drawer: Known,
    /// Answers status requests.
    pub status: Known,
    /// Confirms a job by number when it is on paper.
    pub process_id: Known,
    /// Opens the drawer also while it is stopped or a job waits ([`Panel::kick_drawer`]).
    pub urgent_drawer: Known,
    /// Prints QR codes by itself. If that is not known, it is told to, as most can; `No` has them drawn.
    pub qr: Known,
    /// Prints barcodes by itself. If that is not known, it is told to, as nearly all can; `No` has them drawn.
    pub barcodes: Known,
}

impl Capabilities {
    /// Those of a printer of which only the width is known.
    pub fn new(width: Dots, columns: usize) -> Self {
        Self {
            width,
            columns,
            cutter: Known::Unknown,
            drawer: Known::Unknown,
            status: Known::Unknown,
            process_id: Known::Unknown,
            urgent_drawer: Known::Unknown,
            qr: Known::Unknown,
            barcodes: Known::Unknown,
        }
    }
}

/// How a printer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// It would print now.
    pub online: Known,
    /// Its cover is open.
    pub cover_open: Known,
    /// Its paper.
    pub paper: Paper,
    /// The level of the drawer's sense pin is high. Which level means open depends on the drawer.
    pub drawer_pin_high: Known,
    /// It reports an error: cutter, head, overheating.
    pub error: Known,
}

/// How much paper there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// Enough.
    Ok,
    /// The roll is nearly at its end.
    NearEnd,
    /// None.
    Out,
    /// Not known.
    #[default]
    Unknown,
}

/// Who a printer says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// Maker.
    pub maker: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

/// Which connector pin the drawer hangs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrawerPin {
    /// Pin 2, the usual one.
    #[default]
    Two,
    /// Pin 5, a second drawer.
    Five,
}

impl DrawerPin {
    /// The pin's number on the connector.
    pub fn number(self) -> u8 {
        match self {
            Self::Two => 2,
            Self::Five => 5,
        }
    }
}
