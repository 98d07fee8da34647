use serde_json::json;
use tresen::Result;

use super::terminal::{At, Desk};
use crate::out::Out;

/// Initialise a terminal at its host
///
/// No money moves. A terminal says by `tresen info` when it has to be initialised.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let desk = Desk::open(args.at, *out).await?;
    let lines = desk.ask(async |terminal| terminal.initialise().await).await?;
    for line in &lines {
        out.say(format_args!("  | {line}"));
    }
    out.answer(&json!({ "receipt": lines }), "the terminal is initialised");
    Ok(())
}
