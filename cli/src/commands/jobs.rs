use std::path::PathBuf;

use jiff::Timestamp;
use tresen::api::listing;
use tresen::{JobState, Result, SpooledJob};

use super::listed::{pages, word};
use super::running;
use super::when::when;
use crate::out::Out;

/// List a till's print jobs, oldest first; works while the till is running
///
/// A running till is asked; if none is running, its database is read. A job in state `unknown` may be on
/// paper: decide with `tresen reprint` or `tresen cancel`.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen jobs till.toml                          what waits or needs a decision
  tresen jobs till.toml --all --since 2h         everything of the last two hours
  tresen jobs till.toml --state unknown --route kitchen
  tresen jobs till.db --all --limit 50 --after 1200")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// Include jobs that are printed, accepted or cancelled
    #[arg(short, long)]
    all: bool,

    /// Only jobs in this state; may be repeated
    #[arg(long, value_name = "STATE", conflicts_with = "all", value_parser = state)]
    state: Vec<JobState>,

    /// Only jobs of this route or printer
    #[arg(long, value_name = "NAME")]
    route: Option<String>,

    /// Only jobs queued since then: 2026-01-02, "2026-01-02 08:00", or 90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<Timestamp>,

    /// Only jobs after this position, as the end of the previous page names it
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: i64,

    /// At most this many; the end of the page says how to go on
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

fn state(text: &str) -> std::result::Result<JobState, String> {
    let all = "expected one of queued, printing, printed, accepted, unknown, cancelled, unreadable";
    serde_json::from_value(text.into()).map_err(|_| all.to_owned())
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let till = running::open(&running::store(&args.file)?, *out).await?;
    let undone = || vec![JobState::Queued, JobState::Printing, JobState::Unknown, JobState::Unreadable];
    let (states, none) = match (args.all, args.state.is_empty()) {
        (false, true) => (undone(), "no job is waiting or unknown"),
        (false, false) => (args.state, "no job is in such a state"),
        (true, _) => (args.state, "no jobs"),
    };
    let page = async |after| {
        let (states, route) = (states.clone(), args.route.clone());
        till.jobs(listing::Jobs { after, limit: args.limit, states, route, since: args.since }).await
    };
    let line = |job: &SpooledJob| {
        let why = job.error.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let on = job.printer.as_ref().map_or(String::new(), |printer| format!(" on {printer}"));
        format!("{}  {}  for {}{on}, queued {:.0}{why}", job.id, word(&job.state), job.route, job.queued_at)
    };
    pages(*out, args.after, args.limit, none, page, line).await
}
