use std::path::PathBuf;

use tresen::{AuditEnd, AuditEntry, Result};

use super::super::running::{self, Till};
use crate::out::Out;

/// List what callers from outside did and were refused, newest first
///
/// Every refused and every privileged action: refund, settle, configure, drawer, take-over, enrol, revoke, token. Works on
/// a running till and on the database of one that is closed. "no result recorded": it is running, or the till ended before
/// it did.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,

    /// The most lines to list
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,

    /// Only lines before the one of this number
    #[arg(long, value_name = "N")]
    before: Option<i64>,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let store = running::store(&args.file)?;
    let (before, limit) = (args.before, args.limit);
    let entries = match running::open(&store, *out).await? {
        Till::Running(client) => client.call(tresen::api::remote::Audit { before, limit: Some(limit) }).await?,
        Till::Closed(store) => store.audit(before, limit).await?,
    };
    for entry in &entries {
        out.row(entry, line(entry));
    }
    if entries.is_empty() {
        out.say("nothing was refused, and no privileged action was done");
    }
    Ok(())
}

/// `17 2026-01-02T08:00:00Z handheld 7 (192.0.2.20:51000) terminal.refund counter a-17: refused, …`
fn line(entry: &AuditEntry) -> String {
    let note = &entry.note;
    let mut line = format!("{} {:.0} {}", entry.seq, entry.at, note.principal.as_deref().unwrap_or("a stranger"));
    if let Some(address) = &note.address {
        line += &format!(" ({address})");
    }
    line += &format!(" {}", note.action);
    for part in [&note.device, &note.key].into_iter().flatten() {
        line += &format!(" {part}");
    }
    if let Some(about) = &note.about {
        line += &format!(" [{about}]");
    }
    if let Some(times) = note.times {
        line += &format!(" ({times} times)");
    }
    match (&note.refused, entry.end) {
        (Some(why), AuditEnd::At(_)) => line + ": failed, " + why,
        (Some(why), _) => line + ": refused, " + why,
        (None, AuditEnd::NotRecorded) => line + ": no result recorded",
        (None, _) => line + ": done",
    }
}
