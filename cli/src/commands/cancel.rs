use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::api::printer;
use tresen::{Result, Store, SystemRuntime};

use super::running;
use crate::out::Out;

/// Cancel a print job that is waiting or may already be on paper
///
/// Asks the running till to do it; if no till has the database open, writes to the database directly.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen jobs till.toml                          which jobs wait or need a decision
  tresen cancel till.toml receipt-17")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The job, as `tresen jobs` lists it
    job: String,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let place = running::store(&args.file)?;
    match running::till(&place).await? {
        Some(till) => till.call(printer::Cancel { job: args.job.clone() }).await?,
        None => {
            let clock = Arc::new(SystemRuntime::new());
            // Opened read-only first, so that a missing database is not created.
            drop(Store::open_read_only(&place, clock.clone()).await?);
            let store = Store::open(&place, clock).await?;
            store.cancel_job(&args.job).await?;
            store.close().await;
        }
    }
    out.answer(&json!({ "cancelled": args.job }), format_args!("{} is cancelled", args.job));
    Ok(())
}
