//! Where a row comes from, in the caller's own words.

use serde::{Deserialize, Serialize};

/// Who asked for something: a station, the source it came from, the operator. The strings are the
/// caller's own; the store keeps them with each row and never reads them.
///
/// ```
/// let origin = tresen::Origin::new().station("bar").operator("anna");
/// assert_eq!(origin.station.as_deref(), Some("bar"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Origin {
    /// The station: a till, a handheld, a kiosk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    /// What it came from: an order number, another system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl From<&str> for Origin {
    /// A station.
    fn from(station: &str) -> Self {
        Self::new().station(station)
    }
}

impl Origin {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The station, or else the operator or the source: for those who wait behind a call.
    pub(crate) fn caller(&self) -> Option<&str> {
        self.station.as_deref().or(self.operator.as_deref()).or(self.source.as_deref())
    }

    /// At this station.
    #[must_use]
    pub fn station(self, station: impl Into<String>) -> Self {
        Self { station: Some(station.into()), ..self }
    }

    /// From this source.
    #[must_use]
    pub fn source(self, source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// By this operator.
    #[must_use]
    pub fn operator(self, operator: impl Into<String>) -> Self {
        Self { operator: Some(operator.into()), ..self }
    }
}

impl Origin {
    /// Three columns of a row, from the `first` on.
    pub(super) fn read(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { station: row.get(first)?, source: row.get(first + 1)?, operator: row.get(first + 2)? })
    }
}
