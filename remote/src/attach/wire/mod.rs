//! The messages about devices of others. The module above says what they mean; `src/api/schema/devices.rs` of the crate `tresen`
//! describes them for other languages. Unknown fields are ignored.

mod picture;
mod terminal;

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tresen::payment::{Progress, Question};
use tresen::printers::{DrawerPin, Job, Proof, Status};
use tresen::{Class, DeviceId, Error, Kind, Result, Scan, cameras, payment, printers, scanners};

use super::bounds;
pub use picture::{After, Picture};
pub use terminal::{Found, Key, Reply, Transact, Transacted};

/// What a handheld sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromHandheld {
    /// All devices that it has; the others are taken away.
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
    /// A scan was not taken, and will not be: too many were waiting.
    Lost(Taken),
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
    /// The devices that can be used now.
    pub devices: Vec<Device>,
    /// Those that it has, and that are away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<DeviceId>,
}

impl Offered {
    /// All devices that the handheld has, in their order.
    pub fn ids(&self) -> Vec<DeviceId> {
        let ids: BTreeSet<_> = self.devices.iter().map(Device::id).chain(self.away.iter().cloned()).collect();
        ids.into_iter().collect()
    }
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
    /// A scan that the handheld could not keep for the till.
    ScanLost(Box<Scan>),
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

/// A scan by its number.
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
            Printed::Unknown(error) => Self::Unknown(bounds::error(error)),
            Printed::Failed { error, safe_to_retry } => Self::Failed { error: bounds::error(error), safe_to_retry },
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

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
