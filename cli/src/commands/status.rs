use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::{Result, Store, SystemRuntime};

use super::listed::{unreadable, word};
use crate::out::Out;

/// Sum up a till's database, also while the till runs: open payments, waiting paper, open sales
///
/// Reads only. `tresen doctor` looks at the devices.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database, such as till.db
    file: PathBuf,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let store = Store::open_read_only(&args.file, Arc::new(SystemRuntime::new())).await?;
    let (mut payments, mut open, mut after) = (0, 0, Some(0));
    while let Some(from) = after {
        let page = store.payments().after(from).await?;
        payments += page.rows.len();
        open += page.rows.iter().filter(|p| p.is_open()).count();
        unreadable(&page.unreadable, *out);
        after = page.next;
    }
    let (mut jobs, mut after) = (BTreeMap::<String, usize>::new(), Some(0));
    while let Some(from) = after {
        let page = store.jobs().after(from).await?;
        page.rows.iter().for_each(|job| *jobs.entry(word(&job.state)).or_default() += 1);
        unreadable(&page.unreadable, *out);
        after = page.next;
    }
    let states: Vec<_> = jobs.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let lines = [
        format!("till       {}, epoch {}", store.till(), store.epoch()),
        format!("payments   {payments}, {open} open"),
        format!("print jobs {}", if states.is_empty() { "none".into() } else { states.join(", ") }),
    ];
    out.answer(
        &json!({ "till": store.till(), "epoch": store.epoch(), "payments": payments, "open": open, "jobs": jobs }),
        lines.join("\n"),
    );
    Ok(())
}
