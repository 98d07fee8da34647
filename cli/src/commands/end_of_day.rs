use tresen::Result;

use super::terminal::{At, Desk};
use crate::out::Out;

/// Run the end of day at a terminal: it submits its turnover to the acquirer
///
/// Payments still open from an earlier run are settled first, because the terminal forgets them at the end
/// of day. Afterwards the day's payments can be refunded, but not reversed.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let desk = Desk::open(args.at, *out).await?;
    let day = desk.ask(async |terminal| terminal.end_of_day().await).await?;
    out.receipt(&day.receipt);
    let total = day.total.map_or("the terminal reported no total".to_owned(), |total| format!("total {total}"));
    out.answer(&day, format_args!("the day is closed, {total}"));
    Ok(())
}
