use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tresen::api::till;
use tresen::{DeviceState, Phase, Result, Store, SystemRuntime};

use super::listed::{unreadable, word};
use super::running;
use crate::out::Out;

/// Summarise a till: open payments, waiting print jobs, and the devices if it is running
///
/// Reads only. `tresen watch` follows a running till; `tresen doctor` checks devices without one.
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
    let running = match running::till(&args.file).await {
        Ok(Some(till)) => Some(till.call(till::Snapshot {}).await?.devices),
        Ok(None) => None,
        // The database can still be read.
        Err(error) => {
            out.failed(&error);
            None
        }
    };
    let mut lines = vec![
        format!("till       {}, epoch {}", store.till(), store.epoch()),
        format!("payments   {payments}, {open} open"),
        format!("print jobs {}", if states.is_empty() { "none".into() } else { states.join(", ") }),
    ];
    match &running {
        Some(states) => lines.push(devices(states)),
        None => lines.push("devices    no till is running".to_owned()),
    }
    out.answer(
        &json!({
            "till": store.till(), "epoch": store.epoch(), "payments": payments, "open": open, "jobs": jobs,
            "devices": running,
        }),
        lines.join("\n"),
    );
    Ok(())
}

/// The devices of a running till, one per line.
pub(super) fn devices(states: &[DeviceState]) -> String {
    let lines = states.iter().map(|state| {
        let phase = match &state.phase {
            Phase::Opening => "opening".to_owned(),
            Phase::Ready => "ready".to_owned(),
            Phase::Away { why, since } => format!("away since {since:.0}: {why}"),
            Phase::Ended { why } => format!("ended: {why}"),
            Phase::Faulted { why } => format!("faulted: {why}"),
            _ => "closed".to_owned(),
        };
        let busy = state.busy_with.as_ref().map_or(String::new(), |with| format!(", busy with {with}"));
        let attention: String = state.attention.iter().map(|what| format!(", {}", word(what))).collect();
        format!("{:<10} {}: {phase}{busy}{attention}", state.id.class.name(), state.id.name)
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { "devices    none".to_owned() } else { lines.join("\n") }
}
