use std::process::ExitCode;

use tresen::Result;

use super::terminal::{EXIT, FollowUp, Texts};
use crate::out::Out;

/// Release an amount that is held, without charging it
///
/// RECEIPT is that of `tresen preauth`, AMOUNT what is held.
#[derive(clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    #[command(flatten)]
    of: FollowUp,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result<ExitCode> {
    let texts =
        Texts { what: "release", done: "released", not_done: "not released", unknown: "not known whether released" };
    let release =
        async |terminal: &tresen::Terminal, of, request, abort| terminal.release_as(&of, request, abort).await;
    args.of.run(&texts, out, release).await
}
