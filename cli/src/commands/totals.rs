use tresen::Result;

use super::terminal::{At, Desk};
use crate::out::Out;

/// Show a terminal's turnover since its last end of day
///
/// The day stays open: `tresen end-of-day` closes it.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<()> {
    let desk = Desk::open(args.at, *out).await?;
    let totals = desk.ask(async |terminal| terminal.totals().await).await?;
    out.receipt(&totals.receipt);
    for card in &totals.cards {
        out.say(format_args!("{}: {}, {} in all", card.card, card.count, card.total));
    }
    let total = totals.total.map_or("the terminal reported no total".to_owned(), |total| format!("total {total}"));
    out.answer(&totals, total);
    Ok(())
}
