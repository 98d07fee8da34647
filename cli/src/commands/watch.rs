use std::path::PathBuf;

use tresen::api::socket;
use tresen::{Error, Kind, Result};

use super::running;
use super::status::devices;
use crate::out::Out;

/// Show the devices of a running till and follow its events
///
/// With --json, prints the devices as one object, then one event per line. Ends when the till closes, or on
/// Ctrl-C. Exit status: 1 if no till has the database open.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The till's database, such as till.db
    file: PathBuf,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let Some(till) = running::till(&args.file).await? else {
        let error = Error::new(Kind::NotFound, "no till is running here").at(socket::path(&args.file).display());
        return Err(error.hint("is the till running, as this user, and `till.socket` not turned off?"));
    };
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
        let more = serde_json::to_value(&event.kind).unwrap_or_default();
        let more = match &more[event.kind.name()] {
            serde_json::Value::Null => String::new(),
            more => format!(" {more}"),
        };
        out.answer(&event, format_args!("{:.0}  {}  {}{more}", event.at, event.source, event.kind.name()));
    }
}
