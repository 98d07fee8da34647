//! Timeouts, as milliseconds in JSON.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[expect(clippy::ref_option, reason = "serde hands it over like this")]
pub(super) fn serialize<S: Serializer>(within: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
}

/// The requested timeout or the default; at most a day, so that it can be added to any time.
pub(super) fn patience(within: Option<Duration>, usual: Duration) -> Duration {
    within.unwrap_or(usual).min(Duration::from_secs(24 * 3600))
}
