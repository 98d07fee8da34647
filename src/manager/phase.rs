//! The state of a device.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calls::CLOSED;

/// The state of a device.
///
/// Updated on changes only: attempts to reopen a device that stays away for the same reason leave it unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "DevicePhase"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Being opened for the first time, or after its driver failed. Calls wait.
    Opening,
    /// Open.
    Ready,
    /// Not reachable; retried in the background. Calls are refused at once, until its link is open again: then they wait
    /// until the device is ready. A device that is switched off is in this state: it is not an error.
    Away {
        /// The latest reason.
        why: String,
        /// When it was lost, or when the first attempt to open it failed.
        since: Timestamp,
    },
    /// A recording that stood in for the device has been played to its end. A reset plays it again.
    Ended {
        /// How it ended.
        why: String,
    },
    /// The driver failed too often and waits for a reset.
    Faulted {
        /// How it failed.
        why: String,
    },
    /// The device was detached, or the till was closed. Calls are refused, until a device of that class and name is
    /// attached again.
    Closed,
}

impl Phase {
    /// Whether calls are served.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// Whether the device is away and retried in the background.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// Why calls are refused; `None` while the device is open or being opened for the first time.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Away { why, .. } | Self::Ended { why } | Self::Faulted { why } => Some(why),
            Self::Closed => Some(CLOSED),
            Self::Opening | Self::Ready => None,
        }
    }
}
