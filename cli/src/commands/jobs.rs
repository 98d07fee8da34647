use std::path::PathBuf;
use std::sync::Arc;

use tresen::{JobState, Result, Store, SystemRuntime};

use super::listed::{unreadable, word};
use crate::out::Out;

/// List a till's print jobs; works while the till is running
///
/// Reads only. A job in state `unknown` may be on paper: decide with `tresen reprint` or `tresen cancel`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database, such as till.db
    file: PathBuf,

    /// Include jobs that are printed, accepted or cancelled
    #[arg(short, long)]
    all: bool,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let store = Store::open_read_only(&args.file, Arc::new(SystemRuntime::new())).await?;
    let (mut seen, mut after) = (0, Some(0));
    while let Some(from) = after {
        let page = store.jobs().after(from).await?;
        let done = |state| matches!(state, JobState::Printed | JobState::Accepted | JobState::Cancelled);
        for job in page.rows.iter().filter(|j| args.all || !done(j.state)) {
            seen += 1;
            let why = job.error.as_ref().map_or(String::new(), |why| format!(": {why}"));
            let on = job.printer.as_ref().map_or(String::new(), |printer| format!(" on {printer}"));
            out.answer(
                job,
                format_args!(
                    "{}  {}  for {}{on}, queued {:.0}{why}",
                    job.id,
                    word(&job.state),
                    job.route,
                    job.queued_at
                ),
            );
        }
        unreadable(&page.unreadable, *out);
        after = page.next;
    }
    if seen == 0 {
        out.say("no job is waiting or unknown");
    }
    Ok(())
}
