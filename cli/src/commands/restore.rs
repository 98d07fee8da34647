use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::{Restored, Result, Store, SystemRuntime};

use super::running;
use crate::out::Out;

/// Put a backup back in place of a till's database
///
/// The till must not be running. The database that is there is kept beside it, with the time in its name. The
/// restored till begins a new epoch and continues after the highest ticket number of both files. What only the
/// replaced file has is not in the restored one: the numbers are shown. Print jobs that were waiting in the
/// backup are parked, since they may have been printed. Card payments that had begun are in doubt, and the terminals are
/// asked about them. Payments that began after the backup was taken are listed at the terminals only.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The backup
    backup: PathBuf,

    /// The till's database or configuration, such as till.db or till.toml
    file: PathBuf,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    // A new database may be made where there is none.
    let is_new = !args.file.exists() && args.file.extension().is_none_or(|end| end != "toml");
    let file = if is_new { args.file } else { running::store(&args.file)? };
    let done = Store::restore(&args.backup, &file, Arc::new(SystemRuntime::new())).await?;
    let mut all = serde_json::to_value(&done).unwrap_or_default();
    all["missing-entries"] = json!(done.missing_entries());
    all["missing-numbers"] = json!(done.missing_numbers());
    out.answer(&all, told(&done));
    Ok(())
}

fn told(done: &Restored) -> String {
    let mut lines = vec![format!(
        "{}: restored up to ticket {} and journal entry {}; epoch {}",
        done.path.display(),
        done.backup.number,
        done.backup.journal,
        done.epoch
    )];
    if let Some(kept) = &done.kept {
        lines.push(format!("the replaced file is kept as {}", kept.display()));
    }
    match (&done.replaced, done.missing_entries(), done.missing_numbers()) {
        (Some(replaced), entries, numbers) if entries > 0 || numbers > 0 => lines.push(format!(
            "only the replaced file has tickets {} to {} and {entries} entries of the journal",
            done.backup.number + i64::from(numbers > 0),
            replaced.number
        )),
        (None, ..) if done.kept.is_some() => lines.push("the replaced file cannot be read".into()),
        _ => {}
    }
    if done.in_doubt > 0 {
        lines.push(format!(
            "{} card payments are in doubt: the till asks the terminals; decide the rest with `tresen settle`",
            done.in_doubt
        ));
    }
    if let Some(until) = done.known_until {
        lines.push(format!(
            "it knows nothing of payments since {until:.0}: compare them at the terminals before a sale is paid again"
        ));
    }
    if done.parked > 0 {
        lines.push(format!(
            "{} waiting print jobs are parked: decide with `tresen reprint` or `tresen cancel`",
            done.parked
        ));
    }
    lines.join("\n")
}
