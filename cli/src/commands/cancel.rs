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
pub(crate) struct Args {
    /// The till's database, such as till.db
    file: PathBuf,

    /// The job, as `tresen jobs` lists it
    job: String,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    match running::till(&args.file).await? {
        Some(till) => till.call(printer::Cancel { job: args.job.clone() }).await?,
        None => {
            let clock = Arc::new(SystemRuntime::new());
            // Opened read-only first, so that a missing database is not created.
            drop(Store::open_read_only(&args.file, clock.clone()).await?);
            let store = Store::open(&args.file, clock).await?;
            store.cancel_job(&args.job).await?;
            store.close().await;
        }
    }
    out.answer(&json!({ "cancelled": args.job }), format_args!("{} is cancelled", args.job));
    Ok(())
}
