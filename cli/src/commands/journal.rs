use std::path::PathBuf;

use jiff::Timestamp;
use tresen::api::listing;
use tresen::{JournalEntry, Result};

use super::listed::pages;
use super::running;
use super::when::when;
use crate::out::Out;

/// List a till's journal, one line per step, oldest first; works while the till is running
///
/// A running till is asked; if none is running, its database is read. Card numbers are masked.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  tresen journal till.toml --since 2h
  tresen journal till.db --key 0198f3a2-…        the steps of one payment or sale
  tresen --json journal till.db --after 1200 --limit 100")]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// Only entries after this sequence number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: i64,

    /// Only entries of this payment or sale
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Only entries written since then: 2026-01-02, "2026-01-02 08:00", or 90m for 90 minutes ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<Timestamp>,

    /// At most this many; the end of the page says how to go on
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let till = running::open(&running::store(&args.file)?, *out).await?;
    let page = async |after| {
        let (limit, key, since) = (args.limit, args.key.clone(), args.since);
        till.journal(listing::Journal { after, limit, key, since }).await
    };
    let line = |line: &JournalEntry| format!("{:>6}  {:.0}  {:<12} {}", line.seq, line.at, line.kind, line.key);
    pages(*out, args.after, args.limit, "no entries", page, line).await
}
