//! Shared by the commands that list rows of the database.

use serde::Serialize;
use serde_json::{Value, json};
use tresen::{Error, Kind, Listing, Result, Unreadable};

use crate::out::Out;

/// Prints page after page of rows after position `after`, each as `line` says it; with a `limit` only the first page, and
/// how to go on. If there is no row at all, it says `none`.
pub(super) async fn pages<T: Serialize>(
    out: Out,
    after: i64,
    limit: Option<u32>,
    none: &str,
    mut page: impl AsyncFnMut(i64) -> Result<Listing<T>>,
    line: impl Fn(&T) -> String,
) -> Result<()> {
    let (mut seen, mut after) = (0, Some(after));
    while let Some(from) = after {
        let listing = page(from).await?;
        seen += listing.rows.len() + listing.unreadable.len();
        listing.rows.iter().for_each(|row| out.row(row, line(row)));
        unreadable(&listing.unreadable, out);
        after = listing.next;
        if let Some(next) = after.filter(|_| limit.is_some()) {
            out.answer(&json!({ "next": next }), format_args!("more with --after {next}"));
            return Ok(());
        }
    }
    if seen == 0 {
        out.say(none);
    }
    Ok(())
}

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
