use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, New, Texts};
use crate::out::Out;

/// Hold an amount on a card, to be charged later
///
/// No money moves. `tresen book` charges it or a part of it, `tresen release` releases it.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    new: New,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts =
        Texts { what: "pre-authorisation", done: "held", not_done: "not held", unknown: "not known whether held" };
    args.new.run(&texts, out, async |terminal, request, abort| terminal.pre_authorise_as(request, abort).await).await
}
