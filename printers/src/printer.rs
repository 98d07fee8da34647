//! The class trait of receipt printers, and its types.

use serde::{Deserialize, Serialize};
use tresen_hal::{BoxFuture, Dots, Driver, Effect, Error, Kind, Known, Result};

use crate::content::Content;
use crate::panel::Panel;

/// A receipt printer, independent of protocol and link.
///
/// Its events are status changes, as far as the printer reports them unasked.
///
/// A driver of your own needs [`Printer::capabilities`] and [`Printer::print`]; by default the other methods report
/// that this printer does not support them, or nothing.
pub trait Printer: Driver<Event = Status> {
    /// What this printer can do; known after opening.
    fn capabilities(&self) -> &Capabilities;

    /// Requests the printer's status.
    ///
    /// # Errors
    /// The link is lost or the printer does not answer. Paper out is a status, not an error.
    fn status(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async { Ok(Status::default()) })
    }

    /// As [`Printer::status`], for one that is asked again and again while it cannot print: asks as little as tells
    /// whether it can print now. While it cannot, the reason may be an earlier one.
    ///
    /// # Errors
    /// As [`Printer::status`].
    fn recheck(&mut self) -> BoxFuture<'_, Result<Status>> {
        self.status()
    }

    /// Its maker, model, firmware and serial number, as far as it reports them.
    ///
    /// # Errors
    /// The link is lost.
    fn identity(&mut self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async { Ok(Identity::default()) })
    }

    /// A handle that works while a call is running: the latest status, and the drawer.
    fn panel(&self) -> Panel {
        crate::panel::panel().0
    }

    /// Prints one job and waits for the best proof that this printer can give. Raw bytes in a language it does not
    /// support fail with [`tresen_hal::Kind::Unsupported`], and nothing is sent.
    fn print<'a>(&'a mut self, job: &'a Job) -> BoxFuture<'a, Outcome>;

    /// Opens the drawer at `pin`, now or not at all: a pulse never waits in the printer's buffer for paper.
    ///
    /// # Errors
    /// [`tresen_hal::Kind::Operator`]: the printer is stopped and has no real-time command for the drawer, which stays
    /// shut. The link is lost, the printer does not answer, or it has no drawer port.
    fn kick_drawer(&mut self, pin: DrawerPin) -> BoxFuture<'_, Result<()>> {
        let _ = pin;
        cannot("this printer has no drawer port")
    }

    /// Discards buffered data and returns the printer to a known state.
    ///
    /// # Errors
    /// The link is lost, or the printer needs attention from a person.
    fn reset(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Sends bytes unchanged, for commands that this library does not support.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Job {
    /// The caller's key: jobs with the same key are the same piece of paper.
    pub id: String,
    /// What to print.
    pub content: Content,
    /// An earlier attempt may have printed: the paper is marked as a copy, above everything else.
    pub copy: bool,
    /// A line above the content, for example that the job was meant for another printer.
    pub remark: Option<String>,
    /// The sheet in the printer may hold part of an earlier job that broke off: this one begins with a cut, or with a
    /// feed where there is no cutter.
    pub fresh_sheet: bool,
}

impl Job {
    /// A job that is not a copy, has no remark, and goes on where the paper is.
    pub fn new(id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self { id: id.into(), content: content.into(), copy: false, remark: None, fresh_sheet: false }
    }

    /// The same, marked as a copy.
    #[must_use]
    pub fn as_copy(self) -> Self {
        Self { copy: true, ..self }
    }

    /// The same on a sheet of its own, below whatever an earlier job has left.
    #[must_use]
    pub fn on_fresh_sheet(self) -> Self {
        Self { fresh_sheet: true, ..self }
    }
}

/// How a print ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is on paper, as the printer confirmed.
    Printed(Proof),
    /// The printer took all of it, and cannot confirm more.
    Accepted,
    /// All, some or none of it is on paper. Never retried silently.
    Unknown(Error),
    /// It was not printed, or not completely.
    Failed {
        /// Why.
        error: Error,
        /// Nothing was printed: the job may be retried, here or on another printer.
        safe_to_retry: bool,
    },
}

/// How the printer proved that a job is on paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The job's own number came back after printing: ESC/POS GS ( H, function 48.
    ProcessId(String),
    /// The printer answered a status request queued behind the job, so it has processed its buffer: ESC/POS GS r.
    BufferDone,
}

/// What a printer can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PrinterDriver"))]
#[non_exhaustive]
pub struct Capabilities {
    /// Printable width.
    pub width: Dots,
    /// Characters of font A on a line.
    pub columns: usize,
    /// Has a cutter. If unknown, cuts are sent: printers without a cutter ignore them.
    pub cutter: Known,
    /// Has a drawer port. If unknown, pulses are sent.
    pub drawer: Known,
    /// Answers status requests.
    pub status: Known,
    /// Reports changes of its status unasked: ESC/POS Automatic Status Back. Unknown until it has done so on this
    /// connection.
    #[serde(default)]
    pub automatic_status: Known,
    /// Confirms a job by number when it is on paper.
    pub process_id: Known,
    /// Opens the drawer even while it is stopped or a job is waiting ([`Panel::kick_drawer`]).
    pub urgent_drawer: Known,
    /// Prints QR codes natively. If unknown, native codes are sent, as most printers can; with `No` they are drawn.
    pub qr: Known,
    /// Prints barcodes natively. If unknown, native codes are sent, as nearly all printers can; with `No` they are
    /// drawn.
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
            automatic_status: Known::Unknown,
            process_id: Known::Unknown,
            urgent_drawer: Known::Unknown,
            qr: Known::Unknown,
            barcodes: Known::Unknown,
        }
    }
}

/// The status of a printer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PrinterStatus"))]
#[non_exhaustive]
pub struct Status {
    /// It is ready to print.
    pub online: Known,
    /// Its cover is open.
    pub cover_open: Known,
    /// Its paper.
    pub paper: Paper,
    /// The drawer's sense pin is high. Which level means open depends on the drawer.
    pub drawer_pin_high: Known,
    /// It reports an error: cutter, head, overheating.
    pub error: Known,
}

/// How much paper there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// Enough.
    Ok,
    /// The near-end sensor reports little paper.
    NearEnd,
    /// None.
    Out,
    /// Not known.
    #[default]
    Unknown,
}

/// What a printer reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PrinterIdentity"))]
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

/// The connector pin that drives the drawer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
