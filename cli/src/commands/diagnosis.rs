use serde_json::json;
use tresen::Result;

use super::terminal::{At, Desk};
use crate::out::Out;

/// Have a terminal call its network operator
///
/// No money moves. `tresen doctor` looks at the till's side.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let desk = Desk::open(args.at, *out).await?;
    let lines = desk.ask(async |terminal| terminal.diagnose().await).await?;
    for line in &lines {
        out.say(format_args!("  | {line}"));
    }
    out.answer(&json!({ "receipt": lines }), "the diagnosis is done");
    Ok(())
}
