//! The origin of a row, as named by the caller.

use serde::{Deserialize, Serialize};

/// Who requested something: a station, the source of the request, the operator. The strings are the caller's own; they
/// are stored with each row and never interpreted.
///
/// ```
/// let origin = tresen::Origin::new().station("bar").operator("anna");
/// assert_eq!(origin.station.as_deref(), Some("bar"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct Origin {
    /// The station: a till, a handheld, a kiosk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    /// The source: an order number, another system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl From<&str> for Origin {
    /// An origin with only a station.
    fn from(station: &str) -> Self {
        Self::new().station(station)
    }
}

impl Origin {
    /// An unknown origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// The station, or else the operator or the source: names the caller in errors of waiting calls.
    pub(crate) fn caller(&self) -> Option<&str> {
        self.station.as_deref().or(self.operator.as_deref()).or(self.source.as_deref())
    }

    /// Sets the station.
    #[must_use]
    pub fn station(self, station: impl Into<String>) -> Self {
        Self { station: Some(station.into()), ..self }
    }

    /// Sets the source.
    #[must_use]
    pub fn source(self, source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Sets the operator.
    #[must_use]
    pub fn operator(self, operator: impl Into<String>) -> Self {
        Self { operator: Some(operator.into()), ..self }
    }
}

impl Origin {
    /// Reads three columns of a row, starting at `first`.
    pub(super) fn read(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { station: row.get(first)?, source: row.get(first + 1)?, operator: row.get(first + 2)? })
    }
}
