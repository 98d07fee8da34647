use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, FollowUp, Texts};
use crate::out::Out;

/// Hold more on a card on which an amount is held already
///
/// RECEIPT is that of `tresen preauth`, AMOUNT what is added.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    of: FollowUp,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts = Texts { what: "increment", done: "held", not_done: "not held", unknown: "not known whether held" };
    let increment =
        async |terminal: &tresen::Terminal, of, request, abort| terminal.increment_as(&of, request, abort).await;
    args.of.run(&texts, out, increment).await
}
