use serde_json::json;
use tresen::Result;

use super::terminal::{At, Desk};
use crate::out::Out;

/// Repeat a terminal's last receipt
///
/// The till prints nothing; a terminal that prints its own receipts may print it again.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let desk = Desk::open(args.at, *out).await?;
    let lines = desk.ask(async |terminal| terminal.repeat_receipt().await).await?;
    out.answer(&json!({ "receipt": lines }), lines.join("\n"));
    Ok(())
}
