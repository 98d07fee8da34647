//! The messages about devices of others. The module above says what they mean.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tresen::cameras::{self, PixelFormat};
use tresen::payment::{
    self, Answer, Card, EndOfDay, Operation, OperationKind, Outcome, Payment, Progress, Question, Reference, Totals,
};
use tresen::printers::{self, DrawerPin, Job, Proof, Status};
use tresen::{Amount, Class, Clock, DeviceId, Error, Kind, Result, Scan, scanners};

/// What a handheld sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromHandheld {
    /// All devices that it has.
    Offer(Offered),
    /// The answer to an ask.
    Answer(Answered),
    /// What a device tells unasked.
    Notice(Notice),
    /// A device is away.
    Gone(Gone),
}

impl FromHandheld {
    /// Whether a text begins like one of these messages.
    pub(crate) fn begins(text: &str) -> bool {
        let rest = text.trim_start().strip_prefix('{').map(str::trim_start).and_then(|rest| rest.strip_prefix('"'));
        let name = rest.and_then(|rest| rest.split('"').next());
        matches!(name, Some("offer" | "answer" | "notice" | "gone"))
    }
}

/// What the till sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromTill {
    /// A call to a device.
    Ask(Ask),
    /// A scan was taken.
    Taken(Taken),
    /// The answer to an offer.
    Attached {
        /// Each device that was offered.
        devices: Vec<Attached>,
    },
    /// Another connection of the same handheld has taken over.
    Replaced {
        /// Its run.
        by: String,
    },
}

/// An offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offered {
    /// The run of the handheld's program.
    pub run: String,
    /// Its devices.
    pub devices: Vec<Device>,
}

/// A device that is offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "kebab-case")]
pub enum Device {
    /// A printer.
    Printer {
        /// Its name at the handheld.
        name: String,
        /// What it can do.
        capabilities: printers::Capabilities,
    },
    /// A scanner.
    Scanner {
        /// Its name at the handheld.
        name: String,
        /// What it can do.
        capabilities: scanners::Capabilities,
    },
    /// A camera.
    Camera {
        /// Its name at the handheld.
        name: String,
        /// What it can do.
        capabilities: cameras::Capabilities,
    },
    /// A payment terminal.
    Terminal {
        /// Its name at the handheld.
        name: String,
        /// What it can do.
        capabilities: payment::Capabilities,
        /// The id of the database in which the handheld journals its payments.
        journal: String,
    },
}

impl Device {
    /// Its class and its name at the handheld.
    pub fn id(&self) -> DeviceId {
        match self {
            Self::Printer { name, .. } => DeviceId::new(Class::Printer, name),
            Self::Scanner { name, .. } => DeviceId::new(Class::Scanner, name),
            Self::Camera { name, .. } => DeviceId::new(Class::Camera, name),
            Self::Terminal { name, .. } => DeviceId::new(Class::Terminal, name),
        }
    }
}

/// What became of an offered device: one of `as` and `refused`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attached {
    /// The device, as the handheld names it.
    pub device: DeviceId,
    /// Its name at the till.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why the till does not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Error>,
}

impl PartialEq for Attached {
    fn eq(&self, other: &Self) -> bool {
        let why = |attached: &Self| attached.refused.as_ref().map(ToString::to_string);
        (&self.device, &self.name, why(self)) == (&other.device, &other.name, why(other))
    }
}

/// A call to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Its number on this connection.
    pub id: u64,
    /// The device, as the handheld names it.
    pub device: DeviceId,
    /// What to do.
    pub call: String,
    /// The call's fields.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub with: Value,
}

/// The answer to an [`Ask`]: one of `reply` and `error`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answered {
    /// The ask's number.
    pub id: u64,
    /// What was done.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl PartialEq for Answered {
    fn eq(&self, other: &Self) -> bool {
        let why = |answered: &Self| answered.error.as_ref().map(ToString::to_string);
        (self.id, &self.reply, why(self)) == (other.id, &other.reply, why(other))
    }
}

/// What a device tells unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The device, as the handheld names it.
    pub device: DeviceId,
    /// What it tells.
    pub event: Told,
}

/// What devices tell unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// A printer's status.
    Status(Status),
    /// A scan.
    Scan {
        /// Its number; grows within a run of the handheld.
        number: u64,
        /// What was read.
        scan: Box<Scan>,
    },
    /// A text of a terminal for the cashier.
    Notice(String),
    /// A transaction made progress.
    Progress {
        /// Its key, as the till named it.
        key: String,
        /// What happened.
        progress: Progress,
    },
    /// A running transaction asks something.
    Question {
        /// The transaction's key, as the till named it.
        key: String,
        /// The question's id at the handheld.
        id: String,
        /// The question.
        question: Box<Question>,
    },
    /// A question is not open any more.
    Withdrawn {
        /// Its id.
        id: String,
    },
}

/// A device is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The device, as the handheld names it.
    pub device: DeviceId,
    /// Why.
    pub why: String,
}

/// A scan was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The scanner, as the handheld names it.
    pub device: DeviceId,
    /// The scan's number.
    pub number: u64,
}

/// The fields of `print`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Print {
    /// The attempt's key.
    pub key: String,
    /// What to print.
    pub job: Job,
}

/// How a print attempt ended: [`printers::Outcome`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Printed {
    /// On paper, with proof.
    Printed(Proof),
    /// The printer took all of it.
    Accepted,
    /// All, some or none of it is on paper.
    Unknown(Error),
    /// Not printed, or not completely.
    Failed {
        /// Why.
        error: Error,
        /// Nothing was printed.
        safe_to_retry: bool,
    },
}

impl From<printers::Outcome> for Printed {
    fn from(outcome: printers::Outcome) -> Self {
        match outcome {
            printers::Outcome::Printed(proof) => Self::Printed(proof),
            printers::Outcome::Accepted => Self::Accepted,
            printers::Outcome::Unknown(error) => Self::Unknown(error),
            printers::Outcome::Failed { error, safe_to_retry } => Self::Failed { error, safe_to_retry },
            other => Self::Unknown(Error::new(Kind::Protocol, format!("unknown outcome: {other:?}"))),
        }
    }
}

impl From<Printed> for printers::Outcome {
    fn from(printed: Printed) -> Self {
        match printed {
            Printed::Printed(proof) => Self::Printed(proof),
            Printed::Accepted => Self::Accepted,
            Printed::Unknown(error) => Self::Unknown(error),
            Printed::Failed { error, safe_to_retry } => Self::Failed { error, safe_to_retry },
        }
    }
}

/// The fields of `kick-drawer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kick {
    /// Which drawer.
    pub pin: DrawerPin,
}

/// The fields of a scanner's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Enabled; a good beep; pressed.
    pub on: bool,
}

/// The fields of `frame`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The number of the last frame that the till has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// A frame, as a JPEG; one that does not fit a message as its grey values, made smaller until they do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// How its bytes are laid out: `mjpeg` or `grey8`.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Its number in the camera's stream.
    pub number: u64,
    /// A stored picture: a second identical frame proves nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still: bool,
    /// Its bytes, in base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub data: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { format, width, height, number, .. } = self;
        write!(f, "Picture({format:?}, {width}x{height}, number {number}, {} bytes)", self.data.len())
    }
}

impl Picture {
    /// Maximum number of its bytes: it fits into a message of 1 MiB in base64.
    pub const BYTES: usize = 700 << 10;

    /// A frame as it is sent. Takes tens of milliseconds where it has to be encoded.
    ///
    /// # Errors
    /// [`Kind::Input`]: a JPEG that cannot be decoded, and is too large as it is.
    pub fn of(frame: &cameras::Frame) -> Result<Self> {
        let (number, still) = (frame.sequence(), frame.is_still());
        let (width, height) = (frame.width(), frame.height());
        let fits = frame.format() == PixelFormat::Mjpeg && frame.data().len() <= Self::BYTES;
        let data = if fits { frame.data().to_vec() } else { frame.jpeg()? };
        if data.len() <= Self::BYTES {
            return Ok(Self { format: PixelFormat::Mjpeg, width, height, number, still, data });
        }
        let mut scratch = Vec::new();
        let grey = frame.grey(&mut scratch)?;
        let (width, height) = (grey.width(), grey.height());
        let by = (1..).find(|by| (width / by) * (height / by) <= Self::BYTES).unwrap_or(1);
        let rows = (0..height / by).map(|row| grey.row(row * by));
        let data = rows.flat_map(|row| row.iter().step_by(by).take(width / by).copied()).collect();
        let side = |pixels: usize| u32::try_from(pixels / by).unwrap_or(u32::MAX);
        Ok(Self { format: PixelFormat::Grey8, width: side(width), height: side(height), number, still, data })
    }

    /// As a frame of the till, taken now by `clock`.
    ///
    /// # Errors
    /// [`Kind::Input`]: its size and its bytes do not fit.
    pub fn into_frame(self, clock: &dyn Clock) -> Result<cameras::Frame> {
        let frame = cameras::Frame::new(self.format, self.width, self.height, self.data, clock)?.numbered(self.number);
        Ok(if self.still { frame.still() } else { frame })
    }
}

/// The fields of `transact`: [`Operation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transact {
    /// What kind of operation.
    pub operation: OperationKind,
    /// The key of one that moves or holds money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The earlier transaction that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Reference>,
    /// The product of a top-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The text to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// For how long it is shown, or a card is waited for: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<SignedDuration>,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Box<Question>>,
}

impl Transact {
    /// An operation as it is sent.
    pub fn of(operation: &Operation) -> Self {
        let kind = operation.kind();
        let mut sent = Self {
            operation: kind,
            key: None,
            amount: None,
            of: None,
            product: None,
            text: None,
            within: None,
            question: None,
        };
        let duration = |within: &std::time::Duration| SignedDuration::try_from(*within).unwrap_or(SignedDuration::MAX);
        match operation {
            Operation::Reverse { of, .. }
            | Operation::Increment { of, .. }
            | Operation::Book { of, .. }
            | Operation::Release { of, .. }
            | Operation::Tip { of, .. } => sent.of = Some(of.clone()),
            Operation::TopUp { product, .. } => sent.product.clone_from(product),
            Operation::ReadCard { within } => sent.within = Some(duration(within)),
            Operation::Display { text, within } => {
                (sent.text, sent.within) = (Some(text.clone()), Some(duration(within)));
            }
            Operation::Input { question } => sent.question = Some(Box::new(question.clone())),
            _ => {}
        }
        if let Ok((_, request)) = operation.clone().into_transaction() {
            (sent.key, sent.amount) = (Some(request.intent.0), Some(request.amount));
        }
        sent
    }

    /// The operation, under the key `rename` makes of its own.
    ///
    /// # Errors
    /// [`Kind::Input`]: a field is missing. [`Kind::Unsupported`]: this version does not know the operation.
    pub fn into_operation(self, rename: impl FnOnce(&str) -> String) -> Result<Operation> {
        let kind = self.operation;
        let missing = |field: &str| Error::new(Kind::Input, format!("`{}` lacks `{field}`", kind.name()));
        let (key, amount, of) = (self.key, self.amount, self.of);
        let request = || -> Result<payment::Request> {
            let key = key.as_deref().filter(|key| !key.is_empty()).ok_or_else(|| missing("key"))?;
            Ok(payment::Request::new(rename(key), amount.ok_or_else(|| missing("amount"))?))
        };
        let of = || of.ok_or_else(|| missing("of"));
        let within = || {
            let within = self.within.ok_or_else(|| missing("within"))?;
            std::time::Duration::try_from(within).map_err(|_| missing("within"))
        };
        Ok(match kind {
            OperationKind::Pay => Operation::Pay(request()?),
            OperationKind::Refund => Operation::Refund(request()?),
            OperationKind::Reversal => Operation::Reverse { request: request()?, of: of()? },
            OperationKind::PreAuthorisation => Operation::PreAuthorise(request()?),
            OperationKind::Increment => Operation::Increment { request: request()?, of: of()? },
            OperationKind::Booking => Operation::Book { request: request()?, of: of()? },
            OperationKind::Release => Operation::Release { request: request()?, of: of()? },
            OperationKind::Tip => Operation::Tip { request: request()?, of: of()? },
            OperationKind::TopUp => Operation::TopUp { request: request()?, product: self.product },
            OperationKind::ReadCard => Operation::ReadCard { within: within()? },
            OperationKind::Display => {
                Operation::Display { within: within()?, text: self.text.ok_or_else(|| missing("text"))? }
            }
            OperationKind::Input => Operation::Input { question: *self.question.ok_or_else(|| missing("question"))? },
            OperationKind::Reprint => Operation::Reprint,
            OperationKind::Totals => Operation::Totals,
            OperationKind::EndOfDay => Operation::EndOfDay,
            OperationKind::Diagnosis => Operation::Diagnosis,
            OperationKind::Initialisation => Operation::Initialise,
            other => return Err(other.unsupported()),
        })
    }
}

/// How an operation ended: [`Outcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transacted {
    /// What moves or holds money.
    Payment(Payment),
    /// A card was read.
    Card(Card),
    /// What was entered.
    Answer(Answer),
    /// A receipt, line by line.
    Receipt(Vec<String>),
    /// The turnover.
    Totals(Totals),
    /// The day is closed.
    Day(EndOfDay),
    /// It is done.
    Done(Vec<String>),
}

impl Transacted {
    /// An outcome as it is sent.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: this version cannot send it.
    pub fn of(outcome: Outcome) -> Result<Self> {
        Ok(match outcome {
            Outcome::Payment(payment) => Self::Payment(payment),
            Outcome::Card(card) => Self::Card(card),
            Outcome::Answer(answer) => Self::Answer(answer),
            Outcome::Receipt(lines) => Self::Receipt(lines),
            Outcome::Totals(totals) => Self::Totals(totals),
            Outcome::Day(day) => Self::Day(day),
            Outcome::Done(lines) => Self::Done(lines),
            _ => return Err(Error::new(Kind::Unsupported, "its outcome cannot be sent")),
        })
    }
}

impl From<Transacted> for Outcome {
    fn from(transacted: Transacted) -> Self {
        match transacted {
            Transacted::Payment(payment) => Self::Payment(payment),
            Transacted::Card(card) => Self::Card(card),
            Transacted::Answer(answer) => Self::Answer(answer),
            Transacted::Receipt(lines) => Self::Receipt(lines),
            Transacted::Totals(totals) => Self::Totals(totals),
            Transacted::Day(day) => Self::Day(day),
            Transacted::Done(lines) => Self::Done(lines),
        }
    }
}

/// The fields of `find` and `abort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key, as the till named it.
    pub key: String,
}

/// How a transaction stands at the handheld.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Its journal has no such key, and nothing runs under it.
    Never,
    /// It runs or waits for its turn.
    Running,
    /// It was begun, and how it ended is not known yet.
    Open {
        /// What is known.
        why: String,
        /// The terminal was asked and could not tell.
        asked: bool,
    },
    /// It has ended.
    Ended(Payment),
}

/// The fields of `answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The question's id at the handheld.
    pub question: String,
    /// The answer.
    pub answer: Answer,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn to_base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(data))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
}
