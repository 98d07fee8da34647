use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tresen::api::printer;
use tresen::{Print, Result, Store, SystemRuntime};

use super::running;
use crate::out::Out;

/// Reprint a job that may already be on paper, marked as a copy
///
/// A running till prints it now. If no till has the database open, the job is queued for the next start.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen jobs till.toml --state unknown          which jobs may be on paper
  tresen reprint till.toml receipt-17")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The job, as `tresen jobs` lists it
    job: String,

    /// Wait this many seconds for the job to be printed
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let place = running::store(&args.file)?;
    let Some(till) = running::till(&place).await? else {
        let clock = Arc::new(SystemRuntime::new());
        // Opened read-only first, so that a missing database is not created.
        drop(Store::open_read_only(&place, clock.clone()).await?);
        let store = Store::open(&place, clock).await?;
        store.reprint_job(&args.job).await?;
        store.close().await;
        let line = format!("{} is queued: the till prints it at its next start", args.job);
        out.answer(&json!({ "queued": args.job }), line);
        return Ok(());
    };
    let within = Some(Duration::from_secs(args.timeout));
    let print = till.call(printer::Reprint { job: args.job.clone(), within }).await?;
    let line = match &print {
        Print::Printed { on, .. } => format!("printed on {on}"),
        Print::Accepted { on } => format!("accepted by {on}, which cannot confirm printing"),
        Print::Waiting { why, .. } => format!("is waiting: {why}"),
        Print::Printing { on, .. } => format!("is being printed on {on}"),
        Print::Unknown { why, .. } => format!("may be on paper or not: {why}"),
        Print::Unreadable { why, .. } => format!("cannot be printed: {why}"),
        _ => "was cancelled".to_owned(),
    };
    out.answer(&print, format_args!("{} {line}", args.job));
    Ok(())
}
