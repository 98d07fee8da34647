use std::path::PathBuf;

use tresen::{Event, Result};

use super::running;
use super::status::{devices, nobody};
use crate::out::Out;

/// Show the devices of a running till and follow its events
///
/// With --json, prints the devices as one object, then one event per line. Ends when the till closes, or on
/// Ctrl-C. Exit status: 1 if no till has the database open.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's configuration or database, such as till.toml or till.db
    file: PathBuf,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let place = running::store(&args.file)?;
    let till = running::till(&place).await?.ok_or_else(|| nobody(&place))?;
    let mut following = till.follow().await?;
    out.answer(&following.snapshot, devices(&following.snapshot.devices));
    loop {
        let event = tokio::select! {
            event = following.next() => event?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(event) = event else {
            out.say("the till has closed");
            return Ok(());
        };
        tell(&event, *out);
    }
}

/// Prints an event.
pub(super) fn tell(event: &Event, out: Out) {
    let more = serde_json::to_value(&event.kind).unwrap_or_default();
    let more = match &more[event.kind.name()] {
        serde_json::Value::Null => String::new(),
        more => format!(" {more}"),
    };
    out.answer(event, format_args!("{:.0}  {}  {}{more}", event.at, event.source, event.kind.name()));
}
