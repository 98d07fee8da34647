use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, New, Texts};
use crate::out::Out;

/// Refund an amount to a card, without reference to a payment
///
/// Prefer `tresen reverse` for a payment of the same day: it cannot give back more than was paid, nor to
/// another card.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    new: New,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts =
        Texts { what: "refund", done: "refunded", not_done: "not refunded", unknown: "not known whether refunded" };
    args.new.run(&texts, out, async |terminal, request, abort| terminal.refund_as(request, abort).await).await
}
