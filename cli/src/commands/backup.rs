use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::{Error, Kind, Progress, Result, Store, SystemRuntime};

use super::running;
use crate::out::Out;

/// Copy a till's database; works while the till is running
///
/// The copy is one file, verified before it gets its name: it is whole or not there. An existing file is never
/// overwritten. Into a folder, it is named after the database and the time in UTC: till-20260102T080000Z.db.
/// A copy on the same disk does not survive that disk. `tresen restore` puts it back.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database or configuration, such as till.db or till.toml
    file: PathBuf,

    /// A new file, or an existing folder
    to: PathBuf,

    /// In a folder: afterwards remove all but the newest backups of this till
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    if args.keep.is_some() && !args.to.is_dir() {
        let error = Error::new(Kind::Input, "`--keep` needs an existing folder").at(args.to.display());
        return Err(error.hint("create the folder, or leave `--keep` out"));
    }
    let path = running::store(&args.file)?;
    let store = Store::open_read_only(&path, Arc::new(SystemRuntime::new())).await?;
    let (mut tenth, notes) = (0, *out);
    let told = move |progress: Progress| {
        let now = progress.copied * 10 / progress.total.max(1);
        if progress.total >= LARGE && now > tenth {
            tenth = now;
            notes.note(format_args!("{}% of {} MiB", now * 10, progress.total >> 20));
        }
    };
    let backup = store.backup_with(args.to.clone(), told).await?;
    let line = format!(
        "{}: {} KiB, up to ticket {} and journal entry {}",
        backup.path.display(),
        backup.bytes.div_ceil(1024),
        backup.extent.number,
        backup.extent.journal
    );
    let removed = match args.keep {
        Some(keep) => store.prune_backups(args.to, keep.into()).await?,
        None => Vec::new(),
    };
    let mut all = serde_json::to_value(&backup).unwrap_or_default();
    all["removed"] = json!(removed);
    out.answer(&all, line);
    for path in removed {
        out.say(format_args!("removed {}", path.display()));
    }
    Ok(())
}

/// From this size on, progress is shown.
const LARGE: u64 = 64 << 20;
