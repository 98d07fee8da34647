use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tresen::api::printer;
use tresen::{Print, Result, Store, SystemRuntime};

use super::running;
use crate::out::Out;

/// Print a job once more that may be on paper or not, marked as a copy
///
/// A running till prints it now. If none has the database open, the job waits for the next one.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database, such as till.db
    file: PathBuf,

    /// The job, as `tresen jobs` lists it
    job: String,

    /// Wait this many seconds for the paper
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let Some(till) = running::till(&args.file).await? else {
        let clock = Arc::new(SystemRuntime::new());
        // Looked at first: nothing is made where there is none.
        drop(Store::open_read_only(&args.file, clock.clone()).await?);
        let store = Store::open(&args.file, clock).await?;
        store.reprint_job(&args.job).await?;
        store.close().await;
        let line = format!("{} waits: the till prints it when it runs", args.job);
        out.answer(&json!({ "queued": args.job }), line);
        return Ok(());
    };
    let within = Some(Duration::from_secs(args.timeout));
    let print = till.call(printer::Reprint { job: args.job.clone(), within }).await?;
    let line = match &print {
        Print::Printed { on, .. } => format!("printed on {on}"),
        Print::Accepted { on } => format!("taken by {on}, which cannot prove it"),
        Print::Waiting { why, .. } => format!("waits: {why}"),
        Print::Printing { on, .. } => format!("is being printed on {on}"),
        Print::Unknown { why, .. } => format!("may be on paper or not: {why}"),
        Print::Unreadable { why, .. } => format!("cannot be printed: {why}"),
        _ => "was cancelled".to_owned(),
    };
    out.answer(&print, format_args!("{} {line}", args.job));
    Ok(())
}
