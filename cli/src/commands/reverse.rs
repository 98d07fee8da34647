use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, FollowUp, Texts};
use crate::out::Out;

/// Reverse a payment by its receipt number
///
/// The terminal reverses payments of the current day; after its end of day use `tresen refund`. AMOUNT is what was paid.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    of: FollowUp,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts =
        Texts { what: "reversal", done: "reversed", not_done: "not reversed", unknown: "not known whether reversed" };
    let reverse =
        async |terminal: &tresen::Terminal, of, request, abort| terminal.reverse_as(&of, request, abort).await;
    args.of.run(&texts, out, reverse).await
}
