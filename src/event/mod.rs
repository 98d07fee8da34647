//! Events of the till and its devices.

mod bus;
mod kind;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::class::DeviceId;

pub use bus::Events;
pub(crate) use bus::{Bus, Reporter};
pub use kind::EventKind;

/// An event and its source.
///
/// Events are telemetry: a listener that is too slow loses the oldest, and [`Event::seq`] shows the gap. Anything that
/// must not be lost is in the journal and the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Event {
    /// Its number; starts at 1 when the till is opened and grows by one.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Where it happened.
    pub source: Source,
    /// What happened.
    pub kind: EventKind,
}

/// The source of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "EventSource"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A device.
    Device(DeviceId),
    /// A print route, or a printer acting as its own route; its name.
    Route(String),
    /// The till itself.
    Till,
}

impl Source {
    /// The logical name of the device or route; `till` for the till itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Device(device) => &device.name,
            Self::Route(route) => route,
            Self::Till => "till",
        }
    }

    /// The device, if the source is one.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(device) => Some(device),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => device.fmt(f),
            Self::Route(route) => write!(f, "route {route}"),
            Self::Till => f.write_str("till"),
        }
    }
}
