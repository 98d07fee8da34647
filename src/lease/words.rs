//! The public values of leases.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::class::DeviceId;
use crate::manager::{Device, DeviceClass};
use crate::sale::Sale;

/// What can be leased.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseTarget"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A device.
    Device(DeviceId),
    /// An open sale, such as a table's order, by its id.
    Sale(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => device.fmt(f),
            Self::Sale(sale) => write!(f, "sale {sale}"),
        }
    }
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

impl From<DeviceId> for Target {
    fn from(device: DeviceId) -> Self {
        Self::Device(device)
    }
}

impl From<&DeviceId> for Target {
    fn from(device: &DeviceId) -> Self {
        Self::Device(device.clone())
    }
}

impl<C: DeviceClass> From<&Device<C>> for Target {
    fn from(device: &Device<C>) -> Self {
        Self::Device(device.id())
    }
}

impl From<&Sale> for Target {
    fn from(sale: &Sale) -> Self {
        Self::Sale(sale.id().to_owned())
    }
}

/// Names one lease: calls made with it are refused once that lease has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseKey"))]
pub struct Key {
    /// The target.
    pub target: Target,
    /// The lease's number, which grows from lease to lease of one target.
    pub token: u64,
}

/// A lease as granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseGrant"))]
#[non_exhaustive]
pub struct Grant {
    /// Its key.
    #[serde(flatten)]
    pub key: Key,
    /// Who has it.
    pub holder: String,
    /// Since when.
    pub since: Timestamp,
    /// When it expires unless it is renewed.
    pub until: Timestamp,
}

/// The kind of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseNature"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// Leased by name, until it is released or expires.
    Leased,
    /// A transaction of a named caller, which ends with it.
    Transaction,
    /// The named listener of a scanner that nobody has leased.
    Listener,
}

/// How a lease ended, or is going to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseEnd"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Its holder released it.
    Released,
    /// Its holder did not renew it.
    Expired,
    /// Somebody took it over.
    TakenOver {
        /// Who.
        by: String,
        /// The reason given.
        why: String,
    },
    /// The sale was closed or voided.
    Closed,
    /// The device was removed from the till.
    Removed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("it was released"),
            Self::Expired => f.write_str("it was not renewed"),
            Self::TakenOver { by, why } => write!(f, "`{by}` took it over: {why}"),
            Self::Closed => f.write_str("the sale is no longer open"),
            Self::Removed => f.write_str("the device was removed"),
        }
    }
}

/// Somebody who asks the holder to let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseWish"))]
#[non_exhaustive]
pub struct Wish {
    /// Who.
    pub by: String,
    /// The reason given.
    pub why: String,
    /// When it was asked last.
    pub at: Timestamp,
}

/// Somebody in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseWaiting"))]
#[non_exhaustive]
pub struct Waiting {
    /// Who.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
    /// When the place is lost unless it is renewed.
    pub until: Timestamp,
}

/// A lease as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseView"))]
#[non_exhaustive]
pub struct View {
    /// The target.
    pub target: Target,
    /// Who has it.
    pub holder: String,
    /// Its kind.
    pub nature: Nature,
    /// Since when.
    pub since: Timestamp,
    /// When it expires unless it is renewed; `None` while it is in use, or ends with a transaction.
    pub until: Option<Timestamp>,
    /// Why it ends with the running transaction.
    pub ending: Option<End>,
    /// Who asks its holder to let go.
    pub asked: Vec<Wish>,
    /// Who waits for it, in order.
    pub waiting: Vec<Waiting>,
}

/// The answer to whoever queues for a lease, or takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LeaseTurn"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// It is theirs.
    Granted(Grant),
    /// It is not yet their turn.
    Waiting {
        /// The place in the queue, from 1.
        place: usize,
        /// Since when they wait.
        since: Timestamp,
        /// When the place is lost unless they queue again.
        until: Timestamp,
        /// The lease they wait for.
        lease: Box<View>,
    },
}
