//! Shared by the commands that list rows of the database.

use serde::Serialize;
use serde_json::Value;
use tresen::{Error, Kind, Unreadable};

use crate::out::Out;

/// Reports rows that this version cannot read.
pub(super) fn unreadable(rows: &[Unreadable], out: Out) {
    for row in rows {
        let what = format!("`{}` cannot be read: {}", row.id, row.why);
        out.failed(&Error::new(Kind::Storage, what).hint("another version of tresen may have written it"));
    }
}

/// A state's name in JSON.
pub(super) fn word(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(Value::String(word)) => word,
        _ => "?".into(),
    }
}
